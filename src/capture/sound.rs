//! The sound beside a picture that needs no encoding: it is encoded by itself, and lies at the time at which it was made, as
//! the picture does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::MediaTime;
use super::ear::Ear;
use super::meter::RATE;
use super::program::{self, FIRST, Sound};
use super::relay::Relay;
use crate::media::passthrough::Unit;
use crate::media::ticks_of_samples;

const TICK: Duration = Duration::from_millis(20);
/// No sound for this long means that it is lost, in frames of sound.
const LOST_AFTER: i64 = RATE as i64 * 7 / 10;

/// Encodes what `ear` hears for `relay`, for the rest of the process's life, while the relay's source is on air. Returns
/// once it is known how it is encoded.
///
/// # Errors
/// A sentence: a plugin is missing.
pub fn encode(mut ear: Ear, time: MediaTime, relay: &Arc<Relay>) -> Result<(), String> {
    let line = format!("{} ! appsink name=audio sync=false", program::sound_line(Sound::default()));
    let pipeline = super::launch(&line)?;
    let known = Arc::new(AtomicBool::new(false));
    let (taker, told) = (Arc::clone(relay), Arc::clone(&known));
    program::connect(&pipeline, "audio", move |sample| {
        if !told.swap(true, Ordering::Relaxed)
            && let Some(config) = program::codec_data(sample)
        {
            taker.feed(0, |passthrough, now| passthrough.bring(Unit::AudioConfig(config), now));
        }
        let frame = program::sound_frame(sample, RATE)?;
        let unit = Unit::Sound { at: ticks_of_samples(frame.start, RATE) as i64, data: frame.data.clone() };
        taker.feed(frame.data.len(), |passthrough, now| passthrough.bring(unit, now));
        Ok(())
    })?;
    let source = super::app_source(&pipeline, "samples")?;
    pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
    let mut next = position(time);
    source.push_buffer(program::raw_sound(&vec![0.0; FIRST * 2], next as u64)).map_err(|error| error.to_string())?;
    next += FIRST as i64;
    let relay = Arc::clone(relay);
    std::thread::spawn(move || {
        let _kept = pipeline;
        let mut samples = Vec::new();
        let mut heard = next;
        loop {
            std::thread::sleep(TICK);
            let end = position(time) - ear.delay();
            if !relay.wants_sound() {
                // Whatever stands in for the source listens by itself.
                (next, heard) = (end, end);
                continue;
            }
            if end <= next {
                continue;
            }
            samples.clear();
            if ear.hear(next, (end - next) as usize, &mut samples) {
                heard = end;
            }
            source.push_buffer(program::raw_sound(&samples, next as u64)).ok();
            next = end;
            relay.tell_sound(end - heard < LOST_AFTER);
        }
    });
    Ok(())
}

/// Running time in frames of sound.
fn position(time: MediaTime) -> i64 {
    (u128::from(time.now_ns()) * u128::from(RATE) / 1_000_000_000) as i64
}

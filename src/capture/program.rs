//! The program pipeline: raw pictures and samples in, parts out. It is started once and never stops; what it shows is the
//! frame clock's business. No queue in it: each rung, and the sound, is encoded in its own appsrc's thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gst::prelude::*;

use super::link::Outbox;
use super::meter::RATE;
use super::rung::{self, Sink};
use super::{Counters, raw_audio};
use crate::base::terms::Content;
use crate::media::cadence::Cadence;
use crate::media::fragment::{self, AudioFrame, Fragmenter};
use crate::media::protocol::ErrorCode;
use crate::media::rungs::Rung;

/// Samples that an AAC encoder puts before the first real one. Decoders without an edit list play them, so frames are
/// placed earlier by as much.
const PRIMING: u64 = 1024;

/// Sound without which an encoder does not tell its configuration: two frames.
pub const FIRST: usize = 4096;

/// What a program makes.
pub struct Plan<'a> {
    /// The video encoder's element.
    pub encoder: &'a str,
    /// What it is set for.
    pub content: Content,
    /// Size of the pictures that are shown to it.
    pub width: u32,
    pub height: u32,
    pub frame_rate: u32,
    /// What is cut from them, best first.
    pub rungs: &'a [Rung],
    pub sound: Option<Sound>,
    pub part_ms: u32,
}

/// The encoded sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sound {
    /// Samples per second.
    pub rate: u32,
    /// One or two.
    pub channels: u8,
}

impl Default for Sound {
    fn default() -> Self {
        Self { rate: RATE, channels: 2 }
    }
}

/// The running pipeline.
pub struct Program {
    pipeline: gst::Pipeline,
    rungs: Vec<Encoding>,
    frame_rate: u32,
    /// None in a programme without sound.
    audio: Option<gst_app::AppSrc>,
    /// The same for all rungs.
    cadence: Mutex<Cadence>,
    /// So many rungs, from the best on, are left out from the next keyframe on.
    left_out: AtomicUsize,
    outbox: Outbox,
}

/// One rung's ends.
struct Encoding {
    pictures: gst_app::AppSrc,
    sink: Arc<Sink>,
    on: AtomicBool,
}

impl Program {
    /// Builds and starts the pipeline; parts go to `outbox`.
    ///
    /// # Errors
    /// A sentence: a plugin is missing, or the encoder does not start.
    pub fn start(plan: Plan<'_>, outbox: &Outbox, counters: &Arc<Counters>) -> Result<Self, String> {
        let mut line = String::new();
        for number in 0..plan.rungs.len() {
            line += &rung::line(&plan, number);
        }
        if let Some(sound) = plan.sound {
            line += &format!(" {} ! appsink name=audio sync=false", sound_line(sound));
        }
        let pipeline = super::launch(&line)?;
        let rungs = (0..plan.rungs.len()).map(|number| Encoding::connect(&pipeline, &plan, number, outbox, counters));
        let rungs = rungs.collect::<Result<Vec<_>, _>>()?;
        if let Some(sound) = plan.sound {
            let sinks: Vec<_> = rungs.iter().map(|rung| Arc::clone(&rung.sink)).collect();
            let counters = Arc::clone(counters);
            connect(&pipeline, "audio", move |sample| {
                let frame = sound_frame(sample, sound.rate)?;
                let config = codec_data(sample);
                counters.bytes.fetch_add((frame.data.len() * sinks.len()) as u64, Ordering::Relaxed);
                sinks.iter().try_for_each(|sink| sink.audio(frame.clone(), config.clone()))
            })?;
        }
        let program = Self {
            audio: plan.sound.map(|_| super::app_source(&pipeline, "samples")).transpose()?,
            frame_rate: plan.frame_rate,
            rungs,
            cadence: Mutex::new(Cadence::new(
                plan.frame_rate,
                fragment::part_frames(plan.part_ms, plan.frame_rate * 1000),
            )),
            left_out: AtomicUsize::new(0),
            outbox: outbox.clone(),
            pipeline,
        };
        super::watch(&program.pipeline, outbox.clone(), |outbox, error| outbox.fatal(ErrorCode::Pipeline, error));
        program.pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        Ok(program)
    }

    /// The same, but nothing leaves before [`Self::go_on_air`]: what takes its time, until encoders have told how they encode,
    /// is done with `picture` and silence.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn stand_by(
        plan: Plan<'_>,
        picture: gst::Buffer,
        outbox: &Outbox,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let program = Self::start(plan, outbox, counters)?;
        program.rungs.iter().for_each(|rung| rung.sink.stand_by());
        program.show(picture, 0);
        program.play(&[0.0; FIRST * 2], 0);
        Ok(program)
    }

    /// Goes on where something else has ended that was on air until now, if anything was: the best rung with its timeline. To be
    /// called before the first picture.
    ///
    /// # Errors
    /// A sentence: what the encoders have told cannot be written.
    pub fn go_on_air(&self, mut before: Option<Fragmenter>) -> Result<(), String> {
        self.keyframe();
        self.rungs.iter().try_for_each(|rung| rung.sink.go_on_air(before.take()))
    }

    /// Whether frame `number` is going to be shown: else the picture before it stands for it.
    pub fn wants(&self, number: u64) -> bool {
        self.cadence().wants(number)
    }

    /// Shows `picture` at frame `number` of running time, unless the one before it stands for that frame.
    pub fn show(&self, mut picture: gst::Buffer, number: u64) {
        let Some(shown) = self.cadence().show(number) else { return };
        let rate = u64::from(self.frame_rate);
        let time = |n: u64| gst::ClockTime::from_nseconds(n * 1_000_000_000 / rate);
        {
            let picture = picture.make_mut();
            picture.set_pts(time(number));
            picture.set_dts(gst::ClockTime::NONE);
            picture.set_duration(time(number + u64::from(shown.frames)) - time(number));
            picture.unset_flags(gst::BufferFlags::DISCONT);
        }
        let left_out = self.left_out.load(Ordering::Relaxed);
        for (index, rung) in self.rungs.iter().enumerate() {
            if shown.key {
                rung.turn(index >= left_out);
                rung.keyframe();
            }
            if rung.on.load(Ordering::Relaxed) {
                rung.sink.expect(number, shown.frames);
                rung.pictures.push_buffer(picture.clone()).ok();
            }
        }
    }

    /// Encodes all but so many rungs, from the best on, from the next keyframe on.
    pub fn leave_out(&self, rungs: usize) {
        self.left_out.store(rungs, Ordering::Relaxed);
    }

    /// Shows half as many pictures, each for twice as long, from the next part on; or all again.
    pub fn halve_rate(&self, half: bool) {
        self.cadence().want_half(half);
    }

    /// Frames that wait for each rung's encoder, and how many were thrown away so far.
    pub fn backlog(&self) -> (Vec<u32>, u64) {
        let waiting = |rung: &Encoding| rung.pictures.property::<u64>("current-level-buffers") as u32;
        let missing = self.rungs.iter().map(|rung| rung.sink.missing()).sum();
        (self.rungs.iter().map(waiting).collect(), missing)
    }

    /// Plays interleaved `samples` from `position` (frames of running time) on.
    pub fn play(&self, samples: &[f32], position: u64) {
        let Some(audio) = &self.audio else { return };
        audio.push_buffer(raw_sound(samples, position)).ok();
    }

    /// Makes the next frame a keyframe.
    pub fn keyframe(&self) {
        self.cadence().want_key();
    }

    /// Whole at any time.
    fn cadence(&self) -> MutexGuard<'_, Cadence> {
        self.cadence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the pipeline and sends what is left; no part follows. Gives the best rung's timeline to whatever goes on air
    /// next.
    pub fn stop(&self) -> Option<Fragmenter> {
        self.pipeline.set_state(gst::State::Null).ok();
        let ended = self.rungs.iter().map(|rung| rung.sink.end(&self.outbox));
        ended.collect::<Vec<_>>().into_iter().next().flatten()
    }
}

impl Encoding {
    fn connect(
        pipeline: &gst::Pipeline,
        plan: &Plan<'_>,
        number: usize,
        outbox: &Outbox,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let sink = Arc::new(Sink::new(plan, number, outbox, counters));
        let pictures = super::app_source(pipeline, &format!("pictures{number}"))?;
        rung::give_way(&pictures, plan.rungs.len() - 1 - number);
        connect(pipeline, &format!("video{number}"), {
            let sink = Arc::clone(&sink);
            move |sample| sink.video(sample)
        })?;
        Ok(Self { pictures, sink, on: AtomicBool::new(true) })
    }

    fn turn(&self, on: bool) {
        if !self.on.swap(on, Ordering::Relaxed) && on {
            self.sink.begin_again();
        }
    }

    /// Makes the frame that is shown next a keyframe, whatever waits before it: the wish goes the pictures' own way.
    fn keyframe(&self) {
        let request = gst::Structure::builder("GstForceKeyUnit")
            .field("running-time", u64::MAX)
            .field("all-headers", true)
            .field("count", 0u32)
            .build();
        self.pictures.send_event(gst::event::CustomDownstream::new(request));
    }
}

/// One that was never on air is not stopped by anybody.
impl Drop for Program {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// From raw samples to AAC frames.
pub fn sound_line(sound: Sound) -> String {
    let Sound { rate, channels } = sound;
    let aac = if gst::ElementFactory::find("avenc_aac").is_some() { "avenc_aac" } else { "voaacenc" };
    format!(
        "appsrc name=samples is-live=true format=time max-time=2000000000 max-bytes=0 leaky-type=downstream caps=\"{}\" \
         ! audioconvert ! audioresample ! audio/x-raw,rate={rate},channels={channels} ! {aac} bitrate=128000 \
         ! audio/mpeg,stream-format=raw",
        raw_audio()
    )
}

/// The AAC frame of a sample that comes out of [`sound_line`], of sound at `rate`.
///
/// # Errors
/// A sentence: it has no time, or no bytes.
pub fn sound_frame(sample: &gst::Sample, rate: u32) -> Result<AudioFrame, String> {
    let buffer = sample.buffer().ok_or("no buffer")?;
    let time = running_time(sample, buffer.pts()).ok_or("a sound frame has no time")?;
    let start = (u128::from(time) * u128::from(rate) + 500_000_000) / 1_000_000_000;
    Ok(AudioFrame { start: (start as u64).saturating_sub(PRIMING), data: copy_of(buffer)? })
}

/// Raw interleaved samples whose first lies at `position` (frames of running time).
pub fn raw_sound(samples: &[f32], position: u64) -> gst::Buffer {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        let time = |n: u64| gst::ClockTime::from_nseconds((u128::from(n) * 1_000_000_000 / u128::from(RATE)) as u64);
        buffer.set_pts(time(position));
        buffer.set_duration(time(position + samples.len() as u64 / 2) - time(position));
    }
    buffer
}

/// A track's configuration, by the caps of its samples.
pub fn codec_data(sample: &gst::Sample) -> Option<Bytes> {
    let codec_data = sample.caps()?.structure(0)?.get::<gst::Buffer>("codec_data").ok()?;
    Some(Bytes::copy_from_slice(&codec_data.map_readable().ok()?))
}

/// Encoders shift their time stamps (x264enc by 1000 h); the segment tells by how much.
pub fn running_time(sample: &gst::Sample, time: Option<gst::ClockTime>) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(time?).map(gst::ClockTime::nseconds)
}

pub fn copy_of(buffer: &gst::BufferRef) -> Result<Bytes, String> {
    let map = buffer.map_readable().map_err(|error| error.to_string())?;
    Ok(Bytes::copy_from_slice(&map))
}

/// Hands each sample of the named appsink to `take`; an error there ends the pipeline with it.
pub fn connect<F>(pipeline: &gst::Pipeline, name: &str, take: F) -> Result<(), String>
where
    F: Fn(&gst::Sample) -> Result<(), String> + Send + 'static,
{
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        take(&sample).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            gst::element_error!(sink, gst::StreamError::Failed, ("{error}"));
            gst::FlowError::Error
        })
    });
    super::app_sink(pipeline, name)?.set_callbacks(callbacks.build());
    Ok(())
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;

//! Who listens: the sound of a source at an even pace, how late it must be heard so that none is missed, and its level.

use std::sync::Arc;

use super::link::Outbox;
use super::meter::{Meter, RATE};
use super::pattern;
use super::slots::Slots;
use crate::media::protocol::FromWorker;

/// Cameras and microphones are shown this late, both alike, so that a picture that was slow to arrive keeps step with the
/// sound. Nanoseconds.
const SOURCE_DELAY: u64 = 60_000_000;

/// Where samples come from.
#[derive(Clone)]
pub enum Sounds {
    Silence,
    Tone { wall_ms: i64 },
    Microphone(Arc<Slots>),
}

/// A listener.
pub struct Ear {
    sounds: Sounds,
    lag: Lag,
    meter: Meter,
    outbox: Outbox,
}

/// How late a microphone is played, in frames of sound. One that is slower than [`SOURCE_DELAY`] must not be silent for it.
struct Lag {
    frames: i64,
    /// Where its sound ended at the last tick.
    end: Option<i64>,
}

impl Lag {
    const LEAST: i64 = (SOURCE_DELAY / 1000 * RATE as u64 / 1_000_000) as i64;
    const MOST: i64 = RATE as i64 / 2;
    const STEP: i64 = RATE as i64 / 100;

    /// Sound up to `wanted` was asked for and ends at `end`. Only a source that still brings some is waited for.
    fn learn(&mut self, wanted: i64, end: Option<i64>) {
        let flows = end > self.end;
        self.end = end;
        let short = end.map_or(0, |end| wanted - end);
        if flows && short > Self::MOST {
            self.frames = Self::LEAST; // it came back after a pause; what it brings is new
        } else if flows && short > 0 {
            self.frames = (self.frames + short + Self::STEP).min(Self::MOST);
            tracing::info!(milliseconds = self.frames * 1000 / i64::from(RATE), "the microphone is slow; played later");
        }
    }
}

impl Ear {
    /// Levels go to `outbox`.
    pub fn new(sounds: Sounds, outbox: &Outbox) -> Self {
        Self { sounds, lag: Lag { frames: Lag::LEAST, end: None }, meter: Meter::default(), outbox: outbox.clone() }
    }

    /// How long after it was made sound is to be asked for, in frames of sound.
    pub fn delay(&self) -> i64 {
        if matches!(self.sounds, Sounds::Microphone(_)) { self.lag.frames } else { 0 }
    }

    /// How long after it was taken a picture is to be shown that goes with the sound, ns.
    pub fn picture_delay(&self) -> u64 {
        SOURCE_DELAY.max(self.delay() as u64 * 1_000_000_000 / u64::from(RATE))
    }

    /// Appends `count` frames from position `at` on, interleaved; false where there should have been sound and was none.
    pub fn hear(&mut self, at: i64, count: usize, into: &mut Vec<f32>) -> bool {
        let before = into.len();
        let heard = match &self.sounds {
            Sounds::Silence => {
                into.resize(before + count * 2, 0.0);
                true
            }
            Sounds::Tone { wall_ms } => {
                pattern::tone(at, count, *wall_ms, into);
                true
            }
            Sounds::Microphone(slots) => {
                let mut ring = slots.sound();
                self.lag.learn(at + count as i64, ring.end());
                ring.read(at, count, into)
            }
        };
        if let Some(level) = self.meter.take(&into[before..]) {
            self.outbox.offer(FromWorker::Level(level));
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_microphone_is_played_later_and_a_dead_one_is_not_waited_for() {
        let mut lag = Lag { frames: Lag::LEAST, end: None };
        for tick in 0..30 {
            // It brings its sound 150 ms late.
            let now = 100_000 + tick * 1600;
            lag.learn(now - lag.frames, Some(now - 7200));
        }
        assert!((7200..9000).contains(&lag.frames), "{}", lag.frames);
        let settled = lag.frames;
        for tick in 30..60 {
            lag.learn(100_000 + tick * 1600 - lag.frames, Some(100_000 + 29 * 1600 - 7200));
        }
        assert_eq!(lag.frames, settled);
    }
}

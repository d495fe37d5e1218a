//! The frame clock: one picture each 1/fps s and exactly the samples between, for as long as the worker lives. Sources
//! come and go; what the encoder sees never stops and never stretches, so all parts are equal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::MediaTime;
use super::encoder::Target;
use super::link::Outbox;
use super::meter::{Meter, RATE};
use super::pattern::{self, Pattern};
use super::program::Program;
use super::slots::Slots;
use super::snapshot::{self, Snapshots};
use super::still::Slate;
use crate::base::clock;
use crate::media::protocol::{FromWorker, SourceState};

/// Cameras and microphones are shown this late, both alike, so that a picture that was slow to arrive keeps step with the
/// sound. Nanoseconds.
const SOURCE_DELAY: u64 = 60_000_000;
/// A camera without a picture for this long is lost. Nanoseconds.
const LOST_AFTER: u64 = 700_000_000;
/// A camera may take this long to open before the slate is shown. Nanoseconds.
const OPENING: u64 = 2_000_000_000;
/// When the process was held up for longer, the time is skipped instead of made up for. Nanoseconds.
const TOO_LATE: u64 = 1_000_000_000;

/// Where pictures come from.
pub enum Pictures {
    Pattern(Box<Pattern>, gst::BufferPool),
    Camera(Arc<Slots>),
}

/// Where samples come from.
pub enum Sounds {
    Silence,
    Tone { wall_ms: i64 },
    Microphone(Arc<Slots>),
}

/// The clock and all it needs to fill a frame.
pub struct FrameClock {
    pub program: Arc<Program>,
    pub time: MediaTime,
    pub target: Target,
    pub pictures: Pictures,
    pub sounds: Sounds,
    pub slate: Slate,
    pub snapshots: Option<Snapshots>,
    pub outbox: Outbox,
}

/// What is remembered from tick to tick.
struct Memory {
    meter: Meter,
    state: SourceState,
    samples: Vec<f32>,
    /// Frame of the next snapshot.
    snapshot: u64,
    /// Running time of the last sound of the microphone, ns.
    heard: u64,
    lag: Lag,
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

impl FrameClock {
    /// Ticks until `stop`.
    pub fn run(self, stop: &AtomicBool) {
        self.await_source();
        let rate = u64::from(self.target.frame_rate);
        let first = self.time.now_ns() * rate / 1_000_000_000 + 1;
        let mut memory = Memory {
            meter: Meter::default(),
            state: SourceState::Starting,
            samples: Vec::new(),
            snapshot: first + rate / 5,
            heard: self.time.now_ns(),
            lag: Lag { frames: Lag::LEAST, end: None },
        };
        let mut number = first;
        while !stop.load(Ordering::Relaxed) {
            let due = number * 1_000_000_000 / rate;
            let now = self.time.now_ns();
            std::thread::sleep(Duration::from_nanos(due.saturating_sub(now)));
            if now > due + TOO_LATE {
                let next = now * rate / 1_000_000_000 + 1;
                tracing::warn!(frames = next - number, "held up; skipping");
                // The hole's frames are counted where the next one comes out of the encoder.
                number = next;
                self.program.keyframe();
                continue;
            }
            self.tick(number, due, &mut memory);
            number += 1;
        }
    }

    /// A broadcast should not begin with the slate because a camera takes half a second to open.
    fn await_source(&self) {
        let Pictures::Camera(slots) = &self.pictures else { return };
        let deadline = self.time.now_ns() + OPENING;
        while slots.last_arrival() == 0 && self.time.now_ns() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn tick(&self, number: u64, due: u64, memory: &mut Memory) {
        let picture = self.picture(number, due);
        let seen = picture.is_some();
        let picture = picture.unwrap_or_else(|| self.slate.picture());
        if number >= memory.snapshot {
            memory.snapshot = number + snapshot::EVERY * u64::from(self.target.frame_rate);
            if let Some(snapshots) = &self.snapshots {
                snapshots.take(&picture);
            }
        }
        self.program.show(picture, number, self.target.frame_rate);
        let heard = self.sound(number, memory);
        if heard {
            memory.heard = due;
        }
        let state = match (seen, due.saturating_sub(memory.heard) < LOST_AFTER) {
            (false, _) => SourceState::VideoLost,
            (true, false) => SourceState::AudioLost,
            (true, true) => SourceState::Running,
        };
        if state != memory.state {
            tracing::info!(?state, "source");
            memory.state = state;
            self.outbox.send(FromWorker::State(state));
        }
    }

    fn picture(&self, number: u64, due: u64) -> Option<gst::Buffer> {
        match &self.pictures {
            Pictures::Pattern(pattern, pool) => {
                let mut buffer = pool.acquire_buffer(None).ok()?;
                let mut map = buffer.get_mut()?.map_writable().ok()?;
                pattern.paint(&mut map, number, clock::wall_ms());
                drop(map);
                Some(buffer)
            }
            Pictures::Camera(slots) => {
                // By when it came, not when it was taken: a slow camera is late and not lost.
                let flowing = due.saturating_sub(slots.last_arrival()) < LOST_AFTER;
                flowing.then(|| slots.picture_at(due.saturating_sub(SOURCE_DELAY)))?
            }
        }
    }

    /// Plays the samples up to frame `number`; false where there should have been sound and was none.
    fn sound(&self, number: u64, memory: &mut Memory) -> bool {
        let rate = u64::from(self.target.frame_rate);
        let position = |frame: u64| (u128::from(frame) * u128::from(RATE) / u128::from(rate)) as u64;
        let (from, to) = (position(number - 1), position(number));
        let count = (to - from) as usize;
        memory.samples.clear();
        let heard = match &self.sounds {
            Sounds::Silence => {
                memory.samples.resize(count * 2, 0.0);
                true
            }
            Sounds::Tone { wall_ms } => {
                pattern::tone(from as i64, count, *wall_ms, &mut memory.samples);
                true
            }
            Sounds::Microphone(slots) => {
                let mut ring = slots.sound();
                let at = from as i64 - memory.lag.frames;
                memory.lag.learn(at + count as i64, ring.end());
                ring.read(at, count, &mut memory.samples)
            }
        };
        if let Some(level) = memory.meter.take(&memory.samples) {
            self.outbox.offer(FromWorker::Level(level));
        }
        self.program.play(&memory.samples, from);
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

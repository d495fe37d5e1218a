//! The frame clock: one picture each 1/fps s and exactly the samples between, for as long as the worker lives. Sources
//! come and go; what the encoder sees never stops and never stretches, so all parts are equal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gst::prelude::*;

use super::MediaTime;
use super::ear::Ear;
use super::encoder::Target;
use super::link::Outbox;
use super::meter::RATE;
use super::pattern::Pattern;
use super::program::Program;
use super::slots::Slots;
use super::snapshot::{self, Snapshots};
use super::still::Slate;
use crate::base::clock;
use crate::media::protocol::{FromWorker, SourceState};

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
    /// The slate, until something better comes.
    None,
}

/// The clock and all it needs to fill a frame.
pub struct FrameClock {
    pub program: Arc<Program>,
    pub time: MediaTime,
    pub target: Target,
    pub pictures: Pictures,
    pub ear: Ear,
    pub slate: Slate,
    pub snapshots: Option<Snapshots>,
    pub outbox: Outbox,
}

/// What is remembered from tick to tick.
struct Memory {
    state: SourceState,
    /// The newest picture was the source's own.
    seen: bool,
    samples: Vec<f32>,
    /// Frame of the next snapshot.
    snapshot: u64,
    /// Running time of the last sound of the microphone, ns.
    heard: u64,
}

impl FrameClock {
    /// Ticks until `stop`.
    pub fn run(mut self, stop: &AtomicBool) {
        let rate = u64::from(self.target.frame_rate);
        let first = self.time.now_ns() * rate / 1_000_000_000 + 1;
        let mut memory = Memory {
            // Who has nothing but the slate has said so.
            state: if matches!(self.pictures, Pictures::None) { SourceState::VideoLost } else { SourceState::Starting },
            seen: false,
            samples: Vec::new(),
            snapshot: first + rate / 5,
            heard: self.time.now_ns(),
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
    pub fn await_source(&self) {
        let Pictures::Camera(slots) = &self.pictures else { return };
        let deadline = self.time.now_ns() + OPENING;
        while slots.last_arrival() == 0 && self.time.now_ns() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn tick(&mut self, number: u64, due: u64, memory: &mut Memory) {
        // What nobody is going to see is not even painted.
        if self.program.wants(number) {
            let picture = self.picture(number, due);
            memory.seen = picture.is_some();
            let picture = picture.unwrap_or_else(|| self.slate.picture());
            if number >= memory.snapshot {
                memory.snapshot = number + snapshot::EVERY * u64::from(self.target.frame_rate);
                if let Some(snapshots) = &self.snapshots {
                    snapshots.take(&picture);
                }
            }
            self.program.show(picture, number);
        }
        let heard = self.sound(number, memory);
        if heard {
            memory.heard = due;
        }
        let state = match (memory.seen, due.saturating_sub(memory.heard) < LOST_AFTER) {
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
            Pictures::None => None,
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
                flowing.then(|| slots.picture_at(due.saturating_sub(self.ear.picture_delay())))?
            }
        }
    }

    /// Plays the samples up to frame `number`; false where there should have been sound and was none.
    fn sound(&mut self, number: u64, memory: &mut Memory) -> bool {
        let rate = u64::from(self.target.frame_rate);
        let position = |frame: u64| (u128::from(frame) * u128::from(RATE) / u128::from(rate)) as u64;
        let (from, to) = (position(number - 1), position(number));
        let count = (to - from) as usize;
        memory.samples.clear();
        let heard = self.ear.hear(from as i64 - self.ear.delay(), count, &mut memory.samples);
        self.program.play(&memory.samples, from);
        heard
    }
}

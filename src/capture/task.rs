//! What a worker is doing: one task for its whole life, and how it takes the parent's messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use gst::prelude::*;

use super::encoder::{self, Target};
use super::frame_clock::{FrameClock, Pictures, Sounds};
use super::link::Outbox;
use super::pattern::{Layout, Pattern};
use super::program::Program;
use super::publisher::Publisher;
use super::snapshot::Snapshots;
use super::still::Slate;
use super::{Counters, MediaTime, source};
use crate::base::clock;
use crate::media::protocol::{AudioInput, Capture, ErrorCode, FromWorker, SourceState, ToWorker, VideoInput};

/// The worker's task.
pub enum Running {
    Capture {
        program: Arc<Program>,
        stop: Arc<AtomicBool>,
        clock: Option<JoinHandle<()>>,
    },
    Publisher(Arc<Publisher>),
    /// Needs nothing from the parent.
    Alone,
}

impl Running {
    /// Takes any message but start and stop.
    pub fn take(&mut self, message: ToWorker) {
        match (self, message) {
            (Self::Capture { program, .. }, ToWorker::Keyframe) => program.keyframe(),
            (Self::Publisher(publisher), ToWorker::Tag(tag)) => publisher.take(&tag),
            _ => tracing::debug!("a message that this task has no use for"),
        }
    }

    /// Sends what is whole and stops.
    pub fn stop(&mut self) {
        match self {
            Self::Capture { program, stop, clock } => {
                stop.store(true, Ordering::Relaxed);
                if let Some(clock) = clock.take() {
                    clock.join().ok();
                }
                program.stop();
            }
            Self::Publisher(publisher) => publisher.stop(),
            Self::Alone => {}
        }
    }

    /// Starts to capture; ends the process if there is no way to.
    pub fn capture(capture: Capture, time: MediaTime, outbox: &Outbox) -> Self {
        outbox.send(FromWorker::State(SourceState::Starting));
        let target = Target {
            width: capture.width & !1,
            height: capture.height & !1,
            frame_rate: capture.frame_rate.clamp(5, 60),
            kbps: capture.video_kbps,
        };
        let counters = Arc::new(Counters::default());
        let encoder = encoder::choose(capture.encoder.as_deref(), target)
            .unwrap_or_else(|reason| outbox.fatal(ErrorCode::NoEncoder, reason));
        tracing::info!(encoder, "encoding");
        let program = Program::start(&encoder, target, capture.part_ms, outbox, &counters)
            .unwrap_or_else(|reason| outbox.fatal(ErrorCode::Pipeline, reason));
        let program = Arc::new(program);
        let snapshots = Snapshots::start(target, outbox)
            .map_err(|reason| outbox.trouble(ErrorCode::MissingPlugin, format!("No snapshots: {reason}")));
        let frame_clock = FrameClock {
            program: Arc::clone(&program),
            time,
            target,
            pictures: pictures(capture.video, target, time, outbox),
            sounds: sounds(capture.audio, time, outbox),
            slate: Slate::start(target),
            snapshots: snapshots.ok(),
            outbox: outbox.clone(),
        };
        counters.report(outbox);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let clock = std::thread::spawn(move || frame_clock.run(&stopped));
        Self::Capture { program, stop, clock: Some(clock) }
    }
}

fn pictures(input: VideoInput, target: Target, time: MediaTime, outbox: &Outbox) -> Pictures {
    match input {
        VideoInput::TestPattern => {
            let layout = Layout { width: target.width as usize, height: target.height as usize };
            Pictures::Pattern(Box::new(Pattern::new(layout, clock::local_offset_ms())), pool(layout))
        }
        VideoInput::Camera(id) => {
            let slots = Arc::default();
            source::camera(id, target, time, Arc::clone(&slots), outbox);
            Pictures::Camera(slots)
        }
    }
}

fn sounds(input: AudioInput, time: MediaTime, outbox: &Outbox) -> Sounds {
    match input {
        AudioInput::Silence => Sounds::Silence,
        AudioInput::TestTone => Sounds::Tone { wall_ms: clock::wall_ms() - (time.now_ns() / 1_000_000) as i64 },
        AudioInput::Microphone(id) => {
            let slots = Arc::default();
            source::microphone(id, time, Arc::clone(&slots), outbox);
            Sounds::Microphone(slots)
        }
    }
}

/// Buffers for pictures that are painted here: 1.4 MB each, thirty a second, are not to be mapped and unmapped each time.
fn pool(layout: Layout) -> gst::BufferPool {
    let pool = gst::BufferPool::new();
    let mut config = pool.config();
    config.set_params(None, layout.size() as u32, 4, 0);
    if pool.set_config(config).and_then(|()| pool.set_active(true)).is_err() {
        tracing::warn!("no pool for pictures");
    }
    pool
}

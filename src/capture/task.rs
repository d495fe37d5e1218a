//! What a worker is doing: one task for its whole life, and how it takes the parent's messages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use gst::prelude::*;

use super::ear::{Ear, Sounds};
use super::encoder::{self, Target};
use super::frame_clock::{FrameClock, Pictures};
use super::ladder::Ladder;
use super::link::Outbox;
use super::pattern::{Layout, Pattern};
use super::program::{Plan, Program, Sound};
use super::relay::{Inputs, Relay};
use super::sheet::Pasteboard;
use super::snapshot::Snapshots;
use super::still::Slate;
use super::{Counters, MediaTime, load, sound, source};
use crate::base::clock;
use crate::media::protocol::{AudioInput, Capture, ErrorCode, FromWorker, SourceState, ToWorker, VideoInput};

/// The worker's task.
pub enum Running {
    Capture {
        program: Arc<Program>,
        stop: Arc<AtomicBool>,
        clock: Option<JoinHandle<()>>,
    },
    /// A publisher, or a camera that encodes by itself.
    Relay(Arc<Relay>),
    Sheet(Pasteboard),
    Ladder(Ladder),
    /// Needs nothing from the parent.
    Alone,
}

impl Running {
    /// Takes any message but start and stop.
    pub fn take(&mut self, message: ToWorker) {
        match (self, message) {
            (Self::Capture { program, .. }, ToWorker::Keyframe) => program.keyframe(),
            (Self::Relay(relay), ToWorker::Keyframe) => relay.keyframe(),
            (Self::Relay(publisher), ToWorker::Tag(tag)) => {
                publisher.here();
                publisher.feed(tag.body.len(), |passthrough, now| passthrough.take(&tag, now));
            }
            (Self::Relay(publisher), ToWorker::Gone) => publisher.gone(),
            (Self::Relay(publisher), ToWorker::StandIn { init, end, away }) => publisher.stand_in_for(&init, end, away),
            (Self::Sheet(sheet), ToWorker::Still { place, init, media }) => sheet.take(place, &init, &media),
            (Self::Ladder(ladder), ToWorker::Segment { msn, begins, media }) => ladder.take(msn, begins, &media),
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
            Self::Relay(relay) => relay.stop(),
            Self::Sheet(sheet) => sheet.print(),
            Self::Ladder(ladder) => ladder.finish(),
            Self::Alone => {}
        }
    }

    /// Starts to capture; ends the process if there is no way to.
    pub fn capture(capture: Capture, time: MediaTime, outbox: &Outbox) -> Self {
        outbox.send(FromWorker::State(SourceState::Starting));
        let Some(&best) = capture.rungs.first() else {
            outbox.fatal(ErrorCode::Pipeline, "there is nothing to encode");
        };
        let target = Target {
            width: best.width,
            height: best.height,
            frame_rate: capture.frame_rate.clamp(5, 60),
            kbps: best.kbps,
            content: capture.content,
        };
        if let VideoInput::EncodingCamera(id) = capture.video {
            return Self::encoding_camera(id, capture.audio, target, capture.part_ms, time, outbox);
        }
        let counters = Arc::new(Counters::default());
        let encoder =
            encoder::choose(target, outbox).unwrap_or_else(|reason| outbox.fatal(ErrorCode::NoEncoder, reason));
        tracing::info!(encoder, "encoding");
        let plan = Plan {
            encoder: &encoder,
            content: target.content,
            width: target.width,
            height: target.height,
            frame_rate: target.frame_rate,
            rungs: &capture.rungs,
            sound: Some(Sound::default()),
            part_ms: capture.part_ms,
        };
        let program =
            Program::start(plan, outbox, &counters).unwrap_or_else(|reason| outbox.fatal(ErrorCode::Pipeline, reason));
        let program = Arc::new(program);
        let snapshots = Snapshots::start(target, outbox)
            .map_err(|reason| outbox.trouble(ErrorCode::MissingPlugin, format!("No snapshots: {reason}")));
        let frame_clock = FrameClock {
            program: Arc::clone(&program),
            time,
            target,
            pictures: pictures(capture.video, target, time, outbox),
            ear: Ear::new(sounds(capture.audio, time, outbox), outbox),
            slate: Slate::start(target),
            snapshots: snapshots.ok(),
            outbox: outbox.clone(),
        };
        counters.report(outbox);
        let stop = Arc::new(AtomicBool::new(false));
        load::watch(Arc::clone(&program), capture.rungs.len(), Arc::clone(&stop), outbox.clone());
        let stopped = Arc::clone(&stop);
        let clock = std::thread::spawn(move || {
            frame_clock.await_source();
            frame_clock.run(&stopped);
        });
        Self::Capture { program, stop, clock: Some(clock) }
    }

    /// Begins with a camera whose H.264 is passed through.
    fn encoding_camera(
        id: String,
        audio: AudioInput,
        target: Target,
        part_ms: u32,
        time: MediaTime,
        outbox: &Outbox,
    ) -> Self {
        let slots = Arc::default();
        let inputs = Inputs { pictures: Arc::clone(&slots), sounds: sounds(audio, time, outbox) };
        let ear = Ear::new(inputs.sounds.clone(), outbox);
        let relay = Relay::camera(part_ms, target, inputs, time, outbox);
        if let Err(reason) = sound::encode(ear, time, &relay) {
            outbox.fatal(ErrorCode::MissingPlugin, reason);
        }
        source::encoding_camera(id, target, time, Arc::clone(&relay), slots, outbox);
        Self::Relay(relay)
    }
}

fn pictures(input: VideoInput, target: Target, time: MediaTime, outbox: &Outbox) -> Pictures {
    match input {
        VideoInput::TestPattern => {
            let layout = Layout { width: target.width as usize, height: target.height as usize };
            Pictures::Pattern(Box::new(Pattern::new(layout, clock::local_offset_ms())), pool(layout))
        }
        VideoInput::Camera(id) | VideoInput::EncodingCamera(id) => {
            let slots = Arc::default();
            source::decoded_camera(id, target, time, Arc::clone(&slots), outbox);
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

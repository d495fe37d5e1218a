//! The worker: everything that touches GStreamer. It runs only in a child process (`siaran worker capture`), is reached only
//! from `cli`, and speaks with the parent in [`crate::media::protocol`].

mod devices;
mod drift;
mod ear;
mod encoder;
mod frame_clock;
mod import;
mod ladder;
mod link;
mod load;
mod meter;
mod monitor;
mod pattern;
mod program;
mod relay;
mod ring;
mod rung;
mod sheet;
mod slots;
mod snapshot;
mod sound;
mod source;
mod still;
mod task;

pub use import::prepare;

use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gst::prelude::*;

use crate::base::clock;
use crate::media::protocol::{ErrorCode, FromWorker, Stats, Task, ToWorker, VERSION};
use link::Outbox;
use task::Running;

/// Serves the parent at the other end of `socket` until it closes, says stop, or the task is done.
pub fn serve(socket: UnixStream) -> ExitCode {
    let (mut incoming, outgoing) = match socket.try_clone() {
        Ok(clone) => (socket, clone),
        Err(error) => {
            tracing::error!(%error, "the socket cannot be used");
            return ExitCode::FAILURE;
        }
    };
    let outbox = Outbox::start(outgoing);
    outbox.send(FromWorker::Hello { version: VERSION });
    let mut task: Option<Running> = None;
    loop {
        match link::receive::<ToWorker>(&mut incoming) {
            Ok(Some(ToWorker::Start(start))) if task.is_none() => {
                if start.version != VERSION {
                    outbox.fatal(ErrorCode::Version, format!("the parent speaks version {}", start.version));
                }
                if let Err(error) = gst::init() {
                    outbox.fatal(ErrorCode::MissingPlugin, format!("GStreamer does not start: {error}"));
                }
                encoder::leave_out(start.left_out);
                task = Some(begin(start.task, start.base_ns, &outbox));
            }
            Ok(Some(ToWorker::Stop)) => {
                if let Some(mut task) = task {
                    task.stop();
                }
                outbox.send(FromWorker::Ended);
                outbox.flush();
                return ExitCode::SUCCESS;
            }
            Ok(Some(message)) => match &mut task {
                Some(task) => task.take(message),
                None => outbox.fatal(ErrorCode::Version, "the first message is not a start"),
            },
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the parent sends nonsense");
                return ExitCode::FAILURE;
            }
        }
    }
}

fn begin(task: Task, base_ns: u64, outbox: &Outbox) -> Running {
    let time = MediaTime { base_ns, ahead_ns: 0 };
    match task {
        Task::Capture(capture) => Running::capture(capture, time, outbox),
        Task::Picture { init, media } => {
            let outbox = outbox.clone();
            std::thread::spawn(move || match monitor::picture(&init, &media, &outbox) {
                Ok(()) => {
                    outbox.flush();
                    std::process::exit(0)
                }
                Err(reason) => outbox.fatal(ErrorCode::BadMedia, reason),
            });
            Running::Alone
        }
        Task::Sheet(sheet) => Running::Sheet(sheet::Pasteboard::new(sheet, outbox)),
        Task::Ladder(rungs) => Running::Ladder(ladder::Ladder::new(rungs, outbox)),
        Task::Import { encode, from } => {
            let outbox = outbox.clone();
            std::thread::spawn::<_, ()>(move || import::run(encode, from, &outbox));
            Running::Alone
        }
        Task::Encoder(name) => {
            let outbox = outbox.clone();
            std::thread::spawn(move || {
                outbox.send(FromWorker::Speed(encoder::measure(&name)));
                outbox.flush();
                std::process::exit(0)
            });
            Running::Alone
        }
        Task::Publisher { part_ms, not_before } => {
            Running::Relay(relay::Relay::publisher(part_ms, not_before, time, outbox))
        }
        Task::Devices => {
            let outbox = outbox.clone();
            std::thread::spawn(move || devices::watch(&outbox));
            Running::Alone
        }
    }
}

/// The timeline that this worker shares with the parent and all other workers.
#[derive(Debug, Clone, Copy)]
struct MediaTime {
    base_ns: u64,
    /// How far the media on air is ahead of the clock, because its publisher sent it faster than it should. Nanoseconds.
    ahead_ns: u64,
}

impl MediaTime {
    /// Running time, nanoseconds.
    fn now_ns(self) -> u64 {
        clock::monotonic_ns().saturating_sub(self.base_ns) + self.ahead_ns
    }

    /// Puts a source pipeline on this timeline: its buffers' running time is ours.
    fn govern(self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::from_nseconds(self.base_ns));
    }
}

/// Counted by whoever sees it happen, reported once a second.
#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    dropped: AtomicU64,
    /// Media bytes since the last report.
    bytes: AtomicU64,
}

impl Counters {
    /// Reports to the parent once a second for the rest of the process's life.
    fn report(self: &Arc<Self>, outbox: &Outbox) {
        let (counters, outbox) = (Arc::clone(self), outbox.clone());
        std::thread::spawn(move || {
            let mut last = clock::instant();
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let elapsed = last.elapsed().as_secs_f64();
                last = clock::instant();
                let bits = counters.bytes.swap(0, Ordering::Relaxed) as f64 * 8.0;
                outbox.offer(FromWorker::Stats(Stats {
                    frames: counters.frames.load(Ordering::Relaxed),
                    dropped: counters.dropped.load(Ordering::Relaxed) + outbox.frames_dropped(),
                    bitrate: (bits / elapsed) as u64,
                }));
            }
        });
    }
}

/// Caps of pictures inside the program.
fn raw_video(width: u32, height: u32, frame_rate: u32) -> String {
    format!("{},framerate={frame_rate}/1", picture(width, height))
}

/// Caps of pictures of any rate.
fn picture(width: u32, height: u32) -> String {
    format!(
        "video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,interlace-mode=progressive,\
         colorimetry=bt709"
    )
}

/// Caps of samples inside the program.
fn raw_audio() -> String {
    format!("audio/x-raw,format=F32LE,layout=interleaved,rate={},channels=2,channel-mask=(bitmask)0x3", meter::RATE)
}

/// Bytes of [`raw_audio`] as interleaved samples.
fn samples(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|sample| f32::from_le_bytes([sample[0], sample[1], sample[2], sample[3]])).collect()
}

fn launch(line: &str) -> Result<gst::Pipeline, String> {
    let element = gst::parse::launch(line).map_err(|error| error.to_string())?;
    element.downcast::<gst::Pipeline>().map_err(|_| String::from("the description is no pipeline"))
}

fn app_source(pipeline: &gst::Pipeline, name: &str) -> Result<gst_app::AppSrc, String> {
    let element = pipeline.by_name(name).ok_or_else(|| format!("no element {name}"))?;
    element.downcast().map_err(|_| format!("{name} is no appsrc"))
}

fn app_sink(pipeline: &gst::Pipeline, name: &str) -> Result<gst_app::AppSink, String> {
    let element = pipeline.by_name(name).ok_or_else(|| format!("no element {name}"))?;
    element.downcast().map_err(|_| format!("{name} is no appsink"))
}

/// The first error that waits on the bus, else `otherwise`.
fn first_error(bus: &gst::Bus, otherwise: &str) -> String {
    let message = bus.pop_filtered(&[gst::MessageType::Error]);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => error.error().to_string(),
        _ => String::from(otherwise),
    }
}

/// Calls `failed` with the sentence of the pipeline's first error, from a thread of its own.
fn watch(pipeline: &gst::Pipeline, outbox: Outbox, failed: impl FnOnce(&Outbox, String) + Send + 'static) {
    let Some(bus) = pipeline.bus() else { return };
    std::thread::spawn(move || {
        let message = bus.timed_pop_filtered(gst::ClockTime::NONE, &[gst::MessageType::Error]);
        if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
            tracing::debug!(debug = ?error.debug(), "pipeline error");
            failed(&outbox, error.error().to_string());
        }
    });
}

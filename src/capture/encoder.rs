//! Which H.264 encoder this machine really has, and its settings. Every candidate is tried by encoding; that a plugin is
//! installed says nothing about the hardware behind it.

use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use gst::prelude::*;

use super::link::Outbox;
use super::raw_video;
use crate::base::clock;
use crate::base::terms::Content;
use crate::media::camera::Wanted;
use crate::media::protocol::{ENCODERS, FromWorker, SOFTWARE_ENCODER};

/// A hardware encoder that hangs in its driver must not hang the worker.
const TRIAL: Duration = Duration::from_secs(10);
/// A start waits so long for an encoder that does not work, but not once more.
const SOON: Duration = Duration::from_secs(1);

/// How x264 is set where screen text is to stay legible, by what was measured of text at the same bit rate: half as many frames carry the
/// slower preset; the bits go where they are most, to the letters and not to what is even (no adaptive quantisation); a page that is turned
/// over may have a second's bits at once, so that it is sharp at once; edges are smoothed less.
const SLIDES: X264 = X264 { preset: "veryfast", options: ":aq-mode=0:qcomp=0.8:deblock=-2,-2", buffer_ms: 1000 };
const TALK: X264 = X264 { preset: "superfast", options: "", buffer_ms: 600 };

struct X264 {
    preset: &'static str,
    /// More of x264's own options.
    options: &'static str,
    /// Bits of how long a frame may take at once.
    buffer_ms: u32,
}

/// Encoders that are not to be tried by this process.
static LEFT_OUT: OnceLock<Vec<String>> = OnceLock::new();

/// Of several calls the first counts.
pub fn leave_out(encoders: Vec<String>) {
    LEFT_OUT.get_or_init(|| encoders);
}

/// What an encoder shall make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub width: u32,
    pub height: u32,
    pub frame_rate: u32,
    pub kbps: u32,
    pub content: Content,
}

impl Target {
    /// What a camera should give for it.
    pub fn wanted(self) -> Wanted {
        Wanted { width: self.width, height: self.height, frame_rate: self.frame_rate }
    }
}

/// The part of a pipeline from raw I420 to H.264 access units: one keyframe a second and at demand, no B-frames.
pub fn description(name: &str, target: Target) -> String {
    let Target { frame_rate, kbps, content, .. } = target;
    let element = match name {
        "x264enc" => {
            let X264 { preset, options, buffer_ms } = match content {
                Content::Talk => TALK,
                Content::Slides => SLIDES,
            };
            format!(
                "x264enc tune=zerolatency speed-preset={preset} bitrate={kbps} vbv-buf-capacity={buffer_ms} \
                 key-int-max={frame_rate} bframes=0 option-string=\"scenecut=0:min-keyint=1{options}\""
            )
        }
        "vah264enc" => format!(
            "videoconvert ! vah264enc rate-control=cbr bitrate={kbps} key-int-max={frame_rate} b-frames=0 \
             ref-frames=1"
        ),
        "vaapih264enc" => {
            format!("vaapih264enc rate-control=cbr bitrate={kbps} keyframe-period={frame_rate} max-bframes=0")
        }
        // The Raspberry Pi's and other stateful encoders leave SPS and PPS out of later keyframes unless asked.
        _ => format!(
            "videoconvert ! {name} extra-controls=\"controls,video_bitrate={},h264_i_frame_period={frame_rate},\
             video_gop_size={frame_rate},repeat_sequence_header=1\" ! video/x-h264,level=(string)4",
            u64::from(kbps) * 1000
        ),
    };
    format!("{element} ! h264parse")
}

/// The first encoder that works.
///
/// # Errors
/// Each candidate with why it does not work, as one sentence.
pub fn choose(target: Target, outbox: &Outbox) -> Result<String, String> {
    let mut reasons = Vec::new();
    for name in ENCODERS {
        match try_out(name, target, outbox) {
            Ok(()) => return Ok(String::from(name)),
            Err(reason) => {
                tracing::info!(name, reason, "encoder does not work");
                reasons.push(format!("{name}: {reason}"));
            }
        }
    }
    Err(format!("No video encoder works ({}).", reasons.join("; ")))
}

/// Tries one, and tells the parent what a start would wait for.
fn try_out(name: &str, target: Target, outbox: &Outbox) -> Result<(), String> {
    if LEFT_OUT.get().is_some_and(|encoders| encoders.iter().any(|left_out| left_out == name)) {
        return Err(String::from("left out, since it hung or was slow to fail before"));
    }
    if name == SOFTWARE_ENCODER || gst::ElementFactory::find(name).is_none() {
        return encode(name, target, 5).map(drop);
    }
    let encoder = String::from(name);
    outbox.send(FromWorker::Trying { encoder: encoder.clone() });
    outbox.flush();
    let begun = clock::instant();
    let works = encode(name, target, 5);
    outbox.send(FromWorker::Tried { encoder, slow: works.is_err() && begun.elapsed() > SOON });
    works.map(drop)
}

/// Times an encoder at 1280x720 on a picture with grain and motion: frames per second over about two seconds.
pub fn measure(name: &str) -> Result<f32, String> {
    let target = Target { width: 1280, height: 720, frame_rate: 30, kbps: 2500, content: Content::Talk };
    let probe = encode(name, target, 15)?;
    let frames = (2.0 * probe).clamp(15.0, 3000.0) as u32;
    encode(name, target, frames)
}

/// Encodes `frames` frames; gives frames per second. A driver may hang in any call, so they are made in a thread that is given up
/// then.
fn encode(name: &str, target: Target, frames: u32) -> Result<f32, String> {
    let (done, encoded) = channel();
    let encoder = String::from(name);
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = done.send(encode_here(&encoder, target, frames));
    });
    encoded.recv_timeout(TRIAL).unwrap_or_else(|_| Err(String::from("it does not answer")))
}

fn encode_here(name: &str, target: Target, frames: u32) -> Result<f32, String> {
    if gst::ElementFactory::find(name).is_none() {
        return Err(String::from("not installed"));
    }
    let Target { width, height, frame_rate, .. } = target;
    let line = format!(
        "appsrc name=in format=time max-buffers=4 max-bytes=0 block=true caps=\"{}\" ! {} ! fakesink name=out sync=false",
        raw_video(width, height, frame_rate),
        description(name, target),
    );
    let pipeline = super::launch(&line)?;
    let source = super::app_source(&pipeline, "in")?;
    let bus = pipeline.bus().ok_or("no bus")?;
    pipeline.set_state(gst::State::Playing).map_err(|_| super::first_error(&bus, "cannot start"))?;
    let feeder = std::thread::spawn(move || feed(&source, target, frames));
    let start = clock::instant();
    let ended = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
    let elapsed = start.elapsed().as_secs_f32();
    // Leaving PLAYING sets the feeder free if the encoder has stopped taking frames.
    pipeline.set_state(gst::State::Null).ok();
    feeder.join().ok();
    match ended.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(frames as f32 / elapsed.max(1e-3)),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err(String::from("it does not answer")),
    }
}

fn feed(source: &gst_app::AppSrc, target: Target, frames: u32) {
    let layout = super::pattern::Layout { width: target.width as usize, height: target.height as usize };
    // A few pictures painted beforehand, shown in turn, so that painting is not what is timed.
    let pattern = super::pattern::Pattern::new(layout, 0);
    let pictures: Vec<gst::Buffer> = (0..8)
        .map(|n| {
            let mut picture = vec![0; layout.size()];
            pattern.paint(&mut picture, n, n as i64 * 33);
            gst::Buffer::from_mut_slice(picture)
        })
        .collect();
    for n in 0..u64::from(frames) {
        let mut buffer = pictures[n as usize % pictures.len()].copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(n * 1_000_000_000 / u64::from(target.frame_rate)));
        }
        if source.push_buffer(buffer).is_err() {
            return;
        }
    }
    source.end_of_stream().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoder_is_found_by_trying_and_a_missing_one_is_passed_over() {
        gst::init().unwrap();
        let target = Target { width: 320, height: 180, frame_rate: 30, kbps: 500, content: Content::Talk };
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let chosen = choose(target, &Outbox::start(ours)).unwrap();
        assert!(ENCODERS.contains(&chosen.as_str()));
        assert_eq!(encode("nosuchenc", target, 1), Err(String::from("not installed")));
    }
}

//! Looks at and listens to a publisher beside the passthrough: a snapshot now and then, the sound's level. It works in
//! threads of its own behind short queues; when it is slow or fails, snapshots and levels are missing and nothing else.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gst::prelude::*;

use super::link::Outbox;
use super::meter::Meter;
use super::snapshot;
use crate::base::clock;
use crate::media::aac::AudioConfig;
use crate::media::h264::VideoConfig;
use crate::media::mp4;
use crate::media::protocol::FromWorker;

/// Audio frames that may wait for the listener: about two seconds.
const SOUNDS: usize = 100;
/// How long a snapshot may take.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(3);
/// After a failure the listener rests for so long.
const REST: Duration = Duration::from_secs(5);

/// A configuration and the coded data it goes with.
type Coded = (Bytes, Bytes);

/// The other end of the two threads' queues.
pub struct Monitor {
    pictures: SyncSender<Coded>,
    sounds: SyncSender<Coded>,
}

impl Monitor {
    /// Starts both threads.
    pub fn start(outbox: &Outbox) -> Self {
        let (pictures, seen) = sync_channel(1);
        let (sounds, heard) = sync_channel(SOUNDS);
        let (look_outbox, listen_outbox) = (outbox.clone(), outbox.clone());
        std::thread::spawn(move || look(&seen, &look_outbox));
        std::thread::spawn(move || listen(&heard, &listen_outbox));
        Self { pictures, sounds }
    }

    /// Offers a keyframe (`avcC` record and access unit).
    pub fn look(&self, config: Bytes, data: Bytes) {
        self.pictures.try_send((config, data)).ok();
    }

    /// Offers a sound frame (AudioSpecificConfig and raw AAC).
    pub fn listen(&self, config: Bytes, data: Bytes) {
        self.sounds.try_send((config, data)).ok();
    }
}

/// A snapshot of the first keyframe, then of one about every five seconds.
fn look(pictures: &Receiver<Coded>, outbox: &Outbox) {
    let mut last: Option<Instant> = None;
    while let Ok((config, data)) = pictures.recv() {
        // A little early rather than one keyframe late.
        let due = Duration::from_secs(snapshot::EVERY) - Duration::from_millis(500);
        if last.is_some_and(|last| last.elapsed() < due) {
            continue;
        }
        last = Some(clock::instant());
        if let Err(reason) = develop(config, data, outbox) {
            tracing::debug!(reason, "no snapshot");
        }
    }
}

/// Sends a snapshot of the first keyframe in a recording's media.
///
/// # Errors
/// A sentence, if there is none or it cannot be decoded.
pub fn picture(init: &[u8], media: &[u8], outbox: &Outbox) -> Result<(), String> {
    let (config, data) = mp4::first_keyframe(init, media).ok_or("there is no keyframe in it")?;
    develop(config, data, outbox)
}

/// Decodes one keyframe to a JPEG.
fn develop(config: Bytes, data: Bytes, outbox: &Outbox) -> Result<(), String> {
    decode(config, data, snapshot::JPEG, snapshot::fitted, |pipeline| snapshot::deliver(pipeline, outbox))
}

/// Decodes one keyframe (`avcC` record and access unit) to a picture of the size that `fit` makes of its own, bordered where the
/// shape is another. It goes to `end`, elements of a pipeline that `prepare` makes ready. The pipeline lives as long: a decoder
/// that runs on would hold frames back.
///
/// # Errors
/// A sentence.
pub fn decode(
    config: Bytes,
    data: Bytes,
    end: &str,
    fit: impl FnOnce(u32, u32) -> (u32, u32),
    prepare: impl FnOnce(&gst::Pipeline) -> Result<(), String>,
) -> Result<(), String> {
    let video = VideoConfig::parse(config).map_err(|error| error.to_string())?;
    let (width, height) = fit(video.width, video.height);
    let line = format!(
        "appsrc name=in format=time ! h264parse ! avdec_h264 max-threads=1 ! videoscale add-borders=true ! \
         video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1 ! {end}"
    );
    let pipeline = super::launch(&line)?;
    prepare(&pipeline)?;
    super::app_source(&pipeline, "in")?.set_caps(Some(&coded_video(&video)));
    run_through(&pipeline, gst::Buffer::from_slice(data))
}

/// Sends one buffer through a pipeline from its appsrc `in`, and ends it.
///
/// # Errors
/// A sentence.
pub fn run_through(pipeline: &gst::Pipeline, mut buffer: gst::Buffer) -> Result<(), String> {
    let source = super::app_source(pipeline, "in")?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let result = pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string()).and_then(|_| {
        buffer.make_mut().set_pts(gst::ClockTime::ZERO);
        source.push_buffer(buffer).map_err(|error| error.to_string())?;
        source.end_of_stream().map_err(|error| error.to_string())?;
        let end = bus.timed_pop_filtered(PATIENCE, &[gst::MessageType::Eos, gst::MessageType::Error]);
        match end.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
            _ => Err(String::from("the decoder does not answer")),
        }
    });
    pipeline.set_state(gst::State::Null).ok();
    result
}

/// The level of all sound, in one pipeline for as long as its configuration stays.
fn listen(sounds: &Receiver<Coded>, outbox: &Outbox) {
    let mut listener: Option<(Bytes, Listener)> = None;
    let mut rest_until: Option<Instant> = None;
    while let Ok((config, data)) = sounds.recv() {
        if rest_until.is_some_and(|until| clock::instant() < until) {
            continue;
        }
        if listener.as_ref().is_none_or(|(known, _)| *known != config) {
            listener = Listener::start(config.clone(), outbox).map(|new| (config, new)).map_err(report).ok();
        }
        let failed = listener.as_ref().is_none_or(|(_, listener)| !listener.hear(data));
        if failed {
            listener = None;
            rest_until = Some(clock::instant() + REST);
        }
    }
}

fn report(reason: String) {
    tracing::debug!(reason, "no level");
}

/// A decoder for sound.
struct Listener {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    bus: gst::Bus,
}

impl Listener {
    fn start(config: Bytes, outbox: &Outbox) -> Result<Self, String> {
        let audio = AudioConfig::parse(config).map_err(|error| error.to_string())?;
        let line = format!(
            "appsrc name=in format=time is-live=true max-buffers=100 max-bytes=0 leaky-type=downstream ! avdec_aac ! audioconvert \
             ! audioresample ! {} ! appsink name=out sync=false",
            super::raw_audio()
        );
        let pipeline = super::launch(&line)?;
        let source = super::app_source(&pipeline, "in")?;
        source.set_caps(Some(&coded_audio(&audio)));
        let (outbox, mut meter) = (outbox.clone(), Meter::default());
        let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
            if let Some(level) = meter.take(&super::samples(&map)) {
                outbox.offer(FromWorker::Level(level));
            }
            Ok(gst::FlowSuccess::Ok)
        });
        super::app_sink(&pipeline, "out")?.set_callbacks(callbacks.build());
        let bus = pipeline.bus().ok_or("no bus")?;
        pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        Ok(Self { pipeline, source, bus })
    }

    /// False once the pipeline has failed.
    fn hear(&self, data: Bytes) -> bool {
        let failed = self.bus.pop_filtered(&[gst::MessageType::Error]).is_some();
        self.source.push_buffer(gst::Buffer::from_slice(data)).is_ok() && !failed
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// Caps of access units that are decoded so.
pub fn coded_video(video: &VideoConfig) -> gst::Caps {
    gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("alignment", "au")
        .field("codec_data", gst::Buffer::from_slice(video.avcc.clone()))
        .build()
}

fn coded_audio(audio: &AudioConfig) -> gst::Caps {
    gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4i32)
        .field("stream-format", "raw")
        .field("framed", true)
        .field("rate", audio.rate as i32)
        .field("channels", i32::from(audio.channels))
        .field("codec_data", gst::Buffer::from_slice(audio.asc.clone()))
        .build()
}

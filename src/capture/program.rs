//! The program pipeline: raw pictures and samples in, parts out. It is started once and never stops; what it shows is the
//! frame clock's business. No queue in it: each side is encoded in its own appsrc's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gst::prelude::*;

use super::encoder::{self, Target};
use super::link::Outbox;
use super::meter::RATE;
use super::{Counters, raw_audio, raw_video};
use crate::base::clock;
use crate::media::aac::AudioConfig;
use crate::media::fragment::{self, AudioFrame, Fragmenter, Tracks, VideoFrame};
use crate::media::h264::VideoConfig;
use crate::media::protocol::{ErrorCode, FromWorker};

/// Samples that an AAC encoder puts before the first real one. Decoders without an edit list play them, so frames are
/// placed earlier by as much.
const PRIMING: u64 = 1024;
/// Frames that may wait for the encoder before the oldest is left out.
const BACKLOG: u32 = 15;

/// Frames that wait at the start for the sound's configuration: some seconds.
const EARLY: usize = 150;

/// The running pipeline.
pub struct Program {
    pipeline: gst::Pipeline,
    encoder: gst::Element,
    video: gst_app::AppSrc,
    audio: gst_app::AppSrc,
}

impl Program {
    /// Builds and starts the pipeline with the named encoder; parts go to `outbox`.
    ///
    /// # Errors
    /// A sentence: a plugin is missing, or the encoder does not start.
    pub fn start(
        encoder: &str,
        target: Target,
        part_ms: u32,
        outbox: &Outbox,
        counters: &Arc<Counters>,
    ) -> Result<Self, String> {
        let aac = if gst::ElementFactory::find("avenc_aac").is_some() { "avenc_aac" } else { "voaacenc" };
        let line = format!(
            "appsrc name=pictures is-live=true format=time max-buffers={BACKLOG} max-bytes=0 leaky-type=downstream caps=\"{}\" \
             ! {} ! video/x-h264,stream-format=avc,alignment=au ! appsink name=video sync=false \
             appsrc name=samples is-live=true format=time max-time=2000000000 max-bytes=0 leaky-type=downstream caps=\"{}\" \
             ! audioconvert ! {aac} bitrate=128000 ! audio/mpeg,stream-format=raw ! appsink name=audio sync=false",
            raw_video(target.width, target.height, target.frame_rate),
            encoder::description(encoder, target),
            raw_audio(),
        );
        let pipeline = super::launch(&line)?;
        let sink = Arc::new(Sink {
            state: Mutex::default(),
            target,
            part_ms,
            outbox: outbox.clone(),
            counters: Arc::clone(counters),
            last_frame: AtomicU64::new(u64::MAX),
        });
        connect(&pipeline, "video", {
            let sink = Arc::clone(&sink);
            move |sample| sink.video(sample)
        })?;
        connect(&pipeline, "audio", move |sample| sink.audio(sample))?;
        let element = |name: &str| pipeline.by_name(name).ok_or_else(|| format!("no element {name}"));
        let program = Self {
            encoder: element("encoder")?,
            video: super::app_source(&pipeline, "pictures")?,
            audio: super::app_source(&pipeline, "samples")?,
            pipeline,
        };
        super::watch(&program.pipeline, outbox.clone(), |outbox, error| outbox.fatal(ErrorCode::Pipeline, error));
        program.pipeline.set_state(gst::State::Playing).map_err(|error| error.to_string())?;
        Ok(program)
    }

    /// Shows `picture` at frame `number` of running time.
    pub fn show(&self, mut picture: gst::Buffer, number: u64, frame_rate: u32) {
        let time = |n: u64| gst::ClockTime::from_nseconds(n * 1_000_000_000 / u64::from(frame_rate));
        {
            let picture = picture.make_mut();
            picture.set_pts(time(number));
            picture.set_dts(gst::ClockTime::NONE);
            picture.set_duration(time(number + 1) - time(number));
            picture.unset_flags(gst::BufferFlags::DISCONT);
        }
        self.video.push_buffer(picture).ok();
    }

    /// Plays interleaved `samples` from `position` (frames of running time) on.
    pub fn play(&self, samples: &[f32], position: u64) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            let time =
                |n: u64| gst::ClockTime::from_nseconds((u128::from(n) * 1_000_000_000 / u128::from(RATE)) as u64);
            buffer.set_pts(time(position));
            buffer.set_duration(time(position + samples.len() as u64 / 2) - time(position));
        }
        self.audio.push_buffer(buffer).ok();
    }

    /// Makes the next frame a keyframe.
    pub fn keyframe(&self) {
        let request = gst::Structure::builder("GstForceKeyUnit")
            .field("running-time", u64::MAX)
            .field("all-headers", true)
            .field("count", 0u32)
            .build();
        if let Some(pad) = self.encoder.static_pad("src") {
            pad.send_event(gst::event::CustomUpstream::new(request));
        }
    }

    /// Stops the pipeline; no part follows.
    pub fn stop(&self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// What the two appsinks share.
struct Sink {
    state: Mutex<Assembly>,
    target: Target,
    part_ms: u32,
    outbox: Outbox,
    counters: Arc<Counters>,
    last_frame: AtomicU64,
}

/// The fragmenter exists once both configurations are known; the first frames wait for that.
#[derive(Default)]
struct Assembly {
    fragmenter: Option<Fragmenter>,
    video: Option<Bytes>,
    audio: Option<Bytes>,
    early_video: Vec<VideoFrame>,
    early_audio: Vec<AudioFrame>,
}

impl Sink {
    fn video(&self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer().ok_or("no buffer")?;
        let pts = running_time(sample, buffer.pts()).ok_or("a frame has no time")?;
        let dts = running_time(sample, buffer.dts()).unwrap_or(pts);
        let data = copy_of(buffer)?;
        let rate = u64::from(self.target.frame_rate);
        let number = |ns: u64| (u128::from(ns) * u128::from(rate) + 500_000_000) / 1_000_000_000;
        let ticks = |n: u128| (n * u128::from(clock::TIMESCALE) / u128::from(rate)) as u64;
        let (shown, decoded) = (number(pts), number(dts));
        self.count(decoded as u64, data.len());
        let frame = VideoFrame {
            decode: ticks(decoded),
            composition: (ticks(shown) as i64 - ticks(decoded) as i64) as i32,
            expected: (ticks(decoded + 1) - ticks(decoded)) as u32,
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data,
        };
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        self.configure(state, sample)?;
        match &mut state.fragmenter {
            Some(fragmenter) => self.deliver(fragmenter, frame)?,
            None if state.early_video.len() < EARLY => state.early_video.push(frame),
            None => return Err(String::from("no sound comes out of the encoder")),
        }
        Ok(())
    }

    fn audio(&self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer().ok_or("no buffer")?;
        let time = running_time(sample, buffer.pts()).ok_or("a sound frame has no time")?;
        let start = (u128::from(time) * u128::from(RATE) + 500_000_000) / 1_000_000_000;
        let data = copy_of(buffer)?;
        self.counters.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        let frame = AudioFrame { start: (start as u64).saturating_sub(PRIMING), data };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.configure(&mut state, sample)?;
        match &mut state.fragmenter {
            Some(fragmenter) => fragmenter.audio(frame),
            None => state.early_audio.push(frame),
        }
        Ok(())
    }

    /// Frames that the clock gave and the encoder did not are holes in the numbers.
    fn count(&self, number: u64, bytes: usize) {
        let last = self.last_frame.swap(number, Ordering::Relaxed);
        let missing = if last == u64::MAX { 0 } else { number.saturating_sub(last.saturating_add(1)) };
        self.counters.frames.fetch_add(1, Ordering::Relaxed);
        self.counters.dropped.fetch_add(missing, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes a track's configuration from its caps; begins, or begins anew, when both are there.
    fn configure(&self, state: &mut Assembly, sample: &gst::Sample) -> Result<(), String> {
        let Some(structure) = sample.caps().and_then(|caps| caps.structure(0)) else { return Ok(()) };
        let Ok(codec_data) = structure.get::<gst::Buffer>("codec_data") else { return Ok(()) };
        let slot = if structure.name().starts_with("video/") { &mut state.video } else { &mut state.audio };
        let map = codec_data.map_readable().map_err(|error| error.to_string())?;
        if slot.as_deref() == Some(&map[..]) {
            return Ok(());
        }
        *slot = Some(Bytes::copy_from_slice(&map));
        let (Some(video), Some(audio)) = (&state.video, &state.audio) else { return Ok(()) };
        let rate = self.target.frame_rate * 1000;
        let tracks = Tracks {
            video: VideoConfig::parse(video.clone()).map_err(|error| error.to_string())?,
            audio: Some(AudioConfig::parse(audio.clone()).map_err(|error| error.to_string())?),
            part_target: fragment::part_target(self.part_ms, rate),
            frame_rate_milli: rate,
        };
        self.begin(state, tracks)
    }

    fn begin(&self, state: &mut Assembly, tracks: Tracks) -> Result<(), String> {
        match &mut state.fragmenter {
            Some(fragmenter) => {
                if let Some(cut) = fragmenter.reconfigure(tracks).map_err(|error| error.to_string())? {
                    self.outbox.part(cut);
                }
            }
            None => state.fragmenter = Some(Fragmenter::new(0, tracks)),
        }
        let Some(fragmenter) = &mut state.fragmenter else { return Ok(()) };
        self.outbox.send(FromWorker::Init(fragmenter.init().map_err(|error| error.to_string())?));
        for frame in state.early_audio.drain(..) {
            fragmenter.audio(frame);
        }
        for frame in std::mem::take(&mut state.early_video) {
            self.deliver(fragmenter, frame)?;
        }
        Ok(())
    }

    fn deliver(&self, fragmenter: &mut Fragmenter, frame: VideoFrame) -> Result<(), String> {
        for cut in fragmenter.video(frame).map_err(|error| error.to_string())? {
            self.outbox.part(cut);
        }
        Ok(())
    }
}

/// Encoders shift their time stamps (x264enc by 1000 h); the segment tells by how much.
fn running_time(sample: &gst::Sample, time: Option<gst::ClockTime>) -> Option<u64> {
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(time?).map(gst::ClockTime::nseconds)
}

fn copy_of(buffer: &gst::BufferRef) -> Result<Bytes, String> {
    let map = buffer.map_readable().map_err(|error| error.to_string())?;
    Ok(Bytes::copy_from_slice(&map))
}

/// Hands each sample of the named appsink to `take`; an error there ends the pipeline with it.
fn connect<F>(pipeline: &gst::Pipeline, name: &str, take: F) -> Result<(), String>
where
    F: Fn(&gst::Sample) -> Result<(), String> + Send + 'static,
{
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        take(&sample).map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            gst::element_error!(sink, gst::StreamError::Failed, ["{error}"]);
            gst::FlowError::Error
        })
    });
    super::app_sink(pipeline, name)?.set_callbacks(callbacks.build());
    Ok(())
}

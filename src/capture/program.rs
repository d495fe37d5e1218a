//! The program pipeline: raw pictures and samples in, parts out. It is started once and never stops; what it shows is the
//! frame clock's business. No queue in it: each side is encoded in its own appsrc's thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Sound without which an encoder does not tell its configuration: two frames.
pub const FIRST: usize = 4096;
/// Frames that wait at the start for the sound's configuration: some seconds.
const EARLY: usize = 150;

/// What a program makes.
pub struct Plan<'a> {
    /// The video encoder's element.
    pub encoder: &'a str,
    pub target: Target,
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
    encoder: gst::Element,
    video: gst_app::AppSrc,
    /// None in a programme without sound.
    audio: Option<gst_app::AppSrc>,
    sink: Arc<Sink>,
}

impl Program {
    /// Builds and starts the pipeline; parts go to `outbox`.
    ///
    /// # Errors
    /// A sentence: a plugin is missing, or the encoder does not start.
    pub fn start(plan: Plan<'_>, outbox: &Outbox, counters: &Arc<Counters>) -> Result<Self, String> {
        let Plan { encoder, target, sound, part_ms } = plan;
        let mut line = format!(
            "appsrc name=pictures is-live=true format=time max-buffers={BACKLOG} max-bytes=0 leaky-type=downstream caps=\"{}\" \
             ! {} ! video/x-h264,stream-format=avc,alignment=au ! appsink name=video sync=false",
            raw_video(target.width, target.height, target.frame_rate),
            encoder::description(encoder, target),
        );
        if let Some(sound) = sound {
            line += &format!(" {} ! appsink name=audio sync=false", sound_line(sound));
        }
        let pipeline = super::launch(&line)?;
        let sink = Arc::new(Sink {
            state: Mutex::default(),
            target,
            sound,
            part_ms,
            outbox: outbox.clone(),
            counters: Arc::clone(counters),
            last_frame: AtomicU64::new(u64::MAX),
        });
        connect(&pipeline, "video", {
            let sink = Arc::clone(&sink);
            move |sample| sink.video(sample)
        })?;
        if sound.is_some() {
            let sink = Arc::clone(&sink);
            connect(&pipeline, "audio", move |sample| sink.audio(sample))?;
        }
        let element = |name: &str| pipeline.by_name(name).ok_or_else(|| format!("no element {name}"));
        let program = Self {
            encoder: element("encoder")?,
            video: super::app_source(&pipeline, "pictures")?,
            audio: sound.map(|_| super::app_source(&pipeline, "samples")).transpose()?,
            sink,
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
        let rate = plan.target.frame_rate;
        let program = Self::start(plan, outbox, counters)?;
        program.sink.lock().stands_by = true;
        program.show(picture, 0, rate);
        program.play(&[0.0; FIRST * 2], 0);
        Ok(program)
    }

    /// Goes on where something else has ended that was on air until now, if anything was. To be called before the first picture.
    ///
    /// # Errors
    /// A sentence: what the encoders have told cannot be written.
    pub fn go_on_air(&self, before: Option<Fragmenter>) -> Result<(), String> {
        self.keyframe();
        let mut state = self.sink.lock();
        (state.stands_by, state.before) = (false, before);
        self.sink.begin_if_known(&mut state)
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
        let Some(audio) = &self.audio else { return };
        audio.push_buffer(raw_sound(samples, position)).ok();
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

    /// Stops the pipeline and sends what is left; no part follows. Gives the timeline to whatever goes on air next.
    pub fn stop(&self) -> Option<Fragmenter> {
        self.pipeline.set_state(gst::State::Null).ok();
        let mut state = self.sink.lock();
        let mut fragmenter = state.fragmenter.take().or(state.before.take())?;
        if let Ok(Some(cut)) = fragmenter.interrupt() {
            self.sink.outbox.part(cut);
        }
        Some(fragmenter)
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

/// What the two appsinks share.
struct Sink {
    state: Mutex<Assembly>,
    target: Target,
    sound: Option<Sound>,
    part_ms: u32,
    outbox: Outbox,
    counters: Arc<Counters>,
    last_frame: AtomicU64,
}

/// The fragmenter exists once both configurations are known; the first frames wait for that.
#[derive(Default)]
struct Assembly {
    /// What comes out is only looked at for its configuration.
    stands_by: bool,
    fragmenter: Option<Fragmenter>,
    before: Option<Fragmenter>,
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
        let frame = VideoFrame {
            decode: ticks(decoded),
            composition: (ticks(shown) as i64 - ticks(decoded) as i64) as i32,
            expected: (ticks(decoded + 1) - ticks(decoded)) as u32,
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data,
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        self.configure(state, sample, |state| &mut state.video)?;
        if state.stands_by {
            return Ok(());
        }
        self.count(decoded as u64, frame.data.len());
        match &mut state.fragmenter {
            Some(fragmenter) => self.deliver(fragmenter, frame)?,
            None if state.early_video.len() < EARLY => state.early_video.push(frame),
            None => return Err(String::from("no sound comes out of the encoder")),
        }
        Ok(())
    }

    fn audio(&self, sample: &gst::Sample) -> Result<(), String> {
        let frame = sound_frame(sample, self.sound.unwrap_or_default().rate)?;
        let mut state = self.lock();
        self.configure(&mut state, sample, |state| &mut state.audio)?;
        if state.stands_by {
            return Ok(());
        }
        self.counters.bytes.fetch_add(frame.data.len() as u64, Ordering::Relaxed);
        match &mut state.fragmenter {
            Some(fragmenter) => fragmenter.audio(frame),
            None => state.early_audio.push(frame),
        }
        Ok(())
    }

    /// A callback that panicked has left a whole state, whose parts are at worst missing.
    fn lock(&self) -> MutexGuard<'_, Assembly> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn configure(
        &self,
        state: &mut Assembly,
        sample: &gst::Sample,
        slot: impl Fn(&mut Assembly) -> &mut Option<Bytes>,
    ) -> Result<(), String> {
        let Some(found) = codec_data(sample) else { return Ok(()) };
        if slot(state).as_ref() == Some(&found) {
            return Ok(());
        }
        *slot(state) = Some(found);
        self.begin_if_known(state)
    }

    /// Begins, or begins anew, when it is known how everything is encoded.
    fn begin_if_known(&self, state: &mut Assembly) -> Result<(), String> {
        let Some(video) = &state.video else { return Ok(()) };
        if state.stands_by || (self.sound.is_some() && state.audio.is_none()) {
            return Ok(());
        }
        let rate = self.target.frame_rate * 1000;
        let tracks = Tracks {
            video: VideoConfig::parse(video.clone()).map_err(|error| error.to_string())?,
            audio: state.audio.clone().map(AudioConfig::parse).transpose().map_err(|error| error.to_string())?,
            part_target: fragment::part_target(self.part_ms, rate),
            frame_rate_milli: rate,
        };
        self.begin(state, tracks)
    }

    fn begin(&self, state: &mut Assembly, tracks: Tracks) -> Result<(), String> {
        let fragmenter = match state.fragmenter.take().or(state.before.take()) {
            Some(mut fragmenter) => {
                if let Some(cut) = fragmenter.reconfigure(tracks).map_err(|error| error.to_string())? {
                    self.outbox.part(cut);
                }
                fragmenter
            }
            None => Fragmenter::new(0, tracks),
        };
        let fragmenter = state.fragmenter.insert(fragmenter);
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
            gst::element_error!(sink, gst::StreamError::Failed, ["{error}"]);
            gst::FlowError::Error
        })
    });
    super::app_sink(pipeline, name)?.set_callbacks(callbacks.build());
    Ok(())
}

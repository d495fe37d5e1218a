//! One rung of the program: from raw pictures of the program's size to its parts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gst::prelude::*;

use super::encoder::{self, Target};
use super::link::Outbox;
use super::program::{Plan, codec_data, copy_of, running_time};
use super::{Counters, raw_video};
use crate::base::clock;
use crate::media::aac::AudioConfig;
use crate::media::fragment::{self, AudioFrame, Fragmenter, Tracks, VideoFrame};
use crate::media::h264::VideoConfig;
use crate::media::protocol::FromWorker;

/// Frames that may wait for the encoder before the oldest is left out: less than players wait for, since a frame that is missing costs
/// them less than one that is late.
const BACKLOG: u32 = 15;
/// How much less of the processor the encoders of larger rungs ask for than those of the one below, where there is not enough:
/// steps of niceness.
const NICER: i32 = 4;
/// Frames of which it is remembered how long they stand: more than can wait anywhere.
const REMEMBERED: usize = 256;
/// Frames that wait at the start for the sound's configuration: some seconds.
const EARLY: usize = 150;

/// The branch of the pipeline for rung `number` of the plan. Its ends are named `pictures` and `video`, with the number.
pub fn line(plan: &Plan<'_>, number: usize) -> String {
    let Plan { encoder, content, width, height, frame_rate, rungs, .. } = plan;
    let rung = rungs[number];
    let target =
        Target { width: rung.width, height: rung.height, frame_rate: *frame_rate, kbps: rung.kbps, content: *content };
    let scaled = if (rung.width, rung.height) == (*width, *height) {
        String::new()
    } else {
        format!("videoscale add-borders=false ! {} ! ", raw_video(rung.width, rung.height, *frame_rate))
    };
    format!(
        " appsrc name=pictures{number} is-live=true format=time max-buffers={BACKLOG} max-bytes=0 leaky-type=downstream \
         caps=\"{}\" ! {scaled}{} ! video/x-h264,stream-format=avc,alignment=au ! appsink name=video{number} sync=false",
        raw_video(*width, *height, *frame_rate),
        encoder::description(encoder, target),
    )
}

/// Lets the encoder of a rung with so many below it give way to theirs, for as long as there is not enough of the processor: the last
/// rung's frames are not to be late because of a larger one's. The encoder's own threads begin in that of its pictures, and are like it.
pub fn give_way(pictures: &gst_app::AppSrc, below: usize) {
    let Some(pad) = pictures.static_pad("src").filter(|_| below > 0) else { return };
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, _| {
        // Of the calling thread alone, whatever its name says.
        if let Err(error) = rustix::process::setpriority_process(None, NICER * below as i32) {
            tracing::warn!(%error, "an encoder cannot be told to give way");
        }
        gst::PadProbeReturn::Remove
    });
}

/// So much picture without any sound is too much, nanoseconds, if it stays so for [`SOUND_LATE`].
const WITHOUT_SOUND: u64 = 1_000_000_000;
/// A machine that was busy may show pictures first and sound a moment later, nanoseconds.
const SOUND_LATE: u64 = 300_000_000;

/// Where the encoded frames of one rung, and the sound, become parts.
pub struct Sink {
    state: Mutex<Assembly>,
    rendition: u8,
    /// It is the one that must not lose a frame, and so the one whose frames are counted.
    last: bool,
    frame_rate: u32,
    has_sound: bool,
    part_ms: u32,
    outbox: Outbox,
    counters: Arc<Counters>,
    /// Frames that were shown to the encoder, and for how many frames each stands.
    shown: Mutex<VecDeque<(u64, u32)>>,
    /// The frame that follows on what came last.
    next_frame: AtomicU64,
    missing: AtomicU64,
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
    /// Running time of the newest picture, and of that at which sound came last, nanoseconds.
    shown: u64,
    heard: u64,
    /// Monotonic nanoseconds since when there has been too little sound.
    silent_since: Option<u64>,
}

impl Assembly {
    /// Sound that does not come out any more, while pictures do, would be missing for good.
    fn check_sound(&mut self) -> Result<(), String> {
        if self.shown.saturating_sub(self.heard) <= WITHOUT_SOUND {
            return Ok(());
        }
        let now = clock::monotonic_ns();
        let late = now - *self.silent_since.get_or_insert(now) > SOUND_LATE;
        if late { Err(String::from("no sound comes out of the encoder any more")) } else { Ok(()) }
    }
}

impl Sink {
    pub fn new(plan: &Plan<'_>, number: usize, outbox: &Outbox, counters: &Arc<Counters>) -> Self {
        Self {
            state: Mutex::default(),
            rendition: number as u8,
            last: number + 1 == plan.rungs.len(),
            frame_rate: plan.frame_rate,
            has_sound: plan.sound.is_some(),
            part_ms: plan.part_ms,
            outbox: outbox.clone(),
            counters: Arc::clone(counters),
            shown: Mutex::default(),
            next_frame: AtomicU64::new(u64::MAX),
            missing: AtomicU64::new(0),
        }
    }

    /// Frames that were shown to this rung and did not come out of its encoder.
    pub fn missing(&self) -> u64 {
        self.missing.load(Ordering::Relaxed)
    }

    /// What comes next does not follow on what came last.
    pub fn begin_again(&self) {
        self.next_frame.store(u64::MAX, Ordering::Relaxed);
    }

    /// A picture is about to be shown to the encoder: frame `number`, which stands for so many.
    pub fn expect(&self, number: u64, frames: u32) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.len() == REMEMBERED {
            shown.pop_front();
        }
        shown.push_back((number, frames));
    }

    /// For how many frames the picture stands that was shown at `number`.
    fn stands_for(&self, number: u64) -> u32 {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        while shown.front().is_some_and(|(before, _)| *before < number) {
            shown.pop_front();
        }
        shown.pop_front_if(|(known, _)| *known == number).map_or(1, |(_, frames)| frames)
    }

    /// See [`super::program::Program::stand_by`].
    pub fn stand_by(&self) {
        self.lock().stands_by = true;
    }

    /// See [`super::program::Program::go_on_air`].
    pub fn go_on_air(&self, before: Option<Fragmenter>) -> Result<(), String> {
        let mut state = self.lock();
        (state.stands_by, state.before) = (false, before);
        self.begin_if_known(&mut state)
    }

    /// Sends what is left, and gives the timeline.
    pub fn end(&self, outbox: &Outbox) -> Option<Fragmenter> {
        let mut state = self.lock();
        let mut fragmenter = state.fragmenter.take().or(state.before.take())?;
        if let Ok(Some(cut)) = fragmenter.interrupt() {
            outbox.part(cut);
        }
        Some(fragmenter)
    }

    pub fn video(&self, sample: &gst::Sample) -> Result<(), String> {
        let buffer = sample.buffer().ok_or("no buffer")?;
        let pts = running_time(sample, buffer.pts()).ok_or("a frame has no time")?;
        let dts = running_time(sample, buffer.dts()).unwrap_or(pts);
        let data = copy_of(buffer)?;
        let rate = u64::from(self.frame_rate);
        let number = |ns: u64| (u128::from(ns) * u128::from(rate) + 500_000_000) / 1_000_000_000;
        let ticks = |n: u128| (n * u128::from(clock::TIMESCALE) / u128::from(rate)) as u64;
        let (shown, decoded) = (number(pts), number(dts));
        let frames = self.stands_for(decoded as u64);
        let frame = VideoFrame {
            decode: ticks(decoded),
            composition: (ticks(shown) as i64 - ticks(decoded) as i64) as i32,
            expected: (ticks(decoded + u128::from(frames)) - ticks(decoded)) as u32,
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            data,
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        self.configure(state, codec_data(sample), |state| &mut state.video)?;
        state.shown = pts;
        if state.stands_by {
            return Ok(());
        }
        if self.has_sound && state.fragmenter.is_some() {
            state.check_sound()?;
        }
        self.count(decoded as u64, frames, frame.data.len());
        match &mut state.fragmenter {
            Some(fragmenter) => self.deliver(fragmenter, frame)?,
            None if state.early_video.len() < EARLY => state.early_video.push(frame),
            None => return Err(String::from("no sound comes out of the encoder")),
        }
        Ok(())
    }

    /// Takes a frame of sound, and what its decoder needs if that is known.
    pub fn audio(&self, frame: AudioFrame, config: Option<Bytes>) -> Result<(), String> {
        let mut state = self.lock();
        (state.heard, state.silent_since) = (state.shown, None);
        self.configure(&mut state, config, |state| &mut state.audio)?;
        if state.stands_by {
            return Ok(());
        }
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
    fn count(&self, number: u64, frames: u32, bytes: usize) {
        let next = self.next_frame.swap(number + u64::from(frames), Ordering::Relaxed);
        let missing = number.saturating_sub(next);
        self.missing.fetch_add(missing, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.last {
            self.counters.frames.fetch_add(1, Ordering::Relaxed);
            self.counters.dropped.fetch_add(missing, Ordering::Relaxed);
        }
    }

    /// Takes a track's configuration; begins, or begins anew, when both are there.
    fn configure(
        &self,
        state: &mut Assembly,
        found: Option<Bytes>,
        slot: impl Fn(&mut Assembly) -> &mut Option<Bytes>,
    ) -> Result<(), String> {
        let Some(found) = found else { return Ok(()) };
        if slot(state).as_ref() == Some(&found) {
            return Ok(());
        }
        *slot(state) = Some(found);
        self.begin_if_known(state)
    }

    /// Begins, or begins anew, when it is known how everything is encoded.
    fn begin_if_known(&self, state: &mut Assembly) -> Result<(), String> {
        let Some(video) = &state.video else { return Ok(()) };
        if state.stands_by || (self.has_sound && state.audio.is_none()) {
            return Ok(());
        }
        let rate = self.frame_rate * 1000;
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
            None => Fragmenter::new(self.rendition, tracks),
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

//! From what a source has encoded itself, an RTMP publisher's tags or a camera's access units, to parts without a decoder:
//! what to wait for at the start, what a change on the way means, when to leave the air and when to give up. Pure: the
//! caller tells the time.

use bytes::Bytes;

use super::aac::AudioConfig;
use super::flv::{self, AudioTag, VideoTag};
use super::fragment::{self, AudioFrame, Cut, Fragmenter, Tracks, VideoFrame};
use super::h264::VideoConfig;
use super::pace::{Pace, Placed, TagClock};
use super::protocol::{ErrorCode, FlvTag, Init, TagKind};
use super::{MediaError, samples_of_ticks};
use crate::base::clock::TIMESCALE;

/// How long the start waits for the audio's configuration, and for frames to tell the rate by. 90 kHz ticks.
const PATIENCE: u64 = TIMESCALE as u64;
/// Frames that tell the rate where the parameter set does not.
const RATE_FRAMES: usize = 8;
/// A publisher without a picture for this long is given up; before its connection is, for sending nothing at all.
const NO_VIDEO: u64 = 8 * TIMESCALE as u64;
/// One whose pictures cannot be begun with, since none is a keyframe, is given so long. Many send one in ten seconds.
const NO_KEY: u64 = 60 * TIMESCALE as u64;
/// A keyframe that comes after a pause is of now if it is no older. 90 kHz ticks.
const FRESH: i64 = TIMESCALE as i64 / 2;
/// After a pause an older one is begun with when none of now has come for this long. 90 kHz ticks.
const LATE: u64 = 3 * TIMESCALE as u64 / 2;
/// Sound that lags this far behind the picture has ended.
const SOUND_ENDED: i64 = 5 * TIMESCALE as i64;

/// What comes of a tag.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Init(Init),
    Part(Cut),
    /// A keyframe with its configuration, for whoever wants to look at the picture.
    Key(Bytes, Bytes),
    /// An audio frame with its configuration, for whoever wants to listen.
    Sound(Bytes, Bytes),
    /// The publisher is to be given up.
    Fatal(ErrorCode, String),
}

/// What a source brings. Times are 90 kHz ticks of running time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// An `avcC` record.
    VideoConfig(Bytes),
    /// An access unit of length-prefixed NAL units; `composition` is its presentation time minus its decode time.
    Frame { at: i64, composition: i32, data: Bytes },
    /// An AudioSpecificConfig.
    AudioConfig(Bytes),
    /// A raw AAC frame.
    Sound { at: i64, data: Bytes },
}

/// One source.
#[derive(Debug)]
pub struct Passthrough {
    part_ms: u32,
    /// When it was first asked for a picture.
    began: Option<u64>,
    clock: TagClock,
    video: Option<VideoConfig>,
    audio: Option<AudioConfig>,
    pace: Option<Pace>,
    /// There while it is on air.
    fragmenter: Option<Fragmenter>,
    /// Something else is on air; it begins when it is told.
    waits: bool,
    /// It was on air already: what is in the programme is known.
    introduced: bool,
    /// There was a picture, if only one that cannot be begun with.
    seen: bool,
    /// The one before had no sound, so that none is waited for.
    silent: bool,
    /// Frames that wait for the start, from the first keyframe on.
    held: Vec<Picture>,
    held_audio: Vec<(i64, Bytes)>,
    /// When the first of them came.
    held_since: u64,
    /// Tracks are not what the fragmenter has; it goes over to them at the next keyframe.
    changed: bool,
    last_picture: i64,
    last_sound: Option<i64>,
    frames: u64,
    dropped: u64,
    done: bool,
}

#[derive(Debug)]
struct Picture {
    /// Running time, ticks.
    at: i64,
    composition: i32,
    key: bool,
    data: Bytes,
}

impl Passthrough {
    /// Parts of about `part_ms`.
    pub fn new(part_ms: u32) -> Self {
        Self {
            part_ms,
            began: None,
            clock: TagClock::default(),
            video: None,
            audio: None,
            pace: None,
            fragmenter: None,
            waits: false,
            introduced: false,
            seen: false,
            silent: false,
            held: Vec::new(),
            held_audio: Vec::new(),
            held_since: 0,
            changed: false,
            last_picture: 0,
            last_sound: None,
            frames: 0,
            dropped: 0,
            done: false,
        }
    }

    /// Takes one tag at running time `now` (90 kHz ticks). After [`Event::Fatal`] nothing more is taken.
    pub fn take(&mut self, tag: &FlvTag, now: u64) -> Vec<Event> {
        let mut events = self.tick(now);
        if self.done {
            return events;
        }
        let taken = match self.unit_of(tag, now, &mut events) {
            Ok(Some(unit)) => self.accept(unit, now, &mut events),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// Takes what a source brings whose times are those of the programme; else as [`Self::take`].
    pub fn bring(&mut self, unit: Unit, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.done
            && let Err(error) = self.accept(unit, now, &mut events)
        {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// To be called now and then, also while nothing comes of a publisher that is there.
    pub fn tick(&mut self, now: u64) -> Vec<Event> {
        let began = *self.began.get_or_insert(now);
        let mut events = Vec::new();
        let patience = if self.seen { NO_KEY } else { NO_VIDEO };
        if !self.done && !self.introduced && self.held.is_empty() && now >= began + patience {
            self.done = true;
            let what = match self.last_sound {
                _ if self.seen => "sends no keyframe",
                Some(_) => "sends sound but no picture",
                None => "sends nothing",
            };
            events.push(Event::Fatal(ErrorCode::NoVideo, format!("The publisher {what}.")));
        }
        if !self.waits
            && self.is_ready(now)
            && let Err(error) = self.start(None, &mut events)
        {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// Leaves the air, for something else that takes the fragmenter over: the open part is cut, the timeline goes on.
    pub fn leave(&mut self) -> (Option<Cut>, Option<Fragmenter>) {
        self.waits = true;
        self.held.clear();
        self.held_audio.clear();
        let mut fragmenter = self.fragmenter.take();
        let cut = fragmenter.as_mut().and_then(|fragmenter| fragmenter.interrupt().ok().flatten());
        (cut, fragmenter)
    }

    /// What comes is to be as it was: no sound is waited for where there was none.
    pub fn expect(&mut self, tracks: &Tracks) {
        self.silent = tracks.audio.is_none();
    }

    /// Forgets the source, which is gone; the next one begins anew. To be called when it has left the air, or was never on.
    pub fn forget(&mut self) {
        let (waits, frames, dropped) = (self.waits, self.frames, self.dropped);
        let silent = if self.introduced { self.audio.is_none() } else { self.silent };
        *self = Self { waits, silent, frames, dropped, ..Self::new(self.part_ms) };
    }

    /// Whether it can begin: it is known what is in the programme and how fast it goes, or has been waited for long enough,
    /// and there is a keyframe to begin with.
    pub fn is_ready(&self, now: u64) -> bool {
        let (None, Some(video), Some(first)) = (&self.fragmenter, &self.video, self.held.first()) else { return false };
        if self.introduced {
            // A keyframe of now, or else what there is: some have none for many seconds.
            return first.at + FRESH >= now as i64 || now >= self.held_since + LATE;
        }
        let waited = now >= self.held_since + PATIENCE || self.last_picture - first.at >= PATIENCE as i64;
        let rate_known = video.frame_rate_milli.is_some() || self.held.len() >= RATE_FRAMES;
        waited || (rate_known && (self.audio.is_some() || self.silent))
    }

    /// Goes on air again once it [is ready](Self::is_ready), where what stood in for it has ended.
    pub fn begin(&mut self, before: Option<Fragmenter>) -> Vec<Event> {
        self.waits = false;
        let mut events = Vec::new();
        if let Err(error) = self.start(before, &mut events) {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// Time from frame to frame while it is on air, 90 kHz ticks.
    pub fn frame_ticks(&self) -> Option<u32> {
        self.fragmenter.as_ref().and(self.pace.as_ref()).map(Pace::frame_ticks)
    }

    /// What is in the programme, while it is on air.
    pub fn tracks(&self) -> Option<&Tracks> {
        self.fragmenter.as_ref().map(Fragmenter::tracks)
    }

    /// Video frames passed on since the start.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Video frames that were malformed or belonged nowhere.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn give_up(&mut self, error: &MediaError, events: &mut Vec<Event>) {
        self.done = true;
        let code =
            if matches!(error, MediaError::Codec(_)) { ErrorCode::UnsupportedCodec } else { ErrorCode::BadMedia };
        let mut sentence = error.to_string();
        sentence[..1].make_ascii_uppercase();
        events.push(Event::Fatal(code, sentence + "."));
    }

    /// What a tag brings, at its place in running time.
    fn unit_of(&mut self, tag: &FlvTag, now: u64, events: &mut Vec<Event>) -> Result<Option<Unit>, MediaError> {
        Ok(match tag.kind {
            TagKind::Video => match flv::video(&tag.body)? {
                VideoTag::Nothing => None,
                VideoTag::Config(avcc) => Some(Unit::VideoConfig(avcc)),
                VideoTag::Frame { composition_ms, data } => {
                    // Only a frame that can be shown moves the clock.
                    let known = self.video.as_ref().is_some_and(|config| config.is_well_formed(&data));
                    let at = if known { self.place(tag.timestamp_ms, now, events)? } else { None };
                    self.dropped += u64::from(at.is_none());
                    at.map(|at| Unit::Frame { at, composition: composition_ms.saturating_mul(90), data })
                }
            },
            TagKind::Audio => match flv::audio(&tag.body)? {
                AudioTag::Nothing => None,
                AudioTag::Config(asc) => Some(Unit::AudioConfig(asc)),
                AudioTag::Frame(data) if self.audio.is_some() => {
                    self.place(tag.timestamp_ms, now, events)?.map(|at| Unit::Sound { at, data })
                }
                AudioTag::Frame(_) => None,
            },
        })
    }

    fn accept(&mut self, unit: Unit, now: u64, events: &mut Vec<Event>) -> Result<(), MediaError> {
        match unit {
            Unit::VideoConfig(avcc) => {
                if self.video.as_ref().is_none_or(|known| known.avcc != avcc) {
                    self.video = Some(VideoConfig::parse(avcc)?);
                    self.changed = true;
                }
            }
            Unit::AudioConfig(asc) => {
                if self.audio.as_ref().is_none_or(|known| known.asc != asc) {
                    self.audio = Some(AudioConfig::parse(asc)?);
                    self.changed = true;
                    self.last_sound = self.fragmenter.is_some().then_some(self.last_picture);
                }
            }
            Unit::Frame { at, composition, data } => {
                let Some(config) = self.video.as_ref().filter(|config| config.is_well_formed(&data)) else {
                    self.dropped += 1;
                    return Ok(());
                };
                let key = config.is_idr(&data);
                self.seen = true;
                self.last_picture = at;
                self.picture(Picture { at, composition, key, data }, now, events)?;
            }
            Unit::Sound { at, data } => {
                let Some(config) = &self.audio else { return Ok(()) };
                self.last_sound = Some(at);
                events.push(Event::Sound(config.asc.clone(), data.clone()));
                match &mut self.fragmenter {
                    Some(fragmenter) => pass_sound(fragmenter, at, data),
                    None if self.held.is_empty() => {}
                    None => self.held_audio.push((at, data)),
                }
            }
        }
        if !self.waits && self.is_ready(now) { self.start(None, events) } else { Ok(()) }
    }

    /// Running time of a time stamp, ticks; `None` for a straggler. A jump breaks the timeline.
    fn place(&mut self, timestamp_ms: u32, now: u64, events: &mut Vec<Event>) -> Result<Option<i64>, MediaError> {
        let edge = self.fragmenter.as_ref().and_then(Fragmenter::edge).unwrap_or(0);
        match self.clock.place(timestamp_ms, now.max(edge)) {
            Placed::At(at) => Ok(Some(at)),
            Placed::Stale => Ok(None),
            Placed::Jumped(at) => {
                if let Some(fragmenter) = &mut self.fragmenter {
                    events.extend(fragmenter.interrupt()?.map(Event::Part));
                }
                if let Some(pace) = &mut self.pace {
                    pace.restart();
                }
                self.held.clear();
                self.held_audio.clear();
                self.last_sound = Some(at);
                Ok(Some(at))
            }
        }
    }

    fn picture(&mut self, picture: Picture, now: u64, events: &mut Vec<Event>) -> Result<(), MediaError> {
        if picture.key
            && let Some(config) = &self.video
        {
            events.push(Event::Key(config.avcc.clone(), picture.data.clone()));
        }
        if self.fragmenter.is_some() {
            return self.pass(picture, events);
        }
        if self.held.is_empty() {
            if !picture.key {
                self.dropped += 1;
                return Ok(());
            }
            self.held_since = now;
        } else if self.waits && picture.key {
            // After a pause a source may bring what has piled up meanwhile: the newest keyframe is the one to begin with.
            self.dropped += self.held.len() as u64;
            self.held.clear();
            self.held_audio.clear();
        }
        self.held.push(picture);
        Ok(())
    }

    /// Goes on air with what was held; `before` brings the timeline of what was on air until now.
    fn start(&mut self, before: Option<Fragmenter>, events: &mut Vec<Event>) -> Result<(), MediaError> {
        let (Some(video), Some(first)) = (&self.video, self.held.first()) else { return Ok(()) };
        self.last_sound.get_or_insert(first.at);
        let told = video.frame_rate_milli;
        let times: Vec<i64> = self.held.iter().map(|picture| picture.at).collect();
        match &mut self.pace {
            Some(pace) if self.introduced => pace.restart(),
            pace => *pace = Some(told.map_or_else(|| Pace::of_times(&times), Pace::of_rate)),
        }
        let Some(tracks) = self.wanted_tracks() else { return Ok(()) };
        let mut fragmenter = match before {
            Some(mut fragmenter) => {
                events.extend(fragmenter.reconfigure(tracks)?.map(Event::Part));
                fragmenter
            }
            None => Fragmenter::new(0, tracks),
        };
        self.catch_up(fragmenter.edge().unwrap_or(0) as i64);
        events.push(Event::Init(fragmenter.init()?));
        for (at, data) in self.held_audio.drain(..) {
            pass_sound(&mut fragmenter, at, data);
        }
        self.fragmenter = Some(fragmenter);
        (self.changed, self.introduced) = (false, true);
        for picture in std::mem::take(&mut self.held) {
            self.pass(picture, events)?;
        }
        Ok(())
    }

    /// A source whose newest picture lies behind the edge of what was shown is late for good: its time is moved there. What
    /// was held before that picture is shown fast.
    fn catch_up(&mut self, edge: i64) {
        let behind = (edge - self.last_picture).max(0);
        self.clock.delay(behind);
        self.held.iter_mut().for_each(|picture| picture.at += behind);
        self.held_audio.iter_mut().for_each(|(at, _)| *at += behind);
        self.last_picture += behind;
        self.last_sound = self.last_sound.map(|at| at + behind);
    }

    fn pass(&mut self, picture: Picture, events: &mut Vec<Event>) -> Result<(), MediaError> {
        let has_sound = self.fragmenter.as_ref().is_some_and(|f| f.tracks().audio.is_some());
        if has_sound != self.sound_goes_on() {
            self.changed = true;
        }
        let Some(pace) = &mut self.pace else { return Ok(()) };
        let (decode, expected) = pace.next(picture.at);
        let composition = even_composition(picture.composition, pace.frame_ticks());
        let too_slow = self.fragmenter.as_ref().is_some_and(|f| expected > f.tracks().part_target);
        if picture.key && (self.changed || too_slow) {
            self.change_tracks(events)?;
        }
        let Some(fragmenter) = &mut self.fragmenter else { return Ok(()) };
        self.frames += 1;
        let frame = VideoFrame { decode, composition, expected, key: picture.key, data: picture.data };
        events.extend(fragmenter.video(frame)?.into_iter().map(Event::Part));
        Ok(())
    }

    fn change_tracks(&mut self, events: &mut Vec<Event>) -> Result<(), MediaError> {
        self.changed = false;
        let (Some(tracks), Some(fragmenter)) = (self.wanted_tracks(), &mut self.fragmenter) else { return Ok(()) };
        if *fragmenter.tracks() == tracks {
            return Ok(());
        }
        events.extend(fragmenter.reconfigure(tracks)?.map(Event::Part));
        events.push(Event::Init(fragmenter.init()?));
        Ok(())
    }

    fn wanted_tracks(&self) -> Option<Tracks> {
        let frame_rate_milli = self.pace.as_ref()?.rate_milli();
        Some(Tracks {
            video: self.video.clone()?,
            audio: self.audio.clone().filter(|_| self.sound_goes_on()),
            part_target: fragment::part_target(self.part_ms, frame_rate_milli),
            frame_rate_milli,
        })
    }

    /// A track that says it has sound and brings none makes players wait for it.
    fn sound_goes_on(&self) -> bool {
        self.audio.is_some() && self.last_sound.is_none_or(|sound| self.last_picture - sound < SOUND_ENDED)
    }
}

fn pass_sound(fragmenter: &mut Fragmenter, at: i64, data: Bytes) {
    let Some(rate) = fragmenter.tracks().audio.as_ref().map(|audio| audio.rate) else { return };
    fragmenter.audio(AudioFrame { start: samples_of_ticks(at.max(0) as u64, rate), data });
}

/// A composition time in whole frames where it is that but for its rounding to milliseconds. Ticks.
fn even_composition(ticks: i32, frame_ticks: u32) -> i32 {
    let (ticks, frame) = (i64::from(ticks), i64::from(frame_ticks.max(1)));
    let even = (ticks + ticks.signum() * frame / 2) / frame * frame;
    (if (even - ticks).abs() <= 135 { even } else { ticks }).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[cfg(test)]
#[path = "passthrough_tests.rs"]
mod tests;

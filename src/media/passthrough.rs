//! From an RTMP publisher's tags to parts without a decoder: what to wait for at the start, what a change in mid-publish
//! means, and when to give up. Pure: the caller tells the time.

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
/// A publisher without a picture for this long is given up.
const NO_VIDEO: u64 = 10 * TIMESCALE as u64;
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

/// One publisher.
#[derive(Debug)]
pub struct Passthrough {
    part_ms: u32,
    began: Option<u64>,
    /// Frames at the last tick.
    frames_at_tick: u64,
    clock: TagClock,
    video: Option<VideoConfig>,
    audio: Option<AudioConfig>,
    pace: Option<Pace>,
    fragmenter: Option<Fragmenter>,
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
    composition_ms: i32,
    key: bool,
    data: Bytes,
}

impl Passthrough {
    /// Parts of about `part_ms`.
    pub fn new(part_ms: u32) -> Self {
        Self {
            part_ms,
            began: None,
            frames_at_tick: 0,
            clock: TagClock::default(),
            video: None,
            audio: None,
            pace: None,
            fragmenter: None,
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
        let taken = match tag.kind {
            TagKind::Video => self.take_video(tag, now, &mut events),
            TagKind::Audio => self.take_audio(tag, now, &mut events),
        };
        if let Err(error) = taken {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// To be called now and then, also while no tag comes.
    pub fn tick(&mut self, now: u64) -> Vec<Event> {
        // Counted from the last picture, or from the beginning.
        if self.frames != self.frames_at_tick {
            self.frames_at_tick = self.frames;
            self.began = Some(now);
        }
        let began = *self.began.get_or_insert(now);
        let mut events = Vec::new();
        if !self.done && self.held.is_empty() && now >= began + NO_VIDEO {
            self.done = true;
            let what = if self.last_sound.is_some() { "sends sound but no picture" } else { "sends nothing" };
            events.push(Event::Fatal(ErrorCode::NoVideo, format!("The publisher {what}.")));
        }
        if let Err(error) = self.start_if_ready(now, &mut events) {
            self.give_up(&error, &mut events);
        }
        events
    }

    /// Ends the open part.
    pub fn finish(&mut self) -> Option<Cut> {
        self.fragmenter.as_mut()?.interrupt().ok().flatten()
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

    fn take_video(&mut self, tag: &FlvTag, now: u64, events: &mut Vec<Event>) -> Result<(), MediaError> {
        match flv::video(&tag.body)? {
            VideoTag::Nothing => Ok(()),
            VideoTag::Config(avcc) => {
                if self.video.as_ref().is_none_or(|known| known.avcc != avcc) {
                    self.video = Some(VideoConfig::parse(avcc)?);
                    self.changed = true;
                }
                Ok(())
            }
            VideoTag::Frame { composition_ms, data } => {
                let Some(config) = self.video.as_ref().filter(|config| config.is_well_formed(&data)) else {
                    self.dropped += 1;
                    return Ok(());
                };
                let key = config.is_idr(&data);
                let Some(at) = self.place(tag.timestamp_ms, now, events)? else {
                    self.dropped += 1;
                    return Ok(());
                };
                self.last_picture = at;
                self.picture(Picture { at, composition_ms, key, data }, now, events)
            }
        }
    }

    fn take_audio(&mut self, tag: &FlvTag, now: u64, events: &mut Vec<Event>) -> Result<(), MediaError> {
        match flv::audio(&tag.body)? {
            AudioTag::Nothing => Ok(()),
            AudioTag::Config(asc) => {
                if self.audio.as_ref().is_none_or(|known| known.asc != asc) {
                    self.audio = Some(AudioConfig::parse(asc)?);
                    self.changed = true;
                    self.last_sound = self.fragmenter.is_some().then_some(self.last_picture);
                }
                self.start_if_ready(now, events)
            }
            AudioTag::Frame(data) => {
                let Some(asc) = self.audio.as_ref().map(|config| config.asc.clone()) else { return Ok(()) };
                let Some(at) = self.place(tag.timestamp_ms, now, events)? else { return Ok(()) };
                self.last_sound = Some(at);
                events.push(Event::Sound(asc, data.clone()));
                match &mut self.fragmenter {
                    Some(fragmenter) => pass_sound(fragmenter, at, data),
                    None => self.held_audio.push((at, data)),
                }
                Ok(())
            }
        }
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
        }
        self.held.push(picture);
        self.start_if_ready(now, events)
    }

    /// Begins once it is known what is in the programme and how fast it goes, or has been waited for long enough.
    fn start_if_ready(&mut self, now: u64, events: &mut Vec<Event>) -> Result<(), MediaError> {
        let (None, Some(video), Some(first)) = (&self.fragmenter, &self.video, self.held.first()) else {
            return Ok(());
        };
        let waited = now >= self.held_since + PATIENCE || self.last_picture - first.at >= PATIENCE as i64;
        let told = video.frame_rate_milli;
        let rate_known = told.is_some() || self.held.len() >= RATE_FRAMES;
        if !(waited || (rate_known && self.audio.is_some())) {
            return Ok(());
        }
        self.last_sound.get_or_insert(first.at);
        let times: Vec<i64> = self.held.iter().map(|picture| picture.at).collect();
        self.pace = Some(told.map_or_else(|| Pace::of_times(&times), Pace::of_rate));
        let Some(tracks) = self.tracks() else { return Ok(()) };
        let mut fragmenter = Fragmenter::new(0, tracks);
        events.push(Event::Init(fragmenter.init()?));
        for (at, data) in self.held_audio.drain(..) {
            pass_sound(&mut fragmenter, at, data);
        }
        self.fragmenter = Some(fragmenter);
        self.changed = false;
        for picture in std::mem::take(&mut self.held) {
            self.pass(picture, events)?;
        }
        Ok(())
    }

    fn pass(&mut self, picture: Picture, events: &mut Vec<Event>) -> Result<(), MediaError> {
        let has_sound = self.fragmenter.as_ref().is_some_and(|f| f.tracks().audio.is_some());
        if has_sound != self.sound_goes_on() {
            self.changed = true;
        }
        let Some(pace) = &mut self.pace else { return Ok(()) };
        let (decode, expected) = pace.next(picture.at);
        let composition = even_composition(picture.composition_ms, pace.frame_ticks());
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
        let (Some(tracks), Some(fragmenter)) = (self.tracks(), &mut self.fragmenter) else { return Ok(()) };
        if *fragmenter.tracks() == tracks {
            return Ok(());
        }
        events.extend(fragmenter.reconfigure(tracks)?.map(Event::Part));
        events.push(Event::Init(fragmenter.init()?));
        Ok(())
    }

    fn tracks(&self) -> Option<Tracks> {
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
fn even_composition(ms: i32, frame_ticks: u32) -> i32 {
    let (ticks, frame) = (i64::from(ms) * 90, i64::from(frame_ticks.max(1)));
    let even = (ticks + ticks.signum() * frame / 2) / frame * frame;
    (if (even - ticks).abs() <= 135 { even } else { ticks }).clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

#[cfg(test)]
#[path = "passthrough_tests.rs"]
mod tests;

//! Cuts encoded frames into parts: when a part begins and ends, and what lies in it. One muxed rendition, video and audio.
//!
//! A part leaves the moment its last frame is in: a frame's duration is *expected* by whoever hands it in, so that nobody
//! waits for the next frame. The rules of rfc8216bis, clause 4.4.4.9, hold whatever the source does, because the fragmenter
//! owns the boundaries: a part's end is put between 85 % and 100 % of the part target, and the frames around it are moved
//! by less than a frame where they do not meet it. At a constant rate, with a target of whole frames, nothing is ever moved.
//!
//! What comes in late or leaves a hole is mended by stretching frames, up to [`MAX_HOLE`]; beyond that the timeline
//! breaks: a discontinuity. Where a frame's wish comes from (a frame grid, an RTMP time stamp) is not known here.

use std::collections::VecDeque;

use bytes::Bytes;

use super::aac::AudioConfig;
use super::h264::VideoConfig;
use super::mp4::{self, AUDIO_TRACK, Run, Sample, VIDEO_TRACK};
use super::protocol::{Init, Part};
use super::{MediaError, samples_of_ticks, ticks_of_samples};
use crate::base::clock::TIMESCALE;

/// A hole in the video that is mended by showing frames longer; a longer one is a discontinuity. 90 kHz ticks.
pub const MAX_HOLE: u64 = TIMESCALE as u64;
/// Audio follows its own count of samples while its time stamps stay within this of it: less than can be noticed (ITU-R BT.1359-1),
/// more than encoders' time stamps jitter. Milliseconds.
const AUDIO_SLACK_MS: u64 = 40;
/// Audio frames that wait for a part: 5 s and more at any rate.
const MAX_AUDIO_QUEUE: usize = 500;

/// What is in the rendition, and how long its parts may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracks {
    pub video: VideoConfig,
    pub audio: Option<AudioConfig>,
    /// 90 kHz ticks; best a whole number of frames ([`part_target`]).
    pub part_target: u32,
    /// Frames per 1000 s, or 0 where it is not known.
    pub frame_rate_milli: u32,
}

impl Tracks {
    /// What an init says of them; none where it is not one of ours.
    pub fn of(init: &Init) -> Option<Tracks> {
        let (avcc, asc) = mp4::configurations(&init.bytes)?;
        Some(Tracks {
            video: VideoConfig::parse(avcc).ok()?,
            audio: asc.map(AudioConfig::parse).transpose().ok()?,
            part_target: init.part_target,
            frame_rate_milli: init.frame_rate_milli,
        })
    }
}

/// One access unit, length-prefixed NAL units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    /// Decode time, 90 kHz ticks of running time.
    pub decode: u64,
    /// Presentation time minus decode time, 90 kHz ticks.
    pub composition: i32,
    /// How long it will probably last, 90 kHz ticks.
    pub expected: u32,
    /// An IDR picture.
    pub key: bool,
    pub data: Bytes,
}

/// One raw AAC frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFrame {
    /// Its first sample, in samples of running time.
    pub start: u64,
    pub data: Bytes,
}

/// A finished part, and how many video frames it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    pub part: Part,
    pub frames: u32,
}

/// The part target, in 90 kHz ticks, for parts of about `part_ms` at a constant rate: the nearest whole number of
/// frames, at least one.
pub fn part_target(part_ms: u32, frame_rate_milli: u32) -> u32 {
    let frames = u64::from(part_frames(part_ms, frame_rate_milli));
    let rate = u64::from(frame_rate_milli.max(1));
    (frames * u64::from(TIMESCALE) * 1000).div_ceil(rate).min(u64::from(u32::MAX)) as u32
}

/// How many frames that is.
pub fn part_frames(part_ms: u32, frame_rate_milli: u32) -> u32 {
    let rate = u64::from(frame_rate_milli.max(1));
    ((u64::from(part_ms) * rate + 500_000) / 1_000_000).clamp(1, u64::from(u32::MAX)) as u32
}

/// The parts' cutter.
#[derive(Debug)]
pub struct Fragmenter {
    rendition: u8,
    tracks: Tracks,
    sequence: u32,
    open: Option<Open>,
    /// Where the last part ended; the next one begins there.
    end: Option<u64>,
    /// The next part begins a new timeline or encoding, and so with a keyframe.
    broken: bool,
    /// Presentation times are kept to the tick, since frames are reordered.
    reorders: bool,
    audio: AudioQueue,
}

/// The part that is being filled.
#[derive(Debug)]
struct Open {
    start: u64,
    discontinuity: bool,
    samples: Vec<Sample>,
    /// Where the last frame was placed, and where it should end by itself.
    last: u64,
    natural_end: u64,
}

impl Fragmenter {
    /// Begins at the first keyframe.
    pub fn new(rendition: u8, tracks: Tracks) -> Self {
        Self {
            rendition,
            tracks,
            sequence: 0,
            open: None,
            end: None,
            broken: true,
            reorders: false,
            audio: AudioQueue::default(),
        }
    }

    /// The initialisation section of what follows.
    ///
    /// # Errors
    /// [`MediaError`] if the tracks' configuration cannot be written.
    pub fn init(&self) -> Result<Init, MediaError> {
        let Tracks { video, audio, part_target, frame_rate_milli } = &self.tracks;
        let codecs = match audio {
            Some(audio) => format!("{},{}", video.codec(), audio.codec()),
            None => video.codec(),
        };
        Ok(Init {
            rendition: self.rendition,
            bytes: mp4::initialisation(video, audio.as_ref())?,
            codecs,
            width: video.width,
            height: video.height,
            frame_rate_milli: *frame_rate_milli,
            has_audio: audio.is_some(),
            part_target: *part_target,
        })
    }

    pub fn tracks(&self) -> &Tracks {
        &self.tracks
    }

    /// Where the media ends that was taken so far, 90 kHz ticks; nothing is ever placed before it.
    pub fn edge(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.natural_end).or(self.end)
    }

    /// Takes one frame, in decode order; gives the parts that it completes (two where it ends one and fills the next).
    ///
    /// # Errors
    /// [`MediaError`] if a part cannot be written.
    pub fn video(&mut self, frame: VideoFrame) -> Result<Vec<Cut>, MediaError> {
        let mut cuts = Vec::new();
        if self.edge().is_some_and(|edge| frame.decode > edge + MAX_HOLE) {
            cuts.extend(self.interrupt()?);
        }
        if self.broken && !frame.key && self.open.is_none() {
            return Ok(cuts);
        }
        self.reorders |= frame.composition != 0;
        cuts.extend(self.make_room(&frame)?);
        self.place(&frame);
        cuts.extend(self.close_if_full(frame.expected)?);
        Ok(cuts)
    }

    /// Takes one frame, in order. Audio never holds a part back: what comes after its part has left goes into the next.
    pub fn audio(&mut self, frame: AudioFrame) {
        if let Some(config) = &self.tracks.audio {
            self.audio.push(frame, config);
        }
    }

    /// Ends the open part where it is. The next one begins with a keyframe and is marked as a discontinuity.
    ///
    /// # Errors
    /// [`MediaError`] if the part cannot be written.
    pub fn interrupt(&mut self) -> Result<Option<Cut>, MediaError> {
        let end = self.open.as_ref().map(|open| open.natural_end);
        let cut = end.map(|end| self.close(end)).transpose()?.flatten();
        self.broken = true;
        self.audio.restart();
        Ok(cut)
    }

    /// [`Self::interrupt`], and goes on with other tracks.
    ///
    /// # Errors
    /// As [`Self::interrupt`].
    pub fn reconfigure(&mut self, tracks: Tracks) -> Result<Option<Cut>, MediaError> {
        let cut = self.interrupt()?;
        let rate = |tracks: &Tracks| tracks.audio.as_ref().map_or(0, |audio| audio.rate);
        if rate(&self.tracks) != rate(&tracks) {
            let floor = samples_of_ticks(ticks_of_samples(self.audio.floor, rate(&self.tracks)), rate(&tracks));
            self.audio = AudioQueue { floor, ..AudioQueue::default() };
        }
        self.tracks = tracks;
        self.reorders = false;
        Ok(cut)
    }

    /// Closes the open part where `frame` must begin a new one: it is a keyframe, or hardly half of it would still fit.
    fn make_room(&mut self, frame: &VideoFrame) -> Result<Option<Cut>, MediaError> {
        let target = u64::from(self.tracks.part_target);
        let Some(open) = &self.open else { return Ok(None) };
        let limit = open.start + target;
        if frame.key {
            return self.close(frame.decode.max(open.last + 1));
        }
        let crowded = frame.decode + u64::from(frame.expected) / 2 > limit || open.next_place(frame) >= limit;
        if crowded { self.close(frame.decode.max(self.floor(open))) } else { Ok(None) }
    }

    fn place(&mut self, frame: &VideoFrame) {
        let at = match (&mut self.open, self.end) {
            (Some(open), _) => {
                let at = open.next_place(frame);
                open.settle_last(at);
                at
            }
            (None, Some(end)) if self.broken => end.max(frame.decode),
            (None, Some(end)) => end,
            (None, None) => frame.decode,
        };
        // Presentation stays exact for reordered frames even where decoding was moved by a little.
        let exact = (frame.decode as i64 + i64::from(frame.composition)).saturating_sub(at as i64);
        let composition = if self.reorders { exact.clamp(i32::MIN.into(), i32::MAX.into()) as i32 } else { 0 };
        let open = self.open.get_or_insert_with(|| Open {
            start: at,
            discontinuity: self.broken,
            samples: Vec::new(),
            last: at,
            natural_end: at,
        });
        let data = if frame.key { self.tracks.video.with_parameter_sets(&frame.data) } else { frame.data.clone() };
        open.samples.push(Sample { duration: 0, composition, sync: frame.key, data });
        open.last = at;
        open.natural_end = (frame.decode + u64::from(frame.expected)).max(at + frame.least());
        if self.broken {
            self.broken = false;
            self.audio.begin(at);
        }
    }

    /// Closes the open part if hardly half of another frame would fit.
    fn close_if_full(&mut self, expected: u32) -> Result<Option<Cut>, MediaError> {
        let Some(open) = &self.open else { return Ok(None) };
        let limit = open.start + u64::from(self.tracks.part_target);
        if open.natural_end + u64::from(expected) / 2 > limit {
            self.close(open.natural_end.max(self.floor(open)))
        } else {
            Ok(None)
        }
    }

    /// The earliest end that the part may have with another part of the same segment behind it.
    fn floor(&self, open: &Open) -> u64 {
        let least = (u64::from(self.tracks.part_target) * 85).div_ceil(100);
        (open.start + least).max(open.last + 1)
    }

    /// Ends the open part at `end`, or at the part target if that comes first.
    fn close(&mut self, end: u64) -> Result<Option<Cut>, MediaError> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        let end = end.min(open.start + u64::from(self.tracks.part_target));
        open.settle_last(end);
        self.end = Some(end);
        self.sequence = self.sequence.wrapping_add(1);
        let frames = open.samples.len() as u32;
        let independent = open.samples.first().is_some_and(|s| s.sync);
        let mut runs = vec![Run { track: VIDEO_TRACK, decode_time: open.start, samples: open.samples }];
        if let Some(config) = &self.tracks.audio {
            runs.extend(self.audio.take_before(end, config));
        }
        let part = Part {
            rendition: self.rendition,
            start: open.start,
            duration: (end - open.start) as u32,
            independent,
            discontinuity: open.discontinuity,
            bytes: mp4::chunk(self.sequence, &runs)?,
        };
        Ok(Some(Cut { part, frames }))
    }
}

impl Open {
    /// Where `frame` would lie behind the last one.
    fn next_place(&self, frame: &VideoFrame) -> u64 {
        frame.decode.max(self.last + frame.least())
    }

    fn settle_last(&mut self, end: u64) {
        if let Some(last) = self.samples.last_mut() {
            last.duration = end.saturating_sub(self.last) as u32;
        }
    }
}

impl VideoFrame {
    /// The shortest time it is squeezed into when frames come faster than they should.
    fn least(&self) -> u64 {
        u64::from(self.expected / 4).max(1)
    }
}

/// Audio frames that wait for the part they belong to.
#[derive(Debug, Default)]
struct AudioQueue {
    frames: VecDeque<(u64, Sample)>,
    /// The sample after the last frame's.
    next: Option<u64>,
    /// The same of the timeline before this one; nothing goes back behind it.
    floor: u64,
    /// Video time before which no audio is wanted, 90 kHz ticks; none before the first video frame.
    from: Option<u64>,
}

impl AudioQueue {
    fn push(&mut self, frame: AudioFrame, config: &AudioConfig) {
        let slack = u64::from(config.rate) * AUDIO_SLACK_MS / 1000;
        let start = match self.next {
            Some(next) if frame.start + slack < next => return,
            Some(next) if frame.start <= next + slack => next,
            None if frame.start < self.floor => return,
            next => {
                // A hole: the frame before it lasts until its end, if it has not left yet.
                if let (Some(next), Some((_, last))) = (next, self.frames.back_mut()) {
                    last.duration = last.duration.saturating_add((frame.start - next).min(u32::MAX.into()) as u32);
                }
                frame.start
            }
        };
        let end = start + u64::from(config.frame_samples);
        self.next = Some(end);
        if self.from.is_some_and(|from| ticks_of_samples(end, config.rate) <= from) {
            return;
        }
        if self.frames.len() == MAX_AUDIO_QUEUE {
            self.frames.pop_front();
        }
        self.frames.push_back((
            start,
            Sample { duration: config.frame_samples, composition: 0, sync: true, data: frame.data },
        ));
    }

    /// The timeline breaks; what waits belongs to the old one or comes before the new one's first frame.
    fn restart(&mut self) {
        self.floor = self.next.take().unwrap_or(self.floor);
        self.from = None;
    }

    /// The timeline begins at `at`.
    fn begin(&mut self, at: u64) {
        self.from = Some(at);
    }

    /// The run of frames that begin before `end`.
    fn take_before(&mut self, end: u64, config: &AudioConfig) -> Option<Run> {
        let begins = |start: u64| ticks_of_samples(start, config.rate);
        let lasts = |start: u64| ticks_of_samples(start + u64::from(config.frame_samples), config.rate);
        let from = self.from.unwrap_or(0);
        while self.frames.front().is_some_and(|(start, _)| lasts(*start) <= from && begins(*start) < end) {
            self.frames.pop_front();
        }
        let count = self.frames.iter().take_while(|(start, _)| begins(*start) < end).count();
        let decode_time = self.frames.front()?.0;
        let samples: Vec<_> = self.frames.drain(..count).map(|(_, sample)| sample).collect();
        (!samples.is_empty()).then_some(Run { track: AUDIO_TRACK, decode_time, samples })
    }
}

#[cfg(test)]
#[path = "fragment_tests.rs"]
mod tests;

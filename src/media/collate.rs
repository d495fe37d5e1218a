//! From a file's encoded picture and sound, each in its own order and at its own speed, to parts as a broadcast has them. Pure.
//!
//! Files tell when a frame is shown, and not all of them when it is decoded; that is found out here (ISO/IEC 14496-12 calls it
//! `ctts` and `stts`). What cannot be passed on as it is, its reader has to encode anew.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;

use super::aac::AudioConfig;
use super::fragment::{self, AudioFrame, Cut, Fragmenter, Tracks, VideoFrame};
use super::h264::VideoConfig;
use super::pace::Pace;
use super::protocol::Init;
use super::{MediaError, samples_of_ticks};
use crate::base::clock::TIMESCALE;

/// Length of a part: of what is not live, nobody waits for a short one. Milliseconds.
const PART_MS: u32 = 1000;
/// Where the first frame is decoded, ticks: sound that begins a little before it has a time, too.
pub const BEGIN: u64 = TIMESCALE as u64;
const LEAD: i64 = BEGIN as i64;
/// Frames by which the order of decoding and the rate are told; no H.264 stream reorders more than 16.
const LOOK: usize = 48;
/// Keyframes that lie further apart are no use for finding a place. Ticks.
const RARE: i64 = 12 * TIMESCALE as i64;
/// Frames, and bytes of them, that wait for their sound, which may lie elsewhere in the file.
const MOST_FRAMES: usize = 900;
const MOST_BYTES: usize = 64 << 20;
/// A file is refused beyond this. Ticks.
pub const LONGEST: i64 = 24 * 3600 * TIMESCALE as i64;

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Init(Init),
    Part(Cut),
}

/// Why nothing more comes out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollateError {
    /// It can be played, but not as it is.
    #[error("it cannot be passed on: {0}")]
    CannotPass(&'static str),
    #[error("it is longer than 24 hours")]
    TooLong,
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// One file.
#[derive(Debug)]
pub struct Collator {
    /// The file's own frames are passed on, which need not be as they should.
    passes: bool,
    /// Whether there is sound; known once all of the file's streams are.
    has_sound: Option<bool>,
    picture: Picture,
    sound: Sound,
    still: Option<Still>,
    /// Ready to leave, in decode order; times from the file's own zero on.
    frames: VecDeque<Ready>,
    bytes: usize,
    /// From the file's times to those of the parts, ticks.
    shift: i64,
    /// Where the first frame was shown that is had already, as all before what comes, and how much sound is: ticks of the file's time.
    had: Option<(i64, i64)>,
    fragmenter: Option<Fragmenter>,
}

#[derive(Debug, Default)]
struct Picture {
    config: Option<VideoConfig>,
    /// Those of which it is not known yet when they are decoded, or for how long they are shown.
    held: VecDeque<Frame>,
    order: Option<Order>,
    last_key: Option<i64>,
    /// Nothing tells whether the last frame is whole.
    torn: bool,
    over: bool,
}

/// In decode order; `shown` in ticks.
#[derive(Debug)]
struct Frame {
    shown: i64,
    key: bool,
    data: Bytes,
}

#[derive(Debug)]
struct Ready {
    decode: i64,
    shown: i64,
    /// Ticks.
    lasts: i64,
    key: bool,
    data: Bytes,
}

#[derive(Debug, Default)]
struct Sound {
    config: Option<AudioConfig>,
    /// When each begins, ticks.
    waiting: VecDeque<(i64, Bytes)>,
    first: Option<i64>,
    /// Where the newest ends.
    end: i64,
    over: bool,
}

/// Pictures, each a keyframe, shown in turn where there is only sound.
#[derive(Debug)]
struct Still {
    pictures: Vec<Bytes>,
    shown: usize,
}

/// When frames are decoded: in the order of showing, by so many frames earlier.
#[derive(Debug)]
struct Order {
    depth: usize,
    /// Frames whose time of decoding was told.
    told: usize,
    first: i64,
    frame_ticks: i64,
    rate_milli: u32,
    shown: BinaryHeap<Reverse<i64>>,
}

impl Order {
    /// By the first frames, in decode order.
    fn of(frames: &VecDeque<Frame>) -> Order {
        let before = |at: usize| frames.iter().take(at).filter(|earlier| earlier.shown > frames[at].shown).count();
        let depth = (0..frames.len()).map(before).max().unwrap_or(0);
        let mut shown: Vec<i64> = frames.iter().map(|frame| frame.shown).collect();
        shown.sort_unstable();
        let pace = Pace::of_times(&shown);
        Order {
            depth,
            told: 0,
            first: shown.first().copied().unwrap_or(0),
            frame_ticks: i64::from(pace.frame_ticks().max(1)),
            rate_milli: pace.rate_milli(),
            shown: BinaryHeap::new(),
        }
    }

    /// When the next frame is decoded, which is shown at `shown`.
    fn decode(&mut self, shown: i64) -> i64 {
        self.shown.push(Reverse(shown));
        self.told += 1;
        if self.told <= self.depth {
            return self.first - (self.depth + 1 - self.told) as i64 * self.frame_ticks;
        }
        self.shown.pop().map_or(shown, |Reverse(earliest)| earliest)
    }
}

impl Collator {
    /// `passes`: the frames are the file's own; else they come from our encoder.
    pub fn new(passes: bool) -> Collator {
        Collator {
            passes,
            has_sound: None,
            picture: Picture::default(),
            sound: Sound::default(),
            still: None,
            frames: VecDeque::new(),
            bytes: 0,
            shift: 0,
            had: None,
            fragmenter: None,
        }
    }

    /// What our encoder made from the first frame on, which was shown at `first` (ticks of the file's time), is there up to `from`
    /// (ticks of the parts): the frames that come are those behind it.
    pub fn go_on(&mut self, first: i64, from: u64) {
        self.had = Some((first, from as i64 - (LEAD - first)));
    }

    /// All streams of the file are known.
    pub fn expect(&mut self, picture: bool, sound: bool) -> Result<Vec<Output>, CollateError> {
        self.has_sound = Some(sound);
        self.picture.over |= !picture;
        self.sound.over |= !sound;
        self.collect()
    }

    /// Where there is no picture: one that is shown for as long as there is sound, by two keyframes in turn (of which no two in
    /// a row may have the same `idr_pic_id`, ITU-T H.264 clause 7.4.3).
    pub fn show_still(&mut self, avcc: Bytes, pictures: Vec<Bytes>) -> Result<(), CollateError> {
        self.picture.config = Some(VideoConfig::parse(avcc)?);
        self.still = Some(Still { pictures, shown: 0 });
        Ok(())
    }

    /// How the frames that follow are decoded.
    pub fn picture_config(&mut self, avcc: Bytes) -> Result<(), CollateError> {
        match &self.picture.config {
            Some(known) if known.avcc == avcc => return Ok(()),
            Some(_) if self.picture.order.is_some() || !self.picture.held.is_empty() => {
                return Err(CollateError::CannotPass("its picture changes on the way"));
            }
            _ => {}
        }
        self.picture.config = Some(VideoConfig::parse(avcc)?);
        Ok(())
    }

    /// The next access unit in decode order, which is shown at `shown` (ticks of the file's time).
    pub fn picture(&mut self, shown: i64, data: Bytes) -> Result<Vec<Output>, CollateError> {
        let Some(config) = &self.picture.config else { return Ok(Vec::new()) };
        if !config.is_well_formed(&data) {
            return Err(CollateError::CannotPass("a picture is malformed"));
        }
        let key = config.is_idr(&data);
        let first = *self.picture.last_key.get_or_insert(shown);
        if key {
            self.picture.last_key = Some(shown);
        } else if shown - first > RARE {
            return Err(CollateError::CannotPass("its keyframes are too rare"));
        }
        if shown - LEAD > LONGEST {
            return Err(CollateError::TooLong);
        }
        if self.picture.order.is_none() && self.picture.held.is_empty() && !key {
            // Nothing can be decoded before a keyframe.
            return Ok(Vec::new());
        }
        self.picture.held.push_back(Frame { shown, key, data });
        if self.picture.order.is_none() && self.picture.held.len() >= LOOK {
            self.find_order()?;
        }
        self.order_frames()?;
        self.collect()
    }

    /// How the sound that follows is decoded; only the first counts.
    pub fn sound_config(&mut self, asc: Bytes) -> Result<(), CollateError> {
        if self.sound.config.is_none() {
            self.sound.config = Some(AudioConfig::parse(asc)?);
        }
        Ok(())
    }

    /// The next raw AAC frame, which begins at `at` (ticks of the file's time).
    pub fn sound(&mut self, at: i64, data: Bytes) -> Result<Vec<Output>, CollateError> {
        let Some(config) = &self.sound.config else { return Ok(Vec::new()) };
        if at > LONGEST {
            return Err(CollateError::TooLong);
        }
        let lasts = i64::from(config.frame_samples) * i64::from(TIMESCALE) / i64::from(config.rate.max(1));
        self.sound.first.get_or_insert(at);
        self.sound.end = self.sound.end.max(at + lasts);
        if self.had.is_none_or(|(_, until)| at >= until) {
            self.sound.waiting.push_back((at, data));
        }
        self.show_stills(false);
        self.collect()
    }

    /// Of such a file, where it is cut off cannot be told: its last frame is left out.
    pub fn may_be_torn(&mut self) {
        self.picture.torn = true;
    }

    /// No picture follows.
    pub fn picture_over(&mut self) -> Result<Vec<Output>, CollateError> {
        if self.picture.order.is_none() && !self.picture.held.is_empty() {
            self.find_order()?;
        }
        self.order_frames()?;
        let others = self.has_begun() || self.frames.len() > 1;
        if self.passes && self.picture.torn && !self.picture.over && others {
            self.bytes -= self.frames.pop_back().map_or(0, |torn| torn.data.len());
        }
        self.picture.over = true;
        self.collect()
    }

    /// No sound follows.
    pub fn sound_over(&mut self) -> Result<Vec<Output>, CollateError> {
        self.sound.over = true;
        self.show_stills(true);
        self.collect()
    }

    /// Nothing follows at all: what is left, and the last part.
    pub fn finish(&mut self) -> Result<Vec<Output>, CollateError> {
        self.has_sound.get_or_insert(true);
        let mut outputs = self.sound_over()?;
        outputs.extend(self.picture_over()?);
        if let Some(fragmenter) = &mut self.fragmenter {
            outputs.extend(fragmenter.interrupt()?.map(Output::Part));
        }
        Ok(outputs)
    }

    /// Anything came out.
    pub fn has_begun(&self) -> bool {
        self.fragmenter.is_some()
    }

    fn find_order(&mut self) -> Result<(), CollateError> {
        let order = Order::of(&self.picture.held);
        if self.passes {
            let config = self.picture.config.as_ref();
            let b_slices = |frame: &Frame| config.is_some_and(|config| config.has_b_slices(&frame.data));
            if order.depth == 0 && self.picture.held.iter().any(b_slices) {
                return Err(CollateError::CannotPass("it does not say when its frames are shown"));
            }
        }
        self.picture.order = Some(order);
        Ok(())
    }

    /// Gives frames their times; the last one only when it is known how long it lasts.
    fn order_frames(&mut self) -> Result<(), CollateError> {
        let Some(order) = &mut self.picture.order else { return Ok(()) };
        while let Some(Frame { shown, key, data }) = self.picture.held.pop_front() {
            let decode = order.decode(shown);
            if self.passes && decode > shown {
                return Err(CollateError::CannotPass("its frames come in another order than they began with"));
            }
            // The newest in the queue waits for the next: until then it lasts as long as most do.
            if let Some(before) = self.frames.back_mut() {
                before.lasts = decode - before.decode;
                let hole = before.lasts > i64::from(TIMESCALE);
                if hole && self.passes {
                    return Err(CollateError::CannotPass("a frame is shown for too long"));
                }
                before.lasts = if hole { order.frame_ticks } else { before.lasts.max(1) };
            }
            self.bytes += data.len();
            self.frames.push_back(Ready { decode, shown, lasts: order.frame_ticks, key, data });
        }
        Ok(())
    }

    /// A still picture for each second of sound, the last as long as there is any.
    fn show_stills(&mut self, all: bool) {
        let (Some(still), Some(first)) = (&mut self.still, self.sound.first) else { return };
        let second = i64::from(TIMESCALE);
        loop {
            let at = first + still.shown as i64 * second;
            let left = self.sound.end - at;
            if left <= 0 || (left < second && !all) {
                break;
            }
            let data = still.pictures[still.shown % still.pictures.len()].clone();
            still.shown += 1;
            self.frames.push_back(Ready { decode: at, shown: at, lasts: left.min(second), key: true, data });
        }
        self.picture.over |= all;
    }

    /// Lets go what has its sound, and what has waited for it long enough.
    fn collect(&mut self) -> Result<Vec<Output>, CollateError> {
        let mut outputs = Vec::new();
        while self.may_go() {
            if self.fragmenter.is_none() {
                outputs.push(self.begin()?);
            }
            let (Some(ready), Some(fragmenter)) = (self.frames.pop_front(), &mut self.fragmenter) else { break };
            self.bytes = self.bytes.saturating_sub(ready.data.len());
            let until = ready.decode + ready.lasts + i64::from(TIMESCALE);
            while let Some((at, data)) = self.sound.waiting.pop_front_if(|(at, _)| *at < until) {
                let Some(config) = &fragmenter.tracks().audio else { continue };
                if at + self.shift >= 0 {
                    let start = samples_of_ticks((at + self.shift) as u64, config.rate);
                    fragmenter.audio(AudioFrame { start, data });
                }
            }
            let frame = VideoFrame {
                decode: (ready.decode + self.shift).max(0) as u64,
                composition: (ready.shown - ready.decode).clamp(0, i64::from(i32::MAX)) as i32,
                expected: ready.lasts.clamp(1, i64::from(TIMESCALE)) as u32,
                key: ready.key,
                data: ready.data,
            };
            outputs.extend(fragmenter.video(frame)?.into_iter().map(Output::Part));
        }
        Ok(outputs)
    }

    fn may_go(&self) -> bool {
        let (Some(has_sound), Some(next)) = (self.has_sound, self.frames.front()) else { return false };
        // How long the newest lasts is told by the next.
        if self.frames.len() < 2 && !self.picture.over {
            return false;
        }
        let full = self.frames.len() > MOST_FRAMES || self.bytes > MOST_BYTES;
        let known = !has_sound || self.sound.config.is_some();
        full || self.sound.over || (known && self.sound.end >= next.decode + next.lasts)
    }

    fn begin(&mut self) -> Result<Output, CollateError> {
        let video = self.picture.config.clone().ok_or(MediaError::Video("it is not known how to decode it"))?;
        if let (Some(first), Some(sound), None) = (self.frames.front_mut(), self.sound.first, self.had) {
            // A picture that begins after the sound is shown from there on.
            let late = first.shown - sound;
            if late > first.lasts {
                (first.decode, first.shown, first.lasts) = (first.decode - late, sound, first.lasts + late);
            }
            if first.lasts > i64::from(TIMESCALE) && self.passes {
                return Err(CollateError::CannotPass("its picture begins after its sound"));
            }
        }
        let first = self.had.map(|(first, _)| first).or(self.frames.front().map(|frame| frame.decode)).unwrap_or(0);
        self.shift = LEAD - first;
        let frame_rate_milli = match (&self.still, &self.picture.order) {
            (Some(_), _) => 1000,
            (None, Some(order)) => order.rate_milli,
            (None, None) => 0,
        };
        let tracks = Tracks {
            video,
            audio: self.sound.config.clone(),
            part_target: fragment::part_target(PART_MS, frame_rate_milli),
            frame_rate_milli,
        };
        let fragmenter = self.fragmenter.insert(Fragmenter::new(0, tracks));
        Ok(Output::Init(fragmenter.init()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::h264::tests::AVCC;

    const ASC: &[u8] = &[0x11, 0x90];
    /// 25 frames a second.
    const FRAME: i64 = 3600;
    const SOUND: i64 = 1920;

    fn unit(key: bool, b: bool) -> Bytes {
        Bytes::from_static(match (key, b) {
            (true, _) => &[0, 0, 0, 2, 0x65, 0x88],
            (false, true) => &[0, 0, 0, 2, 0x01, 0x9e],
            (false, false) => &[0, 0, 0, 2, 0x41, 0x9a],
        })
    }

    fn collator(passes: bool) -> Collator {
        let mut collator = Collator::new(passes);
        collator.picture_config(Bytes::from_static(AVCC)).unwrap();
        collator.sound_config(Bytes::from_static(ASC)).unwrap();
        collator
    }

    /// Parts of a file: start and duration in ticks.
    fn parts(outputs: &[Output]) -> Vec<(u64, u32)> {
        let part = |output: &Output| match output {
            Output::Part(cut) => Some((cut.part.start, cut.part.duration)),
            Output::Init(_) => None,
        };
        outputs.iter().filter_map(part).collect()
    }

    #[test]
    fn reordered_frames_are_decoded_before_they_are_shown() {
        let mut collator = collator(true);
        let mut outputs = collator.expect(true, true).unwrap();
        // I P B B P B B …, a keyframe each 25 frames: shown in another order than they come.
        for gop in 0..4 {
            let zero = gop * 25 * FRAME;
            for n in 0..25i64 {
                let (place, b) = match n {
                    0 => (0, false),
                    n if n % 3 == 1 => (n + 2, false),
                    n => (n - 1, true),
                };
                outputs.extend(collator.picture(zero + place * FRAME, unit(n == 0, b)).unwrap());
            }
        }
        for n in 0..190 {
            outputs.extend(collator.sound(n * SOUND, Bytes::from_static(&[1])).unwrap());
        }
        outputs.extend(collator.finish().unwrap());
        assert!(matches!(&outputs[0], Output::Init(init) if init.has_audio && init.frame_rate_milli == 25_000));
        let parts = parts(&outputs);
        assert_eq!(parts.iter().map(|part| u64::from(part.1)).sum::<u64>(), 100 * FRAME as u64);
        assert!(parts.windows(2).all(|pair| pair[0].0 + u64::from(pair[0].1) == pair[1].0), "{parts:?}");
    }

    #[test]
    fn what_cannot_be_passed_on_is_told() {
        let mut late = collator(true);
        late.expect(true, true).unwrap();
        for n in 0..200 {
            late.sound(n * SOUND, Bytes::from_static(&[1])).unwrap();
        }
        let begun = (0..LOOK as i64).try_for_each(|n| late.picture((n + 50) * FRAME, unit(n == 0, false)).map(drop));
        assert!(matches!(begun, Err(CollateError::CannotPass(_))));

        let mut untold = collator(true);
        let told = (0..LOOK as i64).try_for_each(|n| untold.picture(n * FRAME, unit(n == 0, n % 2 == 1)).map(drop));
        assert!(matches!(told, Err(CollateError::CannotPass(_))), "B-frames shown as they come");

        let mut rare = collator(true);
        let told = (0..400).try_for_each(|n| rare.picture(n * FRAME, unit(n == 0, false)).map(drop));
        assert!(matches!(told, Err(CollateError::CannotPass(_))));
        assert_eq!(rare.picture(0, Bytes::from_static(&[0])), Err(CollateError::CannotPass("a picture is malformed")));
        assert_eq!(collator(false).sound(LONGEST + 1, Bytes::new()), Err(CollateError::TooLong));
    }

    #[test]
    fn a_picture_that_begins_a_little_late_is_shown_from_the_beginning() {
        let mut late = collator(true);
        let mut outputs = late.expect(true, true).unwrap();
        for n in 0..250 {
            outputs.extend(late.sound(n * SOUND, Bytes::from_static(&[1])).unwrap());
        }
        for n in 0..100 {
            outputs.extend(late.picture(45_000 + n * FRAME, unit(n % 25 == 0, false)).unwrap());
        }
        outputs.extend(late.finish().unwrap());
        let parts = parts(&outputs);
        assert_eq!(parts[0].0, LEAD as u64);
        assert_eq!(parts.iter().map(|part| u64::from(part.1)).sum::<u64>(), 45_000 + 100 * FRAME as u64);
    }

    #[test]
    fn the_last_frame_of_what_may_be_torn_is_left_out() {
        for (torn, frames) in [(false, 100), (true, 99)] {
            let mut collator = collator(true);
            if torn {
                collator.may_be_torn();
            }
            let mut outputs = collator.expect(true, false).unwrap();
            for n in 0..100 {
                outputs.extend(collator.picture(n * FRAME, unit(n % 25 == 0, false)).unwrap());
            }
            outputs.extend(collator.finish().unwrap());
            outputs.extend(collator.finish().unwrap());
            assert_eq!(parts(&outputs).iter().map(|part| u64::from(part.1)).sum::<u64>(), frames * FRAME as u64);
        }
    }

    #[test]
    fn sound_alone_is_shown_with_a_picture_for_each_second_of_it() {
        let mut collator = Collator::new(true);
        collator.show_still(Bytes::from_static(AVCC), vec![unit(true, false), unit(true, false)]).unwrap();
        let mut outputs = collator.expect(false, true).unwrap();
        collator.sound_config(Bytes::from_static(ASC)).unwrap();
        for n in 0..150 {
            outputs.extend(collator.sound(n * SOUND, Bytes::from_static(&[1])).unwrap());
        }
        outputs.extend(collator.finish().unwrap());
        // 3.2 s.
        assert_eq!(parts(&outputs), [(90_000, 90_000), (180_000, 90_000), (270_000, 90_000), (360_000, 18_000)]);
    }

    #[test]
    fn a_single_frame_and_none_are_survived() {
        let mut one = collator(false);
        one.expect(true, false).unwrap();
        one.picture(0, unit(true, false)).unwrap();
        assert_eq!(parts(&one.finish().unwrap()).len(), 1);
        assert_eq!(collator(true).finish().unwrap(), []);
    }
}

//! A recorded segment taken apart into its frames, and put together again with other pictures of the same frames: how smaller
//! renditions are made of what was recorded. Pure.
//!
//! What is made has the parts, times and sound of what it is made of, to the tick; so all renditions are in step whatever the
//! frames' rate. Pictures come out of a decoder in the order of showing, and go into the new rendition in that order: the first to be
//! shown takes the place of the first to be decoded, which is never later.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use mp4_atom::{Decode, Moof, Traf};

use super::MediaError;
use super::mp4::{self, AUDIO_TRACK, Run, Sample, VIDEO_TRACK};
use crate::base::clock::TIMESCALE;

/// Keyframes of the recording are kept where they are no closer, ticks.
const KEYFRAMES: u64 = TIMESCALE as u64;

const BAD: MediaError = MediaError::Video("a fragment is malformed");

/// One encoded frame of a recording, in decode order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 90 kHz ticks.
    pub decode: u64,
    pub shown: u64,
    /// Its picture begins a group of pictures in what is made, too.
    pub key: bool,
    pub data: Bytes,
}

/// A segment without its pictures.
#[derive(Debug)]
pub struct Outline {
    /// Media sequence number.
    pub msn: u64,
    parts: Vec<PartOutline>,
}

#[derive(Debug)]
struct PartOutline {
    sequence: u32,
    /// Of the first frame, ticks.
    decode: u64,
    /// Of each frame, ticks.
    durations: Vec<u32>,
    sound: Vec<Run>,
}

/// Takes segments apart, one after the other.
#[derive(Debug, Default)]
pub struct Apart {
    last_key: Option<u64>,
}

impl Apart {
    /// The frames of one segment, whole fragments as [`mp4::chunk`] writes them, and what is left without them.
    ///
    /// # Errors
    /// [`MediaError`] if it is none of ours.
    pub fn segment(&mut self, msn: u64, media: &Bytes) -> Result<(Outline, Vec<Frame>), MediaError> {
        let (mut parts, mut frames) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < media.len() {
            let moof = Moof::decode(&mut &media[at..])?;
            let size = mp4::box_size(&media[at..], b"moof").ok_or(BAD)?;
            let length = size + mp4::box_size(&media[at + size..], b"mdat").ok_or(BAD)?;
            let fragment = media.slice(at..at + length);
            let mut part = PartOutline {
                sequence: moof.mfhd.sequence_number,
                decode: 0,
                durations: Vec::new(),
                sound: Vec::new(),
            };
            for traf in &moof.traf {
                let decode_time = traf.tfdt.as_ref().ok_or(BAD)?.base_media_decode_time;
                let samples = samples(traf, &fragment)?;
                match traf.tfhd.track_id {
                    VIDEO_TRACK => {
                        part.decode = decode_time;
                        part.durations = samples.iter().map(|sample| sample.duration).collect();
                        self.add_frames(&mut frames, decode_time, samples);
                    }
                    AUDIO_TRACK => part.sound.push(Run { track: AUDIO_TRACK, decode_time, samples }),
                    _ => return Err(BAD),
                }
            }
            if part.durations.is_empty() {
                return Err(BAD);
            }
            parts.push(part);
            at += length;
        }
        if frames.is_empty() { Err(BAD) } else { Ok((Outline { msn, parts }, frames)) }
    }

    fn add_frames(&mut self, frames: &mut Vec<Frame>, decode_time: u64, samples: Vec<Sample>) {
        let mut decode = decode_time;
        for sample in samples {
            let far = self.last_key.is_none_or(|last| decode.saturating_sub(last) >= KEYFRAMES);
            let key = frames.is_empty() || (sample.sync && far);
            if key {
                self.last_key = Some(decode);
            }
            let shown = decode.saturating_add_signed(i64::from(sample.composition));
            frames.push(Frame { decode, shown, key, data: sample.data });
            decode += u64::from(sample.duration);
        }
    }
}

impl Outline {
    fn frames(&self) -> usize {
        self.parts.iter().map(|part| part.durations.len()).sum()
    }
}

fn samples(traf: &Traf, fragment: &Bytes) -> Result<Vec<Sample>, MediaError> {
    let mut samples = Vec::new();
    for run in &traf.trun {
        let mut place = usize::try_from(run.data_offset.ok_or(BAD)?).map_err(|_| BAD)?;
        for entry in &run.samples {
            let size = entry.size.or(traf.tfhd.default_sample_size).ok_or(BAD)? as usize;
            let end = place.checked_add(size).filter(|end| *end <= fragment.len()).ok_or(BAD)?;
            samples.push(Sample {
                duration: entry.duration.or(traf.tfhd.default_sample_duration).ok_or(BAD)?,
                composition: entry.cts.unwrap_or(0).try_into().map_err(|_| BAD)?,
                // ISO/IEC 14496-12, 8.8.3.1: sample_is_non_sync_sample.
                sync: entry.flags.is_some_and(|flags| flags & 0x0001_0000 == 0),
                data: fragment.slice(place..end),
            });
            place = end;
        }
    }
    Ok(samples)
}

/// When pictures are to be shown, whatever of them a decoder makes: each frame has one, and no other is shown.
#[derive(Debug, Default)]
pub struct Showing {
    expected: BinaryHeap<Reverse<u64>>,
    /// Pictures that begin a group, as a count of all pictures before.
    keys: VecDeque<u64>,
    came: u64,
    shown: u64,
    last: Option<u64>,
}

/// When a picture is shown, in ticks, and whether it begins a group of pictures.
pub type Shown = (u64, bool);

impl Showing {
    /// A frame is on its way through the decoder.
    pub fn expect(&mut self, frame: &Frame) {
        if frame.key {
            self.keys.push_back(self.came);
        }
        self.came += 1;
        self.expected.push(Reverse(frame.shown));
    }

    /// A picture has come that is to be shown at `time`: when it is, with those before it that have not come; not at all if
    /// nobody expects it.
    pub fn came(&mut self, time: u64) -> Vec<Shown> {
        if self.expected.iter().any(|expected| expected.0 == time) { self.until(time) } else { Vec::new() }
    }

    /// No picture comes any more.
    pub fn rest(&mut self) -> Vec<Shown> {
        self.until(u64::MAX)
    }

    fn until(&mut self, time: u64) -> Vec<Shown> {
        let mut due = Vec::new();
        while self.expected.peek().is_some_and(|expected| expected.0 <= time) {
            let Some(Reverse(at)) = self.expected.pop() else { break };
            // No encoder takes two pictures of one instant.
            let at = self.last.map_or(at, |last| at.max(last + 1));
            let key = self.keys.pop_front_if(|key| *key == self.shown).is_some();
            self.shown += 1;
            self.last = Some(at);
            due.push((at, key));
        }
        due
    }
}

/// A picture as it comes out of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Ticks.
    pub shown: u64,
    pub key: bool,
    pub data: Bytes,
}

/// Puts one rendition together.
#[derive(Debug, Default)]
pub struct Together {
    outlines: VecDeque<Arc<Outline>>,
    pictures: VecDeque<Picture>,
}

impl Together {
    /// The next segment is to be made like this.
    pub fn expect(&mut self, outline: Arc<Outline>) {
        self.outlines.push_back(outline);
    }

    /// Takes the next picture; gives a segment that it completes, by its number: its parts.
    ///
    /// # Errors
    /// [`MediaError`] if a segment would not begin with a keyframe, or cannot be written.
    pub fn picture(&mut self, picture: Picture) -> Result<Option<(u64, Vec<Bytes>)>, MediaError> {
        let outline = self.outlines.front().ok_or(MediaError::Video("a picture too many"))?;
        if self.pictures.is_empty() && !picture.key {
            return Err(MediaError::Video("a segment does not begin with a keyframe"));
        }
        self.pictures.push_back(picture);
        if self.pictures.len() < outline.frames() {
            return Ok(None);
        }
        let Some(outline) = self.outlines.pop_front() else { return Ok(None) };
        let parts = outline.parts.iter().map(|part| self.part(part)).collect::<Result<_, _>>()?;
        Ok(Some((outline.msn, parts)))
    }

    /// Everything that is expected has come.
    pub fn is_complete(&self) -> bool {
        self.outlines.is_empty() && self.pictures.is_empty()
    }

    fn part(&mut self, outline: &PartOutline) -> Result<Bytes, MediaError> {
        let mut decode = outline.decode;
        let mut samples = Vec::with_capacity(outline.durations.len());
        for (duration, picture) in outline.durations.iter().zip(self.pictures.drain(..outline.durations.len())) {
            let composition = picture.shown as i64 - decode as i64;
            samples.push(Sample {
                duration: *duration,
                composition: i32::try_from(composition).map_err(|_| BAD)?,
                sync: picture.key,
                data: picture.data,
            });
            decode += u64::from(*duration);
        }
        let picture = Run { track: VIDEO_TRACK, decode_time: outline.decode, samples };
        let runs: Vec<_> = std::iter::once(picture).chain(outline.sound.iter().cloned()).collect();
        mp4::chunk(outline.sequence, &runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sound;

    /// Two parts of three frames each, irregular, the second frame shown last; and sound.
    fn segment(start: u64, sync: bool) -> Bytes {
        let frame =
            |duration, composition, sync| Sample { duration, composition, sync, data: Bytes::from_static(b"abc") };
        let sound = |at| Run {
            track: AUDIO_TRACK,
            decode_time: at,
            samples: vec![Sample { duration: 1024, composition: 0, sync: true, data: Bytes::from_static(b"la") }],
        };
        let first = [frame(3000, 3000, sync), frame(1000, 9000, false), frame(5000, 2000, false)];
        let second = [frame(3000, 3000, false), frame(3000, 3000, false), frame(3000, 3000, false)];
        let run = |start, samples: &[Sample]| Run { track: VIDEO_TRACK, decode_time: start, samples: samples.to_vec() };
        let parts = [
            mp4::chunk(7, &[run(start, &first), sound(start)]).unwrap(),
            mp4::chunk(8, &[run(start + 9000, &second), sound(start + 9000)]).unwrap(),
        ];
        parts.concat().into()
    }

    #[test]
    fn what_is_put_together_has_the_times_and_the_sound_of_what_was_taken_apart() {
        let media = segment(90_000, true);
        let (outline, frames) = Apart::default().segment(3, &media).unwrap();
        assert_eq!(
            frames.iter().map(|frame| frame.shown).collect::<Vec<_>>(),
            [93_000, 102_000, 96_000, 102_000, 105_000, 108_000]
        );
        let (mut showing, mut together) = (Showing::default(), Together::default());
        frames.iter().for_each(|frame| showing.expect(frame));
        together.expect(Arc::new(outline));
        // The third does not come, a stranger does, the last two neither.
        let mut shown = showing.came(93_000);
        assert!(showing.came(94_000).is_empty());
        shown.extend(showing.came(102_000));
        shown.extend(showing.came(105_000));
        shown.extend(showing.rest());
        let times: Vec<_> = shown.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [93_000, 96_000, 102_000, 102_001, 105_000, 108_000]);
        assert_eq!(shown.iter().map(|(_, key)| *key).collect::<Vec<_>>(), [true, false, false, false, false, false]);
        let mut made = None;
        for (at, key) in shown {
            made = together.picture(Picture { shown: at, key, data: Bytes::from_static(b"smaller") }).unwrap();
        }
        let (msn, parts) = made.unwrap();
        let made = Bytes::from(parts.concat());
        assert!(together.is_complete());
        assert_eq!((msn, parts.len()), (3, 2));
        assert_eq!(sound::media(&made).unwrap(), sound::media(&media).unwrap(), "the very bytes");
        let (_, again) = Apart::default().segment(3, &made).unwrap();
        assert_eq!(
            again.iter().map(|frame| frame.decode).collect::<Vec<_>>(),
            [90_000, 93_000, 94_000, 99_000, 102_000, 105_000]
        );
        assert_eq!(again.iter().map(|frame| frame.shown).collect::<Vec<_>>(), times);
    }

    #[test]
    fn each_segment_begins_a_group_of_pictures_and_far_keyframes_do() {
        let mut apart = Apart::default();
        let keys = |apart: &mut Apart, start, sync| {
            let (_, frames) = apart.segment(0, &segment(start, sync)).unwrap();
            frames.iter().filter(|frame| frame.key).count()
        };
        assert_eq!([keys(&mut apart, 0, true), keys(&mut apart, 18_000, false)], [1, 1]);
        let mut together = Together::default();
        let (outline, _) = apart.segment(0, &segment(0, true)).unwrap();
        together.expect(Arc::new(outline));
        let picture = Picture { shown: 0, key: false, data: Bytes::new() };
        assert!(together.picture(picture).is_err(), "no keyframe");
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let media = segment(0, true);
        for length in 1..media.len() {
            // Where the first part ends, a whole one is left.
            let cut = Apart::default().segment(0, &media.slice(..length));
            assert!(cut.is_err() || cut.is_ok_and(|(outline, _)| outline.parts.len() == 1), "{length}");
        }
    }
}

//! A progressive MP4 (ISO 14496-12) over fragments that stay as they are: a `moov` with full sample tables whose chunk
//! offsets point into the recorded bytes, which all stand in one `mdat`, `moof` boxes and all. Nothing is copied; any
//! player can open it and seek. Reading the bytes is `library::download`'s.

use mp4_atom::{
    Atom, Co64, Codec, Ctts, CttsEntry, Decode, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Moof, Moov, Stbl,
};
use mp4_atom::{Stsc, StscEntry, Stss, Stsz, StszSamples, Stts, SttsEntry, Trak};

use crate::base::clock::TIMESCALE;

/// A sample whose flags have this bit is not a sync sample (ISO 14496-12 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// A pause between two fragments of one unbroken range that is longer than this is not a pause but an error, seconds.
const LONGEST_HOLD: u64 = 60;

/// Bytes before the media in an `mdat` with a 64-bit length.
const MDAT_HEADER: u64 = 16;

#[derive(Debug, thiserror::Error)]
pub enum ProgressiveError {
    #[error("a box cannot be read: {0}")]
    Box(#[from] mp4_atom::Error),
    #[error("a fragment names an init that does not exist")]
    NoInit,
    #[error("a fragment's offsets point outside of it")]
    BadOffset,
}

/// Collects fragments in order, then writes the head of the file.
pub struct Progressive {
    inits: Vec<Moov>,
    tracks: Vec<Track>,
    /// Bytes of fragments so far: the next one's place in the `mdat`.
    length: u64,
    /// Seconds of video before the current unbroken range, as a fraction of ticks.
    range_start: f64,
    /// First video decode time of the current range, seconds.
    range_origin: Option<f64>,
}

/// One track of the output.
struct Track {
    handler: FourCC,
    /// The first init's description; its sample table is replaced.
    template: Trak,
    codecs: Vec<Codec>,
    timescale: u64,
    samples: Vec<Sample>,
    chunks: Vec<Chunk>,
    /// Decode time at which the next fragment of this range must start, in this timescale.
    expected: Option<u64>,
    /// Output time of the first sample, seconds.
    start: f64,
    /// Sum of the samples' durations.
    duration: u64,
}

/// Where a fragment's samples belong.
struct Place {
    init: u32,
    track: usize,
    /// The fragment's own, ticks a second.
    timescale: u64,
    /// Of the fragment among all bytes, and its whole length.
    offset: u64,
    length: u64,
}

struct Sample {
    size: u32,
    duration: u32,
    composition: i32,
    sync: bool,
}

struct Chunk {
    offset: u64,
    samples: u32,
    description: u32,
}

impl Progressive {
    /// `inits` are initialisation sections in the order of their numbers.
    pub fn new<'a>(inits: impl IntoIterator<Item = &'a [u8]>) -> Result<Progressive, ProgressiveError> {
        let inits = inits.into_iter().map(moov_of).collect::<Result<Vec<_>, _>>()?;
        Ok(Progressive { inits, tracks: Vec::new(), length: 0, range_start: 0.0, range_origin: None })
    }

    /// The media before and after this point do not belong together: times start anew.
    pub fn break_range(&mut self) {
        if let Some(video) = self.tracks.iter().find(|track| track.is_video()) {
            self.range_start = video.end();
        }
        self.range_origin = None;
        for track in &mut self.tracks {
            track.expected = None;
        }
    }

    /// Adds the fragment whose `moof` this is. `offset` is the fragment's place among all bytes added so far and to come,
    /// `length` its whole length.
    pub fn fragment(&mut self, init: u32, moof: &[u8], offset: u64, length: u64) -> Result<(), ProgressiveError> {
        let mut bytes = moof;
        let moof = Moof::decode(&mut bytes)?;
        self.length = self.length.max(offset + length);
        // Video sets the origin of a range, so it must be looked at first.
        let mut parts = Vec::new();
        for traf in &moof.traf {
            let (track, timescale) = self.track_for(init, traf.tfhd.track_id)?;
            parts.push((!self.tracks[track].is_video(), track, timescale, traf));
        }
        parts.sort_by_key(|(after, ..)| *after);
        for (_, track, timescale, traf) in parts {
            let place = Place { init, track, timescale, offset, length };
            self.add(&place, traf)?;
        }
        Ok(())
    }

    /// `ftyp`, `moov` and the header of the `mdat` that the fragments' bytes follow.
    pub fn head(&self) -> Result<Vec<u8>, ProgressiveError> {
        let mut ftyp = Vec::new();
        let brand = FourCC::new;
        Ftyp {
            major_brand: brand(b"isom"),
            minor_version: 512,
            compatible_brands: vec![brand(b"isom"), brand(b"iso2"), brand(b"avc1"), brand(b"mp41")],
        }
        .encode(&mut ftyp)?;
        // Offsets have a fixed width, so the length of the head does not depend on their values.
        let length = ftyp.len() as u64 + self.moov(0)?.len() as u64 + MDAT_HEADER;
        let mut head = ftyp;
        head.extend(self.moov(length)?);
        head.extend(1u32.to_be_bytes());
        head.extend(b"mdat");
        head.extend((self.length + MDAT_HEADER).to_be_bytes());
        Ok(head)
    }

    fn add(&mut self, place: &Place, traf: &mp4_atom::Traf) -> Result<(), ProgressiveError> {
        let decode_time = traf.tfdt.as_ref().map_or(0, |tfdt| tfdt.base_media_decode_time);
        let track = &mut self.tracks[place.track];
        // A later init may count its sound at another rate.
        let (own, its) = (u128::from(place.timescale), u128::from(track.timescale));
        let in_track = |time: u64| (u128::from(time) * its / own) as u64;
        let seconds = decode_time as f64 / place.timescale as f64;
        let origin = *self.range_origin.get_or_insert(seconds);
        let begin = in_track(decode_time);
        match track.expected {
            Some(expected) => track.hold_last(begin.saturating_sub(expected)),
            None => track.align(self.range_start + seconds - origin),
        }
        let mut next = decode_time;
        let mut end = begin;
        for run in &traf.trun {
            let mut at = run.data_offset.map_or(0, i64::from);
            let first = u64::try_from(at).map_err(|_| ProgressiveError::BadOffset)?;
            let count = run.samples.len() as u32;
            for sample in &run.samples {
                let size = sample.size.or(traf.tfhd.default_sample_size).unwrap_or(0);
                next += u64::from(sample.duration.or(traf.tfhd.default_sample_duration).unwrap_or(0));
                let duration = in_track(next) - end;
                end += duration;
                let flags = sample.flags.or(traf.tfhd.default_sample_flags).unwrap_or(0);
                track.samples.push(Sample {
                    size,
                    duration: duration as u32,
                    composition: sample.cts.unwrap_or(0) as i32,
                    sync: flags & NON_SYNC == 0,
                });
                track.duration += duration;
                at += i64::from(size);
            }
            if at as u64 > place.length {
                return Err(ProgressiveError::BadOffset);
            }
            if count > 0 {
                let chunk = Chunk { offset: place.offset + first, samples: count, description: place.init };
                track.chunks.push(chunk);
            }
        }
        track.expected = Some(end);
        Ok(())
    }

    /// The output track for a fragment's track, made at its first appearance, and the fragment's own timescale.
    fn track_for(&mut self, init: u32, track_id: u32) -> Result<(usize, u64), ProgressiveError> {
        let moov = self.inits.get(init as usize).ok_or(ProgressiveError::NoInit)?;
        let trak = moov.trak.iter().find(|trak| trak.tkhd.track_id == track_id).ok_or(ProgressiveError::NoInit)?;
        let handler = trak.mdia.hdlr.handler;
        let timescale = u64::from(trak.mdia.mdhd.timescale.max(1));
        if let Some(known) = self.tracks.iter().position(|track| track.handler == handler) {
            return Ok((known, timescale));
        }
        // A sample description for each init, so that a description's index is the init's number plus one.
        let codecs = self.inits.iter().filter_map(|moov| {
            let same = moov.trak.iter().find(|trak| trak.mdia.hdlr.handler == handler).unwrap_or(trak);
            same.mdia.minf.stbl.stsd.codecs.first().cloned()
        });
        self.tracks.push(Track {
            handler,
            template: trak.clone(),
            codecs: codecs.collect(),
            timescale,
            samples: Vec::new(),
            chunks: Vec::new(),
            expected: None,
            start: 0.0,
            duration: 0,
        });
        Ok((self.tracks.len() - 1, timescale))
    }

    fn moov(&self, base: u64) -> Result<Vec<u8>, ProgressiveError> {
        let mut moov = self.inits.first().ok_or(ProgressiveError::NoInit)?.clone();
        moov.mvex = None;
        moov.mvhd.timescale = TIMESCALE;
        // All begins when the first picture is shown, which is later than it is decoded where they are reordered.
        let zero = self.tracks.iter().find(|track| track.is_video()).map_or(0.0, Track::first_shown);
        moov.trak = (1..).zip(&self.tracks).map(|(id, track)| track.trak(id, base, zero)).collect();
        moov.mvhd.duration = moov.trak.iter().map(|trak| trak.tkhd.duration).max().unwrap_or(0);
        moov.mvhd.next_track_id = self.tracks.len() as u32 + 1;
        let mut bytes = Vec::new();
        moov.encode(&mut bytes)?;
        Ok(bytes)
    }
}

impl Track {
    fn is_video(&self) -> bool {
        self.handler == FourCC::new(b"vide")
    }

    /// Output time at which the first sample is shown, seconds.
    fn first_shown(&self) -> f64 {
        let composition = self.samples.first().map_or(0, |sample| sample.composition.max(0));
        self.start + f64::from(composition) / self.timescale as f64
    }

    /// Output time at which the last sample ends, seconds.
    fn end(&self) -> f64 {
        self.start + self.duration as f64 / self.timescale as f64
    }

    /// The last sample lasts until the next fragment of the same range begins.
    fn hold_last(&mut self, pause: u64) {
        if pause > LONGEST_HOLD * self.timescale {
            return;
        }
        if let Some(last) = self.samples.last_mut() {
            last.duration += pause as u32;
            self.duration += pause;
        }
    }

    /// A range begins at `at` seconds of the output: the sample before is stretched or shortened to end there.
    fn align(&mut self, at: f64) {
        let Some(last) = self.samples.last_mut() else {
            self.start = at;
            return;
        };
        let wanted = ((at - self.start) * self.timescale as f64).round() as i64;
        // Not to nothing: two samples at one time are an error to readers.
        let duration = (i64::from(last.duration) + wanted - self.duration as i64).clamp(1, i64::from(u32::MAX));
        self.duration = self.duration - u64::from(last.duration) + duration as u64;
        last.duration = duration as u32;
    }

    /// Its times are those of the output less `zero` seconds.
    fn trak(&self, id: u32, base: u64, zero: f64) -> Trak {
        let mut trak = self.template.clone();
        let movie_ticks = |seconds: f64| (seconds * f64::from(TIMESCALE)).round().max(0.0) as u64;
        let played = movie_ticks(self.duration as f64 / self.timescale as f64);
        trak.tkhd.track_id = id;
        trak.mdia.mdhd.duration = self.duration;
        trak.mdia.minf.stbl = self.sample_table(base);

        let mut entries = Vec::new();
        let start = self.start - zero;
        let late = movie_ticks(start);
        if late > 0 {
            entries.push(ElstEntry { segment_duration: late, media_time: None, media_rate: 1i16.into() });
        }
        // What comes before is cut.
        let media_time = Some((-start.min(0.0) * self.timescale as f64).round() as u64);
        entries.push(ElstEntry { segment_duration: played, media_time, media_rate: 1i16.into() });
        trak.tkhd.duration = late + played;
        trak.edts = Some(Edts { elst: Some(Elst { entries }) });
        trak
    }

    fn sample_table(&self, base: u64) -> Stbl {
        let stts = run_lengths(self.samples.iter().map(|sample| sample.duration));
        let ctts = self.samples.iter().any(|sample| sample.composition != 0).then(|| Ctts {
            entries: run_lengths(self.samples.iter().map(|sample| i64::from(sample.composition)))
                .map(|(sample_count, sample_offset)| CttsEntry { sample_count, sample_offset })
                .collect(),
        });
        let every_sync = self.samples.iter().all(|sample| sample.sync);
        let sync = |(number, sample): (u32, &Sample)| sample.sync.then_some(number);
        Stbl {
            stsd: mp4_atom::Stsd { codecs: self.codecs.clone() },
            stts: Stts {
                entries: stts.map(|(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta }).collect(),
            },
            ctts,
            stss: (!every_sync).then(|| Stss { entries: (1..).zip(&self.samples).filter_map(sync).collect() }),
            stsc: Stsc { entries: self.chunk_runs() },
            stsz: Stsz {
                samples: StszSamples::Different { sizes: self.samples.iter().map(|sample| sample.size).collect() },
            },
            co64: Some(Co64 { entries: self.chunks.iter().map(|chunk| base + chunk.offset).collect() }),
            ..Stbl::default()
        }
    }

    fn chunk_runs(&self) -> Vec<StscEntry> {
        let mut runs: Vec<StscEntry> = Vec::new();
        for (first_chunk, chunk) in (1..).zip(&self.chunks) {
            let entry = StscEntry {
                first_chunk,
                samples_per_chunk: chunk.samples,
                sample_description_index: chunk.description + 1,
            };
            let same = runs.last().is_some_and(|last| {
                last.samples_per_chunk == entry.samples_per_chunk
                    && last.sample_description_index == entry.sample_description_index
            });
            if !same {
                runs.push(entry);
            }
        }
        runs
    }
}

/// Equal values in a row, counted.
fn run_lengths<T: PartialEq + Copy>(values: impl Iterator<Item = T>) -> impl Iterator<Item = (u32, T)> {
    let mut runs: Vec<(u32, T)> = Vec::new();
    for value in values {
        match runs.last_mut() {
            Some((count, last)) if *last == value => *count += 1,
            _ => runs.push((1, value)),
        }
    }
    runs.into_iter()
}

/// The `moov` of an initialisation section.
fn moov_of(mut init: &[u8]) -> Result<Moov, ProgressiveError> {
    while !init.is_empty() {
        let mut rest = init;
        let header = mp4_atom::Header::decode(&mut rest)?;
        if header.kind == Moov::KIND {
            return Ok(Moov::decode(&mut init)?);
        }
        let body = header.size.unwrap_or(rest.len());
        init = rest.get(body..).ok_or(ProgressiveError::BadOffset)?;
    }
    Err(ProgressiveError::NoInit)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::aac::AudioConfig;
    use crate::media::fragment::{AudioFrame, Fragmenter, Tracks, VideoFrame};
    use crate::media::h264::VideoConfig;
    use crate::media::h264::tests::AVCC;

    /// Two seconds of picture and sound from a running time of so many seconds on: the init and the parts.
    fn two_seconds(from: u64, specific: &'static [u8]) -> (Bytes, Vec<Bytes>) {
        let audio = AudioConfig::parse(Bytes::from_static(specific)).unwrap();
        let (rate, data) = (u64::from(audio.rate), Bytes::from_static(&[0; 16]));
        let video = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        let tracks = Tracks { video, audio: Some(audio), part_target: 18_000, frame_rate_milli: 30_000 };
        let mut fragmenter = Fragmenter::new(0, tracks);
        let init = fragmenter.init().unwrap().bytes;
        for start in (from * rate..(from + 2) * rate).step_by(1024) {
            fragmenter.audio(AudioFrame { start, data: data.clone() });
        }
        let frame = |n: u64| VideoFrame {
            decode: (from * 30 + n) * 3000,
            composition: 0,
            expected: 3000,
            key: n == 0,
            data: data.clone(),
        };
        let cuts = (0..60).flat_map(|n| fragmenter.video(frame(n)).unwrap());
        (init, cuts.map(|cut| cut.part.bytes).collect())
    }

    /// An encoder that comes back with sound at another rate, a day after the box was started.
    #[test]
    fn sound_at_another_rate_stays_with_its_picture() {
        let (before, first) = two_seconds(86_400, &[0x12, 0x10]); // 44.1 kHz
        let (after, second) = two_seconds(86_500, &[0x11, 0x90]); // 48 kHz
        let mut file = Progressive::new([&before[..], &after[..]]).unwrap();
        let mut offset = 0;
        for (init, parts) in [(0, first), (1, second)] {
            for part in parts {
                file.fragment(init, &part, offset, part.len() as u64).unwrap();
                offset += part.len() as u64;
            }
            file.break_range();
        }
        let moov = moov_of(&file.head().unwrap()).unwrap();
        assert_eq!(moov.trak[1].mdia.mdhd.timescale, 44_100);
        for trak in &moov.trak {
            let lasts = trak.mdia.mdhd.duration as f64 / f64::from(trak.mdia.mdhd.timescale);
            assert!((lasts - 4.0).abs() < 0.05, "{lasts} s");
            let shown = trak.tkhd.duration as f64 / f64::from(TIMESCALE);
            assert!((shown - 4.0).abs() < 0.05, "{shown} s");
        }
    }
}

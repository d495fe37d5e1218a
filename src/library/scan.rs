//! Reading a reel box by box, without its index: what a power cut left behind the last row, or everything when the index is
//! to be made again. Nothing is changed here.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::note::{self, About, Begin, Note};
use crate::media::mp4::{self, Fragment};
use crate::media::window::Segment;
use crate::store::media::{IndexedSegment, Location};

/// No init is longer, bytes.
const LONGEST_INIT: u32 = 1 << 20;
/// No fragment is longer, bytes: the frame in which it came from the worker was not.
const LONGEST_FRAGMENT: u64 = crate::media::protocol::MAX_FRAME as u64;

/// Bytes that are searched for a note at once.
const WINDOW: u64 = 1 << 20;

/// What a reel holds.
#[derive(Debug)]
pub struct Scan {
    /// None for a file that is no reel of ours.
    pub about: Option<About>,
    pub init: Bytes,
    pub segments: Vec<Found>,
    /// Up to here everything is understood and whole.
    pub whole: u64,
    /// The file's length.
    pub length: u64,
    /// What lies behind `whole` is more than the torn end of a write.
    pub strange: bool,
    /// What was stepped over.
    pub damage: Vec<Range<u64>>,
}

#[derive(Debug)]
pub struct Found {
    /// `segment.cut` where the end is missing.
    pub row: IndexedSegment,
    /// Its checksum is the one that was noted.
    pub sound: bool,
}

/// Reads a reel's head, then what lies from byte `from` on; from the first segment, with 0. What is not understood is stepped over,
/// up to the next note; where none follows, it stops.
pub fn scan(file: &File, reel_id: &str, from: u64) -> io::Result<Scan> {
    read(file, reel_id, from, false)
}

/// Reads a whole reel; what is not understood is stepped over, up to the next note or the file's end.
pub fn salvage(file: &File, reel_id: &str) -> io::Result<Scan> {
    read(file, reel_id, 0, true)
}

fn read(file: &File, reel_id: &str, from: u64, to_the_end: bool) -> io::Result<Scan> {
    let length = file.metadata()?.len();
    let mut scan = Scan {
        about: None,
        init: Bytes::new(),
        segments: Vec::new(),
        whole: 0,
        length,
        strange: length > 0,
        damage: Vec::new(),
    };
    let Some((about, init, end)) = head(file, length)? else { return Ok(scan) };
    (scan.whole, scan.strange) = (end.max(from), false);
    let reader = Reader { file, length, nal_length: mp4::nal_length_size(&init) };
    let number = about.init;
    (scan.about, scan.init) = (Some(about), init);
    let mut open: Option<Open> = None;
    while scan.whole < length {
        let step = reader.next(scan.whole)?;
        match step {
            Step::Note(Note::Begin(begin), end) => {
                scan.segments.extend(open.take().and_then(|open| open.close(reel_id, number, None)));
                open = Some(Open::new(begin, end));
                scan.whole = end;
            }
            Step::Note(Note::End(noted), end) => {
                scan.segments.extend(open.take().and_then(|open| open.close(reel_id, number, Some(noted))));
                scan.whole = end;
            }
            Step::Fragment(bytes, fragment) if open.is_some() => {
                scan.whole += bytes.len() as u64;
                if let Some(open) = &mut open {
                    open.add(&bytes, fragment);
                }
            }
            // A segment of which something is missing in the middle cannot be played: it ends here, and the next note tells
            // of the next one.
            step => {
                scan.segments.extend(open.take().and_then(|open| open.close(reel_id, number, None)));
                let next = reader.next_note(scan.whole + 1)?;
                if next == length && !to_the_end {
                    scan.strange = !matches!(step, Step::Torn);
                    break;
                }
                scan.damage.push(scan.whole..next);
                scan.whole = next;
            }
        }
    }
    scan.segments.extend(open.and_then(|open| open.close(reel_id, number, None)));
    Ok(scan)
}

/// The note and the init in front, and where they end.
fn head(file: &File, length: u64) -> io::Result<Option<(About, Bytes, u64)>> {
    let reader = Reader { file, length, nal_length: 4 };
    let Step::Note(Note::Reel(about), end) = reader.next(0)? else { return Ok(None) };
    if about.init_length > LONGEST_INIT || end + u64::from(about.init_length) > length {
        return Ok(None);
    }
    let mut init = vec![0; about.init_length as usize];
    file.read_exact_at(&mut init, end)?;
    let end = end + init.len() as u64;
    Ok(Some((about, Bytes::from(init), end)))
}

struct Reader<'a> {
    file: &'a File,
    length: u64,
    /// Bytes of the length before each NAL unit.
    nal_length: usize,
}

/// What stands at a place.
enum Step {
    /// And where it ends.
    Note(Note, u64),
    Fragment(Vec<u8>, Fragment),
    /// A box that the file's end cuts off.
    Torn,
    Strange,
}

impl Reader<'_> {
    fn next(&self, at: u64) -> io::Result<Step> {
        let Some((size, kind)) = self.header(at)? else { return Ok(Step::Torn) };
        match &kind {
            b"uuid" if size <= note::LONGEST as u64 => {
                let Some(bytes) = self.read(at, size)? else { return Ok(Step::Torn) };
                Ok(Note::decode(&bytes).map_or(Step::Strange, |note| Step::Note(note, at + size)))
            }
            b"moof" if size <= LONGEST_FRAGMENT => {
                let Some((media, kind)) = self.header(at + size)? else { return Ok(Step::Torn) };
                if &kind != b"mdat" || size + media > LONGEST_FRAGMENT {
                    return Ok(Step::Strange);
                }
                let Some(bytes) = self.read(at, size + media)? else { return Ok(Step::Torn) };
                Ok(mp4::read_fragment(&bytes, self.nal_length)
                    .map_or(Step::Strange, |fragment| Step::Fragment(bytes, fragment)))
            }
            _ => Ok(Step::Strange),
        }
    }

    /// Where the next note that can be read begins, from byte `from` on; else the file's end. Boxes' sizes are not asked: they
    /// may be what is damaged.
    fn next_note(&self, mut from: u64) -> io::Result<u64> {
        while from < self.length {
            let Some(bytes) = self.read(from, WINDOW.min(self.length - from))? else { break };
            for place in note::places(&bytes) {
                let at = from + place as u64;
                if matches!(self.next(at)?, Step::Note(..)) {
                    return Ok(at);
                }
            }
            // A header may lie across the windows' edge.
            from += (bytes.len() - note::HEADER.min(bytes.len() - 1)) as u64;
        }
        Ok(self.length)
    }

    fn header(&self, at: u64) -> io::Result<Option<(u64, [u8; 4])>> {
        let Some(bytes) = self.read(at, 8)? else { return Ok(None) };
        let (size, kind) = bytes.split_at(4);
        let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
        let mut name = [0; 4];
        name.copy_from_slice(kind);
        Ok(Some((size.max(8), name)))
    }

    /// None where the file ends first.
    fn read(&self, at: u64, size: u64) -> io::Result<Option<Vec<u8>>> {
        if at + size > self.length {
            return Ok(None);
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(Some(bytes))
    }
}

/// A segment that is being read.
struct Open {
    begin: Begin,
    offset: u64,
    length: u64,
    duration: u64,
    crc32c: u32,
}

impl Open {
    fn new(begin: Begin, offset: u64) -> Open {
        Open { begin, offset, length: 0, duration: 0, crc32c: 0 }
    }

    fn add(&mut self, bytes: &[u8], fragment: Fragment) {
        self.length += bytes.len() as u64;
        self.duration += fragment.duration;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// None without a single part.
    fn close(self, reel_id: &str, init: u32, end: Option<note::End>) -> Option<Found> {
        let Open { begin, offset, length, duration, crc32c } = self;
        let segment = Segment {
            msn: begin.msn,
            start: begin.start,
            duration: end.as_ref().map_or(duration, |end| end.duration),
            init,
            discontinuity: begin.discontinuity,
            independent: begin.independent,
            resumed: begin.resumed,
            cut: end.is_none(),
            gap: false,
            piece: None,
        };
        let location = Location { reel_id: reel_id.to_owned(), offset, length, crc32c };
        let sound = end.is_none_or(|end| end.crc32c == crc32c);
        (length > 0).then_some(Found { row: IndexedSegment { segment, location }, sound })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::library::layout::Layout;
    use crate::library::reel::Reel;
    use crate::media::mp4::testing;

    /// A reel of two whole segments and one that was being written, and its bytes.
    fn reel(layout: &Layout) -> (String, Vec<u8>) {
        let about = About { broadcast: String::from("b"), init: 3, ..About::default() };
        let mut reel = Reel::create(layout, about, &testing::init()).unwrap();
        for msn in 0..3 {
            let start = msn * 36_000;
            let segment = Segment {
                msn,
                start,
                duration: 0,
                init: 3,
                discontinuity: false,
                independent: true,
                resumed: false,
                cut: false,
                gap: false,
                piece: None,
            };
            reel.begin_segment(&segment).unwrap();
            reel.append(&testing::part(start, true)).unwrap();
            reel.append(&testing::part(start + 18_000, false)).unwrap();
            if msn < 2 {
                let (_, told) = reel.end_segment(36_000).unwrap();
                told.unwrap();
            }
        }
        let id = reel.id().to_owned();
        (id.clone(), std::fs::read(layout.reel(&id)).unwrap())
    }

    fn scan_of(bytes: &[u8]) -> Scan {
        scan(&file_of(bytes), "r", 0).unwrap()
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Whichever byte behind the head is wrong, at most the segment in which it lies is lost, and nothing untrue is told of
    /// the others.
    #[test]
    fn one_damaged_byte_costs_one_segment() {
        let data = tempfile::tempdir().unwrap();
        let (_, bytes) = reel(&Layout::open(data.path()).unwrap());
        let told = |scan: &Scan| -> Vec<IndexedSegment> {
            scan.segments
                .iter()
                .filter(|found| found.sound && !found.row.segment.cut)
                .map(|found| found.row.clone())
                .collect()
        };
        let whole = told(&scan_of(&bytes));
        let head = whole[0].location.offset as usize - note::HEADER - 60;
        let mut costs = [0; 2];
        for place in head..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            let file = file_of(&damaged);
            let salvaged = salvage(&file, "r").unwrap();
            assert_eq!(salvaged.whole, bytes.len() as u64, "byte {place}");
            let kept = told(&salvaged);
            assert_eq!(told(&scan(&file, "r", 0).unwrap()), kept, "byte {place}: a start takes in as much");
            let lost = whole.iter().filter(|row| !kept.contains(row)).count();
            assert!(lost <= 1 && kept.iter().all(|row| whole.contains(row)), "byte {place}: {kept:?}");
            costs[lost] += 1;
        }
        println!("no segment lost: {}, one: {}", costs[0], costs[1]);
        assert!(costs[1] > costs[0], "a byte of media costs its segment");
    }

    #[test]
    fn a_reel_tells_its_segments_by_itself() {
        let data = tempfile::tempdir().unwrap();
        let layout = Layout::open(data.path()).unwrap();
        let (_, bytes) = reel(&layout);
        let scan = scan_of(&bytes);
        assert_eq!(scan.about.as_ref().map(|about| about.init), Some(3));
        assert_eq!(scan.init, testing::init());
        assert_eq!((scan.whole, scan.strange), (bytes.len() as u64, false));
        let told: Vec<_> = scan.segments.iter().map(|found| (found.row.segment.msn, found.row.segment.cut)).collect();
        assert_eq!(told, [(0, false), (1, false), (2, true)]);
        assert!(scan.segments.iter().all(|found| found.sound && found.row.segment.duration == 36_000));
    }

    /// The claim of recovery: wherever the file ends, what is told is a prefix of the truth, and whole.
    #[test]
    fn wherever_it_is_cut_off_the_beginning_is_told() {
        let data = tempfile::tempdir().unwrap();
        let (_, bytes) = reel(&Layout::open(data.path()).unwrap());
        let mut before = 0;
        for length in 0..bytes.len() {
            let scan = scan_of(&bytes[..length]);
            let media: u64 = scan.segments.iter().map(|found| found.row.location.length).sum();
            assert!(media >= before && scan.whole <= length as u64, "cut at {length}");
            assert!(scan.about.is_none() || !scan.strange, "cut at {length}");
            assert!(scan.segments.iter().all(|found| found.sound));
            before = media;
        }
        assert!(before > 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        /// Whatever a disk makes of a reel, reading it ends, and what it tells lies within the file.
        #[test]
        fn a_damaged_reel_is_read_without_harm(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<[u8; 4]>(), 0_u8..4), 1..6),
            noise in proptest::option::weighted(0.1, proptest::collection::vec(any::<u8>(), 0..300)),
        ) {
            let mut bytes = noise.unwrap_or_else(|| REEL.clone());
            for (place, with, how) in damage {
                if bytes.is_empty() {
                    break;
                }
                let place = place.index(bytes.len());
                match how {
                    0 => bytes[place] ^= with[0].max(1),
                    1 => bytes.truncate(place),
                    2 => drop(bytes.splice(place..place, with)),
                    _ => bytes[place..].iter_mut().zip(with).for_each(|(byte, with)| *byte = with),
                }
            }
            let file = file_of(&bytes);
            for scan in [scan(&file, "r", 0).unwrap(), salvage(&file, "r").unwrap()] {
                prop_assert!(scan.whole <= scan.length && scan.length == bytes.len() as u64);
                for Found { row: IndexedSegment { location, .. }, .. } in &scan.segments {
                    prop_assert!(location.offset + location.length <= scan.whole);
                    let (from, to) = (location.offset as usize, (location.offset + location.length) as usize);
                    prop_assert_eq!(crc32c::crc32c(&bytes[from..to]), location.crc32c);
                }
            }
        }
    }

    static REEL: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let data = tempfile::tempdir().unwrap();
        reel(&Layout::open(data.path()).unwrap()).1
    });

    /// A file system that grew the file before it wrote the data leaves zeros.
    #[test]
    fn zeros_in_place_of_media_are_not_told() {
        let data = tempfile::tempdir().unwrap();
        let (_, bytes) = reel(&Layout::open(data.path()).unwrap());
        let whole = scan_of(&bytes).segments.len();
        for hole in [64, 512] {
            let mut torn = bytes.clone();
            let end = torn.len();
            torn[end - hole..].fill(0);
            let scan = scan_of(&torn);
            assert!(scan.segments.len() <= whole && scan.whole < end as u64, "{hole} zeros");
        }
    }
}

//! An independent reader of media playlists (crate quick-m3u8), and the rules of RFC 8216bis that every playlist of ours
//! must keep. It shares no code with the writer.

use std::collections::HashSet;

use quick_m3u8::config::ParsingOptionsBuilder;
use quick_m3u8::tag::KnownTag;
use quick_m3u8::tag::hls::Tag;
use quick_m3u8::{HlsLine, Reader};

#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub uri: String,
    pub duration: f64,
    pub independent: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Segment {
    pub msn: u64,
    /// None while it grows.
    pub uri: Option<String>,
    pub duration: f64,
    pub parts: Vec<Part>,
    /// The EXT-X-MAP in force.
    pub map: String,
    pub discontinuity: bool,
    /// Cannot be had.
    pub gap: bool,
    /// Seconds since 1970.
    pub date: Option<f64>,
}

#[derive(Debug, Clone, Default)]
pub struct Playlist {
    pub target_duration: u64,
    pub first_msn: u64,
    pub part_target: Option<f64>,
    pub part_hold_back: Option<f64>,
    pub hold_back: Option<f64>,
    pub can_skip_until: Option<f64>,
    pub can_block: bool,
    pub independent_segments: bool,
    pub skipped: u64,
    pub segments: Vec<Segment>,
    pub hint: Option<String>,
    pub ended: bool,
}

impl Playlist {
    /// Reads a playlist; panics on a line that the grammar does not know.
    pub fn read(text: &str) -> Playlist {
        assert!(text.starts_with("#EXTM3U\n"), "{text}");
        assert!(text.ends_with('\n') && !text.contains("\r"), "{text}");
        let mut playlist = Playlist::default();
        let mut segment = Segment::default();
        let mut map = String::new();
        let mut touched = false;
        let mut msn = 0;
        let options = ParsingOptionsBuilder::new().with_parsing_for_all_tags().build();
        let mut reader = Reader::from_str(text, options);
        while let Some(line) = reader.read_line().unwrap_or_else(|error| panic!("{error:?} in\n{text}")) {
            match line {
                HlsLine::KnownTag(KnownTag::Hls(tag)) => match tag {
                    Tag::Targetduration(tag) => playlist.target_duration = tag.target_duration(),
                    Tag::MediaSequence(tag) => {
                        playlist.first_msn = tag.media_sequence();
                        msn = playlist.first_msn;
                    }
                    Tag::ServerControl(tag) => {
                        playlist.can_skip_until = tag.can_skip_until();
                        playlist.hold_back = tag.hold_back();
                        playlist.part_hold_back = tag.part_hold_back();
                        playlist.can_block = tag.can_block_reload();
                    }
                    Tag::PartInf(tag) => playlist.part_target = Some(tag.part_target()),
                    Tag::IndependentSegments(_) => playlist.independent_segments = true,
                    Tag::Skip(tag) => {
                        playlist.skipped = tag.skipped_segments();
                        msn += playlist.skipped;
                    }
                    Tag::Map(tag) => map = tag.uri().to_owned(),
                    Tag::Discontinuity(_) => segment.discontinuity = true,
                    Tag::Gap(_) => segment.gap = true,
                    Tag::ProgramDateTime(_) => {}
                    Tag::Part(tag) => {
                        touched = true;
                        segment.parts.push(Part {
                            uri: tag.uri().to_owned(),
                            duration: tag.duration(),
                            independent: tag.independent(),
                        });
                    }
                    Tag::Inf(tag) => segment.duration = tag.duration(),
                    Tag::PreloadHint(tag) => playlist.hint = Some(tag.uri().to_owned()),
                    Tag::Endlist(_) => playlist.ended = true,
                    _ => {}
                },
                HlsLine::Uri(uri) => {
                    segment.uri = Some(uri.into_owned());
                    segment.msn = msn;
                    segment.map.clone_from(&map);
                    msn += 1;
                    touched = false;
                    playlist.segments.push(std::mem::take(&mut segment));
                }
                HlsLine::Blank | HlsLine::Comment(_) => {}
                other => panic!("unexpected {other:?} in\n{text}"),
            }
        }
        if touched {
            segment.msn = msn;
            segment.map = map;
            segment.duration = segment.parts.iter().map(|part| part.duration).sum();
            playlist.segments.push(segment);
        }
        read_dates(text, &mut playlist);
        playlist
    }

    /// Every rule that can be seen in one playlist.
    pub fn check(&self) {
        let target = self.target_duration as f64;
        let mut uris = HashSet::new();
        for segment in &self.segments {
            if segment.uri.is_some() {
                assert!(segment.duration.round() <= target, "EXTINF {} over TARGETDURATION", segment.duration);
            }
            assert!(self.skipped > 0 || !segment.map.is_empty(), "segment {} has no EXT-X-MAP", segment.msn);
            let all = segment.uri.iter().chain(segment.parts.iter().map(|part| &part.uri));
            all.for_each(|uri| assert!(uris.insert(uri.clone()), "{uri} is listed twice"));
            self.check_parts(segment);
        }
        if self.ended {
            assert!(self.hint.is_none() && self.part_target.is_none(), "an ended playlist is not live");
            assert!(self.segments.iter().all(|segment| segment.uri.is_some() && segment.parts.is_empty()));
            return;
        }
        let part_target = self.part_target.expect("PART-INF");
        assert!(self.can_block);
        assert!(self.part_hold_back.expect("PART-HOLD-BACK") >= 3.0 * part_target - 1e-9);
        assert!(self.hold_back.expect("HOLD-BACK") >= 3.0 * target);
        assert!(self.can_skip_until.expect("CAN-SKIP-UNTIL") >= 6.0 * target);
        let hint = self.hint.as_ref().expect("a live playlist hints at its next part");
        assert!(!uris.contains(hint), "the hinted part {hint} is listed already");
    }

    fn check_parts(&self, segment: &Segment) {
        let Some(target) = self.part_target else { return };
        let last = segment.parts.len().saturating_sub(1);
        for (index, part) in segment.parts.iter().enumerate() {
            assert!(part.duration <= target + 1e-9, "part {} lasts {} of {target}", part.uri, part.duration);
            // A part is short only before a keyframe, a discontinuity or the segment's end.
            let next = segment.parts.get(index + 1);
            if index < last && !next.is_some_and(|next| next.independent) {
                assert!(part.duration >= 0.85 * target, "part {} lasts only {} of {target}", part.uri, part.duration);
            }
        }
        if segment.uri.is_some() && !segment.parts.is_empty() {
            let sum: f64 = segment.parts.iter().map(|part| part.duration).sum();
            assert!((sum - segment.duration).abs() < 0.001, "parts {sum}, segment {}", segment.duration);
        }
    }

    /// Sum of what is listed, seconds.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(|segment| segment.duration).sum()
    }

    /// MSN that the last listed segment has.
    pub fn last_msn(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.msn)
    }

    /// The playlist that a client has after applying this delta update to `before`.
    pub fn applied_to(&self, before: &Playlist) -> Playlist {
        let mut merged = self.clone();
        let from = self.first_msn;
        let kept = before.segments.iter().filter(|old| (from..from + self.skipped).contains(&old.msn));
        let mut segments: Vec<Segment> = kept.map(|old| Segment { parts: Vec::new(), ..old.clone() }).collect();
        assert_eq!(segments.len() as u64, self.skipped, "a skipped segment was never seen");
        let map = segments.last().map(|segment| segment.map.clone()).unwrap_or_default();
        segments.extend(self.segments.iter().cloned().map(|mut segment| {
            if segment.map.is_empty() {
                segment.map.clone_from(&map);
            }
            segment
        }));
        merged.segments = segments;
        merged.skipped = 0;
        merged
    }
}

/// EXT-X-PROGRAM-DATE-TIME by hand: the reader's own type has no arithmetic.
fn read_dates(text: &str, playlist: &mut Playlist) {
    let mut date = None;
    let mut segments = playlist.segments.iter_mut();
    for line in text.lines() {
        if let Some(value) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            let time: jiff::Timestamp = value.parse().expect("RFC 3339");
            date = Some(time.as_millisecond() as f64 / 1000.0);
        } else if !line.starts_with('#')
            && let Some(segment) = segments.next()
        {
            segment.date = date.take();
        }
    }
    if let Some(growing) = segments.next() {
        growing.date = date;
    }
}

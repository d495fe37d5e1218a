//! Writing playlists as text, RFC 8216bis. Pure: a window or a list of segments in, bytes out. Deciding what is in them
//! belongs to the packager, serving them to `web::media`.

use std::fmt::Write;

use bytes::Bytes;

use super::edit::{Parts, Piece};
use super::protocol::Init;
use super::rungs;
use super::window::{RecentSegment, Report, Segment, Window, WindowPart};
use crate::base::clock::{TIMESCALE, rfc3339, ticks_to_seconds};

/// EXT-X-TARGETDURATION in seconds: every EXTINF, rounded, is at most this (RFC 8216bis 4.4.3.1).
pub const TARGET_DURATION: u64 = 2;

/// No segment lasts longer, ticks. Rounds down to [`TARGET_DURATION`], with room for a part.
pub const MAX_SEGMENT: u64 = (TARGET_DURATION * 10 + 4) * TIMESCALE as u64 / 10;

/// Segments older than this may be left out of a delta update; at least six target durations (RFC 8216bis 4.4.3.8).
const SKIP_UNTIL: u64 = 6 * TARGET_DURATION;

/// Complete segments that are listed by their parts too: three target durations (RFC 8216bis 4.4.4.9).
pub const SEGMENTS_WITH_PARTS: usize = 3;

/// EXTINF of a number that never was media, ticks: as good as nothing, yet no player divides by zero.
const LEFT_OUT: u64 = TIMESCALE as u64 / 1000;

/// Lines of the segments that will never change again.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    text: String,
    marks: Vec<Mark>,
    /// EXT-X-DISCONTINUITY tags that have slid out.
    discontinuities_gone: u64,
}

/// Where a segment's lines begin in the text.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: usize,
    duration: u64,
    init: u32,
    discontinuity: bool,
}

impl Settled {
    /// Adds a segment, listed without its parts.
    pub fn push(&mut self, segment: &Segment, epoch_us: i64) {
        let before = self.marks.last().map(|mark| mark.init);
        self.marks.push(Mark {
            at: self.text.len(),
            duration: segment.duration,
            init: segment.init,
            discontinuity: segment.discontinuity,
        });
        write_segment(&mut self.text, segment, before, epoch_us, &[]);
    }

    /// Adds segments in order, with what is missing between them.
    pub fn push_all(&mut self, segments: &[Segment], epoch_us: i64) {
        for segment in listed(segments) {
            self.push(&segment, epoch_us);
        }
    }

    /// Lists numbers that never were media, as gaps that take no time: the segment that follows says by a discontinuity and
    /// its program date time when it was.
    pub fn push_left_out(&mut self, before: &Segment, until_msn: u64, epoch_us: i64) {
        for gap in left_out(before, until_msn) {
            self.push(&gap, epoch_us);
        }
    }

    /// So many breaks were listed by another process, and are listed no more.
    pub fn slid_out(&mut self, discontinuities: u64) {
        self.discontinuities_gone = discontinuities;
    }

    /// Forgets the oldest segment, for a sliding window.
    pub fn pop_front(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        self.discontinuities_gone += u64::from(self.marks.remove(0).discontinuity);
        let cut = self.marks.first().map_or(self.text.len(), |mark| mark.at);
        self.text.drain(..cut);
        for mark in &mut self.marks {
            mark.at -= cut;
        }
    }

    pub fn len(&self) -> usize {
        self.marks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }
}

/// Segments in order as a playlist lists them, with what is missing between them.
pub fn listed(segments: &[Segment]) -> Vec<Segment> {
    let mut listed = Vec::with_capacity(segments.len());
    let mut before: Option<&Segment> = None;
    for segment in segments {
        if let Some(before) = before {
            let gaps = if segment.resumed { left_out(before, segment.msn) } else { missing(before, segment) };
            listed.extend(gaps);
        }
        // Where the end of a segment is missing, and no number between them can say so.
        let broken = before.is_some_and(|before| before.cut && before.msn + 1 == segment.msn);
        listed.push(Segment { discontinuity: segment.discontinuity || broken, ..segment.clone() });
        before = Some(segment);
    }
    listed
}

fn left_out(before: &Segment, until_msn: u64) -> Vec<Segment> {
    let end = before.start + before.duration;
    let gap_at = |msn: u64| gap(before, msn, end + (msn - before.msn - 1) * LEFT_OUT, LEFT_OUT);
    (before.msn + 1..until_msn).map(gap_at).collect()
}

/// What was never recorded between two segments, as EXT-X-GAP (RFC 8216bis 4.4.4.7): media sequence numbers stay those that
/// live viewers saw, and players step over the hole.
fn missing(before: &Segment, after: &Segment) -> Vec<Segment> {
    let missing = after.msn.saturating_sub(before.msn + 1);
    let end = before.start + before.duration;
    let hole = after.start.saturating_sub(end);
    let gap_at = |number: u64| {
        let start = end + hole * number / missing;
        let duration = (end + hole * (number + 1) / missing - start).min(MAX_SEGMENT);
        gap(before, before.msn + 1 + number, start, duration)
    };
    (0..missing).map(gap_at).collect()
}

fn gap(before: &Segment, msn: u64, start: u64, duration: u64) -> Segment {
    let piece = before.piece.map(|piece| Piece { msn: piece.msn + msn - before.msn, parts: None });
    Segment { msn, start, duration, discontinuity: false, cut: false, gap: true, piece, ..before.clone() }
}

/// The media playlist of a window; with `delta`, older segments are replaced by EXT-X-SKIP.
pub(super) fn media(window: &Window, delta: bool) -> Bytes {
    let newer: u64 =
        window.recent[unsettled_from(window)..].iter().chain(&window.open).map(|recent| recent.segment.duration).sum();
    let skipped = if delta && !window.ended { skippable(&window.settled, newer) } else { 0 };
    let from = match window.settled.marks.get(skipped) {
        Some(mark) => mark.at,
        None => window.settled.text.len(),
    };
    let settled = &window.settled.text[from..];
    let mut text = String::with_capacity(settled.len() + 4096);
    write_header(&mut text, window);
    let newer = &window.recent[unsettled_from(window)..];
    if skipped > 0 {
        // What applied to the skipped segments, EXT-X-MAP too, the client carries over (RFC 8216bis 6.3.7).
        let _ = writeln!(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
    } else if let Some(init) = window.settled.marks.first().map(|mark| mark.init).or(first_init(newer, window)) {
        text.push_str(&map_line(init));
    }
    text.push_str(settled);

    let mut before = window.settled.marks.last().map(|mark| mark.init);
    let without_parts = if window.ended { newer.len() } else { newer.len().saturating_sub(SEGMENTS_WITH_PARTS) };
    for (index, recent) in newer.iter().enumerate() {
        let parts: &[_] = if index >= without_parts { &recent.parts } else { &[] };
        write_segment(&mut text, &recent.segment, before, window.epoch_us, parts);
        before = Some(recent.segment.init);
    }
    if let Some(open) = &window.open {
        write_head(&mut text, &open.segment, before, window.epoch_us);
        write_parts(&mut text, open.segment.msn, &open.parts);
    }
    if window.ended {
        text.push_str("#EXT-X-ENDLIST\n");
    } else {
        let (msn, index) = window.hinted_part();
        let _ = writeln!(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", part_uri(msn, index));
        for Report { rendition, msn, part } in &window.reports {
            let folder = rungs::folder(*rendition);
            let _ = writeln!(
                text,
                "#EXT-X-RENDITION-REPORT:URI=\"../{folder}/index.m3u8\",LAST-MSN={msn},LAST-PART={part}"
            );
        }
    }
    Bytes::from(text)
}

/// The media playlist of a recording, all segments from the first. One that is not `whole` grows, and is played from its
/// beginning all the same (RFC 8216bis 4.4.2.2).
pub fn recording(segments: &[Segment], epoch_us: i64, whole: bool) -> Bytes {
    let mut settled = Settled::default();
    settled.push_all(segments, epoch_us);
    let mut text = String::with_capacity(settled.text.len() + 256);
    let independent = segments.iter().all(|segment| segment.independent);
    write_basics(&mut text, segments.first().map_or(0, |segment| segment.msn), true, independent);
    if !whole {
        text.push_str("#EXT-X-START:TIME-OFFSET=0\n");
    }
    if let Some(first) = segments.first() {
        text.push_str(&map_line(first.init));
    }
    text.push_str(&settled.text);
    if whole {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    Bytes::from(text)
}

/// One line of a multivariant playlist.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Relative URI of its media playlist.
    pub uri: String,
    pub codecs: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate_milli: u32,
    /// Peak bits per second of any segment.
    pub bandwidth: u64,
    pub average_bandwidth: u64,
}

/// The multivariant playlist (RFC 8216bis 4.4.6).
pub fn multivariant(variants: &[Variant]) -> Bytes {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:9\n");
    for variant in variants {
        let _ = write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"",
            variant.bandwidth.max(1),
            variant.average_bandwidth.max(1),
            variant.codecs
        );
        if variant.width > 0 {
            let _ = write!(text, ",RESOLUTION={}x{}", variant.width, variant.height);
        }
        if variant.frame_rate_milli > 0 {
            let _ = write!(text, ",FRAME-RATE={:.3}", f64::from(variant.frame_rate_milli) / 1000.0);
        }
        let _ = writeln!(text, "\n{}", variant.uri);
    }
    Bytes::from(text)
}

/// A variant as the newest init describes it.
pub fn variant(uri: &str, init: &Init, bandwidth: u64, average_bandwidth: u64) -> Variant {
    Variant {
        uri: uri.to_owned(),
        codecs: init.codecs.clone(),
        width: init.width,
        height: init.height,
        frame_rate_milli: init.frame_rate_milli,
        bandwidth,
        average_bandwidth,
    }
}

pub fn part_uri(msn: u64, index: usize) -> String {
    format!("part-{msn}.{index}.m4s")
}

/// A segment that is shorter than live viewers saw it has another name, and so has one of which an edited recording shows some
/// parts: bytes under one URI never change.
pub fn segment_uri(segment: &Segment) -> String {
    let kind = if segment.cut { "cut" } else { "seg" };
    let piece = segment.piece();
    match piece.parts {
        Some(Parts { first, last }) => format!("{kind}-{}.{first}-{last}.m4s", piece.msn),
        None => format!("{kind}-{}.m4s", piece.msn),
    }
}

/// How many of the settled segments a delta update leaves out: those that end before the skip boundary.
fn skippable(settled: &Settled, listed_after: u64) -> usize {
    let boundary = SKIP_UNTIL * u64::from(TIMESCALE);
    let mut from_end = listed_after;
    let mut kept = 0;
    for mark in settled.marks.iter().rev() {
        if from_end >= boundary {
            break;
        }
        from_end += mark.duration;
        kept += 1;
    }
    settled.len() - kept
}

/// `recent` may reach further back than the playlist's unsettled end: its bytes are kept for slow readers.
fn unsettled_from(window: &Window) -> usize {
    let settled_end = window.first_msn + window.settled.len() as u64;
    window.recent.iter().position(|recent| recent.segment.msn >= settled_end).unwrap_or(window.recent.len())
}

fn write_basics(text: &mut String, first_msn: u64, grows: bool, independent: bool) {
    let _ = writeln!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{TARGET_DURATION}\n#EXT-X-MEDIA-SEQUENCE:{first_msn}"
    );
    if grows {
        text.push_str("#EXT-X-PLAYLIST-TYPE:EVENT\n");
    }
    if independent {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
}

fn write_header(text: &mut String, window: &Window) {
    write_basics(text, window.first_msn, window.grows, window.independent);
    if window.settled.discontinuities_gone > 0 {
        let _ = writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", window.settled.discontinuities_gone);
    }
    if window.ended {
        return;
    }
    let target = ticks_to_seconds(u64::from(window.part_target));
    // Decimal attributes are rounded up: no part may be longer than what is written here.
    let target = (target * 100_000.0).ceil() / 100_000.0;
    let _ = writeln!(
        text,
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={SKIP_UNTIL}.0,HOLD-BACK={}.0,PART-HOLD-BACK={:.5}\n\
         #EXT-X-PART-INF:PART-TARGET={target:.5}",
        3 * TARGET_DURATION,
        3.0 * target,
    );
}

fn write_segment(text: &mut String, segment: &Segment, before: Option<u32>, epoch_us: i64, parts: &[WindowPart]) {
    write_head(text, segment, before, epoch_us);
    write_parts(text, segment.msn, parts);
    let _ = writeln!(text, "#EXTINF:{:.5},\n{}", ticks_to_seconds(segment.duration), segment_uri(segment));
}

/// What stands before a segment's first part or its EXTINF. `before` is the init of the segment listed before it; the
/// first one's EXT-X-MAP stands in the header, where a sliding window keeps it.
fn write_head(text: &mut String, segment: &Segment, before: Option<u32>, epoch_us: i64) {
    if segment.gap {
        text.push_str("#EXT-X-GAP\n");
    }
    if segment.discontinuity {
        text.push_str("#EXT-X-DISCONTINUITY\n");
    }
    if before.is_some_and(|before| before != segment.init) {
        text.push_str(&map_line(segment.init));
    }
    let _ = writeln!(text, "#EXT-X-PROGRAM-DATE-TIME:{}", rfc3339(wall_ms(segment.start, epoch_us)));
}

fn write_parts(text: &mut String, msn: u64, parts: &[WindowPart]) {
    for (index, part) in parts.iter().enumerate() {
        write_part(text, msn, index, part);
    }
}

fn first_init(newer: &[std::sync::Arc<RecentSegment>], window: &Window) -> Option<u32> {
    newer.first().or(window.open.as_ref()).map(|recent| recent.segment.init)
}

fn write_part(text: &mut String, msn: u64, index: usize, part: &WindowPart) {
    let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
    let _ = writeln!(
        text,
        "#EXT-X-PART:DURATION={:.5},URI=\"{}\"{independent}",
        ticks_to_seconds(u64::from(part.duration)),
        part_uri(msn, index)
    );
}

fn map_line(init: u32) -> String {
    format!("#EXT-X-MAP:URI=\"init-{init}.mp4\"\n")
}

/// Wall clock of a media time: one epoch for the whole broadcast, so that it never drifts from the media.
pub fn wall_ms(ticks: u64, epoch_us: i64) -> i64 {
    let media_us = ticks as i128 * 1_000_000 / i128::from(TIMESCALE);
    ((i128::from(epoch_us) + media_us) / 1000) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(msn: u64, start_s: u64, duration_s: u64, cut: bool) -> Segment {
        let (start, duration) = (start_s * u64::from(TIMESCALE), duration_s * u64::from(TIMESCALE));
        Segment {
            msn,
            start,
            duration,
            init: 0,
            discontinuity: false,
            independent: true,
            resumed: false,
            cut,
            gap: false,
            piece: None,
        }
    }

    /// Where the end of a segment is missing, either a number between says so or a break does.
    #[test]
    fn what_follows_a_cut_segment_is_a_gap_or_a_break() {
        let listed = |segments: &[Segment]| {
            let text = String::from_utf8(recording(segments, 0, true).to_vec()).unwrap();
            ["#EXT-X-DISCONTINUITY\n", "#EXT-X-GAP\n", "cut-1.m4s\n"].map(|line| text.matches(line).count())
        };
        let (first, cut) = (segment(0, 0, 2, false), segment(1, 2, 1, true));
        assert_eq!(listed(&[first.clone(), cut.clone(), segment(2, 4, 2, false)]), [1, 0, 1]);
        assert_eq!(listed(&[first.clone(), cut, segment(3, 5, 2, false)]), [0, 1, 1]);
        assert_eq!(listed(&[first, segment(1, 2, 2, false), segment(2, 4, 2, false)]), [0, 0, 0]);
    }
}

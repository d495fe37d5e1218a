//! The live playlist's immutable snapshot: what exists at this instant, and the bytes of its newest end.
//!
//! The [`Packager`](super::packager::Packager) makes a new one for each part; requests hold it by `Arc` and never wait for
//! one another. Older segments are only described here: their bytes are in the library.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::edit::Piece;
use super::playlist;
use super::protocol::Init;

/// A part that can be read in full, RFC 8216bis 4.4.4.9.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowPart {
    /// 90 kHz ticks.
    pub duration: u32,
    pub independent: bool,
    pub bytes: Bytes,
}

/// What is known of a segment, whether complete or still growing.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Media sequence number.
    pub msn: u64,
    /// Decode time of its first frame, 90 kHz ticks of running time.
    pub start: u64,
    /// 90 kHz ticks.
    pub duration: u64,
    /// Number of the init that decodes it.
    pub init: u32,
    /// EXT-X-DISCONTINUITY stands before it.
    pub discontinuity: bool,
    /// Begins with a keyframe.
    pub independent: bool,
    /// The first one after the program ended in mid-broadcast: numbers missing before it never were media.
    pub resumed: bool,
    /// Shorter than the segment that live viewers saw under this number.
    pub cut: bool,
    /// It cannot be had in this rendition: EXT-X-GAP (RFC 8216bis 4.4.4.7).
    pub gap: bool,
    /// What it was recorded as, where the recording was edited.
    pub piece: Option<Piece>,
}

impl Segment {
    /// What it was recorded as.
    pub fn piece(&self) -> Piece {
        self.piece.unwrap_or(Piece { msn: self.msn, parts: None })
    }
}

/// A segment whose parts are still in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct RecentSegment {
    pub segment: Segment,
    /// None of a gap.
    pub parts: Vec<WindowPart>,
}

/// Where another rendition's playlist ends: EXT-X-RENDITION-REPORT, RFC 8216bis 4.4.5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    pub rendition: u8,
    /// LAST-MSN.
    pub msn: u64,
    /// LAST-PART.
    pub part: usize,
}

/// The newest part's place: (MSN, index), or none while there is no part at all.
pub(super) fn newest_part(open: Option<&RecentSegment>, recent: &[Arc<RecentSegment>]) -> Option<(u64, usize)> {
    let newest = open.or(recent.last().map(Arc::as_ref))?;
    Some((newest.segment.msn, newest.parts.len().checked_sub(1)?))
}

impl RecentSegment {
    /// The segment's bytes: its parts, one after the other.
    pub fn chunks(&self) -> Vec<Bytes> {
        self.parts.iter().map(|part| part.bytes.clone()).collect()
    }
}

/// One media playlist at one instant.
#[derive(Debug, Default)]
pub struct Window {
    /// All inits of this rendition, by number.
    pub inits: Arc<Vec<Init>>,
    /// MSN of the first segment listed.
    pub first_msn: u64,
    /// The newest complete segments, oldest first, with their parts; at least those that the playlist lists by parts.
    pub recent: Vec<Arc<RecentSegment>>,
    /// The segment that is growing; empty parts never occur.
    pub open: Option<Arc<RecentSegment>>,
    /// MSN that the segment after the last complete one has, or will have.
    pub next_msn: u64,
    /// The open segment is as long as it should be: the next part is expected to begin another.
    pub closing: bool,
    /// Nothing follows.
    pub ended: bool,
    /// Longest part allowed, ticks: EXT-X-PART-INF.
    pub part_target: u32,
    /// Duration of the very first segment, ticks.
    pub first_segment: u64,
    /// Sum of all segments' durations, the open one included, ticks.
    pub duration: u64,
    /// Discontinuities inside.
    pub gaps: u64,
    /// The playlist reaches back to the beginning and only grows.
    pub grows: bool,
    /// Every segment so far begins with a keyframe.
    pub independent: bool,
    /// Where the other renditions were when this was made.
    pub reports: Vec<Report>,
    /// Rendered lines of the complete segments that are listed without parts.
    pub(super) settled: Arc<playlist::Settled>,
    /// Wall clock of tick 0, microseconds since 1970.
    pub epoch_us: i64,
    pub(super) rendered: Rendered,
}

/// Playlists are made once per window, by the first who asks, and shared by all.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub full: OnceLock<Bytes>,
    pub delta: OnceLock<Bytes>,
}

impl Window {
    /// The media playlist, whole (RFC 8216bis 4.4.3).
    pub fn playlist(&self) -> Bytes {
        self.rendered.full.get_or_init(|| playlist::media(self, false)).clone()
    }

    /// A playlist delta update (RFC 8216bis 6.2.5.1); the whole one where nothing can be skipped.
    pub fn delta(&self) -> Bytes {
        self.rendered.delta.get_or_init(|| playlist::media(self, true)).clone()
    }

    /// Whether a player can begin near the live edge: a complete segment is listed, and behind it as much as PART-HOLD-BACK.
    /// One that begins in the very first segment reads whole segments for a while instead of parts (hls.js 1.7), and so does
    /// one that finds no part at all, as when the broadcast is about to go on after a restart.
    pub fn is_playable(&self) -> bool {
        if !self.has_media() {
            return false;
        }
        let first = if self.next_msn > self.first_msn { self.first_segment } else { return false };
        self.first_msn > 0 || self.duration >= first + 3 * u64::from(self.part_target)
    }

    /// Whether anything is in memory: not so when the broadcast is about to go on after a restart.
    pub fn has_media(&self) -> bool {
        self.open.is_some() || !self.recent.is_empty()
    }

    /// The newest part's place: (MSN, index), or none while there is no part at all.
    pub fn newest_part(&self) -> Option<(u64, usize)> {
        newest_part(self.open.as_deref(), &self.recent)
    }

    /// The part that the preload hint names: (MSN, index).
    pub fn hinted_part(&self) -> (u64, usize) {
        match &self.open {
            Some(open) if self.closing => (open.segment.msn + 1, 0),
            Some(open) => (open.segment.msn, open.parts.len()),
            None => (self.next_msn, 0),
        }
    }

    /// A part by its place, as long as it is in memory.
    pub fn part(&self, msn: u64, index: usize) -> Option<&WindowPart> {
        self.in_memory(msn)?.parts.get(index)
    }

    /// A complete segment by its MSN, as long as it is in memory.
    pub fn segment(&self, msn: u64) -> Option<&RecentSegment> {
        self.recent.iter().find(|recent| recent.segment.msn == msn).map(Arc::as_ref)
    }

    fn in_memory(&self, msn: u64) -> Option<&RecentSegment> {
        match &self.open {
            Some(open) if open.segment.msn == msn => Some(open),
            _ => self.segment(msn),
        }
    }
}

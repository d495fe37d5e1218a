//! Parts become segments, segments become windows. The heart of the live side, and pure: what it decides depends on the
//! parts alone, so that it can be tested by the million.

use std::sync::Arc;
use std::time::Duration;

use super::playlist::{MAX_SEGMENT, SEGMENTS_WITH_PARTS};
use super::protocol::{Init, Part};
use super::window::{self, RecentSegment, Report, Segment, Window, WindowPart};

/// Complete segments whose bytes stay in memory: what viewers near the live edge read, with room for slow ones.
const SEGMENTS_IN_MEMORY: usize = 8;

/// A step between two parts' times that is no break: rounding of a frame's duration. 90 kHz ticks (10 ms).
pub const TOLERANCE: u64 = 900;

/// Media sequence numbers that are left out at least when a broadcast goes on in a new process. More than the recorder can owe.
const NUMBERS_LEFT_OUT: u64 = 16;

/// A media sequence number that is free so long after `next` was the next one, whatever was on air meanwhile and never reached the
/// disk: a number once told is never another's. One a second is more than there are, since segments take two and are short at
/// breaks alone.
pub fn free_msn(next: u64, dark: Duration) -> u64 {
    next + NUMBERS_LEFT_OUT + dark.as_secs()
}

/// What the recorder is told, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The segments that follow are decoded by this init.
    Init { number: u32, init: Init },
    /// These bytes are the next of the open segment; `begins` tells of a new one what is known so far.
    Part { begins: Option<Segment>, bytes: bytes::Bytes },
    /// The segment is complete.
    Segment(Segment),
}

/// Makes one rendition's windows. See [`Packager::part`].
#[derive(Debug)]
pub struct Packager {
    inits: Arc<Vec<Init>>,
    /// The init whose number the next segment carries; none before the first.
    current: Option<u32>,
    settled: Arc<super::playlist::Settled>,
    recent: Vec<Arc<RecentSegment>>,
    open: Option<RecentSegment>,
    first_msn: u64,
    next_msn: u64,
    /// Where the last part ended, ticks.
    end: Option<u64>,
    /// The next segment begins after a break.
    broken: bool,
    /// The next segment is the first one of this process.
    resumed: bool,
    /// Parts are refused until a keyframe comes.
    awaiting_keyframe: bool,
    /// Ticks between the last two keyframes.
    keyframe_interval: u64,
    last_keyframe: Option<u64>,
    part_target: u32,
    first_segment: u64,
    duration: u64,
    gaps: u64,
    ended: bool,
    independent: bool,
    epoch_us: i64,
    /// Complete segments listed at most; none keeps all.
    keep: Option<usize>,
}

impl Packager {
    /// `epoch_us` is the wall clock of tick 0. With `keep`, older segments leave the playlist (previews); without, the
    /// playlist reaches back to the beginning (broadcasts).
    pub fn new(epoch_us: i64, keep: Option<usize>) -> Packager {
        Packager {
            inits: Arc::default(),
            current: None,
            settled: Arc::default(),
            recent: Vec::new(),
            open: None,
            first_msn: 0,
            next_msn: 0,
            end: None,
            broken: false,
            resumed: false,
            awaiting_keyframe: true,
            keyframe_interval: 0,
            last_keyframe: None,
            part_target: 0,
            first_segment: 0,
            duration: 0,
            gaps: 0,
            ended: false,
            independent: true,
            epoch_us,
            keep,
        }
    }

    /// Goes on with a broadcast that another process began: `inits` and `segments` are what it recorded, all of it, in order.
    /// What follows begins with a keyframe, after a discontinuity, under `next_msn`, which nobody was told before. With `keep`,
    /// `discontinuities` is how many breaks have slid out.
    pub fn resume(self, inits: Vec<Init>, segments: Vec<Segment>, next_msn: u64, discontinuities: u64) -> Packager {
        let mut packager = self;
        if packager.keep.is_some() {
            Arc::make_mut(&mut packager.settled).slid_out(discontinuities);
            packager.gaps = discontinuities;
        }
        (packager.first_msn, packager.next_msn) = (next_msn, next_msn);
        packager.broken = next_msn > 0;
        packager.current = inits.len().checked_sub(1).map(|last| last as u32);
        packager.part_target = inits.iter().map(|init| init.part_target).max().unwrap_or(0);
        packager.inits = Arc::new(inits);
        let Some(last) = segments.last() else { return packager };
        let settled = Arc::make_mut(&mut packager.settled);
        settled.push_all(&segments, packager.epoch_us);
        settled.push_left_out(last, next_msn, packager.epoch_us);
        packager.first_msn = segments.first().map_or(next_msn, |first| first.msn);
        packager.end = Some(last.start + last.duration);
        packager.resumed = true;
        packager.first_segment = segments.first().map_or(0, |first| first.duration);
        packager.duration = segments.iter().map(|segment| segment.duration).sum();
        packager.gaps = segments.iter().map(|segment| u64::from(segment.discontinuity)).sum();
        packager.independent = segments.iter().all(|segment| segment.independent);
        packager
    }

    /// All inits so far; an init's number is its place.
    pub fn inits(&self) -> &[Init] {
        &self.inits
    }

    /// EXT-X-DISCONTINUITY tags so far, with one that is due.
    pub fn discontinuities(&self) -> u64 {
        self.gaps + u64::from(self.broken)
    }

    /// Goes on with what is not live, and of which nothing was lost: what follows joins on to the last of `segments`.
    pub fn go_on(epoch_us: i64, inits: Vec<Init>, segments: Vec<Segment>) -> Packager {
        let next_msn = segments.last().map_or(0, |last| last.msn + 1);
        let packager = Packager::new(epoch_us, None).resume(inits, segments, next_msn, 0);
        Packager { broken: false, resumed: false, awaiting_keyframe: next_msn == 0, ..packager }
    }

    /// The init in force, as a recorder that begins now must be told.
    pub fn init_in_force(&self) -> Option<Event> {
        let number = self.current?;
        Some(Event::Init { number, init: self.inits[number as usize].clone() })
    }

    /// The parts that follow are decoded by `init`. One that is equal to the current one changes nothing.
    pub fn init(&mut self, init: Init) -> Vec<Event> {
        let same = |known: &Init| known.bytes == init.bytes;
        if self.ended {
            return Vec::new();
        }
        self.part_target = self.part_target.max(init.part_target);
        if self.current.is_some_and(|number| same(&self.inits[number as usize])) {
            return Vec::new();
        }
        let mut events = self.interrupt();
        // An encoding that comes back is the old init again: one number, one set of bytes.
        let number = match self.inits.iter().position(same) {
            Some(known) => known,
            None => {
                Arc::make_mut(&mut self.inits).push(init.clone());
                self.inits.len() - 1
            }
        } as u32;
        self.current = Some(number);
        events.push(Event::Init { number, init });
        events
    }

    /// The source broke off (worker restarted, publisher gone): what comes next begins with a keyframe after a discontinuity.
    pub fn interrupt(&mut self) -> Vec<Event> {
        let events = self.close();
        self.broken = self.end.is_some();
        self.awaiting_keyframe = true;
        self.last_keyframe = None;
        events
    }

    /// Takes the next part. Parts before the first keyframe, and any that go back in time, are left out.
    pub fn part(&mut self, part: Part) -> Vec<Event> {
        let Some(init) = self.current else { return Vec::new() };
        if self.ended || part.duration == 0 {
            return Vec::new();
        }
        let mut events = Vec::new();
        if part.discontinuity || self.end.is_some_and(|end| end.abs_diff(part.start) > TOLERANCE) {
            // Only the first part after a break is marked; a break already known is not made twice.
            if !self.awaiting_keyframe {
                events = self.interrupt();
            }
        }
        let goes_back = self.end.is_some_and(|end| part.start + TOLERANCE < end);
        if goes_back || (self.awaiting_keyframe && !part.independent) {
            return events;
        }
        self.awaiting_keyframe = false;
        if part.independent {
            self.keyframe_interval = self.last_keyframe.map_or(0, |last| part.start.saturating_sub(last));
            self.last_keyframe = Some(part.start);
        }
        if self.must_close(&part) {
            events.extend(self.close());
        }
        events.push(self.append(init, part));
        events
    }

    /// Takes the next part of a rendition that keeps to another's segments: it belongs to `planned`. It is left out where it does
    /// not join on, and where a segment has not begun with its beginning.
    pub fn follow(&mut self, part: Part, planned: &Segment) -> Vec<Event> {
        let Some(init) = self.current else { return Vec::new() };
        let over = planned.duration > 0 && part.start + TOLERANCE >= planned.start + planned.duration;
        if self.ended || part.duration == 0 || planned.msn < self.next_msn || over {
            return Vec::new();
        }
        if self.open.as_ref().is_some_and(|open| open.segment.msn == planned.msn) {
            let joins = self.end.is_some_and(|end| end.abs_diff(part.start) <= TOLERANCE);
            return if joins { vec![self.append(init, part)] } else { self.close() };
        }
        let mut events = self.close();
        let begins = part.start.abs_diff(planned.start) <= TOLERANCE && (part.independent || !planned.independent);
        if begins && planned.msn >= self.next_msn {
            if self.is_new() {
                self.first_msn = planned.msn;
            }
            self.next_msn = planned.msn;
            self.broken = planned.discontinuity;
            events.push(self.append(init, part));
        }
        events
    }

    /// `missed` is over and will not be had in this rendition, or not more of it than there is.
    pub fn leave_out(&mut self, missed: &Segment) -> Vec<Event> {
        if self.ended || self.is_new() || missed.msn < self.next_msn {
            return Vec::new();
        }
        let events = self.close();
        if let (Some(init), true) = (self.current, missed.msn == self.next_msn) {
            let segment = Segment { init, resumed: false, cut: false, gap: true, ..missed.clone() };
            self.end = Some(segment.start + segment.duration);
            self.duration += segment.duration;
            self.gaps += u64::from(segment.discontinuity);
            self.complete(RecentSegment { segment, parts: Vec::new() });
        }
        events
    }

    /// Nothing was listed yet.
    fn is_new(&self) -> bool {
        self.open.is_none() && self.next_msn == self.first_msn
    }

    /// Nothing follows: the open segment is completed as it is.
    pub fn finish(&mut self) -> Vec<Event> {
        let events = self.close();
        self.ended = true;
        events
    }

    /// Where the media ends, ticks of running time; 0 before the first part.
    pub fn end(&self) -> u64 {
        self.end.unwrap_or(0)
    }

    /// The number of the open segment, or of the next one.
    pub fn next_msn(&self) -> u64 {
        self.next_msn
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The newest part's place: (MSN, index).
    pub fn newest_part(&self) -> Option<(u64, usize)> {
        window::newest_part(self.open.as_ref(), &self.recent)
    }

    /// The playlist as it stands; `reports` tell of the other renditions.
    pub fn window(&self, reports: Vec<Report>) -> Arc<Window> {
        Arc::new(Window {
            reports,
            inits: self.inits.clone(),
            first_msn: self.first_msn,
            recent: self.recent.clone(),
            open: self.open.clone().map(Arc::new),
            next_msn: self.next_msn,
            closing: self.is_full(),
            ended: self.ended,
            part_target: self.part_target,
            first_segment: self.first_segment,
            duration: self.duration,
            gaps: self.gaps,
            grows: self.keep.is_none(),
            independent: self.independent,
            settled: self.settled.clone(),
            epoch_us: self.epoch_us,
            rendered: Default::default(),
        })
    }

    /// A segment ends before a keyframe when another group of pictures would make it too long, and before any part
    /// that would. The very first ends at the next keyframe: players begin to play when one segment is complete.
    fn must_close(&self, part: &Part) -> bool {
        let Some(open) = &self.open else { return false };
        if part.independent && self.next_msn == self.first_msn {
            return true;
        }
        let next =
            if part.independent { self.keyframe_interval.max(part.duration.into()) } else { part.duration.into() };
        open.segment.duration + next > MAX_SEGMENT
    }

    /// Whether the next part will begin a new segment if the keyframes go on coming as they did: what the preload hint says.
    /// Only the part itself decides.
    fn is_full(&self) -> bool {
        let (Some(open), Some(end), Some(last)) = (&self.open, self.end, self.last_keyframe) else { return false };
        let due = self.keyframe_interval > 0 && end.abs_diff(last + self.keyframe_interval) <= TOLERANCE;
        due && open.segment.duration + self.keyframe_interval > MAX_SEGMENT
    }

    fn append(&mut self, init: u32, part: Part) -> Event {
        let begins = self.open.is_none();
        let broken = std::mem::take(&mut self.broken);
        let open = self.open.get_or_insert_with(|| RecentSegment {
            segment: Segment {
                msn: self.next_msn,
                start: part.start,
                duration: 0,
                init,
                discontinuity: broken,
                independent: part.independent,
                resumed: std::mem::take(&mut self.resumed),
                cut: false,
                gap: false,
                piece: None,
            },
            parts: Vec::with_capacity(12),
        });
        let begins = begins.then(|| open.segment.clone());
        self.gaps += u64::from(broken);
        self.independent &= begins.is_none() || part.independent;
        self.end = Some(part.start + u64::from(part.duration));
        self.duration += u64::from(part.duration);
        open.segment.duration += u64::from(part.duration);
        open.parts.push(WindowPart {
            duration: part.duration,
            independent: part.independent,
            bytes: part.bytes.clone(),
        });
        Event::Part { begins, bytes: part.bytes }
    }

    fn close(&mut self) -> Vec<Event> {
        let Some(open) = self.open.take() else { return Vec::new() };
        if self.next_msn == self.first_msn {
            self.first_segment = open.segment.duration;
        }
        let event = Event::Segment(open.segment.clone());
        self.complete(open);
        vec![event]
    }

    fn complete(&mut self, segment: RecentSegment) {
        self.next_msn += 1;
        self.recent.push(Arc::new(segment));
        self.settle();
    }

    /// Segments that are no longer listed by parts get their final lines; memory and a sliding playlist are bounded.
    fn settle(&mut self) {
        let settled_end = self.first_msn + self.settled.len() as u64;
        let listed = (self.next_msn - settled_end) as usize;
        if listed > SEGMENTS_WITH_PARTS {
            let settle = self.recent.len() - listed;
            let segment = self.recent[settle].segment.clone();
            Arc::make_mut(&mut self.settled).push(&segment, self.epoch_us);
        }
        if self.recent.len() > SEGMENTS_IN_MEMORY {
            self.recent.remove(0);
        }
        if self.keep.is_some_and(|keep| self.next_msn - self.first_msn > keep as u64) {
            Arc::make_mut(&mut self.settled).pop_front();
            self.first_msn += 1;
        }
    }
}

//! The renditions of one broadcast, kept in step: one packager for each, one numbering for all. Pure.
//!
//! One rung *leads*: its packager alone decides where segments begin. The others follow: a part of theirs is placed once the
//! leader has come past its time, into the segment that the leader's plan has there. So all renditions have segments of the same
//! numbers and boundaries whatever the order in which parts arrive, and players switch without a seam (RFC 8216bis 6.2.4). A
//! rung that falls out for a while is listed with EXT-X-GAP and begins again where a segment begins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::packager::{Event, Packager, TOLERANCE};
use super::protocol::{Init, Part};
use super::window::{Report, Segment, Window};

/// Parts of one rung that wait for the leader: some seconds.
const HELD: usize = 32;

/// Segments of the leader that are remembered for those that follow.
const PLANNED: usize = 32;

/// What the recorder is told of which rendition, in order.
pub type Events = Vec<(u8, Event)>;

/// What an earlier process recorded of a rendition, all of it, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recorded {
    pub inits: Vec<Init>,
    pub segments: Vec<Segment>,
}

/// What is known of a broadcast that another process had on air.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Before {
    pub recorded: BTreeMap<u8, Recorded>,
    /// A media sequence number that nobody was told in any rendition.
    pub next_msn: u64,
    /// Breaks of which players had been told, if what was on air is not listed any more.
    pub discontinuities: u64,
}

/// A rendition's segments among those of all: what it has not is a gap of the others' length, so that numbers, breaks and durations are
/// the same for all. The very last of all may be missing, if it was under way when it ended; so may what lies before its first.
pub fn filled(own: &[Segment], all: &BTreeMap<u64, Segment>) -> Vec<Segment> {
    let Some(first) = own.first() else { return Vec::new() };
    let newest = all.keys().next_back();
    let mut own = own.iter().peekable();
    let mut init = first.init;
    let fill = |(msn, other): (&u64, &Segment)| match own.next_if(|segment| segment.msn == *msn) {
        Some(segment) => {
            init = segment.init;
            Some(segment.clone())
        }
        None if newest == Some(msn) => None,
        None => Some(Segment { init, resumed: other.resumed, cut: false, gap: true, ..other.clone() }),
    };
    all.range(first.msn..).filter_map(fill).collect()
}

/// The segments of all renditions by number; where several have one, the last rendition's: the smallest loses the least.
pub fn union<'a>(renditions: impl Iterator<Item = &'a [Segment]>) -> BTreeMap<u64, Segment> {
    renditions.flatten().map(|segment| (segment.msn, segment.clone())).collect()
}

/// All renditions of a broadcast, or of a preview.
#[derive(Debug)]
pub struct Ladder {
    epoch_us: i64,
    keep: Option<usize>,
    leader: u8,
    rungs: BTreeMap<u8, Follower>,
    lead: Packager,
    plan: VecDeque<Segment>,
    /// Renditions whose window has changed.
    changed: Vec<u8>,
    /// So many renditions, from the best on, begin no segment.
    left_out: u8,
}

/// A rung that does not lead.
#[derive(Debug)]
struct Follower {
    packager: Packager,
    /// What the leader has not come to yet.
    held: VecDeque<Part>,
}

impl Ladder {
    /// `leader` is the rendition that is never left out; see [`Packager::new`] for the rest.
    pub fn new(epoch_us: i64, keep: Option<usize>, leader: u8) -> Ladder {
        let lead = Packager::new(epoch_us, keep);
        Ladder {
            epoch_us,
            keep,
            leader,
            rungs: BTreeMap::new(),
            lead,
            plan: VecDeque::new(),
            changed: vec![leader],
            left_out: 0,
        }
    }

    /// Goes on with a broadcast that another process began.
    pub fn resume(self, before: Before) -> Ladder {
        let Before { mut recorded, next_msn, discontinuities } = before;
        let all = union(recorded.values().map(|recorded| &recorded.segments[..]));
        let resume = |Recorded { inits, segments }| {
            let packager = Packager::new(self.epoch_us, self.keep);
            packager.resume(inits, filled(&segments, &all), next_msn, discontinuities)
        };
        let lead = resume(recorded.remove(&self.leader).unwrap_or_default());
        let follower =
            |(rendition, recorded)| (rendition, Follower { packager: resume(recorded), held: VecDeque::new() });
        let rungs = recorded.into_iter().map(follower).collect();
        Ladder { rungs, lead, ..self }.all_changed()
    }

    fn all_changed(mut self) -> Self {
        self.changed = self.renditions();
        self
    }

    pub fn leader(&self) -> u8 {
        self.leader
    }

    /// Those that there are so far, best first.
    fn renditions(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.rungs.keys().copied().chain([self.leader]).collect();
        all.sort_unstable();
        all
    }

    /// So many renditions, from the best on, are about to stop: each completes its segment and begins no other, so that what is
    /// listed of it ends where a segment ends. With fewer, they begin again.
    pub fn leave_out(&mut self, renditions: u8) {
        self.left_out = renditions.min(self.leader);
    }

    /// The inits so far, each with its rendition and number.
    pub fn inits(&self) -> Vec<(u8, u32, Init)> {
        let of = |rendition: u8| Some((rendition, self.packager(rendition)?.inits()));
        let numbered = |(rendition, inits): (u8, &[Init])| {
            inits.iter().zip(0..).map(|(init, number)| (rendition, number, init.clone())).collect::<Vec<_>>()
        };
        self.renditions().into_iter().filter_map(of).flat_map(numbered).collect()
    }

    /// The leader's next media sequence number, or that of its open segment; none has told a later one but in a hint.
    pub fn next_msn(&self) -> u64 {
        self.lead.next_msn()
    }

    /// EXT-X-DISCONTINUITY tags so far, with one that is due.
    pub fn discontinuities(&self) -> u64 {
        self.lead.discontinuities()
    }

    /// The inits in force, as a recorder that begins now must be told.
    pub fn inits_in_force(&self) -> Events {
        let of = |rendition: u8| Some((rendition, self.packager(rendition)?.init_in_force()?));
        self.renditions().into_iter().filter_map(of).collect()
    }

    /// The parts of its rendition that follow are decoded by `init`.
    pub fn init(&mut self, init: Init) -> Events {
        let rendition = init.rendition;
        let events = if rendition == self.leader {
            let events = self.lead.init(init);
            self.led(events)
        } else {
            tagged(rendition, self.follower(rendition).packager.init(init))
        };
        if !events.is_empty() {
            self.changes(rendition);
        }
        events
    }

    /// Takes the next part of its rendition.
    pub fn part(&mut self, part: Part) -> Events {
        let rendition = part.rendition;
        if rendition == self.leader {
            let events = self.lead.part(part);
            if !events.is_empty() {
                self.changes(rendition);
            }
            return self.led(events);
        }
        let follower = self.follower(rendition);
        if follower.held.len() == HELD {
            follower.held.pop_front();
        }
        follower.held.push_back(part);
        self.drain(rendition)
    }

    /// The source broke off: what comes next begins with a keyframe after a discontinuity, in all renditions.
    pub fn interrupt(&mut self) -> Events {
        let events = self.lead.interrupt();
        let mut events = self.led(events);
        for (rendition, follower) in &mut self.rungs {
            follower.held.clear();
            events.extend(tagged(*rendition, follower.packager.interrupt()));
        }
        self.changed = self.renditions();
        events
    }

    /// Nothing follows.
    pub fn finish(&mut self) -> Events {
        let events = self.lead.finish();
        let mut events = self.led(events);
        for (rendition, follower) in &mut self.rungs {
            events.extend(tagged(*rendition, follower.packager.finish()));
        }
        self.changed = self.renditions();
        events
    }

    /// Where the leader's media ends, ticks of running time; 0 before the first part.
    pub fn end(&self) -> u64 {
        self.lead.end()
    }

    /// The playlists that have changed since this was last asked, each with where the others are.
    pub fn changed(&mut self) -> Vec<(u8, Arc<Window>)> {
        let changed = std::mem::take(&mut self.changed);
        let window = |rendition: u8| Some((rendition, self.packager(rendition)?.window(self.reports(rendition))));
        changed.into_iter().filter_map(window).collect()
    }

    /// EXT-X-RENDITION-REPORT for a playlist: all others that have media (RFC 8216bis 4.4.5.4).
    fn reports(&self, of: u8) -> Vec<Report> {
        let others = self.renditions().into_iter().filter(|rendition| *rendition != of);
        let report = |rendition: u8| {
            let (msn, part) = self.packager(rendition)?.newest_part()?;
            Some(Report { rendition, msn, part })
        };
        others.filter_map(report).collect()
    }

    fn packager(&self, rendition: u8) -> Option<&Packager> {
        if rendition == self.leader {
            return Some(&self.lead);
        }
        self.rungs.get(&rendition).map(|follower| &follower.packager)
    }

    fn follower(&mut self, rendition: u8) -> &mut Follower {
        let (epoch_us, keep) = (self.epoch_us, self.keep);
        let new = || Follower { packager: Packager::new(epoch_us, keep), held: VecDeque::new() };
        self.rungs.entry(rendition).or_insert_with(new)
    }

    fn changes(&mut self, rendition: u8) {
        if !self.changed.contains(&rendition) {
            self.changed.push(rendition);
        }
    }

    /// Takes down what the leader did, and lets the others come after.
    fn led(&mut self, events: Vec<Event>) -> Events {
        let mut completed = false;
        for event in &events {
            match event {
                Event::Part { begins: Some(segment), .. } => {
                    if self.plan.len() == PLANNED {
                        self.plan.pop_front();
                    }
                    self.plan.push_back(segment.clone());
                }
                Event::Segment(segment) => {
                    if let Some(planned) = self.plan.back_mut().filter(|planned| planned.msn == segment.msn) {
                        planned.duration = segment.duration;
                    }
                    completed = true;
                }
                _ => {}
            }
        }
        let mut events = tagged(self.leader, events);
        let followers: Vec<u8> = self.rungs.keys().copied().collect();
        for rendition in followers {
            events.extend(self.drain(rendition));
            if completed {
                events.extend(self.list_missed(rendition));
            }
        }
        events
    }

    /// Places what the leader has come past.
    fn drain(&mut self, rendition: u8) -> Events {
        let end = self.lead.end();
        let Some(follower) = self.rungs.get_mut(&rendition) else { return Vec::new() };
        let mut events = Vec::new();
        while follower.held.front().is_some_and(|part| part.start + TOLERANCE < end) {
            let Some(part) = follower.held.pop_front() else { break };
            let begun = |segment: &&Segment| segment.start <= part.start + TOLERANCE;
            if let Some(planned) = self.plan.iter().rev().find(begun) {
                if rendition < self.left_out && follower.packager.next_msn() != planned.msn {
                    continue;
                }
                // What it has left out before belongs in front of it.
                for missed in self.plan.iter().filter(|missed| missed.msn < planned.msn) {
                    events.extend(follower.packager.leave_out(missed));
                }
                events.extend(follower.packager.follow(part, planned));
            }
        }
        if !events.is_empty() {
            self.changes(rendition);
        }
        tagged(rendition, events)
    }

    /// A segment that the leader has completed, and the one after it too, will not come any more where it has not begun.
    fn list_missed(&mut self, rendition: u8) -> Events {
        // At the end, the last one may be under way.
        let behind = self.plan.len().saturating_sub(if self.lead.has_ended() { 1 } else { 2 });
        let Some(follower) = self.rungs.get_mut(&rendition) else { return Vec::new() };
        let mut events = Vec::new();
        let mut left_out = false;
        for missed in self.plan.iter().take(behind) {
            let before = follower.packager.next_msn();
            events.extend(follower.packager.leave_out(missed));
            left_out |= follower.packager.next_msn() != before;
        }
        if left_out {
            self.changes(rendition);
        }
        tagged(rendition, events)
    }
}

fn tagged(rendition: u8, events: Vec<Event>) -> Events {
    events.into_iter().map(|event| (rendition, event)).collect()
}

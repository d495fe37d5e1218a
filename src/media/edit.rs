//! Editing a recording without touching its media: which stretches of it are kept, where these can begin and end, what is listed
//! of them, and where their times come to be. Pure; reading and keeping is `library::edit`'s.
//!
//! A stretch begins with a keyframe and ends with a part, as they are in the leader. The other renditions follow by time. At its
//! edges there may be segments of which some parts are kept: these are listed under names of their own, since the bytes under one
//! name never change.

use std::collections::{BTreeMap, BTreeSet};

use super::captions::Cue;
use super::mp4::PartPlace;
use super::packager::TOLERANCE;
use super::window::Segment;
use crate::base::clock::TIMESCALE;

/// Stretches of one recording.
pub const MOST_KEPT: usize = 100;
/// Chapters of one recording.
pub const MOST_CHAPTERS: usize = 200;
/// Characters of a chapter's title.
pub const LONGEST_TITLE: usize = 200;

/// Segments that are looked into for a keyframe before and after a wish: a publisher's lie a few apart.
const REACH: usize = 32;

/// Some parts of a segment, by their numbers from 0, the last one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    pub first: u32,
    pub last: u32,
}

/// What a segment of an edited recording was recorded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its media sequence number then.
    pub msn: u64,
    /// None: all of it.
    pub parts: Option<Parts>,
}

/// A stretch of a recording that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Ticks of running time, the end excluded.
    pub start: u64,
    pub end: u64,
    /// The same on the time line of all that was recorded, milliseconds.
    pub from_ms: u64,
    pub to_ms: u64,
    /// Where it begins on the time line of what is kept, milliseconds.
    pub at_ms: u64,
}

/// What is kept of a segment of which not all is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptParts {
    pub rendition: u8,
    pub msn: u64,
    pub parts: Parts,
    /// Bytes from the segment's beginning.
    pub offset: u64,
    pub length: u64,
    /// Ticks of running time.
    pub start: u64,
    pub duration: u64,
    pub independent: bool,
}

/// A recording's stretches, and what its edges consist of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// In order, apart from each other; none: all is kept.
    pub kept: Vec<Kept>,
    pub parts: Vec<KeptParts>,
}

/// From `at_ms` on, until the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chapter {
    pub at_ms: u64,
    /// One line of plain text.
    pub title: String,
}

/// A segment of the leader as it is listed, and where it begins on a player's time line: ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub segment: Segment,
    pub at: u64,
}

impl Listed {
    fn end(&self) -> Point {
        Point { at: self.at + self.segment.duration, time: self.segment.start + self.segment.duration }
    }
}

/// Segments one after the other on a player's time line.
pub fn time_line(segments: Vec<Segment>) -> Vec<Listed> {
    let mut at = 0;
    let place = |segment: Segment| {
        let begins = at;
        at += segment.duration;
        Listed { segment, at: begins }
    };
    segments.into_iter().map(place).collect()
}

/// Where a time line ends, ticks.
pub fn length(line: &[Listed]) -> u64 {
    line.last().map_or(0, |last| last.end().at)
}

/// The same instant on a player's time line and in running time, ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    at: u64,
    time: u64,
}

/// Looks into a segment, by its number.
pub type Look<'a, E> = dyn FnMut(u64) -> Result<Vec<PartPlace>, E> + 'a;

/// Stretches as they can be kept, of those that are wished for: in order, ticks on the time line, each with its end behind its
/// beginning. They begin at the keyframe that is nearest, end at the nearest end of a part with which no picture is lost that is
/// shown before, and never are empty; those that come to touch become one. None where all is kept.
///
/// # Errors
/// Those of `parts`, which tells of what parts a segment consists.
pub fn snap<E>(line: &[Listed], wishes: &[(u64, u64)], parts: &mut Look<'_, E>) -> Result<Vec<Kept>, E> {
    let mut found: Vec<(Point, Point)> = Vec::new();
    for (from, to) in wishes {
        let Some(begin) = nearest_start(line, *from, parts)? else { continue };
        // What is wished for lies between two keyframes: the one before has all of it.
        let begin = if begin.at < *to { begin } else { start_before(line, *from, parts)?.unwrap_or(begin) };
        let end = nearest_end(line, *to, begin.at, parts)?;
        match found.last_mut() {
            Some((_, before)) if begin.at <= before.at => *before = if end.at > before.at { end } else { *before },
            _ => found.push((begin, end)),
        }
    }
    if let [(begin, end)] = &found[..]
        && begin.at == 0
        && end.at >= length(line)
    {
        return Ok(Vec::new());
    }
    let mut at_ms = 0;
    let keep = |(begin, end): (Point, Point)| {
        let (from_ms, to_ms) = (ms(begin.at), ms(end.at));
        let kept = Kept { start: begin.time, end: end.time, from_ms, to_ms, at_ms };
        at_ms += to_ms - from_ms;
        kept
    };
    Ok(found.into_iter().map(keep).collect())
}

/// The keyframe nearest before a place on the time line: the segment's number, and the part's in it.
///
/// # Errors
/// As [`snap`].
pub fn keyframe_before<E>(line: &[Listed], at: u64, parts: &mut Look<'_, E>) -> Result<Option<(u64, u32)>, E> {
    for listed in line[..=index_of(line, at).min(line.len().saturating_sub(1))].iter().rev().take(REACH) {
        if listed.segment.gap {
            continue;
        }
        let places = parts(listed.segment.msn)?;
        let shown = |part: &&(u32, &PartPlace)| part.1.independent && place(listed, part.1).at <= at;
        if let Some((number, _)) = (0..).zip(&places).collect::<Vec<_>>().iter().rev().find(shown) {
            return Ok(Some((listed.segment.msn, *number)));
        }
    }
    Ok(None)
}

fn nearest_start<E>(line: &[Listed], wish: u64, parts: &mut Look<'_, E>) -> Result<Option<Point>, E> {
    let before = start_before(line, wish, parts)?;
    let Some(near) = before.filter(|point| point.at < wish) else { return Ok(before) };
    let after = start_after(line, wish, parts)?;
    Ok(Some(after.filter(|after| after.at - wish < wish - near.at).unwrap_or(near)))
}

/// The last place not behind `wish` where a stretch can begin.
fn start_before<E>(line: &[Listed], wish: u64, parts: &mut Look<'_, E>) -> Result<Option<Point>, E> {
    let Some(first) = line.first() else { return Ok(None) };
    let beginning = Point { at: 0, time: first.segment.start };
    for listed in line[..=index_of(line, wish)].iter().rev().take(REACH) {
        if let Some(point) = starts(listed, parts)?.into_iter().rev().find(|point| point.at <= wish) {
            return Ok(Some(point));
        }
    }
    Ok(Some(beginning))
}

/// The first place behind `wish` where a stretch can begin.
fn start_after<E>(line: &[Listed], wish: u64, parts: &mut Look<'_, E>) -> Result<Option<Point>, E> {
    for listed in line[index_of(line, wish)..].iter().take(REACH) {
        let Listed { segment, at } = listed;
        if *at > wish && segment.independent && !segment.gap {
            return Ok(Some(Point { at: *at, time: segment.start }));
        }
        if let Some(point) = starts(listed, parts)?.into_iter().find(|point| point.at > wish) {
            return Ok(Some(point));
        }
    }
    Ok(None)
}

/// The place behind `after`, the nearest to `wish`, where a stretch can end.
fn nearest_end<E>(line: &[Listed], wish: u64, after: u64, parts: &mut Look<'_, E>) -> Result<Point, E> {
    let index = index_of(line, wish);
    let behind = |point: &Point| point.at > after;
    let mut best = index.checked_sub(1).map(|before| line[before].end()).filter(behind);
    for listed in &line[index..] {
        let near = ends(listed, parts)?.into_iter().filter(behind).min_by_key(|point| point.at.abs_diff(wish));
        best = [best, near].into_iter().flatten().min_by_key(|point| point.at.abs_diff(wish));
        if best.is_some() {
            break;
        }
    }
    Ok(best.unwrap_or_else(|| line.last().map_or(Point { at: after, time: 0 }, Listed::end)))
}

/// The last segment that begins not behind `at`.
fn index_of(line: &[Listed], at: u64) -> usize {
    line.partition_point(|listed| listed.at <= at).saturating_sub(1)
}

fn place(listed: &Listed, part: &PartPlace) -> Point {
    Point { at: listed.at + part.start.saturating_sub(listed.segment.start), time: part.start }
}

fn starts<E>(listed: &Listed, parts: &mut Look<'_, E>) -> Result<Vec<Point>, E> {
    if listed.segment.gap {
        return Ok(Vec::new());
    }
    let parts = parts(listed.segment.msn)?;
    Ok(parts.iter().filter(|part| part.independent).map(|part| place(listed, part)).collect())
}

fn ends<E>(listed: &Listed, parts: &mut Look<'_, E>) -> Result<Vec<Point>, E> {
    let mut ends = Vec::new();
    if !listed.segment.gap {
        let parts = parts(listed.segment.msn)?;
        let both = parts.iter().zip(parts.iter().skip(1));
        ends.extend(both.filter(|(part, _)| part.closed).map(|(_, next)| place(listed, next)));
    }
    ends.push(listed.end());
    Ok(ends)
}

fn ms(ticks: u64) -> u64 {
    ticks * 1000 / u64::from(TIMESCALE)
}

/// How a stretch and a segment lie to each other.
enum Overlap {
    None,
    Some,
    All,
}

impl Kept {
    fn overlap(&self, segment: &Segment) -> Overlap {
        let (start, end) = (segment.start, segment.start + segment.duration);
        if end <= self.start + TOLERANCE || start + TOLERANCE >= self.end {
            Overlap::None
        } else if start + TOLERANCE >= self.start && end <= self.end + TOLERANCE {
            Overlap::All
        } else {
            Overlap::Some
        }
    }

    /// Whether all of the segment lies in the stretch.
    pub fn has(&self, segment: &Segment) -> bool {
        matches!(self.overlap(segment), Overlap::All)
    }

    /// Whether the segment lies at an edge, so that some of its parts are kept.
    pub fn cuts(&self, segment: &Segment) -> bool {
        matches!(self.overlap(segment), Overlap::Some)
    }

    /// The parts of such a segment that lie in the stretch. None where they do not begin with a keyframe.
    pub fn parts_of(&self, rendition: u8, segment: &Segment, parts: &[PartPlace]) -> Option<KeptParts> {
        let middle = |part: &PartPlace| part.start + part.duration / 2;
        let inside = |part: &PartPlace| (self.start..self.end).contains(&middle(part));
        let first = parts.iter().position(inside)?;
        let last = parts.iter().rposition(inside)?;
        let chosen = &parts[first..=last];
        let [begin, end] = [chosen.first()?, chosen.last()?];
        (first == 0 || begin.independent).then(|| KeptParts {
            rendition,
            msn: segment.msn,
            parts: Parts { first: first as u32, last: last as u32 },
            offset: begin.offset,
            length: end.offset + end.length - begin.offset,
            start: begin.start,
            duration: end.start + end.duration - begin.start,
            independent: begin.independent,
        })
    }
}

/// A segment of an edited recording: how it is listed, and of what it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    pub segment: Segment,
    /// The index of the recorded one.
    pub of: usize,
    /// Bytes of that one; none: all of it.
    pub bytes: Option<(u64, u64)>,
}

impl Edit {
    /// What is shown of each rendition's segments. They are numbered anew from 0, the same in all renditions; numbers that were
    /// missing inside of a stretch are missing still, and none is between two stretches, which a discontinuity parts.
    pub fn apply(&self, renditions: &BTreeMap<u8, Vec<Segment>>) -> BTreeMap<u8, Vec<Shown>> {
        let chosen = |(number, segments): (&u8, &Vec<Segment>)| (*number, self.choose(*number, segments));
        let chosen: BTreeMap<u8, Vec<(usize, Shown)>> = renditions.iter().map(chosen).collect();
        let old = |(ordinal, shown): &(usize, Shown)| (*ordinal, shown.segment.msn);
        let places: BTreeSet<(usize, u64)> = chosen.values().flatten().map(old).collect();
        let mut numbers = BTreeMap::new();
        let mut before: Option<((usize, u64), u64)> = None;
        for place in places {
            let number = match before {
                Some(((ordinal, msn), number)) if ordinal == place.0 => number + place.1 - msn,
                Some((_, number)) => number + 1,
                None => 0,
            };
            let begins = before.is_none_or(|((ordinal, _), _)| ordinal != place.0);
            numbers.insert(place, (number, begins));
            before = Some((place, number));
        }
        let renumber = |(ordinal, mut shown): (usize, Shown)| {
            let (number, begins) = numbers[&(ordinal, shown.segment.msn)];
            let segment = &mut shown.segment;
            segment.msn = number;
            segment.discontinuity = if begins { number > 0 } else { segment.discontinuity };
            shown
        };
        chosen.into_iter().map(|(number, shown)| (number, shown.into_iter().map(renumber).collect())).collect()
    }

    /// What is kept of one rendition, under its old numbers, with the stretch's.
    fn choose(&self, rendition: u8, segments: &[Segment]) -> Vec<(usize, Shown)> {
        let mut chosen = Vec::new();
        for (ordinal, kept) in self.kept.iter().enumerate() {
            for (of, segment) in segments.iter().enumerate() {
                let (parts, bytes, segment) = match kept.overlap(segment) {
                    Overlap::None => continue,
                    Overlap::All => (None, None, segment.clone()),
                    Overlap::Some => {
                        let its = |one: &&KeptParts| {
                            let inside = one.start + TOLERANCE >= kept.start && one.start < kept.end;
                            one.rendition == rendition && one.msn == segment.msn && inside
                        };
                        let Some(one) = self.parts.iter().find(its) else { continue };
                        let (start, duration, independent) = (one.start, one.duration, one.independent);
                        let begins = one.parts.first == 0;
                        let discontinuity = begins && segment.discontinuity;
                        let piece = Segment { start, duration, independent, discontinuity, ..segment.clone() };
                        (Some(one.parts), Some((one.offset, one.length)), piece)
                    }
                };
                let piece = Some(Piece { msn: segment.msn, parts });
                chosen.push((ordinal, Shown { segment: Segment { piece, ..segment }, of, bytes }));
            }
        }
        chosen
    }
}

/// Where a time of all that was recorded is on the time line of what is kept; none where it is cut out. Milliseconds.
pub fn shown_at(kept: &[Kept], ms: u64) -> Option<u64> {
    if kept.is_empty() {
        return Some(ms);
    }
    kept.iter().find(|kept| (kept.from_ms..kept.to_ms).contains(&ms)).map(|kept| kept.at_ms + ms - kept.from_ms)
}

/// Texts on the time line of what is kept. One that lasts over a cut goes on behind it.
pub fn shown_cues(kept: &[Kept], cues: Vec<Cue>) -> Vec<Cue> {
    if kept.is_empty() {
        return cues;
    }
    let mut shown: Vec<Cue> = Vec::new();
    for cue in cues {
        let mut before: Option<Cue> = None;
        for kept in kept {
            let (from, to) = (cue.start_ms.max(kept.from_ms), cue.end_ms.min(kept.to_ms));
            if from >= to {
                continue;
            }
            let at = |ms: u64| kept.at_ms + ms - kept.from_ms;
            let start_ms = before.take().map_or(at(from), |before| before.start_ms);
            before = Some(Cue { start_ms, end_ms: at(to), text: cue.text.clone() });
        }
        shown.extend(before);
    }
    shown
}

/// Chapters on the time line of what is kept. One whose beginning is cut out begins with what is left of it; one of which
/// nothing is left is left out.
pub fn shown_chapters(kept: &[Kept], chapters: Vec<Chapter>) -> Vec<Chapter> {
    if kept.is_empty() {
        return chapters;
    }
    let ends: Vec<u64> = chapters.iter().skip(1).map(|next| next.at_ms).chain([u64::MAX]).collect();
    let shown = |(chapter, end): (Chapter, u64)| {
        let left = kept.iter().find(|kept| kept.to_ms > chapter.at_ms && kept.from_ms < end)?;
        let at_ms = left.at_ms + chapter.at_ms.max(left.from_ms) - left.from_ms;
        Some(Chapter { at_ms, ..chapter })
    };
    chapters.into_iter().zip(ends).filter_map(shown).collect()
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;

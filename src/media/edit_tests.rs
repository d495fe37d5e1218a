//! Edits of random recordings: what is kept adds up, nothing lies outside of it, and the renditions are alike.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const PART: u64 = 18_000;

/// A segment's parts: whether each begins with a keyframe. Some segments were never recorded.
type Shape = Vec<Option<Vec<bool>>>;

/// Media of one rendition: its segments, and the parts of each by number.
struct Media {
    segments: Vec<Segment>,
    parts: BTreeMap<u64, Vec<PartPlace>>,
}

impl Media {
    /// `size` is how many bytes a part has; segments for which `has` does not hold are missing.
    fn of(shape: &Shape, size: u64, has: impl Fn(u64) -> bool) -> Media {
        let mut media = Media { segments: Vec::new(), parts: BTreeMap::new() };
        let mut start = 7 * PART;
        for (msn, keys) in (3..).zip(shape) {
            let Some(keys) = keys else {
                start += 4 * PART;
                continue;
            };
            let place = |(number, independent): (u64, &bool)| PartPlace {
                offset: number * size,
                length: size,
                start: start + number * PART,
                duration: PART,
                independent: *independent,
                closed: true,
            };
            let parts: Vec<_> = (0..).zip(keys).map(place).collect();
            let duration = PART * keys.len() as u64;
            if has(msn) {
                media.segments.push(segment(msn, start, duration, keys[0]));
                media.parts.insert(msn, parts);
            }
            start += duration;
        }
        media
    }

    fn look(&self) -> impl FnMut(u64) -> Result<Vec<PartPlace>, Infallible> {
        |msn| Ok(self.parts.get(&msn).cloned().unwrap_or_default())
    }

    fn line(&self) -> Vec<Listed> {
        time_line(super::super::playlist::listed(&self.segments))
    }
}

fn segment(msn: u64, start: u64, duration: u64, independent: bool) -> Segment {
    Segment {
        msn,
        start,
        duration,
        init: 0,
        discontinuity: false,
        independent,
        resumed: false,
        cut: false,
        gap: false,
        piece: None,
    }
}

/// A segment begins with a keyframe; a publisher's keyframes lie further apart, now and then.
fn shapes() -> impl Strategy<Value = Shape> {
    let keys = (1..12usize, any::<u16>(), prop::bool::weighted(0.9)).prop_map(|(count, bits, first)| {
        (0..count).map(|part| if part == 0 { first } else { part % 5 == 0 && bits >> part & 1 == 1 }).collect()
    });
    prop::collection::vec(prop::option::weighted(0.95, keys), 1..24).prop_map(|mut shape: Shape| {
        shape[0] = Some(vec![true, false, false]);
        shape
    })
}

fn wishes(line: &[Listed], places: &[u16]) -> Vec<(u64, u64)> {
    let whole = length(line);
    let mut places: Vec<u64> = places.iter().map(|place| u64::from(*place) * whole / u64::from(u16::MAX)).collect();
    places.sort_unstable();
    places.dedup();
    places.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

fn edit_of(renditions: &[(u8, &Media)], wishes: &[(u64, u64)]) -> Edit {
    let (_, leader) = renditions.last().unwrap();
    let Ok(kept) = snap(&leader.line(), wishes, &mut leader.look());
    let mut edit = Edit { kept, parts: Vec::new() };
    for (number, media) in renditions {
        for segment in &media.segments {
            for kept in edit.kept.iter().filter(|kept| kept.cuts(segment)) {
                edit.parts.extend(kept.parts_of(*number, segment, &media.parts[&segment.msn]));
            }
        }
    }
    edit
}

proptest! {
    #[test]
    fn what_is_kept_adds_up_and_is_alike(
        shape in shapes(),
        places in prop::collection::vec(any::<u16>(), 2..9),
        lost in any::<u32>(),
    ) {
        let leader = Media::of(&shape, 100, |_| true);
        let larger = Media::of(&shape, 900, |msn| lost >> (msn % 32) & 3 != 3);
        let line = leader.line();
        let wanted = wishes(&line, &places);
        let edit = edit_of(&[(0, &larger), (1, &leader)], &wanted);
        let again: Vec<_> =
            edit.kept.iter().map(|kept| (kept.from_ms * 90, kept.to_ms * 90)).collect();
        if edit.kept.is_empty() {
            prop_assert!(wanted.is_empty() || wanted[0].0 < length(&line));
            return Ok(());
        }

        // In order and apart; each from a keyframe, or the very beginning, to the end of a part.
        let mut at = 0;
        for (kept, next) in edit.kept.iter().zip(edit.kept.iter().skip(1).map(Some).chain([None])) {
            prop_assert!(kept.from_ms < kept.to_ms && kept.start < kept.end && kept.at_ms == at);
            prop_assert!(next.is_none_or(|next| next.from_ms > kept.to_ms && next.start >= kept.end));
            at += kept.to_ms - kept.from_ms;
            let parts = || leader.parts.values().flatten();
            prop_assert!(kept.from_ms == 0 || parts().any(|part| part.independent && part.start == kept.start));
            let gap_ends = line.iter().any(|listed| listed.segment.gap && listed.end().time == kept.end);
            prop_assert!(gap_ends || parts().any(|part| part.start + part.duration == kept.end));
        }
        let Ok(snapped) = snap(&line, &again, &mut leader.look());
        prop_assert_eq!(&snapped, &edit.kept, "what was snapped stays");

        let all = BTreeMap::from([(0, larger.segments.clone()), (1, leader.segments.clone())]);
        let shown = edit.apply(&all);
        let inside = |segment: &Segment| {
            edit.kept.iter().any(|kept| segment.start >= kept.start && segment.start + segment.duration <= kept.end)
        };
        prop_assert!(shown.values().flatten().all(|one| inside(&one.segment)));
        // What is listed lasts as long as what is kept of the leader.
        let media: u64 = shown[&1].iter().map(|one| one.segment.duration).sum();
        let kept_media: u64 = leader.parts.values().flatten()
            .filter(|part| edit.kept.iter().any(|kept| part.start >= kept.start && part.start < kept.end))
            .map(|part| part.duration).sum();
        prop_assert_eq!(media, kept_media);
        for (number, media) in [(0, &larger), (1, &leader)] {
            for one in &shown[&number] {
                let of = &media.segments[one.of];
                let whole = media.parts[&of.msn].iter().map(|part| part.length).sum();
                let (offset, length) = one.bytes.unwrap_or((0, whole));
                let size = if number == 0 { 900 } else { 100 };
                prop_assert_eq!(length / size * PART, one.segment.duration);
                prop_assert_eq!(offset / size * PART + of.start, one.segment.start);
                prop_assert_eq!(one.segment.piece.map(|piece| piece.msn), Some(of.msn));
            }
            let numbers: Vec<u64> = shown[&number].iter().map(|one| one.segment.msn).collect();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        }
        let of_leader: BTreeMap<u64, &Segment> =
            shown[&1].iter().map(|one| (one.segment.msn, &one.segment)).collect();
        for one in &shown[&0] {
            prop_assert_eq!(of_leader.get(&one.segment.msn), Some(&&one.segment), "the renditions are alike");
        }
        let breaks = shown[&1].iter().filter(|one| one.segment.discontinuity).count();
        prop_assert!(breaks < edit.kept.len());
        prop_assert!(!shown[&1].first().is_some_and(|one| one.segment.discontinuity));

        // Times lead to where they are shown.
        let mut before = None;
        for ms in (0..length(&line) / 90).step_by(37) {
            if let Some(shown) = shown_at(&edit.kept, ms) {
                prop_assert!(before.is_none_or(|before| shown > before) && shown < at);
                before = Some(shown);
            }
        }
    }
}

fn kept(from_ms: u64, to_ms: u64, at_ms: u64) -> Kept {
    Kept { start: from_ms * 90, end: to_ms * 90, from_ms, to_ms, at_ms }
}

#[test]
fn a_stretch_begins_at_the_nearest_keyframe_and_ends_with_the_nearest_part() {
    // Two seconds each, with a keyframe in the middle.
    let keys: Vec<bool> = (0..10).map(|part| part % 5 == 0).collect();
    let media = Media::of(&vec![Some(keys); 6], 1, |_| true);
    let snapped = |from_ms: u64, to_ms: u64| {
        let Ok(kept) = snap(&media.line(), &[(from_ms * 90, to_ms * 90)], &mut media.look());
        kept.first().map(|kept| (kept.from_ms, kept.to_ms))
    };
    assert_eq!(snapped(0, 12_000), None, "all of it");
    assert_eq!(snapped(400, 11_950), None);
    assert_eq!(snapped(1_400, 5_110), Some((1_000, 5_200)));
    assert_eq!(snapped(1_600, 5_090), Some((2_000, 5_000)));
    assert_eq!(snapped(3_000, 3_010), Some((3_000, 3_200)), "never nothing");
    assert_eq!(snapped(3_600, 3_700), Some((3_000, 3_600)), "all of the wish");
    assert_eq!(snapped(11_900, 12_000), Some((11_000, 12_000)));
    let line = media.line();
    let at = |ms: u64| {
        let Ok(found) = keyframe_before(&line, ms * 90, &mut media.look());
        found
    };
    assert_eq!([at(0), at(999), at(1_000), at(12_000)], [Some((3, 0)), Some((3, 0)), Some((3, 5)), Some((8, 5))]);
    let Ok(both) = snap(&line, &[(90_000, 2 * 90_000), (2 * 90_000 + 900, 4 * 90_000)], &mut media.look());
    assert_eq!(both.len(), 1, "what comes to touch is one: {both:?}");
}

#[test]
fn texts_and_chapters_go_with_what_is_kept() {
    let all = [kept(1_000, 3_000, 0), kept(8_000, 9_000, 2_000)];
    let cue = |start_ms, end_ms, text: &str| Cue { start_ms, end_ms, text: text.into() };
    let cues = vec![
        cue(0, 900, "before"),
        cue(500, 1_500, "into"),
        cue(2_000, 8_500, "over"),
        cue(4_000, 5_000, "cut"),
        cue(8_700, 99_000, "out of"),
    ];
    let shown = [cue(0, 500, "into"), cue(1_000, 2_500, "over"), cue(2_700, 3_000, "out of")];
    assert_eq!(shown_cues(&all, cues.clone()), shown);
    assert_eq!(shown_cues(&[], cues.clone()), cues);
    let chapter = |at_ms, title: &str| Chapter { at_ms, title: title.into() };
    let chapters = vec![chapter(0, "a"), chapter(2_500, "b"), chapter(4_000, "cut"), chapter(5_000, "c")];
    assert_eq!(shown_chapters(&all, chapters), [chapter(0, "a"), chapter(1_500, "b"), chapter(2_000, "c")]);
    assert_eq!(
        [0, 1_000, 2_999, 3_000, 8_500].map(|ms| shown_at(&all, ms)),
        [None, Some(0), Some(1_999), None, Some(2_500)]
    );
}

/// Where pictures are decoded before others that are shown first, a part may end among them.
#[test]
fn a_stretch_ends_where_no_picture_is_shown_out_of_turn() {
    use super::super::mp4::{Run, Sample, VIDEO_TRACK, chunk, parts};
    const FRAME: u32 = 3600;
    let part = |start: u64, delays: &[i32]| {
        let sample = |(number, delay): (usize, &i32)| Sample {
            duration: FRAME,
            composition: delay * FRAME as i32,
            sync: start == 0 && number == 0,
            data: bytes::Bytes::from_static(b"picture"),
        };
        let samples = delays.iter().enumerate().map(sample).collect();
        chunk(1, &[Run { track: VIDEO_TRACK, decode_time: start * u64::from(FRAME), samples }]).unwrap()
    };
    // I P | B B | P B | B
    let bytes = [part(0, &[1, 3]), part(2, &[0, 0]), part(4, &[3, 0]), part(6, &[0])].concat();
    let found = parts(&bytes).unwrap();
    assert_eq!(found.iter().map(|part| part.closed).collect::<Vec<_>>(), [false, true, false, true]);
    assert_eq!(found.iter().map(|part| part.independent).collect::<Vec<_>>(), [true, false, false, false]);
    let frames = |count: u64| count * u64::from(FRAME);
    let line = time_line(vec![segment(0, 0, frames(7), true)]);
    let end = |wish: u64| {
        let Ok(kept) = snap(&line, &[(0, wish)], &mut |_| Ok::<_, Infallible>(found.clone()));
        kept.first().map(|kept| kept.end)
    };
    assert_eq!(
        [end(frames(2)), end(frames(4)), end(frames(5)), end(frames(6))],
        [Some(frames(4)), Some(frames(4)), Some(frames(4)), None]
    );
}

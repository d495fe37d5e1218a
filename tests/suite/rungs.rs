//! The renditions of a broadcast under any order of arrival, any hole in any of them and any break: they stay in step.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use siaran::media::ladder::{Before, Events, Ladder, Recorded};
use siaran::media::packager::{Event, free_msn};
use siaran::media::protocol::{Init, Part};
use siaran::media::window::Segment;

use crate::packager;
use crate::playlist_rules::Playlist;

const PART: u32 = 18_000;
const EPOCH_US: i64 = 1_700_000_000_000_000;
const LEADER: u8 = 2;
const RUNGS: u8 = 3;

/// One group of pictures, as all encoders make it.
#[derive(Debug, Clone)]
struct Group {
    /// Parts in it; the last may be short.
    parts: usize,
    last_frames: u32,
    /// The worker is lost before it, and so long is missing, ticks.
    lost: Option<u64>,
    /// For each rung that follows: which of its parts never come, and how many parts it is late.
    missing: [Vec<bool>; 2],
    late: [usize; 2],
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    let missing = || prop_oneof![8 => Just(vec![false; 5]), 1 => prop::collection::vec(any::<bool>(), 5), 1 => Just(vec![true; 5])];
    let group = (
        prop_oneof![10 => Just(5usize), 1 => 1usize..5],
        prop_oneof![10 => Just(6u32), 1 => 1u32..6],
        prop_oneof![25 => Just(None), 1 => (0u64..300_000).prop_map(Some)],
        (missing(), missing()),
        (0usize..8, 0usize..8),
    )
        .prop_map(|(parts, last_frames, lost, missing, late)| Group {
            parts,
            last_frames,
            lost,
            missing: missing.into(),
            late: late.into(),
        });
    prop::collection::vec(group, 1..40)
}

fn init(rendition: u8) -> Init {
    Init { rendition, ..packager::init(rendition) }
}

/// What the recorder keeps of each rendition.
fn take(recorded: &mut BTreeMap<u8, Vec<Segment>>, events: Events) {
    for (rendition, event) in events {
        if let Event::Segment(segment) = event {
            recorded.entry(rendition).or_default().push(segment);
        }
    }
}

/// Plays the groups from this tick on; `each` sees the ladder's playlists after each part.
fn play(
    ladder: &mut Ladder,
    from: u64,
    groups: &[Group],
    mut each: impl FnMut(u8, &Playlist),
) -> BTreeMap<u8, Vec<Segment>> {
    let mut recorded = BTreeMap::new();
    // Parts under way: due after so many of the leader's.
    let mut under_way: Vec<(usize, Part)> = Vec::new();
    let (mut now, mut count) = (from, 0);
    for rendition in 0..RUNGS {
        take(&mut recorded, ladder.init(init(rendition)));
    }
    for group in groups {
        if let Some(lost) = group.lost {
            under_way.clear();
            take(&mut recorded, ladder.interrupt());
            now += lost;
        }
        for index in 0..group.parts {
            let last = index + 1 == group.parts;
            let duration = if last { group.last_frames * 3000 } else { PART };
            let part = |rendition: u8| Part {
                rendition,
                start: now,
                duration,
                independent: index == 0,
                discontinuity: false,
                bytes: Bytes::from(vec![rendition]),
            };
            for rung in 0..LEADER {
                if !group.missing[usize::from(rung)][index] {
                    // In order, whatever the delay says.
                    let due = count + group.late[usize::from(rung)];
                    let before = under_way.iter().filter(|(_, part)| part.rendition == rung).map(|(due, _)| *due).max();
                    under_way.push((due.max(before.unwrap_or(0)), part(rung)));
                }
            }
            let mut deliver = |ladder: &mut Ladder, due: usize, under_way: &mut Vec<(usize, Part)>| {
                let (here, later) = std::mem::take(under_way).into_iter().partition(|(at, _)| *at <= due);
                *under_way = later;
                let here: Vec<(usize, Part)> = here;
                for (_, part) in here {
                    take(&mut recorded, ladder.part(part));
                }
            };
            // Some come before the leader's own.
            deliver(ladder, count, &mut under_way);
            take(&mut recorded, ladder.part(part(LEADER)));
            count += 1;
            now += u64::from(duration);
            for (rendition, window) in ladder.changed() {
                if window.has_media() {
                    let playlist = Playlist::read(std::str::from_utf8(&window.playlist()).unwrap());
                    playlist.check();
                    let delta = Playlist::read(std::str::from_utf8(&window.delta()).unwrap());
                    delta.check();
                    each(rendition, &playlist);
                }
            }
        }
    }
    for (_, part) in under_way {
        take(&mut recorded, ladder.part(part));
    }
    take(&mut recorded, ladder.finish());
    recorded
}

fn listed(ladder: &mut Ladder) -> BTreeMap<u8, Playlist> {
    let windows = ladder.changed().into_iter().filter(|(_, window)| window.has_media());
    windows
        .map(|(rendition, window)| (rendition, Playlist::read(std::str::from_utf8(&window.playlist()).unwrap())))
        .collect()
}

/// What is listed of a rendition lies where the leader's segments lie.
fn check_in_step(playlists: &BTreeMap<u8, Playlist>) {
    let Some(lead) = playlists.get(&LEADER) else { return };
    for playlist in playlists.values() {
        for pair in playlist.segments.windows(2) {
            assert_eq!(pair[1].msn, pair[0].msn + 1);
        }
        for segment in &playlist.segments {
            let other = lead.segments.iter().find(|other| other.msn == segment.msn).expect("the leader has it");
            assert_eq!(segment.date, other.date, "segment {}", segment.msn);
            assert_eq!(segment.discontinuity, other.discontinuity, "segment {}", segment.msn);
            assert!(segment.duration <= other.duration + 1e-4, "segment {}", segment.msn);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_renditions_have_the_same_segments(groups in groups()) {
        let mut ladder = Ladder::new(EPOCH_US, None, LEADER);
        let mut before: BTreeMap<u8, Playlist> = BTreeMap::new();
        let recorded = play(&mut ladder, 900_000, &groups, |rendition, playlist| {
            if let Some(old) = before.get(&rendition) {
                for (old, new) in old.segments.iter().filter(|old| old.uri.is_some()).zip(&playlist.segments) {
                    assert_eq!((old.msn, &old.uri, old.duration, old.gap), (new.msn, &new.uri, new.duration, new.gap));
                }
            }
            before.insert(rendition, playlist.clone());
        });
        let last = listed(&mut ladder);
        check_in_step(&last);
        // What is no gap is what the recorder was told.
        for (rendition, playlist) in &last {
            let numbers: Vec<u64> = playlist.segments.iter().filter(|one| !one.gap).map(|one| one.msn).collect();
            let told: Vec<u64> = recorded[rendition].iter().map(|segment| segment.msn).collect();
            prop_assert_eq!(numbers, told);
        }
        // A rendition that lost nothing has all that the leader has. One that was too late for the end has less of it.
        for rung in 0..LEADER {
            let whole = groups.iter().all(|group| {
                group.lost.is_none() && !group.missing[usize::from(rung)][..group.parts].contains(&true)
            });
            if whole {
                let lengths = |rendition: u8| last[&rendition].segments.iter().map(|one| (one.msn, one.duration)).collect::<Vec<_>>();
                prop_assert_eq!(lengths(rung), lengths(LEADER));
            }
        }
    }

    /// Goes on in a new process, where no rendition may take a number that another had.
    #[test]
    fn renditions_go_on_together(first in groups(), second in groups(), forgotten in 0usize..3, paused_from in 1u64..20) {
        let mut ladder = Ladder::new(EPOCH_US, None, LEADER);
        let mut recorded = play(&mut ladder, 900_000, &first, |_, _| {});
        let told: Vec<u64> = recorded.values().flatten().map(|segment| segment.msn).collect();
        let over = recorded.values().flatten().map(|segment| segment.start + segment.duration).max().unwrap_or(900_000);
        // The recording may have been paused for long, and the disk may not have come to the same point in all.
        for segments in recorded.values_mut() {
            segments.retain(|segment| segment.msn < paused_from);
        }
        let owing = recorded.entry(0).or_default();
        owing.truncate(owing.len().saturating_sub(forgotten));
        let known: Vec<u8> =
            recorded.iter().filter(|(_, segments)| !segments.is_empty()).map(|(rendition, _)| *rendition).collect();
        let newest = recorded.values().flatten().map(|segment| segment.msn).max();
        let end = recorded.values().flatten().map(|segment| segment.start + segment.duration).max().unwrap_or(900_000);
        let before = recorded.into_iter().map(|(rendition, segments)| {
            (rendition, Recorded { inits: vec![init(rendition)], segments })
        });
        let dark = Duration::from_nanos((over - end) * 100_000 / 9);
        let Some(newest) = newest else { return Ok(()) };
        let before = Before { recorded: before.collect(), next_msn: free_msn(newest + 1, dark), discontinuities: 0 };
        let mut ladder = Ladder::new(EPOCH_US + 60_000_000, None, LEADER).resume(before);
        let recorded = play(&mut ladder, over + 90_000, &second, |_, _| {});
        for (rendition, segments) in &recorded {
            let told = segments.first().is_none_or(|first| first.resumed == known.contains(rendition));
            prop_assert!(told, "rendition {}", rendition);
        }
        let numbers: Vec<u64> = recorded.values().flatten().map(|segment| segment.msn).collect();
        prop_assert!(newest <= *told.iter().max().unwrap());
        prop_assert!(numbers.iter().all(|number| told.iter().all(|told| number > told)), "a number is given out twice");
        let leads: BTreeMap<u64, u64> = recorded[&LEADER].iter().map(|segment| (segment.msn, segment.start)).collect();
        for segment in recorded.values().flatten() {
            prop_assert_eq!(leads.get(&segment.msn), Some(&segment.start));
        }
        // What comes first after the break says so, and to the index too where there was something before it.
        let first = leads.keys().next();
        let begins = recorded.values().flatten().filter(|segment| Some(&segment.msn) == first);
        prop_assert!(begins.into_iter().all(|segment| segment.discontinuity));
    }
}

/// The disk failed for two minutes before the process ended: viewers know numbers that no row tells of.
#[test]
fn a_number_is_given_out_once_however_long_the_recording_was_paused() {
    let group = Group { parts: 5, last_frames: 6, lost: None, missing: [vec![false; 5], vec![false; 5]], late: [0, 0] };
    let groups = vec![group; 130];
    let mut told = 0;
    let mut ladder = Ladder::new(EPOCH_US, None, LEADER);
    let mut recorded = play(&mut ladder, 0, &groups, |_, playlist| told = told.max(playlist.last_msn().unwrap_or(0)));
    recorded.values_mut().for_each(|segments| segments.truncate(5));
    let before = recorded
        .into_iter()
        .map(|(rendition, segments)| (rendition, Recorded { inits: vec![init(rendition)], segments }));
    let next_msn = free_msn(5, Duration::from_secs(125));
    let before = Before { recorded: before.collect(), next_msn, discontinuities: 0 };
    let mut ladder = Ladder::new(EPOCH_US, None, LEADER).resume(before);
    let again = play(&mut ladder, 140 * 90_000, &groups[..4], |_, _| {});
    let first = again.values().flatten().map(|segment| segment.msn).min().unwrap();
    assert!(told > 60 && first > told, "{first} after {told}");
    for playlist in listed(&mut ladder).values() {
        playlist.check();
        assert_eq!(playlist.first_msn, 0, "what is left out is listed as gaps");
    }
}

#[test]
fn each_playlist_tells_where_the_others_are() {
    let mut ladder = Ladder::new(EPOCH_US, None, LEADER);
    for rendition in [0, LEADER] {
        ladder.init(init(rendition));
    }
    for number in 0..12_u32 {
        for rendition in [LEADER, 0] {
            let (start, independent) = (u64::from(number * PART), number % 5 == 0);
            let bytes = Bytes::from_static(b"x");
            ladder.part(Part { rendition, start, duration: PART, independent, discontinuity: false, bytes });
        }
    }
    for (rendition, window) in ladder.changed() {
        let text = String::from_utf8(window.playlist().to_vec()).unwrap();
        let other = if rendition == 0 { "av2" } else { "av" };
        // The first segment has one group of five, the second both of the others so far.
        let report = format!("#EXT-X-RENDITION-REPORT:URI=\"../{other}/index.m3u8\",LAST-MSN=1,LAST-PART=6\n");
        assert!(text.contains(&report), "{text}");
        assert_eq!(text.matches("RENDITION-REPORT").count(), 1);
    }
}

#[test]
fn a_rung_that_is_left_out_completes_its_segment() {
    let mut ladder = Ladder::new(EPOCH_US, None, LEADER);
    for rendition in [0, LEADER] {
        ladder.init(init(rendition));
    }
    // It is told in the middle of a segment, and that it is back in the middle of another.
    for number in 0..80_u32 {
        match number {
            18 => ladder.leave_out(1),
            48 => ladder.leave_out(0),
            _ => {}
        }
        for rendition in [LEADER, 0] {
            let (start, independent) = (u64::from(number * PART), number % 5 == 0);
            let bytes = Bytes::from_static(b"x");
            ladder.part(Part { rendition, start, duration: PART, independent, discontinuity: false, bytes });
        }
    }
    ladder.finish();
    let playlists = listed(&mut ladder);
    check_in_step(&playlists);
    let lengths = |rendition: u8| playlists[&rendition].segments.iter().map(|one| one.duration).collect::<Vec<_>>();
    assert_eq!(lengths(0), lengths(LEADER));
    let gaps = playlists[&0].segments.iter().filter(|one| one.gap).count();
    assert!((2..=4).contains(&gaps), "{gaps} gaps");
}

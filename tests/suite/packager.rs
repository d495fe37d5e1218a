//! The packager under any sequence of parts, breaks and changes: what comes out keeps the rules, loses nothing, and tells the
//! recorder the same as it tells the viewers.

use bytes::Bytes;
use proptest::prelude::*;
use siaran::media::packager::{Event, Packager};
use siaran::media::protocol::{Init, Part};
use siaran::media::reload::{self, Answer, Wanted};

use crate::playlist_rules::Playlist;

const PART: u32 = 18_000;
const EPOCH_US: i64 = 1_700_000_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// A part, `frames` frames of 1/30 s long.
    Part {
        frames: u32,
        keyframe: bool,
        pause: u64,
        marked: bool,
    },
    Init(u8),
    Interrupt,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let part = (
        1u32..=6,
        prop::bool::weighted(0.2),
        prop_oneof![20 => Just(0u64), 1 => 2_000u64..200_000],
        prop::bool::weighted(0.02),
    )
        .prop_map(|(frames, keyframe, pause, marked)| Step::Part { frames, keyframe, pause, marked });
    let step = prop_oneof![60 => part, 1 => (0u8..3).prop_map(Step::Init), 1 => Just(Step::Interrupt)];
    prop::collection::vec(step, 1..250)
}

pub fn init(kind: u8) -> Init {
    Init {
        rendition: 0,
        bytes: Bytes::from(vec![kind; 4]),
        codecs: String::from("avc1.64001f,mp4a.40.2"),
        width: 1280,
        height: 720,
        frame_rate_milli: 30_000,
        has_audio: true,
        part_target: PART,
    }
}

/// Plays the steps against a packager; `each` sees every window.
fn play(steps: &[Step], keep: Option<usize>, mut each: impl FnMut(&Packager, &[Event])) -> (Packager, Vec<Event>) {
    let mut packager = Packager::new(EPOCH_US, keep);
    let mut all = packager.init(init(0));
    let mut now = 90_000u64;
    for (number, step) in steps.iter().enumerate() {
        let events = match step {
            Step::Init(kind) => packager.init(init(*kind)),
            Step::Interrupt => packager.interrupt(),
            Step::Part { frames, keyframe, pause, marked } => {
                now += pause;
                // As the worker does it: a part is short only where a keyframe or a break follows.
                let broken_off = !matches!(
                    steps.get(number + 1),
                    Some(Step::Part { keyframe: false, pause: 0, marked: false, .. } | Step::Init(_))
                );
                let duration = if broken_off { frames * 3000 } else { PART };
                let part = Part {
                    rendition: 0,
                    start: now,
                    duration,
                    independent: *keyframe,
                    discontinuity: *marked,
                    bytes: Bytes::from((number as u32).to_be_bytes().to_vec()),
                };
                now += u64::from(duration);
                packager.part(part)
            }
        };
        each(&packager, &events);
        all.extend(events);
    }
    (packager, all)
}

fn text(packager: &Packager) -> String {
    String::from_utf8(packager.window(Vec::new()).playlist().to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_playlist_keeps_the_rules_and_only_grows(steps in steps()) {
        let mut before: Option<Playlist> = None;
        let (mut packager, mut events) = play(&steps, None, |packager, _| {
            let window = packager.window(Vec::new());
            if window.newest_part().is_none() {
                return;
            }
            let playlist = Playlist::read(&text(packager));
            playlist.check();
            let delta = Playlist::read(std::str::from_utf8(&window.delta()).unwrap());
            delta.check();
            if let Some(before) = &before {
                // What was listed stays, byte for byte and in place; an open segment may only get longer.
                for old in before.segments.iter().filter(|old| old.uri.is_some()) {
                    let new = playlist.segments.iter().find(|new| new.msn == old.msn).expect("a segment vanished");
                    assert_eq!(
                        (&new.uri, new.duration, &new.map, new.discontinuity, new.date),
                        (&old.uri, old.duration, &old.map, old.discontinuity, old.date)
                    );
                }
                assert!(playlist.last_msn() >= before.last_msn());
                assert_eq!(delta.applied_to(before).segments, merged(&playlist, delta.skipped));
            }
            before = Some(playlist);
        });
        events.extend(packager.finish());
        let playlist = Playlist::read(&text(&packager));
        playlist.check();
        prop_assert!(playlist.ended);

        // The recorder was told the same segments, and their bytes make up the parts in order.
        let segments: Vec<_> = events.iter().filter_map(|event| match event {
            Event::Segment(segment) => Some(segment.clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(segments.len(), playlist.segments.len());
        for (told, listed) in segments.iter().zip(&playlist.segments) {
            prop_assert_eq!(told.msn, listed.msn);
            prop_assert!((told.duration as f64 / 90_000.0 - listed.duration).abs() < 1e-4);
            prop_assert_eq!(told.discontinuity, listed.discontinuity);
            // Program date time is the epoch plus the media time, whatever happened in between.
            let date = EPOCH_US as f64 / 1e6 + told.start as f64 / 90_000.0;
            prop_assert!((listed.date.unwrap() - date).abs() < 0.002);
        }
        let mut begun = Vec::new();
        let mut last = None;
        for event in &events {
            if let Event::Part { begins, bytes: part } = event {
                begun.extend(begins.as_ref().map(|segment| segment.msn));
                let number = u32::from_be_bytes(part[..4].try_into().unwrap());
                prop_assert!(last < Some(number), "parts keep their order");
                last = Some(number);
            }
        }
        prop_assert_eq!(begun, segments.iter().map(|segment| segment.msn).collect::<Vec<_>>());
    }

    #[test]
    fn a_sliding_window_keeps_the_rules_too(steps in steps()) {
        let mut msn = 0;
        play(&steps, Some(5), |packager, _| {
            if packager.window(Vec::new()).newest_part().is_some() {
                let playlist = Playlist::read(&text(packager));
                playlist.check();
                assert!(playlist.segments.len() <= 6);
                assert!(playlist.first_msn >= msn, "the window never slides back");
                msn = playlist.first_msn;
            }
        });
    }

    #[test]
    fn a_recording_lists_what_the_live_playlist_listed(steps in steps()) {
        let (mut packager, mut events) = play(&steps, None, |_, _| {});
        events.extend(packager.finish());
        let segments: Vec<_> = events.iter().filter_map(|event| match event {
            Event::Segment(segment) => Some(segment.clone()),
            _ => None,
        }).collect();
        if !segments.is_empty() {
            let recording = siaran::media::playlist::recording(&segments, EPOCH_US, true);
            prop_assert_eq!(std::str::from_utf8(&recording).unwrap(), text(&packager));
        }
    }

    #[test]
    fn a_reload_is_answered_as_soon_as_it_can_be_and_never_hangs(steps in steps(), msn in 0u64..40, part in prop::option::of(0u64..30)) {
        let wanted = Wanted { msn, part };
        play(&steps, None, |packager, _| {
            let window = packager.window(Vec::new());
            let answer = reload::playlist(&window, wanted);
            let newest = window.newest_part().map_or((0, -1), |(msn, index)| (msn, index as i64));
            match answer {
                // Without `_HLS_part` the whole segment is wanted (RFC 8216bis 6.2.5.2).
                Answer::Ready => assert!(match part {
                    None => window.next_msn > msn,
                    Some(part) => window.next_msn > msn || newest >= (msn, part as i64),
                }),
                Answer::Wait => assert!(msn <= window.next_msn + 2),
                // An early window may be too far from it; what must never be refused is checked at the end.
                Answer::TooFar => {}
            }
        });
        let (mut packager, _) = play(&steps, None, |_, _| {});
        packager.finish();
        prop_assert_eq!(reload::playlist(&packager.window(Vec::new()), wanted), Answer::Ready, "an ended playlist answers all");
    }
}

/// The full playlist as a client with a delta update sees it: skipped segments keep no parts.
fn merged(playlist: &Playlist, skipped: u64) -> Vec<crate::playlist_rules::Segment> {
    let mut segments = playlist.segments.clone();
    for segment in segments.iter_mut().take(skipped as usize) {
        segment.parts.clear();
    }
    segments
}

#[test]
fn what_was_never_recorded_is_listed_as_a_gap() {
    let (mut packager, mut events) = play(
        &(0..60)
            .map(|number| Step::Part { frames: 6, keyframe: number % 5 == 0, pause: 0, marked: false })
            .collect::<Vec<_>>(),
        None,
        |_, _| {},
    );
    events.extend(packager.finish());
    let mut segments: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Segment(segment) => Some(segment.clone()),
            _ => None,
        })
        .collect();
    let whole: u64 = segments.iter().map(|segment| segment.duration).sum();
    segments.drain(2..4);
    let text = siaran::media::playlist::recording(&segments, EPOCH_US, true);
    let text = std::str::from_utf8(&text).unwrap();
    let playlist = Playlist::read(text);
    playlist.check();
    assert_eq!(text.matches("#EXT-X-GAP\n").count(), 2);
    for segment in &playlist.segments {
        assert_eq!(segment.uri, Some(format!("seg-{}.m4s", segment.msn)), "numbers are those that viewers saw");
    }
    assert!((playlist.duration() - whole as f64 / 90_000.0).abs() < 0.001, "what follows keeps its time");
}

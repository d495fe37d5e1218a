//! What is hard to make a real publisher do: say nothing, send nonsense, change in odd moments.

use proptest::prelude::*;

use super::*;
use crate::media::h264::tests::AVCC;

const ASC: [u8; 2] = [0x11, 0x90];

fn tag(kind: TagKind, timestamp_ms: u32, head: &[u8], body: &[u8]) -> FlvTag {
    FlvTag { kind, timestamp_ms, body: [head, body].concat().into() }
}

fn video_config() -> FlvTag {
    tag(TagKind::Video, 0, &[0x17, 0, 0, 0, 0], AVCC)
}

fn picture(timestamp_ms: u32, key: bool) -> FlvTag {
    let (head, unit) = if key { (0x17, 0x65) } else { (0x27, 0x41) };
    tag(TagKind::Video, timestamp_ms, &[head, 1, 0, 0, 0], &[0, 0, 0, 2, unit, 7])
}

fn sound_config() -> FlvTag {
    tag(TagKind::Audio, 0, &[0xaf, 0], &ASC)
}

fn sound(timestamp_ms: u32) -> FlvTag {
    tag(TagKind::Audio, timestamp_ms, &[0xaf, 1], &[1, 2, 3])
}

fn inits(events: &[Event]) -> Vec<bool> {
    events.iter().filter_map(|e| if let Event::Init(init) = e { Some(init.has_audio) } else { None }).collect()
}

fn fatal(events: &[Event]) -> Option<ErrorCode> {
    events.iter().find_map(|e| if let Event::Fatal(code, _) = e { Some(*code) } else { None })
}

fn parts(events: &[Event]) -> Vec<(u64, u32, bool)> {
    let part = |e: &Event| if let Event::Part(cut) = e { Some(cut.part.clone()) } else { None };
    events.iter().filter_map(part).map(|p| (p.start, p.duration, p.discontinuity)).collect()
}

#[test]
fn who_sends_sound_only_or_nothing_is_given_up_after_a_while() {
    let mut silent = Passthrough::new(200);
    assert!(silent.tick(0).is_empty() && silent.tick(NO_VIDEO - 1).is_empty());
    assert_eq!(fatal(&silent.tick(NO_VIDEO)), Some(ErrorCode::NoVideo));
    assert!(silent.tick(NO_VIDEO + 1).is_empty(), "said once");

    let mut blind = Passthrough::new(200);
    blind.take(&sound_config(), 0);
    let events: Vec<Event> = (0..600).flat_map(|n| blind.take(&sound(n * 21), u64::from(n) * 1920)).collect();
    assert_eq!(fatal(&events), Some(ErrorCode::NoVideo));

    // Some encoders have ten seconds and more between keyframes.
    let mut between = Passthrough::new(200);
    between.take(&video_config(), 0);
    let sent = (0..2000u32).map(|n| (n, between.take(&picture(n * 33, false), u64::from(n) * 2970)));
    let given_up =
        sent.filter_map(|(n, events)| fatal(&events).map(|code| (u64::from(n) * 2970 / NO_KEY, code))).next();
    assert_eq!(given_up, Some((1, ErrorCode::NoVideo)));
}

#[test]
fn it_starts_at_once_when_all_is_known_and_after_a_second_else() {
    let mut known = Passthrough::new(200);
    known.take(&video_config(), 0);
    known.take(&sound_config(), 0);
    assert_eq!(inits(&known.take(&picture(0, true), 0)), [true]);

    let mut deaf = Passthrough::new(200);
    deaf.take(&video_config(), 0);
    assert!(inits(&deaf.take(&picture(0, true), 0)).is_empty());
    assert!(deaf.tick(PATIENCE - 1).is_empty());
    assert_eq!(inits(&deaf.tick(PATIENCE)), [false]);
}

#[test]
fn sound_that_ends_gives_up_its_track_at_a_keyframe() {
    let mut passthrough = Passthrough::new(200);
    let mut events = passthrough.take(&video_config(), 0);
    events.extend(passthrough.take(&sound_config(), 0));
    for n in 0..300u32 {
        let ms = (f64::from(n) * 1000.0 / 30.0) as u32;
        events.extend(passthrough.take(&picture(ms, n % 30 == 0), u64::from(n) * 3000));
        if n < 60 {
            events.extend(passthrough.take(&sound(ms), u64::from(n) * 3000));
        }
    }
    assert_eq!(inits(&events), [true, false]);
}

#[test]
fn the_first_frame_lies_at_the_time_it_came_and_a_jump_too() {
    let mut passthrough = Passthrough::new(200);
    let mut events = passthrough.take(&video_config(), 900_000);
    events.extend(passthrough.take(&sound_config(), 900_000));
    for n in 0..60u32 {
        let jump = if n < 30 { 5_000 } else { 5_000_000 };
        let ms = jump + (f64::from(n) * 1000.0 / 30.0) as u32;
        events.extend(passthrough.take(&picture(ms, n % 15 == 0), 900_000 + u64::from(n) * 3000));
    }
    let parts = parts(&events);
    assert_eq!(parts[0], (900_000, 18_000, true));
    let after = parts.iter().find(|(start, ..)| *start >= 990_000).unwrap();
    assert_eq!(*after, (990_000, 18_000, true));
}

#[test]
fn a_slow_source_gets_longer_parts() {
    let mut passthrough = Passthrough::new(200);
    let mut events = passthrough.take(&video_config(), 0);
    events.extend(passthrough.take(&sound_config(), 0));
    for n in 0..120u32 {
        events.extend(passthrough.take(&picture(n * 500, n % 4 == 0), u64::from(n) * 45_000));
        events.extend(passthrough.take(&sound(n * 500), u64::from(n) * 45_000));
    }
    let last = events.iter().rev().find_map(|e| if let Event::Init(init) = e { Some(init.part_target) } else { None });
    assert_eq!(last, Some(45_000));
    let parts = parts(&events);
    assert!(parts[parts.len() - 20..].iter().all(|(_, duration, broken)| *duration == 45_000 && !broken));
}

#[test]
fn a_broken_configuration_is_fatal_and_a_broken_frame_is_left_out() {
    let mut passthrough = Passthrough::new(200);
    passthrough.take(&video_config(), 0);
    passthrough.take(&tag(TagKind::Video, 0, &[0x17, 1, 0, 0, 0], &[0, 0, 9, 9, 1]), 0);
    assert_eq!(passthrough.dropped(), 1);
    let events = passthrough.take(&tag(TagKind::Video, 0, &[0x17, 0, 0, 0, 0], &[1, 2, 3]), 0);
    assert_eq!(fatal(&events), Some(ErrorCode::BadMedia));
    assert!(passthrough.take(&picture(0, true), 0).is_empty(), "it is over");
}

fn any_tag() -> impl Strategy<Value = FlvTag> {
    let time = prop_oneof![0u32..100_000, any::<u32>()];
    let body = proptest::collection::vec(any::<u8>(), 0..24);
    (0..7, time, body).prop_map(|(what, time, body)| match what {
        0 => video_config(),
        1 => sound_config(),
        2 => picture(time, true),
        3 => picture(time, false),
        4 => sound(time),
        5 => tag(TagKind::Video, time, &[0x27, 1, body.len() as u8, 0, 0], &[0, 0, 0, 1, 0x41]),
        _ => FlvTag {
            kind: if time % 2 == 0 { TagKind::Audio } else { TagKind::Video },
            timestamp_ms: time,
            body: body.into(),
        },
    })
}

/// On air with a group of pictures, and off it again; gives the timeline.
fn interrupted(passthrough: &mut Passthrough) -> Fragmenter {
    passthrough.take(&video_config(), 0);
    passthrough.take(&sound_config(), 0);
    (0..27u32).for_each(|n| drop(passthrough.take(&picture(n * 33, n == 0), u64::from(n) * 3000)));
    let (cut, fragmenter) = passthrough.leave();
    assert!(cut.is_some_and(|cut| cut.frames == 3), "what was begun is whole");
    fragmenter.expect("it was on air")
}

#[test]
fn what_has_piled_up_in_a_pause_is_not_shown() {
    let mut passthrough = Passthrough::new(200);
    let line = interrupted(&mut passthrough);
    // Three seconds later it sends all at once, with a keyframe each second.
    for n in 30..121u32 {
        passthrough.take(&picture(n * 33, n % 30 == 0), 364_000);
        assert_eq!(passthrough.is_ready(364_000), n >= 120, "{n}");
    }
    let mut events = passthrough.begin(Some(line));
    assert_eq!(inits(&events), [true]);
    events.extend((121..130).flat_map(|n| passthrough.take(&picture(n * 33, false), u64::from(n) * 2970)));
    let first = parts(&events)[0];
    assert!(first.2 && first.0 + 3_000 >= 120 * 33 * 90, "{first:?}");
}

#[test]
fn a_source_that_stays_late_is_shown_all_the_same() {
    let mut passthrough = Passthrough::new(200);
    let mut line = interrupted(&mut passthrough);
    // What stood in for it has come to five seconds.
    line.interrupt().expect("a whole part");
    let late = 2 * 90_000;
    let mut waited = None;
    for n in 30..150u32 {
        let now = u64::from(n) * 2970 + late;
        passthrough.take(&picture(n * 33, n % 30 == 0), now);
        if waited.is_none() && passthrough.is_ready(now) {
            waited = Some((n, passthrough.begin(Some(line))));
            break;
        }
        line.interrupt().expect("a whole part");
    }
    let (n, events) = waited.expect("it begins");
    assert!((75..78).contains(&n), "after a second and a half: {n}");
    assert_eq!(inits(&events), [true]);
}

#[test]
fn another_publisher_begins_with_what_it_sends_itself() {
    let mut passthrough = Passthrough::new(200);
    let line = interrupted(&mut passthrough);
    passthrough.forget();
    passthrough.take(&picture(0, true), 300_000);
    assert!(!passthrough.is_ready(300_000), "nobody knows how to decode it");
    passthrough.take(&video_config(), 300_000);
    passthrough.take(&picture(0, true), 300_000);
    assert!(!passthrough.is_ready(300_000 + PATIENCE - 1) && passthrough.is_ready(300_000 + PATIENCE));
    assert_eq!(inits(&passthrough.begin(Some(line))), [false]);
    assert_eq!(fatal(&passthrough.tick(10_000_000)), None, "it had a picture");
    passthrough.leave();
    passthrough.forget();
    passthrough.tick(300_000);
    assert_eq!(fatal(&passthrough.tick(300_000 + NO_VIDEO)), Some(ErrorCode::NoVideo));
}

proptest! {
    #[test]
    fn whatever_comes_time_never_goes_back(tags in proptest::collection::vec((any_tag(), 0u64..30_000, 0..20), 0..120)) {
        let mut passthrough = Passthrough::new(200);
        let (mut now, mut edge, mut target) = (1_000_000, 0, 0);
        let mut line: Option<Fragmenter> = None;
        for (tag, pause, what) in tags {
            now += pause;
            let mut events = passthrough.take(&tag, now);
            if what < 2 && line.is_none() {
                let (cut, fragmenter) = passthrough.leave();
                events.extend(cut.map(Event::Part));
                line = fragmenter;
                if what == 0 {
                    passthrough.forget();
                }
            } else if passthrough.is_ready(now) && let Some(line) = line.take() {
                events.extend(passthrough.begin(Some(line)));
            }
            for event in events {
                match event {
                    Event::Init(init) => target = init.part_target,
                    Event::Part(cut) => {
                        let part = cut.part;
                        prop_assert!(part.start >= edge && part.duration > 0 && part.duration <= target);
                        prop_assert!(part.start == edge || part.discontinuity);
                        edge = part.start + u64::from(part.duration);
                    }
                    _ => {}
                }
            }
        }
    }
}

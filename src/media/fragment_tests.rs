//! Every part is parsed back with the MP4 reader and held to the rules, whatever frames go in.

use mp4_atom::{Decode, Moof, Moov};
use proptest::prelude::*;

use super::*;
use crate::media::h264::tests::AVCC;

fn tracks(part_target: u32, audio: bool) -> Tracks {
    Tracks {
        video: VideoConfig::parse(Bytes::from_static(AVCC)).unwrap(),
        audio: audio.then(|| AudioConfig::parse(Bytes::from_static(&[0x11, 0x90])).unwrap()),
        part_target,
        frame_rate_milli: 30_000,
    }
}

fn frame(number: u32, decode: u64, expected: u32, key: bool) -> VideoFrame {
    VideoFrame { decode, composition: 0, expected, key, data: Bytes::copy_from_slice(&number.to_be_bytes()) }
}

/// A track's samples in a parsed part.
#[derive(Debug, Default)]
struct Read {
    decode_time: u64,
    durations: Vec<u64>,
    compositions: Vec<i64>,
    numbers: Vec<u32>,
}

fn read(part: &Part, track: u32) -> Option<Read> {
    let mut rest = &part.bytes[..];
    let moof = Moof::decode(&mut rest).unwrap();
    assert_eq!(&rest[4..8], b"mdat");
    assert_eq!(u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize, rest.len(), "nothing behind the mdat");
    let traf = moof.traf.iter().find(|t| t.tfhd.track_id == track)?;
    assert!(traf.tfhd.default_base_is_moof);
    let mut offset = traf.trun[0].data_offset.unwrap() as usize;
    let mut found = Read { decode_time: traf.tfdt.as_ref().unwrap().base_media_decode_time, ..Read::default() };
    for entry in traf.trun[0].samples.iter() {
        let size = entry.size.unwrap() as usize;
        // Keyframes have their parameter sets before them.
        found.numbers.push(u32::from_be_bytes(part.bytes[offset + size - 4..offset + size].try_into().unwrap()));
        found.durations.push(entry.duration.unwrap().into());
        found.compositions.push(entry.cts.unwrap_or(0));
        offset += size;
    }
    Some(found)
}

/// What must hold of any sequence of parts.
fn check_rules(parts: &[Part], target: u32) {
    let mut audio_next = None;
    for (index, part) in parts.iter().enumerate() {
        let video = read(part, VIDEO_TRACK).unwrap();
        assert_eq!(video.decode_time, part.start);
        assert_eq!(video.durations.iter().sum::<u64>(), u64::from(part.duration));
        assert!(video.durations.iter().all(|d| *d > 0));
        assert!(part.duration <= target, "part {index} lasts {} of {target}", part.duration);
        assert!(!part.discontinuity || part.independent);
        if let Some(next) = parts.get(index + 1) {
            let end = part.start + u64::from(part.duration);
            assert!(next.start == end || (next.discontinuity && next.start > end), "part {index}");
            if !next.independent {
                assert!(part.duration * 100 >= target * 85, "part {index} lasts {} of {target}", part.duration);
            }
        }
        if let Some(audio) = read(part, AUDIO_TRACK) {
            assert!(audio_next.is_none_or(|next| audio.decode_time >= next));
            audio_next = Some(audio.decode_time + audio.durations.iter().sum::<u64>());
        }
    }
}

#[test]
fn thirty_a_second_gives_parts_of_six_at_once() {
    let mut fragmenter = Fragmenter::new(0, tracks(part_target(200, 30_000), true));
    let mut parts = Vec::new();
    for n in 0..30u32 {
        let cuts = fragmenter.video(frame(n, u64::from(n) * 3000, 3000, n == 0)).unwrap();
        assert_eq!(cuts.len(), usize::from(n % 6 == 5), "the sixth frame completes the part");
        parts.extend(cuts.into_iter().map(|cut| cut.part));
    }
    assert!(parts.iter().all(|p| p.duration == 18_000));
    assert!(parts[0].independent && parts[0].discontinuity && !parts[1].independent);
    check_rules(&parts, 18_000);
}

#[test]
fn a_keyframe_begins_a_part() {
    let mut fragmenter = Fragmenter::new(0, tracks(18_000, false));
    let mut parts = Vec::new();
    for n in 0..20u32 {
        parts.extend(fragmenter.video(frame(n, u64::from(n) * 3000, 3000, n % 8 == 0)).unwrap());
    }
    let durations: Vec<_> = parts.iter().map(|cut| (cut.part.duration, cut.part.independent, cut.frames)).collect();
    assert_eq!(durations, [(18_000, true, 6), (6_000, false, 2), (18_000, true, 6), (6_000, false, 2)]);
}

#[test]
fn audio_before_the_parts_end_goes_into_it() {
    let mut fragmenter = Fragmenter::new(0, tracks(18_000, true));
    for n in 0..20u32 {
        fragmenter.audio(AudioFrame { start: u64::from(n) * 1024, data: Bytes::copy_from_slice(&n.to_be_bytes()) });
    }
    let mut parts = Vec::new();
    for n in 0..12u32 {
        parts.extend(fragmenter.video(frame(n, u64::from(n) * 3000, 3000, n == 0)).unwrap());
    }
    // 200 ms are 9600 samples: frames 0 to 9 begin before that.
    assert_eq!(read(&parts[0].part, AUDIO_TRACK).unwrap().numbers, (0..10).collect::<Vec<_>>());
    assert_eq!(read(&parts[1].part, AUDIO_TRACK).unwrap().decode_time, 10_240);
}

/// A publisher whose sound card is faster or slower than its clock, for an hour.
#[test]
fn sound_stays_within_40_ms_of_its_time_stamps() {
    for per_million in [-300i64, 300] {
        let mut fragmenter = Fragmenter::new(0, tracks(18_000, true));
        let (mut worst, mut kept, mut cut) = (0u64, 0u64, Vec::new());
        let frames = 3600 * 48_000 / 1024;
        let stamp = |n: u64| (n * 1024).checked_add_signed((n * 1024) as i64 * per_million / 1_000_000).unwrap();
        for second in 0..3600u64 {
            for n in second * 48_000 / 1024..((second + 1) * 48_000 / 1024).min(frames) {
                let number = Bytes::copy_from_slice(&(n as u32).to_be_bytes());
                fragmenter.audio(AudioFrame { start: stamp(n), data: number });
            }
            for n in 0..30 {
                let at = second * 30 + n;
                cut.extend(fragmenter.video(frame(at as u32, at * 3000, 3000, n == 0)).unwrap());
            }
            for read in cut.drain(..).filter_map(|cut| read(&cut.part, AUDIO_TRACK)) {
                let mut placed = read.decode_time;
                for (number, lasts) in read.numbers.iter().zip(&read.durations) {
                    worst = worst.max(placed.abs_diff(stamp(u64::from(*number))));
                    placed += lasts;
                    kept += 1;
                }
            }
        }
        assert!(worst <= 48 * 40, "{per_million} ppm: {} ms", worst / 48);
        // A clock that is fast by 300 ppm has one frame in 3333 too many.
        assert!(kept + frames / 2000 > frames, "{per_million} ppm: {kept} of {frames}");
    }
}

#[test]
fn a_hole_is_mended_and_a_long_one_is_a_discontinuity() {
    let mut fragmenter = Fragmenter::new(0, tracks(18_000, false));
    let mut parts = Vec::new();
    let mut push = |n: u32, decode: u64, key: bool| {
        parts.extend(fragmenter.video(frame(n, decode, 3000, key)).unwrap().into_iter().map(|cut| cut.part));
    };
    (0..9).for_each(|n| push(n, u64::from(n) * 3000, n == 0));
    (9..30).for_each(|n| push(n, 60_000 + u64::from(n) * 3000, false));
    (30..40).for_each(|n| push(n, 500_000 + u64::from(n) * 3000, n == 32));
    check_rules(&parts, 18_000);
    let breaks: Vec<_> = parts.iter().filter(|p| p.discontinuity).map(|p| p.start).collect();
    assert_eq!(breaks, [0, 500_000 + 32 * 3000], "it goes on at the keyframe");
}

#[test]
fn targets_are_whole_frames() {
    assert_eq!(part_target(200, 30_000), 18_000);
    assert_eq!(part_target(200, 25_000), 18_000);
    assert_eq!(part_target(200, 24_000), 18_750);
    assert_eq!(part_target(200, 29_970), 18_019);
    assert_eq!(part_target(200, 2_000), 45_000);
}

#[test]
fn an_init_is_read_back() {
    let init = Fragmenter::new(0, tracks(18_000, true)).init().unwrap();
    assert_eq!(init.codecs, "avc1.64000d,mp4a.40.2");
    let mut rest = &init.bytes[..];
    mp4_atom::Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert_eq!(moov.trak.len(), 2);
    assert_eq!(moov.trak[1].mdia.mdhd.timescale, 48_000);
    assert_eq!(moov.mvex.unwrap().trex.len(), 2);
}

/// A source: frames with jitter, keyframes here and there, holes, audio that is late by up to half a second.
#[derive(Debug, Clone)]
struct Source {
    frames: Vec<(u64, u32, bool, i32)>,
    audio_late_ms: u64,
}

fn source() -> impl Strategy<Value = Source> {
    let step = (0u64..100, 0u64..2400, any::<bool>()).prop_map(|(dice, jitter, forward)| (dice, jitter, forward));
    (1500u64..30_000, proptest::collection::vec(step, 20..200), 2u64..60, 0u64..500, any::<bool>()).prop_map(
        |(nominal, steps, key_every, audio_late_ms, reorder)| {
            let mut time = 1_000_000;
            let frames = steps.into_iter().enumerate().map(|(n, (dice, jitter, forward))| {
                time += nominal + if dice == 0 { 40_000 } else { 0 } + if dice == 1 { 400_000 } else { 0 };
                let at = if forward { time + jitter } else { time - jitter.min(nominal - 1) };
                let composition = if reorder { (nominal * [2, 4, 0, 1][n % 4]) as i32 } else { 0 };
                (at, nominal as u32, (n as u64).is_multiple_of(key_every), composition)
            });
            Source { frames: frames.collect(), audio_late_ms }
        },
    )
}

proptest! {
    #[test]
    fn the_rules_hold_for_any_source(source in source(), frames_a_part in 1u32..12) {
        let target = (source.frames[0].1 * frames_a_part).max(9_000);
        let mut fragmenter = Fragmenter::new(0, tracks(target, true));
        let mut parts = Vec::new();
        let mut dropped_from = None;
        let mut audio = 0u32;
        let first = source.frames[0].0;
        for (number, &(decode, expected, key, composition)) in source.frames.iter().enumerate() {
            let broken = fragmenter.edge().is_some_and(|edge| decode > edge + MAX_HOLE);
            if broken { dropped_from = Some(number) }
            while crate::media::ticks_of_samples(u64::from(audio) * 1024, 48_000) + first
                + source.audio_late_ms * 90 < decode {
                let start = crate::media::samples_of_ticks(first, 48_000) + u64::from(audio) * 1024;
                fragmenter.audio(AudioFrame { start, data: Bytes::copy_from_slice(&audio.to_be_bytes()) });
                audio += 1;
            }
            let data = Bytes::copy_from_slice(&(number as u32).to_be_bytes());
            let cuts = fragmenter.video(VideoFrame { decode, composition, expected, key, data }).unwrap();
            parts.extend(cuts.into_iter().map(|cut| cut.part));
        }
        parts.extend(fragmenter.interrupt().unwrap().map(|cut| cut.part));
        check_rules(&parts, target);

        let seen: Vec<u32> = parts.iter().flat_map(|p| read(p, VIDEO_TRACK).unwrap().numbers).collect();
        prop_assert!(seen.windows(2).all(|w| w[0] < w[1]), "in order, none twice");
        if dropped_from.is_none() {
            prop_assert_eq!(seen.len(), source.frames.len(), "none missing");
        }
        let heard: Vec<u32> = parts.iter().filter_map(|p| read(p, AUDIO_TRACK)).flat_map(|r| r.numbers).collect();
        let whole = dropped_from.is_none();
        prop_assert!(heard.windows(2).all(|w| w[0] + 1 == w[1] || (!whole && w[0] < w[1])), "audio in order");
    }
}

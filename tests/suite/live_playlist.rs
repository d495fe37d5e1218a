//! LL-HLS as a player meets it, over HTTP: blocking reloads, hints, delta updates, and that what is listed is there, whole,
//! for ever (RFC 8216bis).

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use mp4_atom::{Any, DecodeMaybe};

use crate::client::{Client, Reply};
use crate::playlist_rules::Playlist;
use crate::server::{AGES, SMALL, Server, until};
use crate::tools;

/// An answer that waits for nothing; far more than it takes, less than one that waits in vain.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A player of one broadcast.
struct Player {
    client: Client,
    folder: String,
}

impl Player {
    fn new(server: &Server, id: &str) -> Self {
        Self { client: server.stranger(), folder: format!("/media/{id}/av") }
    }

    fn fetch(&self, file: &str) -> Reply {
        self.client.get(&format!("{}/{file}", self.folder))
    }

    fn bytes(&self, file: &str) -> Vec<u8> {
        let reply = self.fetch(file);
        assert_eq!(reply.status, 200, "{file}: {}", String::from_utf8_lossy(&reply.body));
        reply.body
    }

    /// The playlist, checked against every rule.
    fn playlist(&self, query: &str) -> Playlist {
        let reply = self.fetch(&format!("index.m3u8{query}"));
        assert_eq!(reply.status, 200, "{query}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/vnd.apple.mpegurl");
        let playlist = Playlist::read(&reply.text());
        playlist.check();
        playlist
    }

    /// Waits for the part behind the newest of `playlist`, as a player does (RFC 8216bis 6.2.5.2).
    fn next(&self, playlist: &Playlist) -> Playlist {
        let (msn, part) = wanted(playlist);
        let next = self.playlist(&format!("?_HLS_msn={msn}&_HLS_part={part}"));
        assert!(next.ended || holds(&next, msn, part), "asked for {msn}.{part}, got {:?}", next.segments.last());
        next
    }
}

/// The part behind the last one listed: the first of the next segment when the last one is complete.
fn wanted(playlist: &Playlist) -> (u64, usize) {
    match playlist.segments.last() {
        Some(last) if last.uri.is_none() => (last.msn, last.parts.len()),
        Some(last) => (last.msn + 1, 0),
        None => (0, 0),
    }
}

fn holds(playlist: &Playlist, msn: u64, part: usize) -> bool {
    let part_is_there = |segment: &crate::playlist_rules::Segment| segment.msn > msn || segment.parts.len() > part;
    // A part that turned out not to belong to its segment any more is the next one's first.
    playlist.segments.iter().any(|segment| segment.msn >= msn && part_is_there(segment))
}

/// Decode time and duration of the picture in a part, in seconds, as its boxes have them.
fn picture(bytes: &[u8], timescale: f64) -> (f64, f64) {
    let mut rest = bytes;
    let (mut start, mut duration) = (None, 0);
    while let Some(atom) = Any::decode_maybe(&mut rest).expect("boxes") {
        let Any::Moof(moof) = atom else { continue };
        let track = &moof.traf[0];
        start = start.or(track.tfdt.as_ref().map(|tfdt| tfdt.base_media_decode_time));
        for sample in track.trun.iter().flat_map(|run| run.samples.iter()) {
            duration += u64::from(sample.duration.or(track.tfhd.default_sample_duration).expect("a duration"));
        }
    }
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    (start.expect("a moof") as f64 / timescale, duration as f64 / timescale)
}

fn timescale(init: &[u8]) -> f64 {
    let mut rest = init;
    while let Some(atom) = Any::decode_maybe(&mut rest).expect("boxes") {
        if let Any::Moov(moov) = atom {
            return f64::from(moov.trak[0].mdia.mdhd.timescale);
        }
    }
    panic!("no moov")
}

/// What a player has seen of a broadcast: bytes by their URI, and what was said of each segment.
#[derive(Default)]
struct Seen {
    bytes: BTreeMap<String, Vec<u8>>,
    durations: HashMap<String, f64>,
    dates: BTreeMap<u64, f64>,
    parts_of: BTreeMap<u64, Vec<String>>,
}

impl Seen {
    /// Reads all that is new in a playlist, at once.
    fn follow(&mut self, player: &Player, playlist: &Playlist) {
        for segment in &playlist.segments {
            let date = segment.date.expect("each segment has its time");
            let known = *self.dates.entry(segment.msn).or_insert(date);
            assert_eq!(known, date, "the time of segment {} moved", segment.msn);
            let parts = segment.parts.iter().map(|part| (&part.uri, part.duration));
            for (uri, duration) in parts.clone().chain(segment.uri.as_ref().map(|uri| (uri, segment.duration))) {
                if !self.bytes.contains_key(uri) {
                    self.bytes.insert(uri.clone(), player.bytes(uri));
                    self.durations.insert(uri.clone(), duration);
                }
                assert_eq!(self.durations[uri], duration, "{uri} has another duration now");
            }
            let known = self.parts_of.entry(segment.msn).or_default();
            if segment.parts.len() > known.len() {
                *known = parts.map(|(uri, _)| uri.clone()).collect();
            }
        }
    }
}

#[test]
fn what_is_listed_is_whole_and_stays() {
    let server = Server::start(SMALL);
    let id = server.go_live("All of it");
    let player = Player::new(&server, &id);
    let mut playlist = player.playlist("");
    let mut seen = Seen::default();
    let from_start = playlist.first_msn;
    assert_eq!(from_start, 0);
    // Longer than the newest segments are kept in memory.
    while playlist.duration() < 22.0 {
        seen.follow(&player, &playlist);
        let next = player.next(&playlist);
        assert!(next.last_msn() >= playlist.last_msn() && next.duration() >= playlist.duration());
        assert!(next.independent_segments && next.first_msn == 0, "it reaches back to the beginning");
        playlist = next;
    }
    let first = player.bytes("seg-0.m4s");
    assert_eq!(first, seen.bytes["seg-0.m4s"], "the same from the disk, still on air");
    server.end(&id);

    let ended = player.playlist("");
    assert!(ended.ended);
    let init = player.bytes(&ended.segments[0].map);
    let scale = timescale(&init);
    let mut end = None;
    let epoch = seen.dates[&0] - picture(&first, scale).0;
    let folder = tempfile::tempdir().expect("a temporary directory");
    for segment in &ended.segments {
        let uri = segment.uri.as_ref().expect("complete");
        let bytes = player.bytes(uri);
        if let Some(before) = seen.bytes.get(uri) {
            assert_eq!(&bytes, before, "{uri} changed");
            assert_eq!(seen.durations[uri], segment.duration, "{uri} has another duration now");
        }
        if let (Some(parts), true) = (seen.parts_of.get(&segment.msn), seen.bytes.contains_key(uri)) {
            let joined: Vec<u8> = parts.iter().flat_map(|part| seen.bytes[part].clone()).collect();
            assert!(joined.is_empty() || joined == bytes, "{uri} is not its parts {parts:?}");
        }
        let (start, duration) = picture(&bytes, scale);
        assert!((duration - segment.duration).abs() < 0.0001, "{uri}: {duration} inside, {} listed", segment.duration);
        assert!(end.is_none_or(|end: f64| (end - start).abs() < 0.0001), "{uri} begins at {start}, not at {end:?}");
        end = Some(start + duration);
        let date = segment.date.expect("a time");
        assert!((date - epoch - start).abs() < 0.002, "{uri} is of {date}, {} by its media", epoch + start);
        let file = tools::write(folder.path(), uri, &[&init[..], &bytes].concat());
        let frames: f64 = tools::packets(tools::as_text(&file), "v").iter().map(|packet| packet.1).sum();
        assert!((frames - segment.duration).abs() < 0.01, "{uri}: {frames} s of frames, {} listed", segment.duration);
    }
    for (uri, duration) in seen.durations.iter().filter(|(uri, _)| uri.starts_with("part-")) {
        let inside = picture(&seen.bytes[uri], scale).1;
        assert!((inside - duration).abs() < 0.0001, "{uri}: {inside} inside, {duration} listed");
        let reply = player.fetch(uri);
        assert!(reply.status == 404 || reply.body == seen.bytes[uri], "{uri} changed");
    }
}

#[test]
fn a_reload_waits_for_its_part_and_a_hint_is_kept() {
    let server = Server::start(SMALL);
    let id = server.go_live("Waiting");
    let player = Player::new(&server, &id);
    let mut playlist = player.playlist("");
    for _ in 0..12 {
        let hint = playlist.hint.clone().expect("a hint");
        let hinted = player.bytes(&hint);
        let next = player.next(&playlist);
        let listed = next.segments.iter().flat_map(|segment| &segment.parts).any(|part| part.uri == hint);
        assert!(listed, "{hint} was hinted at and never listed");
        assert_eq!(player.bytes(&hint), hinted);
        playlist = next;
    }
    // Without a part: the whole segment.
    let (msn, _) = wanted(&playlist);
    let whole = player.playlist(&format!("?_HLS_msn={msn}"));
    assert!(whole.segments.iter().any(|segment| segment.msn == msn && segment.uri.is_some()));
    // What is there already is answered at once, and one beyond a segment's last part is the next one's first.
    let begin = Instant::now();
    player.playlist("?_HLS_msn=0");
    player.playlist("?_HLS_msn=0&_HLS_part=0");
    assert!(begin.elapsed() < AT_ONCE);
    let complete = whole.segments.iter().rfind(|segment| segment.uri.is_some()).expect("one");
    let beyond = player.playlist(&format!("?_HLS_msn={}&_HLS_part={}", complete.msn, complete.parts.len()));
    assert!(holds(&beyond, complete.msn + 1, 0));

    // Ten who wait for the same part are given the same.
    let (msn, part) = wanted(&beyond);
    let answers: Vec<String> = std::thread::scope(|scope| {
        let ask = || player.fetch(&format!("index.m3u8?_HLS_msn={}&_HLS_part={part}", msn + 1)).text();
        let asked: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().expect("an answer")).collect()
    });
    answers.iter().for_each(|answer| assert!(holds(&Playlist::read(answer), msn + 1, part)));

    // Whoever waits when it ends is told so.
    let before = player.playlist("");
    let told = std::thread::scope(|scope| {
        let (msn, _) = wanted(&before);
        let waiting = scope.spawn({
            let player = Player { client: server.stranger(), folder: player.folder.clone() };
            move || player.playlist(&format!("?_HLS_msn={}", msn + 1))
        });
        server.end(&id);
        waiting.join().expect("an answer")
    });
    assert!(told.ended);
}

#[test]
fn what_cannot_be_waited_for_is_refused_at_once() {
    let server = Server::start(SMALL);
    let id = server.go_live("Impatience");
    let player = Player::new(&server, &id);
    let (msn, _) = wanted(&player.playlist(""));
    let refused = |file: &str| {
        let begin = Instant::now();
        let reply = player.fetch(file);
        assert!(begin.elapsed() < AT_ONCE, "{file} took {:?}", begin.elapsed());
        assert!(reply.header("cache-control").contains("no-store"), "{file}");
        (reply.status, reply.code(), reply.json()["field"].as_str().unwrap_or_default().to_owned())
    };
    let nonsense = || {
        for bad in [
            "-1",
            "abc",
            "",
            "1.5",
            "0x1",
            "1e3",
            "+1",
            "%2B1",
            "99999999999999999999999",
            "-99999999999999999999",
            "１",
        ] {
            let (status, code, field) = refused(&format!("index.m3u8?_HLS_msn={}", bad.replace('１', "%EF%BC%91")));
            assert_eq!((status, code.as_str(), field.as_str()), (400, "bad_parameter", "_HLS_msn"), "{bad:?}");
            let (status, code, field) =
                refused(&format!("index.m3u8?_HLS_msn=0&_HLS_part={}", bad.replace('１', "%EF%BC%91")));
            assert_eq!((status, code.as_str(), field.as_str()), (400, "bad_parameter", "_HLS_part"), "{bad:?}");
        }
    };
    nonsense();
    assert_eq!(refused("index.m3u8?_HLS_part=0").0, 400, "a part of no segment");
    for far in [msn + 20, 999_999_999] {
        assert_eq!(refused(&format!("index.m3u8?_HLS_msn={far}")).0, 400);
        assert_eq!(refused(&format!("index.m3u8?_HLS_msn={far}&_HLS_part=0")).0, 400);
        assert_eq!(refused(&format!("part-{far}.0.m4s")).0, 404);
        assert_eq!(refused(&format!("seg-{far}.m4s")).0, 404);
    }
    assert_eq!(refused(&format!("index.m3u8?_HLS_msn={}&_HLS_part=999", msn + 1)).0, 400);
    for nothing in [
        "part-0.999.m4s",
        "part-0.m4s",
        "part-.m4s",
        "part-00.0.m4s",
        "part--1.0.m4s",
        "seg--1.m4s",
        "seg-00.m4s",
        "seg-99999999999999999999.m4s",
        "init-7.mp4",
        "init-x.mp4",
        "seg-0.mp4",
        "index.m3u8.bak",
        "other.m3u8",
    ] {
        assert_eq!(refused(nothing).0, 404, "{nothing}");
    }
    assert_eq!(player.playlist("?other=1&_HLS_skip=no").skipped, 0, "what is not ours is left alone");
    assert_eq!(server.broadcast(&id)["state"], "live");
    server.end(&id);
    nonsense();
    assert!(player.playlist(&format!("?_HLS_msn={}", msn + 20)).ended, "nothing is waited for any more");
}

#[test]
fn a_delta_update_merges_to_the_whole() {
    let server = Server::start(SMALL);
    let id = server.go_live("Deltas");
    let player = Player::new(&server, &id);
    server.until_duration(&id, 18.0);
    let before = player.playlist("");
    // Two answers about the same instant: the part between them makes another pair necessary.
    let (delta, whole) = until("a pair of the same instant", || {
        let (delta, whole) = (player.playlist("?_HLS_skip=YES"), player.playlist(""));
        (delta.hint == whole.hint).then_some((delta, whole))
    });
    assert!(delta.skipped > 0, "nothing was skipped of {} s", whole.duration());
    // A client may have to apply it to what it got long before: as many as it saw then.
    let merged = delta.applied_to(&before);
    assert_eq!(merged.segments, whole.segments);
    let kept: f64 = delta.segments.iter().map(|segment| segment.duration).sum();
    assert!(kept >= delta.can_skip_until.expect("CAN-SKIP-UNTIL"), "{kept} s are left");
    let v2 = player.playlist("?_HLS_skip=v2");
    assert!(v2.skipped > 0);
    let (msn, part) = wanted(&whole);
    let blocked = player.playlist(&format!("?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES"));
    assert!(blocked.skipped > 0 && holds(&blocked, msn, part));
    server.end(&id);
    let ended = player.playlist("?_HLS_skip=YES");
    assert!(ended.ended && (ended.skipped > 0 || ended.segments[0].msn == 0));
}

#[test]
fn nobody_waits_longer_than_the_program_lives() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Closing time");
    let player = Player::new(&server, &id);
    let (msn, _) = wanted(&player.playlist(""));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || player.client.get(&format!("{}/index.m3u8?_HLS_msn={msn}", player.folder)));
        // It is not told from here whether the request has arrived; either way the server ends in time.
        std::thread::sleep(Duration::from_millis(300));
        let begin = Instant::now();
        assert_eq!(server.terminate(), Some(0));
        assert!(begin.elapsed() < AT_ONCE);
        let begin = Instant::now();
        let _ = waiting.join();
        assert!(begin.elapsed() < AGES);
    });
}

//! The ladder from outside: whatever happens to a broadcast, its renditions have the same segments, which begin with a keyframe at
//! the same instant; and sound alone is one of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::playlist_rules::{Playlist, Segment};
use crate::server::{ADMIN, Server, until};
use crate::tools;

/// Two rungs that a busy machine encodes.
const LADDER: &[&str] = &["--video-height", "480", "--video-kbps", "600", "--frame-rate", "15"];

/// Lines of a multivariant playlist: attributes by name, and the URI.
pub fn variants(server: &Server, id: &str) -> Vec<(BTreeMap<String, String>, String)> {
    let text = String::from_utf8(server.fetch(&format!("/media/{id}/main.m3u8"))).expect("UTF-8");
    let mut lines = text.lines();
    let mut variants = Vec::new();
    while let Some(line) = lines.next() {
        let Some(mut rest) = line.strip_prefix("#EXT-X-STREAM-INF:") else { continue };
        let mut attributes = BTreeMap::new();
        while let Some((name, value)) = rest.split_once('=') {
            let (value, after) = match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').expect("a closing quote"),
                None => value.split_at(value.find(',').unwrap_or(value.len())),
            };
            attributes.insert(name.to_owned(), value.to_owned());
            rest = after.trim_start_matches(',');
        }
        variants.push((attributes, lines.next().expect("its address").to_owned()));
    }
    variants
}

fn playlist(server: &Server, id: &str, folder: &str) -> Playlist {
    let text = server.fetch(&format!("/media/{id}/{folder}/index.m3u8"));
    let playlist = Playlist::read(&String::from_utf8(text).expect("UTF-8"));
    playlist.check();
    playlist
}

fn complete(playlist: &Playlist) -> impl Iterator<Item = &Segment> {
    playlist.segments.iter().filter(|segment| segment.uri.is_some() && !segment.gap)
}

/// Presentation time of the first picture of a segment, which is a keyframe, and of the end of the last; seconds.
fn pictures(server: &Server, id: &str, folder: &str, segment: &Segment) -> (f64, f64) {
    let uri = segment.uri.as_ref().expect("complete");
    let mut bytes = server.fetch(&format!("/media/{id}/{folder}/{}", segment.map));
    bytes.extend(server.fetch(&format!("/media/{id}/{folder}/{uri}")));
    let file = tools::write(server.data.path(), "segment.mp4", &bytes);
    let found = tools::probe(tools::as_text(&file), &["-select_streams", "v", "-show_packets"]);
    let packets = found["packets"].as_array().expect("packets");
    assert!(packets[0]["flags"].as_str().expect("flags").contains('K'), "{folder}/{uri} begins with a keyframe");
    let time = |packet: &Value, key: &str| packet[key].as_str().expect("a text").parse::<f64>().expect("a number");
    let last = packets.last().expect("a packet");
    (time(&packets[0], "pts_time"), time(last, "pts_time") + time(last, "duration_time"))
}

/// For each segment number that two renditions have: the same begin, the same end, a keyframe first.
fn check_in_step(server: &Server, id: &str) -> usize {
    check_in_step_of(server, id, "av", "av1", true)
}

/// The same of two renditions; `whole`: none of them has lost frames, which leaves the last one before a keyframe to stand longer.
fn check_in_step_of(server: &Server, id: &str, larger: &str, smaller: &str, whole: bool) -> usize {
    // The second is asked later: what the first had then, it has by now.
    let small = playlist(server, id, smaller);
    let large = until("the larger rendition", || {
        let large = playlist(server, id, larger);
        let last = complete(&small).last().map(|segment| segment.msn);
        (large.segments.iter().any(|segment| segment.uri.is_some() && Some(segment.msn) == last)).then_some(large)
    });
    let mut seen = 0;
    let known = complete(&large).map(|segment| (segment.msn, segment)).collect::<BTreeMap<_, _>>();
    let last = large.last_msn();
    for segment in complete(&small) {
        let Some(other) = known.get(&segment.msn) else { continue };
        // Where a broadcast or a worker ended, parts of one may have been under way.
        let broken_off = |playlist: &Playlist| {
            playlist.segments.iter().any(|next| next.msn == segment.msn + 1 && (next.discontinuity || next.gap))
        };
        let ends = Some(segment.msn) == last || broken_off(&large) || broken_off(&small);
        assert_eq!(segment.date, other.date, "segment {}", segment.msn);
        assert_eq!(segment.discontinuity, other.discontinuity, "segment {}", segment.msn);
        assert!(ends || (segment.duration - other.duration).abs() < 1e-4, "segment {}", segment.msn);
        let (mine, theirs) = (pictures(server, id, smaller, segment), pictures(server, id, larger, other));
        assert!((mine.0 - theirs.0).abs() < 0.001, "segment {}: {mine:?} {theirs:?}", segment.msn);
        assert!(ends || !whole || (mine.1 - theirs.1).abs() < 0.001, "segment {}: {mine:?} {theirs:?}", segment.msn);
        seen += 1;
    }
    seen
}

fn number(attributes: &BTreeMap<String, String>, name: &str) -> f64 {
    attributes[name].parse().expect("a number")
}

#[test]
fn renditions_have_the_same_segments_live_and_afterwards() {
    let server = Server::start(LADDER);
    let id = server.go_live("Ladder");
    server.until_duration(&id, 14.0);
    let lines = variants(&server, &id);
    let uris: Vec<&str> = lines.iter().map(|(_, uri)| uri.as_str()).collect();
    assert_eq!(uris, ["av/index.m3u8", "av1/index.m3u8", "sound/index.m3u8"]);
    let sizes: Vec<_> = lines.iter().map(|(attributes, _)| attributes.get("RESOLUTION").map(String::as_str)).collect();
    assert_eq!(sizes, [Some("854x480"), Some("428x240"), None]);
    assert!(lines.iter().all(|(attributes, _)| attributes["CODECS"].contains("mp4a.40.2")));
    assert_eq!(lines[2].0["CODECS"], "mp4a.40.2");
    assert!(lines[..2].iter().all(|(attributes, _)| attributes["FRAME-RATE"] == "15.000"));
    let peaks: Vec<f64> = lines.iter().map(|(attributes, _)| number(attributes, "BANDWIDTH")).collect();
    assert!(peaks[0] > peaks[1] && peaks[1] > peaks[2] && peaks[2] > 64_000.0, "{peaks:?}");
    assert!(check_in_step(&server, &id) >= 4);

    // Each tells where the others are, near its own end.
    for (folder, other) in [("av", "av1"), ("av1", "av")] {
        let text = String::from_utf8(server.fetch(&format!("/media/{id}/{folder}/index.m3u8"))).expect("UTF-8");
        let report = format!("#EXT-X-RENDITION-REPORT:URI=\"../{other}/index.m3u8\",LAST-MSN=");
        let (_, rest) = text.split_once(&report).expect("a report");
        let (msn, _) = rest.split_once(",LAST-PART=").expect("its last part");
        let last = Playlist::read(&text).last_msn().expect("segments");
        assert!(last.abs_diff(msn.parse().expect("a number")) <= 1, "{text}");
    }
    // A part of the sound that is not there yet is waited for, as any other.
    let sound = playlist(&server, &id, "sound");
    let hinted = server.fetch(&format!("/media/{id}/sound/{}", sound.hint.expect("a hint")));
    assert!(!hinted.is_empty());

    server.end(&id);
    assert!(check_in_step(&server, &id) >= 6);
    for (attributes, uri) in variants(&server, &id) {
        let folder = uri.split('/').next().expect("a folder");
        tools::decode(&format!("{}/media/{id}/{uri}", server.http));
        // What is said of the bit rates holds for every segment.
        let recording = playlist(&server, &id, folder);
        for segment in complete(&recording) {
            let uri = segment.uri.as_ref().expect("complete");
            let bits = server.fetch(&format!("/media/{id}/{folder}/{uri}")).len() as f64 * 8.0 / segment.duration;
            assert!(bits <= number(&attributes, "BANDWIDTH") * 1.001, "{folder}/{uri}: {bits} {attributes:?}");
        }
    }
    assert_eq!(server.broadcast(&id)["renditions"].as_array().map(Vec::len), Some(2));
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
    let found = tools::probe(tools::as_text(&file), &["-show_streams"]);
    assert_eq!(found["streams"][0]["height"], 480, "the best there is");
    for nothing in ["av2/index.m3u8", "av01/index.m3u8", "sound1/index.m3u8", "av2/seg-0.m4s"] {
        assert_eq!(server.stranger().get(&format!("/media/{id}/{nothing}")).status, 404, "{nothing}");
    }
}

#[test]
fn renditions_stay_in_step_when_the_worker_and_the_program_are_killed() {
    let mut server = Server::start(LADDER);
    let id = server.go_live("Killed");
    server.until_duration(&id, 6.0);
    for worker in server.workers() {
        let _ = kill_process(worker, Signal::KILL);
    }
    let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, so_far + 6.0);
    assert!(check_in_step(&server, &id) >= 4);

    let data = server.data.clone();
    server.kill();
    drop(server);
    let server = Server::start_on(&data, LADDER);
    let playlist_url = format!("/media/{id}/av/index.m3u8");
    until("it is on air again", || (server.stranger().get(&playlist_url).status == 200).then_some(()));
    let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, so_far + 6.0);
    assert!(check_in_step(&server, &id) >= 6);
    server.end(&id);
    assert!(check_in_step(&server, &id) >= 8);
    for folder in ["av", "av1"] {
        let text = String::from_utf8(server.fetch(&format!("/media/{id}/{folder}/index.m3u8"))).expect("UTF-8");
        assert!(text.matches("#EXT-X-DISCONTINUITY\n").count() >= 2);
    }
}

/// A process that gets a fraction of the processor time that it wants, until this is dropped.
struct Slowed {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Slowed {
    /// It runs for `run` of each so many milliseconds.
    fn start(process: Pid, run: u64, of: u64) -> Slowed {
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = kill_process(process, Signal::STOP);
                std::thread::sleep(Duration::from_millis(of - run));
                let _ = kill_process(process, Signal::CONT);
                std::thread::sleep(Duration::from_millis(run));
            }
        });
        Slowed { over, thread: Some(thread) }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn threads(process: Pid) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    tasks.map_or(0, Iterator::count)
}

/// The last rung's playlist is without a hole.
fn check_last_rung(server: &Server, id: &str) {
    let last = playlist(server, id, "av2");
    for pair in last.segments.windows(2).filter(|pair| pair[0].uri.is_some()) {
        let (Some(begin), Some(next)) = (pair[0].date, pair[1].date) else { panic!("every segment has a date") };
        assert!((begin + pair[0].duration - next).abs() < 0.002, "segments {} and {}", pair[0].msn, pair[1].msn);
        assert!(!pair[1].gap && !pair[1].discontinuity, "segment {}", pair[1].msn);
    }
}

#[test]
fn a_box_that_is_too_busy_leaves_rungs_out_and_takes_them_back() {
    let server = Server::start(&["--video-height", "720"]);
    let id = server.go_live("Busy");
    server.until_duration(&id, 6.0);
    until("the whole ladder", || (variants(&server, &id).len() == 4).then_some(()));
    let encoding = server.workers().into_iter().max_by_key(|worker| threads(*worker)).expect("a worker");
    let slowed = Slowed::start(encoding, 20, 160);
    let begin = Instant::now();
    until("a rung to be left out", || (server.broadcast(&id)["health"] == "busy").then_some(()));
    println!("left out after {:?}", begin.elapsed());
    // Whoever comes now is not offered it; whoever came before is told that it cannot be had.
    assert!((2..4).contains(&variants(&server, &id).len()));
    until("the gap to be listed", || playlist(&server, &id, "av").segments.iter().any(|one| one.gap).then_some(()));
    check_last_rung(&server, &id);
    drop(slowed);

    // Not before a minute is over.
    let fewer = variants(&server, &id).len();
    let begin = Instant::now();
    while variants(&server, &id).len() <= fewer {
        assert!(begin.elapsed() < Duration::from_secs(150), "it does not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("taken back after {:?}", begin.elapsed());
    check_last_rung(&server, &id);
    let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, so_far + 6.0);
    check_last_rung(&server, &id);
    assert!(check_in_step_of(&server, &id, "av1", "av2", false) >= 4);
    server.end(&id);
    tools::decode(&format!("{}/media/{id}/av2/index.m3u8", server.http));
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
}

/// Seconds from each picture of a segment to the next; nobody is asked what a decoder would make of their rate.
fn stand(server: &Server, id: &str, folder: &str, segment: &Segment) -> Vec<f64> {
    let uri = segment.uri.as_ref().expect("complete");
    let mut bytes = server.fetch(&format!("/media/{id}/{folder}/{}", segment.map));
    bytes.extend(server.fetch(&format!("/media/{id}/{folder}/{uri}")));
    let file = tools::write(server.data.path(), "segment.mp4", &bytes);
    tools::times(tools::as_text(&file), "v").windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn the_last_rung_loses_every_other_frame_before_it_is_late() {
    let server = Server::start(&["--ladder", "off", "--video-height", "720"]);
    let id = server.go_live("Half");
    server.until_duration(&id, 4.0);
    let encoding = server.workers().into_iter().max_by_key(|worker| threads(*worker)).expect("a worker");
    // Less and less, until it is not enough for all frames: then it is enough for half of them.
    let mut run = 40.0_f64;
    let (slowed, health) = loop {
        assert!(run > 1.0, "all frames are carried with nothing");
        let slowed = Slowed::start(encoding, run as u64, 50);
        let begin = Instant::now();
        let health = loop {
            let health = server.broadcast(&id)["health"].clone();
            if health != "ok" || begin.elapsed() > Duration::from_secs(4) {
                break health;
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        if health != "ok" {
            break (slowed, health);
        }
        run *= 0.8;
    };
    println!("half of the frames are left out at {run:.0} of 50 ms");
    assert_eq!(health, "half_rate");
    let told = server.broadcast(&id);
    assert_eq!(told["reason_code"], "too_busy");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("every other one")), "{told}");
    let length = || server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    // What waited when it began is made up for within two seconds.
    let begun = length();
    server.until_duration(&id, begun + 3.0);
    let (from, since) = (length(), Instant::now());
    server.until_duration(&id, from + 8.0);
    assert!(since.elapsed() < Duration::from_millis(9500), "it keeps up: {:?}", since.elapsed());
    let to = length();
    drop(slowed);
    assert_eq!(server.broadcast(&id)["health"], "half_rate");
    let media = playlist(&server, &id, "av");
    let mut at = 0.0;
    let mut seen = 0;
    for segment in complete(&media) {
        assert!(!segment.discontinuity || segment.msn == 0, "segment {}", segment.msn);
        if at >= from && at + segment.duration <= to {
            let stand = stand(&server, &id, "av", segment);
            assert!(
                stand.len() >= 14 && stand.iter().all(|lasts| (lasts - 1.0 / 15.0).abs() < 1e-4),
                "segment {}: {stand:?}",
                segment.msn
            );
            seen += 1;
        }
        at += segment.duration;
    }
    assert!(seen >= 2, "{seen} segments");

    let begin = Instant::now();
    while server.broadcast(&id)["health"] != "ok" {
        assert!(begin.elapsed() < Duration::from_secs(90), "the others do not come back");
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("all frames again after {:?}", begin.elapsed());
    let back = length();
    server.until_duration(&id, back + 6.0);
    server.end(&id);
    let media = playlist(&server, &id, "av");
    // The very last one is what there was of it.
    let whole: Vec<_> = complete(&media).collect();
    let stand = stand(&server, &id, "av", whole[whole.len() - 2]);
    assert!(stand.len() >= 29 && stand.iter().all(|lasts| (lasts - 1.0 / 30.0).abs() < 1e-4), "{stand:?}");
    tools::decode(&format!("{}/media/{id}/av/index.m3u8", server.http));
}

#[test]
fn what_a_broadcast_shows_is_kept_and_said_and_holds_after_a_restart() {
    let mut server = Server::start(&["--video-height", "480", "--video-kbps", "600"]);
    // The preview runs with the other choice when the button is pressed.
    let admin = server.client(ADMIN);
    let preview = || admin.get("/studio/preview/test/main.m3u8?content=talk").text();
    until("a preview", || preview().contains("FRAME-RATE=30.000").then_some(()));
    let made = server.post("/broadcasts", json!({"title": "Text", "source": "test", "content": "slides"}));
    assert_eq!(made["content"], "slides");
    let id = made["id"].as_str().expect("an id").to_owned();
    server.until_duration(&id, 4.0);
    let told = server.broadcast(&id);
    assert_eq!((&told["content"], told["renditions"][0]["frame_rate"].as_f64()), (&json!("slides"), Some(15.0)));
    assert!(check_in_step(&server, &id) >= 1);
    let data = server.data.clone();
    server.kill();
    drop(server);
    let server = Server::start_on(&data, &["--video-height", "480", "--video-kbps", "600"]);
    let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, so_far + 4.0);
    let told = server.broadcast(&id);
    assert_eq!((&told["content"], told["renditions"][0]["frame_rate"].as_f64()), (&json!("slides"), Some(15.0)));
    server.end(&id);
    assert_eq!(server.broadcast(&id)["content"], "slides");
    let talk = server.go_live("People");
    server.until_duration(&talk, 2.0);
    let told = server.broadcast(&talk);
    assert_eq!((&told["content"], told["renditions"][0]["frame_rate"].as_f64()), (&json!("talk"), Some(30.0)));
}

#[test]
fn what_a_slow_machine_cannot_carry_is_not_begun() {
    let mut server = Server::start(&[]);
    let timed = || server.log().contains("timed the encoder").then_some(());
    until("the encoder to be timed", timed);
    server.terminate();
    let data = server.data.clone();
    drop(server);
    // As a slower machine would have found it.
    let database = rusqlite::Connection::open(data.path().join("siaran.db")).expect("the database");
    let slower = "UPDATE settings SET value = json_set(value, '$.frames_per_second', 40.0) WHERE key = 'encoder_speed'";
    assert_eq!(database.execute(slower, []).expect("a setting"), 1);
    drop(database);
    let server = Server::start_on(&data, &[]);
    let id = server.go_live("Slow");
    server.until_duration(&id, 3.0);
    let heights: Vec<_> =
        variants(&server, &id).into_iter().filter_map(|(line, _)| line.get("RESOLUTION").cloned()).collect();
    assert_eq!(heights, ["854x480", "426x240"]);
    server.end(&id);
}

//! The slate stands in for a publisher whose picture is lost: on air within a second, gone within two of its return, in one
//! broadcast, on one timeline.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::open_pages::Page;
use crate::playlist_rules::{Playlist, Segment};
use crate::restart::kill;
use crate::rtmp::{AAC, Publisher, QUICK, check_recording, discontinuities, new_key, until_on_air};
use crate::server::{SMALL, Server, playlist, until};
use crate::tools;
use crate::worker_faults::studio_page;

/// Colour of the slate, red, green and blue.
const SLATE: [u8; 3] = [0x10, 0x33, 0x3a];

/// Waits for a part behind one more discontinuity than before, and says how long after `begin` it was listed.
fn until_switched(server: &Server, id: &str, before: usize, begin: Instant) -> (Segment, Duration) {
    until("a part behind a discontinuity", || {
        let now = playlist(server, id);
        let listed = begin.elapsed();
        assert!(discontinuities(&now) <= before + 1, "one loss, one break");
        let newest = now.segments.last()?.clone();
        (discontinuities(&now) > before && !newest.parts.is_empty()).then_some((newest, listed))
    })
}

/// Mean colour of a part or segment's first picture.
fn colour(server: &Server, id: &str, map: &str, media: &str) -> [u8; 3] {
    let at = |uri: &str| server.fetch(&format!("/media/{id}/av/{uri}"));
    let file = tools::write(server.data.path(), "part.mp4", &[at(map), at(media)].concat());
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i", tools::as_text(&file), "-frames:v", "1"])
        .args(["-vf", "scale=1:1:flags=area", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg is installed");
    output.stdout.try_into().unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn is_slate(server: &Server, id: &str, segment: &Segment) -> bool {
    let media = segment.parts.first().map(|part| &part.uri).or(segment.uri.as_ref()).expect("media");
    let colour = colour(server, id, &segment.map, media);
    println!("the picture is {colour:?}");
    colour.iter().zip(SLATE).all(|(is, slate)| is.abs_diff(slate) < 20)
}

/// What was listed before is listed as it was, and no time goes back.
fn check_continues(before: &Playlist, after: &Playlist) {
    for old in before.segments.iter().filter(|segment| segment.uri.is_some()) {
        let new = after.segments.iter().find(|new| new.msn == old.msn).expect("what was listed stays");
        assert_eq!((&new.uri, new.duration, new.date), (&old.uri, old.duration, old.date));
    }
    for pair in after.segments.windows(2) {
        let end = pair[0].date.expect("a time") + pair[0].duration;
        assert!(pair[1].date.expect("a time") >= end - 0.002, "segment {} goes back", pair[1].msn);
    }
}

/// How far the newest media lies ahead of the wall clock, seconds.
fn ahead(playlist: &Playlist) -> f64 {
    let newest = playlist.segments.last().expect("a segment");
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    newest.date.expect("a time") + newest.duration - now
}

#[test]
fn the_slate_stands_in_for_a_publisher_that_is_gone() {
    let server = Server::start(&["--rtmp-grace-s", "20"]);
    let (_, key) = new_key(&server, json!({"label": "Village hall"}));
    // Its sound is not what the slate's would be by itself.
    let codecs = [QUICK, AAC, &["-ar", "44100", "-ac", "1"]].concat();
    let publisher = Publisher::ffmpeg(&server, &key, &codecs);
    let id = until_on_air(&server);
    server.until_duration(&id, 4.0);
    let before = playlist(&server, &id);
    assert!(!is_slate(&server, &id, &before.segments[0]));

    let begin = Instant::now();
    drop(publisher); // SIGKILL
    let (slate, lost) = until_switched(&server, &id, 0, begin);
    println!("the slate is listed {lost:?} after the publisher was killed");
    assert!(is_slate(&server, &id, &slate));
    assert!(lost < Duration::from_secs(1), "{lost:?}");
    assert_ne!(slate.map, before.segments[0].map);
    check_continues(&before, &playlist(&server, &id));
    std::thread::sleep(Duration::from_secs(3));
    let before = playlist(&server, &id);
    assert_eq!(discontinuities(&before), 1);
    assert!(before.duration() > 6.0, "the slate goes on: {}", before.duration());

    let begin = Instant::now();
    let publisher = Publisher::ffmpeg(&server, &key, &codecs);
    let (back, took) = until_switched(&server, &id, 1, begin);
    println!("its own picture is listed {took:?} after the publisher was started again");
    assert!(!is_slate(&server, &id, &back));
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(back.map, before.segments[0].map, "the same encoding is the same init");
    check_continues(&before, &playlist(&server, &id));

    std::thread::sleep(Duration::from_secs(2));
    // A publisher that ends in order is gone as well.
    let begin = Instant::now();
    publisher.finish();
    let (slate, lost) = until_switched(&server, &id, 2, begin);
    println!("the slate is listed {lost:?} after the publisher was told to end");
    assert!(is_slate(&server, &id, &slate));
    assert_eq!(server.get("/broadcasts?state=live")["items"].as_array().map(Vec::len), Some(1));
    assert!(ahead(&playlist(&server, &id)) < 1.0);
    server.end(&id);
    check_recording(&server, &id, &["h264", "aac"]);
}

/// Waits for the slate at the playlist's end: its words are drawn a moment after its first picture.
fn until_slate(server: &Server, id: &str) -> Playlist {
    until("the slate", || {
        let now = playlist(server, id);
        let newest = now.segments.iter().rfind(|segment| !segment.gap && !segment.parts.is_empty())?;
        is_slate(server, id, newest).then_some(())?;
        Some(now)
    })
}

/// The publisher comes back behind the slate, to the same broadcast.
fn check_comes_back(server: &Server, key: &str, id: &str) {
    let before = playlist(server, id);
    let begin = Instant::now();
    let _publisher = Publisher::start(server, key);
    let (back, took) = until_switched(server, id, discontinuities(&before), begin);
    println!("its own picture is listed {took:?} after the publisher was started again");
    assert!(!is_slate(server, id, &back));
    std::thread::sleep(Duration::from_secs(2));
    check_continues(&before, &playlist(server, id));
    assert_eq!(server.get("/broadcasts?state=live")["items"].as_array().map(Vec::len), Some(1));
    server.end(id);
    check_recording(server, id, &["h264", "aac"]);
}

#[test]
fn a_program_that_starts_again_shows_the_slate_until_its_publisher_is_back() {
    let server = Server::start(SMALL);
    let (_, key) = new_key(&server, json!({"label": "Away when the box comes back"}));
    let publisher = Publisher::start(&server, &key);
    let id = until_on_air(&server);
    server.until_duration(&id, 4.0);
    let before = playlist(&server, &id);
    let server = kill(server, publisher)();
    let begin = Instant::now();
    let (_, took) = until_switched(&server, &id, 0, begin);
    println!("the slate is listed {took:?} after the program was ready");
    assert!(took < Duration::from_secs(3), "{took:?}");
    let slate = until_slate(&server, &id);
    check_continues(&before, &slate);
    assert_eq!(server.broadcast(&id)["health"], "publisher_gone");
    check_comes_back(&server, &key, &id);
}

/// A camera that was unplugged while the box was dark: what is on air again is the slate, on the same address.
#[test]
fn a_program_that_starts_again_without_its_camera_shows_the_slate() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Without a camera");
    server.until_duration(&id, 4.0);
    let before = playlist(&server, &id);
    server.kill();
    let database = rusqlite::Connection::open(server.data.path().join("siaran.db")).expect("a database");
    let sql =
        "UPDATE broadcasts SET source = 'cam-0123456789ab', source_kind = 'camera', microphone = 'mic-0123456789ab'";
    assert_eq!(database.execute(sql, []).expect("a broadcast"), 1);
    drop(database);
    let server = kill(server, ())();
    let begin = Instant::now();
    until("the broadcast to be on air again", || {
        (server.stranger().get(&format!("/media/{id}/av/index.m3u8")).status == 200).then_some(())
    });
    let slate = until_slate(&server, &id);
    println!("the slate is listed {:?} after the program was ready", begin.elapsed());
    check_continues(&before, &slate);
    let told = server.broadcast(&id);
    assert_eq!((&told["state"], &told["health"]), (&json!("live"), &json!("video_lost")), "{told}");
    assert_eq!(told["reason_code"], "camera_unavailable", "{told}");
    // The worker's own sentence is for the log; people read the catalogue's.
    for (language, words) in [("id", "Kamera tidak dapat dibuka"), ("en", "The camera cannot be opened")] {
        let page = studio_page(&server, language);
        assert!(page.contains(words) && !page.contains("cannot be used"), "{page}");
    }
    let mut page = Page::open(&server, "/studio/events?source=cam-0123456789ab", &server.admin.by);
    let told = page.until("preview", |told| told["state"] == "video_lost");
    assert_eq!(told["reason"], "camera_unavailable", "{told}");
    server.end(&id);
    check_recording(&server, &id, &["h264", "aac"]);
}

#[test]
fn a_worker_that_dies_while_its_publisher_is_away_shows_the_slate_again() {
    let server = Server::start(&["--rtmp-grace-s", "60"]);
    let (_, key) = new_key(&server, json!({"label": "Away when its worker dies"}));
    let publisher = Publisher::start(&server, &key);
    let id = until_on_air(&server);
    server.until_duration(&id, 4.0);
    drop(publisher);
    let before = until_slate(&server, &id);
    let worker = *server.workers().last().expect("a worker");
    let begin = Instant::now();
    kill_process(worker, Signal::KILL).expect("it runs");
    let (_, took) = until_switched(&server, &id, discontinuities(&before), begin);
    println!("the slate is listed {took:?} after its worker was killed");
    assert!(took < Duration::from_secs(3), "{took:?}");
    check_continues(&before, &until_slate(&server, &id));
    assert_eq!(server.broadcast(&id)["health"], "publisher_gone");
    check_comes_back(&server, &key, &id);
}

#[test]
fn the_slate_stands_in_for_a_picture_that_stands_still() {
    let server = Server::start(&["--rtmp-grace-s", "20"]);
    let (_, key) = new_key(&server, json!({"label": "Bad network"}));
    let publisher = Publisher::ffmpeg(&server, &key, &[QUICK, AAC].concat());
    let id = until_on_air(&server);
    server.until_duration(&id, 4.0);
    let before = playlist(&server, &id);

    let begin = Instant::now();
    publisher.signal(Signal::STOP);
    let (slate, lost) = until_switched(&server, &id, 0, begin);
    println!("the slate is listed {lost:?} after the publisher was stopped");
    assert!(is_slate(&server, &id, &slate));
    assert!(lost < Duration::from_millis(1800), "{lost:?}");
    assert!(server.log().contains("PublisherStill"));
    std::thread::sleep(Duration::from_secs(3));

    let begin = Instant::now();
    publisher.signal(Signal::CONT);
    let (back, took) = until_switched(&server, &id, 1, begin);
    println!("its own picture is listed {took:?} after the publisher goes on");
    assert!(!is_slate(&server, &id, &back));
    assert!(took < Duration::from_secs(2), "{took:?}");
    std::thread::sleep(Duration::from_secs(2));
    let after = playlist(&server, &id);
    check_continues(&before, &after);
    assert!(ahead(&after) < 1.0, "what had piled up is not added: {} s ahead", ahead(&after));
    publisher.finish();
    server.end(&id);
    check_recording(&server, &id, &["h264", "aac"]);
}

#[test]
fn a_publisher_that_stays_away_ends_the_broadcast_with_its_slate() {
    let server = Server::start(&["--rtmp-grace-s", "3"]);
    let (_, key) = new_key(&server, json!({"label": "Silent"}));
    let publisher = Publisher::ffmpeg(&server, &key, &[QUICK, &["-an"]].concat());
    let id = until_on_air(&server);
    server.until_duration(&id, 3.0);
    let begin = Instant::now();
    drop(publisher);
    server.until_state(&id, "ended");
    let took = begin.elapsed();
    assert!((2.5..5.0).contains(&took.as_secs_f64()), "{took:?}");
    let recording = playlist(&server, &id);
    assert_eq!(discontinuities(&recording), 1);
    assert!(is_slate(&server, &id, recording.segments.last().expect("a segment")));
    check_recording(&server, &id, &["h264"]);
}

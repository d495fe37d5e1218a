//! The picture that stands for a recording: made again from the recording where it was lost, and given up once and for all
//! where it cannot be made.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::power::fsck;
use crate::server::{SMALL, Server, playlist, until};
use crate::{sync, tools};

/// Size of the picture that a server gives for a broadcast, which must decode.
fn picture(server: &Server, id: &str) -> (u64, u64) {
    let jpeg = server.fetch(&format!("/media/{id}/thumbnail.jpg"));
    let file = tools::write(server.data.path(), "thumbnail.jpg", &jpeg);
    tools::decode(tools::as_text(&file));
    let found = tools::probe(tools::as_text(&file), &["-show_streams"]);
    let side = |name: &str| found["streams"][0][name].as_u64().expect("a number");
    assert_eq!(found["streams"][0]["codec_name"], "mjpeg");
    (side("width"), side("height"))
}

fn has_thumbnail(server: &Server, id: &str) -> bool {
    server.broadcast(id)["thumbnail_url"].is_string()
}

/// Bytes of all thumbnails, as the admin is told.
fn counted(server: &Server) -> u64 {
    server.get("/storage")["thumbnails"].as_u64().expect("a number")
}

#[test]
fn a_lost_thumbnail_is_made_again() {
    let mut server = Server::start(&[SMALL, &["--reel-s", "3"]].concat());
    let record = |seconds| {
        let id = server.go_live("To be looked at");
        server.until_duration(&id, seconds);
        server.end(&id);
        id
    };
    let (kept, damaged) = (record(13.0), record(4.0));
    for id in [&kept, &damaged] {
        until("a thumbnail", || has_thumbnail(&server, id).then_some(()));
    }
    let before = picture(&server, &kept);
    assert_eq!(server.terminate(), Some(0));

    let database = Connection::open(server.data.path().join("siaran.db")).expect("a database");
    database.execute("UPDATE broadcasts SET thumbnail = NULL", []).expect("rows");
    // Of one of them no segment is as it was recorded.
    let segments: Vec<(String, u64)> = database
        .prepare("SELECT reel_id, offset FROM segments WHERE broadcast_id = ?1")
        .and_then(|mut rows| rows.query_map([&damaged], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .expect("segments");
    for (reel, offset) in &segments {
        let path = server.data.path().join("reels").join(format!("{reel}.reel"));
        let file = File::options().write(true).open(path).expect("it is there");
        file.write_all_at(b"damaged", offset + 1000).expect("it is ours");
    }
    drop(database);

    let server = Server::start_on(&server.data, SMALL);
    until("the thumbnail again", || has_thumbnail(&server, &kept).then_some(()));
    assert_eq!(picture(&server, &kept), before);
    let told = || server.log().matches("no thumbnail can be made").count();
    until("the other to be given up", || (told() == 1).then_some(()));
    // After the next broadcast it is looked for what is missing; what was given up stays so.
    let third = server.go_live("Another");
    server.end(&third);
    until("its thumbnail", || has_thumbnail(&server, &third).then_some(()));
    assert_eq!((told(), has_thumbnail(&server, &damaged)), (1, false));
    // One is long enough to have a sprite, too.
    let pictures = [(&kept, "thumbnail.jpg"), (&kept, "sprite.jpg"), (&third, "thumbnail.jpg")];
    until_sprite(&server, &kept);
    let sizes: u64 = pictures.iter().map(|(id, file)| server.fetch(&format!("/media/{id}/{file}")).len() as u64).sum();
    assert_eq!(counted(&server), sizes, "thumbnails count apart");
}

/// What says which part of the sheet shows which time: begin and end in seconds, left, top, width and height.
fn until_sprite(server: &Server, id: &str) -> Vec<(f64, f64, [usize; 4])> {
    let path = format!("/media/{id}/sprite.vtt");
    until("a sprite", || (server.admin.get(&path).status == 200).then_some(()));
    let text = String::from_utf8(server.fetch(&path)).expect("UTF-8");
    assert!(text.starts_with("WEBVTT\n"));
    let seconds = |time: &str| {
        let fields = time.split(':').map(|field| field.parse::<f64>().expect("a number"));
        fields.fold(0.0, |sum, field| sum * 60.0 + field)
    };
    let cue = |cue: &str| {
        let (times, part) = cue.trim().split_once('\n').expect("two lines");
        let (begin, end) = times.split_once(" --> ").expect("from and to");
        let part = part.strip_prefix("sprite.jpg#xywh=").expect("a part of the sheet");
        let part: Vec<usize> = part.split(',').map(|side| side.parse().expect("a number")).collect();
        (seconds(begin), seconds(end), part.try_into().expect("four"))
    };
    text.split("\n\n").skip(1).map(cue).collect()
}

/// The test pattern has the time in it, which is still legible in a small picture.
#[test]
fn a_recording_has_small_pictures_of_its_time_line() {
    let server = Server::start(SMALL);
    let id = server.go_live("To be looked through");
    server.until_duration(&id, 12.0);
    assert_eq!(server.admin.get(&format!("/media/{id}/sprite.vtt")).status, 404);
    server.end(&id);
    let parts = until_sprite(&server, &id);
    let recording = playlist(&server, &id);
    assert!(parts.len() >= 6 && parts.len() <= recording.segments.len(), "{parts:?}");
    assert_eq!(parts[0].0, 0.0);
    assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0), "without a hole: {parts:?}");
    assert!((parts[parts.len() - 1].1 - recording.duration()).abs() < 0.01);

    let file = tools::write(server.data.path(), "sprite.jpg", &server.fetch(&format!("/media/{id}/sprite.jpg")));
    let file = tools::as_text(&file);
    let told = &tools::probe(file, &["-show_streams"])["streams"][0];
    let (across, down) = (told["width"].as_u64().expect("a width"), told["height"].as_u64().expect("a height"));
    let sheet = sync::raw(file, &["-f", "rawvideo", "-pix_fmt", "gray"]);
    assert_eq!(sheet.len() as u64, across * down);
    let mut apart = Vec::new();
    for (begin, _, [left, top, width, height]) in &parts {
        let rows = (*top..top + height).map(|row| &sheet[row * across as usize..][*left..left + width]);
        let shown = sync::clock_in(&rows.flatten().copied().collect::<Vec<u8>>(), *width, *height) as f64;
        apart.push(shown - (recording.segments[0].date.expect("a time") + begin) * 1000.0);
    }
    assert!(apart.iter().all(|ms| (ms - apart[0]).abs() < 100.0), "each shows its time: {apart:?}");

    let page = server.admin.get_with(&format!("/watch/{id}"), &[("accept", "text/html")]).text();
    assert!(page.contains("sprite.vtt"), "{page}");
    // It is for whom the recording is for.
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "staff"}))).0, 200);
    for file in ["sprite.vtt", "sprite.jpg"] {
        assert_eq!(server.stranger().get(&format!("/media/{id}/{file}")).status, 401);
    }
    // And goes with it.
    let before = counted(&server);
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    assert_eq!(server.call("DELETE", "/trash", None), (200, json!({"deleted": 1})));
    assert!(counted(&server) < before && counted(&server) == 0);
}

/// Whoever is on air has the processor to himself.
#[test]
fn no_thumbnail_is_made_while_somebody_is_on_air() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Without a picture");
    server.until_duration(&id, 5.0);
    until("a thumbnail", || has_thumbnail(&server, &id).then_some(()));
    server.end(&id);
    let other = server.go_live("On air when the box goes down");
    server.until_duration(&other, 3.0);
    server.kill();
    let database = Connection::open(server.data.path().join("siaran.db")).expect("a database");
    database.execute("UPDATE broadcasts SET thumbnail = NULL", []).expect("rows");
    drop(database);
    let server = Server::start_on(&server.data, SMALL);
    let state = |id: &str| server.broadcast(id)["state"].clone();
    assert_eq!(state(&other), Value::from("live"));
    server.until_duration(&other, 8.0);
    assert!(!has_thumbnail(&server, &id));
    server.end(&other);
    until("the thumbnail", || has_thumbnail(&server, &id).then_some(()));
    fsck(server.data.path());
}

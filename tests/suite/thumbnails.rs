//! The picture that stands for a recording: made again from the recording where it was lost, and given up once and for all
//! where it cannot be made.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rusqlite::Connection;
use serde_json::Value;

use crate::power::fsck;
use crate::server::{SMALL, Server, until};
use crate::tools;

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
    let sizes: u64 =
        [&kept, &third].iter().map(|id| server.fetch(&format!("/media/{id}/thumbnail.jpg")).len() as u64).sum();
    assert_eq!(counted(&server), sizes, "thumbnails count apart");
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

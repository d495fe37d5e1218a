//! What `siaran fsck` says of a data directory that was damaged, each fault on a line of its own, and what `--rebuild` makes of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::power::{Seen, fsck};
use crate::server::{ADMIN, BINARY, SMALL, Server, add_account, decode, playlist, run_to_end};

/// A recording in reels of so many seconds, whole, with its server stopped. Its id and what a viewer had seen.
fn recorded(reel_s: &str) -> (Arc<TempDir>, String, Seen) {
    let mut server = Server::start(&[SMALL, &["--reel-s", reel_s]].concat());
    let id = server.go_live("To be damaged");
    server.until_duration(&id, 13.0);
    server.end(&id);
    let seen = Seen::take(&server, &id);
    assert_eq!(server.terminate(), Some(0));
    let data = server.data.clone();
    fsck(data.path());
    (data, id, seen)
}

/// Exit status and all lines of a run with `flags`.
fn run(data: &Path, flags: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = run_to_end(Command::new(BINARY).arg("fsck").args(flags).arg("--data").arg(data));
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).lines().map(str::to_owned).collect())
}

#[test]
fn each_fault_has_its_line_and_a_rebuild_keeps_what_is_sound() {
    let (data, id, seen) = recorded("2");
    let reel_file = |reel: &str| data.path().join("reels").join(format!("{reel}.reel"));
    let database = Connection::open(data.path().join("siaran.db")).expect("a database");
    let reels: Vec<(String, u64)> = database
        .prepare("SELECT reel_id, min(offset) FROM segments GROUP BY reel_id ORDER BY min(msn)")
        .and_then(|mut rows| rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .expect("reels");
    assert!(reels.len() >= 4, "{reels:?}");
    // A row for what was never in the first, the second gone, a hole in the media of the third, the fourth cut short.
    let (holed, offset) = &reels[2];
    let file = File::options().write(true).open(reel_file(holed)).expect("it is there");
    file.write_all_at(&[0; 1500], offset + 2000).expect("it is ours");
    std::fs::remove_file(reel_file(&reels[1].0)).expect("it is there");
    let sql = "INSERT INTO segments (broadcast_id, rendition, msn, reel_id, offset, length, start, duration, init, discontinuity,
        independent, crc32c) VALUES (?1, 0, 7777, ?2, 1000000000, 1000, 999999999, 180000, 0, 0, 1, 1)";
    database.execute(sql, [&id, &reels[0].0]).expect("a row");
    drop(database);
    let file = File::options().write(true).open(reel_file(&reels[3].0)).expect("it is there");
    let whole = file.metadata().expect("a length").len();
    file.set_len(whole - 10).expect("it is ours");

    let (status, lines) = run(data.path(), &[]);
    assert_eq!(status, Some(1), "{lines:?}");
    for (word, reel) in [("unreadable", 0), ("missing", 1), ("checksum", 2), ("length", 3)] {
        let of_reel = format!("{word}: reel {} of broadcast {id}: ", reels[reel].0);
        assert_eq!(lines.iter().filter(|line| line.starts_with(&of_reel)).count(), 1, "{of_reel} {lines:#?}");
    }

    let (status, lines) = run(data.path(), &["--rebuild"]);
    assert_eq!(status, Some(0), "{lines:#?}");
    let server = Server::start_on(&data, SMALL);
    let now = seen.still_holds(&server);
    let gaps = now.segments.iter().filter(|segment| segment.gap).count();
    let kept = now.segments.len() - gaps;
    println!("{} segments before, {kept} after, {gaps} listed as gaps", seen.playlist.segments.len());
    assert!(now.ended && kept >= reels.len() - 2 && gaps >= 1);
    assert_eq!(server.broadcast(&id)["title"], "To be damaged");
    decode(&server, &id);
    fsck(data.path());
}

/// Damage in the midst of a reel costs the segments in which it lies, and none behind them.
#[test]
fn a_rebuild_goes_on_behind_what_is_damaged() {
    let (data, id, seen) = recorded("60");
    let database = Connection::open(data.path().join("siaran.db")).expect("a database");
    let segments: Vec<(u64, String, u64)> = database
        .prepare("SELECT msn, reel_id, offset FROM segments ORDER BY msn")
        .and_then(|mut rows| rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect())
        .expect("segments");
    drop(database);
    let reel = &segments[0].1;
    assert!(segments.len() >= 7 && segments.iter().all(|(_, id, _)| id == reel), "{segments:?}");
    let path = data.path().join("reels").join(format!("{reel}.reel"));
    let file = File::options().read(true).write(true).open(path).expect("it is there");
    let flip = |place: u64| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, place).expect("it is that long");
        file.write_all_at(&[byte[0] ^ 0xff], place).expect("it is ours");
    };
    let mut size = [0; 4];
    file.read_exact_at(&mut size, segments[1].2).expect("a moof");
    flip(segments[1].2 + u64::from(u32::from_be_bytes(size)) + 1000); // in the first mdat of segment 1
    flip(segments[3].2 - 10); // in the note that segment 3 begins
    flip(segments[5].2 + 2); // in the size of the first moof of segment 5

    let (status, lines) = run(data.path(), &["--rebuild"]);
    assert_eq!(status, Some(0), "{lines:#?}");
    let told = format!("damaged: reel {reel} of broadcast {id}: ");
    assert_eq!(lines.iter().filter(|line| line.starts_with(&told)).count(), 3, "{lines:#?}");
    let server = Server::start_on(&data, SMALL);
    let now = seen.still_holds(&server);
    let gaps: Vec<u64> = now.segments.iter().filter(|segment| segment.gap).map(|segment| segment.msn).collect();
    assert_eq!((gaps, now.segments.len()), (vec![1, 3, 5], segments.len()));
    decode(&server, &id);
    fsck(data.path());
}

#[test]
fn a_damaged_database_is_told_and_set_aside_by_a_rebuild() {
    let (data, id, seen) = recorded("2");
    let path = data.path().join("siaran.db");
    let pages = path.metadata().expect("it is there").len() / 4096;
    let file = File::options().write(true).open(&path).expect("it is ours");
    for page in 2..pages {
        file.write_all_at(&[0xa5; 2048], page * 4096).expect("it is ours");
    }
    let (status, lines) = run(data.path(), &[]);
    assert!(status == Some(1) && lines.iter().any(|line| line.contains("database")), "{status:?} {lines:#?}");
    let (status, lines) = run(data.path(), &["--rebuild"]);
    assert!(status == Some(0) && lines.iter().any(|line| line.contains("the database is damaged")), "{lines:#?}");
    assert!(std::fs::read_dir(data.path().join("set-aside")).is_ok_and(|mut files| files.next().is_some()));
    add_account(data.path(), ADMIN, "admin");
    let server = Server::start_on(&data, SMALL);
    let (status, _) =
        server.call("PATCH", &format!("/broadcasts/{id}"), Some(serde_json::json!({"audience": "public"})));
    assert_eq!(status, 200);
    seen.still_holds(&server);
    assert_eq!(playlist(&server, &id).duration(), seen.playlist.duration());
}

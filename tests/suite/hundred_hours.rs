//! A library of a hundred hours, left behind by a kill in mid-broadcast: how long a start takes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::power::fsck;
use crate::server::{ADMIN, BINARY, PASSWORD, SMALL, Server, add_account, new_data, serve_command, until};

/// Broadcasts of an hour, and hours of the one that was on air.
const HOURS: u64 = 90;
const LONG: u64 = 10;
/// Hours that were being deleted.
const DOOMED: u64 = 10;
/// Reels of a minute, with segments of two seconds.
const REELS: u64 = 60;
const SEGMENTS: u64 = 30;

/// A start may take so long.
const START: Duration = Duration::from_secs(5);

/// `make chaos`.
#[test]
#[ignore = "takes minutes"]
fn a_start_after_a_kill_does_not_take_longer_with_a_hundred_hours() {
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let mut server = Server::start_on(&data, SMALL);
    let pattern = server.go_live("Pattern");
    server.until_duration(&pattern, 3.0);
    server.end(&pattern);
    let id = server.go_live("Interrupted");
    server.until_duration(&id, 6.0);
    server.kill();
    drop(server);
    fill(&data.path().join("siaran.db"), &data.path().join("reels"), &pattern);

    // A torn write at the end of the reel that was open.
    let database = rusqlite::Connection::open(data.path().join("siaran.db")).expect("a database");
    let sql = "SELECT id FROM reels WHERE broadcast_id = ?1 AND length IS NULL";
    let open: String = database.query_row(sql, [&id], |row| row.get(0)).expect("it was being written");
    drop(database);
    let path = data.path().join("reels").join(format!("{open}.reel"));
    let length = path.metadata().expect("it is there").len();
    std::fs::File::options().write(true).open(path).and_then(|file| file.set_len(length - 100)).expect("it is ours");

    let mut binaries = vec![String::from(BINARY)];
    binaries.extend(std::env::var("SIARAN_RELEASE_BIN"));
    for binary in binaries {
        let ours = serve_command(data.path(), SMALL);
        let mut command = Command::new(&binary);
        command.args(ours.get_args());
        let begin = Instant::now();
        let mut server = Server::start_by(&data, command);
        let took = begin.elapsed();
        println!("{binary}: ready after {took:?} with {} hours", HOURS + LONG);
        assert!(took <= START, "{took:?}");
        assert_eq!(server.sign_in(ADMIN, PASSWORD).status, 200);
        server.admin = server.client(ADMIN);
        assert_eq!(server.broadcast(&id)["state"], "live", "it is on air again");
        assert_eq!(server.broadcast("hour-10")["state"], "ended");
        assert_eq!(server.broadcast("long")["duration_s"], json!((LONG * REELS * SEGMENTS * 2) as f64));
        until("what was being deleted to be gone", || {
            let left = std::fs::read_dir(data.path().join("reels")).expect("reels").count() as u64;
            (left < (HOURS + LONG) * REELS + 10).then_some(())
        });
        server.kill();
    }
    let server = Server::start_on(&data, SMALL);
    server.end(&id);
    drop(server);
    let begin = Instant::now();
    fsck(data.path());
    println!("fsck after {:?}", begin.elapsed());
}

/// Makes the library: all that is recorded is one real segment, many times.
fn fill(database: &Path, reels: &Path, pattern: &str) {
    let mut database = rusqlite::Connection::open(database).expect("a database");
    let tx = database.transaction().expect("nobody else is there");
    let sql = "SELECT reel_id FROM segments WHERE broadcast_id = ?1";
    let real: String = tx.query_row(sql, [pattern], |row| row.get(0)).expect("a segment");
    let hours = (0..HOURS).map(|hour| (format!("hour-{hour}"), 1, "ended", 0));
    let doomed = (0..DOOMED).map(|hour| (format!("doomed-{hour}"), 1, "", 1));
    for (broadcast, hours, state, garbage) in hours.chain([(String::from("long"), LONG, "live", 0)]).chain(doomed) {
        if garbage == 0 {
            let sql = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at, started_at, ended_at, epoch_us)
                SELECT ?1, 'One of many', audience, ?2, source, source_kind, created_at, started_at, ended_at, 0
                FROM broadcasts WHERE id = ?3";
            tx.execute(sql, [&broadcast, state, pattern]).expect("a row");
            let sql = "INSERT INTO inits SELECT ?1, rendition, number, bytes, codecs, width, height, frame_rate_milli, has_audio, part_target
                FROM inits WHERE broadcast_id = ?2";
            tx.execute(sql, [broadcast.as_str(), pattern]).expect("a row");
        }
        for reel in 0..hours * REELS {
            let name = format!("{broadcast}-{reel}");
            let (from, to) = (reels.join(format!("{real}.reel")), reels.join(format!("{name}.reel")));
            // What is deleted is cut to nothing first.
            let made = if garbage == 1 { std::fs::write(to, "x") } else { std::fs::hard_link(from, to) };
            made.expect("a name");
            let sql = "INSERT INTO reels (id, broadcast_id, rendition, garbage, created_at, length, blake3)
                SELECT ?1, ?2, rendition, ?3, created_at, length, blake3 FROM reels WHERE id = ?4";
            tx.execute(sql, rusqlite::params![name, broadcast, garbage, real]).expect("a row");
            if garbage == 1 {
                continue;
            }
            let sql = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ?5 - 1)
                INSERT INTO segments (broadcast_id, rendition, msn, reel_id, offset, length, start, duration, init,
                    discontinuity, independent, crc32c)
                SELECT ?1, 0, ?2 * ?5 + n, ?3, offset, length, (?2 * ?5 + n) * 180000, 180000, init, 0, 1, crc32c
                FROM number, (SELECT * FROM segments WHERE broadcast_id = ?4 LIMIT 1)";
            tx.execute(sql, rusqlite::params![broadcast, reel, name, pattern, SEGMENTS]).expect("rows");
        }
    }
    tx.commit().expect("room");
}

//! `siaran backup` beside a broadcast, and `siaran restore` on a clean box.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::chaos::next_part;
use crate::client::Client;
use crate::playlist_rules::Playlist;
use crate::power::{Seen, fsck};
use crate::server::{BINARY, SMALL, Server, playlist, run_to_end, until};
use crate::tools;

fn siaran(command: &str, place: &Path, data: &Path) -> Output {
    run_to_end(Command::new(BINARY).arg(command).arg(place).arg("--data").arg(data))
}

fn backup(server: &Server, place: &Path) -> String {
    let output = siaran("backup", place, server.data.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// Hash of each reel by its name.
fn reels(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(data.join("reels")).expect("reels").map(|entry| entry.expect("an entry").path());
    let hash = |path: &Path| Sha256::digest(std::fs::read(path).expect("a file")).to_vec();
    files.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), hash(&path))).collect()
}

#[test]
fn a_backup_is_made_beside_a_broadcast_and_comes_back_whole() {
    let server = Server::start(&[SMALL, &["--reel-s", "2"]].concat());
    let first = server.go_live("Deleted later");
    server.until_duration(&first, 3.0);
    server.end(&first);
    let kept = server.go_live("Kept");
    server.until_duration(&kept, 3.0);
    server.end(&kept);
    let seen = Seen::take(&server, &kept);

    let live = server.go_live("On air meanwhile");
    server.until_duration(&live, 5.0);
    let home = tempfile::tempdir().expect("a temporary directory");
    let place = home.path().join("stick");
    assert!(backup(&server, &place).starts_with("copied "));
    fsck(&place);
    // A backup that is not whole must not look like one to those who make it again.
    for _ in 0..2 {
        assert_eq!(server.call("DELETE", &format!("/broadcasts/{first}"), None).0, 204);
    }
    server.until_duration(&live, 9.0);
    let said = backup(&server, &place);
    assert!(!said.contains(" 0 were there already") && !said.contains(" 0 removed"), "{said}");
    fsck(&place);
    let on_air = playlist(&server, &live);
    assert!(!on_air.ended && on_air.segments.iter().all(|segment| !segment.discontinuity && !segment.gap));
    server.end(&live);

    let clean = home.path().join("box");
    assert_eq!(siaran("restore", &place, &clean).status.code(), Some(0));
    assert_eq!(reels(&clean), reels(&place), "the same bytes");
    let mut originals = reels(server.data.path());
    originals.retain(|name, _| reels(&clean).contains_key(name));
    let same = reels(&clean).iter().filter(|(name, hash)| originals.get(*name) == Some(hash)).count();
    assert!(same >= 3, "closed reels are as they were recorded");
    assert!(refusal(&siaran("restore", &place, &clean)).contains("not empty"));
    fsck(&clean);

    let restored = std::sync::Arc::new(tempfile::tempdir_in(home.path()).expect("room"));
    std::fs::remove_dir(restored.path()).expect("it is empty");
    std::fs::rename(&clean, restored.path()).expect("the same disk");
    let again = Server::start_on(&restored, SMALL);
    seen.still_holds(&again);
    tools::decode(&format!("{}/media/{kept}/main.m3u8", again.http));
    let told = again.broadcast(&live);
    assert_eq!(told["state"], "ended", "what was on air is a recording in the backup: {told}");
    assert!(told["duration_s"].as_f64().expect("a number") >= 5.0, "{told}");
    assert_eq!(again.admin.get(&format!("/api/v1/broadcasts/{first}")).status, 404);
}

/// Adds so many reels of `bytes` each to a recording of a server that does not run: its last segment, again and again.
fn enlarge(data: &Path, id: &str, count: u32, bytes: u64) {
    let mut database = rusqlite::Connection::open(data.join("siaran.db")).expect("a database");
    let tx = database.transaction().expect("nobody else is there");
    let last = "SELECT reel_id, offset, length, msn FROM segments WHERE broadcast_id = ?1 ORDER BY msn DESC LIMIT 1";
    let facts = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
    let (real, offset, length, msn): (String, usize, usize, u64) = tx.query_row(last, [id], facts).expect("a segment");
    let reel = |name: &str| data.join("reels").join(format!("{name}.reel"));
    let whole = std::fs::read(reel(&real)).expect("a reel");
    let times = bytes / length as u64;
    let mut large = whole.clone();
    for _ in 0..times {
        large.extend(&whole[offset..offset + length]);
    }
    let hash = *blake3::hash(&large).as_bytes();
    for number in 0..count {
        let name = format!("{real}-{number}");
        std::fs::write(reel(&name), &large).expect("room");
        let row = "INSERT INTO reels (id, broadcast_id, rendition, created_at, length, blake3)
            SELECT ?1, broadcast_id, rendition, created_at, ?2, ?3 FROM reels WHERE id = ?4";
        tx.execute(row, rusqlite::params![name, large.len(), hash, real]).expect("a row");
        let rows = "WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < ?4 - 1)
            INSERT INTO segments (broadcast_id, rendition, msn, reel_id, offset, length, start, duration, init,
                discontinuity, independent, crc32c)
            SELECT broadcast_id, rendition, msn + 1 + ?5 * ?4 + n, ?2, ?6 + n * length, length,
                start + (1 + ?5 * ?4 + n) * duration, duration, init, 0, independent, crc32c
            FROM segments, number WHERE broadcast_id = ?1 AND msn = ?3";
        tx.execute(rows, rusqlite::params![id, name, msn, times, number, whole.len()]).expect("rows");
    }
    tx.commit().expect("room");
}

/// What a viewer saw who follows a broadcast and fetches every part.
#[derive(Default)]
struct Watched {
    /// Longest time between two parts that were new.
    gap: Duration,
    parts: usize,
    segments: usize,
}

/// Follows a broadcast until told to stop: each segment is the sum of its parts, and none is missing.
fn watch(client: &Client, id: &str, stop: &AtomicBool) -> Watched {
    let base = format!("/media/{id}/av");
    let mut watched = Watched::default();
    let mut parts: BTreeMap<(u64, usize), Vec<u8>> = BTreeMap::new();
    let (mut next, mut newest, mut wanted) = (None, None::<Instant>, String::new());
    while !stop.load(Ordering::Relaxed) {
        let reply = client.get(&format!("{base}/index.m3u8{wanted}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let now = Playlist::read(&reply.text());
        now.check();
        assert!(now.segments.iter().all(|segment| !segment.discontinuity && !segment.gap));
        wanted = next_part(&now);
        for segment in &now.segments {
            for (index, part) in segment.parts.iter().enumerate() {
                if parts.contains_key(&(segment.msn, index))
                    || next.is_none_or(|next| segment.msn < next) && segment.uri.is_some()
                {
                    continue;
                }
                let reply = client.get(&format!("{base}/{}", part.uri));
                assert_eq!(reply.status, 200, "{}", part.uri);
                parts.insert((segment.msn, index), reply.body);
                watched.parts += 1;
                watched.gap = watched.gap.max(newest.map_or(Duration::ZERO, |newest| newest.elapsed()));
                newest = Some(Instant::now());
            }
            let Some(uri) = segment.uri.as_ref().filter(|_| next == Some(segment.msn)) else {
                if segment.uri.is_none() && next.is_none() {
                    next = Some(segment.msn);
                }
                continue;
            };
            let sum = (0..).map_while(|index| parts.get(&(segment.msn, index))).flatten().copied();
            assert!(sum.eq(client.get(&format!("{base}/{uri}")).body), "{uri} is not its parts");
            watched.segments += 1;
            next = Some(segment.msn + 1);
        }
        let last = now.last_msn().expect("a segment");
        assert!(next.is_some_and(|next| next == last || next == last + 1), "parts of {next:?} were missed: {last}");
    }
    watched
}

/// Bytes that a backup says it has copied.
fn copied(said: &str) -> u64 {
    let number = said.split_once('(').and_then(|(_, rest)| rest.split_once(" bytes")).expect("a number");
    number.0.parse().expect("a number")
}

#[test]
fn a_backup_of_a_large_library_holds_no_part_back() {
    let mut server = Server::start(SMALL);
    let old = server.go_live("Large");
    server.until_duration(&old, 3.0);
    server.end(&old);
    assert_eq!(server.terminate(), Some(0));
    enlarge(server.data.path(), &old, 10, 32_000_000);
    let server = Server::start_on(&server.data, &[SMALL, &["--reel-s", "2"]].concat());
    let live = server.go_live("On air meanwhile");
    server.until_duration(&live, 4.0);

    let home = tempfile::tempdir().expect("a temporary directory");
    let place = home.path().join("stick");
    let stop = AtomicBool::new(false);
    let (watched, said, lasted) = std::thread::scope(|scope| {
        let client = server.stranger();
        let (stopped, live) = (&stop, &live);
        let viewer = scope.spawn(move || watch(&client, live, stopped));
        let begin = Instant::now();
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            // More than once, so that a fast disk has something to do too.
            for number in 0..3 {
                backup(&server, &home.path().join(format!("stick {number}")));
                std::fs::remove_dir_all(home.path().join(format!("stick {number}"))).expect("it is ours");
            }
            [backup(&server, &place), backup(&server, &place)]
        }));
        let lasted = begin.elapsed();
        // A few parts more, so that what was late is seen.
        let so_far = server.broadcast(live)["duration_s"].as_f64().expect("a number");
        server.until_duration(live, so_far + 5.0);
        stop.store(true, Ordering::Relaxed);
        (viewer.join().expect("nothing that must not be"), made.expect("two backups"), lasted)
    });
    let [first, second] = said;
    println!("{first}{second}in {lasted:?}; {} parts, {:?} between two at most", watched.parts, watched.gap);
    assert!(copied(&first) > 300_000_000, "{first}");
    assert!(copied(&second) < 10_000_000 && !second.contains(" 0 were there already"), "only what is new: {second}");
    assert!(watched.segments >= 2 && watched.parts >= 20);
    // Who keeps to HOLD-BACK has three target durations in hand.
    assert!(watched.gap < Duration::from_secs(3), "{:?}", watched.gap);
    server.end(&live);

    let clean = home.path().join("box");
    assert_eq!(siaran("restore", &place, &clean).status.code(), Some(0));
    let (there, here, originals) = (reels(&place), reels(&clean), reels(server.data.path()));
    assert_eq!(here, there, "the same bytes");
    assert!(here.len() > 10);
    let same = here.iter().filter(|(name, hash)| originals.get(*name) == Some(hash)).count();
    // What was being written when the backup was made has grown since.
    assert!(same + 1 >= here.len(), "{same} of {}", here.len());
    fsck(&clean);

    // What rots on the backup's own disk is found there, and copied again once it is gone.
    let name = there.keys().find(|name| name.contains("-0.")).expect("a large one");
    let path = place.join("reels").join(name);
    rot(&path);
    let found = run_to_end(Command::new(BINARY).args(["fsck", "--data"]).arg(&place));
    let said = String::from_utf8_lossy(&found.stdout).into_owned() + &String::from_utf8_lossy(&found.stderr);
    assert!(found.status.code() == Some(1) && said.contains(name.trim_end_matches(".reel")), "{said}");
    std::fs::remove_file(path).expect("it is there");
    assert!((30_000_000..50_000_000).contains(&copied(&backup(&server, &place))), "that one, and what is new");
    fsck(&place);
}

#[test]
fn places_that_are_not_for_backups_are_refused_and_left_as_they_are() {
    let server = Server::start(SMALL);
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(home.path().join("thesis.odt"), "years of work").expect("room");
    assert!(refusal(&siaran("backup", home.path(), server.data.path())).contains("not empty"));
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 1);
    let inside = server.data.path().join("inside");
    assert!(refusal(&siaran("backup", &inside, server.data.path())).contains("inside"));
    assert!(!inside.exists());
    let nowhere = home.path().join("nowhere");
    assert!(refusal(&siaran("restore", &nowhere, &home.path().join("box"))).contains("no complete backup"));
    assert!(!home.path().join("box").exists());
}

/// Changes a byte of a file.
fn rot(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("room");
}

/// A disk that has changed a byte is noticed before the bad copy takes the good one's place, and costs no other recording its
/// copy.
#[test]
fn a_recording_that_rots_is_told_and_not_copied() {
    let server = Server::start(SMALL);
    let record = |title| {
        let id = server.go_live(title);
        server.until_duration(&id, 3.0);
        server.end(&id);
        id
    };
    let rotten = record("Rots");
    let name = reels(server.data.path()).into_keys().next().expect("a reel");
    let sound = record("Does not");
    let home = tempfile::tempdir().expect("a temporary directory");
    let earlier = home.path().join("earlier");
    backup(&server, &earlier);
    let copied = reels(&earlier);
    assert_eq!(copied.len(), 2);
    // What it has of the one that rots is an older and shorter copy.
    let stump = std::fs::read(earlier.join("reels").join(&name)).expect("a file");
    std::fs::write(earlier.join("reels").join(&name), &stump[..1000]).expect("room");
    let copied = reels(&earlier);

    rot(&server.data.path().join("reels").join(&name));
    let output = run_to_end(Command::new(BINARY).args(["fsck", "--json", "--data"]).arg(server.data.path()));
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let codes: Vec<_> = report["report"]["faults"].as_array().expect("a list").iter().map(|f| &f["code"]).collect();
    assert_eq!((codes, &report["clean"]), (vec![&json!("checksum"), &json!("hash")], &json!(false)));
    let names_it = |said: &str| said.contains(name.trim_end_matches(".reel")) && said.contains(&rotten);
    assert!(names_it(&refusal(&siaran("backup", &earlier, server.data.path()))));
    assert_eq!(reels(&earlier), copied, "the older copy stays");
    let fresh = home.path().join("fresh");
    assert!(names_it(&refusal(&siaran("backup", &fresh, server.data.path()))));
    assert_eq!(reels(&fresh).len(), 1, "the others are copied all the same");

    // One that is missing in the backup, or rots there, costs a restore no other.
    let clean = home.path().join("box");
    let said = refusal(&siaran("restore", &fresh, &clean));
    assert!(names_it(&said) && reels(&clean) == reels(&fresh), "{said}");
    let other = reels(&fresh).into_keys().next().expect("a reel");
    rot(&fresh.join("reels").join(&other));
    let again = home.path().join("again");
    let output = siaran("restore", &fresh, &again);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.lines().count() == 2 && said.contains(&sound), "{said}");
    assert_eq!(reels(&again), reels(&fresh), "what there is of it is brought back");
    // The server finds it by itself, the more so as nothing is on air.
    until("the alarm", || server.stranger().get("/healthz").text().contains("recording_damaged").then_some(()));
}

//! A disk that refuses writes or syncs in mid-broadcast, by a library that is preloaded into the real program
//! (`disk_faults.c`): live goes on, everybody is told, the recording goes on by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::playlist_rules::Playlist;
use crate::power::{Disk, Seen, fsck};
use crate::restart::{check_goes_on, until_new_media};
use crate::room::{check_database, delete_for_good, health, live_goes_on, studio_status, until_alarm, until_well};
use crate::server::{ADMIN, PASSWORD, SMALL, Server, add_account, decode, new_data, preload, serve_command, until};
use crate::tools;

pub const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What the disk refuses.
#[derive(Debug, Clone, Copy)]
pub enum Calls {
    Writes,
    Syncs,
}

/// A disk that can be told to fail.
pub struct FailingDisk(TempDir);

impl FailingDisk {
    pub fn new() -> FailingDisk {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(home.path().join("faults.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/disk_faults.c");
        assert!(cc.arg(source).status().expect("cc is installed").success());
        FailingDisk(home)
    }

    /// Has `command` and its children use it.
    pub fn govern(&self, command: &mut Command) {
        preload(command, &self.0.path().join("faults.so"));
        command.env("DISK_FAULT", self.control());
    }

    fn control(&self) -> PathBuf {
        self.0.path().join("fault")
    }

    /// From now on these calls fail on files with `word` in their path. Gives the moment of the first that did.
    pub fn fail(&self, calls: Calls, errno: i32, word: &str) -> Instant {
        let letter = match calls {
            Calls::Writes => 'w',
            Calls::Syncs => 's',
        };
        let new = tools::write(self.0.path(), "new", format!("{letter} {errno} {word}").as_bytes());
        let hit = self.0.path().join("fault.hit");
        let _ = std::fs::remove_file(&hit);
        std::fs::rename(new, self.control()).expect("it can be renamed");
        until("the disk to refuse something", || hit.exists().then(Instant::now))
    }

    pub fn mend(&self) {
        std::fs::remove_file(self.control()).expect("it is there");
    }
}

/// A server on such a disk.
struct Faulty {
    server: Server,
    disk: FailingDisk,
}

impl Faulty {
    fn start() -> Faulty {
        Faulty::start_with(&["--reel-s", "4"])
    }

    fn start_with(flags: &[&str]) -> Faulty {
        let data = new_data();
        add_account(data.path(), ADMIN, "admin");
        let disk = FailingDisk::new();
        let mut command = serve_command(data.path(), &[SMALL, flags].concat());
        disk.govern(&mut command);
        let mut server = Server::start_by(&data, command);
        server.admin = server.client(ADMIN);
        Faulty { server, disk }
    }

    fn fail(&self, calls: Calls, errno: i32, word: &str) -> Instant {
        self.disk.fail(calls, errno, word)
    }

    fn mend(&self) {
        self.disk.mend();
    }

    /// All who should know are told in time, and keep being told.
    fn check_alarm(&self, id: &str, since: Instant) {
        until_alarm(&self.server, "recording_paused", since);
        until("the studio to say so", || studio_status(&self.server, |text| text.contains("recording_failing")));
        assert_eq!(self.server.broadcast(id)["health"], "recording_failing");
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(4) {
            assert_eq!(health(&self.server).0, "degraded", "the alarm comes and goes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again on what it left, on a sound disk.
    fn restart(self) -> Server {
        let Faulty { mut server, .. } = self;
        let data = server.data.clone();
        assert_eq!(server.terminate(), Some(0));
        drop(server);
        fsck(data.path());
        let server = Server::start_on(&data, SMALL);
        fsck(data.path());
        server
    }
}

fn discontinuities(playlist: &Playlist) -> usize {
    playlist.segments.iter().filter(|segment| segment.discontinuity).count()
}

fn listed_gaps(playlist: &Playlist) -> usize {
    playlist.segments.iter().filter(|segment| segment.gap).count()
}

/// What reels hold of media, rows name: nothing that reached the disk is left out.
fn all_is_indexed(data: &Path) {
    let database = rusqlite::Connection::open(data.join("siaran.db")).expect("a database");
    for entry in std::fs::read_dir(data.join("reels")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        let (mut at, mut media) = (0, 0);
        while let Some(head) = bytes.get(at..at + 8) {
            let size = u32::from_be_bytes(head[..4].try_into().expect("four")) as usize;
            media += if matches!(&head[4..], b"moof" | b"mdat") { size } else { 0 };
            at += size.max(8);
        }
        let reel = path.file_stem().expect("a name").to_str().expect("a plain name");
        let sql = "SELECT coalesce(sum(length), 0) FROM segments WHERE reel_id = ?1";
        let named: usize = database.query_row(sql, [reel], |row| row.get(0)).expect("a sum");
        assert_eq!(named, media, "bytes in {reel}");
    }
}

/// A fault of the reels in mid-broadcast, mended after some seconds.
fn reels_fail(calls: Calls, errno: i32) {
    let disk = Faulty::start();
    let server = &disk.server;
    let other = server.go_live("Deleted meanwhile");
    server.end(&other);
    let id = server.go_live("Failing disk");
    server.until_duration(&id, 5.0);
    let since = disk.fail(calls, errno, "/reels/");
    disk.check_alarm(&id, since);
    live_goes_on(server, &id);
    assert_eq!(server.sign_in(ADMIN, PASSWORD).status, 200);
    delete_for_good(server, &other);
    let during = Seen::take(server, &id);
    disk.mend();
    until_well(server);
    assert_eq!(server.broadcast(&id)["health"], "ok");
    let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, so_far + 4.0);
    let after = Seen::take(server, &id);
    assert_eq!(discontinuities(&after.playlist), 0, "live has no break");
    server.end(&id);
    let recording = during.still_holds(server);
    assert!(recording.ended && listed_gaps(&recording) > 0);
    after.still_holds(server);
    decode(server, &id);
    let log = server.log();
    if let Calls::Syncs = calls {
        assert!(log.contains("the reel is abandoned"), "the log says so");
    }
    assert!(log.contains("recording paused") && log.contains("recording goes on"));
    assert_eq!(log.matches("recording paused").count(), 1, "once");
    let ended = Seen::take(server, &id);
    fsck(server.data.path());

    let server = disk.restart();
    all_is_indexed(server.data.path());
    ended.still_holds(&server);
    after.still_holds(&server);
    decode(&server, &id);
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
}

#[test]
fn writes_that_fail_pause_the_recording() {
    reels_fail(Calls::Writes, EIO);
}

#[test]
fn writes_without_room_pause_the_recording() {
    reels_fail(Calls::Writes, ENOSPC);
}

#[test]
fn a_reel_whose_sync_fails_is_abandoned() {
    reels_fail(Calls::Syncs, EIO);
}

/// The program is killed while its recording is paused: what counts is how long ago it was on air, not how long ago it was
/// recorded, and viewers know numbers that no row tells of.
fn killed_while_paused(seconds: f64, resume_s: &str) {
    let disk = Faulty::start_with(&["--reel-s", "4", "--resume-s", resume_s]);
    let id = disk.server.go_live("Paused for long");
    disk.server.until_duration(&id, 5.0);
    disk.fail(Calls::Writes, EIO, "/reels/");
    std::thread::sleep(Duration::from_secs_f64(seconds));
    disk.server.until_duration(&id, 5.0 + seconds);
    let seen = Seen::take(&disk.server, &id);
    let Faulty { mut server, .. } = disk;
    let data = server.data.clone();
    server.kill();
    drop(server);
    let server = Server::start_on(&data, &[SMALL, &["--resume-s", resume_s]].concat());
    until_new_media(&server, &id, &seen);
    check_goes_on(&server, &seen);
    server.end(&id);
    seen.still_holds(&server);
    decode(&server, &id);
    fsck(data.path());
}

#[test]
fn a_broadcast_whose_recording_was_paused_for_long_goes_on_after_a_kill() {
    killed_while_paused(35.0, "20");
}

/// `make chaos`: for so long that viewers know more numbers than any reserve of them.
#[test]
#[ignore = "takes a minute"]
fn what_viewers_saw_while_the_recording_was_paused_keeps_its_numbers() {
    killed_while_paused(90.0, "300");
}

/// The index cannot be written, the bytes can: nothing is missing in the end.
fn database_fails(calls: Calls) {
    let disk = Faulty::start();
    let server = &disk.server;
    let id = server.go_live("Failing database");
    server.until_duration(&id, 5.0);
    let since = disk.fail(calls, EIO, "siaran.db");
    disk.check_alarm(&id, since);
    live_goes_on(server, &id);
    let (status, reply) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": "Changed"})));
    assert_eq!((status, &reply["code"]), (503, &json!("disk_error")), "{reply}");
    let during = Seen::take(server, &id);
    disk.mend();
    until_well(server);
    server.post("/stream-keys", json!({"label": "Works again"}));
    let after = Seen::take(server, &id);
    server.end(&id);
    let recording = during.still_holds(server);
    after.still_holds(server);
    assert_eq!((discontinuities(&recording), listed_gaps(&recording)), (0, 0), "nothing is missing");
    assert_eq!(server.broadcast(&id)["title"], "Failing database");
    decode(server, &id);
    let ended = Seen::take(server, &id);
    let server = disk.restart();
    ended.still_holds(&server);
    check_database(&server.data.path().join("siaran.db"));
}

#[test]
fn a_database_that_cannot_be_written_makes_the_index_wait() {
    database_fails(Calls::Writes);
}

#[test]
fn a_database_that_cannot_be_synced_makes_the_index_wait() {
    database_fails(Calls::Syncs);
}

#[test]
fn an_end_that_cannot_be_saved_says_so_and_is_saved_later() {
    let disk = Faulty::start();
    let server = &disk.server;
    let id = server.go_live("Ended on a failing disk");
    server.until_duration(&id, 5.0);
    disk.fail(Calls::Writes, EIO, "siaran.db");
    let begin = Instant::now();
    let (status, reply) = server.call("POST", &format!("/broadcasts/{id}/end"), None);
    assert_eq!((status, &reply["code"]), (503, &json!("not_saved_yet")), "{reply}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // For viewers it is over.
    let seen = Seen::take(server, &id);
    assert!(seen.playlist.ended);
    let broadcast = server.broadcast(&id);
    assert_eq!(broadcast["health"], "recording_failing", "{broadcast}");
    assert_eq!(health(server).0, "degraded");
    disk.mend();
    server.until_state(&id, "ended");
    until_well(server);
    assert_eq!(server.end(&id)["state"], "ended");
    let recording = seen.still_holds(server);
    assert_eq!((recording.duration(), listed_gaps(&recording)), (seen.playlist.duration(), 0));
    decode(server, &id);
    let server = disk.restart();
    seen.still_holds(&server);
}

/// A page of what no row names yet is lost with the power: a start takes in what lies in front of it and what lies behind it.
#[test]
fn what_lies_behind_damage_is_adopted() {
    let disk = Faulty::start_with(&[]);
    let id = disk.server.go_live("A hole in the middle");
    disk.server.until_duration(&id, 5.0);
    disk.fail(Calls::Writes, EIO, "siaran.db");
    disk.server.until_duration(&id, 17.0);
    let seen = Seen::take(&disk.server, &id);
    let Faulty { mut server, .. } = disk;
    let data = server.data.clone();
    server.kill();
    drop(server);
    let database = rusqlite::Connection::open(data.path().join("siaran.db")).expect("a database");
    let sql = "SELECT reel_id, max(offset + length) FROM segments WHERE broadcast_id = ?1";
    let facts = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?));
    let (reel, indexed) = database.query_row(sql, [&id], facts).expect("a row");
    drop(database);
    let path = data.path().join("reels").join(format!("{reel}.reel"));
    let mut bytes = std::fs::read(&path).expect("a reel");
    let page = (indexed as usize + bytes.len()) / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0);
    std::fs::write(&path, bytes).expect("room");

    let server = Server::start_on(&data, &[SMALL, &["--resume-s", "0"]].concat());
    assert!(server.log().contains("they stay where they are"));
    let recording = seen.still_holds(&server);
    assert!(recording.ended);
    let missing = seen.playlist.duration()
        - recording.segments.iter().filter(|one| !one.gap).map(|one| one.duration).sum::<f64>();
    println!("{missing} s of {} s are missing, {} gaps", seen.playlist.duration(), listed_gaps(&recording));
    // A page may lie in two segments, and what was on its way to the disk is lost too.
    assert!((0.1..6.0).contains(&missing) && listed_gaps(&recording) <= 2);
    assert!(recording.last_msn() >= seen.playlist.last_msn().map(|last| last - 1), "what lies behind it is there");
    decode(&server, &id);
    fsck(data.path());
}

/// The program ends before the disk comes back: the next start takes in what is in the reels, and does not put on air again
/// what somebody has ended.
fn ended_and_never_saved(stop: impl FnOnce(&mut Server)) {
    let disk = Faulty::start();
    let id = disk.server.go_live("Never saved");
    disk.server.until_duration(&id, 5.0);
    disk.fail(Calls::Writes, EIO, "siaran.db");
    let (status, reply) = disk.server.call("POST", &format!("/broadcasts/{id}/end"), None);
    assert_eq!((status, &reply["code"]), (503, &json!("not_saved_yet")), "{reply}");
    let seen = Seen::take(&disk.server, &id);
    let Faulty { mut server, .. } = disk;
    let data = server.data.clone();
    stop(&mut server);
    drop(server);
    let server = Server::start_on(&data, SMALL);
    assert_eq!(server.broadcast(&id)["state"], "ended");
    let recording = seen.still_holds(&server);
    assert!(recording.ended);
    assert_eq!((recording.duration(), listed_gaps(&recording)), (seen.playlist.duration(), 0));
    assert_eq!(std::fs::read_dir(data.path().join("over")).expect("a folder").count(), 0, "the row says it now");
    fsck(data.path());
}

#[test]
fn an_end_that_was_not_saved_outlives_a_stop() {
    ended_and_never_saved(|server| {
        let begin = Instant::now();
        server.terminate();
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    });
}

#[test]
fn an_end_that_was_not_saved_outlives_a_kill() {
    ended_and_never_saved(Server::kill);
}

/// A file that cannot be unlinked keeps neither the box from starting nor what else was deleted on the disk.
#[test]
fn what_cannot_be_unlinked_is_tried_again_and_holds_nothing_up() {
    let disk = Disk::new();
    let data = Arc::new(tempfile::tempdir_in(disk.mount_point()).expect("room"));
    add_account(data.path(), ADMIN, "admin");
    let flags = [SMALL, &["--min-free-bytes", "0"]].concat();
    let mut server = Server::start_on(&data, &flags);
    let record = || {
        let id = server.go_live("To be deleted");
        server.until_duration(&id, 2.0);
        server.end(&id);
        id
    };
    let reels = || -> BTreeSet<PathBuf> {
        std::fs::read_dir(data.path().join("reels"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let first = record();
    let stuck = reels();
    let second = record();
    assert_eq!((stuck.len(), reels().len()), (1, 2));
    let attribute = |change: &str| {
        assert!(Command::new("chattr").arg(change).args(&stuck).status().expect("chattr is installed").success());
    };
    attribute("+i");
    for id in [&first, &second] {
        assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    }
    assert_eq!(server.call("DELETE", "/trash", None), (200, json!({"deleted": 2})));
    assert_eq!(server.get("/broadcasts?trashed=true")["items"], json!([]));
    assert_eq!(reels(), stuck, "the other is gone");
    for id in [record(), record()] {
        assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    }
    server.kill();
    // They may go, and the disk is never large enough; but what cannot be unlinked makes no room.
    let database = rusqlite::Connection::open(data.path().join("siaran.db")).expect("a database");
    database.execute("UPDATE broadcasts SET aged_from = aged_from - 7200000", []).expect("it can be written");
    drop(database);
    let short = ["--min-free-bytes", "1000000000000000", "--trash-days", "3650"];
    let mut server = Server::start_on(&data, &[SMALL, &short].concat());
    assert!(server.log().contains("a deleted reel cannot be unlinked"));
    until("two attempts to make room", || {
        (server.log().matches("old recordings cannot be deleted").count() >= 2).then_some(())
    });
    assert_eq!(
        server.get("/broadcasts?trashed=true")["items"].as_array().map(Vec::len),
        Some(2),
        "nothing goes for nothing"
    );
    assert_eq!(reels().len(), 3);
    attribute("-i");
    until("room to be made", || reels().is_empty().then_some(()));
    server.kill();
    let server = Server::start_on(&data, &flags);
    fsck(server.data.path());
}

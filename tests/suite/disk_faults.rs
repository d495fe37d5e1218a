//! A disk that refuses writes or syncs in mid-broadcast, by a library that is preloaded into the real program
//! (`disk_faults.c`): live goes on, everybody is told, the recording goes on by itself.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::playlist_rules::Playlist;
use crate::power::{Seen, fsck};
use crate::restart::decode;
use crate::room::{check_database, health, live_goes_on, studio_status, until_alarm, until_well};
use crate::server::{ADMIN, SMALL, Server, add_account, new_data, serve_command, until};
use crate::tools;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// What the disk refuses.
#[derive(Debug, Clone, Copy)]
enum Calls {
    Writes,
    Syncs,
}

/// A server whose disk can be told to fail.
struct Faulty {
    server: Server,
    home: TempDir,
}

impl Faulty {
    fn start() -> Faulty {
        let data = new_data();
        add_account(data.path(), ADMIN, "admin");
        Faulty::start_on(&data)
    }

    fn start_on(data: &Arc<TempDir>) -> Faulty {
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(home.path().join("faults.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/disk_faults.c");
        assert!(cc.arg(source).status().expect("cc is installed").success());
        let mut command = serve_command(data.path(), &[SMALL, &["--reel-s", "4"]].concat());
        command.env("LD_PRELOAD", home.path().join("faults.so")).env("DISK_FAULT", home.path().join("fault"));
        let mut server = Server::start_by(data, command);
        server.admin = server.client(ADMIN);
        Faulty { server, home }
    }

    fn control(&self) -> PathBuf {
        self.home.path().join("fault")
    }

    /// From now on these calls fail on files with `word` in their path. Gives the moment of the first that did.
    fn fail(&self, calls: Calls, errno: i32, word: &str) -> Instant {
        let letter = match calls {
            Calls::Writes => 'w',
            Calls::Syncs => 's',
        };
        let new = tools::write(self.home.path(), "new", format!("{letter} {errno} {word}").as_bytes());
        let hit = self.home.path().join("fault.hit");
        let _ = std::fs::remove_file(&hit);
        std::fs::rename(new, self.control()).expect("it can be renamed");
        until("the disk to refuse something", || hit.exists().then(Instant::now))
    }

    fn mend(&self) {
        std::fs::remove_file(self.control()).expect("it is there");
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

/// A fault of the reels in mid-broadcast, mended after some seconds.
fn reels_fail(calls: Calls, errno: i32) {
    let disk = Faulty::start();
    let server = &disk.server;
    let id = server.go_live("Failing disk");
    server.until_duration(&id, 5.0);
    let since = disk.fail(calls, errno, "/reels/");
    disk.check_alarm(&id, since);
    live_goes_on(server, &id);
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

    // The program ends before the disk comes back: the next start takes in what is in the reels.
    let data = server.data.clone();
    drop(server);
    let disk = Faulty::start_on(&data);
    let id = disk.server.go_live("Never saved");
    disk.server.until_duration(&id, 5.0);
    disk.fail(Calls::Writes, EIO, "siaran.db");
    assert_eq!(disk.server.call("POST", &format!("/broadcasts/{id}/end"), None).0, 503);
    let seen = Seen::take(&disk.server, &id);
    let Faulty { mut server, .. } = disk;
    let begin = Instant::now();
    server.terminate();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    drop(server);
    let server = Server::start_on(&data, &[SMALL, &["--resume-s", "0"]].concat());
    let recording = seen.still_holds(&server);
    assert_eq!((recording.duration(), listed_gaps(&recording)), (seen.playlist.duration(), 0));
    fsck(data.path());
}

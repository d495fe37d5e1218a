//! Wrong clocks, by libfaketime: nothing is lost and nobody locked out, and what goes by age waits for a clock to trust.

use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::client::{By, Client};
use crate::playlist_rules::Playlist;
use crate::server::{self, ADMIN, SMALL, Server, add_account, new_data, preload, serve_command, until};

/// A wall clock that a file sets; the monotonic clock is left as it is.
pub struct WallClock(TempDir);

/// A server by such a clock.
pub struct Clocked {
    pub server: Server,
    clock: WallClock,
}

/// What the file says for a clock that is right.
pub const RIGHT: &str = "+0";
pub const HOURS_2: &str = "+7200";
pub const HOUR_BACK: &str = "-3600";
/// The years of libfaketime have 365 days.
const YEARS_56: &str = "+56y";
pub const AT_1970: &str = "@1970-01-01 00:10:00";

impl WallClock {
    pub fn new(clock: &str) -> WallClock {
        let setting = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(setting.path().join("clock"), clock).expect("room");
        WallClock(setting)
    }

    /// Has `command` and its children go by it.
    pub fn govern(&self, command: &mut Command) {
        let library = std::fs::read_dir("/usr/lib")
            .expect("/usr/lib")
            .map(|folder| folder.expect("readable").path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists())
            .expect("the package faketime is installed");
        preload(command, &library);
        command
            .env("FAKETIME_TIMESTAMP_FILE", self.0.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }

    /// Sets it, for those that run too.
    pub fn set(&self, clock: &str) {
        // In one step, so that no empty file is read.
        let new = self.0.path().join("new");
        std::fs::write(&new, clock).expect("room");
        std::fs::rename(new, self.0.path().join("clock")).expect("the same folder");
    }
}

impl Clocked {
    pub fn start(data: &Arc<TempDir>, clock: &str, flags: &[&str]) -> Clocked {
        Clocked::start_by(data, clock, serve_command(data.path(), flags))
    }

    pub fn start_by(data: &Arc<TempDir>, clock: &str, mut command: Command) -> Clocked {
        let clock = WallClock::new(clock);
        clock.govern(&mut command);
        Clocked { server: Server::start_by(data, command), clock }
    }

    /// Sets the clock while the server runs.
    pub fn set(&self, clock: &str) {
        self.clock.set(clock);
    }
}

/// A server with an admin.
fn clocked(clock: &str) -> Clocked {
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let mut clocked = Clocked::start(&data, clock, &[SMALL, &["--trash-days", "1"]].concat());
    clocked.server.admin = clocked.server.client(ADMIN);
    clocked
}

fn playlist(server: &Server, id: &str) -> Playlist {
    let playlist = server::playlist(server, id);
    let dates: Vec<f64> = playlist.segments.iter().filter_map(|segment| segment.date).collect();
    assert!(!dates.is_empty() && dates.is_sorted(), "program date time goes back: {dates:?}");
    playlist
}

/// A recording of a moment.
fn record(server: &Server, title: &str) -> String {
    let id = server.go_live(title);
    server.until_duration(&id, 1.0);
    server.end(&id);
    id
}

/// Has the rule followed now, and waits until it was.
fn follow_rule(server: &Server) {
    server.call("PUT", "/retention", Some(json!({"rule": "days", "days": 1})));
    std::thread::sleep(std::time::Duration::from_secs(3));
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().expect("a list").iter().map(|item| item["id"].as_str().expect("an id").into()).collect()
}

fn works(server: &Server, old_session: &Client) {
    assert_eq!(old_session.get("/api/v1/storage").status, 200, "who was signed in still is");
    assert_eq!(server.client(ADMIN).get("/api/v1/storage").status, 200, "and who signs in now is too");
    assert_eq!(server.stranger().get("/healthz").status, 200);
}

/// What is kept through `wrong` clocks, one after the other, in the midst of a broadcast that began at `start`.
fn goes_through(start: &str, wrong: &[&str]) {
    let clocked = clocked(start);
    let server = &clocked.server;
    let session = server.admin.clone();
    let (kept, thrown) = (record(server, "Kept"), record(server, "Thrown away"));
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{thrown}"), None).0, 204);
    let id = server.go_live("Through the hours");
    server.until_duration(&id, 3.0);
    let mut before = playlist(server, &id);
    for clock in wrong {
        clocked.set(clock);
        let far = before.duration() + 3.0;
        server.until_duration(&id, far);
        let now = playlist(server, &id);
        assert_eq!(now.first_msn, before.first_msn);
        for (old, new) in before.segments.iter().zip(&now.segments).filter(|(old, _)| old.uri.is_some()) {
            assert_eq!((&old.uri, old.date), (&new.uri, new.date), "what was listed stays at {clock}");
        }
        before = now;
        works(server, &session);
        follow_rule(server);
        assert!(ids(&server.get("/broadcasts")).contains(&kept), "purged at {clock}");
        assert!(ids(&server.get("/broadcasts?trashed=true")).contains(&thrown), "purged from the trash at {clock}");
    }
    server.end(&id);
    let recording = playlist(server, &id);
    assert!(recording.ended && recording.duration() > 3.0 * wrong.len() as f64);
}

#[test]
fn a_clock_at_1970_that_is_set_in_mid_broadcast() {
    goes_through(AT_1970, &[AT_1970, RIGHT]);
}

#[test]
fn a_clock_56_years_ahead_and_back() {
    goes_through(RIGHT, &[YEARS_56, RIGHT]);
    goes_through(YEARS_56, &[YEARS_56, RIGHT]);
}

#[test]
fn a_clock_an_hour_back_and_an_hour_ahead() {
    goes_through(RIGHT, &[HOUR_BACK, "+3600", RIGHT]);
}

/// What a box without a clock recorded before its time server answered gets its true times, the playlist's dates too.
#[test]
fn times_are_put_right_when_the_clock_is() {
    let clocked = clocked(AT_1970);
    let server = &clocked.server;
    let before = record(server, "Before the clock was set");
    assert!(server.broadcast(&before)["started_at"].as_str().expect("a time").starts_with("1970-01-01T00:1"));
    let through = server.go_live("While it was set");
    server.until_duration(&through, 2.0);
    clocked.set(RIGHT);
    until("the times to be right", || {
        (!server.broadcast(&before)["started_at"].as_str()?.starts_with("1970")).then_some(())
    });
    // What players follow keeps its dates; afterwards they are right.
    assert!(playlist(server, &through).segments[0].date.expect("a date") < 1e6);
    server.end(&through);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    for id in [before, through] {
        let told = server.broadcast(&id);
        let begun = playlist(server, &id).segments[0].date.expect("a date");
        assert!(now - begun < 120.0 && begun < now, "{told}");
        let time = |name: &str| told[name].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339");
        let lasted = (time("ended_at").as_millisecond() - time("started_at").as_millisecond()) as f64 / 1000.0;
        let media = told["duration_s"].as_f64().expect("a number");
        assert!((-0.5..5.0).contains(&(lasted - media)), "{told}");
    }
}

#[test]
fn what_is_old_goes_when_the_clock_can_be_trusted() {
    let clocked = clocked(RIGHT);
    let server = &clocked.server;
    let (old, pinned, thrown) = (record(server, "Old"), record(server, "Pinned"), record(server, "Thrown away"));
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{thrown}"), None).0, 204);
    let (status, body) = server.call("PATCH", &format!("/broadcasts/{pinned}"), Some(json!({"pinned": true})));
    assert_eq!((status, &body["pinned"]), (200, &json!(true)));
    // Set by somebody: from here on it is trusted, and what is there is taken to be new.
    clocked.set("+60");
    until("the clock to be trusted", || (server.get("/storage")["clock_trusted"] == true).then_some(()));
    follow_rule(server);
    assert_eq!(ids(&server.get("/broadcasts")), [pinned.clone(), old.clone()]);
    clocked.set("+172900");
    server.call("PUT", "/retention", Some(json!({"rule": "days", "days": 1})));
    until("the old to be gone", || (ids(&server.get("/broadcasts")) == [pinned.clone()]).then_some(()));
    assert_eq!(ids(&server.get("/broadcasts?trashed=true")), Vec::<String>::new());
    assert_eq!(server.stranger().get(&format!("/media/{old}/main.m3u8")).status, 404);
    let page = server.admin.get_with("/admin", &[("accept-language", "en")]).text();
    assert!(page.contains("Deleted by itself: older than the rule keeps"), "{page}");
    assert!(page.contains("Deleted by itself: its time in the trash was over"), "{page}");
}

/// Puts a session's last use back, by both clocks: twelve hours end it.
fn not_used_for_13_hours(data: &TempDir, session: &Client) {
    let By::Bearer(token) = &session.by else { panic!("it has a token") };
    let database = rusqlite::Connection::open(data.path().join("siaran.db")).expect("a database");
    let sql = "UPDATE sessions SET seen_ms = seen_ms - 46800000, last_seen_at = last_seen_at - 46800000 WHERE token_hash = ?1";
    assert_eq!(database.execute(sql, [&Sha256::digest(token)[..]]).expect("it can be written"), 1);
}

#[test]
fn sessions_over_restarts_with_a_wrong_clock() {
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let start = |clock| Clocked::start(&data, clock, SMALL);
    let mut first = start(RIGHT);
    let session = first.server.client(ADMIN);
    let idle = first.server.client(ADMIN);
    assert_eq!(first.server.terminate(), Some(0));
    not_used_for_13_hours(&data, &idle);
    // The boot is the same, so the monotonic clock counts: neither signed out nor given more.
    for clock in [YEARS_56, AT_1970, RIGHT] {
        let mut next = start(clock);
        let again = Client::new(&next.server.http).by(session.by.clone());
        assert_eq!(again.get("/api/v1/sources").status, 200, "at {clock}");
        let over = Client::new(&next.server.http).by(idle.by.clone());
        assert_eq!(over.get("/api/v1/sources").status, 401, "no clock lengthens a session, at {clock}");
        works(&next.server, &next.server.client(ADMIN));
        assert_eq!(next.server.terminate(), Some(0));
    }
}

//! The program killed in mid-broadcast and started again: on air again by itself, on the same address, in the same recording.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::clocks::{HOUR_BACK, RIGHT, WallClock};
use crate::power::{Seen, end, fsck};
use crate::rtmp::{Publisher, new_key, until_on_air};
use crate::server::{ADMIN, SMALL, Server, decode, playlist, serve_command, until};
use crate::tools;

/// The flags of a server that comes back where it was.
pub fn same_ports(server: &Server) -> Vec<String> {
    let address = |url: &str| {
        let rest = url.split_once("://").expect("a URL").1;
        rest.trim_end_matches("/live").to_owned()
    };
    let flags = SMALL.iter().map(|flag| String::from(*flag));
    flags.chain(["--http".into(), address(&server.http), "--rtmp".into(), address(&server.rtmp)]).collect()
}

/// Kills it, and `gone_too` with it; what it gives starts it again where it was.
pub fn kill<T>(mut server: Server, gone_too: T) -> impl FnOnce() -> Server {
    let (flags, data) = (same_ports(&server), server.data.clone());
    server.kill();
    drop((server, gone_too));
    move || Server::start_on(&data, &flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Kills it and starts it again; how long it took until new media was listed behind a break.
fn restart(server: Server, id: &str, seen: &Seen) -> (Server, Duration) {
    let start_again = kill(server, ());
    let begin = Instant::now();
    let server = start_again();
    until_new_media(&server, id, seen);
    let lasted = begin.elapsed();
    println!("on air again after {lasted:?}");
    (server, lasted)
}

pub fn until_new_media(server: &Server, id: &str, seen: &Seen) {
    until("new media", || {
        let reply = server.stranger().get(&format!("/media/{id}/av/index.m3u8"));
        if reply.status == 503 {
            return None;
        }
        let now = playlist(server, id);
        assert!(!now.ended, "viewers are not told that it is over");
        (end(&now) > end(&seen.playlist) && now.last_msn() > seen.playlist.last_msn()).then_some(())
    });
}

/// What players had been told of is listed no more, or as it was; new media has new numbers and later times.
pub fn check_goes_on(server: &Server, seen: &Seen) {
    let now = seen.still_holds(server);
    let told: Vec<u64> = seen.playlist.segments.iter().map(|segment| segment.msn).collect();
    let fresh = now.segments.iter().find(|segment| segment.discontinuity && !told.contains(&segment.msn));
    let fresh = fresh.expect("media behind a discontinuity");
    assert!(fresh.date.expect("a time") >= end(&seen.playlist) - 0.001, "time goes back");
}

#[test]
fn a_killed_program_goes_on_with_its_broadcast() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Killed");
    server.until_duration(&id, 5.0);
    let mut shortest = Duration::MAX;
    for round in 1..=2 {
        let seen = Seen::take(&server, &id);
        let (again, lasted) = restart(server, &id, &seen);
        server = again;
        shortest = shortest.min(lasted);
        assert_eq!(server.broadcast(&id)["state"], "live");
        check_goes_on(&server, &seen);
        server.until_duration(&id, f64::from(round) * 3.0 + 5.0);
    }
    // Of two, since this machine may have been busy with others.
    assert!(shortest < Duration::from_secs(3), "{shortest:?}");
    server.end(&id);
    let recording = playlist(&server, &id);
    assert!(recording.ended);
    let breaks = recording.segments.iter().filter(|segment| segment.discontinuity).count();
    assert_eq!(breaks, 2);
    decode(&server, &id);
    let file = tools::write(server.data.path(), "d.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
    assert!(tools::duration(tools::as_text(&file)) >= recording.duration() - 0.1);
    fsck(server.data.path());
}

/// Flags of a server whose disk is never large enough to record.
const NO_ROOM: &[&str] = &["--min-free-bytes", "1000000000000000"];

/// EXT-X-DISCONTINUITY-SEQUENCE of a playlist.
fn discontinuity_sequence(server: &Server, id: &str) -> u64 {
    let text = String::from_utf8(server.fetch(&format!("/media/{id}/av/index.m3u8"))).expect("UTF-8");
    let line = text.lines().find_map(|line| line.strip_prefix("#EXT-X-DISCONTINUITY-SEQUENCE:"));
    line.map_or(0, |number| number.parse().expect("a number"))
}

/// Nothing of it is on the disk but that it is on air. What players were told is over, and its numbers are not given out again.
#[test]
fn a_broadcast_that_is_not_recorded_goes_on_too() {
    let mut server = Server::start(&[SMALL, NO_ROOM].concat());
    let wanted = json!({"title": "Not recorded", "source": "test", "record": "if_room"});
    let made = server.post("/broadcasts", wanted);
    let id = made["id"].as_str().expect("an id").to_owned();
    server.until_duration(&id, 5.0);
    let mut shortest = Duration::MAX;
    for round in 1..=2 {
        let seen = Seen::take(&server, &id);
        let (again, lasted) = restart(server, &id, &seen);
        server = again;
        shortest = shortest.min(lasted);
        check_goes_on(&server, &seen);
        let told = server.broadcast(&id);
        assert_eq!((&told["state"], &told["recorded"]), (&json!("live"), &json!(false)));
        assert_eq!(told["started_at"], made["started_at"], "the same broadcast");
        let now = playlist(&server, &id);
        assert!(now.first_msn > seen.playlist.last_msn().expect("a segment"), "what is not in memory is not listed");
        assert_eq!(discontinuity_sequence(&server, &id), round - 1, "breaks are counted on");
    }
    // Of two, since this machine may have been busy with others.
    assert!(shortest < Duration::from_secs(3), "{shortest:?}");
    server.end(&id);
    let server = kill(server, ())();
    assert_eq!(server.broadcast(&id)["state"], "ended", "what was ended stays so");
}

#[test]
fn a_publisher_comes_back_to_a_broadcast_that_is_not_recorded() {
    let server = Server::start(&[SMALL, NO_ROOM].concat());
    let (_, key) = new_key(&server, json!({"label": "Phone"}));
    let publisher = Publisher::start(&server, &key);
    let id = until_on_air(&server);
    server.until_duration(&id, 5.0);
    assert_eq!(server.broadcast(&id)["recorded"], false);
    let seen = Seen::take(&server, &id);
    let server = kill(server, publisher)();
    // The slate, until the publisher is back.
    until_new_media(&server, &id, &seen);
    check_goes_on(&server, &seen);
    let slate = Seen::take(&server, &id);
    let _publisher = Publisher::start(&server, &key);
    until("the publisher's picture", || (server.broadcast(&id)["health"] == "ok").then_some(()));
    until_new_media(&server, &id, &slate);
    slate.still_holds(&server);
    let live = server.get("/broadcasts?state=live");
    assert_eq!(live["items"].as_array().map(Vec::len), Some(1), "one broadcast, not two: {live}");
    server.end(&id);
}

#[test]
fn a_publisher_comes_back_to_the_broadcast_of_a_killed_program() {
    let server = Server::start(SMALL);
    let key = server.post("/stream-keys", serde_json::json!({"label": "Phone"}));
    let publisher = Publisher::start(&server, key["key"].as_str().expect("a key"));
    let id =
        until("a broadcast", || server.get("/broadcasts?state=live")["items"][0]["id"].as_str().map(str::to_owned));
    server.until_duration(&id, 4.0);
    let seen = Seen::take(&server, &id);
    let key = key["key"].as_str().expect("a key").to_owned();
    let server = kill(server, publisher)();
    assert_eq!(server.broadcast(&id)["state"], "live", "it waits for its publisher");
    let _publisher = Publisher::start(&server, &key);
    until("the publisher's picture", || {
        let now = playlist(&server, &id);
        (end(&now) > end(&seen.playlist) + 1.0).then_some(())
    });
    let live = server.get("/broadcasts?state=live");
    assert_eq!(live["items"].as_array().map(Vec::len), Some(1), "one broadcast, not two: {live}");
    server.end(&id);
    seen.still_holds(&server);
    decode(&server, &id);
    fsck(server.data.path());
}

#[test]
fn one_that_is_too_old_is_closed() {
    let flags = [SMALL, &["--resume-s", "6"]].concat();
    let mut server = Server::start(&flags);
    let id = server.go_live("Interrupted");
    server.until_duration(&id, 3.0);
    let young = Seen::take(&server, &id);
    server.kill();
    let mut server = Server::start_on(&server.data, &flags);
    assert_eq!(server.broadcast(&id)["state"], "live", "a moment is not too long");
    until_new_media(&server, &id, &young);
    let seen = Seen::take(&server, &id);
    server.kill();
    let strange = leave_strange_things(server.data.path());
    std::thread::sleep(Duration::from_secs(7));
    let server = Server::start_on(&server.data, &flags);
    assert_eq!(server.broadcast(&id)["state"], "ended");
    young.still_holds(&server);
    let now = seen.still_holds(&server);
    assert!(now.ended && end(&seen.playlist) - end(&now) < 1.5, "a kill loses what was not written, nothing more");
    assert_eq!(set_aside(server.data.path()), strange, "every byte that is not understood is kept");
    decode(&server, &id);
    fsck(server.data.path());
}

/// Puts what is not siaran's among the reels: behind the end of one that is open, and as files. Gives all of it, sorted.
fn leave_strange_things(data: &Path) -> Vec<Vec<u8>> {
    let reels = data.join("reels");
    let paths = std::fs::read_dir(&reels).expect("a folder").map(|entry| entry.expect("an entry").path());
    let open = paths.max_by_key(|path| path.metadata().and_then(|found| found.modified()).expect("a time"));
    let foreign = [&1000_u32.to_be_bytes()[..], b"wxyz", &[0xa5; 992]].concat();
    let mut end = std::fs::OpenOptions::new().append(true).open(open.expect("a reel")).expect("it can be written");
    end.write_all(&foreign).expect("room");
    std::fs::write(reels.join("foreign.reel"), b"somebody's own notes").expect("room");
    std::fs::write(reels.join("x.reel"), b"").expect("room");
    vec![Vec::new(), b"somebody's own notes".to_vec(), foreign]
}

/// The contents of all files in the folder for what is not understood, shortest first.
fn set_aside(data: &Path) -> Vec<Vec<u8>> {
    let files =
        std::fs::read_dir(data.join("set-aside")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<Vec<u8>> = files.map(|path| std::fs::read(path).expect("a file")).collect();
    found.sort_by_key(Vec::len);
    found
}

/// A start that takes itself for one after another boot of the machine: the monotonic clock means nothing, the wall clock says how
/// long it was dark. `clock` is libfaketime's.
fn after_a_boot(server: Server, boot: &str, clock: &str) -> (Server, WallClock) {
    let (flags, data) = (same_ports(&server), server.data.clone());
    drop(server);
    let id = tools::write(data.path(), "boot_id", boot.as_bytes());
    let serve = serve_command(data.path(), &flags.iter().map(String::as_str).collect::<Vec<_>>());
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(id);
    command.arg(serve.get_program()).args(serve.get_args());
    let clock = WallClock::new(clock);
    clock.govern(&mut command);
    let mut server = Server::start_by(&data, command);
    server.admin = server.client(ADMIN);
    (server, clock)
}

#[test]
fn another_boot_goes_on_by_the_wall_clock_or_not_at_all() {
    let server = Server::start(SMALL);
    let id = server.go_live("Over a reboot");
    server.until_duration(&id, 4.0);
    let first = Seen::take(&server, &id);
    let (server, _clock) = after_a_boot(server, "11111111-2222-3333-4444-555555555555\n", RIGHT);
    until_new_media(&server, &id, &first);
    assert_eq!(server.broadcast(&id)["state"], "live");
    check_goes_on(&server, &first);
    server.until_duration(&id, 8.0);
    let second = Seen::take(&server, &id);
    // Without a battery for the clock, it may be anything: the recording is closed, whole.
    let (server, _clock) = after_a_boot(server, "66666666-7777-8888-9999-000000000000\n", HOUR_BACK);
    assert_eq!(server.broadcast(&id)["state"], "ended");
    first.still_holds(&server);
    let recording = second.still_holds(&server);
    assert!(recording.ended && end(&second.playlist) - end(&recording) < 0.5);
    decode(&server, &id);
    fsck(server.data.path());
}

/// The database is gone: everything that was recorded comes back from the files alone, for staff.
#[test]
fn an_index_is_made_again_from_the_reels() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Kept in the reels");
    server.until_duration(&id, 5.0);
    server.end(&id);
    let before = server.broadcast(&id);
    let seen = Seen::take(&server, &id);
    assert_eq!(server.terminate(), Some(0));
    let data = server.data.clone();
    drop(server);
    std::fs::write(data.path().join("siaran.db"), "not a database").expect("room");
    for beside in ["siaran.db-wal", "siaran.db-shm"] {
        let _ = std::fs::remove_file(data.path().join(beside));
    }
    let mut command = std::process::Command::new(crate::server::BINARY);
    let output = crate::server::run_to_end(command.args(["fsck", "--rebuild", "--data"]).arg(data.path()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    crate::server::add_account(data.path(), crate::server::ADMIN, "admin");
    let server = Server::start_on(&data, SMALL);
    let after = server.broadcast(&id);
    for fact in ["title", "state", "duration_s", "size", "started_at"] {
        assert!(after[fact] == before[fact] || fact == "started_at", "{fact}: {} {}", after[fact], before[fact]);
    }
    assert_eq!(after["audience"], "staff");
    let (status, _) =
        server.call("PATCH", &format!("/broadcasts/{id}"), Some(serde_json::json!({"audience": "public"})));
    assert_eq!(status, 200);
    seen.still_holds(&server);
    tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
}

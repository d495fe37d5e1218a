//! Workers that die or hang in the middle of a broadcast: the viewers go on after a discontinuity, at the same address, in
//! the same recording.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::playlist_rules::Playlist;
use crate::server::{SMALL, Server, until};
use crate::tools;

fn playlist(server: &Server, id: &str) -> Playlist {
    let text = server.fetch(&format!("/media/{id}/av/index.m3u8"));
    let playlist = Playlist::read(&String::from_utf8(text).expect("UTF-8"));
    playlist.check();
    playlist
}

/// The worker that encodes: the one with the most threads.
fn encoder(server: &Server) -> Pid {
    *server.workers().last().expect("a worker")
}

fn discontinuities(playlist: &Playlist) -> usize {
    playlist.segments.iter().filter(|segment| segment.discontinuity).count()
}

/// Breaks the worker with `signal` until the playlist has a new discontinuity with media behind it.
fn break_worker(server: &Server, id: &str, signal: Signal) {
    let before = playlist(server, id);
    let worker = encoder(server);
    kill_process(worker, signal).expect("it runs");
    let after = until("media behind a discontinuity", || {
        let now = playlist(server, id);
        let last = now.segments.iter().rposition(|segment| segment.discontinuity)?;
        let more = now.segments[last..].iter().map(|segment| segment.duration).sum::<f64>() > 3.0;
        (discontinuities(&now) > discontinuities(&before) && more).then_some(now)
    });
    assert_eq!(discontinuities(&after), discontinuities(&before) + 1, "one fault, one break");
    assert_eq!(after.first_msn, 0);
    for old in before.segments.iter().filter(|segment| segment.uri.is_some()) {
        let new = after.segments.iter().find(|new| new.msn == old.msn).expect("what was listed stays");
        assert_eq!((&new.uri, new.duration, new.date), (&old.uri, old.duration, old.date));
    }
    until("the broken worker to be gone", || test_kill_process(worker).is_err().then_some(()));
    assert_ne!(encoder(server), worker);
    assert_eq!(server.broadcast(id)["state"], "live");
}

/// Times go forward, without a hole where there is no break; decodes as HLS and as one file.
fn check_recording(server: &Server, id: &str, breaks: usize) {
    let recording = playlist(server, id);
    assert!(recording.ended);
    assert_eq!(discontinuities(&recording), breaks);
    for (number, pair) in recording.segments.windows(2).enumerate() {
        assert_eq!(pair[1].msn, pair[0].msn + 1);
        let end = pair[0].date.expect("a time") + pair[0].duration;
        let next = pair[1].date.expect("a time");
        assert!(next >= end - 0.002, "segment {} goes back from {end} to {next}", number + 1);
        assert!(pair[1].discontinuity || next <= end + 0.012, "a hole of {} s without a break", next - end);
    }
    let told = server.broadcast(id);
    assert_eq!(told["gaps"].as_array().map(Vec::len), Some(breaks), "{told}");
    for gap in told["gaps"].as_array().expect("a list") {
        assert!(gap["lasted_s"].as_f64().expect("a number") >= 0.0 && gap["at_s"].as_f64().expect("a number") > 0.0);
    }

    tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
    let bytes = server.fetch(&format!("/media/{id}/download.mp4"));
    let file = tools::write(server.data.path(), "download.mp4", &bytes);
    tools::decode(tools::as_text(&file));
    let duration = tools::duration(tools::as_text(&file));
    assert!(duration >= recording.duration() - 0.1, "{duration} s in the file, {} listed", recording.duration());
}

#[test]
fn a_killed_worker_costs_a_moment() {
    let server = Server::start(SMALL);
    let id = server.go_live("Killed twice");
    server.until_duration(&id, 3.0);
    break_worker(&server, &id, Signal::KILL);
    break_worker(&server, &id, Signal::ABORT);
    server.end(&id);
    check_recording(&server, &id, 2);
}

#[test]
fn a_hanging_worker_is_replaced() {
    let server = Server::start(SMALL);
    let id = server.go_live("Stopped");
    server.until_duration(&id, 3.0);
    break_worker(&server, &id, Signal::STOP);
    server.end(&id);
    check_recording(&server, &id, 1);
}

#[test]
fn a_broadcast_can_be_ended_while_its_worker_hangs() {
    let server = Server::start(SMALL);
    let id = server.go_live("Stopped at the end");
    server.until_duration(&id, 3.0);
    kill_process(encoder(&server), Signal::STOP).expect("it runs");
    let ended = server.end(&id);
    assert_eq!(ended["state"], "ended");
    check_recording(&server, &id, 0);
    // The source is usable again.
    let next = server.go_live("After it");
    server.until_duration(&next, 1.0);
    server.end(&next);
}

#[test]
fn a_server_with_a_hanging_worker_still_stops() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Stopped, then terminated");
    server.until_duration(&id, 3.0);
    kill_process(encoder(&server), Signal::STOP).expect("it runs");
    let begin = std::time::Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    let server = Server::start_on(&server.data, SMALL);
    check_recording(&server, &id, 0);
}

//! Workers that die or hang in the middle of a broadcast: the viewers go on after a discontinuity, at the same address, in
//! the same recording.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::playlist_rules::Playlist;
use crate::rtmp::{self, AAC, Publisher, new_key, until_on_air};
use crate::server::{ADMIN, SMALL, Server, add_account, new_data, playlist, serve_command, until};
use crate::tools;

/// The worker that encodes: the one with the most threads.
fn encoder(server: &Server) -> Pid {
    *server.workers().last().expect("a worker")
}

fn discontinuities(playlist: &Playlist) -> usize {
    playlist.segments.iter().filter(|segment| segment.discontinuity).count()
}

/// Breaks the worker with `signal` until the playlist has a new discontinuity with media behind it.
fn break_worker(server: &Server, id: &str, signal: Signal) {
    break_worker_by(server, id, 1, |worker| kill_process(worker, signal).expect("it runs"));
}

/// Breaks the worker by `fault`, which costs at most so many breaks.
fn break_worker_by<T>(server: &Server, id: &str, breaks: usize, fault: impl FnOnce(Pid) -> T) {
    let before = playlist(server, id);
    let worker = encoder(server);
    let _fault = fault(worker);
    let after = until("media behind a discontinuity", || {
        let now = playlist(server, id);
        let last = now.segments.iter().rposition(|segment| segment.discontinuity)?;
        let more = now.segments[last..].iter().map(|segment| segment.duration).sum::<f64>() > 3.0;
        (discontinuities(&now) > discontinuities(&before) && more).then_some(now)
    });
    let (first, last) = (discontinuities(&before) + 1, discontinuities(&before) + breaks);
    assert!((first..=last).contains(&discontinuities(&after)), "one fault, at most {breaks} breaks");
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

/// A gap of 2 s is promised; of two, one may be longer, since this machine may have been busy with others.
fn check_gaps(server: &Server, id: &str) {
    // One is told of when the segment behind it is written.
    let gaps = until("both gaps to be told", || {
        let told = server.broadcast(id);
        let gaps = told["gaps"].as_array().expect("a list").iter();
        let gaps: Vec<f64> = gaps.map(|gap| gap["lasted_s"].as_f64().expect("a number")).collect();
        (gaps.len() == 2).then_some(gaps)
    });
    println!("gaps of {gaps:?} s");
    assert!(gaps.iter().any(|gap| *gap <= 2.0), "{gaps:?}");
}

#[test]
fn a_killed_worker_costs_a_moment() {
    let server = Server::start(SMALL);
    let id = server.go_live("Killed twice");
    server.until_duration(&id, 3.0);
    break_worker(&server, &id, Signal::KILL);
    break_worker(&server, &id, Signal::ABORT);
    check_gaps(&server, &id);
    server.end(&id);
    check_recording(&server, &id, 2);
}

#[test]
fn a_hanging_worker_is_replaced() {
    let server = Server::start(SMALL);
    let id = server.go_live("Stopped twice");
    server.until_duration(&id, 3.0);
    break_worker(&server, &id, Signal::STOP);
    break_worker(&server, &id, Signal::STOP);
    check_gaps(&server, &id);
    server.end(&id);
    check_recording(&server, &id, 2);
}

/// Ids of a process's threads of this name, oldest first. Linux knows 15 letters of it.
fn threads(process: Pid, name: &str) -> Vec<i32> {
    let tasks = format!("/proc/{}/task", process.as_raw_pid());
    let ids = std::fs::read_dir(&tasks).expect("it runs").map(|task| task.expect("a task").file_name());
    let ids = ids.map(|id| id.to_string_lossy().parse::<i32>().expect("a number"));
    let named =
        |id: &i32| std::fs::read_to_string(format!("{tasks}/{id}/comm")).is_ok_and(|found| found.trim() == name);
    let mut found: Vec<i32> = ids.filter(named).collect();
    found.sort_unstable();
    found
}

/// One thread stands still, as in a debugger (`stop_thread.c`), until its process is killed; the others run on.
struct StoppedThread(Child);

impl StoppedThread {
    fn new(thread: i32) -> StoppedThread {
        let home = tempfile::tempdir().expect("a temporary directory");
        let program = home.path().join("stop_thread");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/stop_thread.c");
        let made = Command::new("cc").args(["-O1", "-Wall", "-Werror", source, "-o"]).arg(&program).status();
        assert!(made.expect("cc is installed").success());
        let mut child =
            Command::new(program).arg(thread.to_string()).stdout(Stdio::piped()).spawn().expect("it is there");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut said).expect("it speaks");
        assert_eq!(said, "stopped\n");
        StoppedThread(child)
    }
}

impl Drop for StoppedThread {
    fn drop(&mut self) {
        // It may have ended, with the thread.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An element hands nothing on, while its process answers and says five times a second that it is there.
#[test]
fn a_stuck_element_is_noticed_by_what_it_does_not_give() {
    let server = Server::start(SMALL);
    let id = server.go_live("Stuck twice");
    server.until_duration(&id, 3.0);
    // An encoder: what it makes comes out of the thread that gives it pictures, or sound.
    for thread in ["pictures0:src", "samples:src"] {
        break_worker_by(&server, &id, 1, |worker| StoppedThread::new(threads(worker, thread)[0]));
    }
    let log = server.log();
    for reason in ["it runs, but gave no picture", "no sound comes out of the encoder any more"] {
        assert!(log.contains(reason), "{log}");
    }
    assert_eq!((log.matches("worker lost").count(), log.matches("fell silent").count()), (2, 0), "its pulse was heard");
    check_gaps(&server, &id);
    server.end(&id);
    check_recording(&server, &id, 2);
    let file = server.data.path().join("download.mp4");
    let times = tools::times(tools::as_text(&file), "a:0");
    let silence = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    println!("at most {silence} s without sound");
    assert!(silence < 4.0 && tools::duration(tools::as_text(&file)) - times.last().expect("sound") < 1.0);
}

/// A publisher may pause, and there are no parts then: that its worker stands still is told by its silence.
#[test]
fn a_publishers_hanging_worker_is_replaced() {
    let server = Server::start(SMALL);
    let (_, key) = new_key(&server, json!({"label": "Village hall"}));
    let publisher = Publisher::start(&server, &key);
    let id = until_on_air(&server);
    server.until_duration(&id, 3.0);
    // A slate may be shown until the next keyframe.
    break_worker_by(&server, &id, 2, |worker| kill_process(worker, Signal::STOP).expect("it runs"));
    assert!(server.log().contains("fell silent"));
    let told = server.broadcast(&id);
    let gap = told["gaps"][0]["lasted_s"].as_f64().expect("a number");
    println!("a gap of {gap} s");
    // Two are promised; a machine that does much else gets one more.
    assert!(gap < 3.0, "{told}");
    server.end(&id);
    rtmp::check_recording(&server, &id, &["h264", "aac"]);
    drop(publisher);
}

/// Nothing can begin before the publisher's next keyframe: until then viewers see the slate, and not nothing.
#[test]
fn a_worker_that_is_lost_far_from_a_keyframe_comes_back_with_the_slate() {
    let server = Server::start(SMALL);
    let (_, key) = new_key(&server, json!({"label": "Village hall"}));
    let rare = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "360", "-keyint_min", "360"];
    let _publisher = Publisher::ffmpeg(&server, &key, &[&rare[..], AAC].concat());
    let id = until_on_air(&server);
    server.until_duration(&id, 3.0);
    break_worker(&server, &id, Signal::KILL);
    let told = server.broadcast(&id);
    let gap = told["gaps"][0]["lasted_s"].as_f64().expect("a number");
    println!("a gap of {gap} s");
    assert!(gap < 3.0, "{told}");
    assert_eq!(told["health"], "publisher_still");
    until_health(&server, &id, "ok");
    until("its own picture", || (discontinuities(&playlist(&server, &id)) == 2).then_some(()));
    server.end(&id);
    rtmp::check_recording(&server, &id, &["h264", "aac"]);
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

/// Waits until the broadcast's health is this; gives what the API tells of it.
fn until_health(server: &Server, id: &str, health: &str) -> Value {
    until(&format!("{id} to be {health}"), || {
        let told = server.broadcast(id);
        (told["health"] == health).then_some(told)
    })
}

/// Kills each of its encoding workers at once for `lasting`, all but those in `spared`; how many there were.
fn kill_again_and_again(server: &Server, spared: &[Pid], lasting: Duration, signal: Signal) -> usize {
    let begin = Instant::now();
    let mut killed = HashSet::new();
    while begin.elapsed() < lasting {
        for worker in server.workers().into_iter().filter(|worker| !spared.contains(worker)) {
            killed.insert(worker);
            // It may be gone already.
            let _ = kill_process(worker, signal);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.len()
}

/// Processor time of the server itself so far, seconds (proc(5); Linux counts hundredths).
fn processor_time(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: f64 = [11, 12].map(|field: usize| fields[field].parse::<f64>().expect("a number")).iter().sum();
    ticks / 100.0
}

/// What the studio's page says of itself, without the texts for its script.
pub fn studio_page(server: &Server, language: &str) -> String {
    let page = server.admin.get_with("/studio", &[("accept", "text/html"), ("accept-language", language)]).text();
    page.split("data-air-health")
        .nth(1)
        .and_then(|rest| rest.split("</p>").next())
        .expect("something is on air")
        .to_owned()
}

#[test]
fn a_worker_that_dies_again_and_again_is_told_and_does_not_spin() {
    let server = Server::start(SMALL);
    // The one that watches devices lives on.
    let spared = until("a first worker", || Some(server.workers()).filter(|workers| !workers.is_empty()));
    let id = server.go_live("Killed again and again");
    server.until_duration(&id, 3.0);
    let before = (playlist(&server, &id), processor_time(&server));
    let starts = kill_again_and_again(&server, &spared, Duration::from_secs(10), Signal::SEGV);
    let busy = processor_time(&server) - before.1;
    println!("{starts} starts and {busy:.2} s of the server's processor time in 10 s");
    assert!((4..=7).contains(&starts), "{starts} starts");
    assert!(busy < 2.0, "{busy} s");
    let told = until_health(&server, &id, "capture_failing");
    assert_eq!(told["state"], "live");
    // Where the signal comes while plugins are loaded, GStreamer takes it and exits.
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("its process ended")), "{told}");
    assert_eq!(told["reason_code"], "worker_lost");
    let page = studio_page(&server, "en");
    assert!(page.contains("keeps failing") && page.contains(" The capture stopped or does not answer."), "{page}");
    let page = studio_page(&server, "id");
    assert!(page.contains(" Perekam berhenti atau tidak menjawab.") && !page.contains("its process ended"), "{page}");
    assert!(server.stranger().get(&format!("/api/v1/broadcasts/{id}")).json()["reason"].is_null());

    // Left in peace, it comes back by itself, in the same broadcast.
    let told = until_health(&server, &id, "ok");
    assert!(told["reason"].is_null(), "{told}");
    let listed = told["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, listed + 3.0);
    let after = playlist(&server, &id);
    for old in before.0.segments.iter().filter(|segment| segment.uri.is_some()) {
        let new = after.segments.iter().find(|new| new.msn == old.msn).expect("what was listed stays");
        assert_eq!((&new.uri, new.duration, new.date), (&old.uri, old.duration, old.date));
    }
    let breaks = discontinuities(&after);
    server.end(&id);
    check_recording(&server, &id, breaks);

    // One that is hopeless can be ended.
    let id = server.go_live("Ended in between");
    server.until_duration(&id, 2.0);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| kill_again_and_again(&server, &spared, Duration::from_secs(12), Signal::KILL));
        until_health(&server, &id, "capture_failing");
        let pressed = Instant::now();
        assert_eq!(server.end(&id)["state"], "ended");
        assert!(pressed.elapsed() < Duration::from_secs(5), "{:?} since {:?}", pressed.elapsed(), begin.elapsed());
    });
    tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
}

#[test]
fn a_worker_that_cannot_start_says_why_until_it_can() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let plugins = home.path().join("plugins");
    std::fs::create_dir(&plugins).expect("room");
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    // A GStreamer of which nothing but the core is there.
    let mut command = serve_command(data.path(), SMALL);
    command.env("GST_PLUGIN_SYSTEM_PATH_1_0", &plugins).env("GST_REGISTRY", home.path().join("registry"));
    let mut server = Server::start_by(&data, command);
    server.admin = server.client(ADMIN);
    let before = processor_time(&server);
    let made = server.post("/broadcasts", json!({"title": "No plugins", "source": "test"}));
    let id = made["id"].as_str().expect("an id").to_owned();
    let begin = Instant::now();
    let told = until_health(&server, &id, "capture_failing");
    let reason = told["reason"].as_str().expect("a sentence").to_owned();
    println!("{reason:?} after {:?}", begin.elapsed());
    assert!(reason.len() > 10 && !reason.contains("closed its socket"), "{reason}");
    println!("{}", told["reason_code"]);
    assert!(studio_page(&server, "en").contains("keeps failing"));
    let page = studio_page(&server, "id");
    assert!(page.contains(" Tidak ada pengode H.264 yang bekerja di kotak siaran."), "{page}");
    assert!(!page.contains("x264enc") && !page.contains("No video encoder"), "{page}");
    std::thread::sleep(Duration::from_secs(10).saturating_sub(begin.elapsed()));
    let (starts, busy) = (server.log().matches("worker lost").count(), processor_time(&server) - before);
    println!("{starts} losses and {busy:.2} s of the server's processor time in {:?}", begin.elapsed());
    assert!(starts <= 14 && busy < 2.0, "two workers, each with a pause that grows");
    let pressed = Instant::now();
    assert_eq!(server.end(&id)["failure"], "ended_early");
    assert!(pressed.elapsed() < Duration::from_secs(5), "{:?}", pressed.elapsed());

    // The plugins are installed: the next one works.
    let real =
        Command::new("pkg-config").args(["--variable=pluginsdir", "gstreamer-1.0"]).output().expect("pkg-config");
    let real = String::from_utf8(real.stdout).expect("a path");
    std::fs::remove_dir(&plugins).expect("it is empty");
    std::os::unix::fs::symlink(real.trim(), &plugins).expect("room");
    let id = server.go_live("With plugins");
    until_health(&server, &id, "ok");
    server.until_duration(&id, 2.0);
    server.end(&id);
    check_recording(&server, &id, 0);
}

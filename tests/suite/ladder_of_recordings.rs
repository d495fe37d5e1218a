//! Smaller renditions of recordings that had one alone: in step with it frame by frame, whatever cuts their making short, and never
//! in the way of a broadcast.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::imports::{ffmpeg, hand_in, outcome};
use crate::playlist_rules::Playlist;
use crate::power::fsck;
use crate::pusher::{Pusher, programme};
use crate::renditions::variants;
use crate::rtmp::{new_key, until_on_air};
use crate::server::{Server, until};
use crate::tools;

/// The smallest rung below 720 lines alone.
const ONE: &[&str] = &["--video-height", "240", "--video-kbps", "300", "--frame-rate", "15"];

const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=12";

/// Reads a file in and lets everybody watch; the id of its recording.
fn read_in(server: &Server, file: &Path) -> String {
    hand_in(server, file);
    let done = outcome(server, file.file_name().and_then(|name| name.to_str()).expect("a name"));
    assert_eq!(done["state"], "done", "{done}");
    let id = done["broadcast_id"].as_str().expect("a recording").to_owned();
    let (status, _) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "public"})));
    assert_eq!(status, 200);
    id
}

fn ladder(server: &Server, id: &str) -> Value {
    server.broadcast(id)["ladder"].clone()
}

fn until_state(server: &Server, id: &str, state: &str) -> Value {
    let begin = Instant::now();
    loop {
        let ladder = ladder(server, id);
        if ladder["state"] == state {
            return ladder;
        }
        assert!(begin.elapsed() < Duration::from_secs(180), "waited for {state}: {ladder}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The worker that makes smaller renditions.
fn maker(server: &Server) -> Option<Pid> {
    server.workers().into_iter().find(|worker| {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", worker.as_raw_nonzero())).unwrap_or_default();
        line.split('\0').any(|word| word == "ladder")
    })
}

fn sizes(server: &Server, id: &str) -> Vec<String> {
    variants(server, id).iter().filter_map(|(attributes, _)| attributes.get("RESOLUTION").cloned()).collect()
}

fn playlist(server: &Server, id: &str, folder: &str) -> Playlist {
    let text = server.fetch(&format!("/media/{id}/{folder}/index.m3u8"));
    let playlist = Playlist::read(&String::from_utf8(text).expect("UTF-8"));
    playlist.check();
    playlist
}

/// When the pictures of each segment are shown, in order; seconds. Those that are made begin with a keyframe.
fn shown(server: &Server, id: &str, folder: &str) -> Vec<(u64, Vec<f64>)> {
    let mut shown = Vec::new();
    for segment in playlist(server, id, folder).segments {
        let Some(uri) = segment.uri.filter(|_| !segment.gap) else { continue };
        let mut bytes = server.fetch(&format!("/media/{id}/{folder}/{}", segment.map));
        bytes.extend(server.fetch(&format!("/media/{id}/{folder}/{uri}")));
        let file = tools::write(server.data.path(), "segment.mp4", &bytes);
        // What is passed on may go on in the middle of a group of pictures, of which the tool complains.
        let output = Command::new("ffprobe")
            .args(["-v", "quiet", "-of", "json", "-select_streams", "v", "-show_packets"])
            .arg(&file)
            .output()
            .expect("ffprobe is installed");
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let packets = found["packets"].as_array().expect("packets");
        let key = packets[0]["flags"].as_str().expect("flags").contains('K');
        assert!(key || folder == "av", "{folder}/{uri} begins with a keyframe");
        let time = |packet: &Value| packet["pts_time"].as_str().expect("a text").parse::<f64>().expect("a number");
        let mut times: Vec<f64> = packets.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        shown.push((segment.msn, times));
    }
    shown
}

/// All renditions have the same segments, with pictures at the same instants, and can be decoded.
fn check(server: &Server, id: &str, expected: &[&str]) {
    assert_eq!(sizes(server, id), expected);
    let described = |folder: &str| {
        let playlist = playlist(server, id, folder);
        playlist.segments.iter().map(|it| (it.msn, it.duration, it.date, it.discontinuity, it.gap)).collect::<Vec<_>>()
    };
    let (list, pictures) = (described("av"), shown(server, id, "av"));
    assert!(pictures.len() >= 4);
    for number in 1..expected.len() {
        let folder = format!("av{number}");
        assert_eq!(described(&folder), list, "{folder}");
        let mine = shown(server, id, &folder);
        assert_eq!(mine.len(), pictures.len());
        for ((msn, mine), (other, theirs)) in mine.iter().zip(&pictures) {
            assert_eq!((msn, mine.len()), (other, theirs.len()), "{folder}: segment {msn}");
            // Frames are in another order where the recording's are reordered across a boundary.
            assert!((mine[0] - theirs[0]).abs() < 0.25, "{folder}: segment {msn}");
        }
        let all = |pictures: &[(u64, Vec<f64>)]| {
            let mut all: Vec<f64> = pictures.iter().flat_map(|(_, times)| times.clone()).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let off = all(&mine).iter().zip(all(&pictures)).map(|(mine, theirs)| (mine - theirs).abs()).fold(0.0, f64::max);
        // The tool shows a recording that varies a little later as a whole, where a frame of it is shown before it is decoded.
        assert!(off < 0.02, "{folder}: {off} s off");
        tools::decode(&format!("{}/media/{id}/{folder}/index.m3u8", server.http));
    }
    tools::decode(&format!("{}/media/{id}/download.mp4", server.http));
}

/// A file of 720 lines whose making takes a while.
fn long(folder: &Path) -> std::path::PathBuf {
    let file = folder.join("long.mp4");
    let picture = "-f lavfi -i testsrc2=size=1280x720:rate=30:duration=60";
    ffmpeg(
        &format!("{picture} -vf noise=alls=10:allf=t -c:v libx264 -preset ultrafast -crf 32 -pix_fmt yuv420p -g 60"),
        &file,
    );
    file
}

#[test]
fn files_get_smaller_renditions_frame_by_frame() {
    let server = Server::start(&["--video-height", "720"]);
    let made = tempfile::tempdir().expect("a temporary directory");
    let picture = "-f lavfi -i testsrc2=size=1280x720:rate=25:duration=12";
    let h264 = "-c:v libx264 -preset veryfast -pix_fmt yuv420p";
    let rare =
        format!("{picture} {SOUND} {h264} -bf 3 -g 1000 -sc_threshold 0 -force_key_frames 0,3.12,4,8.52 -c:a aac");
    let varying = format!("{picture} {SOUND} -vf select=lt(mod(n\\,7)\\,3) -fps_mode vfr {h264} -bf 2 -g 20 -c:a aac");
    let silent = format!("{picture} {h264} -g 50");
    for (name, arguments) in [("rare.mp4", &rare), ("varying.mkv", &varying), ("silent.mp4", &silent)] {
        let file = made.path().join(name);
        ffmpeg(arguments, &file);
        let id = read_in(&server, &file);
        let sound = || server.fetch(&format!("/media/{id}/sound/seg-1.m4s"));
        let before = (name != "silent.mp4").then(|| (sizes(&server, &id), sound()));
        until_state(&server, &id, "done");
        check(&server, &id, &["1280x720", "854x480", "426x240"]);
        if let Some((sizes, bytes)) = before {
            assert_eq!(sizes, ["1280x720"], "they are shown when they are complete");
            assert_eq!(sound(), bytes, "the sound of the smallest is the same");
        }
    }
    fsck(server.data.path());
}

#[test]
fn what_is_cut_short_goes_on_and_stays_away_from_what_is_on_air() {
    let mut server = Server::start(ONE);
    let made = tempfile::tempdir().expect("a temporary directory");
    let id = read_in(&server, &long(made.path()));
    let begun =
        |server: &Server| until("some of it", || (ladder(server, &id)["progress"].as_f64()? > 0.0).then_some(()));
    begun(&server);
    assert_eq!(sizes(&server, &id), ["1280x720"]);
    server.kill();
    fsck(server.data.path());

    let server = Server::start_on(&server.data, ONE);
    begun(&server);
    until("a worker", || maker(&server));
    let on_air = server.go_live("Mengudara");
    let begin = Instant::now();
    until("it to be gone", || maker(&server).is_none().then_some(()));
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    server.until_duration(&on_air, 3.0);
    assert_eq!(maker(&server), None);
    assert_eq!(ladder(&server, &id)["state"], "working");
    server.end(&on_air);
    until_state(&server, &id, "done");
    check(&server, &id, &["1280x720", "426x240"]);
    let size = server.broadcast(&id)["size"].as_u64().expect("a number");
    let alone = playlist(&server, &id, "av").segments.len();
    assert!(size > 0 && alone > 20);
    fsck(server.data.path());
}

#[test]
fn a_worker_that_dies_twice_is_told_and_what_is_deleted_is_let_go() {
    let server = Server::start(ONE);
    let made = tempfile::tempdir().expect("a temporary directory");
    let id = read_in(&server, &long(made.path()));
    // Stopped before it has made anything, so that both die at the same place.
    for _ in 0..2 {
        let worker = until("a worker", || maker(&server));
        kill_process(worker, Signal::KILL).expect("it runs");
        until("it to be gone", || (maker(&server) != Some(worker)).then_some(()));
    }
    let failed = until_state(&server, &id, "failed");
    assert_eq!(failed["reason"], "ladder_crashed");
    let act = |act: &str| server.call("POST", &format!("/broadcasts/{id}/ladder/{act}"), None);
    assert_eq!(act("cancel").1["code"], "ladder_not_working");
    assert_eq!(act("retry").0, 200);
    assert_eq!(act("retry").1["code"], "ladder_not_failed");
    until_state(&server, &id, "working");
    until("a worker", || maker(&server));
    assert_eq!(act("cancel").0, 200);
    assert_eq!(maker(&server), None);
    assert_eq!(ladder(&server, &id)["state"], "cancelled");
    assert_eq!(act("retry").0, 200);

    until("some of it", || (ladder(&server, &id)["progress"].as_f64()? > 0.0).then_some(()));
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    assert_eq!(maker(&server), None, "the trash is not worked on");
    assert_eq!(server.call("POST", &format!("/broadcasts/{id}/restore"), None).0, 200);
    until("a worker", || maker(&server));
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    assert_eq!(maker(&server), None);
    let reels = || std::fs::read_dir(server.data.path().join("reels")).expect("a folder").count();
    assert_eq!(reels(), 0);
    fsck(server.data.path());
}

#[test]
fn a_broadcast_that_was_passed_through_gets_them_after_its_end() {
    let server = Server::start(ONE);
    let (_, key) = new_key(&server, json!({"label": "Pushed"}));
    let mut pusher = Pusher::connect(&server, &key);
    let id = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| pusher.push(&programme("640x360", 10)));
        let id = until_on_air(&server);
        pushing.join().expect("it takes all tags");
        id
    });
    pusher.finish();
    server.end(&id);
    until_state(&server, &id, "done");
    let all = sizes(&server, &id);
    assert_eq!(all.len(), 2, "{all:?}");
    check(&server, &id, &["640x360", "426x240"]);
    fsck(server.data.path());
}

/// Also inside of segments, where only some parts are kept.
#[test]
fn what_is_edited_meanwhile_is_edited_in_all_of_them() {
    let server = Server::start(ONE);
    let made = tempfile::tempdir().expect("a temporary directory");
    let id = read_in(&server, &long(made.path()));
    until("some of it", || (ladder(&server, &id)["progress"].as_f64()? > 0.0).then_some(()));
    let kept =
        json!({"kept": [{"from_s": 2.0, "to_s": 5.3}, {"from_s": 12.0, "to_s": 14.7}, {"from_s": 30.0, "to_s": 37.1}]});
    let (status, edited) = server.call("PUT", &format!("/broadcasts/{id}/edit"), Some(kept));
    assert_eq!(status, 200, "{edited}");
    assert_eq!(ladder(&server, &id)["state"], "working");
    until_state(&server, &id, "done");
    check(&server, &id, &["1280x720", "426x240"]);
    let playlist = playlist(&server, &id, "av1");
    assert!(playlist.segments.iter().all(|segment| !segment.gap));
    assert_eq!(playlist.segments.iter().filter(|segment| segment.discontinuity).count(), 2);
    let told = edited["duration_s"].as_f64().expect("a number");
    assert!((playlist.duration() - told).abs() < 0.01, "{} s are listed, {told} s told", playlist.duration());
    fsck(server.data.path());
}

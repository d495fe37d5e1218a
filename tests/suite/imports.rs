//! Files that are read in: what is passed on as it is, what is encoded anew, what is refused and why; kills, crashes, cancelling.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::clocks::{Clocked, RIGHT};
use crate::corpus::{difference, look};
use crate::playlist_rules::Playlist;
use crate::power::{Disk, fsck};
use crate::server::{self, ADMIN, SMALL, Server, add_account, new_data, until};
use crate::tools;

const PICTURE: &str = "testsrc2=size=320x180:rate=25:duration=4";
const SOUND: &str = "sine=frequency=440:sample_rate=48000:duration=4";

/// What becomes of a file.
enum Fate {
    /// The picture is the file's own, frame by frame.
    Copied,
    /// It is encoded; its size.
    Encoded(u64, u64),
    Refused(&'static str),
    /// There is a recording of what is left of it.
    Incomplete,
}
use Fate::{Copied, Encoded, Incomplete, Refused};

/// Runs ffmpeg on inputs and options that are parted by spaces.
pub fn ffmpeg(arguments: &str, output: &Path) {
    let made = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments.split(' ')).arg(output).output();
    let made = made.expect("ffmpeg is installed");
    assert!(made.status.success(), "{arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A hash of each decoded frame of the picture.
fn frames(input: &str) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-protocol_whitelist",
            "file,http,tcp",
            "-i",
            input,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
        ])
        .args(["-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let hashes = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit(',').next());
    hashes.map(|hash| hash.trim().to_owned()).collect()
}

pub fn imports(server: &Server) -> Vec<Value> {
    server.get("/imports?limit=200")["items"].as_array().expect("a list").clone()
}

pub fn import(server: &Server, name: &str) -> Option<Value> {
    imports(server).into_iter().find(|import| import["name"] == name)
}

/// Waits until the file's import is over.
pub fn outcome(server: &Server, name: &str) -> Value {
    until(&format!("{name} to be over"), || {
        import(server, name)
            .filter(|import| !["waiting", "working"].contains(&import["state"].as_str().expect("a state")))
    })
}

pub fn folder(server: &Server, place: &str) -> PathBuf {
    server.data.path().join("import").join(place)
}

/// Puts a file into the import folder as a whole.
pub fn hand_in(server: &Server, file: &Path) {
    let name = file.file_name().expect("a name");
    let beside = server.data.path().join("on its way");
    fs::copy(file, &beside).expect("room");
    fs::rename(beside, folder(server, "").join(name)).expect("one disk");
}

pub fn seconds(server: &Server, id: &str) -> f64 {
    server.broadcast(id)["duration_s"].as_f64().expect("a number")
}

/// Makes a recording public and plays it to its end in every way.
pub fn play(server: &Server, id: &str, name: &str) -> String {
    let (status, _) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "public"})));
    assert_eq!(status, 200);
    server::decode(server, id);
    let download = server.fetch(&format!("/media/{id}/download.mp4"));
    let file = tools::write(server.data.path(), &format!("{name}.download.mp4"), &download);
    tools::decode(tools::as_text(&file));
    tools::as_text(&file).to_owned()
}

#[test]
fn each_kind_of_file_is_read_in_or_refused_with_the_reason() {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| made.path().join(name);
    let both = format!("-f lavfi -i {PICTURE} -f lavfi -i {SOUND}");
    let h264 = "-c:v libx264 -pix_fmt yuv420p -g 50 -bf 2";
    let kinds: Vec<(&str, String, Fate)> = vec![
        ("Cuci_tangan.mp4", format!("{both} {h264} -c:a aac"), Copied),
        ("baseline.mov", format!("{both} {h264} -profile:v baseline -c:a aac"), Copied),
        ("ms.mkv", format!("{both} {h264} -c:a aac"), Copied),
        ("surround.mkv", format!("{both} {h264} -ac 6 -c:a ac3"), Copied),
        ("ten bits.mp4", format!("{both} -c:v libx264 -pix_fmt yuv420p10le -c:a aac"), Encoded(320, 180)),
        (
            "hevc.mkv",
            format!("{both} -c:v libx265 -x265-params log-level=none -pix_fmt yuv420p10le -c:a libopus"),
            Encoded(320, 180),
        ),
        (
            "vp9.webm",
            format!("{both} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libvorbis"),
            Encoded(320, 180),
        ),
        ("old.avi", format!("{both} -c:v mpeg4 -c:a libmp3lame"), Encoded(320, 180)),
        (
            "odd.avi",
            String::from("-f lavfi -i testsrc=size=333x251:rate=50:duration=4 -c:v mjpeg -pix_fmt yuvj420p"),
            Encoded(334, 252),
        ),
        (
            "rare.mp4",
            String::from("-f lavfi -i testsrc2=size=160x90:rate=5:duration=20 -c:v libx264 -pix_fmt yuv420p -g 1000"),
            Encoded(160, 90),
        ),
        ("only sound.mp3", format!("-f lavfi -i {SOUND} -c:a libmp3lame"), Encoded(640, 360)),
        ("only aac.m4a", format!("-f lavfi -i {SOUND} -c:a aac"), Encoded(640, 360)),
    ];
    for (name, arguments, _) in &kinds {
        ffmpeg(arguments, &path(name));
    }
    ffmpeg(&format!("-i {} -c copy -metadata:s:v:0 rotate=90", path("baseline.mov").display()), &path("upright.mov"));
    ffmpeg(&format!("-i {} -c copy -movflags +faststart", path("Cuci_tangan.mp4").display()), &path("fast.mp4"));
    let half = |from: &str, to: &str| {
        let whole = fs::read(path(from)).expect("it is made");
        fs::write(path(to), &whole[..whole.len() * 3 / 4]).expect("room");
    };
    half("Cuci_tangan.mp4", "cut.mp4");
    half("fast.mp4", "cut fast.mp4");
    fs::write(path("empty.mp4"), b"").expect("room");
    fs::write(path("text.mp4"), "Bukan video.\n".repeat(500)).expect("room");
    fs::write(path("noise.mkv"), (0..90_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect::<Vec<_>>())
        .expect("room");
    let mut all: Vec<(&str, Fate)> = kinds.into_iter().map(|(name, _, fate)| (name, fate)).collect();
    all.extend([
        ("upright.mov", Encoded(180, 320)),
        ("cut.mp4", Refused("import_damaged")),
        ("cut fast.mp4", Incomplete),
        ("empty.mp4", Refused("import_empty")),
        ("text.mp4", Refused("import_no_media")),
        ("noise.mkv", Refused("import_no_media")),
    ]);
    for (name, _) in &all {
        hand_in(&server, &path(name));
    }
    for (name, fate) in &all {
        let found = outcome(&server, name);
        let reason = found["reason"].as_str().unwrap_or_default();
        if let Refused(code) = fate {
            assert_eq!((&found["state"], reason), (&json!("refused"), *code), "{name}");
            assert_eq!(found["broadcast_id"], Value::Null);
            let kept = until("it to be put away", || fs::read(folder(&server, "refused").join(name)).ok());
            assert_eq!(kept, fs::read(path(name)).expect("it is made"), "{name}");
            continue;
        }
        assert_eq!(found["state"], "done", "{name}: {found}");
        let id = found["broadcast_id"].as_str().expect("a recording");
        until("it to be put away", || folder(&server, "done").join(name).exists().then_some(()));
        let broadcast = server.broadcast(id);
        assert_eq!((&broadcast["audience"], &broadcast["source_kind"]), (&json!("staff"), &json!("file")), "{name}");
        let download = play(&server, id, name);
        until("its thumbnail", || server.broadcast(id)["thumbnail_url"].is_string().then_some(()));
        let source = path(name);
        let lasts = tools::duration(tools::as_text(&source));
        if matches!(fate, Incomplete) {
            assert_eq!(reason, "import_incomplete", "{name}");
            assert!((1.5..4.0).contains(&seconds(&server, id)), "{name}: {}", seconds(&server, id));
            continue;
        }
        assert_eq!(reason, "", "{name}");
        assert!((seconds(&server, id) - lasts).abs() < 0.15, "{name}: {} of {lasts}", seconds(&server, id));
        let rendition = &broadcast["renditions"][0];
        match fate {
            Copied => assert_eq!(frames(&download), frames(tools::as_text(&source)), "{name}: the same pictures"),
            Encoded(width, height) => {
                assert_eq!((&rendition["width"], &rendition["height"]), (&json!(width), &json!(height)), "{name}");
            }
            _ => {}
        }
        let has_sound = tools::codecs(tools::as_text(&source)).len() > 1 || name.starts_with("only");
        assert_eq!(rendition["codecs"].as_str().expect("codecs").contains("mp4a.40.2"), has_sound, "{name}");
    }
    assert_eq!(
        server.broadcast(outcome(&server, "Cuci_tangan.mp4")["broadcast_id"].as_str().expect("an id"))["title"],
        "Cuci tangan"
    );
    let page = server.admin.get_with("/admin/imports", &[("accept", "text/html"), ("accept-language", "en")]).text();
    assert!(page.contains("noise.mkv") && page.contains("This file is neither a video nor a sound recording."));
    assert_eq!(fs::read_dir(folder(&server, "working")).expect("a folder").count(), 0);
    fsck(server.data.path());
}

/// A file that takes some seconds to be encoded.
fn long(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    ffmpeg("-f lavfi -i testsrc2=size=640x360:rate=25:duration=60 -c:v mpeg4 -q:v 5", &file);
    file
}

/// The worker that reads a file in, once it has got somewhere.
fn reader(server: &Server, name: &str) -> Pid {
    until("a worker to read it", || {
        let import = import(server, name)?;
        assert!(import["state"] == "working" || import["state"] == "waiting", "{import}");
        import["progress"].as_f64().filter(|progress| *progress > 0.0)?;
        server.workers().into_iter().find(|worker| {
            let line = fs::read(format!("/proc/{}/cmdline", worker.as_raw_nonzero())).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|word| word == b"import")
        })
    })
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_behind_and_a_crash_of_the_reader_is_told() {
    let mut server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let file = long(made.path(), "lecture.avi");
    hand_in(&server, &file);
    let worker = reader(&server, "lecture.avi");
    for task in fs::read_dir(format!("/proc/{}/task", worker.as_raw_nonzero())).expect("it runs") {
        let status = fs::read_to_string(task.expect("a thread").path().join("status")).unwrap_or_default();
        assert!(status.is_empty() || (status.contains("Seccomp:\t2") && status.contains("NoNewPrivs:\t1")), "{status}");
    }
    assert_eq!(server.get("/broadcasts")["items"], json!([]), "what is half made is not there yet");
    server.kill();

    let mut server = Server::start_on(&server.data, SMALL);
    let crashed = reader(&server, "lecture.avi");
    kill_process(crashed, Signal::KILL).expect("it runs");
    let again = until("another worker", || Some(reader(&server, "lecture.avi")).filter(|worker| *worker != crashed));
    kill_process(again, Signal::KILL).expect("it runs");
    let found = outcome(&server, "lecture.avi");
    assert_eq!((&found["state"], &found["reason"]), (&json!("refused"), &json!("import_crashed")));
    assert_eq!(server.get("/broadcasts")["items"], json!([]));
    let reels = || fs::read_dir(server.data.path().join("reels")).expect("a folder").count();
    assert_eq!(reels(), 0, "nothing is left of what was half made");
    fsck(server.data.path());

    let act = |act: &str| {
        let id = found["id"].as_str().expect("an id");
        server.call("POST", &format!("/imports/{id}/{act}"), None)
    };
    until("it to be put away", || (act("retry").0 == 200).then_some(()));
    reader(&server, "lecture.avi");
    assert_eq!(act("retry").1["code"], "import_not_refused");
    assert_eq!(act("cancel").0, 200);
    assert_eq!(outcome(&server, "lecture.avi")["state"], "cancelled");
    assert_eq!(act("cancel").1["code"], "import_over");
    assert_eq!(reels(), 0);
    until("it to be tried again", || (act("retry").0 == 200).then_some(()));
    let done = outcome(&server, "lecture.avi");
    assert_eq!((&done["state"], &done["reason"]), (&json!("done"), &Value::Null));
    let id = done["broadcast_id"].as_str().expect("a recording");
    assert!((seconds(&server, id) - 60.0).abs() < 0.1, "{}", seconds(&server, id));
    play(&server, id, "lecture");
    assert_eq!(server.get("/broadcasts")["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.terminate(), Some(0));
    fsck(server.data.path());

    // Where room is short, files that were read in go before recordings do, and others wait.
    let server = Server::start_on(&server.data, &[SMALL, &["--min-free-bytes", "1000000000000000"]].concat());
    until("the file to be deleted", || (!folder(&server, "done").join("lecture.avi").exists()).then_some(()));
    assert_eq!(server.broadcast(id)["state"], "ended");
    hand_in(&server, &file);
    until("it to wait", || (imports(&server)[0]["reason"] == "import_no_room").then_some(()));
    assert_eq!((&imports(&server)[0]["state"], &imports(&server)[1]["state"]), (&json!("waiting"), &json!("done")));
}

/// Stops the worker that reads a file in as soon as something of it can be played; gives the recording and the worker.
fn halt(server: &Server, name: &str) -> (String, Pid) {
    let id = until("something to play", || {
        let import = import(server, name)?;
        assert!(import["state"] == "working" || import["state"] == "waiting", "{import}");
        let id = import["broadcast_id"].as_str()?.to_owned();
        let got_on = import["progress"].as_f64().is_some_and(|progress| progress > 0.1);
        (got_on && server.admin.get(&format!("/media/{id}/av/index.m3u8")).status == 200).then_some(id)
    });
    let worker = reader(server, name);
    kill_process(worker, Signal::STOP).expect("it runs");
    (id, worker)
}

/// A week after they were read in, files are deleted; those that were refused stay where a person finds them.
#[test]
fn originals_are_kept_for_a_week() {
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let mut clocked = Clocked::start(&data, RIGHT, SMALL);
    clocked.server.admin = clocked.server.client(ADMIN);
    let server = &clocked.server;
    let made = tempfile::tempdir().expect("a temporary directory");
    let (film, text) = (made.path().join("film.mp4"), made.path().join("text.mp4"));
    ffmpeg(&format!("-f lavfi -i {PICTURE} -c:v libx264 -pix_fmt yuv420p"), &film);
    fs::write(&text, "Bukan video.\n".repeat(100)).expect("room");
    // Set by somebody: from here on it is trusted.
    clocked.set("+60");
    until("the clock to be trusted", || (server.get("/storage")["clock_trusted"] == true).then_some(()));
    hand_in(server, &film);
    hand_in(server, &text);
    let (done, refused) = (folder(server, "done").join("film.mp4"), folder(server, "refused").join("text.mp4"));
    until("both to be put away", || (done.exists() && refused.exists()).then_some(()));
    let look = |days: u32| {
        clocked.set(&format!("+{}", 60 + days * 86_400));
        let rule = json!({"rule": "days", "days": 1000 + days});
        assert_eq!(server.call("PUT", "/retention", Some(rule)).0, 200);
    };
    // Two days' look has been had when a film that comes after it is done.
    look(2);
    hand_in(server, &{
        let second = made.path().join("second.mp4");
        fs::copy(&film, &second).expect("room");
        second
    });
    until("the second to be put away", || folder(server, "done").join("second.mp4").exists().then_some(()));
    assert!(done.exists(), "after two days it is still there");
    look(8);
    until("the first to be deleted", || (!done.exists()).then_some(()));
    assert!(folder(server, "done").join("second.mp4").exists(), "it is six days old");
    assert!(refused.exists(), "it waits for somebody");
    let id = outcome(server, "film.mp4")["broadcast_id"].as_str().expect("a recording").to_owned();
    assert_eq!(server.broadcast(&id)["state"], "ended");
}

/// Hashes of what a film's streams hold, not decoded.
fn streams(film: &str) -> String {
    let hashed = Command::new("ffmpeg")
        .args(["-v", "error", "-i", film, "-map", "0", "-c", "copy", "-f", "streamhash", "-hash", "md5", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(hashed.status.success(), "{film}: {}", String::from_utf8_lossy(&hashed.stderr));
    String::from_utf8(hashed.stdout).expect("UTF-8")
}

#[test]
fn what_there_is_of_a_file_is_played_at_once_and_goes_on_after_a_kill() {
    let mut server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let file = made.path().join("lecture.avi");
    ffmpeg(
        "-f lavfi -i testsrc2=size=640x360:rate=25:duration=60 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=60 \
         -c:v mpeg4 -q:v 5 -c:a libmp3lame",
        &file,
    );
    hand_in(&server, &file);
    let (id, worker) = halt(&server, "lecture.avi");
    let thrown = server.call("DELETE", &format!("/broadcasts/{id}"), None);
    assert_eq!((thrown.0, &thrown.1["code"]), (409, &json!("import_running")));
    let edited = server.call("PUT", &format!("/broadcasts/{id}/edit"), Some(json!({"chapters": []})));
    assert_eq!((edited.0, &edited.1["code"]), (409, &json!("import_running")));
    let media = |server: &Server, name: &str| {
        let reply = server.admin.get(&format!("/media/{id}/av/{name}"));
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
        reply.body
    };
    let text = String::from_utf8(media(&server, "index.m3u8")).expect("UTF-8");
    assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && text.contains("#EXT-X-START:TIME-OFFSET=0\n"), "{text}");
    let listed = Playlist::read(&text);
    assert!(!listed.ended && !listed.segments.is_empty());
    assert_eq!(server.stranger().get(&format!("/media/{id}/av/index.m3u8")).status, 401, "it is for staff");
    assert_eq!(server.admin.get(&format!("/media/{id}/main.m3u8")).status, 200);
    let names: Vec<&str> = listed.segments.iter().filter_map(|segment| segment.uri.as_deref()).collect();
    let before: Vec<Vec<u8>> = names.iter().map(|name| media(&server, name)).collect();
    let beginning = [media(&server, &listed.segments[0].map), before.concat()].concat();
    tools::decode(tools::as_text(&tools::write(made.path(), "beginning.mp4", &beginning)));
    let page = server.admin.get_with(&format!("/watch/{id}"), &[("accept", "text/html"), ("accept-language", "en")]);
    assert!(page.text().contains("This file is still being read in"), "{}", page.text());
    assert_eq!(server.get("/broadcasts")["items"], json!([]), "it is in no list yet");
    server.kill();
    kill_process(worker, Signal::KILL).expect("it was stopped");

    let server = Server::start_on(&server.data, SMALL);
    let found = outcome(&server, "lecture.avi");
    assert_eq!((&found["state"], &found["reason"]), (&json!("done"), &Value::Null));
    assert_eq!(found["broadcast_id"].as_str(), Some(&*id), "the same recording");
    assert!(server.log().contains("reading in goes on"));
    for (name, bytes) in names.iter().zip(&before) {
        assert!(media(&server, name) == *bytes, "{name} has other bytes now");
    }
    let went_on = play(&server, &id, "went on");
    let undisturbed = made.path().join("undisturbed.avi");
    fs::copy(&file, &undisturbed).expect("room");
    hand_in(&server, &undisturbed);
    let other = outcome(&server, "undisturbed.avi");
    let undisturbed = play(&server, other["broadcast_id"].as_str().expect("a recording"), "undisturbed");
    assert!((seconds(&server, &id) - 60.0).abs() < 0.1, "{}", seconds(&server, &id));
    assert_eq!(tools::times(&went_on, "v"), tools::times(&undisturbed, "v"));
    assert_eq!(tools::times(&went_on, "a"), tools::times(&undisturbed, "a"));
    // It may have gone on behind what was listed; its media begins at one second.
    let log = server.log();
    let end = log.split("done_s=").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("where it went on");
    let end = end.parse::<f64>().expect("seconds") - 1.0;
    for at in [1.0, end - 0.5, end + 0.02, end + 0.5, 50.0] {
        let off = difference(&look(&went_on, at), &look(&undisturbed, at));
        assert!(off < 3.0, "at {at} s it looks other than undisturbed, by {off}");
    }
    fsck(server.data.path());
}

#[test]
fn a_power_cut_in_the_middle_of_a_file_that_is_passed_on_changes_nothing_of_what_comes_of_it() {
    let disk = Disk::new();
    let data = Arc::new(tempfile::tempdir_in(disk.mount_point()).expect("room"));
    add_account(data.path(), ADMIN, "admin");
    let flags = [SMALL, &["--min-free-bytes", "0"]].concat();
    let mut server = Server::start_on(&data, &flags);
    let (minute, file) = (disk.home().join("minute.mp4"), disk.home().join("long.mp4"));
    ffmpeg("-f lavfi -i testsrc=size=160x90:rate=5:duration=60 -c:v libx264 -pix_fmt yuv420p -g 10", &minute);
    ffmpeg(&format!("-stream_loop 599 -i {} -c copy", minute.display()), &file);
    hand_in(&server, &file);
    let (id, worker) = halt(&server, "long.mp4");
    disk.cut();
    server.kill();
    kill_process(worker, Signal::KILL).expect("it was stopped");
    disk.come_back();

    let server = Server::start_on(&data, &flags);
    let found = outcome(&server, "long.mp4");
    assert_eq!((&found["state"], &found["reason"]), (&json!("done"), &Value::Null));
    assert_eq!(found["broadcast_id"].as_str(), Some(&*id), "the same recording");
    assert!(server.log().contains("reading in goes on"));
    let undisturbed = disk.home().join("undisturbed.mp4");
    fs::rename(&file, &undisturbed).expect("one disk");
    hand_in(&server, &undisturbed);
    let other = outcome(&server, "undisturbed.mp4")["broadcast_id"].as_str().expect("a recording").to_owned();
    let download = |id: &str| {
        let reply = server.admin.get(&format!("/media/{id}/download.mp4"));
        assert_eq!(reply.status, 200);
        tools::write(disk.home(), &format!("{id}.mp4"), &reply.body)
    };
    let (went_on, undisturbed) = (download(&id), download(&other));
    assert_eq!(streams(tools::as_text(&went_on)), streams(tools::as_text(&undisturbed)));
    assert_eq!(seconds(&server, &id), seconds(&server, &other));
    assert_eq!(server.broadcast(&id)["gaps"], server.broadcast(&other)["gaps"]);
    fsck(data.path());
}

#[test]
fn a_file_that_is_still_being_copied_is_left_alone() {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let file = made.path().join("slow.mp4");
    ffmpeg(&format!("-f lavfi -i {PICTURE} -c:v libx264 -pix_fmt yuv420p"), &file);
    let whole = fs::read(&file).expect("it is made");
    let mut copy = fs::File::create(folder(&server, "").join("slow.mp4")).expect("room");
    fs::write(folder(&server, "").join("other.mp4.part"), &whole).expect("room");
    let (first, rest) = whole.split_at(whole.len() / 2);
    copy.write_all(first).expect("room");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(imports(&server), Vec::<Value>::new());
    copy.write_all(rest).expect("room");
    drop(copy);
    assert_eq!(outcome(&server, "slow.mp4")["state"], "done");
    // The same name again is another file, and nothing is overwritten.
    hand_in(&server, &file);
    until("the second to be done", || {
        let done = imports(&server).into_iter().filter(|import| import["state"] == "done").count();
        (done == 2 && folder(&server, "done").join("slow-2.mp4").exists()).then_some(())
    });
    assert_eq!(imports(&server).len(), 2, "what says that it is a part is none");
}

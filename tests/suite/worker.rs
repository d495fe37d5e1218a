//! The worker process by itself: the real executable over a real socketpair, its parts checked with ffprobe and ffmpeg.
#![allow(clippy::unwrap_used)] // a test that cannot go on shall say where

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use siaran::base::clock;
use siaran::base::terms::Content;
use siaran::media::protocol::*;
use siaran::media::rungs::Rung;

use crate::tools;

/// A worker, its messages with the time they came (running time, ns), and what it has said so far.
struct Worker {
    child: Child,
    socket: UnixStream,
    incoming: Receiver<(u64, FromWorker)>,
    seen: Vec<(u64, FromWorker)>,
}

impl Worker {
    fn start(task: Task) -> Self {
        let (here, there) = UnixStream::pair().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_siaran"))
            .args(["worker", "capture"])
            .stdin(Stdio::from(OwnedFd::from(there)))
            .spawn()
            .unwrap();
        let base_ns = clock::monotonic_ns().saturating_sub(10_000_000_000);
        let (sender, incoming) = mpsc::channel();
        let mut reading = here.try_clone().unwrap();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut reading) {
                if sender.send((clock::monotonic_ns() - base_ns, message)).is_err() {
                    return;
                }
            }
        });
        let mut worker = Self { child, socket: here, incoming, seen: Vec::new() };
        worker.say(&ToWorker::Start(Start { version: VERSION, base_ns, left_out: Vec::new(), task }));
        worker
    }

    fn say(&mut self, message: &ToWorker) {
        let body = postcard::to_stdvec(message).unwrap();
        self.socket.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        self.socket.write_all(&body).unwrap();
    }

    /// Waits for a message like this.
    fn until(&mut self, what: &str, like: impl Fn(&FromWorker) -> bool) -> FromWorker {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message =
                self.incoming.recv_timeout(left).unwrap_or_else(|_| panic!("waited for {what}: {:?}", self.kinds()));
            let found = like(&message.1);
            self.seen.push(message.clone());
            if found {
                return message.1;
            }
        }
    }

    /// Waits until the media of all parts lasts this long.
    fn until_seconds(&mut self, seconds: u64) {
        while self.parts().iter().map(|p| u64::from(p.duration)).sum::<u64>() < seconds * 90_000 {
            self.until("a part", |m| matches!(m, FromWorker::Part(_)));
        }
    }

    fn stop(&mut self) {
        self.say(&ToWorker::Stop);
        self.until("the end", |m| *m == FromWorker::Ended);
        assert!(self.child.wait().unwrap().success());
    }

    fn parts(&self) -> Vec<&Part> {
        self.seen.iter().filter_map(|(_, m)| if let FromWorker::Part(part) = m { Some(part) } else { None }).collect()
    }

    fn inits(&self) -> Vec<&Init> {
        self.seen.iter().filter_map(|(_, m)| if let FromWorker::Init(init) = m { Some(init) } else { None }).collect()
    }

    /// What came, as a file for each init.
    fn files(&self) -> Vec<Media> {
        let mut files: Vec<Vec<u8>> = Vec::new();
        for (_, message) in &self.seen {
            match message {
                FromWorker::Init(init) => files.push(init.bytes.to_vec()),
                FromWorker::Part(part) => files.last_mut().expect("an init first").extend_from_slice(&part.bytes),
                _ => {}
            }
        }
        files.into_iter().map(Media::new).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let name = |m: &FromWorker| format!("{m:?}").chars().take(60).collect();
        self.seen.iter().rev().take(5).map(|(_, m)| name(m)).collect()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn read(socket: &mut UnixStream) -> Option<FromWorker> {
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut body).ok()?;
    Some(postcard::from_bytes(&body).expect("a message"))
}

struct Media {
    _folder: tempfile::TempDir,
    path: String,
}

impl Media {
    fn new(bytes: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = tools::as_text(&tools::write(folder.path(), "media.mp4", &bytes)).to_owned();
        Self { _folder: folder, path }
    }

    /// Samples of the left channel at 48 kHz from the first audio packet on.
    fn sound(&self) -> Vec<f32> {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i", &self.path, "-map", "0:a", "-af", "pan=mono|c0=c0", "-f", "f32le", "-"])
            .output()
            .unwrap();
        output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }
}

/// No gap, none too long, none too short but before a keyframe or a break.
fn check_rules(parts: &[&Part], target: u32) {
    for pair in parts.windows(2) {
        let (part, next) = (pair[0], pair[1]);
        assert!(part.duration <= target, "{} of {target}", part.duration);
        let end = part.start + u64::from(part.duration);
        assert!(next.start == end || (next.discontinuity && next.start > end), "{} then {}", end, next.start);
        assert!(!next.discontinuity || next.independent);
        if !next.independent {
            assert!(part.duration * 100 >= target * 85, "{} of {target}", part.duration);
        }
    }
}

fn rung(width: u32, height: u32) -> Vec<Rung> {
    vec![Rung { width, height, kbps: 2500 }]
}

fn test_pattern() -> Capture {
    Capture {
        video: VideoInput::TestPattern,
        audio: AudioInput::TestTone,
        content: Content::Talk,
        rungs: rung(1280, 720),
        frame_rate: 30,
        part_ms: 200,
    }
}

#[test]
fn the_test_pattern_gives_equal_parts_that_decode() {
    let mut worker = Worker::start(Task::Capture(test_pattern()));
    worker.until("hello", |m| matches!(m, FromWorker::Hello { version: VERSION }));
    worker.until_seconds(6);
    worker.stop();

    let parts = worker.parts();
    // The last one is what there was of it when the worker was stopped.
    let durations: Vec<_> = parts.iter().map(|p| p.duration).collect();
    assert!(durations[..parts.len() - 1].iter().all(|duration| *duration == 18_000), "{durations:?}");
    check_rules(&parts, 18_000);
    assert!(parts[0].independent && parts.iter().filter(|p| p.independent).count() >= 6);
    let init = worker.inits()[0];
    assert!(init.has_audio && (init.width, init.height, init.frame_rate_milli) == (1280, 720, 30_000));
    let media = &worker.files()[0];
    tools::decode(&media.path);
    assert_eq!(tools::codecs(&media.path), ["h264", "aac"]);
    let audio = tools::packets(&media.path, "a");
    assert!(audio.windows(2).all(|w| (w[1].0 - w[0].0 - 1024.0 / 48000.0).abs() < 0.0001));

    let jpeg =
        worker.seen.iter().find_map(|(_, m)| if let FromWorker::Snapshot { jpeg } = m { Some(jpeg) } else { None });
    assert!(jpeg.unwrap().starts_with(&[0xff, 0xd8]));
    let levels = worker
        .seen
        .iter()
        .filter_map(|(_, m)| if let FromWorker::Level(level) = m { Some(level.peak_db[0]) } else { None });
    let levels: Vec<f32> = levels.collect();
    assert!(levels.len() > 40 && levels.iter().any(|l| *l > -15.0) && levels.iter().any(|l| *l < -30.0), "{levels:?}");
    report_delay(&worker, 33.4);
}

#[test]
fn a_keyframe_comes_when_asked_for_and_begins_a_part() {
    let mut worker = Worker::start(Task::Capture(Capture { rungs: rung(640, 360), ..test_pattern() }));
    worker.until_seconds(2);
    // Right after a part that begins with the regular keyframe, the next one by itself is a second away.
    worker.until("a keyframe", |m| matches!(m, FromWorker::Part(part) if part.independent));
    let asked = worker.parts().len();
    worker.say(&ToWorker::Keyframe);
    worker.until("the keyframe", |m| matches!(m, FromWorker::Part(part) if part.independent));
    assert!(worker.parts().len() - asked <= 3, "{} parts later", worker.parts().len() - asked);
    worker.stop();
    check_rules(&worker.parts(), 18_000);
    tools::decode(&worker.files()[0].path);
}

/// The tone ticks when the wall clock's second changes, and each frame has the wall clock painted in: both must tell the
/// same second at the same media time.
#[test]
fn sound_and_picture_of_the_test_pattern_are_together() {
    let mut worker = Worker::start(Task::Capture(Capture { rungs: rung(640, 360), ..test_pattern() }));
    worker.until_seconds(5);
    worker.stop();
    let media = &worker.files()[0];
    let sound = media.sound();
    let start = tools::packets(&media.path, "a")[0].0;
    let ticks: Vec<f64> = (4800..sound.len())
        .filter(|n| sound[*n].abs() > 0.1 && sound[n - 4800..*n].iter().all(|s| s.abs() < 0.1))
        .map(|n| start + n as f64 / 48000.0)
        .collect();
    assert!(ticks.len() >= 3, "{ticks:?}");
    let frames = painted_times(&media.path);
    let shown: Vec<f64> = tools::packets(&media.path, "v").into_iter().map(|(pts, _)| pts).collect();
    for tick in ticks {
        // The wall time at the tick, by the frames around it.
        let after = shown.iter().position(|pts| *pts > tick).unwrap().max(1);
        // Only 24 bits of it are painted; the rest is as now.
        let now = clock::wall_ms();
        let painted = now - (now - i64::from(frames[after])).rem_euclid(1 << 24);
        let wall = painted as f64 - (shown[after] - tick) * 1000.0;
        let off = (wall + 500.0).rem_euclid(1000.0) - 500.0;
        assert!(off.abs() < 40.0, "the sound is {off:.1} ms off the picture");
        println!("the sound is {off:.1} ms off the picture");
    }
}

/// The milliseconds painted into each frame: 24 cells between two references, 10 to 22 % down the picture.
fn painted_times(path: &str) -> Vec<u32> {
    let (width, height) = (640, 360);
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-i",
            path,
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ])
        .output()
        .unwrap();
    let cell = |frame: &[u8], n: usize| frame[height * 16 / 100 * width + (2 * n + 1) * width / 56] > 128;
    let frames = output.stdout.chunks_exact(width * height);
    frames.map(|frame| (2..26).fold(0, |word, n| word << 1 | u32::from(cell(frame, n)))).collect()
}

#[test]
fn a_worker_without_its_parent_is_gone_at_once() {
    let mut worker = Worker::start(Task::Capture(Capture { rungs: rung(320, 180), ..test_pattern() }));
    worker.until_seconds(1);
    worker.socket.shutdown(std::net::Shutdown::Both).unwrap();
    let asked = Instant::now();
    while worker.child.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_machine_tells_its_devices_even_if_it_has_none() {
    let mut worker = Worker::start(Task::Devices);
    worker.until("devices", |m| matches!(m, FromWorker::Devices(_)));
    worker.stop();
}

#[test]
fn encoders_are_timed_and_missing_ones_told() {
    let time = |name: &str| {
        let mut worker = Worker::start(Task::Encoder(String::from(name)));
        match worker.until("its speed", |m| matches!(m, FromWorker::Speed(_))) {
            FromWorker::Speed(speed) => speed,
            other => panic!("{other:?}"),
        }
    };
    assert!(time("x264enc").is_ok_and(|fps| fps > 1.0));
    assert_eq!(time("nosuchenc"), Err(String::from("not installed")));
}

#[test]
fn a_camera_that_is_not_there_shows_the_slate_and_says_so() {
    let video = VideoInput::Camera(String::from("camera-nowhere"));
    let audio = AudioInput::Microphone(String::from("microphone-nowhere"));
    let mut worker = Worker::start(Task::Capture(Capture { video, audio, rungs: rung(640, 360), ..test_pattern() }));
    worker
        .until("trouble", |m| matches!(m, FromWorker::Error { code: ErrorCode::CameraUnavailable, fatal: false, .. }));
    worker.until("the state", |m| *m == FromWorker::State(SourceState::VideoLost));
    worker.until_seconds(2);
    worker.stop();
    check_rules(&worker.parts(), 18_000);
    tools::decode(&worker.files()[0].path);
}

/// Prints how long after its last frame's time a part came: for people, since a busy machine is no fault.
fn report_delay(worker: &Worker, frame_ms: f64) {
    let mut delays: Vec<f64> = worker
        .seen
        .iter()
        .filter_map(|(at, m)| if let FromWorker::Part(part) = m { Some((at, part)) } else { None })
        .map(|(at, part)| *at as f64 / 1e6 - (part.start + u64::from(part.duration)) as f64 / 90.0 + frame_ms)
        .collect();
    delays.sort_by(f64::total_cmp);
    println!(
        "a part comes {:.0} ms after its last frame (p50), {:.0} ms (p95)",
        delays[delays.len() / 2],
        delays[delays.len() * 95 / 100]
    );
}

/// Tags of an FLV file that ffmpeg makes.
fn flv(arguments: &str) -> Vec<FlvTag> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("media.flv");
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split_whitespace())
        .args(["-f", "flv"])
        .arg(&path)
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = std::fs::read(path).unwrap();
    let mut rest = &file[13..];
    let mut tags = Vec::new();
    while rest.len() > 11 {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u32, b| n << 8 | u32::from(*b));
        let size = number(&rest[1..4]) as usize;
        let timestamp_ms = number(&rest[4..7]) | u32::from(rest[7]) << 24;
        let body = rest[11..11 + size].to_vec().into();
        match rest[0] {
            8 => tags.push(FlvTag { kind: TagKind::Audio, timestamp_ms, body }),
            9 => tags.push(FlvTag { kind: TagKind::Video, timestamp_ms, body }),
            _ => {}
        }
        rest = &rest[15 + size..];
    }
    tags
}

const SOUND: &str = "-f lavfi -i sine=frequency=440:sample_rate=48000 -c:a aac -b:a 96k";

fn pictures(size: &str, rate: &str, more: &str) -> String {
    format!("-f lavfi -i testsrc2=size={size}:rate={rate} {SOUND} -t 5 -pix_fmt yuv420p -c:v libx264 {more}")
}

/// Feeds a publisher's worker with all tags and stops it.
fn publish(tags: &[FlvTag]) -> Worker {
    let mut worker = Worker::start(Task::Publisher { part_ms: 200, not_before: 0 });
    for tag in tags {
        worker.say(&ToWorker::Tag(tag.clone()));
    }
    worker.stop();
    let target = worker.inits().iter().map(|init| init.part_target).max().unwrap();
    check_rules(&worker.parts(), target);
    worker.files().iter().for_each(|media| tools::decode(&media.path));
    worker
}

/// The whole publish comes out in parts of `part` ticks, every frame at its time.
fn check_even(rate: &str, more: &str, part: u32, frame: f64) {
    let worker = publish(&flv(&pictures("640x360", rate, more)));
    let media = &worker.files()[0];
    assert_eq!(worker.inits().len(), 1);
    assert!((part..=part + 1).contains(&worker.inits()[0].part_target));
    let whole = worker.parts().iter().filter(|p| p.duration == part).count();
    assert!(whole + 6 >= worker.parts().len(), "{:?}", worker.parts().iter().map(|p| p.duration).collect::<Vec<_>>());
    let mut shown: Vec<f64> = tools::packets(&media.path, "v").into_iter().map(|(pts, _)| pts).collect();
    shown.sort_by(f64::total_cmp);
    assert_eq!(shown.len(), (5.0 / frame).round() as usize);
    assert!(shown.windows(2).all(|w| (w[1] - w[0] - frame).abs() < 0.0005), "{shown:?}");
    let audio = tools::packets(&media.path, "a");
    assert!(audio.windows(2).all(|w| (w[1].0 - w[0].0 - 1024.0 / 48000.0).abs() < 0.0001));
    assert!((audio[0].0 - shown[0]).abs() < 0.09, "{} against {}", audio[0].0, shown[0]);
}

#[test]
fn a_publisher_at_thirty_a_second_is_passed_on_as_it_is() {
    check_even("30", "-tune zerolatency -g 30", 18_000, 1.0 / 30.0);
}

#[test]
fn a_publisher_with_b_frames_keeps_its_order() {
    check_even("25", "-bf 3 -g 50", 18_000, 0.04);
}

#[test]
fn a_publisher_at_film_speed_has_parts_of_whole_frames() {
    check_even("24", "-bf 2 -g 48", 18_750, 1.0 / 24.0);
    check_even("30000/1001", "-bf 0 -g 60", 18_018, 1001.0 / 30000.0);
}

#[test]
fn a_publisher_without_sound_starts_with_the_picture_alone() {
    let mut tags = flv(&pictures("320x180", "30", "-g 30"));
    tags.retain(|tag| tag.kind == TagKind::Video);
    let worker = publish(&tags);
    assert!(!worker.inits()[0].has_audio);
    assert_eq!(tools::packets(&worker.files()[0].path, "v").len(), 150);
}

#[test]
fn sound_that_comes_late_gets_its_track() {
    let mut tags = flv(&pictures("320x180", "30", "-g 30"));
    let config = tags.iter().position(|tag| tag.kind == TagKind::Audio).unwrap();
    let mut config = tags.remove(config);
    tags.retain(|tag| tag.kind == TagKind::Video || tag.timestamp_ms > 2000);
    let first = tags.iter().position(|tag| tag.kind == TagKind::Audio).unwrap();
    config.timestamp_ms = tags[first].timestamp_ms;
    tags.insert(first, config);
    let worker = publish(&tags);
    assert_eq!(worker.inits().iter().map(|init| init.has_audio).collect::<Vec<_>>(), [false, true]);
    let files = worker.files();
    assert_eq!(
        tools::packets(&files[0].path, "v").len() + tools::packets(&files[1].path, "v").len(),
        150,
        "no frame is lost at the change"
    );
    assert!(tools::packets(&files[1].path, "a").len() > 80);
}

#[test]
fn time_stamps_that_wrap_are_no_break() {
    let mut tags = flv(&pictures("320x180", "30", "-g 30"));
    for tag in &mut tags {
        tag.timestamp_ms = tag.timestamp_ms.wrapping_add(u32::MAX - 2000);
    }
    let worker = publish(&tags);
    assert_eq!(worker.parts().iter().filter(|p| p.discontinuity).count(), 1, "only the first");
    assert_eq!(tools::packets(&worker.files()[0].path, "v").len(), 150);
}

#[test]
fn another_resolution_in_mid_publish_is_another_init() {
    let mut tags = flv(&pictures("320x180", "30", "-g 30"));
    let mut second = flv(&pictures("640x360", "25", "-g 25 -bf 0"));
    second.iter_mut().for_each(|tag| tag.timestamp_ms += 5000);
    tags.extend(second);
    let worker = publish(&tags);
    let widths: Vec<_> = worker.inits().iter().map(|init| init.width).collect();
    assert_eq!(widths, [320, 640]);
    assert_eq!(tools::packets(&worker.files()[1].path, "v").len(), 125);
}

#[test]
fn time_stamps_that_jump_break_the_timeline_and_go_on() {
    let mut tags = flv(&pictures("320x180", "30", "-g 15"));
    for tag in tags.iter_mut().filter(|tag| tag.timestamp_ms >= 2500) {
        tag.timestamp_ms += 1_000_000;
    }
    let worker = publish(&tags);
    let parts = worker.parts();
    assert_eq!(parts.iter().filter(|p| p.discontinuity).count(), 2);
    let (first, last) = (parts[0].start, parts[parts.len() - 1].start);
    assert!(last - first < 20 * 90_000, "the jump is not in the media's time");
}

#[test]
fn another_codec_is_refused_in_words() {
    let tags = flv("-f lavfi -i testsrc2=size=320x180:rate=30 -t 1 -c:v flv1");
    let mut worker = Worker::start(Task::Publisher { part_ms: 200, not_before: 0 });
    worker.say(&ToWorker::Tag(tags[0].clone()));
    let error = worker.until("an error", |m| matches!(m, FromWorker::Error { .. }));
    let FromWorker::Error { code, message, fatal } = error else { unreachable!() };
    assert!(code == ErrorCode::UnsupportedCodec && fatal && message.contains("H.264"), "{message}");
    assert!(!worker.child.wait().unwrap().success());
}

#[test]
fn a_publisher_is_looked_at_and_listened_to() {
    let mut worker = Worker::start(Task::Publisher { part_ms: 200, not_before: 0 });
    for tag in flv(&pictures("640x360", "30", "-g 30")) {
        worker.say(&ToWorker::Tag(tag));
    }
    let mut wanted = [false; 2];
    while wanted != [true; 2] {
        let seen =
            worker.until("a snapshot and a level", |m| matches!(m, FromWorker::Snapshot { .. } | FromWorker::Level(_)));
        match seen {
            FromWorker::Snapshot { jpeg } => wanted[0] |= jpeg.starts_with(&[0xff, 0xd8]),
            FromWorker::Level(level) => wanted[1] |= level.peak_db[0] > -40.0,
            _ => {}
        }
    }
    worker.stop();
}

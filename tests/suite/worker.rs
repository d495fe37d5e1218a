//! The worker process by itself: the real executable over a real socketpair, its parts checked with ffprobe and ffmpeg.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;
use siaran::base::clock;
use siaran::media::protocol::*;

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
        let base_ns = clock::monotonic_ns() - 10_000_000_000;
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
        worker.say(&ToWorker::Start(Start { version: VERSION, base_ns, task }));
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

    /// All media that came, as one file: each init in its place.
    fn file(&self, name: &str) -> Media {
        let mut bytes = Vec::new();
        for (_, message) in &self.seen {
            match message {
                FromWorker::Init(init) => bytes.extend_from_slice(&init.bytes),
                FromWorker::Part(part) => bytes.extend_from_slice(&part.bytes),
                _ => {}
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Media { _folder: folder, path: path.to_str().unwrap().to_owned() }
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
    /// Decodes all of it; there must be nothing to complain about.
    fn decode(&self) {
        let output = Command::new("ffmpeg")
            .args(["-v", "warning", "-xerror", "-i", &self.path, "-f", "null", "-"])
            .output()
            .expect("ffmpeg is installed");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    }

    /// Presentation time and duration in seconds of each packet of a stream.
    fn packets(&self, stream: &str) -> Vec<(f64, f64)> {
        let found = self.probe(&["-select_streams", stream, "-show_packets"]);
        let number = |packet: &Value, key: &str| packet[key].as_str().unwrap().parse::<f64>().unwrap();
        let packets = found["packets"].as_array().unwrap();
        packets.iter().map(|p| (number(p, "pts_time"), number(p, "duration_time"))).collect()
    }

    fn streams(&self) -> Value {
        self.probe(&["-show_streams"])["streams"].clone()
    }

    fn probe(&self, arguments: &[&str]) -> Value {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-of", "json"])
            .args(arguments)
            .arg(&self.path)
            .output()
            .expect("ffprobe is installed");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Samples of the left channel at 48 kHz, from the first sound on.
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

fn test_pattern() -> Capture {
    Capture {
        video: VideoInput::TestPattern,
        audio: AudioInput::TestTone,
        width: 1280,
        height: 720,
        frame_rate: 30,
        video_kbps: 2500,
        part_ms: 200,
        encoder: None,
    }
}

#[test]
fn the_test_pattern_gives_equal_parts_that_decode() {
    let mut worker = Worker::start(Task::Capture(test_pattern()));
    worker.until("hello", |m| matches!(m, FromWorker::Hello { version: VERSION }));
    worker.until_seconds(6);
    worker.stop();

    let parts = worker.parts();
    assert!(
        parts.iter().all(|p| p.duration == 18_000 || parts.len() < 2),
        "{:?}",
        parts.iter().map(|p| p.duration).collect::<Vec<_>>()
    );
    check_rules(&parts, 18_000);
    assert!(parts[0].independent && parts.iter().filter(|p| p.independent).count() >= 6);
    let init = worker.inits()[0];
    assert!(init.has_audio && (init.width, init.height, init.frame_rate_milli) == (1280, 720, 30_000));
    let media = worker.file("pattern.mp4");
    media.decode();
    assert_eq!(media.streams().as_array().unwrap().len(), 2);
    let audio = media.packets("a");
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

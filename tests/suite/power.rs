//! Power cuts: the data lies on an ext4 image of its own, which is cut off in mid-flight (FS_IOC_SHUTDOWN, without flushing
//! the journal) and mounted again. What was acknowledged before the cut is there after it. Needs root.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::playlist_rules::Playlist;
use crate::server::{ADMIN, BINARY, PASSWORD, SMALL, Server, add_account, playlist, run_to_end, until};
use crate::tools;

/// The most media that a cut may cost, seconds.
const LOSS: f64 = 1.5;

/// An ext4 file system in a file.
pub struct Disk {
    home: TempDir,
    mount: PathBuf,
}

impl Disk {
    pub fn new() -> Disk {
        let home = tempfile::tempdir().expect("a temporary directory");
        let (image, mount) = (home.path().join("image"), home.path().join("mount"));
        File::create(&image).and_then(|file| file.set_len(512 << 20)).expect("room");
        std::fs::create_dir(&mount).expect("room");
        // Nothing of its own making is left for later.
        run(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&image));
        let disk = Disk { home, mount };
        disk.mount();
        disk
    }

    pub fn mount_point(&self) -> &Path {
        &self.mount
    }

    /// A folder on another disk.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.home.path().join("image")).arg(&self.mount));
    }

    /// Sectors of 512 bytes written to the device, and flushes, so far (Documentation/block/stat.rst of Linux).
    fn written(&self) -> (u64, u64) {
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.device())).expect("a device");
        let fields: Vec<u64> = stat.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        (fields[6], fields[15])
    }

    /// From here on nothing reaches the image, and what has not reached it is gone.
    pub fn cut(&self) {
        let folder = File::open(&self.mount).expect("it is mounted");
        shut_down(&folder);
    }

    pub fn come_back(&self) {
        // A process that was killed lets go of it when all its threads are gone.
        let unmounted = || Command::new("umount").arg(&self.mount).output().expect("it is installed").status.success();
        until("nobody to use the disk", || unmounted().then_some(()));
        // Whoever else still sees it would give us the file system that was cut off, not the image.
        until("the disk to be free", || self.device().is_empty().then_some(()));
        self.mount();
    }

    /// The loop device's name; empty without one.
    fn device(&self) -> String {
        let image = self.home.path().join("image");
        let device = Command::new("losetup").arg("--noheadings").args(["--output", "NAME", "-j"]).arg(image).output();
        let device = String::from_utf8(device.expect("losetup is there").stdout).expect("a name");
        device.trim().trim_start_matches("/dev/").to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What still runs on it is about to be killed.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
    }
}

/// FS_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
#[allow(unsafe_code)]
fn shut_down(folder: &File) {
    const OPCODE: rustix::ioctl::Opcode = rustix::ioctl::opcode::read::<u32>(b'X', 125);
    // SAFETY: the call reads one u32 by the pointer that `Setter` gives it.
    let done = unsafe { rustix::ioctl::ioctl(folder, rustix::ioctl::Setter::<OPCODE, u32>::new(2)) };
    done.expect("root may shut an ext4 down");
}

fn run(command: &mut Command) {
    let output = command.output().expect("it is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Recordings are as their index says, byte for byte.
pub fn fsck(data: &Path) {
    let output = run_to_end(Command::new(BINARY).args(["fsck", "--data"]).arg(data));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// Pseudo-random numbers that a printed seed brings back.
pub struct Dice(u64);

impl Dice {
    pub fn new() -> Dice {
        let seed = std::env::var("CHAOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15);
        Dice::from(seed)
    }

    pub fn from(seed: u64) -> Dice {
        println!("CHAOS_SEED={seed}");
        Dice(seed.max(1))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        // Xorshift64*.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    pub fn sleep(&mut self, from: u64, to: u64) {
        std::thread::sleep(Duration::from_millis(from + self.below(to - from)));
    }
}

/// What a viewer had seen of a broadcast.
pub struct Seen {
    id: String,
    pub playlist: Playlist,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Seen {
    /// The playlist now, and bytes of its newest segments and parts.
    pub fn take(server: &Server, id: &str) -> Seen {
        let playlist = playlist(server, id);
        let mut bytes = BTreeMap::new();
        let newest = playlist.segments.iter().rev().take(3);
        let uris = newest.filter(|segment| !segment.gap).flat_map(|segment| {
            segment.uri.iter().chain(segment.parts.iter().map(|part| &part.uri)).cloned().collect::<Vec<_>>()
        });
        for uri in uris {
            let reply = server.stranger().get(&format!("/media/{id}/av/{uri}"));
            if reply.status == 200 {
                bytes.insert(uri, reply.body);
            }
        }
        Seen { id: id.to_owned(), playlist, bytes }
    }

    /// When the newest media ended, seconds since 1970.
    fn end(&self) -> f64 {
        end(&self.playlist)
    }

    /// Nothing that was listed has changed: a name means the same bytes for ever, or nothing.
    pub fn still_holds(&self, server: &Server) -> Playlist {
        let now = playlist(server, &self.id);
        for old in &self.playlist.segments {
            let Some(uri) = &old.uri else { continue };
            if let Some(new) = now.segments.iter().find(|new| new.uri.as_ref() == Some(uri) && !new.gap) {
                assert_eq!((new.msn, new.duration, new.date), (old.msn, old.duration, old.date), "{uri}");
            }
        }
        for (uri, bytes) in &self.bytes {
            let reply = server.stranger().get(&format!("/media/{}/av/{uri}", self.id));
            assert!(matches!(reply.status, 200 | 404), "{uri}: {}", reply.status);
            assert!(reply.status == 404 || reply.body == *bytes, "{uri} has other bytes now");
        }
        now
    }
}

/// When a playlist's media ends, seconds since 1970.
pub fn end(playlist: &Playlist) -> f64 {
    let last = playlist.segments.iter().rfind(|segment| !segment.gap).expect("media");
    last.date.expect("a time") + last.duration
}

/// Flags of a server whose reels are short, so that cuts meet rotations, and that does not go on air by itself. One round in
/// five has two renditions.
fn flags(round: u32) -> Vec<&'static str> {
    let ladder = &["--video-height", "480", "--video-kbps", "600", "--frame-rate", "15", "--ladder", "on"];
    let picture = if round % 5 == 3 { ladder } else { SMALL };
    [picture, &["--reel-s", "2", "--resume-s", "0", "--min-free-bytes", "0"]].concat()
}

#[test]
fn ten_power_cuts_lose_nothing_that_was_acknowledged() {
    power_cuts(10, Dice::new());
}

/// `make chaos`.
#[test]
#[ignore = "takes a quarter of an hour"]
fn two_hundred_power_cuts() {
    power_cuts(200, Dice::new());
}

/// `make chaos`: what reaches the disk beyond the media's own bytes, and how often it is flushed, at 4 Mbit/s; and nothing at
/// all from an idle box.
#[test]
#[ignore = "takes three minutes"]
fn writing_is_cheap() {
    let disk = Disk::new();
    let data = Arc::new(tempfile::tempdir_in(&disk.mount).expect("room"));
    add_account(data.path(), ADMIN, "admin");
    let server = Server::start_on(&data, &["--video-kbps", "4000", "--ladder", "off", "--min-free-bytes", "0"]);
    let minute = Duration::from_secs(60);
    // Once: how fast its encoders are. What the file system puts off comes half a minute later.
    until("the encoder to be timed", || server.log().contains("timed the encoder").then_some(()));
    run(&mut Command::new("sync"));
    std::thread::sleep(minute);
    let before = disk.written();
    std::thread::sleep(minute);
    let idle = disk.written();
    assert_eq!(idle, before, "an idle box writes");

    let id = server.go_live("Writing");
    std::thread::sleep(minute / 4);
    let media = || -> u64 {
        let files = std::fs::read_dir(data.path().join("reels")).expect("reels").map(|entry| entry.expect("an entry"));
        files.map(|file| file.metadata().expect("a file").len()).sum()
    };
    let (before, size) = (disk.written(), media());
    std::thread::sleep(minute);
    let (after, media) = (disk.written(), (media() - size) as f64);
    server.end(&id);
    let (written, flushes) = ((after.0 - before.0) as f64 * 512.0, (after.1 - before.1) as f64 / 60.0);
    println!("{:.3} bytes written per byte of media, {flushes:.2} flushes a second", written / media);
    assert!(written / media <= 1.10 && flushes <= 4.0);
}

fn power_cuts(rounds: u32, mut dice: Dice) {
    let disk = Disk::new();
    let data = Arc::new(tempfile::tempdir_in(&disk.mount).expect("room"));
    add_account(data.path(), ADMIN, "admin");
    let mut server = Server::start_on(&data, &flags(0));
    let mut recordings: BTreeMap<String, Seen> = BTreeMap::new();
    let mut worst = 0.0_f64;
    for round in 0..rounds {
        let title = format!("Round {round}");
        let id = server.go_live("Before the cut");
        server.until_duration(&id, 1.0);
        dice.sleep(100, 5000);
        let (status, _) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": title})));
        assert_eq!(status, 200);
        let name = format!("nurse{round}");
        server.post("/accounts", json!({"username": name, "password": PASSWORD, "role": "viewer"}));
        let mut seen = Seen::take(&server, &id);
        let mut ended = false;
        let mut doomed = None;
        match dice.below(4) {
            // In the middle of a broadcast.
            0 | 1 => dice.sleep(0, 1),
            // At its end: acknowledged, or not yet.
            2 => {
                std::thread::scope(|scope| {
                    let end = scope.spawn(|| server.call("POST", &format!("/broadcasts/{id}/end"), None).0 == 200);
                    let patience = dice.below(80);
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_millis(patience) && !end.is_finished() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let acknowledged = end.is_finished();
                    if acknowledged {
                        seen = Seen::take(&server, &id);
                    }
                    disk.cut();
                    ended = acknowledged && end.join().expect("no panic");
                });
            }
            // While an older recording is deleted for good.
            _ => {
                if let Some(old) = recordings.keys().next().cloned() {
                    assert_eq!(server.call("DELETE", &format!("/broadcasts/{old}"), None).0, 204);
                    let gone = std::thread::scope(|scope| {
                        let delete =
                            scope.spawn(|| server.call("DELETE", &format!("/broadcasts/{old}"), None).0 == 204);
                        dice.sleep(0, 60);
                        let acknowledged = delete.is_finished();
                        disk.cut();
                        acknowledged && delete.join().expect("no panic")
                    });
                    doomed = Some((old, gone));
                }
            }
        }
        disk.cut();
        server.kill();
        drop(server);
        disk.come_back();

        let begin = Instant::now();
        server = Server::start_on(&data, &flags(round + 1));
        println!("round {round}: up after {:?}, ended {ended}, deleting {}", begin.elapsed(), doomed.is_some());
        assert_eq!(server.sign_in(&name, PASSWORD).status, 200, "the account is there");
        let told = server.broadcast(&id);
        assert_eq!((&told["title"], &told["state"]), (&json!(title), &json!("ended")), "{told}");
        let now = seen.still_holds(&server);
        assert!(now.ended);
        let lost = seen.end() - end(&now);
        worst = worst.max(lost);
        assert!(lost <= if ended { 0.001 } else { LOSS }, "{lost} s are lost");
        tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
        let file = tools::write(disk.home.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
        tools::decode(tools::as_text(&file));
        if let Some((doomed, gone)) = doomed {
            recordings.remove(&doomed);
            let reply = server.admin.get(&format!("/api/v1/broadcasts/{doomed}"));
            println!("deleted {gone}, now {}", reply.status);
            assert!(reply.status == 404 || reply.status == 200 && !gone, "{}", reply.status);
            // That it was moved to the trash was acknowledged long before.
            assert!(reply.status == 404 || reply.json()["trashed_at"].is_string(), "{}", reply.text());
        }
        // What was recorded before is as it was, this round's as it is now.
        for old in recordings.values() {
            old.still_holds(&server);
        }
        recordings.insert(id.clone(), Seen::take(&server, &id));
        fsck(data.path());
    }
    println!("at most {worst:.2} s of media lost");
}

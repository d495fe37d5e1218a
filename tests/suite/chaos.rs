//! Everything goes wrong in turn, under a live broadcast with viewers that check every byte: workers and the whole program
//! killed, stopped and cut off from power, the disk full or failing, the clock wrong, readers that stall or hang up,
//! publishers that come and go. At random, from a seed that is printed; the report says what each kind of fault cost.
//! `make chaos` runs it for minutes.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::clocks::{AT_1970, HOUR_BACK, HOURS_2, RIGHT, WallClock};
use crate::disk_faults::{Calls, EIO, FailingDisk};
use crate::playlist_rules::Playlist;
use crate::power::{Dice, Disk, end, fsck};
use crate::restart::same_ports;
use crate::room::until_alarm;
use crate::rtmp::{Publisher, new_key};
use crate::server::{ADMIN, SMALL, Server, add_account, serve_command, until};
use crate::tools;

/// Faults that a run chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    WorkerKilled,
    WorkerCrashed,
    WorkerStopped,
    ProgramKilled,
    PowerCut,
    DiskFull,
    WritesFail,
    SyncsFail,
    ClockStepped,
    ReadersStall,
    ReadersHangUp,
    PublisherKilled,
}

const FAULTS: &[Fault] = &[
    Fault::WorkerKilled,
    Fault::WorkerCrashed,
    Fault::WorkerStopped,
    Fault::ProgramKilled,
    Fault::PowerCut,
    Fault::DiskFull,
    Fault::WritesFail,
    Fault::SyncsFail,
    Fault::ClockStepped,
    Fault::ReadersStall,
    Fault::ReadersHangUp,
    Fault::PublisherKilled,
];

/// Nothing that is promised takes longer than this, even on a machine that does much else.
const RECOVERY: Duration = Duration::from_secs(30);

impl Fault {
    /// The longest time without a new part, seconds beyond the usual, that a viewer may see: what is promised, and what a machine
    /// adds that does much else.
    fn longest_gap(self) -> f64 {
        match self {
            // The disk is taken away and mounted again.
            Fault::PowerCut => 20.0,
            // 3 s are promised.
            Fault::ProgramKilled => 12.0,
            // 2 s are promised.
            Fault::WorkerKilled | Fault::WorkerCrashed | Fault::WorkerStopped => 8.0,
            // Live does not wait for them at all.
            Fault::DiskFull
            | Fault::WritesFail
            | Fault::SyncsFail
            | Fault::ClockStepped
            | Fault::ReadersStall
            | Fault::ReadersHangUp
            | Fault::PublisherKilled => 5.0,
        }
    }

    /// The most that a recording may miss of the broadcast in whose course it happened once, seconds.
    fn longest_hole(self) -> f64 {
        match self {
            // Nothing is written until everybody was told, and a segment longer.
            Fault::DiskFull | Fault::WritesFail | Fault::SyncsFail => 20.0,
            other => other.longest_gap(),
        }
    }
}

/// What a kind of fault cost.
#[derive(Debug, Default, Clone)]
struct Cost {
    times: u32,
    /// Longest time without a new part, seconds, beyond the usual.
    gap: f64,
    /// Most media that was listed and is not in the recording, seconds.
    lost: f64,
}

/// One viewer: follows the playlist as players do, fetches every part once, and asks for old ones again.
struct Viewer {
    stop: Arc<AtomicBool>,
    watched: Arc<Mutex<Watched>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Watched {
    /// When the last new part arrived.
    newest: Option<Instant>,
    /// Longest time between two parts since somebody asked.
    gap: Duration,
    parts: u64,
    bytes: u64,
    playlist: Option<Playlist>,
    /// What must never happen.
    violations: Vec<String>,
}

impl Viewer {
    fn start(server: &Server, id: &str) -> Viewer {
        let (stop, watched) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Watched::default())));
        let (client, base) = (server.stranger(), format!("/media/{id}/av"));
        let (stopped, shared) = (stop.clone(), watched.clone());
        let thread = std::thread::spawn(move || follow(&client, &base, &stopped, &shared));
        Viewer { stop, watched, thread: Some(thread) }
    }

    fn watched<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(&mut self.watched.lock().expect("a viewer does not panic"))
    }

    /// When the newest media that it was told of ends, seconds since 1970.
    fn end(&self) -> f64 {
        self.watched(|watched| watched.playlist.as_ref().map_or(0.0, end))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn follow(client: &Client, base: &str, stop: &AtomicBool, shared: &Mutex<Watched>) {
    let mut bytes: HashMap<String, u32> = HashMap::new();
    let mut before: Option<Playlist> = None;
    let mut turn = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let wanted = before.as_ref().map(next_part).unwrap_or_default();
        let Some((200, body)) = client.try_get(&format!("{base}/index.m3u8{wanted}")) else {
            std::thread::sleep(Duration::from_millis(50));
            // A player whose place is not known any more starts with the plain playlist.
            if turn % 8 == 7 {
                before = None;
            }
            turn += 1;
            continue;
        };
        let playlist = Playlist::read(&String::from_utf8_lossy(&body));
        playlist.check();
        let mut found = before.as_ref().map_or_else(Vec::new, |before| contradictions(before, &playlist));
        let fresh: Vec<String> = playlist
            .segments
            .iter()
            .rev()
            .take(3)
            .flat_map(|segment| segment.parts.iter().map(|part| part.uri.clone()))
            .filter(|uri| !bytes.contains_key(uri))
            .collect();
        for uri in fresh {
            let Some((200, part)) = client.try_get(&format!("{base}/{uri}")) else { continue };
            if !is_whole(&part) {
                found.push(format!("{uri} is not a whole chunk"));
            }
            bytes.insert(uri, crc32c::crc32c(&part));
            let mut watched = shared.lock().expect("nobody panics with it");
            let now = Instant::now();
            watched.gap = watched.gap.max(watched.newest.map_or(Duration::ZERO, |newest| now - newest));
            watched.newest = Some(now);
            watched.parts += 1;
            watched.bytes += part.len() as u64;
        }
        // An old name again: the same bytes, or none.
        turn += 1;
        if let Some((uri, sum)) = bytes.iter().nth(turn * 7 % bytes.len().max(1)) {
            match client.try_get(&format!("{base}/{uri}")) {
                Some((200, again)) if crc32c::crc32c(&again) != *sum => found.push(format!("{uri} has changed")),
                Some((200 | 404 | 503, _)) | None => {}
                Some((status, _)) => found.push(format!("{uri}: {status}")),
            }
        }
        let mut watched = shared.lock().expect("nobody panics with it");
        watched.violations.extend(found);
        watched.playlist = Some(playlist.clone());
        before = Some(playlist);
    }
}

/// The directives with which a player asks for what comes next.
pub fn next_part(playlist: &Playlist) -> String {
    match playlist.segments.last() {
        Some(last) if last.uri.is_none() => format!("?_HLS_msn={}&_HLS_part={}", last.msn, last.parts.len()),
        Some(last) => format!("?_HLS_msn={}&_HLS_part=0", last.msn + 1),
        None => String::new(),
    }
}

/// What two playlists, one after the other, may not say.
fn contradictions(before: &Playlist, now: &Playlist) -> Vec<String> {
    let mut found = Vec::new();
    if now.first_msn < before.first_msn {
        found.push(format!("the media sequence goes back from {} to {}", before.first_msn, now.first_msn));
    }
    let old: HashMap<u64, _> = before.segments.iter().map(|segment| (segment.msn, segment)).collect();
    for new in &now.segments {
        let Some(old) = old.get(&new.msn) else { continue };
        let renamed = old.uri.is_some() && new.uri.is_some() && old.uri != new.uri;
        if old.uri.is_some() && !renamed && !new.gap && !old.gap && (old.duration, old.date) != (new.duration, new.date)
        {
            found.push(format!("segment {} has changed: {old:?} {new:?}", new.msn));
        }
    }
    for pair in now.segments.windows(2) {
        let (Some(first), Some(second)) = (pair[0].date, pair[1].date) else { continue };
        if second < first - 0.001 {
            found.push(format!("program date time goes back at {}", pair[1].msn));
        }
    }
    found
}

/// One `moof` and its `mdat`, nothing missing.
fn is_whole(part: &[u8]) -> bool {
    let size = |at: usize| part.get(at..at + 4).map(|size| u32::from_be_bytes(size.try_into().expect("four")) as usize);
    let Some(moof) = size(0) else { return false };
    part.get(4..8) == Some(b"moof") && size(moof).is_some_and(|mdat| moof + mdat == part.len())
}

/// The box, its disk, and who uses it.
struct Scene {
    disk: Disk,
    failing: FailingDisk,
    clock: WallClock,
    data: Arc<TempDir>,
    server: Option<Server>,
    flags: Vec<String>,
    id: String,
    viewers: Vec<Viewer>,
    key: String,
    publisher: Option<Publisher>,
    published: String,
}

impl Scene {
    fn new() -> Scene {
        let disk = Disk::new();
        let data = Arc::new(tempfile::tempdir_in(disk.mount_point()).expect("room"));
        add_account(data.path(), ADMIN, "admin");
        let (failing, clock) = (FailingDisk::new(), WallClock::new(RIGHT));
        let flags = [SMALL, &["--reel-s", "5", "--min-free-bytes", "0"]].concat();
        let server = start(&data, &flags, &failing, &clock);
        let mut flags = same_ports(&server);
        flags.extend(["--reel-s", "5", "--min-free-bytes", "0"].map(String::from));
        let id = server.go_live("Under chaos");
        let (_, key) = new_key(&server, serde_json::json!({"label": "Chaos"}));
        let publisher = Publisher::start(&server, &key);
        let published = until("the publisher's broadcast", || {
            let live = server.get("/broadcasts?state=live");
            let items = live["items"].as_array()?;
            items
                .iter()
                .find_map(|item| (item["source_kind"] == "rtmp").then(|| item["id"].as_str().map(str::to_owned)))?
        });
        let viewers = (0..3).map(|_| Viewer::start(&server, &id)).collect();
        let (server, publisher) = (Some(server), Some(publisher));
        Scene { disk, failing, clock, data, server, flags, id, viewers, key, publisher, published }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    fn start(&mut self) {
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.server = Some(start(&self.data, &flags, &self.failing, &self.clock));
        self.publisher = Some(Publisher::start(self.server(), &self.key));
    }

    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
        self.publisher = None;
    }

    /// The reels cannot be written, or synced, until everybody was told and a moment longer.
    fn fail(&self, calls: Calls, dice: &mut Dice) {
        self.failing.fail(calls, EIO, "/reels/");
        until_alarm(self.server(), "recording_paused", Instant::now());
        dice.sleep(500, 2000);
        self.failing.mend();
    }

    fn make(&mut self, fault: Fault, dice: &mut Dice) {
        // All of them: both broadcasts lose theirs, and the list of devices too.
        let workers = |server: &Server, signal| {
            for worker in server.workers() {
                kill_process(worker, signal).expect("it runs");
            }
        };
        match fault {
            Fault::WorkerKilled => workers(self.server(), Signal::KILL),
            Fault::WorkerCrashed => {
                crash(self.server());
                until("the log to say so", || self.server().log().contains("signal: 11").then_some(()));
            }
            Fault::WorkerStopped => workers(self.server(), Signal::STOP),
            Fault::ProgramKilled => {
                self.kill();
                self.start();
            }
            Fault::PowerCut => {
                self.disk.cut();
                self.kill();
                self.disk.come_back();
                self.start();
            }
            Fault::DiskFull => {
                let ballast = self.disk.mount_point().join("ballast");
                let full = std::process::Command::new("dd")
                    .args(["if=/dev/zero", "bs=1M", &format!("of={}", ballast.display())])
                    .output()
                    .expect("dd is there");
                assert!(!full.status.success(), "the disk is full");
                // The open reel may have been given room ahead; the next one has none.
                until("the alarm", || {
                    let health = self.server().stranger().get("/healthz");
                    assert_eq!(health.status, 200);
                    health.text().contains("recording_paused").then_some(())
                });
                dice.sleep(1000, 3000);
                std::fs::remove_file(ballast).expect("it is there");
            }
            Fault::WritesFail => self.fail(Calls::Writes, dice),
            Fault::SyncsFail => self.fail(Calls::Syncs, dice),
            Fault::ClockStepped => {
                self.clock.set([HOUR_BACK, HOURS_2, AT_1970][dice.below(3) as usize]);
                dice.sleep(1000, 3000);
                self.clock.set(RIGHT);
            }
            Fault::ReadersStall => {
                // More than the kernel buffers for each, read by a kilobyte at a time.
                let path = format!("/media/{}/av/seg-0.m4s", self.id);
                let mut sockets: Vec<TcpStream> = (0..20).map(|_| ask_slowly(self.server(), &path)).collect();
                for _ in 0..10 {
                    for socket in &mut sockets {
                        socket.read_exact(&mut [0; 1024]).expect("there is more");
                    }
                    dice.sleep(50, 200);
                }
            }
            Fault::ReadersHangUp => {
                let path = format!("/media/{}/av/seg-0.m4s", self.id);
                for _ in 0..50 {
                    let mut first = [0; 1];
                    let _ = ask(self.server(), &path).read(&mut first);
                }
            }
            Fault::PublisherKilled => {
                self.publisher = None;
                dice.sleep(500, 2500);
                self.publisher = Some(Publisher::start(self.server(), &self.key));
            }
        }
    }
}

/// A server on the data, where disk and clock can be made to fail.
fn start(data: &Arc<TempDir>, flags: &[&str], disk: &FailingDisk, clock: &WallClock) -> Server {
    let mut command = serve_command(data.path(), flags);
    disk.govern(&mut command);
    clock.govern(&mut command);
    let mut server = Server::start_by(data, command);
    server.admin = server.client(ADMIN);
    server
}

/// SIGSEGV to all workers until none of them is left: the first one a Rust program takes for a question about its stack, and
/// goes on without the handler that was asked. A fault of its own would come again at once.
fn crash(server: &Server) {
    let before = server.workers();
    until("the workers to crash", || {
        let left: Vec<_> = server.workers().into_iter().filter(|worker| before.contains(worker)).collect();
        for worker in &left {
            let _ = kill_process(*worker, Signal::SEGV);
        }
        left.is_empty().then_some(())
    });
}

/// A request whose answer nobody reads.
fn ask(server: &Server, path: &str) -> TcpStream {
    let address = server.http.trim_start_matches("http://");
    let mut socket = TcpStream::connect(address).expect("it listens");
    let _ = write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket
}

/// Sixteen requests at once, all that a connection may have, by somebody who hardly takes anything.
fn ask_slowly(server: &Server, path: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};
    let address = server.http.trim_start_matches("http://");
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    // What is announced at first goes by it.
    sockopt::set_socket_recv_buffer_size(&socket, 2304).expect("it can be set");
    connect(&socket, &address.parse::<SocketAddr>().expect("an address")).expect("it listens");
    let mut socket = TcpStream::from(socket);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.repeat(16).as_bytes()).expect("it is taken");
    socket.set_read_timeout(Some(RECOVERY)).expect("it can be set");
    socket
}

/// Makes `rounds` faults and checks that nothing that is promised is broken.
fn run(rounds: u32, mut dice: Dice) {
    let mut scene = Scene::new();
    scene.server().until_duration(&scene.id, 4.0);
    let mut costs: BTreeMap<Fault, Cost> = BTreeMap::new();
    for round in 0..rounds {
        // Each kind once, then as the dice fall.
        let fault = match FAULTS.get(round as usize) {
            Some(fault) => *fault,
            None => FAULTS[dice.below(FAULTS.len() as u64) as usize],
        };
        let told = scene.viewers.iter().map(Viewer::end).fold(0.0, f64::max);
        for viewer in &scene.viewers {
            viewer.watched(|watched| watched.gap = Duration::ZERO);
        }
        let parts = scene.viewers[0].watched(|watched| watched.parts);
        scene.make(fault, &mut dice);
        let begin = Instant::now();
        // Behind the fault, and until what is stuck has been noticed.
        while scene.viewers.iter().any(|viewer| viewer.watched(|watched| watched.parts) < parts + 15) {
            assert!(begin.elapsed() < RECOVERY, "{fault:?}: the viewers wait\n{}", scene.server().log());
            std::thread::sleep(Duration::from_millis(50));
        }
        dice.sleep(1500, 3000);
        let cost = costs.entry(fault).or_default();
        cost.times += 1;
        let gaps = scene.viewers.iter().map(|viewer| viewer.watched(|watched| watched.gap));
        cost.gap = cost.gap.max(gaps.max().unwrap_or_default().as_secs_f64() - 0.2);
        cost.lost = cost.lost.max(lost(&scene, told));
        for viewer in &scene.viewers {
            viewer.watched(|watched| assert!(watched.violations.is_empty(), "{fault:?}: {:#?}", watched.violations));
        }
    }
    finish(scene, &costs);
}

/// Media that viewers were told of before `told` and that is not there any more, seconds.
fn lost(scene: &Scene, told: f64) -> f64 {
    let playlist = scene.viewers[0].watched(|watched| watched.playlist.clone()).expect("a playlist");
    let covers = |time: f64| {
        playlist.segments.iter().any(|segment| {
            let start = segment.date.unwrap_or(f64::MAX);
            !segment.gap && start <= time && time <= start + segment.duration + 0.001
        })
    };
    let steps = (0..100).map(|step| f64::from(step) / 10.0);
    steps.clone().find(|back| covers(told - back)).unwrap_or(10.0)
}

fn finish(mut scene: Scene, costs: &BTreeMap<Fault, Cost>) {
    let (parts, bytes) = scene.viewers.iter().fold((0, 0), |(parts, bytes), viewer| {
        viewer.watched(|watched| (parts + watched.parts, bytes + watched.bytes))
    });
    scene.viewers.clear();
    println!("{:<16} {:>5} {:>12} {:>12}", "fault", "times", "worst gap s", "worst loss s");
    for (fault, cost) in costs {
        println!("{:<16} {:>5} {:>12.2} {:>12.2}", format!("{fault:?}"), cost.times, cost.gap, cost.lost);
    }
    println!("viewers checked {parts} parts, {bytes} bytes");
    for (fault, cost) in costs {
        let limit = if *fault == Fault::PowerCut { 1.5 } else { 0.5 };
        assert!(cost.lost <= limit, "{fault:?} lost {} s of media", cost.lost);
        assert!(cost.gap <= fault.longest_gap(), "{fault:?}: viewers waited {} s", cost.gap);
    }
    scene.publisher = None;
    let bearable: f64 = costs.iter().map(|(fault, cost)| f64::from(cost.times) * fault.longest_hole()).sum();
    for id in [scene.id.clone(), scene.published.clone()] {
        let ended = scene.server().end(&id);
        let holes: Vec<f64> = ended["gaps"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|gap| gap["lasted_s"].as_f64().expect("a number"))
            .collect();
        let missing: f64 = holes.iter().sum();
        println!("{id}: {missing:.2} s are missing in {} holes of {} s", holes.len(), ended["duration_s"]);
        assert!(missing <= bearable, "{missing} s are missing in the recording: {holes:?}");
        let text = String::from_utf8(scene.server().fetch(&format!("/media/{id}/av/index.m3u8"))).expect("UTF-8");
        let recording = Playlist::read(&text);
        recording.check();
        assert!(recording.ended);
        let file =
            tools::write(scene.disk.home(), "d.mp4", &scene.server().fetch(&format!("/media/{id}/download.mp4")));
        tools::decode(tools::as_text(&file));
    }
    assert_eq!(scene.server.as_mut().expect("it runs").terminate(), Some(0));
    fsck(scene.data.path());
}

#[test]
fn each_fault_once() {
    run(FAULTS.len() as u32, Dice::from(7));
}

/// `make chaos`: CHAOS_FAULTS says how many.
#[test]
#[ignore = "takes minutes"]
fn for_minutes() {
    let faults = std::env::var("CHAOS_FAULTS").ok().and_then(|faults| faults.parse().ok());
    run(faults.unwrap_or(60), Dice::new());
}

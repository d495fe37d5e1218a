//! The real executable serving on free ports from a directory of its own: starting, stopping, accounts, going on air.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{By, Client, Reply};
use crate::playlist_rules::Playlist;
use crate::tools;

pub const BINARY: &str = env!("CARGO_BIN_EXE_siaran");

/// Longer than anything takes on a busy machine.
pub const AGES: Duration = Duration::from_secs(60);

pub const PASSWORD: &str = "quiet waiting room";

/// The first admin of [`Server::start`].
pub const ADMIN: &str = "midwife";

/// A small picture, where only the way of the bytes matters.
pub const SMALL: &[&str] = &["--video-height", "240", "--video-kbps", "300", "--frame-rate", "15"];

/// A running server with an admin signed in. It is killed with its workers when it is dropped, and what it logged is shown
/// when the test has failed.
pub struct Server {
    pub child: Child,
    /// `http://127.0.0.1:PORT`
    pub http: String,
    /// `https://127.0.0.1:PORT`, or empty when it is off.
    pub https: String,
    /// `rtmp://127.0.0.1:PORT/live`, or empty when it is off.
    pub rtmp: String,
    pub data: Arc<TempDir>,
    /// Asks with the admin's token.
    pub admin: Client,
    lines: Mutex<Receiver<String>>,
    log: Arc<TempDir>,
}

impl Server {
    /// Starts with `flags` besides the free ports.
    pub fn start(flags: &[&str]) -> Self {
        let data = new_data();
        add_account(data.path(), ADMIN, "admin");
        Self::start_on(&data, flags)
    }

    /// Starts on a data directory that has the account of [`Server::start`].
    pub fn start_on(data: &Arc<TempDir>, flags: &[&str]) -> Self {
        let mut server = Self::start_bare(data, flags);
        server.admin = server.client(ADMIN);
        server
    }

    /// Starts without signing anybody in.
    pub fn start_bare(data: &Arc<TempDir>, flags: &[&str]) -> Self {
        Self::start_by(data, serve_command(data.path(), flags))
    }

    /// Starts by a command that becomes [`serve_command`]'s, without signing anybody in.
    pub fn start_by(data: &Arc<TempDir>, mut command: Command) -> Self {
        let log = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let stderr = File::create(log.path().join("stderr")).expect("room for a log");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("the executable is there");
        let (sender, lines) = channel();
        let lines = Mutex::new(lines);
        let stdout = child.stdout.take().expect("it is piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test may be over.
                let _ = sender.send(line);
            }
        });
        let empty = String::new;
        let (http, https, rtmp) = (empty(), empty(), empty());
        let admin = Client::new("");
        let mut server = Self { child, http, https, rtmp, data: data.clone(), admin, lines, log };
        let ready = server.lines().recv_timeout(AGES);
        let ready = ready.unwrap_or_else(|_| panic!("it is not ready:\n{}", server.log()));
        let words: Vec<&str> = ready.split(' ').collect();
        assert_eq!(words[0], "ready", "{ready}");
        for word in &words[1..] {
            let (name, address) = word.split_once('=').expect("name=address");
            let address = String::from(address);
            match name {
                "http" => server.http = address,
                "https" => server.https = address,
                "rtmp" => server.rtmp = address,
                other => panic!("{other} in {ready:?}"),
            }
        }
        server.admin = Client::new(&server.http);
        server
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.log.path().join("stderr")
    }

    /// What it has printed since the line that it is ready.
    pub fn printed(&self) -> Vec<String> {
        self.lines().try_iter().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Receiver<String>> {
        self.lines.lock().expect("no test panics while it reads")
    }

    /// Somebody without a session.
    pub fn stranger(&self) -> Client {
        Client::new(&self.http)
    }

    /// Signs in with the tests' password.
    pub fn client(&self, username: &str) -> Client {
        let reply = self.sign_in(username, PASSWORD);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let token = reply.json()["token"].as_str().expect("a token").to_owned();
        self.stranger().by(By::Bearer(token))
    }

    pub fn sign_in(&self, username: &str, password: &str) -> Reply {
        self.stranger().json("POST", "/api/v1/session", &json!({"username": username, "password": password}))
    }

    /// Makes an account as an admin in the browser would, and signs it in. Gives its id too.
    pub fn account(&self, username: &str, role: &str) -> (String, Client) {
        let made = self.post("/accounts", json!({"username": username, "password": PASSWORD, "role": role}));
        (made["id"].as_str().expect("an id").to_owned(), self.client(username))
    }

    /// Status and body of one call below `/api/v1` by the admin.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let path = format!("/api/v1{path}");
        let reply = match body {
            Some(body) => self.admin.json(method, &path, &body),
            None => self.admin.send(method, &path, &[], None),
        };
        (reply.status, reply.json())
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self.call("POST", path, Some(body));
        assert!((200..300).contains(&status), "{path}: {status} {reply}");
        reply
    }

    /// Body of a page or of media, which must be there for anybody.
    pub fn fetch(&self, path: &str) -> Vec<u8> {
        let reply = self.stranger().get(path);
        assert_eq!(reply.status, 200, "{path}");
        reply.body
    }

    /// Puts the test pattern on air and waits until it is; gives its id.
    pub fn go_live(&self, title: &str) -> String {
        let made = self.post("/broadcasts", json!({"title": title, "source": "test"}));
        let id = made["id"].as_str().expect("an id").to_owned();
        self.until_state(&id, "live");
        id
    }

    pub fn broadcast(&self, id: &str) -> Value {
        self.get(&format!("/broadcasts/{id}"))
    }

    /// Waits until the broadcast is in this state.
    pub fn until_state(&self, id: &str, state: &str) {
        until(&format!("{id} to be {state}"), || (self.broadcast(id)["state"] == state).then_some(()));
    }

    /// Waits until so many seconds of media are there.
    pub fn until_duration(&self, id: &str, seconds: f64) {
        until(&format!("{seconds} s of {id}"), || {
            (self.broadcast(id)["duration_s"].as_f64().expect("a number") >= seconds).then_some(())
        });
    }

    pub fn end(&self, id: &str) -> Value {
        let (status, body) = self.call("POST", &format!("/broadcasts/{id}/end"), None);
        assert_eq!(status, 200, "{body}");
        body
    }

    /// Asks it to stop, as systemd does, and gives its exit status.
    pub fn terminate(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        until("it to stop", || self.child.try_wait().expect("it is ours")).code()
    }

    /// SIGKILL, to the server alone.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Process ids of its workers. Those with the most threads, which encode, come last.
    pub fn workers(&self) -> Vec<Pid> {
        let parent = self.child.id();
        let mut found: Vec<(u64, i32)> = std::fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
            .filter_map(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                // Behind the name in parentheses: state, parent, …; the number of threads is field 20 (proc(5)).
                let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
                let threads: u64 = fields[17].parse().ok()?;
                (fields[1] == parent.to_string() && fields[0] != "Z").then_some((threads, pid))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().filter_map(|(_, pid)| Pid::from_raw(pid)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let workers = self.workers();
        // It may have ended already, which is what we want. A worker ends with its server, unless a test has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for worker in workers {
            let _ = kill_process(worker, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- what the server logged ---\n{}---", self.log());
        }
    }
}

/// `siaran serve` on free ports; `flags` come last and win.
pub fn serve_command(data: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--data").arg(data).stdin(Stdio::null());
    let defaults = [
        ("--http", "127.0.0.1:0"),
        ("--https", "off"),
        ("--rtmp", "127.0.0.1:0"),
        // A test that waits asks often: its own requests would bury what happened.
        ("--log", "info,siaran::web::envelope=warn"),
    ];
    for (flag, value) in defaults {
        if !flags.contains(&flag) {
            command.args([flag, value]);
        }
    }
    command.args(flags);
    command
}

/// Has `command` and its children load `library` before all others, but after those that it has already.
pub fn preload(command: &mut Command, library: &Path) {
    let before = command.get_envs().find_map(|(name, value)| (name == "LD_PRELOAD").then_some(value?.to_owned()));
    let all =
        std::env::join_paths(before.iter().map(PathBuf::from).chain([library.to_owned()])).expect("no colon in it");
    command.env("LD_PRELOAD", all);
}

/// Runs a command that ends by itself; one that does not is killed after [`AGES`], which its status tells.
pub fn run_to_end(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the executable is there");
    let process = Pid::from_child(&child);
    let (ended, watched) = channel::<()>();
    std::thread::spawn(move || {
        if watched.recv_timeout(AGES) == Err(RecvTimeoutError::Timeout) {
            let _ = kill_process(process, Signal::KILL);
        }
    });
    let output = child.wait_with_output().expect("it is ours");
    drop(ended);
    output
}

pub fn new_data() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().expect("a temporary directory"))
}

/// Makes an account as an admin at the console would.
pub fn add_account(data: &Path, name: &str, role: &str) {
    let mut command = Command::new(BINARY);
    command.args(["account", "add", name, "--role", role, "--password-stdin", "--data"]).arg(data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the executable is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(PASSWORD.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

/// A broadcast's playlist as it is now, by the rules that each must keep.
pub fn playlist(server: &Server, id: &str) -> Playlist {
    let text = server.fetch(&format!("/media/{id}/av/index.m3u8"));
    let playlist = Playlist::read(&String::from_utf8(text).expect("UTF-8"));
    playlist.check();
    playlist
}

/// Decodes a recording as HLS. ffmpeg's reader of playlists takes no second EXT-X-MAP, so what follows one is decoded apart,
/// and it asks for entries that say of themselves that they cannot be had, so those are left out.
pub fn decode(server: &Server, id: &str) {
    let recording = playlist(server, id);
    let base = format!("{}/media/{id}/av/", server.http);
    for run in recording.segments.chunk_by(|a, b| a.map == b.map) {
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{}\n", recording.target_duration);
        text += &format!("#EXT-X-MAP:URI=\"{base}{}\"\n", run[0].map);
        for segment in run.iter().filter(|segment| !segment.gap) {
            let Some(uri) = &segment.uri else { continue };
            let mark = if segment.discontinuity { "#EXT-X-DISCONTINUITY\n" } else { "" };
            text += &format!("{mark}#EXTINF:{},\n{base}{uri}\n", segment.duration);
        }
        let file = tools::write(server.data.path(), "run.m3u8", (text + "#EXT-X-ENDLIST\n").as_bytes());
        tools::decode(tools::as_text(&file));
    }
}

/// Tries again and again, for [`AGES`] at most.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < AGES, "waited for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

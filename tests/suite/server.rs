//! The real executable serving on free ports from a directory of its own, and its REST interface for the tests.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const BINARY: &str = env!("CARGO_BIN_EXE_siaran");

/// Longer than anything takes on a busy machine.
pub const AGES: Duration = Duration::from_secs(60);

const PASSWORD: &str = "quiet waiting room";

/// A running server with an admin signed in; it is killed when dropped.
pub struct Server {
    pub child: Child,
    /// `http://127.0.0.1:PORT`
    pub http: String,
    /// `rtmp://127.0.0.1:PORT/live`
    pub rtmp: String,
    pub data: tempfile::TempDir,
    token: String,
    agent: ureq::Agent,
}

impl Server {
    /// Starts with `flags` besides the free ports.
    pub fn start(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        add_account(data.path(), "midwife", "admin");
        Self::start_on(data, flags)
    }

    /// Starts on a data directory that has the account of [`Server::start`].
    pub fn start_on(data: tempfile::TempDir, flags: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--data").arg(data.path());
        command.args(["--http", "127.0.0.1:0", "--https", "off", "--rtmp", "127.0.0.1:0"]);
        // A test that waits asks often: its own requests would bury what happened.
        command.args(["--log", "info,siaran::web::envelope=warn"]).args(flags);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the executable is there");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("it says when it is ready");
        let address = |name: &str| {
            let found = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
            String::from(found.unwrap_or_else(|| panic!("{name} in {ready:?}")))
        };
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(AGES));
        let agent = config.build().into();
        let (http, rtmp) = (address("http="), address("rtmp="));
        let mut server = Self { child, http, rtmp, data, token: String::new(), agent };
        let (status, session) =
            server.call("POST", "/session", Some(serde_json::json!({"username": "midwife", "password": PASSWORD})));
        assert_eq!(status, 200, "{session}");
        server.token = String::from(session["token"].as_str().expect("a token"));
        server
    }

    /// Status and body of one call below `/api/v1`.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/api/v1{path}", self.http);
        let bearer = format!("Bearer {}", self.token);
        let reply = match (method, body) {
            ("GET", None) => self.agent.get(&url).header("authorization", bearer).call(),
            ("DELETE", None) => self.agent.delete(&url).header("authorization", bearer).call(),
            ("POST", None) => self.agent.post(&url).header("authorization", bearer).send_empty(),
            ("POST", Some(body)) => self.agent.post(&url).header("authorization", bearer).send_json(body),
            ("PATCH", Some(body)) => self.agent.patch(&url).header("authorization", bearer).send_json(body),
            other => panic!("{other:?} is not used by the tests"),
        };
        let mut reply = reply.expect("an answer");
        let text = reply.body_mut().read_to_string().expect("a text");
        (reply.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
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

    /// Body of a page or of media, which must be there.
    pub fn fetch(&self, path: &str) -> Vec<u8> {
        let mut reply = self.agent.get(format!("{}{path}", self.http)).call().expect("an answer");
        assert_eq!(reply.status().as_u16(), 200, "{path}");
        let mut bytes = Vec::new();
        reply.body_mut().as_reader().read_to_end(&mut bytes).expect("whole");
        bytes
    }

    /// Waits until the broadcast is in this state.
    pub fn until_state(&self, id: &str, state: &str) {
        until(&format!("{id} to be {state}"), || {
            (self.get(&format!("/broadcasts/{id}"))["state"] == state).then_some(())
        });
    }

    /// Asks it to stop, as systemd does, and gives its exit status.
    pub fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        until("it to stop", || self.child.try_wait().expect("it is ours")).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes an account as an admin at the console would.
pub fn add_account(data: &Path, name: &str, role: &str) {
    let mut command = Command::new(BINARY);
    command.args(["account", "add", name, "--role", role, "--password-stdin", "--data"]).arg(data);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the executable is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut stdin, PASSWORD.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
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

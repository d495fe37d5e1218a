//! Hardware encoders that do not work: one that hangs, or takes its worker with it, costs one start and no second.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{ADMIN, BINARY, SMALL, Server, add_account, new_data, run_to_end, serve_command};
use crate::tools;

const NAME: &str = "vaapih264enc";

/// An encoder that GStreamer takes for a hardware's, of which a test says how it does.
struct Fake(TempDir);

impl Fake {
    fn new() -> Fake {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir(home.path().join("plugins")).expect("room");
        let flags =
            Command::new("pkg-config").args(["--cflags", "--libs", "gstreamer-1.0"]).output().expect("pkg-config");
        let flags = String::from_utf8(flags.stdout).expect("flags");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(home.path().join("plugins/libgstfakeencoder.so"));
        cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/fake_encoder.c")).args(flags.split_whitespace());
        assert!(cc.status().expect("cc is installed").success());
        Fake(home)
    }

    fn control(&self) -> PathBuf {
        self.0.path().join("control")
    }

    fn does(&self, what: &str) {
        tools::write(self.0.path(), "control", what.as_bytes());
    }

    /// How often one was made so far.
    fn made(&self) -> usize {
        std::fs::read_to_string(self.control().with_extension("made")).unwrap_or_default().lines().count()
    }

    /// Has `command` and its workers find it.
    fn govern<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("GST_PLUGIN_PATH_1_0", self.0.path().join("plugins"));
        command.env("GST_REGISTRY_1_0", self.0.path().join("registry")).env("FAKE_ENCODER", self.control())
    }

    fn serve(&self, data: &Arc<TempDir>) -> Server {
        let mut command = serve_command(data.path(), SMALL);
        self.govern(&mut command);
        let mut server = Server::start_by(data, command);
        server.admin = server.client(ADMIN);
        server
    }

    /// What `siaran check` finds of it.
    fn check(&self, data: &Arc<TempDir>) -> Value {
        let mut command = Command::new(BINARY);
        command.args(["check", "--json", "--data"]).arg(data.path());
        let output = run_to_end(self.govern(&mut command));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let of_it = |finding: &&Value| finding["text"].as_str().is_some_and(|text| text.starts_with(NAME));
        report["findings"].as_array().expect("a list").iter().find(of_it).cloned().unwrap_or(Value::Null)
    }
}

/// On air and over again.
fn broadcast(server: &Server) {
    let id = server.go_live("Dengan pengode");
    server.until_duration(&id, 2.0);
    server.end(&id);
}

fn costs_one_start(how: &str, why: &str) {
    let fake = Fake::new();
    fake.does(how);
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let mut server = fake.serve(&data);
    broadcast(&server);
    assert!(server.log().contains("this encoder is left out"), "the log says so");
    assert_eq!((fake.made(), server.terminate()), (1, Some(0)), "it is tried once");
    drop(server);

    // Another start of the same program on the same machine.
    let mut server = fake.serve(&data);
    broadcast(&server);
    assert_eq!((fake.made(), server.terminate()), (1, Some(0)), "and not once more");
    drop(server);

    // `siaran check` tries it again, and says what came of it.
    let found = fake.check(&data);
    assert_eq!((&found["code"], &found["weight"]), (&json!("encoder_left_out"), &json!("advice")), "{found}");
    assert!(found["text"].as_str().expect("a sentence").contains(why), "{found}");
    assert_eq!(fake.made(), 2);
    fake.does("works");
    let found = fake.check(&data);
    assert_eq!(found["code"], "encoder_back", "{found}");
    assert_eq!(fake.check(&data), Value::Null, "that is told once");
    let server = fake.serve(&data);
    broadcast(&server);
    assert!(server.log().contains(&format!("encoding encoder=\"{NAME}\"")), "it is used from the next start on");
}

#[test]
fn an_encoder_that_hangs_costs_one_start() {
    costs_one_start("hangs", "does not answer");
}

#[test]
fn an_encoder_that_takes_its_worker_with_it_costs_one_start() {
    costs_one_start("dies", "died or hung");
}

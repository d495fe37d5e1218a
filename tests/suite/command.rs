//! The command line from outside: exit codes, what is said where, ports, signals.

use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::server::{AGES, BINARY, Server, serve_command};

fn siaran(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(BINARY).args(arguments).envs(variables.iter().copied()).output().expect("the executable is there")
}

/// The one line of a refusal.
fn refusal(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("a text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn a_bad_setting_is_named_on_one_line_with_exit_2() {
    assert!(refusal(&siaran(&["serve", "--htpp", "x"], &[]), 2).contains("--htpp"));
    assert!(refusal(&siaran(&["serve", "--rtmp", "here"], &[]), 2).contains("--rtmp"));
    assert!(refusal(&siaran(&["serve"], &[("SIARAN_PART_MS", "5")]), 2).contains("SIARAN_PART_MS"));
    assert!(refusal(&siaran(&["serve"], &[("SIARAN_PORT", "5")]), 2).contains("SIARAN_PORT"));
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), "part_ms = 300\ncolour = 'teal'\n").expect("room");
    let path = file.path().to_str().expect("plain");
    assert!(refusal(&siaran(&["serve", "--config", path], &[]), 2).contains("colour"));
    assert!(refusal(&siaran(&["account", "add", "x"], &[]), 2).contains("--role"));
}

#[test]
fn a_port_in_use_is_told_and_nothing_is_touched() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("bound").to_string();
    let parent = tempfile::tempdir().expect("a temporary directory");
    let data = parent.path().join("data");
    for taken in ["--http", "--https", "--rtmp"] {
        let listeners = ["--http", "--https", "--rtmp"];
        let listeners =
            listeners.iter().flat_map(|flag| [*flag, if *flag == taken { &*address } else { "127.0.0.1:0" }]);
        let flags: Vec<&str> =
            ["serve", "--data", data.to_str().expect("plain")].into_iter().chain(listeners).collect();
        let output = siaran(&flags, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains(taken), "{said}");
        assert!(!data.exists());
    }
}

/// Cameras differ from box to box, an encoder has every one of them.
#[test]
fn a_check_tells_what_this_box_can() {
    let data = tempfile::tempdir().expect("a temporary directory");
    let output = siaran(&["check", "--json", "--data", data.path().to_str().expect("plain")], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let keys: Vec<&str> = report.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(keys, ["cameras", "clock", "disk", "encoders", "findings", "microphones"]);
    let encoders = report["encoders"].as_array().expect("a list");
    let x264 = encoders.iter().find(|encoder| encoder["name"] == "x264enc").expect("x264enc is tried");
    assert!(x264["frames_per_second_720p"].as_f64().expect("a number") > 0.0, "{x264}");
    assert!(report["disk"]["write_bytes_per_second"].as_f64() > Some(0.0), "{report}");
    assert!(report["clock"]["now"].is_string(), "{report}");
    let findings = report["findings"].as_array().expect("a list");
    assert!(
        findings.iter().all(|finding| finding["text"].as_str().is_some_and(|text| text.ends_with('.'))),
        "{report}"
    );
    let faults = findings.iter().any(|finding| finding["weight"] == "fault");
    assert_eq!(output.status.code(), Some(i32::from(faults)), "{report}");
}

#[test]
fn a_signal_ends_it_in_order() {
    let mut server = Server::start(&["--test-source", "off"]);
    assert_eq!(server.get("/sources")["items"], json!([]), "a box without cameras has nothing to offer then");
    let (status, refused) = server.call("POST", "/broadcasts", Some(json!({"title": "x", "source": "test"})));
    assert_eq!((status, &refused["code"]), (404, &json!("no_source")));
    assert_eq!(server.admin.get("/studio/preview/test/main.m3u8").status, 404);
    assert_eq!(server.get("/broadcasts")["items"], json!([]));
    assert_eq!(server.terminate(), Some(0));
}

/// As systemd sees it: ready when it listens, alive while it answers, stopping when it is told to.
#[test]
fn a_service_manager_is_told() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = home.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("room");
    socket.set_read_timeout(Some(AGES)).expect("a socket");
    let next = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length]).trim().to_owned()
    };
    let mut child = serve_command(home.path(), &[])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "600000")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the executable is there");
    assert_eq!(next(), "READY=1");
    assert_eq!([next(), next()], ["WATCHDOG=1", "WATCHDOG=1"]);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    while next() != "STOPPING=1" {}
    assert_eq!(child.wait().expect("it is ours").code(), Some(0));
}

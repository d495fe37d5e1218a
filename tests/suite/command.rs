//! The command line from outside: exit codes, what is said where, ports, signals.

use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};

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
    let flags = [
        "serve",
        "--data",
        data.to_str().expect("plain"),
        "--https",
        "off",
        "--rtmp",
        "127.0.0.1:0",
        "--http",
        &address,
    ];
    let output = siaran(&flags, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
    assert!(!data.exists());
}

#[test]
fn a_signal_ends_it_in_order() {
    let mut server = Server::start(&[]);
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

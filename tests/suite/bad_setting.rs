//! Settings and data directories that cannot be used: one line that says so, the right exit code, nothing touched.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use siaran::base::config;

use crate::server::{ADMIN, BINARY, PASSWORD, SMALL, Server, add_account, new_data, run_to_end};

/// Each setting with values that it does not take.
const SETTINGS: &[(&str, &[&str])] = &[
    ("data", &[""]),
    ("http", &["8080", "localhost", "127.0.0.1", "127.0.0.1:99999", "off", ""]),
    ("https", &["8443", "on", "127.0.0.1:-1", ""]),
    ("rtmp", &["1935", "yes", "rtmp://127.0.0.1:1935", ""]),
    ("test-source", &["maybe", "1", ""]),
    ("part-ms", &["199", "1001", "-200", "0.2", "x", "", "99999999999999999999"]),
    ("video-height", &["239", "721", "1081", "hd"]),
    ("ladder", &["maybe", "1", ""]),
    ("video-kbps", &["199", "20001", "2M"]),
    ("frame-rate", &["4", "61", "29.97"]),
    ("rtmp-grace-s", &["-1", "3601", "30s"]),
    ("resume-s", &["-1", "3601", "5m"]),
    ("reel-s", &["1", "601", "0.5", "x"]),
    ("trash-days", &["-1", "3651"]),
    ("min-free-bytes", &["-1", "1G", "99999999999999999999"]),
    ("go-live-room-s", &["-1", "86401", "10m"]),
    ("upload-max-bytes", &["0", "-1", "20GB"]),
    ("log", &["a=b=c"]),
];

fn serve(data: &Path, flags: &[&str], variable: Option<(&str, &str)>) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("serve").args(flags).envs(variable);
    if !flags.iter().any(|flag| flag.starts_with("--data")) {
        command.arg("--data").arg(data);
    }
    run_to_end(&mut command)
}

/// What is said when it does not start; always one line on stderr and none on stdout.
fn refusal(output: &Output, code: i32) -> String {
    let said = String::from_utf8(output.stderr.clone()).expect("a text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    said
}

#[test]
fn each_setting_wherever_it_stands() {
    let tried: BTreeSet<&str> = SETTINGS.iter().map(|(setting, _)| *setting).collect();
    assert_eq!(tried, config::SETTINGS.iter().map(|setting| setting.flag).collect(), "every setting is tried");
    let parent = tempfile::tempdir().expect("a temporary directory");
    let data = parent.path().join("data");
    let file = parent.path().join("siaran.toml");
    for (setting, values) in SETTINGS {
        let (key, flag) = (setting.replace('-', "_"), format!("--{setting}"));
        let variable = format!("SIARAN_{}", key.to_uppercase());
        for value in *values {
            let said = refusal(&serve(&data, &[&format!("{flag}={value}")], None), 2);
            assert!(said.contains(&flag), "{flag}={value}: {said}");
            let said = refusal(&serve(&data, &[], Some((&variable, value))), 2);
            assert!(said.contains(&variable), "{variable}={value}: {said}");
            std::fs::write(&file, format!("{key} = \"{value}\"\n")).expect("room");
            let said = refusal(&serve(&data, &["--config", file.to_str().expect("plain")], None), 2);
            assert!(said.contains(&key), "{key} = {value}: {said}");
        }
    }
    for text in ["part_ms = ", "[http]\nport = 1\n", "\u{0}", "= 1", "part_ms = 300\npart_ms = 400\n"] {
        std::fs::write(&file, text).expect("room");
        refusal(&serve(&data, &["--config", file.to_str().expect("plain")], None), 2);
    }
    assert!(refusal(&serve(&data, &["--config", "/nowhere/siaran.toml"], None), 2).contains("/nowhere/siaran.toml"));
    assert!(!data.exists(), "nothing was made");
}

#[test]
fn data_that_cannot_be_used() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let flags = ["--http", "127.0.0.1:0", "--https", "off", "--rtmp", "off", "--log", "error"];
    let file = parent.path().join("file");
    std::fs::write(&file, "x").expect("room");
    assert!(refusal(&serve(&file, &flags, None), 1).contains("file"));
    assert!(refusal(&serve(&file.join("below"), &flags, None), 1).contains("file"));

    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    let mut server = Server::start_on(&data, SMALL);
    assert_eq!(server.terminate(), Some(0));
    let database = data.path().join("siaran.db");
    // What is still in the log would make good what is spoilt in the file.
    let connection = rusqlite::Connection::open(&database).expect("a database");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody else has it");
    connection.close().expect("it is idle");
    let whole = std::fs::read(&database).expect("it is there");
    // "File format write version" 3: one that this SQLite may read and not write (file format, 1.3).
    let mut read_only = whole.clone();
    read_only[18] = 3;
    std::fs::write(&database, &read_only).expect("room");
    let server = Server::start_bare(&data, SMALL);
    let refused = server.sign_in(ADMIN, PASSWORD);
    assert_eq!((refused.status, refused.code().as_str()), (503, "database_read_only"), "{}", refused.text());
    for open in ["/", "/live", "/login", "/healthz", "/api/v1/broadcasts"] {
        assert_eq!(server.stranger().get(open).status, 200, "{open}: what is there can still be watched");
    }
    drop(server);
    assert!(std::fs::read(&database).expect("it is there") == read_only, "it was left as it is");
    for damaged in
        [&b"this is no database, but long enough to have a header of one, and then some more of it"[..], &whole[..5000]]
    {
        std::fs::write(&database, damaged).expect("room");
        refusal(&serve(data.path(), &flags, None), 1);
        assert!(std::fs::read(&database).expect("it is there") == damaged, "it was left as it is");
    }
    std::fs::write(&database, &whole).expect("room");
    let server = Server::start_on(&data, SMALL);
    assert_eq!(server.get("/accounts")["items"][0]["username"], ADMIN);
}

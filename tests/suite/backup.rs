//! `siaran backup` beside a broadcast, and `siaran restore` on a clean box.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::power::{Seen, fsck};
use crate::server::{BINARY, SMALL, Server, playlist, run_to_end, until};
use crate::tools;

fn siaran(command: &str, place: &Path, data: &Path) -> Output {
    run_to_end(Command::new(BINARY).arg(command).arg(place).arg("--data").arg(data))
}

fn backup(server: &Server, place: &Path) -> String {
    let output = siaran("backup", place, server.data.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// Hash of each reel by its name.
fn reels(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(data.join("reels")).expect("reels").map(|entry| entry.expect("an entry").path());
    let hash = |path: &Path| Sha256::digest(std::fs::read(path).expect("a file")).to_vec();
    files.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), hash(&path))).collect()
}

#[test]
fn a_backup_is_made_beside_a_broadcast_and_comes_back_whole() {
    let server = Server::start(&[SMALL, &["--reel-s", "2"]].concat());
    let first = server.go_live("Deleted later");
    server.until_duration(&first, 3.0);
    server.end(&first);
    let kept = server.go_live("Kept");
    server.until_duration(&kept, 3.0);
    server.end(&kept);
    let seen = Seen::take(&server, &kept);

    let live = server.go_live("On air meanwhile");
    server.until_duration(&live, 5.0);
    let home = tempfile::tempdir().expect("a temporary directory");
    let place = home.path().join("stick");
    assert!(backup(&server, &place).starts_with("copied "));
    fsck(&place);
    // A backup that is not whole must not look like one to those who make it again.
    for _ in 0..2 {
        assert_eq!(server.call("DELETE", &format!("/broadcasts/{first}"), None).0, 204);
    }
    server.until_duration(&live, 9.0);
    let said = backup(&server, &place);
    assert!(!said.contains(" 0 were there already") && !said.contains(" 0 removed"), "{said}");
    fsck(&place);
    let on_air = playlist(&server, &live);
    assert!(!on_air.ended && on_air.segments.iter().all(|segment| !segment.discontinuity && !segment.gap));
    server.end(&live);

    let clean = home.path().join("box");
    assert_eq!(siaran("restore", &place, &clean).status.code(), Some(0));
    assert_eq!(reels(&clean), reels(&place), "the same bytes");
    let mut originals = reels(server.data.path());
    originals.retain(|name, _| reels(&clean).contains_key(name));
    let same = reels(&clean).iter().filter(|(name, hash)| originals.get(*name) == Some(hash)).count();
    assert!(same >= 3, "closed reels are as they were recorded");
    assert!(refusal(&siaran("restore", &place, &clean)).contains("not empty"));
    fsck(&clean);

    let restored = std::sync::Arc::new(tempfile::tempdir_in(home.path()).expect("room"));
    std::fs::remove_dir(restored.path()).expect("it is empty");
    std::fs::rename(&clean, restored.path()).expect("the same disk");
    let again = Server::start_on(&restored, SMALL);
    seen.still_holds(&again);
    tools::decode(&format!("{}/media/{kept}/main.m3u8", again.http));
    let told = again.broadcast(&live);
    assert_eq!(told["state"], "ended", "what was on air is a recording in the backup: {told}");
    assert!(told["duration_s"].as_f64().expect("a number") >= 5.0, "{told}");
    assert_eq!(again.admin.get(&format!("/api/v1/broadcasts/{first}")).status, 404);
}

#[test]
fn places_that_are_not_for_backups_are_refused_and_left_as_they_are() {
    let server = Server::start(SMALL);
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(home.path().join("thesis.odt"), "years of work").expect("room");
    assert!(refusal(&siaran("backup", home.path(), server.data.path())).contains("not empty"));
    assert_eq!(std::fs::read_dir(home.path()).expect("a folder").count(), 1);
    let inside = server.data.path().join("inside");
    assert!(refusal(&siaran("backup", &inside, server.data.path())).contains("inside"));
    assert!(!inside.exists());
    let nowhere = home.path().join("nowhere");
    assert!(refusal(&siaran("restore", &nowhere, &home.path().join("box"))).contains("no complete backup"));
    assert!(!home.path().join("box").exists());
}

/// Changes a byte of a file.
fn rot(path: &Path) {
    let mut bytes = std::fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(path, bytes).expect("room");
}

/// A disk that has changed a byte is noticed before the bad copy takes the good one's place, and costs no other recording its
/// copy.
#[test]
fn a_recording_that_rots_is_told_and_not_copied() {
    let server = Server::start(SMALL);
    let record = |title| {
        let id = server.go_live(title);
        server.until_duration(&id, 3.0);
        server.end(&id);
        id
    };
    let rotten = record("Rots");
    let name = reels(server.data.path()).into_keys().next().expect("a reel");
    let sound = record("Does not");
    let home = tempfile::tempdir().expect("a temporary directory");
    let earlier = home.path().join("earlier");
    backup(&server, &earlier);
    let copied = reels(&earlier);
    assert_eq!(copied.len(), 2);
    // What it has of the one that rots is an older and shorter copy.
    let stump = std::fs::read(earlier.join("reels").join(&name)).expect("a file");
    std::fs::write(earlier.join("reels").join(&name), &stump[..1000]).expect("room");
    let copied = reels(&earlier);

    rot(&server.data.path().join("reels").join(&name));
    let output = run_to_end(Command::new(BINARY).args(["fsck", "--json", "--data"]).arg(server.data.path()));
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let codes: Vec<_> = report["report"]["faults"].as_array().expect("a list").iter().map(|f| &f["code"]).collect();
    assert_eq!((codes, &report["clean"]), (vec![&json!("checksum"), &json!("hash")], &json!(false)));
    let names_it = |said: &str| said.contains(name.trim_end_matches(".reel")) && said.contains(&rotten);
    assert!(names_it(&refusal(&siaran("backup", &earlier, server.data.path()))));
    assert_eq!(reels(&earlier), copied, "the older copy stays");
    let fresh = home.path().join("fresh");
    assert!(names_it(&refusal(&siaran("backup", &fresh, server.data.path()))));
    assert_eq!(reels(&fresh).len(), 1, "the others are copied all the same");

    // One that is missing in the backup, or rots there, costs a restore no other.
    let clean = home.path().join("box");
    let said = refusal(&siaran("restore", &fresh, &clean));
    assert!(names_it(&said) && reels(&clean) == reels(&fresh), "{said}");
    let other = reels(&fresh).into_keys().next().expect("a reel");
    rot(&fresh.join("reels").join(&other));
    let again = home.path().join("again");
    let output = siaran("restore", &fresh, &again);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && said.lines().count() == 2 && said.contains(&sound), "{said}");
    assert_eq!(reels(&again), reels(&fresh), "what there is of it is brought back");
    // The server finds it by itself, the more so as nothing is on air.
    until("the alarm", || server.stranger().get("/healthz").text().contains("recording_damaged").then_some(()));
}

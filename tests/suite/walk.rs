//! The walk of a broadcast as the contract has it: on air, watched, ended, in the library, edited, thrown away; and what a
//! restart in the middle leaves.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::test_kill_process;
use serde_json::{Value, json};

use crate::client::{By, Client, Reply};
use crate::playlist_rules::Playlist;
use crate::roles;
use crate::server::{ADMIN, PASSWORD, SMALL, Server, add_account, new_data, run_to_end, serve_command, until};
use crate::tools;

/// Seconds: what a busy machine takes from the press to the first frame, or from a frame to its part.
const SLACK: f64 = 2.0;
const PART: f64 = 0.2;

/// The media playlist that the multivariant playlist leads to, and its folder.
fn media_playlist(server: &Server, id: &str) -> (String, Playlist) {
    let main = String::from_utf8(server.fetch(&format!("/media/{id}/main.m3u8"))).expect("UTF-8");
    let uri = main.lines().find(|line| !line.starts_with('#')).expect("a variant");
    let path = format!("/media/{id}/{uri}");
    let text = String::from_utf8(server.fetch(&path)).expect("UTF-8");
    let playlist = Playlist::read(&text);
    playlist.check();
    (path.rsplit_once('/').expect("a folder").0.to_owned(), playlist)
}

fn listed(server: &Server, query: &str) -> Vec<String> {
    let list = server.stranger().get(&format!("/api/v1/broadcasts{query}")).json();
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Picture and sound in each rendition, and sound alone.
fn check_renditions(multivariant: &str) {
    let codecs = tools::codecs(multivariant);
    let (alone, renditions) = codecs.split_last().expect("streams");
    assert_eq!(alone, "aac");
    assert!(!renditions.is_empty() && renditions.chunks(2).all(|pair| pair == ["h264", "aac"]), "{codecs:?}");
}

/// Everything that a finished recording must be, for everybody, without an account.
fn check_recording(server: &Server, id: &str) -> f64 {
    let (folder, playlist) = media_playlist(server, id);
    assert!(playlist.ended);
    assert_eq!(playlist.first_msn, 0);
    let duration = number(&server.broadcast(id)["duration_s"]);
    assert!((playlist.duration() - duration).abs() < 0.01, "{} listed, {duration} told", playlist.duration());
    for segment in &playlist.segments {
        assert!(!server.fetch(&format!("{folder}/{}", segment.uri.as_ref().expect("complete"))).is_empty());
    }
    let address = format!("{}/media/{id}/main.m3u8", server.http);
    tools::decode(&address);
    check_renditions(&address);

    let whole = server.fetch(&format!("/media/{id}/download.mp4"));
    let file = tools::write(server.data.path(), "download.mp4", &whole);
    let file = tools::as_text(&file);
    tools::decode(file);
    assert_eq!(tools::codecs(file), ["h264", "aac"]);
    assert!((tools::duration(file) - duration).abs() < 0.1, "{} in the file, {duration} told", tools::duration(file));
    std::fs::remove_file(file).expect("it is ours");
    duration
}

/// Path of the setup address that the console shows.
pub fn setup_address(server: &Server) -> String {
    let log = server.log();
    let marker = format!("{}/setup/", server.http);
    let found = log.split_whitespace().find_map(|word| word.strip_prefix(&marker)).expect("an address on the console");
    format!("/setup/{found}")
}

#[test]
fn the_first_admin_is_made_at_the_address_on_the_console() {
    let server = Server::start_bare(&new_data(), SMALL);
    let page = [("accept", "text/html")];
    let closed = |server: &Server| {
        for path in ["/", "/login", "/live", "/tv", "/studio", "/admin", "/watch/x", "/nothing"] {
            let reply = server.stranger().get_with(path, &page);
            assert_eq!((reply.status, reply.header("location")), (303, "/setup"), "{path}");
        }
        for path in ["/api/v1/broadcasts", "/api/v1/openapi.json", "/media/x/main.m3u8", "/studio/events"] {
            let reply = server.stranger().get(path);
            assert_eq!((reply.status, reply.code().as_str()), (503, "setup_required"), "{path}");
        }
        assert_eq!(server.sign_in(ADMIN, PASSWORD).code(), "setup_required");
        assert_eq!(server.stranger().get_with("/setup", &page).status, 200);
        assert_eq!(server.stranger().get("/healthz").status, 200);
    };
    closed(&server);
    let address = setup_address(&server);
    let token = address.trim_start_matches("/setup/").to_owned();
    assert!(
        !server.fetch("/setup").windows(token.len()).any(|window| window == token.as_bytes()),
        "only on the console"
    );

    let form = server.stranger().get_with(&address, &page);
    assert_eq!(form.status, 200);
    let newcomer = server.stranger().by(By::Cookie(roles::cookies(&form)));
    let csrf = roles::field(&form.text(), "csrf");
    let send = |by: &Client, changed: &[(&str, &str)]| {
        let right = [("token", token.as_str()), ("csrf", csrf.as_str()), ("username", ADMIN)];
        let right = [&right[..], &[("password", PASSWORD), ("password_again", PASSWORD)]].concat();
        let value =
            |name: &str, right| changed.iter().find(|(other, _)| *other == name).map_or(right, |(_, value)| *value);
        let fields: Vec<_> = right.into_iter().map(|(name, right)| (name, value(name, right))).collect();
        by.form("/setup", &[("accept", "text/html"), ("origin", &server.http)], &fields)
    };
    for wrong in [
        [("token", "0".repeat(52))],
        [("username", String::from("<b>"))],
        [("password", String::from("short"))],
        [("password_again", String::from("another quiet room"))],
        [("csrf", String::from("x"))],
    ] {
        let changed: Vec<_> = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = send(&newcomer, &changed);
        assert!((400..500).contains(&reply.status), "{changed:?}: {}", reply.status);
        assert!(!reply.text().contains(PASSWORD), "a password is never shown again");
    }
    assert_eq!(send(&server.stranger(), &[]).status, 403, "another browser");
    closed(&server);

    let made = send(&newcomer, &[]);
    assert_eq!((made.status, made.header("location")), (303, "/studio"), "{}", made.text());
    let admin = server.stranger().by(By::Cookie(roles::cookies(&made)));
    assert_eq!(admin.get("/api/v1/accounts").json()["items"][0]["role"], "admin", "signed in at once");
    assert_eq!(admin.get_with("/admin", &page).status, 200);
    assert_eq!(server.sign_in(ADMIN, PASSWORD).status, 200);
    // The address works once.
    assert_eq!(server.stranger().get_with(&address, &page).status, 303);
    assert!((400..500).contains(&send(&newcomer, &[("username", "another")]).status));
    assert_eq!(admin.get("/api/v1/accounts").json()["items"].as_array().map(Vec::len), Some(1));
    assert!(!server.log().contains(PASSWORD));
    let data = server.data.clone();
    drop(server);
    let again = Server::start_on(&data, SMALL);
    assert!(!again.log().contains("/setup/"), "it does not ask again");
}

#[test]
fn from_going_live_to_the_library() {
    let server = Server::start(&["--https", "127.0.0.1:0"]);
    assert!(server.https.starts_with("https://127.0.0.1:"));
    let sources = server.get("/sources");
    let test = sources["items"].as_array().expect("a list").iter().find(|source| source["id"] == "test");
    let test = test.expect("the test pattern");
    assert_eq!((&test["kind"], &test["ready"]), (&json!("test"), &json!(true)));

    let pressed = Instant::now();
    let press = json!({"title": "Gizi & <ibu> 🤱", "description": "Langsung", "source": "test"});
    let made: Reply = server.admin.json("POST", "/api/v1/broadcasts", &press);
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let id = made["id"].as_str().expect("an id").to_owned();
    assert!(made["state"] == "starting" || made["state"] == "live", "{made}");
    assert_eq!(made["title"], "Gizi & <ibu> 🤱");
    assert_eq!(made["audience"], "public");
    assert_eq!(made["watch_url"], format!("/watch/{id}"));
    assert_eq!(made["playlist_url"], format!("/media/{id}/main.m3u8"));
    let started: jiff::Timestamp = made["started_at"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!(made["started_at"].as_str().expect("a time").ends_with('Z'), "UTC");
    let again = server.post("/broadcasts", press);
    assert_eq!(again["id"], id.as_str(), "a second press gives the same broadcast");

    server.until_state(&id, "live");
    let to_it = server.stranger().get_with("/live", &[("accept", "text/html")]);
    assert_eq!((to_it.status, to_it.header("location")), (303, &*format!("/watch/{id}")));
    let live_after = pressed.elapsed().as_secs_f64();
    assert_eq!(listed(&server, "?state=live"), [id.as_str()]);
    let home = String::from_utf8(server.fetch("/")).expect("UTF-8");
    assert!(home.contains("Gizi &#38; &#60;ibu&#62; 🤱") || home.contains("Gizi &amp; &lt;ibu&gt; 🤱"), "{home}");
    assert!(!home.contains("<ibu>"));
    let watch = String::from_utf8(server.fetch(&format!("/watch/{id}"))).expect("UTF-8");
    assert_eq!(watch.matches("<video").count(), 1, "exactly one video element");

    watch_it(&server, &id);
    check_renditions(&format!("{}/media/{id}/main.m3u8", server.https));
    server.until_duration(&id, 7.0);
    let (_, live) = media_playlist(&server, &id);
    assert!(!live.ended);
    let first_date = live.segments[0].date.expect("a program date time");
    let late = first_date - started.as_millisecond() as f64 / 1000.0;
    assert!((-SLACK..live_after + SLACK).contains(&late), "the first frame is of {late} s after the press");

    let ended = server.end(&id);
    let (ended_after, duration) = (pressed.elapsed().as_secs_f64(), number(&ended["duration_s"]));
    assert_eq!(ended["state"], "ended");
    assert!(duration <= ended_after + PART, "{duration} s of media in {ended_after} s");
    assert!(duration >= ended_after - live_after - PART - SLACK, "{duration} s of {live_after} to {ended_after} s");
    assert_eq!(check_recording(&server, &id), duration, "final when the end's reply arrives");
    assert_eq!(server.end(&id), server.broadcast(&id), "ending twice changes nothing");
    assert_eq!(ended["gaps"], json!([]));
    assert_eq!(ended["renditions"].as_array().map(Vec::len), Some(3));
    assert_eq!((&ended["renditions"][0]["width"], &ended["renditions"][0]["height"]), (&json!(1280), &json!(720)));
    let ended_at: jiff::Timestamp = ended["ended_at"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!(ended_at > started);
    let (_, after) = media_playlist(&server, &id);
    assert_eq!(after.segments[0].date, Some(first_date), "the same clock afterwards");

    in_the_library(&server, &id);
    edited_and_thrown_away(&server, &id);
}

/// Two players and a third that comes back make three viewers at most two of which are the same.
fn watch_it(server: &Server, id: &str) {
    let stranger = server.stranger();
    for session in ["a", "b", "a"] {
        let header = format!("sid=\"{session}\"");
        let reply = stranger.get_with(&format!("/media/{id}/av/index.m3u8"), &[("cmcd-session", &header)]);
        assert_eq!(reply.status, 200);
    }
    let viewers = number(&server.broadcast(id)["viewers"]);
    assert!((2.0..=3.0).contains(&viewers), "{viewers} viewers");
}

fn in_the_library(server: &Server, id: &str) {
    assert_eq!(server.stranger().get_with("/live", &[("accept", "text/html")]).status, 200, "it waits");
    assert_eq!(listed(server, "?state=ended"), [id]);
    assert!(listed(server, "?state=live").is_empty());
    assert!(String::from_utf8(server.fetch("/")).expect("UTF-8").contains(&format!("/watch/{id}")));
    let thumbnail = until("a thumbnail", || {
        let broadcast = server.broadcast(id);
        broadcast["thumbnail_url"].as_str().map(|url| server.fetch(url))
    });
    assert!(thumbnail.starts_with(&[0xff, 0xd8, 0xff]), "a JPEG");
    let file = tools::write(server.data.path(), "thumbnail.jpg", &thumbnail);
    tools::decode(tools::as_text(&file));
    std::fs::remove_file(file).expect("it is ours");
}

fn edited_and_thrown_away(server: &Server, id: &str) {
    let path = format!("/broadcasts/{id}");
    let change = json!({"title": "Menyusui", "description": "Kelas Kamis", "tags": ["gizi", "ibu"]});
    let (status, changed) = server.call("PATCH", &path, Some(change));
    assert_eq!((status, &changed["title"], &changed["tags"]), (200, &json!("Menyusui"), &json!(["gizi", "ibu"])));
    for found in ["?q=menyu", "?q=kamis", "?q=gizi", "?tag=ibu", "?q=MENYUSUI%20kelas", "?q=%22menyusui%22*"] {
        assert_eq!(listed(server, found), [id], "{found}");
    }
    for empty in ["?q=langsung", "?tag=anak", "?q=menyusui%20OR%20langsung", "?q=%22%20AND%20(", "?state=scheduled"] {
        assert!(listed(server, empty).is_empty(), "{empty}");
    }
    let (status, hidden) = server.call("PATCH", &path, Some(json!({"hidden": true})));
    assert_eq!((status, &hidden["hidden"]), (200, &json!(true)));
    assert!(listed(server, "").is_empty());
    assert_eq!(server.stranger().get(&format!("/watch/{id}")).status, 404);
    assert_eq!(server.call("PATCH", &path, Some(json!({"hidden": false}))).0, 200);

    let reels = || std::fs::read_dir(server.data.path().join("reels")).expect("reels").count();
    assert!(reels() > 0);
    assert_eq!(server.call("DELETE", &path, None).0, 204);
    assert!(listed(server, "").is_empty());
    for gone in ["/watch/{id}", "/media/{id}/main.m3u8", "/media/{id}/download.mp4", "/media/{id}/av/seg-0.m4s"] {
        assert_eq!(server.stranger().get(&gone.replace("{id}", id)).status, 404, "{gone} of the trash");
    }
    let trash = server.get("/broadcasts?trashed=true");
    assert_eq!(trash["items"][0]["id"], id);
    assert!(trash["items"][0]["trashed_at"].is_string());
    assert_eq!(server.call("POST", &format!("{path}/restore"), None).0, 200);
    assert_eq!(listed(server, ""), [id]);
    check_recording(server, id);

    assert_eq!(server.call("DELETE", &path, None).0, 204);
    assert_eq!(server.call("DELETE", &path, None).0, 204, "a second time is for good");
    assert_eq!(server.call("GET", &path, None).0, 404);
    assert_eq!(server.call("POST", &format!("{path}/restore"), None).0, 404);
    assert_eq!(reels(), 0, "the bytes are gone too");
}

#[test]
fn a_signal_completes_what_is_on_air() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Until the lights go out");
    server.until_duration(&id, 5.0);
    let before = number(&server.broadcast(&id)["duration_s"]);
    // Pages that are open and clients that read nothing do not hold it up.
    let address = server.http.trim_start_matches("http://").to_owned();
    let open: Vec<TcpStream> = ["/live/events", "/watch/{id}/events", "/media/{id}/av/index.m3u8?_HLS_msn=9", "/"]
        .iter()
        .map(|path| {
            let mut socket = TcpStream::connect(&address).expect("it listens");
            let path = path.replace("{id}", &id);
            write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
            socket
        })
        .collect();
    let begin = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    drop(open);
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
    assert_eq!(server.printed(), Vec::<String>::new(), "one line on stdout, no more");

    let server = Server::start_on(&server.data, SMALL);
    assert_eq!(server.broadcast(&id)["state"], "ended");
    let after = check_recording(&server, &id);
    assert!(after >= before, "{before} s were on air, {after} s are left");
}

#[test]
fn a_kill_leaves_a_recording_that_plays() {
    let mut server = Server::start(SMALL);
    let id = server.go_live("Power cut");
    server.until_duration(&id, 8.0);
    let before = number(&server.broadcast(&id)["duration_s"]);
    let workers = server.workers();
    assert!(!workers.is_empty());
    server.kill();
    for worker in workers {
        until("its workers to end with it", || test_kill_process(worker).is_err().then_some(()));
    }

    let server = Server::start_on(&server.data, &[SMALL, &["--resume-s", "0"]].concat());
    assert_eq!(server.broadcast(&id)["state"], "ended");
    let after = check_recording(&server, &id);
    assert!(after >= before - 1.0, "{before} s were on air, {after} s are left");
    let next = server.go_live("The next day");
    assert_ne!(next, id);
    server.end(&next);
}

#[test]
fn what_never_had_a_picture_ends_as_failed_or_plays() {
    let server = Server::start(SMALL);
    let made = server.post("/broadcasts", json!({"title": "A slip of the finger", "source": "test"}));
    let id = made["id"].as_str().expect("an id");
    let ended = server.end(id);
    match ended["state"].as_str() {
        Some("failed") => {
            assert_eq!(ended["failure"], "ended_early");
            assert_eq!(server.stranger().get(&format!("/media/{id}/main.m3u8")).status, 404);
            assert_eq!(server.stranger().get(&format!("/media/{id}/download.mp4")).status, 404);
        }
        Some("ended") => {
            check_recording(&server, id);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.go_live("Now in earnest").len(), id.len());
}

/// Every file of a directory with its bytes.
fn contents(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), std::fs::read(&path).expect("readable")));
        }
    }
    found.sort();
    found
}

/// Exit code and words of a server that must not start.
fn refused_to_serve(data: &std::path::Path) -> (Option<i32>, String) {
    let output = run_to_end(&mut serve_command(data, &[]));
    assert!(output.stdout.is_empty(), "it was ready");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_data_of_a_newer_program_is_refused_untouched() {
    let data = new_data();
    add_account(data.path(), ADMIN, "admin");
    drop(Server::start_on(&data, SMALL));
    std::fs::write(data.path().join("version"), "99\n").expect("room");
    let before = contents(data.path());
    let (code, said) = refused_to_serve(data.path());
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("99"), "{said}");
    assert_eq!(contents(data.path()), before);
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = Server::start(SMALL);
    let id = server.go_live("The first one");
    let (code, said) = refused_to_serve(server.data.path());
    assert_eq!((code, said.lines().count()), (Some(1), 1), "{said}");
    assert_eq!(server.broadcast(&id)["state"], "live");
    add_account(server.data.path(), "bidan", "broadcaster");
    assert_eq!(server.sign_in("bidan", PASSWORD).status, 200, "accounts are made while it runs");
}

#[test]
fn presses_at_once_make_one_broadcast() {
    let server = Server::start(SMALL);
    let press = || server.post("/broadcasts", json!({ "title": "At once", "source": "test" }))["id"].to_string();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let presses: Vec<_> = (0..8).map(|_| scope.spawn(press)).collect();
        presses.into_iter().map(|one| one.join().expect("an answer")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(server.get("/broadcasts")["items"].as_array().map(Vec::len), Some(1));
}

#[test]
fn parts_stay_for_those_who_saw_them_listed() {
    let server = Server::start(SMALL);
    let id = server.go_live("Parts");
    server.until_duration(&id, 2.0);
    let text = server.fetch(&format!("/media/{id}/av/index.m3u8"));
    let live = Playlist::read(&String::from_utf8(text).expect("UTF-8"));
    let part = live.segments.last().and_then(|segment| segment.parts.last()).expect("a part").uri.clone();
    server.end(&id);
    assert!(!server.fetch(&format!("/media/{id}/av/{part}")).is_empty());
}

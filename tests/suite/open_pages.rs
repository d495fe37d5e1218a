//! Pages that stay open: what they are told ends with the right to it, and only with that.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{By, Client};
use crate::roles::cookies;
use crate::server::{AGES, PASSWORD, SMALL, Server};

/// A right that was lost is noticed after so long at most, on a busy machine.
const SOON: Duration = Duration::from_secs(6);

/// An open stream of server-sent events.
pub struct Page(BufReader<TcpStream>);

impl Page {
    pub fn open(server: &Server, path: &str, by: &By) -> Self {
        let who = match by {
            By::Stranger => String::new(),
            By::Bearer(token) => format!("Authorization: Bearer {token}\r\n"),
            By::Cookie(cookie) => format!("Cookie: {cookie}\r\n"),
        };
        let mut socket = TcpStream::connect(server.http.trim_start_matches("http://")).expect("it listens");
        socket.set_read_timeout(Some(AGES)).expect("a socket");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{who}\r\n");
        socket.write_all(request.as_bytes()).expect("it reads");
        let mut page = Self(BufReader::new(socket));
        let status = page.line().expect("an answer");
        assert!(status.starts_with("HTTP/1.1 200"), "{path}: {status}");
        page
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).expect("the stream lasts or ends") > 0).then(|| line.trim_end().to_owned())
    }

    /// Name and data of the next event; none at the end.
    fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(name) = self.line()?.strip_prefix("event: ") {
                let data = self.line().expect("its data");
                let data = data.strip_prefix("data: ").expect("its data");
                return Some((name.to_owned(), serde_json::from_str(data).expect("JSON")));
            }
        }
    }

    /// The data of the next event of this name for which `holds`.
    pub fn until(&mut self, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            assert!(begin.elapsed() < AGES, "waited for {name}");
            let (found, data) = self.next().expect("it stays open");
            assert_ne!(found, "gone", "it stays open");
            if found == name && holds(&data) {
                return data;
            }
        }
    }

    /// It is told that it is over, and then is.
    fn is_sent_away(&mut self, why: &str) {
        let begin = Instant::now();
        let last = std::iter::from_fn(|| self.next()).last();
        assert_eq!(last.expect("an event").0, "gone", "{why}");
        assert!(begin.elapsed() < SOON, "{why}: after {:?}", begin.elapsed());
    }
}

fn edit(server: &Server, id: &str, changes: Value) -> Value {
    let (status, changed) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(changes));
    assert_eq!(status, 200, "{changed}");
    changed
}

fn events(id: &str) -> String {
    format!("/watch/{id}/events")
}

#[test]
fn whoever_may_not_watch_any_more_is_told_no_more() {
    let server = Server::start(SMALL);
    let (_, viewer) = server.account("penonton", "viewer");
    let (_, broadcaster) = server.account("penyiar", "broadcaster");
    let id = server.go_live("Untuk semua");
    let open = |by: &By| Page::open(&server, &events(&id), by);

    let (mut stranger, mut member, mut staff) = (open(&By::Stranger), open(&viewer.by), open(&broadcaster.by));
    edit(&server, &id, json!({"audience": "members"}));
    stranger.is_sent_away("for members");
    edit(&server, &id, json!({"title": "Anggota"}));
    member.until("state", |state| state["title"] == "Anggota");
    edit(&server, &id, json!({"audience": "staff"}));
    member.is_sent_away("for staff");
    edit(&server, &id, json!({"title": "Petugas"}));
    staff.until("state", |state| state["title"] == "Petugas");

    let changed = edit(&server, &id, json!({"audience": "pin"}));
    let pin = changed["pin"].as_str().expect("six digits");
    let given = server.stranger().form(&format!("/watch/{id}/pin"), &[], &[("pin", pin)]);
    let mut patient = open(&By::Cookie(cookies(&given)));
    edit(&server, &id, json!({"pin": if pin == "222222" { "333333" } else { "222222" }}));
    patient.is_sent_away("another PIN");

    edit(&server, &id, json!({"audience": "public"}));
    let (mut stranger, mut member) = (open(&By::Stranger), open(&viewer.by));
    edit(&server, &id, json!({"hidden": true}));
    stranger.is_sent_away("hidden");
    member.is_sent_away("hidden");
    edit(&server, &id, json!({"hidden": false, "title": "Kembali"}));
    staff.until("state", |state| state["title"] == "Kembali");

    // From live to recording, and into the trash.
    let mut stranger = open(&By::Stranger);
    server.end(&id);
    stranger.until("state", |state| state["state"] == "ended");
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    stranger.is_sent_away("in the trash");
    staff.is_sent_away("in the trash");
    let mut admin = open(&server.admin.by);
    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    admin.is_sent_away("deleted for good");
}

/// What ends the session of a client.
type End<'a> = &'a dyn Fn(&Client);

#[test]
fn a_session_that_ends_ends_its_pages() {
    let server = Server::start(SMALL);
    let id = server.go_live("Anggota");
    edit(&server, &id, json!({"audience": "members"}));
    let (account, _) = server.account("wati", "broadcaster");
    let change = |body: Value| {
        let (status, reply) = server.call("PATCH", &format!("/accounts/{account}"), Some(body));
        assert_eq!(status, 200, "{reply}");
    };
    let ends: [(&str, End); 5] = [
        ("signed out", &|client| {
            assert_eq!(client.send("DELETE", "/api/v1/session", &[], None).status, 204);
        }),
        ("another role", &|_| change(json!({"role": "admin"}))),
        ("another password", &|_| change(json!({ "password": PASSWORD }))),
        ("disabled", &|_| change(json!({"disabled": true}))),
        ("deleted", &|_| assert_eq!(server.call("DELETE", &format!("/accounts/{account}"), None).0, 204)),
    ];
    let mut other = Page::open(&server, &events(&id), &server.admin.by);
    for (why, end) in ends {
        change(json!({"disabled": false}));
        let client = server.client("wati");
        let pages = [events(&id), String::from("/studio/events?source=test")];
        let pages = pages.map(|path| Page::open(&server, &path, &client.by));
        end(&client);
        for mut page in pages {
            page.is_sent_away(why);
        }
    }
    edit(&server, &id, json!({"title": "Yang lain tidak"}));
    other.until("state", |state| state["title"] == "Yang lain tidak");

    // What everybody may watch goes on for somebody who signs out.
    edit(&server, &id, json!({"audience": "public"}));
    let client = server.client(crate::server::ADMIN);
    let mut page = Page::open(&server, &events(&id), &client.by);
    assert_eq!(client.send("DELETE", "/api/v1/session", &[], None).status, 204);
    std::thread::sleep(SOON);
    edit(&server, &id, json!({"title": "Untuk semua"}));
    page.until("state", |state| state["title"] == "Untuk semua");
}

#[test]
fn a_page_that_waits_is_told_of_what_it_may_find() {
    let server = Server::start(SMALL);
    let mut waiting = Page::open(&server, "/live/events", &By::Stranger);
    let mut admins = Page::open(&server, "/live/events", &server.admin.by);
    let mut screen = Page::open(&server, "/tv/events", &server.admin.by);
    for page in [&mut waiting, &mut screen] {
        assert!(page.until("live", |_| true)["id"].is_null());
    }
    let made = server.post("/broadcasts", json!({"title": "Rapat", "source": "test", "audience": "staff"}));
    let id = made["id"].as_str().expect("an id");
    admins.until("live", |live| live["id"] == id);
    // Longer than anything takes to be noticed: the lobby sees what everybody may see, whoever is signed in there.
    std::thread::sleep(SOON);
    assert_eq!(server.admin.get("/tv").text().matches(id).count(), 0);
    edit(&server, id, json!({"audience": "public"}));
    for page in [&mut waiting, &mut screen] {
        assert_eq!(page.until("live", |_| true)["url"], format!("/watch/{id}"));
    }
    edit(&server, id, json!({"hidden": true}));
    for page in [&mut waiting, &mut screen] {
        assert!(page.until("live", |_| true)["id"].is_null(), "hidden");
    }
    edit(&server, id, json!({"hidden": false}));
    waiting.until("live", |live| live["id"] == id);
    server.end(id);
    assert!(waiting.until("live", |_| true)["id"].is_null());
}

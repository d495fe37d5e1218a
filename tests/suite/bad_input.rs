//! What no browser of ours would send: each is refused with a stable code that names the field, changes nothing, tells
//! nothing of the inside, and leaves the server serving.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{By, Reply};
use crate::server::{AGES, PASSWORD, SMALL, Server, until};
use crate::tools;

/// What is stored, as the API tells it.
fn state(server: &Server) -> [Value; 3] {
    ["/accounts", "/stream-keys", "/broadcasts"].map(|list| server.get(list)["items"].clone())
}

/// One call of the API with a body that is right, of which each field is spoilt in turn.
struct Call {
    method: &'static str,
    path: String,
    good: Value,
    /// Values that each field does not take, besides those of a wrong type.
    bad: Vec<(&'static str, Vec<Value>)>,
    required: &'static [&'static str],
}

fn calls(server: &Server) -> Vec<Call> {
    let account = server.get("/accounts")["items"][0]["id"].as_str().expect("an id").to_owned();
    let broadcast = server.go_live("Tetap begini");
    server.end(&broadcast);
    until("its thumbnail", || server.broadcast(&broadcast)["thumbnail_url"].is_string().then_some(()));
    let long = |length: usize| json!("x".repeat(length));
    let controls = || ["a\u{0}b", "a\u{1b}[2J", "a\nb", "\u{7f}x", "a\u{85}b"].map(|text| json!(text));
    let titles = || [vec![json!(""), json!("   "), long(201), long(10_000)], controls().to_vec()].concat();
    let descriptions = || vec![long(5001), json!("a\u{0}"), json!("\u{1b}[2J")];
    let audiences = || vec![json!("Public"), json!("everyone"), json!("")];
    let roles = || vec![json!("Admin"), json!("root"), json!("")];
    let names = || {
        let odd = ["", "ab", "a b c", "<b>abc", "wati\u{0}", "../etc", "😀😀😀"].map(|text| json!(text));
        [odd.to_vec(), vec![long(65), long(10_000)]].concat()
    };
    let passwords = || vec![json!(""), json!("short"), long(10_000)];
    vec![
        Call {
            method: "POST",
            path: "/broadcasts".into(),
            good: json!({"title": "x", "source": "cam-none", "audience": "public", "description": "y", "content": "slides"}),
            bad: vec![
                ("title", titles()),
                ("audience", audiences()),
                ("description", descriptions()),
                ("content", vec![json!("Slides"), json!("text"), json!("")]),
            ],
            required: &["title", "source"],
        },
        Call {
            method: "PATCH",
            path: format!("/broadcasts/{broadcast}"),
            good: json!({"title": "x", "description": "y", "tags": ["z"], "audience": "pin", "pin": "123456", "hidden": true}),
            bad: vec![
                ("title", titles()),
                ("audience", audiences()),
                ("description", descriptions()),
                (
                    "pin",
                    vec![json!("12345"), json!("1234567"), json!("12345a"), json!("１２３４５６"), json!("-12345")],
                ),
                (
                    "tags",
                    vec![
                        json!([1]),
                        json!(["a,b"]),
                        json!(["x".repeat(41)]),
                        json!(["a\u{0}"]),
                        json!((0..11).map(|n| n.to_string()).collect::<Vec<_>>()),
                    ],
                ),
            ],
            required: &[],
        },
        Call {
            method: "POST",
            path: "/stream-keys".into(),
            good: json!({"label": "x", "auto_live": true, "audience": "public"}),
            bad: vec![
                ("label", [vec![json!(""), json!(" "), long(81), long(10_000)], controls().to_vec()].concat()),
                ("audience", audiences()),
            ],
            required: &["label"],
        },
        Call {
            method: "POST",
            path: "/accounts".into(),
            good: json!({"username": "orang", "password": PASSWORD, "role": "viewer"}),
            bad: vec![("username", names()), ("password", passwords()), ("role", roles())],
            required: &["username", "password", "role"],
        },
        Call {
            method: "PATCH",
            path: format!("/accounts/{account}"),
            good: json!({"username": "orang", "password": PASSWORD, "role": "admin", "disabled": false}),
            bad: vec![("username", names()), ("password", passwords()), ("role", roles())],
            required: &[],
        },
        Call {
            method: "POST",
            path: "/session".into(),
            good: json!({"username": "orang", "password": PASSWORD}),
            bad: vec![],
            required: &["username", "password"],
        },
    ]
}

fn refused(reply: &Reply, field: &str, what: &str) {
    assert_eq!(reply.status, 400, "{what}: {}", reply.text());
    assert!(!reply.code().is_empty());
    let told = reply.json()["field"].as_str().unwrap_or_default().to_owned();
    // An item of a list is named with its place.
    assert!(told == field || told.starts_with(&format!("{field}[")), "{what} is blamed on {told:?}: {}", reply.text());
    assert!(reply.body.len() < 2000, "{what}: an answer is short, whatever was sent");
}

#[test]
fn each_field_of_each_body() {
    let server = Server::start(SMALL);
    let calls = calls(&server);
    let before = state(&server);
    for call in &calls {
        let path = format!("/api/v1{}", call.path);
        let send = |body: &Value| server.admin.json(call.method, &path, body);
        let name = format!("{} {}", call.method, call.path);
        for (field, good) in call.good.as_object().expect("an object") {
            let wrong_types = [json!(1), json!(1.5), json!(true), json!("x"), json!({}), json!([1]), json!({"a": []})];
            let same = |bad: &Value| {
                std::mem::discriminant(bad) == std::mem::discriminant(good) || (bad.is_array() && good.is_array())
            };
            let mut bad: Vec<Value> = wrong_types.into_iter().filter(|bad| !same(bad)).collect();
            bad.extend(call.bad.iter().filter(|(name, _)| name == field).flat_map(|(_, values)| values.clone()));
            for bad in bad {
                let mut body = call.good.clone();
                body[field] = bad.clone();
                refused(&send(&body), field, &format!("{name} {field}={bad:.40}"));
            }
            if call.required.contains(&field.as_str()) {
                let mut body = call.good.clone();
                body.as_object_mut().expect("an object").remove(field);
                refused(&send(&body), field, &format!("{name} without {field}"));
            }
        }
        let mut body = call.good.clone();
        body["is_admin"] = json!(true);
        refused(&send(&body), "is_admin", &format!("{name} with more"));
    }
    assert_eq!(state(&server), before, "nothing was changed");
}

#[test]
fn bodies_that_are_no_json_object() {
    let server = Server::start(SMALL);
    let calls = calls(&server);
    let before = state(&server);
    let deep = [vec![b'['; 30_000], vec![b']'; 30_000]].concat();
    let bodies: [&[u8]; 12] = [
        b"",
        b"null",
        b"[]",
        b"\"x\"",
        b"{",
        b"{}x",
        b"{\"a\":}",
        b"\xff\xfe{}",
        b"{'a':1}",
        b"1e999",
        &deep,
        b"{\"title\":\"a\",\"title\":\"b\",\"username\":\"a\",\"username\":\"b\",\"label\":\"a\",\"label\":\"b\"}",
    ];
    for call in &calls {
        let path = format!("/api/v1{}", call.path);
        for body in bodies {
            let headers = [("content-type", "application/json")];
            let reply = server.admin.send(call.method, &path, &headers, Some(body.to_vec()));
            let what = format!("{} {} {:.60}", call.method, call.path, String::from_utf8_lossy(body));
            assert_eq!(reply.status, 400, "{what}: {}", reply.text());
            assert!(!reply.code().is_empty());
        }
        let good = call.good.to_string().into_bytes();
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
            let reply = server.admin.send(call.method, &path, &[("content-type", media_type)], Some(good.clone()));
            let code = reply.code();
            assert_eq!((reply.status, code.as_str()), (415, "unsupported_media_type"), "{media_type:?} {}", call.path);
        }
        let large = json!({"title": "x".repeat(1 << 20)}).to_string().into_bytes();
        let reply = server.admin.send(call.method, &path, &[("content-type", "application/json")], Some(large));
        assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"), "{}", call.path);
    }
    assert_eq!(state(&server), before, "nothing was changed");
}

#[test]
fn texts_of_every_kind_come_back_as_they_were() {
    let server = Server::start(SMALL);
    let id = server.go_live("x");
    server.end(&id);
    let long = "é".repeat(200);
    let titles = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "{{ 7*7 }} ${7*7} %s %n",
        "'; DROP TABLE broadcasts; --",
        "👩‍⚕️🤱🏽 Ibu",
        "ibu\u{202e}gnuj\u{202c}",
        "أهلا وسهلا",
        "&amp;&lt;",
        "a\u{301}",
        "\\\\server\\share",
        "𝔘𝔫𝔦",
        &long,
    ];
    for title in titles {
        let (status, changed) =
            server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": title, "description": title})));
        assert_eq!((status, &changed["title"], &changed["description"]), (200, &json!(title), &json!(title)));
        for page in ["/", &format!("/watch/{id}"), "/live", "/tv", "/?q=x%22%3E%3Cscript%3Ealert(1)%3C/script%3E"] {
            let reply = server.stranger().get(page);
            crate::routes::runs_nothing_inline(page, &reply);
            let html = reply.text();
            for markup in ["<script>alert", "<img src=x"] {
                assert!(!html.contains(markup), "{markup} of {title} on {page}");
            }
        }
        let download = server.stranger().send("HEAD", &format!("/media/{id}/download.mp4"), &[], None);
        let name = download.header("content-disposition").to_owned();
        assert!(download.status == 200 && name.starts_with("attachment") && name.is_ascii(), "{name}");
        assert!(
            !name.contains("..") && !name.contains("%2F") && !name.contains("%5C") && !name.contains('<'),
            "{name}"
        );
    }
    for query in ["%00", "%ff", "%22", "*", "x*", "NEAR(", "a%20AND", &"x".repeat(5000), &"%F0%9F%98%80".repeat(300)] {
        let reply = server.stranger().get(&format!("/api/v1/broadcasts?q={query}"));
        assert!(reply.status == 200 || reply.status == 400, "{query:.40}: {}", reply.text());
    }
    for query in ["%2D%2D", "%21%3F", "%22%22", "%F0%9F%98%80"] {
        let reply = server.stranger().get(&format!("/api/v1/broadcasts?q={query}"));
        assert_eq!((reply.status, &reply.json()["items"]), (200, &json!([])), "{query} is in no title");
        let page = server.stranger().get_with(&format!("/?q={query}"), &[("accept-language", "en")]).text();
        assert!(
            page.contains("No recordings for") && !page.contains("class=\"cards\""),
            "{query} is told to find nothing"
        );
    }
    for query in [
        "state=on",
        "state=",
        "limit=0",
        "limit=-1",
        "limit=201",
        "limit=x",
        "after=%00",
        "after=../x",
        "trashed=maybe",
    ] {
        let reply = server.stranger().get(&format!("/api/v1/broadcasts?{query}"));
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        let field = reply.json()["field"].as_str().unwrap_or_default().to_owned();
        assert_eq!(query.split('=').next(), Some(field.as_str()), "{query}");
    }
    pages_show_all_once(&server, &id);
}

/// A list that is read page by page has everything once, also where two were begun in the same instant.
fn pages_show_all_once(server: &Server, id: &str) {
    let database = rusqlite::Connection::open(server.data.path().join("siaran.db")).expect("a database");
    database.busy_timeout(AGES).expect("a wait");
    database.execute_batch("CREATE TEMP TABLE copy AS SELECT * FROM broadcasts").expect("one row");
    let mut all = vec![id.to_owned()];
    for later_ms in [0, 0, 1000, 1000] {
        let id = format!("{:020}", all.len());
        database.execute("UPDATE copy SET id = ?1, created_at = created_at + ?2", (&id, later_ms)).expect("a copy");
        database.execute_batch("INSERT INTO broadcasts SELECT * FROM copy").expect("room");
        all.push(id);
    }
    let (mut found, mut after, mut sizes) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = server.stranger().get(&format!("/api/v1/broadcasts?limit=2{after}")).json();
        let items = page["items"].as_array().expect("a list");
        sizes.push(items.len());
        found.extend(items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(found[0], all[4], "the newest comes first");
    found.sort();
    all.sort();
    assert_eq!(found, all);
}

/// Sends bytes as they are and reads until the server closes or answers in full; what came, at most a megabyte.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.http.trim_start_matches("http://")).expect("it listens");
    socket.set_read_timeout(Some(AGES)).expect("a socket");
    // The server may answer and close before it has read all of it.
    let _ = socket.write_all(request);
    let _ = socket.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = socket.take(1 << 20).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn paths_that_lead_elsewhere() {
    let server = Server::start(SMALL);
    let id = server.go_live("x");
    server.end(&id);
    let paths = [
        "/../../../../etc/passwd",
        "/media/../../siaran.db",
        "/assets/../../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/media/{id}/av/../../../siaran.db",
        "/media/{id}/av/..%2f..%2f..%2fsiaran.db",
        "/media/{id}/av/seg-0.m4s%00.jpg",
        "/media/{id}%00/main.m3u8",
        "/media/%00/main.m3u8",
        "/watch/%00",
        "/watch/%ff%fe",
        "/watch/..%5c..%5csiaran.db",
        "/media/{id}/av/%2e%2e%2f",
        "/%c0%ae%c0%ae/etc/passwd",
        "//etc/passwd",
        "/media//main.m3u8",
        "/media/{id}/av/seg-0.m4s/..",
        "/media/{ID}/main.m3u8",
        "/api/v1/broadcasts/%2e%2e%2faccounts",
        "/setup/%00",
        "/siaran.db",
        "/data/siaran.db",
        "/reels/",
        "/.git/config",
        "/media/{id}/av/index.m3u8%0d%0aX-Evil:%201",
        "/%",
        "/%zz",
        "/watch/%",
        "/assets/%00",
        "/assets/",
        "/studio/preview/..%2f/main.m3u8",
        "/?lang=%00",
        "/static/css/app.css",
    ];
    for path in paths {
        let path = path.replace("{id}", &id).replace("{ID}", &id.to_uppercase());
        let answer = raw(&server, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
        let status = status(&answer);
        let harmless = (path == "/?lang=%00" && status == 200) || (300..500).contains(&status);
        assert!(harmless, "{path}: {answer:.200}");
        for leak in ["root:", "SQLite format", "[package]", "X-Evil", "src/web", "panicked"] {
            assert!(!answer.contains(leak), "{path} tells {leak}");
        }
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "a".repeat(60_000));
    assert!((400..500).contains(&status(&raw(&server, long.as_bytes()))));
    assert_eq!(server.broadcast(&id)["state"], "ended");
}

#[test]
fn requests_that_are_none() {
    let server = Server::start(SMALL);
    let host = "Host: x\r\nConnection: close\r\n";
    let odd = [
        String::from("\r\n\r\n"),
        String::from("GET\r\n\r\n"),
        format!("GET / HTTP/9.9\r\n{host}\r\n"),
        format!("G\u{0}T / HTTP/1.1\r\n{host}\r\n"),
        format!("GET / HTTP/1.1\r\nBad header\r\n{host}\r\n"),
        format!("POST /login HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\nx"),
        format!("POST /login HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        format!("POST /login HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
        format!("GET / HTTP/1.1\r\n{host}Cookie: {}\r\n\r\n", "siaran_session=x; ".repeat(1000)),
        format!("GET / HTTP/1.1\r\n{host}X: {}\r\n\r\n", "x".repeat(2 << 20)),
        format!("GET / HTTP/1.1\r\n{host}{}\r\n", (0..5000).map(|n| format!("X-{n}: y\r\n")).collect::<String>()),
        format!("TRACE / HTTP/1.1\r\n{host}\r\n"),
        format!("CONNECT example.org:80 HTTP/1.1\r\n{host}\r\n"),
        format!("FOO / HTTP/1.1\r\n{host}\r\n"),
        format!("GET http://example.org/healthz HTTP/1.1\r\n{host}\r\n"),
        String::from("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}"),
        String::from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    ];
    for request in odd {
        let status = status(&raw(&server, request.as_bytes()));
        assert!(status < 500 || status == 501 || status == 505, "{request:.60?}: {status}");
        assert_eq!(server.stranger().get("/healthz").status, 200, "after {request:.60?}");
    }
    for path in ["/api/v1/broadcasts", "/api/v1/session", "/api/v1/accounts/x", "/media/x/main.m3u8", "/healthz", "/"] {
        for method in ["PUT", "OPTIONS", "TRACE", "PROPFIND"] {
            let reply = server.admin.send(method, path, &[], None);
            assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{method} {path}");
        }
    }
    assert!(!server.stranger().send("PUT", "/api/v1/session", &[], None).header("allow").is_empty());
}

/// Sends a body until the server has had enough, which must come; what it said.
fn endless(server: &Server, head: &str, piece: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.http.trim_start_matches("http://")).expect("it listens");
    socket.set_read_timeout(Some(AGES)).expect("a socket");
    socket.set_write_timeout(Some(AGES)).expect("a socket");
    socket.write_all(head.as_bytes()).expect("the head is taken");
    let begin = Instant::now();
    while socket.write_all(piece).is_ok() {
        assert!(begin.elapsed() < AGES, "{head} takes all that it is given");
    }
    let mut answer = Vec::new();
    let _ = socket.take(1 << 16).read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bodies_that_do_not_end() {
    let server = Server::start(SMALL);
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    for (path, media_type) in [
        ("/api/v1/session", "application/json"),
        ("/api/v1/broadcasts", "application/json"),
        ("/login", "application/x-www-form-urlencoded"),
        ("/setup", "application/x-www-form-urlencoded"),
        ("/nowhere", "application/x-www-form-urlencoded"),
        ("/", "text/plain"),
    ] {
        let By::Bearer(token) = &server.admin.by else { panic!("signed in by token") };
        let common = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\nAuthorization: Bearer {token}\r\n"
        );
        let answer = endless(&server, &format!("{common}Transfer-Encoding: chunked\r\n\r\n"), &chunk);
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{path}: {answer:.200}");
        let answer = endless(&server, &format!("{common}Content-Length: 9999999999999\r\n\r\n"), &[b'x'; 0x10000]);
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{path}: {answer:.200}");
    }
    // Many who never finish their head do not keep others out.
    let stalled: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut socket = TcpStream::connect(server.http.trim_start_matches("http://")).expect("it listens");
            socket.write_all(b"GET / HTTP/1.1\r\nHost:").expect("it reads");
            socket
        })
        .collect();
    assert_eq!(server.stranger().get("/").status, 200);
    drop(stalled);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak").trim();
    let peak: u64 = peak.split(' ').next().expect("a number").parse().expect("kB");
    assert!(peak < 300_000, "{peak} kB at most");
}

/// How long another program holds the database: many times what the server waits for one write.
const HELD: Duration = Duration::from_secs(27);

/// Holds the database as another program would, until it is dropped.
fn lock(server: &Server) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(server.data.path().join("siaran.db")).expect("the database");
    other.busy_timeout(AGES).expect("a connection");
    other.execute_batch("BEGIN EXCLUSIVE").expect("it is ours now");
    other
}

#[test]
fn a_locked_database_is_told_and_nothing_is_lost() {
    let server = Server::start(SMALL);
    let id = server.go_live("Terkunci");
    server.until_duration(&id, 2.0);
    let other = lock(&server);
    let (status, reply) = server.call("POST", "/stream-keys", Some(json!({"label": "x"})));
    assert_eq!((status, &reply["code"]), (503, &json!("database_locked")), "{reply}");
    let (status, reply) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": "y"})));
    assert_eq!((status, &reply["code"]), (503, &json!("database_locked")), "{reply}");
    assert!(!reply.to_string().contains("siaran.db") && !reply.to_string().contains("SQL"), "{reply}");
    // Viewers notice nothing.
    let before = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    server.until_duration(&id, before + 3.0);
    assert_eq!(server.stranger().get(&format!("/watch/{id}")).status, 200);
    drop(other);
    until("it to be written again", || {
        (server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": "Terbuka"}))).0 == 200).then_some(())
    });
    assert_eq!(server.get("/stream-keys")["items"], json!([]));

    // Locked once more, when it ends: the recording is whole as soon as it can be.
    let listed = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    let other = lock(&server);
    std::thread::scope(|scope| {
        let ending = scope.spawn(|| server.call("POST", &format!("/broadcasts/{id}/end"), None));
        // Longer than the server waits for one write.
        std::thread::sleep(Duration::from_secs(8));
        drop(other);
        let (status, ended) = ending.join().expect("an answer");
        assert!(status == 200 || status == 503, "{ended}");
    });
    server.until_state(&id, "ended");
    let duration = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    assert!(duration >= listed, "{listed} s were on air, {duration} s are left");
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
    assert!((tools::duration(tools::as_text(&file)) - duration).abs() < 0.1);
}

#[test]
fn a_database_that_is_held_for_half_a_minute() {
    let server = Server::start(SMALL);
    let id = server.go_live("Lama terkunci");
    server.until_duration(&id, 2.0);
    let form = server.stranger().get_with("/login", &[("accept", "text/html")]);
    let visitor = server.stranger().by(By::Cookie(crate::roles::cookies(&form)));
    let csrf = crate::roles::field(&form.text(), "csrf");

    let refused = |reply: &Reply, took: Duration| {
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(reply.header("retry-after").parse::<u32>().expect("seconds") > 0);
        assert!(took < Duration::from_secs(8), "{took:?}");
    };
    let begin = Instant::now();
    let other = lock(&server);
    std::thread::scope(|scope| {
        // Each asks again and again, as people do.
        scope.spawn(|| {
            while begin.elapsed() < HELD {
                let asked = Instant::now();
                let reply = server.sign_in(crate::server::ADMIN, PASSWORD);
                refused(&reply, asked.elapsed());
                assert_eq!(reply.code(), "database_locked");
            }
        });
        scope.spawn(|| {
            while begin.elapsed() < HELD {
                let asked = Instant::now();
                let body = json!({"title": "Baru"});
                let reply = server.admin.json("PATCH", &format!("/api/v1/broadcasts/{id}"), &body);
                refused(&reply, asked.elapsed());
                assert_eq!(reply.code(), "database_locked");
            }
        });
        scope.spawn(|| {
            let fields = [("csrf", csrf.as_str()), ("username", "midwife"), ("password", PASSWORD), ("next", "/")];
            let asked = Instant::now();
            let reply = visitor.form("/login", &[("accept", "text/html"), ("accept-language", "en")], &fields);
            refused(&reply, asked.elapsed());
            assert!(reply.text().contains("nothing has changed"), "{}", reply.text());
        });
        // Viewers, and whoever is signed in and only looks, notice nothing.
        while begin.elapsed() < HELD {
            let asked = Instant::now();
            let so_far = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
            assert_eq!(server.stranger().get(&format!("/watch/{id}")).status, 200);
            assert_eq!(server.stranger().get(&format!("/media/{id}/av/index.m3u8")).status, 200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
            server.until_duration(&id, so_far + 1.0);
        }
    });
    drop(other);
    until("it to be written again", || {
        (server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"title": "Terbuka"}))).0 == 200).then_some(())
    });
    assert_eq!(server.sign_in(crate::server::ADMIN, PASSWORD).status, 200);
    let listed = server.broadcast(&id)["duration_s"].as_f64().expect("a number");
    let ended = server.end(&id);
    assert_eq!((&ended["state"], &ended["gaps"]), (&json!("ended"), &json!([])), "nothing is lost: {ended}");
    let duration = ended["duration_s"].as_f64().expect("a number");
    assert!(duration >= listed && duration > HELD.as_secs_f64(), "{listed} s were on air, {duration} s are left");
    let text = String::from_utf8(server.fetch(&format!("/media/{id}/av/index.m3u8"))).expect("UTF-8");
    assert!(!text.contains("EXT-X-GAP"), "{text}");
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    tools::decode(tools::as_text(&file));
    assert!((tools::duration(tools::as_text(&file)) - duration).abs() < 0.1);
}

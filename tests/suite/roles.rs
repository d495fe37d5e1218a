//! Who may do what: each role against each route, each audience against each kind of media, and what a session survives.

use serde_json::{Value, json};

use crate::client::{By, Client, Reply};
use crate::open_pages::Page;
use crate::playlist_rules::Playlist;
use crate::routes;
use crate::server::{ADMIN, PASSWORD, SMALL, Server};

/// A stranger, a viewer, a broadcaster and an admin.
struct Everybody {
    clients: [(&'static str, Client); 4],
}

impl Everybody {
    fn of(server: &Server) -> Self {
        let (_, viewer) = server.account("penonton", "viewer");
        let (_, broadcaster) = server.account("penyiar", "broadcaster");
        let clients = [
            ("nobody", server.stranger()),
            ("viewer", viewer),
            ("broadcaster", broadcaster),
            ("admin", server.admin.clone()),
        ];
        Self { clients }
    }

    /// Asks as each of them; the statuses must be these.
    fn expect(&self, method: &str, path: &str, body: Option<Value>, statuses: [u16; 4]) {
        for ((name, client), expected) in self.clients.iter().zip(statuses) {
            let reply = match &body {
                Some(body) => client.json(method, path, body),
                None => client.send(method, path, &[], None),
            };
            check_refusal(&format!("{method} {path} by {name}"), &reply, expected);
        }
    }

    /// Sends a form as each of them.
    fn expect_form(&self, path: &str, fields: &[(&str, &str)], statuses: [u16; 4]) {
        for ((name, client), expected) in self.clients.iter().zip(statuses) {
            check_refusal(&format!("POST {path} by {name}"), &client.form(path, &[], fields), expected);
        }
    }

    /// Sends a form with a file as each of them.
    fn expect_file(&self, path: &str, statuses: [u16; 4]) {
        let headers = [("content-type", "multipart/form-data; boundary=x")];
        let body = b"--x\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nid\r\n--x--\r\n";
        for ((name, client), expected) in self.clients.iter().zip(statuses) {
            let reply = client.send("POST", path, &headers, Some(body.to_vec()));
            check_refusal(&format!("POST {path} by {name}"), &reply, expected);
        }
    }

    /// Opens a stream of events as each of them; who may gets the first.
    fn expect_events(&self, server: &Server, path: &str, allowed: [u16; 4]) {
        for ((name, client), expected) in self.clients.iter().zip(allowed) {
            if expected == 200 {
                Page::open(server, path, &client.by);
            } else {
                check_refusal(&format!("{path} by {name}"), &client.get(path), expected);
            }
        }
    }

    fn client(&self, role: &str) -> &Client {
        &self.clients.iter().find(|(name, _)| *name == role).expect("one of the four").1
    }
}

/// The status must be this. A form that comes back with what is wrong is a page; every other refusal says its code.
fn check_refusal(what: &str, reply: &Reply, expected: u16) {
    assert_eq!(reply.status, expected, "{what}: {}", String::from_utf8_lossy(&reply.body));
    if reply.status < 400 || reply.body.is_empty() || reply.header("content-type").starts_with("text/html") {
        assert!(!matches!(expected, 401 | 403) || what.starts_with("HEAD"), "{what}: a refusal without its code");
        return;
    }
    let code = reply.code();
    match reply.status {
        401 => assert!(code == "not_signed_in" || code == "wrong_credentials", "{what}: {code}"),
        403 => assert!(["forbidden", "pin_required", "csrf_failed"].contains(&code.as_str()), "{what}: {code}"),
        _ => {}
    }
}

/// A recording made by this client.
fn record(server: &Server, client: &Client, audience: &str) -> String {
    let body = json!({"title": "Rekaman", "source": "test", "audience": audience});
    let made = client.json("POST", "/api/v1/broadcasts", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    server.until_state(&id, "live");
    server.end(&id);
    id
}

/// Names and values of a form.
type Filled<'a> = &'a [(&'a str, &'a str)];

/// An id that nothing has.
const NONE: &str = "00000000000000000000";

#[test]
fn each_role_against_each_route() {
    let server = Server::start(SMALL);
    let all = Everybody::of(&server);
    let ours = record(&server, &server.admin, "public");
    let theirs = record(&server, all.client("broadcaster"), "public");
    let of_ours = |path: &str| path.replace("{id}", &ours);
    let of_none = |path: &str| path.replace("{id}", NONE);
    let gone = [404; 4];
    let pages = [
        ("GET", of_ours("/watch/{id}"), None, [200; 4]),
        ("GET", of_ours("/admin/recordings/{id}"), None, [401, 403, 403, 200]),
        ("GET", of_ours("/admin/recordings/{id}/captions"), None, [401, 403, 403, 200]),
        ("GET", of_ours("/admin/recordings/{id}/edit"), None, [401, 403, 403, 200]),
        ("GET", of_ours("/media/{id}/uncut/main.m3u8"), None, [401, 403, 403, 200]),
        ("HEAD", of_ours("/media/{id}/uncut/main.m3u8"), None, [401, 403, 403, 200]),
        ("GET", of_ours("/media/{id}/uncut/av/index.m3u8"), None, [401, 403, 403, 200]),
        ("HEAD", of_ours("/media/{id}/uncut/av/index.m3u8"), None, [401, 403, 403, 200]),
        ("GET", of_none("/media/{id}/uncut/main.m3u8"), None, [401, 403, 404, 404]),
    ];
    let streams = [
        ("/live/events".to_owned(), [200; 4]),
        ("/tv/events".to_owned(), [200; 4]),
        (of_ours("/watch/{id}/events"), [200; 4]),
        (of_none("/watch/{id}/events"), gone),
        ("/studio/events?source=cam-none".to_owned(), [401, 403, 200, 200]),
    ];
    let (ours, theirs) = (format!("/api/v1/broadcasts/{ours}"), format!("/api/v1/broadcasts/{theirs}"));
    let api = |path: &str| format!("/api/v1{path}");
    let nothing = api(&format!("/broadcasts/{NONE}"));
    let none = |path: &str| api(&format!("{path}/{NONE}"));
    let no_source = json!({"title": "x", "source": "cam-none"});

    let anybody = [200; 4];
    let signed_in = |status| [401, status, status, status];
    let staff = |status| [401, 403, status, status];
    let admins = |status| [401, 403, 403, status];
    let table: Vec<(&str, String, Option<Value>, [u16; 4])> = vec![
        ("GET", api("/openapi.json"), None, anybody),
        ("GET", api("/broadcasts"), None, anybody),
        ("GET", api("/broadcasts?trashed=true"), None, [403, 403, 403, 200]),
        ("GET", ours.clone(), None, anybody),
        ("GET", nothing.clone(), None, [404; 4]),
        ("GET", api("/sources"), None, staff(200)),
        ("POST", api("/broadcasts"), Some(no_source), staff(404)),
        ("POST", format!("{ours}/end"), None, staff(200)),
        ("POST", format!("{nothing}/end"), None, staff(404)),
        ("PATCH", ours.clone(), Some(json!({})), admins(200)),
        ("PATCH", theirs.clone(), Some(json!({})), staff(200)),
        ("PATCH", nothing.clone(), Some(json!({})), staff(404)),
        ("DELETE", nothing.clone(), None, staff(404)),
        ("POST", format!("{nothing}/restore"), None, admins(404)),
        ("GET", format!("{ours}/captions"), None, anybody),
        ("PUT", format!("{ours}/captions/id"), Some(json!({"cues": []})), admins(400)),
        ("PUT", format!("{theirs}/captions/id"), Some(json!({"cues": []})), staff(400)),
        ("DELETE", format!("{ours}/captions/id"), None, admins(404)),
        ("GET", format!("{ours}/edit"), None, admins(200)),
        ("GET", format!("{theirs}/edit"), None, staff(200)),
        ("GET", format!("{nothing}/edit"), None, staff(404)),
        ("PUT", format!("{ours}/edit"), Some(json!({})), admins(200)),
        ("PUT", format!("{theirs}/edit"), Some(json!({"kept": []})), staff(400)),
        ("DELETE", format!("{ours}/edit"), None, admins(204)),
        ("POST", format!("{ours}/thumbnail"), Some(json!({})), admins(400)),
        ("POST", format!("{theirs}/thumbnail"), Some(json!({})), staff(400)),
        ("GET", api("/stream-keys"), None, staff(200)),
        ("POST", api("/stream-keys"), Some(json!({"label": ""})), staff(400)),
        ("DELETE", none("/stream-keys"), None, staff(404)),
        ("OPTIONS", api("/uploads"), None, staff(204)),
        ("GET", api("/uploads"), None, staff(200)),
        ("POST", api("/uploads"), None, staff(412)),
        ("HEAD", none("/uploads"), None, staff(412)),
        ("PATCH", none("/uploads"), None, staff(412)),
        ("DELETE", none("/uploads"), None, staff(412)),
        // It stands for PATCH and DELETE, by a header that says which.
        ("POST", none("/uploads"), None, [405; 4]),
        ("GET", "/studio/upload".into(), None, staff(200)),
        ("POST", "/studio/upload".into(), None, staff(415)),
        ("GET", api("/storage"), None, admins(200)),
        ("PUT", api("/retention"), Some(json!({"rule": "days"})), admins(400)),
        ("DELETE", api("/trash"), None, admins(200)),
        ("POST", none("/broadcasts") + "/ladder/cancel", None, admins(404)),
        ("POST", none("/broadcasts") + "/ladder/retry", None, admins(404)),
        ("GET", api("/imports"), None, admins(200)),
        ("POST", none("/imports") + "/cancel", None, admins(404)),
        ("POST", none("/imports") + "/retry", None, admins(404)),
        ("GET", api("/accounts"), None, admins(200)),
        ("POST", api("/accounts"), Some(json!({})), admins(400)),
        ("PATCH", none("/accounts"), Some(json!({})), admins(404)),
        ("DELETE", none("/accounts"), None, admins(404)),
        ("GET", "/studio/preview/none/main.m3u8".into(), None, staff(404)),
        ("GET", "/studio/preview/none/av/index.m3u8".into(), None, staff(404)),
        ("HEAD", "/studio/preview/none/main.m3u8".into(), None, staff(404)),
        ("HEAD", "/studio/preview/none/av/index.m3u8".into(), None, staff(404)),
        ("GET", "/studio".into(), None, staff(200)),
        ("GET", "/studio/keys".into(), None, staff(200)),
        ("GET", "/admin".into(), None, admins(200)),
        ("GET", "/admin/accounts".into(), None, admins(200)),
        ("GET", "/admin/recordings".into(), None, admins(200)),
        ("GET", "/admin/trash".into(), None, admins(200)),
        ("GET", "/admin/imports".into(), None, admins(200)),
        ("GET", of_none("/admin/recordings/{id}"), None, admins(404)),
        ("GET", of_none("/admin/recordings/{id}/captions"), None, admins(404)),
        ("GET", of_none("/admin/recordings/{id}/captions/id"), None, admins(404)),
        ("GET", of_none("/admin/recordings/{id}/edit"), None, admins(404)),
        ("GET", of_none("/watch/{id}"), None, gone),
        // Whoever is signed in has nothing to do there.
        ("GET", "/login".into(), None, [200, 303, 303, 303]),
        ("GET", "/setup".into(), None, [303; 4]),
        ("GET", "/setup/token".into(), None, [303; 4]),
        ("GET", "/".into(), None, anybody),
        ("GET", "/live".into(), None, anybody),
        ("GET", "/tv".into(), None, anybody),
        ("GET", "/healthz".into(), None, anybody),
    ];
    let media = [
        "main.m3u8",
        "av/index.m3u8",
        "download.mp4",
        "thumbnail.jpg",
        "sprite.jpg",
        "sprite.vtt",
        "chapters.vtt",
        "captions/id.vtt",
    ];
    let media = media
        .iter()
        .flat_map(|file| ["GET", "HEAD"].map(|method| (method, of_none(&format!("/media/{{id}}/{file}")), None, gone)));
    let table: Vec<_> = table.into_iter().chain(pages).chain(media).collect();
    let forms: Vec<(String, Filled, [u16; 4])> = vec![
        ("/admin/accounts".into(), &[("username", "x"), ("password", "x"), ("role", "viewer")], admins(400)),
        (of_none("/admin/accounts/{id}/role"), &[("role", "viewer")], admins(404)),
        (of_none("/admin/accounts/{id}/password"), &[("password", PASSWORD)], admins(404)),
        (of_none("/admin/accounts/{id}/disable"), &[], admins(404)),
        (of_none("/admin/accounts/{id}/enable"), &[], admins(404)),
        (of_none("/admin/accounts/{id}/delete"), &[], admins(404)),
        (of_none("/admin/recordings/{id}"), &[("title", "x")], admins(404)),
        (of_none("/admin/recordings/{id}/trash"), &[], admins(404)),
        (of_none("/admin/recordings/{id}/ladder/cancel"), &[], admins(404)),
        (of_none("/admin/recordings/{id}/ladder/retry"), &[], admins(404)),
        (of_none("/admin/recordings/{id}/captions/id/delete"), &[], admins(404)),
        (of_none("/admin/recordings/{id}/edit"), &[("kept", ""), ("chapters", "")], admins(404)),
        (of_none("/admin/recordings/{id}/edit/picture"), &[("at", "0:00")], admins(404)),
        (of_none("/admin/recordings/{id}/edit/whole"), &[], admins(404)),
        (of_none("/admin/trash/{id}/restore"), &[], admins(404)),
        (of_none("/admin/trash/{id}/delete"), &[], admins(404)),
        ("/admin/trash/empty".into(), &[], admins(303)),
        (of_none("/admin/imports/{id}/cancel"), &[], admins(404)),
        (of_none("/admin/imports/{id}/retry"), &[], admins(404)),
        (of_none("/studio/upload/{id}/delete"), &[], staff(404)),
        ("/admin/retention".into(), &[("rule", "days")], admins(400)),
        ("/studio/broadcasts".into(), &[("title", "x"), ("source", "cam-none"), ("audience", "staff")], staff(404)),
        (of_none("/studio/broadcasts/{id}/end"), &[], staff(404)),
        ("/studio/keys".into(), &[("label", "")], staff(400)),
        (of_none("/studio/keys/{id}/revoke"), &[], staff(404)),
        (of_none("/watch/{id}/keep"), &[("pinned", "1")], staff(404)),
        (of_none("/watch/{id}/pin"), &[("pin", "000000")], gone),
        ("/language".into(), &[("lang", "xx")], [400; 4]),
        // These two need the token of a page that was asked for before.
        ("/login".into(), &[("username", ADMIN), ("password", PASSWORD)], [403; 4]),
        ("/setup".into(), &[], [403; 4]),
    ];
    let captions = of_none("/admin/recordings/{id}/captions");
    // They end sessions, and `POST /api/v1/session` begins one, so they stand apart.
    let apart = [("DELETE", "/api/v1/session"), ("POST", "/logout"), ("POST", "/api/v1/session")];
    let mut known: Vec<(&str, &str)> = table.iter().map(|row| (row.0, row.1.as_str())).chain(apart).collect();
    known.push(("POST", &captions));
    known.extend(streams.iter().map(|row| ("GET", row.0.as_str())));
    known.extend(forms.iter().map(|row| ("POST", row.0.as_str())));
    covers_the_description(&server, &known);
    covers_the_source(&known);

    for (path, allowed) in &streams {
        all.expect_events(&server, path, *allowed);
    }
    for (path, fields, statuses) in &forms {
        all.expect_form(path, fields, *statuses);
    }
    all.expect_file(&captions, admins(404));
    let mut seen = 0;
    for (method, path, body, statuses) in table {
        all.expect(method, &path, body, statuses);
        if method == "GET" {
            seen += [0, 1, 3].map(|who| looks_harmless(&all.clients[who].1, &path)).iter().sum::<usize>();
        }
    }
    assert!(seen > 40, "{seen} pages");
    all.expect("DELETE", "/api/v1/session", None, signed_in(204));
    all.expect("GET", "/api/v1/sources", None, [401; 4]);
    all.expect("POST", "/logout", None, [401; 4]);
}

/// Asks as a browser does; 1 for a page, on which nothing may run that stands in it, and 0 for what is none.
fn looks_harmless(client: &Client, path: &str) -> usize {
    let reply = client.get_with(path, &[("accept", "text/html")]);
    if !reply.header("content-type").starts_with("text/html") {
        return 0;
    }
    routes::runs_nothing_inline(path, &reply);
    1
}

/// Every route that the source declares is in the tables.
fn covers_the_source(known: &[(&str, &str)]) {
    for (method, pattern) in routes::declared() {
        let tried = known.iter().any(|(of, path)| *of == method && routes::matches(&pattern, path));
        assert!(tried, "{method} {pattern} is not in the table");
    }
}

/// Every operation of the OpenAPI description is in the table, but for signing in, which has no roles.
fn covers_the_description(server: &Server, table: &[(&str, &str)]) {
    let description = server.stranger().get("/api/v1/openapi.json").json();
    assert!(description["openapi"].as_str().expect("a version").starts_with("3.1"));
    for (path, operations) in description["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys().map(|method| method.to_uppercase()) {
            let known = table.iter().any(|(known, at)| *known == method && routes::matches(path, at));
            assert!(known, "{method} {path} is not in the table");
        }
    }
}

#[test]
fn each_audience_against_each_kind_of_media() {
    let server = Server::start(SMALL);
    let all = Everybody::of(&server);
    let made = server.post("/broadcasts", json!({"title": "Untuk siapa?", "source": "test", "audience": "staff"}));
    let id = made["id"].as_str().expect("an id").to_owned();
    server.until_state(&id, "live");
    let live = Playlist::read(&server.admin.get(&format!("/media/{id}/av/index.m3u8")).text());
    let part = format!("av/{}", live.segments[0].parts[0].uri);
    let on_air = ["main.m3u8", "av/index.m3u8", "av/init-0.mp4", &part, "av/index.m3u8?_HLS_msn=0&_HLS_part=0"];
    check_audiences(&server, &all, &id, &on_air);
    server.end(&id);
    let afterwards = ["main.m3u8", "av/index.m3u8", "av/init-0.mp4", "av/seg-0.m4s", "download.mp4", "thumbnail.jpg"];
    crate::server::until("a thumbnail", || server.broadcast(&id)["thumbnail_url"].is_string().then_some(()));
    check_audiences(&server, &all, &id, &afterwards);
}

fn check_audiences(server: &Server, all: &Everybody, id: &str, files: &[&str]) {
    let audiences = [
        ("public", [200; 4], [true; 4]),
        ("pin", [403, 200, 200, 200], [true; 4]),
        ("members", [401, 200, 200, 200], [false, true, true, true]),
        ("staff", [401, 403, 200, 200], [false, false, true, true]),
    ];
    for (audience, statuses, listed) in audiences {
        let (status, changed) =
            server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({ "audience": audience })));
        assert_eq!((status, &changed["audience"]), (200, &json!(audience)));
        for file in files {
            all.expect("GET", &format!("/media/{id}/{file}"), None, statuses);
            all.expect("HEAD", &format!("/media/{id}/{file}"), None, statuses);
        }
        for ((name, client), listed) in all.clients.iter().zip(listed) {
            let list = client.get("/api/v1/broadcasts").json();
            let found = list["items"].as_array().expect("a list").iter().find(|item| item["id"] == id);
            assert_eq!(found.is_some(), listed, "{audience} in the list of {name}");
            let staff = matches!(*name, "broadcaster" | "admin");
            let pin = found.map_or(&Value::Null, |found| &found["pin"]);
            assert_eq!(pin.is_string(), staff && audience == "pin", "the PIN told to {name}");
            let one = client.get(&format!("/api/v1/broadcasts/{id}")).status;
            assert_eq!(one, if listed { 200 } else { 404 }, "{audience} by {name}");
        }
        if audience == "pin" {
            check_pin(server, id, changed["pin"].as_str().expect("six digits"), files);
        }
    }
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "staff"}))).0, 200);
}

fn check_pin(server: &Server, id: &str, pin: &str, files: &[&str]) {
    assert!(pin.len() == 6 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{pin}");
    let give = |pin: &str| server.stranger().form(&format!("/watch/{id}/pin"), &[], &[("pin", pin)]);
    let wrong = if pin == "123456" { "654321" } else { "123456" };
    assert_eq!(give(wrong).status, 403);
    let right = give(pin);
    assert_eq!((right.status, right.header("location")), (303, &*format!("/watch/{id}")));
    let cookie = right.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && !cookie.contains(pin), "{cookie}");
    let cookie = cookie.split(';').next().expect("name=value").to_owned();
    let patient = server.stranger().by(By::Cookie(cookie.clone()));
    for file in files {
        assert_eq!(patient.get(&format!("/media/{id}/{file}")).status, 200, "{file} with the PIN");
    }
    assert_eq!(patient.get(&format!("/watch/{id}")).status, 200);
    // Another PIN makes the proof of the old one void.
    let new = if pin == "222222" { "333333" } else { "222222" };
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"pin": new}))).0, 200);
    assert_eq!(patient.get(&format!("/media/{id}/main.m3u8")).status, 403);
    let (name, value) = cookie.split_once('=').expect("name=value");
    let forged = server.stranger().by(By::Cookie(format!("{name}={}", value.to_uppercase())));
    assert_eq!(forged.get(&format!("/media/{id}/main.m3u8")).status, 403);
}

#[test]
fn pins_cannot_be_tried_without_end() {
    let server = Server::start(SMALL);
    let id = record(&server, &server.admin, "pin");
    let refused = (0..60).map(|n| {
        let pin = format!("{n:06}");
        server.stranger().form(&format!("/watch/{id}/pin"), &[], &[("pin", &pin)])
    });
    let throttled: Vec<Reply> = refused.filter(|reply| reply.status == 429).collect();
    assert!(throttled.len() > 10, "{} of 60 tries were refused", throttled.len());
    assert!(!throttled[0].header("retry-after").is_empty());
}

/// A session as a browser has it: its cookies, and the token that its pages carry.
pub fn browser(server: &Server, username: &str) -> (Client, String) {
    let form = server.stranger().get_with("/login", &[("accept", "text/html")]);
    let before = cookies(&form);
    let csrf = field(&form.text(), "csrf");
    let visitor = server.stranger().by(By::Cookie(before));
    let fields = [("csrf", csrf.as_str()), ("username", username), ("password", PASSWORD), ("next", "/")];
    let reply = visitor.form("/login", &[("accept", "text/html")], &fields);
    assert_eq!(reply.status, 303, "{}", reply.text());
    let client = server.stranger().by(By::Cookie(cookies(&reply)));
    let page = client.get_with("/", &[("accept", "text/html")]).text();
    let token = page.split("name=\"csrf\" content=\"").nth(1).expect("a token").split('"').next().expect("it ends");
    (client, token.to_owned())
}

/// Name and value of each cookie that an answer sets.
pub fn cookies(reply: &Reply) -> String {
    let set = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().expect("plain"));
    let pairs: Vec<&str> =
        set.filter_map(|cookie| cookie.split(';').next()).filter(|pair| !pair.ends_with('=')).collect();
    pairs.join("; ")
}

/// Value of a hidden field.
pub fn field(page: &str, name: &str) -> String {
    let after = page.split(&format!("name=\"{name}\" value=\"")).nth(1).expect("the field");
    after.split('"').next().expect("it ends").to_owned()
}

#[test]
fn a_browser_is_not_made_to_act_by_another_site() {
    let server = Server::start(SMALL);
    let (browser, csrf) = browser(&server, ADMIN);
    let own = server.http.as_str();
    let make = |headers: &[(&str, &str)]| {
        let headers = [&[("content-type", "application/json")], headers].concat();
        browser.send("POST", "/api/v1/stream-keys", &headers, Some(json!({"label": "x"}).to_string().into_bytes()))
    };
    let keys = || server.get("/stream-keys")["items"].as_array().expect("a list").len();
    let foreign: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", own)],
        &[("x-csrf-token", "wrong"), ("origin", own)],
        &[("x-csrf-token", &csrf), ("origin", "http://evil.example")],
        &[("x-csrf-token", &csrf), ("origin", "null")],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "cross-site")],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "same-site"), ("origin", own)],
        &[("x-csrf-token", ""), ("origin", own)],
    ];
    for headers in foreign {
        let reply = make(headers);
        assert_eq!((reply.status, reply.code().as_str()), (403, "csrf_failed"), "{headers:?}");
    }
    assert_eq!(keys(), 0, "nothing was changed");
    assert_eq!(make(&[("x-csrf-token", &csrf), ("origin", own)]).status, 201);
    assert_eq!(make(&[("x-csrf-token", &csrf), ("sec-fetch-site", "same-origin")]).status, 201);
    assert_eq!(keys(), 2);
    // A token in a header is only ever sent on purpose.
    let bearer = server.admin.send(
        "POST",
        "/api/v1/stream-keys",
        &[("content-type", "application/json"), ("origin", "http://evil.example")],
        Some(json!({"label": "x"}).to_string().into_bytes()),
    );
    assert_eq!(bearer.status, 201);

    // Forms, too: signing in and setup have a token of their own.
    let fields = [("username", ADMIN), ("password", PASSWORD), ("next", "/"), ("csrf", "x")];
    assert_eq!(server.stranger().form("/login", &[], &fields).status, 403);
    assert_eq!(browser.form("/logout", &[], &[]).status, 403);
    assert_eq!(browser.get("/api/v1/sources").status, 200, "still signed in");
    assert_eq!(browser.form("/logout", &[], &[("csrf", &csrf)]).status, 303);
    assert_eq!(browser.get("/api/v1/sources").status, 401);
}

#[test]
fn sessions_end_when_they_should() {
    let server = Server::start(SMALL);
    let (id, first) = server.account("wati", "broadcaster");
    let works = |client: &Client| client.get("/api/v1/sources").status == 200;
    let second = server.client("wati");
    assert!(works(&first) && works(&second));
    assert_eq!(first.send("DELETE", "/api/v1/session", &[], None).status, 204);
    assert!(!works(&first) && works(&second), "only its own session");

    let change = |body: Value| {
        let (status, reply) = server.call("PATCH", &format!("/accounts/{id}"), Some(body));
        assert_eq!(status, 200, "{reply}");
    };
    change(json!({"password": "another quiet room"}));
    assert!(!works(&second), "a new password ends it");
    assert_eq!(server.sign_in("wati", PASSWORD).status, 401);
    assert_eq!(server.sign_in("wati", "another quiet room").status, 200);
    change(json!({ "password": PASSWORD }));
    let third = server.client("wati");
    change(json!({"role": "viewer"}));
    assert!(!works(&third));
    change(json!({"role": "broadcaster"}));
    let fourth = server.client("wati");
    change(json!({"disabled": true}));
    assert!(!works(&fourth));
    assert_eq!(server.sign_in("wati", PASSWORD).code(), "wrong_credentials");
    change(json!({"disabled": false}));
    let fifth = server.client("wati");
    assert_eq!(server.call("DELETE", &format!("/accounts/{id}"), None).0, 204);
    assert!(!works(&fifth));
    assert_eq!(server.sign_in("wati", PASSWORD).status, 401);
    for token in ["", "x", &"0".repeat(52), &"z".repeat(52), &"a".repeat(5000)] {
        let reply = server.stranger().get_with("/api/v1/broadcasts", &[("authorization", &format!("Bearer {token}"))]);
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer"), "{token:.60}");
    }
}

#[test]
fn the_last_admin_stays() {
    let server = Server::start(SMALL);
    let accounts = server.get("/accounts");
    let id = accounts["items"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/accounts/{id}");
    for (method, body) in
        [("PATCH", Some(json!({"role": "viewer"}))), ("PATCH", Some(json!({"disabled": true}))), ("DELETE", None)]
    {
        let (status, reply) = server.call(method, &path, body);
        assert_eq!((status, &reply["code"]), (409, &json!("last_admin")));
    }
    let (second, _) = server.account("kepala", "admin");
    assert_eq!(server.call("PATCH", &format!("/accounts/{second}"), Some(json!({"disabled": true}))).0, 200);
    assert_eq!(server.call("DELETE", &path, None).0, 409, "a disabled admin is none");
    let (status, taken) =
        server.call("POST", "/accounts", Some(json!({"username": "KEPALA", "password": PASSWORD, "role": "viewer"})));
    assert_eq!((status, &taken["code"]), (409, &json!("username_taken")));
    assert_eq!(server.get("/accounts")["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn guesses_are_slowed_down_and_the_owner_is_not_shut_out() {
    let server = Server::start(SMALL);
    server.account("wati", "viewer");
    let signed_in = server.sign_in("wati", PASSWORD);
    let device = cookies(&signed_in);
    assert!(device.starts_with("siaran_device="), "{device}");
    let mut refused = None;
    for n in 0..12 {
        let reply = server.sign_in("wati", &format!("guess number {n}"));
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        assert_eq!(reply.status, 401);
    }
    let refused = refused.expect("guesses are not slowed down");
    assert!(refused.header("retry-after").parse::<u32>().expect("seconds") > 0);
    let credentials = json!({"username": "wati", "password": PASSWORD});
    let owner = server.stranger().by(By::Cookie(device));
    assert_eq!(owner.json("POST", "/api/v1/session", &credentials).status, 200);
    assert_eq!(server.sign_in(ADMIN, PASSWORD).status, 200, "others are not held up");
    // An account that is not there takes as long and says the same.
    let unknown = server.sign_in("nobody-at-all", PASSWORD);
    assert_eq!((unknown.status, unknown.code().as_str()), (401, "wrong_credentials"));
}

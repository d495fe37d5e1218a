//! Captions: who may change and read them, what is refused, what the search finds of them, and what is left when they go.

use serde_json::{Value, json};

use crate::client::{By, Client, Reply};
use crate::roles::{browser, field};
use crate::server::{ADMIN, SMALL, Server};

const VTT: &str = "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nSelamat datang\n\n00:00:02.000 --> 00:00:03.250 line:0\n<i>Minum</i> air & istirahat\n";

/// What is served of [`VTT`].
const SERVED: &str = "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\nSelamat datang\n\n00:00:02.000 --> 00:00:03.250\nMinum air &amp; istirahat\n";

/// A recording without anybody's media in mind.
fn record(server: &Server, audience: &str) -> String {
    let made = server.post("/broadcasts", json!({"title": "Kelas ibu", "source": "test", "audience": audience}));
    let id = made["id"].as_str().expect("an id").to_owned();
    server.until_state(&id, "live");
    server.end(&id);
    id
}

fn put(by: &Client, id: &str, language: &str, media_type: &str, body: &str) -> Reply {
    let path = format!("/api/v1/broadcasts/{id}/captions/{language}");
    by.send("PUT", &path, &[("content-type", media_type)], Some(body.as_bytes().to_vec()))
}

fn languages(server: &Server, id: &str) -> Vec<String> {
    let list = server.get(&format!("/broadcasts/{id}/captions"));
    let items = list["items"].as_array().expect("a list");
    items.iter().map(|item| item["language"].as_str().expect("a tag").to_owned()).collect()
}

fn home(by: &Client, search: &str) -> String {
    by.get_with(&format!("/?q={search}"), &[("accept", "text/html"), ("accept-language", "id")]).text()
}

#[test]
fn captions_are_put_by_staff_and_read_by_who_may_watch() {
    let server = Server::start(SMALL);
    let id = record(&server, "public");
    let track = format!("/media/{id}/captions/id.vtt");
    assert_eq!(server.stranger().get(&track).status, 404);
    let (_, viewer) = server.account("anggota", "viewer");
    let (_, other) = server.account("petugas", "broadcaster");
    assert_eq!(put(&server.stranger(), &id, "id", "text/vtt", VTT).status, 401);
    assert_eq!(put(&viewer, &id, "id", "text/vtt", VTT).status, 403);
    assert_eq!(put(&other, &id, "id", "text/vtt", VTT).status, 403, "another's recording");

    assert!(!home(&server.stranger(), "").contains("Dengan teks"));
    let reply = put(&server.admin, &id, "ID", "text/vtt", VTT);
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!((&reply.json()["language"], &reply.json()["cues"]), (&json!("id"), &json!(2)));
    assert_eq!(reply.json()["url"], track);
    assert!(home(&server.stranger(), "").contains("Dengan teks"), "it is marked");
    let served = server.stranger().get(&track);
    assert_eq!((served.text().as_str(), served.header("content-type")), (SERVED, "text/vtt; charset=utf-8"));
    assert_eq!(served.header("cache-control"), "public, no-cache");
    let tag = served.header("etag").to_owned();
    assert_eq!(server.stranger().get_with(&track, &[("if-none-match", &tag)]).status, 304);
    assert!(server.stranger().send("HEAD", &track, &[], None).body.is_empty());

    // The same cues three ways; what is put takes the place of what was there.
    let srt = "1\r\n00:00:00,500 --> 00:00:01,500\r\nSelamat datang\r\n\r\n2\r\n00:00:02,000 --> 00:00:03,250\r\n{\\an8}Minum air & istirahat\r\n";
    assert_eq!(put(&server.admin, &id, "en", "application/x-subrip", srt).status, 200);
    let list = json!({"cues": [{"start_s": 2.0, "end_s": 3.25, "text": "Minum air & istirahat"}, {"start_s": 0.5, "end_s": 1.5, "text": "Selamat datang"}]});
    assert_eq!(put(&server.admin, &id, "jv", "application/json", &list.to_string()).status, 200);
    for language in ["en", "jv"] {
        assert_eq!(server.stranger().get(&format!("/media/{id}/captions/{language}.vtt")).text(), SERVED);
    }
    assert_eq!(languages(&server, &id), ["en", "id", "jv"]);
    assert_eq!(put(&server.admin, &id, "id", "text/vtt", &VTT.replace("datang", "pagi")).status, 200);
    let changed = server.stranger().get_with(&track, &[("if-none-match", &tag)]);
    assert_eq!((changed.status, changed.text()), (200, SERVED.replace("datang", "pagi")));

    // Who may not watch may not read.
    let private = |audience: &str| {
        let (status, _) = server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({ "audience": audience })));
        assert_eq!(status, 200);
        let list = server.stranger().get(&format!("/api/v1/broadcasts/{id}/captions")).status;
        (server.stranger().get(&track).status, viewer.get(&track).status, list)
    };
    assert_eq!(private("pin"), (403, 200, 403));
    assert_eq!(private("members"), (401, 200, 401));
    assert_eq!(private("staff"), (401, 403, 401));
    assert_eq!(private("public"), (200, 200, 200));

    let path = format!("/api/v1/broadcasts/{id}/captions/id");
    assert_eq!(other.send("DELETE", &path, &[], None).status, 403);
    assert_eq!(server.admin.send("DELETE", &path, &[], None).status, 204);
    assert_eq!(server.admin.send("DELETE", &path, &[], None).status, 404);
    assert_eq!(server.stranger().get(&track).status, 404);
    assert_eq!(languages(&server, &id), ["en", "jv"]);
}

#[test]
fn what_is_no_captions_is_refused_with_its_line() {
    let server = Server::start(SMALL);
    let id = server.go_live("Kelas ibu");
    let early = put(&server.admin, &id, "id", "text/vtt", VTT);
    assert_eq!((early.status, early.code().as_str()), (409, "still_live"));
    server.end(&id);
    let refused = |media_type: &str, body: &str| {
        let reply = put(&server.admin, &id, "id", media_type, body);
        assert!((400..500).contains(&reply.status), "{body:.60}: {}", reply.status);
        (reply.code(), reply.json()["detail"].as_str().unwrap_or_default().to_owned())
    };
    let code = |media_type: &str, body: &str| refused(media_type, body).0;
    assert_eq!(code("text/vtt", ""), "captions_no_header");
    assert_eq!(code("text/vtt", "WEBVTT"), "captions_empty");
    assert_eq!(code("application/x-subrip", "halo"), "captions_no_times");
    assert_eq!(code("text/vtt", "WEBVTT\n\n1 --> 2\nx"), "captions_bad_times");
    assert!(refused("text/vtt", "WEBVTT\n\n00:02.000 --> 00:01.000\nx").1.starts_with("Line 3: "));
    assert_eq!(code("text/vtt", &format!("{VTT}{}", " ".repeat(1 << 20))), "captions_too_large");
    assert_eq!(code("text/vtt", &" ".repeat(5 << 20)), "body_too_large");
    assert_eq!(code("text/plain", VTT), "unsupported_media_type");
    assert_eq!(code("application/json", "{}"), "bad_json");
    let cue = |start: Value, end: Value| json!({"cues": [{"start_s": start, "end_s": end, "text": "x"}]}).to_string();
    for (start, end) in [(json!(-1), json!(1)), (json!(1), json!(1)), (json!(0), json!(1e300)), (json!(2), json!(-1))] {
        assert_eq!(code("application/json", &cue(start, end)), "captions_bad_order");
    }
    for language in ["x", "id_ID", "%2e%2e", "a%00b", &"a".repeat(40)] {
        assert_eq!(put(&server.admin, &id, language, "text/vtt", VTT).code(), "captions_language", "{language}");
    }
    let not_text = server.admin.send(
        "PUT",
        &format!("/api/v1/broadcasts/{id}/captions/id"),
        &[("content-type", "text/vtt")],
        Some(b"WEBVTT\n\n\xff".to_vec()),
    );
    assert_eq!(not_text.code(), "captions_not_utf8");
    assert_eq!(languages(&server, &id), [""; 0], "nothing was changed");
    for path in ["/captions/id", "/captions/id.srt", "/captions/.vtt", "/captions/%2e%2e.vtt"] {
        assert_eq!(server.stranger().get(&format!("/media/{id}{path}")).status, 404, "{path}");
    }
}

#[test]
fn the_search_finds_what_is_said_and_leads_to_the_second() {
    let server = Server::start(SMALL);
    let id = record(&server, "public");
    let text = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nSelamat datang\n\n00:01:05.900 --> 00:01:09.000\nMinum <b>air</b> putih & istirahat\n";
    assert_eq!(put(&server.admin, &id, "id", "text/vtt", text).status, 200);
    assert_eq!(put(&server.admin, &id, "en", "text/vtt", &text.replace("Minum", "Drink")).status, 200);
    let found = |search: &str| {
        let list = server.stranger().get(&format!("/api/v1/broadcasts?q={search}")).json();
        list["items"].as_array().expect("a list").iter().filter(|item| item["id"] == id.as_str()).count()
    };
    let link = format!("/watch/{id}?t=65");
    assert!(home(&server.stranger(), "minum+put").contains(&link), "words as prefixes");
    assert!(home(&server.stranger(), "istirahat").contains("1:05 “Minum air putih"), "in the reader's language");
    assert!(home(&server.stranger(), "drink").contains("1:05 “Drink air putih"));
    assert_eq!((found("istirahat"), found("istirahatlah"), found("datang+minum")), (1, 0, 0));
    let by_title = home(&server.stranger(), "kelas");
    assert!(by_title.contains(&format!("/watch/{id}\"")) && !by_title.contains("?t="));

    // What a PIN or a role keeps from watching is not told by the search either.
    let set = |body: Value| assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(body)).0, 200);
    for audience in ["pin", "members", "staff"] {
        set(json!({ "audience": audience }));
        let page = home(&server.stranger(), "istirahat");
        assert!(!page.contains(&id), "{audience}");
        assert_eq!(found("istirahat"), 0, "{audience}");
        if audience == "pin" {
            let page = home(&server.stranger(), "kelas");
            assert!(page.contains(&id) && !page.contains("?t="), "its title is known");
        }
        assert!(home(&server.admin, "istirahat").contains(&link), "{audience}");
    }
    set(json!({"audience": "public", "hidden": true}));
    assert_eq!(found("istirahat"), 0);
    assert_eq!(server.stranger().get(&format!("/media/{id}/captions/id.vtt")).status, 404);
    set(json!({"hidden": false}));
    assert_eq!(found("istirahat"), 1);

    // In the trash nobody finds it; back from there it is whole; deleted for good, nothing of it is left.
    let path = format!("/broadcasts/{id}");
    assert_eq!(server.call("DELETE", &path, None).0, 204);
    assert_eq!(found("istirahat"), 0);
    assert_eq!(server.stranger().get(&format!("/media/{id}/captions/id.vtt")).status, 404);
    server.post(&format!("{path}/restore"), Value::Null);
    assert_eq!((found("istirahat"), languages(&server, &id).len()), (1, 2));
    for _ in 0..2 {
        assert_eq!(server.call("DELETE", &path, None).0, 204);
    }
    assert_eq!(found("istirahat"), 0);
    assert!(!home(&server.admin, "istirahat").contains(&id));
    assert_eq!(server.admin.get(&format!("/media/{id}/captions/id.vtt")).status, 404);
}

/// A multipart form as a browser sends it.
fn multipart(by: &Client, server: &Server, path: &str, fields: &[(&str, &[u8])]) -> Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
        let file = if *name == "file" { "; filename=\"a.srt\"" } else { "" };
        body.extend(format!("--xxBOUNDARYxx\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend(*value);
        body.extend(b"\r\n");
    }
    body.extend(b"--xxBOUNDARYxx--\r\n");
    let kind = ("content-type", "multipart/form-data; boundary=xxBOUNDARYxx");
    by.send(
        "POST",
        path,
        &[kind, ("accept", "text/html"), ("accept-language", "en"), ("origin", &server.http)],
        Some(body),
    )
}

#[test]
fn the_page_takes_a_file_or_text_and_loses_nothing() {
    let server = Server::start(SMALL);
    let id = record(&server, "public");
    let (admin, csrf) = browser(&server, ADMIN);
    let page = |path: &str| {
        let reply = admin.get_with(path, &[("accept", "text/html"), ("accept-language", "en")]);
        assert_eq!(reply.status, 200, "{path}");
        reply.text()
    };
    let form = format!("/admin/recordings/{id}/captions");
    assert!(page(&format!("/admin/recordings/{id}")).contains(&form));
    assert_eq!(field(&page(&form), "csrf"), csrf);
    let send =
        |fields: &[(&str, &[u8])]| multipart(&admin, &server, &form, &[&[("csrf", csrf.as_bytes())], fields].concat());

    let wrong = send(&[
        ("language", b"id"),
        ("text", b"WEBVTT\r\n\r\n00:01.000 -> 00:02.000\r\nhalo <b>ibu</b>\r\n"),
        ("file", b""),
    ]);
    assert_eq!(wrong.status, 400);
    let text = wrong.text();
    assert!(text.contains("Line 3: The times are missing."), "{text}");
    assert!(text.contains("halo &#60;b&#62;ibu&#60;/b&#62;"), "what was typed is still there");
    assert_eq!(languages(&server, &id), [""; 0]);

    let srt = "1\n00:00:01,000 --> 00:00:02,000\nDari berkas\n".repeat(9000);
    let saved = send(&[("language", b"id"), ("text", b"WEBVTT\n"), ("file", srt.as_bytes())]);
    assert_eq!((saved.status, saved.header("location")), (400, ""), "the cues are not apart");
    let srt = srt.replace("berkas\n", "berkas\n\n");
    let saved = send(&[("language", b"id"), ("text", b"WEBVTT\n"), ("file", srt.as_bytes())]);
    assert_eq!((saved.status, saved.header("location")), (303, &*format!("/admin/recordings/{id}?done=captions")));
    assert!(page(&format!("/admin/recordings/{id}")).contains("9000 captions"));
    assert!(page(&format!("{form}/id")).contains("Dari berkas"));
    let saved = send(&[("language", b"id"), ("text", VTT.as_bytes()), ("file", b"")]);
    assert_eq!(saved.status, 303, "{}", saved.text());
    assert_eq!(server.stranger().get(&format!("/media/{id}/captions/id.vtt")).text(), SERVED);

    // Not by another site, not without the token, not by a broadcaster, not by a stranger.
    let fields: [(&str, &[u8]); 2] = [("language", b"en"), ("text", VTT.as_bytes())];
    assert_eq!(multipart(&admin, &server, &form, &fields).status, 403);
    assert_eq!(multipart(&admin, &server, &form, &[&[("csrf", &b"x"[..])], &fields[..]].concat()).status, 403);
    let stranger = multipart(&server.stranger(), &server, &form, &fields);
    assert_eq!((stranger.status, stranger.header("location")), (303, "/login"));
    server.account("petugas", "broadcaster");
    let (other, other_csrf) = browser(&server, "petugas");
    let by_other = multipart(&other, &server, &form, &[&[("csrf", other_csrf.as_bytes())], &fields[..]].concat());
    assert_eq!(by_other.status, 403);
    let broken = admin.send(
        "POST",
        &form,
        &[("content-type", "multipart/form-data; boundary=b"), ("origin", &server.http), ("x-csrf-token", &csrf)],
        Some(b"--b\r\nnothing".to_vec()),
    );
    assert_eq!((broken.status, broken.code().as_str()), (400, "bad_form"));
    assert_eq!(languages(&server, &id), ["id"]);

    let delete = format!("{form}/id/delete");
    let headers = [("accept", "text/html"), ("origin", server.http.as_str())];
    assert_eq!(admin.form(&delete, &headers, &[]).status, 403);
    assert_eq!(admin.form(&delete, &headers, &[("csrf", &csrf)]).status, 303);
    assert_eq!(languages(&server, &id), [""; 0]);
    assert!(page("/admin").contains("Deleted captions: Bahasa Indonesia"), "it is noted who did what");
    assert_eq!(server.stranger().by(By::Stranger).get(&form).status, 401);
}

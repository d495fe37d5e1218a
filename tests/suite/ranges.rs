//! HTTP of media: ranges of every kind, validators, HEAD, and who may keep an answer (RFC 9110, RFC 9111).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::client::{By, Client};
use crate::playlist_rules::Playlist;
use crate::server::{PASSWORD, SMALL, Server};

/// A short recording, and the paths of everything that it is made of.
fn recording(server: &Server) -> (String, Vec<String>) {
    let id = server.go_live("Ranges");
    server.until_duration(&id, 3.0);
    server.end(&id);
    let folder = format!("/media/{id}/av");
    let playlist = Playlist::read(&String::from_utf8(server.fetch(&format!("{folder}/index.m3u8"))).expect("UTF-8"));
    let segment = playlist.segments[0].uri.as_ref().expect("complete");
    let init = &playlist.segments[0].map;
    let paths = vec![format!("{folder}/{segment}"), format!("{folder}/{init}"), format!("/media/{id}/download.mp4")];
    (id, paths)
}

#[test]
fn ranges_of_every_kind() {
    let server = Server::start(SMALL);
    let (_, paths) = recording(&server);
    for path in &paths {
        let whole = server.stranger().get(path);
        assert_eq!((whole.status, whole.header("accept-ranges")), (200, "bytes"), "{path}");
        assert!(!whole.body.is_empty());
        check_ranges(&server.stranger(), path, &whole.body);
        check_conditions(&server.stranger(), path, whole.header("etag"), &whole.body);
    }
}

fn check_ranges(client: &Client, path: &str, whole: &[u8]) {
    let length = whole.len();
    let last = length - 1;
    let ranges = [
        (String::from("bytes=0-0"), 0, 0),
        (String::from("bytes=0-99"), 0, 99.min(last)),
        (String::from("bytes=5-9"), 5, 9),
        (String::from("bytes=10-"), 10, last),
        (String::from("bytes=-1"), last, last),
        (String::from("bytes=-20"), length - 20, last),
        (format!("bytes=-{}", length * 2), 0, last),
        (format!("bytes={last}-"), last, last),
        (format!("bytes=0-{}", u64::MAX), 0, last),
        (format!("bytes={}-{}", length / 2, length * 9), length / 2, last),
    ];
    for (range, from, to) in &ranges {
        let reply = client.get_with(path, &[("range", range)]);
        assert_eq!(reply.status, 206, "{range} of {path}");
        assert_eq!(reply.header("content-range"), format!("bytes {from}-{to}/{length}"), "{range}");
        assert_eq!(reply.header("content-length"), (to - from + 1).to_string(), "{range}");
        assert_eq!(reply.body, &whole[*from..=*to], "{range} of {path}");
    }
    for range in [format!("bytes={length}-"), format!("bytes={}-{}", length + 5, length + 9), String::from("bytes=-0")]
    {
        let reply = client.get_with(path, &[("range", &range)]);
        assert_eq!((reply.status, reply.header("content-range")), (416, &*format!("bytes */{length}")), "{range}");
        assert!(reply.body.len() < 1000, "{range}");
    }
    // What is not one range may be left unread (RFC 9110 14.2).
    let odd = ["bytes=5-1", "bytes=", "bytes", "bytes=a-b", "lines=0-5", "bytes=--5", "bytes=1 - 5", "bytes=0x1-5", ""];
    for range in odd {
        let reply = client.get_with(path, &[("range", range)]);
        assert_eq!((reply.status, reply.body == whole), (200, true), "{range:?}");
    }
    for several in ["bytes=0-1,4-5", "bytes=0-,0-,0-,0-,0-", "bytes=-1,0-0"] {
        let reply = client.get_with(path, &[("range", several)]);
        let multipart = reply.status == 206 && reply.header("content-type").starts_with("multipart/byteranges");
        assert!(multipart || (reply.status == 200 && reply.body == whole), "{several}: {}", reply.status);
        assert!(reply.body.len() <= length + 4096, "{several}");
    }
}

fn check_conditions(client: &Client, path: &str, tag: &str, whole: &[u8]) {
    assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong validator: {tag}");
    let with = |headers: &[(&str, &str)]| client.get_with(path, headers);
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", tag)]).body, &whole[..4]);
    for other in ["\"other\"", "Wed, 21 Oct 2015 07:28:00 GMT", "nonsense"] {
        let reply = with(&[("range", "bytes=0-3"), ("if-range", other)]);
        assert_eq!((reply.status, reply.body == whole), (200, true), "{other}");
    }
    // A weak validator does not prove that the bytes are the same (RFC 9110 13.1.5).
    assert_eq!(with(&[("range", "bytes=0-3"), ("if-range", &format!("W/{tag}"))]).status, 200);
    for known in [String::from(tag), format!("W/{tag}"), format!("\"a\", {tag}"), String::from("*")] {
        let reply = with(&[("if-none-match", &known)]);
        assert_eq!((reply.status, reply.body.len(), reply.header("etag")), (304, 0, tag), "{known}");
    }
    assert_eq!(with(&[("if-none-match", "\"other\"")]).status, 200);

    let head = client.send("HEAD", path, &[], None);
    let get = client.get(path);
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-length", "content-type", "etag", "cache-control", "accept-ranges", "content-disposition"] {
        assert_eq!(head.header(name), get.header(name), "{name} of {path}");
    }
    assert_eq!(head.header("content-length"), whole.len().to_string());
}

#[test]
fn caches_keep_what_is_for_everybody_and_nothing_else() {
    let server = Server::start(SMALL);
    let made = server.post("/broadcasts", json!({"title": "For members", "source": "test", "audience": "members"}));
    let id = made["id"].as_str().expect("an id").to_owned();
    server.until_state(&id, "live");
    let (_, member) = server.account("budi", "viewer");
    let cache = |client: &Client, file: &str| {
        let reply = client.get(&format!("/media/{id}/{file}"));
        assert_eq!(reply.status, 200, "{file}");
        reply.header("cache-control").to_owned()
    };
    let live = Playlist::read(&member.get(&format!("/media/{id}/av/index.m3u8")).text());
    let part = format!("av/{}", live.segments[0].parts[0].uri);
    for file in ["main.m3u8", "av/index.m3u8", "av/init-0.mp4", &part] {
        assert!(cache(&member, file).contains("private"), "{file}: {}", cache(&member, file));
        let refused = server.stranger().get(&format!("/media/{id}/{file}"));
        assert_eq!((refused.status, refused.header("cache-control")), (401, "no-store"), "{file}");
    }

    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "public"}))).0, 200);
    let stranger = server.stranger();
    for file in ["av/init-0.mp4", &part] {
        assert_eq!(cache(&stranger, file), "public, max-age=31536000, immutable", "{file}");
    }
    let seconds = |value: &str| value.split("max-age=").nth(1).and_then(|age| age.parse::<u32>().ok());
    let plain = cache(&stranger, "av/index.m3u8");
    assert!(plain.contains("public") && seconds(&plain).expect("an age") <= 1, "{plain}");
    let next = live.last_msn().expect("one") + 1;
    let blocking = cache(&stranger, &format!("av/index.m3u8?_HLS_msn={next}&_HLS_part=0"));
    assert!(blocking.contains("public") && seconds(&blocking).expect("an age") >= 6, "{blocking}");

    server.end(&id);
    assert_eq!(cache(&stranger, "av/seg-0.m4s"), "public, max-age=31536000, immutable");
    for file in ["main.m3u8", "av/index.m3u8", "download.mp4"] {
        let value = cache(&stranger, file);
        // A recording may be edited, hidden or deleted: nobody keeps its lists without asking.
        assert!(value.contains("no-cache") || seconds(&value).is_some_and(|age| age <= 60), "{file}: {value}");
    }
    // What only the staff may see any more is for their browsers alone, and gone for everybody else.
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"hidden": true}))).0, 200);
    for file in ["main.m3u8", "av/index.m3u8", "av/init-0.mp4", "av/seg-0.m4s", "download.mp4", "thumbnail.jpg"] {
        assert!(cache(&server.admin, file).starts_with("private"), "{file}");
        assert_eq!(stranger.get(&format!("/media/{id}/{file}")).status, 404, "{file}");
    }
    let session = server.sign_in("budi", PASSWORD);
    assert_eq!((session.status, session.header("cache-control")), (200, "no-store"));
    assert!(matches!(member.by, By::Bearer(_)));
    assert_eq!(member.get("/api/v1/broadcasts").header("cache-control"), "no-store", "lists differ by who asks");
}

/// One connection, two requests at once, and a reader so slow that the socket is full again and again.
#[test]
fn a_slow_reader_gets_every_byte_of_both_answers() {
    let server = Server::start(&[]);
    let (_, paths) = recording(&server);
    let download = paths.last().expect("a download");
    let whole = server.stranger().get(download).body;
    assert!(whole.len() > 500_000, "more than a socket holds: {} bytes", whole.len());
    let mut stream = TcpStream::connect(server.http.trim_start_matches("http://")).expect("a connection");
    let ask = |connection: &str| format!("GET {download} HTTP/1.1\r\nHost: box\r\nConnection: {connection}\r\n\r\n");
    stream.write_all((ask("keep-alive") + &ask("close")).as_bytes()).expect("sent");
    let (mut got, mut block) = (Vec::new(), [0; 16 << 10]);
    loop {
        std::thread::sleep(Duration::from_millis(2));
        match stream.read(&mut block).expect("readable") {
            0 => break,
            read => got.extend_from_slice(&block[..read]),
        }
    }
    for _ in 0..2 {
        let end = got.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        assert!(got.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert_eq!(&got[end..end + whole.len()], whole);
        got.drain(..end + whole.len());
    }
    assert!(got.is_empty(), "{} bytes too many", got.len());
}

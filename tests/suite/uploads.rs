//! Files sent in pieces: they go on behind a lost connection, a killed server and a restart, and arrive as they were. What is
//! refused leaves nothing behind.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::client::{By, Client, Reply};
use crate::roles::browser;
use crate::room;
use crate::server::{ADMIN, AGES, SMALL, Server, until};

const TUS: (&str, &str) = ("tus-resumable", "1.0.0");
const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");
const UPLOADS: &str = "/api/v1/uploads";

/// Bytes that are no media, and alike nowhere else.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

fn metadata(name: &str) -> String {
    format!("filename {},filetype dmlkZW8vbXA0", STANDARD.encode(name))
}

fn create(client: &Client, name: &str, length: usize) -> Reply {
    let headers = [TUS, ("upload-length", &*length.to_string()), ("upload-metadata", &*metadata(name))];
    client.send("POST", UPLOADS, &headers, None)
}

/// Where the bytes of a new upload go.
fn begin(client: &Client, name: &str, length: usize) -> String {
    let reply = create(client, name, length);
    assert_eq!((reply.status, reply.header("tus-resumable")), (201, "1.0.0"), "{}", reply.text());
    reply.header("location").to_owned()
}

fn patch(client: &Client, path: &str, offset: usize, bytes: &[u8]) -> Reply {
    client.send("PATCH", path, &[TUS, PIECE, ("upload-offset", &*offset.to_string())], Some(bytes.to_vec()))
}

/// Status and offset.
fn head(client: &Client, path: &str) -> (u16, Option<usize>) {
    let reply = client.send("HEAD", path, &[TUS], None);
    (reply.status, reply.header("upload-offset").parse().ok())
}

/// A request to add `length` bytes, of which only `sent` are sent so far.
fn begin_patch(server: &Server, client: &Client, path: &str, offset: usize, length: usize, sent: &[u8]) -> TcpStream {
    let By::Bearer(token) = &client.by else { panic!("by a token") };
    let mut socket = TcpStream::connect(server.http.trim_start_matches("http://")).expect("it listens");
    socket.set_read_timeout(Some(AGES)).expect("a socket");
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    socket.write_all(sent).expect("it reads");
    socket
}

/// The offset, once no other request holds the upload.
fn until_free(client: &Client, path: &str) -> Option<usize> {
    until("it to be free", || Some(head(client, path)).filter(|(status, _)| *status != 423)).1
}

fn folder(server: &Server, name: &str) -> PathBuf {
    server.data.path().join(name)
}

/// Files of a folder and those below it; of those that are moved meanwhile, only one place.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.map(|entry| entry.path()).partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| self::files(folder)));
    files
}

/// The name under which these bytes have come into the import folder, whatever has been done with them since. While they are
/// read, in `working`, they have none.
fn arrived(server: &Server, wanted: &[u8]) -> String {
    let path = until("the file to arrive", || {
        let all = files(&room::seen(server, "import"));
        let mut named = all.into_iter().filter(|path| !path.components().any(|part| part.as_os_str() == "working"));
        named.find(|path| std::fs::read(path).is_ok_and(|found| found == wanted))
    });
    path.file_name().expect("a file").to_str().expect("UTF-8").to_owned()
}

/// Waits until so many bytes of an upload are in its file.
fn until_come(server: &Server, path: &str, length: usize) {
    let file = folder(server, "uploads").join(path.rsplit('/').next().expect("an id"));
    until("the bytes to come", || {
        std::fs::metadata(&file).is_ok_and(|found| found.len() >= length as u64).then_some(())
    });
}

#[test]
fn an_upload_goes_on_behind_whatever_stopped_it() {
    let mut server = Server::start(SMALL);
    let all = bytes(3_000_000, 1);
    let path = begin(&server.admin, "Kelas ibu.mp4", all.len());
    assert_eq!(head(&server.admin, &path), (200, Some(0)));
    let first = patch(&server.admin, &path, 0, &all[..700_000]);
    assert_eq!((first.status, first.header("upload-offset")), (204, "700000"), "{}", first.text());
    let file = folder(&server, "uploads").join(path.rsplit('/').next().expect("an id"));
    assert_eq!(std::fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);

    // Killed in the middle.
    let cut = begin_patch(&server, &server.admin, &path, 700_000, 2_300_000, &all[700_000..1_200_000]);
    until_come(&server, &path, 1_200_000);
    server.kill();
    drop(cut);
    let data = server.data.clone();
    drop(server);
    let mut server = Server::start_on(&data, SMALL);
    let listed = server.get("/uploads")["items"].clone();
    assert_eq!((&listed[0]["name"], &listed[0]["offset"]), (&json!("Kelas ibu.mp4"), &json!(1_200_000)), "{listed}");
    assert_eq!(head(&server.admin, &path), (200, Some(1_200_000)));

    // A connection that is cut: what came stays.
    let cut = begin_patch(&server, &server.admin, &path, 1_200_000, 1_800_000, &all[1_200_000..1_900_000]);
    until_come(&server, &path, 1_900_000);
    drop(cut);
    assert_eq!(until_free(&server.admin, &path), Some(1_900_000));

    // Stopped in the middle, as by systemd.
    let cut = begin_patch(&server, &server.admin, &path, 1_900_000, 1_100_000, &all[1_900_000..2_000_000]);
    until_come(&server, &path, 2_000_000);
    assert_eq!(server.terminate(), Some(0));
    drop(cut);
    drop(server);
    let server = Server::start_on(&data, SMALL);

    let by_other_means = [TUS, PIECE, ("upload-offset", "2000000"), ("x-http-method-override", "PATCH")];
    let more = server.admin.send("POST", &path, &by_other_means, Some(all[2_000_000..2_500_000].to_vec()));
    assert_eq!((more.status, more.header("upload-offset")), (204, "2500000"), "{}", more.text());
    assert_eq!(patch(&server.admin, &path, 2_500_000, &all[2_500_000..]).header("upload-offset"), "3000000");
    assert!(arrived(&server, &all).starts_with("Kelas ibu"));
    // Who missed the last answer learns that all is well.
    assert_eq!(head(&server.admin, &path), (200, Some(all.len())));
    assert_eq!(patch(&server.admin, &path, all.len(), b"").status, 204);
    assert_eq!(patch(&server.admin, &path, all.len(), b"more").code(), "upload_excess");
    assert_eq!(server.get("/uploads")["items"], json!([]));
    let activity = server.admin.get_with("/admin", &[("accept-language", "en")]).text();
    assert!(activity.contains("Began to upload a file") && activity.contains("Kelas ibu.mp4"), "{activity}");
}

#[test]
fn one_request_at_a_time_and_an_end_to_it() {
    let server = Server::start(SMALL);
    let (_, other) = server.account("penyiar", "broadcaster");
    let path = begin(&other, "a.mp4", 1000);
    let mut first = begin_patch(&server, &other, &path, 0, 1000, b"beginning");
    until_come(&server, &path, 9);
    let second = patch(&other, &path, 9, b"x");
    assert_eq!((second.status, second.code().as_str()), (423, "upload_busy"));
    assert_eq!(head(&other, &path), (423, None));

    // Another account's upload is not there, not even for an admin.
    assert_eq!(head(&server.admin, &path).0, 404);
    for method in ["PATCH", "DELETE"] {
        let reply = server.admin.send(method, &path, &[TUS, PIECE, ("upload-offset", "9")], None);
        assert_eq!((reply.status, reply.code().as_str()), (404, "upload_unknown"), "{method}");
    }
    assert_eq!(server.get("/uploads")["items"], json!([]));

    let removed = other.send("DELETE", &path, &[TUS], None);
    assert_eq!((removed.status, removed.header("tus-resumable")), (204, "1.0.0"));
    let mut answer = String::new();
    // The body that nobody wants any more may cost the connection.
    let _ = first.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert_eq!(head(&other, &path).0, 404);
    assert_eq!(patch(&other, &path, 9, b"x").code(), "upload_unknown");
    assert_eq!(files(&folder(&server, "uploads")), Vec::<PathBuf>::new());

    // Nothing comes, and the next one need not wait for ever.
    let path = begin(&other, "b.mp4", 20);
    let _silent = begin_patch(&server, &other, &path, 0, 20, b"0123456789");
    until_come(&server, &path, 10);
    assert_eq!(until_free(&other, &path), Some(10));
    assert_eq!(patch(&other, &path, 10, b"abcdefghij").status, 204);
    arrived(&server, b"0123456789abcdefghij");
}

#[test]
fn what_is_refused_changes_nothing() {
    let server = Server::start(&[SMALL, &["--upload-max-bytes", "1000000"]].concat());
    let admin = &server.admin;
    let options = admin.send("OPTIONS", UPLOADS, &[], None);
    let told = ["tus-version", "tus-extension", "tus-max-size"].map(|name| options.header(name).to_owned());
    assert_eq!(
        (options.status, told),
        (204, ["1.0.0", "creation,expiration,termination", "1000000"].map(String::from))
    );

    let name = metadata("a.mp4");
    let refused = |headers: &[(&str, &str)]| {
        let reply = admin.send("POST", UPLOADS, headers, None);
        assert_eq!((reply.header("tus-resumable"), reply.header("location")), ("1.0.0", ""));
        (reply.status, reply.code())
    };
    let code = |status: u16, code: &str| (status, code.to_owned());
    let length = |length: &str| refused(&[TUS, ("upload-length", length), ("upload-metadata", &name)]);
    assert_eq!(refused(&[("upload-length", "1"), ("upload-metadata", &name)]), code(412, "tus_version"));
    assert_eq!(refused(&[("tus-resumable", "0.2.2"), ("upload-length", "1")]), code(412, "tus_version"));
    assert_eq!(refused(&[TUS, ("upload-metadata", &name)]), code(400, "upload_header"));
    for bad in ["", "x", "-1", "+5", "1.5", "99999999999999999999"] {
        assert_eq!(length(bad), code(400, "upload_header"), "{bad}");
    }
    assert_eq!(length("0"), code(400, "upload_empty"));
    assert_eq!(length("1000001"), code(413, "upload_too_large"));
    for bad in ["", "filename", "filename x.mp4", "filename /w==", &format!("filename {}", "A".repeat(6000))] {
        assert_eq!(refused(&[TUS, ("upload-length", "1"), ("upload-metadata", bad)]), code(400, "upload_metadata"));
    }

    let path = begin(admin, "a.mp4", 10);
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        let reply = admin.send("PATCH", &path, headers, Some(body.to_vec()));
        (reply.status, reply.code())
    };
    let offset = |offset: &'static str| ("upload-offset", offset);
    assert_eq!(send(&[PIECE, offset("0")], b"x"), code(412, "tus_version"));
    assert_eq!(send(&[TUS, ("content-type", "video/mp4"), offset("0")], b"x"), code(415, "unsupported_media_type"));
    assert_eq!(send(&[TUS, PIECE], b"x"), code(400, "upload_header"));
    for wrong in ["1", "10", "18446744073709551615"] {
        assert_eq!(send(&[TUS, PIECE, offset(wrong)], b"x"), code(409, "wrong_offset"), "{wrong}");
    }
    assert_eq!(send(&[TUS, PIECE, offset("0")], b"eleven byte"), code(413, "upload_excess"));
    assert_eq!(head(admin, &path), (200, Some(0)));
    for id in ["..", "%2e%2e", "a%00b", "..%2f..%2fsiaran.db", "00000000000000000000"] {
        assert_eq!(head(admin, &format!("{UPLOADS}/{id}")).0, 404, "{id}");
    }

    let (cookie, csrf) = browser(&server, ADMIN);
    let headers = [TUS, ("upload-length", "1"), ("upload-metadata", &*name)];
    let without = cookie.send("POST", UPLOADS, &headers, None);
    assert_eq!((without.status, without.code().as_str()), (403, "csrf_failed"));
    let with = cookie.send("POST", UPLOADS, &[&headers[..], &[("x-csrf-token", &*csrf)]].concat(), None);
    assert_eq!(with.status, 201, "{}", with.text());

    let made = std::iter::repeat_with(|| create(admin, "b.mp4", 1)).take(19).collect::<Vec<_>>();
    let last = made.last().expect("19");
    assert!(made[..18].iter().all(|reply| reply.status == 201));
    assert_eq!((last.status, last.code().as_str()), (409, "too_many_uploads"));
    assert_eq!(files(&folder(&server, "uploads")).len(), 2 * 20, "bytes and a sheet of each");
    assert_eq!(files(&folder(&server, "import")), Vec::<PathBuf>::new());
}

#[test]
fn names_of_every_kind_arrive_as_files() {
    let server = Server::start(SMALL);
    let long = format!("{}.mov", "é".repeat(300));
    let names = [
        ("Kelas ibu 🤱🏽.mp4", "Kelas ibu 🤱🏽"),
        ("Kelas ibu 🤱🏽.mp4", "Kelas ibu 🤱🏽"),
        ("..", "upload"),
        ("../../../etc/passwd", "passwd"),
        ("a\0b\n.mp4", "ab"),
        (".hidden.mp4", "hidden"),
        ("half.mkv.part", "half"),
        (&long, "ééé"),
    ];
    for (number, (name, stem)) in names.into_iter().enumerate() {
        let all = bytes(5000 + number, 7 + number as u64);
        let path = begin(&server.admin, name, all.len());
        assert_eq!(patch(&server.admin, &path, 0, &all).status, 204);
        let found = arrived(&server, &all);
        assert!(found.starts_with(stem) && !found.chars().any(char::is_control), "{name:?} came as {found:?}");
    }
}

/// A form as a browser sends it, with a file of this name; `end` is what stands behind the file.
fn form(browser: &Client, csrf: &str, name: &str, file: &[u8], end: &str) -> Reply {
    let before = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--edge\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: video/mp4\r\n\r\n"
    );
    let body = [before.as_bytes(), file, end.as_bytes()].concat();
    let headers =
        [("content-type", "multipart/form-data; boundary=edge"), ("accept", "text/html"), ("accept-language", "en")];
    browser.send("POST", "/studio/upload", &headers, Some(body))
}

#[test]
fn a_form_without_javascript_sends_a_file_too() {
    let server = Server::start(&[SMALL, &["--upload-max-bytes", "6000000"]].concat());
    let (browser, csrf) = browser(&server, ADMIN);
    let end = "\r\n--edge--\r\n";
    let all = bytes(5_000_000, 3);
    let sent = form(&browser, &csrf, "Cuci tangan.mp4", &all, end);
    assert_eq!((sent.status, sent.header("location")), (303, "/studio/upload?done=uploaded"), "{}", sent.text());
    assert!(arrived(&server, &all).starts_with("Cuci tangan"));

    let refused = |reply: Reply, status: u16, words: &str| {
        assert!(reply.status == status && reply.text().contains(words), "{} {}", reply.status, reply.text());
    };
    refused(form(&browser, &csrf, "x.mp4", b"", end), 400, "This file is empty");
    refused(form(&browser, &csrf, "", b"", end), 400, "This file is empty");
    refused(form(&browser, &csrf, "x.mp4", &bytes(6_000_001, 4), end), 413, "This file is too large");
    refused(form(&browser, &csrf, "x.mp4", b"half of it", ""), 400, "The connection broke");
    assert_eq!(form(&browser, "wrong", "x.mp4", b"bytes", end).status, 403);
    let viewer = server.account("penonton", "viewer").1;
    assert_eq!(form(&viewer, "", "x.mp4", b"bytes", end).status, 403);
    assert_eq!(form(&server.stranger(), "", "x.mp4", b"bytes", end).status, 303, "to sign in");
    assert_eq!(files(&folder(&server, "uploads")), Vec::<PathBuf>::new(), "nothing is left of what was refused");

    // What began with JavaScript is shown and can be deleted without.
    let path = begin(&server.admin, "Setengah <b>jalan.mp4", 2_000_000);
    assert_eq!(patch(&server.admin, &path, 0, &all[..1_000_000]).status, 204);
    let page = browser.get_with("/studio/upload", &[("accept-language", "en")]).text();
    assert!(page.contains("Setengah &#60;b&#62;jalan.mp4") && page.contains("1.0 MB of 2.0 MB"), "{page}");
    let id = path.rsplit('/').next().expect("an id");
    let deleted = browser.form(&format!("/studio/upload/{id}/delete"), &[], &[("csrf", &csrf)]);
    assert_eq!(deleted.status, 303, "{}", deleted.text());
    assert_eq!(head(&server.admin, &path).0, 404);
}

#[test]
fn a_box_without_room_says_so() {
    let server = Server::start(&[SMALL, &["--min-free-bytes", "1000000000000000"]].concat());
    let reply = create(&server.admin, "a.mp4", 1000);
    assert_eq!((reply.status, reply.code().as_str()), (507, "upload_no_room"));
    let (browser, csrf) = browser(&server, ADMIN);
    let page = form(&browser, &csrf, "a.mp4", b"bytes", "\r\n--edge--\r\n");
    assert!(page.status == 507 && page.text().contains("not enough room"), "{}", page.text());
    assert_eq!(files(&folder(&server, "uploads")), Vec::<PathBuf>::new());
}

#[test]
fn a_disk_that_fills_up_takes_the_rest_when_there_is_room_again() {
    let server = room::tmpfs("size=64m");
    let all = bytes(12_000_000, 9);
    let path = begin(&server.admin, "a.mp4", all.len());
    assert_eq!(patch(&server.admin, &path, 0, &all[..3_000_000]).status, 204);
    // Room for some of it above what recordings leave free.
    room::fill(&server, 7_000_000);
    let mut socket = begin_patch(&server, &server.admin, &path, 3_000_000, 9_000_000, b"");
    let mut answer = String::new();
    // It may answer and close before all has been sent.
    let _ = socket.write_all(&all[3_000_000..]);
    let _ = socket.read_to_string(&mut answer);
    assert!(answer.is_empty() || (answer.starts_with("HTTP/1.1 507") && answer.contains("upload_no_room")), "{answer}");
    let come = until_free(&server.admin, &path).expect("an offset");
    assert!((3_000_001..7_000_000).contains(&come), "{come} bytes have come");
    assert_eq!(create(&server.admin, "b.mp4", 1000).code(), "upload_no_room");
    room::unfill(&server);
    let rest = patch(&server.admin, &path, come, &all[come..]);
    assert_eq!((rest.status, rest.header("upload-offset")), (204, "12000000"), "{}", rest.text());
    arrived(&server, &all);
}

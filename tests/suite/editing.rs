//! Editing a recording: what is cut out is nowhere to be had, what is kept plays in every rendition, and all of it comes back.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use crate::client::Client;
use crate::imports::{ffmpeg, hand_in, outcome};
use crate::playlist_rules::{Playlist, Segment};
use crate::power::fsck;
use crate::roles::browser;
use crate::server::{ADMIN, SMALL, Server, until};
use crate::tools;

/// Two rungs that a busy machine encodes.
const LADDER: &[&str] = &["--video-height", "480", "--video-kbps", "600", "--frame-rate", "15"];
const FOLDERS: [&str; 3] = ["av", "av1", "sound"];

/// A keyframe each second: half of that, and some.
const NEAREST_KEYFRAME: f64 = 0.55;
/// Half a part, and some.
const NEAREST_PART: f64 = 0.16;

fn record(server: &Server, seconds: f64) -> String {
    let id = server.go_live("Kelas ibu");
    server.until_duration(&id, seconds);
    server.end(&id);
    id
}

fn text(server: &Server, path: &str) -> String {
    String::from_utf8(server.fetch(path)).expect("UTF-8")
}

/// What a search finds.
fn home(server: &Server, search: &str) -> String {
    server.stranger().get_with(&format!("/?q={search}"), &[("accept", "text/html")]).text()
}

fn playlists(server: &Server, id: &str) -> Vec<String> {
    FOLDERS.iter().map(|folder| text(server, &format!("/media/{id}/{folder}/index.m3u8"))).collect()
}

fn read(text: &str) -> Playlist {
    let playlist = Playlist::read(text);
    playlist.check();
    assert!(playlist.ended, "{text}");
    playlist
}

fn uri(segment: &Segment) -> &str {
    segment.uri.as_ref().expect("complete")
}

fn uris(text: &str) -> BTreeSet<String> {
    read(text).segments.iter().map(|segment| uri(segment).to_owned()).collect()
}

fn length(playlist: &Playlist) -> f64 {
    playlist.segments.iter().map(|segment| segment.duration).sum()
}

fn put(server: &Server, id: &str, body: Value) -> Value {
    let (status, reply) = server.call("PUT", &format!("/broadcasts/{id}/edit"), Some(body));
    assert_eq!(status, 200, "{reply}");
    reply
}

fn kept(reply: &Value) -> Vec<(f64, f64)> {
    let number = |value: &Value| value.as_f64().expect("a number");
    let all = reply["kept"].as_array().expect("a list");
    all.iter().map(|kept| (number(&kept["from_s"]), number(&kept["to_s"]))).collect()
}

fn stretches(kept: &[(f64, f64)]) -> Value {
    let kept: Vec<Value> = kept.iter().map(|(from, to)| json!({"from_s": from, "to_s": to})).collect();
    json!({ "kept": kept })
}

fn near(a: f64, b: f64, within: f64) {
    assert!((a - b).abs() <= within, "{a} is not within {within} of {b}");
}

/// Bytes of a download, which must decode without a complaint and last so many seconds.
fn download(server: &Server, id: &str, seconds: f64) -> Vec<u8> {
    let bytes = server.fetch(&format!("/media/{id}/download.mp4"));
    let file = tools::write(server.data.path(), "download.mp4", &bytes);
    tools::decode(tools::as_text(&file));
    near(tools::duration(tools::as_text(&file)), seconds, 0.15);
    bytes
}

/// What is listed is what was kept: in all renditions alike, each segment there, breaks where stretches meet, dates right.
fn check_edited(server: &Server, id: &str, original: &[String], kept: &[(f64, f64)]) {
    let seconds: f64 = kept.iter().map(|(from, to)| to - from).sum();
    let edited = playlists(server, id);
    let first = read(&original[1]).segments[0].date.expect("a date");
    let facts = |playlist: &Playlist| -> Vec<_> {
        let of = |one: &Segment| (uri(one).to_owned(), one.discontinuity, one.gap, one.date, one.duration);
        playlist.segments.iter().map(of).collect()
    };
    let leader = read(&edited[1]);
    for (folder, text) in FOLDERS.iter().zip(&edited) {
        let playlist = read(text);
        near(length(&playlist), seconds, 0.01);
        assert_eq!(facts(&playlist), facts(&leader), "{folder}");
        assert!(playlist.segments.iter().all(|segment| !segment.gap));
        let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
        assert_eq!(breaks, kept.len() - 1, "{text}");
        // Each stretch begins at its own time of day, and goes on without a hole.
        let mut stretches = kept.iter();
        let mut expected = first + stretches.next().expect("one").0;
        for segment in &playlist.segments {
            if segment.discontinuity {
                expected = first + stretches.next().expect("as many as breaks").0;
            }
            near(segment.date.expect("a date"), expected, 0.003);
            expected += segment.duration;
        }
        for segment in &playlist.segments {
            let bytes = server.fetch(&format!("/media/{id}/{folder}/{}", uri(segment)));
            let mut whole = server.fetch(&format!("/media/{id}/{folder}/{}", segment.map));
            whole.extend(bytes);
            let file = tools::write(server.data.path(), "segment.mp4", &whole);
            tools::decode(tools::as_text(&file));
            if *folder != "sound" {
                let packets = tools::packets(tools::as_text(&file), "v");
                let shown: f64 = packets.iter().map(|(_, duration)| duration).sum();
                near(shown, segment.duration, 0.002);
            }
        }
    }
    tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
    near(server.broadcast(id)["duration_s"].as_f64().expect("a number"), seconds, 0.01);
}

/// Of what is not listed, nobody has anything at its old address.
fn check_gone(server: &Server, id: &str, original: &[String], clients: &[&Client]) {
    let mut gone = 0;
    for ((folder, before), now) in FOLDERS.iter().zip(original).zip(playlists(server, id)) {
        for uri in uris(before).difference(&uris(&now)) {
            gone += 1;
            for client in clients {
                assert_eq!(client.get(&format!("/media/{id}/{folder}/{uri}")).status, 404, "{folder}/{uri}");
            }
            assert_eq!(server.admin.get(&format!("/media/{id}/uncut/{folder}/{uri}")).status, 200);
        }
    }
    assert!(gone >= 6, "{gone} are gone");
}

#[test]
fn a_recording_is_trimmed_and_cut_and_comes_back_as_it_was() {
    let mut server = Server::start(LADDER);
    let id = server.go_live("Kelas ibu");
    server.until_duration(&id, 13.0);
    let live = Playlist::read(&text(&server, &format!("/media/{id}/av1/index.m3u8")));
    let part = live.segments.iter().rev().find_map(|segment| segment.parts.first()).expect("a part").uri.clone();
    let part = format!("/media/{id}/av1/{part}");
    server.end(&id);
    let original = playlists(&server, &id);
    let whole = length(&read(&original[1]));
    let original_download = download(&server, &id, whole);
    let (_, viewer) = server.account("penonton", "viewer");
    assert_eq!(server.stranger().get(&part).status, 200, "those who watched live play it to the end");

    let before = server.get(&format!("/broadcasts/{id}/edit"));
    assert_eq!(before["edited"], false);
    near(before["uncut_s"].as_f64().expect("a number"), whole, 0.002);
    assert_eq!(kept(&before).len(), 1);
    let cue = |start: f64, text: &str| json!({"start_s": start, "end_s": start + 0.8, "text": text});
    let cues =
        json!({"cues": [cue(0.1, "pembukaan"), cue(5.0, "rahasia"), cue(9.0, "minum air"), cue(12.2, "penutup")]});
    assert_eq!(server.call("PUT", &format!("/broadcasts/{id}/captions/id"), Some(cues)).0, 200);

    // Both ends and a piece in the middle; the edges lie inside of segments.
    let wish = [(1.1, 4.3), (7.9, 10.6)];
    let begin = Instant::now();
    let reply = put(&server, &id, stretches(&wish));
    println!("edited in {:?}", begin.elapsed());
    let cut = kept(&reply);
    assert_eq!((cut.len(), &reply["edited"]), (2, &json!(true)), "{reply}");
    for ((from, to), (wanted_from, wanted_to)) in cut.iter().zip(wish) {
        near(*from, wanted_from, NEAREST_KEYFRAME);
        near(*to, wanted_to, NEAREST_PART);
    }
    check_edited(&server, &id, &original, &cut);
    check_gone(&server, &id, &original, &[&server.stranger(), &viewer, &server.admin]);
    assert_eq!(server.stranger().get(&part).status, 404, "what is cut out is not in memory either");
    let seconds: f64 = cut.iter().map(|(from, to)| to - from).sum();
    near(reply["duration_s"].as_f64().expect("a number"), seconds, 0.01);
    let edited_download = download(&server, &id, seconds);
    assert!(edited_download.len() < original_download.len());
    for (who, status) in [(&server.stranger(), 401), (&viewer, 403), (&server.admin, 200)] {
        for path in ["main.m3u8", "av/index.m3u8", "sound/index.m3u8", "av1/seg-0.m4s", "av1/init-0.mp4"] {
            let reply = who.get(&format!("/media/{id}/uncut/{path}"));
            assert_eq!(reply.status, status, "{path}: {}", reply.text());
            if status == 200 {
                assert_eq!(reply.header("cache-control"), "no-store");
            }
        }
    }
    assert_eq!(server.admin.get(&format!("/media/{id}/uncut/av/index.m3u8")).text(), original[0]);

    // What is said is where it is heard, and what is not heard is not found.
    let track = text(&server, &format!("/media/{id}/captions/id.vtt"));
    let shown = cut[0].1 - cut[0].0 + 9.0 - cut[1].0;
    assert!(track.contains("minum air") && !track.contains("rahasia") && !track.contains("pembukaan"), "{track}");
    assert!(track.contains(&format!("00:00:{shown:06.3} --> ")), "{shown}: {track}");
    assert!(home(&server, "minum").contains(&format!("/watch/{id}?t={}", shown.floor())), "{shown}");
    assert!(!home(&server, "rahasia").contains(&id) && !home(&server, "penutup").contains(&id));

    // The same again changes nothing; a restart neither.
    let texts = playlists(&server, &id);
    assert_eq!(kept(&put(&server, &id, stretches(&cut))), cut);
    assert_eq!(playlists(&server, &id), texts);
    assert_eq!(server.terminate(), Some(0));
    fsck(server.data.path());
    let server = Server::start_on(&server.data, LADDER);
    assert_eq!(playlists(&server, &id), texts);
    assert_eq!(server.fetch(&format!("/media/{id}/download.mp4")), edited_download);

    // Another edit starts from all that there is.
    let one = kept(&put(&server, &id, stretches(&[(2.0, 12.0)])));
    check_edited(&server, &id, &original, &one);

    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}/edit"), None).0, 204);
    assert_eq!(playlists(&server, &id), original, "byte by byte");
    assert_eq!(server.fetch(&format!("/media/{id}/download.mp4")), original_download);
    assert!(home(&server, "rahasia").contains(&format!("/watch/{id}?t=5")));
    near(server.broadcast(&id)["duration_s"].as_f64().expect("a number"), whole, 0.01);
    // To keep all of it is no edit.
    put(&server, &id, stretches(&one));
    assert_eq!(put(&server, &id, stretches(&[(0.0, whole)]))["edited"], false);
    assert_eq!(playlists(&server, &id), original);
}

#[test]
fn what_cannot_be_edited_is_refused_and_nothing_changes() {
    let server = Server::start(SMALL);
    let id = server.go_live("Kelas ibu");
    let path = format!("/broadcasts/{id}/edit");
    let refused = |method: &str, body: Option<Value>| {
        let (status, reply) = server.call(method, &path, body);
        (status, reply["code"].as_str().unwrap_or_default().to_owned(), reply["field"].as_str().map(str::to_owned))
    };
    let whole = || Some(stretches(&[(0.0, 1.0)]));
    for (method, body) in [("GET", None), ("PUT", whole()), ("DELETE", None)] {
        assert_eq!(refused(method, body), (409, "still_live".into(), None), "{method}");
    }
    assert_eq!(server.admin.get(&format!("/media/{id}/uncut/main.m3u8")).code(), "still_live");
    server.until_duration(&id, 4.0);
    server.end(&id);
    let before = (text(&server, &format!("/media/{id}/av/index.m3u8")), server.get(&path));

    let many: Vec<(f64, f64)> = (0..101).map(|n| (f64::from(n) / 100.0, f64::from(n) / 100.0 + 0.005)).collect();
    let wrong: [(&[(f64, f64)], &str); 9] = [
        (&[], "kept_empty"),
        (&many, "kept_too_many"),
        (&[(-1.0, 2.0)], "kept_times"),
        (&[(0.0, 1e300)], "kept_times"),
        (&[(2.0, 1.0)], "kept_order"),
        (&[(1.0, 1.0)], "kept_order"),
        (&[(0.0, 2.0), (1.0, 3.0)], "kept_order"),
        (&[(2.0, 3.0), (0.0, 1.0)], "kept_order"),
        (&[(0.0, 3600.0)], "kept_beyond"),
    ];
    for (wish, code) in wrong {
        assert_eq!(refused("PUT", Some(stretches(wish))), (400, code.into(), Some("kept".into())), "{wish:?}");
    }
    let chapters = |list: &[(f64, &str)]| {
        let list: Vec<Value> = list.iter().map(|(at, title)| json!({"at_s": at, "title": title})).collect();
        refused("PUT", Some(json!({"kept": [{"from_s": 1, "to_s": 3}], "chapters": list})))
    };
    let long = "x".repeat(201);
    let many: Vec<(f64, &str)> = (0..201).map(|n| (f64::from(n) / 100.0, "x")).collect();
    let wrong: [(&[(f64, &str)], &str); 6] = [
        (&[(-1.0, "a")], "chapter_times"),
        (&[(1.0, " ")], "chapter_title"),
        (&[(1.0, &long)], "chapter_title"),
        (&[(1.0, "a"), (1.0, "b")], "chapter_twice"),
        (&[(3600.0, "a")], "chapter_beyond"),
        (&many, "chapters_too_many"),
    ];
    for (list, code) in wrong {
        assert_eq!(chapters(list), (400, code.into(), Some("chapters".into())), "{code}");
    }
    for body in
        ["", "NaN", "{\"kept\": [{\"from_s\": NaN, \"to_s\": 1}]}", "{\"kept\": [{\"from_s\": \"1\", \"to_s\": 2}]}"]
    {
        let headers = [("content-type", "application/json")];
        let reply = server.admin.send("PUT", &format!("/api/v1{path}"), &headers, Some(body.into()));
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_json"), "{body}");
    }
    assert_eq!(refused("PUT", Some(json!({"cut": []}))).0, 400);
    for at in [json!(-1), json!(3600), json!(1e300)] {
        let (status, reply) = server.call("POST", &format!("/broadcasts/{id}/thumbnail"), Some(json!({ "at_s": at })));
        assert_eq!((status, &reply["code"], &reply["field"]), (400, &json!("picture_time"), &json!("at_s")));
    }
    assert_eq!((text(&server, &format!("/media/{id}/av/index.m3u8")), server.get(&path)), before);
    for none in ["seg-0.0-0.m4s", "seg-0.5-2.m4s", "seg-0.0-999999999.m4s", "cut-0.0-0.m4s"] {
        assert_eq!(server.stranger().get(&format!("/media/{id}/av/{none}")).status, 404, "{none}");
    }

    assert_eq!(server.call("DELETE", &format!("/broadcasts/{id}"), None).0, 204);
    for (method, body) in [("GET", None), ("PUT", whole()), ("DELETE", None)] {
        assert_eq!(refused(method, body), (409, "in_trash".into(), None), "{method}");
    }
    assert_eq!(server.admin.get(&format!("/admin/recordings/{id}/edit")).status, 409);
}

#[test]
fn the_shortest_pieces_that_there_are_play() {
    let server = Server::start(SMALL);
    let id = record(&server, 6.0);
    // Two pieces of one segment, and one that is next to nothing.
    let cut = kept(&put(&server, &id, stretches(&[(0.0, 0.3), (2.0, 2.4), (3.0, 3.4), (5.0, 5.01)])));
    assert!(cut.len() >= 3, "{cut:?}");
    let edited = read(&text(&server, &format!("/media/{id}/av/index.m3u8")));
    near(length(&edited), cut.iter().map(|(from, to)| to - from).sum(), 0.01);
    assert!(edited.segments.iter().all(|segment| segment.duration > 0.0));
    // Such as `seg-1.0-2.m4s`.
    let pieces: Vec<&Segment> = edited.segments.iter().filter(|one| uri(one).matches('.').count() == 2).collect();
    assert!(pieces.len() >= 3, "{cut:?}");
    tools::decode(&format!("{}/media/{id}/main.m3u8", server.http));
    download(&server, &id, length(&edited));
}

#[test]
fn chapters_lead_to_what_is_shown() {
    let server = Server::start(SMALL);
    let id = record(&server, 7.0);
    let chapters = json!([{"at_s": 4.5, "title": "Tanya <b>jawab</b>"}, {"at_s": 0, "title": "Salam"}, {"at_s": 2, "title": "Isi"}]);
    let reply = put(&server, &id, json!({ "chapters": chapters }));
    assert_eq!((&reply["edited"], &reply["chapters"][0]["title"]), (&json!(false), &json!("Salam")));
    let watch = || server.stranger().get_with(&format!("/watch/{id}"), &[("accept", "text/html")]).text();
    assert!(watch().contains(&format!("/watch/{id}?t=4.500")));
    let track = format!("/media/{id}/chapters.vtt");
    assert!(text(&server, &track).contains("00:00:02.000 --> 00:00:04.500\nIsi\n"), "{}", text(&server, &track));

    let cut = kept(&put(&server, &id, stretches(&[(3.0, 6.0)])));
    let shown = text(&server, &track);
    let last = 4.5 - cut[0].0;
    assert!(!shown.contains("Salam"), "{shown}");
    assert!(shown.contains(&format!("00:00:00.000 --> 00:00:{last:06.3}\nIsi\n")), "what is left of it: {shown}");
    assert!(shown.contains("Tanya &lt;b&gt;jawab"), "{shown}");
    assert!(watch().contains(&format!("?t={last:.3}")) && !watch().contains("Salam"));
    assert_eq!(server.get(&format!("/broadcasts/{id}/edit"))["chapters"].as_array().map(Vec::len), Some(3));
    put(&server, &id, json!({"chapters": []}));
    assert_eq!(server.stranger().get(&track).status, 404);
    assert!(!watch().contains("data-jump"));
    assert_eq!(kept(&server.get(&format!("/broadcasts/{id}/edit"))), cut, "the rest stays");
}

#[test]
fn any_picture_of_it_can_stand_for_it() {
    let server = Server::start(SMALL);
    let id = record(&server, 6.0);
    let picture = |at: f64| {
        let (status, reply) = server.call("POST", &format!("/broadcasts/{id}/thumbnail"), Some(json!({ "at_s": at })));
        assert_eq!(status, 204, "{reply}");
        let jpeg = server.fetch(&format!("/media/{id}/thumbnail.jpg"));
        let file = tools::write(server.data.path(), "picture.jpg", &jpeg);
        tools::decode(tools::as_text(&file));
        jpeg
    };
    let (first, later) = (picture(0.0), picture(4.9));
    assert!(first != later, "the pattern shows a clock");
    // A keyframe each second: within most of one there are two at most.
    let few: BTreeSet<Vec<u8>> = [4.1, 4.3, 4.5, 4.7, 4.9].map(picture).into();
    assert!(few.len() <= 2 && few.contains(&later), "{}", few.len());
    // Also one of what is cut out: the whole recording is chosen from.
    put(&server, &id, stretches(&[(0.0, 2.0)]));
    assert!(text(&server, "/").contains(&format!("/media/{id}/thumbnail.jpg")), "what was chosen stays");
    assert!(picture(4.9) == later && picture(0.0) == first);
}

#[test]
fn a_form_does_all_of_it_without_a_script() {
    let server = Server::start(SMALL);
    let id = record(&server, 5.0);
    let (admin, csrf) = browser(&server, ADMIN);
    let form = format!("/admin/recordings/{id}/edit");
    let headers = [("accept", "text/html"), ("accept-language", "en"), ("origin", server.http.as_str())];
    let page = || admin.get_with(&form, &headers[..2]).text();
    assert!(admin.get_with(&format!("/admin/recordings/{id}"), &headers[..2]).text().contains(&form));
    assert!(page().contains("0:00 - 0:0") && !page().contains("edit/whole"));
    let send = |path: &str, fields: &[(&str, &str)]| {
        let reply = admin.form(path, &headers, &[&[("csrf", csrf.as_str())], fields].concat());
        assert_eq!(reply.status, 303, "{}", reply.text());
        reply.header("location").to_owned()
    };
    let saved = send(&form, &[("kept", "1 - 0:03,2\r\n"), ("chapters", "0:02 Posisi duduk\r\n")]);
    assert_eq!(saved, format!("{form}?done=edited"));
    let reply = server.get(&format!("/broadcasts/{id}/edit"));
    let (from, to) = kept(&reply)[0];
    near(from, 1.0, NEAREST_KEYFRAME);
    near(to, 3.2, NEAREST_PART);
    assert_eq!(reply["chapters"], json!([{"at_s": 2.0, "title": "Posisi duduk"}]));
    assert!(page().contains("0:02 Posisi duduk") && page().contains("edit/whole"));
    assert_eq!(send(&format!("{form}/picture"), &[("at", "0:01.5")]), format!("{form}?done=picture"));
    assert_eq!(send(&format!("{form}/whole"), &[]), format!("{form}?done=whole"));
    assert_eq!(server.get(&format!("/broadcasts/{id}/edit"))["edited"], false);
    let log = admin.get_with("/admin", &headers[..2]).text();
    for words in ["Cut a recording or changed its chapters", "Brought back the original", "Changed a recording"] {
        assert!(log.contains(words), "{words}");
    }
}

/// The picture that stands for a recording and the small ones above the time line are of what is shown.
#[test]
fn pictures_are_made_again_of_what_is_shown() {
    let server = Server::start(SMALL);
    let id = record(&server, 16.0);
    let times = || {
        let reply = server.stranger().get(&format!("/media/{id}/sprite.vtt"));
        (reply.status == 200).then(|| reply.text())
    };
    let before = until("a sprite", times);
    let thumbnail = server.fetch(&format!("/media/{id}/thumbnail.jpg"));
    let reply = put(&server, &id, stretches(&[(2.0, 14.0)]));
    let of_what_is_shown =
        || Some(server.stranger().get(&format!("/media/{id}/thumbnail.jpg"))).filter(|reply| reply.status == 200);
    assert!(until("another thumbnail", of_what_is_shown).body != thumbnail);
    let after = until("another sprite", || times().filter(|text| *text != before));
    let end = reply["duration_s"].as_f64().expect("a number");
    let last = after.lines().rev().find_map(|line| line.split_once(" --> 00:00:")).expect("a cue").1;
    near(last.parse().expect("seconds"), end, 0.01);
}

/// Frames that are decoded in another order than they are shown in, and keyframes that lie as far apart as may be.
#[test]
fn a_file_with_reordered_frames_is_cut_where_its_keyframes_are() {
    let server = Server::start(SMALL);
    let made = tempfile::tempdir().expect("a temporary directory");
    let file = made.path().join("reordered.mp4");
    ffmpeg(
        "-f lavfi -i testsrc2=size=320x240:rate=25:duration=15 -f lavfi -i sine=frequency=440:sample_rate=48000:duration=15 \
         -c:v libx264 -pix_fmt yuv420p -g 45 -sc_threshold 0 -bf 2 -c:a aac",
        &file,
    );
    hand_in(&server, &file);
    let id = outcome(&server, "reordered.mp4")["broadcast_id"].as_str().expect("a recording").to_owned();
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "public"}))).0, 200);
    let cut = kept(&put(&server, &id, stretches(&[(2.5, 6.1), (8.5, 12.0)])));
    assert_eq!(cut.len(), 2, "{cut:?}");
    for ((from, to), (keyframe, end)) in cut.iter().zip([(1.8, 6.1), (9.0, 12.0)]) {
        near(*from, keyframe, 0.05);
        // Not every part of it ends where a picture may be the last one.
        near(*to, end, 0.95);
    }
    let edited = read(&text(&server, &format!("/media/{id}/av/index.m3u8")));
    let seconds = cut.iter().map(|(from, to)| to - from).sum();
    near(length(&edited), seconds, 0.01);
    for segment in &edited.segments {
        let mut whole = server.fetch(&format!("/media/{id}/av/{}", segment.map));
        whole.extend(server.fetch(&format!("/media/{id}/av/{}", uri(segment))));
        let file = tools::write(server.data.path(), "segment.mp4", &whole);
        tools::decode(tools::as_text(&file));
    }
    download(&server, &id, seconds);
}

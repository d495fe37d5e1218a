//! Publishers whose times are not as one wishes: sound that comes late, pictures that change their size, time stamps that
//! wrap and jump. Whatever they do, the playlist keeps its rules and the recording plays, as long as what was sent.

use serde_json::json;

use crate::playlist_rules::Playlist;
use crate::pusher::{Pusher, SOUND, Tag, programme};
use crate::rtmp::{check_recording, new_key, until_on_air};
use crate::server::{Server, playlist};
use crate::tools;

/// Publishes these tags, each when it is due, and gives the recording's id and playlist once it is whole. The live playlist
/// is read all the while, and keeps its rules.
fn publish(server: &Server, tags: &[Tag]) -> (String, Playlist) {
    let (_, key) = new_key(server, json!({"label": "Pushed"}));
    let mut pusher = Pusher::connect(server, &key);
    let id = std::thread::scope(|scope| {
        let pushing = scope.spawn(|| pusher.push(tags));
        let id = until_on_air(server);
        while !pushing.is_finished() {
            playlist(server, &id);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
        pushing.join().expect("it takes all tags");
        id
    });
    pusher.finish();
    server.until_state(&id, "ended");
    check_recording(server, &id, &["h264", "aac"]);
    let recording = playlist(server, &id);
    (id, recording)
}

fn start() -> Server {
    Server::start(&["--rtmp-grace-s", "0"])
}

/// Seconds of media are these, to a tenth.
fn lasts(server: &Server, id: &str, seconds: f64) {
    let told = server.broadcast(id)["duration_s"].as_f64().expect("a number");
    assert!((told - seconds).abs() < 0.15, "{told} s were recorded, {seconds} s sent");
}

fn breaks(recording: &Playlist) -> usize {
    recording.segments.iter().filter(|segment| segment.discontinuity).count()
}

/// Packets of the recording's sound: how many, and from when to when (s).
fn sound(server: &Server) -> (usize, f64, f64) {
    let file = server.data.path().join("download.mp4");
    let packets = tools::packets(tools::as_text(&file), "a");
    let last = packets.last().expect("a packet");
    (packets.len(), packets[0].0, last.0 + last.1)
}

#[test]
fn sound_that_is_announced_at_once_and_begins_late() {
    let server = start();
    let mut tags = programme("320x240", 9);
    tags.retain(|tag| tag.kind != SOUND || tag.is_header() || tag.timestamp >= 3000);
    let (id, recording) = publish(&server, &tags);
    lasts(&server, &id, 9.0);
    assert_eq!(breaks(&recording), 0);
    let (packets, _, end) = sound(&server);
    assert!((270..=290).contains(&packets) && (end - 9.0).abs() < 0.15, "{packets} packets to {end} s");
}

#[test]
fn sound_that_is_not_announced_and_begins_late() {
    let server = start();
    let mut tags = programme("320x240", 9);
    tags.retain(|tag| tag.kind != SOUND || tag.is_header() || tag.timestamp >= 3000);
    let header = tags.iter().position(|tag| tag.kind == SOUND && tag.is_header()).expect("a header");
    let header = tags.remove(header);
    let first = tags.iter().position(|tag| tag.kind == SOUND).expect("sound");
    tags.insert(first, Tag { timestamp: tags[first].timestamp, due: tags[first].due, ..header });
    let (id, _) = publish(&server, &tags);
    lasts(&server, &id, 9.0);
    let (packets, _, end) = sound(&server);
    assert!((220..=290).contains(&packets) && (end - 9.0).abs() < 0.15, "{packets} packets to {end} s");
}

#[test]
fn a_picture_that_changes_its_size() {
    let server = start();
    let mut tags = programme("320x240", 5);
    for (size, from) in [("640x360", 5000), ("160x120", 10_000)] {
        let mut next = programme(size, 5);
        for tag in &mut next {
            tag.timestamp += from;
            tag.due += u64::from(from);
        }
        tags.extend(next);
    }
    let (id, recording) = publish(&server, &tags);
    lasts(&server, &id, 15.0);
    let mut maps: Vec<_> = recording.segments.iter().map(|segment| segment.map.clone()).collect();
    maps.dedup();
    assert_eq!(maps.len(), 3, "{maps:?}");
    let sizes: Vec<String> = (0..3)
        .map(|n| {
            let init = server.fetch(&format!("/media/{id}/av/init-{n}.mp4"));
            let segment = recording.segments.iter().find(|segment| segment.map == maps[n]).expect("a segment");
            let bytes = server.fetch(&format!("/media/{id}/av/{}", segment.uri.as_ref().expect("its address")));
            let file = tools::write(server.data.path(), "one.mp4", &[init, bytes].concat());
            let found = tools::probe(tools::as_text(&file), &["-show_streams", "-select_streams", "v"]);
            format!("{}x{}", found["streams"][0]["width"], found["streams"][0]["height"])
        })
        .collect();
    assert_eq!(sizes, ["320x240", "640x360", "160x120"]);
}

#[test]
fn time_stamps_that_wrap() {
    let server = start();
    let mut tags = programme("320x240", 8);
    for tag in &mut tags {
        tag.timestamp = tag.timestamp.wrapping_sub(4000);
    }
    let (id, recording) = publish(&server, &tags);
    lasts(&server, &id, 8.0);
    assert_eq!(breaks(&recording), 0, "a wrap is nothing that anybody sees");
}

/// Moves the time stamps of all tags from `from` ms on by `by` ms.
fn jump(tags: &mut [Tag], from: u64, by: i32) {
    for tag in tags.iter_mut().filter(|tag| tag.due >= from) {
        tag.timestamp = tag.timestamp.wrapping_add_signed(by);
    }
}

#[test]
fn time_stamps_that_jump_far() {
    let server = start();
    let mut tags = programme("320x240", 12);
    jump(&mut tags, 4000, 3_600_000);
    jump(&mut tags, 8000, -3_600_000 - 8000);
    let (id, recording) = publish(&server, &tags);
    assert_eq!(breaks(&recording), 2);
    lasts(&server, &id, 12.0);
}

#[test]
fn time_stamps_that_jump_a_little() {
    let server = start();
    let mut tags = programme("320x240", 12);
    // Not so far that it could not be a network that was gone for a moment, and then the encoder's own correction.
    jump(&mut tags, 4000, 2000);
    jump(&mut tags, 8000, -2000);
    let (id, recording) = publish(&server, &tags);
    assert_eq!(breaks(&recording), 2, "neither a hole nor what goes back is made even");
    lasts(&server, &id, 12.0);
    let (_, _, end) = sound(&server);
    let file = server.data.path().join("download.mp4");
    let whole = tools::duration(tools::as_text(&file));
    assert!((end - whole).abs() < 0.15, "the sound ends at {end} s, the file at {whole} s");
}

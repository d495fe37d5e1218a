//! Publishing from outside: real encoders against the real executable, from a key to the recording.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::open_pages::Page;
use crate::playlist_rules::Playlist;
use crate::pusher::Pusher;
use crate::server::{AGES, SMALL, Server, decode, playlist, until};
use crate::tools;

/// H.264 as OBS sends it when it is told to be quick.
pub const QUICK: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30"];
/// H.264 with B-frames, and keyframes where the picture asks for them.
const BFRAMES: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-b_strategy", "0", "-g", "45"];
pub const AAC: &[&str] = &["-c:a", "aac"];

/// A child that does not outlive its test.
pub struct Publisher(Child);

impl Publisher {
    /// ffmpeg with a moving picture and a tone, as long as it is let.
    pub fn start(server: &Server, key: &str) -> Self {
        Self::ffmpeg(server, key, &[QUICK, AAC].concat())
    }

    pub fn ffmpeg(server: &Server, key: &str, codecs: &[&str]) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30"]);
        ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(codecs).args(["-f", "flv", &format!("{}/{key}", server.rtmp)]);
        Self(ffmpeg.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("ffmpeg is installed"))
    }

    /// GStreamer's own client.
    fn gstreamer(server: &Server, key: &str) -> Self {
        let line = format!(
            "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! x264enc tune=zerolatency \
             key-int-max=30 speed-preset=ultrafast ! h264parse ! queue ! flvmux name=mux streamable=true ! rtmp2sink \
             location={}/{key} audiotestsrc is-live=true ! audioconvert ! avenc_aac ! aacparse ! queue ! mux.",
            server.rtmp
        );
        let mut command = Command::new("gst-launch-1.0");
        command.arg("-q").args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.stderr(Stdio::null()).spawn().expect("gst-launch-1.0 is installed"))
    }

    /// Waits until it has given up.
    fn is_sent_away(&mut self) {
        let status = until("the publisher to give up", || self.0.try_wait().expect("it is ours"));
        assert!(!status.success());
    }

    fn still_publishes(&mut self) -> bool {
        self.0.try_wait().expect("it is ours").is_none()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).expect("it runs");
    }

    /// Ends the publish in order, as a person at the encoder would.
    pub fn finish(mut self) {
        self.signal(Signal::INT);
        until("the publisher to end", || self.0.try_wait().expect("it is ours"));
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A new key: its id and itself.
pub fn new_key(server: &Server, body: Value) -> (String, String) {
    let made = server.post("/stream-keys", body);
    let text = |name: &str| String::from(made[name].as_str().expect("a text"));
    let key = text("key");
    assert!(text("rtmp_url").ends_with(&format!("/live/{key}")));
    (text("id"), key)
}

pub fn on_air(server: &Server) -> Option<Value> {
    server.get("/broadcasts?state=live")["items"].get(0).cloned()
}

/// The id of what goes on air by itself.
pub fn until_on_air(server: &Server) -> String {
    let broadcast = until("it to be on air", || on_air(server));
    String::from(broadcast["id"].as_str().expect("an id"))
}

fn duration(server: &Server, id: &str) -> f64 {
    server.broadcast(id)["duration_s"].as_f64().expect("a number")
}

pub fn discontinuities(playlist: &Playlist) -> usize {
    playlist.segments.iter().filter(|segment| segment.discontinuity).count()
}

/// The recording decodes, as HLS and as one file, with these streams; its times only go forward.
pub fn check_recording(server: &Server, id: &str, codecs: &[&str]) {
    let recording = playlist(server, id);
    assert!(recording.ended && recording.first_msn == 0);
    for pair in recording.segments.windows(2) {
        let end = pair[0].date.expect("a time") + pair[0].duration;
        assert!(pair[1].date.expect("a time") >= end - 0.002, "segment {} goes back", pair[1].msn);
    }
    for pair in recording.segments.windows(2).filter(|pair| pair[0].map != pair[1].map) {
        assert!(pair[1].discontinuity, "a change of tracks is a break (RFC 8216bis 4.4.4.3)");
    }
    decode(server, id);
    let file = tools::write(server.data.path(), "download.mp4", &server.fetch(&format!("/media/{id}/download.mp4")));
    let file = tools::as_text(&file);
    tools::decode(file);
    assert_eq!(tools::codecs(file), codecs);
    let lasts = tools::duration(file);
    assert!(lasts >= recording.duration() - 0.2, "{lasts} s in the file, {} s listed", recording.duration());
}

#[test]
fn a_publisher_goes_on_air_comes_back_and_becomes_a_recording() {
    let server = Server::start(&["--rtmp-grace-s", "5"]);
    let (_, key) = new_key(&server, json!({"label": "Village hall"}));
    let first = Publisher::start(&server, &key);
    let broadcast = until("it to be on air", || on_air(&server));
    assert_eq!(broadcast["title"], "Village hall");
    assert_eq!(broadcast["source_kind"], "rtmp");
    let id = broadcast["id"].as_str().expect("an id");
    until("three seconds of it", || (duration(&server, id) > 3.0).then_some(()));
    assert!(server.get("/sources")["items"].as_array().expect("a list").iter().any(|source| source["kind"] == "rtmp"));

    Publisher::start(&server, &key).is_sent_away();
    Publisher::start(&server, "0000000000000000000000000000000k").is_sent_away();
    let so_far = duration(&server, id);
    until("the first to go on", || (duration(&server, id) > so_far + 1.0).then_some(()));

    drop(first); // killed, not ended in order
    let second = Publisher::start(&server, &key);
    let so_far = duration(&server, id);
    until("it to go on at the same address", || (duration(&server, id) > so_far + 2.0).then_some(()));
    until("its own picture", || (discontinuities(&playlist(&server, id)) == 2).then_some(()));
    second.finish();
    server.until_state(id, "ended");
    // To the slate and back, and to the slate in the grace.
    assert_eq!(server.broadcast(id)["gaps"].as_array().map(Vec::len), Some(3));
    check_recording(&server, id, &["h264", "aac"]);
}

#[test]
fn pictures_that_come_in_another_order() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (_, key) = new_key(&server, json!({"label": "B-frames"}));
    let publisher = Publisher::ffmpeg(&server, &key, &[BFRAMES, AAC].concat());
    let id = until_on_air(&server);
    server.until_duration(&id, 6.0);
    publisher.finish();
    server.until_state(&id, "ended");
    check_recording(&server, &id, &["h264", "aac"]);
    // On a busy machine the publisher may have paused for so long that the slate stood in: its longest run is what counts.
    let recording = playlist(&server, &id);
    let runs = recording.segments.chunk_by(|_, next| !next.discontinuity);
    let run = runs.max_by_key(|run| run.len()).expect("media");
    let files = std::iter::once(&run[0].map).chain(run.iter().filter_map(|segment| segment.uri.as_ref()));
    let bytes: Vec<u8> = files.flat_map(|file| server.fetch(&format!("/media/{id}/av/{file}"))).collect();
    let file = tools::write(server.data.path(), "run.mp4", &bytes);
    let mut shown: Vec<f64> = tools::packets(tools::as_text(&file), "v").iter().map(|packet| packet.0).collect();
    assert!(shown.windows(2).any(|pair| pair[1] < pair[0]), "there are B-frames");
    shown.sort_by(f64::total_cmp);
    // A frame each 1/30 s, in the milliseconds that FLV has.
    assert!(shown.windows(2).all(|pair| (0.02..0.05).contains(&(pair[1] - pair[0]))), "{shown:?}");
}

#[test]
fn gstreamer_publishes() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (_, key) = new_key(&server, json!({"label": "GStreamer", "audience": "members"}));
    let publisher = Publisher::gstreamer(&server, &key);
    let id = until_on_air(&server);
    assert_eq!(server.broadcast(&id)["audience"], "members", "the key's");
    assert_eq!(server.call("PATCH", &format!("/broadcasts/{id}"), Some(json!({"audience": "public"}))).0, 200);
    server.until_duration(&id, 4.0);
    drop(publisher);
    server.until_state(&id, "ended");
    check_recording(&server, &id, &["h264", "aac"]);
}

#[test]
fn a_picture_without_sound() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (_, key) = new_key(&server, json!({"label": "Silent"}));
    let publisher = Publisher::ffmpeg(&server, &key, &[QUICK, &["-an"]].concat());
    let id = until_on_air(&server);
    server.until_duration(&id, 3.0);
    publisher.finish();
    server.until_state(&id, "ended");
    check_recording(&server, &id, &["h264"]);
}

/// Waits for what fails; it must do so much sooner than the publisher's grace is long.
fn fails_soon(server: &Server) -> Value {
    let begin = std::time::Instant::now();
    let failed = until("it to fail", || {
        server.get("/broadcasts?state=failed")["items"].as_array().expect("a list").first().cloned()
    });
    assert!(begin.elapsed().as_secs() < 15, "{:?}", begin.elapsed());
    assert!(on_air(server).is_none());
    failed
}

#[test]
fn a_sound_without_picture_is_refused() {
    let server = Server::start(&[]);
    let (_, key) = new_key(&server, json!({"label": "Radio"}));
    let mut publisher = Publisher::ffmpeg(&server, &key, &[&["-vn"], AAC].concat());
    assert_eq!(fails_soon(&server)["failure"], "no_picture");
    publisher.is_sent_away();
}

#[test]
fn nothing_at_all_is_refused() {
    let server = Server::start(&[]);
    let (_, key) = new_key(&server, json!({"label": "Nothing"}));
    let mut silent = Pusher::connect(&server, &key);
    assert_eq!(fails_soon(&server)["failure"], "no_picture");
    assert!(silent.is_sent_away());
}

#[test]
fn another_codec_is_refused() {
    let server = Server::start(&[]);
    let (_, key) = new_key(&server, json!({"label": "Old"}));
    let mut publisher = Publisher::ffmpeg(&server, &key, &["-c:v", "flv1", "-an"]);
    assert_eq!(fails_soon(&server)["failure"], "unusable_media");
    publisher.is_sent_away();
}

#[test]
fn what_a_person_ended_stays_ended_when_the_encoder_connects_again() {
    let server = Server::start(SMALL);
    let (id, key) = new_key(&server, json!({ "label": "OBS" }));
    let mut first = Publisher::start(&server, &key);
    let broadcast = until_on_air(&server);
    // The encoder is looked after every two seconds; it must have been seen on air.
    until("some media", || (duration(&server, &broadcast) > 5.0).then_some(()));
    server.end(&broadcast);
    first.is_sent_away();
    let mut again = Publisher::start(&server, &key);
    until("it to wait as a source", || {
        let sources = server.get("/sources");
        let found = sources["items"].as_array()?.iter().any(|source| source["id"] == format!("rtmp-{id}"));
        found.then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(again.still_publishes() && on_air(&server).is_none());
}

#[test]
fn a_key_may_wait_in_the_studio() {
    let server = Server::start(&["--rtmp-grace-s", "2"]);
    let (key_id, key) = new_key(&server, json!({"label": "Hall camera", "auto_live": false}));
    // A studio's page that is open before, and for longer than any one publisher is there.
    let mut page = Page::open(&server, &format!("/studio/events?source=rtmp-{key_id}"), &server.admin.by);
    let mut publisher = Publisher::start(&server, &key);
    let source = until("it to be a source", || {
        let sources = server.get("/sources")["items"].clone();
        sources.as_array().expect("a list").iter().find(|source| source["kind"] == "rtmp").cloned()
    });
    assert_eq!((&source["label"], &source["ready"]), (&json!("Hall camera"), &json!(true)));
    let source = source["id"].as_str().expect("an id");
    let preview = server.admin.get(&format!("/studio/preview/{source}/main.m3u8"));
    assert_eq!(preview.status, 200, "it is previewed before it goes on air: {}", preview.text());
    assert!(on_air(&server).is_none(), "it does not go on air by itself");

    let made = server.post("/broadcasts", json!({"title": "From the hall", "source": source}));
    let id = made["id"].as_str().expect("an id");
    server.until_state(id, "live");
    server.until_duration(id, 3.0);
    server.end(id);
    check_recording(&server, id, &["h264", "aac"]);
    assert!(publisher.still_publishes(), "it stays a source");
    let again = server.post("/broadcasts", json!({"title": "Once more", "source": source}));
    let again = again["id"].as_str().expect("an id");
    server.until_duration(again, 2.0);
    publisher.finish();
    server.until_state(again, "ended");
    check_recording(&server, again, &["h264", "aac"]);

    let listed = |status: &Value| status["sources"].to_string().contains("Hall camera");
    page.until("status", listed);
    assert_eq!(page.until("level", |_| true)["source"], source);
    until("its capture to end", || (server.workers().len() <= 1).then_some(()));
    page.until("status", |status| !listed(status));
    let _publisher = Publisher::start(&server, &key);
    page.until("status", listed);
    assert_eq!(page.until("level", |_| true)["source"], source, "the page follows to the next capture");
}

#[test]
fn a_revoked_key_sends_its_publisher_away() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (id, key) = new_key(&server, json!({"label": "Once"}));
    let mut publisher = Publisher::start(&server, &key);
    let broadcast = until_on_air(&server);
    assert_eq!(server.call("DELETE", &format!("/stream-keys/{id}"), None).0, 204);
    publisher.is_sent_away();
    server.until_state(&broadcast, "ended");
    Publisher::start(&server, &key).is_sent_away();
    assert!(!server.log().contains(&key), "keys are not logged");
}

#[test]
fn a_disabled_account_has_no_keys() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (account, broadcaster) = server.account("wati", "broadcaster");
    let made = broadcaster.json("POST", "/api/v1/stream-keys", &json!({"label": "Hers"})).json();
    let key = made["key"].as_str().expect("a key");
    assert_eq!(server.call("PATCH", &format!("/accounts/{account}"), Some(json!({"disabled": true}))).0, 200);
    Publisher::start(&server, key).is_sent_away();
    assert!(on_air(&server).is_none());
}

/// Connects, sends these bytes and says how the server ended the connection; it must end it.
fn send_away(server: &Server, bytes: &[u8]) {
    let address = server.rtmp.trim_start_matches("rtmp://").trim_end_matches("/live");
    let mut socket = TcpStream::connect(address).expect("it listens");
    socket.set_read_timeout(Some(AGES)).expect("a socket");
    // The server may have closed before all of it is sent.
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let ended = socket.take(1 << 20).read_to_end(&mut answer);
    let timed_out = ended.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "it is let hang about: {ended:?}");
}

#[test]
fn what_is_no_publisher_is_sent_away() {
    let server = Server::start(SMALL);
    let handshake = [&[3][..], &[0; 1536], &[0; 1536]].concat();
    // Type 0, chunk stream 3, time 0, a message of 16 MB, type 20, stream 0 (RTMP 1.0, 5.3.1.2.1).
    let large = [&handshake[..], &[3, 0, 0, 0, 0xff, 0xff, 0xff, 20, 0, 0, 0, 0], &[0; 4096]].concat();
    // Set Chunk Size to its largest, then such a chunk.
    let chunk =
        [&handshake[..], &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff], &large[3073..]].concat();
    let noise: Vec<u8> = (0u32..100_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let http = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    std::thread::scope(|scope| {
        for bytes in [&large[..], &chunk, &noise, &http, &handshake, &[3][..], &[]] {
            scope.spawn(|| send_away(&server, bytes));
        }
    });
    assert_eq!(server.stranger().get("/healthz").status, 200);
    let (_, key) = new_key(&server, json!({"label": "Afterwards"}));
    let _publisher = Publisher::start(&server, &key);
    until_on_air(&server);
}

#[test]
fn without_room_a_publisher_goes_on_air_all_the_same() {
    let server = Server::start(&[SMALL, &["--min-free-bytes", "1000000000000000", "--rtmp-grace-s", "0"]].concat());
    let (_, key) = new_key(&server, json!({"label": "No room"}));
    let publisher = Publisher::start(&server, &key);
    let live = until("it to be on air", || on_air(&server));
    assert_eq!(live["recorded"], false, "{live}");
    let id = live["id"].as_str().expect("an id");
    server.until_state(id, "live");
    publisher.finish();
    server.until_state(id, "ended");
}

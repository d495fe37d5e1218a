//! Publishing from outside: real encoders against the real executable, from a key to the recording.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::server::{Server, until};

/// A child that does not outlive its test.
struct Publisher(Child);

impl Publisher {
    /// ffmpeg with a moving picture and a tone, as long as it is let.
    fn start(server: &Server, key: &str) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"]);
        ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "30", "-c:a", "aac"]);
        ffmpeg.args(["-f", "flv", &format!("{}/{key}", server.rtmp)]);
        Self(ffmpeg.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("ffmpeg is installed"))
    }

    /// Waits until it has given up.
    fn is_sent_away(&mut self) {
        let status = until("the publisher to give up", || self.0.try_wait().expect("it is ours"));
        assert!(!status.success());
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A new key: its id and itself.
fn new_key(server: &Server, label: &str) -> (String, String) {
    let made = server.post("/stream-keys", json!({ "label": label }));
    let text = |name: &str| String::from(made[name].as_str().expect("a text"));
    (text("id"), text("key"))
}

fn on_air(server: &Server) -> Option<Value> {
    server.get("/broadcasts?state=live")["items"].get(0).cloned()
}

fn duration(server: &Server, id: &str) -> f64 {
    server.get(&format!("/broadcasts/{id}"))["duration_s"].as_f64().expect("a number")
}

#[test]
fn a_publisher_goes_on_air_comes_back_and_becomes_a_recording() {
    let server = Server::start(&["--rtmp-grace-s", "5"]);
    let (_, key) = new_key(&server, "Village hall");
    let first = Publisher::start(&server, &key);
    let broadcast = until("it to be on air", || on_air(&server));
    assert_eq!(broadcast["title"], "Village hall");
    let id = broadcast["id"].as_str().expect("an id");
    until("three seconds of it", || (duration(&server, id) > 3.0).then_some(()));
    assert!(server.get("/sources")["items"].as_array().expect("a list").iter().any(|source| source["kind"] == "rtmp"));

    Publisher::start(&server, &key).is_sent_away();
    Publisher::start(&server, "0000000000000000000000000000000k").is_sent_away();
    let so_far = duration(&server, id);
    until("the first to go on", || (duration(&server, id) > so_far + 1.0).then_some(()));

    drop(first); // killed, not ended in order
    let _second = Publisher::start(&server, &key);
    let so_far = duration(&server, id);
    until("it to go on at the same address", || (duration(&server, id) > so_far + 2.0).then_some(()));
    drop(_second);
    server.until_state(id, "ended");

    let file = server.data.path().join("download.mp4");
    std::fs::write(&file, server.fetch(&format!("/media/{id}/download.mp4"))).expect("room");
    let played =
        Command::new("ffmpeg").args(["-v", "error", "-xerror", "-i"]).arg(&file).args(["-f", "null", "-"]).output();
    let played = played.expect("ffmpeg is installed");
    assert!(played.status.success() && played.stderr.is_empty(), "{}", String::from_utf8_lossy(&played.stderr));
}

#[test]
fn a_revoked_key_sends_its_publisher_away() {
    let server = Server::start(&["--rtmp-grace-s", "0"]);
    let (id, key) = new_key(&server, "Once");
    let mut publisher = Publisher::start(&server, &key);
    let broadcast = until("it to be on air", || on_air(&server));
    assert_eq!(server.call("DELETE", &format!("/stream-keys/{id}"), None).0, 204);
    publisher.is_sent_away();
    server.until_state(broadcast["id"].as_str().expect("an id"), "ended");
    Publisher::start(&server, &key).is_sent_away();
}

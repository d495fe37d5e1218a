//! More than one broadcast at once: which of them is shown to whoever asks for none by name, and that all are kept.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::playlist_rules::Playlist;
use crate::rtmp::{Publisher, check_recording, new_key};
use crate::server::{SMALL, Server, playlist, until};

/// What `/live`, the lobby's screen and the home page show, in this order; empty for nothing.
fn shown(server: &Server) -> [String; 3] {
    let stranger = server.stranger();
    let live = stranger.get("/live");
    let live = live.header("location").trim_start_matches("/watch/").to_owned();
    let after = |page: &str, mark: &str| {
        let text = stranger.get_with(page, &[("accept", "text/html")]).text();
        text.split(mark).nth(1).map(|rest| rest.split('"').next().expect("it ends").to_owned()).unwrap_or_default()
    };
    [live, after("/tv", "data-live=\""), after("/", "aria-labelledby=\"live-")]
}

fn everywhere(id: &str) -> [String; 3] {
    [id, id, id].map(String::from)
}

#[test]
fn the_newest_that_has_a_picture_is_shown_and_all_are_kept() {
    let mut server = Server::start(SMALL);
    assert_eq!(shown(&server), everywhere(""));
    let first = server.go_live("Gambar uji");
    assert_eq!(shown(&server), everywhere(&first));

    // A publisher that sends nothing yet does not take the screen from what is there.
    let (_, key) = new_key(&server, json!({"label": "Tanpa gambar"}));
    let silent = crate::pusher::Pusher::connect(&server, &key);
    until("it to begin", || (server.get("/broadcasts?state=starting")["items"] != json!([])).then_some(()));
    assert_eq!(shown(&server), everywhere(&first));
    drop(silent);

    let publish = |label: &str| {
        let (_, key) = new_key(&server, json!({ "label": label }));
        let publisher = Publisher::start(&server, &key);
        let id = until("it to be live", || {
            let live = server.get("/broadcasts?state=live")["items"].clone();
            let found = live.as_array()?.iter().find(|broadcast| broadcast["title"] == label)?["id"].clone();
            Some(String::from(found.as_str()?))
        });
        (publisher, id)
    };
    let (_second_publisher, second) = publish("Aula");
    assert_eq!(shown(&server), everywhere(&second), "the newest");
    let both = server.stranger().get_with("/", &[("accept", "text/html")]).text();
    assert!(both.contains(&format!("live-{first}")), "the home page shows all");
    server.until_duration(&second, 3.0);
    server.end(&second);
    assert_eq!(shown(&server), everywhere(&first), "back to what is still on air");
    check_recording(&server, &second, &["h264", "aac"]);

    let (_third_publisher, third) = publish("Lapangan");
    server.until_duration(&third, 3.0);
    let listed: Vec<(String, f64)> = [first, third]
        .map(|id| {
            let duration = playlist(&server, &id).duration();
            (id, duration)
        })
        .into();
    let begin = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let server = Server::start_on(&server.data, SMALL);
    for (id, listed) in listed {
        let text = server.fetch(&format!("/media/{id}/av/index.m3u8"));
        let recorded = Playlist::read(&String::from_utf8(text).expect("UTF-8")).duration();
        assert!(recorded >= listed - 0.001, "{listed} s of {id} were listed, {recorded} s are left");
        check_recording(&server, &id, &["h264", "aac"]);
    }
}

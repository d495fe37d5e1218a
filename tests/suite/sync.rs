//! Sound and picture of a recording, measured from outside: the test pattern carries the wall clock in its picture, and the
//! test tone ticks at the clock's full seconds.

use std::process::Command;

use crate::playlist_rules::Segment;
use crate::server::{SMALL, Server, playlist};
use crate::tools;

/// Frames per second of [`SMALL`].
const FRAME_RATE: f64 = 15.0;

/// Samples per second.
const RATE: f64 = 48_000.0;

/// ffmpeg's output for `input`, raw.
pub fn raw(input: &str, arguments: &[&str]) -> Vec<u8> {
    let output =
        Command::new("ffmpeg").args(["-v", "error", "-i", input]).args(arguments).arg("-").output().expect("ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The wall clock in a picture of the test pattern, milliseconds since 1970: the first row of cells has white, black and
/// then its lower 24 bits, enough for the four hours past.
pub fn clock_in(picture: &[u8], width: usize, height: usize) -> i64 {
    let y = (10 + 22) * height / 200;
    let told = (2..26).fold(0, |word, cell| {
        let x = (2 * cell + 1) * width / (2 * 28);
        word << 1 | i64::from(picture[y * width + x] > 128)
    });
    let now = jiff::Timestamp::now().as_millisecond();
    now - (now - told).rem_euclid(1 << 24)
}

/// What a segment shows.
struct Shown {
    /// How much later than the pictures the sound is, milliseconds, by their median and the first tick; none if there is no tick.
    sound_behind: Option<f64>,
    /// The wall clock in the first and the last picture, milliseconds since 1970.
    clock: (i64, i64),
}

fn look(server: &Server, id: &str, segment: &Segment) -> Shown {
    let at = |uri: &str| server.fetch(&format!("/media/{id}/av/{uri}"));
    let bytes = [at(&segment.map), at(segment.uri.as_ref().expect("media"))].concat();
    let file = tools::write(server.data.path(), "segment.mp4", &bytes);
    let file = tools::as_text(&file);
    let told = &tools::probe(file, &["-show_streams", "-select_streams", "v"])["streams"][0];
    let size = |what: &str| told[what].as_u64().expect("a number") as usize;
    let (width, height) = (size("width"), size("height"));
    let pictures = raw(file, &["-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray"]);
    let shown = tools::times(file, "v");
    let clocks: Vec<i64> =
        pictures.chunks_exact(width * height).map(|picture| clock_in(picture, width, height)).collect();
    assert_eq!(clocks.len(), shown.len(), "a picture for each packet");
    let mut behind_clock: Vec<f64> = clocks.iter().zip(&shown).map(|(clock, at)| at * 1000.0 - *clock as f64).collect();
    behind_clock.sort_by(f64::total_cmp);
    let picture = behind_clock[behind_clock.len() / 2];

    let sound = raw(file, &["-map", "0:a", "-f", "f32le", "-ac", "1", "-ar", "48000"]);
    let loud: Vec<bool> =
        sound.chunks_exact(4).map(|s| f32::from_le_bytes(s.try_into().expect("four")).abs() > 0.1).collect();
    // What is loud from the first sample on began before it.
    let quiet_before = (RATE / 20.0) as usize;
    let tick = (quiet_before..loud.len()).find(|&at| loud[at] && !loud[at - quiet_before..at].contains(&true));
    let begins = tools::times(file, "a")[0];
    let behind = |tick: usize| {
        // Which second it is, a tick does not tell.
        ((begins + tick as f64 / RATE) * 1000.0 - picture + 500.0).rem_euclid(1000.0) - 500.0
    };
    Shown { sound_behind: tick.map(behind), clock: (clocks[0], clocks[clocks.len() - 1]) }
}

/// Measures at ten places of a recording of so many seconds.
fn in_step(seconds: f64) {
    let server = Server::start(SMALL);
    let id = server.go_live("A clock and its ticks");
    while server.broadcast(&id)["duration_s"].as_f64().expect("a number") < seconds {
        std::thread::sleep(std::time::Duration::from_millis(500));
    }
    server.end(&id);
    let recording = playlist(&server, &id);
    let step = (recording.segments.len() / 10).max(1);
    let last = recording.segments.last().expect("a segment");
    let looked: Vec<Shown> =
        recording.segments.iter().step_by(step).chain([last]).map(|segment| look(&server, &id, segment)).collect();
    let measured: Vec<f64> = looked.iter().filter_map(|shown| shown.sound_behind).collect();
    println!("sound behind picture, ms, over {:.0} s: {measured:.1?}", recording.duration());
    assert!(measured.len() > 3);
    // Below what can be noticed: sound early by 45 ms, or late by 125 (ITU-R BT.1359-1).
    assert!(measured.iter().all(|ms| ms.abs() < 40.0), "{measured:?}");
    // It lasts as long as what it shows took: from the first picture to the end of the last.
    let (first, last) = (&looked[0].clock.0, &looked[looked.len() - 1].clock.1);
    let passed = (last - first) as f64 / 1000.0 + 1.0 / FRAME_RATE;
    println!("{:.3} s recorded in {passed:.3} s", recording.duration());
    assert!((recording.duration() - passed).abs() < 0.2, "{} s recorded in {passed} s", recording.duration());
}

#[test]
fn sound_and_picture_are_in_step() {
    in_step(8.0);
}

#[test]
#[ignore = "takes an hour"]
fn sound_and_picture_are_in_step_for_an_hour() {
    in_step(3600.0);
}

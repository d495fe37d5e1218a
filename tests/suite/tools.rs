//! What ffmpeg and ffprobe say about media: independent witnesses, which share no code with the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Decodes all of a file or an address; there must be nothing to complain about.
pub fn decode(input: &str) {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-protocol_whitelist", "file,http,tcp"])
        // A recording paused for more than ten seconds is no clock that jumped, to be put straight.
        .args(["-dts_delta_threshold", "86400", "-i", input, "-map", "0"])
        // Frames that come unevenly are no fault, and news only to a muxer of even ones.
        .args(["-fps_mode", "passthrough", "-enc_time_base:v", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
}

/// What ffprobe finds, as its JSON.
pub fn probe(input: &str, arguments: &[&str]) -> Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json"])
        .args(arguments)
        .arg(input)
        .output()
        .expect("ffprobe is installed");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{input}: {complaints}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Seconds of the whole file.
pub fn duration(input: &str) -> f64 {
    let found = probe(input, &["-show_format"]);
    found["format"]["duration"].as_str().expect("a duration").parse().expect("a number")
}

/// `h264`, `aac`, … of its streams.
pub fn codecs(input: &str) -> Vec<String> {
    let found = probe(input, &["-show_streams"]);
    let streams = found["streams"].as_array().expect("streams");
    streams.iter().map(|stream| stream["codec_name"].as_str().expect("a name").to_owned()).collect()
}

/// Presentation time and duration in seconds of each packet of a stream, in the order of the file.
pub fn packets(input: &str, stream: &str) -> Vec<(f64, f64)> {
    of_packets(input, stream, |packet| (number(packet, "pts_time"), number(packet, "duration_time")))
}

/// Presentation times alone: ffprobe knows no duration of a packet that is the only one.
pub fn times(input: &str, stream: &str) -> Vec<f64> {
    of_packets(input, stream, |packet| number(packet, "pts_time"))
}

fn of_packets<T>(input: &str, stream: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    let found = probe(input, &["-select_streams", stream, "-show_packets"]);
    found["packets"].as_array().expect("packets").iter().map(read).collect()
}

fn number(packet: &Value, key: &str) -> f64 {
    let text = packet[key].as_str().unwrap_or_else(|| panic!("no {key} in {packet}"));
    text.parse().expect("a number")
}

/// Puts bytes where the tools can read them.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("room");
    path
}

pub fn as_text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

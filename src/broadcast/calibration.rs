//! What this machine's encoders can do: timed once while nothing runs, kept with the data, and timed again when the machine or the
//! program is another. Until it is known, everything is encoded, and a box that cannot keep up leaves out what it must.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Studio;
use crate::library::Library;
use crate::media::protocol::{ENCODERS, FromWorker, Task};
use crate::store::StoreError;
use crate::worker::process::ask;

/// The keys under which the results are kept.
const SETTING: &str = "encoder_speed";
const LEFT_OUT: &str = "encoders_left_out";
/// A start has other things to do, and whoever goes live at once must not share the processor with a measurement.
const REST: Duration = Duration::from_secs(20);
/// An encoder is timed within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured, and where.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    machine: String,
    encoder: String,
    /// Frames per second at 1280x720.
    frames_per_second: f32,
}

/// Finds out how many frames of 1280x720 this machine encodes a second, and tells `studio`.
pub async fn calibrate(studio: Studio) {
    let machine = machine();
    let known = studio.library().kept(SETTING).await.ok().flatten();
    let known = known.and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    if let Some(known) = known.filter(|known| known.machine == machine) {
        return studio.set_encoder_speed(known.frames_per_second);
    }
    loop {
        tokio::time::sleep(REST).await;
        if studio.runs_anything() {
            continue;
        }
        // In the order in which a broadcast tries them.
        let mut measured = time_encoders().await;
        measured.retain(|speed| !studio.left_out().borrow().contains(speed.name));
        let works = measured
            .into_iter()
            .filter_map(|speed| Some((speed.name.to_owned(), speed.frames_per_second.ok()?)))
            .next();
        // What was measured beside something else is worth nothing.
        if studio.runs_anything() {
            continue;
        }
        let Some((encoder, frames_per_second)) = works else { return };
        tracing::info!(encoder, frames_per_second, "timed the encoder at 1280x720");
        studio.set_encoder_speed(frames_per_second);
        let kept = serde_json::to_string(&Kept { machine, encoder, frames_per_second }).unwrap_or_default();
        if let Err(error) = studio.library().keep(SETTING, kept).await {
            tracing::warn!(%error, "the encoder's speed cannot be kept; the next start measures it again");
        }
        return;
    }
}

/// One encoder of this machine.
#[derive(Debug)]
pub struct EncoderSpeed {
    /// Of its GStreamer element.
    pub name: &'static str,
    /// At 1280x720, or why it does not work.
    pub frames_per_second: Result<f32, String>,
}

/// Times all encoders, each in a worker of its own, which it may take with it.
pub async fn time_encoders() -> Vec<EncoderSpeed> {
    let mut timed = Vec::new();
    for name in ENCODERS {
        let speed = ask(Task::Encoder(name.to_owned()), PATIENCE, |message| match message {
            FromWorker::Speed(speed) => Some(speed),
            _ => None,
        });
        let dead = || Err(String::from("the process that tried it died or hung"));
        timed.push(EncoderSpeed { name, frames_per_second: speed.await.unwrap_or_else(dead) });
    }
    timed
}

/// Encoders that hung or were slow to fail, and where.
#[derive(Debug, Serialize, Deserialize)]
struct KeptOut {
    machine: String,
    encoders: BTreeSet<String>,
}

/// Encoders that starts leave out on this machine, with this version.
pub async fn left_out(library: &Library) -> BTreeSet<String> {
    let known = library.kept(LEFT_OUT).await.ok().flatten();
    let known = known.and_then(|text| serde_json::from_str::<KeptOut>(&text).ok());
    known.filter(|known| known.machine == machine()).map(|known| known.encoders).unwrap_or_default()
}

/// Keeps which ones those are.
pub async fn keep_left_out(library: &Library, encoders: BTreeSet<String>) -> Result<(), StoreError> {
    let kept = serde_json::to_string(&KeptOut { machine: machine(), encoders }).unwrap_or_default();
    library.keep(LEFT_OUT, kept).await
}

/// Keeps what workers find out of encoders.
pub async fn remember(studio: Studio) {
    let mut left_out = studio.left_out();
    while left_out.changed().await.is_ok() {
        let encoders = left_out.borrow_and_update().clone();
        if let Err(error) = keep_left_out(studio.library(), encoders).await {
            tracing::warn!(%error, "which encoder hangs cannot be kept; the next start finds it out again");
        }
    }
}

/// What must be the same for a measurement to hold.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let named = |name: &str| processors.lines().find(|line| line.starts_with(name)).and_then(value);
    let model = named("model name").or_else(|| named("Model")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("siaran {}, {model}, {cores} cores", env!("CARGO_PKG_VERSION"))
}

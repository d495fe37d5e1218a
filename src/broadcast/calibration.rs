//! What this machine's encoders can do: timed once while nothing runs, kept with the data, and timed again when the machine or the
//! program is another. Until it is known, everything is encoded, and a box that cannot keep up leaves out what it must.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Studio;
use crate::media::protocol::{FromWorker, Task};
use crate::worker::process::ask;

/// The key under which the result is kept.
const SETTING: &str = "encoder_speed";
/// A start has other things to do, and whoever goes live at once must not share the processor with a measurement.
const REST: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(90);

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
        let measured = ask(Task::Encoders, PATIENCE, |message| match message {
            FromWorker::Encoders(encoders) => Some(encoders),
            _ => None,
        });
        let measured = measured.await.unwrap_or_default().into_iter();
        // In the order in which a broadcast tries them.
        let works = measured.filter_map(|speed| Some((speed.name, speed.frames_per_second.ok()?))).next();
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

/// What must be the same for a measurement to hold.
fn machine() -> String {
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |line: &str| line.split_once(':').map(|(_, value)| value.trim().to_owned());
    let named = |name: &str| processors.lines().find(|line| line.starts_with(name)).and_then(value);
    let model = named("model name").or_else(|| named("Model")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("siaran {}, {model}, {cores} cores", env!("CARGO_PKG_VERSION"))
}

//! Watches how the encoders keep up and how hot the box is, and leaves rungs out before the last one suffers, and at last half of its
//! frames; what is to be left out when is decided in `media::shedding`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::link::Outbox;
use super::program::Program;
use crate::media::protocol::FromWorker;
use crate::media::shedding::{LOOK_MS, Look, Shedding};

/// No segment lasts longer, see `media::playlist::MAX_SEGMENT`.
const LAST_SEGMENT: Duration = Duration::from_millis(2400);

/// Watches a program of so many rungs until `stop`.
pub fn watch(program: Arc<Program>, rungs: usize, stop: Arc<AtomicBool>, outbox: Outbox) {
    std::thread::spawn(move || {
        let mut shedding = Shedding::new(rungs);
        let mut missing_before = 0;
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(LOOK_MS));
            let (before, _) = shedding.without();
            let (waiting, missing) = program.backlog();
            let dropped = missing > std::mem::replace(&mut missing_before, missing);
            if !shedding.look(&Look { waiting, dropped, temperature: temperature() }) {
                continue;
            }
            let (without, reason) = shedding.without();
            tracing::warn!(?without, ?reason, "what is left out of the ladder has changed");
            let left_out = without.rungs;
            outbox.send(FromWorker::LeftOut { renditions: left_out as u8, half_rate: without.half_rate, reason });
            program.halve_rate(without.half_rate);
            if left_out <= before.rungs {
                program.leave_out(left_out);
                continue;
            }
            // Told first: the rung completes its segment, and players change over meanwhile.
            let program = Arc::clone(&program);
            std::thread::spawn(move || {
                std::thread::sleep(LAST_SEGMENT);
                program.leave_out(left_out);
            });
        }
    });
}

/// Degrees Celsius of the hottest place that the kernel knows of.
fn temperature() -> Option<f32> {
    let zones = std::fs::read_dir("/sys/class/thermal").ok()?.flatten();
    let degrees = zones.filter_map(|zone| {
        let text = std::fs::read_to_string(zone.path().join("temp")).ok()?;
        Some(text.trim().parse::<f32>().ok()? / 1000.0)
    });
    degrees.reduce(f32::max)
}

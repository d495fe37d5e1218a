//! The only place that reads a clock. Everyone else is told the time or asks here, and asks here whether it can be believed.

use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Units of media time per second (90 kHz), the scale of every `tfdt`, part and segment that siaran writes.
pub const TIMESCALE: u32 = 90_000;

/// Wall time, milliseconds since 1970-01-01T00:00:00Z. It may step; use it to label, never to measure.
pub fn wall_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Local time minus UTC now, milliseconds.
pub fn local_offset_ms() -> i64 {
    let offset = jiff::tz::TimeZone::system().to_offset(jiff::Timestamp::now());
    i64::from(offset.seconds()) * 1000
}

/// `CLOCK_MONOTONIC`, nanoseconds since boot. It never steps and is the same in every process of this machine,
/// which lets the parent and its workers share one media timeline.
pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// One moment by both clocks. Within a boot the monotonic one measures; between boots there is only the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// As [`wall_ms`].
    pub wall_ms: i64,
    /// Milliseconds since boot.
    pub monotonic_ms: i64,
    /// What tells this boot from every other.
    pub boot: &'static str,
    /// As [`trusted`].
    pub trusted: bool,
}

/// What tells this boot from every other: [`monotonic_ns`] of two processes compare only within one.
pub fn boot() -> &'static str {
    &BOOT
}

/// Now.
pub fn moment() -> Moment {
    let monotonic_ms = (monotonic_ns() / 1_000_000) as i64;
    Moment { wall_ms: wall_ms(), monotonic_ms, boot: boot(), trusted: trusted() }
}

/// The kernel's id of this boot; where there is none, one of this process, which makes every start a boot.
static BOOT: LazyLock<String> = LazyLock::new(|| {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| super::ids::public_id(), |id| id.trim().to_owned())
});

/// No clock that is right says less: 2026-01-01T00:00:00Z, before which there was no siaran.
pub const EARLIEST_MS: i64 = 1_767_225_600_000;
/// Nor more: 30 years later, long after the box is scrap.
pub const LATEST_MS: i64 = EARLIEST_MS + 30 * 31_557_600_000;
/// A change of wall time against the monotonic clock that is no drift but a setting of the clock.
pub const STEP_MS: i64 = 2_000;
/// The wall clock may be read a little before it was last read, as it is slewed.
const SLACK_MS: i64 = 5_000;

/// What is known of the wall clock in this process.
#[derive(Debug, Clone, Copy)]
struct Trust {
    /// It has been right at this time, or something was labelled with it.
    not_before_ms: i64,
    /// Wall minus monotonic, when last looked at.
    offset_ms: Option<i64>,
    /// A time server or a person has set it.
    set: bool,
}

impl Trust {
    const NOTHING: Trust = Trust { not_before_ms: EARLIEST_MS, offset_ms: None, set: false };

    /// Whether the wall clock can be believed. To be asked often: what changes slowly is drift, what jumps was set.
    fn look(&mut self, wall_ms: i64, monotonic_ms: i64, synchronised: impl FnOnce() -> bool) -> bool {
        let offset = wall_ms - monotonic_ms;
        let stepped = self.offset_ms.replace(offset).is_some_and(|before| (offset - before).abs() > STEP_MS);
        self.set |= stepped || synchronised();
        let plausible = (EARLIEST_MS..LATEST_MS).contains(&wall_ms) && wall_ms + SLACK_MS >= self.not_before_ms;
        if self.set && plausible {
            self.not_before_ms = self.not_before_ms.max(wall_ms);
        }
        self.set && plausible
    }
}

static TRUST: Mutex<Trust> = Mutex::new(Trust::NOTHING);

/// Whether the wall clock can be believed: a time server has set it since boot or it was set since this process began, and
/// it is neither before what is known to have been nor absurd. Until then it labels, and nothing is deleted by it.
pub fn trusted() -> bool {
    let monotonic_ms = (monotonic_ns() / 1_000_000) as i64;
    TRUST.lock().unwrap_or_else(PoisonError::into_inner).look(wall_ms(), monotonic_ms, synchronised)
}

/// Tells the newest time that something was labelled with: a clock before that is wrong. What is absurd is left out.
pub fn trust_not_before(wall_ms: i64) {
    if wall_ms < LATEST_MS {
        let mut trust = TRUST.lock().unwrap_or_else(PoisonError::into_inner);
        trust.not_before_ms = trust.not_before_ms.max(wall_ms);
    }
}

/// Whether a time server has set the clock: the kernel says so (adjtimex(2)), or systemd-timesyncd has since boot.
pub fn synchronised() -> bool {
    kernel_says_synchronised() || Path::new("/run/systemd/timesync/synchronized").exists()
}

#[allow(unsafe_code)]
fn kernel_says_synchronised() -> bool {
    // SAFETY: timex is plain numbers, for which zero is a value; modes = 0 changes nothing, and the pointer is to our own.
    let (state, status) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut timex), timex.status)
    };
    state >= 0 && state != libc::TIME_ERROR && status & libc::STA_UNSYNC == 0
}

/// An instant for measuring how long something takes.
pub fn instant() -> std::time::Instant {
    std::time::Instant::now()
}

/// RFC 3339 in UTC with milliseconds, as the API and playlists write times.
pub fn rfc3339(wall_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => String::from("1970-01-01T00:00:00.000Z"),
    }
}

/// Nanoseconds to 90 kHz ticks, rounded to the nearest.
pub fn ns_to_ticks(ns: u64) -> u64 {
    ((ns as u128 * TIMESCALE as u128 + 500_000_000) / 1_000_000_000) as u64
}

/// 90 kHz ticks to nanoseconds.
pub fn ticks_to_ns(ticks: u64) -> u64 {
    (ticks as u128 * 1_000_000_000 / TIMESCALE as u128) as u64
}

/// 90 kHz ticks as seconds.
pub fn ticks_to_seconds(ticks: u64) -> f64 {
    ticks as f64 / TIMESCALE as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc3339_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
    }

    #[test]
    fn a_clock_is_believed_once_it_was_set_and_while_it_is_plausible() {
        let (day, start) = (86_400_000, EARLIEST_MS + 1_000_000_000);
        let mut trust = Trust::NOTHING;
        trust.not_before_ms = start;
        let at_boot = EARLIEST_MS - 50 * 365 * day;
        assert!(!trust.look(at_boot, 1_000, || false), "1970");
        assert!(trust.look(start + day, 2_000, || false), "stepped to now");
        assert!(trust.look(start + day + 3_600_400, 3_602_000, || false), "drift is no matter");
        assert!(!trust.look(start + day, 3_603_000, || false), "an hour back");
        assert!(trust.look(start + day + 3_602_000, 3_604_000, || false), "and right again");
        assert!(!trust.look(start + 56 * 365 * day, 3_605_000, || true), "56 years ahead, whoever says so");
        assert!(trust.look(start + day + 3_604_000, 3_606_000, || false));

        let mut never_set = Trust::NOTHING;
        assert!(!never_set.look(start, 1_000, || false));
        assert!(!never_set.look(start + 3_600_000, 3_601_000, || false), "nobody has set it");
        assert!(never_set.look(start + 3_601_000, 3_602_000, || true), "a time server has");
        assert!(never_set.look(start + 3_602_000, 3_603_000, || false), "and lost its network");
    }

    #[test]
    fn ticks_round_to_the_nearest() {
        assert_eq!(ns_to_ticks(1_000_000_000), 90_000);
        assert_eq!(ns_to_ticks(33_333_333), 3_000);
    }
}

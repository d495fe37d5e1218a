//! The only place that reads a clock. Everyone else is told the time or asks here.

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
    fn ticks_round_to_the_nearest() {
        assert_eq!(ns_to_ticks(1_000_000_000), 90_000);
        assert_eq!(ns_to_ticks(33_333_333), 3_000);
    }
}

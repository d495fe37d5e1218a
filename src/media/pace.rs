//! Even times out of RTMP's: whole milliseconds, jitter of phones, wraps and jumps. [`TagClock`] puts the publisher's
//! time stamps on running time; [`Pace`] puts its frames on an even grid, so that parts are even too.

use std::collections::VecDeque;

use crate::base::clock::TIMESCALE;

/// Time stamps that go on by more belong to another timeline. Milliseconds.
const JUMP_MS: i64 = 3_000;
/// So do those that go back by more; less is a track that lags behind the other. Milliseconds.
const JUMP_BACK_MS: i64 = 1_000;
/// Tags after a jump among which some of the old timeline may straggle in: half a second's.
const STRAGGLERS: u32 = 50;
const TICKS_PER_MS: i64 = TIMESCALE as i64 / 1000;

/// Where a tag's time stamp lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// At this running time, 90 kHz ticks.
    At(i64),
    /// There too, but the timeline begins anew: nothing follows on what was before.
    Jumped(i64),
    /// A straggler from before a jump.
    Stale,
}

/// Maps a publisher's time stamps to running time. They wrap at 2^32 ms, which is no jump.
#[derive(Debug, Default)]
pub struct TagClock {
    last: Option<u32>,
    /// Running time of `last`, ticks.
    at: i64,
    /// Last time stamp before the jump, and how many tags are still looked at for coming from there.
    before: Option<(u32, u32)>,
}

impl TagClock {
    /// Places a time stamp. The first one, and the first after a jump, lie at `anchor` (90 kHz ticks of running time).
    pub fn place(&mut self, timestamp_ms: u32, anchor: u64) -> Placed {
        let anchor = anchor.min(i64::MAX as u64) as i64;
        let Some(last) = self.last else {
            self.last = Some(timestamp_ms);
            self.at = anchor;
            return Placed::At(anchor);
        };
        let step = distance(last, timestamp_ms);
        if let Some((old, left)) = &mut self.before {
            *left -= 1;
            let is_straggler = distance(*old, timestamp_ms).abs() < step.abs().min(JUMP_MS);
            if *left == 0 {
                self.before = None;
            }
            if is_straggler {
                return Placed::Stale;
            }
        }
        self.last = Some(timestamp_ms);
        if (-JUMP_BACK_MS..=JUMP_MS).contains(&step) {
            self.at += step * TICKS_PER_MS;
            return Placed::At(self.at);
        }
        self.before = Some((last, STRAGGLERS));
        self.at = anchor;
        Placed::Jumped(anchor)
    }

    /// Places all that follows later by `ticks`.
    pub fn delay(&mut self, ticks: i64) {
        self.at += ticks;
    }
}

/// From one time stamp to another the shorter way round.
fn distance(from: u32, to: u32) -> i64 {
    i64::from(to.wrapping_sub(from) as i32)
}

/// Puts the frames of a source of roughly constant rate on an even grid, without waiting for any.
#[derive(Debug)]
pub struct Pace {
    /// Time from frame to frame, ticks.
    nominal: f64,
    /// Where the last frame was put.
    last: Option<f64>,
    /// Times of the last frames as they came.
    recent: VecDeque<i64>,
}

/// Frames over which the rate is measured.
const WINDOW: usize = 32;
/// A measured rate is taken for the common one it is so near to (1 %). That 23.976 passes for 24 is what [`Pace::next`]
/// follows.
const COMMON_RATES: [f64; 15] = [5.0, 6.0, 7.5, 8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24.0, 25.0, 30.0, 48.0, 50.0, 60.0];
/// What rounding to milliseconds does to a time, either way, and a little more. Ticks.
const ROUNDING: f64 = 2.0 * TICKS_PER_MS as f64;

impl Pace {
    /// For a source that tells its rate, in frames per 1000 s.
    pub fn of_rate(frame_rate_milli: u32) -> Self {
        Self::new(f64::from(TIMESCALE) * 1000.0 / f64::from(frame_rate_milli.max(1)))
    }

    /// For a source whose first frames came at these times (ticks, at least two).
    pub fn of_times(times: &[i64]) -> Self {
        Self::new(measured(times).unwrap_or(f64::from(TIMESCALE) / 30.0))
    }

    fn new(nominal: f64) -> Self {
        Self { nominal, last: None, recent: VecDeque::new() }
    }

    /// Frames per 1000 s.
    pub fn rate_milli(&self) -> u32 {
        (f64::from(TIMESCALE) * 1000.0 / self.nominal).round() as u32
    }

    /// Time from frame to frame, ticks.
    pub fn frame_ticks(&self) -> u32 {
        self.nominal.round() as u32
    }

    /// Where the frame that came with time `at` shall be decoded, and how long it will probably last (ticks).
    pub fn next(&mut self, at: i64) -> (u64, u32) {
        self.learn(at);
        let put = match self.last {
            None => at as f64,
            Some(last) => {
                let due = last + self.nominal;
                last + self.nominal + self.correction(at as f64 - due)
            }
        };
        self.last = Some(put);
        let (start, end) = (put.round().max(0.0) as u64, (put + self.nominal).round().max(0.0) as u64);
        (start, (end - start).max(1) as u32)
    }

    /// The timeline begins anew.
    pub fn restart(&mut self) {
        self.last = None;
        self.recent.clear();
    }

    /// How far off the grid to go for a frame that came `off` after it was due.
    fn correction(&self, off: f64) -> f64 {
        if off.abs() <= ROUNDING {
            0.0
        } else if off.abs() <= self.nominal / 2.0 {
            // Jitter is flattened; a rate that is a little off is followed.
            off.clamp(-self.nominal / 20.0, self.nominal / 20.0)
        } else if off > 0.0 {
            // Frames are missing: the grid goes on behind them.
            (off / self.nominal).round() * self.nominal
        } else {
            -self.nominal / 2.0
        }
    }

    fn learn(&mut self, at: i64) {
        self.recent.push_back(at);
        if self.recent.len() <= WINDOW {
            return;
        }
        self.recent.pop_front();
        if let Some(found) = measured(self.recent.make_contiguous())
            && (found / self.nominal - 1.0).abs() > 0.03
        {
            self.nominal = found;
        }
    }
}

/// Time from frame to frame, holes left out; the common rate's where it is near one.
fn measured(times: &[i64]) -> Option<f64> {
    let mut steps: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).filter(|step| *step > 0).collect();
    steps.sort_unstable();
    let median = *steps.get(steps.len() / 2)?;
    let usual: Vec<i64> = steps.into_iter().filter(|step| *step * 2 <= median * 3).collect();
    let mean = usual.iter().sum::<i64>() as f64 / usual.len() as f64;
    let rate = f64::from(TIMESCALE) / mean;
    let common = COMMON_RATES.into_iter().min_by(|a, b| (a - rate).abs().total_cmp(&(b - rate).abs()))?;
    Some(if (common / rate - 1.0).abs() < 0.01 { f64::from(TIMESCALE) / common } else { mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_is_no_jump_and_a_jump_is_one() {
        let mut clock = TagClock::default();
        assert_eq!(clock.place(u32::MAX - 10, 9_000), Placed::At(9_000));
        assert_eq!(clock.place(23, 0), Placed::At(9_000 + 34 * 90));
        assert_eq!(clock.place(100_000, 50_000), Placed::Jumped(50_000));
        assert_eq!(clock.place(40, 60_000), Placed::Stale, "the other track's last tags");
        assert_eq!(clock.place(100_033, 60_000), Placed::At(50_000 + 33 * 90));
        assert_eq!(clock.place(0, 70_000), Placed::Stale);
        assert_eq!(clock.place(98_033, 80_000), Placed::Jumped(80_000), "a little back is a jump, too");
        assert_eq!(clock.place(100_050, 90_000), Placed::Stale);
        assert_eq!(clock.place(98_013, 90_000), Placed::At(80_000 - 20 * 90), "a track that lags is none");
    }

    #[test]
    fn whole_milliseconds_become_an_even_grid() {
        for rate in [24.0, 25.0, 30.0, 60.0] {
            let mut pace = Pace::of_rate((rate * 1000.0) as u32);
            let step = (90_000.0 / rate) as u64;
            for n in 0..1000u64 {
                let ms = (n as f64 * 1000.0 / rate).round() as i64;
                assert_eq!(pace.next(ms * 90), (n * step, step as u32));
            }
        }
    }

    #[test]
    fn a_rate_that_is_not_told_is_found() {
        let times: Vec<i64> = (0..8).map(|n| (n as f64 * 1000.0 / 24.0).round() as i64 * 90).collect();
        assert_eq!(Pace::of_times(&times).rate_milli(), 24_000);
    }

    #[test]
    fn a_rate_that_was_told_wrong_is_corrected() {
        let mut pace = Pace::of_rate(30_000);
        (0..100).for_each(|n| {
            pace.next(n * 6_000);
        });
        assert_eq!(pace.rate_milli(), 15_000);
    }

    #[test]
    fn a_missing_frame_leaves_the_grid_whole() {
        let mut pace = Pace::of_rate(30_000);
        let put: Vec<u64> = [0, 33, 67, 133, 167].map(|ms| pace.next(ms * 90).0).to_vec();
        assert_eq!(put, [0, 3_000, 6_000, 12_000, 15_000]);
    }

    proptest! {
        #[test]
        fn no_frame_strays_far_and_none_goes_back(rate in 5.0f64..60.0, jitter in proptest::collection::vec(-0.3f64..0.3, 50..300)) {
            let step = 90_000.0 / rate;
            let times: Vec<i64> = jitter.iter().enumerate().map(|(n, j)| ((n as f64 + 1.0 + j) * step) as i64).collect();
            let mut pace = Pace::of_times(&times[..8]);
            let mut last = 0;
            for (n, at) in times.iter().enumerate() {
                let (put, expected) = pace.next(*at);
                prop_assert!(n == 0 || put > last);
                prop_assert!((put as f64 - *at as f64).abs() < step * 2.0, "{} put at {put}", at);
                prop_assert!(expected > 0);
                last = put;
            }
        }
    }
}

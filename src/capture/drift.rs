//! How far the time stamps of a sound card stray from our clock. GStreamer counts its samples, and corrects that count only
//! once it is off by tens of milliseconds; lips are seen to lag sooner.

use std::collections::VecDeque;

/// Blocks do not come earlier than the sound they hold, but often later: in a span this long one comes in time.
const SPAN: i64 = 1_000_000_000;
/// Spans over which the shortest delay is looked for.
const SPANS: usize = 2;

/// Compares when blocks come with when they say they end.
#[derive(Debug, Default)]
pub struct Drift {
    /// Shortest delays of the last spans, the newest at the end, nanoseconds.
    shortest: VecDeque<i64>,
    /// Where the newest span began.
    since: i64,
    /// The shortest delay of the beginning, which is the sound card's own.
    own: Option<i64>,
}

impl Drift {
    /// What to add to the time stamp of a block that came at `now` and says that it ends at `end`. Nanoseconds.
    pub fn of(&mut self, now: i64, end: i64) -> i64 {
        let delay = now - end;
        match self.shortest.back_mut() {
            Some(newest) if now - self.since < SPAN => *newest = delay.min(*newest),
            _ => {
                if self.shortest.len() == SPANS {
                    self.shortest.pop_front();
                }
                self.shortest.push_back(delay);
                self.since = now;
            }
        }
        let shortest = self.shortest.iter().copied().min().unwrap_or(delay);
        if self.shortest.len() < SPANS {
            self.own = Some(shortest);
        }
        shortest - self.own.unwrap_or(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_followed_and_late_blocks_are_not_believed() {
        let mut drift = Drift::default();
        let mut worst = 0;
        for block in 0..60_000i64 {
            // Ten milliseconds by its own clock, which is 100 ppm slow; 12 ms of delay, and up to 30 ms more.
            let (end, true_end) = (block * 10_000_000, block * 10_001_000);
            let late = (block * 7919 % 31) * 1_000_000;
            let found = drift.of(true_end + 12_000_000 + late, end);
            if block > 300 {
                worst = worst.max((found - (true_end - end)).abs());
            }
        }
        assert!(worst < 1_500_000, "{worst} ns");
    }
}

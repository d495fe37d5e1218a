//! When a block of sound was really made. GStreamer stamps it by counting a sound card's samples from when it was first asked
//! for some, and corrects that count only once it is off by a whole buffer; lips are seen to lag sooner. What tells the truth
//! is when blocks come: never before their last sample was made, often late, but a punctual one comes soon.

use std::collections::VecDeque;

/// In a span this long one block comes in time. Nanoseconds.
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
        self.shortest.iter().copied().min().unwrap_or(delay)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::capture::meter::RATE;
    use crate::capture::ring::Ring;

    /// Frames of a block: ten milliseconds by the card's own clock.
    const BLOCK: usize = 480;

    /// A sound card and the machine that listens to it.
    #[derive(Debug, Clone, Copy)]
    struct Listening {
        /// By how many in a million the card's clock is fast.
        off_ppm: i32,
        /// Nothing is taken from the card now and then, for up to so long: at the start, then about so often. Milliseconds.
        stall: u32,
        every: u32,
        seed: u64,
    }

    impl Listening {
        /// How far from its true time sound is put at most in so many blocks, the first three seconds left out. Milliseconds.
        fn worst(self, blocks: u32) -> f64 {
            let mut random = self.seed | 1;
            let mut share = || {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 11) as f64 / (1u64 << 53) as f64
            };
            let lasts = BLOCK as f64 / (f64::from(RATE) * (1.0 + f64::from(self.off_ppm) / 1e6));
            let (stall, every) = (f64::from(self.stall) / 1000.0, f64::from(self.every) / 1000.0);
            // What the card counts from has nothing to do with our clock.
            let (begin, count_from) = (5.0, 2.3);
            let mut held_until = begin + stall;
            let mut came = 0.0f64;
            let (mut ring, mut drift) = (Ring::default(), Drift::default());
            let (mut worst, mut heard) = (0.0f64, Vec::new());
            for block in 0..blocks {
                let made = begin + f64::from(block + 1) * lasts;
                if made > held_until + every * 2.0 * share() {
                    held_until = made + stall * share();
                }
                // Two milliseconds later at best, seldom five.
                came = (made + 0.002 + 0.003 * share() * share()).max(came).max(held_until);
                let ns = |seconds: f64| (seconds * 1e9) as i64;
                let stamp = count_from + f64::from(block) * 0.01;
                let taken = ns(stamp) + drift.of(ns(came), ns(stamp + 0.01));
                let position = i128::from(taken) * i128::from(RATE) / 1_000_000_000;
                ring.write(position as i64, &[0.0; BLOCK * 2]);
                let end = ring.end().unwrap_or_default();
                if block > 300 {
                    worst = worst.max((end as f64 / f64::from(RATE) - made).abs() * 1000.0);
                }
                heard.clear();
                ring.read(end - BLOCK as i64, BLOCK, &mut heard);
            }
            worst
        }
    }

    #[test]
    fn sound_is_in_its_place_for_an_hour_though_the_card_is_off_and_the_machine_busy() {
        for (off_ppm, stall, every) in [(3000, 0, 1000), (-50, 200, 5000), (-3000, 400, 700), (3000, 400, 700)] {
            let worst = Listening { off_ppm, stall, every, seed: 7 }.worst(360_000);
            println!("{off_ppm} ppm, up to {stall} ms late each {every} ms: {worst:.1} ms off at most");
            assert!(worst < 20.0, "{off_ppm} ppm, up to {stall} ms late each {every} ms: {worst:.1} ms off");
        }
    }

    proptest! {
        #[test]
        fn sound_is_in_its_place(
            off_ppm in -3000..3000i32, stall in 0..450u32, every in 500..10_000u32, seed: u64,
        ) {
            let worst = Listening { off_ppm, stall, every, seed }.worst(3_000);
            prop_assert!(worst < 20.0, "{worst} ms");
        }
    }
}

//! What a box can carry at this moment: which rungs are encoded, decided from how late the encoders are. Pure: it is told what is
//! seen each [`LOOK_MS`], and says what changes.
//!
//! Steps down are taken one at a time: the rungs from the most expensive on, then half of the last one's frames. They are taken back one
//! at a time in the other order, into the ladder that was left. What could not be carried is not tried again before a minute is over,
//! and each time it fails in its first minute the wait doubles. The last rung always stays.

/// Milliseconds between two looks.
pub const LOOK_MS: u64 = 250;

/// Frames that wait for an encoder before it counts as late: a sixth of a second at 30 a second.
const LATE: u32 = 5;
/// Looks in a row that must be late. What a moment's hiccup left behind is gone by then.
const LATE_LOOKS: u32 = 3;
/// What was left out takes its load away only after its last segment and the next keyframe: until then nothing more is left out.
const SETTLE_MS: u64 = 4000;
/// Until a rung that was left out comes back, at least and at most.
const WAIT_MS: u64 = 60_000;
const LONGEST_WAIT_MS: u64 = 16 * WAIT_MS;
/// A rung that fails within this time after its return has failed again.
const PROBATION_MS: u64 = 60_000;
/// Degrees Celsius at which a rung is left out, and from which on one may come back. A Raspberry Pi slows down at 80.
const HOT: f32 = 79.0;
const COOL: f32 = 70.0;
/// Between two rungs that are left out because it is hot: heat goes away slowly.
const COOLING_MS: u64 = 30_000;

/// Why a rung is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The encoders do not keep up.
    Busy,
    /// The processor is too hot.
    Hot,
}

/// What is seen at a look.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// Frames that wait for each rung's encoder, best rung first.
    pub waiting: Vec<u32>,
    /// Frames have been thrown away since the last look, of any rung.
    pub dropped: bool,
    /// Degrees Celsius, where the box tells.
    pub temperature: Option<f32>,
}

/// What is done without.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Without {
    /// So many rungs, from the best on.
    pub rungs: usize,
    /// Half of the frames of the last one, which alone is left.
    pub half_rate: bool,
}

/// Decides for a ladder of some rungs.
#[derive(Debug)]
pub struct Shedding {
    rungs: usize,
    /// Steps that are taken: one for each rung but the last, and one for half of its frames.
    steps: usize,
    reason: Option<Reason>,
    late_looks: u32,
    now_ms: u64,
    /// Of the last change.
    changed_ms: Option<u64>,
    /// The last change brought a rung back.
    brought_back: bool,
    wait_ms: u64,
}

impl Shedding {
    pub fn new(rungs: usize) -> Shedding {
        Shedding {
            rungs: rungs.max(1),
            steps: 0,
            reason: None,
            late_looks: 0,
            now_ms: 0,
            changed_ms: None,
            brought_back: false,
            wait_ms: WAIT_MS,
        }
    }

    /// What is done without, and why.
    pub fn without(&self) -> (Without, Option<Reason>) {
        let rungs = self.steps.min(self.rungs - 1);
        (Without { rungs, half_rate: self.steps > rungs }, self.reason)
    }

    /// Takes a look; whether anything changes.
    pub fn look(&mut self, look: &Look) -> bool {
        self.now_ms += LOOK_MS;
        let running = look.waiting.iter().skip(self.without().0.rungs);
        let late = look.dropped || running.clone().any(|waiting| *waiting >= LATE);
        self.late_looks = if late { self.late_looks + 1 } else { 0 };
        let since = self.changed_ms.map_or(u64::MAX, |changed| self.now_ms - changed);
        let hot = look.temperature.is_some_and(|degrees| degrees >= HOT);
        let may_shed = self.steps < self.rungs;
        if may_shed && self.late_looks >= LATE_LOOKS && since >= SETTLE_MS {
            return self.shed(Reason::Busy, since);
        }
        if may_shed && hot && since >= COOLING_MS {
            return self.shed(Reason::Hot, since);
        }
        let calm = running.max().is_none_or(|waiting| *waiting <= 1);
        let cool = look.temperature.is_none_or(|degrees| degrees <= COOL);
        if self.steps > 0 && calm && cool && self.late_looks == 0 && since >= self.wait_ms {
            self.bring_back();
            return true;
        }
        if self.steps == 0 && since >= PROBATION_MS {
            self.wait_ms = WAIT_MS;
        }
        false
    }

    fn shed(&mut self, reason: Reason, since: u64) -> bool {
        // A change for the worse right after a rung has come back: it was too early.
        if self.brought_back && since < PROBATION_MS {
            self.wait_ms = (self.wait_ms * 2).min(LONGEST_WAIT_MS);
        }
        self.steps += 1;
        self.reason = Some(reason);
        self.late_looks = 0;
        self.changed_ms = Some(self.now_ms);
        self.brought_back = false;
        true
    }

    fn bring_back(&mut self) {
        self.steps -= 1;
        if self.steps == 0 {
            self.reason = None;
        }
        self.changed_ms = Some(self.now_ms);
        self.brought_back = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calm(rungs: usize) -> Look {
        Look { waiting: vec![0; rungs], ..Look::default() }
    }

    fn late(rungs: usize) -> Look {
        Look { waiting: vec![LATE; rungs], ..Look::default() }
    }

    fn without(rungs: usize, half_rate: bool) -> Without {
        Without { rungs, half_rate }
    }

    /// Looks until something changes; the milliseconds that took.
    fn until_change(shedding: &mut Shedding, look: &Look, at_most_ms: u64) -> u64 {
        let begin = shedding.now_ms;
        while !shedding.look(look) {
            assert!(shedding.now_ms - begin <= at_most_ms, "nothing changes");
        }
        shedding.now_ms - begin
    }

    #[test]
    fn rungs_go_one_by_one_and_come_back_one_by_one() {
        let mut shedding = Shedding::new(3);
        (0..400).for_each(|_| assert!(!shedding.look(&calm(3))));
        assert!(until_change(&mut shedding, &late(3), 1000) <= 1000);
        assert_eq!(shedding.without(), (without(1, false), Some(Reason::Busy)));
        assert!(until_change(&mut shedding, &late(3), 5000) >= SETTLE_MS);
        assert_eq!(shedding.without(), (without(2, false), Some(Reason::Busy)));
        assert!(until_change(&mut shedding, &late(3), 5000) >= SETTLE_MS);
        assert_eq!(shedding.without(), (without(2, true), Some(Reason::Busy)));
        (0..400).for_each(|_| assert!(!shedding.look(&late(3)), "the last one stays"));
        assert!(until_change(&mut shedding, &calm(3), 61_000) >= LOOK_MS);
        assert_eq!(shedding.without().0, without(2, false), "first all frames of the last one");
        assert!(until_change(&mut shedding, &calm(3), 61_000) >= WAIT_MS);
        assert_eq!(shedding.without().0, without(1, false));
        assert!(until_change(&mut shedding, &calm(3), 61_000) >= WAIT_MS);
        assert_eq!(shedding.without(), (without(0, false), None));
    }

    #[test]
    fn a_single_rung_has_its_frames_halved_at_once() {
        let mut shedding = Shedding::new(1);
        assert!(until_change(&mut shedding, &late(1), 1000) <= 1000);
        assert_eq!(shedding.without(), (without(0, true), Some(Reason::Busy)));
        assert!(until_change(&mut shedding, &calm(1), 61_000) >= WAIT_MS);
        assert_eq!(shedding.without(), (without(0, false), None));
    }

    #[test]
    fn a_ladder_that_fails_again_is_tried_less_and_less_often() {
        let mut shedding = Shedding::new(2);
        let mut waits = Vec::new();
        for _ in 0..6 {
            until_change(&mut shedding, &late(2), 5000);
            waits.push(until_change(&mut shedding, &calm(2), 2 * LONGEST_WAIT_MS));
        }
        assert!(waits.windows(2).all(|pair| pair[1] >= pair[0]), "{waits:?}");
        assert!(waits[0] >= WAIT_MS && waits[5] >= LONGEST_WAIT_MS, "{waits:?}");
        // Carried for a while, it has earned another try at once.
        (0..PROBATION_MS / LOOK_MS + 1).for_each(|_| assert!(!shedding.look(&calm(2))));
        until_change(&mut shedding, &late(2), 5000);
        assert!(until_change(&mut shedding, &calm(2), 2 * WAIT_MS) <= WAIT_MS + LOOK_MS);
    }

    #[test]
    fn heat_takes_a_rung_and_gives_it_back_when_it_has_gone() {
        let mut shedding = Shedding::new(3);
        let at = |temperature| Look { temperature: Some(temperature), ..calm(3) };
        until_change(&mut shedding, &at(85.0), 1000);
        assert_eq!(shedding.without(), (without(1, false), Some(Reason::Hot)));
        (0..400).for_each(|_| assert!(!shedding.look(&at(75.0)), "neither hot nor cool"));
        until_change(&mut shedding, &at(60.0), 61_000);
        assert_eq!(shedding.without(), (without(0, false), None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Whatever is seen: one step at a time, the last rung stays, its frames are halved after all others have gone, and nothing is
        /// tried twice a minute.
        #[test]
        fn it_never_flutters(looks in prop::collection::vec((0u32..12, prop::bool::weighted(0.1), 40f32..90.0, 1usize..60), 1..200)) {
            let mut shedding = Shedding::new(4);
            let mut left = [None::<u64>; 5];
            for (waiting, dropped, temperature, times) in looks {
                let look = Look { waiting: vec![waiting; 4], dropped, temperature: Some(temperature) };
                for _ in 0..times {
                    let steps = |(without, _): (Without, _)| without.rungs + usize::from(without.half_rate);
                    let before = steps(shedding.without());
                    let changed = shedding.look(&look);
                    let now = shedding.without().0;
                    let after = steps(shedding.without());
                    prop_assert_eq!(changed, before != after);
                    prop_assert!(now.rungs < 4 && before.abs_diff(after) <= 1);
                    prop_assert!(!now.half_rate || now.rungs == 3);
                    if after > before {
                        left[before] = Some(shedding.now_ms);
                    }
                    if after < before {
                        let again = shedding.now_ms - left[after].unwrap();
                        prop_assert!(again >= 60_000, "after {again} ms");
                    }
                }
            }
        }
    }
}

//! Which frames of the clock are shown to the encoders, how long each stands, and which become keyframes: one a second, and those that
//! are asked for. Pure.
//!
//! At half the rate a picture stands for two frames, but never beyond the end of its part or the next keyframe: parts and keyframes
//! stay where they were, whatever their number of frames. Of parts of an odd number of frames one more than half is shown.

/// One picture that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// It becomes a keyframe.
    pub key: bool,
    /// For so many frames: 1 or 2.
    pub frames: u32,
}

/// Decides frame by frame.
#[derive(Debug)]
pub struct Cadence {
    /// Frames a second, and frames of a part.
    rate: u64,
    part: u64,
    key_wanted: bool,
    half_wanted: bool,
    half: bool,
    /// The newest keyframe, the next one at the latest, and the first frame that no picture stands for yet.
    key: u64,
    next_key: u64,
    free: u64,
}

impl Cadence {
    /// For so many frames a second, in parts of so many frames.
    pub fn new(rate: u32, part: u32) -> Cadence {
        let (rate, part) = (u64::from(rate.max(1)), u64::from(part.max(1)));
        Cadence { rate, part, key_wanted: false, half_wanted: false, half: false, key: 0, next_key: 0, free: 0 }
    }

    /// The next picture becomes a keyframe.
    pub fn want_key(&mut self) {
        self.key_wanted = true;
    }

    /// From the next part on, half as many pictures are shown, or all again.
    pub fn want_half(&mut self, half: bool) {
        self.half_wanted = half;
    }

    /// Whether frame `number` needs a picture of its own.
    pub fn wants(&self, number: u64) -> bool {
        number >= self.free
    }

    /// How frame `number`, which comes after all before it, is shown; none where the picture before it stands for it.
    pub fn show(&mut self, number: u64) -> Option<Shown> {
        if !self.wants(number) {
            return None;
        }
        let key = std::mem::take(&mut self.key_wanted) || number >= self.next_key;
        if key {
            (self.key, self.next_key) = (number, number + self.rate);
        }
        let within = (number - self.key) % self.part;
        if within == 0 {
            self.half = self.half_wanted;
        }
        let most = if self.half { 2 } else { 1 };
        let frames = most.min(self.part - within).min(self.next_key - number);
        self.free = number + frames;
        Some(Shown { key, frames: frames as u32 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn half_the_rate_is_half_the_pictures_of_each_part() {
        let mut cadence = Cadence::new(30, 6);
        cadence.want_half(true);
        let shown: Vec<_> = (0..60).filter_map(|number| cadence.show(number).map(|shown| (number, shown))).collect();
        assert_eq!(shown.len(), 30);
        assert!(shown.iter().all(|(number, shown)| shown.frames == 2 && shown.key == (number % 30 == 0)));
        cadence.want_half(false);
        assert_eq!((60..90).filter_map(|number| cadence.show(number)).count(), 30);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Whatever is asked for when: each frame of the clock is stood for by one picture, none of which lies in two parts.
        #[test]
        fn no_frame_is_left_out_and_no_part_moves(
            rate in 5u32..=60, part in 1u32..=30, wishes in prop::collection::vec((0u8..8, 1usize..40), 1..40),
        ) {
            let mut cadence = Cadence::new(rate, part);
            let (mut number, mut free, mut key) = (7, 7, 0);
            for (wish, frames) in wishes {
                match wish {
                    0 => cadence.want_key(),
                    1 | 2 => cadence.want_half(true),
                    3 => cadence.want_half(false),
                    _ => {}
                }
                for _ in 0..frames {
                    if let Some(shown) = cadence.show(number) {
                        prop_assert_eq!(number, free);
                        key = if shown.key { number } else { key };
                        let within = (number - key) % u64::from(part);
                        prop_assert!(within + u64::from(shown.frames) <= u64::from(part));
                        free = number + u64::from(shown.frames);
                        prop_assert!(free <= key + u64::from(rate), "a keyframe each second");
                    } else {
                        prop_assert!(number < free);
                    }
                    number += 1;
                }
            }
        }
    }
}

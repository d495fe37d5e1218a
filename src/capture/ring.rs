//! Where a microphone's samples wait for the frame clock. It reads at its own even pace; what is not there is silence.

use std::collections::VecDeque;

use super::meter::RATE;

/// Frames (pairs of samples) that are kept at most.
const CAPACITY: usize = 2 * RATE as usize;
/// The source follows its own count of samples while its time stamps stay within this of it (30 ms). Beyond it some were lost.
const SLACK: i64 = 30 * RATE as i64 / 1000;

/// Blocks over which the source's time stamps are smoothed: they jitter, and a sound card's clock drifts slowly.
const SMOOTHING: f64 = 50.0;
/// How quickly a drift is made up for: this share of what the source is off, with each block.
const GAIN: f64 = 0.01;
/// By no more than this share is sound stretched or squeezed: nobody hears it. Sound cards are off by less than a tenth of it.
const MOST_STRETCH: f64 = 0.01;

/// Stereo frames by their position in running time (frame 0 at running time 0).
#[derive(Debug, Default)]
pub struct Ring {
    frames: VecDeque<[f32; 2]>,
    /// Position of the first frame held.
    start: i64,
    /// Position after the last frame that the source wrote.
    next: Option<i64>,
    /// How far its time stamps are ahead of that, smoothed.
    off: f64,
}

impl Ring {
    /// Writes interleaved samples that were captured at `position`.
    pub fn write(&mut self, position: i64, interleaved: &[f32]) {
        let position = match self.next {
            Some(next) if (next - position).abs() < SLACK => {
                self.off += ((position - next) as f64 - self.off) / SMOOTHING;
                next
            }
            _ => {
                self.off = 0.0;
                position
            }
        };
        let frames = self.in_step(interleaved);
        let end = self.start + self.frames.len() as i64;
        if self.frames.is_empty() || position - end > i64::from(RATE) || end - position > CAPACITY as i64 {
            self.frames.clear();
            self.start = position;
        } else {
            self.frames.extend(std::iter::repeat_n([0.0; 2], (position - end).max(0) as usize));
        }
        let end = self.start + self.frames.len() as i64;
        let overlap = (end - position).max(0) as usize;
        self.next = Some(position + frames.len() as i64);
        self.frames.extend(frames.into_iter().skip(overlap));
        let surplus = self.frames.len().saturating_sub(CAPACITY);
        self.frames.drain(..surplus);
        self.start += surplus as i64;
    }

    /// A block of samples, a little longer or shorter where the sound card's clock is not ours.
    fn in_step(&self, interleaved: &[f32]) -> Vec<[f32; 2]> {
        let frames: Vec<[f32; 2]> = interleaved.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let most = frames.len() as f64 * MOST_STRETCH;
        let count = frames.len() as i64 + (self.off * GAIN).clamp(-most, most).round() as i64;
        if count == frames.len() as i64 || frames.len() < 2 {
            return frames;
        }
        let step = frames.len() as f64 / count as f64;
        let at = |n: i64| {
            let place = n as f64 * step;
            let (index, part) = (place as usize, place.fract() as f32);
            let (this, next) = (frames[index], frames[(index + 1).min(frames.len() - 1)]);
            [this[0] + (next[0] - this[0]) * part, this[1] + (next[1] - this[1]) * part]
        };
        (0..count).map(at).collect()
    }

    /// Position after the newest frame written.
    pub fn end(&self) -> Option<i64> {
        self.next
    }

    /// Reads `count` frames from `position` on, interleaved, with silence where there are none. Tells whether any was there.
    pub fn read(&mut self, position: i64, count: usize, into: &mut Vec<f32>) -> bool {
        let past = (position - self.start).clamp(0, self.frames.len() as i64) as usize;
        self.frames.drain(..past);
        self.start += past as i64;
        let gap = if self.frames.is_empty() { count } else { ((self.start - position).max(0) as usize).min(count) };
        let there = (count - gap).min(self.frames.len());
        into.extend(std::iter::repeat_n(0.0, gap * 2));
        into.extend(self.frames.drain(..there).flatten());
        into.extend(std::iter::repeat_n(0.0, (count - gap - there) * 2));
        self.start += there as i64;
        there > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: i32, count: i32) -> Vec<f32> {
        (from..from + count).flat_map(|n| [n as f32, -n as f32]).collect()
    }

    #[test]
    fn what_is_missing_is_silence_and_the_rest_stays_in_place() {
        let mut ring = Ring::default();
        ring.write(1000, &ramp(1, 10));
        let mut out = Vec::new();
        assert!(ring.read(995, 8, &mut out));
        assert_eq!(out.iter().step_by(2).copied().collect::<Vec<_>>(), [0., 0., 0., 0., 0., 1., 2., 3.]);
        out.clear();
        assert!(ring.read(1003, 10, &mut out));
        assert_eq!(out.iter().step_by(2).copied().collect::<Vec<_>>(), [4., 5., 6., 7., 8., 9., 10., 0., 0., 0.]);
        out.clear();
        assert!(!ring.read(1013, 2, &mut out));
        assert_eq!(out, [0.; 4]);
    }

    #[test]
    fn jittery_time_stamps_do_not_tear_the_sound() {
        let mut ring = Ring::default();
        for block in 0..20 {
            let jitter = [0, 300, -300][block as usize % 3];
            ring.write(block * 480 + jitter, &ramp(block as i32 * 480, 480));
        }
        let mut out = Vec::new();
        ring.read(1000, 4000, &mut out);
        let left: Vec<_> = out.iter().step_by(2).copied().collect();
        assert!(left.windows(2).all(|w| w[1] - w[0] == 1.0));
    }

    /// A sound card whose clock is off by half a per cent, ten times what is usual, either way.
    #[test]
    fn a_sound_card_that_drifts_is_kept_in_step() {
        for share in [0.995, 1.005] {
            let mut ring = Ring::default();
            let mut off = 0.0f64;
            for block in 0..30_000 {
                // 480 frames of the card's time; its time stamps are right and jitter by some milliseconds.
                let true_position = f64::from(block) * 480.0 * share;
                let jitter = if block % 3 == 0 { 200.0 } else { -100.0 };
                ring.write((true_position + jitter) as i64, &ramp(0, 480));
                let written = ring.end().unwrap() as f64 - true_position - 480.0 * share;
                if block > 500 {
                    off = off.max(written.abs());
                }
            }
            assert!(off < 500.0, "{} ms off", off / 48.0);
        }
    }

    #[test]
    fn a_source_that_stops_and_comes_back_is_heard_at_its_new_time() {
        let mut ring = Ring::default();
        ring.write(0, &ramp(1, 100));
        ring.write(500_000, &ramp(1, 100));
        let mut out = Vec::new();
        assert!(ring.read(500_000, 1, &mut out));
        assert_eq!(out, [1.0, -1.0]);
    }
}

//! The level meter: peak and RMS of interleaved stereo samples over spans of 100 ms.

use crate::media::protocol::Level;

/// Samples a second of all audio inside the program pipeline.
pub const RATE: u32 = 48_000;
const SPAN: usize = RATE as usize / 10;

/// Collects samples until a span is full.
#[derive(Debug, Default)]
pub struct Meter {
    count: usize,
    peak: [f32; 2],
    squares: [f64; 2],
}

impl Meter {
    /// Takes interleaved stereo samples at [`RATE`]; gives a level each time 100 ms are full (the newest, if several).
    pub fn take(&mut self, interleaved: &[f32]) -> Option<Level> {
        let mut newest = None;
        for frame in interleaved.chunks_exact(2) {
            for (channel, sample) in frame.iter().enumerate() {
                self.peak[channel] = self.peak[channel].max(sample.abs());
                self.squares[channel] += f64::from(*sample) * f64::from(*sample);
            }
            self.count += 1;
            if self.count == SPAN {
                newest = Some(self.level());
                *self = Self::default();
            }
        }
        newest
    }

    fn level(&self) -> Level {
        let rms = self.squares.map(|sum| (sum / self.count.max(1) as f64).sqrt() as f32);
        Level { peak_db: self.peak.map(decibels), rms_db: rms.map(decibels) }
    }
}

/// dBFS, clamped to -100 ..= 0: digital silence has no finite level.
fn decibels(amplitude: f32) -> f32 {
    (20.0 * amplitude.max(1e-5).log10()).clamp(-100.0, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_full_scale_are_the_ends_of_the_scale() {
        let silence = Meter::default().take(&vec![0.0; SPAN * 2]).unwrap();
        assert_eq!((silence.peak_db, silence.rms_db), ([-100.0; 2], [-100.0; 2]));
        let loud: Vec<f32> = (0..SPAN * 2).map(|n| if n % 2 == 0 { 2.0 } else { 0.5 }).collect();
        let level = Meter::default().take(&loud).unwrap();
        assert_eq!(level.peak_db[0], 0.0);
        assert!((level.rms_db[1] + 6.02).abs() < 0.01);
    }

    #[test]
    fn a_span_is_a_tenth_of_a_second() {
        let mut meter = Meter::default();
        assert!(meter.take(&vec![0.1; SPAN * 2 - 2]).is_none());
        assert!(meter.take(&[0.1, 0.1]).is_some());
    }
}

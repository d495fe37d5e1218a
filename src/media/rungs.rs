//! Which renditions are made of one picture, of which size and bit rate, and what their folders are called. How they are kept in step
//! is `ladder`'s, what is left out of them while the box is busy `shedding`'s.

use serde::{Deserialize, Serialize};

use crate::base::config::Config;
use crate::base::terms::Content;

/// Heights that are cut from a higher picture, lines.
const LOWER: [u32; 3] = [720, 480, 240];

/// The share of what the encoders can do at most that a broadcast is planned with: the rest is for everything else on the box, and
/// for pictures that are harder than most.
const SHARE: f64 = 0.6;

/// Bit rate of the sound, kbit/s.
const SOUND_KBPS: u64 = 128;

/// Most frames a second of *Slides*: nothing moves that must be smooth, and each frame has the more bits.
const SLIDES_RATE: u32 = 15;
/// Frames of *Talk* that cost an encoder as much as one of *Slides*, at most.
const SLIDES_EFFORT: u32 = 2;

/// One rung that an encoder makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    pub width: u32,
    pub height: u32,
    /// Video bit rate, kbit/s.
    pub kbps: u32,
}

/// The rungs cut from a picture of the best one's size, best first. A rung of hardly fewer lines would cost an encoder and
/// save nobody anything.
fn rungs(best: Rung) -> Vec<Rung> {
    let lower = LOWER.into_iter().filter(|height| height * 5 <= best.height * 4);
    let cut = lower.map(|height| {
        let width = (best.width * height / best.height.max(1)).next_multiple_of(2);
        // Small pictures need more bits a pixel.
        let share = (f64::from(width * height) / f64::from(best.width * best.height)).powf(0.85);
        Rung { width, height, kbps: (f64::from(best.kbps) * share).round() as u32 }
    });
    std::iter::once(best).chain(cut).collect()
}

/// The rungs of what is captured with these settings.
pub fn planned(config: &Config) -> Vec<Rung> {
    let best = Rung { width: config.video_width(), height: config.video_height, kbps: config.video_kbps };
    if config.ladder { rungs(best) } else { vec![best] }
}

/// Frames a second of what is captured at `frame_rate` for this content.
pub fn frame_rate(content: Content, frame_rate: u32) -> u32 {
    match content {
        Content::Talk => frame_rate,
        Content::Slides => frame_rate.min(SLIDES_RATE),
    }
}

/// Those of `rungs`, captured at `frame_rate` for this content, that a machine carries which encodes `speed` frames of *Talk* at
/// 1280x720 a second: the smallest in any case, then from the best down what fits into [`SHARE`]. All of them where the speed is not
/// known.
pub fn carried(rungs: Vec<Rung>, content: Content, frame_rate: u32, speed: Option<f32>) -> Vec<Rung> {
    let (Some(speed), Some(smallest)) = (speed, rungs.last().copied()) else { return rungs };
    let effort = match content {
        Content::Talk => 1,
        Content::Slides => SLIDES_EFFORT,
    };
    let rate = f64::from(self::frame_rate(content, frame_rate) * effort);
    let cost = |rung: &Rung| f64::from(rung.width * rung.height) / f64::from(1280 * 720) * rate;
    let mut left = f64::from(speed) * SHARE - cost(&smallest);
    let mut fits = |rung: &Rung| {
        let enough = cost(rung) <= left;
        left -= if enough { cost(rung) } else { 0.0 };
        enough
    };
    rungs.into_iter().filter(|rung| *rung == smallest || fits(rung)).collect()
}

/// The rungs that are made of a recording whose picture is shown at this size, by what is `planned` for what is captured: those of
/// clearly fewer lines (columns of an upright picture), in its shape. None of them gets more than three quarters of the recording's
/// own bit rate, `kbps`.
pub fn below(planned: &[Rung], (width, height): (u32, u32), kbps: u32) -> Vec<Rung> {
    let lines = width.min(height);
    let lower = planned.iter().filter(|rung| rung.height * 5 <= lines * 4);
    let cut = lower.map(|rung| {
        let side = |side: u32| (side * rung.height / lines.max(1)).next_multiple_of(2).max(16);
        let (width, height) = (side(width), side(height));
        let share = (f64::from(width * height) / f64::from((rung.width * rung.height).max(1))).powf(0.85);
        let most = (f64::from(rung.kbps) * share).round() as u32;
        Rung { width, height, kbps: most.min(kbps / 4 * 3).max(64) }
    });
    cut.collect()
}

/// Bits per second of rungs, sound included.
pub fn bitrate(rungs: &[Rung]) -> u64 {
    rungs.iter().map(|rung| (u64::from(rung.kbps) + SOUND_KBPS) * 1000).sum()
}

/// Bits per second that a broadcast of what is captured is likely to need, sound included.
pub fn planned_bitrate(config: &Config) -> u64 {
    bitrate(&planned(config))
}

/// The folder of a rendition's playlist and media, relative to the multivariant playlist.
pub fn folder(rendition: u8) -> String {
    match rendition {
        0 => String::from("av"),
        lower => format!("av{lower}"),
    }
}

/// The rendition whose [`folder`] this is.
pub fn rendition_in(folder: &str) -> Option<u8> {
    match folder.strip_prefix("av")? {
        "" => Some(0),
        number => number.parse().ok().filter(|rendition| self::folder(*rendition) == folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_cut_from_the_best() {
        let sizes = |width, height| {
            let rungs = rungs(Rung { width, height, kbps: 2500 });
            assert!(rungs.windows(2).all(|pair| pair[1].kbps < pair[0].kbps));
            rungs.into_iter().map(|rung| (rung.width, rung.height)).collect::<Vec<_>>()
        };
        assert_eq!(sizes(1920, 1080), [(1920, 1080), (1280, 720), (854, 480), (426, 240)]);
        assert_eq!(sizes(1280, 720), [(1280, 720), (854, 480), (426, 240)]);
        assert_eq!(sizes(800, 600), [(800, 600), (640, 480), (320, 240)]);
        assert_eq!(sizes(426, 240), [(426, 240)]);
    }

    #[test]
    fn a_recording_gets_the_rungs_below_it_in_its_shape() {
        let planned = rungs(Rung { width: 1280, height: 720, kbps: 2500 });
        let sizes = |size, kbps| {
            below(&planned, size, kbps).into_iter().map(|rung| (rung.width, rung.height, rung.kbps)).collect::<Vec<_>>()
        };
        assert_eq!(sizes((1280, 720), 9000), [(854, 480, 1256), (426, 240, 386)]);
        assert_eq!(sizes((1920, 1080), 9000)[0], (1280, 720, 2500));
        assert_eq!(sizes((720, 1280), 400), [(480, 854, 300), (240, 426, 300)]);
        assert_eq!(sizes((640, 480), 10).iter().map(|rung| rung.2).collect::<Vec<_>>(), [64]);
        assert_eq!(sizes((320, 240), 9000), []);
    }

    #[test]
    fn a_slow_machine_keeps_the_smallest_and_the_best_that_fits() {
        let heights = |speed| {
            let rungs = rungs(Rung { width: 1280, height: 720, kbps: 2500 });
            let talk = carried(rungs.clone(), Content::Talk, 30, speed);
            assert_eq!(
                carried(rungs, Content::Slides, 30, speed),
                talk,
                "half as many frames, each at most twice as dear"
            );
            talk.into_iter().map(|rung| rung.height).collect::<Vec<_>>()
        };
        assert_eq!(heights(None), [720, 480, 240]);
        assert_eq!(heights(Some(300.0)), [720, 480, 240]);
        // A Raspberry Pi that can just encode 720p.
        assert_eq!(heights(Some(60.0)), [720, 240]);
        assert_eq!(heights(Some(40.0)), [480, 240]);
        assert_eq!(heights(Some(2.0)), [240]);
        // One that captures no more than fifteen frames a second has none to spare for text.
        let rungs = rungs(Rung { width: 1280, height: 720, kbps: 2500 });
        let carried = |content| carried(rungs.clone(), content, 15, Some(40.0)).len();
        assert_eq!((carried(Content::Talk), carried(Content::Slides)), (3, 2));
        assert_eq!(frame_rate(Content::Slides, 10), 10);
    }

    #[test]
    fn each_rendition_has_one_folder() {
        for rendition in [0, 1, 9, 255] {
            assert_eq!(rendition_in(&folder(rendition)), Some(rendition));
        }
        for none in ["av0", "av01", "av256", "av-1", "a", "", "sound"] {
            assert_eq!(rendition_in(none), None, "{none}");
        }
    }
}

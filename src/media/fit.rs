//! What is made of a picture from a file that cannot be passed on as it is: its size, rate and bit rate. Pure.

/// Longer and shorter side at most, pixels.
const MOST: (f64, f64) = (1920.0, 1080.0);
/// Frames per second at most, with room for rates that are a little off.
const FASTEST: f64 = 30.5;
/// Bit rate of 1280x720, kbit/s.
const KBPS_720: f64 = 2500.0;

/// How a picture is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Even.
    pub width: u32,
    pub height: u32,
    /// Frames per second, as a fraction.
    pub rate: (u32, u32),
    /// At most, kbit/s.
    pub kbps: u32,
}

impl Shape {
    /// Of a picture of `size`, upright, whose pixels are `pixel_aspect` wide, at `rate`; a rate of 0 is not known. The shape is
    /// kept with square pixels, and nothing is made larger.
    pub fn of(size: (u32, u32), pixel_aspect: (u32, u32), rate: (u32, u32)) -> Shape {
        let (width, height) = (f64::from(size.0.max(1)), f64::from(size.1.max(1)));
        let width = width * f64::from(pixel_aspect.0.max(1)) / f64::from(pixel_aspect.1.max(1));
        let scale = (MOST.0 / width.max(height)).min(MOST.1 / width.min(height)).min(1.0);
        let even = |side: f64| ((side * scale / 2.0).round() as u32 * 2).clamp(16, 1920);
        let (width, height) = (even(width), even(height));
        let share = f64::from(width * height) / f64::from(1280 * 720);
        let kbps = (KBPS_720 * share.powf(0.85)).round().clamp(150.0, 6000.0) as u32;
        Shape { width, height, rate: calm(rate), kbps }
    }

    /// Frames per second, whole, at least one.
    pub fn frames_per_second(self) -> u32 {
        ((self.rate.0 + self.rate.1 / 2) / self.rate.1.max(1)).max(1)
    }
}

/// A rate that is halved until it is slow enough; 30 where none is told.
fn calm((frames, seconds): (u32, u32)) -> (u32, u32) {
    let rate = |seconds: u32| f64::from(frames) / f64::from(seconds.max(1));
    if seconds == 0 || !(1.0..=1000.0).contains(&rate(seconds)) {
        return (30, 1);
    }
    let mut longer = seconds;
    while rate(longer) > FASTEST {
        longer = longer.saturating_mul(2);
    }
    (frames, longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_keeps_its_shape_and_is_made_no_larger() {
        let size = |width, height, aspect| {
            let shape = Shape::of((width, height), aspect, (25, 1));
            (shape.width, shape.height)
        };
        assert_eq!(size(1280, 720, (1, 1)), (1280, 720));
        assert_eq!(size(3840, 2160, (1, 1)), (1920, 1080));
        assert_eq!(size(2160, 3840, (1, 1)), (1080, 1920));
        assert_eq!(size(4000, 3000, (1, 1)), (1440, 1080));
        assert_eq!(size(333, 251, (1, 1)), (334, 252));
        assert_eq!(size(720, 576, (16, 11)), (1048, 576));
        assert_eq!(size(0, 0, (0, 0)), (16, 16));
        assert_eq!(size(10_000, 10, (1, 1)), (1920, 16));
    }

    #[test]
    fn a_rate_is_halved_until_it_is_calm() {
        let rate = |frames, seconds| Shape::of((640, 360), (1, 1), (frames, seconds)).rate;
        assert_eq!(rate(25, 1), (25, 1));
        assert_eq!(rate(30_000, 1001), (30_000, 1001));
        assert_eq!(rate(60_000, 1001), (60_000, 2002));
        assert_eq!(rate(240, 1), (240, 8));
        assert_eq!(rate(0, 1), (30, 1));
        assert_eq!(rate(90_000, 1), (30, 1));
        assert_eq!(rate(1, 0), (30, 1));
        assert_eq!(Shape::of((640, 360), (1, 1), (60_000, 1001)).frames_per_second(), 30);
    }
}

//! From high dynamic range to what every screen shows: pictures of PQ or HLG (ITU-R BT.2100) become those of BT.709. Pure.

use std::sync::LazyLock;

/// Luminance of white as screens show it (ITU-R BT.2408 clause 2.1), cd/m².
const WHITE: f32 = 203.0;
/// Peak of the screen that HLG is shown on, cd/m²; its system gamma is 1.2 (BT.2100 table 5).
const HLG_PEAK: f32 = 1000.0;
/// Up to here light is left as it is; what is brighter is drawn together. White is 1.
const KNEE: f32 = 0.6;
/// BT.2020 to BT.709 primaries, of linear light (ITU-R BT.2087 annex 2).
const TO_709: [[f32; 3]; 3] = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]];
/// Share of each primary of BT.2020 in luminance.
const LUMINANCE: [f32; 3] = [0.2627, 0.6780, 0.0593];

/// How bright a code value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    Pq,
    Hlg,
}

impl Transfer {
    /// By GStreamer's name of a colorimetry: none for what has no high dynamic range.
    pub fn of(colorimetry: &str) -> Option<Transfer> {
        match (colorimetry, colorimetry.split(':').nth(2)) {
            ("bt2100-pq", _) | (_, Some("14")) => Some(Transfer::Pq),
            ("bt2100-hlg", _) | (_, Some("15")) => Some(Transfer::Hlg),
            _ => None,
        }
    }

    /// Light of a code value of 0 to 1: of the screen for PQ (1 is white), of the scene for HLG (1 is the most there is).
    fn light(self, code: f32) -> f32 {
        match self {
            Transfer::Pq => {
                let power = code.powf(1.0 / 78.843_75);
                let light = (power - 0.835_937_5).max(0.0) / (18.851_562 - 18.6875 * power);
                light.powf(1.0 / 0.159_301_76) * 10_000.0 / WHITE
            }
            Transfer::Hlg if code <= 0.5 => code * code / 3.0,
            Transfer::Hlg => (((code - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
        }
    }
}

/// Maps pictures of one transfer.
#[derive(Debug)]
pub struct Tone {
    transfer: Transfer,
    /// Light by the upper 12 bits of a code value.
    light: Vec<f32>,
}

/// Code values of 16 bits by light of 0 to 1.
static CODES: LazyLock<Vec<u16>> = LazyLock::new(|| {
    (0..=u16::MAX).map(|light| ((f32::from(light) / 65_535.0).powf(1.0 / 2.2) * 65_535.0).round() as u16).collect()
});

impl Tone {
    pub fn new(transfer: Transfer) -> Tone {
        Tone { transfer, light: (0..4096u16).map(|code| transfer.light(f32::from(code) / 4095.0)).collect() }
    }

    /// Maps a picture in place: pixels of 16 bits each for alpha, red, green and blue, in this machine's order of bytes.
    pub fn map(&self, picture: &mut [u8]) {
        for pixel in picture.as_chunks_mut::<8>().0 {
            let [_, _, r0, r1, g0, g1, b0, b1] = *pixel;
            let light = |bytes| self.light[usize::from(u16::from_ne_bytes(bytes) >> 4)];
            let mapped = self.shown([light([r0, r1]), light([g0, g1]), light([b0, b1])]);
            for (place, light) in mapped.into_iter().enumerate() {
                let code = CODES[(light * 65_535.0) as usize & 0xffff];
                pixel[place * 2 + 2..place * 2 + 4].copy_from_slice(&code.to_ne_bytes());
            }
        }
    }

    /// What a screen of BT.709 shows of light of BT.2020, 0 to 1.
    fn shown(&self, light: [f32; 3]) -> [f32; 3] {
        let dot = |row: [f32; 3]| row[0] * light[0] + row[1] * light[1] + row[2] * light[2];
        let scale = match self.transfer {
            Transfer::Pq => 1.0,
            Transfer::Hlg => HLG_PEAK / WHITE * dot(LUMINANCE).powf(0.2),
        };
        let screen = TO_709.map(|row| (dot(row) * scale).max(0.0));
        let most = screen[0].max(screen[1]).max(screen[2]);
        if most <= KNEE {
            return screen;
        }
        // All three by the same share, so that the hue stays.
        let drawn = KNEE + (1.0 - KNEE) * (1.0 - ((KNEE - most) / (1.0 - KNEE)).exp());
        screen.map(|light| (light * drawn / most).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(tone: &Tone, code: f32) -> f32 {
        let code = ((code * 65_535.0) as u16).to_ne_bytes();
        let mut pixel = [255, 255, code[0], code[1], code[0], code[1], code[0], code[1]];
        tone.map(&mut pixel);
        let channel = |at: usize| f32::from(u16::from_ne_bytes([pixel[at], pixel[at + 1]])) / 65_535.0;
        assert!((channel(2) - channel(4)).abs() < 0.01 && (channel(4) - channel(6)).abs() < 0.01, "grey stays grey");
        channel(2)
    }

    #[test]
    fn white_is_bright_and_what_is_brighter_still_differs() {
        // Code values of 203 cd/m2, and of 1000 (BT.2408 table 1).
        for (transfer, white, bright) in [(Transfer::Pq, 0.581, 0.752), (Transfer::Hlg, 0.75, 1.0)] {
            let tone = Tone::new(transfer);
            let (white, bright) = (grey(&tone, white), grey(&tone, bright));
            assert!((0.88..0.97).contains(&white), "{transfer:?}: {white}");
            assert!(bright > white && bright <= 1.0, "{transfer:?}: {bright}");
            assert!(grey(&tone, 0.0) < 0.01);
            let steps: Vec<f32> = (0..100u8).map(|code| grey(&tone, f32::from(code) / 99.0)).collect();
            assert!(steps.is_sorted(), "{transfer:?}");
        }
    }

    #[test]
    fn what_has_high_dynamic_range_is_known_by_its_colorimetry() {
        assert_eq!(Transfer::of("bt2100-pq"), Some(Transfer::Pq));
        assert_eq!(Transfer::of("2:6:15:7"), Some(Transfer::Hlg));
        assert_eq!(Transfer::of("2:6:14:7"), Some(Transfer::Pq));
        assert_eq!((Transfer::of("bt709"), Transfer::of("2:3:5:1"), Transfer::of("")), (None, None, None));
    }
}

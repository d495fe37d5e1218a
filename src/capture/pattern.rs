//! The test pattern and the test tone: a picture that costs an encoder about what a camera's does, with the time burnt in
//! twice, for people as digits and for programs as cells; a quiet tone with a tick at each second of the wall clock.
//!
//! Both are made here and not by GStreamer's test sources: those either flatter the encoder (a ball on black) or drown
//! it (snow), and a time that another thread overlays is not the time of the frame.

use super::meter::RATE;

/// Size and layout of a picture in I420, as GStreamer lays it out by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub width: usize,
    pub height: usize,
}

impl Layout {
    pub fn luma_stride(self) -> usize {
        self.width.next_multiple_of(4)
    }

    fn chroma_stride(self) -> usize {
        self.width.div_ceil(2).next_multiple_of(4)
    }

    /// Bytes of the luma plane.
    pub fn luma_size(self) -> usize {
        self.luma_stride() * self.height.next_multiple_of(2)
    }

    /// Bytes of a whole picture.
    pub fn size(self) -> usize {
        self.luma_size() + 2 * self.chroma_stride() * self.height.div_ceil(2)
    }
}

const PAN: usize = 256;
const NOISE: usize = 1 << 16;
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// Columns of cells across the picture: a white and a black reference and 24 bits between them, edges left free.
const COLUMNS: usize = 28;
/// The rows of cells in percent of the height: unix milliseconds (24 bits); frame number (16 bits) and check (8 bits).
const ROWS: [(usize, usize); 2] = [(10, 22), (24, 36)];

/// Paints frames of the test pattern.
pub struct Pattern {
    layout: Layout,
    /// A still scene, larger than the picture by [`PAN`] each way, over which the picture's window moves.
    scene: Vec<u8>,
    scene_width: usize,
    noise: Vec<u8>,
    /// Both chroma planes, still: a slow wash of colour.
    chroma: Vec<u8>,
    /// Local time minus UTC.
    offset_ms: i64,
}

impl Pattern {
    /// `offset_ms` is local time minus UTC, for the digits.
    pub fn new(layout: Layout, offset_ms: i64) -> Self {
        let (scene_width, scene_height) = (layout.luma_stride() + PAN, layout.height + PAN);
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        let scene = (0..scene_width * scene_height).map(|at| scene_luma(at % scene_width, at / scene_width)).collect();
        // Roughly what a small sensor adds indoors: the sum of two dice, up to 4 steps.
        let noise = (0..NOISE + scene_width).map(|_| random.below(3) + random.below(3)).collect();
        Self { layout, scene, scene_width, noise, chroma: wash(layout), offset_ms }
    }

    /// Paints frame `number` into `picture` ([`Layout::size`] bytes), stamped with `unix_ms`.
    pub fn paint(&self, picture: &mut [u8], number: u64, unix_ms: i64) {
        let Some((luma, chroma)) = picture.split_at_mut_checked(self.layout.luma_size()) else { return };
        self.paint_scene(luma, number);
        let length = chroma.len().min(self.chroma.len());
        chroma[..length].copy_from_slice(&self.chroma[..length]);
        self.paint_cells(luma, number, unix_ms);
        self.paint_digits(luma, unix_ms);
    }

    fn paint_scene(&self, luma: &mut [u8], number: u64) {
        let (dx, dy) = (swing(number * 3), swing(number));
        let stride = self.layout.luma_stride();
        for (y, row) in luma.chunks_exact_mut(stride).take(self.layout.height).enumerate() {
            let from = (y + dy) * self.scene_width + dx;
            // A prime step keeps the grain from standing still or crawling.
            let grain = (y * 7919 + number as usize * 104_729) % NOISE;
            let (scene, noise) = (&self.scene[from..from + stride], &self.noise[grain..grain + stride]);
            for ((pixel, still), grain) in row.iter_mut().zip(scene).zip(noise) {
                *pixel = still + grain;
            }
        }
    }

    fn paint_cells(&self, luma: &mut [u8], number: u64, unix_ms: i64) {
        let time = unix_ms as u32 & 0xff_ffff;
        let count = number as u32 & 0xffff;
        let check = crc8(&[(time >> 16) as u8, (time >> 8) as u8, time as u8, (count >> 8) as u8, count as u8]);
        for ((top, bottom), word) in ROWS.into_iter().zip([time, count << 8 | u32::from(check)]) {
            let rows = self.layout.height * top / 100..self.layout.height * bottom / 100;
            for cell in 1..COLUMNS - 1 {
                let white = cell == 1 || (cell < COLUMNS - 2 && word >> (25 - cell) & 1 == 1);
                let edge = |cell: usize| (cell * self.layout.width + COLUMNS / 2) / COLUMNS;
                self.fill(luma, edge(cell)..edge(cell + 1), rows.clone(), if white { WHITE } else { BLACK });
            }
        }
    }

    fn paint_digits(&self, luma: &mut [u8], unix_ms: i64) {
        let text = time_of_day(unix_ms + self.offset_ms);
        let advance = self.layout.width / (text.len() + 2);
        let (wide, tall) = (advance * 7 / 10, self.layout.height / 5);
        let top = self.layout.height * 55 / 100;
        let board = (self.layout.width.saturating_sub(advance * text.len())) / 2;
        self.fill(luma, board..self.layout.width - board, top - tall / 4..top + tall * 5 / 4, BLACK);
        for (index, character) in text.bytes().enumerate() {
            let left = board + index * advance + (advance - wide) / 2;
            for (x, y, w, h) in strokes(character) {
                let thick = (wide / 5).max(2);
                let across =
                    left + x * (wide - thick) / 2..left + x * (wide - thick) / 2 + w * (wide - thick) / 2 + thick;
                let down = top + y * (tall - thick) / 4..top + y * (tall - thick) / 4 + h * (tall - thick) / 4 + thick;
                self.fill(luma, across, down, WHITE);
            }
        }
    }

    fn fill(&self, luma: &mut [u8], columns: std::ops::Range<usize>, rows: std::ops::Range<usize>, value: u8) {
        let stride = self.layout.luma_stride();
        let end = columns.end.min(self.layout.width);
        for y in rows.start..rows.end.min(self.layout.height) {
            if let Some(span) = luma.get_mut(y * stride + columns.start.min(end)..y * stride + end) {
                span.fill(value);
            }
        }
    }
}

/// Soft shapes at several sizes, 40 to 200.
fn scene_luma(x: usize, y: usize) -> u8 {
    let (x, y) = (x as f32, y as f32);
    let broad = (x / 90.0).sin() + (y / 70.0).cos();
    let fine = (x / 11.0 + (y / 37.0).sin() * 3.0).sin() * (y / 13.0).cos();
    let weave = ((x * 0.9).sin() * (y * 0.8).sin()) * 0.25;
    (120.0 + 25.0 * broad + 14.0 * fine + 10.0 * weave).clamp(40.0, 200.0) as u8
}

fn wash(layout: Layout) -> Vec<u8> {
    let stride = layout.chroma_stride();
    let rows = layout.height.div_ceil(2);
    let wave = |at: usize, of: usize| (at as f32 / of.max(1) as f32 * std::f32::consts::TAU).sin();
    let blue = (0..stride * rows).map(|at| 132.0 + 12.0 * wave(at % stride, stride) + 6.0 * wave(at / stride, rows));
    let red = (0..stride * rows).map(|at| 122.0 - 14.0 * wave(at % stride, stride) + 8.0 * wave(at / stride, 2 * rows));
    blue.chain(red).map(|value| value as u8).collect()
}

/// To and fro between 0 and [`PAN`] - 1.
fn swing(step: u64) -> usize {
    let phase = (step % (2 * PAN as u64)) as usize;
    if phase < PAN { phase } else { 2 * PAN - 1 - phase }
}

/// `HH:MM:SS.mmm`.
fn time_of_day(unix_ms: i64) -> String {
    let ms = unix_ms.rem_euclid(86_400_000);
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// Paints a digit into a picture: where, how large, and how bright.
#[cfg(test)]
pub fn digit(
    picture: &mut [u8],
    layout: Layout,
    (left, top): (usize, usize),
    (wide, tall): (usize, usize),
    digit: u8,
    ink: u8,
) {
    let thick = (wide / 4).max(2);
    for (x, y, w, h) in strokes(digit) {
        let (across, down) = (left + x * (wide - thick) / 2, top + y * (tall - thick) / 4);
        for row in down..down + h * (tall - thick) / 4 + thick {
            let from = row * layout.luma_stride() + across;
            picture[from..from + w * (wide - thick) / 2 + thick].fill(ink);
        }
    }
}

/// A character as strokes on a grid of 2 by 4: left, top, width, height.
fn strokes(character: u8) -> Vec<(usize, usize, usize, usize)> {
    const SEGMENTS: [(usize, usize, usize, usize); 7] =
        [(0, 0, 2, 0), (2, 0, 0, 2), (2, 2, 0, 2), (0, 4, 2, 0), (0, 2, 0, 2), (0, 0, 0, 2), (0, 2, 2, 0)];
    const DIGITS: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
    match character {
        b'0'..=b'9' => {
            let lit = DIGITS[usize::from(character - b'0')];
            (0..7).filter(|n| lit >> n & 1 == 1).map(|n| SEGMENTS[n]).collect()
        }
        b':' => vec![(1, 1, 0, 0), (1, 3, 0, 0)],
        _ => vec![(1, 4, 0, 0)],
    }
}

/// CRC-8 with polynomial 0x07, start 0.
fn crc8(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 }))
}

/// xorshift64: the pattern must be the same at each start.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % n) as u8
    }
}

/// Fills `into` with `count` stereo frames of the test tone from `position` (frames of running time) on. `wall_ms` is the
/// wall clock at running time 0, in whose seconds it ticks.
pub fn tone(position: i64, count: usize, wall_ms: i64, into: &mut Vec<f32>) {
    let wall = wall_ms.rem_euclid(1000) * i64::from(RATE) / 1000;
    for at in position..position + count as i64 {
        let within = (at + wall).rem_euclid(i64::from(RATE)) as usize;
        let seconds = (at.rem_euclid(i64::from(RATE))) as f32 / RATE as f32;
        let hum = 0.02 * (seconds * 440.0 * std::f32::consts::TAU).sin();
        let tick =
            if within < RATE as usize / 50 { 0.3 * (within as f32 / 24.0 * std::f32::consts::TAU).sin() } else { 0.0 };
        into.extend([hum + tick; 2]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(layout: Layout, picture: &[u8], row: usize) -> u32 {
        let y = (ROWS[row].0 + ROWS[row].1) * layout.height / 200;
        (2..26).fold(0, |word, cell| {
            let x = (2 * cell + 1) * layout.width / (2 * COLUMNS);
            word << 1 | u32::from(picture[y * layout.luma_stride() + x] > 128)
        })
    }

    #[test]
    fn the_time_can_be_read_back_from_the_picture() {
        for (width, height) in [(1280, 720), (854, 480), (160, 90)] {
            let layout = Layout { width, height };
            let mut picture = vec![0; layout.size()];
            Pattern::new(layout, 0).paint(&mut picture, 70_001, 1_700_000_123_456);
            assert_eq!(bits(layout, &picture, 0), (1_700_000_123_456_i64 & 0xff_ffff) as u32);
            assert_eq!(bits(layout, &picture, 1) >> 8, 70_001 & 0xffff);
        }
    }

    #[test]
    fn the_tone_ticks_on_the_second_of_the_wall_clock() {
        let mut sound = Vec::new();
        tone(0, RATE as usize, 400, &mut sound);
        let first_loud = sound.iter().step_by(2).position(|s| s.abs() > 0.1).unwrap();
        assert!((first_loud as i64 - 28_800).abs() < 48, "at 600 ms, not at frame {first_loud}");
    }
}

//! The program's pipeline by itself, with the real encoder: what is shown to it against what comes out, as ffmpeg decodes it.

use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use super::super::link;
use super::super::pattern::{Layout, Pattern, digit};
use super::*;
use crate::media::protocol::{FromWorker, Part};
use crate::media::rungs::frame_rate;

const LAYOUT: Layout = Layout { width: 1280, height: 720 };
/// What moves beside the text: somebody who speaks, about.
const CORNER: Layout = Layout { width: 320, height: 220 };

/// What came out of an encoder.
struct Encoded {
    parts: Vec<Part>,
    file: tempfile::NamedTempFile,
}

impl Encoded {
    /// Its pictures' luma.
    fn pictures(&self) -> Vec<Vec<u8>> {
        let input = self.file.path().to_str().unwrap();
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-i", input, "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"])
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.chunks_exact(LAYOUT.width * LAYOUT.height).map(<[u8]>::to_vec).collect()
    }

    /// Seconds from each of its pictures to the next.
    fn standing(&self) -> Vec<f64> {
        let output = Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0"])
            .arg(self.file.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let times: Vec<f64> = text.lines().map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

/// Encodes so many frames, no faster than the encoder takes them; `paint` may tell the program what it likes before each.
fn encode(
    content: Content,
    frame_rate: u32,
    kbps: u32,
    frames: u64,
    mut paint: impl FnMut(&Program, u64) -> Vec<u8>,
) -> Encoded {
    gst::init().unwrap();
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let outbox = Outbox::start(ours);
    let told = std::thread::spawn(move || {
        let mut told = Vec::new();
        while let Ok(Some(message)) = link::receive::<FromWorker>(&mut theirs) {
            if message == FromWorker::Ended {
                break;
            }
            told.push(message);
        }
        (told, theirs)
    });
    let Layout { width, height } = LAYOUT;
    let (width, height) = (width as u32, height as u32);
    let rungs = [Rung { width, height, kbps }];
    let plan =
        Plan { encoder: "x264enc", content, width, height, frame_rate, rungs: &rungs, sound: None, part_ms: 200 };
    let counters = Arc::new(Counters::default());
    let program = Program::start(plan, &outbox, &counters).unwrap();
    let mut shown = 0;
    for number in 0..frames {
        while program.backlog().0[0] > 3 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let picture = paint(&program, number);
        shown += u64::from(program.wants(number));
        program.show(gst::Buffer::from_mut_slice(picture), number);
    }
    let begin = crate::base::clock::instant();
    while counters.frames.load(Ordering::Relaxed) < shown {
        assert!(begin.elapsed() < Duration::from_secs(20), "the encoder keeps frames");
        std::thread::sleep(Duration::from_millis(1));
    }
    // Counted just before they are cut into parts.
    std::thread::sleep(Duration::from_millis(100));
    program.stop();
    outbox.send(FromWorker::Ended);
    outbox.flush();
    let (told, open) = told.join().unwrap();
    // A worker whose parent is gone ends its process.
    std::mem::forget(open);
    let file = tempfile::NamedTempFile::new().unwrap();
    let (mut bytes, mut parts) = (Vec::new(), Vec::new());
    for message in told {
        match message {
            FromWorker::Init(init) => bytes.extend(init.bytes),
            FromWorker::Part(part) => {
                bytes.extend(&part.bytes);
                parts.push(part);
            }
            FromWorker::Pulse => {}
            other => panic!("{other:?}"),
        }
    }
    std::fs::write(file.path(), bytes).unwrap();
    assert_eq!(counters.dropped.load(Ordering::Relaxed), 0);
    Encoded { parts, file }
}

/// Sheets of digits as small as print on a screen, 14 lines high, turned over every two seconds, beside something that moves.
struct Slides {
    sheets: Vec<Vec<u8>>,
    corner: Pattern,
}

/// Where each digit stands: left, top. 8 by 14 lines each.
fn digits() -> impl Iterator<Item = (usize, usize)> {
    let rows = (0..30).map(|row| 60 + row * 21);
    rows.flat_map(|top| (0..98).map(move |column| (48 + column * 12, top)))
        .filter(|(left, top)| left + 12 < LAYOUT.width - CORNER.width || top + 20 < LAYOUT.height - CORNER.height)
}

impl Slides {
    fn new() -> Slides {
        let mut seed = 1u32;
        let sheets = (0..4).map(|_| {
            let mut sheet = vec![235; LAYOUT.luma_size()];
            sheet.resize(LAYOUT.size(), 128);
            for (left, top) in digits() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Some places stay empty, as between words.
                if seed >> 29 > 0 {
                    digit(&mut sheet, LAYOUT, (left, top), (8, 14), b'0' + (seed >> 16) as u8 % 10, 20);
                }
            }
            sheet
        });
        Slides { sheets: sheets.collect(), corner: Pattern::new(CORNER, 0) }
    }

    fn paint(&self, number: u64, frame_rate: u32) -> Vec<u8> {
        let rate = u64::from(frame_rate);
        let mut picture = self.sheets[(number / (2 * rate)) as usize % self.sheets.len()].clone();
        let mut corner = vec![0; CORNER.size()];
        self.corner.paint(&mut corner, number * 30 / rate, number as i64 * 1000 / rate as i64);
        for (y, row) in corner[..CORNER.luma_size()].chunks_exact(CORNER.luma_stride()).enumerate() {
            let at = (LAYOUT.height - CORNER.height + y) * LAYOUT.luma_stride() + LAYOUT.width - CORNER.width;
            picture[at..at + CORNER.width].copy_from_slice(&row[..CORNER.width]);
        }
        picture
    }
}

/// The share of digits in which some spot of 2 by 2 pixels is off by more than a quarter of the contrast between ink and paper.
fn blurred(shown: &[u8], seen: &[u8]) -> f64 {
    let spot = |picture: &[u8], x: usize, y: usize| {
        let at = |x: usize, y: usize| i32::from(picture[y * LAYOUT.width + x]);
        at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)
    };
    // Of four pixels.
    let most = 4 * (235 - 20) / 4;
    let is_blurred = |(left, top): (usize, usize)| {
        let mut spots = (top..top + 14).step_by(2).flat_map(|y| (left..left + 8).step_by(2).map(move |x| (x, y)));
        spots.any(|(x, y)| (spot(shown, x, y) - spot(seen, x, y)).abs() > most)
    };
    let all = digits().count();
    digits().filter(|place| is_blurred(*place)).count() as f64 / all as f64
}

#[test]
fn slides_keep_small_text_legible_where_talk_does_not() {
    let slides = Slides::new();
    let of = |content| {
        let rate = frame_rate(content, 30);
        let frames = u64::from(8 * rate);
        let encoded = encode(content, rate, 800, frames, |_, number| slides.paint(number, rate));
        let pictures = encoded.pictures();
        assert_eq!(pictures.len() as u64, frames);
        let blurred: Vec<f64> =
            (0..).zip(&pictures).map(|(number, seen)| blurred(&slides.paint(number, rate), seen)).collect();
        let bits = encoded.parts.iter().map(|part| part.bytes.len()).sum::<usize>() as f64 * 8.0 / 8000.0;
        let mean = blurred.iter().sum::<f64>() / blurred.len() as f64;
        println!("{content:?}: {bits:.0} kbit/s, {:.1} % of digits blurred", mean * 100.0);
        (bits, mean)
    };
    let ((talk_bits, talk), (slides_bits, slides)) = (of(Content::Talk), of(Content::Slides));
    assert!(slides_bits <= talk_bits * 1.1, "at the same bit rate");
    assert!(slides < talk / 2.0, "{slides} of the digits are blurred with Slides, {talk} with Talk");
}

#[test]
fn half_the_rate_leaves_the_parts_as_they_are() {
    // Of six frames of a part three are shown, of three frames two, one of them for two.
    for (rate, long_ones) in [(30, 3), (15, 1)] {
        let pattern = Pattern::new(LAYOUT, 0);
        let encoded = encode(Content::Talk, rate, 2500, u64::from(6 * rate), |program, number| {
            // In the middle of a part: from the next one on.
            if number == u64::from(2 * rate + 1) {
                program.halve_rate(true);
            }
            if number == u64::from(4 * rate + 1) {
                program.halve_rate(false);
            }
            let mut picture = vec![0; LAYOUT.size()];
            pattern.paint(&mut picture, number, 0);
            picture
        });
        let parts = &encoded.parts;
        for (part, number) in parts.iter().zip(0..) {
            assert_eq!(
                (part.start, part.duration, part.discontinuity),
                (number * 18_000, 18_000, number == 0),
                "{rate}"
            );
        }
        assert_eq!(parts.len(), 30);
        assert_eq!(parts.iter().filter(|part| part.independent).count(), 6, "a keyframe each second");
        let standing = encoded.standing();
        let frame = 1.0 / f64::from(rate);
        let of = |length: f64| standing.iter().filter(|stands| (**stands - length).abs() < 1e-4).count();
        assert_eq!(of(frame) + of(2.0 * frame), standing.len(), "{standing:?}");
        assert_eq!(of(2.0 * frame), 10 * long_ones, "in ten parts");
        // The last one is followed by none.
        assert!((standing.iter().sum::<f64>() + frame - 6.0).abs() < 0.01);
    }
}

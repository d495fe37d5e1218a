//! Which of a camera's formats is taken, and whether what it encodes itself can be passed on. Pure, so that the parent can
//! say beforehand what the worker will do.

use super::h264::VideoConfig;
use super::playlist::MAX_SEGMENT;
use super::protocol::DeviceFormat;

/// What is broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub width: u32,
    pub height: u32,
    /// Frames per second.
    pub frame_rate: u32,
}

/// The H.264 format to pass through: fast enough, and no smaller than what would be seen of any other. None where decoding
/// and encoding gives a better picture.
pub fn to_pass_through(formats: &[DeviceFormat], wanted: Wanted) -> Option<&DeviceFormat> {
    let others = formats.iter().filter(|format| format.encoding != "h264");
    let other = others.filter(|format| !wanted.is_too_slow(format)).map(|format| wanted.seen_of(format)).max();
    let own = formats.iter().filter(|format| format.encoding == "h264" && !wanted.is_too_slow(format));
    own.filter(|format| wanted.seen_of(format) >= other.unwrap_or(0)).min_by_key(|format| wanted.misfit(format))
}

/// The format to ask for where the picture is encoded here: fast enough, then large enough, then no larger than needed, then
/// cheap to decode.
pub fn to_encode(formats: &[DeviceFormat], wanted: Wanted) -> Option<&DeviceFormat> {
    formats.iter().min_by_key(|format| (wanted.is_too_slow(format), wanted.misfit(format), rank(&format.encoding)))
}

/// How dear an encoding is to decode.
pub fn rank(encoding: &str) -> u8 {
    match encoding {
        "raw" => 0,
        "mjpeg" => 1,
        _ => 2,
    }
}

impl Wanted {
    /// A camera at two thirds of the rate is better than a stamp at the full one.
    fn is_too_slow(self, format: &DeviceFormat) -> bool {
        self.frame_rate.saturating_sub(format.frame_rate) > self.frame_rate / 3
    }

    /// How badly a format fits: too small, then by how much it differs in size, then in rate.
    fn misfit(self, format: &DeviceFormat) -> (bool, u64, u32) {
        let small = format.width < self.width || format.height < self.height;
        let off = area(format.width, format.height).abs_diff(area(self.width, self.height));
        (small, off, self.frame_rate.saturating_sub(format.frame_rate))
    }

    /// Pixels of a format that reach the viewer.
    fn seen_of(self, format: &DeviceFormat) -> u64 {
        area(format.width, format.height).min(area(self.width, self.height))
    }
}

fn area(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height)
}

/// Watches whether what a camera encodes can be passed on: keyframes at least as often as segments, and no B-frames, whose
/// times no camera tells.
#[derive(Debug, Default)]
pub struct Judge {
    /// When the last keyframe came, or the first bytes, 90 kHz ticks.
    keyframe: Option<u64>,
    /// An access unit has come.
    has_begun: bool,
    /// The last group of pictures was too long. Once may be a keyframe that was lost on the way.
    was_long: bool,
}

const RARE: &str = "its keyframes lie more than 2.4 seconds apart";

impl Judge {
    /// Hears that bytes came at `at`, 90 kHz ticks. No access unit comes of them before the first keyframe and its parameter sets.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub fn hear(&mut self, at: u64) -> Result<(), &'static str> {
        let waited = at.saturating_sub(*self.keyframe.get_or_insert(at));
        if !self.has_begun && waited > 2 * MAX_SEGMENT { Err(RARE) } else { Ok(()) }
    }

    /// Looks at an access unit that was taken at `at`, 90 kHz ticks.
    ///
    /// # Errors
    /// A sentence on why the camera's H.264 cannot be passed on.
    pub fn look(&mut self, config: &VideoConfig, access_unit: &[u8], at: u64) -> Result<(), &'static str> {
        self.has_begun = true;
        if config.has_b_slices(access_unit) {
            return Err("it has B-frames");
        }
        let is_long = at.saturating_sub(*self.keyframe.get_or_insert(at)) > MAX_SEGMENT;
        if is_long && self.was_long {
            return Err(RARE);
        }
        if config.is_idr(access_unit) {
            (self.keyframe, self.was_long) = (Some(at), is_long);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::h264::tests::AVCC;
    use bytes::Bytes;

    const WANTED: Wanted = Wanted { width: 1280, height: 720, frame_rate: 30 };

    fn format(encoding: &str, width: u32, height: u32, frame_rate: u32) -> DeviceFormat {
        DeviceFormat { encoding: String::from(encoding), width, height, frame_rate }
    }

    #[test]
    fn the_format_fits_what_is_broadcast() {
        let webcam = [
            format("raw", 640, 480, 30),
            format("raw", 1280, 720, 10),
            format("mjpeg", 1280, 720, 30),
            format("mjpeg", 1920, 1080, 30),
        ];
        assert_eq!(to_encode(&webcam, WANTED), Some(&webcam[2]));
        assert_eq!(to_encode(&webcam[..2], WANTED), Some(&webcam[0]));
        let slow = [format("raw", 1280, 720, 25), format("raw", 320, 240, 60)];
        assert_eq!(to_encode(&slow, WANTED), Some(&slow[0]));
        assert_eq!(to_encode(&[], WANTED), None);
        assert_eq!(to_pass_through(&webcam, WANTED), None);
    }

    #[test]
    fn h264_is_passed_through_where_the_picture_is_no_smaller_for_it() {
        let large = [format("mjpeg", 1920, 1080, 30), format("h264", 1920, 1080, 30), format("h264", 1280, 720, 30)];
        assert_eq!(to_pass_through(&large, WANTED), Some(&large[2]));
        assert_eq!(to_pass_through(&large[..2], WANTED), Some(&large[1]));
        let small = [format("mjpeg", 1280, 720, 30), format("h264", 640, 480, 30)];
        assert_eq!(to_pass_through(&small, WANTED), None);
        let slow = [format("raw", 640, 480, 30), format("h264", 1280, 720, 10)];
        assert_eq!(to_pass_through(&slow, WANTED), None);
        let alone = [format("h264", 640, 480, 30)];
        assert_eq!(to_pass_through(&alone, WANTED), Some(&alone[0]));
    }

    #[test]
    fn rare_keyframes_and_b_frames_are_seen() {
        let config = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        // ue(v) 0, then slice_type 7 (I), 5 (P) and 6 (B), table 7-6.
        let [key, after, between] = [[0, 0, 0, 2, 0x65, 0x88], [0, 0, 0, 2, 0x41, 0x9a], [0, 0, 0, 2, 0x01, 0x9e]];
        let mut judge = Judge::default();
        assert_eq!(judge.look(&config, &key, 0), Ok(()));
        assert_eq!(judge.look(&config, &after, MAX_SEGMENT), Ok(()));
        assert_eq!(judge.look(&config, &key, MAX_SEGMENT), Ok(()));
        assert_eq!(judge.look(&config, &after, 2 * MAX_SEGMENT + 1), Ok(()), "once");
        assert_eq!(judge.look(&config, &key, 3 * MAX_SEGMENT), Ok(()));
        assert!(judge.look(&config, &between, 3 * MAX_SEGMENT).is_err());
        assert_eq!(judge.look(&config, &after, 4 * MAX_SEGMENT), Ok(()));
        assert!(judge.look(&config, &after, 4 * MAX_SEGMENT + 1).is_err());
    }

    #[test]
    fn the_wait_for_the_first_keyframe_counts() {
        let config = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        let [key, after] = [[0, 0, 0, 2, 0x65, 0x88], [0, 0, 0, 2, 0x41, 0x9a]];
        let mut judge = Judge::default();
        assert_eq!((judge.hear(100), judge.hear(100 + 2 * MAX_SEGMENT)), (Ok(()), Ok(())));
        assert!(judge.hear(101 + 2 * MAX_SEGMENT).is_err());

        let mut judge = Judge::default();
        assert_eq!(judge.hear(0), Ok(()));
        assert_eq!(judge.look(&config, &key, MAX_SEGMENT + 1), Ok(()), "once");
        assert_eq!(judge.hear(4 * MAX_SEGMENT), Ok(()), "it has begun");
        assert!(judge.look(&config, &after, 2 * MAX_SEGMENT + 2).is_err());
    }
}

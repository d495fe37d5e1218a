//! What an H.264 track tells about itself: the AVCDecoderConfigurationRecord (`avcC`, ISO/IEC 14496-15, clause 5.3.3.1) and
//! the sequence parameter set in it. Slices are opaque here but for their NAL unit type.

use bytes::Bytes;
use h264_reader::avcc::AvcDecoderConfigurationRecord;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::nal::{Nal, RefNal};

use super::MediaError;

/// NAL unit type of a slice of an IDR picture.
const IDR: u8 = 5;
const SEQUENCE_PARAMETER_SET: u8 = 7;
const DELIMITER: u8 = 9;
/// That of a slice of another picture.
const SLICE: u8 = 1;

/// How an H.264 track is to be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// The `avcC` record as the encoder gave it, parameter sets included.
    pub avcc: Bytes,
    /// Visible size in pixels.
    pub width: u32,
    pub height: u32,
    /// Width of a pixel against its height, 1:1 where not told.
    pub pixel_aspect: (u16, u16),
    /// Frames per 1000 s by the VUI, if it tells something sensible (1 to 240 per second).
    pub frame_rate_milli: Option<u32>,
    /// The VUI promises that all frames last equally long.
    pub fixed_rate: bool,
    /// The parameter sets, as NAL units with their lengths before them.
    parameter_sets: Bytes,
    profile: [u8; 3],
    length_size: usize,
}

impl VideoConfig {
    /// Reads an `avcC` record.
    ///
    /// # Errors
    /// [`MediaError::Video`] if it is cut short, has no parameter sets, or its sequence parameter set makes no sense.
    pub fn parse(avcc: Bytes) -> Result<Self, MediaError> {
        let record = AvcDecoderConfigurationRecord::try_from(&avcc[..])
            .map_err(|_| MediaError::Video("the decoder configuration is malformed"))?;
        let sps = record
            .sequence_parameter_sets()
            .next()
            .and_then(Result::ok)
            .ok_or(MediaError::Video("there is no sequence parameter set"))?;
        if record.picture_parameter_sets().next().is_none() {
            return Err(MediaError::Video("there is no picture parameter set"));
        }
        let length_size = usize::from(record.length_size_minus_one()) + 1;
        let mut parameter_sets = Vec::new();
        for set in record.sequence_parameter_sets().flatten().chain(record.picture_parameter_sets().flatten()) {
            parameter_sets.extend_from_slice(&(set.len() as u32).to_be_bytes()[4 - length_size..]);
            parameter_sets.extend_from_slice(set);
        }
        let set = SeqParameterSet::from_bits(RefNal::new(sps, &[], true).rbsp_bits())
            .map_err(|_| MediaError::Video("the sequence parameter set is malformed"))?;
        let (width, height) = set.pixel_dimensions().map_err(|_| MediaError::Video("the picture size is malformed"))?;
        if !(16..=8192).contains(&width) || !(16..=8192).contains(&height) {
            return Err(MediaError::Video("the picture size is out of range"));
        }
        let vui = set.vui_parameters.as_ref();
        let profile = [avcc[1], avcc[2], avcc[3]];
        Ok(Self {
            width,
            height,
            pixel_aspect: vui.and_then(|v| v.aspect_ratio_info.as_ref()?.get()).unwrap_or((1, 1)),
            frame_rate_milli: set
                .fps()
                .map(|fps| fps * 1000.0)
                .filter(|r| (1e3..=240e3).contains(r))
                .map(|r| r.round() as u32),
            fixed_rate: vui.and_then(|v| v.timing_info.as_ref()).is_some_and(|t| t.fixed_frame_rate_flag),
            parameter_sets: parameter_sets.into(),
            profile,
            length_size,
            avcc,
        })
    }

    /// RFC 6381 codecs string.
    pub fn codec(&self) -> String {
        let [profile, constraints, level] = self.profile;
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
    }

    /// Whether an access unit (length-prefixed NAL units) is an IDR picture, from which decoding can begin.
    pub fn is_idr(&self, access_unit: &[u8]) -> bool {
        self.nal_units(access_unit).any(|nal| nal.first().is_some_and(|header| header & 0x1f == IDR))
    }

    /// The access unit with the parameter sets in it. They stand in the init too, but a reader that goes from one init to
    /// another, or enters behind the change, may know only the first: ffmpeg's of HLS does.
    pub fn with_parameter_sets(&self, access_unit: &Bytes) -> Bytes {
        let kind = |nal: &[u8]| nal.first().map_or(0, |header| header & 0x1f);
        if self.nal_units(access_unit).any(|nal| kind(nal) == SEQUENCE_PARAMETER_SET) {
            return access_unit.clone();
        }
        // A delimiter stands first where there is one (ITU-T H.264 clause 7.4.1.2.3).
        let delimiter = self.nal_units(access_unit).next().filter(|nal| kind(nal) == DELIMITER);
        let (before, after) = access_unit.split_at(delimiter.map_or(0, |nal| nal.len() + self.length_size));
        [before, &self.parameter_sets, after].concat().into()
    }

    /// Whether an access unit has slices that are predicted from both sides, and so comes in another order than it is shown
    /// (slice_type 1 or 6, ITU-T H.264 table 7-6).
    pub fn has_b_slices(&self, access_unit: &[u8]) -> bool {
        self.nal_units(access_unit).filter(|nal| nal.first().is_some_and(|header| header & 0x1f == SLICE)).any(|nal| {
            let mut position = 8;
            let _first_macroblock = exp_golomb(nal, &mut position);
            exp_golomb(nal, &mut position).is_some_and(|slice_type| slice_type % 5 == 1)
        })
    }

    /// Whether `access_unit` is a whole number of length-prefixed NAL units, at least one.
    pub fn is_well_formed(&self, access_unit: &[u8]) -> bool {
        let covered: usize = self.nal_units(access_unit).map(|nal| nal.len() + self.length_size).sum();
        covered == access_unit.len() && !access_unit.is_empty()
    }

    fn nal_units<'a>(&self, mut rest: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let length_size = self.length_size;
        std::iter::from_fn(move || {
            let (prefix, after) = rest.split_at_checked(length_size)?;
            let length = prefix.iter().fold(0, |n, byte| n << 8 | usize::from(*byte));
            let (nal, next) = after.split_at_checked(length)?;
            rest = next;
            Some(nal)
        })
    }
}

/// An unsigned Exp-Golomb number (ITU-T H.264 clause 9.1) at a bit's `position`, which is moved behind it.
fn exp_golomb(bytes: &[u8], position: &mut usize) -> Option<u32> {
    let mut bit = || {
        let byte = bytes.get(*position / 8)?;
        *position += 1;
        Some(u32::from(byte >> (7 - (*position - 1) % 8) & 1))
    };
    let mut zeros = 0;
    while bit()? == 0 {
        zeros += 1;
        if zeros > 31 {
            return None;
        }
    }
    let mut value = 1;
    for _ in 0..zeros {
        value = value << 1 | bit()?;
    }
    Some(value - 1)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 320x180, 30 frames per second, High profile, level 1.3: what x264 makes.
    pub const AVCC: &[u8] = &[
        0x01, 0x64, 0x00, 0x0d, 0xff, 0xe1, 0x00, 0x1a, 0x67, 0x64, 0x00, 0x0d, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f,
        0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0xc0, 0xf1, 0x42, 0x99, 0x60, 0x01, 0x00,
        0x06, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0, 0xfd, 0xf8, 0xf8, 0x00,
    ];

    #[test]
    fn size_rate_and_codec_are_read() {
        let config = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        assert_eq!((config.width, config.height), (320, 180));
        assert_eq!(config.frame_rate_milli, Some(30_000));
        assert_eq!(config.codec(), "avc1.64000d");
    }

    #[test]
    fn an_idr_is_told_by_its_nal_units() {
        let config = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        assert!(config.is_idr(&[0, 0, 0, 2, 0x06, 0xff, 0, 0, 0, 1, 0x65]));
        assert!(!config.is_idr(&[0, 0, 0, 1, 0x41]));
        assert!(config.is_well_formed(&[0, 0, 0, 1, 0x41]));
        assert!(!config.is_well_formed(&[0, 0, 0, 2, 0x41]));
    }

    #[test]
    fn parameter_sets_stand_before_the_picture_and_behind_a_delimiter() {
        let config = VideoConfig::parse(Bytes::from_static(AVCC)).unwrap();
        let kinds = |unit: &Bytes| config.nal_units(unit).map(|nal| nal[0] & 0x1f).collect::<Vec<_>>();
        let whole = config.with_parameter_sets(&Bytes::from_static(&[0, 0, 0, 1, 0x09, 0, 0, 0, 1, 0x65]));
        assert_eq!(kinds(&whole), [9, 7, 8, 5]);
        assert!(config.is_well_formed(&whole));
        assert_eq!(config.with_parameter_sets(&whole), whole);
        assert_eq!(kinds(&config.with_parameter_sets(&Bytes::from_static(&[0, 0, 0, 1, 0x65]))), [7, 8, 5]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(flips in proptest::collection::vec((0..AVCC.len(), any::<u8>()), 0..6),
                                  unit in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = AVCC.to_vec();
            for (at, value) in flips {
                bytes[at] = value;
            }
            if let Ok(config) = VideoConfig::parse(bytes.into()) {
                config.is_idr(&unit);
                config.is_well_formed(&unit);
                config.has_b_slices(&unit);
            }
        }
    }
}

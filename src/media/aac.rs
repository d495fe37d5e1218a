//! What an AAC track tells about itself: the AudioSpecificConfig of ISO/IEC 14496-3, clause 1.6.2.1. Frames themselves are
//! opaque here.

use bytes::Bytes;

use super::MediaError;

/// Sampling frequencies by index, ISO/IEC 14496-3 table 1.18.
const RATES: [u32; 13] = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/// How an AAC track is to be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioConfig {
    /// The AudioSpecificConfig as the encoder gave it.
    pub asc: Bytes,
    /// 2 = LC, 5 = HE, 29 = HE v2.
    pub object_type: u8,
    /// Samples per second of the core decoder, which is the track's timescale.
    pub rate: u32,
    pub channels: u8,
    /// Samples per frame at `rate`: 1024, or 960.
    pub frame_samples: u32,
}

impl AudioConfig {
    /// Reads an AudioSpecificConfig.
    ///
    /// # Errors
    /// [`MediaError::Audio`] if it ends early, has a reserved rate, or leaves the channels to a program config element
    /// (which no live encoder does, and players on phones refuse).
    pub fn parse(asc: Bytes) -> Result<Self, MediaError> {
        let mut bits = Bits { bytes: &asc, position: 0 };
        let mut object_type = bits.take(5)? as u8;
        if object_type == 31 {
            object_type = 32 + bits.take(6)? as u8;
        }
        let index = bits.take(4)?;
        let rate = if index == 15 { bits.take(24)? } else { rate_of(index)? };
        let channels = match bits.take(4)? {
            n @ 1..=6 => n as u8,
            7 => 8,
            _ => return Err(MediaError::Audio("the number of channels is not given")),
        };
        if !(7_350..=96_000).contains(&rate) {
            return Err(MediaError::Audio("the sample rate is out of range"));
        }
        // Explicit HE signalling puts the core's object type behind the extension's rate; its frame length flag follows
        // that. Only 960 against 1024 matters here, and no HE encoder uses 960.
        let short = matches!(object_type, 1..=4) && bits.take(1).unwrap_or(0) == 1;
        Ok(Self { asc, object_type, rate, channels, frame_samples: if short { 960 } else { 1024 } })
    }

    /// RFC 6381 codecs string.
    pub fn codec(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

fn rate_of(index: u32) -> Result<u32, MediaError> {
    RATES.get(index as usize).copied().ok_or(MediaError::Audio("the sample rate is reserved"))
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<u32, MediaError> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8).ok_or(MediaError::Audio("the configuration ends early"))?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_stereo_configuration_is_read() {
        let config = AudioConfig::parse(Bytes::from_static(&[0x11, 0x90])).unwrap();
        assert_eq!((config.object_type, config.rate, config.channels, config.frame_samples), (2, 48_000, 2, 1024));
        assert_eq!(config.codec(), "mp4a.40.2");
    }

    #[test]
    fn short_or_odd_configurations_are_refused() {
        assert!(AudioConfig::parse(Bytes::from_static(&[])).is_err());
        assert!(AudioConfig::parse(Bytes::from_static(&[0x11])).is_err());
        assert!(AudioConfig::parse(Bytes::from_static(&[0x17, 0x00])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let _ = AudioConfig::parse(bytes.into());
        }
    }
}

//! Bodies of FLV tags as RTMP carries them: the legacy form (Adobe FLV 10.1, annex E.4) and the enhanced one with FourCCs
//! (Enhanced RTMP v2). H.264 and AAC come out; anything else is named in the error. Nothing is copied.

use bytes::Bytes;

use super::MediaError;

/// What a video tag brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoTag {
    /// An `avcC` record; the frames that follow are decoded with it.
    Config(Bytes),
    /// An access unit: length-prefixed NAL units.
    Frame { composition_ms: i32, data: Bytes },
    /// Nothing to be shown: an end of sequence, metadata, a command.
    Nothing,
}

/// What an audio tag brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioTag {
    /// An AudioSpecificConfig.
    Config(Bytes),
    /// One raw AAC frame.
    Frame(Bytes),
    Nothing,
}

/// Frame type of a command to the player instead of a picture.
const COMMAND: u8 = 5;

/// Reads a video tag's body.
///
/// # Errors
/// [`MediaError::Codec`] for another codec than H.264, [`MediaError::Video`] for a body that ends early.
pub fn video(body: &Bytes) -> Result<VideoTag, MediaError> {
    let Some(&first) = body.first() else { return Ok(VideoTag::Nothing) };
    if first & 0x80 != 0 {
        return enhanced_video(first, body);
    }
    if first >> 4 == COMMAND {
        return Ok(VideoTag::Nothing);
    }
    match first & 0x0f {
        7 => {}
        2 => return Err(MediaError::Codec("Sorenson H.263")),
        4 | 5 => return Err(MediaError::Codec("VP6")),
        12 => return Err(MediaError::Codec("H.265")),
        _ => return Err(MediaError::Codec("an unknown video codec")),
    }
    match body.get(1) {
        Some(0) => Ok(VideoTag::Config(rest(body, 5)?)),
        Some(1) => frame(composition(body, 2)?, rest(body, 5)?),
        _ => Ok(VideoTag::Nothing),
    }
}

/// Reads an audio tag's body.
///
/// # Errors
/// [`MediaError::Codec`] for another codec than AAC.
pub fn audio(body: &Bytes) -> Result<AudioTag, MediaError> {
    let Some(&first) = body.first() else { return Ok(AudioTag::Nothing) };
    let (kind, from) = match first >> 4 {
        10 => (body.get(1).copied(), 2),
        9 => {
            let kind = first & 0x0f;
            if kind > 1 {
                return Ok(AudioTag::Nothing);
            }
            match four(body)? {
                b"mp4a" => {}
                b"Opus" => return Err(MediaError::Codec("Opus")),
                b"fLaC" => return Err(MediaError::Codec("FLAC")),
                b"ac-3" | b"ec-3" => return Err(MediaError::Codec("AC-3")),
                b".mp3" => return Err(MediaError::Codec("MP3")),
                _ => return Err(MediaError::Codec("an unknown audio codec")),
            }
            (Some(kind), 5)
        }
        2 | 14 => return Err(MediaError::Codec("MP3")),
        11 => return Err(MediaError::Codec("Speex")),
        7 | 8 => return Err(MediaError::Codec("G.711")),
        _ => return Err(MediaError::Codec("an unknown audio codec")),
    };
    let data = if body.len() > from { body.slice(from..) } else { return Ok(AudioTag::Nothing) };
    match kind {
        Some(0) => Ok(AudioTag::Config(data)),
        Some(1) => Ok(AudioTag::Frame(data)),
        _ => Ok(AudioTag::Nothing),
    }
}

/// Packet types of Enhanced RTMP: sequence start, coded frames, end, coded frames without composition time, metadata, …
fn enhanced_video(first: u8, body: &Bytes) -> Result<VideoTag, MediaError> {
    let packet = first & 0x0f;
    if first >> 4 & 7 == COMMAND || !matches!(packet, 0 | 1 | 3) {
        return Ok(VideoTag::Nothing);
    }
    match four(body)? {
        b"avc1" => {}
        b"hvc1" => return Err(MediaError::Codec("H.265")),
        b"av01" => return Err(MediaError::Codec("AV1")),
        b"vp09" => return Err(MediaError::Codec("VP9")),
        b"vp08" => return Err(MediaError::Codec("VP8")),
        _ => return Err(MediaError::Codec("an unknown video codec")),
    }
    match packet {
        0 => Ok(VideoTag::Config(rest(body, 5)?)),
        1 => frame(composition(body, 5)?, rest(body, 8)?),
        _ => frame(0, rest(body, 5)?),
    }
}

fn frame(composition_ms: i32, data: Bytes) -> Result<VideoTag, MediaError> {
    Ok(if data.is_empty() { VideoTag::Nothing } else { VideoTag::Frame { composition_ms, data } })
}

/// A signed 24-bit number at `at`.
fn composition(body: &Bytes, at: usize) -> Result<i32, MediaError> {
    match body.get(at..at + 3) {
        Some(&[high, middle, low]) => Ok(i32::from_be_bytes([high, middle, low, 0]) >> 8),
        _ => Err(MediaError::Video("a tag ends early")),
    }
}

fn four(body: &Bytes) -> Result<&[u8; 4], MediaError> {
    body.get(1..5).and_then(|code| code.try_into().ok()).ok_or(MediaError::Video("a tag ends early"))
}

fn rest(body: &Bytes, from: usize) -> Result<Bytes, MediaError> {
    if body.len() < from { Err(MediaError::Video("a tag ends early")) } else { Ok(body.slice(from..)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn legacy_and_enhanced_bodies_bring_the_same() {
        let legacy = Bytes::from_static(&[0x27, 1, 0xff, 0xff, 0xfe, 9, 9]);
        let enhanced = Bytes::from_static(b"\xa1avc1\xff\xff\xfe\x09\x09");
        let frame = VideoTag::Frame { composition_ms: -2, data: Bytes::from_static(&[9, 9]) };
        assert_eq!(video(&legacy), Ok(frame.clone()));
        assert_eq!(video(&enhanced), Ok(frame));
        assert_eq!(video(&Bytes::from_static(b"\x90avc1\x01")), Ok(VideoTag::Config(Bytes::from_static(&[1]))));
        assert_eq!(
            audio(&Bytes::from_static(&[0xaf, 0, 0x11, 0x90])),
            Ok(AudioTag::Config(Bytes::from_static(&[0x11, 0x90])))
        );
        assert_eq!(audio(&Bytes::from_static(b"\x91mp4a\x05")), Ok(AudioTag::Frame(Bytes::from_static(&[5]))));
    }

    #[test]
    fn other_codecs_are_named() {
        assert_eq!(video(&Bytes::from_static(b"\x90hvc1\x01")), Err(MediaError::Codec("H.265")));
        assert_eq!(audio(&Bytes::from_static(&[0x2f, 1])), Err(MediaError::Codec("MP3")));
    }

    #[test]
    fn commands_and_empty_tags_bring_nothing() {
        assert_eq!(video(&Bytes::new()), Ok(VideoTag::Nothing));
        assert_eq!(video(&Bytes::from_static(&[0x57, 0])), Ok(VideoTag::Nothing));
        assert_eq!(audio(&Bytes::from_static(&[0xaf, 1])), Ok(AudioTag::Nothing));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..32)) {
            let bytes = Bytes::from(bytes);
            let _ = (video(&bytes), audio(&bytes));
        }
    }
}

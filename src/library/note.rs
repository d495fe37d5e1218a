//! What a reel says of itself, so that its index can be made again from the file alone: one note in front of the init, one
//! before each segment and one behind it. A note is a `uuid` box (ISO/IEC 14496-12, 11.1), which every player steps over,
//! and holds JSON, which a person with nothing but the file can read.

use serde::{Deserialize, Serialize};

use crate::media::protocol::Init;
use crate::media::window::Segment;

/// `usertype` of our boxes.
const UUID: [u8; 16] = *b"\x8e\x1c\x5a\x97siaran-note\x01";
/// Size, type and `usertype`.
pub const HEADER: usize = 24;
/// No note is longer, bytes.
pub const LONGEST: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Stands first; the init follows.
    Reel(About),
    /// Parts of this segment follow.
    Begin(Begin),
    /// The segment before it is whole.
    End(End),
}

/// To which broadcast a reel belongs, and what an init does not tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    pub broadcast: String,
    pub rendition: u8,
    /// As it was when the broadcast began.
    pub title: String,
    /// Wall clock of tick 0, microseconds since 1970.
    pub epoch_us: i64,
    /// Number of the init.
    pub init: u32,
    /// Its length, bytes.
    pub init_length: u32,
    pub codecs: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate_milli: u32,
    pub has_audio: bool,
    /// Ticks.
    #[serde(default)]
    pub part_target: u32,
}

/// What is known of a segment when its first part is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// Media sequence number.
    pub msn: u64,
    /// Ticks since the broadcast's tick 0.
    pub start: u64,
    #[serde(default)]
    pub discontinuity: bool,
    #[serde(default)]
    pub resumed: bool,
    pub independent: bool,
}

/// What is known of a segment when its last part is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Ticks.
    pub duration: u64,
    pub crc32c: u32,
}

impl About {
    /// What the index keeps of the init whose bytes these are.
    pub fn init(&self, bytes: bytes::Bytes) -> Init {
        Init {
            rendition: self.rendition,
            bytes,
            codecs: self.codecs.clone(),
            width: self.width,
            height: self.height,
            frame_rate_milli: self.frame_rate_milli,
            has_audio: self.has_audio,
            part_target: self.part_target,
        }
    }
}

impl Begin {
    pub fn of(segment: &Segment) -> Begin {
        Begin {
            msn: segment.msn,
            start: segment.start,
            discontinuity: segment.discontinuity,
            resumed: segment.resumed,
            independent: segment.independent,
        }
    }
}

impl Note {
    /// The whole box.
    pub fn encode(&self) -> Vec<u8> {
        // A structure of texts and numbers always has a JSON form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEADER + json.len());
        bytes.extend(((HEADER + json.len()) as u32).to_be_bytes());
        bytes.extend(b"uuid");
        bytes.extend(UUID);
        bytes.extend(json);
        bytes
    }

    /// What a `uuid` box says; none if it is not ours or cannot be read. `bytes` are the whole box.
    pub fn decode(bytes: &[u8]) -> Option<Note> {
        let body = bytes.get(HEADER..).filter(|_| bytes[8..HEADER] == UUID)?;
        serde_json::from_slice(body).ok()
    }
}

/// Where in `bytes` something begins that looks like the head of a note.
pub fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.windows(HEADER).enumerate().filter(|(_, head)| &head[4..8] == b"uuid" && head[8..] == UUID).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_box_that_is_read_again() {
        let note = Note::Begin(Begin { msn: 7, start: 90_000, discontinuity: true, resumed: false, independent: true });
        let bytes = note.encode();
        assert_eq!(bytes[..8], [&(bytes.len() as u32).to_be_bytes()[..], b"uuid"].concat());
        assert_eq!(Note::decode(&bytes), Some(note));
        let mut foreign = bytes.clone();
        foreign[9] ^= 1;
        assert_eq!(Note::decode(&foreign), None);
        assert_eq!(Note::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Note::decode(b"short"), None);
    }
}

//! What a reel says of itself, so that its index can be made again from the file alone: one note in front of the init, one
//! before each segment and one behind it. A note is a `uuid` box (ISO/IEC 14496-12, 11.1), which every player steps over,
//! and holds the CRC32C of JSON (4 bytes, big-endian) and the JSON, which a person with nothing but the file can read.

use serde::{Deserialize, Serialize};

use crate::media::protocol::Init;
use crate::media::window::Segment;

/// `usertype` of our boxes.
const UUID: [u8; 16] = *b"\x8e\x1c\x5a\x97siaran-note\x02";
/// The same of JSON alone, as it was written before.
const PLAIN: [u8; 16] = *b"\x8e\x1c\x5a\x97siaran-note\x01";
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
    /// It was made of another rendition of the recording.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub made: bool,
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
        let checksum = crc32c::crc32c(&json).to_be_bytes();
        let length = HEADER + checksum.len() + json.len();
        [&(length as u32).to_be_bytes(), &b"uuid"[..], &UUID, &checksum, &json].concat()
    }

    /// What a `uuid` box says; none if it is not ours, cannot be read, or is not as it was written. What stands first in a reel is
    /// believed all the same: without it nothing of the reel could be. `bytes` are the whole box.
    pub fn decode(bytes: &[u8]) -> Option<Note> {
        let (head, body) = bytes.split_at_checked(HEADER)?;
        if head[8..] == PLAIN {
            return serde_json::from_slice(body).ok();
        }
        let (checksum, json) = body.split_at_checked(4).filter(|_| head[8..] == UUID)?;
        let note = serde_json::from_slice(json).ok()?;
        let sound = crc32c::crc32c(json).to_be_bytes() == checksum;
        (sound || matches!(note, Note::Reel(_))).then_some(note)
    }
}

/// Where in `bytes` something begins that looks like the head of a note.
pub fn places(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let begins = |head: &[u8]| &head[4..8] == b"uuid" && (head[8..] == UUID || head[8..] == PLAIN);
    bytes.windows(HEADER).enumerate().filter(move |(_, head)| begins(head)).map(|(at, _)| at)
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

    #[test]
    fn a_number_that_has_changed_is_not_told() {
        let bytes = Note::End(End { duration: 180_000, crc32c: 7 }).encode();
        let mut changed = bytes.clone();
        let digit = bytes.windows(6).position(|text| text == b"180000").unwrap();
        changed[digit] = b'9';
        assert_eq!(Note::decode(&changed), None);
        let about = Note::Reel(About { title: String::from("Kelas ibu"), ..About::default() }).encode();
        let mut changed = about.clone();
        let letter = about.windows(5).position(|text| text == b"Kelas").unwrap();
        changed[letter] = b'k';
        let Some(Note::Reel(told)) = Note::decode(&changed) else { panic!("its reel would be lost") };
        assert_eq!(told.title, "kelas ibu");
    }

    /// As reels were written before notes had a checksum.
    #[test]
    fn a_note_of_json_alone_is_read_too() {
        let note = Note::End(End { duration: 180_000, crc32c: 7 });
        let json = serde_json::to_vec(&note).unwrap();
        let length = ((HEADER + json.len()) as u32).to_be_bytes();
        let bytes = [&length[..], b"uuid", &PLAIN, &json].concat();
        assert_eq!(Note::decode(&bytes), Some(note));
        assert_eq!(places(&[&b"before"[..], &bytes].concat()).collect::<Vec<_>>(), [6]);
    }
}

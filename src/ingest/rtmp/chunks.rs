//! From the bytes of a client to whole messages (RTMP 1.0, 5.3), within limits.
//!
//! `rtmp-rs` puts the chunks together. Each chunk's header is read here first, because the decoder believes it: it reserves
//! what a message announces, keeps a buffer for every chunk stream, and loses its place when a message begins inside another.

use std::collections::BTreeMap;

use bytes::BytesMut;
use rtmp_rs::protocol::ChunkDecoder;
use rtmp_rs::protocol::chunk::RtmpChunk;
use rtmp_rs::protocol::constants::{MSG_ABORT, MSG_AGGREGATE, MSG_AUDIO, MSG_SET_CHUNK_SIZE, MSG_VIDEO};

/// Bytes of one audio or video message: a keyframe at 30 Mbit/s is about 1 MB.
pub(super) const LARGEST_MEDIA: u32 = 4 << 20;

/// Bytes of any other message: metadata of 2 KB is much.
pub(super) const LARGEST_OTHER: u32 = 64 << 10;

/// Bytes of all messages that have begun and are not whole.
const LARGEST_UNFINISHED: u64 = 6 << 20;

/// Chunk streams of one client; publishers use up to six.
const MOST_CHUNK_STREAMS: usize = 16;

/// What no well-meaning client does. The connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkFault {
    #[error("a message of {0} bytes is announced")]
    TooLarge(u32),
    #[error("too many messages are unfinished")]
    TooMuchUnfinished,
    #[error("too many chunk streams")]
    TooManyStreams,
    #[error("a chunk size of 0 is announced")]
    NoChunkSize,
    #[error("a message begins inside another, or without its header")]
    Misplaced,
    #[error("media before it was asked to publish")]
    EarlyMedia,
    #[error("chunks cannot be decoded")]
    Undecodable,
}

/// Takes messages out of what has been read.
pub(super) struct ChunkReader {
    decoder: ChunkDecoder,
    /// What was read from the client and not yet understood; at most one chunk and what was read with it.
    pub(super) buffer: BytesMut,
    streams: BTreeMap<u32, ChunkStream>,
    media: bool,
}

/// What we know of one chunk stream.
#[derive(Debug, Clone, Copy, Default)]
struct ChunkStream {
    /// Length of its last message.
    length: u32,
    /// A part of that message is still to come.
    unfinished: bool,
}

/// Beginning of a chunk: which stream, and the length of the message that begins with it.
struct Beginning {
    stream: u32,
    length: u32,
}

impl ChunkReader {
    /// `buffer` is what was read after the handshake.
    pub(super) fn new(buffer: BytesMut) -> Self {
        Self { decoder: ChunkDecoder::new(), buffer, streams: BTreeMap::new(), media: false }
    }

    /// From now on audio and video are allowed.
    pub(super) fn allow_media(&mut self) {
        self.media = true;
    }

    /// The next whole message, or none until more has been read. Set Chunk Size and Abort are obeyed here and not returned.
    pub(super) fn next(&mut self) -> Result<Option<RtmpChunk>, ChunkFault> {
        while let Some(beginning) = self.beginning()? {
            let before = self.buffer.len();
            let message = self.decoder.decode(&mut self.buffer).map_err(|_| ChunkFault::Undecodable)?;
            if message.is_none() && self.buffer.len() == before {
                return Ok(None);
            }
            let unfinished = message.is_none();
            self.streams.insert(beginning.stream, ChunkStream { length: beginning.length, unfinished });
            let Some(message) = message else { continue };
            match message.message_type {
                MSG_SET_CHUNK_SIZE => self.set_chunk_size(&message.payload)?,
                MSG_ABORT => self.abort(&message.payload)?,
                _ => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    /// Reads the header of the chunk at the buffer's start as far as it concerns limits; none while it is not all there.
    fn beginning(&self) -> Result<Option<Beginning>, ChunkFault> {
        let Some((format, stream, header)) = basic_header(&self.buffer) else { return Ok(None) };
        let known = self.streams.get(&stream).copied();
        if known.is_none() && self.streams.len() >= MOST_CHUNK_STREAMS {
            return Err(ChunkFault::TooManyStreams);
        }
        if format >= 2 {
            // Formats 2 and 3 go on with what is known; 2 always begins a message.
            let known = known.filter(|known| format == 3 || !known.unfinished).ok_or(ChunkFault::Misplaced)?;
            if !known.unfinished {
                self.allow_unfinished(known.length)?;
            }
            return Ok(Some(Beginning { stream, length: known.length }));
        }
        if known.is_some_and(|known| known.unfinished) {
            return Err(ChunkFault::Misplaced);
        }
        // Three bytes of time stamp, three of length, one of type.
        let Some(&[_, _, _, a, b, c, kind]) = self.buffer.get(header..header + 7) else { return Ok(None) };
        let length = u32::from_be_bytes([0, a, b, c]);
        self.allow_message(kind, length)?;
        Ok(Some(Beginning { stream, length }))
    }

    fn allow_message(&self, kind: u8, length: u32) -> Result<(), ChunkFault> {
        let is_media = matches!(kind, MSG_AUDIO | MSG_VIDEO | MSG_AGGREGATE);
        if is_media && !self.media {
            return Err(ChunkFault::EarlyMedia);
        }
        if length > if is_media { LARGEST_MEDIA } else { LARGEST_OTHER } {
            return Err(ChunkFault::TooLarge(length));
        }
        self.allow_unfinished(length)
    }

    fn allow_unfinished(&self, length: u32) -> Result<(), ChunkFault> {
        let unfinished = self.streams.values().filter(|stream| stream.unfinished);
        let sum: u64 = unfinished.map(|stream| u64::from(stream.length)).sum();
        if sum + u64::from(length) > LARGEST_UNFINISHED { Err(ChunkFault::TooMuchUnfinished) } else { Ok(()) }
    }

    fn set_chunk_size(&mut self, payload: &[u8]) -> Result<(), ChunkFault> {
        let size = first_number(payload).ok_or(ChunkFault::Undecodable)? & 0x7fff_ffff;
        if size == 0 {
            return Err(ChunkFault::NoChunkSize);
        }
        // However large: a chunk ends with its message, and messages are limited.
        self.decoder.set_chunk_size(size);
        Ok(())
    }

    fn abort(&mut self, payload: &[u8]) -> Result<(), ChunkFault> {
        let stream = first_number(payload).ok_or(ChunkFault::Undecodable)?;
        self.decoder.abort(stream);
        if let Some(known) = self.streams.get_mut(&stream) {
            known.unfinished = false;
        }
        Ok(())
    }
}

/// Format, chunk stream and length of the basic header (5.3.1.1).
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let &first = bytes.first()?;
    let (format, short) = (first >> 6, first & 0x3f);
    match short {
        0 => bytes.get(1).map(|&low| (format, 64 + u32::from(low), 2)),
        1 => Some((format, 64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3)),
        _ => Some((format, u32::from(short), 1)),
    }
}

fn first_number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtmp_rs::protocol::ChunkEncoder;

    fn reader() -> ChunkReader {
        let mut reader = ChunkReader::new(BytesMut::new());
        reader.allow_media();
        reader
    }

    fn all(reader: &mut ChunkReader, bytes: &[u8]) -> Result<Vec<RtmpChunk>, ChunkFault> {
        reader.buffer.extend_from_slice(bytes);
        let mut messages = Vec::new();
        while let Some(message) = reader.next()? {
            messages.push(message);
        }
        Ok(messages)
    }

    /// A chunk with a full header.
    fn opening(stream: u8, kind: u8, length: u32, body: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = length.to_be_bytes();
        [&[stream, 0, 0, 0, a, b, c, kind, 1, 0, 0, 0], body].concat()
    }

    #[test]
    fn announcements_are_limited_before_anything_is_kept() {
        assert_eq!(
            all(&mut reader(), &opening(4, 9, 0xff_ffff, &[0; 128])).err(),
            Some(ChunkFault::TooLarge(0xff_ffff))
        );
        assert_eq!(all(&mut reader(), &opening(4, 18, 70_000, &[])).err(), Some(ChunkFault::TooLarge(70_000)));
        let mut few = reader();
        assert!(all(&mut few, &opening(4, 9, LARGEST_MEDIA, &[0; 128])).is_ok());
        let fault = all(&mut few, &opening(5, 9, LARGEST_MEDIA, &[0; 128])).err();
        assert_eq!(fault, Some(ChunkFault::TooMuchUnfinished));
        let many: Vec<u8> = (4..40).flat_map(|stream| opening(stream, 18, 200, &[0; 128])).collect();
        assert_eq!(all(&mut reader(), &many).err(), Some(ChunkFault::TooManyStreams));
    }

    #[test]
    fn media_waits_for_admission() {
        let mut reader = ChunkReader::new(BytesMut::new());
        assert_eq!(all(&mut reader, &opening(4, 8, 1, &[0])).err(), Some(ChunkFault::EarlyMedia));
    }

    #[test]
    fn a_message_begins_with_its_header_and_not_inside_another() {
        assert_eq!(all(&mut reader(), &[0xc4]).err(), Some(ChunkFault::Misplaced));
        assert_eq!(all(&mut reader(), &[0x84, 0, 0, 1]).err(), Some(ChunkFault::Misplaced));
        let twice = [opening(4, 9, 200, &[0; 128]), opening(4, 9, 200, &[0; 128])].concat();
        assert_eq!(all(&mut reader(), &twice).err(), Some(ChunkFault::Misplaced));
    }

    #[test]
    fn an_aborted_message_is_forgotten() {
        let abort = opening(2, MSG_ABORT, 4, &[0, 0, 0, 4]);
        let bytes = [opening(4, 9, 200, &[1; 128]), abort, opening(4, 9, 3, &[7; 3])].concat();
        let messages = all(&mut reader(), &bytes).expect("lawful");
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].payload, Bytes::from_static(&[7; 3]));
    }

    #[test]
    fn chunk_sizes_from_one_byte_to_the_largest_are_obeyed() {
        let size = |size: u32| opening(2, MSG_SET_CHUNK_SIZE, 4, &size.to_be_bytes());
        let bytes = [size(1), opening(4, 8, 2, &[7]), vec![0xc4, 8]].concat();
        assert_eq!(all(&mut reader(), &bytes).expect("lawful").len(), 1);
        assert_eq!(all(&mut reader(), &size(0)).err(), Some(ChunkFault::NoChunkSize));
        let large = opening(4, 9, 300_000, &vec![1; 300_000]);
        assert_eq!(all(&mut reader(), &[size(0x7fff_ffff), large].concat()).expect("lawful").len(), 1);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..40)) {
            let mut reader = reader();
            for piece in pieces {
                if all(&mut reader, &piece).is_err() {
                    break;
                }
                prop_assert!(reader.buffer.len() <= LARGEST_MEDIA as usize + 300);
                prop_assert!(reader.streams.len() <= MOST_CHUNK_STREAMS);
            }
        }

        /// However the bytes fall into reads, the messages come out as they went in.
        #[test]
        fn lawful_messages_pass(
            messages in proptest::collection::vec((0_u8..4, 0_u32..10_000, 1_usize..5_000), 1..12),
            cut in 1_usize..700,
            chunk_size in prop_oneof![Just(1_u32), 100_u32..5_000],
        ) {
            let mut encoder = ChunkEncoder::new();
            encoder.set_chunk_size(chunk_size);
            let mut bytes = BytesMut::new();
            let mut sent = Vec::new();
            let mut timestamp = 0;
            for (nth, (stream, later, length)) in messages.into_iter().enumerate() {
                timestamp += later;
                let message = RtmpChunk {
                    csid: [3, 4, 6, 70][usize::from(stream)],
                    timestamp,
                    message_type: if stream == 0 { 18 } else { 9 },
                    stream_id: 1,
                    payload: Bytes::from(vec![nth as u8; length]),
                };
                encoder.encode(&message, &mut bytes);
                sent.push(message);
            }
            let mut reader = reader();
            reader.decoder.set_chunk_size(chunk_size);
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                got.extend(all(&mut reader, piece).expect("lawful"));
            }
            prop_assert_eq!(got.len(), sent.len());
            for (got, sent) in got.iter().zip(&sent) {
                prop_assert_eq!(&got.payload, &sent.payload);
                prop_assert_eq!((got.csid, got.timestamp), (sent.csid, sent.timestamp));
            }
        }
    }
}

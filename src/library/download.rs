//! `download.mp4`: the head that `media::progressive` makes, then the recording's segments straight from their reels.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::read::{FileRange, Piece};
use super::vod::{LibraryError, Recording};
use crate::media::progressive::{Progressive, ProgressiveError};

/// Longest `moof` that is believed: thousands of samples fit.
const LONGEST_MOOF: u64 = 1 << 20;

/// One recording as an MP4.
#[derive(Debug)]
pub struct Download {
    pieces: Vec<Piece>,
    length: u64,
    /// CRC32C of the head, which tells where every frame is.
    pub head: u32,
}

impl Download {
    /// Reads every `moof` of the recording's best segments, whose bytes are `media`. Blocks on the disk.
    pub fn build(recording: &Recording, media: Vec<FileRange>) -> Result<Download, LibraryError> {
        let best = recording.best();
        // The inits of the renditions in it, one after the other, and where each rendition's begin.
        let mut first_init = BTreeMap::new();
        let mut inits = Vec::new();
        for (number, rendition) in &recording.renditions {
            if !best.iter().any(|(used, _)| used == number) {
                continue;
            }
            first_init.insert(*number, inits.len() as u32);
            inits.extend(rendition.inits.iter().map(|init| &init.bytes[..]));
        }
        let mut progressive = Progressive::new(inits)?;
        let mut offset = 0;
        for ((rendition, row), range) in best.into_iter().zip(&media) {
            if row.segment.discontinuity {
                progressive.break_range();
            }
            let init = first_init.get(&rendition).map_or(0, |first| first + row.segment.init);
            add_segment(&mut progressive, init, range, offset)?;
            offset += range.length;
        }
        let head = Bytes::from(progressive.head()?);
        let (length, crc32c) = (head.len() as u64 + offset, crc32c::crc32c(&head));
        let pieces = std::iter::once(Piece::Memory(head)).chain(media.into_iter().map(Piece::File)).collect();
        Ok(Download { pieces, length, head: crc32c })
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }
}

/// Adds the fragments of one segment; only their `moof` boxes are read.
fn add_segment(progressive: &mut Progressive, init: u32, range: &FileRange, offset: u64) -> Result<(), LibraryError> {
    let mut at = 0;
    let mut moof: Option<(u64, Vec<u8>)> = None;
    while at < range.length {
        let mut header = [0; 8];
        range.file.read_exact_at(&mut header, range.offset + at)?;
        let [a, b, c, d, kind @ ..] = header;
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        if length < 8 || at + length > range.length {
            return Err(LibraryError::Media(format!("a box of {length} bytes at {at} of {}", range.length)));
        }
        match &kind {
            b"moof" if length <= LONGEST_MOOF => {
                let mut bytes = vec![0; length as usize];
                range.file.read_exact_at(&mut bytes, range.offset + at)?;
                moof = Some((at, bytes));
            }
            b"mdat" => {
                if let Some((begin, bytes)) = moof.take() {
                    progressive.fragment(init, &bytes, offset + begin, at + length - begin)?;
                }
            }
            _ => {}
        }
        at += length;
    }
    Ok(())
}

impl From<ProgressiveError> for LibraryError {
    fn from(error: ProgressiveError) -> Self {
        LibraryError::Media(error.to_string())
    }
}

//! One reel: an append-only file of one rendition. In order: a note about itself, the init, then for each segment a note, its
//! parts as they went on air, and a note that it is whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::layout::Layout;
use super::note::{About, Begin, End, Note};
use super::scan;
use crate::base::ids;
use crate::media::window::Segment;
use crate::store::media::{Closed, IndexedSegment, Location};

/// A reel that is being written.
pub struct Reel {
    id: String,
    file: File,
    length: u64,
    /// What is known to be on the disk.
    synced: u64,
    /// The directory entry is on disk too.
    named: bool,
    hash: blake3::Hasher,
    segment: Option<Open>,
}

/// The segment that is being written.
struct Open {
    /// Where its note is, and where its parts began.
    note: u64,
    offset: u64,
    /// Checksum of its bytes so far.
    crc32c: u32,
}

impl Reel {
    /// Makes a new file and writes what stands before the first segment.
    pub fn create(layout: &Layout, about: About, init: &[u8]) -> io::Result<Reel> {
        let id = ids::public_id();
        let file = OpenOptions::new().write(true).create_new(true).open(layout.reel(&id))?;
        let hash = blake3::Hasher::new();
        let mut reel = Reel { id, file, length: 0, synced: 0, named: false, hash, segment: None };
        let head = Note::Reel(About { init_length: init.len() as u32, ..about }).encode();
        if let Err(error) = reel.write(&[&head, init]) {
            // A full disk takes the name but not the bytes: nothing is left behind.
            let _ = std::fs::remove_file(layout.reel(&reel.id));
            return Err(error);
        }
        Ok(reel)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether a segment is being written.
    pub fn is_open(&self) -> bool {
        self.segment.is_some()
    }

    /// The next bytes are this segment's.
    pub fn begin_segment(&mut self, segment: &Segment) -> io::Result<()> {
        self.segment = None;
        let note = self.length;
        self.write(&[&Note::Begin(Begin::of(segment)).encode()])?;
        self.segment = Some(Open { note, offset: self.length, crc32c: 0 });
        Ok(())
    }

    /// Nothing is added to the open segment any more, though its end is missing. What is there of it, if anything.
    pub fn cut_segment(&mut self, layout: &Layout) -> io::Result<Option<IndexedSegment>> {
        let Some(open) = self.segment.take() else { return Ok(None) };
        let scan = scan::scan(&File::open(layout.reel(&self.id))?, &self.id, open.note)?;
        Ok(scan.segments.into_iter().next().map(|found| found.row))
    }

    /// Appends a part to the open segment.
    pub fn append(&mut self, part: &[u8]) -> io::Result<()> {
        self.write(&[part])?;
        if let Some(open) = &mut self.segment {
            open.crc32c = crc32c::crc32c_append(open.crc32c, part);
        }
        Ok(())
    }

    /// The open segment is complete. Where it is, and whether the file could be told so too.
    pub fn end_segment(&mut self, duration: u64) -> Option<(Location, io::Result<()>)> {
        let Open { offset, crc32c, .. } = self.segment.take()?;
        let location = Location { reel_id: self.id.clone(), offset, length: self.length - offset, crc32c };
        let told = self.write(&[&Note::End(End { duration, crc32c }).encode()]);
        Some((location, told))
    }

    /// Everything written so far survives a power cut when this returns, the file's name included.
    pub fn sync(&mut self, layout: &Layout) -> io::Result<()> {
        if self.synced < self.length {
            self.file.sync_data()?;
            self.synced = self.length;
        }
        if !self.named {
            File::open(layout.reels())?.sync_all()?;
            self.named = true;
        }
        Ok(())
    }

    /// Nothing is added any more. What the index keeps of it.
    pub fn close(self) -> Closed {
        Closed { reel_id: self.id, length: self.length, blake3: *self.hash.finalize().as_bytes() }
    }

    /// After a failed sync nobody knows what of the rest is on the disk, and a second sync would not say (fsync(2)): it is
    /// cut off, so that it is not taken for good later. Bytes that are left; with none, the file is gone.
    pub fn abandon(self, layout: &Layout) -> u64 {
        // On a disk that fails this may fail too; then the next start finds the checksum wrong.
        let _ = match self.synced {
            0 => std::fs::remove_file(layout.reel(&self.id)),
            synced => self.file.set_len(synced),
        };
        self.synced
    }

    /// All or nothing: a file whose disk is full ends behind the last whole part.
    fn write(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        for piece in pieces {
            if let Err(error) = self.file.write_all(piece) {
                let _ = self.file.set_len(self.length);
                return Err(error);
            }
        }
        for piece in pieces {
            self.hash.update(piece);
            self.length += piece.len() as u64;
        }
        Ok(())
    }
}

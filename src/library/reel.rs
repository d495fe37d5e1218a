//! One reel: an append-only file of one rendition, its init first, then fragments as they went on air.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

use super::layout::Layout;
use crate::base::ids;
use crate::store::media::Location;

/// A reel that is being written.
pub struct Reel {
    id: String,
    file: File,
    length: u64,
    synced: bool,
    /// The directory entry is on disk too.
    named: bool,
    /// Where the open segment began, and the checksum of its bytes so far.
    segment: Option<(u64, u32)>,
}

impl Reel {
    /// Makes a new file and writes the init.
    pub fn create(layout: &Layout, init: &[u8]) -> io::Result<Reel> {
        let id = ids::public_id();
        let mut file = OpenOptions::new().write(true).create_new(true).open(layout.reel(&id))?;
        if let Err(error) = file.write_all(init) {
            // A full disk takes the name but not the bytes: nothing is left behind.
            let _ = std::fs::remove_file(layout.reel(&id));
            return Err(error);
        }
        Ok(Reel { id, file, length: init.len() as u64, synced: false, named: false, segment: None })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Bytes written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes begin a segment. An open one is forgotten: its bytes stay, but no row will name them.
    pub fn begin_segment(&mut self) {
        self.segment = Some((self.length, 0));
    }

    /// Appends to the open segment.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.synced = false;
        self.length += bytes.len() as u64;
        if let Some((_, checksum)) = &mut self.segment {
            *checksum = crc32c::crc32c_append(*checksum, bytes);
        }
        Ok(())
    }

    /// The open segment is complete.
    pub fn end_segment(&mut self) -> Option<Location> {
        let (offset, crc32c) = self.segment.take()?;
        Some(Location { reel_id: self.id.clone(), offset, length: self.length - offset, crc32c })
    }

    /// Everything written so far survives a power cut when this returns, the file's name included.
    pub fn sync(&mut self, layout: &Layout) -> io::Result<()> {
        if !self.synced {
            self.file.sync_data()?;
            self.synced = true;
        }
        if !self.named {
            File::open(layout.reels())?.sync_all()?;
            self.named = true;
        }
        Ok(())
    }
}

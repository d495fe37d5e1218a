//! Reading byte ranges of files for the network, or sending them: from the page cache at once, from the disk off the runtime's
//! threads.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::sendfile;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Bytes per read: few system calls, yet little memory for a client that stalls. A connection's buffer of more than 128 kB would be
/// allocated anew for each read.
pub const READ: usize = 120 << 10;

/// Bytes that are sent in one go: a segment in one or two, while others are kept waiting for no more than a millisecond.
const SEND: u64 = 1 << 20;
/// Of so many bytes one tells whether they are in the page cache: the kernel reads ahead by more.
const PROBE: u64 = 64 << 10;

/// A range of a file that was opened for reading.
#[derive(Debug, Clone)]
pub struct FileRange {
    pub file: Arc<File>,
    pub offset: u64,
    pub length: u64,
}

/// What an answer is made of, in order.
#[derive(Debug, Clone)]
pub enum Piece {
    Memory(Bytes),
    File(FileRange),
}

impl Piece {
    pub fn length(&self) -> u64 {
        match self {
            Piece::Memory(bytes) => bytes.len() as u64,
            Piece::File(range) => range.length,
        }
    }
}

/// Cuts `pieces` down to `length` bytes from `offset`.
pub fn slice(pieces: &[Piece], mut offset: u64, mut length: u64) -> Vec<Piece> {
    let mut cut = Vec::new();
    for piece in pieces {
        let here = piece.length();
        if offset >= here {
            offset -= here;
            continue;
        }
        let take = (here - offset).min(length);
        if take == 0 {
            break;
        }
        cut.push(match piece {
            Piece::Memory(bytes) => Piece::Memory(bytes.slice(offset as usize..(offset + take) as usize)),
            Piece::File(range) => {
                Piece::File(FileRange { file: range.file.clone(), offset: range.offset + offset, length: take })
            }
        });
        length -= take;
        offset = 0;
    }
    cut
}

impl FileRange {
    /// The next bytes if they are in the page cache; none if the disk must be asked.
    pub fn read_cached(&self) -> io::Result<Option<Bytes>> {
        let mut buffer = BytesMut::zeroed(self.next());
        let slices = &mut [io::IoSliceMut::new(&mut buffer)];
        match preadv2(&*self.file, slices, self.offset, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer.truncate(read);
                Ok(Some(buffer.freeze()))
            }
            // Not every file system can tell without waiting.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// As much from the beginning as can be sent without waiting for the disk; none if it must be asked.
    pub fn cached(&self) -> io::Result<Option<FileRange>> {
        let mut known = 0;
        while known < self.length.min(SEND) {
            let byte = &mut [0];
            match preadv2(&*self.file, &mut [io::IoSliceMut::new(byte)], self.offset + known, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => known += PROBE,
                // Not every file system can tell without waiting.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let length = known.min(self.length).min(SEND);
        Ok((length > 0).then(|| FileRange { length, ..self.clone() }))
    }

    /// Sends the next bytes; how many the socket took.
    pub fn send(&self, socket: impl AsFd) -> io::Result<usize> {
        let mut offset = self.offset;
        match sendfile(socket, &*self.file, Some(&mut offset), self.length as usize)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            sent => Ok(sent),
        }
    }

    /// The next bytes, waiting for the disk. For a thread that may block.
    pub fn read_blocking(&self) -> io::Result<Bytes> {
        let mut buffer = vec![0; self.next()];
        match self.file.read_at(&mut buffer, self.offset)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer.truncate(read);
                Ok(Bytes::from(buffer))
            }
        }
    }

    /// All bytes at once, waiting for the disk. For a thread that may block.
    pub fn whole_blocking(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; self.length as usize];
        self.file.read_exact_at(&mut bytes, self.offset)?;
        Ok(Bytes::from(bytes))
    }

    /// All bytes at once, read off the runtime's threads: for what is looked into, not for what is passed on.
    pub async fn whole(self) -> io::Result<Bytes> {
        let reading = tokio::task::spawn_blocking(move || self.whole_blocking());
        reading.await.map_err(io::Error::other).flatten()
    }

    /// Goes on behind what was read.
    pub fn advance(&mut self, read: usize) {
        self.offset += read as u64;
        self.length -= read as u64;
    }

    fn next(&self) -> usize {
        self.length.min(READ as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cross_pieces() {
        let pieces = [Piece::Memory(Bytes::from_static(b"abc")), Piece::Memory(Bytes::from_static(b"defg"))];
        let text = |offset, length| {
            let cut = slice(&pieces, offset, length);
            cut.iter()
                .flat_map(|piece| match piece {
                    Piece::Memory(bytes) => bytes.to_vec(),
                    Piece::File(_) => Vec::new(),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(text(0, 7), b"abcdefg");
        assert_eq!(text(2, 3), b"cde");
        assert_eq!(text(3, 1), b"d");
        assert_eq!(text(7, 1), b"");
    }
}

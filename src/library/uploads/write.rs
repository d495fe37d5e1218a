//! Adding to an upload, on a thread of its own: whatever becomes of the request, what came is on the disk, and counted.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

use bytes::Bytes;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Lock, UploadError, Uploads};

/// Pieces of a body under way to the disk, each of what a connection reads at once (32 kB or less).
const QUEUE: usize = 32;
/// Bytes between two looks at the room.
const LOOK_EVERY: u64 = 1 << 20;
/// Bytes between two syncs: so that the last one does not take long.
const SYNC_EVERY: u64 = 16 << 20;

/// One request's bytes on their way into an upload. When it is dropped, what was handed over is still written.
pub struct Append {
    /// None as a piece is the end of the file.
    pieces: Sender<Option<Bytes>>,
    written: JoinHandle<Result<u64, UploadError>>,
    stop: CancellationToken,
}

impl Append {
    /// Adds to `file`, which holds `offset` bytes of `length` (none: until its end is told).
    pub(super) fn start(
        uploads: Uploads,
        held: Lock,
        file: File,
        offset: u64,
        length: Option<u64>,
        name: String,
    ) -> Append {
        let (pieces, waiting) = channel(QUEUE);
        let stop = held.stop.clone();
        let (whole, looked) = (length.is_none(), offset);
        let writer = Writer { uploads, held, file, offset, synced: offset, looked, length, name, whole };
        Append { pieces, written: tokio::task::spawn_blocking(move || writer.run(waiting)), stop }
    }

    /// To an upload that is complete nothing can be added.
    pub(super) fn complete(length: u64) -> Append {
        let (pieces, mut waiting) = channel(QUEUE);
        let written = tokio::spawn(async move {
            match waiting.recv().await {
                None => Ok(length),
                Some(_) => Err(UploadError::Excess),
            }
        });
        Append { pieces, written, stop: CancellationToken::new() }
    }

    /// Hands bytes over, and waits while the disk is behind. False when no more are taken; [`Append::finish`] says why.
    pub async fn write(&self, bytes: Bytes) -> bool {
        self.pieces.send(Some(bytes)).await.is_ok()
    }

    /// Waits until somebody removes the upload.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// Says that the file ends here, where its length was not known.
    pub async fn end(&self) -> bool {
        self.pieces.send(None).await.is_ok()
    }

    /// Waits until all is on the disk, and the file handed over if it is complete; how many bytes it has.
    pub async fn finish(self) -> Result<u64, UploadError> {
        drop(self.pieces);
        self.written.await.map_err(io::Error::other)?
    }
}

struct Writer {
    uploads: Uploads,
    held: Lock,
    file: File,
    offset: u64,
    /// Bytes that are known to be on the disk.
    synced: u64,
    /// Where the room was last looked at.
    looked: u64,
    length: Option<u64>,
    name: String,
    /// It comes in one piece or not at all.
    whole: bool,
}

impl Writer {
    fn run(mut self, pieces: Receiver<Option<Bytes>>) -> Result<u64, UploadError> {
        let taken = self.take(pieces);
        let done = self.sync().map_err(UploadError::from).and(taken).and_then(|()| self.hand_over());
        if self.whole && done.is_err() {
            self.uploads.shelf.remove(&self.held.id)?;
        }
        done.map(|()| self.offset)
    }

    fn take(&mut self, mut pieces: Receiver<Option<Bytes>>) -> Result<(), UploadError> {
        while let Some(piece) = pieces.blocking_recv() {
            let Some(bytes) = piece else {
                self.length = Some(self.offset);
                break;
            };
            let most = self.length.unwrap_or(self.uploads.most);
            if self.offset + bytes.len() as u64 > most {
                return Err(if self.whole { UploadError::TooLarge(most) } else { UploadError::Excess });
            }
            if self.offset == self.looked || self.offset - self.looked >= LOOK_EVERY {
                self.looked = self.offset;
                if self.uploads.library.room()?.uploadable() < LOOK_EVERY {
                    return Err(UploadError::NoRoom);
                }
            }
            self.write(&bytes)?;
            if self.offset - self.synced >= SYNC_EVERY {
                self.sync()?;
            }
        }
        Ok(())
    }

    /// Counts each byte that is written, also where a full disk takes only some.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.offset += written as u64;
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A second sync after one that failed would not tell the truth (fsync(2)): what may be lost is cut off.
    fn sync(&mut self) -> io::Result<()> {
        if self.offset == self.synced {
            return Ok(());
        }
        if let Err(error) = self.file.sync_data() {
            self.offset = self.synced;
            self.file.set_len(self.synced)?;
            return Err(error);
        }
        self.synced = self.offset;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), UploadError> {
        match self.length {
            Some(0) => Err(UploadError::Empty),
            Some(length) if length == self.offset => {
                let name = self.uploads.shelf.hand_over(&self.held.id, &self.name)?;
                tracing::info!(upload = self.held.id, bytes = length, name, "a file was uploaded");
                Ok(())
            }
            None => Err(UploadError::Broken("its end is missing".to_owned())),
            Some(_) => Ok(()),
        }
    }
}

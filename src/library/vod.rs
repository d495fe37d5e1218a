//! The library as others see it: recordings by id, their playlists and bytes, the trash, the room on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::download::Download;
use super::layout::Layout;
use super::read::{FileRange, Piece};
use crate::base::clock::{self, ticks_to_seconds};
use crate::base::terms::BroadcastState;
use crate::media::playlist::{self, Variant};
use crate::media::protocol::Init;
use crate::media::window::Segment;
use crate::store::media::{IndexedSegment, Location};
use crate::store::{Db, StoreError, broadcasts, media};

/// Recordings whose index stays in memory.
const CACHED: usize = 16;

/// The only rendition so far.
pub const RENDITION: u8 = 0;

#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a recording's file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("a recording's bytes cannot be understood: {0}")]
    Media(String),
}

/// Index of one finished recording.
#[derive(Debug)]
pub struct Recording {
    pub inits: Vec<Init>,
    pub segments: Vec<IndexedSegment>,
    pub epoch_us: i64,
    playlist: Bytes,
}

impl Recording {
    fn new(inits: Vec<Init>, segments: Vec<IndexedSegment>, epoch_us: i64) -> Recording {
        let described: Vec<Segment> = segments.iter().map(|row| row.segment.clone()).collect();
        let playlist = playlist::recording(&described, epoch_us);
        Recording { inits, segments, epoch_us, playlist }
    }

    pub fn playlist(&self) -> Bytes {
        self.playlist.clone()
    }

    /// The multivariant playlist's line for `uri`, with measured bit rates (RFC 8216bis 4.4.6.2).
    pub fn variant(&self, uri: &str) -> Option<Variant> {
        let init = self.inits.last()?;
        let bits = |row: &IndexedSegment| row.location.length as f64 * 8.0;
        let seconds = |row: &IndexedSegment| ticks_to_seconds(row.segment.duration).max(0.001);
        let peak = self.segments.iter().map(|row| bits(row) / seconds(row)).fold(0.0, f64::max);
        let total: f64 = self.segments.iter().map(seconds).sum();
        let average = self.segments.iter().map(bits).sum::<f64>() / total.max(0.001);
        Some(playlist::variant(uri, init, peak.ceil() as u64, average.ceil() as u64))
    }
}

/// Room on the data directory's disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
}

/// A handle to all recordings.
#[derive(Clone)]
pub struct Library {
    db: Db,
    layout: Layout,
    cache: Arc<Cache>,
}

#[derive(Default)]
struct Cache {
    recordings: Mutex<HashMap<String, Arc<Recording>>>,
    download: Mutex<Option<(String, Arc<Download>)>>,
}

impl Library {
    pub fn new(db: Db, layout: Layout) -> Library {
        Library { db, layout, cache: Arc::default() }
    }

    /// The index of a finished recording; empty where nothing was recorded. Not for broadcasts on air: it is remembered.
    pub async fn recording(&self, id: &str, epoch_us: i64) -> Result<Arc<Recording>, LibraryError> {
        if let Some(known) = lock(&self.cache.recordings).get(id) {
            return Ok(known.clone());
        }
        let wanted = id.to_owned();
        let (inits, segments) = self
            .db
            .read(move |connection| -> Result<_, StoreError> {
                Ok((media::inits(connection, &wanted, RENDITION)?, media::segments(connection, &wanted, RENDITION)?))
            })
            .await?;
        let recording = Arc::new(Recording::new(inits, segments, epoch_us));
        let mut recordings = lock(&self.cache.recordings);
        if recordings.len() >= CACHED {
            recordings.clear();
        }
        recordings.insert(id.to_owned(), recording.clone());
        Ok(recording)
    }

    /// An init of a broadcast, on air or finished.
    pub async fn init(&self, id: &str, number: u32) -> Result<Option<Bytes>, LibraryError> {
        let id = id.to_owned();
        let inits = self
            .db
            .read(move |connection| -> Result<_, StoreError> { Ok(media::inits(connection, &id, RENDITION)?) })
            .await?;
        Ok(inits.into_iter().nth(number as usize).map(|init| init.bytes))
    }

    /// A complete segment of a broadcast, on air or finished.
    pub async fn segment(&self, id: &str, msn: u64) -> Result<Option<Piece>, LibraryError> {
        let id = id.to_owned();
        let row = self
            .db
            .read(move |connection| -> Result<_, StoreError> { Ok(media::segment(connection, &id, RENDITION, msn)?) })
            .await?;
        row.map(|row| self.open(&row.location)).transpose()
    }

    /// The recording as one MP4: `moov` first, then the recorded bytes as they are.
    pub async fn download(&self, id: &str, epoch_us: i64) -> Result<Option<Arc<Download>>, LibraryError> {
        if let Some((known, download)) = &*lock(&self.cache.download)
            && known == id
        {
            return Ok(Some(download.clone()));
        }
        let recording = self.recording(id, epoch_us).await?;
        if recording.segments.is_empty() {
            return Ok(None);
        }
        let library = self.clone();
        let built = tokio::task::spawn_blocking(move || {
            let pieces = library.pieces(&recording.segments)?;
            Download::build(&recording, pieces)
        });
        let download = Arc::new(built.await.map_err(io::Error::other)??);
        *lock(&self.cache.download) = Some((id.to_owned(), download.clone()));
        Ok(Some(download))
    }

    /// The bytes of segments, one piece each; a reel is opened once for all its segments in a row.
    fn pieces(&self, segments: &[IndexedSegment]) -> Result<Vec<FileRange>, LibraryError> {
        let mut open: Option<(&str, Arc<File>)> = None;
        let mut pieces = Vec::with_capacity(segments.len());
        for IndexedSegment { location, .. } in segments {
            let file = match &open {
                Some((reel, file)) if *reel == location.reel_id => file.clone(),
                _ => Arc::new(File::open(self.layout.reel(&location.reel_id))?),
            };
            open = Some((&location.reel_id, file.clone()));
            pieces.push(FileRange { file, offset: location.offset, length: location.length });
        }
        Ok(pieces)
    }

    fn open(&self, location: &Location) -> Result<Piece, LibraryError> {
        let file = Arc::new(File::open(self.layout.reel(&location.reel_id))?);
        Ok(Piece::File(FileRange { file, offset: location.offset, length: location.length }))
    }

    /// Deletes a recording for good: rows gone and reels marked → files unlinked → directory synced → marks gone. A crash
    /// between any two steps is made good by [`Library::recover`].
    pub async fn delete(&self, id: &str) -> Result<(), LibraryError> {
        let doomed = id.to_owned();
        self.db
            .write(move |tx| -> Result<(), StoreError> {
                media::mark_garbage(tx, &doomed)?;
                Ok(broadcasts::delete(tx, &doomed)?)
            })
            .await?;
        self.forget(id);
        self.sweep().await
    }

    /// Drops what is remembered of a recording.
    pub fn forget(&self, id: &str) {
        lock(&self.cache.recordings).remove(id);
        let mut download = lock(&self.cache.download);
        if download.as_ref().is_some_and(|(known, _)| known == id) {
            *download = None;
        }
    }

    /// Unlinks the files of marked reels and drops their rows.
    async fn sweep(&self) -> Result<(), LibraryError> {
        let garbage = self.db.read(|connection| -> Result<_, StoreError> { Ok(media::garbage(connection)?) }).await?;
        if garbage.is_empty() {
            return Ok(());
        }
        let layout = self.layout.clone();
        let unlinked = tokio::task::spawn_blocking(move || -> io::Result<Vec<String>> {
            for reel in &garbage {
                match std::fs::remove_file(layout.reel(reel)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            File::open(layout.reels())?.sync_all()?;
            Ok(garbage)
        });
        let unlinked = unlinked.await.map_err(io::Error::other)??;
        self.db.write(move |tx| -> Result<(), StoreError> { Ok(media::drop_garbage(tx, &unlinked)?) }).await?;
        Ok(())
    }

    /// At start: finishes deletions that were cut short, and closes broadcasts that were on air when the program ended.
    pub async fn recover(&self) -> Result<(), LibraryError> {
        self.sweep().await?;
        let now = clock::wall_ms();
        self.db
            .write(move |tx| -> Result<(), StoreError> {
                for id in broadcasts::unfinished(tx)? {
                    let last = media::segments(tx, &id, RENDITION)?.pop();
                    let epoch_us = broadcasts::get(tx, &id)?.map_or(0, |broadcast| broadcast.epoch_us);
                    let outcome = match last {
                        Some(IndexedSegment { segment, .. }) => broadcasts::Outcome {
                            state: BroadcastState::Ended,
                            failure: None,
                            ended_at: playlist::wall_ms(segment.start + segment.duration, epoch_us),
                        },
                        None => broadcasts::Outcome {
                            state: BroadcastState::Failed,
                            failure: Some(String::from("interrupted")),
                            ended_at: now,
                        },
                    };
                    broadcasts::finish(tx, &id, &outcome)?;
                    tracing::warn!(broadcast = id, state = outcome.state.as_str(), "closed an interrupted broadcast");
                }
                Ok(())
            })
            .await?;
        Ok(())
    }

    /// Room on the disk.
    pub fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(self.layout.root())?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
    }
}

/// A panic elsewhere leaves a cache that is still a cache.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

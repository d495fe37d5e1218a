//! The picture that stands for a recording, made again from its media where it has none: it was too short to be looked at while
//! it was on air, or its row was made again by `siaran fsck --rebuild`. A worker decodes, never this process.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::vod::{Library, LibraryError};
use crate::base::clock::TIMESCALE;
use crate::media::protocol::{FromWorker, MAX_FRAME, Task};
use crate::store::media::{self, IndexedSegment};
use crate::store::{Connection, StoreError, broadcasts};
use crate::worker::process;

/// A worker starts, decodes one picture and ends within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// By then a broadcast has settled. Ticks of media.
const SETTLED: u64 = 10 * TIMESCALE as u64;

/// With the init and what is around it, a segment still goes to the worker in one message. Bytes.
const LONGEST: u64 = MAX_FRAME as u64 / 2;

impl Library {
    /// Makes the thumbnail of one recording that has none. One of which none can be made is logged and added to `hopeless`,
    /// which are left alone. False when there is nothing to do.
    ///
    /// # Errors
    /// [`LibraryError::Store`] if the database does not answer.
    pub async fn make_thumbnail(&self, hopeless: &mut HashSet<String>) -> Result<bool, LibraryError> {
        let missing = self.db.read(|db| -> Result<_, StoreError> { Ok(broadcasts::without_thumbnail(db)?) }).await?;
        let Some(id) = missing.into_iter().find(|id| !hopeless.contains(id)) else { return Ok(false) };
        match self.picture(&id).await? {
            Ok(jpeg) => {
                self.set_thumbnail(&id, jpeg).await?;
                tracing::info!(broadcast = id, "made its thumbnail from the recording");
            }
            Err(reason) => {
                tracing::warn!(broadcast = id, reason, "no thumbnail can be made of the recording");
                hopeless.insert(id);
            }
        }
        Ok(true)
    }

    /// A JPEG of the recording, or why there is none.
    pub(super) async fn picture(&self, id: &str) -> Result<Result<Bytes, String>, LibraryError> {
        let wanted = id.to_owned();
        let read = move |db: &Connection| -> Result<_, StoreError> {
            let rendition = media::fullest(db, &wanted)?;
            Ok((rendition, media::segments(db, &wanted, rendition)?))
        };
        let (rendition, segments) = self.db.read(read).await?;
        let mut reason = String::from("no segment begins with a keyframe");
        for row in candidates(segments) {
            let init = self.init(id, rendition, row.segment.init).await?;
            match self.picture_of(init, row).await {
                Ok(jpeg) => return Ok(Ok(jpeg)),
                Err(why) => reason = why,
            }
        }
        Ok(Err(reason))
    }

    async fn picture_of(&self, init: Option<Bytes>, row: IndexedSegment) -> Result<Bytes, String> {
        let init = init.ok_or("its init is not there")?;
        let media = self.unchanged(&row).await?;
        let answer = process::ask(Task::Picture { init, media }, PATIENCE, |message| match message {
            FromWorker::Snapshot { jpeg } => Some(Ok(jpeg)),
            FromWorker::Error { message, fatal: true, .. } => Some(Err(message)),
            _ => None,
        });
        answer.await.unwrap_or_else(|| Err(String::from("the worker does not answer")))
    }

    /// A segment's bytes, as they were recorded.
    ///
    /// # Errors
    /// A sentence, if they cannot be read or are others by now.
    pub(super) async fn unchanged(&self, row: &IndexedSegment) -> Result<Bytes, String> {
        let range = self.open(&row.location).map_err(|error| error.to_string())?;
        let media = range.whole().await.map_err(|error| error.to_string())?;
        if crc32c::crc32c(&media) == row.location.crc32c { Ok(media) } else { Err("its bytes have changed".to_owned()) }
    }
}

/// Whether a worker can be sent it, and finds a keyframe at its beginning.
pub(super) fn shows_at_once(row: &IndexedSegment) -> bool {
    row.segment.independent && row.location.length <= LONGEST
}

/// Segments to look at, the best first: when the broadcast had settled, in the middle, at the beginning.
fn candidates(segments: Vec<IndexedSegment>) -> Vec<IndexedSegment> {
    let mut usable = segments;
    usable.retain(shows_at_once);
    let Some(first) = usable.first() else { return Vec::new() };
    let settled = first.segment.start + SETTLED;
    let settled = usable.iter().position(|row| row.segment.start >= settled).unwrap_or(usable.len() - 1);
    let mut chosen = vec![settled, usable.len() / 2, 0];
    chosen.dedup();
    chosen.into_iter().map(|place| usable[place].clone()).collect()
}

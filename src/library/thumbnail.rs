//! The picture that stands for a recording, made again from its media where it has none: it was too short to be looked at while
//! it was on air, or its row was made again by `siaran fsck --rebuild`. A worker decodes, never this process.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::vod::{Library, LibraryError, Recording};
use crate::base::clock::TIMESCALE;
use crate::media::packager::TOLERANCE;
use crate::media::protocol::{FromWorker, MAX_FRAME, Task};
use crate::media::{edit, mp4};
use crate::store::media::{self, IndexedSegment};
use crate::store::{Connection, StoreError, broadcasts, edits};
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
            let mut segments = media::segments(db, &wanted, rendition)?;
            let kept = edits::kept(db, &wanted)?;
            segments.retain(|row| kept.is_empty() || kept.iter().any(|kept| kept.has(&row.segment)));
            Ok((rendition, segments))
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
        let media = self.unchanged(&row).await?;
        Self::decoded(init, media).await
    }

    /// The picture of an uncut recording at `at` ticks of its time line: the keyframe nearest before, of the best rendition
    /// that has it.
    ///
    /// # Errors
    /// A sentence, if there is none or it cannot be decoded.
    pub(super) async fn picture_at(&self, id: &str, uncut: Arc<Recording>, at: u64) -> Result<Bytes, String> {
        let library = self.clone();
        let found = tokio::task::spawn_blocking(move || library.keyframe_at(&uncut, at));
        let found = found.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let (rendition, init, media) = found.ok_or("there is no keyframe")?;
        let init = self.init(id, rendition, init).await.map_err(|error| error.to_string())?;
        Self::decoded(init, media).await
    }

    /// Rendition, number of its init, and bytes that begin with the keyframe. Blocks on the disk.
    fn keyframe_at(&self, uncut: &Recording, at: u64) -> Result<Option<(u8, u32, Bytes)>, LibraryError> {
        let mut look = self.look(uncut);
        let Some((msn, number)) = edit::keyframe_before(&uncut.time_line(), at, &mut look)? else { return Ok(None) };
        let Some(time) = look(msn)?.get(number as usize).map(|part| part.start) else { return Ok(None) };
        for (rendition, rows) in &uncut.renditions {
            let row = rows.segments.binary_search_by_key(&msn, |row| row.segment.msn).map(|row| &rows.segments[row]);
            let Some(row) = row.ok().filter(|row| row.location.length <= LONGEST) else { continue };
            let media = self.open(&row.location)?.whole_blocking()?;
            if crc32c::crc32c(&media) != row.location.crc32c {
                continue;
            }
            let parts = mp4::parts(&media).unwrap_or_default();
            let same = |part: &&mp4::PartPlace| part.independent && part.start.abs_diff(time) <= TOLERANCE;
            if let Some(part) = parts.iter().find(same) {
                return Ok(Some((*rendition, row.segment.init, media.slice(part.offset as usize..))));
            }
        }
        Ok(None)
    }

    async fn decoded(init: Option<Bytes>, media: Bytes) -> Result<Bytes, String> {
        let init = init.ok_or("its init is not there")?;
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

/// Whether a worker can be sent it, all of it, and finds a keyframe at its beginning.
pub(super) fn shows_at_once(row: &IndexedSegment) -> bool {
    row.segment.independent && row.segment.piece().parts.is_none() && row.location.length <= LONGEST
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

//! Edits of recordings: what is kept of each, its chapters and its picture, on behalf of somebody. What can be kept is decided in
//! `media::edit`; here is where its media is looked into, and what is written down.

use std::collections::HashMap;
use std::io;

use super::vod::{Library, LibraryError, Recording};
use crate::base::clock::TIMESCALE;
use crate::media::edit::{self, Chapter, Edit, Kept, KeptParts};
use crate::media::mp4::{self, PartPlace};
use crate::store::broadcasts::Broadcast;
use crate::store::media::IndexedSegment;
use crate::store::{Connection, StoreError, Transaction, audit, broadcasts, edits};

/// What there is of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// None: all is kept.
    pub kept: Vec<Kept>,
    /// In order, on the time line of all that was recorded.
    pub chapters: Vec<Chapter>,
    /// How long all that was recorded is, milliseconds.
    pub uncut_ms: u64,
}

impl Edited {
    /// How long what is kept is, milliseconds.
    pub fn shown_ms(&self) -> u64 {
        self.kept.last().map_or(self.uncut_ms, |last| last.at_ms + last.to_ms - last.from_ms)
    }
}

/// What is wished for; none leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Stretches in order, apart from each other: from and to, milliseconds on the time line of all that was recorded.
    pub kept: Option<Vec<(u64, u64)>>,
    /// Their times differ.
    pub chapters: Option<Vec<Chapter>>,
}

fn ticks(ms: u64) -> u64 {
    ms.saturating_mul(u64::from(TIMESCALE)) / 1000
}

impl Library {
    /// The stretches of a recording that are kept; none: all of it.
    pub async fn stretches(&self, id: &str) -> Result<Vec<Kept>, StoreError> {
        let id = id.to_owned();
        self.db.read(move |db| -> Result<_, StoreError> { Ok(edits::kept(db, &id)?) }).await
    }

    /// The chapters of what is shown of a recording, on its time line.
    pub async fn shown_chapters(&self, id: &str) -> Result<Vec<Chapter>, StoreError> {
        let id = id.to_owned();
        let read = move |db: &Connection| -> Result<_, StoreError> {
            Ok(edit::shown_chapters(&edits::kept(db, &id)?, edits::chapters(db, &id)?))
        };
        self.db.read(read).await
    }

    /// What was made of a finished recording.
    pub async fn edited(&self, broadcast: &Broadcast) -> Result<Edited, LibraryError> {
        let uncut = self.uncut(&broadcast.id, broadcast.epoch_us).await?;
        let id = broadcast.id.clone();
        let read =
            move |db: &Connection| -> Result<_, StoreError> { Ok((edits::kept(db, &id)?, edits::chapters(db, &id)?)) };
        let (kept, chapters) = self.db.read(read).await?;
        Ok(Edited { kept, chapters, uncut_ms: length_ms(&uncut) })
    }

    /// Edits a finished recording: what is kept is put as near to the wish as its keyframes and parts allow.
    pub async fn put_edit(&self, by: &str, broadcast: &Broadcast, wish: Wish) -> Result<(), LibraryError> {
        let uncut = self.uncut(&broadcast.id, broadcast.epoch_us).await?;
        let snapped = match wish.kept {
            Some(wishes) => {
                let library = self.clone();
                let found = tokio::task::spawn_blocking(move || library.possible(&uncut, &wishes));
                Some(found.await.map_err(io::Error::other)??)
            }
            None => None,
        };
        let by = by.to_owned();
        let write = move |tx: &Transaction<'_>, id: &str| -> Result<_, StoreError> {
            if broadcasts::get(tx, id)?.is_none() {
                return Ok(());
            }
            if let Some((edit, shown)) = snapped
                && edits::get(tx, id)? != edit
            {
                edits::put(tx, id, &edit, shown)?;
                edits::drop_pictures(tx, id)?;
            }
            if let Some(chapters) = wish.chapters {
                edits::put_chapters(tx, id, &chapters)?;
            }
            audit::record(tx, &by, "recording.edit", id, "")
        };
        self.update(&broadcast.id, write).await?;
        self.added.notify_one();
        Ok(())
    }

    /// Shows all that was recorded again. Chapters stay.
    pub async fn undo_edit(&self, by: &str, id: &str) -> Result<(), StoreError> {
        let by = by.to_owned();
        let write = move |tx: &Transaction<'_>, id: &str| -> Result<_, StoreError> {
            if !edits::kept(tx, id)?.is_empty() {
                edits::put(tx, id, &Edit::default(), 0)?;
                edits::drop_pictures(tx, id)?;
            }
            audit::record(tx, &by, "recording.unedit", id, "")
        };
        self.update(id, write).await?;
        self.added.notify_one();
        Ok(())
    }

    /// Takes the picture at `at_ms` of all that was recorded for the one that stands for it. A sentence where there is none.
    pub async fn choose_thumbnail(
        &self,
        by: &str,
        broadcast: &Broadcast,
        at_ms: u64,
    ) -> Result<Result<(), String>, LibraryError> {
        let uncut = self.uncut(&broadcast.id, broadcast.epoch_us).await?;
        let jpeg = match self.picture_at(&broadcast.id, uncut, ticks(at_ms)).await {
            Ok(jpeg) => jpeg,
            Err(reason) => return Ok(Err(reason)),
        };
        let by = by.to_owned();
        let write = move |tx: &Transaction<'_>, id: &str| -> Result<_, StoreError> {
            edits::choose_thumbnail(tx, id, &jpeg, at_ms)?;
            audit::record(tx, &by, "recording.picture", id, "")
        };
        self.update(&broadcast.id, write).await?;
        Ok(Ok(()))
    }

    /// What can be kept of these wishes, and how much that is, ticks of media. Blocks on the disk.
    fn possible(&self, uncut: &Recording, wishes: &[(u64, u64)]) -> Result<(Edit, u64), LibraryError> {
        let line = uncut.time_line();
        let wishes: Vec<_> = wishes.iter().map(|(from, to)| (ticks(*from), ticks(*to))).collect();
        let mut edit = Edit { kept: edit::snap(&line, &wishes, &mut self.look(uncut))?, parts: Vec::new() };
        for (number, rendition) in &uncut.renditions {
            edit.parts.extend(self.edges(&edit.kept, *number, &rendition.segments)?);
        }
        edit.parts.sort_by_key(|one| (one.rendition, one.msn, one.parts.first));
        let shown = uncut.shown_media(&edit);
        Ok((edit, shown))
    }

    /// What is kept of the segments of a rendition at the edges of these stretches. Blocks on the disk.
    fn edges(&self, kept: &[Kept], rendition: u8, rows: &[IndexedSegment]) -> Result<Vec<KeptParts>, LibraryError> {
        let mut edges = Vec::new();
        for row in rows {
            for kept in kept.iter().filter(|kept| kept.cuts(&row.segment)) {
                edges.extend(kept.parts_of(rendition, &row.segment, &self.parts(row)?));
            }
        }
        Ok(edges)
    }

    /// How a recording is edited, with the edges in renditions that it is about to get: their numbers and segments.
    pub(super) async fn edit_with(
        &self,
        id: &str,
        added: Vec<(u8, Vec<IndexedSegment>)>,
    ) -> Result<Edit, LibraryError> {
        let wanted = id.to_owned();
        let mut edit = self.db.read(move |db| -> Result<_, StoreError> { Ok(edits::get(db, &wanted)?) }).await?;
        let library = self.clone();
        let adding = tokio::task::spawn_blocking(move || {
            for (rendition, rows) in &added {
                edit.parts.extend(library.edges(&edit.kept, *rendition, rows)?);
            }
            Ok(edit)
        });
        adding.await.map_err(io::Error::other)?
    }

    /// Looks into segments of the leader, which is the smallest rendition. Blocks on the disk.
    pub(super) fn look<'a>(
        &'a self,
        uncut: &'a Recording,
    ) -> impl FnMut(u64) -> Result<Vec<PartPlace>, LibraryError> + 'a {
        let segments = uncut.smallest().map_or(&[][..], |(_, rendition)| &rendition.segments[..]);
        let mut known: HashMap<u64, Vec<PartPlace>> = HashMap::new();
        move |msn| {
            if let Some(parts) = known.get(&msn) {
                return Ok(parts.clone());
            }
            let row = segments.binary_search_by_key(&msn, |row| row.segment.msn);
            let parts = row.map_or(Ok(Vec::new()), |row| self.parts(&segments[row]))?;
            known.insert(msn, parts.clone());
            Ok(parts)
        }
    }

    fn parts(&self, row: &IndexedSegment) -> Result<Vec<PartPlace>, LibraryError> {
        let bytes = self.open(&row.location)?.whole_blocking()?;
        mp4::parts(&bytes).map_err(|error| LibraryError::Media(error.to_string()))
    }
}

fn length_ms(recording: &Recording) -> u64 {
    edit::length(&recording.time_line()) * 1000 / u64::from(TIMESCALE)
}

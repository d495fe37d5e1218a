//! What the library knows of each broadcast: its row from scheduled to trash. Every change of a row goes through here, so that
//! what is remembered of it never goes stale.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::vod::{Library, LibraryError, RENDITION, lock, remember};
use crate::accounts::Audience;
use crate::base::clock;
use crate::base::terms::BroadcastState;
use crate::media::playlist;
use crate::media::protocol::Init;
use crate::store::broadcasts::{self, Broadcast, Edit, Filter, Outcome};
use crate::store::media::{self, IndexedSegment};
use crate::store::{StoreError, Transaction, audit};

impl Library {
    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.db.read(|db| -> Result<_, StoreError> { Ok(db.query_row("SELECT 1", [], |_| Ok(()))?) }).await
    }

    pub async fn insert(&self, broadcast: Broadcast) -> Result<(), StoreError> {
        self.db.write(move |tx| Ok(broadcasts::insert(tx, &broadcast)?)).await
    }

    /// A broadcast by its id, whatever its state, the trash included.
    pub async fn broadcast(&self, id: &str) -> Result<Option<Arc<Broadcast>>, StoreError> {
        if let Some(known) = lock(&self.cache.broadcasts).get(id) {
            return Ok(Some(known.clone()));
        }
        let generation = self.cache.generation.load(Ordering::Acquire);
        let wanted = id.to_owned();
        let row = self.db.read(move |db| -> Result<_, StoreError> { Ok(broadcasts::get(db, &wanted)?) }).await?;
        let row = row.map(Arc::new);
        // A row that was changed while it was on its way is old already.
        if let Some(row) = &row
            && self.cache.generation.load(Ordering::Acquire) == generation
        {
            remember(&self.cache.broadcasts, id, row.clone());
        }
        Ok(row)
    }

    pub async fn list(&self, filter: Filter) -> Result<Vec<Broadcast>, StoreError> {
        self.db.read(move |db| -> Result<_, StoreError> { Ok(broadcasts::list(db, &filter)?) }).await
    }

    /// Topics of recordings for these audiences, most frequent first.
    pub async fn tags(&self, audiences: Vec<Audience>) -> Result<Vec<String>, StoreError> {
        self.db.read(move |db| -> Result<_, StoreError> { Ok(broadcasts::tags(db, &audiences)?) }).await
    }

    /// The newest init of a broadcast that is indexed.
    pub async fn newest_init(&self, id: &str) -> Result<Option<Init>, StoreError> {
        let id = id.to_owned();
        self.db.read(move |db| -> Result<_, StoreError> { Ok(media::inits(db, &id, RENDITION)?.pop()) }).await
    }

    /// Breaks in a broadcast's media, as far as it is indexed.
    pub async fn gaps(&self, id: &str) -> Result<Vec<media::Gap>, StoreError> {
        let id = id.to_owned();
        self.db.read(move |db| -> Result<_, StoreError> { Ok(media::gaps(db, &id, RENDITION)?) }).await
    }

    pub async fn thumbnail(&self, id: &str) -> Result<Option<Bytes>, StoreError> {
        let id = id.to_owned();
        let jpeg = self.db.read(move |db| -> Result<_, StoreError> { Ok(broadcasts::thumbnail(db, &id)?) }).await?;
        Ok(jpeg.map(Bytes::from))
    }

    /// How much there is, outside and inside the trash.
    pub async fn totals(&self) -> Result<broadcasts::Totals, StoreError> {
        self.db.read(|db| -> Result<_, StoreError> { Ok(broadcasts::totals(db)?) }).await
    }

    /// The newest `limit` lines of who did what.
    pub async fn activity(&self, limit: u32) -> Result<Vec<audit::Entry>, StoreError> {
        self.db.read(move |db| audit::list(db, None, limit)).await
    }

    /// Changes texts and settings on behalf of `by`; whether the broadcast exists.
    pub async fn edit(&self, by: &str, id: &str, edit: Edit) -> Result<bool, StoreError> {
        self.change(by, "broadcast.edit", id, move |tx, id| Ok(broadcasts::edit(tx, id, &edit)?)).await
    }

    /// Into the trash; whether the broadcast exists.
    pub async fn trash(&self, by: &str, id: &str) -> Result<bool, StoreError> {
        let now = clock::wall_ms();
        self.change(by, "broadcast.trash", id, move |tx, id| Ok(broadcasts::set_trashed(tx, id, Some(now))?)).await
    }

    /// Out of the trash; whether the broadcast exists.
    pub async fn restore(&self, by: &str, id: &str) -> Result<bool, StoreError> {
        self.change(by, "broadcast.restore", id, |tx, id| Ok(broadcasts::set_trashed(tx, id, None)?)).await
    }

    pub async fn set_state(&self, id: &str, state: BroadcastState) -> Result<(), StoreError> {
        self.update(id, move |tx, id| Ok(broadcasts::set_state(tx, id, state)?)).await
    }

    pub async fn set_thumbnail(&self, id: &str, jpeg: Bytes) -> Result<(), StoreError> {
        self.update(id, move |tx, id| Ok(broadcasts::set_thumbnail(tx, id, &jpeg)?)).await
    }

    /// Closes a broadcast whose segments are all indexed.
    pub async fn finish(&self, id: &str, outcome: Outcome) -> Result<(), StoreError> {
        self.update(id, move |tx, id| Ok(broadcasts::finish(tx, id, &outcome)?)).await
    }

    async fn change(
        &self,
        by: &str,
        action: &'static str,
        id: &str,
        work: impl FnOnce(&Transaction<'_>, &str) -> Result<bool, StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let by = by.to_owned();
        self.update(id, move |tx, id| {
            let exists = work(tx, id)?;
            if exists {
                audit::record(tx, &by, action, id, "")?;
            }
            Ok(exists)
        })
        .await
    }

    async fn update<T: Send + 'static>(
        &self,
        id: &str,
        work: impl FnOnce(&Transaction<'_>, &str) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let changed = id.to_owned();
        let result = self.db.write(move |tx| work(tx, &changed)).await;
        self.forget(id);
        result
    }

    /// Deletes a recording for good: rows gone and reels marked → files unlinked → directory synced → marks gone. A crash
    /// between any two steps is made good by [`Library::recover`].
    pub async fn delete(&self, by: &str, id: &str) -> Result<(), LibraryError> {
        let (by, doomed) = (by.to_owned(), id.to_owned());
        self.db
            .write(move |tx| -> Result<(), StoreError> {
                media::mark_garbage(tx, &doomed)?;
                audit::record(tx, &by, "broadcast.delete", &doomed, "")?;
                Ok(broadcasts::delete(tx, &doomed)?)
            })
            .await?;
        self.forget(id);
        self.sweep().await
    }

    /// Drops what is remembered of a recording.
    pub fn forget(&self, id: &str) {
        self.cache.generation.fetch_add(1, Ordering::AcqRel);
        lock(&self.cache.broadcasts).remove(id);
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

    /// Deletes for good what has lain in the trash for `days`, by the wall clock.
    pub async fn purge_trash(&self, days: u32) -> Result<(), LibraryError> {
        let before = clock::wall_ms() - i64::from(days) * 86_400_000;
        let due =
            self.db.read(move |db| -> Result<_, StoreError> { Ok(broadcasts::trashed_before(db, before)?) }).await?;
        for id in due {
            tracing::info!(broadcast = id, "its time in the trash is over");
            self.delete("siaran", &id).await?;
        }
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
}

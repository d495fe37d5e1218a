//! What the library knows of each broadcast: its row from scheduled to trash. Every change of a row goes through here, so that
//! what is remembered of it never goes stale.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::vod::{Library, LibraryError, lock, remember};
use crate::accounts::Audience;
use crate::base::clock::{self, TIMESCALE};
use crate::base::terms::BroadcastState;
use crate::media::edit;
use crate::media::protocol::Init;
use crate::store::broadcasts::{self, Broadcast, Edit, Filter, Outcome};
use crate::store::{Connection, StoreError, Transaction, audit, edits, media, settings};

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

    /// The newest init of each rendition of a broadcast that is indexed, best first.
    pub async fn newest_inits(&self, id: &str) -> Result<Vec<Init>, StoreError> {
        let id = id.to_owned();
        self.db
            .read(move |db| -> Result<_, StoreError> {
                let mut inits = Vec::new();
                for rendition in media::renditions(db, &id)? {
                    inits.extend(media::inits(db, &id, rendition)?.pop());
                }
                Ok(inits)
            })
            .await
    }

    /// Breaks in a broadcast's media, as far as it is indexed; of an edited one those that are shown, where they are shown.
    pub async fn gaps(&self, id: &str) -> Result<Vec<media::Gap>, StoreError> {
        let id = id.to_owned();
        let read = move |db: &Connection| -> Result<_, StoreError> {
            Ok((media::gaps(db, &id, media::fullest(db, &id)?)?, edits::kept(db, &id)?))
        };
        let (mut gaps, kept) = self.db.read(read).await?;
        if !kept.is_empty() {
            gaps.retain_mut(|gap| {
                let shown = edit::shown_at(&kept, gap.position * 1000 / u64::from(TIMESCALE));
                gap.position = shown.unwrap_or_default() * u64::from(TIMESCALE) / 1000;
                shown.is_some()
            });
        }
        Ok(gaps)
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
        let _held_off = self.making.hold_off(id).await;
        let now = clock::wall_ms();
        let from = clock::trusted().then_some(now);
        self.change(by, "broadcast.trash", id, move |tx, id| Ok(broadcasts::set_trashed(tx, id, Some(now), from)?))
            .await
    }

    /// Out of the trash; whether the broadcast exists.
    pub async fn restore(&self, by: &str, id: &str) -> Result<bool, StoreError> {
        let from = clock::trusted().then(clock::wall_ms);
        let restored = self
            .change(by, "broadcast.restore", id, move |tx, id| Ok(broadcasts::set_trashed(tx, id, None, from)?))
            .await;
        self.added.notify_one();
        restored
    }

    pub async fn set_state(&self, id: &str, state: BroadcastState) -> Result<(), StoreError> {
        self.update(id, move |tx, id| Ok(broadcasts::set_state(tx, id, state)?)).await
    }

    /// Notes that a broadcast is on air, with the inits of which players have been told.
    pub async fn note_on_air(
        &self,
        id: &str,
        noted: media::OnAir,
        inits: Vec<(u8, u32, Init)>,
    ) -> Result<(), StoreError> {
        let id = id.to_owned();
        let note = move |tx: &Transaction<'_>| -> Result<(), StoreError> {
            for (rendition, number, init) in &inits {
                media::insert_init(tx, &id, *rendition, *number, init)?;
            }
            Ok(media::set_on_air(tx, &id, &noted)?)
        };
        self.db.write(note).await
    }

    pub async fn set_thumbnail(&self, id: &str, jpeg: Bytes) -> Result<(), StoreError> {
        self.update(id, move |tx, id| Ok(broadcasts::set_thumbnail(tx, id, &jpeg)?)).await
    }

    /// Notes that a broadcast is over beside the database, which may not take it in time: a start that finds the note does not
    /// go on with the broadcast. It is on disk when this returns.
    pub async fn note_over(&self, id: &str) -> io::Result<()> {
        let (folder, id) = (self.layout.over(), id.to_owned());
        let noted = tokio::task::spawn_blocking(move || {
            File::create(folder.join(id))?;
            File::open(&folder)?.sync_all()
        });
        noted.await.map_err(io::Error::other)?
    }

    /// Closes a broadcast whose segments are all indexed.
    pub async fn finish(&self, id: &str, outcome: Outcome) -> Result<(), StoreError> {
        self.update(id, move |tx, id| {
            // Its times are of one making, whatever the clock has been set to meanwhile, and are put right together.
            let row = broadcasts::get(tx, id)?.filter(|row| row.boot_id.as_deref() == Some(clock::boot()));
            let by_its_own =
                row.map(|row| row.epoch_us / 1000 + (clock::monotonic_ns() as i64 - row.base_ns) / 1_000_000);
            let ended_at = by_its_own.unwrap_or(outcome.ended_at);
            Ok(broadcasts::finish(tx, id, &Outcome { ended_at, ..outcome })?)
        })
        .await?;
        // One that stays behind tells nothing that the row does not.
        let note = self.layout.over().join(id);
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_file(note)).await;
        self.relabel().await
    }

    /// Puts right the times of what was recorded while the wall clock was wrong; nothing while it cannot be trusted.
    pub async fn relabel(&self) -> Result<(), StoreError> {
        let now = clock::moment();
        if !now.trusted {
            return Ok(());
        }
        let zero_us = (now.wall_ms - now.monotonic_ms) * 1000;
        let relabel = move |tx: &Transaction<'_>| broadcasts::relabel(tx, now.boot, zero_us, clock::STEP_MS * 1000);
        for id in self.db.write(move |tx| -> Result<_, StoreError> { Ok(relabel(tx)?) }).await? {
            tracing::info!(broadcast = id, "its times were wrong and are right now");
            self.forget(&id);
        }
        Ok(())
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

    pub(super) async fn update<T: Send + 'static>(
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
        let _held_off = self.making.hold_off(id).await;
        let (by, doomed) = (by.to_owned(), id.to_owned());
        self.db
            .write(move |tx| -> Result<(), StoreError> {
                media::mark_garbage(tx, &doomed)?;
                audit::record(tx, &by, "broadcast.delete", &doomed, "")?;
                Ok(broadcasts::delete(tx, &doomed)?)
            })
            .await?;
        self.forget(id);
        self.sweep().await?;
        Ok(())
    }

    /// The same for what never became a recording, on nobody's behalf.
    pub(super) async fn discard(&self, id: &str) -> Result<(), LibraryError> {
        self.update(id, |tx, id| -> Result<(), StoreError> {
            media::mark_garbage(tx, id)?;
            Ok(broadcasts::delete(tx, id)?)
        })
        .await?;
        self.sweep().await?;
        Ok(())
    }

    /// Drops what is remembered of a recording.
    pub fn forget(&self, id: &str) {
        self.cache.generation.fetch_add(1, Ordering::AcqRel);
        lock(&self.cache.broadcasts).remove(id);
        lock(&self.cache.recordings).remove(id);
        lock(&self.cache.uncut).remove(id);
        let mut download = lock(&self.cache.download);
        if download.as_ref().is_some_and(|(known, _)| known == id) {
            *download = None;
        }
    }

    /// Unlinks the files of marked reels and drops their rows. Whether nothing is left: what the disk does not let go stays
    /// marked for the next time, and holds nothing else up.
    pub(super) async fn sweep(&self) -> Result<bool, LibraryError> {
        let garbage = self.db.read(|connection| -> Result<_, StoreError> { Ok(media::garbage(connection)?) }).await?;
        if garbage.is_empty() {
            return Ok(true);
        }
        let layout = self.layout.clone();
        let unlinked = tokio::task::spawn_blocking(move || -> io::Result<_> {
            let (mut gone, mut all) = (Vec::new(), true);
            for reel in garbage {
                let path = layout.reel(&reel);
                // Whoever still reads it must not keep its room.
                let _ = std::fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(0));
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        tracing::error!(%error, reel, "a deleted reel cannot be unlinked");
                        all = false;
                    }
                    _ => gone.push(reel),
                }
            }
            File::open(layout.reels())?.sync_all()?;
            Ok((gone, all))
        });
        let (gone, all) = unlinked.await.map_err(io::Error::other)??;
        self.db.write(move |tx| -> Result<(), StoreError> { Ok(media::drop_garbage(tx, &gone)?) }).await?;
        Ok(all)
    }

    /// A small value that belongs to the data directory, by its name.
    pub async fn kept(&self, key: &'static str) -> Result<Option<String>, StoreError> {
        self.db.read(move |db| settings::get(db, key)).await
    }

    pub async fn keep(&self, key: &'static str, value: String) -> Result<(), StoreError> {
        self.db.write(move |tx| settings::set(tx, key, &value)).await
    }

    /// The newest time with which anything was labelled, milliseconds since 1970; what is absurd is left out.
    pub async fn newest_time(&self) -> Result<Option<i64>, StoreError> {
        let newest = |db: &Connection| -> Result<_, StoreError> { Ok(broadcasts::newest_time(db, clock::LATEST_MS)?) };
        self.db.read(newest).await
    }
}

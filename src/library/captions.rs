//! Captions of recordings: what there is, what it says, and changes of it on behalf of somebody.

use std::collections::HashMap;

use super::vod::Library;
use crate::base::clock;
use crate::media::captions::Cue;
use crate::store::captions::{self, Hit, Track};
use crate::store::{StoreError, Transaction, audit};

/// Languages of one recording.
pub const MOST_TRACKS: usize = 32;

impl Library {
    /// The tracks of a broadcast in the order of their languages.
    pub async fn captions(&self, id: &str) -> Result<Vec<Track>, StoreError> {
        let id = id.to_owned();
        self.db.read(move |db| -> Result<_, StoreError> { Ok(captions::tracks(db, &id)?) }).await
    }

    /// A track's cues; none for a track that is not there.
    pub async fn cues(&self, id: &str, language: &str) -> Result<Option<Vec<Cue>>, StoreError> {
        let (id, language) = (id.to_owned(), language.to_owned());
        self.db.read(move |db| -> Result<_, StoreError> { Ok(captions::cues(db, &id, &language)?) }).await
    }

    /// Puts a track in the place of what there was in its language. False, and nothing done, when there are [`MOST_TRACKS`] others.
    pub async fn put_captions(&self, by: &str, id: &str, language: &str, cues: Vec<Cue>) -> Result<bool, StoreError> {
        let language = language.to_owned();
        self.change_captions(by, id, move |tx, by, id| {
            let others = captions::tracks(tx, id)?.iter().filter(|track| track.language != language).count();
            if others >= MOST_TRACKS {
                return Ok(false);
            }
            captions::put(tx, id, &language, &cues, clock::wall_ms())?;
            audit::record(tx, by, "captions.put", id, &language)?;
            Ok(true)
        })
        .await
    }

    /// Whether there was such a track.
    pub async fn delete_captions(&self, by: &str, id: &str, language: &str) -> Result<bool, StoreError> {
        let language = language.to_owned();
        self.change_captions(by, id, move |tx, by, id| {
            let deleted = captions::delete(tx, id, &language)?;
            if deleted {
                audit::record(tx, by, "captions.delete", id, &language)?;
            }
            Ok(deleted)
        })
        .await
    }

    async fn change_captions(
        &self,
        by: &str,
        id: &str,
        change: impl FnOnce(&Transaction<'_>, &str, &str) -> Result<bool, StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        let (by, of) = (by.to_owned(), id.to_owned());
        let changed = self.db.write(move |tx| change(tx, &by, &of)).await;
        // Its row tells whether there are any.
        self.forget(id);
        changed
    }

    /// Where in each of these broadcasts it is first said, see [`captions::hits`].
    pub async fn said(
        &self,
        ids: Vec<String>,
        search: &str,
        language: &str,
    ) -> Result<HashMap<String, Hit>, StoreError> {
        let (search, language) = (search.to_owned(), language.to_owned());
        self.db.read(move |db| -> Result<_, StoreError> { Ok(captions::hits(db, &ids, &search, &language)?) }).await
    }
}

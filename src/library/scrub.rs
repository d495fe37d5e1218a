//! A slow look at every closed reel while nothing is on air, so that a disk that forgets is noticed while there still is a
//! backup. One reel at a time, whole passes a week apart.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use super::fsck;
use super::vod::{Library, LibraryError};
use crate::base::clock;
use crate::store::media::{self, Reel};
use crate::store::{StoreError, audit};

/// From the end of one pass to the beginning of the next.
const REST: Duration = Duration::from_secs(7 * 86_400);

/// Name among the settings of the last reel of a pass that is under way; empty behind its end.
const PLACE: &str = "scrub";
/// The place is noted after so many reels: an idle box is not to wake its disk more often than each five minutes.
const NOTE_EVERY: u32 = 32;

/// Where the look has got to.
#[derive(Debug, Default)]
pub struct Scrub {
    due: VecDeque<Reel>,
    /// When the last pass was over.
    over: Option<Instant>,
    /// Reels looked at since the place was noted.
    unnoted: u32,
}

/// What a pass has still to look at that had come to the reel `place`; all, where that is not known any more.
fn rest_of(mut reels: Vec<Reel>, place: Option<&str>) -> VecDeque<Reel> {
    if let Some(seen) = reels.iter().position(|reel| Some(reel.id.as_str()) == place) {
        reels.drain(..=seen);
    }
    reels.into_iter().filter(|reel| reel.length.is_some() && !reel.garbage).collect()
}

impl Library {
    /// Reads the next closed reel and compares it with its hash, or takes the hash of one that a start has closed. What does not
    /// match is marked, logged and noted in the list of who did what.
    pub async fn scrub(&self, scrub: &mut Scrub) -> Result<(), LibraryError> {
        if scrub.due.is_empty() {
            if scrub.over.is_some_and(|over| over.elapsed() < REST) {
                return Ok(());
            }
            let reels = self.db.read(|db| -> Result<_, StoreError> { Ok(media::reels(db)?) }).await?;
            // A box that is switched off each evening comes to the end all the same.
            let place = self.kept(PLACE).await?;
            scrub.due = rest_of(reels, place.as_deref());
        }
        let Some(reel) = scrub.due.pop_front() else {
            // What lay behind the place is deleted: the next look begins a pass.
            return Ok(self.note_place(scrub, String::new()).await?);
        };
        let id = reel.id.clone();
        self.look_at(reel).await?;
        scrub.unnoted += 1;
        if scrub.due.is_empty() {
            scrub.over = Some(clock::instant());
            self.note_place(scrub, String::new()).await?;
        } else if scrub.unnoted >= NOTE_EVERY {
            self.note_place(scrub, id).await?;
        }
        Ok(())
    }

    async fn note_place(&self, scrub: &mut Scrub, place: String) -> Result<(), StoreError> {
        scrub.unnoted = 0;
        if self.kept(PLACE).await?.unwrap_or_default() == place {
            return Ok(());
        }
        self.keep(PLACE, place).await
    }

    async fn look_at(&self, reel: Reel) -> Result<(), LibraryError> {
        let path = self.layout.reel(&reel.id);
        let found = tokio::task::spawn_blocking(move || read(&path)).await.map_err(io::Error::other)?;
        match (found, reel.blake3) {
            (Ok(found), None) => self.write_hash(reel, found).await?,
            (Ok(found), Some(noted)) if found == noted => {}
            // Deleted meanwhile.
            (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {}
            (Ok(_), _) => self.mark_damaged(reel, String::from("the bytes have changed")).await?,
            (Err(error), _) => self.mark_damaged(reel, error.to_string()).await?,
        }
        Ok(())
    }

    async fn write_hash(&self, reel: Reel, found: [u8; 32]) -> Result<(), StoreError> {
        self.db.write(move |tx| Ok(media::set_hash(tx, &reel.id, &found)?)).await
    }

    async fn mark_damaged(&self, reel: Reel, why: String) -> Result<(), StoreError> {
        tracing::error!(
            reel = reel.id,
            broadcast = reel.broadcast_id,
            why,
            "a recording is damaged: restore it from a backup"
        );
        self.db
            .write(move |tx| {
                // Once for each, however often it is seen.
                if media::set_damaged(tx, &reel.id)? {
                    audit::record(tx, "siaran", "recording.damaged", &reel.broadcast_id, &why)?;
                }
                Ok(())
            })
            .await
    }

    /// Reels that were found damaged and are still there.
    pub async fn damaged(&self) -> Result<u64, StoreError> {
        self.db.read(|db| Ok(media::damaged(db)?)).await
    }
}

/// The file's hash; its pages do not stay in the cache in place of what people watch.
fn read(path: &std::path::Path) -> io::Result<[u8; 32]> {
    let file = File::open(path)?;
    let hash = fsck::hash(&file);
    // Advice, no more.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_goes_on_behind_the_reel_that_it_had_come_to() {
        let reel = |id: &str, length, garbage| Reel {
            id: String::from(id),
            broadcast_id: String::from("b"),
            length,
            blake3: None,
            garbage,
        };
        let reels = vec![
            reel("a", Some(1), false),
            reel("b", Some(1), true),
            reel("c", Some(1), false),
            reel("d", None, false),
        ];
        let rest = |place| rest_of(reels.clone(), place).into_iter().map(|reel| reel.id).collect::<Vec<_>>();
        assert_eq!(rest(None), ["a", "c"]);
        assert_eq!(rest(Some("a")), ["c"]);
        // One that is deleted by now is a place as long as its row is there.
        assert_eq!(rest(Some("b")), ["c"]);
        assert_eq!(rest(Some("gone")), ["a", "c"]);
        assert_eq!(rest(Some("")), ["a", "c"]);
        assert_eq!(rest(Some("d")), [""; 0]);
    }
}

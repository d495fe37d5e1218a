//! The sprite of a recording: a sheet of small pictures, and which of them shows which time, so that a player can show where a
//! finger on its time line would lead. A worker decodes, never this process.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::thumbnail::shows_at_once;
use super::vod::{Library, LibraryError, Recording};
use crate::base::clock::TIMESCALE;
use crate::media::captions::{self, Cue};
use crate::media::edit;
use crate::media::protocol::{FromWorker, Sheet, Task, ToWorker};
use crate::store::media::IndexedSegment;
use crate::store::{StoreError, Transaction, edits, sprites};
use crate::worker::process;

/// Nobody looks for a place in less. Ticks.
const WORTH_IT: u64 = 10 * TIMESCALE as u64;

/// Pictures on a sheet at most, and in a row of it: 200 kB or so.
const MOST: usize = 100;
const COLUMNS: u32 = 10;

/// Picture elements within which one picture fits.
const WITHIN: (u32, u32) = (160, 90);

/// A hundred keyframes of 1080 lines take a small box half a minute.
const PATIENCE: Duration = Duration::from_secs(180);

impl Library {
    /// Makes the sprite of one recording that has none. One of which none can be made is logged and added to `hopeless`, which
    /// are left alone. False when there is nothing to do.
    ///
    /// # Errors
    /// [`LibraryError::Store`] if the database does not answer.
    pub async fn make_sprite(&self, hopeless: &mut HashSet<String>) -> Result<bool, LibraryError> {
        let missing = self.db.read(|db| -> Result<_, StoreError> { Ok(sprites::missing(db, WORTH_IT)?) }).await?;
        let Some(id) = missing.into_iter().find(|id| !hopeless.contains(id)) else { return Ok(false) };
        let Some(broadcast) = self.broadcast(&id).await? else { return Ok(true) };
        let of = id.clone();
        let kept = self.db.read(move |db| -> Result<_, StoreError> { Ok(edits::kept(db, &of)?) }).await?;
        let recording = self.recording(&id, broadcast.epoch_us).await?;
        match self.sheet(&id, &recording).await {
            Some((jpeg, vtt)) => {
                tracing::info!(broadcast = id, bytes = jpeg.len(), "made its sprite");
                // One that was edited meanwhile has none, and gets another.
                let put = move |tx: &Transaction<'_>| -> Result<_, StoreError> {
                    Ok(edits::kept(tx, &id)? == kept && sprites::put(tx, &id, &jpeg, &vtt)?)
                };
                self.db.write(put).await?;
            }
            None => {
                tracing::warn!(broadcast = id, "no sprite can be made of the recording");
                hopeless.insert(id);
            }
        }
        Ok(true)
    }

    async fn sheet(&self, id: &str, recording: &Recording) -> Option<(Bytes, String)> {
        let (number, rendition) = recording.smallest()?;
        let chosen = chosen(&rendition.segments);
        let shape = rendition.inits.first()?;
        let (width, height) = tile(shape.width, shape.height);
        let sheet = Sheet { columns: COLUMNS, rows: (chosen.len() as u32).div_ceil(COLUMNS), width, height };
        let time_line = recording.time_line();
        let end = edit::length(&time_line);
        let places: HashMap<u64, u64> = time_line.iter().map(|listed| (listed.segment.msn, listed.at)).collect();
        let begins: Vec<u64> = chosen.iter().filter_map(|row| places.get(&row.segment.msn).copied()).collect();
        let vtt = describe(sheet, &begins, end);

        let stills = stream::iter(chosen.into_iter().zip(0..)).filter_map(|(row, place)| async move {
            let init = self.init(id, number, row.segment.init).await.ok()??;
            let media = self.unchanged(row).await.ok()?;
            Some(ToWorker::Still { place, init, media })
        });
        let told = stills.chain(stream::iter([ToWorker::Stop]));
        let answer = process::ask_with(Task::Sheet(sheet), told, PATIENCE, |message| match message {
            FromWorker::Snapshot { jpeg } => Some(Some(jpeg)),
            FromWorker::Error { fatal: true, .. } | FromWorker::Ended => Some(None),
            _ => None,
        });
        Some((answer.await.flatten()?, vtt))
    }

    /// The sheet, if there is one by now.
    pub async fn sprite(&self, id: &str) -> Result<Option<Bytes>, StoreError> {
        let id = id.to_owned();
        let jpeg = self.db.read(move |db| -> Result<_, StoreError> { Ok(sprites::jpeg(db, &id)?) }).await?;
        Ok(jpeg.map(Bytes::from))
    }

    /// WebVTT that says which part of the sheet shows which time.
    pub async fn sprite_times(&self, id: &str) -> Result<Option<String>, StoreError> {
        let id = id.to_owned();
        self.db.read(move |db| -> Result<_, StoreError> { Ok(sprites::vtt(db, &id)?) }).await
    }
}

/// At most [`MOST`] segments that begin with a keyframe, evenly spread.
fn chosen(segments: &[IndexedSegment]) -> Vec<&IndexedSegment> {
    let usable: Vec<_> = segments.iter().filter(|row| shows_at_once(row)).collect();
    let count = usable.len().min(MOST);
    (0..count).map(|place| usable[place * usable.len() / count]).collect()
}

/// The largest even size of this shape within [`WITHIN`].
fn tile(width: u32, height: u32) -> (u32, u32) {
    let scale = (f64::from(WITHIN.0) / f64::from(width.max(1))).min(f64::from(WITHIN.1) / f64::from(height.max(1)));
    let even = |side: u32| ((f64::from(side.max(1)) * scale).round() as u32 & !1).max(2);
    (even(width), even(height))
}

/// Spatial media fragments (W3C Media Fragments URI 4.2.2) of the sheet, each for the time until the next begins. Ticks.
fn describe(sheet: Sheet, begins: &[u64], end: u64) -> String {
    let ms = |ticks: u64| ticks * 1000 / u64::from(TIMESCALE);
    let ends = begins.iter().skip(1).chain([&end]);
    let cues = begins.iter().zip(ends).zip(0..).map(|((begin, end), place)| {
        let (left, top) = (place % sheet.columns * sheet.width, place / sheet.columns * sheet.height);
        let text = format!("sprite.jpg#xywh={left},{top},{},{}", sheet.width, sheet.height);
        Cue { start_ms: ms(*begin), end_ms: ms(*end), text }
    });
    captions::write(&cues.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_has_its_part_of_the_sheet() {
        let sheet = Sheet { columns: 10, rows: 2, width: 160, height: 90 };
        let begins: Vec<u64> = (0..12).map(|n| n * 180_000).collect();
        let told = captions::read(describe(sheet, &begins, 24 * 90_000).as_bytes(), captions::Format::WebVtt).unwrap();
        assert_eq!(told.len(), 12);
        assert_eq!((told[0].start_ms, told[0].end_ms, &told[0].text[..]), (0, 2000, "sprite.jpg#xywh=0,0,160,90"));
        assert_eq!((told[11].start_ms, told[11].end_ms), (22_000, 24_000));
        assert_eq!(told[11].text, "sprite.jpg#xywh=160,90,160,90");
    }

    #[test]
    fn pictures_keep_their_shape() {
        assert_eq!(tile(1280, 720), (160, 90));
        assert_eq!(tile(426, 240), (160, 90));
        assert_eq!(tile(640, 480), (120, 90));
        assert_eq!(tile(720, 1280), (50, 90));
    }
}

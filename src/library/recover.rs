//! What a start makes good: deletions that were cut short are finished; what a power cut or a kill left in reels behind their
//! last row is read box by box, and whole fragments are *adopted*; broadcasts that were on air are closed, or told to the
//! caller to go on with.
//!
//! Nothing is deleted. The torn end of a write is cut off; what is not understood is moved to the folder `set-aside`.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::layout::Layout;
use super::scan::{self, Scan};
use super::vod::{Library, LibraryError};
use crate::base::clock;
use crate::base::terms::BroadcastState;
use crate::media::ladder::{Before, Recorded};
use crate::media::packager;
use crate::media::playlist;
use crate::media::protocol::Init;
use crate::media::window::Segment;
use crate::store::broadcasts::{self, Broadcast, Outcome};
use crate::store::{Db, StoreError, Transaction, media};

/// How far a broadcast's media may lie ahead of the clock: a publisher that sends faster than it should, a wall clock that
/// was a little fast. Nanoseconds.
const AHEAD_NS: i64 = -60_000_000_000;

/// A broadcast that was on air when the program ended, young enough to go on.
#[derive(Debug)]
pub struct Interrupted {
    pub broadcast: Broadcast,
    /// What is known of it.
    trace: Trace,
    /// `CLOCK_MONOTONIC` of this boot at the broadcast's tick 0, nanoseconds.
    pub base_ns: i64,
}

impl Interrupted {
    /// What is to be gone on with.
    pub fn before(&self) -> Before {
        let now = clock::ns_to_ticks((clock::monotonic_ns() as i64).saturating_sub(self.base_ns).max(0) as u64);
        Before {
            recorded: self.trace.recorded.clone(),
            next_msn: self.trace.free_msn(now),
            discontinuities: self.trace.noted.as_ref().map_or(0, |noted| noted.discontinuities),
        }
    }

    /// The init that was on air last, of the best rendition.
    pub fn newest_init(&self) -> Option<&Init> {
        self.trace.recorded.values().next()?.inits.last()
    }
}

/// What a process left behind of a broadcast that it had on air. Times are ticks on the broadcast's own timeline.
#[derive(Debug)]
struct Trace {
    /// What was recorded of each rendition.
    recorded: BTreeMap<u8, Recorded>,
    /// What was noted of it last, if it was not being recorded.
    noted: Option<media::OnAir>,
}

impl Trace {
    fn of(tx: &Transaction<'_>, id: &str) -> Result<Trace, StoreError> {
        let mut recorded = BTreeMap::new();
        for rendition in media::known_renditions(tx, id)? {
            let segments = media::segments(tx, id, rendition)?.into_iter().map(|row| row.segment).collect();
            recorded.insert(rendition, Recorded { inits: media::inits(tx, id, rendition)?, segments });
        }
        Ok(Trace { recorded, noted: media::on_air(tx, id)? })
    }

    fn newest(&self) -> impl Iterator<Item = &Segment> {
        self.recorded.values().filter_map(|recorded| recorded.segments.last())
    }

    /// Where the newest recorded media ends.
    fn recorded_until(&self) -> Option<u64> {
        self.newest().map(|last| last.start + last.duration).max()
    }

    /// When it was known to be on air last.
    fn on_air_until(&self) -> Option<u64> {
        self.recorded_until().into_iter().chain(self.noted.as_ref().map(|noted| noted.at)).max()
    }

    /// A media sequence number that nobody was told. Each sign of life tells of one; the lowest is as good as any.
    fn free_msn(&self, now: u64) -> u64 {
        let free =
            |next, at| packager::free_msn(next, Duration::from_nanos(clock::ticks_to_ns(now.saturating_sub(at))));
        let recorded = self.newest().map(|last| last.msn + 1).max().zip(self.recorded_until());
        let noted = self.noted.as_ref().map(|noted| (noted.next_msn, noted.at));
        recorded.into_iter().chain(noted).map(|(next, at)| free(next, at)).min().unwrap_or(0)
    }
}

impl Library {
    /// At start, before anything is recorded. Gives the broadcasts that may go on air again: those interrupted at most
    /// `resume_s` seconds ago.
    pub async fn recover(&self, resume_s: u32) -> Result<Vec<Interrupted>, LibraryError> {
        self.sweep().await?;
        let (layout, db) = (self.layout.clone(), self.db.clone());
        tokio::task::spawn_blocking(move || {
            adopt(&layout, &db)?;
            settle(&layout, &db, resume_s)
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Closes a broadcast that could not go on after all.
    pub async fn give_up(&self, interrupted: Interrupted) -> Result<(), StoreError> {
        let Interrupted { broadcast, trace, .. } = interrupted;
        self.update(&broadcast.id.clone(), move |tx, _| close(tx, &broadcast, &trace)).await
    }
}

/// Takes into the index what reels hold behind their last row.
fn adopt(layout: &Layout, db: &Db) -> Result<(), LibraryError> {
    let (open, known) =
        db.read_blocking(|db| -> Result<_, StoreError> { Ok((media::open_reels(db)?, media::reel_ids(db)?)) })?;
    for reel in open {
        adopt_or_tell(layout, db, &reel.id, reel.end)?;
    }
    for entry in std::fs::read_dir(layout.reels())? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".reel")) else { continue };
        if !known.contains(id) {
            adopt_or_tell(layout, db, id, 0)?;
        }
    }
    Ok(())
}

/// A file that the disk does not give must not keep the others, and the clinic, waiting.
fn adopt_or_tell(layout: &Layout, db: &Db, id: &str, from: u64) -> Result<(), LibraryError> {
    match adopt_reel(layout, db, id, from) {
        Err(LibraryError::Io(error)) => {
            tracing::error!(%error, reel = id, "a reel cannot be read; it is left as it is");
            Ok(())
        }
        done => done,
    }
}

/// One reel, from byte `from` on.
fn adopt_reel(layout: &Layout, db: &Db, id: &str, from: u64) -> Result<(), LibraryError> {
    let file = match OpenOptions::new().read(true).write(true).open(layout.reel(id)) {
        // A row without its file: nothing to adopt, and fsck tells.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut scan = scan::scan(&file, id, from)?;
    let Some(broadcast_id) = owner(db, &scan)? else {
        tracing::warn!(reel = id, "a file among the reels belongs to no broadcast; it is set aside");
        return Ok(set_aside(layout, id)?);
    };
    if scan.strange {
        keep_rest(layout, id, &file, scan.whole)?;
    }
    file.set_len(scan.whole)?;
    // What is in the page cache alone must not be named by a row.
    file.sync_all()?;
    File::open(layout.reels())?.sync_all()?;
    for bytes in &scan.damage {
        tracing::error!(
            broadcast = broadcast_id,
            reel = id,
            ?bytes,
            "a reel's bytes are not understood; they stay where they are"
        );
    }
    let found = std::mem::take(&mut scan.segments);
    if !found.is_empty() || scan.whole < scan.length {
        let bytes: u64 = found.iter().map(|found| found.row.location.length).sum();
        let torn = scan.length - scan.whole;
        tracing::warn!(
            broadcast = broadcast_id,
            reel = id,
            segments = found.len(),
            bytes,
            torn,
            "adopted a reel's end"
        );
    }
    let (id, now) = (id.to_owned(), clock::wall_ms());
    let rendition = scan.about.as_ref().map_or(0, |about| about.rendition);
    db.write_blocking(move |tx| -> Result<(), StoreError> {
        if let Some(about) = &scan.about {
            let init = about.init(scan.init.clone());
            media::insert_init(tx, &broadcast_id, rendition, about.init, &init)?;
        }
        media::insert_reel(tx, &id, &broadcast_id, rendition, now)?;
        for found in found.iter().filter(|found| found.sound) {
            media::insert_segment(tx, &broadcast_id, rendition, &found.row)?;
        }
        media::set_reel_length(tx, &id, scan.whole)?;
        Ok(broadcasts::sum_up(tx, &broadcast_id)?)
    })?;
    Ok(())
}

/// The broadcast that a reel belongs to, if there still is one.
fn owner(db: &Db, scan: &Scan) -> Result<Option<String>, StoreError> {
    let Some(about) = &scan.about else { return Ok(None) };
    let id = about.broadcast.clone();
    let row = db.read_blocking(move |db| -> Result<_, StoreError> { Ok(broadcasts::get(db, &id)?) })?;
    Ok(row.map(|row| row.id))
}

/// Moves a whole file out of the way.
fn set_aside(layout: &Layout, id: &str) -> io::Result<()> {
    std::fs::create_dir_all(layout.set_aside())?;
    std::fs::rename(layout.reel(id), layout.set_aside().join(format!("{id}.reel")))?;
    File::open(layout.set_aside())?.sync_all()?;
    File::open(layout.reels())?.sync_all()
}

/// Copies the end of a file out of the way before it is cut off.
fn keep_rest(layout: &Layout, id: &str, file: &File, from: u64) -> io::Result<()> {
    std::fs::create_dir_all(layout.set_aside())?;
    let mut rest = vec![0; (file.metadata()?.len() - from) as usize];
    file.read_exact_at(&mut rest, from)?;
    let copy = layout.set_aside().join(format!("{id}.from-{from}"));
    std::fs::write(&copy, rest)?;
    File::open(copy)?.sync_all()?;
    File::open(layout.set_aside())?.sync_all()
}

/// Closes what was on air, but for what may go on.
fn settle(layout: &Layout, db: &Db, resume_s: u32) -> Result<Vec<Interrupted>, LibraryError> {
    let over = noted_over(layout)?;
    let ended = over.clone();
    let interrupted = db.write_blocking(move |tx| -> Result<_, StoreError> {
        let mut interrupted = Vec::new();
        for id in broadcasts::unfinished(tx)? {
            let Some(broadcast) = broadcasts::get(tx, &id)? else { continue };
            let trace = Trace::of(tx, &id)?;
            let end = trace.on_air_until();
            let base_ns = base_now(&broadcast);
            let age_ns = clock::monotonic_ns() as i64 - base_ns - clock::ticks_to_ns(end.unwrap_or(0)) as i64;
            // Media may lie a little ahead of the clock: what follows begins behind it all the same.
            let base_ns = base_ns + age_ns.min(0);
            let young = (AHEAD_NS..=i64::from(resume_s) * 1_000_000_000).contains(&age_ns);
            if young && resume_s > 0 && end.is_some() && !ended.contains(&id) {
                broadcasts::set_timeline(tx, &id, clock::boot(), base_ns)?;
                interrupted.push(Interrupted { broadcast, trace, base_ns });
            } else {
                close(tx, &broadcast, &trace)?;
                tracing::warn!(broadcast = id, "closed an interrupted broadcast");
            }
        }
        Ok(interrupted)
    })?;
    for id in over {
        let _ = std::fs::remove_file(layout.over().join(id));
    }
    Ok(interrupted)
}

/// Broadcasts that somebody ended, whatever their rows say.
fn noted_over(layout: &Layout) -> io::Result<HashSet<String>> {
    let folder = std::fs::read_dir(layout.over())?;
    folder.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Closes all that is on air, in a copy of the database: a backup holds recordings, and nothing that goes on by itself.
pub(super) fn close_all(tx: &Transaction<'_>) -> Result<(), StoreError> {
    for id in broadcasts::unfinished(tx)? {
        let Some(broadcast) = broadcasts::get(tx, &id)? else { continue };
        close(tx, &broadcast, &Trace::of(tx, &id)?)?;
    }
    for reel in media::open_reels(tx)? {
        media::set_reel_length(tx, &reel.id, reel.end)?;
    }
    Ok(())
}

/// Where the broadcast's tick 0 lies on this boot's clock: exactly, if it was on air in this boot, else by the wall clock.
fn base_now(broadcast: &Broadcast) -> i64 {
    if broadcast.boot_id.as_deref() == Some(clock::boot()) {
        return broadcast.base_ns;
    }
    let since_us = clock::wall_ms().saturating_mul(1000).saturating_sub(broadcast.epoch_us);
    (clock::monotonic_ns() as i64).saturating_sub(since_us.saturating_mul(1000))
}

/// Closes a broadcast that was interrupted for good.
fn close(tx: &Transaction<'_>, broadcast: &Broadcast, trace: &Trace) -> Result<(), StoreError> {
    let on_air_until = trace.on_air_until().map(|end| playlist::wall_ms(end, broadcast.epoch_us));
    let failed = broadcast.recorded && trace.recorded_until().is_none();
    let outcome = Outcome {
        state: if failed { BroadcastState::Failed } else { BroadcastState::Ended },
        failure: failed.then(|| String::from("interrupted")),
        ended_at: on_air_until.unwrap_or_else(clock::wall_ms),
        aged_from: None,
    };
    broadcasts::finish(tx, &broadcast.id, &outcome)?;
    Ok(())
}

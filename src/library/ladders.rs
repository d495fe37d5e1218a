//! Smaller renditions of recordings that have one alone: what was read in, or passed through. A worker that is shut in makes them,
//! segment by segment, while nobody broadcasts and no file is read in; what is made is recorded as all else, and goes on where it was
//! after whatever cut it short. A rendition is shown when all of them are complete.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::recorder::{Health, Recorder};
use super::retention::Rule;
use super::vod::{Library, LibraryError};
use crate::base::clock::{self, ticks_to_seconds};
use crate::base::terms::LadderState;
use crate::media::fragment::Tracks;
use crate::media::mp4;
use crate::media::packager::Event;
use crate::media::protocol::{FromWorker, Init, MAX_FRAME, Start, Task, ToWorker, VERSION};
use crate::media::rungs::{self, Rung};
use crate::media::window::Segment;
use crate::store::broadcasts::{self, Broadcast};
use crate::store::media::IndexedSegment;
use crate::store::{Connection, StoreError, Transaction, audit, edits, ladders, media};
use crate::worker::process::{Receiver, Sender, Worker};

/// A worker that says nothing for so long hangs. It runs when nobody else wants to, so this is much.
const PATIENCE: Duration = Duration::from_secs(300);
/// With the init and what is around it, a segment goes to the worker in one message. Bytes.
const LONGEST: u64 = MAX_FRAME as u64 - (1 << 20);

/// What a look for something to do came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// There may be more.
    Something,
    Nothing,
    /// There would be, were there room.
    NoRoom,
}

/// How far the smaller renditions of a recording are.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub state: LadderState,
    /// 0 to 1.
    pub progress: f64,
    /// Why it failed: a code.
    pub reason: Option<String>,
}

/// Why the making of smaller renditions is not cancelled or tried again.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    #[error("No smaller pictures are being made of this recording.")]
    NotWorking,
    #[error("Only what failed or was cancelled can be tried again.")]
    NotFailed,
    #[error(transparent)]
    Library(#[from] LibraryError),
}

impl From<StoreError> for LadderError {
    fn from(error: StoreError) -> LadderError {
        LadderError::Library(error.into())
    }
}

/// How a worker's try came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Complete,
    Stopped,
    NoRoom,
    /// The worker died, hung, or could not go on.
    Crashed,
    /// The recording is not what was written.
    Damaged,
}

/// One recording and what is to be made of it.
struct Job {
    broadcast: Arc<Broadcast>,
    rungs: Vec<Rung>,
    inits: Vec<Init>,
    segments: Vec<IndexedSegment>,
    /// Segments of each rung that are there already.
    made: Vec<HashSet<u64>>,
}

impl Job {
    /// The first segment that a rung has not.
    fn missing(&self) -> Option<usize> {
        self.segments.iter().position(|row| self.made.iter().any(|made| !made.contains(&row.segment.msn)))
    }

    /// Where decoding must begin for it.
    fn first(&self, missing: usize) -> usize {
        let stretch = (0..=missing).rev().find(|at| self.begins(*at) || self.segments[*at].segment.independent);
        stretch.unwrap_or(0)
    }

    /// Whether a segment does not follow on the one before it.
    fn begins(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| &self.segments[before].segment) else { return true };
        let now = &self.segments[at].segment;
        let joins = before.start + before.duration == now.start && before.msn + 1 == now.msn && before.init == now.init;
        now.discontinuity || before.cut || !joins
    }

    /// Bytes that are still to come, at most.
    fn estimate(&self) -> u64 {
        let left = self.segments.iter().skip(self.missing().unwrap_or(self.segments.len()));
        let seconds = ticks_to_seconds(left.map(|row| row.segment.duration).sum());
        (rungs::bitrate(&self.rungs) as f64 / 8.0 * seconds) as u64
    }
}

impl Library {
    /// Makes smaller renditions of one recording that lacks them, until it has them, it cannot be done, or `stop`. Those of which
    /// none are to be made are added to `hopeless`.
    ///
    /// # Errors
    /// [`LibraryError`] if the database or the disk does not answer.
    pub async fn make_ladder(
        &self,
        hopeless: &mut HashSet<String>,
        stop: &CancellationToken,
    ) -> Result<Made, LibraryError> {
        let due = self.db.read(|db| -> Result<_, StoreError> { Ok(ladders::due(db)?) }).await?;
        let mut made = Made::Nothing;
        for id in due.into_iter().filter(|_| !self.rungs.is_empty()) {
            if stop.is_cancelled() {
                return Ok(Made::Something);
            }
            if hopeless.contains(&id) {
                continue;
            }
            let Some(job) = self.job(&id).await? else {
                hopeless.insert(id);
                continue;
            };
            if !self.has_room(job.estimate()).await? {
                made = Made::NoRoom;
                continue;
            }
            let Some(claim) = self.making.claim(&id, stop) else { continue };
            let (row, rungs) = (id.clone(), job.rungs.clone());
            let begin = move |tx: &Transaction<'_>| -> Result<_, StoreError> { Ok(ladders::begin(tx, &row, &rungs)?) };
            if self.db.write(begin).await? {
                tracing::info!(broadcast = id, rungs = ?job.rungs, "smaller renditions are being made of it");
                return self.work_on_ladder(job, &claim.stop).await;
            }
            return Ok(Made::Something);
        }
        Ok(made)
    }

    /// What is to be made of a recording; none if nothing is.
    async fn job(&self, id: &str) -> Result<Option<Job>, LibraryError> {
        let Some(broadcast) = self.broadcast(id).await? else { return Ok(None) };
        let wanted = id.to_owned();
        let (inits, segments, ladder, found) = self
            .db
            .write(move |tx| -> Result<_, StoreError> {
                ladders::take_back(tx, &wanted)?;
                let mut found = Vec::new();
                for rendition in media::known_renditions(tx, &wanted)?.into_iter().filter(|rendition| *rendition > 0) {
                    found.push((rendition, media::inits(tx, &wanted, rendition)?));
                }
                let (inits, segments) = (media::inits(tx, &wanted, 0)?, media::segments(tx, &wanted, 0)?);
                Ok((inits, segments, ladders::get(tx, &wanted)?, found))
            })
            .await?;
        let planned = ladder.map(|ladder| ladder.rungs).filter(|rungs| !rungs.is_empty());
        let Some(rungs) = planned.or_else(|| self.wanted(&inits, &segments, &found)) else { return Ok(None) };
        let mut job = Job { broadcast, rungs, inits, segments, made: Vec::new() };
        let (wanted, count) = (id.to_owned(), job.rungs.len() as u8);
        let made = move |db: &Connection| -> Result<_, StoreError> {
            let numbers = |number| -> Result<_, StoreError> {
                Ok(media::segments(db, &wanted, number)?.iter().map(|row| row.segment.msn).collect())
            };
            (1..=count).map(numbers).collect::<Result<Vec<_>, _>>()
        };
        job.made = self.db.read(made).await?;
        Ok(Some(job))
    }

    /// The rungs of a recording that was not looked at before, or of which only files tell.
    fn wanted(&self, inits: &[Init], segments: &[IndexedSegment], found: &[(u8, Vec<Init>)]) -> Option<Vec<Rung>> {
        let ticks: u64 = segments.iter().map(|row| row.segment.duration).sum();
        let bytes: u64 = segments.iter().map(|row| row.location.length).sum();
        let kbps = (bytes as f64 * 8.0 / 1000.0 / ticks_to_seconds(ticks).max(0.1)) as u32;
        let tracks = Tracks::of(inits.first()?)?;
        let (wide, high) = tracks.video.pixel_aspect;
        let width = u64::from(tracks.video.width) * u64::from(wide) / u64::from(high.max(1));
        let rungs = rungs::below(&self.rungs, (width.clamp(16, 8192) as u32, tracks.video.height), kbps);
        let there: Vec<Rung> = found
            .iter()
            .filter_map(|(_, inits)| inits.first())
            .map(|init| {
                let same = rungs.iter().find(|rung| (rung.width, rung.height) == (init.width, init.height));
                Rung { width: init.width, height: init.height, kbps: same.map_or(kbps / 2, |rung| rung.kbps).max(64) }
            })
            .collect();
        let rungs = if there.is_empty() { rungs } else { there };
        (!rungs.is_empty() && segments.iter().all(|row| row.location.length <= LONGEST)).then_some(rungs)
    }

    /// Room for so much, and for another broadcast besides; and no rule makes older recordings go for it.
    async fn has_room(&self, bytes: u64) -> Result<bool, LibraryError> {
        if self.room().is_ok_and(|room| room.fault().is_none() && room.spare() >= bytes) {
            return Ok(match self.rule().await? {
                Rule::Quota(most) => {
                    let totals = self.totals().await?;
                    totals.bytes + totals.trash_bytes + bytes <= most
                }
                _ => true,
            });
        }
        Ok(false)
    }

    /// Until it is complete, stopped, or given up.
    async fn work_on_ladder(&self, job: Job, stop: &CancellationToken) -> Result<Made, LibraryError> {
        let (id, mut job, mut crashed_at) = (job.broadcast.id.clone(), Some(job), None);
        let mut made = Made::Something;
        while let Some(now) = job.take() {
            let Some(missing) = now.missing() else { return self.complete_ladder(&id, now.rungs.len() as u8).await };
            let at = now.segments[missing].segment.msn;
            match self.try_ladder(&now, missing, stop).await? {
                Verdict::Stopped => break,
                Verdict::NoRoom => {
                    made = Made::NoRoom;
                    break;
                }
                Verdict::Damaged => return self.give_up_ladder(&id, "ladder_damaged").await,
                Verdict::Crashed if crashed_at == Some(at) => return self.give_up_ladder(&id, "ladder_crashed").await,
                Verdict::Crashed => crashed_at = Some(at),
                Verdict::Complete => {}
            }
            job = self.job(&id).await?;
        }
        self.update(&id, |tx, id| -> Result<_, StoreError> { Ok(broadcasts::sum_up(tx, id)?) }).await?;
        Ok(made)
    }

    /// One worker's work. All that it made is on disk and indexed when this returns.
    async fn try_ladder(&self, job: &Job, missing: usize, stop: &CancellationToken) -> Result<Verdict, LibraryError> {
        let recorder = self.maker(&job.broadcast)?;
        let mut worker = Worker::spawn_idle()?;
        let health = recorder.health();
        let verdict = {
            let (sender, receiver) = (&mut worker.sender, &mut worker.receiver);
            let first = job.first(missing);
            tokio::select! {
                verdict = self.tell(sender, job, first, &health) => verdict,
                verdict = take_down(receiver, job, first, &recorder) => verdict,
                () = stop.cancelled() => Verdict::Stopped,
            }
        };
        if verdict == Verdict::Crashed {
            let reason = worker.last_words("it was ended").await;
            tracing::warn!(broadcast = job.broadcast.id, reason, "the worker that made smaller renditions is lost");
        }
        worker.kill().await;
        recorder.finish().await;
        let lost = health.parts_lost.load(Ordering::Relaxed) > 0;
        Ok(if lost { Verdict::NoRoom } else { verdict })
    }

    /// Gives the worker what it works on. Comes to an end only where that fails.
    async fn tell(&self, sender: &mut Sender, job: &Job, first: usize, health: &Health) -> Verdict {
        let task = Task::Ladder(job.rungs.clone());
        let start = Start { version: VERSION, base_ns: clock::monotonic_ns(), left_out: Vec::new(), task };
        // Where this fails, the worker is gone, which is seen at the other end.
        let mut sent = sender.send(&ToWorker::Start(start)).await;
        for at in first..job.segments.len() {
            let row = &job.segments[at];
            let lost = health.parts_lost.load(Ordering::Relaxed) > 0;
            if lost || !self.room().is_ok_and(|room| room.fault().is_none() && room.short_by() == 0) {
                return Verdict::NoRoom;
            }
            let media = match self.unchanged(row).await {
                Ok(media) => media,
                Err(reason) => {
                    tracing::warn!(broadcast = job.broadcast.id, msn = row.segment.msn, reason, "a segment is damaged");
                    return Verdict::Damaged;
                }
            };
            let begins = at == first || job.begins(at);
            let begins = begins.then(|| job.inits.get(row.segment.init as usize).cloned()).flatten();
            if sent.is_err() {
                break;
            }
            sent = sender.send(&ToWorker::Segment { msn: row.segment.msn, begins, media }).await;
        }
        if sent.is_ok() {
            let _ = sender.send(&ToWorker::Stop).await;
        }
        std::future::pending().await
    }

    /// All renditions, so many besides the first, are shown from now on. If the recording is edited, so are they.
    async fn complete_ladder(&self, id: &str, count: u8) -> Result<Made, LibraryError> {
        let wanted = id.to_owned();
        let rows = move |db: &Connection| -> Result<Vec<_>, StoreError> {
            (1..=count).map(|number| Ok((number, media::segments(db, &wanted, number)?))).collect()
        };
        let edit = self.edit_with(id, self.db.read(rows).await?).await?;
        let shown = move |tx: &Transaction<'_>, id: &str| -> Result<_, StoreError> {
            if edits::kept(tx, id)? != edit.kept {
                return Ok(false);
            }
            ladders::end(tx, id, LadderState::Done, None)?;
            edits::put_parts(tx, id, &edit.parts)?;
            broadcasts::sum_up(tx, id)?;
            Ok(true)
        };
        // One that was edited meanwhile is looked at again.
        if self.update(id, shown).await? {
            tracing::info!(broadcast = id, "it has smaller renditions");
        }
        Ok(Made::Something)
    }

    /// No start tries it again by itself.
    async fn give_up_ladder(&self, id: &str, reason: &'static str) -> Result<Made, LibraryError> {
        tracing::error!(broadcast = id, reason, "smaller renditions cannot be made of it");
        self.update(id, move |tx, id| -> Result<_, StoreError> {
            remove(tx, id, LadderState::Failed, Some(reason)).map(drop)
        })
        .await?;
        self.sweep().await?;
        Ok(Made::Something)
    }

    /// How far the smaller renditions of a recording are that are made of it; none where none were begun.
    pub async fn ladder(&self, id: &str) -> Result<Option<Standing>, StoreError> {
        let id = id.to_owned();
        let read = move |db: &Connection| -> Result<_, StoreError> {
            let Some(ladder) = ladders::get(db, &id)? else { return Ok(None) };
            let (made, all) = ladders::progress(db, &id, ladder.rungs.len())?;
            Ok(Some((ladder, made, all)))
        };
        Ok(self.db.read(read).await?.map(|(ladder, made, all)| Standing {
            state: ladder.state,
            progress: match ladder.state {
                LadderState::Done => 1.0,
                LadderState::Working => (made as f64 / all.max(1) as f64).min(1.0),
                LadderState::Failed | LadderState::Cancelled => 0.0,
            },
            reason: ladder.reason,
        }))
    }

    /// Gives up what is being made, on behalf of `by`, and removes what there is of it.
    ///
    /// # Errors
    /// [`LadderError::NotWorking`] if nothing is being made.
    pub async fn cancel_ladder(&self, by: &str, id: &str) -> Result<(), LadderError> {
        let _held_off = self.making.hold_off(id).await;
        let by = by.to_owned();
        let cancelled = self
            .update(id, move |tx, id| -> Result<_, StoreError> {
                let worked_on = remove(tx, id, LadderState::Cancelled, None)?;
                if worked_on {
                    audit::record(tx, &by, "ladder.cancel", id, "")?;
                }
                Ok(worked_on)
            })
            .await?;
        self.sweep().await?;
        if cancelled { Ok(()) } else { Err(LadderError::NotWorking) }
    }

    /// Has another try at what failed or was cancelled, on behalf of `by`.
    ///
    /// # Errors
    /// [`LadderError::NotFailed`] if it did not.
    pub async fn retry_ladder(&self, by: &str, id: &str) -> Result<(), LadderError> {
        let by = by.to_owned();
        let again = self
            .update(id, move |tx, id| -> Result<_, StoreError> {
                let again = ladders::again(tx, id)?;
                if again {
                    audit::record(tx, &by, "ladder.retry", id, "")?;
                }
                Ok(again)
            })
            .await?;
        self.added.notify_one();
        if again { Ok(()) } else { Err(LadderError::NotFailed) }
    }
}

/// Ends what is worked on and removes what was made. Whether it was worked on.
fn remove(tx: &Transaction<'_>, id: &str, state: LadderState, reason: Option<&str>) -> Result<bool, StoreError> {
    let worked_on = ladders::end(tx, id, state, reason)?;
    if worked_on {
        ladders::discard(tx, id)?;
        broadcasts::sum_up(tx, id)?;
    }
    Ok(worked_on)
}

/// Records what the worker makes of the segments from the one at `first` on.
async fn take_down(receiver: &mut Receiver, job: &Job, first: usize, recorder: &Recorder) -> Verdict {
    let rows: BTreeMap<u64, &Segment> =
        job.segments[first..].iter().map(|row| (row.segment.msn, &row.segment)).collect();
    // Of each rung: the newest init, and the number under which the recorder knows it.
    let mut inits: HashMap<u8, (Init, Option<u32>)> = HashMap::new();
    let mut deadline = clock::instant() + PATIENCE;
    loop {
        let message = match timeout_at(deadline.into(), receiver.receive()).await {
            // That it lives is not that it gets on.
            Ok(Ok(Some(FromWorker::Pulse))) => continue,
            Ok(Ok(Some(message))) => message,
            _ => return Verdict::Crashed,
        };
        deadline = clock::instant() + PATIENCE;
        match message {
            FromWorker::Hello { version } if version != VERSION => return Verdict::Crashed,
            FromWorker::Init(init) => drop(inits.insert(init.rendition, (init, None))),
            FromWorker::Made { rendition, msn, parts } => {
                let made = usize::from(rendition).checked_sub(1).and_then(|rung| job.made.get(rung));
                let (Some(row), Some(made), Some((init, known))) = (rows.get(&msn), made, inits.get_mut(&rendition))
                else {
                    return Verdict::Crashed;
                };
                // Whoever made it has seen bytes of strangers.
                if !is_like(row, &parts) {
                    return Verdict::Crashed;
                }
                if made.contains(&msn) {
                    continue;
                }
                if *known != Some(row.init) {
                    *known = Some(row.init);
                    recorder.keep(rendition, Event::Init { number: row.init, init: init.clone() }).await;
                }
                let segment = Segment { independent: true, ..Segment::clone(row) };
                let mut begins = Some(Segment { duration: 0, ..segment.clone() });
                for bytes in parts {
                    recorder.keep(rendition, Event::Part { begins: begins.take(), bytes }).await;
                }
                recorder.keep(rendition, Event::Segment(segment)).await;
            }
            FromWorker::Error { code, message, .. } => {
                tracing::warn!(?code, message, broadcast = job.broadcast.id, "of smaller renditions");
                return Verdict::Crashed;
            }
            FromWorker::Ended => return Verdict::Complete,
            _ => {}
        }
    }
}

/// Whether these are whole fragments that last as long as the segment.
fn is_like(segment: &Segment, parts: &[Bytes]) -> bool {
    let durations: Option<Vec<u64>> = parts.iter().map(|part| Some(mp4::read_fragment(part, 4)?.duration)).collect();
    durations.is_some_and(|durations| durations.iter().sum::<u64>() == segment.duration)
}

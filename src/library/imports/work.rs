//! One file to one recording: a worker that is shut in reads it, what it sends is recorded as a broadcast is. This process never looks
//! into the file.

use std::fs::File;
use std::time::Duration;

use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::folder::{self, Shape};
use super::{Import, Imports, on_disk};
use crate::base::clock::{self, TIMESCALE};
use crate::base::ids;
use crate::base::terms::{BroadcastState, ImportState, SourceKind};
use crate::library::recorder::Recorder;
use crate::library::vod::LibraryError;
use crate::media::collate;
use crate::media::packager::{Event, Packager};
use crate::media::protocol::{ErrorCode, FromWorker, Part, Start, Task, ToWorker, VERSION};
use crate::store::broadcasts::{self, Broadcast, Outcome};
use crate::store::{StoreError, imports, media};
use crate::worker::process::Worker;

/// A worker that says nothing for so long hangs. It runs when nobody else wants to, so this is much.
const PATIENCE: Duration = Duration::from_secs(300);
/// Processor time that a worker may take for a second of what comes out of it, and before anything does.
const COST: u32 = 100;
const COST_AT_FIRST: Duration = Duration::from_secs(600);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A worker that dies of a file is given it so often.
const TRIES: u32 = 2;
/// What is missing at the end of a file may be rounding, or sound that goes on a little longer. Ticks.
const ROUNDING: u64 = TIMESCALE as u64 / 2;

/// What came of a try.
enum Verdict {
    /// `incomplete`: it is cut off or damaged.
    Recorded {
        incomplete: bool,
    },
    /// It cannot be passed on as it is.
    Encode,
    Crashed,
    Refused(&'static str),
    NoRoom,
    Cancelled,
}

impl Imports {
    /// Until it is done, refused or cancelled, or there is no room for it.
    pub(super) async fn work(&self, import: &Import, cancel: &CancellationToken) -> Result<(), LibraryError> {
        let place = self.work_place(&import.id);
        // Half of it may be read in when the power fails: then the file is still wanted.
        let opened = on_disk(move || {
            let file = folder::open(&place)?;
            file.sync_all()?;
            Ok(file)
        });
        let file = match opened.await {
            Ok(file) => file,
            Err(error) => {
                tracing::warn!(%error, import = import.id, "a file cannot be opened");
                self.begin_anew(import, None).await?;
                return self.refuse(import, ImportState::Refused, Some("import_gone")).await;
            }
        };
        let shape = Shape::of(&file.metadata()?);
        if import.size == 0 {
            return self.refuse(import, ImportState::Refused, Some("import_empty")).await;
        }
        let (mut encode, mut crashes) = (false, 0);
        let mut interrupted = self.interrupted(import).await?;
        if let Some((broadcast, packager)) = &interrupted {
            encode = import.encode;
            let done_s = clock::ticks_to_seconds(packager.end());
            tracing::warn!(
                import = import.id,
                file = import.name,
                broadcast = broadcast.id,
                done_s,
                "reading in goes on"
            );
        } else if import.state == ImportState::Working {
            self.begin_anew(import, None).await?;
        }
        loop {
            let (broadcast, packager) = match interrupted.take() {
                Some(interrupted) => interrupted,
                None if !self.has_room(import.size).await => {
                    return self.begin_anew(import, Some("import_no_room")).await;
                }
                None => match self.begin(import, encode).await? {
                    Some(broadcast) => (broadcast.clone(), Packager::new(broadcast.epoch_us, None)),
                    None => return Ok(()),
                },
            };
            self.becomes(&broadcast.id);
            let begun = Import { broadcast_id: Some(broadcast.id.clone()), ..import.clone() };
            let verdict = self.record(&broadcast, packager, &file, encode, cancel).await?;
            let changed = Shape::of(&file.metadata()?) != shape;
            match verdict {
                Verdict::Recorded { .. } if changed => {
                    self.begin_anew(&begun, None).await?;
                    return self.refuse(import, ImportState::Refused, Some("import_changed")).await;
                }
                Verdict::Recorded { incomplete } => return self.complete(import, &broadcast.id, incomplete).await,
                verdict => {
                    let reason = if matches!(verdict, Verdict::NoRoom) { Some("import_no_room") } else { None };
                    self.begin_anew(&begun, reason).await?;
                    match verdict {
                        Verdict::Encode if !encode => encode = true,
                        Verdict::Encode => {
                            return self.refuse(import, ImportState::Refused, Some("import_damaged")).await;
                        }
                        Verdict::Crashed => {
                            crashes += 1;
                            if crashes == TRIES {
                                return self.refuse(import, ImportState::Refused, Some("import_crashed")).await;
                            }
                        }
                        Verdict::Refused(code) => return self.refuse(import, ImportState::Refused, Some(code)).await,
                        Verdict::Cancelled => return self.refuse(import, ImportState::Cancelled, None).await,
                        Verdict::NoRoom | Verdict::Recorded { .. } => return Ok(()),
                    }
                }
            }
        }
    }

    async fn refuse(
        &self,
        import: &Import,
        state: ImportState,
        reason: Option<&'static str>,
    ) -> Result<(), LibraryError> {
        tracing::info!(import = import.id, file = import.name, reason, "not read in");
        self.end(&import.id, state, reason).await?;
        Ok(self.put_away(&import.id).await?)
    }

    /// Whether a recording as large as the file fits, if need be after what may go is gone.
    async fn has_room(&self, size: u64) -> bool {
        let library = &self.0.library;
        let enough = || library.room().is_ok_and(|room| room.fault().is_none() && room.recordable() >= size);
        if !enough()
            && let Err(error) = library.retain().await
        {
            tracing::error!(%error, "no room can be made");
        }
        enough()
    }

    /// Makes the broadcast that the recording will be. For staff alone, until somebody says who may watch it.
    async fn begin(&self, import: &Import, encode: bool) -> Result<Option<Broadcast>, StoreError> {
        let now = clock::wall_ms();
        let broadcast = Broadcast {
            state: BroadcastState::Scheduled,
            source: String::from("file"),
            source_kind: SourceKind::File,
            started_at: Some(now),
            ..Broadcast::bare(&ids::public_id(), &folder::title(&import.name), now * 1000)
        };
        let (row, id) = (broadcast.clone(), import.id.clone());
        let begin = move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> {
            broadcasts::insert(tx, &row)?;
            let waited = imports::begin(tx, &id, &row.id, encode)?;
            if !waited {
                broadcasts::delete(tx, &row.id)?;
            }
            Ok(waited)
        };
        Ok(self.0.library.db.write(begin).await?.then_some(broadcast))
    }

    /// What was made before a start, where any of it is safe: the recording, and where it goes on.
    async fn interrupted(&self, import: &Import) -> Result<Option<(Broadcast, Packager)>, LibraryError> {
        let library = &self.0.library;
        let Some(id) = import.broadcast_id.as_deref().filter(|_| import.state == ImportState::Working) else {
            return Ok(None);
        };
        let Some(broadcast) = library.broadcast(id).await? else { return Ok(None) };
        library.update(id, |tx, id| -> Result<_, StoreError> { Ok(media::take_back_cut(tx, id)?) }).await?;
        let recording = library.growing(id, broadcast.epoch_us).await?;
        Ok(recording.renditions.get(&0).map(|rendition| {
            let segments = rendition.segments.iter().map(|row| row.segment.clone()).collect();
            let packager = Packager::go_on(broadcast.epoch_us, rendition.inits.clone(), segments);
            (Broadcast::clone(&broadcast), packager)
        }))
    }

    /// One try: everything that the worker sends is on disk and indexed when this returns.
    async fn record(
        &self,
        broadcast: &Broadcast,
        mut packager: Packager,
        file: &File,
        encode: bool,
        cancel: &CancellationToken,
    ) -> Result<Verdict, LibraryError> {
        let recorder = self.0.library.recorder(broadcast)?;
        let mut worker = Worker::spawn_shut_in(Some(file.try_clone()?))?;
        keep(&recorder, packager.init_in_force().into_iter().collect()).await;
        let verdict = tokio::select! {
            verdict = self.converse(&mut worker, encode, &mut packager, &recorder) => verdict,
            () = cancel.cancelled() => Verdict::Cancelled,
        };
        worker.kill().await;
        keep(&recorder, packager.finish()).await;
        let health = recorder.health();
        recorder.finish().await;
        let lost = health.parts_lost.load(std::sync::atomic::Ordering::Relaxed) > 0;
        Ok(match verdict {
            Verdict::Recorded { .. } if lost => Verdict::NoRoom,
            verdict => verdict,
        })
    }

    async fn converse(
        &self,
        worker: &mut Worker,
        encode: bool,
        packager: &mut Packager,
        recorder: &Recorder,
    ) -> Verdict {
        let from = packager.end();
        let task = Task::Import { encode, from };
        let start = Start { version: VERSION, base_ns: clock::monotonic_ns(), left_out: Vec::new(), task };
        if worker.sender.send(&ToWorker::Start(start)).await.is_err() {
            return Verdict::Crashed;
        }
        let (mut length, mut incomplete) = (None, false);
        // Where the media begins is the same for all that is read in.
        let came = |packager: &Packager| packager.end().saturating_sub(collate::BEGIN);
        self.progress(0.0);
        let health = recorder.health();
        let (mut deadline, mut looked) = (clock::instant() + PATIENCE, clock::instant());
        loop {
            if looked.elapsed() >= LOOK {
                looked = clock::instant();
                if worker.processor_time().is_some_and(|took| took > allowed(came(packager))) {
                    return Verdict::Refused("import_stalled");
                }
            }
            let message = match timeout_at(deadline.into(), worker.receiver.receive()).await {
                // That it lives is not that it gets on.
                Ok(Ok(Some(FromWorker::Pulse))) => continue,
                Ok(Ok(Some(message))) => message,
                Ok(_) => {
                    let reason = worker.last_words("it closed its socket").await;
                    tracing::warn!(reason, "the worker that read a file is lost");
                    return Verdict::Crashed;
                }
                Err(_) => return Verdict::Refused("import_stalled"),
            };
            deadline = clock::instant() + PATIENCE;
            match message {
                FromWorker::Hello { version } if version != VERSION => return Verdict::Crashed,
                FromWorker::Length { ms } => length = Some(clock::ns_to_ticks(ms.saturating_mul(1_000_000))),
                FromWorker::Init(init) => keep(recorder, packager.init(init)).await,
                FromWorker::Part(part) => {
                    // What goes on is no break.
                    let discontinuity = part.discontinuity && part.start != from;
                    keep(recorder, packager.part(Part { discontinuity, ..part })).await;
                    if let Some(length) = length.filter(|length| *length > 0) {
                        self.progress(came(packager) as f64 / length as f64);
                    }
                    if health.parts_lost.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                        return Verdict::NoRoom;
                    }
                }
                FromWorker::Error { code, message, fatal } => {
                    tracing::info!(?code, message, fatal, "of a file that is read in");
                    match code {
                        _ if !fatal => incomplete = true,
                        ErrorCode::CannotPass => return Verdict::Encode,
                        code => return Verdict::Refused(word(code)),
                    }
                }
                FromWorker::Ended => {
                    incomplete |= length.is_some_and(|length| came(packager) + ROUNDING + length / 20 < length);
                    return Verdict::Recorded { incomplete };
                }
                _ => {}
            }
        }
    }

    /// The recording is there, and its file goes to where it is kept for a while.
    async fn complete(&self, import: &Import, broadcast_id: &str, incomplete: bool) -> Result<(), LibraryError> {
        let library = &self.0.library;
        let (id, now) = (import.id.clone(), clock::wall_ms());
        let outcome = Outcome {
            state: BroadcastState::Ended,
            failure: None,
            ended_at: now,
            aged_from: clock::trusted().then_some(now),
        };
        let reason = incomplete.then_some("import_incomplete");
        library
            .update(broadcast_id, move |tx, broadcast_id| -> Result<_, StoreError> {
                broadcasts::finish(tx, broadcast_id, &outcome)?;
                Ok(imports::end(tx, &id, ImportState::Done, reason, now)?)
            })
            .await?;
        tracing::info!(import = import.id, broadcast = broadcast_id, file = import.name, incomplete, "read in");
        self.put_away(&import.id).await?;
        match library.picture(broadcast_id).await? {
            Ok(jpeg) => library.set_thumbnail(broadcast_id, jpeg).await?,
            Err(reason) => tracing::warn!(broadcast = broadcast_id, reason, "no thumbnail can be made of it"),
        }
        library.added.notify_one();
        Ok(())
    }
}

async fn keep(recorder: &Recorder, events: Vec<Event>) {
    for event in events {
        recorder.keep(0, event).await;
    }
}

/// Processor time for so many ticks of what came out.
fn allowed(came: u64) -> Duration {
    COST_AT_FIRST + Duration::from_nanos(clock::ticks_to_ns(came)) * COST
}

/// Why a file is refused, by what its worker says.
fn word(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::NoMedia | ErrorCode::NoVideo => "import_no_media",
        ErrorCode::UnsupportedCodec | ErrorCode::MissingPlugin => "import_unsupported",
        ErrorCode::TooLong => "import_too_long",
        ErrorCode::BadMedia => "import_damaged",
        _ => "import_failed",
    }
}

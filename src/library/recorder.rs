//! Writes a broadcast's parts to reels and their index to the database, on a thread of its own: a slow disk never holds a
//! frame back. The hand-over is bounded; what overflows leaves a hole in the recording, is counted and shown.
//!
//! Order on disk, which `recover` relies on: bytes → `fdatasync` (once a second) → row (every two seconds), and a reel's
//! directory entry before its first row.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::layout::Layout;
use super::note::About;
use super::reel::Reel;
use crate::base::clock;
use crate::media::packager::Event;
use crate::media::protocol::Init;
use crate::media::window::Segment;
use crate::store::{Db, StoreError, media};

/// Parts under way to the disk: 25 s of 200 ms in four renditions.
const QUEUE: usize = 512;
const SYNC_EVERY: Duration = Duration::from_secs(1);
const COMMIT_EVERY: Duration = Duration::from_secs(2);
/// Between two attempts at the last commit.
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// A reel is closed when it is this long, or as old as [`Limits`] says.
const REEL_LENGTH: u64 = 64 << 20;

/// What the admin's settings say about recording.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the disk that are left to others: below that, nothing is written.
    pub min_free: u64,
    /// A reel is closed when it is this old.
    pub reel_age: Duration,
}

/// How the recording is doing; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Health {
    /// Nothing is written at present: the disk fails, is full, or is too slow.
    bytes_paused: AtomicBool,
    /// The index waits for the database.
    index_paused: AtomicBool,
    /// Parts that never reached the disk.
    pub parts_lost: AtomicU64,
    /// `CLOCK_MONOTONIC` when media was indexed last, nanoseconds; 0 before.
    indexed_at: AtomicU64,
}

impl Health {
    /// Rows of the last `within` say that the broadcast is on air.
    pub fn indexed(&self, within: Duration) -> bool {
        let since = clock::monotonic_ns().saturating_sub(self.indexed_at.load(Ordering::Relaxed));
        Duration::from_nanos(since) < within
    }

    /// The recording does not go on as it should.
    pub fn paused(&self) -> bool {
        self.bytes_paused.load(Ordering::Relaxed) || self.index_paused.load(Ordering::Relaxed)
    }
}

/// The broadcast's end of the recorder.
pub struct Recorder {
    queue: SyncSender<Command>,
    /// Inits that did not fit into the queue.
    inits_due: Vec<(u8, Event)>,
    /// Renditions for which the queue was full: nothing of them is sent before their next segment begins.
    skipping: HashSet<u8>,
    health: Arc<Health>,
}

enum Command {
    Event(u8, Event),
    Finish(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts the thread. `about` is what all reels say of the broadcast.
    pub fn start(layout: Layout, db: Db, about: About, limits: Limits) -> io::Result<Recorder> {
        let (queue, commands) = sync_channel(QUEUE);
        let health = Arc::new(Health::default());
        let writer = Writer {
            layout,
            db,
            about,
            limits,
            health: health.clone(),
            tracks: BTreeMap::new(),
            due: Rows::default(),
            synced_at: clock::instant(),
            committed_at: None,
        };
        std::thread::Builder::new().name("recorder".into()).spawn(move || writer.run(&commands))?;
        Ok(Recorder { queue, inits_due: Vec::new(), skipping: HashSet::new(), health })
    }

    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Hands over what a rendition's packager did. Never waits.
    pub fn record(&mut self, rendition: u8, event: Event) {
        match event {
            Event::Init { .. } => self.inits_due.push((rendition, event)),
            Event::Part { begins: Some(_), .. } => {
                self.skipping.remove(&rendition);
                let due: Vec<_> = self.inits_due.extract_if(.., |(whose, _)| *whose == rendition).collect();
                for (_, init) in due {
                    self.send(rendition, init);
                }
                self.send(rendition, event);
            }
            Event::Part { .. } | Event::Segment(_) => self.send(rendition, event),
        }
    }

    /// The same for what is not live: waits for a disk that is slower, and leaves nothing out.
    pub async fn keep(&self, rendition: u8, event: Event) {
        let Err(TrySendError::Full(command)) = self.queue.try_send(Command::Event(rendition, event)) else { return };
        let queue = self.queue.clone();
        let _ = tokio::task::spawn_blocking(move || queue.send(command)).await;
    }

    /// Writes and indexes all that was handed over; returns when it is on disk, however long the database takes. The thread
    /// goes on where nobody waits any more.
    pub async fn finish(self) {
        let (done, finished) = oneshot::channel();
        let queue = self.queue;
        // The queue may be full of parts for a slow disk: wait for it here, off the runtime's threads.
        let _ = tokio::task::spawn_blocking(move || queue.send(Command::Finish(done))).await;
        let _ = finished.await;
    }

    fn send(&mut self, rendition: u8, event: Event) {
        let (is_part, is_init) = (matches!(event, Event::Part { .. }), matches!(event, Event::Init { .. }));
        let refused = if self.skipping.contains(&rendition) {
            Some(event)
        } else {
            match self.queue.try_send(Command::Event(rendition, event)) {
                Ok(()) => None,
                Err(
                    TrySendError::Full(Command::Event(_, event)) | TrySendError::Disconnected(Command::Event(_, event)),
                ) => {
                    self.skipping.insert(rendition);
                    self.health.bytes_paused.store(true, Ordering::Relaxed);
                    Some(event)
                }
                Err(_) => None,
            }
        };
        let Some(event) = refused else { return };
        if is_init {
            self.inits_due.push((rendition, event));
        }
        if is_part {
            self.health.parts_lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The thread's own state.
struct Writer {
    layout: Layout,
    db: Db,
    /// What all reels say of the broadcast.
    about: About,
    limits: Limits,
    health: Arc<Health>,
    tracks: BTreeMap<u8, Track>,
    due: Rows,
    synced_at: Instant,
    /// None before the first time, which is as soon as there is anything: it can be played from then on.
    committed_at: Option<Instant>,
}

/// One rendition.
struct Track {
    /// What the next reel says of itself.
    about: About,
    init: Init,
    reel: Option<Reel>,
    reel_since: Instant,
    /// What was to be written last was not.
    failed: bool,
}

/// What the next commit writes, in this order; each with its rendition.
#[derive(Clone, Default)]
struct Rows {
    inits: Vec<(u8, u32, Init)>,
    reels: Vec<(u8, String)>,
    complete: Vec<(u8, media::IndexedSegment)>,
    closed: Vec<media::Closed>,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let wait = SYNC_EVERY.saturating_sub(self.synced_at.elapsed());
            match commands.recv_timeout(wait) {
                Ok(Command::Event(rendition, event)) => self.handle(rendition, event),
                Ok(Command::Finish(done)) => {
                    self.complete_index();
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.complete_index();
                    return;
                }
            }
            if self.synced_at.elapsed() >= SYNC_EVERY {
                self.sync_all();
                self.go_on();
            }
            if self.has_rows() && self.committed_at.is_none_or(|at| at.elapsed() >= COMMIT_EVERY) {
                self.commit();
            }
        }
    }

    fn handle(&mut self, rendition: u8, event: Event) {
        match event {
            Event::Init { number, init } => self.begin_track(rendition, number, init),
            Event::Part { begins, bytes } => {
                if let Err(error) = self.append(rendition, begins.as_ref(), &bytes) {
                    self.fail(rendition, &error);
                }
                if !self.reel(rendition).is_some_and(Reel::is_open) {
                    self.health.parts_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Event::Segment(segment) => {
                let reel = self.tracks.get_mut(&rendition).and_then(|track| track.reel.as_mut());
                let Some((location, told)) = reel.and_then(|reel| reel.end_segment(segment.duration)) else { return };
                self.due.complete.push((rendition, media::IndexedSegment { segment, location }));
                if let Err(error) = told {
                    self.fail(rendition, &error);
                }
            }
        }
    }

    /// What follows is decoded by `init`, and lies in a reel of its own.
    fn begin_track(&mut self, rendition: u8, number: u32, init: Init) {
        self.close_reel(rendition);
        self.due.inits.push((rendition, number, init.clone()));
        let about = About {
            rendition,
            init: number,
            codecs: init.codecs.clone(),
            width: init.width,
            height: init.height,
            frame_rate_milli: init.frame_rate_milli,
            has_audio: init.has_audio,
            part_target: init.part_target,
            ..self.about.clone()
        };
        self.tracks.insert(rendition, Track { about, init, reel: None, reel_since: clock::instant(), failed: false });
    }

    fn reel(&self, rendition: u8) -> Option<&Reel> {
        self.tracks.get(&rendition)?.reel.as_ref()
    }

    fn append(&mut self, rendition: u8, begins: Option<&Segment>, bytes: &[u8]) -> io::Result<()> {
        if begins.is_some() {
            let old = self.tracks.get(&rendition).is_some_and(|track| track.is_full(self.limits.reel_age));
            if old {
                self.close_reel(rendition);
            }
            if self.layout.space()?.free < self.limits.min_free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.cut_segment(rendition);
        }
        let Some(track) = self.tracks.get_mut(&rendition) else { return Ok(()) };
        if let Some(segment) = begins {
            let reel = match track.reel.take() {
                Some(reel) => reel,
                None => {
                    let reel = Reel::create(&self.layout, track.about.clone(), &track.init.bytes)?;
                    self.due.reels.push((rendition, reel.id().to_owned()));
                    track.reel_since = clock::instant();
                    reel
                }
            };
            track.reel.insert(reel).begin_segment(segment)?;
        }
        // After a failure, parts pass by until a segment begins.
        let Some(reel) = track.reel.as_mut().filter(|reel| reel.is_open()) else { return Ok(()) };
        reel.append(bytes)
    }

    fn sync_all(&mut self) {
        self.synced_at = clock::instant();
        let renditions: Vec<u8> = self.tracks.keys().copied().collect();
        for rendition in renditions {
            self.sync(rendition);
        }
    }

    fn sync(&mut self, rendition: u8) {
        let reel = self.tracks.get_mut(&rendition).and_then(|track| track.reel.as_mut());
        if let Some(Err(error)) = reel.map(|reel| reel.sync(&self.layout)) {
            self.abandon(rendition, &error);
        }
    }

    /// A segment whose end does not come, since a write failed or the queue was full: what is there of it is kept.
    fn cut_segment(&mut self, rendition: u8) {
        let reel = self.tracks.get_mut(&rendition).and_then(|track| track.reel.as_mut());
        match reel.map(|reel| reel.cut_segment(&self.layout)) {
            Some(Ok(cut)) => self.due.complete.extend(cut.map(|row| (rendition, row))),
            Some(Err(error)) => tracing::error!(%error, broadcast = self.about.broadcast, "a part of it is left out"),
            None => {}
        }
    }

    fn close_reel(&mut self, rendition: u8) {
        self.sync(rendition);
        self.cut_segment(rendition);
        let reel = self.tracks.get_mut(&rendition).and_then(|track| track.reel.take());
        self.due.closed.extend(reel.map(Reel::close));
    }

    /// Indexes the complete segments; all of them are synced, or this syncs them.
    fn commit(&mut self) {
        self.sync_all();
        let (rows, broadcast_id, now) = (self.due.clone(), self.about.broadcast.clone(), clock::wall_ms());
        let any = !rows.complete.is_empty();
        let written = self.db.write_blocking(move |tx| -> Result<(), StoreError> {
            for (rendition, number, init) in &rows.inits {
                media::insert_init(tx, &broadcast_id, *rendition, *number, init)?;
            }
            for (rendition, reel) in &rows.reels {
                media::insert_reel(tx, reel, &broadcast_id, *rendition, now)?;
            }
            for (rendition, row) in &rows.complete {
                media::insert_segment(tx, &broadcast_id, *rendition, row)?;
            }
            for reel in &rows.closed {
                media::close_reel(tx, reel)?;
            }
            Ok(())
        });
        match written {
            Ok(()) => {
                self.due = Rows::default();
                if any {
                    self.health.indexed_at.store(clock::monotonic_ns(), Ordering::Relaxed);
                }
                if self.health.index_paused.swap(false, Ordering::Relaxed) {
                    tracing::info!(broadcast = self.about.broadcast, "recording is indexed again");
                }
            }
            // Kept for the next attempt: the bytes are safe, only their index waits.
            Err(error) => {
                if !self.health.index_paused.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, broadcast = self.about.broadcast, "recording cannot be indexed; trying again");
                }
            }
        }
        // From here, since a database that is held by another program takes its time to refuse.
        self.committed_at = Some(clock::instant());
    }

    fn has_rows(&self) -> bool {
        !(self.due.complete.is_empty() && self.due.closed.is_empty())
    }

    /// The last commit. What it leaves behind nobody would index before the next start, so it is tried again for as long as the
    /// program runs.
    fn complete_index(&mut self) {
        let renditions: Vec<u8> = self.tracks.keys().copied().collect();
        for rendition in renditions {
            self.close_reel(rendition);
        }
        while self.has_rows() {
            self.commit();
            if self.has_rows() {
                std::thread::sleep(TRY_AGAIN);
            }
        }
    }

    /// A write failed: what the reel holds is kept if it can still be synced, and nothing is added to it.
    fn fail(&mut self, rendition: u8, error: &io::Error) {
        self.close_reel(rendition);
        self.pause(rendition, error);
    }

    /// What a failed fsync left behind is unknown: none of it is indexed, and the file is not used again.
    fn abandon(&mut self, rendition: u8, error: &io::Error) {
        if let Some(reel) = self.tracks.get_mut(&rendition).and_then(|track| track.reel.take()) {
            let id = reel.id().to_owned();
            let left = reel.abandon(&self.layout);
            if !self.health.bytes_paused.load(Ordering::Relaxed) {
                tracing::error!(%error, reel = id, left, "a sync failed: the reel is abandoned, another is opened");
            }
            if left == 0 {
                self.due.reels.retain(|(_, known)| *known != id);
            }
            let kept = |row: &media::IndexedSegment| row.location.offset + row.location.length <= left;
            self.due.complete.retain(|(_, row)| row.location.reel_id != id || kept(row));
        }
        self.pause(rendition, error);
    }

    /// What is being written was synced: only that shows that the disk takes it again.
    fn go_on(&mut self) {
        let mut writing = false;
        for track in self.tracks.values_mut().filter(|track| track.reel.as_ref().is_some_and(Reel::is_open)) {
            (writing, track.failed) = (true, false);
        }
        let well = writing && !self.tracks.values().any(|track| track.failed);
        if well && self.health.bytes_paused.swap(false, Ordering::Relaxed) {
            tracing::info!(broadcast = self.about.broadcast, "recording goes on");
        }
    }

    fn pause(&mut self, rendition: u8, error: &io::Error) {
        if let Some(track) = self.tracks.get_mut(&rendition) {
            track.failed = true;
        }
        if !self.health.bytes_paused.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, broadcast = self.about.broadcast, "recording paused");
        }
    }
}

impl Track {
    fn is_full(&self, age: Duration) -> bool {
        self.reel.as_ref().is_some_and(|reel| reel.length() >= REEL_LENGTH || self.reel_since.elapsed() >= age)
    }
}

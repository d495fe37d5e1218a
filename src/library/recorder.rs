//! Writes a broadcast's parts to reels and their index to the database, on a thread of its own: a slow disk never holds a
//! frame back. The hand-over is bounded; what overflows leaves a hole in the recording, is counted and shown.
//!
//! Order on disk, which `recover` relies on: bytes → `fdatasync` (once a second) → row (every two seconds), and a reel's
//! directory entry before its first row.

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

/// Parts under way to the disk: 25 s of 200 ms.
const QUEUE: usize = 128;
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
}

impl Health {
    /// The recording does not go on as it should.
    pub fn paused(&self) -> bool {
        self.bytes_paused.load(Ordering::Relaxed) || self.index_paused.load(Ordering::Relaxed)
    }
}

/// The broadcast's end of the recorder.
pub struct Recorder {
    queue: SyncSender<Command>,
    /// Inits that did not fit into the queue.
    inits_due: Vec<Event>,
    /// The queue was full: nothing is sent before the next segment begins.
    skipping: bool,
    health: Arc<Health>,
}

enum Command {
    Event(Event),
    Finish(oneshot::Sender<()>),
}

impl Recorder {
    /// Starts the thread.
    pub fn start(layout: Layout, db: Db, about: About, limits: Limits) -> io::Result<Recorder> {
        let (queue, commands) = sync_channel(QUEUE);
        let health = Arc::new(Health::default());
        let writer = Writer {
            layout,
            db,
            about,
            limits,
            health: health.clone(),
            init: None,
            reel: None,
            reel_since: clock::instant(),
            inits: Vec::new(),
            reels: Vec::new(),
            complete: Vec::new(),
            closed: Vec::new(),
            synced_at: clock::instant(),
            committed_at: clock::instant(),
        };
        std::thread::Builder::new().name("recorder".into()).spawn(move || writer.run(&commands))?;
        Ok(Recorder { queue, inits_due: Vec::new(), skipping: false, health })
    }

    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Hands over what the packager did. Never waits.
    pub fn record(&mut self, event: Event) {
        match event {
            Event::Init { .. } => self.inits_due.push(event),
            Event::Part { begins: Some(_), .. } => {
                self.skipping = false;
                for init in std::mem::take(&mut self.inits_due) {
                    if self.skipping {
                        self.inits_due.push(init);
                    } else {
                        self.send(init);
                    }
                }
                self.send(event);
            }
            Event::Part { .. } | Event::Segment(_) => self.send(event),
        }
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

    fn send(&mut self, event: Event) {
        let is_part = matches!(event, Event::Part { .. });
        if !self.skipping {
            match self.queue.try_send(Command::Event(event)) {
                Ok(()) => return,
                Err(TrySendError::Full(Command::Event(event)) | TrySendError::Disconnected(Command::Event(event))) => {
                    self.skipping = true;
                    self.health.bytes_paused.store(true, Ordering::Relaxed);
                    if matches!(event, Event::Init { .. }) {
                        self.inits_due.push(event);
                    }
                }
                Err(_) => {}
            }
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
    /// What the next reel says of itself.
    about: About,
    limits: Limits,
    health: Arc<Health>,
    init: Option<Init>,
    reel: Option<Reel>,
    reel_since: Instant,
    /// What the next commit writes, in this order.
    inits: Vec<(u32, Init)>,
    reels: Vec<String>,
    complete: Vec<media::IndexedSegment>,
    closed: Vec<media::Closed>,
    synced_at: Instant,
    committed_at: Instant,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let wait = SYNC_EVERY.saturating_sub(self.synced_at.elapsed());
            match commands.recv_timeout(wait) {
                Ok(Command::Event(event)) => self.handle(event),
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
                self.sync();
                self.go_on();
            }
            if self.has_rows() && self.committed_at.elapsed() >= COMMIT_EVERY {
                self.commit();
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Init { number, init } => {
                self.inits.push((number, init.clone()));
                self.about = About {
                    init: number,
                    codecs: init.codecs.clone(),
                    width: init.width,
                    height: init.height,
                    frame_rate_milli: init.frame_rate_milli,
                    has_audio: init.has_audio,
                    part_target: init.part_target,
                    ..self.about.clone()
                };
                self.init = Some(init);
                self.close_reel();
            }
            Event::Part { begins, bytes } => {
                if let Err(error) = self.append(begins.as_ref(), &bytes) {
                    self.fail(&error);
                }
                if !self.reel.as_ref().is_some_and(Reel::is_open) {
                    self.health.parts_lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Event::Segment(segment) => {
                let ended = self.reel.as_mut().and_then(|reel| reel.end_segment(segment.duration));
                let Some((location, told)) = ended else { return };
                self.complete.push(media::IndexedSegment { segment, location });
                if let Err(error) = told {
                    self.fail(&error);
                }
            }
        }
    }

    fn append(&mut self, begins: Option<&Segment>, bytes: &[u8]) -> io::Result<()> {
        if let Some(segment) = begins {
            let full = |reel: &Reel| reel.length() >= REEL_LENGTH || self.reel_since.elapsed() >= self.limits.reel_age;
            if self.reel.as_ref().is_some_and(full) {
                self.close_reel();
            }
            if self.layout.space()?.free < self.limits.min_free {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if self.reel.is_none() {
                let Some(init) = &self.init else { return Ok(()) };
                let reel = Reel::create(&self.layout, self.about.clone(), &init.bytes)?;
                self.reels.push(reel.id().to_owned());
                self.reel = Some(reel);
                self.reel_since = clock::instant();
            }
            self.cut_segment();
            if let Some(reel) = &mut self.reel {
                reel.begin_segment(segment)?;
            }
        }
        // After a failure, parts pass by until a segment begins.
        let Some(reel) = self.reel.as_mut().filter(|reel| reel.is_open()) else { return Ok(()) };
        reel.append(bytes)
    }

    fn sync(&mut self) {
        self.synced_at = clock::instant();
        let result = match &mut self.reel {
            Some(reel) => reel.sync(&self.layout),
            None => Ok(()),
        };
        if let Err(error) = result {
            self.abandon(&error);
        }
    }

    /// A segment whose end does not come, since a write failed or the queue was full: what is there of it is kept.
    fn cut_segment(&mut self) {
        match self.reel.as_mut().map(|reel| reel.cut_segment(&self.layout)) {
            Some(Ok(cut)) => self.complete.extend(cut),
            Some(Err(error)) => tracing::error!(%error, broadcast = self.about.broadcast, "a part of it is left out"),
            None => {}
        }
    }

    fn close_reel(&mut self) {
        self.sync();
        self.cut_segment();
        self.closed.extend(self.reel.take().map(Reel::close));
    }

    /// Indexes the complete segments; all of them are synced, or this syncs them.
    fn commit(&mut self) {
        self.sync();
        let (inits, reels, complete) = (self.inits.clone(), self.reels.clone(), self.complete.clone());
        let closed = self.closed.clone();
        let (broadcast_id, rendition, now) = (self.about.broadcast.clone(), self.about.rendition, clock::wall_ms());
        let written = self.db.write_blocking(move |tx| -> Result<(), StoreError> {
            for (number, init) in &inits {
                media::insert_init(tx, &broadcast_id, rendition, *number, init)?;
            }
            for reel in &reels {
                media::insert_reel(tx, reel, &broadcast_id, rendition, now)?;
            }
            for row in &complete {
                media::insert_segment(tx, &broadcast_id, rendition, row)?;
            }
            for reel in &closed {
                media::close_reel(tx, reel)?;
            }
            Ok(())
        });
        match written {
            Ok(()) => {
                self.inits.clear();
                self.reels.clear();
                self.complete.clear();
                self.closed.clear();
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
        self.committed_at = clock::instant();
    }

    fn has_rows(&self) -> bool {
        !(self.complete.is_empty() && self.closed.is_empty())
    }

    /// The last commit. What it leaves behind nobody would index before the next start, so it is tried again for as long as the
    /// program runs.
    fn complete_index(&mut self) {
        self.close_reel();
        while self.has_rows() {
            self.commit();
            if self.has_rows() {
                std::thread::sleep(TRY_AGAIN);
            }
        }
    }

    /// A write failed: what the reel holds is kept if it can still be synced, and nothing is added to it.
    fn fail(&mut self, error: &io::Error) {
        self.close_reel();
        self.pause(error);
    }

    /// What a failed fsync left behind is unknown: none of it is indexed, and the file is not used again.
    fn abandon(&mut self, error: &io::Error) {
        if let Some(reel) = self.reel.take() {
            let id = reel.id().to_owned();
            let left = reel.abandon(&self.layout);
            if !self.health.bytes_paused.load(Ordering::Relaxed) {
                tracing::error!(%error, reel = id, left, "a sync failed: the reel is abandoned, another is opened");
            }
            if left == 0 {
                self.reels.retain(|known| *known != id);
            }
            self.complete.retain(|row| row.location.reel_id != id || row.location.offset + row.location.length <= left);
        }
        self.pause(error);
    }

    /// What is being written was synced: only that shows that the disk takes it again.
    fn go_on(&self) {
        if self.reel.as_ref().is_some_and(Reel::is_open) && self.health.bytes_paused.swap(false, Ordering::Relaxed) {
            tracing::info!(broadcast = self.about.broadcast, "recording goes on");
        }
    }

    fn pause(&self, error: &io::Error) {
        if !self.health.bytes_paused.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, broadcast = self.about.broadcast, "recording paused");
        }
    }
}

//! The task of one RTMP publisher: its tags go through [`Passthrough`] to the parent, without GStreamer in the way. Beside
//! that way a [`Monitor`] looks and listens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::link::Outbox;
use super::monitor::Monitor;
use super::{Counters, MediaTime};
use crate::base::clock;
use crate::media::passthrough::{Event, Passthrough};
use crate::media::protocol::{FlvTag, FromWorker, SourceState};

const TICK: Duration = Duration::from_millis(250);
/// A picture that stands still in the publisher's hands this long is lost.
const PICTURE_LOST: Duration = Duration::from_millis(1500);

/// A publisher's worker.
pub struct Publisher {
    passthrough: Mutex<Passthrough>,
    monitor: Monitor,
    time: MediaTime,
    /// Where the media before this session ended, ticks.
    not_before: u64,
    outbox: Outbox,
    counters: Arc<Counters>,
    parts: AtomicU64,
    /// The picture has stopped.
    lost: AtomicBool,
}

impl Publisher {
    /// Waits for tags.
    pub fn start(part_ms: u32, not_before: u64, time: MediaTime, outbox: &Outbox) -> Arc<Self> {
        outbox.send(FromWorker::State(SourceState::Starting));
        let counters = Arc::new(Counters::default());
        counters.report(outbox);
        let publisher = Arc::new(Self {
            passthrough: Mutex::new(Passthrough::new(part_ms)),
            monitor: Monitor::start(outbox),
            time,
            not_before,
            outbox: outbox.clone(),
            counters,
            parts: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        });
        let ticking = Arc::clone(&publisher);
        std::thread::spawn(move || {
            let (mut frames, mut still) = (0, Duration::ZERO);
            loop {
                std::thread::sleep(TICK);
                let mut passthrough = ticking.lock();
                let events = passthrough.tick(ticking.now());
                ticking.handle(events);
                still = if passthrough.frames() == frames { still + TICK } else { Duration::ZERO };
                frames = passthrough.frames();
                ticking.tell_picture(frames > 0 && still >= PICTURE_LOST);
            }
        });
        publisher
    }

    /// Takes one tag.
    pub fn take(&self, tag: &FlvTag) {
        self.counters.bytes.fetch_add(tag.body.len() as u64, Ordering::Relaxed);
        let mut passthrough = self.lock();
        let events = passthrough.take(tag, self.now());
        self.counters.frames.store(passthrough.frames(), Ordering::Relaxed);
        self.counters.dropped.store(passthrough.dropped(), Ordering::Relaxed);
        self.handle(events);
    }

    /// Sends what is left.
    pub fn stop(&self) {
        let last = self.lock().finish();
        self.handle(last.map(Event::Part).into_iter().collect());
    }

    /// Says so when the picture stops, and when it goes on.
    fn tell_picture(&self, lost: bool) {
        if self.lost.swap(lost, Ordering::Relaxed) != lost {
            let state = if lost { SourceState::VideoLost } else { SourceState::Running };
            self.outbox.send(FromWorker::State(state));
        }
    }

    fn handle(&self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Init(init) => self.outbox.send(FromWorker::Init(init)),
                Event::Part(cut) => {
                    if self.parts.fetch_add(1, Ordering::Relaxed) == 0 {
                        self.outbox.send(FromWorker::State(SourceState::Running));
                    }
                    self.outbox.part(cut);
                }
                Event::Key(config, data) => self.monitor.look(config, data),
                Event::Sound(config, data) => self.monitor.listen(config, data),
                Event::Fatal(code, message) => self.outbox.fatal(code, message),
            }
        }
    }

    fn now(&self) -> u64 {
        clock::ns_to_ticks(self.time.now_ns()).max(self.not_before)
    }

    /// [`Passthrough`] does not panic; if it did, its parts would still be whole.
    fn lock(&self) -> MutexGuard<'_, Passthrough> {
        self.passthrough.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

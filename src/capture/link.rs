//! The worker's end of the socketpair: frames of [`crate::media::protocol`] in and out. Nothing here knows about media
//! beyond what may be left out when the parent is slow.
//!
//! GStreamer's threads never wait for the parent: they put into a bounded queue, and one thread writes it out.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::base::clock;
use crate::media::fragment::Cut;
use crate::media::protocol::{ErrorCode, FromWorker, MAX_FRAME, PULSE};

/// Bytes of parts that may wait for the parent: 8 s at 8 Mbit/s.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// Messages that may wait before those are left out that the next one replaces anyway.
const BUSY: usize = 8;
/// How long a worker that ends waits for the parent to take the rest.
const FAREWELL: Duration = Duration::from_secs(2);

/// Reads one message; `None` when the peer has closed.
///
/// # Errors
/// Of the socket, or `InvalidData` for a frame that is too long or is not a message.
pub fn receive<T: DeserializeOwned>(socket: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is longer than any message"));
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    postcard::from_bytes(&body).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Where every thread of the worker leaves what the parent shall know.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<FromWorker>,
    part_bytes: usize,
    /// Parts are left out until one begins with a keyframe and there is room.
    skipping: bool,
    /// The next part does not follow on the last one that was sent.
    mark: bool,
    frames_dropped: u64,
    writing: bool,
}

impl Outbox {
    /// Starts the thread that writes to `socket`. It ends the process when the parent is gone.
    pub fn start(mut socket: UnixStream) -> Self {
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new() });
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || {
            loop {
                let message = writer.next();
                if let Err(error) = send(&mut socket, &message) {
                    tracing::info!(%error, "the parent is gone");
                    std::process::exit(0);
                }
                writer.lock().writing = false;
                writer.changed.notify_all();
            }
        });
        Self(shared)
    }

    /// For what must arrive: it is never left out.
    pub fn send(&self, message: FromWorker) {
        self.0.lock().waiting.push_back(message);
        self.0.changed.notify_all();
    }

    /// For what the next one replaces (level, snapshot, statistics): left out while the parent is busy.
    pub fn offer(&self, message: FromWorker) {
        let mut queue = self.0.lock();
        if queue.waiting.len() < BUSY {
            queue.waiting.push_back(message);
            self.0.changed.notify_all();
        }
    }

    /// For parts. When too many wait, all are left out up to the next keyframe for which there is room, and that one
    /// is marked as a discontinuity.
    pub fn part(&self, cut: Cut) {
        let mut queue = self.0.lock();
        let Cut { mut part, frames } = cut;
        let fits = queue.part_bytes + part.bytes.len() <= MAX_QUEUED_BYTES;
        if !fits || (queue.skipping && !part.independent) {
            queue.skipping = true;
            queue.mark = true;
            queue.frames_dropped += u64::from(frames);
            return;
        }
        queue.skipping = false;
        part.discontinuity |= std::mem::take(&mut queue.mark);
        queue.part_bytes += part.bytes.len();
        queue.waiting.push_back(FromWorker::Part(part));
        self.0.changed.notify_all();
    }

    /// For media of what is not live: waits until there is room, and leaves none out.
    pub fn whole(&self, message: FromWorker) {
        let mut queue = self.0.lock();
        let weight = weight(&message);
        while queue.part_bytes > 0 && queue.part_bytes + weight > MAX_QUEUED_BYTES {
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.part_bytes += weight;
        queue.waiting.push_back(message);
        self.0.changed.notify_all();
    }

    /// Waits until everything is written, however long that takes.
    pub fn drain(&self) {
        let mut queue = self.0.lock();
        while !queue.waiting.is_empty() || queue.writing {
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Video frames in parts that were left out since the start.
    pub fn frames_dropped(&self) -> u64 {
        self.0.lock().frames_dropped
    }

    /// Says what went wrong and lives on.
    pub fn trouble(&self, code: ErrorCode, message: impl Into<String>) {
        let message = message.into();
        tracing::warn!(?code, message, "trouble");
        self.send(FromWorker::Error { code, message, fatal: false });
    }

    /// Says what went wrong, lets the parent take it, and ends the process.
    pub fn fatal(&self, code: ErrorCode, message: impl Into<String>) -> ! {
        let message = message.into();
        tracing::error!(?code, message, "fatal");
        self.send(FromWorker::Error { code, message, fatal: true });
        self.flush();
        std::process::exit(1)
    }

    /// Waits until everything is written, for [`FAREWELL`] at most.
    pub fn flush(&self) {
        let deadline = clock::instant() + FAREWELL;
        let mut queue = self.0.lock();
        while !queue.waiting.is_empty() || queue.writing {
            let left = deadline.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return;
            }
            queue = self.0.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Bytes of media in a message.
fn weight(message: &FromWorker) -> usize {
    match message {
        FromWorker::Part(part) => part.bytes.len(),
        FromWorker::Made { parts, .. } => parts.iter().map(Bytes::len).sum(),
        _ => 0,
    }
}

impl Shared {
    /// A thread that panicked has left the queue whole, for no statement here can fail half-way.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to write next, for which nobody waits longer than [`PULSE`].
    fn next(&self) -> FromWorker {
        let mut queue = self.lock();
        let until = clock::instant() + PULSE;
        loop {
            if let Some(message) = queue.waiting.pop_front() {
                queue.part_bytes -= weight(&message);
                queue.writing = true;
                return message;
            }
            let left = until.saturating_duration_since(clock::instant());
            if left.is_zero() {
                return FromWorker::Pulse;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn send(socket: &mut UnixStream, message: &FromWorker) -> io::Result<()> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    if length > MAX_FRAME {
        tracing::error!(length, "a message is too long to be sent");
        return Ok(());
    }
    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
    socket.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::protocol::Part;

    fn cut(start: u64, independent: bool, size: usize) -> Cut {
        let bytes = Bytes::from(vec![0; size]);
        Cut { part: Part { rendition: 0, start, duration: 1, independent, discontinuity: false, bytes }, frames: 6 }
    }

    #[test]
    fn a_parent_that_does_not_read_costs_whole_groups_of_pictures() {
        let (here, mut there) = UnixStream::pair().unwrap();
        let outbox = Outbox::start(here);
        for n in 0..40 {
            outbox.part(cut(n, n % 5 == 0, 1 << 20));
        }
        // How many fit depends on when the writer takes the first: eight or so of forty.
        assert!(outbox.frames_dropped() >= 6 * 20);

        let mut parts = Vec::new();
        let taken = outbox.clone();
        let reader = std::thread::spawn(move || {
            while let Some(FromWorker::Part(part)) = receive(&mut there).unwrap() {
                let last = part.start == 101;
                parts.push(part);
                if last {
                    break;
                }
            }
            parts
        });
        taken.flush();
        taken.part(cut(100, true, 10));
        taken.part(cut(101, false, 10));
        let parts = reader.join().unwrap();
        let mut breaks = parts.windows(2).filter(|w| w[0].start + 1 != w[1].start).map(|w| &w[1]).peekable();
        assert!(breaks.peek().is_some());
        assert!(breaks.all(|part| part.independent && part.discontinuity));
        assert_eq!(parts.len() as u64 + outbox.frames_dropped() / 6, 42, "sent or counted");
    }

    #[test]
    fn a_closed_socket_ends_reading_and_nonsense_is_an_error() {
        assert!(receive::<FromWorker>(&mut &[][..]).unwrap().is_none());
        assert!(receive::<FromWorker>(&mut &[0xff; 8][..]).is_err());
        assert!(receive::<FromWorker>(&mut &[0, 0, 0, 1, 0xee][..]).is_err());
    }
}

//! Where a source leaves what it has and the frame clock takes what it needs. Neither waits for the other.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ring::Ring;

/// Pictures kept: the delay of a source, and a burst.
const PICTURES: usize = 16;

/// One source's newest pictures and samples, by running time.
#[derive(Default)]
pub struct Slots {
    pictures: Mutex<VecDeque<(u64, gst::Buffer)>>,
    sound: Mutex<Ring>,
}

impl Slots {
    /// Leaves a picture that was taken at `time` (ns).
    pub fn put_picture(&self, time: u64, picture: gst::Buffer) {
        let mut pictures = lock(&self.pictures);
        if pictures.len() == PICTURES {
            pictures.pop_front();
        }
        pictures.push_back((time, picture));
    }

    /// The newest picture taken at `time` (ns) or before, and when it was taken. It stays for the next call.
    pub fn picture_at(&self, time: u64) -> Option<(u64, gst::Buffer)> {
        let mut pictures = lock(&self.pictures);
        while pictures.get(1).is_some_and(|(taken, _)| *taken <= time) {
            pictures.pop_front();
        }
        pictures.front().filter(|(taken, _)| *taken <= time).cloned()
    }

    /// Whether any picture is there.
    pub fn has_picture(&self) -> bool {
        !lock(&self.pictures).is_empty()
    }

    /// The samples, for the source to write and the frame clock to read.
    pub fn sound(&self) -> MutexGuard<'_, Ring> {
        lock(&self.sound)
    }
}

/// Nothing between lock and unlock here can leave a value half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Where a source leaves what it has and the frame clock takes what it needs. Neither waits for the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ring::Ring;

/// Pictures kept: the delay of a source, and a burst.
const PICTURES: usize = 16;

/// One source's newest pictures and samples, by running time.
#[derive(Default)]
pub struct Slots {
    pictures: Mutex<VecDeque<(u64, gst::Buffer)>>,
    /// When the newest picture came, ns of running time; 0 before the first.
    arrived: AtomicU64,
    sound: Mutex<Ring>,
}

impl Slots {
    /// Leaves a picture that was taken at `taken`, by the camera's word, and came at `now` (ns).
    pub fn put_picture(&self, taken: u64, now: u64, picture: gst::Buffer) {
        self.arrived.store(now, Ordering::Relaxed);
        let mut pictures = lock(&self.pictures);
        if pictures.len() == PICTURES {
            pictures.pop_front();
        }
        // Some drivers stamp pictures with a time to come, at which nobody would look for them.
        pictures.push_back((taken.min(now), picture));
    }

    /// The newest picture taken at `time` (ns) or before, the oldest if all are newer. It stays for the next call.
    pub fn picture_at(&self, time: u64) -> Option<gst::Buffer> {
        let mut pictures = lock(&self.pictures);
        while pictures.get(1).is_some_and(|(taken, _)| *taken <= time) {
            pictures.pop_front();
        }
        pictures.front().map(|(_, picture)| picture.clone())
    }

    /// When the newest picture came (ns); 0 before the first.
    pub fn last_arrival(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_picture_that_is_old_enough_is_shown() {
        gst::init().unwrap();
        let slots = Slots::default();
        assert!(slots.picture_at(1000).is_none());
        for taken in [100, 200, 300, 9_000] {
            slots.put_picture(taken, 400, gst::Buffer::from_slice(taken.to_be_bytes()));
        }
        let shown = |time| slots.picture_at(time).unwrap().map_readable().unwrap().to_vec();
        assert_eq!(shown(250), 200u64.to_be_bytes());
        assert_eq!(shown(399), 300u64.to_be_bytes());
        assert_eq!(shown(400), 9_000u64.to_be_bytes(), "a time to come counts as now");
        assert_eq!(slots.last_arrival(), 400);
    }
}

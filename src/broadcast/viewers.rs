//! How many watch: whoever has asked for a playlist lately. No cookie, no account, nothing kept.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::base::clock;

/// A viewer who has asked for nothing this long is gone. Players reload at least every other target duration.
const GONE_AFTER: Duration = Duration::from_secs(12);

/// Viewers counted at most.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub struct Viewers {
    seen: Mutex<HashMap<u64, Instant>>,
}

impl Viewers {
    /// Notes a request. `who` tells one player from another: its CMCD session (CTA-5004), or else address and user agent.
    pub fn note(&self, who: impl Hash) {
        let mut hasher = DefaultHasher::new();
        who.hash(&mut hasher);
        let mut seen = self.lock();
        if seen.len() >= MOST {
            seen.retain(|_, last| last.elapsed() < GONE_AFTER);
        }
        // More than that at once is no waiting room; whoever makes names up must not fill the memory.
        if seen.len() < MOST {
            seen.insert(hasher.finish(), clock::instant());
        }
    }

    pub fn count(&self) -> usize {
        let mut seen = self.lock();
        seen.retain(|_, last| last.elapsed() < GONE_AFTER);
        seen.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Instant>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_player_counts_once() {
        let viewers = Viewers::default();
        for who in ["a", "b", "a"] {
            viewers.note(who);
        }
        assert_eq!(viewers.count(), 2);
    }
}

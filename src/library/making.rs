//! Who works on a recording while nobody broadcasts, and how somebody who deletes it makes that stop first: nothing may be written of a
//! recording that is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::vod::lock;

/// The one recording that is worked on, and those that must not be.
#[derive(Clone, Default)]
pub struct Making(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    /// Counts what came to its end.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    current: Option<(String, CancellationToken)>,
    /// How many hold each of them off.
    held_off: HashMap<String, usize>,
}

/// Work on a recording; it is over when this is dropped.
pub struct Claim {
    making: Making,
    /// The work is to stop.
    pub stop: CancellationToken,
}

/// Nobody works on a recording while this lives.
pub struct HeldOff {
    making: Making,
    id: String,
}

impl Making {
    /// Begins to work on a recording, unless it is held off; until `stop` at most.
    pub fn claim(&self, id: &str, stop: &CancellationToken) -> Option<Claim> {
        let mut state = lock(&self.0.state);
        if state.current.is_some() || state.held_off.contains_key(id) {
            return None;
        }
        let stop = stop.child_token();
        state.current = Some((id.to_owned(), stop.clone()));
        Some(Claim { making: self.clone(), stop })
    }

    /// Stops the work on a recording, waits until it is over, and lets none begin.
    pub async fn hold_off(&self, id: &str) -> HeldOff {
        let held = HeldOff { making: self.clone(), id: id.to_owned() };
        let mut ended = self.0.ended.subscribe();
        *lock(&self.0.state).held_off.entry(id.to_owned()).or_default() += 1;
        while self.stops(id) && ended.changed().await.is_ok() {}
        held
    }

    /// Whether it is worked on, which is asked to stop.
    fn stops(&self, id: &str) -> bool {
        let state = lock(&self.0.state);
        let current = state.current.as_ref().filter(|(current, _)| current == id);
        current.inspect(|(_, stop)| stop.cancel()).is_some()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.making.0.state).current = None;
        self.making.0.ended.send_modify(|count| *count += 1);
    }
}

impl Drop for HeldOff {
    fn drop(&mut self) {
        let mut state = lock(&self.making.0.state);
        if let Some(holds) = state.held_off.get_mut(&self.id) {
            *holds -= 1;
            if *holds == 0 {
                state.held_off.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_held_off_is_over_and_does_not_begin() {
        let making = Making::default();
        let never = CancellationToken::new();
        let claim = making.claim("a", &never).unwrap();
        assert!(making.claim("b", &never).is_none(), "one at a time");
        let stop = claim.stop.clone();
        let work = tokio::spawn(async move {
            claim.stop.cancelled().await;
            drop(claim);
        });
        drop(making.hold_off("b").await);
        assert!(!stop.is_cancelled(), "another's");
        let held = making.hold_off("a").await;
        work.await.unwrap();
        assert!(making.claim("a", &never).is_none());
        assert!(making.claim("b", &never).is_some());
        drop(held);
        assert!(making.claim("a", &never).is_some());
    }
}

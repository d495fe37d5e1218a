//! How many may be connected at once: in all, and from one address before they have shown a key.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections; clones count together.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    most: usize,
    most_waiting: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    waiting: HashMap<IpAddr, usize>,
}

/// A place for one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Slots,
    /// The address it counts against until it publishes.
    waiting: Option<IpAddr>,
}

impl Slots {
    pub(super) fn new(most: usize, most_waiting: usize) -> Self {
        Self { most, most_waiting, taken: Arc::default() }
    }

    /// A place for a connection from `address`, if there is one.
    pub(super) fn take(&self, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        let mut taken = self.taken();
        let waiting = taken.waiting.get(&address).copied().unwrap_or(0);
        if taken.all >= self.most || waiting >= self.most_waiting {
            return None;
        }
        taken.all += 1;
        taken.waiting.insert(address, waiting + 1);
        Some(Slot { slots: self.clone(), waiting: Some(address) })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The connection publishes: it counts in all only.
    pub(super) fn publishing(&mut self) {
        let Some(address) = self.waiting.take() else { return };
        let mut taken = self.slots.taken();
        if let Some(waiting) = taken.waiting.get_mut(&address) {
            *waiting -= 1;
            if *waiting == 0 {
                taken.waiting.remove(&address);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.publishing();
        self.slots.taken().all -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn an_address_fills_its_share_and_not_the_house() {
        let slots = Slots::new(3, 2);
        let mut first = slots.take(HOME).expect("free");
        let second = slots.take(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())).expect("free");
        assert!(slots.take(HOME).is_none(), "two wait already, by whichever name");
        first.publishing();
        let third = slots.take(HOME).expect("a publisher does not wait");
        assert!(slots.take(AWAY).is_none(), "the house is full");
        drop((first, second, third));
        assert!(slots.taken().waiting.is_empty());
        assert_eq!(slots.taken().all, 0);
    }
}

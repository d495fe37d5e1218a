//! How often somebody may try a password. Only sign-ins that fail count against a name; a right one clears its bucket.
//!
//! A stranger's attempts are counted per name and address, and per address over all names. A device that has signed in
//! to the account before has a bucket of its own, so that a stranger's attempts never shut its owner out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::accounts::token::TokenHash;

/// Attempts at once on one name, and the time after which one more is allowed.
const PER_NAME: (NonZeroU32, Duration) = (NonZeroU32::new(6).unwrap(), Duration::from_secs(10));
/// The same over all names; wide, since many phones may stand behind one address.
const PER_ADDRESS: (NonZeroU32, Duration) = (NonZeroU32::new(100).unwrap(), Duration::from_secs(1));
/// Buckets kept before those that have refilled are dropped.
const BUCKETS: usize = 10_000;
/// After so long every bucket is full again, and as good as a new one.
const REFILLED: Duration = Duration::from_secs(100);

/// Whose attempts are counted together. Names come as hashes, so that long ones cost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bucket {
    Stranger(TokenHash, IpAddr),
    Address(IpAddr),
    Device(TokenHash),
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

struct Entry<C: Clock> {
    limiter: Limiter<C>,
    used: C::Instant,
}

/// Who tries: told apart by [`Throttle::check`].
#[derive(Debug, Clone, Copy)]
pub struct Who {
    /// Of the name as compared, whether or not there is such an account.
    pub name: TokenHash,
    pub address: IpAddr,
    /// The device, when it is known to the account.
    pub device: Option<TokenHash>,
}

/// Counts in memory; a restart forgives everybody.
pub struct Throttle<C: Clock = MonotonicClock> {
    clock: C,
    buckets: Mutex<HashMap<Bucket, Entry<C>>>,
}

impl<C: Clock + Clone> Throttle<C> {
    pub fn new(clock: C) -> Throttle<C> {
        Throttle { clock, buckets: Mutex::new(HashMap::new()) }
    }

    /// Counts one attempt.
    ///
    /// # Errors
    /// How long to wait before the next; the attempt must not go on.
    pub fn check(&self, who: Who) -> Result<(), Duration> {
        let mut buckets = self.lock();
        if buckets.len() >= BUCKETS {
            self.make_room(&mut buckets);
        }
        let network = network(who.address);
        match who.device {
            Some(device) => self.count(&mut buckets, Bucket::Device(device), PER_NAME),
            None => {
                self.count(&mut buckets, Bucket::Stranger(who.name, network), PER_NAME)?;
                self.count(&mut buckets, Bucket::Address(network), PER_ADDRESS)
            }
        }
    }

    /// Clears what was counted against a name after a right password. The address's own bucket stays: an account of
    /// one's own must not buy guesses at another's.
    pub fn forgive(&self, who: Who) {
        let mut buckets = self.lock();
        buckets.remove(&Bucket::Stranger(who.name, network(who.address)));
        if let Some(device) = who.device {
            buckets.remove(&Bucket::Device(device));
        }
    }

    fn count(
        &self,
        buckets: &mut HashMap<Bucket, Entry<C>>,
        bucket: Bucket,
        (burst, period): (NonZeroU32, Duration),
    ) -> Result<(), Duration> {
        let now = self.clock.now();
        let entry = buckets.entry(bucket).or_insert_with(|| {
            let quota = Quota::with_period(period).unwrap_or(Quota::per_second(burst)).allow_burst(burst);
            Entry { limiter: RateLimiter::direct_with_clock(quota, self.clock.clone()), used: now }
        });
        entry.used = now;
        entry.limiter.check().map_err(|refused| refused.wait_time_from(now))
    }

    fn make_room(&self, buckets: &mut HashMap<Bucket, Entry<C>>) {
        let now = self.clock.now();
        buckets.retain(|_, entry| Duration::from(now.duration_since(entry.used)) < REFILLED);
        if buckets.len() >= BUCKETS {
            // A flood from thousands of addresses: bounded memory comes first, and hashing itself still slows it.
            buckets.clear();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bucket, Entry<C>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose attempts are counted as one address's: one household has one IPv4 address but a whole /64 of IPv6.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn who(name: &str, address: &str) -> Who {
        Who { name: TokenHash::of(name), address: address.parse().unwrap(), device: None }
    }

    fn attempts(throttle: &Throttle<FakeRelativeClock>, who: Who) -> u32 {
        (0..1000).take_while(|_| throttle.check(who).is_ok()).count() as u32
    }

    #[test]
    fn attempts_run_out_and_come_back() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::new(clock.clone());
        assert_eq!(attempts(&throttle, who("wati", "10.0.0.1")), 6);
        let wait = throttle.check(who("wati", "10.0.0.1")).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= PER_NAME.1, "{wait:?}");
        assert_eq!(attempts(&throttle, who("wati", "10.0.0.2")), 6, "another address");
        assert_eq!(attempts(&throttle, who("budi", "10.0.0.1")), 6, "another name");
        clock.advance(PER_NAME.1);
        assert_eq!(attempts(&throttle, who("wati", "10.0.0.1")), 1);
        clock.advance(REFILLED);
        assert_eq!(attempts(&throttle, who("wati", "10.0.0.1")), 6);
    }

    #[test]
    fn a_known_device_is_not_held_up_by_strangers() {
        let throttle = Throttle::new(FakeRelativeClock::default());
        let stranger = who("wati", "10.0.0.1");
        attempts(&throttle, stranger);
        let owner = Who { device: Some(TokenHash::of("device")), ..stranger };
        assert_eq!(attempts(&throttle, owner), 6);
        throttle.forgive(owner);
        assert_eq!(attempts(&throttle, owner), 6);
    }

    #[test]
    fn one_address_cannot_try_every_name() {
        let throttle = Throttle::new(FakeRelativeClock::default());
        let tried = (0..1000).take_while(|n| throttle.check(who(&n.to_string(), "10.0.0.1")).is_ok()).count();
        assert_eq!(tried, PER_ADDRESS.0.get() as usize);
        throttle.forgive(who("1", "10.0.0.1"));
        assert!(throttle.check(who("1", "10.0.0.1")).is_err(), "success with one name does not clear the address");
    }

    #[test]
    fn addresses_of_one_household_count_as_one() {
        let throttle = Throttle::new(FakeRelativeClock::default());
        assert_eq!(attempts(&throttle, who("wati", "2001:db8::1")), 6);
        assert_eq!(attempts(&throttle, who("wati", "2001:db8::2")), 0);
        assert_eq!(attempts(&throttle, who("wati", "2001:db8:0:1::2")), 6);
        assert_eq!(attempts(&throttle, who("wati", "::ffff:10.0.0.1")), 6);
        assert_eq!(attempts(&throttle, who("wati", "10.0.0.1")), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::new(FakeRelativeClock::default());
        for n in 0..3 * BUCKETS as u32 {
            let _ = throttle.check(who("wati", &std::net::Ipv4Addr::from_bits(n).to_string()));
        }
        assert!(throttle.lock().len() <= BUCKETS + 2);
    }
}

//! Bearer secrets: what a browser, a script or a publisher shows. Only their SHA-256 is ever kept; since the secrets
//! have 160 bits and more, a fast hash is enough.

use sha2::{Digest, Sha256};

use crate::base::clock::Moment;

/// A session ends after so long without a request.
pub const SESSION_IDLE_MS: i64 = 12 * 3_600_000;
/// And after so long in any case.
pub const SESSION_LIFE_MS: i64 = 7 * 24 * 3_600_000;

/// A clock that is so little behind is slewed, not wrong.
const BACK_MS: i64 = 60_000;

/// SHA-256 of a secret: what the database holds and what a lookup goes by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    pub fn of(secret: &str) -> TokenHash {
        TokenHash(Sha256::digest(secret.as_bytes()).into())
    }

    /// A device is known to each account apart, so one browser may serve several people.
    pub fn of_device(secret: &str, account_id: &str) -> TokenHash {
        let mut hasher = Sha256::new();
        hasher.update(secret.as_bytes());
        hasher.update([0]);
        hasher.update(account_id.as_bytes());
        TokenHash(hasher.finalize().into())
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub fn equal(a: &str, b: &str) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_bytes(), b.as_bytes()).into()
}

/// How long a session still holds: by the monotonic clock within the boot that wrote it, so that no setting of the wall
/// clock lengthens or ends it; by the wall clock after another boot, as far as that has not gone back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The boot of `seen_ms` and `ends_ms`; none for sessions of older versions.
    pub boot: Option<String>,
    /// When it was last used and when it ends, milliseconds since that boot.
    pub seen_ms: i64,
    pub ends_ms: i64,
    /// The same by the wall clock, milliseconds since 1970.
    pub last_seen_at: i64,
    pub expires_at: i64,
}

impl Term {
    /// A session that begins.
    pub fn new(now: &Moment) -> Term {
        Term {
            boot: Some(now.boot.to_owned()),
            seen_ms: now.monotonic_ms,
            ends_ms: now.monotonic_ms + SESSION_LIFE_MS,
            last_seen_at: now.wall_ms,
            expires_at: now.wall_ms + SESSION_LIFE_MS,
        }
    }

    /// As it stands in the present boot; none once it has ended, or while the clock says that it has not begun.
    pub fn at(&self, now: &Moment) -> Option<Term> {
        let here = if self.boot.as_deref() == Some(now.boot) {
            self.clone()
        } else {
            let idle = now.wall_ms - self.last_seen_at;
            if idle < -BACK_MS {
                return None;
            }
            // What was left when it was last used is the most that can be left now.
            let left = self.expires_at - now.wall_ms.max(self.last_seen_at);
            let (seen_ms, ends_ms) = (now.monotonic_ms - idle.max(0), now.monotonic_ms + left);
            Term { boot: Some(now.boot.to_owned()), seen_ms, ends_ms, ..*self }
        };
        let holds = now.monotonic_ms < here.ends_ms && now.monotonic_ms - here.seen_ms < SESSION_IDLE_MS;
        holds.then_some(here)
    }

    /// Used now: it ends when it would have, and the wall times follow a clock that was set meanwhile.
    pub fn touched(&self, now: &Moment) -> Term {
        let expires_at = now.wall_ms + self.ends_ms - now.monotonic_ms;
        Term { seen_ms: now.monotonic_ms, last_seen_at: now.wall_ms, expires_at, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_sha256() {
        // FIPS 180-4, the one-block example.
        assert_eq!(TokenHash::of("abc").0[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_ne!(TokenHash::of_device("abc", "1"), TokenHash::of_device("abc", "2"));
    }

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 365 * 24 * HOUR;
    const NOW: i64 = 1_790_000_000_000;

    fn moment(boot: &'static str, monotonic_ms: i64, wall_ms: i64) -> Moment {
        Moment { wall_ms, monotonic_ms, boot, trusted: true }
    }

    #[test]
    fn sessions_end_when_idle_and_when_old() {
        let term = Term::new(&moment("a", 0, NOW));
        assert!(term.at(&moment("a", SESSION_IDLE_MS - 1, NOW)).is_some());
        assert!(term.at(&moment("a", SESSION_IDLE_MS, NOW)).is_none());
        let used = term.touched(&moment("a", SESSION_LIFE_MS - 2, NOW));
        assert!(used.at(&moment("a", SESSION_LIFE_MS - 1, NOW)).is_some());
        assert!(used.at(&moment("a", SESSION_LIFE_MS, NOW)).is_none());
    }

    #[test]
    fn within_a_boot_the_wall_clock_is_no_matter() {
        let term = Term::new(&moment("a", 0, NOW));
        for wall in [0, NOW - HOUR, NOW + 56 * YEAR] {
            assert_eq!(term.at(&moment("a", HOUR, wall)), Some(term.clone()), "{wall}");
            assert!(term.at(&moment("a", SESSION_IDLE_MS, wall)).is_none(), "{wall}");
            let used = term.touched(&moment("a", HOUR, wall));
            assert_eq!(used.ends_ms, term.ends_ms, "the same end");
            assert_eq!(used.expires_at - used.last_seen_at, SESSION_LIFE_MS - HOUR);
        }
    }

    #[test]
    fn after_another_boot_nothing_is_gained() {
        let term = Term::new(&moment("a", 5 * HOUR, NOW)).touched(&moment("a", 6 * HOUR, NOW + HOUR));
        let there = |wall| term.at(&moment("b", 10_000, wall));
        let left = |wall| there(wall).map(|term| (term.ends_ms - 10_000, 10_000 - term.seen_ms));
        assert_eq!(left(NOW + 2 * HOUR), Some((SESSION_LIFE_MS - 2 * HOUR, HOUR)));
        assert_eq!(left(NOW + HOUR - 30_000), Some((SESSION_LIFE_MS - HOUR, 0)), "a little back");
        assert_eq!(left(NOW), None, "an hour back");
        assert_eq!(left(0), None, "1970");
        assert_eq!(left(NOW + 56 * YEAR), None, "56 years ahead");
        assert!(there(NOW + 2 * HOUR).is_some(), "and right again");
        assert_eq!(left(NOW + HOUR + SESSION_IDLE_MS), None);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(10_000))]
        /// Whatever the wall clock does within a boot, and wherever it comes back after the next, a session that is used
        /// all the time gets no more than its life of running time.
        #[test]
        fn no_clock_lengthens_a_session(steps in proptest::collection::vec((0..SESSION_IDLE_MS, -YEAR..YEAR, 0..8u8), 1..60)) {
            const BOOTS: [&str; 3] = ["a", "b", "c"];
            let (mut boot, mut wall, mut monotonic, mut lived) = (0, NOW, 0, 0);
            let mut term = Term::new(&moment(BOOTS[0], 0, wall));
            for (elapsed, jump, what) in steps {
                lived += elapsed;
                monotonic += elapsed;
                wall += elapsed;
                match what {
                    0 => wall += jump,
                    1 if boot < 2 => (boot, monotonic, wall) = (boot + 1, 1_000, wall + jump.min(0)),
                    _ => {}
                }
                let now = moment(BOOTS[boot], monotonic, wall);
                let Some(here) = term.at(&now) else { break };
                // Two boots may each begin up to a minute early.
                proptest::prop_assert!(lived < SESSION_LIFE_MS + 2 * BACK_MS + SESSION_IDLE_MS * i64::from(boot as u8));
                proptest::prop_assert!(here.ends_ms - monotonic <= SESSION_LIFE_MS);
                term = here.touched(&now);
            }
        }
    }

    #[test]
    fn equality() {
        assert!(equal("abc", "abc") && !equal("abc", "abd") && !equal("abc", "ab") && equal("", ""));
    }
}

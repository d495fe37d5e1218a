//! Bearer secrets: what a browser, a script or a publisher shows. Only their SHA-256 is ever kept; since the secrets
//! have 160 bits and more, a fast hash is enough.

use sha2::{Digest, Sha256};

/// A session ends after so long without a request.
pub const SESSION_IDLE_MS: i64 = 12 * 3_600_000;
/// And after so long in any case.
pub const SESSION_LIFE_MS: i64 = 7 * 24 * 3_600_000;

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

/// Whether a session last seen at `last_seen_at` and ending at `expires_at` still holds at `now` (all milliseconds).
pub fn session_holds(last_seen_at: i64, expires_at: i64, now: i64) -> bool {
    now < expires_at && now - last_seen_at < SESSION_IDLE_MS
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

    #[test]
    fn sessions_end_when_idle_and_when_old() {
        assert!(session_holds(0, SESSION_LIFE_MS, SESSION_IDLE_MS - 1));
        assert!(!session_holds(0, SESSION_LIFE_MS, SESSION_IDLE_MS));
        assert!(session_holds(SESSION_LIFE_MS - 2, SESSION_LIFE_MS, SESSION_LIFE_MS - 1));
        assert!(!session_holds(SESSION_LIFE_MS - 2, SESSION_LIFE_MS, SESSION_LIFE_MS));
    }

    #[test]
    fn equality() {
        assert!(equal("abc", "abc") && !equal("abc", "abd") && !equal("abc", "ab") && equal("", ""));
    }
}

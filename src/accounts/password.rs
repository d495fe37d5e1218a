//! Passwords: which are fit, and how they are kept.
//!
//! bcrypt over base64(HMAC-SHA-256(pepper, password)). bcrypt alone cuts at 72 bytes and at NUL; the pre-hash takes all
//! of a password, and its key, which is not in the database, makes stolen hashes useless by themselves.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::account::{Invalid, Username};
use crate::base::{clock, ids};

pub const MIN_CHARACTERS: usize = 10;
pub const MAX_BYTES: usize = 1024;

/// What one check of a password should cost the box, and with it whoever guesses.
const TARGET: Duration = Duration::from_millis(300);
/// The bounds that calibration keeps to: below 10 guessing is cheap, above 13 a sign-in on a Pi takes seconds.
pub const COSTS: std::ops::RangeInclusive<u32> = 10..=13;

/// The head of every published list, as far as it is long enough to pass the length rule, and what people here would
/// think of first.
const COMMON: &[&str] = &[
    "1234567890",
    "12345678910",
    "0123456789",
    "0987654321",
    "1111111111",
    "0000000000",
    "123123123123",
    "1q2w3e4r5t",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "qwertyuiop",
    "qwerty1234",
    "qwerty12345",
    "qwerty123456",
    "asdfghjkl1",
    "password12",
    "password123",
    "password1234",
    "passw0rd123",
    "iloveyou12",
    "iloveyou123",
    "letmein123",
    "welcome123",
    "administrator",
    "admin12345",
    "admin123456",
    "bismillah1",
    "bismillah123",
    "indonesia1",
    "indonesia123",
    "indonesia45",
    "sayangkamu",
    "rahasia123",
    "katasandi1",
    "katasandi123",
    "puskesmas1",
    "puskesmas123",
    "kesehatan1",
    "kesehatan123",
    "klinik1234",
    "bidan12345",
    "siaran1234",
    "siaransiaran",
    "changeme123",
    "abcdefghij",
    "abcd123456",
    "abc1234567",
];

/// Whether `password` may be chosen by the account called `username`.
pub fn check(password: &str, username: &Username) -> Result<(), Invalid> {
    if password.chars().count() < MIN_CHARACTERS {
        return Err(Invalid::PasswordTooShort);
    }
    if password.len() > MAX_BYTES {
        return Err(Invalid::PasswordTooLong);
    }
    let folded = password.to_lowercase();
    if folded == username.key() {
        return Err(Invalid::PasswordIsUsername);
    }
    let mut characters = folded.chars();
    let first = characters.next();
    if COMMON.contains(&folded.as_str()) || characters.all(|c| Some(c) == first) {
        return Err(Invalid::PasswordCommon);
    }
    Ok(())
}

/// A failure inside bcrypt: the operating system gave no random bytes, or a stored hash is not one.
#[derive(Debug, thiserror::Error)]
#[error("a password hash could not be made or read: {0}")]
pub struct HashError(#[from] bcrypt::BcryptError);

/// Makes and checks hashes. Each call takes about [`TARGET`] of a core: not for an async thread.
pub struct Hasher {
    pepper: [u8; 32],
    cost: u32,
}

impl Hasher {
    /// `cost` is bcrypt's (4 to 31, each step doubles the work), by [`calibrate`] outside tests.
    pub fn new(pepper: [u8; 32], cost: u32) -> Hasher {
        Hasher { pepper, cost }
    }

    pub fn hash(&self, password: &str) -> Result<String, HashError> {
        Ok(bcrypt::hash(self.prehash(password), self.cost)?)
    }

    pub fn verify(&self, password: &str, hash: &str) -> Result<bool, HashError> {
        Ok(bcrypt::verify(self.prehash(password), hash)?)
    }

    /// A hash that no password fits, to be checked for unknown names so that they take as long as known ones.
    pub fn decoy(&self) -> Result<String, HashError> {
        // Made cheaply, then labelled with the full cost: checking it does the full work and never matches.
        let cheap = bcrypt::hash(ids::secret_256(), 4)?;
        Ok(cheap.replacen("$04$", &format!("${:02}$", self.cost), 1))
    }

    /// 44 characters without a NUL, whatever the password.
    fn prehash(&self, password: &str) -> String {
        // HMAC pads a short key with zeros to its block (RFC 2104); padded here, no length can be wrong.
        let mut block = [0; 64];
        block[..self.pepper.len()].copy_from_slice(&self.pepper);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        mac.update(password.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// The bcrypt cost whose check takes about 300 ms on this machine, from 10 to 13. Takes a fraction of a second.
pub fn calibrate() -> Result<u32, HashError> {
    const PROBE: u32 = 8;
    let mut fastest = Duration::MAX;
    for _ in 0..3 {
        let started = clock::instant();
        bcrypt::hash("calibration", PROBE)?;
        fastest = fastest.min(started.elapsed());
    }
    Ok(cost_for(PROBE, fastest))
}

/// The largest cost in bounds that stays nearest to the target, when a hash of cost `probe` took `took`.
fn cost_for(probe: u32, took: Duration) -> u32 {
    let steps = (TARGET.as_secs_f64() / took.as_secs_f64().max(1e-6)).log2().round();
    (f64::from(probe) + steps).clamp(f64::from(*COSTS.start()), f64::from(*COSTS.end())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hasher(pepper: u8) -> Hasher {
        Hasher::new([pepper; 32], 4)
    }

    #[test]
    fn unfit_passwords_are_named() {
        let wati = Username::new("Wati.Kusuma").unwrap();
        assert_eq!(check("pohon jati", &wati), Ok(()));
        assert_eq!(check("ñññññññññ", &wati), Err(Invalid::PasswordTooShort));
        assert_eq!(check(&"ab".repeat(513), &wati), Err(Invalid::PasswordTooLong));
        assert_eq!(check(&"ab".repeat(512), &wati), Ok(()));
        assert_eq!(check("wati.kusuma", &wati), Err(Invalid::PasswordIsUsername));
        assert_eq!(check("Password123", &wati), Err(Invalid::PasswordCommon));
        assert_eq!(check("zzzzzzzzzzzz", &wati), Err(Invalid::PasswordCommon));
        for common in COMMON {
            assert!(common.len() >= MIN_CHARACTERS, "{common} is refused by its length already");
            assert_eq!(*common, common.to_lowercase());
        }
    }

    #[test]
    fn only_the_password_itself_fits() {
        let hash = hasher(1).hash("pohon jati").unwrap();
        assert!(hash.starts_with("$2b$04$"));
        assert!(hasher(1).verify("pohon jati", &hash).unwrap());
        assert!(!hasher(1).verify("pohon Jati", &hash).unwrap());
        assert!(!hasher(2).verify("pohon jati", &hash).unwrap(), "another pepper");
    }

    #[test]
    fn nothing_is_cut_at_72_bytes_or_at_nul() {
        let long = "x".repeat(72);
        let hash = hasher(1).hash(&format!("{long}a")).unwrap();
        assert!(hasher(1).verify(&format!("{long}a"), &hash).unwrap());
        assert!(!hasher(1).verify(&format!("{long}b"), &hash).unwrap());
        let hash = hasher(1).hash("before\0after").unwrap();
        assert!(!hasher(1).verify("before\0other", &hash).unwrap());
    }

    #[test]
    fn the_decoy_costs_as_much_and_never_fits() {
        let dear = Hasher::new([1; 32], 5);
        let decoy = dear.decoy().unwrap();
        assert!(decoy.starts_with("$2b$05$"));
        assert!(!dear.verify("", &decoy).unwrap());
    }

    #[test]
    fn a_damaged_hash_is_an_error_not_a_match() {
        assert!(hasher(1).verify("pohon jati", "not a hash").is_err());
    }

    #[test]
    fn the_cost_follows_the_machine() {
        assert_eq!(cost_for(8, Duration::from_millis(20)), 12);
        assert_eq!(cost_for(8, Duration::from_secs(2)), 10);
        assert_eq!(cost_for(8, Duration::ZERO), 13);
    }
}

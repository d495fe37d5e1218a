//! Identifiers and secrets drawn from the operating system's generator.

/// Crockford's base 32 in lower case: no letter that is mistaken for a digit, safe in a URL and a file name.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A public identifier of 20 characters (100 bits): opaque and not to be guessed, yet not a protection by itself.
pub fn public_id() -> String {
    random_text(20)
}

/// A secret of 32 characters (160 bits): stream keys.
pub fn secret_160() -> String {
    random_text(32)
}

/// A secret of 52 characters (260 bits): session and setup tokens.
pub fn secret_256() -> String {
    random_text(52)
}

/// Six digits that staff tell patients.
pub fn pin() -> String {
    format!("{:06}", u32::from_le_bytes(random_bytes()) % 1_000_000)
}

/// `N` random bytes.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// Whether `text` could be an identifier of ours; lets a handler refuse nonsense before it asks the database.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn random_text(characters: usize) -> String {
    let mut bytes = vec![0; characters];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes.iter().map(|b| ALPHABET[(b & 31) as usize] as char).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_ids() {
        let (a, b) = (public_id(), public_id());
        assert_ne!(a, b);
        assert!(is_id(&a) && a.len() == 20);
        assert!(!is_id("../x") && !is_id("") && !is_id("a%00"));
    }
}

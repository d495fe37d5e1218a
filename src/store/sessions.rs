//! Rows of `sessions` and `known_devices`: found by hash, the secrets themselves are never here.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::accounts::Role;
use crate::accounts::token::{SESSION_IDLE_MS, SESSION_LIFE_MS, TokenHash};

/// Devices remembered for one account; the longest unseen go first.
const DEVICES_KEPT: u32 = 20;

/// A session with the account as it is now. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub account_id: String,
    pub username: String,
    pub role: Role,
    pub csrf: String,
    pub last_seen_at: i64,
    pub expires_at: i64,
}

pub fn insert(
    connection: &Connection,
    token: TokenHash,
    account_id: &str,
    csrf: &str,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO sessions (token_hash, account_id, csrf, created_at, last_seen_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![token.0, account_id, csrf, now, now + SESSION_LIFE_MS])?;
    Ok(())
}

/// The session of a token, unless its account is disabled; whether it still holds in time is the caller's to judge.
pub fn get(connection: &Connection, token: TokenHash) -> Result<Option<SessionRow>, StoreError> {
    let sql = "SELECT a.id, a.username, a.role, s.csrf, s.last_seen_at, s.expires_at
               FROM sessions s JOIN accounts a ON a.id = s.account_id
               WHERE s.token_hash = ?1 AND a.disabled_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row([token.0], |row| {
        Ok(SessionRow {
            account_id: row.get(0)?,
            username: row.get(1)?,
            role: super::word(row, 2)?,
            csrf: row.get(3)?,
            last_seen_at: row.get(4)?,
            expires_at: row.get(5)?,
        })
    });
    Ok(row.optional()?)
}

pub fn touch(connection: &Connection, token: TokenHash, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET last_seen_at = ?2 WHERE token_hash = ?1";
    connection.prepare_cached(sql)?.execute(params![token.0, now])?;
    Ok(())
}

pub fn delete(connection: &Connection, token: TokenHash) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE token_hash = ?1")?.execute([token.0])?;
    Ok(())
}

pub fn delete_of_account(connection: &Connection, account_id: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM sessions WHERE account_id = ?1")?.execute([account_id])?;
    Ok(())
}

/// Drops the sessions that have ended by themselves.
pub fn delete_ended(connection: &Connection, now: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM sessions WHERE expires_at <= ?1 OR last_seen_at <= ?2";
    connection.prepare_cached(sql)?.execute([now, now - SESSION_IDLE_MS])?;
    Ok(())
}

/// Remembers that this device has signed in to the account.
pub fn know_device(connection: &Connection, device: TokenHash, account_id: &str, now: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO known_devices (token_hash, account_id, last_seen_at) VALUES (?1, ?2, ?3)
               ON CONFLICT (token_hash) DO UPDATE SET last_seen_at = excluded.last_seen_at";
    connection.prepare_cached(sql)?.execute(params![device.0, account_id, now])?;
    let sql = "DELETE FROM known_devices WHERE account_id = ?1 AND token_hash NOT IN
               (SELECT token_hash FROM known_devices WHERE account_id = ?1 ORDER BY last_seen_at DESC LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![account_id, DEVICES_KEPT])?;
    Ok(())
}

pub fn is_known_device(connection: &Connection, device: TokenHash, account_id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM known_devices WHERE token_hash = ?1 AND account_id = ?2";
    Ok(connection.prepare_cached(sql)?.exists(params![device.0, account_id])?)
}

pub fn forget_devices(connection: &Connection, account_id: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM known_devices WHERE account_id = ?1")?.execute([account_id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Username;
    use crate::store::{accounts, testing};

    fn with_account() -> Connection {
        let connection = testing::memory();
        accounts::insert(&connection, "a", &Username::new("wati").unwrap(), Role::Viewer, "x", 0).unwrap();
        connection
    }

    #[test]
    fn sessions_go_with_their_account_or_while_it_is_disabled() {
        let connection = with_account();
        let token = TokenHash::of("t");
        insert(&connection, token, "a", "c", 0).unwrap();
        assert_eq!(get(&connection, token).unwrap().unwrap().csrf, "c");
        accounts::set_disabled(&connection, "a", Some(1)).unwrap();
        assert_eq!(get(&connection, token).unwrap(), None);
        accounts::set_disabled(&connection, "a", None).unwrap();
        assert!(get(&connection, token).unwrap().is_some());
        accounts::delete(&connection, "a").unwrap();
        assert_eq!(get(&connection, token).unwrap(), None);
    }

    #[test]
    fn ended_sessions_are_dropped_others_kept() {
        let connection = with_account();
        for (name, begun) in [("old", 0), ("young", SESSION_LIFE_MS - 1)] {
            insert(&connection, TokenHash::of(name), "a", "c", begun).unwrap();
        }
        touch(&connection, TokenHash::of("old"), SESSION_LIFE_MS - 1).unwrap();
        delete_ended(&connection, SESSION_LIFE_MS - 1).unwrap();
        assert!(get(&connection, TokenHash::of("old")).unwrap().is_some());
        delete_ended(&connection, SESSION_LIFE_MS).unwrap();
        assert!(get(&connection, TokenHash::of("old")).unwrap().is_none());
        assert!(get(&connection, TokenHash::of("young")).unwrap().is_some());
    }

    #[test]
    fn a_bounded_number_of_devices_is_known() {
        let connection = with_account();
        let device = |n: i64| TokenHash::of_device(&n.to_string(), "a");
        for n in 0..=i64::from(DEVICES_KEPT) {
            know_device(&connection, device(n), "a", n).unwrap();
        }
        assert!(!is_known_device(&connection, device(0), "a").unwrap());
        assert!(is_known_device(&connection, device(1), "a").unwrap());
        assert!(!is_known_device(&connection, device(1), "b").unwrap());
        forget_devices(&connection, "a").unwrap();
        assert!(!is_known_device(&connection, device(1), "a").unwrap());
    }
}

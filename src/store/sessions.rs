//! Rows of `sessions` and `known_devices`: found by hash, the secrets themselves are never here.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::accounts::Role;
use crate::accounts::token::{SESSION_IDLE_MS, Term, TokenHash};
use crate::base::clock::Moment;

/// Devices remembered for one account; the longest unseen go first.
const DEVICES_KEPT: u32 = 20;

/// A session with the account as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub account_id: String,
    pub username: String,
    pub role: Role,
    pub csrf: String,
    pub term: Term,
}

pub fn insert(
    connection: &Connection,
    token: TokenHash,
    account_id: &str,
    csrf: &str,
    now: &Moment,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO sessions (token_hash, account_id, csrf, created_at, last_seen_at, expires_at)
               VALUES (?1, ?2, ?3, ?4, 0, 0)";
    connection.prepare_cached(sql)?.execute(params![token.0, account_id, csrf, now.wall_ms])?;
    set_term(connection, token, &Term::new(now))
}

/// The session of a token, unless its account is disabled; whether it still holds in time is the caller's to judge.
pub fn get(connection: &Connection, token: TokenHash) -> Result<Option<SessionRow>, StoreError> {
    let sql = "SELECT a.id, a.username, a.role, s.csrf, s.boot, s.seen_ms, s.ends_ms, s.last_seen_at, s.expires_at
               FROM sessions s JOIN accounts a ON a.id = s.account_id
               WHERE s.token_hash = ?1 AND a.disabled_at IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row([token.0], |row| {
        Ok(SessionRow {
            account_id: row.get(0)?,
            username: row.get(1)?,
            role: super::word(row, 2)?,
            csrf: row.get(3)?,
            term: Term {
                boot: row.get(4)?,
                seen_ms: row.get(5)?,
                ends_ms: row.get(6)?,
                last_seen_at: row.get(7)?,
                expires_at: row.get(8)?,
            },
        })
    });
    Ok(row.optional()?)
}

/// Writes how long it holds from now on.
pub fn set_term(connection: &Connection, token: TokenHash, term: &Term) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET boot = ?2, seen_ms = ?3, ends_ms = ?4, last_seen_at = ?5, expires_at = ?6
               WHERE token_hash = ?1";
    let values = params![token.0, term.boot, term.seen_ms, term.ends_ms, term.last_seen_at, term.expires_at];
    connection.prepare_cached(sql)?.execute(values)?;
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

/// Drops the sessions that have ended by themselves. Those of another boot stay while the clock cannot be trusted: it may
/// be right again.
pub fn delete_ended(connection: &Connection, now: &Moment) -> Result<(), StoreError> {
    let sql = "DELETE FROM sessions WHERE iif(boot IS ?1, ends_ms <= ?2 OR seen_ms <= ?2 - ?5,
               ?4 AND (expires_at <= ?3 OR last_seen_at <= ?3 - ?5))";
    let values = params![now.boot, now.monotonic_ms, now.wall_ms, now.trusted, SESSION_IDLE_MS];
    connection.prepare_cached(sql)?.execute(values)?;
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
    use crate::accounts::token::SESSION_LIFE_MS;
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
        insert(&connection, token, "a", "c", &moment(0)).unwrap();
        assert_eq!(get(&connection, token).unwrap().unwrap().csrf, "c");
        accounts::set_disabled(&connection, "a", Some(1)).unwrap();
        assert_eq!(get(&connection, token).unwrap(), None);
        accounts::set_disabled(&connection, "a", None).unwrap();
        assert!(get(&connection, token).unwrap().is_some());
        accounts::delete(&connection, "a").unwrap();
        assert_eq!(get(&connection, token).unwrap(), None);
    }

    fn moment(monotonic_ms: i64) -> Moment {
        Moment { wall_ms: 1_790_000_000_000 + monotonic_ms, monotonic_ms, boot: "a", trusted: true }
    }

    #[test]
    fn ended_sessions_are_dropped_others_kept() {
        let connection = with_account();
        let there = |name| get(&connection, TokenHash::of(name)).unwrap().is_some();
        for (name, begun) in [("old", 0), ("young", SESSION_LIFE_MS - 1)] {
            insert(&connection, TokenHash::of(name), "a", "c", &moment(begun)).unwrap();
        }
        let late = moment(SESSION_LIFE_MS - 1);
        let old = get(&connection, TokenHash::of("old")).unwrap().unwrap().term.touched(&late);
        set_term(&connection, TokenHash::of("old"), &old).unwrap();
        delete_ended(&connection, &late).unwrap();
        assert!(there("old"));
        delete_ended(&connection, &moment(SESSION_LIFE_MS)).unwrap();
        assert!(!there("old") && there("young"));

        let ahead = Moment { wall_ms: late.wall_ms * 2, monotonic_ms: 0, boot: "b", trusted: false };
        delete_ended(&connection, &ahead).unwrap();
        assert!(there("young"), "a clock that is wrong ends nothing for ever");
        delete_ended(&connection, &Moment { trusted: true, ..ahead }).unwrap();
        assert!(!there("young"));
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

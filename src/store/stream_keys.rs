//! Rows of `stream_keys`. A revoked key keeps its row, so that past broadcasts still name it.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use crate::accounts::token::TokenHash;
use crate::accounts::{Audience, Role};

/// What may be known of a key: all but the key. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKey {
    pub id: String,
    pub account_id: String,
    pub label: String,
    /// Goes on air by itself when published to; else it waits in the studio as a source.
    pub auto_live: bool,
    /// Of the broadcasts that it starts by itself.
    pub audience: Audience,
    pub created_at: i64,
    pub revoked_at: Option<i64>,
    pub used_at: Option<i64>,
}

const COLUMNS: &str = "k.id, k.account_id, k.label, k.auto_live, k.audience, k.created_at, k.revoked_at, k.used_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<StreamKey> {
    Ok(StreamKey {
        id: row.get(0)?,
        account_id: row.get(1)?,
        label: row.get(2)?,
        auto_live: row.get(3)?,
        audience: super::word(row, 4)?,
        created_at: row.get(5)?,
        revoked_at: row.get(6)?,
        used_at: row.get(7)?,
    })
}

pub fn insert(connection: &Connection, key: &StreamKey, hash: TokenHash) -> Result<(), StoreError> {
    let sql = "INSERT INTO stream_keys (id, key_hash, account_id, label, auto_live, audience, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values =
        params![key.id, hash.0, key.account_id, key.label, key.auto_live, key.audience.as_str(), key.created_at];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

pub fn get(connection: &Connection, id: &str) -> Result<Option<StreamKey>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM stream_keys k WHERE k.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], from_row).optional()?)
}

/// The live key of that hash, with its owner's role; `None` too when the owner is disabled.
pub fn by_hash(connection: &Connection, hash: TokenHash) -> Result<Option<(StreamKey, Role)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, a.role FROM stream_keys k JOIN accounts a ON a.id = k.account_id
         WHERE k.key_hash = ?1 AND k.revoked_at IS NULL AND a.disabled_at IS NULL"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let row = statement.query_row([hash.0], |row| Ok((from_row(row)?, super::word(row, 8)?)));
    Ok(row.optional()?)
}

/// The role of a live key's owner; `None` when the key is revoked or its owner disabled.
pub fn owner_role(connection: &Connection, id: &str) -> Result<Option<Role>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT a.role FROM stream_keys k JOIN accounts a ON a.id = k.account_id
         WHERE k.id = ?1 AND k.revoked_at IS NULL AND a.disabled_at IS NULL",
    )?;
    Ok(statement.query_row([id], |row| super::word(row, 0)).optional()?)
}

/// At most `limit` live keys, of `owner` or (`None`) of everybody, in the order of their making behind key `after`.
/// `None` when there is no key `after`.
pub fn list(
    connection: &Connection,
    owner: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Option<Vec<StreamKey>>, StoreError> {
    let start = match after {
        None => (i64::MIN, String::new()),
        Some(id) => match get(connection, id)? {
            Some(key) => (key.created_at, key.id),
            None => return Ok(None),
        },
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM stream_keys k
         WHERE (k.created_at, k.id) > (?1, ?2) AND k.revoked_at IS NULL AND (?3 IS NULL OR k.account_id = ?3)
         ORDER BY k.created_at, k.id LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![start.0, start.1, owner, limit], from_row)?;
    Ok(Some(rows.collect::<Result<_, _>>()?))
}

/// How many live keys the account has.
pub fn count_of(connection: &Connection, account_id: &str) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM stream_keys WHERE account_id = ?1 AND revoked_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([account_id], |row| row.get(0))?)
}

pub fn revoke(connection: &Connection, id: &str, now: i64) -> Result<(), StoreError> {
    let sql = "UPDATE stream_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
    connection.prepare_cached(sql)?.execute(params![id, now])?;
    Ok(())
}

pub fn mark_used(connection: &Connection, id: &str, now: i64) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE stream_keys SET used_at = ?2 WHERE id = ?1")?.execute(params![id, now])?;
    Ok(())
}

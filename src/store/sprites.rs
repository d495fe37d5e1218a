//! The table of sprites: a sheet of small pictures for each recording, and which of them shows when. What belongs to a broadcast
//! goes with it.

use rusqlite::{Connection, OptionalExtension, Result, params};

/// Ids of recordings that last at least `ticks` (90 kHz) and have no sprite, the newest first.
pub fn missing(connection: &Connection, ticks: u64) -> Result<Vec<String>> {
    let sql = "SELECT id FROM broadcasts WHERE state = 'ended' AND recorded AND trashed_at IS NULL AND duration >= ?1
         AND id NOT IN (SELECT broadcast_id FROM sprites) ORDER BY rowid DESC";
    connection.prepare_cached(sql)?.query_map([ticks], |row| row.get(0))?.collect()
}

/// Keeps the sprite of a broadcast that is still there. Whether it is.
pub fn put(connection: &Connection, broadcast_id: &str, jpeg: &[u8], vtt: &str) -> Result<bool> {
    let sql = "INSERT OR REPLACE INTO sprites SELECT id, ?2, ?3 FROM broadcasts WHERE id = ?1";
    Ok(connection.execute(sql, params![broadcast_id, jpeg, vtt])? > 0)
}

pub fn jpeg(connection: &Connection, broadcast_id: &str) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT jpeg FROM sprites WHERE broadcast_id = ?1";
    connection.prepare_cached(sql)?.query_row([broadcast_id], |row| row.get(0)).optional()
}

pub fn vtt(connection: &Connection, broadcast_id: &str) -> Result<Option<String>> {
    let sql = "SELECT vtt FROM sprites WHERE broadcast_id = ?1";
    connection.prepare_cached(sql)?.query_row([broadcast_id], |row| row.get(0)).optional()
}

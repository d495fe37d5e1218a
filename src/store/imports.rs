//! The table of imports: files that are read in, from waiting to a recording or a refusal.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::base::terms::ImportState;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub id: String,
    /// The file's name, as it came.
    pub name: String,
    /// Its name in the folder of what is done or refused; none while it waits, and once it is gone.
    pub file: Option<String>,
    /// Bytes.
    pub size: u64,
    pub state: ImportState,
    /// Why it waits or was refused, or what is missing of what is done: a code.
    pub reason: Option<String>,
    /// The recording, also while it is being made.
    pub broadcast_id: Option<String>,
    /// Milliseconds since 1970, as all `_at`.
    pub added_at: i64,
    pub ended_at: Option<i64>,
    /// Nothing of the file is passed on as it is.
    pub encode: bool,
}

const COLUMNS: &str = "id, name, file, size, state, reason, broadcast_id, added_at, ended_at, encode";

fn from_row(row: &Row<'_>) -> Result<Import> {
    let state: String = row.get(4)?;
    Ok(Import {
        id: row.get(0)?,
        name: row.get(1)?,
        file: row.get(2)?,
        size: row.get(3)?,
        state: ImportState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
        reason: row.get(5)?,
        broadcast_id: row.get(6)?,
        added_at: row.get(7)?,
        ended_at: row.get(8)?,
        encode: row.get(9)?,
    })
}

/// Adds a file that waits.
pub fn insert(connection: &Connection, id: &str, name: &str, size: u64, added_at: i64) -> Result<()> {
    connection.execute(
        "INSERT INTO imports (id, name, size, state, added_at) VALUES (?1, ?2, ?3, 'waiting', ?4)",
        params![id, name, size, added_at],
    )?;
    Ok(())
}

pub fn get(connection: &Connection, id: &str) -> Result<Option<Import>> {
    let sql = format!("SELECT {COLUMNS} FROM imports WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], from_row).optional()
}

/// At most `limit`, newest first, from behind `after` on.
pub fn list(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Vec<Import>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM imports
         WHERE ?1 IS NULL OR rowid < (SELECT rowid FROM imports WHERE id = ?1) ORDER BY rowid DESC LIMIT ?2"
    );
    connection.prepare_cached(&sql)?.query_map(params![after, limit], from_row)?.collect()
}

/// Those in one state, oldest first.
pub fn in_state(connection: &Connection, state: ImportState) -> Result<Vec<Import>> {
    let sql = format!("SELECT {COLUMNS} FROM imports WHERE state = ?1 ORDER BY rowid");
    connection.prepare_cached(&sql)?.query_map([state.as_str()], from_row)?.collect()
}

/// Work on one that waits begins: into this broadcast. Whether it was waiting.
pub fn begin(connection: &Connection, id: &str, broadcast_id: &str, encode: bool) -> Result<bool> {
    let sql = "UPDATE imports SET state = 'working', reason = NULL, broadcast_id = ?2, encode = ?3
         WHERE id = ?1 AND state = 'waiting'";
    Ok(connection.execute(sql, params![id, broadcast_id, encode])? > 0)
}

/// It waits (again), for this reason if there is one.
pub fn wait(connection: &Connection, id: &str, reason: Option<&str>) -> Result<()> {
    connection.execute(
        "UPDATE imports SET state = 'waiting', reason = ?2, file = NULL, broadcast_id = NULL, ended_at = NULL WHERE id = ?1",
        params![id, reason],
    )?;
    Ok(())
}

/// It is done, refused or cancelled. Of what is not done there is no broadcast.
pub fn end(connection: &Connection, id: &str, state: ImportState, reason: Option<&str>, ended_at: i64) -> Result<()> {
    connection.execute(
        "UPDATE imports SET state = ?2, reason = ?3, ended_at = ?4, broadcast_id = iif(?2 = 'done', broadcast_id, NULL)
         WHERE id = ?1",
        params![id, state.as_str(), reason, ended_at],
    )?;
    Ok(())
}

/// Where its file is now.
pub fn set_file(connection: &Connection, id: &str, file: Option<&str>) -> Result<()> {
    connection.execute("UPDATE imports SET file = ?2 WHERE id = ?1", params![id, file])?;
    Ok(())
}

/// Those that are done and whose file is still there, oldest first.
pub fn kept(connection: &Connection) -> Result<Vec<Import>> {
    let sql = format!("SELECT {COLUMNS} FROM imports WHERE state = 'done' AND file IS NOT NULL ORDER BY rowid");
    connection.prepare_cached(&sql)?.query_map([], from_row)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_waits_is_worked_on_and_done_or_refused() {
        let connection = crate::store::testing::memory();
        let broadcast = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at)
            VALUES ('b', 't', 'staff', 'scheduled', 'file', 'file', 0)";
        connection.execute(broadcast, []).unwrap();
        for (id, name) in [("1", "a.mp4"), ("2", "b.mp4"), ("3", "c.mp4")] {
            insert(&connection, id, name, 7, 1).unwrap();
        }
        let ids = |imports: Vec<Import>| imports.into_iter().map(|import| import.id).collect::<Vec<_>>().join("");
        assert_eq!(ids(list(&connection, None, 2).unwrap()), "32");
        assert_eq!(ids(list(&connection, Some("2"), 2).unwrap()), "1");
        assert!(begin(&connection, "1", "b", false).unwrap());
        assert!(!begin(&connection, "1", "b", false).unwrap(), "once");
        assert_eq!(ids(in_state(&connection, ImportState::Waiting).unwrap()), "23");
        end(&connection, "1", ImportState::Done, None, 5).unwrap();
        assert_eq!(ids(kept(&connection).unwrap()), "");
        set_file(&connection, "1", Some("a.mp4")).unwrap();
        assert_eq!(ids(kept(&connection).unwrap()), "1");
        assert_eq!(get(&connection, "1").unwrap().unwrap().broadcast_id.as_deref(), Some("b"));
        end(&connection, "2", ImportState::Refused, Some("import_damaged"), 5).unwrap();
        set_file(&connection, "2", Some("b-2.mp4")).unwrap();
        let refused = get(&connection, "2").unwrap().unwrap();
        assert_eq!((refused.name.as_str(), refused.file.as_deref()), ("b.mp4", Some("b-2.mp4")));
        assert_eq!((refused.reason.as_deref(), refused.broadcast_id), (Some("import_damaged"), None));
        wait(&connection, "2", None).unwrap();
        assert_eq!(get(&connection, "2").unwrap().unwrap().reason, None);
        connection.execute("DELETE FROM broadcasts", []).unwrap();
        assert_eq!(get(&connection, "1").unwrap().unwrap().broadcast_id, None);
    }
}

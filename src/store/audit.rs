//! Who did what: a list that only grows. The name is kept as text, so that it outlives the account.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::base::clock;

/// One line of the list; `at` in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    pub at: i64,
    pub account: String,
    pub action: String,
    pub subject: String,
    pub detail: String,
}

/// Adds a line, in the transaction of the deed itself. `action` is a stable word such as `account.create`.
pub fn record(
    connection: &Connection,
    account: &str,
    action: &str,
    subject: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (at, account, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![clock::wall_ms(), account, action, subject, detail])?;
    Ok(())
}

/// The newest `limit` lines before line `before` (all when `None`), newest first.
pub fn list(connection: &Connection, before: Option<i64>, limit: u32) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT id, at, account, action, subject, detail FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![before.unwrap_or(i64::MAX), limit], |row| {
        Ok(Entry {
            id: row.get(0)?,
            at: row.get(1)?,
            account: row.get(2)?,
            action: row.get(3)?,
            subject: row.get(4)?,
            detail: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn the_newest_come_first_in_pages() {
        let connection = testing::memory();
        for subject in ["a", "b", "c"] {
            record(&connection, "wati", "account.create", subject, "").unwrap();
        }
        let subjects = |before| -> Vec<String> {
            list(&connection, before, 2).unwrap().into_iter().map(|entry| entry.subject).collect()
        };
        assert_eq!(subjects(None), ["c", "b"]);
        assert_eq!(subjects(Some(2)), ["a"]);
    }
}

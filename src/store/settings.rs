//! Small values that are part of the data directory's state, by name. No secrets: those are a file (`secret.rs`).

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;

pub fn get(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

pub fn set(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute([key, value])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn a_setting_is_replaced() {
        let connection = testing::memory();
        assert_eq!(get(&connection, "a").unwrap(), None);
        set(&connection, "a", "1").unwrap();
        set(&connection, "a", "2").unwrap();
        assert_eq!(get(&connection, "a").unwrap(), Some("2".to_string()));
    }
}

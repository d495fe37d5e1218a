//! Rows of `accounts`. The rules about them (which names are fit, the last admin) stand above.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::StoreError;
use crate::accounts::{Role, Username};

/// A person who may sign in. Times in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub username: String,
    pub role: Role,
    pub created_at: i64,
    pub disabled_at: Option<i64>,
}

const COLUMNS: &str = "id, username, role, created_at, disabled_at";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        username: row.get(1)?,
        role: super::word(row, 2)?,
        created_at: row.get(3)?,
        disabled_at: row.get(4)?,
    })
}

/// Adds an account; a name in use gives an error that [`is_duplicate`](StoreError::is_duplicate).
pub fn insert(
    connection: &Connection,
    id: &str,
    username: &Username,
    role: Role,
    password_hash: &str,
    now: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO accounts (id, username, username_key, role, password_hash, created_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![id, username.as_str(), username.key(), role.as_str(), password_hash, now];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

pub fn get(connection: &Connection, id: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM accounts WHERE id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], from_row).optional()?)
}

pub fn by_key(connection: &Connection, username_key: &str) -> Result<Option<Account>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM accounts WHERE username_key = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([username_key], from_row).optional()?)
}

pub fn password_hash(connection: &Connection, id: &str) -> Result<Option<String>, StoreError> {
    let sql = "SELECT password_hash FROM accounts WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id], |row| row.get(0)).optional()?)
}

/// At most `limit` accounts in the order of their making, beginning behind account `after`.
/// `None` when there is no account `after`.
pub fn list(connection: &Connection, after: Option<&str>, limit: u32) -> Result<Option<Vec<Account>>, StoreError> {
    let start = match after {
        None => (i64::MIN, String::new()),
        Some(id) => match get(connection, id)? {
            Some(account) => (account.created_at, account.id),
            None => return Ok(None),
        },
    };
    let sql =
        format!("SELECT {COLUMNS} FROM accounts WHERE (created_at, id) > (?1, ?2) ORDER BY created_at, id LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![start.0, start.1, limit], from_row)?;
    Ok(Some(rows.collect::<Result<_, _>>()?))
}

/// How many admins may sign in.
pub fn enabled_admins(connection: &Connection) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM accounts WHERE role = 'admin' AND disabled_at IS NULL";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

pub fn rename(connection: &Connection, id: &str, username: &Username) -> Result<(), StoreError> {
    let sql = "UPDATE accounts SET username = ?2, username_key = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute([id, username.as_str(), username.key()])?;
    Ok(())
}

pub fn set_role(connection: &Connection, id: &str, role: Role) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE accounts SET role = ?2 WHERE id = ?1")?.execute([id, role.as_str()])?;
    Ok(())
}

pub fn set_password_hash(connection: &Connection, id: &str, hash: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE accounts SET password_hash = ?2 WHERE id = ?1")?.execute([id, hash])?;
    Ok(())
}

/// `Some(now)` disables, `None` enables.
pub fn set_disabled(connection: &Connection, id: &str, at: Option<i64>) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE accounts SET disabled_at = ?2 WHERE id = ?1")?.execute(params![id, at])?;
    Ok(())
}

/// Removes the account with its sessions, devices and stream keys; its broadcasts stay, without an owner.
pub fn delete(connection: &Connection, id: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing;

    #[test]
    fn names_are_unique_without_case() {
        let connection = testing::memory();
        let add = |id, name| insert(&connection, id, &Username::new(name).unwrap(), Role::Viewer, "x", 1);
        add("a", "Wati").unwrap();
        assert!(add("b", "wATI").unwrap_err().is_duplicate());
        assert_eq!(by_key(&connection, "wati").unwrap().unwrap().username, "Wati");
        assert_eq!(password_hash(&connection, "a").unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn pages_meet_without_gap_or_overlap() {
        let connection = testing::memory();
        for (id, time) in [("d", 1), ("a", 2), ("c", 2), ("b", 3)] {
            insert(&connection, id, &Username::new(&format!("person-{id}")).unwrap(), Role::Viewer, "x", time).unwrap();
        }
        let page = |after| -> Option<Vec<String>> {
            Some(list(&connection, after, 2).unwrap()?.into_iter().map(|account| account.id).collect())
        };
        assert_eq!(page(None).unwrap(), ["d", "a"]);
        assert_eq!(page(Some("a")).unwrap(), ["c", "b"]);
        assert_eq!(page(Some("b")).unwrap(), [""; 0]);
        assert_eq!(page(Some("nobody")), None);
    }

    #[test]
    fn only_enabled_admins_count() {
        let connection = testing::memory();
        for (id, role) in [("a", Role::Admin), ("b", Role::Admin), ("c", Role::Broadcaster)] {
            insert(&connection, id, &Username::new(&format!("person-{id}")).unwrap(), role, "x", 1).unwrap();
        }
        assert_eq!(enabled_admins(&connection).unwrap(), 2);
        set_disabled(&connection, "a", Some(5)).unwrap();
        assert_eq!(get(&connection, "a").unwrap().unwrap().disabled_at, Some(5));
        set_role(&connection, "b", Role::Viewer).unwrap();
        assert_eq!(enabled_admins(&connection).unwrap(), 0);
    }
}

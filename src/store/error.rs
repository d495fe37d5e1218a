//! What can go wrong with the database, sorted by what a caller can do about it.

use rusqlite::ErrorCode;

/// Each variant has a stable [`code`](StoreError::code); `Display` is a sentence for the log, never for a visitor.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the file for too long; trying again may help.
    #[error("the database is locked by another process")]
    Locked,
    #[error("the database is read-only: check the data directory's owner, and whether the disk is mounted read-only")]
    ReadOnly,
    #[error("the database cannot be opened: check the data directory's path and owner")]
    CannotOpen,
    #[error("there is no room left for the database")]
    DiskFull,
    /// The disk failed a read, a write or a sync.
    #[error("the disk failed under the database: {0}")]
    Disk(String),
    #[error("the database file is damaged or is not a database")]
    Damaged,
    /// The schema is of a later version than this program knows.
    #[error("the data directory belongs to a newer siaran")]
    TooNew,
    /// The pool has shut down.
    #[error("the database has stopped")]
    Closed,
    /// The closure panicked; its transaction was rolled back.
    #[error("a database job panicked")]
    Panicked,
    /// Anything else, a broken constraint included.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
}

impl StoreError {
    /// A stable name for logs, `/healthz` and the API.
    pub fn code(&self) -> &'static str {
        match self {
            StoreError::Locked => "database_locked",
            StoreError::ReadOnly => "database_read_only",
            StoreError::CannotOpen => "database_cannot_open",
            StoreError::DiskFull => "disk_full",
            StoreError::Disk(_) => "disk_error",
            StoreError::Damaged => "database_damaged",
            StoreError::TooNew => "database_too_new",
            StoreError::Closed => "database_closed",
            StoreError::Panicked | StoreError::Sqlite(_) => "database_error",
        }
    }

    /// Sorts an error of the file system that met the database's files.
    pub fn from_io(error: &std::io::Error) -> StoreError {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly,
            ErrorKind::PermissionDenied | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => StoreError::CannotOpen,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::DiskFull,
            _ => StoreError::Disk(error.to_string()),
        }
    }

    /// Whether a row broke a UNIQUE or PRIMARY KEY constraint.
    pub fn is_duplicate(&self) -> bool {
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
        matches!(self, StoreError::Sqlite(rusqlite::Error::SqliteFailure(failure, _))
            if [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY].contains(&failure.extended_code))
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreError::CannotOpen,
            Some(ErrorCode::DiskFull) => StoreError::DiskFull,
            Some(ErrorCode::SystemIoFailure) => StoreError::Disk(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged,
            _ => StoreError::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_database_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = rusqlite::Connection::open_with_flags(&path, flags).unwrap();
        let error = StoreError::from(connection.execute("INSERT INTO t VALUES (1)", []).unwrap_err());
        assert_eq!(error.code(), "database_read_only");
    }

    #[test]
    fn a_place_that_cannot_hold_a_database_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = crate::store::Db::open(&file.path().join("x.db")).err().unwrap();
        assert_eq!(error.code(), "database_cannot_open");
        let directory = tempfile::tempdir().unwrap();
        let error = crate::store::Db::open(directory.path()).err().unwrap();
        assert_eq!(error.code(), "database_cannot_open");
    }

    #[test]
    fn duplicates_are_told_from_other_faults() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (a UNIQUE, b NOT NULL); INSERT INTO t VALUES (1, 1)").unwrap();
        let run = |sql| StoreError::from(connection.execute(sql, []).unwrap_err());
        assert!(run("INSERT INTO t VALUES (1, 2)").is_duplicate());
        assert!(!run("INSERT INTO t VALUES (2, NULL)").is_duplicate());
    }
}

//! The database file: opening, migrating, one writer thread, two readers.
//!
//! `db.write(|tx| …)` runs a closure in an immediate transaction on the writer's thread and commits it when it returns
//! `Ok`; `db.read(|connection| …)` runs one on a reader. Both are also there without `async` for threads of our own.

use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the data directory belongs to a newer siaran")]
    TooNew,
    #[error("the database has stopped")]
    Closed,
}

#[derive(Clone)]
pub struct Db {}

impl Db {
    pub fn open(_path: &Path) -> Result<Db, StoreError> {
        todo!()
    }

    pub async fn write<T, E, F>(&self, _work: F) -> Result<T, E>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }

    pub async fn read<T, E, F>(&self, _work: F) -> Result<T, E>
    where
        F: FnOnce(&rusqlite::Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }

    pub fn write_blocking<T, E, F>(&self, _work: F) -> Result<T, E>
    where
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }

    pub fn read_blocking<T, E, F>(&self, _work: F) -> Result<T, E>
    where
        F: FnOnce(&rusqlite::Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        todo!()
    }
}

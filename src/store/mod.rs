//! SQLite: the only room that knows it. Queries are plain functions on a [`rusqlite::Connection`], one file per table family.

pub mod accounts;
pub mod audit;
pub mod broadcasts;
pub mod captions;
pub mod db;
pub mod edits;
pub mod error;
pub mod imports;
pub mod ladders;
pub mod media;
mod migrate;
pub mod secret;
pub mod sessions;
pub mod settings;
pub mod sprites;
pub mod stream_keys;

pub use db::Db;
pub use error::StoreError;
pub use rusqlite::{Connection, Transaction};

/// Reads a column that holds one word of a closed set.
fn word<T>(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(index)?.as_str()?;
    text.parse()
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error)))
}

#[cfg(test)]
pub(crate) mod testing {
    //! A database for tests of queries.

    /// A database in memory with the newest schema.
    pub fn memory() -> rusqlite::Connection {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        super::migrate::to_latest(&mut connection).unwrap();
        connection
    }
}

//! SQLite: the only room that knows it. Queries are plain functions on a [`rusqlite::Connection`], one file per table family.

pub mod broadcasts;
pub mod db;
pub mod media;

pub use db::{Db, StoreError};

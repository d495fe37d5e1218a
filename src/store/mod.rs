//! SQLite: the only room that knows it. Queries are plain functions on a [`rusqlite::Connection`], one file per table family.

pub mod db;

pub use db::{Db, StoreError};

//! siaran: live streaming and a video library for a small clinic, in one program.
//!
//! The rooms stand on floors; imports go strictly down (ARCHITECTURE.md has the table, `tests/suite/tidy.rs` holds it).

pub mod accounts;
pub mod app;
pub mod base;
pub mod broadcast;
pub mod capture;
pub mod cli;
pub mod ingest;
pub mod library;
pub mod media;
pub mod people;
pub mod store;
pub mod web;
pub mod worker;

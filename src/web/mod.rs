//! web

pub mod api;
pub mod cookies;
pub mod csrf;
pub mod envelope;
pub mod error;
pub mod guard;
pub mod input;

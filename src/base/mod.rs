//! What every other room may use and what itself uses none of them: clock, ids, configuration.

pub mod clock;
pub mod config;
pub mod ids;
pub mod terms;

//! The event and its life: sources that run, broadcasts on air, who watches. One owner for each piece of state; everyone
//! else holds a snapshot and sends commands.

pub mod actor;
pub mod calibration;
pub mod program;
pub mod publishers;
pub mod source;
pub mod state;
pub mod studio;
pub mod texts;
pub mod viewers;
pub mod windows;

pub use studio::Studio;

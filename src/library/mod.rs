//! Recordings on disk: writing reels, finding and reading what is in them, deleting, how much room there is.

mod catalogue;
pub mod download;
pub mod layout;
pub mod read;
pub mod recorder;
pub mod reel;
pub mod vod;

pub use vod::Library;

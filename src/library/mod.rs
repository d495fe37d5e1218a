//! Recordings on disk: writing reels, finding and reading what is in them, deleting, how much room there is.

pub mod backup;
pub mod captions;
mod catalogue;
pub mod download;
pub mod fsck;
pub mod imports;
pub mod layout;
mod note;
pub mod read;
pub mod recorder;
pub mod recover;
pub mod reel;
pub mod retention;
mod scan;
pub mod scrub;
pub mod space;
mod thumbnail;
pub mod vod;

pub use vod::Library;

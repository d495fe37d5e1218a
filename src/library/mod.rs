//! Recordings on disk: writing reels, finding and reading what is in them, deleting, how much room there is. Uploads on their
//! way there.

pub mod backup;
pub mod captions;
mod catalogue;
pub mod download;
pub mod edit;
pub mod fsck;
pub mod imports;
pub mod ladders;
pub mod layout;
mod making;
mod note;
pub mod read;
pub mod recorder;
pub mod recover;
pub mod reel;
pub mod retention;
mod scan;
pub mod scrub;
pub mod space;
mod sprite;
mod thumbnail;
pub mod uploads;
pub mod vod;

pub use vod::Library;

//! Room on the disk: what is left free for whom, the ballast, what is wrong, how long a broadcast can go on.

use std::fs::{File, OpenOptions};
use std::io;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::layout::{Layout, Space};
use super::vod::Library;
use crate::base::clock;
use crate::base::config::Config;
use crate::media::rungs;
use crate::store::broadcasts::Totals;

/// The ballast is never larger.
const BALLAST_MOST: u64 = 32 << 20;
/// How often the disk is looked at: an alarm is due within 2 s.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What recordings leave to others; bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Recordings leave so much free.
    pub min_free: u64,
    /// *Go live* asks for so much above that.
    pub go_live: u64,
}

impl Reserve {
    pub fn of(config: &Config) -> Reserve {
        Reserve {
            min_free: config.min_free_bytes,
            go_live: rungs::planned_bitrate(config) / 8 * u64::from(config.go_live_room_s),
        }
    }
}

/// Why nothing can be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Full,
    /// There is room, but no file can be made.
    NoInodes,
    ReadOnly,
    /// The disk does not answer.
    Unreadable,
}

impl Fault {
    /// The stable word of `/healthz` and the API.
    pub fn code(self) -> &'static str {
        match self {
            Fault::Full => "disk_full",
            Fault::NoInodes => "inodes_full",
            Fault::ReadOnly => "disk_read_only",
            Fault::Unreadable => "disk_error",
        }
    }
}

/// The room at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub space: Space,
    reserve: Reserve,
}

impl Room {
    /// Bytes that recordings leave free: what the admin wants, and never the room that giving up the ballast makes.
    pub fn floor(&self) -> u64 {
        self.reserve.min_free.max(2 * ballast_size(self.space.total))
    }

    /// Bytes that can be recorded now.
    pub fn recordable(&self) -> u64 {
        self.space.free.saturating_sub(self.floor())
    }

    /// Bytes that an upload may take now. It leaves half of what *Go live* asks for to whoever is on air; taking of the other half
    /// is what makes retention free more.
    pub fn uploadable(&self) -> u64 {
        self.recordable().saturating_sub(self.reserve.go_live / 2)
    }

    /// Bytes that are left beside what another broadcast asks for.
    pub fn spare(&self) -> u64 {
        self.recordable().saturating_sub(self.reserve.go_live)
    }

    /// Bytes that are missing for another broadcast.
    pub fn short_by(&self) -> u64 {
        self.reserve.go_live.saturating_sub(self.recordable())
    }

    pub fn fault(&self) -> Option<Fault> {
        match self.space {
            Space { read_only: true, .. } => Some(Fault::ReadOnly),
            Space { has_inodes: false, .. } => Some(Fault::NoInodes),
            _ if self.space.free < self.floor() => Some(Fault::Full),
            _ => None,
        }
    }
}

/// All that an admin is told of the disk.
#[derive(Debug, Clone, Copy)]
pub struct Storage {
    pub room: Room,
    pub totals: Totals,
    /// Bytes of the ballast, 0 while it is given up.
    pub ballast: u64,
    /// Bytes that retention may free when room is short.
    pub freeable: u64,
}

impl Storage {
    /// Bytes in use that are no media, the ballast among them.
    pub fn other(&self) -> u64 {
        let Totals { bytes, trash_bytes, thumbnail_bytes, .. } = self.totals;
        (self.room.space.total.saturating_sub(self.room.space.free))
            .saturating_sub(bytes + trash_bytes + thumbnail_bytes)
    }

    /// Seconds that can be recorded at `bits_per_second`, counting what retention may free.
    pub fn left_s(&self, bits_per_second: u64) -> u64 {
        match self.room.fault() {
            None | Some(Fault::Full) => seconds_of(self.room.recordable() + self.freeable, bits_per_second),
            Some(_) => 0,
        }
    }

    /// Seconds that can be recorded before anything has to go.
    pub fn untouched_s(&self, bits_per_second: u64) -> u64 {
        seconds_of(self.room.recordable(), bits_per_second)
    }
}

/// Seconds that `bytes` last.
pub fn seconds_of(bytes: u64, bits_per_second: u64) -> u64 {
    bytes.saturating_mul(8) / bits_per_second.max(1)
}

/// 32 MB, or a hundredth of a small disk.
fn ballast_size(disk: u64) -> u64 {
    (disk / 100).min(BALLAST_MOST)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ballast {
    Keep,
    GiveUp,
    Make,
}

/// Given up before the disk is quite full, made again only where that leaves twice as much.
fn judge_ballast(space: Space, there: bool) -> Ballast {
    let size = ballast_size(space.total);
    match there {
        _ if space.read_only => Ballast::Keep,
        true if space.free < size / 2 || !space.has_inodes => Ballast::GiveUp,
        false if space.free >= 3 * size && space.has_inodes => Ballast::Make,
        _ => Ballast::Keep,
    }
}

/// Does with the ballast what the disk asks for.
pub fn tend_ballast(layout: &Layout) -> io::Result<()> {
    let path = layout.ballast();
    let space = layout.space()?;
    match judge_ballast(space, path.exists()) {
        Ballast::Keep => Ok(()),
        Ballast::GiveUp => {
            tracing::warn!(free = space.free, "the disk is full: the ballast is given up");
            std::fs::remove_file(path)
        }
        Ballast::Make => make_ballast(&path, ballast_size(space.total)).inspect_err(|_| {
            let _ = std::fs::remove_file(&path);
        }),
    }
}

fn make_ballast(path: &std::path::Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        Err(Errno::OPNOTSUPP) => io::copy(&mut io::Read::take(io::repeat(0xff), size), &mut &file).map(drop),
        done => Ok(done?),
    }
}

impl Library {
    /// The room as it is now.
    pub fn room(&self) -> io::Result<Room> {
        Ok(Room { space: self.layout.space()?, reserve: self.reserve })
    }

    /// Why nothing can be recorded now, if so.
    pub fn fault(&self) -> Option<Fault> {
        self.room().map_or(Some(Fault::Unreadable), |room| room.fault())
    }

    /// All sizes there are.
    pub async fn storage(&self) -> Result<Storage, super::vod::LibraryError> {
        let (totals, freeable) = (self.totals().await?, self.freeable().await?);
        let ballast = File::open(self.layout.ballast()).and_then(|file| file.metadata()).map_or(0, |found| found.len());
        Ok(Storage { room: self.room()?, totals, ballast, freeable })
    }

    /// Looks at the disk and at the clock again and again: gives the ballast up and makes it again.
    pub async fn tend(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let mut failed = false;
        let mut labelled = None;
        loop {
            ticks.tick().await;
            // A step of the clock is seen only by who looks often.
            let now = clock::moment();
            let offset = now.wall_ms - now.monotonic_ms;
            let right = labelled.is_some_and(|then: i64| (offset - then).abs() <= clock::STEP_MS);
            if now.trusted && !right {
                match self.relabel().await {
                    Ok(()) => labelled = Some(offset),
                    Err(error) => tracing::error!(%error, "times cannot be put right"),
                }
            }
            let layout = self.layout.clone();
            let tended = tokio::task::spawn_blocking(move || tend_ballast(&layout)).await;
            match tended.map_err(io::Error::other).and_then(|tended| tended) {
                Err(error) if !failed => {
                    tracing::error!(%error, "the ballast cannot be kept");
                    failed = true;
                }
                tended => failed = tended.is_err(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1_000_000_000;

    fn space(total: u64, free: u64) -> Space {
        Space { total, free, has_inodes: true, read_only: false }
    }

    #[test]
    fn the_ballast_goes_when_the_disk_is_full_and_comes_back_with_room() {
        assert_eq!(ballast_size(100 * GB), 32 << 20);
        assert_eq!(ballast_size(64_000_000), 640_000);
        let judge = |free, there| judge_ballast(space(64_000_000, free), there);
        assert_eq!(judge(320_000, true), Ballast::Keep);
        assert_eq!(judge(319_999, true), Ballast::GiveUp);
        // What giving it up made is not room for it.
        assert_eq!(judge(319_999 + 640_000, false), Ballast::Keep);
        assert_eq!(judge(1_920_000, false), Ballast::Make);
        let no_inodes = Space { has_inodes: false, ..space(64_000_000, 60_000_000) };
        assert_eq!((judge_ballast(no_inodes, true), judge_ballast(no_inodes, false)), (Ballast::GiveUp, Ballast::Keep));
        let read_only = Space { read_only: true, ..space(64_000_000, 0) };
        assert_eq!(judge_ballast(read_only, true), Ballast::Keep);
    }

    #[test]
    fn recordings_never_take_the_ballasts_room() {
        let reserve = Reserve { min_free: 0, go_live: GB };
        let room = |free| Room { space: space(100 * GB, free), reserve };
        assert_eq!(room(2 * GB).floor(), 64 << 20);
        assert_eq!((room(0).recordable(), room(0).short_by(), room(0).fault()), (0, GB, Some(Fault::Full)));
        assert_eq!((room(2 * GB).short_by(), room(2 * GB).fault()), (0, None));
        let reserve = Reserve { min_free: GB, go_live: GB };
        let room = Room { space: space(100 * GB, 3 * GB / 2), reserve };
        assert_eq!((room.recordable(), room.short_by(), room.fault()), (GB / 2, GB / 2, None));
        assert_eq!(room.uploadable(), 0, "half of a broadcast's room is left");
        assert_eq!(Room { space: space(100 * GB, 5 * GB), reserve }.uploadable(), 7 * GB / 2);
    }

    #[test]
    fn a_real_ballast_takes_up_room_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        make_ballast(&path, 1 << 20).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert!(found.len() == 1 << 20 && found.blocks() * 512 >= 1 << 20, "{found:?}");
    }
}

//! Where things are in the data directory. The directory is the whole state: copy it and you have copied the box.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, StatVfsMountFlags, flock};
use rustix::io::Errno;

use crate::base::ids;

/// Raised when an older program could not read what a newer one wrote.
const VERSION: u32 = 1;

/// The data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// While it lives, no other process can claim the directory.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

/// Room on the data directory's disk; sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
    /// A file can still be made: not every file system counts its inodes.
    pub has_inodes: bool,
    pub read_only: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path} belongs to a newer siaran (layout {found}, this program knows {VERSION}); it was not touched")]
    TooNew { path: PathBuf, found: u32 },
    #[error("{path} is not a number; it was not touched")]
    BadVersion { path: PathBuf },
    #[error("{path} is in use by another siaran; it was not touched")]
    InUse { path: PathBuf },
}

/// In full or not at all, whatever happens meanwhile: a stump would be refused at every start.
fn write_version(root: &Path) -> io::Result<()> {
    let new = root.join("version.new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{VERSION}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, root.join("version"))?;
    File::open(root)?.sync_all()
}

impl Layout {
    /// Opens the directory, or makes it. One that a newer program wrote is refused and left as it is.
    pub fn open(root: &Path) -> Result<Layout, LayoutError> {
        let layout = Layout { root: root.to_owned() };
        let version = root.join("version");
        match std::fs::read_to_string(&version) {
            Ok(text) => match text.trim().parse::<u32>() {
                Ok(found) if found > VERSION => return Err(LayoutError::TooNew { path: root.to_owned(), found }),
                Ok(_) => {}
                Err(_) => return Err(LayoutError::BadVersion { path: version }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let io = |error| LayoutError::Io { path: version.clone(), error };
                std::fs::create_dir_all(root).map_err(io)?;
                write_version(root).map_err(io)?;
            }
            Err(error) => return Err(LayoutError::Io { path: version, error }),
        }
        let import = [layout.import_work(), layout.import_done(), layout.import_refused()];
        let mut folders = [layout.reels(), layout.over(), layout.uploads()].into_iter().chain(import);
        let made = folders.try_for_each(std::fs::create_dir_all).and_then(|()| File::open(root)?.sync_all());
        made.map_err(|error| LayoutError::Io { path: root.to_owned(), error })?;
        Ok(layout)
    }

    /// Takes the directory for one server: a second one would close the first one's broadcasts as if they had been
    /// interrupted. Accounts may be changed meanwhile. The claim ends with the process, however it ends.
    pub fn claim(&self) -> Result<Claim, LayoutError> {
        let version = self.root.join("version");
        let io = |error| LayoutError::Io { path: version.clone(), error };
        let file = File::open(&version).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Claim { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(LayoutError::InUse { path: self.root.clone() }),
            Err(error) => Err(io(error.into())),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("siaran.db")
    }

    /// A file that only takes up room, to be given up when there is none.
    pub fn ballast(&self) -> PathBuf {
        self.root.join("ballast")
    }

    /// Room on the directory's disk.
    pub fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(Space {
            total: stat.f_blocks * stat.f_frsize,
            free: stat.f_bavail * stat.f_frsize,
            has_inodes: stat.f_files == 0 || stat.f_favail > 0,
            read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY) || self.refuses_writes(),
        })
    }

    /// A file system that the kernel has stopped after an error need not say so by a flag; opening a file for writing tells,
    /// and writes nothing.
    fn refuses_writes(&self) -> bool {
        let opened = std::fs::OpenOptions::new().write(true).open(self.root.join("version"));
        opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }

    /// Empty files, each named by a broadcast that is over and whose row may not say so yet.
    pub fn over(&self) -> PathBuf {
        self.root.join("over")
    }

    /// Files that are being uploaded, see [`super::uploads`].
    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Files that are to be read in are put here.
    pub fn import(&self) -> PathBuf {
        self.root.join("import")
    }

    /// Files that wait or are worked on, each named by its import.
    pub fn import_work(&self) -> PathBuf {
        self.import().join("working")
    }

    /// Files that were read in, for a while.
    pub fn import_done(&self) -> PathBuf {
        self.import().join("done")
    }

    /// Files that could not be read in, or were not to be.
    pub fn import_refused(&self) -> PathBuf {
        self.import().join("refused")
    }

    /// Where a start puts what it does not understand.
    pub fn set_aside(&self) -> PathBuf {
        self.root.join("set-aside")
    }

    /// Moves a damaged database out of the way, with what SQLite keeps beside it. Its new place.
    pub fn set_database_aside(&self) -> io::Result<PathBuf> {
        let folder = self.set_aside();
        std::fs::create_dir_all(&folder)?;
        let database = self.database();
        let place = folder.join(format!("siaran.db.{}", ids::public_id()));
        for suffix in ["-wal", "-shm", ""] {
            let beside = |path: &Path| PathBuf::from(format!("{}{suffix}", path.display()));
            match std::fs::rename(beside(&database), beside(&place)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(&self.root)?.sync_all()?;
        Ok(place)
    }

    /// The folder of all reels.
    pub fn reels(&self) -> PathBuf {
        self.root.join("reels")
    }

    /// One reel's file.
    pub fn reel(&self, id: &str) -> PathBuf {
        self.reels().join(format!("{id}.reel"))
    }
}

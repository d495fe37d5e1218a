//! Where things are in the data directory. The directory is the whole state: copy it and you have copied the box.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

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

/// Room on the data directory's disk, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
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
                std::fs::write(&version, format!("{VERSION}\n")).map_err(io)?;
            }
            Err(error) => return Err(LayoutError::Io { path: version, error }),
        }
        let reels = layout.reels();
        std::fs::create_dir_all(&reels).map_err(|error| LayoutError::Io { path: reels, error })?;
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

    /// Room on the directory's disk.
    pub fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(Space { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
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

//! Where things are in the data directory. The directory is the whole state: copy it and you have copied the box.

use std::io;
use std::path::{Path, PathBuf};

/// Raised when an older program could not read what a newer one wrote.
const VERSION: u32 = 1;

/// The data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error("{path} belongs to a newer siaran (layout {found}, this program knows {VERSION}); it was not touched")]
    TooNew { path: PathBuf, found: u32 },
    #[error("{path} is not a number; it was not touched")]
    BadVersion { path: PathBuf },
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

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PathBuf {
        self.root.join("siaran.db")
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

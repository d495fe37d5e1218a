//! `siaran backup` and `siaran restore`. A backup is a data directory like any other, so that nothing but siaran is needed to
//! read it: the database as it was at one instant, and the reels that it names. Reels never change once they are closed, so
//! the next backup to the same place copies only what is new.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::layout::{Layout, LayoutError};
use super::recover;
use super::vod::LibraryError;
use crate::base::clock;
use crate::store::db;
use crate::store::media::{self, Reel};
use crate::store::{StoreError, secret};

/// Says that a directory is a backup; written last.
const MARK: &str = "backup";
/// Bytes copied between two syncs: a copy in the page cache's debt would hold the recorder's own syncs up.
const STRIDE: u64 = 4 << 20;
/// What is read at once.
const READ: usize = 256 << 10;
/// A recording that is deleted meanwhile makes the snapshot old; it is taken anew so many times.
const ATTEMPTS: u32 = 5;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} is not empty and is no backup of siaran's; it was not touched")]
    NotABackup(String),
    #[error("{0} is not empty; restore only into a new directory")]
    Occupied(String),
    #[error("{0}: this is no complete backup")]
    Incomplete(String),
    #[error("{0} lies inside the data directory")]
    Inside(String),
    #[error("recordings are deleted faster than they can be copied; try again")]
    Restless,
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
}

/// What was done.
#[derive(Debug, Default, serde::Serialize)]
pub struct Copied {
    pub reels: u64,
    pub bytes: u64,
    /// Reels that were there already.
    pub kept: u64,
    /// Reels of recordings that are no more.
    pub removed: u64,
    /// What is not as it was recorded.
    pub damaged: Vec<Damaged>,
}

/// A reel that is not as it was recorded. A backup leaves it out, and keeps the copy that it has; a restore brings back what there
/// is of it.
#[derive(Debug, serde::Serialize)]
pub struct Damaged {
    pub reel: String,
    pub broadcast: String,
    /// In words.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Backup,
    Restore,
}

/// Brings the backup in `to` up to date; also while a server runs on `from`.
pub fn backup(from: &Layout, to: &Path) -> Result<Copied, BackupError> {
    if to.starts_with(from.root()) {
        return Err(BackupError::Inside(to.display().to_string()));
    }
    if !is_empty(to)? && !to.join(MARK).exists() {
        return Err(BackupError::NotABackup(to.display().to_string()));
    }
    let target = Layout::open(to)?;
    let mut copied = Copied::default();
    let draft = to.join("siaran.db.new");
    let mut gone = HashSet::new();
    for _ in 0..ATTEMPTS {
        remove(&draft)?;
        db::snapshot(&from.database(), &draft, recover::close_all)?;
        let reels = db::read_snapshot(&draft, |db| Ok((media::reels(db)?, media::ends(db)?)))?;
        let (reels, ends) = reels;
        let wanted: Vec<&Reel> = reels.iter().filter(|reel| !reel.garbage).collect();
        copied.damaged.clear();
        let missing = copy_reels(Purpose::Backup, (from, &target), &wanted, &ends, &gone, &mut copied)?;
        if !missing.is_empty() {
            gone.extend(missing);
            continue;
        }
        for name in [secret::FILE_NAME, "tls"] {
            copy_small(&from.root().join(name), &to.join(name))?;
        }
        // From the old snapshot to the new one in one step.
        at(&draft, std::fs::rename(&draft, target.database()))?;
        copied.removed = remove_others(&target, &wanted)?;
        write(&to.join(MARK), &format!("{}\n", clock::rfc3339(clock::wall_ms())))?;
        sync_folder(to)?;
        return Ok(copied);
    }
    Err(BackupError::Restless)
}

/// Copies a backup to a data directory that does not exist yet, and checks every recording on the way: what is damaged is brought
/// back as it is, and told.
pub fn restore(from: &Path, to: &Path) -> Result<Copied, BackupError> {
    if !is_empty(to)? {
        return Err(BackupError::Occupied(to.display().to_string()));
    }
    if !from.join(MARK).exists() {
        return Err(BackupError::Incomplete(from.display().to_string()));
    }
    let source = Layout::open(from)?;
    let target = Layout::open(to)?;
    let mut copied = Copied::default();
    let (reels, ends) = db::read_snapshot(&source.database(), |db| Ok((media::reels(db)?, media::ends(db)?)))?;
    let wanted: Vec<&Reel> = reels.iter().filter(|reel| !reel.garbage).collect();
    copy_reels(Purpose::Restore, (&source, &target), &wanted, &ends, &HashSet::new(), &mut copied)?;
    for name in [secret::FILE_NAME, "tls", crate::store::db::FILE_NAME] {
        copy_small(&from.join(name), &to.join(name))?;
    }
    sync_folder(to)?;
    Ok(copied)
}

/// Copies them, as far as their rows say. Gives the reels that a backup did not find, which may have been deleted since the snapshot
/// was taken; what is `gone` was missed before, and a newer snapshot names it all the same.
fn copy_reels(
    purpose: Purpose,
    (from, to): (&Layout, &Layout),
    reels: &[&Reel],
    ends: &HashMap<String, u64>,
    gone: &HashSet<String>,
    copied: &mut Copied,
) -> Result<Vec<String>, BackupError> {
    let mut missing = Vec::new();
    for reel in reels {
        let (source, target) = (from.reel(&reel.id), to.reel(&reel.id));
        // One that is being written is copied as far as the snapshot knows it.
        let length = reel.length.or_else(|| ends.get(&reel.id).copied()).unwrap_or(0);
        if std::fs::metadata(&target).is_ok_and(|found| found.len() == length) {
            copied.kept += 1;
            continue;
        }
        let why = match copy_to_draft(&source, &target, Some(length), 0o644) {
            Ok(draft) => {
                let same = draft.length == length && reel.blake3.is_none_or(|noted| noted == draft.blake3);
                if same || purpose == Purpose::Restore {
                    draft.publish(&target)?;
                    copied.reels += 1;
                    copied.bytes += draft.length;
                } else {
                    remove(&draft.path)?;
                }
                (!same).then(|| String::from("the bytes are not those that were recorded"))
            }
            Err(BackupError::Io { path, error }) if path == source => {
                let not_found = error.kind() == io::ErrorKind::NotFound;
                if not_found && purpose == Purpose::Backup && !gone.contains(&reel.id) {
                    missing.push(reel.id.clone());
                    continue;
                }
                Some(error.to_string())
            }
            Err(error) => return Err(error),
        };
        let damaged = |why| Damaged { reel: reel.id.clone(), broadcast: reel.broadcast_id.clone(), why };
        copied.damaged.extend(why.map(damaged));
    }
    sync_folder(&to.reels())?;
    Ok(missing)
}

fn remove_others(layout: &Layout, reels: &[&Reel]) -> Result<u64, BackupError> {
    let known: HashSet<PathBuf> = reels.iter().map(|reel| layout.reel(&reel.id)).collect();
    let mut removed = 0;
    for entry in at(&layout.reels(), std::fs::read_dir(layout.reels()))? {
        let path = at(&layout.reels(), entry)?.path();
        if !known.contains(&path) {
            at(&path, std::fs::remove_file(&path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// A file, or the files of a folder; what is not there is left out.
fn copy_small(from: &Path, to: &Path) -> Result<(), BackupError> {
    if from.is_dir() {
        at(to, std::fs::create_dir_all(to))?;
        for entry in at(from, std::fs::read_dir(from))? {
            let entry = at(from, entry)?;
            copy_small(&entry.path(), &to.join(entry.file_name()))?;
        }
        return sync_folder(to);
    }
    if from.exists() {
        copy(from, to, 0o600)?;
    }
    Ok(())
}

/// A copy that has not its name yet.
struct Draft {
    path: PathBuf,
    length: u64,
    blake3: [u8; 32],
}

impl Draft {
    fn publish(&self, to: &Path) -> Result<(), BackupError> {
        at(to, std::fs::rename(&self.path, to))
    }
}

/// Copies a whole file; it appears under its name when it is on the disk.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), BackupError> {
    copy_to_draft(from, to, None, mode)?.publish(to)
}

/// Copies the first `length` bytes, or all, beside `to`; they are on the disk then. An error names the file that it is about.
fn copy_to_draft(from: &Path, to: &Path, length: Option<u64>, mode: u32) -> Result<Draft, BackupError> {
    let mut source = at(from, File::open(from))?.take(length.unwrap_or(u64::MAX));
    let path = to.with_extension("part");
    remove(&path)?;
    let mut target = at(&path, OpenOptions::new().write(true).create_new(true).mode(mode).open(&path))?;
    let mut hasher = blake3::Hasher::new();
    let (mut buffer, mut unsynced, mut length) = (vec![0; READ], 0, 0);
    loop {
        let read = at(from, source.read(&mut buffer))?;
        at(&path, target.write_all(&buffer[..read]))?;
        hasher.update(&buffer[..read]);
        unsynced += read as u64;
        length += read as u64;
        if read == 0 || unsynced >= STRIDE {
            at(&path, target.sync_data())?;
            unsynced = 0;
        }
        if read == 0 {
            break;
        }
    }
    Ok(Draft { path, length, blake3: *hasher.finalize().as_bytes() })
}

fn write(path: &Path, text: &str) -> Result<(), BackupError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    at(path, written)
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => at(path, removed),
    }
}

fn sync_folder(path: &Path) -> Result<(), BackupError> {
    at(path, File::open(path).and_then(|folder| folder.sync_all()))
}

/// Whether there is nothing, or an empty folder.
fn is_empty(path: &Path) -> Result<bool, BackupError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(BackupError::Io { path: path.to_owned(), error }),
    }
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, BackupError> {
    result.map_err(|error| BackupError::Io { path: path.to_owned(), error })
}

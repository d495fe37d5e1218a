//! The import folder: which files in it are whole, and where they go from there. Nothing is read of what is in them.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::base::clock;

/// A file that was copied here is whole when it has not changed for so long.
const SETTLED: Duration = Duration::from_secs(2);
/// So is one of which it was not seen that its writer has closed it.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What the kernel told of a name last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Somebody writes into it.
    Open,
    /// Whoever wrote into it has closed it.
    Closed,
    /// It came here whole, under this name.
    Moved,
}

/// Watches the folder for as long as it lives.
pub struct Watch {
    told: Arc<Mutex<HashMap<String, Told>>>,
    /// Something has changed.
    pub changed: Arc<Notify>,
    /// None where the kernel gives no watch: then it is only looked at now and then.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    pub fn start(folder: &Path) -> Watch {
        let (told, changed) = (Arc::<Mutex<HashMap<String, Told>>>::default(), Arc::<Notify>::default());
        let (tell, wake) = (Arc::clone(&told), Arc::clone(&changed));
        let handler = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return wake.notify_one() };
            let now = match event.kind {
                EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Told::Open,
                EventKind::Access(AccessKind::Close(AccessMode::Write)) => Told::Closed,
                EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Told::Moved,
                _ => return,
            };
            let name = event.paths.first().and_then(|path| path.file_name()).and_then(|name| name.to_str());
            if let Some(name) = name {
                tell.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), now);
            }
            wake.notify_one();
        };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the import folder cannot be watched; it is looked at each half minute");
        }
        Watch { told, changed, _watcher: watcher.ok() }
    }
}

/// What tells that a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Shape {
    pub fn of(file: &Metadata) -> Shape {
        let modified = (file.mtime(), file.mtime_nsec());
        Shape { device: file.dev(), inode: file.ino(), size: file.len(), modified }
    }
}

/// Files that are looked at until they are whole.
#[derive(Default)]
pub struct Arriving(HashMap<String, (Shape, Instant)>);

/// What a look at the folder found.
#[derive(Default)]
pub struct Look {
    /// Name and size in bytes.
    pub whole: Vec<(String, u64)>,
    /// Others are still on their way.
    pub arriving: bool,
}

impl Arriving {
    /// Looks at all files in the folder, not below it.
    ///
    /// # Errors
    /// Of the folder.
    pub fn look(&mut self, folder: &Path, watch: &Watch) -> io::Result<Look> {
        let mut look = Look::default();
        let mut there = HashSet::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            // Of a file that has gone meanwhile there is nothing to know.
            let Ok(found) = entry.metadata() else { continue };
            let Some(name) = plain_name(folder, &entry.file_name()).filter(|_| found.is_file()) else { continue };
            if is_unfinished(&name) {
                continue;
            }
            there.insert(name.clone());
            if self.is_whole(&name, Shape::of(&found), watch) {
                look.whole.push((name, found.len()));
            } else {
                look.arriving = true;
            }
        }
        self.0.retain(|name, _| there.contains(name));
        let mut told = watch.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|name, _| there.contains(name));
        Ok(look)
    }

    fn is_whole(&mut self, name: &str, shape: Shape, watch: &Watch) -> bool {
        let told = watch.told.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied();
        let (known, since) = self.0.entry(name.to_owned()).or_insert_with(|| (shape, clock::instant()));
        if *known != shape {
            (*known, *since) = (shape, clock::instant());
        }
        match told {
            Some(Told::Moved) => true,
            Some(Told::Open) => since.elapsed() >= FORGOTTEN,
            Some(Told::Closed) | None => since.elapsed() >= SETTLED,
        }
    }
}

/// The file's name; one that is no UTF-8 is put right first.
fn plain_name(folder: &Path, name: &std::ffi::OsStr) -> Option<String> {
    if let Some(name) = name.to_str() {
        return Some(name.to_owned());
    }
    let plain = free(folder, &name.to_string_lossy());
    if let Err(error) = std::fs::rename(folder.join(name), folder.join(plain)) {
        tracing::warn!(%error, "a file in the import folder cannot be renamed");
    }
    None
}

/// Endings of copies that are not done.
pub const UNFINISHED: [&str; 8] =
    [".part", ".partial", ".filepart", ".crdownload", ".download", ".tmp", ".temp", ".!ut"];

/// Names that copying programs and editors give to what is not whole, and hidden files.
fn is_unfinished(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.starts_with(['.', '~']) || lower.ends_with('~') || UNFINISHED.iter().any(|ending| lower.ends_with(ending))
}

/// Opens a file for reading; not what a link leads to.
///
/// # Errors
/// Of the file.
pub fn open(path: &Path) -> io::Result<File> {
    let no_link = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
    OpenOptions::new().read(true).custom_flags(no_link).open(path)
}

/// A name like `name` that nothing has in `folder`.
pub fn free(folder: &Path, name: &str) -> String {
    let taken = |name: &str| folder.join(name).symlink_metadata().is_ok();
    let (stem, ending) = match name.rfind('.') {
        Some(dot) if dot > 0 => name.split_at(dot),
        _ => (name, ""),
    };
    let names = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{stem}-{number}{ending}")));
    names.into_iter().find(|name| !taken(name)).unwrap_or_else(|| name.to_owned())
}

/// Moves a file to another folder; gives its name there.
///
/// # Errors
/// Of the disk. The file is where it was, then.
pub fn move_to(from: &Path, folder: &Path, name: &str) -> io::Result<String> {
    let place = free(folder, name);
    std::fs::rename(from, folder.join(&place))?;
    let before: PathBuf = from.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    for folder in [folder, &before] {
        File::open(folder)?.sync_all()?;
    }
    Ok(place)
}

/// What a file's name says that it is about.
pub fn title(name: &str) -> String {
    let stem = match name.rfind('.') {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    };
    let words: String = stem.chars().map(|c| if c == '_' || c.is_control() { ' ' } else { c }).collect();
    let title: String = words.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    if title.is_empty() { String::from("?") } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_what_the_name_says() {
        assert_eq!(title("Cuci_tangan  enam langkah.final.mp4"), "Cuci tangan enam langkah.final");
        assert_eq!(title("no ending"), "no ending");
        assert_eq!(title("a\u{7}\nb.mp4"), "a b");
        assert_eq!(title("___.mov"), "?");
        assert_eq!(title(&"x".repeat(300)).len(), 200);
    }

    #[test]
    fn what_is_not_whole_is_left_alone() {
        for name in [".hidden.mp4", "~x.mp4", "a.mp4~", "a.mp4.PART", "a.crdownload"] {
            assert!(is_unfinished(name), "{name}");
        }
        assert!(!is_unfinished("part.mp4") && !is_unfinished("a.part.mp4"));
    }

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("done");
        std::fs::create_dir(&there).unwrap();
        for (number, expected) in ["a.b.mp4", "a.b-2.mp4", "a.b-3.mp4"].into_iter().enumerate() {
            let from = folder.path().join("a.b.mp4");
            std::fs::write(&from, [number as u8]).unwrap();
            assert_eq!(move_to(&from, &there, "a.b.mp4").unwrap(), expected);
            assert_eq!(std::fs::read(there.join(expected)).unwrap(), [number as u8]);
        }
        assert_eq!(free(&there, "new"), "new");
    }
}

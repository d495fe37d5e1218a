//! Uploads on the disk: `uploads/ID` holds the bytes that have come, `uploads/ID.json` what is known of them.
//!
//! 1. A sheet is written whole, and only after its file of bytes is there and named on the disk.
//! 2. Bytes without a sheet belong to nobody: a start removes them.
//! 3. A sheet without bytes is of an upload that is complete: its file was moved into the import folder.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::names::Name;
use crate::base::ids;
use crate::library::layout::Layout;

/// Nobody else on the box reads what is not complete.
const MODE: u32 = 0o600;
/// Names that are tried before one is made up.
const MOST_NUMBERED: u32 = 1000;

/// What is known of an upload besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// Id of whoever began it.
    pub account: String,
    /// The file's name as its sender calls it.
    pub name: String,
    /// Bytes of the whole file.
    pub length: u64,
    /// `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// From when its days count, milliseconds since 1970; none until the clock can be trusted.
    pub aged_from: Option<i64>,
}

/// An upload as it is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub id: String,
    pub sheet: Sheet,
    /// Bytes that have come; none once the file was handed over.
    pub come: Option<u64>,
}

/// The folder of uploads, and the one that complete files are moved to.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
    import: PathBuf,
}

impl Shelf {
    pub fn new(layout: &Layout) -> Shelf {
        Shelf { folder: layout.uploads(), import: layout.import() }
    }

    fn bytes(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    fn sheet(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// A new file for bytes, which belongs to nobody yet. Its id.
    pub fn begin(&self) -> io::Result<(String, File)> {
        let id = ids::public_id();
        let file = OpenOptions::new().append(true).create_new(true).mode(MODE).open(self.bytes(&id))?;
        Ok((id, file))
    }

    /// Writes the sheet of bytes that are there, in full or not at all.
    pub fn describe(&self, id: &str, sheet: &Sheet) -> io::Result<()> {
        let new = self.folder.join(format!("{id}.json.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&new)?;
        let written = file.write_all(&serde_json::to_vec(sheet)?).and_then(|()| file.sync_all());
        let named = written.and_then(|()| self.sync()).and_then(|()| std::fs::rename(&new, self.sheet(id)));
        named.inspect_err(|_| drop(std::fs::remove_file(&new)))?;
        self.sync()
    }

    /// The upload of this id; none where there is none.
    pub fn find(&self, id: &str) -> io::Result<Option<Found>> {
        let sheet = match std::fs::read(self.sheet(id)) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let come = match std::fs::metadata(self.bytes(id)) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Some(Found { id: id.to_owned(), sheet, come }))
    }

    /// All uploads. A sheet that cannot be read is told and left alone.
    pub fn all(&self) -> io::Result<Vec<Found>> {
        let mut all = Vec::new();
        for id in self.ids(".json")? {
            match self.find(&id) {
                Ok(found) => all.extend(found),
                Err(error) => tracing::error!(upload = id, %error, "an upload cannot be read"),
            }
        }
        Ok(all)
    }

    /// Ids of the files with this ending.
    fn ids(&self, ending: &str) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(ending)).filter(|id| ids::is_id(id));
            found.extend(id.map(str::to_owned));
        }
        Ok(found)
    }

    /// Opens the bytes that have come, to add to them.
    pub fn open(&self, id: &str) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.bytes(id))
    }

    /// Moves a complete file, whose bytes are synced, into the import folder. The name that it has there.
    pub fn hand_over(&self, id: &str, given: &str) -> io::Result<String> {
        let from = self.bytes(id);
        let name = Name::of(given);
        let names = (1..MOST_NUMBERED).map(|number| name.numbered(number));
        for name in names.chain([Name::of(&format!("{id} {given}")).numbered(1)]) {
            match move_to_new(&from, &self.import.join(&name)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                moved => moved?,
            }
            File::open(&self.import)?.sync_all()?;
            self.sync()?;
            return Ok(name);
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Removes an upload: its sheet first, since bytes alone belong to nobody.
    pub fn remove(&self, id: &str) -> io::Result<()> {
        for path in [self.sheet(id), self.bytes(id)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => self.sync()?,
            }
        }
        Ok(())
    }

    /// What a start does: removes what belongs to nobody, hands over what is complete.
    pub fn recover(&self) -> io::Result<()> {
        for id in self.ids(".json.new")? {
            std::fs::remove_file(self.folder.join(format!("{id}.json.new")))?;
        }
        for id in self.ids("")? {
            if !self.sheet(&id).exists() {
                tracing::info!(upload = id, "bytes of an upload that was not begun are removed");
                self.remove(&id)?;
            }
        }
        for Found { id, sheet, come } in self.all()? {
            if come.is_some_and(|come| come >= sheet.length) {
                self.open(&id)?.sync_data()?;
                self.hand_over(&id, &sheet.name)?;
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Renames where nothing has that name yet (RENAME_NOREPLACE of renameat2(2)).
fn move_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system knows how.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => std::fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(ErrorKind::AlreadyExists.into()),
        moved => Ok(moved?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> (tempfile::TempDir, Shelf) {
        let data = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(&Layout::open(data.path()).unwrap());
        (data, shelf)
    }

    fn sheet(length: u64) -> Sheet {
        let (account, name) = ("a1".to_owned(), "Kelas ibu.mp4".to_owned());
        Sheet { account, name, length, metadata: String::new(), aged_from: None }
    }

    fn upload(shelf: &Shelf, bytes: &[u8], length: u64) -> String {
        let (id, mut file) = shelf.begin().unwrap();
        shelf.describe(&id, &sheet(length)).unwrap();
        file.write_all(bytes).unwrap();
        id
    }

    #[test]
    fn a_complete_file_is_moved_and_never_over_another() {
        let (data, shelf) = shelf();
        for (bytes, name) in [("one", "Kelas ibu.mp4"), ("two", "Kelas ibu (2).mp4"), ("six", "Kelas ibu (3).mp4")] {
            let id = upload(&shelf, bytes.as_bytes(), 3);
            assert_eq!(shelf.hand_over(&id, "Kelas ibu.mp4").unwrap(), name);
            assert_eq!(std::fs::read_to_string(data.path().join("import").join(name)).unwrap(), bytes);
            let found = shelf.find(&id).unwrap().unwrap();
            assert_eq!((found.come, found.sheet), (None, sheet(3)));
        }
    }

    #[test]
    fn a_start_tidies_what_was_cut_short() {
        let (data, shelf) = shelf();
        let folder = data.path().join("uploads");
        let (nobodys, _) = shelf.begin().unwrap();
        std::fs::write(folder.join("0000.json.new"), "{").unwrap();
        let half = upload(&shelf, b"hal", 4);
        let whole = upload(&shelf, b"all", 3);
        std::fs::write(folder.join("damaged.json"), "{").unwrap();
        std::fs::write(folder.join("damaged"), "bytes").unwrap();
        shelf.recover().unwrap();
        assert!(!folder.join(nobodys).exists() && !folder.join("0000.json.new").exists());
        assert_eq!(shelf.find(&half).unwrap().unwrap().come, Some(3));
        assert_eq!(shelf.find(&whole).unwrap().unwrap().come, None);
        assert_eq!(std::fs::read(data.path().join("import/Kelas ibu.mp4")).unwrap(), b"all");
        assert_eq!(std::fs::read(folder.join("damaged")).unwrap(), b"bytes", "nothing is lost");
        shelf.remove(&half).unwrap();
        assert_eq!(shelf.find(&half).unwrap(), None);
    }
}

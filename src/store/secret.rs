//! The box's own secret: 32 bytes in the file `secret` beside the database, so that a leaked database alone does not
//! let anyone try passwords against its hashes. It is made at the first start and never changes.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::StoreError;
use crate::base::ids;

pub const FILE_NAME: &str = "secret";
pub const LENGTH: usize = 32;

/// Reads the secret of the data directory, making it (mode 0600, synced) when there is none.
///
/// # Errors
/// [`StoreError::Damaged`] for a file of another length: replacing it would make every password wrong.
pub fn load(data: &Path) -> Result<[u8; LENGTH], StoreError> {
    let path = data.join(FILE_NAME);
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(data, &path).map_err(|error| StoreError::from_io(&error))?;
            let bytes = std::fs::read(&path).map_err(|error| StoreError::from_io(&error))?;
            exact(bytes)
        }
        Err(error) => Err(StoreError::from_io(&error)),
        Ok(bytes) => exact(bytes),
    }
}

fn exact(bytes: Vec<u8>) -> Result<[u8; LENGTH], StoreError> {
    <[u8; LENGTH]>::try_from(bytes).map_err(|_| StoreError::Damaged)
}

/// Written whole under another name, then linked: of two processes at their first start one wins and both read the same.
fn create(data: &Path, path: &Path) -> std::io::Result<()> {
    let draft = data.join(format!("{FILE_NAME}.{}", ids::public_id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&ids::random_bytes::<LENGTH>())?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::File::open(data)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let first = load(directory.path()).unwrap();
        assert_ne!(first, [0; LENGTH]);
        assert_eq!(load(directory.path()).unwrap(), first);
        let mode = std::fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_one_is_refused_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE_NAME), "short").unwrap();
        assert!(matches!(load(directory.path()), Err(StoreError::Damaged)));
        assert_eq!(std::fs::read(directory.path().join(FILE_NAME)).unwrap(), b"short");
    }
}

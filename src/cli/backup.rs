//! `siaran backup DIR` and `siaran restore DIR`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::library::backup::{self, BackupError, Copied, Damaged};
use crate::library::layout::Layout;

#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Where the backup is, or is to be
    #[arg(value_name = "DIR")]
    pub place: PathBuf,
    /// Directory of the whole state
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
}

/// Exit 0 when the backup is whole, 1 when it is not: with one line on stderr, or one for each reel that is damaged.
pub fn save(data: &Path, place: &Path) -> ExitCode {
    if !data.join("version").exists() {
        eprintln!("siaran backup: there is nothing in {}: no siaran has run on it", data.display());
        return ExitCode::FAILURE;
    }
    let done = Layout::open(data).map_err(BackupError::from).and_then(|layout| {
        // A broadcast comes first. Nobody is told if the system does not allow it.
        let _ = rustix::process::nice(10);
        backup::backup(&layout, &absolute(place))
    });
    tell("backup", done)
}

/// Exit 0 when everything is there and as it was recorded, 1 when it is not: as [`save`].
pub fn bring_back(data: &Path, place: &Path) -> ExitCode {
    tell("restore", backup::restore(&absolute(place), data))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn tell(command: &str, done: Result<Copied, BackupError>) -> ExitCode {
    match done {
        Ok(Copied { reels, bytes, kept, removed, damaged }) => {
            println!("copied {reels} reels ({bytes} bytes), {kept} were there already, {removed} removed");
            for Damaged { reel, broadcast, why } in &damaged {
                eprintln!("siaran {command}: reel {reel} of recording {broadcast} is damaged: {why}");
            }
            if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("siaran {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

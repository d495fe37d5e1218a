//! `siaran fsck`: looks whether recordings are as their index says, and makes the index again when it is asked to.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::library::fsck::{self, Fault, Rebuilt, Report};
use crate::library::layout::{Layout, LayoutError};
use crate::library::vod::LibraryError;
use crate::store::{Db, StoreError};

#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Directory of the whole state
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// The same as JSON
    #[arg(long)]
    pub json: bool,
    /// First make the index again from the recordings' files alone; serve must not run
    #[arg(long)]
    pub rebuild: bool,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is nothing in {0}: no siaran has run on it")]
    NoData(String),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Exit 0 when all is as it should be, 1 with a line for each fault, or for why nothing could be looked at.
pub fn run(data: &Path, flags: &Flags) -> ExitCode {
    match execute(data, flags) {
        Ok(report) if report.faults.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(refusal) => {
            eprintln!("siaran fsck: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn execute(data: &Path, flags: &Flags) -> Result<Report, Refusal> {
    if !data.join("version").exists() {
        return Err(Refusal::NoData(data.display().to_string()));
    }
    let layout = Layout::open(data)?;
    let rebuilt = flags.rebuild.then(|| rebuild(&layout)).transpose()?;
    let report = fsck::check(&layout, &Db::open(&layout.database())?)?;
    let mut out = io::stdout().lock();
    if flags.json {
        let clean = report.faults.is_empty();
        writeln!(out, "{:#}", serde_json::json!({ "clean": clean, "report": report, "rebuilt": rebuilt }))?;
        return Ok(report);
    }
    if let Some(Rebuilt { reels, segments, broadcasts, not_understood, damaged }) = rebuilt {
        writeln!(out, "rebuilt: {reels} reels, {segments} segments, {broadcasts} broadcasts for staff alone")?;
        for id in not_understood {
            writeln!(out, "not understood: reel {id}")?;
        }
        tell(&mut out, &damaged)?;
    }
    tell(&mut out, &report.faults)?;
    let Report { broadcasts, reels, segments, bytes, faults } = &report;
    let outcome = if faults.is_empty() { String::from("clean") } else { format!("{} faults", faults.len()) };
    writeln!(out, "{outcome}: {broadcasts} broadcasts, {reels} reels, {segments} segments, {bytes} bytes")?;
    Ok(report)
}

/// One line for each.
fn tell(out: &mut impl Write, faults: &[Fault]) -> io::Result<()> {
    for Fault { code, reel, broadcast, message } in faults {
        let reel = reel.as_ref().map(|id| format!(" reel {id}")).unwrap_or_default();
        let broadcast = broadcast.as_ref().map(|id| format!(" of broadcast {id}")).unwrap_or_default();
        writeln!(out, "{code}:{reel}{broadcast}: {message}")?;
    }
    Ok(())
}

/// A database that cannot be read is set aside and begun anew: recordings come back, accounts do not.
fn rebuild(layout: &Layout) -> Result<Rebuilt, Refusal> {
    let _claim = layout.claim()?;
    let db = match Db::open(&layout.database()) {
        Ok(db) if db.read_blocking(crate::store::db::integrity)?.is_empty() => db,
        Ok(_) | Err(StoreError::Damaged) => {
            let aside = layout.set_database_aside()?;
            eprintln!("siaran fsck: the database is damaged; it is now {}", aside.display());
            eprintln!("siaran fsck: accounts were in it: make an admin with `siaran account add`");
            Db::open(&layout.database())?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(fsck::rebuild(layout, &db)?)
}

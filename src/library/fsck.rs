//! `siaran fsck`: recordings against their index, byte for byte; and the index made again from the reels alone.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::layout::Layout;
use super::note::About;
use super::scan;
use super::vod::LibraryError;
use crate::base::terms::{BroadcastState, LadderState};
use crate::media::playlist;
use crate::store::broadcasts::{self, Broadcast, Outcome};
use crate::store::media::{self, IndexedSegment};
use crate::store::{Db, StoreError, db, ladders};

/// Bytes read at once.
const READ: usize = 1 << 20;

/// Something that is not as the index says.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Fault {
    /// Stable, for programs.
    pub code: &'static str,
    pub reel: Option<String>,
    pub broadcast: Option<String>,
    pub message: String,
}

/// What was looked at, and what was found.
#[derive(Debug, Default, serde::Serialize)]
pub struct Report {
    pub broadcasts: u64,
    pub reels: u64,
    pub segments: u64,
    pub bytes: u64,
    pub faults: Vec<Fault>,
}

impl Fault {
    fn of_reel(code: &'static str, reel: &str, broadcast: &str, message: String) -> Fault {
        Fault { code, reel: Some(reel.to_owned()), broadcast: Some(broadcast.to_owned()), message }
    }
}

impl Report {
    fn fault(&mut self, code: &'static str, reel: &media::Reel, message: String) {
        self.faults.push(Fault::of_reel(code, &reel.id, &reel.broadcast_id, message));
    }
}

/// Reads every byte of every recording. May run beside a server: what changes meanwhile is no fault.
pub fn check(layout: &Layout, db: &Db) -> Result<Report, LibraryError> {
    let mut report = Report::default();
    for message in db.read_blocking(db::integrity)? {
        report.faults.push(Fault { code: "database", reel: None, broadcast: None, message });
    }
    let files = reel_files(layout)?;
    let (reels, ids) =
        db.read_blocking(|db| -> Result<_, StoreError> { Ok((media::reels(db)?, broadcasts::ids(db)?)) })?;
    report.broadcasts = ids.len() as u64;
    let known: HashSet<&str> = reels.iter().map(|reel| reel.id.as_str()).collect();
    for reel in reels.iter().filter(|reel| !reel.garbage) {
        let before = report.faults.len();
        check_reel(layout, db, reel, &mut report)?;
        let id = reel.id.clone();
        let gone = !db.read_blocking(move |db| -> Result<_, StoreError> { Ok(media::is_kept(db, &id)?) })?;
        if gone {
            report.faults.truncate(before);
        }
    }
    for id in files.iter().filter(|id| !known.contains(id.as_str())) {
        // One that a server has just begun has no row yet.
        if let Ok(scan) = File::open(layout.reel(id)).and_then(|file| scan::scan(&file, id, 0)) {
            let on_air =
                scan.about.as_ref().is_some_and(|about| !is_over(db, &about.broadcast) || is_making(db, about));
            if !on_air {
                let message = String::from("a file without a row; the next start takes it in or sets it aside");
                report.faults.push(Fault { code: "orphan", reel: Some(id.clone()), broadcast: None, message });
            }
        }
    }
    Ok(report)
}

fn is_over(db: &Db, id: &str) -> bool {
    let id = id.to_owned();
    let row = db.read_blocking(move |db| -> Result<_, StoreError> { Ok(broadcasts::get(db, &id)?) });
    row.ok().flatten().is_none_or(|row| row.state.is_over())
}

/// Whether the reel is of a rendition that is being made of another.
fn is_making(db: &Db, about: &About) -> bool {
    let id = about.broadcast.clone();
    let ladder = db.read_blocking(move |db| -> Result<_, StoreError> { Ok(ladders::get(db, &id)?) });
    about.made && ladder.ok().flatten().is_some_and(|ladder| ladder.state == LadderState::Working)
}

fn check_reel(layout: &Layout, db: &Db, reel: &media::Reel, report: &mut Report) -> Result<(), LibraryError> {
    report.reels += 1;
    let (broadcast, id) = (reel.broadcast_id.clone(), reel.id.clone());
    let rows =
        db.read_blocking(move |db| -> Result<_, StoreError> { Ok(media::segments_of_reel(db, &broadcast, &id)?) })?;
    let file = match File::open(layout.reel(&reel.id)) {
        Ok(file) => file,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { "missing" } else { "unreadable" };
            report.fault(code, reel, format!("{error}; {} segments were in it", rows.len()));
            return Ok(());
        }
    };
    let length = file.metadata()?.len();
    if let Some(noted) = reel.length.filter(|noted| *noted != length) {
        report.fault("length", reel, format!("{length} bytes long, {noted} were written"));
    }
    for IndexedSegment { segment, location } in rows {
        report.segments += 1;
        report.bytes += location.length;
        match checksum(&file, location.offset, location.length) {
            Ok(found) if found == location.crc32c => {}
            Ok(_) => report.fault("checksum", reel, format!("segment {}: the bytes have changed", segment.msn)),
            Err(error) => report.fault("unreadable", reel, format!("segment {}: {error}", segment.msn)),
        }
    }
    if let Some(noted) = reel.blake3
        && hash(&file).is_ok_and(|found| found != noted)
    {
        report.fault("hash", reel, String::from("the file is not the one that was closed"));
    }
    Ok(())
}

fn checksum(file: &File, mut offset: u64, length: u64) -> io::Result<u32> {
    let end = offset + length;
    let mut buffer = vec![0; READ];
    let mut checksum = 0;
    while offset < end {
        let want = (end - offset).min(READ as u64) as usize;
        file.read_exact_at(&mut buffer[..want], offset)?;
        checksum = crc32c::crc32c_append(checksum, &buffer[..want]);
        offset += want as u64;
    }
    Ok(checksum)
}

/// BLAKE3 of a whole file.
pub fn hash(mut file: &File) -> io::Result<[u8; 32]> {
    io::Seek::rewind(&mut file)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            read => hasher.update(&buffer[..read]),
        };
    }
}

fn reel_files(layout: &Layout) -> io::Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(layout.reels())? {
        let name = entry?.file_name();
        ids.extend(name.to_str().and_then(|name| name.strip_suffix(".reel")).map(str::to_owned));
    }
    Ok(ids)
}

/// What a rebuild did.
#[derive(Debug, Default, serde::Serialize)]
pub struct Rebuilt {
    pub reels: u64,
    pub segments: u64,
    /// Broadcasts that had no row any more. They are for staff alone until an admin says otherwise.
    pub broadcasts: u64,
    /// Files that are no reels of ours, or cannot be read: left as they are.
    pub not_understood: Vec<String>,
    /// What was left out, since it is not as it was written: gaps of the recordings.
    pub damaged: Vec<Fault>,
}

/// Makes the index of all reels again from the files alone, in one transaction. For the caller that holds the directory's
/// claim.
pub fn rebuild(layout: &Layout, db: &Db) -> Result<Rebuilt, LibraryError> {
    let mut rebuilt = Rebuilt::default();
    let mut scans = BTreeMap::new();
    for id in reel_files(layout)? {
        match File::open(layout.reel(&id)).and_then(|file| scan::salvage(&file, &id)) {
            Ok(scan) if scan.about.is_some() => drop(scans.insert(id, scan)),
            _ => rebuilt.not_understood.push(id),
        }
    }
    let rebuilt = db.write_blocking(move |tx| -> Result<_, StoreError> {
        media::forget_index(tx)?;
        let mut touched = HashSet::new();
        for (id, scan) in scans {
            let Some(about) = scan.about else { continue };
            if media::is_garbage(tx, &id)? {
                continue;
            }
            if broadcasts::get(tx, &about.broadcast)?.is_none() {
                broadcasts::insert(tx, &Broadcast::bare(&about.broadcast, &about.title, about.epoch_us))?;
                rebuilt.broadcasts += 1;
            }
            if about.made {
                ladders::found(tx, &about.broadcast)?;
            }
            media::insert_init(tx, &about.broadcast, about.rendition, about.init, &about.init(scan.init))?;
            media::insert_reel(tx, &id, &about.broadcast, about.rendition, about.epoch_us / 1000)?;
            media::set_reel_length(tx, &id, scan.length)?;
            let mut damaged = |message| {
                rebuilt.damaged.push(Fault::of_reel("damaged", &id, &about.broadcast, message));
            };
            for bytes in &scan.damage {
                damaged(format!("bytes {} to {} cannot be understood", bytes.start, bytes.end));
            }
            for scan::Found { row, sound } in &scan.segments {
                if !sound {
                    damaged(format!("segment {}: the bytes have changed", row.segment.msn));
                    continue;
                }
                media::insert_segment(tx, &about.broadcast, about.rendition, row)?;
                rebuilt.segments += 1;
            }
            rebuilt.reels += 1;
            touched.insert(about.broadcast);
        }
        for id in touched {
            let Some(row) = broadcasts::get(tx, &id)? else { continue };
            match media::span(tx, &id)? {
                Some((start, end)) if row.started_at.is_none() => {
                    let time = |ticks| playlist::wall_ms(ticks, row.epoch_us);
                    broadcasts::set_started(tx, &id, time(start))?;
                    let (state, ended_at) = (BroadcastState::Ended, time(end));
                    broadcasts::finish(tx, &id, &Outcome { state, failure: None, ended_at, aged_from: None })?;
                }
                _ => broadcasts::sum_up(tx, &id)?,
            }
        }
        Ok(rebuilt)
    })?;
    Ok(rebuilt)
}

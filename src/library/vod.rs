//! Finished recordings: their playlists and bytes, their download, the room on disk. Rows and texts are in `catalogue`.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::download::Download;
use super::layout::Layout;
use super::making::Making;
use super::note::About;
use super::read::FileRange;
use super::recorder::{Limits, Recorder};
use super::space::Reserve;
use crate::base::config::Config;
use crate::media::edit::{self, Edit, Listed, Piece, Shown};
use crate::media::protocol::Init;
use crate::media::rungs::Rung;
use crate::media::window::Segment;
use crate::media::{ladder, playlist, rungs};
use crate::store::broadcasts::Broadcast;
use crate::store::media::{IndexedSegment, Location};
use crate::store::{Connection, Db, StoreError, edits, media};

/// Recordings, and rows of broadcasts, that stay in memory.
const CACHED: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a recording's file cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("a recording's bytes cannot be understood: {0}")]
    Media(String),
}

/// Index of one finished recording: its renditions, best first. Empty where nothing was recorded.
#[derive(Debug, Default)]
pub struct Recording {
    pub renditions: BTreeMap<u8, Rendition>,
}

/// One rendition of a recording; it has at least one segment.
#[derive(Debug)]
pub struct Rendition {
    pub inits: Vec<Init>,
    pub segments: Vec<IndexedSegment>,
    playlist: Bytes,
}

/// Inits and segments of each rendition.
type Rows = BTreeMap<u8, (Vec<Init>, Vec<IndexedSegment>)>;

impl Recording {
    fn new(rows: Rows, edit: &Edit, epoch_us: i64, whole: bool) -> Recording {
        let rows = if edit.kept.is_empty() { rows } else { shown(rows, edit) };
        let all: Vec<_> = rows.values().map(|(_, rows)| described(rows)).collect();
        let all = ladder::union(all.iter().map(|segments| &segments[..]));
        let rendition = |(inits, segments): (Vec<Init>, Vec<IndexedSegment>)| {
            let playlist = playlist::recording(&ladder::filled(&described(&segments), &all), epoch_us, whole);
            Rendition { inits, segments, playlist }
        };
        Recording { renditions: rows.into_iter().map(|(number, rows)| (number, rendition(rows))).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.renditions.is_empty()
    }

    /// For each segment number the best rendition that has it.
    pub fn best(&self) -> Vec<(u8, &IndexedSegment)> {
        let mut best = BTreeMap::new();
        for (number, rendition) in &self.renditions {
            for row in &rendition.segments {
                best.entry(row.segment.msn).or_insert((*number, row));
            }
        }
        best.into_values().collect()
    }

    /// The rendition that is the cheapest to read, which is never left out: the last.
    pub fn smallest(&self) -> Option<(u8, &Rendition)> {
        self.renditions.iter().next_back().map(|(number, rendition)| (*number, rendition))
    }

    /// What the smallest rendition's playlist lists, each with where it begins on a player's time line.
    pub fn time_line(&self) -> Vec<Listed> {
        let all: Vec<_> = self.renditions.values().map(|rendition| described(&rendition.segments)).collect();
        let own = all.last().map_or(&[][..], |own| own);
        let union = ladder::union(all.iter().map(|segments| &segments[..]));
        edit::time_line(playlist::listed(&ladder::filled(own, &union)))
    }

    /// How much an edit would show, ticks of media of the rendition that has most.
    pub fn shown_media(&self, edit: &Edit) -> u64 {
        let all = self.renditions.iter().map(|(number, rendition)| (*number, described(&rendition.segments))).collect();
        if edit.kept.is_empty() {
            return 0;
        }
        let of = |shown: &Vec<Shown>| shown.iter().map(|shown| shown.segment.duration).sum();
        edit.apply(&all).values().map(of).max().unwrap_or(0)
    }

    /// A segment by the name under which it is listed, see [`playlist::segment_uri`].
    pub fn segment(&self, rendition: u8, piece: Piece, cut: bool) -> Option<&IndexedSegment> {
        let segments = &self.renditions.get(&rendition)?.segments;
        let order = |piece: Piece| (piece.msn, piece.parts.map_or(0, |parts| parts.first));
        let place = segments.binary_search_by_key(&order(piece), |row| order(row.segment.piece())).ok()?;
        Some(&segments[place]).filter(|row| row.segment.piece() == piece && row.segment.cut == cut)
    }
}

fn described(rows: &[IndexedSegment]) -> Vec<Segment> {
    rows.iter().map(|row| row.segment.clone()).collect()
}

/// What an edit shows of what was recorded. The checksum of a segment of which some parts are shown stays that of all of it.
fn shown(rows: Rows, edit: &Edit) -> Rows {
    let recorded = rows.iter().map(|(number, (_, rows))| (*number, described(rows))).collect();
    let mut all = edit.apply(&recorded);
    let of = |(number, (inits, recorded)): (u8, (Vec<Init>, Vec<IndexedSegment>))| {
        let place = |shown: Shown| {
            let whole = &recorded.get(shown.of)?.location;
            let (offset, length) = shown.bytes.unwrap_or((0, whole.length));
            let location = Location { offset: whole.offset + offset, length, ..whole.clone() };
            (offset + length <= whole.length).then_some(IndexedSegment { segment: shown.segment, location })
        };
        let segments: Vec<_> = all.remove(&number)?.into_iter().filter_map(place).collect();
        (!segments.is_empty()).then_some((number, (inits, segments)))
    };
    rows.into_iter().filter_map(of).collect()
}

impl Rendition {
    pub fn playlist(&self) -> Bytes {
        self.playlist.clone()
    }
}

/// A handle to all recordings.
#[derive(Clone)]
pub struct Library {
    pub(super) db: Db,
    pub(super) layout: Layout,
    pub(super) cache: Arc<Cache>,
    pub(super) reserve: Reserve,
    /// Days that a deleted recording can be restored.
    pub(super) trash_days: u32,
    /// Held by whoever deletes by the rule.
    pub(super) retaining: Arc<tokio::sync::Mutex<()>>,
    /// The rule or the trash has changed.
    pub(super) look_now: Arc<tokio::sync::Notify>,
    /// There is a recording that was not on air.
    pub(super) added: Arc<tokio::sync::Notify>,
    pub(super) reel_age: Duration,
    /// Work on a recording that must be over before it is deleted.
    pub(super) making: Making,
    /// What is captured is encoded so, best first; empty where one rendition is all that is wanted.
    pub(super) rungs: Vec<Rung>,
}

#[derive(Default)]
pub(super) struct Cache {
    /// Grows with every change of a row.
    pub generation: AtomicU64,
    pub broadcasts: Mutex<HashMap<String, Arc<Broadcast>>>,
    pub recordings: Mutex<HashMap<String, Arc<Recording>>>,
    /// The same without their edits, for those who make them.
    pub uncut: Mutex<HashMap<String, Arc<Recording>>>,
    pub download: Mutex<Option<(String, Arc<Download>)>>,
    /// What may be freed: generation and time (monotonic nanoseconds) of counting, bytes.
    pub freeable: Mutex<Option<(u64, u64, u64)>>,
}

impl Library {
    pub fn new(db: Db, layout: Layout, config: &Config) -> Library {
        Library {
            db,
            layout,
            cache: Arc::default(),
            reserve: Reserve::of(config),
            trash_days: config.trash_days,
            reel_age: Duration::from_secs(u64::from(config.reel_s)),
            retaining: Arc::default(),
            look_now: Arc::default(),
            added: Arc::default(),
            making: Making::default(),
            rungs: if config.ladder { rungs::planned(config) } else { Vec::new() },
        }
    }

    /// The index of a finished recording as it is shown; empty where nothing was recorded. Not for broadcasts on air: it is
    /// remembered.
    pub async fn recording(&self, id: &str, epoch_us: i64) -> Result<Arc<Recording>, LibraryError> {
        self.remembered(&self.cache.recordings, id, epoch_us, true).await
    }

    /// The same of all that was recorded, whatever an edit leaves out.
    pub async fn uncut(&self, id: &str, epoch_us: i64) -> Result<Arc<Recording>, LibraryError> {
        self.remembered(&self.cache.uncut, id, epoch_us, false).await
    }

    async fn remembered(
        &self,
        cache: &Mutex<HashMap<String, Arc<Recording>>>,
        id: &str,
        epoch_us: i64,
        edited: bool,
    ) -> Result<Arc<Recording>, LibraryError> {
        if let Some(known) = lock(cache).get(id) {
            return Ok(known.clone());
        }
        let generation = self.cache.generation.load(Ordering::Acquire);
        let (rows, edit) = self.rows(id).await?;
        let edit = if edited { edit } else { Edit::default() };
        let recording = Arc::new(Recording::new(rows, &edit, epoch_us, true));
        if !recording.is_empty() && self.cache.generation.load(Ordering::Acquire) == generation {
            remember(cache, id, recording.clone());
        }
        Ok(recording)
    }

    /// The index of a recording to which more is added: as far as it is.
    pub async fn growing(&self, id: &str, epoch_us: i64) -> Result<Arc<Recording>, LibraryError> {
        let (rows, _) = self.rows(id).await?;
        Ok(Arc::new(Recording::new(rows, &Edit::default(), epoch_us, false)))
    }

    async fn rows(&self, id: &str) -> Result<(Rows, Edit), StoreError> {
        let id = id.to_owned();
        let rows = move |db: &Connection| -> Result<_, StoreError> {
            let mut rows = Rows::new();
            for number in media::renditions(db, &id)? {
                rows.insert(number, (media::inits(db, &id, number)?, media::segments(db, &id, number)?));
            }
            Ok((rows, edits::get(db, &id)?))
        };
        self.db.read(rows).await
    }

    /// An init of a broadcast, on air or finished.
    pub async fn init(&self, id: &str, rendition: u8, number: u32) -> Result<Option<Bytes>, LibraryError> {
        let id = id.to_owned();
        let read = move |db: &Connection| -> Result<_, StoreError> { Ok(media::init(db, &id, rendition, number)?) };
        Ok(self.db.read(read).await?.map(Bytes::from))
    }

    /// A complete segment of a broadcast that is on air, or of which more is to come.
    ///
    /// `cut` says by which name it was asked for, see [`playlist::segment_uri`].
    pub async fn segment(
        &self,
        id: &str,
        rendition: u8,
        msn: u64,
        cut: bool,
    ) -> Result<Option<FileRange>, LibraryError> {
        let id = id.to_owned();
        let row = self
            .db
            .read(move |connection| -> Result<_, StoreError> { Ok(media::segment(connection, &id, rendition, msn)?) })
            .await?;
        row.filter(|row| row.segment.cut == cut).map(|row| self.open(&row.location)).transpose()
    }

    /// The recording as one MP4: `moov` first, then the recorded bytes as they are.
    pub async fn download(&self, id: &str, epoch_us: i64) -> Result<Option<Arc<Download>>, LibraryError> {
        if let Some((known, download)) = &*lock(&self.cache.download)
            && known == id
        {
            return Ok(Some(download.clone()));
        }
        let generation = self.cache.generation.load(Ordering::Acquire);
        let recording = self.recording(id, epoch_us).await?;
        if recording.is_empty() {
            return Ok(None);
        }
        let library = self.clone();
        let built = tokio::task::spawn_blocking(move || {
            let pieces = library.pieces(recording.best().into_iter().map(|(_, row)| row))?;
            Download::build(&recording, pieces)
        });
        let download = Arc::new(built.await.map_err(io::Error::other)??);
        // One that was edited meanwhile is not what is shown any more.
        if self.cache.generation.load(Ordering::Acquire) == generation {
            *lock(&self.cache.download) = Some((id.to_owned(), download.clone()));
        }
        Ok(Some(download))
    }

    /// The bytes of segments, one piece each; a reel is opened once for all its segments in a row.
    fn pieces<'a>(&self, segments: impl Iterator<Item = &'a IndexedSegment>) -> Result<Vec<FileRange>, LibraryError> {
        let mut open: Option<(&str, Arc<File>)> = None;
        let mut pieces = Vec::new();
        for IndexedSegment { location, .. } in segments {
            let file = match &open {
                Some((reel, file)) if *reel == location.reel_id => file.clone(),
                _ => Arc::new(File::open(self.layout.reel(&location.reel_id))?),
            };
            open = Some((&location.reel_id, file.clone()));
            pieces.push(FileRange { file, offset: location.offset, length: location.length });
        }
        Ok(pieces)
    }

    /// Waits for a recording that was not on air.
    pub async fn until_added(&self) {
        self.added.notified().await;
    }

    /// The bytes of a segment.
    pub fn open(&self, location: &Location) -> Result<FileRange, LibraryError> {
        let file = Arc::new(File::open(self.layout.reel(&location.reel_id))?);
        Ok(FileRange { file, offset: location.offset, length: location.length })
    }

    /// Starts recording a broadcast that goes on air.
    pub fn recorder(&self, broadcast: &Broadcast) -> io::Result<Recorder> {
        self.recorder_of(broadcast, false)
    }

    /// Starts recording renditions that are made of another.
    pub(super) fn maker(&self, broadcast: &Broadcast) -> io::Result<Recorder> {
        self.recorder_of(broadcast, true)
    }

    fn recorder_of(&self, broadcast: &Broadcast, made: bool) -> io::Result<Recorder> {
        let about = About {
            broadcast: broadcast.id.clone(),
            title: broadcast.title.clone(),
            epoch_us: broadcast.epoch_us,
            made,
            ..About::default()
        };
        let limits = Limits { min_free: self.room()?.floor(), reel_age: self.reel_age };
        Recorder::start(self.layout.clone(), self.db.clone(), about, limits)
    }
}

/// Puts a value into a cache that never grows beyond [`CACHED`].
pub(super) fn remember<T>(cache: &Mutex<HashMap<String, T>>, id: &str, value: T) {
    let mut cache = lock(cache);
    if cache.len() >= CACHED {
        cache.clear();
    }
    cache.insert(id.to_owned(), value);
}

/// A panic elsewhere leaves a cache that is still a cache.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Files that become recordings: taken from the import folder when they are whole, worked off one after the other, and put where a
//! person finds them. How one is made into a recording is in `work`.
//!
//! A file goes from `import/` to `import/working/ID` once its row is there, and from there to `done` or `refused` once its row says so.
//! So a start knows of each file in `working` where it belongs, whatever was cut short.

mod folder;
mod work;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io};

use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::vod::{Library, LibraryError, lock};
use crate::base::terms::ImportState;
use crate::base::{clock, ids};
use crate::store::imports::{self, Import};
use crate::store::{StoreError, audit};
pub(super) use folder::UNFINISHED;
use folder::{Arriving, Watch};

/// While files arrive, the folder is looked at so often; else when something changes, and now and then.
const SOON: Duration = Duration::from_millis(500);
const LATER: Duration = Duration::from_secs(30);
/// A copy tells of each of its writes; not each is worth a look.
const PAUSE: Duration = Duration::from_millis(100);
/// What waits for room is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// A file that was read in is kept for so long, if there is room. Milliseconds.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;

/// A handle to the queue.
#[derive(Clone)]
pub struct Imports(Arc<Inner>);

struct Inner {
    library: Library,
    /// The queue has changed.
    queued: Notify,
    current: Mutex<Option<Current>>,
    /// One is worked on.
    busy: watch::Sender<bool>,
}

/// The one that is worked on.
struct Current {
    id: String,
    /// The recording that it becomes.
    broadcast: Option<String>,
    /// 0 to 1.
    progress: f64,
    cancel: CancellationToken,
}

/// An import as it stands.
#[derive(Debug, Clone)]
pub struct Listed {
    pub import: Import,
    /// 0 to 1.
    pub progress: f64,
}

/// Why an import is not cancelled or tried again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("There is no such import.")]
    NotFound,
    /// It is over.
    #[error("This file is not waiting or being read in any more.")]
    Over,
    #[error("Only a file that was refused or cancelled can be tried again.")]
    NotRefused,
    #[error("The file is not there any more.")]
    Gone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Imports {
    pub fn new(library: Library) -> Imports {
        Imports(Arc::new(Inner {
            library,
            queued: Notify::new(),
            current: Mutex::default(),
            busy: watch::Sender::new(false),
        }))
    }

    /// Whether a file is being read in.
    pub fn busy(&self) -> watch::Receiver<bool> {
        self.0.busy.subscribe()
    }

    /// Newest first, from behind `after` on; one more than `limit`, if there is one.
    pub async fn list(&self, after: Option<String>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let list = move |db: &crate::store::Connection| -> Result<_, StoreError> {
            Ok(imports::list(db, after.as_deref(), limit.saturating_add(1))?)
        };
        let found = self.0.library.db.read(list).await?;
        Ok(found.into_iter().map(|import| self.listed(import)).collect())
    }

    pub async fn get(&self, id: &str) -> Result<Option<Listed>, StoreError> {
        let id = id.to_owned();
        let import = self.0.library.db.read(move |db| -> Result<_, StoreError> { Ok(imports::get(db, &id)?) }).await?;
        Ok(import.map(|import| self.listed(import)))
    }

    fn listed(&self, import: Import) -> Listed {
        let progress = match import.state {
            ImportState::Done => 1.0,
            _ => {
                lock(&self.0.current).as_ref().filter(|current| current.id == import.id).map_or(0.0, |now| now.progress)
            }
        };
        Listed { import, progress }
    }

    /// Gives a file up that waits or is worked on, on behalf of `by`. The file is kept among the refused.
    pub async fn cancel(&self, by: &str, id: &str) -> Result<(), ImportError> {
        let Listed { import, .. } = self.get(id).await?.ok_or(ImportError::NotFound)?;
        if !matches!(import.state, ImportState::Waiting | ImportState::Working) {
            return Err(ImportError::Over);
        }
        let (by, wanted, now) = (by.to_owned(), id.to_owned(), clock::wall_ms());
        let waited = self
            .0
            .library
            .db
            .write(move |tx| -> Result<_, StoreError> {
                audit::record(tx, &by, "import.cancel", &wanted, &import.name)?;
                let waits = imports::get(tx, &wanted)?.is_some_and(|import| import.state == ImportState::Waiting);
                if waits {
                    imports::end(tx, &wanted, ImportState::Cancelled, None, now)?;
                }
                Ok(waits)
            })
            .await?;
        if waited {
            self.put_away(id).await?;
        } else if let Some(current) = lock(&self.0.current).as_ref().filter(|current| current.id == id) {
            current.cancel.cancel();
        }
        Ok(())
    }

    /// Has another try at a file that was refused or cancelled, on behalf of `by`.
    pub async fn retry(&self, by: &str, id: &str) -> Result<(), ImportError> {
        let Listed { import, .. } = self.get(id).await?.ok_or(ImportError::NotFound)?;
        if !matches!(import.state, ImportState::Refused | ImportState::Cancelled) {
            return Err(ImportError::NotRefused);
        }
        let layout = &self.0.library.layout;
        let there = import.file.as_ref().map(|file| layout.import_refused().join(file)).ok_or(ImportError::Gone)?;
        let place = self.work_place(id);
        on_disk(move || fs::rename(there, place)).await.map_err(|_| ImportError::Gone)?;
        let (by, wanted) = (by.to_owned(), id.to_owned());
        let again = move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> {
            audit::record(tx, &by, "import.retry", &wanted, &import.name)?;
            Ok(imports::wait(tx, &wanted, None)?)
        };
        self.0.library.db.write(again).await?;
        self.0.queued.notify_one();
        Ok(())
    }

    /// Watches the folder and works the queue off, until it is dropped.
    pub async fn run(self) {
        while let Err(error) = self.recover().await {
            tracing::error!(%error, "imports cannot be looked at; trying again");
            sleep(TRY_AGAIN).await;
        }
        tokio::join!(self.take_in(), self.work_off());
    }

    /// Puts each file where its row says.
    async fn recover(&self) -> Result<(), LibraryError> {
        let library = &self.0.library;
        let layout = &library.layout;
        let folder = layout.import_work();
        let names = move || fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
        for name in on_disk(names).await? {
            let id = name.to_string_lossy().into_owned();
            match self.get(&id).await?.map(|listed| listed.import.state) {
                Some(ImportState::Waiting | ImportState::Working) => {}
                Some(_) => self.put_away(&id).await?,
                // The database was lost meanwhile.
                None => {
                    let (place, folder) = (self.work_place(&id), layout.import());
                    on_disk(move || folder::move_to(&place, &folder, &id)).await?;
                }
            }
        }
        let mut unfinished = self.in_state(ImportState::Waiting).await?;
        unfinished.extend(self.in_state(ImportState::Working).await?);
        for import in unfinished {
            let (place, before) = (self.work_place(&import.id), layout.import().join(&import.name));
            let there = on_disk(move || if place.try_exists()? { Ok(()) } else { fs::rename(before, place) }).await;
            if there.is_err() {
                self.begin_anew(&import, None).await?;
                self.end(&import.id, ImportState::Refused, Some("import_gone")).await?;
            }
        }
        Ok(())
    }

    async fn in_state(&self, state: ImportState) -> Result<Vec<Import>, StoreError> {
        self.0.library.db.read(move |db| -> Result<_, StoreError> { Ok(imports::in_state(db, state)?) }).await
    }

    /// Takes files out of the folder as soon as they are whole.
    async fn take_in(&self) {
        let folder = self.0.library.layout.import();
        let watch = Arc::new(Watch::start(&folder));
        let mut arriving = Arriving::default();
        loop {
            let wait = match self.look(&folder, &watch, &mut arriving).await {
                Ok(true) => SOON,
                Ok(false) => LATER,
                Err(error) => {
                    tracing::error!(%error, "files to be read in cannot be looked at");
                    LATER
                }
            };
            tokio::select! {
                () = watch.changed.notified() => sleep(PAUSE).await,
                () = sleep(wait) => {}
            }
        }
    }

    /// Whether files are still arriving.
    async fn look(&self, folder: &Path, watch: &Arc<Watch>, arriving: &mut Arriving) -> Result<bool, LibraryError> {
        let (place, watch, mut seen) = (folder.to_owned(), watch.clone(), std::mem::take(arriving));
        let (look, seen) = on_disk(move || Ok((seen.look(&place, &watch)?, seen))).await?;
        *arriving = seen;
        for (name, size) in look.whole {
            let (id, now) = (ids::public_id(), clock::wall_ms());
            tracing::info!(import = id, file = name, size, "a file is to be read in");
            let (row, file) = (id.clone(), name.clone());
            let insert = move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> {
                Ok(imports::insert(tx, &row, &file, size, now)?)
            };
            self.0.library.db.write(insert).await?;
            let (from, place) = (folder.join(&name), self.work_place(&id));
            if let Err(error) = on_disk(move || fs::rename(from, place)).await {
                tracing::error!(%error, file = name, "a file cannot be taken from the import folder");
                self.end(&id, ImportState::Refused, Some("import_gone")).await?;
            }
            self.0.queued.notify_one();
        }
        Ok(look.arriving)
    }

    fn work_place(&self, id: &str) -> PathBuf {
        self.0.library.layout.import_work().join(id)
    }

    /// One file after the other; those for which there is no room are tried again.
    async fn work_off(&self) {
        loop {
            // What was cut short goes on first.
            for state in [ImportState::Working, ImportState::Waiting] {
                match self.in_state(state).await {
                    Ok(queue) => {
                        for import in queue {
                            self.work_on(&import).await;
                        }
                    }
                    Err(error) => tracing::error!(%error, "the queue of imports cannot be read"),
                }
            }
            tokio::select! {
                () = self.0.queued.notified() => {}
                () = sleep(TRY_AGAIN) => {}
            }
        }
    }

    async fn work_on(&self, import: &Import) {
        self.0.busy.send_replace(true);
        let cancel = CancellationToken::new();
        *lock(&self.0.current) =
            Some(Current { id: import.id.clone(), broadcast: None, progress: 0.0, cancel: cancel.clone() });
        let worked = self.work(import, &cancel).await;
        *lock(&self.0.current) = None;
        self.0.busy.send_replace(false);
        if let Err(error) = worked {
            tracing::error!(%error, import = import.id, "an import cannot go on; it is tried again");
            while let Err(error) = self.recover().await {
                tracing::error!(%error, "imports cannot be looked at; trying again");
                sleep(TRY_AGAIN).await;
            }
            // Whatever it was, it may be so again.
            sleep(SOON).await;
        }
    }

    /// How much of the file of which this recording is being made is read in, 0 to 1.
    pub fn progress_of(&self, broadcast: &str) -> f64 {
        let current = lock(&self.0.current);
        current.as_ref().filter(|now| now.broadcast.as_deref() == Some(broadcast)).map_or(0.0, |now| now.progress)
    }

    fn becomes(&self, broadcast: &str) {
        if let Some(current) = lock(&self.0.current).as_mut() {
            current.broadcast = Some(broadcast.to_owned());
        }
    }

    fn progress(&self, share: f64) {
        if let Some(current) = lock(&self.0.current).as_mut() {
            current.progress = share.min(1.0);
        }
    }

    /// Removes what was made of it so far; it waits again.
    async fn begin_anew(&self, import: &Import, reason: Option<&'static str>) -> Result<(), LibraryError> {
        if let Some(broadcast) = &import.broadcast_id {
            self.0.library.discard(broadcast).await?;
        }
        let id = import.id.clone();
        let wait =
            move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> { Ok(imports::wait(tx, &id, reason)?) };
        Ok(self.0.library.db.write(wait).await?)
    }

    async fn end(&self, id: &str, state: ImportState, reason: Option<&'static str>) -> Result<(), StoreError> {
        let (id, now) = (id.to_owned(), clock::wall_ms());
        let end = move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> {
            Ok(imports::end(tx, &id, state, reason, now)?)
        };
        self.0.library.db.write(end).await
    }

    /// Moves the file of one that is over to where it belongs. What fails is done by the next start.
    async fn put_away(&self, id: &str) -> Result<(), StoreError> {
        let Some(Listed { import, .. }) = self.get(id).await? else { return Ok(()) };
        let layout = &self.0.library.layout;
        let folder = if import.state == ImportState::Done { layout.import_done() } else { layout.import_refused() };
        let (place, name) = (self.work_place(id), import.name);
        match on_disk(move || folder::move_to(&place, &folder, &name)).await {
            Ok(file) => {
                let id = id.to_owned();
                let set = move |tx: &crate::store::Transaction<'_>| -> Result<_, StoreError> {
                    Ok(imports::set_file(tx, &id, Some(&file))?)
                };
                self.0.library.db.write(set).await
            }
            Err(error) => {
                tracing::error!(%error, import = id, "a file cannot be put away");
                Ok(())
            }
        }
    }
}

/// Runs what may wait for the disk where nobody else waits for it.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl Library {
    /// Unlinks files that were read in long ago, and the oldest of the others while room is short: of what is deleted by itself, they go
    /// first, since there is a recording of each.
    pub(super) async fn drop_originals(&self) -> Result<(), LibraryError> {
        let kept = self.db.read(|db| -> Result<_, StoreError> { Ok(imports::kept(db)?) }).await?;
        let old = clock::trusted().then(|| clock::wall_ms() - KEPT_MS);
        for Import { id, file, ended_at, .. } in kept {
            let is_old = ended_at.zip(old).is_some_and(|(ended, old)| ended < old);
            if !is_old && self.room()?.short_by() == 0 {
                continue;
            }
            let Some(file) = file else { continue };
            let place = self.layout.import_done().join(&file);
            match on_disk(move || fs::remove_file(place)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => tracing::info!(file, "a file that was read in is deleted"),
            }
            self.db.write(move |tx| -> Result<_, StoreError> { Ok(imports::set_file(tx, &id, None)?) }).await?;
        }
        Ok(())
    }
}

//! Files on their way into the library: begun, added to piece by piece over days and restarts, handed to the import folder
//! when complete. How they come over HTTP is `web`'s.

mod names;
mod shelf;
mod write;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::shelf::{Found, Sheet, Shelf};
pub use self::write::Append;
use super::space::Fault;
use super::vod::{Library, lock};
use crate::base::config::Config;
use crate::base::{clock, ids};
use crate::store::{StoreError, audit};

/// Unfinished uploads of one account.
pub const MOST_UNFINISHED: usize = 20;
/// Days after which an unfinished upload is removed.
pub const DAYS: i64 = 7;
const DAY_MS: i64 = 86_400_000;
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// How long a request waits for the one before it, whose end may not have been noticed yet.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// Why an upload cannot be begun or go on. `Display` is a sentence for whoever wrote the request.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("There is no such upload: it was removed, or is too old.")]
    Unknown,
    #[error("The file is empty.")]
    Empty,
    #[error("A file has at most {0} bytes.")]
    TooLarge(u64),
    #[error("At most {MOST_UNFINISHED} uploads of an account can be unfinished at once.")]
    TooMany,
    #[error("There is not enough room on the disk for this file.")]
    NoRoom,
    #[error("{0} bytes have come so far: go on from there.")]
    Offset(u64),
    #[error("Another request adds to this upload.")]
    Busy,
    #[error("More bytes came than the file has.")]
    Excess,
    #[error("Nothing came for a while.")]
    Stalled,
    #[error("The body ended early or is broken: {0}.")]
    Broken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> UploadError {
        match StoreError::from_io(&error) {
            StoreError::DiskFull => UploadError::NoRoom,
            other => UploadError::Store(other),
        }
    }
}

/// An upload that can go on, or is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    /// The file's name as its sender calls it.
    pub name: String,
    /// Bytes of the whole file.
    pub length: u64,
    /// Bytes that have come and are on the disk.
    pub offset: u64,
    /// `Upload-Metadata` as it was sent.
    pub metadata: String,
    /// When it is removed unless it is complete, milliseconds since 1970; none while the clock cannot be trusted.
    pub expires: Option<i64>,
}

impl From<Found> for Upload {
    fn from(Found { id, sheet, come }: Found) -> Upload {
        let Sheet { name, length, metadata, aged_from, .. } = sheet;
        let expires = aged_from.map(|from| from + DAYS * DAY_MS);
        Upload { id, name, length, offset: come.unwrap_or(length), metadata, expires }
    }
}

/// All uploads, of all accounts. An upload is shown to, and added to by, the account that began it alone.
#[derive(Clone)]
pub struct Uploads {
    library: Library,
    shelf: Shelf,
    /// Bytes of the largest file.
    most: u64,
    busy: Arc<Busy>,
    /// Held by whoever begins one, so that two do not count on the same room.
    beginning: Arc<tokio::sync::Mutex<()>>,
}

/// Uploads that a request works on, with what makes it stop.
#[derive(Default)]
struct Busy {
    ids: Mutex<HashMap<String, CancellationToken>>,
    freed: Notify,
}

/// While it lives, no other request works on this upload.
struct Lock {
    busy: Arc<Busy>,
    id: String,
    stop: CancellationToken,
}

impl Drop for Lock {
    fn drop(&mut self) {
        lock(&self.busy.ids).remove(&self.id);
        self.busy.freed.notify_waiters();
    }
}

impl Uploads {
    pub fn new(library: Library, config: &Config) -> Uploads {
        let shelf = Shelf::new(&library.layout);
        let most = config.upload_max_bytes;
        Uploads { library, shelf, most, busy: Arc::default(), beginning: Arc::default() }
    }

    /// Bytes of the largest file.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// What a start does before anybody can ask: removes what belongs to nobody, hands over what is complete.
    pub async fn recover(&self) -> io::Result<()> {
        self.on_disk(Shelf::recover).await
    }

    /// Begins an upload of `length` bytes for the account `account`, whose name is `by`.
    pub async fn begin(
        &self,
        account: &str,
        by: &str,
        name: &str,
        length: u64,
        metadata: &str,
    ) -> Result<Upload, UploadError> {
        if length == 0 {
            return Err(UploadError::Empty);
        }
        if length > self.most {
            return Err(UploadError::TooLarge(self.most));
        }
        let _alone = self.beginning.lock().await;
        let mut unfinished = self.on_disk(Shelf::all).await?;
        unfinished.retain(|found| found.come.is_some());
        if unfinished.iter().filter(|found| found.sheet.account == account).count() >= MOST_UNFINISHED {
            return Err(UploadError::TooMany);
        }
        let due: u64 = unfinished.iter().map(|found| found.sheet.length.saturating_sub(found.come.unwrap_or(0))).sum();
        self.check_room(length.saturating_add(due)).await?;
        let sheet = Sheet {
            account: account.to_owned(),
            name: name.to_owned(),
            length,
            metadata: metadata.to_owned(),
            aged_from: clock::trusted().then(clock::wall_ms),
        };
        self.tell(by, name).await?;
        let found = self
            .on_disk(move |shelf| {
                let (id, _) = shelf.begin()?;
                let described = shelf.describe(&id, &sheet);
                described.inspect_err(|_| drop(shelf.remove(&id)))?;
                Ok(Found { id, sheet, come: Some(0) })
            })
            .await?;
        Ok(found.into())
    }

    /// A file that comes in one piece, of about `about` bytes; its end tells how many. One that is cut off is removed.
    pub async fn begin_whole(&self, by: &str, name: &str, about: u64) -> Result<Append, UploadError> {
        if about > self.most {
            return Err(UploadError::TooLarge(self.most));
        }
        self.check_room(about).await?;
        self.tell(by, name).await?;
        let (id, file) = self.on_disk(Shelf::begin).await?;
        let held = self.hold(&id).await?;
        Ok(Append::start(self.clone(), held, file, 0, None, name.to_owned()))
    }

    /// Who did what: that somebody sends a file.
    async fn tell(&self, by: &str, name: &str) -> Result<(), StoreError> {
        let (by, name) = (by.to_owned(), names::Name::of(name).numbered(1));
        self.library.db.write(move |tx| audit::record(tx, &by, "upload.begin", "", &name)).await
    }

    /// Whether so many bytes fit, counting what retention frees as they come.
    async fn check_room(&self, bytes: u64) -> Result<(), UploadError> {
        let room = self.library.room()?;
        let freeable = match room.fault() {
            None | Some(Fault::Full) => self.library.freeable().await?,
            Some(_) => 0,
        };
        if bytes > room.uploadable().saturating_add(freeable) { Err(UploadError::NoRoom) } else { Ok(()) }
    }

    /// The unfinished uploads of an account, by name.
    pub async fn unfinished(&self, account: &str) -> Result<Vec<Upload>, UploadError> {
        let mut all = self.on_disk(Shelf::all).await?;
        all.retain(|found| found.come.is_some() && found.sheet.account == account);
        let mut all: Vec<Upload> = all.into_iter().map(Upload::from).collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(all)
    }

    /// An upload with the offset from which it goes on: what it counts is on the disk.
    pub async fn find(&self, account: &str, id: &str) -> Result<Upload, UploadError> {
        self.owned(account, id).await?;
        let held = self.hold(id).await?;
        let (account, id) = (account.to_owned(), id.to_owned());
        let found = self.on_disk(move |shelf| {
            let _held = held;
            let found = shelf.find(&id)?.filter(|found| found.sheet.account == account);
            let Some(mut found) = found else { return Ok(None) };
            if let Some(come) = found.come {
                shelf.open(&id)?.sync_data()?;
                if come >= found.sheet.length {
                    shelf.hand_over(&id, &found.sheet.name)?;
                    found.come = None;
                }
            }
            Ok(Some(found))
        });
        found.await?.map(Upload::from).ok_or(UploadError::Unknown)
    }

    /// Goes on with an upload at `offset`, which must be where it has come to.
    pub async fn append(&self, account: &str, id: &str, offset: u64) -> Result<Append, UploadError> {
        self.owned(account, id).await?;
        let held = self.hold(id).await?;
        // It may have gone on, or be gone, since.
        let Found { sheet, come, .. } = self.owned(account, id).await?;
        let come_or_all = come.unwrap_or(sheet.length);
        if offset != come_or_all {
            return Err(UploadError::Offset(come_or_all));
        }
        if come.is_none() {
            return Ok(Append::complete(sheet.length));
        }
        let wanted = id.to_owned();
        let file = self.on_disk(move |shelf| shelf.open(&wanted)).await?;
        Ok(Append::start(self.clone(), held, file, offset, Some(sheet.length), sheet.name))
    }

    /// Removes an unfinished upload; a request that adds to it is stopped.
    pub async fn remove(&self, account: &str, id: &str) -> Result<(), UploadError> {
        self.owned(account, id).await?;
        if let Some(stop) = lock(&self.busy.ids).get(id) {
            stop.cancel();
        }
        let held = self.hold(id).await?;
        if self.owned(account, id).await?.come.is_none() {
            return Err(UploadError::Unknown);
        }
        let id = id.to_owned();
        self.on_disk(move |shelf| {
            let _held = held;
            shelf.remove(&id)
        })
        .await?;
        Ok(())
    }

    async fn owned(&self, account: &str, id: &str) -> Result<Found, UploadError> {
        if !ids::is_id(id) {
            return Err(UploadError::Unknown);
        }
        let id = id.to_owned();
        let found = self.on_disk(move |shelf| shelf.find(&id)).await?;
        found.filter(|found| found.sheet.account == account).ok_or(UploadError::Unknown)
    }

    /// # Errors
    /// [`UploadError::Busy`], when the request that has it goes on for [`LOCK_PATIENCE`].
    async fn hold(&self, id: &str) -> Result<Lock, UploadError> {
        let patience = tokio::time::sleep(LOCK_PATIENCE);
        tokio::pin!(patience);
        loop {
            let freed = self.busy.freed.notified();
            if let Some(held) = self.try_hold(id) {
                return Ok(held);
            }
            tokio::select! {
                () = freed => {}
                () = &mut patience => return Err(UploadError::Busy),
            }
        }
    }

    fn try_hold(&self, id: &str) -> Option<Lock> {
        let mut ids = lock(&self.busy.ids);
        if ids.contains_key(id) {
            return None;
        }
        let stop = CancellationToken::new();
        ids.insert(id.to_owned(), stop.clone());
        Some(Lock { busy: self.busy.clone(), id: id.to_owned(), stop })
    }

    /// Removes what is too old, each hour.
    pub async fn tend(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sweep(clock::trusted().then(clock::wall_ms)).await {
                tracing::error!(%error, "old uploads cannot be removed");
            }
        }
    }

    /// `now` is none while the clock cannot be trusted.
    async fn sweep(&self, now: Option<i64>) -> io::Result<()> {
        for found in self.on_disk(Shelf::all).await? {
            let due = due(&found.sheet, now);
            if due == Due::Nothing {
                continue;
            }
            // Whoever adds to it keeps it.
            let Some(held) = self.try_hold(&found.id) else { continue };
            self.on_disk(move |shelf| {
                let _held = held;
                match due {
                    Due::Nothing => Ok(()),
                    Due::Age(from) => shelf.describe(&found.id, &Sheet { aged_from: Some(from), ..found.sheet }),
                    Due::Removal => {
                        if found.come.is_some() {
                            tracing::info!(upload = found.id, "an upload that was not finished is removed");
                        }
                        shelf.remove(&found.id)
                    }
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shelf = self.shelf.clone();
        tokio::task::spawn_blocking(move || work(&shelf)).await.map_err(io::Error::other)?
    }
}

/// What the time asks for with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Its days count from now on.
    Age(i64),
    Removal,
}

/// By a clock that cannot be trusted (`now` is none) nothing is removed.
fn due(sheet: &Sheet, now: Option<i64>) -> Due {
    match (sheet.aged_from, now) {
        (_, None) => Due::Nothing,
        (None, Some(now)) => Due::Age(now),
        (Some(from), Some(now)) if now - from > DAYS * DAY_MS => Due::Removal,
        (Some(_), Some(_)) => Due::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::layout::Layout;
    use crate::store::Db;

    #[tokio::test]
    async fn what_is_too_old_is_removed_unless_somebody_adds_to_it() {
        let data = tempfile::tempdir().unwrap();
        let config = Config::with_data(data.path().to_owned());
        let layout = Layout::open(data.path()).unwrap();
        let uploads = Uploads::new(Library::new(Db::open(&layout.database()).unwrap(), layout, &config), &config);
        let begin = async |name: &str| uploads.begin("a1", "wati", name, 10, "").await.unwrap().id;
        let names = async || -> Vec<_> {
            uploads.unfinished("a1").await.unwrap().into_iter().map(|upload| upload.name).collect()
        };
        let (_, busy) = (begin("idle.mp4").await, begin("busy.mp4").await);
        let now = clock::wall_ms();
        for now in [None, Some(now), Some(now + DAYS * DAY_MS)] {
            uploads.sweep(now).await.unwrap();
            assert_eq!(names().await, ["busy.mp4", "idle.mp4"]);
        }
        assert!(uploads.find("a1", &busy).await.unwrap().expires.is_some());
        let held = uploads.try_hold(&busy);
        let late = Some(now + (DAYS + 1) * DAY_MS);
        uploads.sweep(late).await.unwrap();
        assert_eq!(names().await, ["busy.mp4"]);
        drop(held);
        uploads.sweep(late).await.unwrap();
        assert_eq!(std::fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_removed_by_a_clock_that_cannot_be_trusted() {
        let sheet = |aged_from| Sheet {
            account: String::new(),
            name: String::new(),
            length: 1,
            metadata: String::new(),
            aged_from,
        };
        let now = 1_800_000_000_000;
        assert_eq!(due(&sheet(Some(0)), None), Due::Nothing);
        assert_eq!(due(&sheet(None), None), Due::Nothing);
        assert_eq!(due(&sheet(None), Some(now)), Due::Age(now));
        assert_eq!(due(&sheet(Some(now - DAYS * DAY_MS)), Some(now)), Due::Nothing);
        assert_eq!(due(&sheet(Some(now - DAYS * DAY_MS - 1)), Some(now)), Due::Removal);
        assert_eq!(due(&sheet(Some(now + DAY_MS)), Some(now)), Due::Nothing, "the clock was set back");
    }
}

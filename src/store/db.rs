//! The database file: opening, migrating, one writer thread, two readers.
//!
//! `db.write(|tx| …)` runs a closure in an immediate transaction on the writer's thread and commits it when it returns
//! `Ok`; `db.read(|connection| …)` runs one on a reader. Both are also there without `async` for threads of our own.
//! What the closures ask of the tables stands in the sibling files.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::migrate;
use crate::base::clock;

pub use super::error::StoreError;

/// The file's name inside the data directory.
pub const FILE_NAME: &str = "siaran.db";

/// How long a transaction waits for another process (`siaran account`) before it answers [`StoreError::Locked`], its time in
/// the queue included: of many that wait, the last is not answered later than the first.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: usize = 2;
/// A write-ahead log that grew in a burst is cut back to this many bytes at the next checkpoint.
const LOG_LIMIT: i64 = 16 << 20;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle on the database; clones share its threads, which end with the last of them.
#[derive(Clone)]
pub struct Db {
    pool: Arc<Pool>,
}

struct Pool {
    // Unbounded, since whoever sends a job waits for its answer: the requests in flight are the bound.
    writer: Option<mpsc::Sender<Job>>,
    readers: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    busy_timeout: Duration,
}

/// Until when a write waits for other processes.
#[derive(Clone, Copy)]
struct Patience {
    since: Instant,
    most: Duration,
}

impl Db {
    /// Opens the file at `path`, making it (mode 0600) and its directory (0700) where they are missing, and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] for a file that a newer siaran wrote, which is left as it was; the others as they come.
    pub fn open(path: &Path) -> Result<Db, StoreError> {
        Db::open_with(path, BUSY_TIMEOUT)
    }

    pub(crate) fn open_with(path: &Path, busy_timeout: Duration) -> Result<Db, StoreError> {
        create_private(path).map_err(|error| StoreError::from_io(&error))?;
        migrate::refuse_newer_header(path)?;
        let writer = open_writer(path, busy_timeout)?;
        let readers: Vec<Connection> =
            (0..READERS).map(|_| open_reader(path, busy_timeout)).collect::<Result<_, _>>()?;
        Ok(Db { pool: Arc::new(Pool::start(writer, readers, busy_timeout)?) })
    }

    /// Runs `work` in an immediate transaction, committed and synced to the disk when it returns `Ok`, else undone.
    /// A caller that stops waiting does not stop the work.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let patience = self.pool.patience();
        send(&self.pool.writer, move |connection| drop(reply.send(in_write(connection, patience, work))))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// Runs `work` on one snapshot of the database; a write in it is refused.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        send(&self.pool.readers, move |connection| drop(reply.send(in_read(connection, work))))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// [`Db::write`] for a thread that may block; not to be called from async code.
    pub fn write_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = mpsc::sync_channel(1);
        let patience = self.pool.patience();
        send(&self.pool.writer, move |connection| drop(reply.send(in_write(connection, patience, work))))?;
        answer.recv().unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// [`Db::read`] for a thread that may block; not to be called from async code.
    pub fn read_blocking<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = mpsc::sync_channel(1);
        send(&self.pool.readers, move |connection| drop(reply.send(in_read(connection, work))))?;
        answer.recv().unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }
}

/// Writes the database at `from` as it is at one instant to the new file `to`, changed by `work`, synced, without a log beside
/// it. Other processes may write meanwhile.
pub fn snapshot(
    from: &Path,
    to: &Path,
    work: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    migrate::refuse_newer_header(from)?;
    create_private(to).map_err(|error| StoreError::from_io(&error))?;
    let place = to.to_str().ok_or(StoreError::CannotOpen)?;
    let source = open_reader(from, BUSY_TIMEOUT)?;
    source.pragma_update(None, "query_only", false)?;
    source.execute("VACUUM INTO ?1", [place])?;
    let mut copy = Connection::open(to)?;
    let tx = copy.transaction()?;
    // The copy's rows are counted anew (sqlite.org/lang_vacuum.html), and the search goes by their numbers.
    tx.execute_batch("INSERT INTO library_search (library_search) VALUES ('rebuild')")?;
    work(&tx)?;
    tx.commit()?;
    drop(copy);
    let synced = std::fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::from_io(&error))
}

/// Reads a snapshot without leaving anything beside it.
pub fn read_snapshot<T>(path: &Path, work: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
    migrate::refuse_newer_header(path)?;
    let connection = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    work(&connection)
}

/// What SQLite itself finds wrong with the file; nothing in a sound one.
pub fn integrity(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

impl Pool {
    fn start(writer: Connection, readers: Vec<Connection>, busy_timeout: Duration) -> Result<Pool, StoreError> {
        let (write_jobs, write_queue) = mpsc::channel();
        let (read_jobs, read_queue) = mpsc::channel();
        let mut threads = vec![spawn("db-writer", writer, Arc::new(Mutex::new(write_queue)))?];
        let read_queue = Arc::new(Mutex::new(read_queue));
        for reader in readers {
            threads.push(spawn("db-reader", reader, read_queue.clone())?);
        }
        Ok(Pool { writer: Some(write_jobs), readers: Some(read_jobs), threads, busy_timeout })
    }

    fn patience(&self) -> Patience {
        Patience { since: clock::instant(), most: self.busy_timeout }
    }
}

impl Drop for Pool {
    /// Lets the queued jobs finish and the connections close, so that a clean stop leaves no log to replay.
    fn drop(&mut self) {
        self.writer = None;
        self.readers = None;
        let me = std::thread::current().id();
        // The last handle may have lived inside a job: a thread cannot wait for itself.
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != me) {
            let _ = thread.join();
        }
    }
}

fn spawn(
    name: &str,
    connection: Connection,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new()
        .name(name.to_string())
        .spawn(move || run_jobs(connection, &jobs))
        .map_err(|error| StoreError::from_io(&error))
}

fn run_jobs(mut connection: Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One idle reader waits inside the lock, the other for the lock; a job frees it before it runs.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A panic unwinds through the transaction, which rolls back; the caller sees its answer's sender dropped.
        if std::panic::catch_unwind(AssertUnwindSafe(|| job(&mut connection))).is_err() {
            tracing::error!("a database job panicked; its transaction was rolled back");
        }
    }
}

fn send(
    jobs: &Option<mpsc::Sender<Job>>,
    job: impl FnOnce(&mut Connection) + Send + 'static,
) -> Result<(), StoreError> {
    let jobs = jobs.as_ref().ok_or(StoreError::Closed)?;
    jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)
}

fn in_write<T, E: From<StoreError>>(
    connection: &mut Connection,
    patience: Patience,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let left = patience.most.saturating_sub(patience.since.elapsed());
    connection.busy_timeout(left).map_err(StoreError::from)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(StoreError::from)?;
    let answer = work(&transaction)?;
    transaction.commit().map_err(StoreError::from)?;
    Ok(answer)
}

fn in_read<T, E: From<StoreError>>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let snapshot = connection.transaction().map_err(StoreError::from)?;
    work(&snapshot)
}

/// SQLite gives its log and index files the mode of the database, so making that one private is enough.
fn create_private(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

/// SQLite takes a file shorter than its smallest page for a new database and would write over what is left of an old one.
fn refuse_stump(path: &Path) -> Result<(), StoreError> {
    let length = std::fs::metadata(path).map_err(|error| StoreError::from_io(&error))?.len();
    if (1..512).contains(&length) { Err(StoreError::Damaged) } else { Ok(()) }
}

fn open_writer(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    refuse_stump(path)?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(busy_timeout)?;
    // Until the version is known to be ours, closing must not move the log into the file.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    migrate::refuse_newer(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    set_pragmas(&connection)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    migrate::to_latest(&mut connection)?;
    Ok(connection)
}

fn open_reader(path: &Path, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(busy_timeout)?;
    set_pragmas(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn set_pragmas(connection: &Connection) -> Result<(), StoreError> {
    // FULL: NORMAL lost acknowledged commits in power cuts. No mmap: a failing disk would be a SIGBUS, not an error.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::store::settings;

    fn open() -> (tempfile::TempDir, Db) {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open_with(&directory.path().join("data").join(FILE_NAME), Duration::from_millis(50)).unwrap();
        (directory, db)
    }

    fn set(db: &Db, key: &'static str, value: &'static str) -> Result<(), StoreError> {
        db.write_blocking(move |tx| settings::set(tx, key, value))
    }

    fn get(db: &Db, key: &'static str) -> Option<String> {
        db.read_blocking::<_, StoreError, _>(move |c| settings::get(c, key)).unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        let (_directory, db) = open();
        db.write(|tx| settings::set(tx, "a", "1")).await.unwrap();
        assert_eq!(db.read(|c| settings::get(c, "a")).await.unwrap(), Some("1".to_string()));
    }

    /// Rows are numbered anew in a copy; the search goes by their numbers.
    #[test]
    fn a_snapshot_finds_what_is_searched() {
        let (directory, db) = open();
        let insert = |id: &'static str, title: &'static str| {
            let sql = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at)
                VALUES (?1, ?2, 'public', 'ended', 'test', 'test', 0)";
            db.write_blocking(move |tx| -> Result<_, StoreError> { Ok(tx.execute(sql, [id, title])?) }).unwrap();
        };
        insert("a", "gone");
        insert("b", "kept");
        db.write_blocking(|tx| -> Result<_, StoreError> {
            Ok(tx.execute("DELETE FROM broadcasts WHERE id = 'a'", [])?)
        })
        .unwrap();
        let copy = directory.path().join("copy.db");
        snapshot(&directory.path().join("data").join(FILE_NAME), &copy, |_| Ok(())).unwrap();
        let sql = "SELECT id FROM broadcasts WHERE rowid IN (SELECT rowid FROM library_search WHERE library_search MATCH 'kept')";
        let found = read_snapshot(&copy, |db| Ok(db.query_row(sql, [], |row| row.get::<_, String>(0))?));
        assert_eq!(found.unwrap(), "b");
    }

    #[test]
    fn an_error_undoes_the_transaction() {
        let (_directory, db) = open();
        let answer = db.write_blocking(|tx| {
            settings::set(tx, "a", "1")?;
            Err::<(), _>(StoreError::Closed)
        });
        assert!(matches!(answer, Err(StoreError::Closed)));
        assert_eq!(get(&db, "a"), None);
    }

    #[test]
    fn a_panic_undoes_the_transaction_and_the_pool_lives_on() {
        let (_directory, db) = open();
        for _ in 0..3 {
            let answer = db.write_blocking::<(), StoreError, _>(|tx| {
                settings::set(tx, "a", "1")?;
                panic!("a fault in a closure")
            });
            assert!(matches!(answer, Err(StoreError::Panicked)));
            let answer = db.read_blocking::<(), StoreError, _>(|_| panic!("another"));
            assert!(matches!(answer, Err(StoreError::Panicked)));
        }
        assert_eq!(get(&db, "a"), None);
        set(&db, "a", "2").unwrap();
        assert_eq!(get(&db, "a"), Some("2".to_string()));
    }

    #[test]
    fn a_reader_cannot_write() {
        let (_directory, db) = open();
        let answer = db.read_blocking(|c| settings::set(c, "a", "1"));
        assert_eq!(answer.unwrap_err().code(), "database_read_only");
    }

    #[test]
    fn the_file_and_its_directory_are_private() {
        let (directory, db) = open();
        set(&db, "a", "1").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let data = directory.path().join("data");
        assert_eq!(mode(&data), 0o700);
        for entry in std::fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{path:?}");
        }
    }

    #[test]
    fn a_locked_database_says_so_and_recovers() {
        let (directory, db) = open();
        let other = Connection::open(directory.path().join("data").join(FILE_NAME)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(set(&db, "a", "1").unwrap_err().code(), "database_locked");
        assert_eq!(get(&db, "a"), None, "readers go on");
        other.execute_batch("ROLLBACK").unwrap();
        set(&db, "a", "1").unwrap();
    }

    #[test]
    fn a_full_disk_says_so_and_recovers() {
        let (_directory, db) = open();
        let fill = |pages: &'static str| {
            db.write_blocking::<_, StoreError, _>(move |tx| {
                tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
                settings::set(tx, "a", &"x".repeat(1 << 20))
            })
        };
        assert_eq!(fill("1").unwrap_err().code(), "disk_full");
        fill("1000000").unwrap();
    }

    #[test]
    fn damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        std::fs::write(&path, "this was never a database. ".repeat(400)).unwrap();
        assert_eq!(Db::open(&path).err().unwrap().code(), "database_damaged");
    }

    #[test]
    fn the_settings_that_keep_data_safe_are_on() {
        let (_directory, db) = open();
        let (journal, sync, keys, mmap) = db
            .write_blocking::<_, StoreError, _>(|tx| {
                let number = |name: &str| tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
                let journal: String = tx.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
                Ok((journal, number("synchronous")?, number("foreign_keys")?, number("mmap_size")?))
            })
            .unwrap();
        assert_eq!((journal.as_str(), sync, keys, mmap), ("wal", 2, 1, 0));
        // Older ones have a race that can reset the log under a reader.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}

//! The schema's versions: numbered scripts, applied in order, each once. The number stands in the file's `user_version`.

use std::io::Read;
use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::StoreError;

/// Append only: a script that has been released is never edited.
const SCRIPTS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/0001_first.sql")),
    M::up(include_str!("../../migrations/0002_recovery.sql")),
    M::up(include_str!("../../migrations/0003_room.sql")),
    M::up(include_str!("../../migrations/0004_reels.sql")),
    M::up(include_str!("../../migrations/0005_captions.sql")),
    M::up(include_str!("../../migrations/0006_imports.sql")),
    M::up(include_str!("../../migrations/0007_sprites.sql")),
    M::up(include_str!("../../migrations/0008_on_air.sql")),
    M::up(include_str!("../../migrations/0009_imports_go_on.sql")),
    M::up(include_str!("../../migrations/0010_edits.sql")),
    M::up(include_str!("../../migrations/0011_ladders.sql")),
    M::up(include_str!("../../migrations/0012_content.sql")),
];
const MIGRATIONS: Migrations<'static> = Migrations::from_slice(SCRIPTS);

/// Where `user_version` lies in an SQLite file, big-endian (SQLite's file format, 1.3).
const USER_VERSION_AT: usize = 60;

/// Refuses a file of a later version by its header alone, so that not even a lock file appears beside it.
pub(super) fn refuse_newer_header(path: &Path) -> Result<(), StoreError> {
    let mut header = [0; USER_VERSION_AT + 4];
    let mut file = std::fs::File::open(path).map_err(|error| StoreError::from_io(&error))?;
    if file.read_exact(&mut header).is_err() || !header.starts_with(b"SQLite format 3\0") {
        return Ok(()); // empty or not a database: SQLite will say which
    }
    let [.., a, b, c, d] = header;
    check(i64::from(i32::from_be_bytes([a, b, c, d])))
}

/// The same by SQL, which also sees a version that is still in the log.
pub(super) fn refuse_newer(connection: &Connection) -> Result<(), StoreError> {
    check(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn check(version: i64) -> Result<(), StoreError> {
    if version > SCRIPTS.len() as i64 { Err(StoreError::TooNew) } else { Ok(()) }
}

pub(super) fn to_latest(connection: &mut Connection) -> Result<(), StoreError> {
    let Err(error) = MIGRATIONS.to_latest(connection) else { return Ok(()) };
    // Another process may have been faster with the same scripts.
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == SCRIPTS.len() as i64 { Ok(()) } else { Err(sort(error)) }
}

fn sort(error: rusqlite_migration::Error) -> StoreError {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        other => StoreError::Sqlite(rusqlite::Error::ToSqlConversionFailure(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Role;
    use crate::store::{Db, accounts, broadcasts, media, stream_keys};

    /// What the first version could hold; each later one must take it along.
    const ROWS: &str = "
        INSERT INTO settings VALUES ('kept', 'yes');
        INSERT INTO accounts VALUES ('a', 'Wati', 'wati', 'admin', 'hash', 1, NULL);
        INSERT INTO stream_keys VALUES ('k', x'01', 'a', 'Aula', 0, 'staff', 2, NULL, NULL);
        INSERT INTO broadcasts (id, title, audience, state, source, source_kind, account_id, stream_key_id, created_at,
            ended_at, duration) VALUES ('b', 'Kelas ibu', 'pin', 'ended', 'test', 'test', 'a', 'k', 3, 4, 5);
        INSERT INTO inits (broadcast_id, rendition, number, bytes, codecs, width, height, frame_rate_milli, has_audio)
            VALUES ('b', 0, 0, x'02', 'avc1.42c01e', 1280, 720, 30000, 1);
        INSERT INTO reels (id, broadcast_id, rendition, created_at) VALUES ('r', 'b', 0, 3);
        INSERT INTO segments (broadcast_id, rendition, msn, reel_id, offset, length, start, duration, init,
            discontinuity, independent, crc32c) VALUES ('b', 0, 7, 'r', 10, 20, 30, 40, 0, 1, 1, 50);";

    fn check_rows(connection: &Connection, version: usize) {
        let account = accounts::by_key(connection, "wati").unwrap().unwrap();
        assert_eq!((account.id.as_str(), account.username.as_str(), account.role), ("a", "Wati", Role::Admin));
        assert_eq!(accounts::password_hash(connection, "a").unwrap().as_deref(), Some("hash"));
        let key = stream_keys::get(connection, "k").unwrap().unwrap();
        assert_eq!((key.label.as_str(), key.auto_live), ("Aula", false));
        let broadcast = broadcasts::get(connection, "b").unwrap().unwrap();
        assert_eq!((broadcast.title.as_str(), broadcast.duration, broadcast.ended_at), ("Kelas ibu", 5, Some(4)));
        assert!(broadcast.recorded && !broadcast.pinned, "from version {version}");
        let found = broadcasts::Filter { search: "kelas".into(), limit: 2, ..broadcasts::Filter::default() };
        assert_eq!(broadcasts::list(connection, &found).unwrap().len(), 1, "from version {version}");
        assert_eq!(media::init(connection, "b", 0, 0).unwrap(), Some(vec![2]));
        let [row] = &media::segments(connection, "b", 0).unwrap()[..] else { panic!("from version {version}") };
        let (segment, location) = (&row.segment, &row.location);
        assert_eq!((segment.msn, segment.start, segment.duration, segment.cut), (7, 30, 40, false));
        assert_eq!((location.reel_id.as_str(), location.offset, location.length, location.crc32c), ("r", 10, 20, 50));
    }

    fn schema(connection: &Connection) -> Vec<(String, String)> {
        let mut statement =
            connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name").unwrap();
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn the_scripts_are_valid() {
        MIGRATIONS.validate().unwrap();
    }

    #[test]
    fn every_earlier_version_upgrades_to_the_same_schema() {
        let mut fresh = Connection::open_in_memory().unwrap();
        to_latest(&mut fresh).unwrap();
        for version in 0..=SCRIPTS.len() {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("x.db");
            let mut old = Connection::open(&path).unwrap();
            MIGRATIONS.to_version(&mut old, version).unwrap();
            if version >= 1 {
                old.execute_batch(ROWS).unwrap();
            }
            drop(old);
            drop(Db::open(&path).unwrap());
            let upgraded = Connection::open(&path).unwrap();
            assert_eq!(schema(&upgraded), schema(&fresh), "from version {version}");
            let kept: i64 = upgraded.query_row("SELECT count(*) FROM settings", [], |row| row.get(0)).unwrap();
            assert_eq!(kept, i64::from(version >= 1));
            if version >= 1 {
                check_rows(&upgraded, version);
            }
        }
    }

    #[test]
    fn a_file_is_a_source_and_what_is_none_is_refused() {
        let connection = crate::store::testing::memory();
        let insert = |kind: &str| {
            let sql = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at)
                VALUES (?1, 't', 'public', 'ended', 's', ?1, 0)";
            connection.execute(sql, [kind])
        };
        for kind in ["camera", "rtmp", "test", "file"] {
            assert_eq!(insert(kind), Ok(1), "{kind}");
        }
        assert!(insert("other").is_err());
        let whole: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
    }

    #[test]
    fn a_newer_file_is_refused_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        drop(Db::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", SCRIPTS.len() as i64 + 1).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Db::open(&path), Err(StoreError::TooNew)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing appeared beside it");
    }

    #[test]
    fn a_newer_version_still_in_the_log_is_refused_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        drop(Db::open(&path).unwrap());
        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", SCRIPTS.len() as i64 + 1).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(matches!(Db::open(&path), Err(StoreError::TooNew)));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}

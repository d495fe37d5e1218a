//! The table of ladders: of which recordings smaller renditions are made of the one that there is, and how far they are. Their
//! segments are in the index as all others; the renditions are shown once they are complete.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::base::terms::LadderState;
use crate::media::rungs::Rung;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    pub state: LadderState,
    /// Renditions 1, 2 …; empty where only their files tell of them.
    pub rungs: Vec<Rung>,
    /// Why it failed: a code.
    pub reason: Option<String>,
}

/// Ids of recordings that are worked on, then of those that have one rendition and were never looked at; the newest first.
pub fn due(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT b.id FROM broadcasts b LEFT JOIN ladders l ON l.broadcast_id = b.id
         WHERE b.state = 'ended' AND b.recorded AND b.trashed_at IS NULL AND (l.state = 'working' OR (l.state IS NULL
             AND EXISTS (SELECT 1 FROM segments s WHERE s.broadcast_id = b.id AND s.rendition = 0)
             AND NOT EXISTS (SELECT 1 FROM segments s WHERE s.broadcast_id = b.id AND s.rendition > 0)))
         ORDER BY l.state IS NULL, b.rowid DESC";
    connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

pub fn get(connection: &Connection, broadcast_id: &str) -> Result<Option<Ladder>> {
    let sql = "SELECT state, rungs, reason FROM ladders WHERE broadcast_id = ?1";
    let ladder = connection.prepare_cached(sql)?.query_row([broadcast_id], |row| {
        let (state, rungs): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(Ladder {
            state: LadderState::parse(&state).ok_or(rusqlite::Error::InvalidQuery)?,
            rungs: serde_json::from_str(&rungs).map_err(|_| rusqlite::Error::InvalidQuery)?,
            reason: row.get(2)?,
        })
    });
    ladder.optional()
}

/// These are made from now on, of a recording that is still there and not in the trash. Whether it is.
pub fn begin(connection: &Connection, broadcast_id: &str, rungs: &[Rung]) -> Result<bool> {
    let rungs = serde_json::to_string(rungs).unwrap_or_default();
    let sql = "INSERT INTO ladders (broadcast_id, state, rungs)
         SELECT id, 'working', ?2 FROM broadcasts WHERE id = ?1 AND state = 'ended' AND trashed_at IS NULL
         ON CONFLICT DO UPDATE SET rungs = excluded.rungs WHERE state = 'working'";
    Ok(connection.execute(sql, params![broadcast_id, rungs])? > 0)
}

/// Files tell of renditions that were being made: they are looked through, and what is missing is made.
pub fn found(connection: &Connection, broadcast_id: &str) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO ladders (broadcast_id, state, rungs) VALUES (?1, 'working', '[]')";
    connection.execute(sql, [broadcast_id])?;
    Ok(())
}

/// What is worked on is over. Whether it was worked on.
pub fn end(connection: &Connection, broadcast_id: &str, state: LadderState, reason: Option<&str>) -> Result<bool> {
    let sql = "UPDATE ladders SET state = ?2, reason = ?3 WHERE broadcast_id = ?1 AND state = 'working'";
    Ok(connection.execute(sql, params![broadcast_id, state.as_str(), reason])? > 0)
}

/// What failed or was cancelled may be tried again. Whether it may.
pub fn again(connection: &Connection, broadcast_id: &str) -> Result<bool> {
    let sql = "DELETE FROM ladders WHERE broadcast_id = ?1 AND state IN ('failed', 'cancelled')";
    Ok(connection.execute(sql, [broadcast_id])? > 0)
}

/// Takes segments out of the index that are not as those they were made of: of which only the beginning is there.
pub fn take_back(connection: &Connection, broadcast_id: &str) -> Result<()> {
    let sql = "DELETE FROM segments WHERE broadcast_id = ?1 AND rendition > 0 AND NOT EXISTS (SELECT 1 FROM segments s
         WHERE s.broadcast_id = ?1 AND s.rendition = 0 AND s.msn = segments.msn AND s.start = segments.start
             AND s.duration = segments.duration AND s.cut = segments.cut)";
    connection.execute(sql, [broadcast_id])?;
    Ok(())
}

/// Removes all that was made; the files' marks stay until they are gone.
pub fn discard(connection: &Connection, broadcast_id: &str) -> Result<()> {
    connection.execute("DELETE FROM segments WHERE broadcast_id = ?1 AND rendition > 0", [broadcast_id])?;
    connection.execute("DELETE FROM inits WHERE broadcast_id = ?1 AND rendition > 0", [broadcast_id])?;
    connection.execute("UPDATE reels SET garbage = 1 WHERE broadcast_id = ?1 AND rendition > 0", [broadcast_id])?;
    Ok(())
}

/// Segments that are made, and those that there will be, of so many renditions.
pub fn progress(connection: &Connection, broadcast_id: &str, rungs: usize) -> Result<(u64, u64)> {
    let sql = "SELECT count(*) FILTER (WHERE rendition > 0), count(*) FILTER (WHERE rendition = 0) FROM segments
         WHERE broadcast_id = ?1";
    let count = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, u64>(1)? * rungs as u64));
    connection.prepare_cached(sql)?.query_row([broadcast_id], count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::window::Segment;
    use crate::store::media::{self, IndexedSegment, Location};

    fn row(msn: u64, duration: u64) -> IndexedSegment {
        let segment = Segment {
            msn,
            start: msn * 180_000,
            duration,
            init: 0,
            discontinuity: false,
            independent: true,
            resumed: false,
            cut: false,
            gap: false,
            piece: None,
        };
        let location = Location { reel_id: String::from("r"), offset: msn * 10, length: 10, crc32c: 7 };
        IndexedSegment { segment, location }
    }

    #[test]
    fn a_ladder_is_shown_when_it_is_done_and_gone_when_it_is_given_up() {
        let connection = crate::store::testing::memory();
        let insert = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at)
            VALUES ('b', 't', 'public', 'ended', 'test', 'test', 0)";
        connection.execute(insert, []).unwrap();
        media::insert_reel(&connection, "r", "b", 0, 0).unwrap();
        media::insert_reel(&connection, "s", "b", 1, 0).unwrap();
        for msn in 0..3 {
            media::insert_segment(&connection, "b", 0, &row(msn, 180_000)).unwrap();
        }
        assert_eq!(due(&connection).unwrap(), ["b"]);
        let rungs = [Rung { width: 426, height: 240, kbps: 300 }];
        assert!(begin(&connection, "b", &rungs).unwrap());
        media::insert_segment(&connection, "b", 1, &row(0, 180_000)).unwrap();
        media::insert_segment(&connection, "b", 1, &row(1, 90_000)).unwrap();
        assert_eq!(due(&connection).unwrap(), ["b"], "it goes on");
        assert_eq!(media::renditions(&connection, "b").unwrap(), [0]);
        take_back(&connection, "b").unwrap();
        assert_eq!(progress(&connection, "b", 1).unwrap(), (1, 3));

        assert!(end(&connection, "b", LadderState::Done, None).unwrap());
        assert_eq!(media::renditions(&connection, "b").unwrap(), [0, 1]);
        assert!(!end(&connection, "b", LadderState::Failed, None).unwrap(), "it is over");
        assert!(!again(&connection, "b").unwrap());
        assert!(due(&connection).unwrap().is_empty());

        connection.execute("UPDATE ladders SET state = 'working'", []).unwrap();
        discard(&connection, "b").unwrap();
        assert!(end(&connection, "b", LadderState::Failed, Some("ladder_crashed")).unwrap());
        let failed = get(&connection, "b").unwrap().unwrap();
        assert_eq!((failed.rungs, failed.reason.as_deref()), (rungs.to_vec(), Some("ladder_crashed")));
        assert_eq!(media::garbage(&connection).unwrap(), ["s"]);
        assert!(due(&connection).unwrap().is_empty(), "not by itself");
        assert!(again(&connection, "b").unwrap());
        assert_eq!(due(&connection).unwrap(), ["b"]);
        connection.execute("UPDATE broadcasts SET trashed_at = 1", []).unwrap();
        assert!(due(&connection).unwrap().is_empty());
        assert!(!begin(&connection, "b", &rungs).unwrap());
    }
}

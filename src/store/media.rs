//! The index of recorded media: inits, reels, segments. Bytes are in the reels, this says where.

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::media::protocol::Init;
use crate::media::window::Segment;

/// Where a segment's bytes are.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    pub reel_id: String,
    /// Bytes from the reel's beginning.
    pub offset: u64,
    pub length: u64,
    pub crc32c: u32,
}

/// What is kept of a reel to which nothing is added any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    pub reel_id: String,
    pub length: u64,
    /// BLAKE3 of the whole file.
    pub blake3: [u8; 32],
}

/// One row of the index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedSegment {
    pub segment: Segment,
    pub location: Location,
}

pub fn insert_init(connection: &Connection, broadcast_id: &str, rendition: u8, number: u32, init: &Init) -> Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO inits (broadcast_id, rendition, number, bytes, codecs, width, height, frame_rate_milli, has_audio,
             part_target)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            broadcast_id,
            rendition,
            number,
            &init.bytes[..],
            init.codecs,
            init.width,
            init.height,
            init.frame_rate_milli,
            init.has_audio,
            init.part_target,
        ],
    )?;
    Ok(())
}

pub fn init(connection: &Connection, broadcast_id: &str, rendition: u8, number: u32) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM inits WHERE broadcast_id = ?1 AND rendition = ?2 AND number = ?3";
    connection.prepare_cached(sql)?.query_row(params![broadcast_id, rendition, number], |row| row.get(0)).optional()
}

pub fn inits(connection: &Connection, broadcast_id: &str, rendition: u8) -> Result<Vec<Init>> {
    let mut statement = connection.prepare_cached(
        "SELECT bytes, codecs, width, height, frame_rate_milli, has_audio, part_target FROM inits
         WHERE broadcast_id = ?1 AND rendition = ?2 ORDER BY number",
    )?;
    let rows = statement.query_map(params![broadcast_id, rendition], |row| {
        Ok(Init {
            rendition,
            bytes: row.get::<_, Vec<u8>>(0)?.into(),
            codecs: row.get(1)?,
            width: row.get(2)?,
            height: row.get(3)?,
            frame_rate_milli: row.get(4)?,
            has_audio: row.get(5)?,
            part_target: row.get(6)?,
        })
    })?;
    rows.collect()
}

pub fn insert_reel(
    connection: &Connection,
    id: &str,
    broadcast_id: &str,
    rendition: u8,
    created_at: i64,
) -> Result<()> {
    connection.execute(
        "INSERT OR IGNORE INTO reels (id, broadcast_id, rendition, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![id, broadcast_id, rendition, created_at],
    )?;
    Ok(())
}

/// What is there already stays, but for the beginning of a segment, which gives way to the whole of it.
pub fn insert_segment(connection: &Connection, broadcast_id: &str, rendition: u8, row: &IndexedSegment) -> Result<()> {
    let IndexedSegment { segment, location } = row;
    let mut statement = connection.prepare_cached(
        "INSERT INTO segments (broadcast_id, rendition, msn, reel_id, offset, length, start, duration, init, discontinuity,
             independent, crc32c, cut, resumed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT DO UPDATE SET reel_id = excluded.reel_id, offset = excluded.offset, length = excluded.length,
             start = excluded.start, duration = excluded.duration, init = excluded.init, discontinuity = excluded.discontinuity,
             independent = excluded.independent, crc32c = excluded.crc32c, cut = excluded.cut, resumed = excluded.resumed
             WHERE segments.cut = 1 AND excluded.cut = 0",
    )?;
    statement.execute(params![
        broadcast_id,
        rendition,
        segment.msn,
        location.reel_id,
        location.offset,
        location.length,
        segment.start,
        segment.duration,
        segment.init,
        segment.discontinuity,
        segment.independent,
        location.crc32c,
        segment.cut,
        segment.resumed,
    ])?;
    Ok(())
}

const SEGMENT_COLUMNS: &str =
    "msn, reel_id, offset, length, start, duration, init, discontinuity, independent, crc32c, cut, resumed";

fn from_row(row: &Row<'_>) -> Result<IndexedSegment> {
    Ok(IndexedSegment {
        segment: Segment {
            msn: row.get(0)?,
            start: row.get(4)?,
            duration: row.get(5)?,
            init: row.get(6)?,
            discontinuity: row.get(7)?,
            independent: row.get(8)?,
            cut: row.get(10)?,
            gap: false,
            piece: None,
            resumed: row.get(11)?,
        },
        location: Location { reel_id: row.get(1)?, offset: row.get(2)?, length: row.get(3)?, crc32c: row.get(9)? },
    })
}

/// What was last noted of a broadcast on air.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnAir {
    /// When that was, ticks on the broadcast's own timeline.
    pub at: u64,
    /// Players had been told of no later segment.
    pub next_msn: u64,
    /// EXT-X-DISCONTINUITY tags so far.
    pub discontinuities: u64,
}

pub fn set_on_air(connection: &Connection, broadcast_id: &str, noted: &OnAir) -> Result<()> {
    // One that is over stays over.
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO on_air (broadcast_id, at, next_msn, discontinuities)
         SELECT id, ?2, ?3, ?4 FROM broadcasts WHERE id = ?1 AND state IN ('starting', 'live')",
    )?;
    statement.execute(params![broadcast_id, noted.at, noted.next_msn, noted.discontinuities])?;
    Ok(())
}

pub fn on_air(connection: &Connection, broadcast_id: &str) -> Result<Option<OnAir>> {
    let sql = "SELECT at, next_msn, discontinuities FROM on_air WHERE broadcast_id = ?1";
    let noted = |row: &Row<'_>| Ok(OnAir { at: row.get(0)?, next_msn: row.get(1)?, discontinuities: row.get(2)? });
    connection.prepare_cached(sql)?.query_row([broadcast_id], noted).optional()
}

/// The renditions of which anything is indexed or an init is known, best first.
pub fn known_renditions(connection: &Connection, broadcast_id: &str) -> Result<Vec<u8>> {
    let sql = "SELECT rendition FROM inits WHERE broadcast_id = ?1 UNION
         SELECT rendition FROM segments WHERE broadcast_id = ?1 ORDER BY rendition";
    connection.prepare_cached(sql)?.query_map([broadcast_id], |row| row.get(0))?.collect()
}

/// The renditions of which anything is indexed, best first; but for those that are still being made of another.
pub fn renditions(connection: &Connection, broadcast_id: &str) -> Result<Vec<u8>> {
    let sql = "SELECT DISTINCT rendition FROM segments WHERE broadcast_id = ?1 AND (rendition = 0
         OR NOT EXISTS (SELECT 1 FROM ladders WHERE broadcast_id = ?1 AND state <> 'done')) ORDER BY rendition";
    connection.prepare_cached(sql)?.query_map([broadcast_id], |row| row.get(0))?.collect()
}

/// The rendition of which there is most; the best of those that are alike.
pub fn fullest(connection: &Connection, broadcast_id: &str) -> Result<u8> {
    let sql = "SELECT rendition FROM segments WHERE broadcast_id = ?1 GROUP BY rendition
         ORDER BY sum(duration) DESC, rendition LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([broadcast_id], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Where a broadcast's media begins and ends, ticks; none where nothing is indexed.
pub fn span(connection: &Connection, broadcast_id: &str) -> Result<Option<(u64, u64)>> {
    let sql = "SELECT min(start), max(start + duration) FROM segments WHERE broadcast_id = ?1 HAVING count(*) > 0";
    connection.prepare_cached(sql)?.query_row([broadcast_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// All segments of a rendition, in order.
pub fn segments(connection: &Connection, broadcast_id: &str, rendition: u8) -> Result<Vec<IndexedSegment>> {
    let sql = format!("SELECT {SEGMENT_COLUMNS} FROM segments WHERE broadcast_id = ?1 AND rendition = ?2 ORDER BY msn");
    connection.prepare_cached(&sql)?.query_map(params![broadcast_id, rendition], from_row)?.collect()
}

pub fn segment(connection: &Connection, broadcast_id: &str, rendition: u8, msn: u64) -> Result<Option<IndexedSegment>> {
    let sql = format!("SELECT {SEGMENT_COLUMNS} FROM segments WHERE broadcast_id = ?1 AND rendition = ?2 AND msn = ?3");
    connection.prepare_cached(&sql)?.query_row(params![broadcast_id, rendition, msn], from_row).optional()
}

/// Nothing is added to the reel any more.
pub fn close_reel(connection: &Connection, closed: &Closed) -> Result<()> {
    connection.execute(
        "UPDATE reels SET length = ?2, blake3 = ?3 WHERE id = ?1",
        params![closed.reel_id, closed.length, &closed.blake3[..]],
    )?;
    Ok(())
}

/// The hash of a reel that a start has closed.
pub fn set_hash(connection: &Connection, id: &str, blake3: &[u8; 32]) -> Result<()> {
    connection.execute("UPDATE reels SET blake3 = ?2 WHERE id = ?1", params![id, &blake3[..]])?;
    Ok(())
}

/// The reel is not what was written. Whether that is news.
pub fn set_damaged(connection: &Connection, id: &str) -> Result<bool> {
    Ok(connection.execute("UPDATE reels SET damaged = 1 WHERE id = ?1 AND damaged = 0", [id])? > 0)
}

/// Takes segments out of the index of which only the beginning was recorded: they are recorded again.
pub fn take_back_cut(connection: &Connection, broadcast_id: &str) -> Result<()> {
    connection.execute("DELETE FROM segments WHERE broadcast_id = ?1 AND cut = 1", [broadcast_id])?;
    Ok(())
}

/// Reels that are not what was written.
pub fn damaged(connection: &Connection) -> Result<u64> {
    connection.query_row("SELECT count(*) FROM reels WHERE damaged = 1 AND garbage = 0", [], |row| row.get(0))
}

/// A reel that was not closed, and where its indexed part ends.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenReel {
    pub id: String,
    pub broadcast_id: String,
    pub end: u64,
}

/// Reels that were being written when the program ended.
pub fn open_reels(connection: &Connection) -> Result<Vec<OpenReel>> {
    let mut statement = connection.prepare(
        "SELECT id, broadcast_id, (SELECT coalesce(max(offset + length), 0) FROM segments
             WHERE segments.broadcast_id = reels.broadcast_id AND reel_id = reels.id)
         FROM reels WHERE length IS NULL AND garbage = 0",
    )?;
    let reel = |row: &Row<'_>| Ok(OpenReel { id: row.get(0)?, broadcast_id: row.get(1)?, end: row.get(2)? });
    statement.query_map([], reel)?.collect()
}

/// One reel's row.
#[derive(Debug, Clone, PartialEq)]
pub struct Reel {
    pub id: String,
    pub broadcast_id: String,
    /// Bytes, once it is closed.
    pub length: Option<u64>,
    pub blake3: Option<[u8; 32]>,
    /// Its file must go.
    pub garbage: bool,
}

pub fn reels(connection: &Connection) -> Result<Vec<Reel>> {
    let mut statement =
        connection.prepare("SELECT id, broadcast_id, length, blake3, garbage FROM reels ORDER BY rowid")?;
    let reel = |row: &Row<'_>| {
        let (id, broadcast_id, length) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Reel { id, broadcast_id, length, blake3: row.get(3)?, garbage: row.get(4)? })
    };
    statement.query_map([], reel)?.collect()
}

/// Where the indexed part of each reel ends, bytes.
pub fn ends(connection: &Connection) -> Result<std::collections::HashMap<String, u64>> {
    let mut statement = connection.prepare("SELECT reel_id, max(offset + length) FROM segments GROUP BY reel_id")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Whether a reel has a row and is not to be deleted.
pub fn is_kept(connection: &Connection, id: &str) -> Result<bool> {
    connection.prepare_cached("SELECT 1 FROM reels WHERE id = ?1 AND garbage = 0")?.exists([id])
}

/// Whether a reel's file must go.
pub fn is_garbage(connection: &Connection, id: &str) -> Result<bool> {
    connection.prepare_cached("SELECT 1 FROM reels WHERE id = ?1 AND garbage = 1")?.exists([id])
}

/// The segments in one reel, in order.
pub fn segments_of_reel(connection: &Connection, broadcast_id: &str, reel_id: &str) -> Result<Vec<IndexedSegment>> {
    let sql = format!(
        "SELECT {SEGMENT_COLUMNS} FROM segments WHERE broadcast_id = ?1 AND reel_id = ?2 ORDER BY rendition, msn"
    );
    connection.prepare_cached(&sql)?.query_map([broadcast_id, reel_id], from_row)?.collect()
}

/// First step of making the index again: only what must be deleted stays known.
pub fn forget_index(connection: &Connection) -> Result<()> {
    connection.execute_batch("DELETE FROM segments; DELETE FROM inits; DELETE FROM reels WHERE garbage = 0")
}

/// Ids of all reels that have a row.
pub fn reel_ids(connection: &Connection) -> Result<std::collections::HashSet<String>> {
    connection.prepare("SELECT id FROM reels")?.query_map([], |row| row.get(0))?.collect()
}

/// Nothing is added to the reel any more, and its hash is still to be taken.
pub fn set_reel_length(connection: &Connection, id: &str, length: u64) -> Result<()> {
    connection.execute("UPDATE reels SET length = ?2 WHERE id = ?1", params![id, length])?;
    Ok(())
}

/// A break in a rendition's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Ticks of media before it.
    pub position: u64,
    /// Ticks that are missing there.
    pub missing: u64,
}

/// The breaks of a rendition, in order: where a segment does not begin when the one before it ends, or is marked so.
pub fn gaps(connection: &Connection, broadcast_id: &str, rendition: u8) -> Result<Vec<Gap>> {
    let mut statement = connection.prepare_cached(
        "SELECT start - before, position FROM (
             SELECT start, discontinuity, lag(start + duration) OVER (ORDER BY msn) AS before,
                 sum(duration) OVER (ORDER BY msn) - duration AS position
             FROM segments WHERE broadcast_id = ?1 AND rendition = ?2 ORDER BY msn)
         WHERE before IS NOT NULL AND (discontinuity = 1 OR start - before > 9000)",
    )?;
    let gap = |row: &Row<'_>| Ok(Gap { missing: row.get::<_, i64>(0)?.max(0) as u64, position: row.get(1)? });
    statement.query_map(params![broadcast_id, rendition], gap)?.collect()
}

/// First step of deletion, in the transaction that deletes the broadcast: its reels are marked.
pub fn mark_garbage(connection: &Connection, broadcast_id: &str) -> Result<()> {
    connection.execute("DELETE FROM segments WHERE broadcast_id = ?1", [broadcast_id])?;
    connection.execute("UPDATE reels SET garbage = 1 WHERE broadcast_id = ?1", [broadcast_id])?;
    Ok(())
}

/// Reels whose files must go.
pub fn garbage(connection: &Connection) -> Result<Vec<String>> {
    connection.prepare("SELECT id FROM reels WHERE garbage = 1")?.query_map([], |row| row.get(0))?.collect()
}

/// Last step of deletion: the files are gone, so the rows may go.
pub fn drop_garbage(connection: &Connection, reels: &[String]) -> Result<()> {
    for reel in reels {
        connection.execute("DELETE FROM reels WHERE id = ?1 AND garbage = 1", [reel])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(msn: u64, start: u64, discontinuity: bool) -> IndexedSegment {
        let segment = Segment {
            msn,
            start,
            duration: 180_000,
            init: 0,
            discontinuity,
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
    fn gaps_are_found_by_time_and_by_mark() {
        let connection = crate::store::testing::memory();
        let insert = "INSERT INTO broadcasts (id, title, audience, state, source, source_kind, created_at)
            VALUES ('b', 't', 'public', 'ended', 'test', 'test', 0)";
        connection.execute(insert, []).unwrap();
        insert_reel(&connection, "r", "b", 0, 0).unwrap();
        // A break after the first, then a hole where segments 3 and 4 were never written.
        for row in
            [segment(0, 0, false), segment(1, 270_000, true), segment(2, 450_000, false), segment(5, 990_000, false)]
        {
            insert_segment(&connection, "b", 0, &row).unwrap();
            insert_segment(&connection, "b", 0, &row).unwrap();
        }
        let found = gaps(&connection, "b", 0).unwrap();
        let expected = [Gap { position: 180_000, missing: 90_000 }, Gap { position: 540_000, missing: 360_000 }];
        assert_eq!(found, expected);
        assert_eq!(segments(&connection, "b", 0).unwrap().len(), 4, "a row that is written twice is there once");
        let mut beginning = segment(6, 1_170_000, false);
        (beginning.segment.cut, beginning.segment.duration) = (true, 90_000);
        for (row, duration) in [(&beginning, 90_000), (&segment(6, 1_170_000, false), 180_000), (&beginning, 180_000)] {
            insert_segment(&connection, "b", 0, row).unwrap();
            let last = segments(&connection, "b", 0).unwrap().pop().unwrap();
            assert_eq!((last.segment.duration, last.segment.cut), (duration, duration == 90_000));
        }
    }
}

//! The tables of edits: which stretches of a recording are kept, the segments at their edges, and its chapters. What belongs to
//! a broadcast goes with it.

use rusqlite::{Connection, Result, Row, params};

use crate::media::edit::{Chapter, Edit, Kept, KeptParts, Parts};

/// In SQL, of a cue `q` of captions `c`: something of it is shown.
pub(super) const CUE_IS_SHOWN: &str = "(NOT EXISTS (SELECT 1 FROM kept k WHERE k.broadcast_id = c.broadcast_id)
    OR EXISTS (SELECT 1 FROM kept k WHERE k.broadcast_id = c.broadcast_id AND q.end_ms > k.from_ms AND q.start_ms < k.to_ms))";

/// The stretches that are kept, in order; none: all of it.
pub fn kept(connection: &Connection, broadcast_id: &str) -> Result<Vec<Kept>> {
    let mut statement = connection.prepare_cached(
        "SELECT start, \"end\", from_ms, to_ms, at_ms FROM kept WHERE broadcast_id = ?1 ORDER BY ordinal",
    )?;
    let kept = |row: &Row<'_>| {
        let (start, end, from_ms) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Kept { start, end, from_ms, to_ms: row.get(3)?, at_ms: row.get(4)? })
    };
    statement.query_map([broadcast_id], kept)?.collect()
}

pub fn get(connection: &Connection, broadcast_id: &str) -> Result<Edit> {
    let mut statement = connection.prepare_cached(
        "SELECT rendition, msn, first, last, offset, length, start, duration, independent FROM kept_parts
         WHERE broadcast_id = ?1 ORDER BY rendition, msn, first",
    )?;
    let parts = |row: &Row<'_>| {
        Ok(KeptParts {
            rendition: row.get(0)?,
            msn: row.get(1)?,
            parts: Parts { first: row.get(2)?, last: row.get(3)? },
            offset: row.get(4)?,
            length: row.get(5)?,
            start: row.get(6)?,
            duration: row.get(7)?,
            independent: row.get(8)?,
        })
    };
    let parts = statement.query_map([broadcast_id], parts)?.collect::<Result<_>>()?;
    Ok(Edit { kept: kept(connection, broadcast_id)?, parts })
}

/// Puts an edit in the place of the one before. `shown` is how much is left, ticks of media; it counts where not all is kept.
pub fn put(connection: &Connection, broadcast_id: &str, edit: &Edit, shown: u64) -> Result<()> {
    connection.execute("DELETE FROM kept WHERE broadcast_id = ?1", [broadcast_id])?;
    let edited = (!edit.kept.is_empty()).then_some(shown);
    connection.execute("UPDATE broadcasts SET edited = ?2 WHERE id = ?1", params![broadcast_id, edited])?;
    let mut insert = connection.prepare_cached("INSERT INTO kept VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    for (ordinal, kept) in edit.kept.iter().enumerate() {
        let Kept { start, end, from_ms, to_ms, at_ms } = kept;
        insert.execute(params![broadcast_id, ordinal, start, end, from_ms, to_ms, at_ms])?;
    }
    put_parts(connection, broadcast_id, &edit.parts)
}

/// Puts what is kept of the segments at the edges in the place of what was known of them.
pub fn put_parts(connection: &Connection, broadcast_id: &str, parts: &[KeptParts]) -> Result<()> {
    connection.execute("DELETE FROM kept_parts WHERE broadcast_id = ?1", [broadcast_id])?;
    let mut insert =
        connection.prepare_cached("INSERT INTO kept_parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    for one in parts {
        let Parts { first, last } = one.parts;
        insert.execute(params![
            broadcast_id,
            one.rendition,
            one.msn,
            first,
            last,
            one.offset,
            one.length,
            one.start,
            one.duration,
            one.independent,
        ])?;
    }
    Ok(())
}

/// Somebody chose this picture, `at_ms` of all that was recorded.
pub fn choose_thumbnail(connection: &Connection, broadcast_id: &str, jpeg: &[u8], at_ms: u64) -> Result<()> {
    let sql = "UPDATE broadcasts SET thumbnail = ?2, picture_ms = ?3 WHERE id = ?1";
    connection.execute(sql, params![broadcast_id, jpeg, at_ms])?;
    Ok(())
}

/// Drops the pictures that may be of what is not shown any more: another sprite is made, and another thumbnail where nobody chose
/// the one that there is.
pub fn drop_pictures(connection: &Connection, broadcast_id: &str) -> Result<()> {
    connection.execute("DELETE FROM sprites WHERE broadcast_id = ?1", [broadcast_id])?;
    let sql = "UPDATE broadcasts SET thumbnail = NULL WHERE id = ?1 AND picture_ms IS NULL";
    connection.execute(sql, [broadcast_id])?;
    Ok(())
}

/// In the order of their times.
pub fn chapters(connection: &Connection, broadcast_id: &str) -> Result<Vec<Chapter>> {
    let sql = "SELECT at_ms, title FROM chapters WHERE broadcast_id = ?1 ORDER BY at_ms";
    let chapter = |row: &Row<'_>| Ok(Chapter { at_ms: row.get(0)?, title: row.get(1)? });
    connection.prepare_cached(sql)?.query_map([broadcast_id], chapter)?.collect()
}

/// Puts chapters in the place of those before; their times differ.
pub fn put_chapters(connection: &Connection, broadcast_id: &str, chapters: &[Chapter]) -> Result<()> {
    connection.execute("DELETE FROM chapters WHERE broadcast_id = ?1", [broadcast_id])?;
    let mut insert = connection.prepare_cached("INSERT INTO chapters VALUES (?1, ?2, ?3)")?;
    for chapter in chapters {
        insert.execute(params![broadcast_id, chapter.at_ms, chapter.title])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::permission::Audience;
    use crate::media::captions::Cue;
    use crate::store::broadcasts::{self, Broadcast, Filter};
    use crate::store::{captions, testing};

    fn kept_ms(from_ms: u64, to_ms: u64, at_ms: u64) -> Kept {
        Kept { start: from_ms * 90, end: to_ms * 90, from_ms, to_ms, at_ms }
    }

    #[test]
    fn an_edit_is_kept_as_it_is_and_goes_with_its_broadcast() {
        let connection = testing::memory();
        broadcasts::insert(&connection, &Broadcast::bare("b", "Kelas ibu", 0)).unwrap();
        let one = KeptParts {
            rendition: 1,
            msn: 7,
            parts: Parts { first: 2, last: 9 },
            offset: 11,
            length: 12,
            start: 13,
            duration: 14,
            independent: true,
        };
        let edit = Edit { kept: vec![kept_ms(1000, 2000, 0), kept_ms(5000, 6000, 1000)], parts: vec![one] };
        put(&connection, "b", &edit, 180_000).unwrap();
        assert_eq!(get(&connection, "b").unwrap(), edit);
        let row = broadcasts::get(&connection, "b").unwrap().unwrap();
        assert_eq!((row.edited, row.duration), (true, 180_000));
        let chapters_are = [Chapter { at_ms: 5, title: "Dua".into() }, Chapter { at_ms: 1, title: "Satu".into() }];
        put_chapters(&connection, "b", &chapters_are).unwrap();
        assert_eq!(chapters(&connection, "b").unwrap(), [chapters_are[1].clone(), chapters_are[0].clone()]);
        put(&connection, "b", &Edit::default(), 5).unwrap();
        let row = broadcasts::get(&connection, "b").unwrap().unwrap();
        assert_eq!((get(&connection, "b").unwrap(), row.edited, row.duration), (Edit::default(), false, 0));
        put(&connection, "b", &edit, 180_000).unwrap();
        broadcasts::delete(&connection, "b").unwrap();
        assert_eq!(get(&connection, "b").unwrap(), Edit::default());
        assert!(chapters(&connection, "b").unwrap().is_empty());
    }

    #[test]
    fn the_search_finds_only_what_is_shown_where_it_is_shown() {
        let connection = testing::memory();
        broadcasts::insert(&connection, &Broadcast::bare("b", "Kelas ibu", 0)).unwrap();
        let cue = |start_ms: u64, text: &str| Cue { start_ms, end_ms: start_ms + 1000, text: text.to_owned() };
        let cues = [cue(0, "awal"), cue(4500, "air"), cue(9000, "air akhir")];
        captions::put(&connection, "b", "id", &cues, 1).unwrap();
        let found = |search: &str| {
            let filter = Filter { search: search.into(), heard: Audience::ALL.to_vec(), limit: 9, ..Filter::default() };
            let listed = broadcasts::list(&connection, &filter).unwrap().len();
            let hits = captions::hits(&connection, &["b".to_owned()], search, "id").unwrap();
            assert_eq!(listed, hits.len(), "{search}");
            hits.get("b").map(|hit| hit.start_ms)
        };
        assert_eq!([found("awal"), found("air"), found("akhir")], [Some(0), Some(4500), Some(9000)]);
        let edit = Edit { kept: vec![kept_ms(5000, 6000, 0), kept_ms(8500, 9500, 1000)], parts: Vec::new() };
        put(&connection, "b", &edit, 1).unwrap();
        assert_eq!([found("awal"), found("air"), found("akhir")], [None, Some(0), Some(1500)]);
    }
}

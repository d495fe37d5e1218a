//! The tables of captions: a track for each language of a broadcast, its cues, and the search of what they say. What belongs to a
//! broadcast goes with it.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::broadcasts::match_expression;
use super::edits::CUE_IS_SHOWN;
use crate::media::captions::Cue;
use crate::media::edit::MOST_KEPT;

/// What there is in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// BCP 47.
    pub language: String,
    pub cues: u64,
    /// Milliseconds since 1970.
    pub changed_at: i64,
}

/// A broadcast's tracks in the order of their languages.
pub fn tracks(connection: &Connection, broadcast_id: &str) -> Result<Vec<Track>> {
    let mut statement = connection.prepare_cached(
        "SELECT language, (SELECT count(*) FROM cues WHERE captions_id = captions.id), changed_at FROM captions
         WHERE broadcast_id = ?1 ORDER BY language",
    )?;
    let track =
        |row: &rusqlite::Row<'_>| Ok(Track { language: row.get(0)?, cues: row.get(1)?, changed_at: row.get(2)? });
    statement.query_map([broadcast_id], track)?.collect()
}

/// Puts a track in the place of what there was in its language. `changed_at` in milliseconds since 1970.
pub fn put(connection: &Connection, broadcast_id: &str, language: &str, cues: &[Cue], changed_at: i64) -> Result<()> {
    delete(connection, broadcast_id, language)?;
    let sql = "INSERT INTO captions (broadcast_id, language, changed_at) VALUES (?1, ?2, ?3)";
    connection.execute(sql, params![broadcast_id, language, changed_at])?;
    let id = connection.last_insert_rowid();
    let mut insert =
        connection.prepare_cached("INSERT INTO cues (captions_id, start_ms, end_ms, text) VALUES (?1, ?2, ?3, ?4)")?;
    for cue in cues {
        insert.execute(params![id, cue.start_ms, cue.end_ms, cue.text])?;
    }
    Ok(())
}

/// Whether there was such a track.
pub fn delete(connection: &Connection, broadcast_id: &str, language: &str) -> Result<bool> {
    let sql = "DELETE FROM captions WHERE broadcast_id = ?1 AND language = ?2";
    Ok(connection.execute(sql, [broadcast_id, language])? > 0)
}

/// A track's cues in their order; none for a track that is not there.
pub fn cues(connection: &Connection, broadcast_id: &str, language: &str) -> Result<Option<Vec<Cue>>> {
    let sql = "SELECT id FROM captions WHERE broadcast_id = ?1 AND language = ?2";
    let id: Option<i64> = connection.query_row(sql, [broadcast_id, language], |row| row.get(0)).optional()?;
    let Some(id) = id else { return Ok(None) };
    let mut statement = connection
        .prepare_cached("SELECT start_ms, end_ms, text FROM cues WHERE captions_id = ?1 ORDER BY start_ms, id")?;
    let cue = |row: &rusqlite::Row<'_>| Ok(Cue { start_ms: row.get(0)?, end_ms: row.get(1)?, text: row.get(2)? });
    statement.query_map([id], cue)?.collect::<Result<_>>().map(Some)
}

/// Where something is said that was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Milliseconds since the beginning of what is shown.
    pub start_ms: u64,
    pub text: String,
}

/// Sorts another language behind every time that a cue may have.
const ANOTHER_LANGUAGE: i64 = 1 << 40;

/// The first cue of each of these broadcasts that has all words that people typed, in `language` if there is one.
pub fn hits(
    connection: &Connection,
    broadcast_ids: &[String],
    search: &str,
    language: &str,
) -> Result<HashMap<String, Hit>> {
    let words = match_expression(search);
    if words.is_empty() || broadcast_ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Of a group with one min(), SQLite gives the other columns of the row that has it (lang_select, 2.5).
    let sql = format!(
        "SELECT c.broadcast_id, coalesce(k.at_ms + max(q.start_ms - k.from_ms, 0), q.start_ms), q.text,
             min((q.start_ms + (c.language <> ?3) * ?4) * {MOST_KEPT} + coalesce(k.ordinal, 0))
         FROM cue_search s JOIN cues q ON q.id = s.rowid JOIN captions c ON c.id = q.captions_id
         LEFT JOIN kept k ON k.broadcast_id = c.broadcast_id AND q.end_ms > k.from_ms AND q.start_ms < k.to_ms
         WHERE s.text MATCH ?1 AND c.broadcast_id IN (SELECT value FROM json_each(?2)) AND {CUE_IS_SHOWN}
         GROUP BY c.broadcast_id"
    );
    let ids = format!("[{}]", broadcast_ids.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(","));
    let mut statement = connection.prepare_cached(&sql)?;
    let hit = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Hit { start_ms: row.get(1)?, text: row.get(2)? }));
    statement.query_map(params![words, ids, language, ANOTHER_LANGUAGE], hit)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::permission::Audience;
    use crate::store::broadcasts::{self, Broadcast, Filter};
    use crate::store::testing;

    fn cue(start_ms: u64, text: &str) -> Cue {
        Cue { start_ms, end_ms: start_ms + 1000, text: text.to_owned() }
    }

    fn with_two(connection: &Connection) {
        for (id, audience) in [("a", Audience::Public), ("b", Audience::Pin)] {
            let broadcast = Broadcast { audience, ..Broadcast::bare(id, "Kelas ibu", 0) };
            broadcasts::insert(connection, &broadcast).unwrap();
        }
        put(connection, "a", "id", &[cue(5000, "Minum air putih"), cue(9000, "air hangat")], 1).unwrap();
        put(connection, "a", "en", &[cue(1000, "air of calm"), cue(2000, "drink water")], 2).unwrap();
        put(connection, "b", "id", &[cue(0, "air ketuban")], 3).unwrap();
    }

    #[test]
    fn a_track_is_replaced_as_a_whole() {
        let connection = testing::memory();
        with_two(&connection);
        put(&connection, "a", "id", &[cue(1, "baru")], 9).unwrap();
        assert_eq!(cues(&connection, "a", "id").unwrap(), Some(vec![cue(1, "baru")]));
        let tracks = tracks(&connection, "a").unwrap();
        let track = |language: &str, cues, changed_at| Track { language: language.to_owned(), cues, changed_at };
        assert_eq!(tracks, [track("en", 2, 2), track("id", 1, 9)]);
        assert_eq!(cues(&connection, "a", "jv").unwrap(), None);
        assert!(hits(&connection, &["a".to_owned()], "putih", "id").unwrap().is_empty(), "the old words are gone");
    }

    #[test]
    fn what_is_said_is_found_where_it_may_be_heard() {
        let connection = testing::memory();
        with_two(&connection);
        let list = |search: &str, heard: &[Audience]| -> Vec<String> {
            let filter = Filter { search: search.to_owned(), heard: heard.to_vec(), limit: 9, ..Filter::default() };
            broadcasts::list(&connection, &filter).unwrap().into_iter().map(|row| row.id).collect()
        };
        assert_eq!(list("air", &[Audience::Public]), ["a"]);
        assert_eq!(list("air", &[Audience::Public, Audience::Pin]), ["b", "a"]);
        assert_eq!(list("air", &[]), [""; 0]);
        assert_eq!(list("kelas", &[]), ["b", "a"]);
        assert_eq!(list("hangat putih", &Audience::ALL), [""; 0], "all words in one cue");
        let ids = ["a".to_owned(), "b".to_owned()];
        let first = |language| hits(&connection, &ids, "air", language).unwrap().remove("a").unwrap();
        assert_eq!(first("id"), Hit { start_ms: 5000, text: "Minum air putih".into() });
        assert_eq!(first("en"), Hit { start_ms: 1000, text: "air of calm".into() });
        assert_eq!(first("jv").start_ms, 1000, "another language is better than none");
    }

    #[test]
    fn deletion_leaves_nothing() {
        let connection = testing::memory();
        with_two(&connection);
        assert!(delete(&connection, "a", "en").unwrap() && !delete(&connection, "a", "en").unwrap());
        broadcasts::delete(&connection, "a").unwrap();
        broadcasts::delete(&connection, "b").unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM captions"), 0);
        assert_eq!(count("SELECT count(*) FROM cues"), 0);
        // Of an index over another table's rows, only a search tells what is left in it.
        assert_eq!(
            count("SELECT count(*) FROM cue_search WHERE cue_search MATCH '\"air\"* OR \"minum\" OR \"water\"'"),
            0
        );
        connection.execute("INSERT INTO cue_search (cue_search) VALUES ('integrity-check')", []).unwrap();
    }
}

//! The table of broadcasts: events from scheduled to recording, their texts, and the library's search.

use rusqlite::{Connection, OptionalExtension, Result, Row, params, params_from_iter};

use super::edits;
use crate::accounts::permission::Audience;
use crate::base::terms::{BroadcastState, Content, SourceKind};

/// One row, all but the thumbnail.
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    pub id: String,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub audience: Audience,
    pub pin: Option<String>,
    pub state: BroadcastState,
    pub failure: Option<String>,
    pub source: String,
    pub source_kind: SourceKind,
    pub account_id: Option<String>,
    pub stream_key_id: Option<String>,
    /// Milliseconds since 1970, as all `_at`.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// Wall clock of tick 0, microseconds since 1970.
    pub epoch_us: i64,
    /// The boot in which it was last on air, see `clock::boot`.
    pub boot_id: Option<String>,
    /// `CLOCK_MONOTONIC` of that boot at tick 0, nanoseconds; negative when the broadcast began in an earlier boot.
    pub base_ns: i64,
    /// Source id of the microphone that was chosen; none for the camera's own.
    pub microphone: Option<String>,
    /// How its picture is encoded, unless it is passed through.
    pub content: Content,
    /// 90 kHz ticks of media, of an edited recording those that are shown; final once ended.
    pub duration: u64,
    /// Not all of it is shown.
    pub edited: bool,
    pub gaps: u64,
    /// Bytes of media; final once ended.
    pub size: u64,
    pub hidden: bool,
    pub trashed_at: Option<i64>,
    pub has_thumbnail: bool,
    /// There are captions in some language.
    pub captioned: bool,
    /// Never deleted by siaran itself.
    pub pinned: bool,
    /// There was room to record it.
    pub recorded: bool,
    /// From when its age counts, in the library or in the trash; none until the clock can be trusted.
    pub aged_from: Option<i64>,
}

impl Broadcast {
    /// It is being made of a file.
    pub fn is_read_in(&self) -> bool {
        self.source_kind == SourceKind::File && self.state == BroadcastState::Scheduled
    }

    /// A recording of which nothing else is known. For staff alone: those who might watch it may have been few.
    pub fn bare(id: &str, title: &str, epoch_us: i64) -> Broadcast {
        Broadcast {
            id: id.to_owned(),
            title: title.to_owned(),
            description: String::new(),
            tags: Vec::new(),
            audience: Audience::Staff,
            pin: None,
            state: BroadcastState::Ended,
            failure: None,
            source: String::from("test"),
            source_kind: SourceKind::Test,
            account_id: None,
            stream_key_id: None,
            created_at: epoch_us / 1000,
            started_at: None,
            ended_at: None,
            epoch_us,
            boot_id: None,
            base_ns: 0,
            microphone: None,
            content: Content::Talk,
            duration: 0,
            edited: false,
            gaps: 0,
            size: 0,
            hidden: false,
            trashed_at: None,
            has_thumbnail: false,
            captioned: false,
            pinned: false,
            recorded: true,
            aged_from: None,
        }
    }
}

const COLUMNS: &str = "b.id, b.title, b.description, b.tags, b.audience, b.pin, b.state, b.failure, b.source, b.source_kind, \
    b.account_id, b.stream_key_id, b.created_at, b.started_at, b.ended_at, b.epoch_us, coalesce(b.edited, b.duration), b.gaps, b.size, \
    b.hidden, b.trashed_at, b.thumbnail IS NOT NULL, b.pinned, b.recorded, b.aged_from, b.boot_id, b.base_ns, b.microphone, \
    b.content, \
    EXISTS (SELECT 1 FROM captions t WHERE t.broadcast_id = b.id), b.edited IS NOT NULL";

fn from_row(row: &Row<'_>) -> Result<Broadcast> {
    let tags: String = row.get(3)?;
    Ok(Broadcast {
        id: row.get(0)?,
        title: row.get(1)?,
        description: row.get(2)?,
        tags: tags.lines().map(str::to_owned).collect(),
        audience: super::word(row, 4)?,
        pin: row.get(5)?,
        state: term(row, 6, BroadcastState::parse)?,
        failure: row.get(7)?,
        source: row.get(8)?,
        source_kind: term(row, 9, SourceKind::parse)?,
        account_id: row.get(10)?,
        stream_key_id: row.get(11)?,
        created_at: row.get(12)?,
        started_at: row.get(13)?,
        ended_at: row.get(14)?,
        epoch_us: row.get::<_, Option<i64>>(15)?.unwrap_or(0),
        duration: row.get(16)?,
        gaps: row.get(17)?,
        size: row.get(18)?,
        hidden: row.get(19)?,
        trashed_at: row.get(20)?,
        has_thumbnail: row.get(21)?,
        pinned: row.get(22)?,
        recorded: row.get(23)?,
        aged_from: row.get(24)?,
        boot_id: row.get(25)?,
        base_ns: row.get::<_, Option<i64>>(26)?.unwrap_or(0),
        microphone: row.get(27)?,
        content: term(row, 28, Content::parse)?,
        captioned: row.get(29)?,
        edited: row.get(30)?,
    })
}

/// A text column that holds one of our terms; the table's CHECK keeps others out.
fn term<T>(row: &Row<'_>, index: usize, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(index)?;
    parse(&text).ok_or(rusqlite::Error::InvalidQuery)
}

pub fn insert(connection: &Connection, broadcast: &Broadcast) -> Result<()> {
    connection.execute(
        "INSERT INTO broadcasts (id, title, description, tags, audience, pin, state, source, source_kind, account_id,
             stream_key_id, created_at, started_at, epoch_us, recorded, boot_id, base_ns, microphone, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        params![
            broadcast.id,
            broadcast.title,
            broadcast.description,
            broadcast.tags.join("\n"),
            broadcast.audience.as_str(),
            broadcast.pin,
            broadcast.state.as_str(),
            broadcast.source,
            broadcast.source_kind.as_str(),
            broadcast.account_id,
            broadcast.stream_key_id,
            broadcast.created_at,
            broadcast.started_at,
            broadcast.epoch_us,
            broadcast.recorded,
            broadcast.boot_id,
            broadcast.base_ns,
            broadcast.microphone,
            broadcast.content.as_str(),
        ],
    )?;
    Ok(())
}

pub fn get(connection: &Connection, id: &str) -> Result<Option<Broadcast>> {
    let sql = format!("SELECT {COLUMNS} FROM broadcasts b WHERE b.id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], from_row).optional()
}

/// What to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub states: Vec<BroadcastState>,
    /// Only these audiences; empty for all.
    pub audiences: Vec<Audience>,
    pub hidden_too: bool,
    /// Not those that went on air without being recorded.
    pub recorded_only: bool,
    /// Only what is in the trash; otherwise only what is not.
    pub trashed: bool,
    /// Words to search for, each as a prefix; empty for all.
    pub search: String,
    /// Audiences whose captions are searched, too.
    pub heard: Vec<Audience>,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only what comes after this id in the order.
    pub after: Option<String>,
    /// At most so many rows.
    pub limit: u32,
}

pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Broadcast>> {
    // What is still being read in is not there yet.
    let mut sql = format!(
        "SELECT {COLUMNS} FROM broadcasts b WHERE (b.trashed_at IS NOT NULL) = ?
         AND NOT EXISTS (SELECT 1 FROM imports i WHERE i.broadcast_id = b.id AND i.state = 'working')"
    );
    let mut values: Vec<rusqlite::types::Value> = vec![i64::from(filter.trashed).into()];
    if !filter.hidden_too {
        sql.push_str(" AND b.hidden = 0");
    }
    if filter.recorded_only {
        sql.push_str(" AND b.recorded = 1");
    }
    one_of(&mut sql, &mut values, "b.state", filter.states.iter().map(|state| state.as_str()));
    one_of(&mut sql, &mut values, "b.audience", filter.audiences.iter().map(|audience| audience.as_str()));
    if let Some(tag) = &filter.tag {
        sql.push_str(" AND instr(char(10) || b.tags || char(10), char(10) || ? || char(10)) > 0");
        values.push(tag.clone().into());
    }
    if !filter.search.trim().is_empty() {
        let words = match_expression(&filter.search);
        if words.is_empty() {
            // Nothing but punctuation, which is in no index.
            return Ok(Vec::new());
        }
        sql.push_str(" AND (b.rowid IN (SELECT rowid FROM library_search WHERE library_search MATCH ?)");
        values.push(words.clone().into());
        if !filter.heard.is_empty() {
            sql.push_str(
                " OR (b.id IN (SELECT c.broadcast_id FROM cue_search s JOIN cues q ON q.id = s.rowid
                     JOIN captions c ON c.id = q.captions_id WHERE s.text MATCH ? AND ",
            );
            sql.push_str(edits::CUE_IS_SHOWN);
            sql.push(')');
            values.push(words.into());
            one_of(&mut sql, &mut values, "b.audience", filter.heard.iter().map(|audience| audience.as_str()));
            sql.push(')');
        }
        sql.push(')');
    }
    if let Some(after) = &filter.after {
        sql.push_str(" AND (b.created_at, b.id) < (SELECT a.created_at, a.id FROM broadcasts a WHERE a.id = ?)");
        values.push(after.clone().into());
    }
    sql.push_str(" ORDER BY b.created_at DESC, b.id DESC LIMIT ?");
    values.push(i64::from(filter.limit).into());
    connection.prepare_cached(&sql)?.query_map(params_from_iter(values), from_row)?.collect()
}

fn one_of<'a>(
    sql: &mut String,
    values: &mut Vec<rusqlite::types::Value>,
    column: &str,
    terms: impl ExactSizeIterator<Item = &'a str>,
) {
    if terms.len() > 0 {
        let marks = vec!["?"; terms.len()].join(", ");
        sql.push_str(&format!(" AND {column} IN ({marks})"));
        values.extend(terms.map(|term| term.to_owned().into()));
    }
}

/// What people type as an FTS5 expression: each word quoted, so that no character of theirs is an operator, and a prefix.
pub(super) fn match_expression(search: &str) -> String {
    let words = search.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(16);
    words.map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" ")
}

/// Texts and settings that staff edit; none leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edit {
    pub title: Option<String>,
    pub description: Option<String>,
    pub tags: Option<Vec<String>>,
    pub audience: Option<Audience>,
    pub pin: Option<Option<String>>,
    pub hidden: Option<bool>,
    pub pinned: Option<bool>,
}

/// Whether the broadcast exists.
pub fn edit(connection: &Connection, id: &str, edit: &Edit) -> Result<bool> {
    let changed = connection.execute(
        "UPDATE broadcasts SET title = coalesce(?2, title), description = coalesce(?3, description),
             tags = coalesce(?4, tags), audience = coalesce(?5, audience), pin = iif(?6, ?7, pin),
             hidden = coalesce(?8, hidden), pinned = coalesce(?9, pinned) WHERE id = ?1",
        params![
            id,
            edit.title,
            edit.description,
            edit.tags.as_ref().map(|tags| tags.join("\n")),
            edit.audience.map(Audience::as_str),
            edit.pin.is_some(),
            edit.pin.as_ref().and_then(Option::as_ref),
            edit.hidden,
            edit.pinned,
        ],
    )?;
    Ok(changed > 0)
}

/// Tells that a broadcast has got on; one that is over stays over.
pub fn set_state(connection: &Connection, id: &str, state: BroadcastState) -> Result<()> {
    connection.execute(
        "UPDATE broadcasts SET state = ?2 WHERE id = ?1 AND state IN ('scheduled', 'starting', 'live')",
        params![id, state.as_str()],
    )?;
    Ok(())
}

/// How a broadcast came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub state: BroadcastState,
    pub failure: Option<String>,
    pub ended_at: i64,
    /// From when its age counts; none while the clock cannot be trusted.
    pub aged_from: Option<i64>,
}

/// Closes a broadcast; duration, gaps and size are summed from its segments.
pub fn finish(connection: &Connection, id: &str, outcome: &Outcome) -> Result<()> {
    connection.execute(
        "UPDATE broadcasts SET state = ?2, failure = ?3, ended_at = ?4, aged_from = ?5 WHERE id = ?1",
        params![id, outcome.state.as_str(), outcome.failure, outcome.ended_at, outcome.aged_from],
    )?;
    connection.execute("DELETE FROM on_air WHERE broadcast_id = ?1", [id])?;
    sum_up(connection, id)
}

/// Sums a broadcast's duration, gaps and size from its segments.
pub fn sum_up(connection: &Connection, id: &str) -> Result<()> {
    connection.execute(
        "UPDATE broadcasts SET
             duration = (SELECT coalesce(max(whole), 0) FROM
                 (SELECT sum(duration) AS whole FROM segments WHERE broadcast_id = ?1 GROUP BY rendition)),
             gaps = (SELECT coalesce(max(breaks), 0) FROM
                 (SELECT sum(discontinuity) AS breaks FROM segments WHERE broadcast_id = ?1 GROUP BY rendition)),
             size = (SELECT coalesce(sum(length), 0) FROM segments WHERE broadcast_id = ?1)
         WHERE id = ?1",
        [id],
    )?;
    Ok(())
}

/// Ids of broadcasts that were on air when the program last ended without closing them.
pub fn unfinished(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT id FROM broadcasts WHERE state IN ('starting', 'live')")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Ids of all broadcasts.
pub fn ids(connection: &Connection) -> Result<Vec<String>> {
    connection.prepare("SELECT id FROM broadcasts")?.query_map([], |row| row.get(0))?.collect()
}

/// Says when a broadcast began, milliseconds since 1970.
pub fn set_started(connection: &Connection, id: &str, started_at: i64) -> Result<()> {
    connection
        .execute("UPDATE broadcasts SET started_at = ?2, created_at = ?2 WHERE id = ?1", params![id, started_at])?;
    Ok(())
}

/// Labels that this boot wrote while the wall clock was wrong are written anew, all of a broadcast together. `zero_us` is the
/// wall clock at `CLOCK_MONOTONIC` zero, microseconds since 1970. Only what is over: a playlist that players follow keeps
/// its dates. Ids of what has changed.
pub fn relabel(connection: &Connection, boot_id: &str, zero_us: i64, tolerance_us: i64) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "WITH wrong AS (
             SELECT id AS of, ?2 + base_ns / 1000 - epoch_us AS off_us FROM broadcasts
             WHERE boot_id = ?1 AND state IN ('ended', 'failed') AND abs(?2 + base_ns / 1000 - epoch_us) > ?3)
         UPDATE broadcasts SET epoch_us = epoch_us + off_us, created_at = created_at + off_us / 1000,
             started_at = started_at + off_us / 1000, ended_at = ended_at + off_us / 1000
         FROM wrong WHERE id = of RETURNING id",
    )?;
    statement.query_map(params![boot_id, zero_us, tolerance_us], |row| row.get(0))?.collect()
}

/// A broadcast goes on in this boot.
pub fn set_timeline(connection: &Connection, id: &str, boot_id: &str, base_ns: i64) -> Result<()> {
    connection
        .execute("UPDATE broadcasts SET boot_id = ?2, base_ns = ?3 WHERE id = ?1", params![id, boot_id, base_ns])?;
    Ok(())
}

/// Into the trash, or out of it with none; either way its age counts anew. Whether the broadcast exists.
pub fn set_trashed(connection: &Connection, id: &str, trashed_at: Option<i64>, aged_from: Option<i64>) -> Result<bool> {
    let sql = "UPDATE broadcasts SET trashed_at = ?2, aged_from = ?3 WHERE id = ?1";
    Ok(connection.execute(sql, params![id, trashed_at, aged_from])? > 0)
}

/// What retention goes by: a broadcast that is over, in the library or in the trash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub id: String,
    /// Bytes of media.
    pub size: u64,
    /// 90 kHz ticks of media.
    pub duration: u64,
    pub pinned: bool,
    pub trashed: bool,
    /// Milliseconds since 1970; none while that is not known.
    pub aged_from: Option<i64>,
}

/// Everything that is over, in the order in which it was made, whatever the clock said then.
pub fn held(connection: &Connection) -> Result<Vec<Held>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, size, duration, pinned, trashed_at IS NOT NULL, aged_from FROM broadcasts
         WHERE state IN ('ended', 'failed') ORDER BY rowid",
    )?;
    let held = |row: &Row<'_>| {
        Ok(Held {
            id: row.get(0)?,
            size: row.get(1)?,
            duration: row.get(2)?,
            pinned: row.get(3)?,
            trashed: row.get(4)?,
            aged_from: row.get(5)?,
        })
    };
    statement.query_map([], held)?.collect()
}

/// The clock has come right: ages that were not known count from now.
pub fn begin_ages(connection: &Connection, now: i64) -> Result<()> {
    let sql = "UPDATE broadcasts SET aged_from = ?1 WHERE aged_from IS NULL AND state IN ('ended', 'failed')";
    connection.execute(sql, [now])?;
    Ok(())
}

/// The newest time before `limit` with which anything was labelled, milliseconds since 1970.
pub fn newest_time(connection: &Connection, limit: i64) -> Result<Option<i64>> {
    let sql = "SELECT max(at) FROM (SELECT max(created_at) AS at FROM broadcasts WHERE created_at < ?1
             UNION ALL SELECT max(ended_at) FROM broadcasts WHERE ended_at < ?1
             UNION ALL SELECT max(at) FROM audit WHERE at < ?1)";
    connection.query_row(sql, [limit], |row| row.get(0))
}

pub fn delete(connection: &Connection, id: &str) -> Result<()> {
    connection.execute("DELETE FROM broadcasts WHERE id = ?1", [id])?;
    Ok(())
}

pub fn thumbnail(connection: &Connection, id: &str) -> Result<Option<Vec<u8>>> {
    let thumbnail = connection
        .query_row("SELECT thumbnail FROM broadcasts WHERE id = ?1", [id], |row| row.get::<_, Option<Vec<u8>>>(0))
        .optional()?;
    Ok(thumbnail.flatten())
}

/// Ids of recordings without a thumbnail, in the order in which they were made.
pub fn without_thumbnail(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT id FROM broadcasts WHERE state = 'ended' AND recorded AND thumbnail IS NULL ORDER BY rowid";
    connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

pub fn set_thumbnail(connection: &Connection, id: &str, jpeg: &[u8]) -> Result<()> {
    connection.execute("UPDATE broadcasts SET thumbnail = ?2 WHERE id = ?1", params![id, jpeg])?;
    Ok(())
}

/// Sums over the library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub recordings: u64,
    /// 90 kHz ticks of media outside the trash.
    pub ticks: u64,
    /// Bytes of media outside the trash.
    pub bytes: u64,
    /// Bytes of media in the trash.
    pub trash_bytes: u64,
    /// Bytes of pinned media outside the trash.
    pub pinned_bytes: u64,
    /// Bytes of all thumbnails and sprites.
    pub thumbnail_bytes: u64,
}

/// How much there is, outside and inside the trash.
pub fn totals(connection: &Connection) -> Result<Totals> {
    let sql = "SELECT count(*) FILTER (WHERE trashed_at IS NULL), \
        coalesce(sum(duration) FILTER (WHERE trashed_at IS NULL), 0), \
        coalesce(sum(size) FILTER (WHERE trashed_at IS NULL), 0), \
        coalesce(sum(size) FILTER (WHERE trashed_at IS NOT NULL), 0), \
        coalesce(sum(size) FILTER (WHERE trashed_at IS NULL AND pinned), 0), \
        (SELECT coalesce(sum(length(thumbnail)), 0) FROM broadcasts)
            + (SELECT coalesce(sum(length(jpeg)), 0) FROM sprites) FROM broadcasts WHERE state = 'ended' AND recorded";
    connection.query_row(sql, [], |row| {
        Ok(Totals {
            recordings: row.get(0)?,
            ticks: row.get(1)?,
            bytes: row.get(2)?,
            trash_bytes: row.get(3)?,
            pinned_bytes: row.get(4)?,
            thumbnail_bytes: row.get(5)?,
        })
    })
}

/// All tags of recordings that these audiences find in the library, most frequent first.
pub fn tags(connection: &Connection, audiences: &[Audience]) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT tags, audience FROM broadcasts
         WHERE tags <> '' AND hidden = 0 AND trashed_at IS NULL AND state = 'ended'",
    )?;
    let mut counts = std::collections::HashMap::<String, u32>::new();
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, super::word::<Audience>(row, 1)?)))? {
        let (tags, audience) = row?;
        for tag in tags.lines().filter(|_| audiences.contains(&audience)) {
            *counts.entry(tag.to_owned()).or_default() += 1;
        }
    }
    let mut tags: Vec<_> = counts.into_iter().collect();
    tags.sort_by(|(a, more), (b, most)| most.cmp(more).then_with(|| a.cmp(b)));
    Ok(tags.into_iter().map(|(tag, _)| tag).collect())
}

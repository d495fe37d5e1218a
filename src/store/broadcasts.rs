//! The table of broadcasts: events from scheduled to recording, their texts, and the library's search.

use rusqlite::{Connection, OptionalExtension, Result, Row, params, params_from_iter};

use crate::accounts::permission::Audience;
use crate::base::terms::{BroadcastState, SourceKind};

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
    /// 90 kHz ticks of media; final once ended.
    pub duration: u64,
    pub gaps: u64,
    /// Bytes of media; final once ended.
    pub size: u64,
    pub hidden: bool,
    pub trashed_at: Option<i64>,
    pub has_thumbnail: bool,
}

const COLUMNS: &str = "b.id, b.title, b.description, b.tags, b.audience, b.pin, b.state, b.failure, b.source, b.source_kind, \
    b.account_id, b.stream_key_id, b.created_at, b.started_at, b.ended_at, b.epoch_us, b.duration, b.gaps, b.size, \
    b.hidden, b.trashed_at, b.thumbnail IS NOT NULL";

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
             stream_key_id, created_at, started_at, epoch_us)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
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
    /// Only what is in the trash; otherwise only what is not.
    pub trashed: bool,
    /// Words to search for, each as a prefix; empty for all.
    pub search: String,
    /// Only with this tag.
    pub tag: Option<String>,
    /// Only what comes after this id in the order.
    pub after: Option<String>,
    /// At most so many rows.
    pub limit: u32,
}

pub fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Broadcast>> {
    let mut sql = format!("SELECT {COLUMNS} FROM broadcasts b WHERE (b.trashed_at IS NOT NULL) = ?");
    let mut values: Vec<rusqlite::types::Value> = vec![i64::from(filter.trashed).into()];
    if !filter.hidden_too {
        sql.push_str(" AND b.hidden = 0");
    }
    one_of(&mut sql, &mut values, "b.state", filter.states.iter().map(|state| state.as_str()));
    one_of(&mut sql, &mut values, "b.audience", filter.audiences.iter().map(|audience| audience.as_str()));
    if let Some(tag) = &filter.tag {
        sql.push_str(" AND instr(char(10) || b.tags || char(10), char(10) || ? || char(10)) > 0");
        values.push(tag.clone().into());
    }
    let words = match_expression(&filter.search);
    if !words.is_empty() {
        sql.push_str(" AND b.rowid IN (SELECT rowid FROM library_search WHERE library_search MATCH ?)");
        values.push(words.into());
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
fn match_expression(search: &str) -> String {
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
}

/// Whether the broadcast exists.
pub fn edit(connection: &Connection, id: &str, edit: &Edit) -> Result<bool> {
    let changed = connection.execute(
        "UPDATE broadcasts SET title = coalesce(?2, title), description = coalesce(?3, description),
             tags = coalesce(?4, tags), audience = coalesce(?5, audience), pin = iif(?6, ?7, pin),
             hidden = coalesce(?8, hidden) WHERE id = ?1",
        params![
            id,
            edit.title,
            edit.description,
            edit.tags.as_ref().map(|tags| tags.join("\n")),
            edit.audience.map(Audience::as_str),
            edit.pin.is_some(),
            edit.pin.as_ref().and_then(Option::as_ref),
            edit.hidden,
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
}

/// Closes a broadcast; duration, gaps and size are summed from its segments.
pub fn finish(connection: &Connection, id: &str, outcome: &Outcome) -> Result<()> {
    connection.execute(
        "UPDATE broadcasts SET state = ?2, failure = ?3, ended_at = ?4,
             duration = (SELECT coalesce(sum(duration), 0) FROM segments WHERE broadcast_id = ?1 AND rendition = 0),
             gaps = (SELECT coalesce(sum(discontinuity), 0) FROM segments WHERE broadcast_id = ?1 AND rendition = 0),
             size = (SELECT coalesce(sum(length), 0) FROM segments WHERE broadcast_id = ?1)
         WHERE id = ?1",
        params![id, outcome.state.as_str(), outcome.failure, outcome.ended_at],
    )?;
    Ok(())
}

/// Ids of broadcasts that were on air when the program last ended without closing them.
pub fn unfinished(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT id FROM broadcasts WHERE state IN ('starting', 'live')")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Into the trash, or out of it with none. Whether the broadcast exists.
pub fn set_trashed(connection: &Connection, id: &str, trashed_at: Option<i64>) -> Result<bool> {
    Ok(connection.execute("UPDATE broadcasts SET trashed_at = ?2 WHERE id = ?1", params![id, trashed_at])? > 0)
}

/// Ids of what was put into the trash before a time, milliseconds since 1970. A clock that has gone back names less, never more.
pub fn trashed_before(connection: &Connection, before: i64) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT id FROM broadcasts WHERE trashed_at < ?1")?;
    statement.query_map([before], |row| row.get(0))?.collect()
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
}

/// How much there is, outside and inside the trash.
pub fn totals(connection: &Connection) -> Result<Totals> {
    let sql = "SELECT count(*) FILTER (WHERE trashed_at IS NULL), \
        coalesce(sum(duration) FILTER (WHERE trashed_at IS NULL), 0), \
        coalesce(sum(size) FILTER (WHERE trashed_at IS NULL), 0), \
        coalesce(sum(size) FILTER (WHERE trashed_at IS NOT NULL), 0) FROM broadcasts WHERE state = 'ended'";
    connection.query_row(sql, [], |row| {
        Ok(Totals { recordings: row.get(0)?, ticks: row.get(1)?, bytes: row.get(2)?, trash_bytes: row.get(3)? })
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

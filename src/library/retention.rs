//! What is deleted by itself, when and why: first what lies in the trash, then the oldest recordings by the admin's rule.
//! [`next`] decides and is pure; the rest carries it out, one broadcast at a time.

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::vod::{Library, LibraryError, lock};
use crate::base::clock::{self, TIMESCALE};
use crate::store::broadcasts::{self, Held};
use crate::store::{StoreError, audit, media, settings};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Name of the rule among the settings.
const SETTING: &str = "retention";
/// Whoever does it by itself, in the list of who did what.
pub const BY: &str = "siaran";

/// How often the rule is looked at when nothing happens.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// And while room is short.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What may be freed is counted anew after so long, or when something has changed. Nanoseconds.
const COUNTED_FOR_NS: u64 = 30_000_000_000;

/// The admin's rule. Under each, the oldest go when room is short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rule {
    /// Everything is kept until room is short.
    #[default]
    UntilShort,
    /// Nothing is kept for more than so many days, 1 to 36,500.
    Days(u32),
    /// Recordings and trash together take so many bytes at most.
    Quota(u64),
}

impl Rule {
    pub const DAYS: std::ops::RangeInclusive<u32> = 1..=36_500;
    /// Gigabytes (10⁹ bytes) of a quota.
    pub const QUOTA_GB: std::ops::RangeInclusive<u32> = 1..=1_000_000;

    pub fn parse(text: &str) -> Option<Rule> {
        match text.split_once(' ') {
            None if text == "until_short" => Some(Rule::UntilShort),
            Some(("days", days)) => days.parse().ok().filter(|days| Rule::DAYS.contains(days)).map(Rule::Days),
            Some(("quota", bytes)) => bytes.parse().ok().map(Rule::Quota),
            _ => None,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::UntilShort => write!(f, "until_short"),
            Rule::Days(days) => write!(f, "days {days}"),
            Rule::Quota(bytes) => write!(f, "quota {bytes}"),
        }
    }
}

/// Why something was deleted; the stable words of the list of who did what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its days in the trash are over.
    TrashOver,
    RoomShort,
    /// Older than the rule keeps.
    TooOld,
    OverQuota,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::TrashOver => "trash_over",
            Reason::RoomShort => "room_short",
            Reason::TooOld => "too_old",
            Reason::OverQuota => "over_quota",
        }
    }
}

/// What a decision goes by besides the recordings themselves.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    pub rule: Rule,
    pub trash_days: u32,
    /// Bytes that are missing.
    pub short_by: u64,
    /// Milliseconds since 1970; none while the clock cannot be trusted, when nothing has an age.
    pub now: Option<i64>,
}

/// The next to go, as an index into `held`, which is in the order of recording. Those on air are not among them.
pub fn next(held: &[Held], circumstances: &Circumstances) -> Option<(usize, Reason)> {
    let Circumstances { rule, trash_days, short_by, now } = *circumstances;
    let age = |one: &Held| Some(now? - one.aged_from?);
    let older = |one: &Held, days: u32| age(one).is_some_and(|age| age >= i64::from(days) * DAY_MS);
    let first = |wanted: &dyn Fn(&Held) -> bool| held.iter().position(|one| !one.pinned && wanted(one));

    if let Some(due) = first(&|one| one.trashed && older(one, trash_days)) {
        return Some((due, Reason::TrashOver));
    }
    if let Rule::Days(days) = rule
        && let Some(due) = first(&|one| !one.trashed && older(one, days))
    {
        return Some((due, Reason::TooOld));
    }
    let total: u64 = held.iter().map(|one| one.size).sum();
    let over = match rule {
        Rule::Quota(most) => total.saturating_sub(most),
        _ => 0,
    };
    let reason = match (short_by, over) {
        (1.., _) => Reason::RoomShort,
        (0, 1..) => Reason::OverQuota,
        (0, 0) => return None,
    };
    let mut may_go = expendable(held, now);
    let in_trash = may_go.clone().find(|index| held[*index].trashed);
    in_trash.or_else(|| may_go.next()).map(|index| (index, reason))
}

/// Those that may go when room is needed, in the order of recording: what is not pinned, has a size, and is not of the
/// newest hour. Without a clock that is the newest hour of media.
fn expendable(held: &[Held], now: Option<i64>) -> impl Iterator<Item = usize> + Clone + '_ {
    let mut newer = 0;
    let mut newest_hour = held.len();
    while newest_hour > 0 && newer < u64::from(TIMESCALE) * 3600 {
        newest_hour -= 1;
        newer += if held[newest_hour].trashed { 0 } else { held[newest_hour].duration };
    }
    (0..held.len()).filter(move |&index| {
        let one = &held[index];
        let new = match (now, one.aged_from) {
            (Some(now), Some(from)) => now - from < HOUR_MS,
            _ => !one.trashed && index >= newest_hour,
        };
        !one.pinned && one.size > 0 && !new
    })
}

/// Bytes that may be freed when room is short.
pub fn freeable(held: &[Held], now: Option<i64>) -> u64 {
    expendable(held, now).map(|index| held[index].size).sum()
}

fn now() -> Option<i64> {
    clock::trusted().then(clock::wall_ms)
}

impl Library {
    /// The rule in force.
    pub async fn rule(&self) -> Result<Rule, StoreError> {
        let text = self.db.read(|db| settings::get(db, SETTING)).await?;
        Ok(text.as_deref().and_then(Rule::parse).unwrap_or_default())
    }

    /// Sets the rule on behalf of `by`; it is followed at once.
    pub async fn set_rule(&self, by: &str, rule: Rule) -> Result<(), StoreError> {
        let (by, text) = (by.to_owned(), rule.to_string());
        self.db
            .write(move |tx| -> Result<(), StoreError> {
                settings::set(tx, SETTING, &text)?;
                audit::record(tx, &by, "retention.set", "", &text)
            })
            .await?;
        self.look_now.notify_one();
        Ok(())
    }

    /// When something in the trash goes by itself, milliseconds since 1970; none when that cannot be said.
    pub fn gone_at(&self, broadcast: &broadcasts::Broadcast) -> Option<i64> {
        let from = broadcast.aged_from.filter(|_| broadcast.trashed_at.is_some() && !broadcast.pinned)?;
        clock::trusted().then(|| from + i64::from(self.trash_days) * DAY_MS)
    }

    /// Bytes that may be freed when room is short, counted a little while ago at most.
    pub async fn freeable(&self) -> Result<u64, StoreError> {
        let generation = self.cache.generation.load(Ordering::Acquire);
        let at = clock::monotonic_ns();
        if let Some((known, counted, bytes)) = *lock(&self.cache.freeable)
            && known == generation
            && at.saturating_sub(counted) < COUNTED_FOR_NS
        {
            return Ok(bytes);
        }
        let bytes = freeable(&self.held().await?, now());
        *lock(&self.cache.freeable) = Some((generation, at, bytes));
        Ok(bytes)
    }

    async fn held(&self) -> Result<Vec<Held>, StoreError> {
        self.db.read(|db| -> Result<_, StoreError> { Ok(broadcasts::held(db)?) }).await
    }

    /// Deletes what is due, one after the other, until nothing is. Nothing goes to make room while the files of what went before
    /// cannot be unlinked: it would make none.
    pub async fn retain(&self) -> Result<(), LibraryError> {
        let _alone = self.retaining.lock().await;
        self.drop_originals().await?;
        let mut unlinked = None;
        // What was deleted counts as free at once, though a reader may hold the file for a while.
        let (mut freed, mut expected) = (0, None);
        loop {
            let room = self.room()?;
            if room.space.read_only {
                return Ok(());
            }
            let free = room.space.free.max(*expected.get_or_insert(room.space.free) + freed);
            let short_by = room.short_by().saturating_sub(free - room.space.free);
            let (rule, mut held) = (self.rule().await?, self.held().await?);
            let now = now();
            if let Some(now) = now.filter(|_| held.iter().any(|one| one.aged_from.is_none())) {
                self.db.write(move |tx| -> Result<(), StoreError> { Ok(broadcasts::begin_ages(tx, now)?) }).await?;
                held = self.held().await?;
            }
            let circumstances = Circumstances { rule, trash_days: self.trash_days, short_by, now };
            let Some((index, reason)) = next(&held, &circumstances) else { return Ok(()) };
            if matches!(reason, Reason::RoomShort | Reason::OverQuota) {
                let clean = match unlinked {
                    Some(clean) => clean,
                    None => self.sweep().await?,
                };
                if !clean {
                    return Err(io::Error::other("their files cannot be unlinked").into());
                }
            }
            let one = &held[index];
            tracing::info!(broadcast = one.id, reason = reason.as_str(), size = one.size, "deleted by itself");
            unlinked = Some(self.purge(one.clone(), reason).await?);
            freed += one.size;
        }
    }

    /// Deletes one for good, unless somebody has changed what speaks for it meanwhile. Whether no file is left that must go.
    async fn purge(&self, one: Held, reason: Reason) -> Result<bool, LibraryError> {
        let id = one.id.clone();
        let _held_off = self.making.hold_off(&id).await;
        let purge = move |tx: &crate::store::Transaction<'_>| -> Result<(), StoreError> {
            if broadcasts::held(tx)?.contains(&one) {
                media::mark_garbage(tx, &one.id)?;
                audit::record(tx, BY, "broadcast.purge", &one.id, reason.as_str())?;
                broadcasts::delete(tx, &one.id)?;
            }
            Ok(())
        };
        self.db.write(purge).await?;
        self.forget(&id);
        self.sweep().await
    }

    /// Deletes everything in the trash on behalf of `by`; how many there were.
    pub async fn empty_trash(&self, by: &str) -> Result<usize, LibraryError> {
        let held = self.held().await?;
        let trash: Vec<&Held> = held.iter().filter(|one| one.trashed).collect();
        for one in &trash {
            self.delete(by, &one.id).await?;
        }
        Ok(trash.len())
    }

    /// Follows the rule each hour, when it changes, and as soon as room is short.
    pub async fn keep_room(self) {
        let mut last: Option<u64> = None;
        loop {
            let short = self.room().is_ok_and(|room| room.short_by() > 0 && !room.space.read_only);
            let since =
                last.map_or(Duration::MAX, |last| Duration::from_nanos(clock::monotonic_ns().saturating_sub(last)));
            if since >= if short { LOOK_AGAIN } else { LOOK_EVERY } {
                if let Err(error) = self.retain().await {
                    tracing::error!(%error, "old recordings cannot be deleted");
                }
                last = Some(clock::monotonic_ns());
            }
            tokio::select! {
                () = self.look_now.notified() => last = None,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;

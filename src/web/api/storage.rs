//! `/api/v1/storage`, `/api/v1/retention` and `/api/v1/trash`: the room on disk and what is deleted to keep it.

use actix_web::web::{self, Data, ServiceConfig, resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ProblemBody;
use crate::base::clock;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::retention::Rule;
use crate::library::space::Fault;
use crate::web::error::{Code, Problem};
use crate::web::guard::Admin;
use crate::web::input::Json;
use crate::web::studio::status;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/storage").route(web::get().to(storage)))
        .service(resource("/api/v1/retention").route(web::put().to(set_retention)))
        .service(resource("/api/v1/trash").route(web::delete().to(empty_trash)));
}

/// The disk that holds the data; sizes in bytes.
#[derive(Debug, Serialize, ToSchema)]
pub struct StorageBody {
    total: u64,
    free: u64,
    /// Left free by recordings.
    reserve: u64,
    /// Media outside the trash.
    recordings: u64,
    /// Of these, pinned.
    pinned: u64,
    trash: u64,
    thumbnails: u64,
    /// A file that is given up when the disk is full.
    ballast: u64,
    /// All else in use, the ballast included.
    other: u64,
    /// What may be deleted when room is short.
    freeable: u64,
    /// What the times below reckon with: what is on air, else what is planned.
    bitrate_bps: u64,
    /// Seconds that can be recorded, counting what may be deleted.
    left_s: u64,
    /// Seconds that can be recorded before anything is deleted.
    untouched_s: u64,
    /// Why nothing can be recorded: `disk_full`, `inodes_full`, `disk_read_only`, `disk_error`.
    fault: Option<&'static str>,
    /// Nothing is deleted by age before the clock can be trusted.
    clock_trusted: bool,
    retention: RetentionBody,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleName {
    /// Everything is kept until room is short; then the oldest go, as under each rule.
    UntilShort,
    /// Nothing is kept for more than `days`.
    Days,
    /// All recordings take at most `quota_gb`.
    Quota,
}

/// How long recordings are kept. Pinned ones always are.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionBody {
    pub rule: RuleName,
    /// 1 to 36500, with `days`.
    pub days: Option<u32>,
    /// 1 to 1000000 GB (10⁹ bytes), with `quota`.
    pub quota_gb: Option<u32>,
}

impl RetentionBody {
    pub fn of(rule: Rule) -> RetentionBody {
        let (rule, days, quota_gb) = match rule {
            Rule::UntilShort => (RuleName::UntilShort, None, None),
            Rule::Days(days) => (RuleName::Days, Some(days), None),
            Rule::Quota(bytes) => (RuleName::Quota, None, Some((bytes / 1_000_000_000) as u32)),
        };
        RetentionBody { rule, days, quota_gb }
    }

    /// The rule, if the number that belongs to it is there and in its range.
    pub fn check(&self) -> Result<Rule, Problem> {
        let bad = |code, sentence, field| Problem::new(Code::BadField(code), sentence).field(field);
        match self.rule {
            RuleName::UntilShort => Ok(Rule::UntilShort),
            RuleName::Days => match self.days.filter(|days| Rule::DAYS.contains(days)) {
                Some(days) => Ok(Rule::Days(days)),
                None => Err(bad("retention_days", "`days` is a number from 1 to 36500.", "days")),
            },
            RuleName::Quota => match self.quota_gb.filter(|gb| Rule::QUOTA_GB.contains(gb)) {
                Some(gb) => Ok(Rule::Quota(u64::from(gb) * 1_000_000_000)),
                None => Err(bad("retention_quota", "`quota_gb` is a number from 1 to 1000000.", "quota_gb")),
            },
        }
    }
}

/// What is on the disk, and how long it lasts.
#[utoipa::path(get, path = "/api/v1/storage", tag = "storage", responses((status = 200, body = StorageBody)))]
pub async fn storage(
    _: Admin,
    studio: Data<Studio>,
    library: Data<Library>,
) -> Result<web::Json<StorageBody>, Problem> {
    let storage = library.storage().await?;
    let bitrate_bps = status(&studio, &library).await.bitrate_bps;
    Ok(web::Json(StorageBody {
        total: storage.room.space.total,
        free: storage.room.space.free,
        reserve: storage.room.floor(),
        recordings: storage.totals.bytes,
        pinned: storage.totals.pinned_bytes,
        trash: storage.totals.trash_bytes,
        thumbnails: storage.totals.thumbnail_bytes,
        ballast: storage.ballast,
        other: storage.other(),
        freeable: storage.freeable,
        bitrate_bps,
        left_s: storage.left_s(bitrate_bps),
        untouched_s: storage.untouched_s(bitrate_bps),
        fault: storage.room.fault().map(Fault::code),
        clock_trusted: clock::trusted(),
        retention: RetentionBody::of(library.rule().await?),
    }))
}

/// Sets how long recordings are kept; it is followed at once.
#[utoipa::path(
    put, path = "/api/v1/retention", tag = "storage", request_body = RetentionBody,
    responses(
        (status = 200, body = RetentionBody),
        (status = 400, description = "retention_days, retention_quota", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn set_retention(
    Admin(session): Admin,
    library: Data<Library>,
    body: Json<RetentionBody>,
) -> Result<web::Json<RetentionBody>, Problem> {
    let rule = body.take()?.check()?;
    library.set_rule(&session.person.username, rule).await?;
    Ok(web::Json(RetentionBody::of(rule)))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Emptied {
    /// Broadcasts that are gone for good.
    deleted: usize,
}

/// Deletes everything in the trash for good.
#[utoipa::path(delete, path = "/api/v1/trash", tag = "storage", responses((status = 200, body = Emptied)))]
pub async fn empty_trash(Admin(session): Admin, library: Data<Library>) -> Result<web::Json<Emptied>, Problem> {
    let deleted = library.empty_trash(&session.person.username).await?;
    Ok(web::Json(Emptied { deleted }))
}

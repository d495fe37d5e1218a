//! `/admin`: overview here, accounts and recordings beside.

mod accounts;
pub mod captions;
mod edit;
mod imports;
mod recordings;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig, resource};
use serde::Deserialize;

use super::{Refusal, html, html_as, see_other};
use crate::base::clock::ticks_to_seconds;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::people::Accounts;
use crate::store::audit::Entry;
use crate::web::api::storage::RetentionBody;
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::i18n::Lang;
use crate::web::i18n::captions::own_name;
use crate::web::input::{Choice, Form};
use crate::web::page::admin::{Activity, Overview, Storage};
use crate::web::page::{Field, Site};
use crate::web::studio::status;

/// Lines of who did what.
const RECENT: u32 = 20;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin").route(web::get().to(overview)))
        .service(resource("/admin/retention").route(web::post().to(set_retention)));
    accounts::configure(config);
    recordings::configure(config);
    captions::configure(config);
    edit::configure(config);
    imports::configure(config);
}

async fn overview(
    _: Admin,
    site: Site,
    studio: Data<Studio>,
    library: Data<Library>,
    people: Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    html(&page(site, &studio, &library, &people).await?)
}

async fn page(site: Site, studio: &Studio, library: &Library, people: &Accounts) -> Result<Overview, Problem> {
    let found = library.storage().await?;
    let status = status(studio, library).await;
    let storage = Storage {
        total: found.room.space.total,
        free: found.room.space.free,
        recordings: found.totals.bytes,
        trash: found.totals.trash_bytes,
        thumbnails: found.totals.thumbnail_bytes,
        left_s: Some(found.left_s(status.bitrate_bps)),
        untouched_s: (found.freeable > 0).then(|| found.untouched_s(status.bitrate_bps)),
    };
    let accounts = people.list(None, accounts::ALL).await?.items;
    let kept = RetentionBody::of(library.rule().await?);
    let number = |number: Option<u32>| Field::of(number.map(|number| number.to_string()).unwrap_or_default());
    Ok(Overview {
        recent: library.activity(RECENT).await?.into_iter().map(|entry| activity(site.t, entry)).collect(),
        storage,
        rule: Field::of(kept.rule),
        days: number(kept.days),
        quota_gb: number(kept.quota_gb),
        recordings: found.totals.recordings,
        recorded_s: ticks_to_seconds(found.totals.ticks).round() as u64,
        accounts: accounts.iter().filter(|account| account.disabled_at.is_none()).count() as u64,
        on_air: status.broadcasts.len() as u64,
        site,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kept {
    rule: Choice,
    days: String,
    quota_gb: String,
}

async fn set_retention(
    Admin(session): Admin,
    site: Site,
    studio: Data<Studio>,
    library: Data<Library>,
    people: Data<Accounts>,
    form: Form<Kept>,
) -> Result<HttpResponse, Problem> {
    let Kept { rule, days, quota_gb } = form.take()?;
    let number = |text: &str| text.trim().parse().ok();
    let (in_days, in_gb) = (number(&days), number(&quota_gb));
    let wanted = rule.read("rule").and_then(|rule| RetentionBody { rule, days: in_days, quota_gb: in_gb }.check());
    match wanted {
        Ok(rule) => {
            library.set_rule(&session.person.username, rule).await?;
            Ok(see_other("/admin?done=saved"))
        }
        Err(problem) => {
            let refusal = Refusal::of(site.t, problem)?;
            let page = page(site, &studio, &library, &people).await?;
            let rule = refusal.choice("rule", &rule, page.rule.value);
            let (days, quota_gb) = (refusal.field("days", days), refusal.field("quota_gb", quota_gb));
            html_as(refusal.status, &Overview { rule, days, quota_gb, ..page })
        }
    }
}

fn activity(t: Lang, entry: Entry) -> Activity {
    let what = match entry.action.as_str() {
        "account.create" => t.act_account_create(),
        "account.update" => t.act_account_update(),
        "account.delete" => t.act_account_delete(),
        "stream_key.create" => t.act_key_create(),
        "stream_key.revoke" => t.act_key_revoke(),
        "broadcast.edit" => t.act_broadcast_edit(),
        "broadcast.trash" => t.act_broadcast_trash(),
        "broadcast.restore" => t.act_broadcast_restore(),
        "broadcast.delete" => t.act_broadcast_delete(),
        "broadcast.purge" => match entry.detail.as_str() {
            "trash_over" => t.act_purge_trash_over(),
            "too_old" => t.act_purge_too_old(),
            "over_quota" => t.act_purge_over_quota(),
            _ => t.act_purge_room_short(),
        },
        "recording.edit" => t.act_recording_edit(),
        "recording.unedit" => t.act_recording_unedit(),
        "recording.picture" => t.act_recording_picture(),
        "captions.put" => t.act_captions_put(),
        "captions.delete" => t.act_captions_delete(),
        "upload.begin" => t.act_upload_begin(),
        "import.cancel" => t.act_import_cancel(),
        "import.retry" => t.act_import_retry(),
        "ladder.cancel" => t.act_ladder_cancel(),
        "ladder.retry" => t.act_ladder_retry(),
        "retention.set" => t.act_retention_set(),
        "recording.damaged" => t.act_recording_damaged(),
        other => other,
    };
    // What is named by an id says nothing to a reader; the detail of a key is its label, that of a file its name.
    let about = match entry.action.split('.').next() {
        Some("account") => entry.subject.as_str(),
        Some("stream_key" | "upload" | "import") => entry.detail.as_str(),
        Some("captions") => own_name(&entry.detail),
        _ => "",
    };
    let what = if about.is_empty() { what.to_owned() } else { t.act_on(what, about) };
    Activity { at_ms: entry.at, account: entry.account, what }
}

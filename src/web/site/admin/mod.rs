//! `/admin`: overview here, accounts and recordings beside.

mod accounts;
mod recordings;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig, resource};

use super::html;
use crate::base::clock::ticks_to_seconds;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::people::Accounts;
use crate::store::audit::Entry;
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::i18n::Lang;
use crate::web::page::Site;
use crate::web::page::admin::{Activity, Overview, Storage};
use crate::web::studio::status;

/// Lines of who did what.
const RECENT: u32 = 20;

pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/admin").route(web::get().to(overview)));
    accounts::configure(config);
    recordings::configure(config);
}

async fn overview(
    _: Admin,
    site: Site,
    studio: Data<Studio>,
    library: Data<Library>,
    people: Data<Accounts>,
) -> Result<HttpResponse, Problem> {
    let totals = library.totals().await?;
    let space = library.space().map_err(Problem::internal)?;
    let status = status(&studio, &library).await;
    let storage = Storage {
        total: space.total,
        free: space.free,
        recordings: totals.bytes,
        trash: totals.trash_bytes,
        left_s: Some(status.disk_left_s),
    };
    let accounts = people.list(None, accounts::ALL).await?.items;
    html(&Overview {
        recent: library.activity(RECENT).await?.into_iter().map(|entry| activity(site.t, entry)).collect(),
        storage,
        recordings: totals.recordings,
        recorded_s: ticks_to_seconds(totals.ticks).round() as u64,
        accounts: accounts.iter().filter(|account| account.disabled_at.is_none()).count() as u64,
        on_air: status.broadcasts.len() as u64,
        site,
    })
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
        other => other,
    };
    // What is named by an id says nothing to a reader; the detail of a key is its label.
    let about = match entry.action.split('.').next() {
        Some("account") => entry.subject.as_str(),
        Some("stream_key") => entry.detail.as_str(),
        _ => "",
    };
    let what = if about.is_empty() { what.to_owned() } else { t.act_on(what, about) };
    Activity { at_ms: entry.at, account: entry.account, what }
}

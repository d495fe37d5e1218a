//! `/admin/imports`: files that are read in.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use serde::Deserialize;

use crate::base::ids;
use crate::library::imports::{self, Listed};
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::i18n::Lang;
use crate::web::page::Site;
use crate::web::page::admin::{ImportRow, Imports};
use crate::web::site::{html, query_string, see_other};

/// Files on one page.
const PAGE: u32 = 50;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin/imports").route(web::get().to(list)))
        .service(resource("/admin/imports/{id}/cancel").route(web::post().to(cancel)))
        .service(resource("/admin/imports/{id}/retry").route(web::post().to(retry)));
}

#[derive(Debug, Default, Deserialize)]
struct Paged {
    after: Option<String>,
}

async fn list(
    _: Admin,
    site: Site,
    imports: Data<imports::Imports>,
    paged: Query<Paged>,
) -> Result<HttpResponse, Problem> {
    let mut found = imports.list(paged.into_inner().after.filter(|id| ids::is_id(id)), PAGE).await?;
    let older = (found.len() > PAGE as usize).then(|| found[PAGE as usize - 1].import.id.clone());
    found.truncate(PAGE as usize);
    html(&Imports {
        rows: found.into_iter().map(|listed| row(site.t, listed)).collect(),
        older: older.map(|after| query_string(&[("after", &after)])),
        site,
    })
}

fn row(t: Lang, Listed { import, progress }: Listed) -> ImportRow {
    let reason = import.reason.as_deref();
    ImportRow {
        reason: reason.map(|code| t.problem(code).unwrap_or(code).to_owned()),
        broadcast_id: import.broadcast_id,
        id: import.id,
        name: import.name,
        size: import.size,
        state: import.state,
        progress: (progress * 100.0) as u32,
        at_ms: import.ended_at.unwrap_or(import.added_at),
    }
}

async fn cancel(
    Admin(session): Admin,
    imports: Data<imports::Imports>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    imports.cancel(&session.person.username, &id).await?;
    Ok(see_other("/admin/imports?done=import_cancelled"))
}

async fn retry(
    Admin(session): Admin,
    imports: Data<imports::Imports>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    imports.retry(&session.person.username, &id).await?;
    Ok(see_other("/admin/imports?done=import_retried"))
}

//! `/admin/recordings` and `/admin/trash`.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use serde::Deserialize;

use crate::accounts::Audience;
use crate::base::clock::ticks_to_seconds;
use crate::base::ids;
use crate::base::terms::BroadcastState;
use crate::broadcast::{Studio, texts};
use crate::library::Library;
use crate::library::ladders::Standing;
use crate::store::broadcasts::{Broadcast, Edit, Filter};
use crate::web::access;
use crate::web::api::broadcasts::make_removable;
use crate::web::error::Problem;
use crate::web::guard::{Admin, Visitor};
use crate::web::input::{Choice, Form};
use crate::web::page::admin::{Ladder, RecordingEdit, RecordingRow, Recordings, Trash, TrashRow};
use crate::web::page::{Field, Site};
use crate::web::site::admin::captions;
use crate::web::site::{Refusal, html, html_as, query_string, see_other};

/// Recordings on one page.
const PAGE: u32 = 50;
/// Rows of the trash on its page.
const TRASH: u32 = 500;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin/recordings").route(web::get().to(list)))
        .service(resource("/admin/recordings/{id}").route(web::get().to(show)).route(web::post().to(save)))
        .service(resource("/admin/recordings/{id}/trash").route(web::post().to(throw_away)))
        .service(resource("/admin/recordings/{id}/ladder/cancel").route(web::post().to(cancel_ladder)))
        .service(resource("/admin/recordings/{id}/ladder/retry").route(web::post().to(retry_ladder)))
        .service(resource("/admin/trash").route(web::get().to(trash)))
        .service(resource("/admin/trash/empty").route(web::post().to(empty)))
        .service(resource("/admin/trash/{id}/restore").route(web::post().to(restore)))
        .service(resource("/admin/trash/{id}/delete").route(web::post().to(delete)));
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    q: Option<String>,
    after: Option<String>,
}

async fn list(_: Admin, site: Site, library: Data<Library>, search: Query<Search>) -> Result<HttpResponse, Problem> {
    let Search { q, after } = search.into_inner();
    let query = q.unwrap_or_default().trim().to_owned();
    let filter = Filter {
        hidden_too: true,
        search: query.clone(),
        heard: Audience::ALL.to_vec(),
        after,
        limit: PAGE + 1,
        ..Filter::default()
    };
    let mut rows = library.list(filter).await?;
    let older = (rows.len() > PAGE as usize).then(|| rows[PAGE as usize - 1].id.clone());
    rows.truncate(PAGE as usize);
    html(&Recordings {
        site,
        rows: rows.into_iter().map(row).collect(),
        older: older.map(|after| query_string(&[("after", &after), ("q", &query)])),
        query,
    })
}

fn row(row: Broadcast) -> RecordingRow {
    RecordingRow {
        at_ms: row.started_at.unwrap_or(row.created_at),
        duration_s: ticks_to_seconds(row.duration).round() as u64,
        id: row.id,
        title: row.title,
        size: row.size,
        audience: row.audience,
        state: row.state,
        hidden: row.hidden,
        pinned: row.pinned,
        recorded: row.recorded,
        thumbnail: row.has_thumbnail,
    }
}

async fn show(
    Admin(session): Admin,
    site: Site,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    html(&form(site, &library, &broadcast).await?)
}

async fn form(site: Site, library: &Library, broadcast: &Broadcast) -> Result<RecordingEdit, Problem> {
    let ladder = library.ladder(&broadcast.id).await?;
    Ok(RecordingEdit {
        ladder: ladder.map(|Standing { state, progress, reason }| Ladder {
            state,
            progress: (progress * 100.0) as u32,
            reason: reason.map(|code| site.t.problem(&code).unwrap_or(&code).to_owned()),
        }),
        tracks: captions::tracks(library, site.t, &broadcast.id).await?,
        site,
        id: broadcast.id.clone(),
        title: Field::of(&broadcast.title),
        description: Field::of(&broadcast.description),
        tags: Field::of(broadcast.tags.join(", ")),
        audience: Field::of(broadcast.audience),
        hidden: Field::of(broadcast.hidden),
        pinned: Field::of(broadcast.pinned),
        thumbnail: broadcast.has_thumbnail,
        pin: broadcast.pin.clone(),
        on_air: matches!(broadcast.state, BroadcastState::Starting | BroadcastState::Live),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    title: String,
    description: String,
    tags: String,
    audience: Choice,
    hidden: Choice,
    pinned: Choice,
}

impl Typed {
    /// What is to change; a PIN is made for one that is to have one, and kept where there is one.
    fn edit(&self, before: &Broadcast) -> Result<Edit, Problem> {
        let audience = self.audience.read("audience")?;
        let pin = match (audience, &before.pin) {
            (Audience::Pin, Some(pin)) => Some(pin.clone()),
            (Audience::Pin, None) => Some(ids::pin()),
            _ => None,
        };
        Ok(Edit {
            title: Some(texts::title(&self.title)?),
            description: Some(texts::description(&self.description)?),
            tags: Some(texts::tags(&self.tags)?),
            audience: Some(audience),
            pin: Some(pin),
            hidden: Some(self.hidden.ticked("hidden")?),
            pinned: Some(self.pinned.ticked("pinned")?),
        })
    }
}

async fn save(
    Admin(session): Admin,
    site: Site,
    library: Data<Library>,
    id: Path<String>,
    typed: Form<Typed>,
) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    let typed = typed.take()?;
    match typed.edit(&broadcast) {
        Ok(edit) => {
            library.edit(&by, &broadcast.id, edit).await?;
            Ok(see_other("/admin/recordings?done=saved"))
        }
        Err(problem) => {
            let refusal = Refusal::of(site.t, problem)?;
            let Typed { title, description, tags, audience, hidden, pinned } = typed;
            let page = RecordingEdit {
                title: refusal.field("title", title),
                description: refusal.field("description", description),
                tags: refusal.field("tags", tags),
                audience: refusal.choice("audience", &audience, broadcast.audience),
                hidden: refusal.field("hidden", hidden.ticked("hidden").unwrap_or(broadcast.hidden)),
                pinned: refusal.field("pinned", pinned.ticked("pinned").unwrap_or(broadcast.pinned)),
                ..form(site, &library, &broadcast).await?
            };
            html_as(refusal.status, &page)
        }
    }
}

async fn throw_away(
    Admin(session): Admin,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    make_removable(&studio, &broadcast).await?;
    library.trash(&by, &broadcast.id).await?;
    Ok(see_other("/admin/recordings?done=trashed"))
}

async fn cancel_ladder(
    Admin(session): Admin,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    library.cancel_ladder(&by, &broadcast.id).await?;
    Ok(see_other(&format!("/admin/recordings/{}?done=ladder_cancelled", broadcast.id)))
}

async fn retry_ladder(
    Admin(session): Admin,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    library.retry_ladder(&by, &broadcast.id).await?;
    Ok(see_other(&format!("/admin/recordings/{}?done=ladder_retried", broadcast.id)))
}

async fn trash(_: Admin, site: Site, library: Data<Library>) -> Result<HttpResponse, Problem> {
    let rows = library.list(Filter { trashed: true, hidden_too: true, limit: TRASH, ..Filter::default() }).await?;
    html(&Trash {
        site,
        size: rows.iter().map(|row| row.size).sum(),
        rows: rows
            .into_iter()
            .map(|row| TrashRow {
                trashed_ms: row.trashed_at.unwrap_or(row.created_at),
                gone_ms: library.gone_at(&row),
                pinned: row.pinned,
                duration_s: ticks_to_seconds(row.duration).round() as u64,
                id: row.id,
                title: row.title,
                size: row.size,
                thumbnail: row.has_thumbnail,
            })
            .collect(),
    })
}

async fn restore(Admin(session): Admin, library: Data<Library>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    library.restore(&by, &broadcast.id).await?;
    Ok(see_other("/admin/trash?done=restored"))
}

/// Only what is in the trash already: nothing is lost by one press.
async fn delete(Admin(session): Admin, library: Data<Library>, id: Path<String>) -> Result<HttpResponse, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    if broadcast.trashed_at.is_none() {
        return Err(Problem::not_found());
    }
    library.delete(&by, &broadcast.id).await?;
    Ok(see_other("/admin/trash?done=deleted"))
}

async fn empty(Admin(session): Admin, library: Data<Library>) -> Result<HttpResponse, Problem> {
    library.empty_trash(&session.person.username).await?;
    Ok(see_other("/admin/trash?done=emptied"))
}

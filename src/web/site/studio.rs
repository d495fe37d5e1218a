//! `/studio`: preparing, going live and ending, for browsers with and without a script.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::live::live_address;
use super::{Refusal, html_as, see_other};
use crate::accounts::Audience;
use crate::base::terms::BroadcastState;
use crate::broadcast::source;
use crate::broadcast::studio::{NewBroadcast, Wish as Recording};
use crate::broadcast::{Studio, texts};
use crate::library::Library;
use crate::people::Session;
use crate::web::access;
use crate::web::api::broadcasts::end_live;
use crate::web::error::Problem;
use crate::web::guard::{Broadcaster, Visitor};
use crate::web::input::Form;
use crate::web::page::studio::{self as view, Draft, Health, OnAir};
use crate::web::page::tv::Qr;
use crate::web::page::{Field, Site};
use crate::web::studio::{Status, status};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/studio").route(web::get().to(studio)))
        .service(resource("/studio/broadcasts").route(web::post().to(go_live)))
        .service(resource("/studio/broadcasts/{id}/end").route(web::post().to(end)));
}

#[derive(Debug, Default, Deserialize)]
struct Wish {
    another: Option<String>,
}

async fn studio(
    _: Broadcaster,
    site: Site,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
    wish: Query<Wish>,
) -> Result<HttpResponse, Problem> {
    let status = status(&studio, &library).await;
    let trash_bytes = trash_bytes(&site, &library).await?;
    let draft = Draft {
        source: status.sources.iter().find(|source| source.ready).map(|source| source.id.clone()).unwrap_or_default(),
        microphone: status.sources.first().and_then(first_microphone).unwrap_or_default(),
        title: Field::of(site.t.studio_default_title(&site.t.day(site.now_ms))),
        description: Field::default(),
        audience: Audience::Public,
    };
    html_as(
        StatusCode::OK,
        &view::Studio { trash_bytes, ..page(site, &request, status, draft, None, wish.another.is_some()) },
    )
}

/// Bytes that emptying the trash would free, for whoever may.
async fn trash_bytes(site: &Site, library: &Library) -> Result<u64, Problem> {
    Ok(if site.admin() { library.totals().await?.trash_bytes } else { 0 })
}

fn first_microphone(source: &source::Source) -> Option<String> {
    source.microphones.first().map(|microphone| microphone.id.clone())
}

fn page(
    site: Site,
    request: &HttpRequest,
    status: Status,
    draft: Draft,
    error: Option<String>,
    another: bool,
) -> view::Studio {
    let on_air = status.broadcasts.into_iter().map(|live| OnAir {
        id: live.id,
        title: live.title,
        live: live.state == BroadcastState::Live,
        source: live.source,
        elapsed_s: live.elapsed_s,
        viewers: live.viewers as u64,
        pin: live.pin,
        health: Health(live.health),
        reason: live.reason,
        unrecorded: !live.recorded,
    });
    let test_label = site.t.studio_source_test_label();
    let sources = status.sources.into_iter().map(|mut source| {
        if source.label.is_empty() {
            source.label = test_label.to_owned();
        }
        source
    });
    view::Studio {
        on_air: on_air.collect(),
        sources: sources.collect(),
        draft,
        disk_left_s: Some(status.disk_left_s),
        error,
        no_room: false,
        trash_bytes: 0,
        another,
        qr: Qr::of(&live_address(request)),
        site,
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    source: String,
    #[serde(default)]
    microphone: String,
    #[serde(default)]
    audience: Audience,
    #[serde(default)]
    record: Recording,
    /// The answer to there being no room.
    free_trash: Option<String>,
}

async fn go_live(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
    form: Form<Wanted>,
) -> Result<HttpResponse, Problem> {
    let wanted = form.take()?;
    if wanted.free_trash.is_some() && session.person.role.is_admin() {
        library.empty_trash(&session.person.username).await?;
    }
    let problem = match begin(&studio, session, &wanted).await {
        Ok(()) => return Ok(see_other("/studio")),
        Err(problem) => problem,
    };
    let no_room = problem.code.as_str() == "no_room";
    let trash_bytes = trash_bytes(&site, &library).await?;
    let refusal = Refusal::of(site.t, problem)?;
    let draft = Draft {
        source: wanted.source.clone(),
        microphone: wanted.microphone.clone(),
        title: refusal.field("title", &wanted.title),
        description: refusal.field("description", &wanted.description),
        audience: wanted.audience,
    };
    let error = (!["title", "description"].contains(&refusal.at())).then(|| refusal.words.clone());
    let status = status(&studio, &library).await;
    let page = page(site, &request, status, draft, error, true);
    html_as(refusal.status, &view::Studio { no_room, trash_bytes, ..page })
}

async fn begin(studio: &Studio, session: Session, wanted: &Wanted) -> Result<(), Problem> {
    let new = NewBroadcast {
        title: texts::title(&wanted.title)?,
        description: texts::description(&wanted.description)?,
        audience: wanted.audience,
        source_id: wanted.source.clone(),
        microphone: Some(wanted.microphone.clone()).filter(|id| !id.is_empty()),
        account_id: Some(session.person.id),
        stream_key_id: None,
        recording: wanted.record,
    };
    studio.go_live(new).await?;
    Ok(())
}

async fn end(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    access::visible(&library, &Visitor(Some(session)), &id).await?;
    end_live(&studio, &id).await?;
    Ok(see_other("/studio?done=ended"))
}

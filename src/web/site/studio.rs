//! `/studio`: preparing, going live and ending, for browsers with and without a script.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Form, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::live::live_address;
use super::{Refusal, html_as, see_other};
use crate::accounts::Audience;
use crate::base::terms::BroadcastState;
use crate::broadcast::source;
use crate::broadcast::studio::NewBroadcast;
use crate::broadcast::{Studio, texts};
use crate::library::Library;
use crate::people::Session;
use crate::web::access;
use crate::web::error::Problem;
use crate::web::guard::{Broadcaster, Visitor};
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
    let draft = Draft {
        source: status.sources.iter().find(|source| source.ready).map(|source| source.id.clone()).unwrap_or_default(),
        microphone: status.sources.first().and_then(first_microphone).unwrap_or_default(),
        title: Field::of(site.t.studio_default_title(&site.t.day(site.now_ms))),
        description: Field::default(),
        audience: Audience::Public,
    };
    html_as(StatusCode::OK, &page(site, &request, status, draft, None, wish.another.is_some()))
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
}

async fn go_live(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
    form: Form<Wanted>,
) -> Result<HttpResponse, Problem> {
    let wanted = form.into_inner();
    let problem = match begin(&studio, session, &wanted).await {
        Ok(()) => return Ok(see_other("/studio")),
        Err(problem) => problem,
    };
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
    html_as(refusal.status, &page(site, &request, status, draft, error, true))
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
    if let Some(live) = studio.live(&id) {
        live.end().await;
    }
    Ok(see_other("/studio?done=ended"))
}

//! `/studio`: preparing, going live and ending, for browsers with and without a script.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::live::live_address;
use super::{Refusal, html_as, see_other};
use crate::accounts::Audience;
use crate::base::terms::{BroadcastState, Content};
use crate::broadcast::source;
use crate::broadcast::studio::{NewBroadcast, Wish as Recording};
use crate::broadcast::{Studio, texts};
use crate::library::Library;
use crate::people::Session;
use crate::web::access;
use crate::web::api::broadcasts::end_live;
use crate::web::error::Problem;
use crate::web::guard::{Broadcaster, Visitor};
use crate::web::input::{Choice, Form};
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
        content: Field::of(Content::Talk),
        title: Field::of(site.t.studio_default_title(&site.t.day(site.now_ms))),
        description: Field::default(),
        audience: Field::of(Audience::Public),
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
    let t = site.t;
    let on_air = status.broadcasts.into_iter().map(|live| OnAir {
        id: live.id,
        title: live.title,
        live: live.state == BroadcastState::Live,
        source: live.source,
        elapsed_s: live.elapsed_s,
        viewers: live.viewers as u64,
        pin: live.pin,
        health: Health(live.health),
        reason: live.reason.and_then(|code| t.problem(code)).map(str::to_owned),
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
        at: String::new(),
        no_room: false,
        trash_bytes: 0,
        another,
        qr: Qr::of(&live_address(request)),
        site,
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    title: String,
    description: String,
    source: String,
    microphone: String,
    /// A form of an older page has none.
    content: Option<Choice>,
    audience: Choice,
    /// Sent by the button that answers there being no room, as is `free_trash`.
    record: Option<Choice>,
    free_trash: Choice,
}

impl Wanted {
    fn check(&self, account_id: &str) -> Result<NewBroadcast, Problem> {
        Ok(NewBroadcast {
            title: texts::title(&self.title)?,
            description: texts::description(&self.description)?,
            audience: self.audience.read("audience")?,
            source_id: self.source.clone(),
            microphone: Some(self.microphone.clone()).filter(|id| !id.is_empty()),
            content: self.content.as_ref().map_or(Ok(Content::default()), |content| content.read("content"))?,
            account_id: Some(account_id.to_owned()),
            stream_key_id: None,
            recording: self.record.as_ref().map_or(Ok(Recording::default()), |record| record.read("record"))?,
        })
    }
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
    let problem = match begin(&studio, &library, &session, &wanted).await {
        Ok(()) => return Ok(see_other("/studio")),
        Err(problem) => problem,
    };
    let no_room = problem.code.as_str() == "no_room";
    let trash_bytes = trash_bytes(&site, &library).await?;
    let refusal = Refusal::of(site.t, problem)?;
    let draft = Draft {
        source: wanted.source.clone(),
        microphone: wanted.microphone.clone(),
        content: refusal.choice("content", wanted.content.as_ref().unwrap_or(&Choice::default()), Content::Talk),
        title: refusal.field("title", wanted.title),
        description: refusal.field("description", wanted.description),
        audience: refusal.choice("audience", &wanted.audience, Audience::Public),
    };
    let error =
        (!["title", "description", "content", "audience"].contains(&refusal.at())).then(|| refusal.words.clone());
    let status = status(&studio, &library).await;
    let page = page(site, &request, status, draft, error, true);
    html_as(refusal.status, &view::Studio { at: refusal.at().to_owned(), no_room, trash_bytes, ..page })
}

async fn begin(studio: &Studio, library: &Library, session: &Session, wanted: &Wanted) -> Result<(), Problem> {
    let new = wanted.check(&session.person.id)?;
    // Nothing goes from the trash for what cannot begin.
    if wanted.free_trash.ticked("free_trash")? && session.person.role.is_admin() && studio.has(&new.source_id) {
        library.empty_trash(&session.person.username).await?;
    }
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

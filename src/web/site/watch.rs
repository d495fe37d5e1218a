//! Home and watch: what patients see.

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::admin::captions::tracks;
use super::{card, html, language_cookie, query_string, see_other};
use crate::base::clock::ticks_to_seconds;
use crate::base::terms::BroadcastState;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::imports::Imports;
use crate::media::edit::Chapter;
use crate::store::broadcasts::{Broadcast, Edit, Filter};
use crate::web::access::{self, Pins};
use crate::web::api::broadcasts::{manageable, may_manage};
use crate::web::error::{Code, Problem};
use crate::web::guard::{self, Broadcaster, Visitor};
use crate::web::i18n::Lang;
use crate::web::input::{Choice, Form};
use crate::web::live;
use crate::web::page::home::{Home, LiveCard};
use crate::web::page::watch::{Watch, WatchPin};
use crate::web::page::{Card, Field, Mark, Said, Site};

/// Recordings on one page of the library.
const PAGE: u32 = 24;
/// Recordings proposed beside a broadcast.
const MORE: u32 = 4;
/// How far behind the newest part our own page plays, seconds: nearer than PART-HOLD-BACK, which speaks to every player.
const LIVE_SYNC_S: f64 = 0.45;

/// The player's controls style themselves by attribute.
const WATCH_CSP: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
    media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'none'";

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/").route(web::get().to(home)))
        .service(resource("/watch/{id}").route(web::get().to(watch)))
        .service(resource("/watch/{id}/pin").route(web::post().to(give_pin)))
        .service(resource("/watch/{id}/keep").route(web::post().to(keep)))
        .service(resource("/language").route(web::post().to(choose_language)));
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    q: Option<String>,
    topic: Option<String>,
    after: Option<String>,
}

async fn home(
    site: Site,
    visitor: Visitor,
    studio: Data<Studio>,
    library: Data<Library>,
    search: Query<Search>,
) -> Result<HttpResponse, Problem> {
    let Search { q, topic, after } = search.into_inner();
    let query = q.unwrap_or_default().trim().to_owned();
    let topic = topic.filter(|topic| !topic.is_empty());
    let heard = access::heard(&visitor);
    let mut filter = library_filter(&visitor, PAGE + 1);
    filter.search.clone_from(&query);
    filter.heard.clone_from(&heard);
    filter.tag.clone_from(&topic);
    filter.after = after;
    let mut rows = library.list(filter).await?;
    let older = (rows.len() > PAGE as usize).then(|| rows[PAGE as usize - 1].id.clone());
    rows.truncate(PAGE as usize);
    let ids = rows.iter().filter(|row| heard.contains(&row.audience)).map(|row| row.id.clone()).collect();
    let mut said = library.said(ids, &query, site.t.code()).await?;
    let mut found = |row: &Broadcast| {
        let hit = said.remove(&row.id);
        Card { said: hit.map(|hit| Said { at_s: hit.start_ms / 1000, words: hit.text }), ..card(row) }
    };
    let page = Home {
        site,
        live: on_air(&studio, &library, &visitor).await?,
        next: Vec::new(),
        library: rows.iter().map(&mut found).collect(),
        older: older
            .map(|after| query_string(&[("after", &after), ("q", &query), ("topic", topic.as_deref().unwrap_or(""))])),
        query,
        topic,
        topics: library.tags(access::listed(&visitor)).await?,
    };
    html(&page)
}

async fn on_air(studio: &Studio, library: &Library, visitor: &Visitor) -> Result<Vec<LiveCard>, Problem> {
    let found = live::on_air(studio, library, &access::listed(visitor)).await?;
    let cards = found.iter().map(|(live, row)| LiveCard {
        id: row.id.clone(),
        title: row.title.clone(),
        started_ms: row.started_at.unwrap_or(row.created_at),
        viewers: live.viewers.count() as u64,
        thumbnail: row.has_thumbnail,
    });
    Ok(cards.collect())
}

/// Finished recordings that a visitor finds.
pub fn library_filter(visitor: &Visitor, limit: u32) -> Filter {
    let states = vec![BroadcastState::Ended];
    Filter { states, audiences: access::listed(visitor), recorded_only: true, limit, ..Filter::default() }
}

async fn watch(
    site: Site,
    visitor: Visitor,
    request: HttpRequest,
    (studio, imports): (Data<Studio>, Data<Imports>),
    library: Data<Library>,
    pins: Data<Pins>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = match access::watchable(&library, &pins, &visitor, &request, &id).await {
        Ok(broadcast) => broadcast,
        Err(problem) if problem.code == access::PIN_REQUIRED => {
            let broadcast = access::visible(&library, &visitor, &id).await?;
            return html(&pin_page(site, &broadcast, Field::default()));
        }
        Err(problem) => return Err(problem),
    };
    let live = studio.live(&broadcast.id);
    let more: Vec<Card> = library
        .list(library_filter(&visitor, MORE + 1))
        .await?
        .iter()
        .filter(|row| row.id != broadcast.id)
        .take(MORE as usize)
        .map(card)
        .collect();
    let over = broadcast.state == BroadcastState::Ended && live.is_none();
    let reading = broadcast.is_read_in().then(|| (imports.progress_of(&broadcast.id) * 100.0) as u32);
    let page = Watch {
        tracks: if over { tracks(&library, site.t, &broadcast.id).await? } else { Vec::new() },
        chapters: if over { marks(&library, &broadcast.id).await? } else { Vec::new() },
        sprite: over && library.sprite_times(&broadcast.id).await?.is_some(),
        site,
        id: broadcast.id.clone(),
        title: broadcast.title.clone(),
        description: broadcast.description.clone(),
        // What is there of a file plays as a recording does.
        state: match reading {
            Some(_) => BroadcastState::Ended,
            None => live::shown(
                live.as_ref().map_or(broadcast.state, |live| live.state.borrow().public()),
                broadcast.recorded,
            ),
        },
        reading,
        audience: broadcast.audience,
        at_ms: broadcast.started_at.unwrap_or(broadcast.created_at),
        viewers: live.map_or(0, |live| live.viewers.count() as u64),
        duration_s: ticks_to_seconds(broadcast.duration).round() as u64,
        size: broadcast.size,
        thumbnail: broadcast.has_thumbnail,
        tags: broadcast.tags.clone(),
        more,
        live_sync_s: LIVE_SYNC_S,
        recorded: broadcast.recorded,
        pin: may_pin(&visitor, &broadcast).then_some(broadcast.pinned),
    };
    let mut response = html(&page)?;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(WATCH_CSP));
    Ok(response)
}

async fn marks(library: &Library, id: &str) -> Result<Vec<Mark>, Problem> {
    let mark = |chapter: Chapter| Mark {
        at_s: format!("{}.{:03}", chapter.at_ms / 1000, chapter.at_ms % 1000),
        whole_s: chapter.at_ms / 1000,
        title: chapter.title,
    };
    Ok(library.shown_chapters(id).await?.into_iter().map(mark).collect())
}

/// Whoever may change a recording may pin it.
fn may_pin(visitor: &Visitor, broadcast: &Broadcast) -> bool {
    broadcast.recorded && visitor.0.as_ref().is_some_and(|session| may_manage(&session.person, broadcast))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Keep {
    pinned: Choice,
}

async fn keep(
    Broadcaster(session): Broadcaster,
    library: Data<Library>,
    id: Path<String>,
    form: Form<Keep>,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let edit = Edit { pinned: Some(form.take()?.pinned.yes("pinned")?), ..Edit::default() };
    library.edit(&session.person.username, &broadcast.id, edit).await?;
    Ok(see_other(&format!("/watch/{}?done=saved", broadcast.id)))
}

fn pin_page(site: Site, broadcast: &Broadcast, pin: Field) -> WatchPin {
    WatchPin { site, id: broadcast.id.clone(), title: broadcast.title.clone(), pin }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GivenPin {
    pin: String,
}

async fn give_pin(
    site: Site,
    visitor: Visitor,
    request: HttpRequest,
    library: Data<Library>,
    pins: Data<Pins>,
    id: Path<String>,
    form: Form<GivenPin>,
) -> Result<HttpResponse, Problem> {
    let broadcast = access::visible(&library, &visitor, &id).await?;
    match pins.admit(&request, &broadcast, &form.take()?.pin)? {
        Some(cookie) => {
            let mut response = see_other(&format!("/watch/{}", broadcast.id));
            response.add_cookie(&cookie).map_err(Problem::internal)?;
            Ok(response)
        }
        None => {
            let wrong = Field::wrong(String::new(), site.t.field_pin_wrong());
            let mut response = html(&pin_page(site, &broadcast, wrong))?;
            *response.status_mut() = StatusCode::FORBIDDEN;
            Ok(response)
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Chosen {
    lang: String,
    back: String,
}

async fn choose_language(form: Form<Chosen>) -> Result<HttpResponse, Problem> {
    let Chosen { lang, back } = form.take()?;
    let sentence = "There are pages in id and en.";
    let lang = Lang::parse(&lang).ok_or_else(|| Problem::new(Code::BadField("language"), sentence).field("lang"))?;
    let mut response = see_other(guard::local_path(Some(&back)));
    response.add_cookie(&language_cookie(lang)).map_err(Problem::internal)?;
    Ok(response)
}

//! The pages' handlers: they ask the services, fill a view of `page`, and answer with it. One file per page family.

mod watch;

use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::ServiceConfig;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use askama::Template;

use super::error::Problem;
use super::guard::Visitor;
use super::i18n::Lang;
use super::input::LocalFuture;
use super::page::{Card, Site, Who};
use crate::base::clock::{self, ticks_to_seconds};
use crate::store::broadcasts::Broadcast;

/// The cookie of the reader's choice of language; readable by nobody's script, and no secret.
const LANGUAGE_COOKIE: &str = "lang";

/// What the site calls itself.
const NAME: &str = "Siaran";

pub fn configure(config: &mut ServiceConfig) {
    watch::configure(config);
}

impl FromRequest for Site {
    type Error = Problem;
    type Future = LocalFuture<Result<Site, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move { Ok(site_of(&request, &visitor.await?)) })
    }
}

/// What every page shows of the request and of who sent it.
pub fn site_of(request: &HttpRequest, visitor: &Visitor) -> Site {
    let session = visitor.0.as_ref();
    Site {
        t: language(request),
        name: NAME.to_owned(),
        here: request.uri().path_and_query().map_or("/", |here| here.as_str()).to_owned(),
        who: session.map(|session| Who {
            username: session.person.username.clone(),
            broadcaster: session.person.role.can_broadcast(),
            admin: session.person.role.is_admin(),
        }),
        csrf: session.map(|session| session.csrf.clone()).unwrap_or_default(),
        now_ms: clock::wall_ms(),
        notice: None,
    }
}

pub fn language(request: &HttpRequest) -> Lang {
    let cookie = request.cookie(LANGUAGE_COOKIE);
    let accepted = request.headers().get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    Lang::choose(cookie.as_ref().map(Cookie::value), accepted)
}

/// Remembers a language for a year.
fn language_cookie(lang: Lang) -> Cookie<'static> {
    Cookie::build(LANGUAGE_COOKIE, lang.code()).path("/").http_only(true).max_age(Duration::days(365)).finish()
}

/// Answers with a page. Pages are made for one reader, so nobody keeps them.
pub fn html(page: &impl Template) -> Result<HttpResponse, Problem> {
    let text = page.render().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text))
}

pub fn card(row: &Broadcast) -> Card {
    Card {
        id: row.id.clone(),
        title: row.title.clone(),
        at_ms: row.started_at.unwrap_or(row.created_at),
        duration_s: row.ended_at.map(|_| ticks_to_seconds(row.duration).round() as u64),
        audience: row.audience,
        thumbnail: row.has_thumbnail,
    }
}

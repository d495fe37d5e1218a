//! The pages' handlers: they ask the services, fill a view of `page`, and answer with it. One file per page family.

mod account;
mod admin;
mod keys;
mod live;
mod studio;
mod upload;
pub mod watch;

use actix_web::cookie::Cookie;
use actix_web::cookie::time::Duration;
use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::ServiceConfig;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use askama::Template;
use serde::de::DeserializeOwned;

use super::error::{ErrorPages, Problem};
use super::guard::Visitor;
use super::i18n::Lang;
use super::input::{Choice, LocalFuture};
use super::page::error::{ErrorPage, Refused};
use super::page::{Card, Field, Site, Who};
use crate::base::clock::{self, ticks_to_seconds};
use crate::store::broadcasts::Broadcast;

/// The cookie of the reader's choice of language; readable by nobody's script, and no secret.
const LANGUAGE_COOKIE: &str = "lang";

/// What the site calls itself.
const NAME: &str = "Siaran";

pub fn configure(config: &mut ServiceConfig) {
    config.app_data(ErrorPages(error_page));
    watch::configure(config);
    account::configure(config);
    live::configure(config);
    studio::configure(config);
    keys::configure(config);
    upload::configure(config);
    admin::configure(config);
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
        notice: done(language(request), request.query_string()).map(str::to_owned),
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
    html_as(StatusCode::OK, page)
}

/// A page under another status: a form that comes back with what is wrong.
pub fn html_as(status: StatusCode, page: &impl Template) -> Result<HttpResponse, Problem> {
    let text = page.render().map_err(Problem::internal)?;
    Ok(HttpResponse::build(status)
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
        captioned: row.captioned,
        said: None,
    }
}

pub fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish()
}

/// `a=b&c=d` of those pairs that have a value.
pub fn query_string(pairs: &[(&str, &str)]) -> String {
    let given = pairs.iter().filter(|(_, value)| !value.is_empty());
    serde_urlencoded::to_string(given.collect::<Vec<_>>()).unwrap_or_default()
}

/// What the form before this page did: a redirect carries the word, the page says the sentence.
fn done(t: Lang, query: &str) -> Option<&'static str> {
    let word = query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
    Some(match word {
        "saved" => t.done_saved(),
        "trashed" => t.done_trashed(),
        "restored" => t.done_back(),
        "emptied" => t.done_emptied(),
        "deleted" => t.done_deleted(),
        "account" => t.done_account(),
        "account_deleted" => t.done_account_deleted(),
        "password" => t.done_password(),
        "disabled" => t.done_disabled(),
        "enabled" => t.done_enabled(),
        "key_revoked" => t.done_key_revoked(),
        "signed_out" => t.done_signed_out(),
        "edited" => t.done_edited(),
        "whole" => t.done_whole(),
        "picture" => t.done_picture(),
        "captions" => t.done_captions(),
        "captions_deleted" => t.done_captions_deleted(),
        "uploaded" => t.done_uploaded(),
        "upload_deleted" => t.done_upload_deleted(),
        "import_cancelled" => t.done_import_cancelled(),
        "import_retried" => t.done_import_retried(),
        "ladder_cancelled" => t.done_ladder_cancelled(),
        "ladder_retried" => t.done_ladder_retried(),
        "ended" => t.air_ended(),
        _ => return None,
    })
}

/// A refusal that is said on the form it concerns.
pub struct Refusal {
    pub status: StatusCode,
    pub words: String,
    field: String,
}

impl Refusal {
    /// # Errors
    /// The problem itself, when it is not one that filling the form differently would solve.
    pub fn of(t: Lang, problem: Problem) -> Result<Self, Problem> {
        let status = problem.code.status();
        let Some(words) = t.problem(problem.code.as_str()) else { return Err(problem) };
        if matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
            return Err(problem);
        }
        Ok(Self { status, words: words.to_owned(), field: problem.field.unwrap_or_default().into_owned() })
    }

    /// The field at fault; empty for none.
    pub fn at(&self) -> &str {
        &self.field
    }

    /// What was typed or chosen as `name`, with the words if the fault is there.
    pub fn field<T>(&self, name: &str, typed: impl Into<T>) -> Field<T> {
        if self.field == name { Field::wrong(typed, &self.words) } else { Field::of(typed) }
    }

    /// What was chosen as `name`, or `otherwise` where that is no option.
    pub fn choice<T: DeserializeOwned>(&self, name: &'static str, chosen: &Choice, otherwise: T) -> Field<T> {
        self.field(name, chosen.read(name).unwrap_or(otherwise))
    }
}

/// The page for a refusal. It knows the reader's language, not who is signed in: that may be what failed.
fn error_page(request: &HttpRequest, problem: &Problem, _id: &str) -> String {
    let site = site_of(request, &Visitor(None));
    let field = problem.field.as_deref().unwrap_or_default();
    let refused = Refused { code: problem.code.as_str(), field, wait_s: problem.retry_after_s };
    let page = ErrorPage::new(site, problem.code.status().as_u16(), refused);
    page.render().unwrap_or_else(|_| problem.detail.clone().into_owned())
}

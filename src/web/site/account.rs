//! Signing in and out, and the first admin.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{html, html_as, see_other};
use crate::people::{Accounts, PeopleError, SignInError};
use crate::web::cookies::{self, Purpose};
use crate::web::csrf::Newcomer;
use crate::web::error::Problem;
use crate::web::guard::{self, SignedIn};
use crate::web::input::Form;
use crate::web::page::login::Login;
use crate::web::page::setup::{SetupForm, SetupWait};
use crate::web::page::{Field, Site};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/login").route(web::get().to(login)).route(web::post().to(sign_in)))
        .service(resource("/logout").route(web::post().to(sign_out)))
        .service(resource("/setup").route(web::get().to(setup_wait)).route(web::post().to(finish_setup)))
        .service(resource("/setup/{token}").route(web::get().to(setup)));
}

#[derive(Debug, Default, Deserialize)]
struct Next {
    next: Option<String>,
}

async fn login(
    site: Site,
    request: HttpRequest,
    newcomer: Newcomer,
    query: Query<Next>,
) -> Result<HttpResponse, Problem> {
    let next = guard::local_path(query.next.as_deref()).to_owned();
    if site.who.is_some() {
        return Ok(see_other(&next));
    }
    let blank = [Field::default(), Field::default()];
    let mut response = html(&login_page(site, &newcomer, blank, None, next))?;
    response.add_cookie(&newcomer.cookie(&request)).map_err(Problem::internal)?;
    Ok(response)
}

/// `fields`: username, password.
fn login_page(site: Site, newcomer: &Newcomer, fields: [Field; 2], error: Option<String>, next: String) -> Login {
    let [username, password] = fields;
    Login { site: Site { csrf: newcomer.token.clone(), ..site }, username, password, error, next }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    username: String,
    password: String,
    next: String,
}

async fn sign_in(
    site: Site,
    request: HttpRequest,
    newcomer: Newcomer,
    accounts: Data<Accounts>,
    form: Form<Credentials>,
) -> Result<HttpResponse, Problem> {
    let Credentials { username, password, next } = form.take()?;
    let t = site.t;
    let next = guard::local_path(Some(&next)).to_owned();
    if username.is_empty() || password.is_empty() {
        let needed =
            |value: &str| Some(t.problem("required").unwrap_or_default().to_owned()).filter(|_| value.is_empty());
        let error = (needed(&username), needed(&password));
        let fields = [Field { value: username, error: error.0 }, Field { value: String::new(), error: error.1 }];
        return html_as(StatusCode::BAD_REQUEST, &login_page(site, &newcomer, fields, None, next));
    }
    let error = match begin_session(&request, &accounts, username.clone(), password, &next).await {
        Ok(response) => return response,
        Err(error) => error,
    };
    let (status, words) = match (error.retry_after_s(), &error) {
        (Some(wait), _) => (StatusCode::TOO_MANY_REQUESTS, t.login_throttled(&t.length(wait))),
        (None, SignInError::Wrong) => (StatusCode::UNAUTHORIZED, t.login_wrong().to_owned()),
        _ => return Err(error.into()),
    };
    let fields = [Field::of(username), Field::default()];
    let mut response = html_as(status, &login_page(site, &newcomer, fields, Some(words), next))?;
    if let Some(wait) = error.retry_after_s() {
        response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, wait.into());
    }
    Ok(response)
}

/// The answer that carries a new session's cookies to where somebody wanted to go; staff begin in the studio.
async fn begin_session(
    request: &HttpRequest,
    accounts: &Accounts,
    username: String,
    password: String,
    next: &str,
) -> Result<Result<HttpResponse, Problem>, SignInError> {
    let signed_in = accounts.sign_in(guard::attempt(request, username, password)).await?;
    let next = if next == "/" && signed_in.person.role.can_broadcast() { "/studio" } else { next };
    let mut response = see_other(next);
    let cookies = [
        cookies::make(request, Purpose::Session, signed_in.token),
        cookies::make(request, Purpose::Device, signed_in.device),
        cookies::remove(request, Purpose::Form),
    ];
    for cookie in &cookies {
        if let Err(error) = response.add_cookie(cookie) {
            return Ok(Err(Problem::internal(error)));
        }
    }
    Ok(Ok(response))
}

async fn sign_out(
    request: HttpRequest,
    accounts: Data<Accounts>,
    SignedIn(session): SignedIn,
) -> Result<HttpResponse, Problem> {
    accounts.sign_out(&session).await?;
    let mut response = see_other("/?done=signed_out");
    response.add_cookie(&cookies::remove(&request, Purpose::Session)).map_err(Problem::internal)?;
    Ok(response)
}

async fn setup_wait(site: Site, accounts: Data<Accounts>) -> Result<HttpResponse, Problem> {
    if accounts.needs_setup().await? { html(&SetupWait { site }) } else { Ok(see_other("/login")) }
}

async fn setup(
    site: Site,
    request: HttpRequest,
    newcomer: Newcomer,
    accounts: Data<Accounts>,
    token: Path<String>,
) -> Result<HttpResponse, Problem> {
    if !accounts.setup_admits(&token).await? {
        return setup_wait(site, accounts).await;
    }
    let blank = ["", "", ""].map(Field::of);
    let mut response = html(&setup_page(site, &newcomer, token.into_inner(), blank, None))?;
    response.add_cookie(&newcomer.cookie(&request)).map_err(Problem::internal)?;
    Ok(response)
}

/// `fields`: username, password, password once more.
fn setup_page(site: Site, newcomer: &Newcomer, token: String, fields: [Field; 3], error: Option<String>) -> SetupForm {
    let [username, password, password_again] = fields;
    let site = Site { csrf: newcomer.token.clone(), here: "/setup".to_owned(), ..site };
    SetupForm { site, token, username, password, password_again, error }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FirstAdmin {
    token: String,
    username: String,
    password: String,
    password_again: String,
}

async fn finish_setup(
    site: Site,
    request: HttpRequest,
    newcomer: Newcomer,
    accounts: Data<Accounts>,
    form: Form<FirstAdmin>,
) -> Result<HttpResponse, Problem> {
    let FirstAdmin { token, username, password, password_again } = form.take()?;
    let t = site.t;
    let words = |code| t.problem(code).unwrap_or_default();
    let typed = Field::of(username.clone());
    let refused = |fields, error| {
        html_as(StatusCode::BAD_REQUEST, &setup_page(site.clone(), &newcomer, token.clone(), fields, error))
    };
    if password != password_again {
        return refused([typed, Field::default(), Field::wrong("", words("passwords_differ"))], None);
    }
    match accounts.finish_setup(&token, username.clone(), password.clone()).await {
        Ok(_) => match begin_session(&request, &accounts, username, password, "/").await {
            Ok(response) => response,
            // The account is there; only the way in was missed.
            Err(_) => Ok(see_other("/login")),
        },
        Err(PeopleError::Invalid(invalid)) if invalid.field() == "username" => {
            refused([Field::wrong(username, words(invalid.code())), Field::default(), Field::default()], None)
        }
        Err(PeopleError::Invalid(invalid)) => {
            refused([typed, Field::wrong("", words(invalid.code())), Field::default()], None)
        }
        Err(PeopleError::SetupClosed) => {
            refused([typed, Field::default(), Field::default()], Some(words("setup_closed").to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

//! `/api/v1/session`: a token for a password, and its end.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ProblemBody;
use crate::accounts::Role;
use crate::people::{Accounts, Person};
use crate::web::cookies::{self, Purpose};
use crate::web::error::Problem;
use crate::web::guard::{self, SignedIn};
use crate::web::input::Json;

pub fn configure(config: &mut ServiceConfig) {
    config.service(web::resource("/api/v1/session").route(web::post().to(sign_in)).route(web::delete().to(sign_out)));
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    username: String,
    #[schema(format = Password)]
    password: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SessionBody {
    /// For `Authorization: Bearer TOKEN`.
    token: String,
    account: PersonBody,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonBody {
    id: String,
    username: String,
    role: Role,
}

impl From<Person> for PersonBody {
    fn from(person: Person) -> PersonBody {
        PersonBody { id: person.id, username: person.username, role: person.role }
    }
}

/// Begins a session.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = Credentials, security(()),
    responses(
        (status = 200, body = SessionBody),
        (status = 401, description = "wrong_credentials", body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too_many_attempts, with Retry-After", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub async fn sign_in(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    credentials: Json<Credentials>,
) -> Result<HttpResponse, Problem> {
    let Credentials { username, password } = credentials.take()?;
    let signed_in = accounts.sign_in(guard::attempt(&request, username, password)).await?;
    let device = cookies::make(&request, Purpose::Device, signed_in.device);
    let body = SessionBody { token: signed_in.token, account: signed_in.person.into() };
    Ok(HttpResponse::Ok().cookie(device).insert_header(("Cache-Control", "no-store")).json(body))
}

/// Ends the session of this request at once.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses(
        (status = 204, description = "The token is dead."),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn sign_out(
    request: HttpRequest,
    accounts: web::Data<Accounts>,
    SignedIn(session): SignedIn,
) -> Result<HttpResponse, Problem> {
    accounts.sign_out(&session).await?;
    Ok(HttpResponse::NoContent().cookie(cookies::remove(&request, Purpose::Session)).finish())
}

//! `/api/v1/accounts`: for admins alone.

use actix_web::HttpResponse;
use actix_web::web::{self, Path, Query, ServiceConfig};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Page, ProblemBody};
use crate::accounts::Role;
use crate::base::clock;
use crate::people::{Account, Accounts, Changes, NewAccount};
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::input::{Json, Paging};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::resource("/api/v1/accounts").route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource("/api/v1/accounts/{id}").route(web::patch().to(update)).route(web::delete().to(delete)));
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AccountBody {
    id: String,
    username: String,
    role: Role,
    disabled: bool,
    /// RFC 3339, UTC.
    created_at: String,
}

impl From<Account> for AccountBody {
    fn from(account: Account) -> AccountBody {
        AccountBody {
            id: account.id,
            username: account.username,
            role: account.role,
            disabled: account.disabled_at.is_some(),
            created_at: clock::rfc3339(account.created_at),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccountBody {
    /// 3 to 64 letters, digits, dots, hyphens and underscores; unique without regard to case.
    username: String,
    /// At least 10 characters.
    #[schema(format = Password)]
    password: String,
    role: Role,
}

/// What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChanges {
    username: Option<String>,
    #[schema(format = Password)]
    password: Option<String>,
    role: Option<Role>,
    disabled: Option<bool>,
}

/// Lists the accounts in the order of their making.
#[utoipa::path(
    get, path = "/api/v1/accounts", tag = "accounts", params(Paging),
    responses((status = 200, body = Page<AccountBody>), (status = 403, body = ProblemBody,
        content_type = "application/problem+json"))
)]
pub async fn list(
    _: Admin,
    accounts: web::Data<Accounts>,
    paging: Query<Paging>,
) -> Result<web::Json<Page<AccountBody>>, Problem> {
    let (after, limit) = paging.into_inner().check()?;
    Ok(web::Json(Page::of(accounts.list(after, limit).await?)))
}

/// Adds an account.
#[utoipa::path(
    post, path = "/api/v1/accounts", tag = "accounts", request_body = NewAccountBody,
    responses(
        (status = 201, body = AccountBody),
        (status = 400, description = "A field is unfit.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "username_taken", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    Admin(session): Admin,
    accounts: web::Data<Accounts>,
    body: Json<NewAccountBody>,
) -> Result<HttpResponse, Problem> {
    let NewAccountBody { username, password, role } = body.take()?;
    let account = accounts.create(&session.person.username, NewAccount { username, password, role }).await?;
    Ok(HttpResponse::Created().json(AccountBody::from(account)))
}

/// Changes an account. A new password or role, and disabling, end its sessions.
#[utoipa::path(
    patch, path = "/api/v1/accounts/{id}", tag = "accounts", request_body = AccountChanges,
    params(("id" = String, Path)),
    responses(
        (status = 200, body = AccountBody),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "last_admin or username_taken", body = ProblemBody,
         content_type = "application/problem+json"),
    )
)]
pub async fn update(
    Admin(session): Admin,
    accounts: web::Data<Accounts>,
    id: Path<String>,
    body: Json<AccountChanges>,
) -> Result<web::Json<AccountBody>, Problem> {
    let AccountChanges { username, password, role, disabled } = body.take()?;
    let changes = Changes { username, password, role, disabled };
    Ok(web::Json(accounts.update(&session.person.username, &id, changes).await?.into()))
}

/// Removes an account with its sessions and stream keys; its broadcasts stay.
#[utoipa::path(
    delete, path = "/api/v1/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "last_admin", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    Admin(session): Admin,
    accounts: web::Data<Accounts>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    accounts.delete(&session.person.username, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

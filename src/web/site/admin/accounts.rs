//! `/admin/accounts`: making, changing and removing accounts.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use serde::Deserialize;

use crate::people::{Accounts, Changes, NewAccount, Session};
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::input::{Choice, Form};
use crate::web::page::admin::{self as view, AccountRow, Role};
use crate::web::page::{Field, Site};
use crate::web::site::{Refusal, html, html_as, see_other};

/// More than a clinic has.
pub const ALL: u32 = 1000;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin/accounts").route(web::get().to(list)).route(web::post().to(make)))
        .service(resource("/admin/accounts/{id}/role").route(web::post().to(set_role)))
        .service(resource("/admin/accounts/{id}/password").route(web::post().to(set_password)))
        .service(resource("/admin/accounts/{id}/disable").route(web::post().to(disable)))
        .service(resource("/admin/accounts/{id}/enable").route(web::post().to(enable)))
        .service(resource("/admin/accounts/{id}/delete").route(web::post().to(delete)));
}

async fn list(Admin(session): Admin, site: Site, accounts: Data<Accounts>) -> Result<HttpResponse, Problem> {
    html(&page(site, &accounts, &session).await?)
}

async fn page(site: Site, accounts: &Accounts, session: &Session) -> Result<view::Accounts, Problem> {
    let all = accounts.list(None, ALL).await?.items;
    let is_admin = |role: Role, disabled: Option<i64>| role == Role::Admin && disabled.is_none();
    let admins = all.iter().filter(|account| is_admin(account.role, account.disabled_at)).count();
    let rows = all.into_iter().map(|account| AccountRow {
        me: account.id == session.person.id,
        last_admin: admins == 1 && is_admin(account.role, account.disabled_at),
        id: account.id,
        username: account.username,
        role: account.role,
        disabled: account.disabled_at.is_some(),
        made_ms: account.created_at,
        error: None,
        at: String::new(),
    });
    Ok(view::Accounts {
        site,
        accounts: rows.collect(),
        username: Field::default(),
        password: Field::default(),
        role: Field::of(Role::Broadcaster),
    })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct New {
    username: String,
    password: String,
    role: Choice,
}

async fn make(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    form: Form<New>,
) -> Result<HttpResponse, Problem> {
    let New { username, password, role } = form.take()?;
    let problem = match role.read("role") {
        Ok(role) => {
            let new = NewAccount { username: username.clone(), password, role };
            match accounts.create(&session.person.username, new).await {
                Ok(_) => return Ok(see_other("/admin/accounts?done=account")),
                Err(error) => error.into(),
            }
        }
        Err(problem) => problem,
    };
    let refusal = Refusal::of(site.t, problem)?;
    let page = page(site, &accounts, &session).await?;
    let (username, password) = (refusal.field("username", username), refusal.field("password", ""));
    let role = refusal.choice("role", &role, page.role.value);
    html_as(refusal.status, &view::Accounts { username, password, role, ..page })
}

/// Back to the list, or the list with what is wrong beside the account.
async fn changed(
    site: Site,
    accounts: &Accounts,
    session: &Session,
    id: &str,
    done: &str,
    result: Result<(), Problem>,
) -> Result<HttpResponse, Problem> {
    let Err(problem) = result else {
        return Ok(see_other(&format!("/admin/accounts?done={done}")));
    };
    let refusal = Refusal::of(site.t, problem)?;
    let mut page = page(site, accounts, session).await?;
    let row = page.accounts.iter_mut().find(|row| row.id == id).ok_or_else(Problem::not_found)?;
    row.at = refusal.at().to_owned();
    row.error = Some(refusal.words);
    html_as(refusal.status, &page)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewRole {
    role: Choice,
}

async fn set_role(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    id: Path<String>,
    form: Form<NewRole>,
) -> Result<HttpResponse, Problem> {
    let result = match form.take()?.role.read("role") {
        Ok(role) => {
            let changes = Changes { role: Some(role), ..Changes::default() };
            accounts.update(&session.person.username, &id, changes).await.map(drop).map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    changed(site, &accounts, &session, &id, "saved", result).await
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NewPassword {
    password: String,
}

async fn set_password(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    id: Path<String>,
    form: Form<NewPassword>,
) -> Result<HttpResponse, Problem> {
    let password = form.take()?.password;
    let result =
        accounts.reset_password(&session.person.username, &id, password).await.map(drop).map_err(Problem::from);
    changed(site, &accounts, &session, &id, "password", result).await
}

async fn disable(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let changes = Changes { disabled: Some(true), ..Changes::default() };
    let result = accounts.update(&session.person.username, &id, changes).await.map(drop).map_err(Problem::from);
    changed(site, &accounts, &session, &id, "disabled", result).await
}

async fn enable(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let changes = Changes { disabled: Some(false), ..Changes::default() };
    let result = accounts.update(&session.person.username, &id, changes).await.map(drop).map_err(Problem::from);
    changed(site, &accounts, &session, &id, "enabled", result).await
}

async fn delete(
    Admin(session): Admin,
    site: Site,
    accounts: Data<Accounts>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let result = accounts.delete(&session.person.username, &id).await.map_err(Problem::from);
    changed(site, &accounts, &session, &id, "account_deleted", result).await
}

//! `/studio/keys`: making and revoking stream keys.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{Refusal, html, html_as, see_other};
use crate::accounts::Audience;
use crate::broadcast::{Studio, source};
use crate::people::{NewKey, Person, StreamKeys};
use crate::web::api::stream_keys::rtmp_url;
use crate::web::error::Problem;
use crate::web::guard::Broadcaster;
use crate::web::input::Form;
use crate::web::page::studio::{Key, Keys, MadeKey};
use crate::web::page::{Field, Site};

/// More than an account may have.
const ALL: u32 = 1000;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/studio/keys").route(web::get().to(keys)).route(web::post().to(make)))
        .service(resource("/studio/keys/{id}/revoke").route(web::post().to(revoke)));
}

async fn keys(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    keys: Data<StreamKeys>,
    studio: Data<Studio>,
) -> Result<HttpResponse, Problem> {
    html(&page(site, &request, &keys, &studio, &session.person).await?)
}

async fn page(
    site: Site,
    request: &HttpRequest,
    keys: &StreamKeys,
    studio: &Studio,
    person: &Person,
) -> Result<Keys, Problem> {
    let sources = studio.sources();
    let rows = keys.list(person, None, ALL).await?.items.into_iter().map(|key| Key {
        connected: sources.iter().any(|one| one.id == source::publisher_source_id(&key.id)),
        id: key.id,
        label: key.label,
        auto_live: key.auto_live,
        audience: key.audience,
        created_ms: key.created_at,
        used_ms: key.used_at,
    });
    Ok(Keys {
        site,
        keys: rows.collect(),
        label: Field::default(),
        auto_live: true,
        audience: Audience::Public,
        made: None,
        rtmp_on: rtmp_url(request, "").is_some(),
    })
}

#[derive(Debug, Deserialize)]
struct Wanted {
    label: String,
    /// `1` or `0`.
    auto_live: Option<String>,
    #[serde(default)]
    audience: Audience,
}

async fn make(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    keys: Data<StreamKeys>,
    studio: Data<Studio>,
    form: Form<Wanted>,
) -> Result<HttpResponse, Problem> {
    let Wanted { label, auto_live, audience } = form.take()?;
    let auto_live = auto_live.as_deref() != Some("0");
    let made = keys.create(&session.person, NewKey { label: label.clone(), auto_live, audience }).await;
    let t = site.t;
    let page = page(site, &request, &keys, &studio, &session.person).await?;
    match made {
        Ok(made) => {
            let server = rtmp_url(&request, "").unwrap_or_default().trim_end_matches('/').to_owned();
            let shown = MadeKey { label: made.key.label, server, key: made.secret };
            html_as(StatusCode::CREATED, &Keys { made: Some(shown), ..page })
        }
        Err(error) => {
            let refusal = Refusal::of(t, error.into())?;
            html_as(refusal.status, &Keys { label: Field::wrong(label, refusal.words), auto_live, audience, ..page })
        }
    }
}

async fn revoke(
    Broadcaster(session): Broadcaster,
    keys: Data<StreamKeys>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    keys.revoke(&session.person, &id).await?;
    Ok(see_other("/studio/keys?done=key_revoked"))
}

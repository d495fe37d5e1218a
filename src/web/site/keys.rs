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
use crate::web::input::{Choice, Form};
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
        auto_live: Field::of(true),
        audience: Field::of(Audience::Public),
        made: None,
        rtmp_on: rtmp_url(request, "").is_some(),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    label: String,
    auto_live: Choice,
    audience: Choice,
}

impl Wanted {
    fn check(&self) -> Result<NewKey, Problem> {
        let (auto_live, audience) = (self.auto_live.yes("auto_live")?, self.audience.read("audience")?);
        Ok(NewKey { label: self.label.clone(), auto_live, audience })
    }
}

async fn make(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    keys: Data<StreamKeys>,
    studio: Data<Studio>,
    form: Form<Wanted>,
) -> Result<HttpResponse, Problem> {
    let wanted = form.take()?;
    let made = match wanted.check() {
        Ok(new) => keys.create(&session.person, new).await.map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    let t = site.t;
    let page = page(site, &request, &keys, &studio, &session.person).await?;
    match made {
        Ok(made) => {
            let server = rtmp_url(&request, "").unwrap_or_default().trim_end_matches('/').to_owned();
            let shown = MadeKey { label: made.key.label, server, key: made.secret };
            html_as(StatusCode::CREATED, &Keys { made: Some(shown), ..page })
        }
        Err(problem) => {
            let refusal = Refusal::of(t, problem)?;
            let auto_live = refusal.field("auto_live", wanted.auto_live.yes("auto_live").unwrap_or(true));
            let audience = refusal.choice("audience", &wanted.audience, Audience::Public);
            // That there are too many keys is told where one is named.
            let label = match refusal.at() {
                "" => Field::wrong(wanted.label, &refusal.words),
                _ => refusal.field("label", wanted.label),
            };
            html_as(refusal.status, &Keys { label, auto_live, audience, ..page })
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

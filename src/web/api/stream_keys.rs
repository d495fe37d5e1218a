//! `/api/v1/stream-keys`: a broadcaster's own, an admin's all.

use actix_web::http::uri::Authority;
use actix_web::web::{self, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Page, ProblemBody};
use crate::accounts::Audience;
use crate::base::clock;
use crate::people::{NewKey, StreamKey, StreamKeys};
use crate::web::error::Problem;
use crate::web::guard::Broadcaster;
use crate::web::input::{Json, Paging};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(web::resource("/api/v1/stream-keys").route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource("/api/v1/stream-keys/{id}").route(web::delete().to(revoke)));
}

/// The port that the RTMP server really has; as app data. Without it RTMP is off.
#[derive(Debug, Clone, Copy)]
pub struct RtmpPort(pub u16);

/// The address to publish to with `key`, as seen from the browser that asks: the host that it used itself.
pub fn rtmp_url(request: &HttpRequest, key: &str) -> Option<String> {
    let port = request.app_data::<RtmpPort>()?.0;
    let info = request.connection_info();
    let host = info.host().parse::<Authority>().ok()?;
    Some(format!("rtmp://{}:{port}/live/{key}", host.host()))
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StreamKeyBody {
    id: String,
    account_id: String,
    label: String,
    auto_live: bool,
    audience: Audience,
    /// RFC 3339, UTC.
    created_at: String,
    /// When a publisher last showed it.
    used_at: Option<String>,
}

impl From<StreamKey> for StreamKeyBody {
    fn from(key: StreamKey) -> StreamKeyBody {
        StreamKeyBody {
            id: key.id,
            account_id: key.account_id,
            label: key.label,
            auto_live: key.auto_live,
            audience: key.audience,
            created_at: clock::rfc3339(key.created_at),
            used_at: key.used_at.map(clock::rfc3339),
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStreamKey {
    /// 1 to 80 characters: what its broadcasts are called.
    label: String,
    /// Goes on air by itself when published to; else it waits in the studio as a source. Default: true.
    auto_live: Option<bool>,
    /// Of the broadcasts it starts by itself. Default: public.
    audience: Option<Audience>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedStreamKey {
    /// The secret: shown this once.
    key: String,
    /// Where to publish to, the key included; null when RTMP is off.
    rtmp_url: Option<String>,
    #[serde(flatten)]
    about: StreamKeyBody,
}

/// Lists the keys that are not revoked.
#[utoipa::path(
    get, path = "/api/v1/stream-keys", tag = "stream-keys", params(Paging),
    responses((status = 200, body = Page<StreamKeyBody>), (status = 403, body = ProblemBody,
        content_type = "application/problem+json"))
)]
pub async fn list(
    Broadcaster(session): Broadcaster,
    keys: web::Data<StreamKeys>,
    paging: Query<Paging>,
) -> Result<web::Json<Page<StreamKeyBody>>, Problem> {
    let (after, limit) = paging.into_inner().check()?;
    Ok(web::Json(Page::of(keys.list(&session.person, after, limit).await?)))
}

/// Makes a key.
#[utoipa::path(
    post, path = "/api/v1/stream-keys", tag = "stream-keys", request_body = NewStreamKey,
    responses(
        (status = 201, body = CreatedStreamKey),
        (status = 400, description = "A field is unfit.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "too_many_keys", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    request: HttpRequest,
    Broadcaster(session): Broadcaster,
    keys: web::Data<StreamKeys>,
    body: Json<NewStreamKey>,
) -> Result<HttpResponse, Problem> {
    let NewStreamKey { label, auto_live, audience } = body.take()?;
    let new = NewKey { label, auto_live: auto_live.unwrap_or(true), audience: audience.unwrap_or_default() };
    let created = keys.create(&session.person, new).await?;
    let rtmp_url = rtmp_url(&request, &created.secret);
    let body = CreatedStreamKey { key: created.secret, rtmp_url, about: created.key.into() };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(body))
}

/// Revokes a key.
#[utoipa::path(
    delete, path = "/api/v1/stream-keys/{id}", tag = "stream-keys", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody, content_type = "application/problem+json"))
)]
pub async fn revoke(
    Broadcaster(session): Broadcaster,
    keys: web::Data<StreamKeys>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    keys.revoke(&session.person, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

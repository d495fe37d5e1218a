//! `/api/v1/broadcasts/{id}/captions`: what is said in a recording, as text, one track for each language.

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ProblemBody;
use super::broadcasts::manageable;
use crate::base::clock;
use crate::library::Library;
use crate::library::captions::MOST_TRACKS;
use crate::media::captions::{self, Cue, Format};
use crate::people::Session;
use crate::store::broadcasts::Broadcast;
use crate::store::captions::Track;
use crate::web::access::{self, Pins};
use crate::web::error::{Code, Problem};
use crate::web::guard::{Broadcaster, Visitor};
use crate::web::input::{self, Raw};

/// Bytes of a body: cues as JSON are longer than as a file.
const LIMIT: usize = 4 * captions::MOST_BYTES;

pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/broadcasts/{id}/captions").route(web::get().to(list))).service(
        resource("/api/v1/broadcasts/{id}/captions/{language}")
            .route(web::put().to(put))
            .route(web::delete().to(delete)),
    );
}

/// Captions in one language.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrackBody {
    /// BCP 47.
    pub language: String,
    pub cues: u64,
    /// RFC 3339, UTC.
    pub changed_at: String,
    /// WebVTT.
    pub url: String,
}

impl TrackBody {
    fn of(id: &str, track: Track) -> TrackBody {
        TrackBody {
            url: format!("/media/{id}/captions/{}.vtt", track.language),
            language: track.language,
            cues: track.cues,
            changed_at: clock::rfc3339(track.changed_at),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TrackList {
    items: Vec<TrackBody>,
    next: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CueBody {
    /// Seconds since the recording's beginning.
    start_s: f64,
    /// Seconds, after `start_s`.
    end_s: f64,
    /// Plain text.
    text: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CuesBody {
    /// At most 20000.
    cues: Vec<CueBody>,
}

/// The captions of a broadcast, for those who may watch it.
#[utoipa::path(
    get, path = "/api/v1/broadcasts/{id}/captions", tag = "captions", params(("id" = String, Path)),
    responses((status = 200, body = TrackList), (status = 404, body = ProblemBody, content_type = "application/problem+json"))
)]
pub async fn list(
    visitor: Visitor,
    request: HttpRequest,
    library: Data<Library>,
    pins: Data<Pins>,
    id: Path<String>,
) -> Result<web::Json<TrackList>, Problem> {
    let broadcast = access::watchable(&library, &pins, &visitor, &request, &id).await?;
    let tracks = library.captions(&broadcast.id).await?;
    let items = tracks.into_iter().map(|track| TrackBody::of(&broadcast.id, track)).collect();
    Ok(web::Json(TrackList { items, next: None }))
}

/// Puts captions in the place of those in this language: a file in WebVTT or SubRip, or cues as JSON. Markup is left out.
#[utoipa::path(
    put, path = "/api/v1/broadcasts/{id}/captions/{language}", tag = "captions",
    params(("id" = String, Path), ("language" = String, Path, description = "BCP 47")),
    request_body(content((CuesBody = "application/json"), (String = "text/vtt"), (String = "application/x-subrip"))),
    responses(
        (status = 200, body = TrackBody),
        (status = 400, description = "captions_…: the first fault, with its line (of JSON: the number of the cue)",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "still_live or too_many_languages", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    library: Data<Library>,
    path: Path<(String, String)>,
    body: Raw<LIMIT>,
) -> Result<web::Json<TrackBody>, Problem> {
    let (id, language) = path.into_inner();
    let broadcast = manageable(&library, &session, &id).await?;
    let cues = read(request.content_type(), &body.take()?)?;
    let language = store(&library, &session, &broadcast, &language, cues).await?;
    let track = library.captions(&id).await?.into_iter().find(|track| track.language == language);
    Ok(web::Json(TrackBody::of(&id, track.ok_or_else(Problem::not_found)?)))
}

fn read(content_type: &str, body: &[u8]) -> Result<Vec<Cue>, Problem> {
    let cues = match content_type.to_ascii_lowercase().as_str() {
        "text/vtt" => captions::read(body, Format::WebVtt),
        "application/x-subrip" => captions::read(body, Format::SubRip),
        "application/json" => {
            let CuesBody { cues } = input::parse(body)?;
            captions::of_list(cues.into_iter().map(|cue| (ms(cue.start_s), ms(cue.end_s), cue.text)))
        }
        _ => {
            let sentence = "Captions are text/vtt, application/x-subrip or application/json.";
            return Err(Problem::new(Code::UnsupportedMediaType, sentence).field("Content-Type"));
        }
    };
    Ok(cues?)
}

/// What is before the beginning is no more a time than what is far behind the end.
fn ms(seconds: f64) -> u64 {
    if seconds >= 0.0 { (seconds * 1000.0).round() as u64 } else { u64::MAX }
}

/// Keeps captions of a broadcast that this person may change; gives the language in its usual case.
pub async fn store(
    library: &Library,
    session: &Session,
    broadcast: &Broadcast,
    language: &str,
    cues: Vec<Cue>,
) -> Result<String, Problem> {
    if !broadcast.state.is_over() {
        let sentence = "It is on air; captions can be added when it has ended.";
        return Err(Problem::new(Code::Other(StatusCode::CONFLICT, "still_live"), sentence));
    }
    let language = captions::language(language).ok_or_else(|| {
        let sentence = "A language is a tag of BCP 47, such as id or en.";
        Problem::new(Code::BadField("captions_language"), sentence).field("language")
    })?;
    if !library.put_captions(&session.person.username, &broadcast.id, &language, cues).await? {
        let sentence = format!("A recording has captions in at most {MOST_TRACKS} languages.");
        return Err(Problem::new(Code::Other(StatusCode::CONFLICT, "too_many_languages"), sentence).field("language"));
    }
    Ok(language)
}

/// Deletes the captions in one language.
#[utoipa::path(
    delete, path = "/api/v1/broadcasts/{id}/captions/{language}", tag = "captions",
    params(("id" = String, Path), ("language" = String, Path, description = "BCP 47")),
    responses((status = 204), (status = 404, body = ProblemBody, content_type = "application/problem+json"))
)]
pub async fn delete(
    Broadcaster(session): Broadcaster,
    library: Data<Library>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, language) = path.into_inner();
    let broadcast = manageable(&library, &session, &id).await?;
    let language = captions::language(&language).ok_or_else(Problem::not_found)?;
    if !library.delete_captions(&session.person.username, &broadcast.id, &language).await? {
        return Err(Problem::not_found());
    }
    Ok(HttpResponse::NoContent().finish())
}

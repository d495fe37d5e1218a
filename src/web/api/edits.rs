//! `/api/v1/broadcasts/{id}/edit` and `…/thumbnail`: what of a recording is shown, its chapters, and its picture.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ProblemBody;
use super::broadcasts::manageable;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::edit::{Edited, Wish};
use crate::media::edit::Chapter;
use crate::media::edit_wish::{self, WishError};
use crate::store::broadcasts::Broadcast;
use crate::web::error::{Code, Problem};
use crate::web::guard::Broadcaster;
use crate::web::input::Json;
use crate::web::media;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/api/v1/broadcasts/{id}/edit")
                .route(web::get().to(get))
                .route(web::put().to(put))
                .route(web::delete().to(undo)),
        )
        .service(resource("/api/v1/broadcasts/{id}/thumbnail").route(web::post().to(choose)));
}

/// A stretch of a recording. Seconds since the beginning of all that was recorded.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Stretch {
    pub from_s: f64,
    /// After `from_s`.
    pub to_s: f64,
}

/// A chapter lasts until the next one.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChapterBody {
    /// Seconds since the beginning of all that was recorded.
    pub at_s: f64,
    /// One line, 1 to 200 characters.
    pub title: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EditBody {
    /// Not all of it is shown.
    pub edited: bool,
    /// How long all that was recorded is, seconds.
    pub uncut_s: f64,
    /// How long what is shown is, seconds.
    pub duration_s: f64,
    /// What is shown, in order. Each begins with a keyframe and ends with a part.
    pub kept: Vec<Stretch>,
    pub chapters: Vec<ChapterBody>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditChanges {
    /// What is to be shown: 1 to 100 stretches in order, none over another. Left out: stays as it is.
    kept: Option<Vec<Stretch>>,
    /// At most 200, in any order. Left out: stay as they are.
    chapters: Option<Vec<ChapterBody>>,
}

impl EditBody {
    pub fn of(edited: &Edited) -> EditBody {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let stretch = |(from, to)| Stretch { from_s: seconds(from), to_s: seconds(to) };
        let mut kept: Vec<_> = edited.kept.iter().map(|kept| (kept.from_ms, kept.to_ms)).collect();
        if kept.is_empty() {
            kept.push((0, edited.uncut_ms));
        }
        let chapter = |one: &Chapter| ChapterBody { at_s: seconds(one.at_ms), title: one.title.clone() };
        EditBody {
            edited: !edited.kept.is_empty(),
            uncut_s: seconds(edited.uncut_ms),
            duration_s: seconds(edited.shown_ms()),
            kept: kept.into_iter().map(stretch).collect(),
            chapters: edited.chapters.iter().map(chapter).collect(),
        }
    }
}

impl EditChanges {
    fn check(self, uncut_ms: u64) -> Result<Wish, WishError> {
        let kept = self.kept.map(|kept| {
            let wishes: Vec<_> = (1..).zip(kept).map(|(number, kept)| (number, kept.from_s, kept.to_s)).collect();
            edit_wish::kept(&wishes, uncut_ms)
        });
        let chapters = self.chapters.map(|chapters| {
            let wishes = (1..).zip(chapters).map(|(number, chapter)| (number, chapter.at_s, chapter.title));
            edit_wish::chapters(wishes.collect(), uncut_ms)
        });
        Ok(Wish { kept: kept.transpose()?, chapters: chapters.transpose()? })
    }
}

impl From<WishError> for Problem {
    fn from(error: WishError) -> Problem {
        Problem::new(Code::BadField(error.code()), error.to_string()).field(error.field())
    }
}

/// Whether a recording can be edited: it is over, all of it is there, and nobody has thrown it away.
pub fn editable(studio: &Studio, broadcast: &Broadcast) -> Result<(), Problem> {
    let refuse = |code, sentence| Err(Problem::new(Code::Other(StatusCode::CONFLICT, code), sentence));
    if broadcast.trashed_at.is_some() {
        return refuse("in_trash", "It is in the trash. Restore it first.");
    }
    if broadcast.is_read_in() {
        return refuse("import_running", "The recording is still being made of a file.");
    }
    if !broadcast.state.is_over() || studio.live(&broadcast.id).is_some() {
        return refuse("still_live", "It is on air; it can be edited when it has ended.");
    }
    if broadcast.recorded { Ok(()) } else { refuse("not_recorded", "Nothing was recorded that could be edited.") }
}

/// What was made of a recording that can be edited.
pub async fn of(studio: &Studio, library: &Library, broadcast: &Broadcast) -> Result<Edited, Problem> {
    editable(studio, broadcast)?;
    let edited = library.edited(broadcast).await?;
    if edited.uncut_ms == 0 { Err(media::no_media()) } else { Ok(edited) }
}

/// What of a recording is shown, and its chapters, for those who may change it.
#[utoipa::path(
    get, path = "/api/v1/broadcasts/{id}/edit", tag = "edit", params(("id" = String, Path)),
    responses(
        (status = 200, body = EditBody),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "still_live, import_running, in_trash or not_recorded",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<EditBody>, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    Ok(web::Json(EditBody::of(&of(&studio, &library, &broadcast).await?)))
}

/// Says what of a recording is shown: each stretch from the keyframe nearest to its wish to the nearest end of a part. What was
/// recorded stays as it is, and can be shown again.
#[utoipa::path(
    put, path = "/api/v1/broadcasts/{id}/edit", tag = "edit", params(("id" = String, Path)), request_body = EditChanges,
    responses(
        (status = 200, description = "As it is now", body = EditBody),
        (status = 400, description = "kept_… or chapter…_…: the first fault", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "still_live, import_running, in_trash or not_recorded",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
    body: Json<EditChanges>,
) -> Result<web::Json<EditBody>, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let before = of(&studio, &library, &broadcast).await?;
    let wish = body.take()?.check(before.uncut_ms)?;
    library.put_edit(&session.person.username, &broadcast, wish).await?;
    Ok(web::Json(EditBody::of(&library.edited(&broadcast).await?)))
}

/// Shows all that was recorded again. Chapters stay.
#[utoipa::path(
    delete, path = "/api/v1/broadcasts/{id}/edit", tag = "edit", params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "as for PUT", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn undo(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    editable(&studio, &broadcast)?;
    library.undo_edit(&session.person.username, &broadcast.id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PictureBody {
    /// Seconds since the beginning of all that was recorded.
    at_s: f64,
}

/// Takes a picture of the recording for the one that stands for it: the keyframe nearest before a time.
#[utoipa::path(
    post, path = "/api/v1/broadcasts/{id}/thumbnail", tag = "edit", params(("id" = String, Path)),
    request_body = PictureBody,
    responses(
        (status = 204),
        (status = 400, description = "picture_time", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "as for PUT, or no_picture: what is there cannot be decoded",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn choose(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
    body: Json<PictureBody>,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let edited = of(&studio, &library, &broadcast).await?;
    let at_s = body.take()?.at_s;
    choose_at(&library, &session.person.username, &broadcast, &edited, Some(at_s), "at_s").await?;
    Ok(HttpResponse::NoContent().finish())
}

/// None is what is no time.
pub async fn choose_at(
    library: &Library,
    by: &str,
    broadcast: &Broadcast,
    edited: &Edited,
    at_s: Option<f64>,
    field: &'static str,
) -> Result<(), Problem> {
    let at_ms = at_s.and_then(edit_wish::ms).filter(|ms| *ms <= edited.uncut_ms).ok_or_else(|| {
        Problem::new(Code::BadField("picture_time"), "This is no time of the recording.").field(field)
    })?;
    library.choose_thumbnail(by, broadcast, at_ms).await?.map_err(|reason| {
        let code = Code::Other(StatusCode::CONFLICT, "no_picture");
        Problem::new(code, "There is no picture at this time.").field(field).because(reason)
    })
}

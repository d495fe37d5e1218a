//! `/api/v1/broadcasts` and `/api/v1/sources`: going live, ending, the library.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ladders::LadderBody;
use super::{Page, ProblemBody};
use crate::accounts::{Audience, Invalid};
use crate::base::clock::{self, ticks_to_seconds};
use crate::base::ids;
use crate::base::terms::{BroadcastState, Content, SourceKind};
use crate::broadcast::actor::Wellbeing;
use crate::broadcast::source::{Absent, Source};
use crate::broadcast::studio::{NewBroadcast, StudioError, Wish};
use crate::broadcast::{Studio, texts};
use crate::library::Library;
use crate::people::{Person, Session};
use crate::store::broadcasts::{Broadcast, Edit, Filter};
use crate::web::access;
use crate::web::error::{Code, Problem};
use crate::web::guard::{Admin, Broadcaster, Visitor};
use crate::web::input::{Json, Paging};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/sources").route(web::get().to(sources)))
        .service(resource("/api/v1/broadcasts").route(web::get().to(list)).route(web::post().to(create)))
        .service(
            resource("/api/v1/broadcasts/{id}")
                .route(web::get().to(get))
                .route(web::patch().to(update))
                .route(web::delete().to(delete)),
        )
        .service(resource("/api/v1/broadcasts/{id}/end").route(web::post().to(end)))
        .service(resource("/api/v1/broadcasts/{id}/restore").route(web::post().to(restore)));
}

/// A broadcast as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct BroadcastBody {
    pub id: String,
    pub state: BroadcastState,
    /// Why, when it failed: `no_picture`, `unusable_media`, `ended_early`, `interrupted`.
    pub failure: Option<String>,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub audience: Audience,
    /// Six digits, for staff alone.
    pub pin: Option<String>,
    pub source: String,
    pub source_kind: SourceKind,
    /// What it was encoded for; what is passed through stays as it comes.
    pub content: Content,
    pub watch_url: String,
    pub playlist_url: String,
    /// Null while it is on air.
    pub download_url: Option<String>,
    pub thumbnail_url: Option<String>,
    /// RFC 3339, UTC, as all times.
    pub created_at: String,
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub trashed_at: Option<String>,
    pub hidden: bool,
    /// Never deleted by siaran itself.
    pub pinned: bool,
    /// False: it went on air without room to record it.
    pub recorded: bool,
    /// How it is doing while it is on air; for staff.
    pub health: Option<Wellbeing>,
    /// Why there is no picture or no sound, or only half of the frames, an English sentence; for staff.
    pub reason: Option<String>,
    /// The same as a stable word, such as `camera_unavailable`, `no_encoder`, `worker_lost` or `too_busy`.
    pub reason_code: Option<&'static str>,
    /// Watching now.
    pub viewers: usize,
    /// Seconds of media.
    pub duration_s: f64,
    /// Bytes of media; final once it has ended.
    pub size: u64,
    /// Best first.
    pub renditions: Vec<RenditionBody>,
    /// Smaller renditions that are made of a recording that had one alone; for staff. Null where none were begun.
    pub ladder: Option<LadderBody>,
    pub gaps: Vec<GapBody>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct RenditionBody {
    /// RFC 6381.
    pub codecs: String,
    pub width: u32,
    pub height: u32,
    pub frame_rate: f64,
}

/// A break in the media.
#[derive(Debug, Serialize, ToSchema)]
pub struct GapBody {
    /// Position in the recording, seconds.
    pub at_s: f64,
    /// How much is missing there, seconds.
    pub lasted_s: f64,
}

/// Fills in what only the running broadcast or the index knows.
pub async fn describe(
    studio: &Studio,
    library: &Library,
    broadcast: &Broadcast,
    for_staff: bool,
) -> Result<BroadcastBody, Problem> {
    let live = studio.live(&broadcast.id);
    let trouble = live.as_ref().filter(|_| for_staff).and_then(|live| live.trouble());
    let id = &broadcast.id;
    let playlists = live.as_ref().map(|live| live.windows.with_media());
    let state = live.as_ref().map_or(broadcast.state, |live| live.state.borrow().public());
    let inits = match playlists {
        Some(playlists) => playlists.iter().filter_map(|(_, window)| window.inits.last().cloned()).collect(),
        None => library.newest_inits(id).await?,
    };
    let duration = live.as_ref().map_or(broadcast.duration, |live| live.windows.leading().duration);
    let gaps = library.gaps(id).await?;
    let ladder = if for_staff { library.ladder(id).await? } else { None };
    Ok(BroadcastBody {
        id: id.clone(),
        state,
        failure: broadcast.failure.clone(),
        title: broadcast.title.clone(),
        description: broadcast.description.clone(),
        tags: broadcast.tags.clone(),
        audience: broadcast.audience,
        pin: broadcast.pin.clone().filter(|_| for_staff),
        source: broadcast.source.clone(),
        source_kind: broadcast.source_kind,
        content: broadcast.content,
        watch_url: format!("/watch/{id}"),
        playlist_url: format!("/media/{id}/main.m3u8"),
        download_url: (state == BroadcastState::Ended && broadcast.recorded)
            .then(|| format!("/media/{id}/download.mp4")),
        thumbnail_url: broadcast.has_thumbnail.then(|| format!("/media/{id}/thumbnail.jpg")),
        created_at: clock::rfc3339(broadcast.created_at),
        started_at: broadcast.started_at.map(clock::rfc3339),
        ended_at: broadcast.ended_at.map(clock::rfc3339),
        trashed_at: broadcast.trashed_at.map(clock::rfc3339),
        hidden: broadcast.hidden,
        pinned: broadcast.pinned,
        recorded: broadcast.recorded,
        health: live.as_ref().filter(|_| for_staff).map(|live| live.wellbeing()),
        reason_code: trouble.as_ref().map(|trouble| trouble.code),
        reason: trouble.map(|trouble| trouble.detail),
        viewers: live.map_or(0, |live| live.viewers.count()),
        duration_s: ticks_to_seconds(duration),
        size: broadcast.size,
        renditions: inits
            .into_iter()
            .map(|init| RenditionBody {
                codecs: init.codecs,
                width: init.width,
                height: init.height,
                frame_rate: f64::from(init.frame_rate_milli) / 1000.0,
            })
            .collect(),
        ladder: ladder.map(Into::into),
        gaps: gaps
            .into_iter()
            .map(|gap| GapBody { at_s: ticks_to_seconds(gap.position), lasted_s: ticks_to_seconds(gap.missing) })
            .collect(),
    })
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SourceList {
    items: Vec<Source>,
    next: Option<String>,
}

/// What can go on air now.
#[utoipa::path(get, path = "/api/v1/sources", tag = "broadcasts", responses((status = 200, body = SourceList)))]
pub async fn sources(_: Broadcaster, studio: Data<Studio>) -> web::Json<SourceList> {
    web::Json(SourceList { items: studio.sources(), next: None })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBroadcastBody {
    /// 1 to 200 characters.
    title: String,
    /// A source's id.
    source: String,
    /// A microphone's id, or `none` for no sound; without it, the camera's own or the first there is.
    microphone: Option<String>,
    /// `talk` (default): people. `slides`: screen text stays legible.
    content: Option<Content>,
    /// Default: public.
    audience: Option<Audience>,
    /// At most 5000 characters.
    description: Option<String>,
    /// `required` (default): refused with `no_room` when it could not be recorded for long. `if_room`: on air all the same.
    record: Option<Wish>,
}

/// Goes live. The same account asking again for the same source is given the broadcast that is on air.
#[utoipa::path(
    post, path = "/api/v1/broadcasts", tag = "broadcasts", request_body = NewBroadcastBody,
    responses(
        (status = 201, body = BroadcastBody),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "no_source, no_such_microphone", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "source_on_air or no_room", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    body: Json<NewBroadcastBody>,
) -> Result<HttpResponse, Problem> {
    let body = body.take()?;
    let new = NewBroadcast {
        title: texts::title(&body.title)?,
        description: texts::description(&body.description.unwrap_or_default())?,
        audience: body.audience.unwrap_or_default(),
        source_id: body.source,
        microphone: body.microphone,
        content: body.content.unwrap_or_default(),
        account_id: Some(session.person.id),
        stream_key_id: None,
        recording: body.record.unwrap_or_default(),
    };
    let live = studio.go_live(new).await?;
    let broadcast = found(&library, &live.id).await?;
    let body = describe(&studio, &library, &broadcast, true).await?;
    Ok(HttpResponse::Created().insert_header(("Location", format!("/api/v1/broadcasts/{}", body.id))).json(body))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Listing {
    /// Only broadcasts in this state.
    state: Option<String>,
    /// Words to search for.
    q: Option<String>,
    /// Only with this topic.
    tag: Option<String>,
    /// `true`: what is in the trash; for admins.
    #[param(value_type = Option<bool>)]
    trashed: Option<String>,
}

/// Lists what the caller may find, newest first.
#[utoipa::path(
    get, path = "/api/v1/broadcasts", tag = "broadcasts", params(Listing, Paging),
    responses((status = 200, body = Page<BroadcastBody>))
)]
pub async fn list(
    visitor: Visitor,
    studio: Data<Studio>,
    library: Data<Library>,
    listing: Query<Listing>,
    paging: Query<Paging>,
) -> Result<web::Json<Page<BroadcastBody>>, Problem> {
    let (after, limit) = paging.into_inner().check()?;
    let Listing { state, q, tag, trashed } = listing.into_inner();
    let states = match state.as_deref() {
        None => Vec::new(),
        Some(text) => vec![BroadcastState::parse(text).ok_or_else(|| {
            let sentence = "`state` is scheduled, starting, live, ended or failed.";
            Problem::new(Code::BadField("bad_parameter"), sentence).field("state")
        })?],
    };
    let role = visitor.role();
    let trashed = match trashed.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            return Err(Problem::new(Code::BadField("bad_parameter"), "`trashed` is true or false.").field("trashed"));
        }
    };
    if trashed && !role.is_some_and(|role| role.is_admin()) {
        return Err(Problem::new(Code::Forbidden, "Only an admin looks into the trash."));
    }
    let filter = Filter {
        states,
        audiences: access::listed(&visitor),
        hidden_too: role.is_some_and(|role| role.can_broadcast()),
        recorded_only: false,
        trashed,
        search: q.unwrap_or_default(),
        heard: access::heard(&visitor),
        tag,
        after,
        limit: limit + 1,
    };
    let mut rows = library.list(filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = if more { rows.last().map(|row| row.id.clone()) } else { None };
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(describe(&studio, &library, row, role.is_some_and(|role| role.can_broadcast())).await?);
    }
    Ok(web::Json(Page { items, next }))
}

/// One broadcast.
#[utoipa::path(
    get, path = "/api/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastBody), (status = 404, body = ProblemBody, content_type = "application/problem+json"))
)]
pub async fn get(
    visitor: Visitor,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<BroadcastBody>, Problem> {
    let broadcast = access::visible(&library, &visitor, &id).await?;
    if !access::listed(&visitor).contains(&broadcast.audience) {
        return Err(Problem::not_found());
    }
    let staff = visitor.role().is_some_and(|role| role.can_broadcast());
    Ok(web::Json(describe(&studio, &library, &broadcast, staff).await?))
}

/// Ends a broadcast; it can be played to its end when this answers. Ending one that has ended changes nothing.
#[utoipa::path(
    post, path = "/api/v1/broadcasts/{id}/end", tag = "broadcasts", params(("id" = String, Path)),
    responses(
        (status = 200, body = BroadcastBody),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "not_saved_yet: it has ended, and the disk does not take its recording yet",
            body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn end(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<BroadcastBody>, Problem> {
    let visitor = Visitor(Some(session));
    access::visible(&library, &visitor, &id).await?;
    end_live(&studio, &id).await?;
    let broadcast = found(&library, &id).await?;
    Ok(web::Json(describe(&studio, &library, &broadcast, true).await?))
}

/// Ends a broadcast if it is on air.
pub async fn end_live(studio: &Studio, id: &str) -> Result<(), Problem> {
    match studio.live(id) {
        Some(live) if !live.end().await => {
            let sentence = "The broadcast has ended, but its recording cannot be saved yet; it is tried again.";
            let code = Code::Other(StatusCode::SERVICE_UNAVAILABLE, "not_saved_yet");
            Err(Problem::new(code, sentence).retry_after(5))
        }
        _ => Ok(()),
    }
}

/// Ends a broadcast if it is on air, before it is thrown away; what is still being made of a file cannot be.
pub async fn make_removable(studio: &Studio, broadcast: &Broadcast) -> Result<(), Problem> {
    if broadcast.is_read_in() {
        let sentence = "The recording is still being made of a file. Cancel that first, under Imports.";
        return Err(Problem::new(Code::Other(StatusCode::CONFLICT, "import_running"), sentence));
    }
    end_live(studio, &broadcast.id).await
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BroadcastChanges {
    title: Option<String>,
    description: Option<String>,
    /// Topics, at most 10.
    tags: Option<Vec<String>>,
    audience: Option<Audience>,
    /// Six digits.
    pin: Option<String>,
    /// Not in the library, and only staff may watch.
    hidden: Option<bool>,
    /// Never deleted by siaran itself.
    pinned: Option<bool>,
}

impl BroadcastChanges {
    fn check(self, before: Audience) -> Result<Edit, Invalid> {
        let pin = match (&self.pin, self.audience.filter(|audience| *audience != before)) {
            (Some(pin), _) if pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit()) => Some(Some(pin.clone())),
            (Some(_), _) => return Err(Invalid::Pin),
            // One that is to have a PIN gets one; one that has none any more forgets it.
            (None, Some(audience)) => Some((audience == Audience::Pin).then(ids::pin)),
            (None, None) => None,
        };
        Ok(Edit {
            title: self.title.as_deref().map(texts::title).transpose()?,
            description: self.description.as_deref().map(texts::description).transpose()?,
            tags: self.tags.map(|tags| texts::tag_list(tags.iter().map(String::as_str))).transpose()?,
            audience: self.audience,
            pin,
            hidden: self.hidden,
            pinned: self.pinned,
        })
    }
}

/// Changes texts, audience or visibility; what is left out stays.
#[utoipa::path(
    patch, path = "/api/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    request_body = BroadcastChanges,
    responses(
        (status = 200, body = BroadcastBody),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn update(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
    body: Json<BroadcastChanges>,
) -> Result<web::Json<BroadcastBody>, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let edit = body.take()?.check(broadcast.audience)?;
    library.edit(&session.person.username, &broadcast.id, edit).await?;
    let broadcast = found(&library, &id).await?;
    Ok(web::Json(describe(&studio, &library, &broadcast, true).await?))
}

/// Moves a broadcast to the trash; one that is there already is deleted for good by an admin. One on air is ended first.
#[utoipa::path(
    delete, path = "/api/v1/broadcasts/{id}", tag = "broadcasts", params(("id" = String, Path)),
    responses(
        (status = 204),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "import_running", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    make_removable(&studio, &broadcast).await?;
    let by = &session.person.username;
    if broadcast.trashed_at.is_some() {
        library.delete(by, &broadcast.id).await?;
    } else {
        library.trash(by, &broadcast.id).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

/// Takes a broadcast out of the trash.
#[utoipa::path(
    post, path = "/api/v1/broadcasts/{id}/restore", tag = "broadcasts", params(("id" = String, Path)),
    responses((status = 200, body = BroadcastBody), (status = 404, body = ProblemBody, content_type = "application/problem+json"))
)]
pub async fn restore(
    Admin(session): Admin,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<BroadcastBody>, Problem> {
    if !ids::is_id(&id) || !library.restore(&session.person.username, &id).await? {
        return Err(Problem::not_found());
    }
    let broadcast = found(&library, &id).await?;
    Ok(web::Json(describe(&studio, &library, &broadcast, true).await?))
}

/// A broadcast that this person may change: an admin any, a broadcaster their own.
pub async fn manageable(library: &Library, session: &Session, id: &str) -> Result<Arc<Broadcast>, Problem> {
    let visitor = Visitor(Some(session.clone()));
    let broadcast = access::visible(library, &visitor, id).await?;
    if may_manage(&session.person, &broadcast) {
        Ok(broadcast)
    } else {
        Err(Problem::new(Code::Forbidden, "Only an admin changes another's broadcast."))
    }
}

pub fn may_manage(person: &Person, broadcast: &Broadcast) -> bool {
    person.role.is_admin() || (person.role.can_broadcast() && broadcast.account_id.as_ref() == Some(&person.id))
}

async fn found(library: &Library, id: &str) -> Result<Arc<Broadcast>, Problem> {
    library.broadcast(id).await?.ok_or_else(Problem::not_found)
}

impl From<StudioError> for Problem {
    fn from(error: StudioError) -> Problem {
        let other = |status, code, sentence| Problem::new(Code::Other(status, code), sentence);
        match error {
            StudioError::Absent(Absent::Source) => {
                other(StatusCode::NOT_FOUND, "no_source", "This source is not there. Is it connected?").field("source")
            }
            StudioError::Absent(Absent::Microphone) => {
                let sentence = "This microphone is not there. Choose another one, or `none`.";
                other(StatusCode::NOT_FOUND, "no_such_microphone", sentence).field("microphone")
            }
            StudioError::SourceOnAir { .. } => {
                other(StatusCode::CONFLICT, "source_on_air", "This source is on air already.").field("source")
            }
            StudioError::NoRoom => {
                let sentence = "There is no room to record it. With `record` as `if_room` it goes on air all the same.";
                other(StatusCode::CONFLICT, "no_room", sentence).field("record")
            }
            StudioError::Store(error) => error.into(),
            StudioError::Recorder(error) => Problem::internal(error),
        }
    }
}

//! Files of recordings that are whole: as they are shown, and, under `/media/{id}/uncut/…`, as they were recorded, for those who
//! edit them. What is cut out is in the latter alone.

use std::sync::Arc;

use actix_web::web::{Data, Path, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};

use super::api::broadcasts::manageable;
use super::api::edits::editable;
use super::body::{self, Content};
use super::error::Problem;
use super::guard::Broadcaster;
use super::media::{self, Directives, RenditionFile, get_or_head};
use super::renditions::{self, Folder};
use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::read::{self, FileRange};
use crate::library::vod::Recording;
use crate::media::edit::{Parts, Piece};
use crate::media::playlist;
use crate::people::Session;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/media/{id}/uncut/main.m3u8").route(get_or_head().to(uncut)))
        .service(resource("/media/{id}/uncut/{folder:av[0-9]*|sound}/{file}").route(get_or_head().to(uncut_file)));
}

/// All that was recorded of a broadcast that this person may edit.
async fn all_of(studio: &Studio, library: &Library, session: &Session, id: &str) -> Result<Arc<Recording>, Problem> {
    let broadcast = manageable(library, session, id).await?;
    editable(studio, &broadcast)?;
    let recording = library.uncut(&broadcast.id, broadcast.epoch_us).await?;
    if recording.is_empty() { Err(media::no_media()) } else { Ok(recording) }
}

async fn uncut(
    Broadcaster(session): Broadcaster,
    studio: Data<Studio>,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let recording = all_of(&studio, &library, &session, &id).await?;
    let variants = renditions::recorded(&library, &recording).await;
    Ok(media::playlist_response(playlist::multivariant(&variants), media::NO_STORE))
}

async fn uncut_file(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, folder, name) = path.into_inner();
    let recording = all_of(&studio, &library, &session, &id).await?;
    let wanted = Folder::parse(&folder).zip(RenditionFile::parse(&name)).ok_or_else(Problem::not_found)?;
    file(&request, &library, &id, &recording, wanted, media::NO_STORE).await
}

/// A file of a recording that is whole.
pub async fn file(
    http: &HttpRequest,
    library: &Library,
    id: &str,
    recording: &Recording,
    (folder, file): (Folder, RenditionFile),
    scope: &str,
) -> Result<HttpResponse, Problem> {
    let rendition = folder.rendition(recording.smallest().map_or(0, |(smallest, _)| smallest));
    let (piece, cut) = match file {
        RenditionFile::Segment(msn) => (Piece { msn, parts: None }, false),
        RenditionFile::CutSegment(msn) => (Piece { msn, parts: None }, true),
        RenditionFile::Piece(msn, cut, parts) => (Piece { msn, parts: Some(parts) }, cut),
        _ => return other(http, library, id, recording, rendition, (folder, file), scope).await,
    };
    let row = recording.segment(rendition, piece, cut).ok_or_else(Problem::not_found)?;
    segment(http, id, (folder, file), library.open(&row.location)?, media::for_ever(scope)).await
}

/// What is not a segment.
pub async fn other(
    http: &HttpRequest,
    library: &Library,
    id: &str,
    recording: &Recording,
    rendition: u8,
    (folder, file): (Folder, RenditionFile),
    scope: &str,
) -> Result<HttpResponse, Problem> {
    match file {
        RenditionFile::Playlist => {
            // Nothing is to be waited for, but what makes no sense is refused as it was while live.
            Directives::parse(http.query_string())?;
            if recording.is_empty() {
                return Err(media::no_media());
            }
            let rendition = recording.renditions.get(&rendition).ok_or_else(Problem::not_found)?;
            let cache = if scope == media::NO_STORE { scope.to_owned() } else { format!("{scope}, no-cache") };
            Ok(media::playlist_response(rendition.playlist(), &cache))
        }
        RenditionFile::Init(number) => {
            let bytes = library.init(id, rendition, number).await?.ok_or_else(Problem::not_found)?;
            let tag = format!("{id}-{}-i{number}", folder.tag());
            Ok(media::memory(http, vec![folder.init(bytes)?], media::for_ever(scope), tag))
        }
        _ => Err(Problem::not_found()),
    }
}

pub async fn segment(
    http: &HttpRequest,
    id: &str,
    (folder, file): (Folder, RenditionFile),
    range: FileRange,
    cache: String,
) -> Result<HttpResponse, Problem> {
    let name = match file {
        RenditionFile::CutSegment(msn) => format!("c{msn}"),
        RenditionFile::Piece(msn, cut, Parts { first, last }) => {
            format!("{}{msn}.{first}-{last}", if cut { 'c' } else { 's' })
        }
        RenditionFile::Segment(msn) => format!("s{msn}"),
        _ => return Err(Problem::not_found()),
    };
    let tag = format!("{id}-{}-{name}", folder.tag());
    let pieces = match folder {
        Folder::Rendition(_) => vec![read::Piece::File(range)],
        Folder::Sound => folder
            .media(vec![range.whole().await.map_err(Problem::internal)?])?
            .into_iter()
            .map(read::Piece::Memory)
            .collect(),
    };
    Ok(body::answer(http, Content { pieces, media_type: media::MP4, cache, tag }))
}

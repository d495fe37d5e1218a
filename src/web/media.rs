//! `/media/{id}/…`: playlists, parts, segments, inits, thumbnails and downloads, live and afterwards at the same addresses.
//! The staff's previews have the same shape elsewhere and share what is here. What is in a playlist is decided in `media`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{FromRequest, HttpRequest, HttpResponse, Route, guard};
use bytes::Bytes;
use tokio::sync::watch;

use super::access::{self, Pins};
use super::body::{self, Content};
use super::error::{Code, Problem};
use super::guard::Visitor;
use super::input::LocalFuture;
use super::recorded;
use super::renditions::{self, Folder};
use crate::accounts::Audience;
use crate::base::clock::TIMESCALE;
use crate::broadcast::Studio;
use crate::broadcast::program::Program;
use crate::broadcast::windows::Windows;
use crate::library::Library;
use crate::library::read::Piece;
use crate::library::vod::Recording;
use crate::media::captions::{self, Cue};
use crate::media::edit::{self, Chapter, Parts};
use crate::media::playlist::{self, TARGET_DURATION, Variant};
use crate::media::reload::{self, Answer, Wanted};
use crate::media::window::Window;
use crate::store::broadcasts::Broadcast;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
pub const MP4: &str = "video/mp4";

/// The scope of what nobody may keep.
pub const NO_STORE: &str = "no-store";

/// A blocking request is given up after this: three target durations, RFC 8216bis 6.2.5.2.
const PATIENCE: Duration = Duration::from_secs(3 * TARGET_DURATION);

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/media/{id}/{folder:av[0-9]*|sound}/{file}").route(get_or_head().to(file)))
        .service(resource("/media/{id}/main.m3u8").route(get_or_head().to(multivariant)))
        .service(resource("/media/{id}/download.mp4").route(get_or_head().to(download)))
        .service(resource("/media/{id}/thumbnail.jpg").route(get_or_head().to(thumbnail)))
        .service(resource("/media/{id}/sprite.jpg").route(get_or_head().to(sprite)))
        .service(resource("/media/{id}/sprite.vtt").route(get_or_head().to(sprite_times)))
        .service(resource("/media/{id}/chapters.vtt").route(get_or_head().to(chapters)))
        .service(resource("/media/{id}/captions/{file}").route(get_or_head().to(track)));
}

/// GET, and HEAD as RFC 9110 9.3.2 wants it: the same headers, no body.
pub fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// What a request for media needs besides its address.
pub struct Request {
    studio: Data<Studio>,
    library: Data<Library>,
    pins: Data<Pins>,
    visitor: Visitor,
    http: HttpRequest,
}

impl Request {
    /// The broadcast, if this visitor may watch it.
    async fn watchable(&self, id: &str) -> Result<Arc<Broadcast>, Problem> {
        access::watchable(&self.library, &self.pins, &self.visitor, &self.http, id).await
    }
}

impl FromRequest for Request {
    type Error = actix_web::Error;
    type Future = LocalFuture<Result<Request, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        type Parts = (Data<Studio>, Data<Library>, Data<Pins>, Visitor, HttpRequest);
        let parts = Parts::from_request(request, payload);
        Box::pin(async move {
            let (studio, library, pins, visitor, http) = parts.await?;
            Ok(Request { studio, library, pins, visitor, http })
        })
    }
}

/// A file of a rendition's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenditionFile {
    Playlist,
    Init(u32),
    Segment(u64),
    /// A segment of which only the beginning was recorded.
    CutSegment(u64),
    /// Some parts of a segment, which an edited recording shows; whether only its beginning was recorded.
    Piece(u64, bool, Parts),
    Part(u64, usize),
}

impl RenditionFile {
    pub fn parse(name: &str) -> Option<RenditionFile> {
        if name == "index.m3u8" {
            return Some(RenditionFile::Playlist);
        }
        let (stem, extension) = name.rsplit_once('.')?;
        let (kind, number) = stem.split_once('-')?;
        match (kind, extension) {
            ("init", "mp4") => decimal(number).map(|number| RenditionFile::Init(number as u32)),
            ("seg" | "cut", "m4s") if number.contains('.') => {
                let (msn, parts) = number.split_once('.')?;
                let (first, last) = parts.split_once('-')?;
                let parts = Parts { first: decimal(first)? as u32, last: decimal(last)? as u32 };
                Some(RenditionFile::Piece(decimal(msn)?, kind == "cut", parts))
            }
            ("seg", "m4s") => decimal(number).map(RenditionFile::Segment),
            ("cut", "m4s") => decimal(number).map(RenditionFile::CutSegment),
            ("part", "m4s") => {
                let (msn, index) = number.split_once('.')?;
                Some(RenditionFile::Part(decimal(msn)?, decimal(index)? as usize))
            }
            _ => None,
        }
    }
}

/// Digits only, few enough for any number of ours; one spelling for each number, as caches want it.
fn decimal(text: &str) -> Option<u64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    (plain && canonical).then(|| text.parse().ok()).flatten()
}

/// `_HLS_msn`, `_HLS_part` and `_HLS_skip` (RFC 8216bis 6.2.5). Other parameters are not ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Directives {
    pub wanted: Option<Wanted>,
    pub skip: bool,
}

impl Directives {
    pub fn parse(query: &str) -> Result<Directives, Problem> {
        let (mut msn, mut part, mut skip) = (None, None, false);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match name {
                "_HLS_msn" => msn = Some(directive("_HLS_msn", value)?),
                "_HLS_part" => part = Some(directive("_HLS_part", value)?),
                "_HLS_skip" => skip = matches!(value, "YES" | "v2"),
                _ => {}
            }
        }
        let wanted = match (msn, part) {
            (Some(msn), part) => Some(Wanted { msn, part }),
            (None, Some(_)) => return Err(bad_directive("_HLS_part")),
            (None, None) => None,
        };
        Ok(Directives { wanted, skip })
    }
}

fn directive(name: &'static str, value: &str) -> Result<u64, Problem> {
    decimal(value).ok_or_else(|| bad_directive(name))
}

fn bad_directive(name: &'static str) -> Problem {
    let sentence = "_HLS_msn and _HLS_part are whole numbers, and _HLS_part needs _HLS_msn.";
    Problem::new(Code::BadField("bad_parameter"), sentence).field(name)
}

fn refuse(status: StatusCode, code: &'static str, sentence: &'static str) -> Problem {
    Problem::new(Code::Other(status, code), sentence)
}

pub fn no_media() -> Problem {
    refuse(StatusCode::NOT_FOUND, "no_media", "Nothing was recorded.")
}

pub fn not_yet() -> Problem {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "not_yet", "The source is silent; ask again.").retry_after(1)
}

/// Whether others than this browser may keep an answer.
fn scope(broadcast: &Broadcast) -> &'static str {
    let for_all = broadcast.audience == Audience::Public && !broadcast.hidden && broadcast.trashed_at.is_none();
    if for_all { "public" } else { "private" }
}

/// Bytes that never change.
pub fn for_ever(scope: &str) -> String {
    if scope == NO_STORE { scope.to_owned() } else { format!("{scope}, max-age=31536000, immutable") }
}

async fn multivariant(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    let variants = match request.studio.in_memory(&broadcast.id) {
        Some(live) => live_variants(&live.windows, &live.program).await?,
        None => renditions::recorded(&request.library, &*finished(&request, &broadcast).await?).await,
    };
    if variants.is_empty() {
        return Err(no_media());
    }
    let cache = format!("{}, max-age=1", scope(&broadcast));
    Ok(playlist_response(playlist::multivariant(&variants), &cache))
}

/// The index of a recording; for a broadcast that is about to go on after a restart, there is none yet.
async fn finished(request: &Request, broadcast: &Broadcast) -> Result<Arc<Recording>, Problem> {
    if broadcast.is_read_in() {
        let recording = request.library.growing(&broadcast.id, broadcast.epoch_us).await?;
        return if recording.is_empty() { Err(not_yet()) } else { Ok(recording) };
    }
    if !broadcast.state.is_over() {
        return Err(not_yet());
    }
    Ok(request.library.recording(&broadcast.id, broadcast.epoch_us).await?)
}

/// Waits for the first picture, as a player that came early does.
pub async fn live_variants(windows: &Windows, program: &Program) -> Result<Vec<Variant>, Problem> {
    let mut leading = windows.of(windows.leader()).ok_or_else(not_yet)?;
    until(&mut leading, |window| window.newest_part().is_some() || window.ended).await?;
    let (left_out, _) = program.status.borrow().left_out;
    Ok(renditions::live(windows, left_out).await)
}

pub fn playlist_response(playlist: Bytes, cache: &str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, PLAYLIST))
        .insert_header((header::CACHE_CONTROL, cache.to_owned()))
        .body(playlist)
}

async fn file(request: Request, path: Path<(String, String, String)>) -> Result<HttpResponse, Problem> {
    let (id, folder, name) = path.into_inner();
    let broadcast = request.watchable(&id).await?;
    let file = RenditionFile::parse(&name).ok_or_else(Problem::not_found)?;
    let folder = Folder::parse(&folder).ok_or_else(Problem::not_found)?;
    if let Some(live) = request.studio.in_memory(&broadcast.id) {
        if file == RenditionFile::Playlist {
            live.viewers.note(access::player(&request.http));
        }
        let scope = scope(&broadcast);
        let answer = from_windows(&request.http, &live.windows, folder, file, &broadcast.id, scope).await?;
        if let Some(answer) = answer {
            return Ok(answer);
        }
    }
    // Of what was edited, only what is kept can be had.
    let lately = request.studio.lately(&id).filter(|_| !broadcast.edited);
    if let (RenditionFile::Part(msn, index), Some(ended)) = (file, lately) {
        let windows = ended.windows.of(folder.rendition(ended.windows.leader()));
        let part = windows.and_then(|window| Some(window.borrow().part(msn, index)?.bytes.clone()));
        let part = folder.media(vec![part.ok_or_else(Problem::not_found)?])?;
        let tag = format!("{id}-{}-p{msn}.{index}", folder.tag());
        return Ok(memory(&request.http, part, for_ever(scope(&broadcast)), tag));
    }
    from_library(&request, &broadcast, folder, file).await
}

/// Answers from a live playlist; none where only the library has the bytes.
pub async fn from_windows(
    request: &HttpRequest,
    windows: &Windows,
    folder: Folder,
    file: RenditionFile,
    id: &str,
    scope: &str,
) -> Result<Option<HttpResponse>, Problem> {
    let Some(mut windows) = windows.of(folder.rendition(windows.leader())) else { return Ok(None) };
    let id = format!("{id}-{}", folder.tag());
    let cache = for_ever(scope);
    match file {
        RenditionFile::Playlist => live_playlist(request, windows, scope).await.map(Some),
        RenditionFile::Init(number) => {
            let init = windows.borrow().inits.get(number as usize).map(|init| init.bytes.clone());
            let init = init.map(|bytes| folder.init(bytes)).transpose()?;
            Ok(init.map(|bytes| memory(request, vec![bytes], cache, format!("{id}-i{number}"))))
        }
        RenditionFile::Segment(msn) => {
            let chunks = windows.borrow().segment(msn).map(|segment| segment.chunks());
            // A gap has no bytes, here or in the library.
            let chunks = chunks.filter(|chunks| !chunks.is_empty()).map(|chunks| folder.media(chunks)).transpose()?;
            Ok(chunks.map(|chunks| memory(request, chunks, cache, format!("{id}-s{msn}"))))
        }
        // Only the library knows of these.
        RenditionFile::CutSegment(_) | RenditionFile::Piece(..) => Ok(None),
        RenditionFile::Part(msn, index) => {
            let known = |window: &Arc<Window>| reload::part(window, msn, index) != Answer::Wait;
            let window = until(&mut windows, known).await?;
            let part = window.part(msn, index).ok_or_else(Problem::not_found)?;
            let part = folder.media(vec![part.bytes.clone()])?;
            Ok(Some(memory(request, part, cache, format!("{id}-p{msn}.{index}"))))
        }
    }
}

async fn live_playlist(
    request: &HttpRequest,
    mut windows: watch::Receiver<Arc<Window>>,
    scope: &str,
) -> Result<HttpResponse, Problem> {
    let directives = Directives::parse(request.query_string())?;
    let window = match directives.wanted {
        Some(wanted) => {
            let window = until(&mut windows, |window| reload::playlist(window, wanted) != Answer::Wait).await?;
            if reload::playlist(&window, wanted) == Answer::TooFar {
                return Err(refuse(StatusCode::BAD_REQUEST, "too_far_ahead", "The playlist is not that far yet.")
                    .field("_HLS_msn"));
            }
            window
        }
        // A player that comes early waits until it can begin; an empty playlist would cost it a second.
        None => until(&mut windows, |window| window.is_playable() || window.ended).await?,
    };
    // A reload that names what it waits for has one answer for ever; one that does not is stale after a part.
    let age = if directives.wanted.is_some() { 6 * TARGET_DURATION } else { 1 };
    let text = if directives.skip { window.delta() } else { window.playlist() };
    let cache = if scope == NO_STORE { scope.to_owned() } else { format!("{scope}, max-age={age}") };
    Ok(playlist_response(text, &cache))
}

/// The first window for which `holds`, or 503 when patience ends (RFC 8216bis 6.2.5.2).
async fn until(
    windows: &mut watch::Receiver<Arc<Window>>,
    holds: impl FnMut(&Arc<Window>) -> bool,
) -> Result<Arc<Window>, Problem> {
    match tokio::time::timeout(PATIENCE, windows.wait_for(holds)).await {
        Ok(Ok(window)) => Ok(window.clone()),
        Ok(Err(_)) | Err(_) => Err(not_yet()),
    }
}

async fn from_library(
    request: &Request,
    broadcast: &Broadcast,
    folder: Folder,
    file: RenditionFile,
) -> Result<HttpResponse, Problem> {
    let id = &broadcast.id;
    let live = request.studio.in_memory(id);
    if live.is_none() && !broadcast.is_read_in() {
        let recording = finished(request, broadcast).await?;
        return recorded::file(&request.http, &request.library, id, &recording, (folder, file), scope(broadcast)).await;
    }
    // There is one rendition at first.
    let rendition = folder.rendition(live.map_or(0, |live| live.windows.leader()));
    let (msn, cut) = match file {
        RenditionFile::Segment(msn) => (msn, false),
        RenditionFile::CutSegment(msn) => (msn, true),
        RenditionFile::Piece(..) => return Err(Problem::not_found()),
        _ => {
            let recording = match file {
                RenditionFile::Playlist => finished(request, broadcast).await?,
                _ => Arc::default(),
            };
            let scope = scope(broadcast);
            return recorded::other(&request.http, &request.library, id, &recording, rendition, (folder, file), scope)
                .await;
        }
    };
    let range = request.library.segment(id, rendition, msn, cut).await?.ok_or_else(Problem::not_found)?;
    recorded::segment(&request.http, id, (folder, file), range, for_ever(scope(broadcast))).await
}

async fn download(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    if !broadcast.state.is_over() || request.studio.live(&broadcast.id).is_some() {
        return Err(refuse(
            StatusCode::CONFLICT,
            "still_live",
            "It is on air; the download is there when it has ended.",
        ));
    }
    let download = request.library.download(&broadcast.id, broadcast.epoch_us).await?;
    let download = download.ok_or_else(no_media)?;
    let content = Content {
        pieces: download.pieces().to_vec(),
        media_type: MP4,
        cache: format!("{}, no-cache", scope(&broadcast)),
        tag: format!("{}-d{}-{:08x}", broadcast.id, download.length(), download.head),
    };
    let mut response = body::answer(&request.http, content);
    let name = header::ContentDisposition {
        disposition: header::DispositionType::Attachment,
        parameters: vec![header::DispositionParam::FilenameExt(header::ExtendedValue {
            charset: header::Charset::Ext(String::from("UTF-8")),
            language_tag: None,
            value: file_name(&broadcast).into_bytes(),
        })],
    };
    if let Ok(value) = name.to_string().parse() {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// The title as a file's name on any system.
fn file_name(broadcast: &Broadcast) -> String {
    let title: String = broadcast
        .title
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, ' ' | '-' | '_') { c } else { '_' })
        .take(80)
        .collect();
    format!("{}.mp4", title.trim())
}

async fn thumbnail(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    let jpeg = request.library.thumbnail(&broadcast.id).await?.ok_or_else(Problem::not_found)?;
    Ok(body::answer(&request.http, picture(&broadcast, jpeg, "image/jpeg")))
}

async fn sprite(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    let jpeg = request.library.sprite(&broadcast.id).await?.ok_or_else(Problem::not_found)?;
    Ok(body::answer(&request.http, picture(&broadcast, jpeg, "image/jpeg")))
}

async fn sprite_times(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    let text = request.library.sprite_times(&broadcast.id).await?.ok_or_else(Problem::not_found)?;
    Ok(body::answer(&request.http, picture(&broadcast, Bytes::from(text), "text/vtt; charset=utf-8")))
}

/// A picture of a broadcast, or what belongs to one: it may be made again.
fn picture(broadcast: &Broadcast, bytes: Bytes, media_type: &'static str) -> Content {
    Content {
        tag: format!("{}-t{:08x}", broadcast.id, crc32c::crc32c(&bytes)),
        pieces: vec![Piece::Memory(bytes)],
        media_type,
        cache: format!("{}, max-age=60", scope(broadcast)),
    }
}

/// WebVTT. What it says may be changed under the same address, so it is asked for anew each time.
async fn track(request: Request, path: Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (id, file) = path.into_inner();
    let broadcast = request.watchable(&id).await?;
    let language = file.strip_suffix(".vtt").ok_or_else(Problem::not_found)?;
    let cues = request.library.cues(&broadcast.id, language).await?.ok_or_else(Problem::not_found)?;
    let cues = edit::shown_cues(&request.library.stretches(&broadcast.id).await?, cues);
    Ok(text_track(&request.http, &broadcast, language, &cues))
}

/// The chapters of what is shown, each until the next one.
async fn chapters(request: Request, id: Path<String>) -> Result<HttpResponse, Problem> {
    let broadcast = request.watchable(&id).await?;
    let chapters = request.library.shown_chapters(&broadcast.id).await?;
    if chapters.is_empty() {
        return Err(Problem::not_found());
    }
    let end = broadcast.duration * 1000 / u64::from(TIMESCALE);
    let ends: Vec<u64> = chapters.iter().skip(1).map(|next| next.at_ms).chain([end]).collect();
    let cue = |(chapter, end): (Chapter, u64)| Cue {
        start_ms: chapter.at_ms,
        end_ms: end.max(chapter.at_ms + 1),
        text: chapter.title,
    };
    let cues: Vec<Cue> = chapters.into_iter().zip(ends).map(cue).collect();
    Ok(text_track(&request.http, &broadcast, "chapters", &cues))
}

fn text_track(http: &HttpRequest, broadcast: &Broadcast, name: &str, cues: &[Cue]) -> HttpResponse {
    let text = Bytes::from(captions::write(cues));
    let content = Content {
        tag: format!("{}-{name}-{:08x}", broadcast.id, crc32c::crc32c(&text)),
        pieces: vec![Piece::Memory(text)],
        media_type: "text/vtt; charset=utf-8",
        cache: format!("{}, no-cache", scope(broadcast)),
    };
    body::answer(http, content)
}

pub fn memory(request: &HttpRequest, chunks: Vec<Bytes>, cache: String, tag: String) -> HttpResponse {
    let pieces = chunks.into_iter().map(Piece::Memory).collect();
    body::answer(request, Content { pieces, media_type: MP4, cache, tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_one_name_each() {
        assert_eq!(RenditionFile::parse("index.m3u8"), Some(RenditionFile::Playlist));
        assert_eq!(RenditionFile::parse("init-0.mp4"), Some(RenditionFile::Init(0)));
        assert_eq!(RenditionFile::parse("seg-12.m4s"), Some(RenditionFile::Segment(12)));
        assert_eq!(RenditionFile::parse("part-3.4.m4s"), Some(RenditionFile::Part(3, 4)));
        let parts = Parts { first: 4, last: 9 };
        assert_eq!(RenditionFile::parse("seg-3.4-9.m4s"), Some(RenditionFile::Piece(3, false, parts)));
        assert_eq!(RenditionFile::parse("cut-3.4-9.m4s"), Some(RenditionFile::Piece(3, true, parts)));
        for bad in [
            "seg-012.m4s",
            "seg--1.m4s",
            "seg-.m4s",
            "seg-3.4.m4s",
            "seg-3.-9.m4s",
            "seg-3.04-9.m4s",
            "part-3.m4s",
            "seg-99999999999999999999.m4s",
            "../x",
            "seg-1.mp4",
        ] {
            assert_eq!(RenditionFile::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn directives() {
        let wanted = |query| Directives::parse(query).map(|directives| directives.wanted).ok().flatten();
        assert_eq!(wanted("_HLS_msn=3&_HLS_part=2"), Some(Wanted { msn: 3, part: Some(2) }));
        assert_eq!(wanted("_HLS_msn=3"), Some(Wanted { msn: 3, part: None }));
        assert_eq!(wanted("x=1"), None);
        assert!(Directives::parse("_HLS_msn=-1").is_err());
        assert!(Directives::parse("_HLS_part=1").is_err());
        assert!(Directives::parse("_HLS_msn=99999999999999999999").is_err());
        assert!(Directives::parse("_HLS_skip=YES").is_ok_and(|directives| directives.skip));
    }
}

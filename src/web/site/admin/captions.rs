//! `/admin/recordings/{id}/captions`: a recording's captions, from a file or as text.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};

use crate::library::Library;
use crate::media::captions::{self, CaptionsError, Format};
use crate::people::Session;
use crate::store::broadcasts::Broadcast;
use crate::web::api;
use crate::web::api::broadcasts::manageable;
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::i18n::Lang;
use crate::web::i18n::captions::{LANGUAGES, own_name};
use crate::web::multipart::Fields;
use crate::web::page::admin::CaptionsEdit;
use crate::web::page::{Field, Site, Track};
use crate::web::site::{Refusal, html, html_as, see_other};

/// What the text field of a new track begins with.
const BEGINNING: &str = "WEBVTT\n\n00:00:00.000 --> 00:00:04.000\n";

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin/recordings/{id}/captions").route(web::get().to(show_new)).route(web::post().to(save)))
        .service(resource("/admin/recordings/{id}/captions/{language}").route(web::get().to(show)))
        .service(resource("/admin/recordings/{id}/captions/{language}/delete").route(web::post().to(delete)));
}

/// The tracks of a recording, as pages name them; the reader's own language first.
pub async fn tracks(library: &Library, t: Lang, id: &str) -> Result<Vec<Track>, Problem> {
    let mut tracks: Vec<Track> = library
        .captions(id)
        .await?
        .into_iter()
        .map(|track| Track { name: own_name(&track.language).to_owned(), language: track.language, cues: track.cues })
        .collect();
    tracks.sort_by_key(|track| track.language != t.code());
    Ok(tracks)
}

fn page(site: Site, broadcast: &Broadcast, language: &str, text: Field) -> CaptionsEdit {
    CaptionsEdit {
        site,
        id: broadcast.id.clone(),
        title: broadcast.title.clone(),
        language: language.to_owned(),
        name: own_name(language).to_owned(),
        languages: Vec::new(),
        language_error: None,
        text,
    }
}

/// The languages that are offered and not there yet.
async fn missing(library: &Library, broadcast: &Broadcast) -> Result<Vec<(&'static str, &'static str)>, Problem> {
    let there = library.captions(&broadcast.id).await?;
    let is_missing = |(tag, _): &(&str, &str)| there.iter().all(|track| track.language != *tag);
    Ok(LANGUAGES.into_iter().filter(is_missing).collect())
}

async fn show_new(
    Admin(session): Admin,
    site: Site,
    library: Data<Library>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let languages = missing(&library, &broadcast).await?;
    html(&CaptionsEdit { languages, ..page(site, &broadcast, "", Field::of(BEGINNING)) })
}

async fn show(
    Admin(session): Admin,
    site: Site,
    library: Data<Library>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, language) = path.into_inner();
    let broadcast = manageable(&library, &session, &id).await?;
    let cues = library.cues(&id, &language).await?.ok_or_else(Problem::not_found)?;
    html(&page(site, &broadcast, &language, Field::of(captions::write(&cues))))
}

/// The form's `language`, and its `file`, or its `text` where no file was chosen. What is wrong is told at its line with what was
/// sent, so that nothing has to be typed again.
async fn save(
    Admin(session): Admin,
    site: Site,
    library: Data<Library>,
    id: Path<String>,
    form: Fields,
) -> Result<HttpResponse, Problem> {
    let broadcast = manageable(&library, &session, &id).await?;
    let (file, language) = (form.bytes("file"), form.text("language"));
    let sent = if file.is_empty() { form.bytes("text") } else { file };
    let (problem, line) = match keep(&library, &session, &broadcast, &language, &sent).await {
        Ok(()) => return Ok(see_other(&format!("/admin/recordings/{}?done=captions", broadcast.id))),
        Err((problem, line)) => (problem, line),
    };
    let refusal = Refusal::of(site.t, problem)?;
    let words = line.map_or(refusal.words.clone(), |line| site.t.captions_at_line(line, &refusal.words));
    let mut languages = missing(&library, &broadcast).await?;
    if languages.iter().all(|(tag, _)| *tag != language) {
        languages.clear(); // It is changed and not added.
    }
    let text = String::from_utf8_lossy(&sent).into_owned();
    // Which language it is can be chosen again, whichever was sent.
    let (text, language_error) = match refusal.at() {
        "language" => (Field::of(text), Some(words)),
        _ => (Field::wrong(text, words), None),
    };
    if language_error.is_some() {
        languages = missing(&library, &broadcast).await?;
    }
    html_as(refusal.status, &CaptionsEdit { languages, language_error, ..page(site, &broadcast, &language, text) })
}

/// Or what is wrong, and at which line.
async fn keep(
    library: &Library,
    session: &Session,
    broadcast: &Broadcast,
    language: &str,
    sent: &[u8],
) -> Result<(), (Problem, Option<usize>)> {
    let at_line = |error: CaptionsError| (error.into(), error.line());
    let cues = captions::read(sent, Format::of(sent)).map_err(at_line)?;
    let kept = api::captions::store(library, session, broadcast, language, cues).await;
    kept.map(drop).map_err(|problem| (problem, None))
}

async fn delete(
    Admin(session): Admin,
    library: Data<Library>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let (id, language) = path.into_inner();
    let broadcast = manageable(&library, &session, &id).await?;
    if !library.delete_captions(&session.person.username, &broadcast.id, &language).await? {
        return Err(Problem::not_found());
    }
    Ok(see_other(&format!("/admin/recordings/{}?done=captions_deleted", broadcast.id)))
}

//! `/admin/recordings/{id}/edit`: what of a recording is shown, its chapters, its picture.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use serde::Deserialize;

use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::edit::{Edited, Wish};
use crate::media::edit_wish::{self, WishError};
use crate::people::Session;
use crate::store::broadcasts::Broadcast;
use crate::web::api::broadcasts::manageable;
use crate::web::api::edits;
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::input::Form;
use crate::web::page::edit::RecordingCut;
use crate::web::page::{Field, Site};
use crate::web::site::{Refusal, html, html_as, see_other};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/admin/recordings/{id}/edit").route(web::get().to(show)).route(web::post().to(save)))
        .service(resource("/admin/recordings/{id}/edit/picture").route(web::post().to(picture)))
        .service(resource("/admin/recordings/{id}/edit/whole").route(web::post().to(whole)));
}

/// The recording, and what was made of it, if it can be edited.
async fn found(
    studio: &Studio,
    library: &Library,
    session: &Session,
    id: &str,
) -> Result<(Arc<Broadcast>, Edited), Problem> {
    let broadcast = manageable(library, session, id).await?;
    let edited = edits::of(studio, library, &broadcast).await?;
    Ok((broadcast, edited))
}

fn page(site: Site, broadcast: &Broadcast, edited: &Edited) -> RecordingCut {
    RecordingCut {
        site,
        id: broadcast.id.clone(),
        title: broadcast.title.clone(),
        kept: Field::of(edit_wish::write_kept(&edited.kept, edited.uncut_ms)),
        chapters: Field::of(edit_wish::write_chapters(&edited.chapters)),
        at: Field::of("0:00"),
        edited: !edited.kept.is_empty(),
        uncut_ms: edited.uncut_ms,
        shown_ms: edited.shown_ms(),
        thumbnail: broadcast.has_thumbnail,
    }
}

async fn show(
    Admin(session): Admin,
    site: Site,
    (studio, library): (Data<Studio>, Data<Library>),
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (broadcast, edited) = found(&studio, &library, &session, &id).await?;
    html(&page(site, &broadcast, &edited))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    kept: String,
    chapters: String,
}

impl Typed {
    fn read(&self, uncut_ms: u64) -> Result<Wish, WishError> {
        Ok(Wish {
            kept: Some(edit_wish::read_kept(&self.kept, uncut_ms)?),
            chapters: Some(edit_wish::read_chapters(&self.chapters, uncut_ms)?),
        })
    }
}

async fn save(
    Admin(session): Admin,
    site: Site,
    (studio, library): (Data<Studio>, Data<Library>),
    id: Path<String>,
    typed: Form<Typed>,
) -> Result<HttpResponse, Problem> {
    let (broadcast, edited) = found(&studio, &library, &session, &id).await?;
    let typed = typed.take()?;
    match typed.read(edited.uncut_ms) {
        Ok(wish) => {
            library.put_edit(&session.person.username, &broadcast, wish).await?;
            Ok(see_other(&format!("/admin/recordings/{}/edit?done=edited", broadcast.id)))
        }
        Err(error) => {
            let refusal = Refusal::of(site.t, error.into())?;
            let words = match error.number() {
                Some(line) => site.t.captions_at_line(line, &refusal.words),
                None => refusal.words.clone(),
            };
            let field = |name: &str, typed: String| {
                let typed = typed.replace("\r\n", "\n");
                if refusal.at() == name { Field::wrong(typed, &words) } else { Field::of(typed) }
            };
            let Typed { kept, chapters } = typed;
            let (kept, chapters) = (field("kept", kept), field("chapters", chapters));
            html_as(refusal.status, &RecordingCut { kept, chapters, ..page(site, &broadcast, &edited) })
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Moment {
    at: String,
}

async fn picture(
    Admin(session): Admin,
    site: Site,
    (studio, library): (Data<Studio>, Data<Library>),
    id: Path<String>,
    typed: Form<Moment>,
) -> Result<HttpResponse, Problem> {
    let (broadcast, edited) = found(&studio, &library, &session, &id).await?;
    let Moment { at } = typed.take()?;
    let by = &session.person.username;
    match edits::choose_at(&library, by, &broadcast, &edited, edit_wish::time(&at), "at").await {
        Ok(()) => Ok(see_other(&format!("/admin/recordings/{}/edit?done=picture", broadcast.id))),
        Err(problem) => {
            let refusal = Refusal::of(site.t, problem)?;
            let at = refusal.field("at", at);
            html_as(refusal.status, &RecordingCut { at, ..page(site, &broadcast, &edited) })
        }
    }
}

async fn whole(
    Admin(session): Admin,
    (studio, library): (Data<Studio>, Data<Library>),
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let (broadcast, _) = found(&studio, &library, &session, &id).await?;
    library.undo_edit(&session.person.username, &broadcast.id).await?;
    Ok(see_other(&format!("/admin/recordings/{}/edit?done=whole", broadcast.id)))
}

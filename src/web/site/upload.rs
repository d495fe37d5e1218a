//! `/studio/upload`: sending videos from a file. The page's script sends them by `/api/v1/uploads`; without it, one file goes with
//! the form.

use std::pin::Pin;

use actix_web::http::header;
use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;

use super::{Refusal, html, html_as, see_other};
use crate::library::uploads::{UploadError, Uploads};
use crate::people::Session;
use crate::web::api::uploads::pour;
use crate::web::error::Problem;
use crate::web::guard::Broadcaster;
use crate::web::multipart::{Begun, Incoming, STREAMED};
use crate::web::page::Site;
use crate::web::page::upload::{Unfinished, Upload};

/// Bytes of a form besides its file, roughly.
const AROUND: u64 = 4096;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource(STREAMED).route(web::get().to(show)).route(web::post().to(receive)))
        .service(resource("/studio/upload/{id}/delete").route(web::post().to(delete)));
}

async fn page(site: Site, uploads: &Uploads, session: &Session) -> Result<Upload, Problem> {
    let unfinished = uploads.unfinished(&session.person.id).await?;
    let unfinished = unfinished.into_iter().map(|one| Unfinished {
        id: one.id,
        name: one.name,
        length: one.length,
        offset: one.offset,
        expires_ms: one.expires,
    });
    Ok(Upload { site, most: uploads.most(), unfinished: unfinished.collect(), error: None })
}

async fn show(Broadcaster(session): Broadcaster, site: Site, uploads: Data<Uploads>) -> Result<HttpResponse, Problem> {
    html(&page(site, &uploads, &session).await?)
}

async fn receive(
    Broadcaster(session): Broadcaster,
    site: Site,
    request: HttpRequest,
    uploads: Data<Uploads>,
    form: Incoming,
) -> Result<HttpResponse, Problem> {
    let form = form.take()?;
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let about = length.unwrap_or(0_u64).saturating_sub(AROUND);
    match keep(&uploads, &session, form, about).await {
        Ok(()) => Ok(see_other("/studio/upload?done=uploaded")),
        Err(problem) => {
            let refusal = Refusal::of(site.t, problem)?;
            let page = page(site, &uploads, &session).await?;
            html_as(refusal.status, &Upload { error: Some(refusal.words), ..page })
        }
    }
}

async fn keep(uploads: &Uploads, session: &Session, form: Begun, about: u64) -> Result<(), Problem> {
    let Begun { mut form, file, .. } = form;
    let Some(file) = file else { return Err(UploadError::Empty.into()) };
    let name = file.content_disposition().and_then(|about| about.get_filename()).unwrap_or_default().to_owned();
    // So a browser sends that nothing was chosen.
    if name.is_empty() {
        return Err(UploadError::Empty.into());
    }
    let mut file = file.peekable();
    if Pin::new(&mut file).peek().await.is_none() {
        return Err(UploadError::Empty.into());
    }
    let append = uploads.begin_whole(&session.person.username, &name, about).await?;
    pour(append, file, true).await?;
    // To the end, so that the connection can be used again.
    let _ = form.next().await;
    Ok(())
}

async fn delete(
    Broadcaster(session): Broadcaster,
    uploads: Data<Uploads>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    uploads.remove(&session.person.id, &id).await?;
    Ok(see_other("/studio/upload?done=upload_deleted"))
}

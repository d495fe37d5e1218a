//! `/api/v1/uploads`: files sent in pieces that go on where they broke off, by tus 1.0.0 (tus.io) with its extensions
//! creation, expiration and termination. A file that is complete is handed over to be read in.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::HttpDate;
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Bytes, Data, Path, Payload, ServiceConfig, resource};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, guard};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use utoipa::ToSchema;

use super::ProblemBody;
use crate::base::clock;
use crate::library::uploads::{Append, Upload, UploadError, Uploads};
use crate::web::error::{Code, Problem};
use crate::web::guard::Broadcaster;

/// The version of the protocol that is spoken.
const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,expiration,termination";
const RESUMABLE: &str = "Tus-Resumable";
const OFFSET: &str = "Upload-Offset";
const LENGTH: &str = "Upload-Length";
const METADATA: &str = "Upload-Metadata";
const PIECE: &str = "application/offset+octet-stream";
/// Bytes of `Upload-Metadata`.
const MOST_METADATA: usize = 4096;
/// A body of which nothing comes for so long is given up; what came of it stays.
const STALLED: Duration = Duration::from_secs(15);

pub fn configure(config: &mut ServiceConfig) {
    let spoken = || DefaultHeaders::new().add((RESUMABLE, VERSION)).add(("Tus-Version", VERSION));
    // Where something on the way takes no other methods.
    let instead = |method: &'static str| guard::Header("x-http-method-override", method);
    config
        .service(
            resource("/api/v1/uploads")
                .route(web::method(actix_web::http::Method::OPTIONS).to(options))
                .route(web::get().to(list))
                .route(web::post().to(create))
                .wrap(spoken()),
        )
        .service(
            resource("/api/v1/uploads/{id}")
                .route(web::head().to(head))
                .route(web::patch().to(patch))
                .route(web::delete().to(delete))
                .route(web::post().guard(instead("PATCH")).to(patch))
                .route(web::post().guard(instead("DELETE")).to(delete))
                .wrap(spoken()),
        );
}

/// A file that has not come in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadBody {
    pub id: String,
    pub name: String,
    /// Bytes of the whole file.
    pub length: u64,
    /// Bytes that have come.
    pub offset: u64,
    /// When it is removed, RFC 3339, UTC; null while the box does not know the time.
    pub expires_at: Option<String>,
}

impl From<Upload> for UploadBody {
    fn from(upload: Upload) -> UploadBody {
        let Upload { id, name, length, offset, expires, .. } = upload;
        UploadBody { id, name, length, offset, expires_at: expires.map(clock::rfc3339) }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UploadList {
    items: Vec<UploadBody>,
    next: Option<String>,
}

/// Which version, extensions and largest size are spoken (tus 1.0.0).
#[utoipa::path(
    options, path = "/api/v1/uploads", tag = "uploads",
    responses((status = 204, description = "Tus-Version, Tus-Extension, Tus-Max-Size"))
)]
pub async fn options(_: Broadcaster, uploads: Data<Uploads>) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header(("Tus-Extension", EXTENSIONS))
        .insert_header(("Tus-Max-Size", uploads.most().to_string()))
        .finish()
}

/// The uploads of this account that are not complete.
#[utoipa::path(get, path = "/api/v1/uploads", tag = "uploads", responses((status = 200, body = UploadList)))]
pub async fn list(Broadcaster(session): Broadcaster, uploads: Data<Uploads>) -> Result<web::Json<UploadList>, Problem> {
    let items = uploads.unfinished(&session.person.id).await?;
    Ok(web::Json(UploadList { items: items.into_iter().map(UploadBody::from).collect(), next: None }))
}

/// Begins an upload (tus 1.0.0, creation).
#[utoipa::path(
    post, path = "/api/v1/uploads", tag = "uploads",
    params(
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Length" = u64, Header, description = "Bytes of the whole file"),
        ("Upload-Metadata" = String, Header, description = "`filename` with the name in base64; other pairs are kept"),
    ),
    responses(
        (status = 201, description = "Location is where its bytes go, Upload-Expires until when"),
        (status = 400, description = "upload_header, upload_metadata or upload_empty", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "too_many_uploads", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "tus_version", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "upload_too_large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "upload_no_room", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn create(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    uploads: Data<Uploads>,
) -> Result<HttpResponse, Problem> {
    check_version(&request)?;
    let length = number(&request, LENGTH)?;
    let metadata = header(&request, METADATA).unwrap_or_default();
    let name = filename(metadata)?;
    let person = &session.person;
    let upload = uploads.begin(&person.id, &person.username, &name, length, metadata).await?;
    let location = format!("/api/v1/uploads/{}", upload.id);
    Ok(answer(HttpResponse::Created(), &upload).insert_header(("Location", location)).finish())
}

/// How much of an upload has come (tus 1.0.0).
#[utoipa::path(
    head, path = "/api/v1/uploads/{id}", tag = "uploads",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 200, description = "Upload-Offset, Upload-Length, Upload-Metadata, Upload-Expires"),
        (status = 404, description = "upload_unknown"),
        (status = 412, description = "tus_version"),
        (status = 423, description = "upload_busy"),
    )
)]
pub async fn head(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    uploads: Data<Uploads>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    check_version(&request)?;
    let upload = uploads.find(&session.person.id, &id).await?;
    let mut response = answer(HttpResponse::Ok(), &upload);
    response
        .insert_header((OFFSET, upload.offset.to_string()))
        .insert_header((LENGTH, upload.length.to_string()))
        .insert_header(("Cache-Control", "no-store"));
    if !upload.metadata.is_empty() {
        response.insert_header((METADATA, upload.metadata.as_str()));
    }
    Ok(response.finish())
}

/// Adds bytes to an upload where it broke off (tus 1.0.0). What came of a body that breaks off stays.
#[utoipa::path(
    patch, path = "/api/v1/uploads/{id}", tag = "uploads",
    params(
        ("id" = String, Path),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Offset" = u64, Header, description = "Bytes that have come"),
    ),
    request_body(content((Vec<u8> = "application/offset+octet-stream"))),
    responses(
        (status = 204, description = "Upload-Offset, which is on the disk"),
        (status = 400, description = "upload_header or upload_broken", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "upload_unknown", body = ProblemBody, content_type = "application/problem+json"),
        (status = 408, description = "upload_stalled", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "wrong_offset", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "tus_version", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "upload_excess", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "unsupported_media_type", body = ProblemBody, content_type = "application/problem+json"),
        (status = 423, description = "upload_busy", body = ProblemBody, content_type = "application/problem+json"),
        (status = 507, description = "upload_no_room", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn patch(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    uploads: Data<Uploads>,
    id: Path<String>,
    body: Payload,
) -> Result<HttpResponse, Problem> {
    check_version(&request)?;
    if !request.content_type().eq_ignore_ascii_case(PIECE) {
        let sentence = format!("The body must be bytes of the file: Content-Type: {PIECE}.");
        return Err(Problem::new(Code::UnsupportedMediaType, sentence).field("Content-Type"));
    }
    let offset = number(&request, OFFSET)?;
    let account = &session.person.id;
    let append = uploads.append(account, &id, offset).await?;
    let offset = pour(append, body, false).await?;
    Ok(HttpResponse::NoContent().insert_header((OFFSET, offset.to_string())).finish())
}

/// Removes an upload that is not complete (tus 1.0.0, termination).
#[utoipa::path(
    delete, path = "/api/v1/uploads/{id}", tag = "uploads",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 204),
        (status = 404, description = "upload_unknown", body = ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "tus_version", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn delete(
    Broadcaster(session): Broadcaster,
    request: HttpRequest,
    uploads: Data<Uploads>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    check_version(&request)?;
    uploads.remove(&session.person.id, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Hands a body's bytes to an upload until it ends, breaks off or stalls; `whole` says that its end is the file's. How many bytes
/// the upload has then.
pub async fn pour<E: fmt::Display>(
    append: Append,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    whole: bool,
) -> Result<u64, UploadError> {
    let fault = loop {
        let next = tokio::select! {
            () = append.stopped() => break Some(UploadError::Unknown),
            next = tokio::time::timeout(STALLED, body.next()) => next,
        };
        match next {
            Err(_) => break Some(UploadError::Stalled),
            Ok(Some(Err(error))) => break Some(UploadError::Broken(error.to_string())),
            Ok(Some(Ok(bytes))) => {
                if !append.write(bytes).await {
                    break None;
                }
            }
            Ok(None) => {
                if whole {
                    append.end().await;
                }
                break None;
            }
        }
    };
    let written = append.finish().await;
    match fault {
        Some(fault) => Err(fault),
        None => written,
    }
}

fn answer(mut response: HttpResponseBuilder, upload: &Upload) -> HttpResponseBuilder {
    let expires = upload.expires.and_then(|ms| u64::try_from(ms).ok());
    if let Some(ms) = expires.filter(|_| upload.offset < upload.length) {
        let date = HttpDate::from(UNIX_EPOCH + Duration::from_millis(ms));
        response.insert_header(("Upload-Expires", date.to_string()));
    }
    response
}

fn check_version(request: &HttpRequest) -> Result<(), Problem> {
    if header(request, RESUMABLE) == Some(VERSION) {
        return Ok(());
    }
    let sentence = "Uploads are by tus 1.0.0: send Tus-Resumable: 1.0.0.";
    Err(Problem::new(Code::Other(StatusCode::PRECONDITION_FAILED, "tus_version"), sentence).field(RESUMABLE))
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn number(request: &HttpRequest, name: &'static str) -> Result<u64, Problem> {
    let digits = header(request, name).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| {
        let sentence = format!("{name} is a whole number of bytes.");
        Problem::new(Code::BadField("upload_header"), sentence).field(name)
    })
}

/// The value of `filename` in `Upload-Metadata`: pairs with commas between, each a key and, behind a space, base64.
fn filename(metadata: &str) -> Result<String, Problem> {
    let bad = |sentence: &'static str| Problem::new(Code::BadField("upload_metadata"), sentence).field(METADATA);
    if metadata.len() > MOST_METADATA {
        return Err(bad("Upload-Metadata is too long."));
    }
    let mut name = None;
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        let value = STANDARD.decode(value.trim()).map_err(|_| bad("A value of Upload-Metadata is not base64."))?;
        if key == "filename" {
            let text = String::from_utf8(value).map_err(|_| bad("The filename of Upload-Metadata is not UTF-8."))?;
            name.get_or_insert(text);
        }
    }
    name.filter(|name| !name.trim().is_empty()).ok_or_else(|| bad("Upload-Metadata has no filename."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_found_among_metadata() {
        let name = |metadata: &str| filename(metadata).map_err(|problem| problem.code.as_str());
        assert_eq!(name("filename YS5tcDQ="), Ok("a.mp4".to_owned()));
        assert_eq!(name("is_private, filetype dmlkZW8vbXA0 ,filename YS5tcDQ=,"), Ok("a.mp4".to_owned()));
        for bad in
            ["", "filename", "filename IA==", "filename a.mp4", "filename /w==", "name YS5tcDQ=", "x !,filename YQ=="]
        {
            assert_eq!(name(bad), Err("upload_metadata"), "{bad}");
        }
        assert_eq!(name(&format!("filename YS5tcDQ=,x {}", "A".repeat(5000))), Err("upload_metadata"));
    }
}

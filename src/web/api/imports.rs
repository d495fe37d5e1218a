//! `/api/v1/imports`: files that are read in, and what came of them.

use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Page, ProblemBody};
use crate::base::clock;
use crate::base::terms::ImportState;
use crate::library::imports::{Imports, Listed};
use crate::web::error::Problem;
use crate::web::guard::Admin;
use crate::web::input::Paging;

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/imports").route(web::get().to(list)))
        .service(resource("/api/v1/imports/{id}/cancel").route(web::post().to(cancel)))
        .service(resource("/api/v1/imports/{id}/retry").route(web::post().to(retry)));
}

/// A file from the import folder.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportBody {
    pub id: String,
    /// The file's name, as it came.
    pub name: String,
    /// Bytes.
    pub size: u64,
    pub state: ImportState,
    /// How much of it is read in, 0 to 1.
    pub progress: f64,
    /// Why it waits (`import_no_room`) or was refused (`import_empty`, `import_no_media`, `import_unsupported`, `import_damaged`,
    /// `import_too_long`, `import_changed`, `import_gone`, `import_crashed`, `import_stalled`, `import_failed`), or what is missing of
    /// what is done (`import_incomplete`).
    pub reason: Option<String>,
    /// The recording, also while it is being made: then what there is of it can be played.
    pub broadcast_id: Option<String>,
    /// RFC 3339, UTC.
    pub added_at: String,
    pub ended_at: Option<String>,
}

impl From<Listed> for ImportBody {
    fn from(Listed { import, progress }: Listed) -> ImportBody {
        ImportBody {
            broadcast_id: import.broadcast_id,
            id: import.id,
            name: import.name,
            size: import.size,
            state: import.state,
            progress,
            reason: import.reason,
            added_at: clock::rfc3339(import.added_at),
            ended_at: import.ended_at.map(clock::rfc3339),
        }
    }
}

/// Lists the files that were put into the import folder, newest first.
#[utoipa::path(
    get, path = "/api/v1/imports", tag = "imports", params(Paging), responses((status = 200, body = Page<ImportBody>))
)]
pub async fn list(
    _: Admin,
    imports: Data<Imports>,
    paging: Query<Paging>,
) -> Result<web::Json<Page<ImportBody>>, Problem> {
    let (after, limit) = paging.into_inner().check()?;
    let mut found = imports.list(after, limit).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| last.import.id.clone());
    Ok(web::Json(Page { items: found.into_iter().map(Into::into).collect(), next }))
}

/// Gives a file up that waits or is being read in. It is kept, and can be tried again.
#[utoipa::path(
    post, path = "/api/v1/imports/{id}/cancel", tag = "imports", params(("id" = String, Path)),
    responses(
        (status = 200, body = ImportBody, description = "It is given up, or about to be."),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "import_over", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    Admin(session): Admin,
    imports: Data<Imports>,
    id: Path<String>,
) -> Result<web::Json<ImportBody>, Problem> {
    imports.cancel(&session.person.username, &id).await?;
    one(&imports, &id).await
}

/// Has another try at a file that was refused or cancelled.
#[utoipa::path(
    post, path = "/api/v1/imports/{id}/retry", tag = "imports", params(("id" = String, Path)),
    responses(
        (status = 200, body = ImportBody),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "import_not_refused or import_gone", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    Admin(session): Admin,
    imports: Data<Imports>,
    id: Path<String>,
) -> Result<web::Json<ImportBody>, Problem> {
    imports.retry(&session.person.username, &id).await?;
    one(&imports, &id).await
}

async fn one(imports: &Imports, id: &str) -> Result<web::Json<ImportBody>, Problem> {
    let found = imports.get(id).await?.ok_or_else(Problem::not_found)?;
    Ok(web::Json(found.into()))
}

//! `/api/v1/broadcasts/{id}/ladder`: smaller renditions that are made of a recording; giving them up, trying again.

use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use serde::Serialize;
use utoipa::ToSchema;

use super::ProblemBody;
use crate::base::terms::LadderState;
use crate::library::Library;
use crate::library::ladders::Standing;
use crate::web::access;
use crate::web::error::Problem;
use crate::web::guard::{Admin, Visitor};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/broadcasts/{id}/ladder/cancel").route(web::post().to(cancel)))
        .service(resource("/api/v1/broadcasts/{id}/ladder/retry").route(web::post().to(retry)));
}

/// Smaller renditions of a recording, which are shown when all are complete.
#[derive(Debug, Serialize, ToSchema)]
pub struct LadderBody {
    pub state: LadderState,
    /// How much of them is made, 0 to 1.
    pub progress: f64,
    /// Why it failed: `ladder_crashed`, `ladder_damaged`.
    pub reason: Option<String>,
}

impl From<Standing> for LadderBody {
    fn from(Standing { state, progress, reason }: Standing) -> LadderBody {
        LadderBody { state, progress, reason }
    }
}

/// Gives up the smaller renditions that are being made of a recording. What there is of them is removed.
#[utoipa::path(
    post, path = "/api/v1/broadcasts/{id}/ladder/cancel", tag = "broadcasts", params(("id" = String, Path)),
    responses(
        (status = 200, body = LadderBody),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "ladder_not_working", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(
    Admin(session): Admin,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<Option<LadderBody>>, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    library.cancel_ladder(&by, &broadcast.id).await?;
    Ok(web::Json(library.ladder(&broadcast.id).await?.map(Into::into)))
}

/// Has another try at smaller renditions that could not be made or were given up. Null, until it has begun.
#[utoipa::path(
    post, path = "/api/v1/broadcasts/{id}/ladder/retry", tag = "broadcasts", params(("id" = String, Path)),
    responses(
        (status = 200, body = Option<LadderBody>),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "ladder_not_failed", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub async fn retry(
    Admin(session): Admin,
    library: Data<Library>,
    id: Path<String>,
) -> Result<web::Json<Option<LadderBody>>, Problem> {
    let by = session.person.username.clone();
    let broadcast = access::visible(&library, &Visitor(Some(session)), &id).await?;
    library.retry_ladder(&by, &broadcast.id).await?;
    Ok(web::Json(library.ladder(&broadcast.id).await?.map(Into::into)))
}

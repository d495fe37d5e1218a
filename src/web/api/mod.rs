//! REST under `/api/v1`: JSON in, JSON out, the same services underneath as the pages.

pub mod accounts;
pub mod broadcasts;
pub mod captions;
pub mod edits;
pub mod imports;
pub mod ladders;
pub mod session;
pub mod storage;
pub mod stream_keys;
pub mod uploads;

use actix_web::web::{self, resource};
use serde::Serialize;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The `after` of the next page; null on the last.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// With each item as the API shows it.
    pub fn of<S: Into<T>>(page: crate::people::Page<S>) -> Page<T> {
        Page { items: page.items.into_iter().map(Into::into).collect(), next: page.next }
    }
}

/// RFC 9457, as every refusal is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    pub r#type: String,
    pub title: String,
    pub status: u16,
    /// A stable word for programs.
    pub code: String,
    pub detail: String,
    /// The field or parameter at fault.
    pub field: Option<String>,
    pub request_id: Option<String>,
}

/// The whole of `/api/v1/openapi.json`.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    session::sign_in,
    session::sign_out,
    accounts::list,
    accounts::create,
    accounts::update,
    accounts::delete,
    stream_keys::list,
    stream_keys::create,
    stream_keys::revoke,
    broadcasts::sources,
    broadcasts::create,
    broadcasts::list,
    broadcasts::get,
    broadcasts::end,
    broadcasts::update,
    broadcasts::delete,
    broadcasts::restore,
    captions::list,
    captions::put,
    captions::delete,
    edits::get,
    edits::put,
    edits::undo,
    edits::choose,
    uploads::options,
    uploads::list,
    uploads::create,
    uploads::head,
    uploads::patch,
    uploads::delete,
    imports::list,
    imports::cancel,
    imports::retry,
    ladders::cancel,
    ladders::retry,
    storage::storage,
    storage::set_retention,
    storage::empty_trash,
))]
pub struct Api;

/// Adds every route of the API and its description.
pub fn configure(config: &mut actix_web::web::ServiceConfig) {
    config.service(resource("/api/v1/openapi.json").route(web::get().to(openapi)));
    session::configure(config);
    accounts::configure(config);
    broadcasts::configure(config);
    captions::configure(config);
    edits::configure(config);
    imports::configure(config);
    ladders::configure(config);
    stream_keys::configure(config);
    storage::configure(config);
    uploads::configure(config);
}

async fn openapi() -> web::Json<utoipa::openapi::OpenApi> {
    web::Json(<Api as utoipa::OpenApi>::openapi())
}

#[cfg(test)]
mod tests;

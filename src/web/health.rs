//! `/healthz`: for a watchdog and for whoever asks how the box is. It tells nothing that a stranger should not know.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig, resource};
use serde_json::json;

use crate::broadcast::Studio;
use crate::broadcast::actor::Wellbeing;
use crate::library::Library;

pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/healthz").route(web::get().to(health)));
}

async fn health(studio: Data<Studio>, library: Data<Library>) -> HttpResponse {
    let on_air = studio.on_air().borrow().clone();
    let mut alarms = Vec::new();
    if on_air.values().any(|live| live.wellbeing() == Wellbeing::RecordingPaused) {
        alarms.push("recording_paused");
    }
    if let Err(error) = library.check().await {
        tracing::error!(%error, "health check");
        alarms.push(error.code());
    }
    let body = json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "on_air": on_air.len(),
        "alarms": alarms,
    });
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(body)
}

//! `/healthz`: for a watchdog and for whoever asks how the box is. It tells nothing that a stranger should not know.

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig, resource};
use serde_json::json;

use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::space::Fault;

pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/healthz").route(web::get().to(health)));
}

async fn health(studio: Data<Studio>, library: Data<Library>) -> HttpResponse {
    let on_air = studio.on_air().borrow().clone();
    let mut alarms = Vec::new();
    if on_air.values().any(|live| live.recording_paused()) {
        alarms.push("recording_paused");
    }
    alarms.extend(library.fault().map(Fault::code));
    match library.damaged().await {
        Ok(0) => {}
        Ok(_) => alarms.push("recording_damaged"),
        Err(error) => {
            tracing::error!(%error, "health check");
            if !alarms.contains(&error.code()) {
                alarms.push(error.code());
            }
        }
    }
    let body = json!({
        // Something works, or there would be no answer at all.
        "status": if alarms.is_empty() { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "on_air": on_air.len(),
        "alarms": alarms,
    });
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(body)
}

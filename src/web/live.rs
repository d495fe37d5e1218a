//! What pages learn while they are open: a broadcast's state and viewers, and what is on air.

use std::time::Duration;

use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::access::{self, Pins};
use super::error::Problem;
use super::events::{self, Events};
use super::guard::Visitor;
use crate::base::clock::ticks_to_seconds;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::store::broadcasts::Broadcast;

/// Viewers are counted this often.
const COUNT_EVERY: Duration = Duration::from_secs(2);

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/watch/{id}/events").route(web::get().to(watch)))
        .service(resource("/live/events").route(web::get().to(on_air)));
}

/// `state` whenever something of the broadcast changes; the last one tells that it is a recording.
async fn watch(
    visitor: Visitor,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
    pins: Data<Pins>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = access::watchable(&library, &pins, &visitor, &request, &id).await?;
    Ok(events::stream(move |events| async move {
        tell_state(&events, &studio, &library, &broadcast).await;
        // A stream that ended would be asked for again and again.
        events.closed().await;
    }))
}

async fn tell_state(events: &Events, studio: &Studio, library: &Library, broadcast: &Broadcast) {
    let id = &broadcast.id;
    let Some(live) = studio.live(id) else {
        let row = library.broadcast(id).await.ok().flatten();
        let row = row.as_deref().unwrap_or(broadcast);
        let data = json!({
            "state": row.state, "viewers": 0, "title": row.title, "duration_s": ticks_to_seconds(row.duration),
        });
        events.send("state", &data).await;
        return;
    };
    let mut state = live.state.clone();
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    let mut last = None;
    loop {
        let now = *state.borrow_and_update();
        let title = library.broadcast(id).await.ok().flatten().map(|row| row.title.clone());
        let said = (now.public(), live.viewers.count(), title);
        if last.as_ref() != Some(&said) {
            let duration = ticks_to_seconds(live.window.borrow().duration);
            let data = json!({ "state": said.0, "viewers": said.1, "title": said.2, "duration_s": duration });
            if !events.send("state", &data).await {
                return;
            }
            last = Some(said);
        }
        if now.is_final() {
            return;
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {}
            () = events.closed() => return,
        }
    }
}

/// `live` with the broadcast that `/live` shows, at once and at each change.
async fn on_air(visitor: Visitor, studio: Data<Studio>, library: Data<Library>) -> HttpResponse {
    events::stream(move |events| async move {
        let mut changes = studio.on_air();
        let mut last = None;
        loop {
            changes.borrow_and_update();
            let now = newest(&studio, &library, &visitor).await;
            if last.as_ref() != Some(&now) {
                let url = now.as_ref().map(|id| format!("/watch/{id}"));
                if !events.send("live", &json!({ "id": now, "url": url })).await {
                    return;
                }
                last = Some(now);
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = events.closed() => return,
            }
        }
    })
}

/// The newest broadcast on air that this visitor may find.
pub async fn newest(studio: &Studio, library: &Library, visitor: &Visitor) -> Option<String> {
    let audiences = access::listed(visitor);
    let mut newest: Option<std::sync::Arc<Broadcast>> = None;
    let on_air = studio.on_air().borrow().clone();
    for live in on_air.values().filter(|live| !live.is_ending()) {
        let Ok(Some(row)) = library.broadcast(&live.id).await else { continue };
        let listed = audiences.contains(&row.audience) && !row.hidden && row.trashed_at.is_none();
        if listed && newest.as_ref().is_none_or(|newest| row.created_at > newest.created_at) {
            newest = Some(row);
        }
    }
    newest.map(|row| row.id.clone())
}

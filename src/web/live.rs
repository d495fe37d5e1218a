//! What pages learn while they are open: a broadcast's state and viewers, and what is on air.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, Path, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;
use tokio::sync::watch;

use super::access::{self, Pins};
use super::error::Problem;
use super::events::{self, CHECK_EVERY, Events};
use super::guard::Visitor;
use crate::accounts::Audience;
use crate::base::clock::ticks_to_seconds;
use crate::base::terms::BroadcastState;
use crate::broadcast::Studio;
use crate::broadcast::actor::Live;
use crate::broadcast::program::Status;
use crate::library::Library;
use crate::people::Accounts;
use crate::store::StoreError;
use crate::store::broadcasts::Broadcast;

/// Viewers are counted this often.
const COUNT_EVERY: Duration = Duration::from_secs(2);

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/watch/{id}/events").route(web::get().to(watch)))
        .service(resource("/live/events").route(web::get().to(waiting)))
        .service(resource("/tv/events").route(web::get().to(screen)));
}

/// `state` whenever something of the broadcast changes; `gone` when this visitor may not watch it any more.
async fn watch(
    visitor: Visitor,
    request: HttpRequest,
    accounts: Data<Accounts>,
    studio: Data<Studio>,
    library: Data<Library>,
    pins: Data<Pins>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let broadcast = access::watchable(&library, &pins, &visitor, &request, &id).await?;
    Ok(events::stream(move |events| async move {
        let telling = async {
            tell_state(&events, &studio, &library, &broadcast).await;
            // A stream that ended would be asked for again and again.
            events.closed().await;
        };
        tokio::select! {
            () = telling => {}
            () = until_not_watchable(&visitor, &request, &accounts, &library, &pins, &id) => events.refuse(),
        }
    }))
}

/// Until the broadcast is hidden or deleted, or is for others, or the session that opened the page has ended. A database
/// that does not answer takes nothing away.
async fn until_not_watchable(
    visitor: &Visitor,
    request: &HttpRequest,
    accounts: &Accounts,
    library: &Library,
    pins: &Pins,
    id: &str,
) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    loop {
        ticks.tick().await;
        let Ok(visitor) = visitor.renewed(accounts).await else { continue };
        let refused = access::watchable(library, pins, &visitor, request, id).await.err();
        if refused.is_some_and(|problem| problem.code.status().is_client_error()) {
            return;
        }
    }
}

async fn tell_state(events: &Events, studio: &Studio, library: &Library, broadcast: &Broadcast) {
    let id = &broadcast.id;
    let Some(live) = studio.live(id) else {
        let row = library.broadcast(id).await.ok().flatten();
        let row = row.as_deref().unwrap_or(broadcast);
        let data = json!({
            "state": shown(row.state, row.recorded), "viewers": 0, "title": row.title, "duration_s": ticks_to_seconds(row.duration),
        });
        events.send("state", &data).await;
        return;
    };
    let mut state = live.state.clone();
    let mut program = live.program.status.clone();
    let mut ticks = tokio::time::interval(COUNT_EVERY);
    let mut last = None;
    loop {
        let now = *state.borrow_and_update();
        let title = library.broadcast(id).await.ok().flatten().map(|row| row.title.clone());
        let most_lines = live.program.status.borrow().most_lines();
        let said = (now.public(), live.viewers.count(), title, most_lines);
        if last.as_ref() != Some(&said) {
            let duration = ticks_to_seconds(live.windows.leading().duration);
            let state = shown(said.0, live.recorder.is_some());
            let data = json!({
                "state": state, "viewers": said.1, "title": said.2, "duration_s": duration, "most_lines": said.3,
            });
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
            // Players change over before a rendition that is left out stops.
            () = until_other(&mut program, most_lines) => {}
            _ = ticks.tick() => {}
            () = events.closed() => return,
        }
    }
}

/// Until another rendition is the best that is carried.
async fn until_other(program: &mut watch::Receiver<Status>, most_lines: Option<u32>) {
    if program.wait_for(|status| status.most_lines() != most_lines).await.is_err() {
        // Its source has stopped, and with it the broadcast.
        std::future::pending().await
    }
}

/// `live` with the broadcast that `/live` shows, at once and at each change.
async fn waiting(
    visitor: Visitor,
    accounts: Data<Accounts>,
    studio: Data<Studio>,
    library: Data<Library>,
) -> HttpResponse {
    events::stream(move |events| async move { tell_newest(&events, &visitor, &accounts, &studio, &library).await })
}

/// The same for `/tv`, which hangs where everyone sees it, whoever once signed in there.
async fn screen(accounts: Data<Accounts>, studio: Data<Studio>, library: Data<Library>) -> HttpResponse {
    events::stream(
        move |events| async move { tell_newest(&events, &Visitor(None), &accounts, &studio, &library).await },
    )
}

async fn tell_newest(events: &Events, visitor: &Visitor, accounts: &Accounts, studio: &Studio, library: &Library) {
    let mut changes = studio.on_air();
    // What is hidden, or for others than before, changes nothing of what is on air.
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    let mut last = None;
    loop {
        changes.borrow_and_update();
        let found = match visitor.renewed(accounts).await {
            Ok(visitor) => on_air(studio, library, &access::listed(&visitor)).await,
            Err(error) => Err(error),
        };
        if let Ok(found) = found {
            let now = found.first().map(|(_, row)| row.id.clone());
            if last.as_ref() != Some(&now) {
                let url = now.as_ref().map(|id| format!("/watch/{id}"));
                if !events.send("live", &json!({ "id": now, "url": url })).await {
                    return;
                }
                last = Some(now);
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            _ = ticks.tick() => {}
            () = events.closed() => return,
        }
    }
}

/// What was not recorded ends with nothing to play.
pub fn shown(state: BroadcastState, recorded: bool) -> BroadcastState {
    if state == BroadcastState::Ended && !recorded { BroadcastState::Failed } else { state }
}

/// What is on air that is found by these audiences: what has a picture before what only begins, then the newest first.
pub async fn on_air(
    studio: &Studio,
    library: &Library,
    audiences: &[Audience],
) -> Result<Vec<(Arc<Live>, Arc<Broadcast>)>, StoreError> {
    let on_air = studio.on_air().borrow().clone();
    let mut found = Vec::new();
    for live in on_air.values().filter(|live| !live.is_ending()) {
        let Some(row) = library.broadcast(&live.id).await? else { continue };
        if audiences.contains(&row.audience) && !row.hidden && row.trashed_at.is_none() {
            found.push((live.clone(), row));
        }
    }
    found.sort_by_key(|(live, row)| {
        Reverse((live.state.borrow().public() == BroadcastState::Live, row.created_at, row.id.clone()))
    });
    Ok(found)
}

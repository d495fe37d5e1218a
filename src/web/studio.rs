//! What the studio's page lives on: previews of sources, and its stream of events. The page itself is in `page`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, Path, Query, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::error::Problem;
use super::events::{self, CHECK_EVERY, Events};
use super::guard::Broadcaster;
use super::media::{self, RenditionFile};
use super::renditions::Folder;
use crate::base::terms::{BroadcastState, Content};
use crate::broadcast::Studio;
use crate::broadcast::actor::{Live, Wellbeing};
use crate::broadcast::program::Program;
use crate::broadcast::source::Source;
use crate::broadcast::studio::Asked;
use crate::library::Library;
use crate::media::playlist;
use crate::people::{Accounts, Session};

pub fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/studio/preview/{source}/main.m3u8").route(media::get_or_head().to(preview)))
        .service(
            resource("/studio/preview/{source}/{folder:av[0-9]*|sound}/{file}")
                .route(media::get_or_head().to(preview_file)),
        )
        .service(resource("/studio/events").route(web::get().to(studio_events)));
}

#[derive(Debug, Default, Deserialize)]
struct Choice {
    source: Option<String>,
    microphone: Option<String>,
    content: Option<String>,
}

impl Choice {
    /// What is no content is no wish.
    fn asked(&self) -> Asked<'_> {
        Asked { microphone: self.microphone.as_deref(), content: self.content.as_deref().and_then(Content::parse) }
    }
}

/// Starts the source if it does not run yet, and waits for its picture.
async fn preview(
    _: Broadcaster,
    studio: Data<Studio>,
    source: Path<String>,
    choice: Query<Choice>,
) -> Result<HttpResponse, Problem> {
    let program = studio.preview(&source, choice.asked())?;
    let variants = media::live_variants(&program.preview, &program).await?;
    Ok(media::playlist_response(playlist::multivariant(&variants), media::NO_STORE))
}

async fn preview_file(
    _: Broadcaster,
    request: HttpRequest,
    studio: Data<Studio>,
    path: Path<(String, String, String)>,
) -> Result<HttpResponse, Problem> {
    let (source, folder, file) = path.into_inner();
    let folder = Folder::parse(&folder).ok_or_else(Problem::not_found)?;
    let file = RenditionFile::parse(&file).ok_or_else(Problem::not_found)?;
    let program = studio.preview(&source, Asked::default())?;
    // A program that was started anew has other bytes under the same names: nobody may keep them.
    let answer = media::from_windows(&request, &program.preview, folder, file, &source, media::NO_STORE).await?;
    answer.ok_or_else(Problem::not_found)
}

#[derive(Serialize)]
pub struct Status {
    pub sources: Vec<Source>,
    pub broadcasts: Vec<OnAir>,
    /// Seconds of recording that fit on the disk at the present bit rate, counting what retention may free.
    pub disk_left_s: u64,
    pub disk_free_bytes: u64,
    /// Bits per second that were reckoned with: what is on air, else what is planned.
    #[serde(skip)]
    pub bitrate_bps: u64,
}

#[derive(Serialize)]
pub struct OnAir {
    pub id: String,
    pub title: String,
    pub state: BroadcastState,
    pub source: String,
    pub watch_url: String,
    pub pin: Option<String>,
    pub elapsed_s: u64,
    pub viewers: usize,
    pub bitrate_bps: u64,
    pub frames_dropped: u64,
    pub health: Wellbeing,
    /// Lines of the best picture that viewers get at present, where the box cannot carry all.
    pub most_lines: Option<u32>,
    /// Why there is no picture or no sound, or only half of the frames: a word of the catalogue's problems.
    pub reason: Option<&'static str>,
    /// False: there was no room, so nothing of it is kept.
    pub recorded: bool,
}

/// `status` each second and at each change, `preview` when the chosen source's condition changes, `level` ten times a second.
async fn studio_events(
    Broadcaster(session): Broadcaster,
    accounts: Data<Accounts>,
    studio: Data<Studio>,
    library: Data<Library>,
    choice: Query<Choice>,
) -> Result<HttpResponse, Problem> {
    if let Some(source) = &choice.source
        && let Err(error) = studio.preview(source, choice.asked())
    {
        tracing::debug!(source, %error, "not there yet");
    }
    let source = choice.into_inner().source;
    Ok(events::stream(move |events| async move {
        tokio::select! {
            () = tell_status(&events, &studio, &library) => {}
            () = tell_source(&events, &studio, source.as_deref()) => {}
            () = until_not_allowed(&accounts, &session) => events.refuse(),
            () = events.closed() => {}
        }
    }))
}

/// Until whoever opened the page has signed out, was disabled, or may not broadcast any more. A database that does not
/// answer takes nothing away.
async fn until_not_allowed(accounts: &Accounts, session: &Session) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    loop {
        ticks.tick().await;
        if let Ok(now) = accounts.renewed(session).await
            && !now.is_some_and(|now| now.person.role.can_broadcast())
        {
            return;
        }
    }
}

async fn tell_status(events: &Events, studio: &Studio, library: &Library) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut on_air = studio.on_air();
    loop {
        let status = status(studio, library).await;
        if !events.send("status", &status).await {
            return;
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = on_air.changed() => {}
        }
    }
}

pub async fn status(studio: &Studio, library: &Library) -> Status {
    let on_air = studio.on_air().borrow().clone();
    let mut broadcasts = Vec::new();
    for live in on_air.values() {
        broadcasts.push(describe(live, library).await);
    }
    let rate: u64 = broadcasts.iter().map(|broadcast| broadcast.bitrate_bps).sum();
    let rate = if rate > 0 { rate } else { studio.planned_bitrate() };
    let storage = library.storage().await.ok();
    Status {
        sources: studio.sources(),
        broadcasts,
        disk_left_s: storage.map_or(0, |storage| storage.left_s(rate)),
        disk_free_bytes: storage.map_or(0, |storage| storage.room.space.free),
        bitrate_bps: rate,
    }
}

async fn describe(live: &Arc<Live>, library: &Library) -> OnAir {
    let row = library.broadcast(&live.id).await.ok().flatten();
    let (stats, most_lines) = {
        let status = live.program.status.borrow();
        (status.stats, status.most_lines())
    };
    OnAir {
        id: live.id.clone(),
        title: row.as_ref().map(|row| row.title.clone()).unwrap_or_default(),
        state: live.state.borrow().public(),
        source: live.source_id.clone(),
        watch_url: format!("/watch/{}", live.id),
        pin: row.and_then(|row| row.pin.clone()),
        elapsed_s: live.elapsed_s(),
        viewers: live.viewers.count(),
        bitrate_bps: stats.bitrate,
        frames_dropped: stats.dropped,
        health: live.wellbeing(),
        most_lines,
        reason: live.trouble().map(|trouble| trouble.code),
        recorded: live.recorder.is_some(),
    }
}

/// What there is to tell of whichever program the source has: another microphone begins another, and so does a publisher
/// that comes back. Ends with the page.
async fn tell_source(events: &Events, studio: &Studio, source: Option<&str>) {
    let Some(source) = source else { return std::future::pending().await };
    let mut begun = studio.begun();
    loop {
        begun.mark_unchanged();
        if let Some(program) = studio.running(source) {
            tokio::select! {
                () = tell_preview(events, &program) => {}
                () = tell_levels(events, &program) => {}
            }
        } else if begun.changed().await.is_err() {
            return;
        }
    }
}

/// Until the program is over, or the page gone.
async fn tell_preview(events: &Events, program: &Program) {
    let mut status = program.status.clone();
    let mut last = None;
    loop {
        let now = {
            let status = status.borrow_and_update();
            (status.condition, status.trouble.as_ref().map(|trouble| trouble.code))
        };
        if last != Some(now) {
            let (condition, reason) = now;
            let data = json!({ "source": program.source_id, "state": condition, "reason": reason });
            if !events.send("preview", &data).await {
                return;
            }
            last = Some(now);
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Until the page is gone. That the program is over, `tell_preview` sees.
async fn tell_levels(events: &Events, program: &Program) {
    let mut levels = program.levels();
    loop {
        match levels.recv().await {
            Ok(level) => {
                // A page that shows the meter looks at the source, whether or not it plays the picture.
                program.look();
                let data = json!({ "source": program.source_id, "peak_db": level.peak_db, "rms_db": level.rms_db });
                if !events.offer("level", &data) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

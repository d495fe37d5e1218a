//! `/live`, which leads to what is on air or waits for it, and `/tv`, the lobby's screen.

use actix_web::web::{self, Data, ServiceConfig, resource};
use actix_web::{HttpRequest, HttpResponse};

use super::watch::library_filter;
use super::{card, html, see_other};
use crate::accounts::Audience;
use crate::broadcast::Studio;
use crate::library::Library;
use crate::web::access;
use crate::web::error::Problem;
use crate::web::guard::Visitor;
use crate::web::page::Site;
use crate::web::page::live::Live;
use crate::web::page::tv::{Qr, Tv, TvLive};

/// Recordings to watch while waiting.
const MEANWHILE: u32 = 6;

pub fn configure(config: &mut ServiceConfig) {
    config.service(resource("/live").route(web::get().to(live))).service(resource("/tv").route(web::get().to(tv)));
}

/// The address that always opens what is live, as the visitor's browser knows this box.
pub fn live_address(request: &HttpRequest) -> String {
    let info = request.connection_info();
    format!("{}://{}/live", info.scheme(), info.host())
}

async fn live(
    site: Site,
    visitor: Visitor,
    studio: Data<Studio>,
    library: Data<Library>,
) -> Result<HttpResponse, Problem> {
    if let Some((id, _)) = newest_on_air(&studio, &library, &access::listed(&visitor)).await? {
        return Ok(see_other(&format!("/watch/{id}")));
    }
    let meanwhile = library.list(library_filter(&visitor, MEANWHILE)).await?.iter().map(card).collect();
    html(&Live { site, meanwhile })
}

async fn tv(
    site: Site,
    request: HttpRequest,
    studio: Data<Studio>,
    library: Data<Library>,
) -> Result<HttpResponse, Problem> {
    // The screen hangs where everyone sees it, whoever once signed in there.
    let live = newest_on_air(&studio, &library, &[Audience::Public]).await?;
    let address = live_address(&request);
    html(&Tv {
        site,
        live: live.map(|(id, title)| TvLive { id, title }),
        next: None,
        qr: Qr::of(&address),
        address: address.split_once("://").map_or(address.clone(), |(_, rest)| rest.to_owned()),
    })
}

/// Id and title of the newest broadcast on air that is for one of these audiences.
async fn newest_on_air(
    studio: &Studio,
    library: &Library,
    audiences: &[Audience],
) -> Result<Option<(String, String)>, Problem> {
    let mut newest: Option<(i64, String, String)> = None;
    for live in studio.on_air().borrow().clone().values().filter(|live| !live.is_ending()) {
        let Some(row) = library.broadcast(&live.id).await? else { continue };
        if audiences.contains(&row.audience)
            && !row.hidden
            && newest.as_ref().is_none_or(|(at, ..)| row.created_at > *at)
        {
            newest = Some((row.created_at, row.id.clone(), row.title.clone()));
        }
    }
    Ok(newest.map(|(_, id, title)| (id, title)))
}

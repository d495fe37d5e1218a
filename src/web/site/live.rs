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
use crate::web::live::on_air;
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
    if let Some((live, _)) = on_air(&studio, &library, &access::listed(&visitor)).await?.first() {
        return Ok(see_other(&format!("/watch/{}", live.id)));
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
    let live = on_air(&studio, &library, &[Audience::Public]).await?;
    let address = live_address(&request);
    html(&Tv {
        site,
        live: live.first().map(|(_, row)| TvLive { id: row.id.clone(), title: row.title.clone() }),
        next: None,
        qr: Qr::of(&address),
        address: address.split_once("://").map_or(address.clone(), |(_, rest)| rest.to_owned()),
    })
}

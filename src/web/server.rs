//! The HTTP server: listeners, the order of what stands around each request, and every route's place.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use super::access::Pins;
use super::api::stream_keys::RtmpPort;
use super::{api, assets, csrf, envelope, guard, health, input, live, media, site, studio};
use crate::broadcast::Studio;
use crate::library::Library;
use crate::people::{Accounts, StreamKeys};

/// Everything that handlers are given.
#[derive(Clone)]
pub struct Services {
    pub accounts: Accounts,
    pub stream_keys: StreamKeys,
    pub studio: Studio,
    pub library: Library,
    pub pins: Pins,
    pub rtmp_port: Option<RtmpPort>,
}

/// Scripts, styles and media come from this box alone. Watch pages widen `style-src` themselves, for the player's controls.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
    worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Starts serving on listeners that are bound already; `tls` is the one for HTTPS.
pub fn start(
    services: Services,
    http: TcpListener,
    tls: Option<(TcpListener, rustls::ServerConfig)>,
) -> io::Result<(Server, ServerHandle)> {
    let server = HttpServer::new(move || {
        App::new()
            .configure(|config| configure(config, &services))
            .wrap(from_fn(csrf::read_form_token))
            .wrap(from_fn(guard::setup_gate))
            .wrap(headers())
            .wrap(from_fn(envelope::around))
            .wrap(from_fn(input::hold_unread_body))
    })
    .tcp_nodelay(true)
    .keep_alive(Duration::from_secs(30))
    .client_request_timeout(Duration::from_secs(10))
    .shutdown_timeout(1)
    .disable_signals();
    let server = server.listen_auto_h2c(http)?;
    let server = match tls {
        Some((listener, config)) => server.listen_rustls_0_23(listener, config)?,
        None => server,
    };
    let server = server.run();
    let handle = server.handle();
    Ok((server, handle))
}

fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((header::REFERRER_POLICY, "same-origin"))
        // What does not say otherwise is made for whoever asked.
        .add((header::CACHE_CONTROL, "no-store"))
        .add(("Permissions-Policy", "camera=(), microphone=(), geolocation=()"))
}

fn configure(config: &mut ServiceConfig, services: &Services) {
    config
        .app_data(Data::new(services.accounts.clone()))
        .app_data(Data::new(services.stream_keys.clone()))
        .app_data(Data::new(services.studio.clone()))
        .app_data(Data::new(services.library.clone()))
        .app_data(Data::new(services.pins.clone()));
    if let Some(port) = services.rtmp_port {
        config.app_data(port);
    }
    input::configure(config);
    assets::routes(config);
    health::configure(config);
    media::configure(config);
    live::configure(config);
    studio::configure(config);
    api::configure(config);
    site::configure(config);
}

/// Binds a listener that survives a restart: addresses of closed connections may be taken again.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

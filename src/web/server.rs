//! The HTTP server: listeners, the order of what stands around each request, and every route's place.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt, map_config};
use actix_web::dev::{AppConfig, Server, fn_service};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use super::access::Pins;
use super::api::stream_keys::RtmpPort;
use super::wire::Wire;
use super::{api, assets, csrf, envelope, guard, health, input, live, media, recorded, site, studio};
use crate::broadcast::Studio;
use crate::library::Library;
use crate::library::imports::Imports;
use crate::library::uploads::Uploads;
use crate::people::{Accounts, StreamKeys};

/// Everything that handlers are given.
#[derive(Clone)]
pub struct Services {
    pub accounts: Accounts,
    pub stream_keys: StreamKeys,
    pub studio: Studio,
    pub library: Library,
    pub uploads: Uploads,
    pub imports: Imports,
    pub pins: Pins,
    pub rtmp_port: Option<RtmpPort>,
}

/// Scripts, styles and media come from this box alone. Watch pages widen `style-src` themselves, for the player's controls.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
    worker-src 'self' blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// How long a connection whose client says nothing more is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long a client may take to send a request's head, and to take the rest of what a closing connection has for it.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(1));
/// How long requests may go on when the server stops, seconds.
const STOPPING: u64 = 1;

/// Starts serving on listeners that are bound already, one server for each; `tls` is the one for HTTPS.
pub fn start(
    services: Services,
    http: TcpListener,
    tls: Option<(TcpListener, rustls::ServerConfig)>,
) -> io::Result<Vec<Server>> {
    let app = move || {
        App::new()
            .configure(|config| configure(config, &services))
            .wrap(from_fn(csrf::read_form_token))
            .wrap(from_fn(guard::setup_gate))
            .wrap(headers())
            .wrap(from_fn(envelope::around))
            .wrap(from_fn(input::hold_unread_body))
    };
    let secure = app.clone();
    // By hand, since actix-web's own server knows TCP streams as they are and nothing in their place.
    let plain = move || {
        let connect = fn_service(|stream: TcpStream| async move {
            let peer = stream.peer_addr().ok();
            stream.set_nodelay(true).ok();
            Ok::<_, DispatchError>((Wire::new(stream), peer))
        });
        let http = HttpService::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(PATIENCE.0)
            .client_disconnect_timeout(PATIENCE.1)
            .on_connect_ext(|wire: &Wire, data| drop(data.insert(wire.handover())))
            .h1(map_config(app(), |()| AppConfig::default()));
        connect.and_then(http)
    };
    let plain = Server::build().disable_signals().shutdown_timeout(STOPPING).listen("http", http, plain)?.run();
    let mut servers = vec![plain];
    if let Some((listener, config)) = tls {
        let server = HttpServer::new(secure)
            .tcp_nodelay(true)
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(PATIENCE.0)
            .client_disconnect_timeout(PATIENCE.1)
            .shutdown_timeout(STOPPING)
            .disable_signals();
        servers.push(server.listen_rustls_0_23(listener, config)?.run());
    }
    Ok(servers)
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
        .app_data(Data::new(services.uploads.clone()))
        .app_data(Data::new(services.imports.clone()))
        .app_data(Data::new(services.pins.clone()));
    if let Some(port) = services.rtmp_port {
        config.app_data(port);
    }
    // In the order in which they are tried; media is asked for most.
    media::configure(config);
    recorded::configure(config);
    input::configure(config);
    assets::routes(config);
    health::configure(config);
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

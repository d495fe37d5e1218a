//! The composition root: what `serve` starts, in which order, and how it stops.

use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::base::clock;
use crate::base::config::Config;
use crate::broadcast::{Studio, publishers, studio::OnAir};
use crate::ingest::rtmp;
use crate::library::imports::Imports;
use crate::library::ladders::Made;
use crate::library::layout::Layout;
use crate::library::recover::Interrupted;
use crate::library::scrub::Scrub;
use crate::library::uploads::Uploads;
use crate::library::vod::LibraryError;
use crate::library::{Library, layout, space};
use crate::people::{Accounts, Options, PeopleError, StreamKeys};
use crate::store::{Db, StoreError, secret};
use crate::web::access::Pins;
use crate::web::api::stream_keys::RtmpPort;
use crate::web::server::{self, Services};
use crate::web::tls::{self, TlsError};

/// What is still on air is completed within this after a signal; then the process ends all the same.
const CLOSING: Duration = Duration::from_millis(3500);

/// What waits for room is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(60);

/// Between two reels that are read again: at 64 MB each, 6 MB/s at most.
const SCRUB_EVERY: Duration = Duration::from_secs(10);

/// Why `serve` could not begin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Layout(#[from] layout::LayoutError),
    #[error("the database cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error("accounts cannot be read: {0}")]
    People(#[from] PeopleError),
    #[error("recordings cannot be read: {0}")]
    Library(#[from] LibraryError),
    #[error(
        "cannot listen on {address} ({error}): is another program using it? Choose another with --{flag} ADDR:PORT"
    )]
    Listen { address: SocketAddr, flag: &'static str, error: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Listeners first: a port in use is told before anything is touched.
    let http = listen(config.http, "http")?;
    let https = config.https.map(|address| listen(address, "https")).transpose()?;
    let rtmp = config.rtmp.map(|address| listen(address, "rtmp")).transpose()?;

    let stop = CancellationToken::new();
    let layout = Layout::open(&config.data)?;
    let _claim = layout.claim()?;
    // A database that cannot write a page cannot be opened either.
    if let Err(error) = space::tend_ballast(&layout) {
        tracing::error!(%error, "the ballast cannot be kept");
    }
    let db = Db::open(&layout.database())?;
    let library = Library::new(db.clone(), layout, &config);
    if let Some(newest) = library.newest_time().await? {
        clock::trust_not_before(newest);
    }
    let interrupted = library.recover(config.resume_s).await?;
    let uploads = Uploads::new(library.clone(), &config);
    uploads.recover().await?;
    let accounts = Accounts::open(db.clone(), &config.data, Options::default()).await?;
    let stream_keys = StreamKeys::new(db);
    let studio = Studio::start(config.clone(), library.clone(), running_time_zero(&interrupted), stop.clone()).await;
    studio.resume(interrupted);

    tokio::spawn(stop.clone().run_until_cancelled_owned(library.clone().tend()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(library.clone().keep_room()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(uploads.clone().tend()));
    tokio::spawn(stop.clone().run_until_cancelled_owned(scrub(library.clone(), studio.clone())));
    let imports = Imports::new(library.clone());
    tokio::spawn(stop.clone().run_until_cancelled_owned(imports.clone().run()));
    let idle = Idle { on_air: studio.on_air(), reading_in: imports.busy() };
    tokio::spawn(stop.clone().run_until_cancelled_owned(make_what_is_missing(library.clone(), idle)));

    let ready = Ready::new(&http, https.as_ref(), rtmp.as_ref())?;
    let watched = library.clone();
    let services = Services {
        accounts: accounts.clone(),
        stream_keys: stream_keys.clone(),
        studio: studio.clone(),
        library,
        uploads,
        imports,
        pins: Pins::new(secret::load(&config.data)?),
        rtmp_port: ready.rtmp.map(|address| RtmpPort(address.port())),
    };
    let tls = https.map(|listener| tls::config(&config.data).map(|config| (listener, config))).transpose()?;
    let servers = server::start(services, http, tls)?;
    let handles: Vec<_> = servers.iter().map(|server| server.handle()).collect();
    let servers: Vec<_> = servers.into_iter().map(tokio::spawn).collect();
    let publishers = rtmp.map(|listener| take_publishers(listener, &studio, stream_keys, &stop)).transpose()?;

    if let Some(token) = accounts.begin_setup().await? {
        // A person reads this, so it goes to where the log goes, whatever the log's level.
        eprintln!(
            "\nMake the first admin at {}/setup/{token}\n(the address works once, until the next start)\n",
            ready.http_url()
        );
    }
    ready.print()?;
    tell_systemd(&[NotifyState::Ready]);
    tokio::spawn(stop.clone().run_until_cancelled_owned(feed_watchdog(watched)));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM"),
        _ = interrupt.recv() => tracing::info!("SIGINT"),
    }
    tell_systemd(&[NotifyState::Stopping]);

    if tokio::time::timeout(CLOSING, studio.close()).await.is_err() {
        tracing::error!("a broadcast could not be closed in time; the next start will");
    }
    stop.cancel();
    join_all(handles.iter().map(|handle| handle.stop(false))).await;
    join_all(servers).await;
    if let Some(publishers) = publishers {
        let _ = tokio::time::timeout(Duration::from_millis(500), publishers).await;
    }
    Ok(())
}

fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, Error> {
    server::bind(address).map_err(|error| Error::Listen { address, flag, error })
}

fn take_publishers(
    listener: TcpListener,
    studio: &Studio,
    keys: StreamKeys,
    stop: &CancellationToken,
) -> Result<tokio::task::JoinHandle<()>, Error> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (publishes, asked) = mpsc::channel(8);
    tokio::spawn(publishers::admit_all(studio.clone(), keys, asked));
    Ok(tokio::spawn(rtmp::serve(listener, publishes, stop.clone())))
}

/// Reads old recordings again while nobody broadcasts.
async fn scrub(library: Library, studio: Studio) {
    let on_air = studio.on_air();
    let mut scrub = Scrub::default();
    let mut ticks = tokio::time::interval(SCRUB_EVERY);
    loop {
        ticks.tick().await;
        if on_air.borrow().is_empty()
            && let Err(error) = library.scrub(&mut scrub).await
        {
            tracing::error!(%error, "recordings cannot be looked at");
        }
    }
}

/// Makes the thumbnails, sprites and smaller renditions that are missing at the start and after each broadcast or import, one at a
/// time, while nobody broadcasts.
async fn make_what_is_missing(library: Library, mut idle: Idle) {
    let (mut hopeless, mut hopeless_ladders) = (HashSet::new(), HashSet::new());
    loop {
        if idle.on_air.wait_for(|on_air| on_air.is_empty()).await.is_err() {
            return;
        }
        let made = tokio::select! {
            made = make_picture(&library, &mut hopeless) => made,
            // The worker is let go: what is on air has the processor to itself.
            _ = idle.on_air.wait_for(|on_air| !on_air.is_empty()) => continue,
        };
        let made = match made {
            Ok(true) => continue,
            Ok(false) => make_ladder(&library, &mut idle, &mut hopeless_ladders).await,
            Err(error) => Err(error),
        };
        let again = match made {
            Ok(Made::Something) => continue,
            Ok(Made::Nothing) => None,
            Ok(Made::NoRoom) => Some(ROOM_AGAIN),
            Err(error) => {
                tracing::error!(%error, "what is missing of recordings cannot be made");
                None
            }
        };
        tokio::select! {
            changed = idle.on_air.changed() => if changed.is_err() { return },
            () = library.until_added() => {}
            () = tokio::time::sleep(again.unwrap_or(Duration::MAX)) => {}
        }
    }
}

/// When the box has nothing better to do.
struct Idle {
    on_air: watch::Receiver<OnAir>,
    reading_in: watch::Receiver<bool>,
}

impl Idle {
    /// Until somebody broadcasts, or a file is to be read in.
    async fn over(&mut self) {
        tokio::select! {
            _ = self.on_air.wait_for(|on_air| !on_air.is_empty()) => {}
            _ = self.reading_in.wait_for(|reading_in| *reading_in) => {}
        }
    }
}

/// Works on the smaller renditions of one recording; what disturbs it ends that at once, and what is complete of it is kept.
async fn make_ladder(library: &Library, idle: &mut Idle, hopeless: &mut HashSet<String>) -> Result<Made, LibraryError> {
    if *idle.reading_in.borrow() {
        // Its end is told as something that was added; should it fail, as little is lost.
        let _ = tokio::time::timeout(ROOM_AGAIN, idle.reading_in.wait_for(|reading_in| !reading_in)).await;
        return Ok(Made::Something);
    }
    let stop = CancellationToken::new();
    let mut making = pin!(library.make_ladder(hopeless, &stop));
    tokio::select! {
        made = &mut making => return made,
        () = idle.over() => stop.cancel(),
    }
    making.await
}

/// One that is missing: a thumbnail before any sprite. False when none is.
async fn make_picture(library: &Library, hopeless: &mut HashSet<String>) -> Result<bool, LibraryError> {
    Ok(library.make_thumbnail(hopeless).await? || library.make_sprite(hopeless).await?)
}

/// Media of an interrupted broadcast goes on with the times that it had: within one boot the old zero is as good as any.
fn running_time_zero(interrupted: &[Interrupted]) -> u64 {
    let oldest = interrupted.iter().map(|broadcast| broadcast.base_ns).min();
    oldest.and_then(|zero| u64::try_from(zero).ok()).unwrap_or_else(clock::monotonic_ns)
}

/// Where nobody started us as a service, nobody listens.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

/// Tells systemd's watchdog (`WatchdogSec=` of the unit) that this runtime and the database's threads still answer. A database
/// that answers with an error is no reason to start again: pages and players would only lose what still works.
async fn feed_watchdog(library: Library) {
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval(patience / 3);
    loop {
        ticks.tick().await;
        if tokio::time::timeout(patience / 3, library.check()).await.is_ok() {
            tell_systemd(&[NotifyState::Watchdog]);
        }
    }
}

/// The addresses that really came up.
struct Ready {
    http: SocketAddr,
    https: Option<SocketAddr>,
    rtmp: Option<SocketAddr>,
}

impl Ready {
    fn new(http: &TcpListener, https: Option<&TcpListener>, rtmp: Option<&TcpListener>) -> io::Result<Ready> {
        Ok(Ready {
            http: http.local_addr()?,
            https: https.map(TcpListener::local_addr).transpose()?,
            rtmp: rtmp.map(TcpListener::local_addr).transpose()?,
        })
    }

    fn http_url(&self) -> String {
        format!("http://{}", reachable(self.http))
    }

    /// The one line on stdout, for whoever started the program.
    fn print(&self) -> io::Result<()> {
        let mut line = format!("ready http={}", self.http_url());
        if let Some(address) = self.https {
            line.push_str(&format!(" https=https://{}", reachable(address)));
        }
        if let Some(address) = self.rtmp {
            line.push_str(&format!(" rtmp=rtmp://{}/live", reachable(address)));
        }
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }
}

/// An address that can be opened: "all addresses" is no place to go to.
fn reachable(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => format!("127.0.0.1:{}", address.port()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => format!("[::1]:{}", address.port()),
        _ => address.to_string(),
    }
}

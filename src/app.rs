//! The composition root: what `serve` starts, in which order, and how it stops.

use tokio::signal::unix::{SignalKind, signal};

use crate::base::config::Config;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: {1}")]
    Io(&'static str, std::io::Error),
}

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<(), Error> {
    std::fs::create_dir_all(&config.data).map_err(|error| Error::Io("--data", error))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| Error::Io("SIGTERM", error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| Error::Io("SIGINT", error))?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

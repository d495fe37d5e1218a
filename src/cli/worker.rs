//! `siaran worker capture`: the child's entry. Its standard input is its end of the parent's socketpair, in both
//! directions; standard output stays untouched; logs go to standard error.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Serves the parent until it has gone.
pub fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) => crate::capture::serve(UnixStream::from(socket)),
        Err(error) => {
            tracing::error!(%error, "standard input is not the parent's socket");
            ExitCode::FAILURE
        }
    }
}

//! `siaran worker …`: the child's entry. Its standard input is its end of the parent's socketpair, in both directions; logs go to
//! standard error. Standard output stays untouched, or is the file to read in.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::capture;
use crate::worker::sandbox;

/// Serves the parent until it has gone.
pub fn capture() -> ExitCode {
    start_log();
    serve()
}

/// The same, shut in.
pub fn import() -> ExitCode {
    shut_in(false)
}

/// The same, for what nobody waits for.
pub fn ladder() -> ExitCode {
    shut_in(true)
}

fn shut_in(idle: bool) -> ExitCode {
    start_log();
    let ready = capture::prepare().and_then(|()| sandbox::enter(std::io::stdout(), idle));
    match ready {
        Ok(()) => serve(),
        Err(reason) => {
            tracing::error!(reason, "it cannot be shut in");
            ExitCode::FAILURE
        }
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
}

fn serve() -> ExitCode {
    match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(socket) => capture::serve(UnixStream::from(socket)),
        Err(error) => {
            tracing::error!(%error, "standard input is not the parent's socket");
            ExitCode::FAILURE
        }
    }
}

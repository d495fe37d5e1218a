//! The RTMP server: takes in what OBS, phones, ffmpeg and GStreamer publish at `rtmp://HOST:PORT/live/KEY`.
//!
//! Here is the way from a TCP connection to FLV tags: [`slots`] limits the connections, [`session`] speaks with one client,
//! [`chunks`] takes messages out of its bytes, [`amf`] looks at a command before it is decoded. Who may publish, and what the
//! tags mean, is decided above: each publisher is announced as a [`Publish`] and nothing of its media is read before the
//! answer.
//!
//! Handshake, chunks, AMF 0 and messages are the crate `rtmp-rs`. Its own `Connection` is not used, and these are the reasons
//! (0.6.0): it takes nothing but a `TcpStream`, so that no limit can be put in front of its decoder, which reserves up to
//! 16 MB for each of 65,600 chunk streams on the mere announcement of a message; it decodes AMF references by copying, so
//! that a connect command of 200 bytes takes all memory before anyone has signed in; it writes stream keys to the log; and it
//! forgets to say that a publisher is gone when the connection breaks.

mod amf;
mod chunks;
mod session;
mod slots;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::media::protocol::FlvTag;
use slots::{Slot, Slots};

/// The application of our address, `rtmp://HOST:PORT/live/KEY`.
pub const APP: &str = "live";

/// A client asks to publish. Dropping it unanswered refuses as [`Refusal::Unavailable`].
pub struct Publish {
    /// Number of the connection, for the log; unique in the life of the process.
    pub connection: u64,
    pub peer: SocketAddr,
    /// The stream key as the client gave it, 1 to 128 characters. It is a secret: `Debug` leaves it out.
    pub key: String,
    /// Nothing of the publisher's media is read before this is answered, within 10 s.
    pub answer: oneshot::Sender<Result<Admitted, Refusal>>,
}

impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("connection", &self.connection)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Where the media of a publisher goes.
#[derive(Debug)]
pub struct Admitted {
    /// Tags with a body of 1 byte to 4 MB, as they come. While the channel is full nothing more is read from the publisher.
    /// It is dropped when the publisher has gone, however it went; its receiver is dropped to send the publisher away.
    pub tags: mpsc::Sender<FlvTag>,
    /// Sends the publisher away, too.
    pub stop: CancellationToken,
}

/// Why a publisher is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The key is unknown or revoked, or its account is disabled.
    BadKey,
    /// Someone is publishing with this key.
    AlreadyPublishing,
    /// We cannot take it just now.
    Unavailable,
}

/// How long a client may take, and how many there may be.
#[derive(Debug, Clone)]
struct Limits {
    handshake: Duration,
    /// From the handshake to the command `publish`.
    negotiation: Duration,
    /// From one whole message to the next while publishing.
    idle: Duration,
    /// For the client to take what we write, and for the answer to a [`Publish`].
    patience: Duration,
    connections: usize,
    /// From one address, not yet publishing.
    waiting_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            negotiation: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            patience: Duration::from_secs(10),
            connections: 16,
            waiting_per_address: 8,
        }
    }
}

/// Accepts publishers until `shutdown`, then sends those away who are there and returns when all have gone.
pub async fn serve(listener: TcpListener, publishes: mpsc::Sender<Publish>, shutdown: CancellationToken) {
    serve_within(Limits::default(), listener, publishes, shutdown).await;
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    publishes: mpsc::Sender<Publish>,
    shutdown: CancellationToken,
) {
    let slots = Slots::new(limits.connections, limits.waiting_per_address);
    let sessions = TaskTracker::new();
    let mut connection = 0;
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: to try again at once would only burn the processor.
                tracing::warn!(%error, "cannot accept an RTMP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        connection += 1;
        let Some(slot) = slots.take(peer.ip()) else {
            tracing::warn!(connection, %peer, "too many RTMP connections: closed");
            continue;
        };
        let client = session::Client { connection, peer, publishes: publishes.clone(), shutdown: shutdown.clone() };
        sessions.spawn(converse(socket, slot, client, limits.clone()));
    }
    sessions.close();
    sessions.wait().await;
}

async fn converse(socket: TcpStream, slot: Slot, client: session::Client, limits: Limits) {
    let (connection, peer) = (client.connection, client.peer);
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(connection, %error, "no TCP_NODELAY");
    }
    match session::run(socket, slot, client, &limits).await {
        Ok(end) => tracing::info!(connection, %peer, ?end, "RTMP connection ended"),
        Err(fault) => tracing::info!(connection, %peer, %fault, "RTMP connection broken off"),
    }
}

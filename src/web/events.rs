//! Server-sent events (HTML Living Standard 9.2): one small writer for all pages that update themselves.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

/// A line that keeps proxies and phones from closing a quiet connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often it is looked again whether an open page may still be told.
pub const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Where a page's events are sent; it closes when the page is gone.
#[derive(Clone)]
pub struct Events(mpsc::Sender<Bytes>);

impl Events {
    /// Sends one event; whether the page is still there.
    pub async fn send(&self, name: &str, data: &impl serde::Serialize) -> bool {
        let Ok(json) = serde_json::to_string(data) else { return true };
        self.0.send(Bytes::from(format!("event: {name}\ndata: {json}\n\n"))).await.is_ok()
    }

    /// Sends an event unless the page is behind: for what is out of date in a moment. Whether the page is still there.
    pub fn offer(&self, name: &str, data: &impl serde::Serialize) -> bool {
        let Ok(json) = serde_json::to_string(data) else { return true };
        let sent = self.0.try_send(Bytes::from(format!("event: {name}\ndata: {json}\n\n")));
        !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
    }

    /// Tells the page that it may not be told any more: asked for anew, it says why. The stream ends with it.
    pub fn refuse(&self) {
        self.offer("gone", &serde_json::Value::Null);
    }

    /// Until the page is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// Answers with a stream of events that `source` sends for as long as it likes.
pub fn stream<F>(source: impl FnOnce(Events) -> F) -> HttpResponse
where
    F: Future<Output = ()> + 'static,
{
    let (sender, receiver) = mpsc::channel(16);
    let alive = sender.downgrade();
    actix_web::rt::spawn(source(Events(sender)));
    actix_web::rt::spawn(async move {
        let mut ticks = tokio::time::interval(KEEP_ALIVE);
        loop {
            ticks.tick().await;
            let Some(sender) = alive.upgrade() else { break };
            if sender.send(Bytes::from_static(b": \n\n")).await.is_err() {
                break;
            }
        }
    });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(lines(receiver))
}

fn lines(receiver: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await?;
        Some((Ok(line), receiver))
    })
}

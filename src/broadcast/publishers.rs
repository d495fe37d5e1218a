//! RTMP publishers: who may publish, and what becomes of what they send. The protocol itself is `ingest::rtmp`.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::source;
use super::studio::{NewBroadcast, Studio, Wish};
use crate::base::terms::Content;
use crate::ingest::rtmp::{Admitted, Publish, Refusal};
use crate::media::protocol::FlvTag;
use crate::people::{StreamKey, StreamKeys};

/// Tags between the connection and the program. TCP holds the publisher back beyond that.
const QUEUE: usize = 16;

/// Answers publishers until the server stops asking.
pub async fn admit_all(studio: Studio, keys: StreamKeys, mut publishes: mpsc::Receiver<Publish>) {
    while let Some(publish) = publishes.recv().await {
        let (studio, keys) = (studio.clone(), keys.clone());
        tokio::spawn(async move { admit(&studio, &keys, publish).await });
    }
}

async fn admit(studio: &Studio, keys: &StreamKeys, publish: Publish) {
    let key = match keys.authorise(&publish.key).await {
        Ok(Some(key)) => key,
        Ok(None) => return refuse(publish, Refusal::BadKey),
        Err(error) => {
            tracing::error!(%error, "a stream key cannot be checked");
            return refuse(publish, Refusal::Unavailable);
        }
    };
    // Taken before anything is awaited: of two that come at once, one is refused.
    let Some(connected) = studio.publisher_arrives(&key.id, &key.label) else {
        return refuse(publish, Refusal::AlreadyPublishing);
    };
    let (from_client, at_client) = mpsc::channel(QUEUE);
    let (to_program, at_program) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let (connection, peer) = (publish.connection, publish.peer);
    if publish.answer.send(Ok(Admitted { tags: from_client, stop: stop.clone() })).is_err() {
        return;
    }
    tracing::info!(connection, %peer, key = key.id, label = key.label, "publisher admitted");
    studio.publisher_feeds(&key.id, at_program).await;
    if key.auto_live {
        go_live(studio, &key).await;
    }
    forward(studio, keys, &key, at_client, to_program).await;
    stop.cancel();
    drop(connected);
    tracing::info!(connection, key = key.id, "publisher gone");
}

/// Passes tags on until the publisher goes, the program ends, or the key is revoked.
async fn forward(
    studio: &Studio,
    keys: &StreamKeys,
    key: &StreamKey,
    mut from: mpsc::Receiver<FlvTag>,
    to: mpsc::Sender<FlvTag>,
) {
    let mut checks = tokio::time::interval(std::time::Duration::from_secs(2));
    let mut was_on_air = false;
    loop {
        tokio::select! {
            tag = from.recv() => match tag {
                Some(tag) => if to.send(tag).await.is_err() { return },
                None => return,
            },
            _ = checks.tick() => {
                if !keys.is_live(&key.id).await.unwrap_or(true) {
                    tracing::info!(key = key.id, "the key was revoked: its publisher is sent away");
                    return;
                }
                // A broadcast that a person ended: the publisher of such a key has nothing more to do here, and when its
                // program connects again by itself it must not go on air by itself.
                let on_air = studio.on_air_from(&source::publisher_source_id(&key.id)).is_some();
                if key.auto_live && was_on_air && !on_air {
                    studio.rest(&key.id);
                    return;
                }
                was_on_air |= on_air;
            }
        }
    }
}

/// Puts the publisher on air under the key's label, unless it comes back to a broadcast that waits for it.
async fn go_live(studio: &Studio, key: &StreamKey) {
    let source_id = source::publisher_source_id(&key.id);
    if studio.on_air_from(&source_id).is_some() || studio.rests(&key.id) {
        return;
    }
    let new = NewBroadcast {
        title: key.label.clone(),
        description: String::new(),
        audience: key.audience,
        source_id,
        microphone: None,
        content: Content::Talk,
        account_id: Some(key.account_id.clone()),
        stream_key_id: Some(key.id.clone()),
        // Nobody is there to ask.
        recording: Wish::IfRoom,
    };
    if let Err(error) = studio.go_live(new).await {
        tracing::error!(%error, key = key.id, "a publisher cannot go on air");
    }
}

fn refuse(publish: Publish, refusal: Refusal) {
    tracing::warn!(connection = publish.connection, peer = %publish.peer, ?refusal, "publisher refused");
    // The client may have gone meanwhile.
    let _ = publish.answer.send(Err(refusal));
}

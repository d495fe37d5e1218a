//! The conversation with one client: handshake, `connect`, `createStream`, `publish`, media, end (RTMP 1.0, 5.2 and 7).
//!
//! A step either goes on or ends the connection; there is no state to return to. Nothing here is kept beyond a message.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use rtmp_rs::amf::AmfValue;
use rtmp_rs::protocol::chunk::{ChunkEncoder, RtmpChunk};
use rtmp_rs::protocol::constants::{
    BANDWIDTH_LIMIT_DYNAMIC, CMD_CLOSE, CMD_CONNECT, CMD_CREATE_STREAM, CMD_DELETE_STREAM, CMD_FC_PUBLISH,
    CMD_FC_UNPUBLISH, CMD_ON_FC_PUBLISH, CMD_PLAY, CMD_PUBLISH, CSID_COMMAND, CSID_PROTOCOL_CONTROL, MSG_AUDIO,
    MSG_COMMAND_AMF0, MSG_COMMAND_AMF3, MSG_USER_CONTROL, MSG_VIDEO, MSG_WINDOW_ACK_SIZE, NC_CONNECT_REJECTED,
    NS_PLAY_STREAM_NOT_FOUND, NS_PUBLISH_BAD_NAME, NS_PUBLISH_START,
};
use rtmp_rs::protocol::message::{Command, UserControlEvent};
use rtmp_rs::protocol::{ConnectParams, ConnectResponseBuilder, Handshake, HandshakeRole, RtmpMessage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::chunks::{ChunkFault, ChunkReader};
use super::slots::Slot;
use super::{APP, Admitted, Limits, Publish, Refusal, amf};
use crate::media::protocol::{FlvTag, TagKind};

/// Chunks that we send; what we send is small.
const CHUNK_SIZE: u32 = 4096;

/// Bytes after which each side acknowledges, unless the client says another number.
const WINDOW: u32 = 2_500_000;

/// At most this is read from the socket at once.
const READ_SIZE: usize = 32 << 10;

/// How long a client may take to close after good-bye.
const FAREWELL: Duration = Duration::from_secs(1);

/// Longest stream key that is asked about.
const LONGEST_KEY: usize = 128;

/// Commands before `publish`; OBS sends five.
const MOST_COMMANDS: usize = 32;

/// The only message stream that we hand out.
const STREAM: u32 = 1;

const NS_FAILED: &str = "NetStream.Failed";
const NS_UNPUBLISH: &str = "NetStream.Unpublish.Success";

/// Who is at the other end, and whom to tell.
pub(super) struct Client {
    pub connection: u64,
    pub peer: SocketAddr,
    pub publishes: mpsc::Sender<Publish>,
    pub shutdown: CancellationToken,
}

/// How an orderly conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The publisher said that it has finished.
    Finished,
    /// The connection was closed by the client.
    Closed,
    /// Nobody above wants the publisher any more.
    SentAway,
    /// It was told why it cannot publish here.
    Refused(Refused),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    App,
    Play,
    Publish(Refusal),
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Chunk(#[from] ChunkFault),
    #[error("the handshake fails")]
    Handshake,
    #[error("a command cannot be understood")]
    Command,
    #[error("a command comes out of turn")]
    OutOfTurn,
    #[error("it takes too long: {0}")]
    Slow(&'static str),
}

/// Speaks with a client until one side has had enough. `slot` is told when it publishes.
pub(super) async fn run<S>(stream: S, mut slot: Slot, client: Client, limits: &Limits) -> Result<End, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let shutdown = client.shutdown.clone();
    let talk = async {
        let mut wire = within(limits.handshake, "handshake", Wire::shake_hands(stream, limits.patience)).await?;
        let wish = within(limits.negotiation, "no publish", negotiate(&mut wire)).await?;
        let end = match wish {
            Wish::Leave(end) => end,
            Wish::Publish { stream_id, key } => match ask(&client, key, limits.patience).await {
                Ok(admitted) => {
                    slot.publishing();
                    publish(&mut wire, stream_id, admitted, &client.shutdown, limits.idle).await?
                }
                Err(refusal) => refuse(&mut wire, stream_id, refusal).await?,
            },
        };
        match end {
            End::Closed => {}
            // GStreamer calls it an error when the server is quicker to close than itself.
            End::Finished => wire.drain().await,
            End::SentAway | End::Refused(_) => wire.close().await,
        }
        Ok(end)
    };
    // While media flows, `publish` itself watches for the shutdown, to say good-bye.
    tokio::pin!(talk);
    tokio::select! {
        end = &mut talk => end,
        () = shutdown.cancelled() => timeout(Duration::from_secs(2), talk).await.unwrap_or(Ok(End::SentAway)),
    }
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    step: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(limit, step).await.unwrap_or(Err(Fault::Slow(what)))
}

/// What the commands before the media come to.
enum Wish {
    Publish { stream_id: u32, key: String },
    Leave(End),
}

async fn negotiate<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) -> Result<Wish, Fault> {
    wire.send(RtmpMessage::SetChunkSize(CHUNK_SIZE)).await?;
    wire.encoder.set_chunk_size(CHUNK_SIZE);
    let mut connected = false;
    for _ in 0..MOST_COMMANDS {
        let Some(command) = wire.command().await? else { return Ok(Wish::Leave(End::Closed)) };
        match command.name.as_str() {
            CMD_CONNECT if connected => return Err(Fault::OutOfTurn),
            CMD_CONNECT => {
                if !connect(wire, &command).await? {
                    return Ok(Wish::Leave(End::Refused(Refused::App)));
                }
                connected = true;
            }
            _ if !connected => return Err(Fault::OutOfTurn),
            CMD_CREATE_STREAM => {
                let id = AmfValue::Number(f64::from(STREAM));
                wire.answer(0, Command::result(command.transaction_id, AmfValue::Null, id)).await?;
            }
            CMD_FC_PUBLISH => wire.answer(0, notice(CMD_ON_FC_PUBLISH)).await?,
            CMD_PUBLISH => return Ok(Wish::Publish { stream_id: command.stream_id, key: key_of(&command) }),
            CMD_PLAY => {
                let why = "This address takes publishers only.";
                wire.status(command.stream_id, "error", NS_PLAY_STREAM_NOT_FOUND, why).await?;
                return Ok(Wish::Leave(End::Refused(Refused::Play)));
            }
            // releaseStream, _checkbw, getStreamLength and the like want no answer.
            _ => {}
        }
    }
    Err(Fault::OutOfTurn)
}

/// Answers `connect`; false when the application is not ours.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, command: &Command) -> Result<bool, Fault> {
    let params = ConnectParams::from_amf(&command.command_object);
    let app = params.app.split('?').next().unwrap_or_default().trim_matches('/');
    if app != APP {
        let info = status_object("error", NC_CONNECT_REJECTED, "The address ends in /live/ and the stream key.");
        wire.answer(0, Command::error(command.transaction_id, AmfValue::Null, info)).await?;
        return Ok(false);
    }
    wire.send(RtmpMessage::WindowAckSize(WINDOW)).await?;
    wire.send(RtmpMessage::SetPeerBandwidth { size: WINDOW, limit_type: BANDWIDTH_LIMIT_DYNAMIC }).await?;
    wire.send(RtmpMessage::UserControl(UserControlEvent::StreamBegin(0))).await?;
    wire.answer(0, ConnectResponseBuilder::new().build(command.transaction_id)).await?;
    Ok(true)
}

/// The stream's name up to a query, which some clients add for servers that want one.
fn key_of(command: &Command) -> String {
    let name = command.arguments.first().and_then(AmfValue::as_str).unwrap_or_default();
    String::from(name.split('?').next().unwrap_or_default().trim_matches('/'))
}

/// Asks the floor above whether this key may publish.
async fn ask(client: &Client, key: String, patience: Duration) -> Result<Admitted, Refusal> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Refusal::BadKey);
    }
    let (answer, answered) = oneshot::channel();
    let question = Publish { connection: client.connection, peer: client.peer, key, answer };
    let asked = async {
        client.publishes.send(question).await.map_err(|_| Refusal::Unavailable)?;
        answered.await.map_err(|_| Refusal::Unavailable)?
    };
    timeout(patience, asked).await.unwrap_or(Err(Refusal::Unavailable))
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    stream_id: u32,
    refusal: Refusal,
) -> Result<End, Fault> {
    let (code, why) = match refusal {
        Refusal::BadKey => (NS_PUBLISH_BAD_NAME, "This stream key is not valid."),
        Refusal::AlreadyPublishing => (NS_PUBLISH_BAD_NAME, "This stream key is in use."),
        Refusal::Unavailable => (NS_FAILED, "Publishing is not possible just now."),
    };
    wire.status(stream_id, "error", code, why).await?;
    Ok(End::Refused(Refused::Publish(refusal)))
}

async fn publish<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    stream_id: u32,
    admitted: Admitted,
    shutdown: &CancellationToken,
    idle: Duration,
) -> Result<End, Fault> {
    wire.reader.allow_media();
    wire.send(RtmpMessage::UserControl(UserControlEvent::StreamBegin(stream_id))).await?;
    wire.status(stream_id, "status", NS_PUBLISH_START, "Publishing.").await?;
    let end = tokio::select! {
        end = pump(wire, &admitted.tags, idle) => end?,
        () = admitted.tags.closed() => End::SentAway,
        () = admitted.stop.cancelled() => End::SentAway,
        () = shutdown.cancelled() => End::SentAway,
    };
    // The floor above learns of the end before the client is done with its good-byes.
    drop(admitted);
    if end != End::Closed {
        wire.status(stream_id, "status", NS_UNPUBLISH, "Unpublished.").await?;
    }
    Ok(end)
}

/// Hands on media until the client ends it. While the channel is full, the client's TCP window fills and it waits.
async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    tags: &mpsc::Sender<FlvTag>,
    idle: Duration,
) -> Result<End, Fault> {
    loop {
        let Some(message) = within(idle, "no media", wire.message()).await? else { return Ok(End::Closed) };
        let kind = match message.message_type {
            MSG_AUDIO => TagKind::Audio,
            MSG_VIDEO => TagKind::Video,
            MSG_COMMAND_AMF0 | MSG_COMMAND_AMF3 if ends(&command_in(&message)?) => return Ok(End::Finished),
            // Metadata repeats what the codecs' own headers say.
            _ => continue,
        };
        let tag = FlvTag { kind, timestamp_ms: message.timestamp, body: message.payload };
        if !tag.body.is_empty() && tags.send(tag).await.is_err() {
            return Ok(End::SentAway);
        }
    }
}

fn ends(command: &Command) -> bool {
    matches!(command.name.as_str(), CMD_FC_UNPUBLISH | CMD_DELETE_STREAM | CMD_CLOSE | "closeStream")
}

/// A client's connection behind the handshake: messages in, messages out.
struct Wire<S> {
    stream: S,
    reader: ChunkReader,
    encoder: ChunkEncoder,
    patience: Duration,
    /// Bytes read, and those among them that are acknowledged; both wrap as the message's number does (5.4.3).
    received: u32,
    acknowledged: u32,
    window: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    async fn shake_hands(mut stream: S, patience: Duration) -> Result<Self, Fault> {
        let mut handshake = Handshake::new(HandshakeRole::Server);
        handshake.generate_initial();
        let mut buffer = BytesMut::with_capacity(READ_SIZE);
        while !handshake.is_done() {
            if buffer.len() < handshake.bytes_needed() {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Err(Fault::Handshake);
                }
                continue;
            }
            let mut step = buffer.split_to(handshake.bytes_needed()).freeze();
            if let Some(answer) = handshake.process(&mut step).map_err(|_| Fault::Handshake)? {
                stream.write_all(&answer).await?;
                stream.flush().await?;
            }
        }
        let received = buffer.len() as u32;
        Ok(Self {
            stream,
            reader: ChunkReader::new(buffer),
            encoder: ChunkEncoder::new(),
            patience,
            received,
            acknowledged: 0,
            window: WINDOW,
        })
    }

    /// The next command; none when the client has closed.
    async fn command(&mut self) -> Result<Option<Command>, Fault> {
        while let Some(message) = self.message().await? {
            if matches!(message.message_type, MSG_COMMAND_AMF0 | MSG_COMMAND_AMF3) {
                return command_in(&message).map(Some);
            }
        }
        Ok(None)
    }

    /// The next message, the protocol's own (acknowledgements, pings) dealt with; none when the client has closed.
    async fn message(&mut self) -> Result<Option<RtmpChunk>, Fault> {
        loop {
            while let Some(message) = self.reader.next()? {
                match message.message_type {
                    MSG_USER_CONTROL => self.pong(&message).await?,
                    MSG_WINDOW_ACK_SIZE => self.resize_window(&message),
                    _ => return Ok(Some(message)),
                }
            }
            self.reader.buffer.reserve(READ_SIZE);
            let read = self.stream.read_buf(&mut self.reader.buffer).await?;
            if read == 0 {
                return Ok(None);
            }
            self.acknowledge(read).await?;
        }
    }

    async fn acknowledge(&mut self, read: usize) -> Result<(), Fault> {
        self.received = self.received.wrapping_add(read as u32);
        // Half a window early: some clients stop sending when a whole one is open.
        if self.received.wrapping_sub(self.acknowledged) < self.window / 2 {
            return Ok(());
        }
        self.acknowledged = self.received;
        self.send(RtmpMessage::Acknowledgement { sequence: self.received }).await
    }

    async fn pong(&mut self, message: &RtmpChunk) -> Result<(), Fault> {
        match RtmpMessage::from_chunk(message) {
            Ok(RtmpMessage::UserControl(UserControlEvent::PingRequest(time))) => {
                self.send(RtmpMessage::UserControl(UserControlEvent::PingResponse(time))).await
            }
            _ => Ok(()),
        }
    }

    fn resize_window(&mut self, message: &RtmpChunk) {
        if let Ok(RtmpMessage::WindowAckSize(size)) = RtmpMessage::from_chunk(message) {
            // A tiny window would have us answer each byte.
            self.window = size.clamp(1 << 17, WINDOW);
        }
    }

    async fn status(&mut self, stream_id: u32, level: &str, code: &str, why: &str) -> Result<(), Fault> {
        self.answer(stream_id, Command::on_status(stream_id, level, code, why)).await
    }

    async fn answer(&mut self, stream_id: u32, command: Command) -> Result<(), Fault> {
        self.write(CSID_COMMAND, stream_id, &RtmpMessage::Command(command)).await
    }

    async fn send(&mut self, message: RtmpMessage) -> Result<(), Fault> {
        self.write(CSID_PROTOCOL_CONTROL, 0, &message).await
    }

    async fn write(&mut self, csid: u32, stream_id: u32, message: &RtmpMessage) -> Result<(), Fault> {
        let (message_type, payload) = message.encode();
        let mut bytes = BytesMut::new();
        self.encoder.encode(&RtmpChunk { csid, timestamp: 0, message_type, stream_id, payload }, &mut bytes);
        within(self.patience, "reading what we write", async {
            self.stream.write_all(&bytes).await?;
            Ok(self.stream.flush().await?)
        })
        .await
    }

    /// Ends our side and waits a little for the client to end its own: closing over unread bytes would take back what
    /// was just said to it (RFC 1122, 4.2.2.13).
    async fn close(&mut self) {
        // When the client is gone already there is nobody to wait for.
        if let Ok(Ok(())) = timeout(FAREWELL, self.stream.shutdown()).await {
            self.drain().await;
        }
    }

    /// Reads and forgets until the client closes, 2 MB have come or a second has passed.
    async fn drain(&mut self) {
        let mut rest = vec![0; READ_SIZE];
        let drain = async {
            for _ in 0..64 {
                if !matches!(self.stream.read(&mut rest).await, Ok(1..)) {
                    break;
                }
            }
        };
        // However it ends, the connection is closed next.
        let _ = timeout(FAREWELL, drain).await;
    }
}

/// Decodes a command, once it is seen to be safe to decode.
fn command_in(message: &RtmpChunk) -> Result<Command, Fault> {
    // An AMF 3 command is AMF 0 behind a byte of zero.
    let skip = usize::from(message.message_type == MSG_COMMAND_AMF3 && message.payload.first() == Some(&0));
    if !amf::is_plain(&message.payload[skip..]) {
        return Err(Fault::Command);
    }
    match RtmpMessage::from_chunk(message) {
        Ok(RtmpMessage::Command(command) | RtmpMessage::CommandAmf3(command)) => Ok(command),
        _ => Err(Fault::Command),
    }
}

fn notice(name: &str) -> Command {
    Command {
        name: String::from(name),
        transaction_id: 0.0,
        command_object: AmfValue::Null,
        arguments: Vec::new(),
        stream_id: 0,
    }
}

fn status_object(level: &str, code: &str, why: &str) -> AmfValue {
    let pairs = [("level", level), ("code", code), ("description", why)];
    let object: HashMap<_, _> =
        pairs.into_iter().map(|(key, text)| (String::from(key), AmfValue::String(String::from(text)))).collect();
    AmfValue::Object(object)
}

//! The server on a real socket, with real publishers (ffmpeg, GStreamer) and with clients that mean no good.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rtmp_rs::amf::AmfValue;
use rtmp_rs::protocol::ChunkEncoder;
use rtmp_rs::protocol::RtmpMessage;
use rtmp_rs::protocol::chunk::RtmpChunk;
use rtmp_rs::protocol::message::{Command, UserControlEvent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::session::{Client, End};
use super::slots::Slots;
use super::{Admitted, Limits, Publish, Refusal, serve_within, session};
use crate::media::protocol::{FlvTag, TagKind};

/// Longer than anything here takes on a busy machine.
const AGES: Duration = Duration::from_secs(30);

/// A server, and the place of the floor above it.
struct House {
    address: SocketAddr,
    publishes: mpsc::Receiver<Publish>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl House {
    async fn open(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (sender, publishes) = mpsc::channel(4);
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve_within(limits, listener, sender, shutdown.clone()));
        Self { address, publishes, shutdown, server }
    }

    async fn asked(&mut self) -> Publish {
        timeout(AGES, self.publishes.recv()).await.expect("in time").expect("open")
    }

    /// Admits who asks next: the key, the media, the way to stop it.
    async fn admit(&mut self, capacity: usize) -> (String, mpsc::Receiver<FlvTag>, CancellationToken) {
        let publish = self.asked().await;
        let (tags, received) = mpsc::channel(capacity);
        let stop = CancellationToken::new();
        publish.answer.send(Ok(Admitted { tags, stop: stop.clone() })).expect("it waits for the answer");
        (publish.key, received, stop)
    }

    async fn refuse(&mut self, refusal: Refusal) {
        self.asked().await.answer.send(Err(refusal)).expect("it waits for the answer");
    }

    /// A publisher can come and go: whatever happened before did no harm.
    async fn still_serves(&mut self) {
        let mut raw = Raw::publish(self.address, "good").await;
        let (key, mut tags, _stop) = self.admit(4).await;
        assert_eq!(key, "good");
        raw.until("NetStream.Publish.Start").await;
        raw.media(9, 40, b"\x17\x01\0\0\0picture").await;
        assert_eq!(next(&mut tags).await.expect("a tag").timestamp_ms, 40);
        drop(raw);
        assert!(next(&mut tags).await.is_none());
    }
}

async fn next(tags: &mut mpsc::Receiver<FlvTag>) -> Option<FlvTag> {
    timeout(AGES, tags.recv()).await.expect("in time")
}

/// A client that says whatever it is told to.
struct Raw {
    stream: TcpStream,
    encoder: ChunkEncoder,
    heard: Vec<u8>,
}

impl Raw {
    async fn shake_hands(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(&[&[3], [0; 1536].as_slice()].concat()).await.expect("C0, C1");
        let mut answer = [0; 1 + 2 * 1536];
        stream.read_exact(&mut answer).await.expect("S0, S1, S2");
        stream.write_all(&answer[1..1537]).await.expect("C2");
        Self { stream, encoder: ChunkEncoder::new(), heard: Vec::new() }
    }

    async fn connect(address: SocketAddr, app: &str) -> Self {
        let mut raw = Self::shake_hands(address).await;
        let object = [("app", app), ("flashVer", "FMLE/3.0 (compatible; test)"), ("tcUrl", "rtmp://127.0.0.1/live")];
        let object = object.map(|(key, text)| (String::from(key), AmfValue::from(text)));
        raw.command("connect", 1.0, AmfValue::Object(object.into()), &[]).await;
        raw
    }

    async fn publish(address: SocketAddr, name: &str) -> Self {
        let mut raw = Self::connect(address, "live").await;
        raw.until("NetConnection.Connect.Success").await;
        raw.command("releaseStream", 2.0, AmfValue::Null, &[name.into()]).await;
        raw.command("FCPublish", 3.0, AmfValue::Null, &[name.into()]).await;
        raw.command("createStream", 4.0, AmfValue::Null, &[]).await;
        raw.until("_result").await;
        raw.command("publish", 5.0, AmfValue::Null, &[name.into(), "live".into()]).await;
        raw
    }

    async fn command(&mut self, name: &str, transaction_id: f64, command_object: AmfValue, arguments: &[AmfValue]) {
        let command =
            Command { name: name.into(), transaction_id, command_object, arguments: arguments.into(), stream_id: 1 };
        let (message_type, payload) = RtmpMessage::Command(command).encode();
        self.message(3, message_type, 0, payload).await;
    }

    async fn media(&mut self, message_type: u8, timestamp: u32, body: &'static [u8]) {
        self.message(4, message_type, timestamp, Bytes::from_static(body)).await;
    }

    async fn message(&mut self, csid: u32, message_type: u8, timestamp: u32, payload: Bytes) {
        let mut bytes = BytesMut::new();
        self.encoder.encode(&RtmpChunk { csid, timestamp, message_type, stream_id: 1, payload }, &mut bytes);
        self.say(&bytes).await;
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server takes it");
    }

    /// Reads until the server has said `text`.
    async fn until(&mut self, text: &str) {
        while !self.has_heard(text) {
            assert!(self.hear().await, "closed before {text}");
        }
    }

    fn has_heard(&self, text: &str) -> bool {
        self.heard.windows(text.len()).any(|window| window == text.as_bytes())
    }

    async fn hear(&mut self) -> bool {
        let read = timeout(AGES, self.stream.read_buf(&mut self.heard)).await.expect("in time");
        matches!(read, Ok(read) if read > 0)
    }

    /// Reads until the server closes.
    async fn closed(&mut self) {
        while self.hear().await {}
    }
}

/// A chunk with a full header; `extended` is the time stamp when it does not fit.
fn opening(csid: u8, kind: u8, timestamp: u32, length: usize, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = timestamp.min(0xff_ffff).to_be_bytes();
    let [_, d, e, f] = (length as u32).to_be_bytes();
    let extended = if timestamp >= 0xff_ffff { timestamp.to_be_bytes().to_vec() } else { Vec::new() };
    [&[csid, a, b, c, d, e, f, kind, 1, 0, 0, 0], extended.as_slice(), body].concat()
}

async fn ffmpeg(address: SocketAddr, path: &str, extra: &[&str]) -> tokio::process::Child {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]);
    command.args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]).args(extra);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]);
    command.args(["-f", "flv", &format!("rtmp://{address}{path}")]);
    command.stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("ffmpeg is installed")
}

/// Checks what a publisher of H.264 and AAC sends, to its end; gives the counts of video and audio.
async fn check_media(tags: &mut mpsc::Receiver<FlvTag>) -> (usize, usize) {
    let (mut video, mut audio) = (Vec::new(), Vec::new());
    while let Some(tag) = next(tags).await {
        match tag.kind {
            TagKind::Video => video.push(tag),
            TagKind::Audio => audio.push(tag),
        }
    }
    assert_eq!(video[0].body[..2], [0x17, 0], "first the decoder configuration");
    assert_eq!(video[1].body[..2], [0x17, 1], "then a keyframe");
    assert_eq!((audio[0].body[0] >> 4, audio[0].body[1]), (10, 0), "first the AudioSpecificConfig");
    for of_one_kind in [&video, &audio] {
        assert!(of_one_kind.windows(2).all(|two| two[0].timestamp_ms <= two[1].timestamp_ms));
    }
    (video.len(), audio.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_publishes_and_ends() {
    let mut house = House::open(Limits::default()).await;
    let mut ffmpeg = ffmpeg(house.address, "/live/s3cret?token=x", &["-t", "2"]).await;
    let (key, mut tags, _stop) = house.admit(64).await;
    assert_eq!(key, "s3cret");
    let (video, audio) = check_media(&mut tags).await;
    assert!(video >= 51 && audio >= 90, "{video} {audio}");
    assert!(ffmpeg.wait().await.expect("it ran").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_is_told_that_its_key_is_bad() {
    let mut house = House::open(Limits::default()).await;
    let ffmpeg = ffmpeg(house.address, "/live/wrong", &[]).await;
    house.refuse(Refusal::BadKey).await;
    let output = timeout(AGES, ffmpeg.wait_with_output()).await.expect("it gives up").expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("This stream key is not valid"), "{said}");
    house.still_serves().await;
}

/// Two seconds through GStreamer, by whichever of its RTMP clients `sink` is.
async fn gstreamer_publishes_and_ends(sink: &str) {
    let mut house = House::open(Limits::default()).await;
    let pipeline = format!(
        "videotestsrc num-buffers=50 is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! mux. \
         audiotestsrc num-buffers=94 samplesperbuffer=1024 is-live=true ! audio/x-raw,rate=48000,channels=2 ! \
         avenc_aac ! aacparse ! mux. \
         flvmux name=mux streamable=true ! {sink} location=rtmp://{}/live/gst",
        house.address
    );
    let mut gst = tokio::process::Command::new("gst-launch-1.0");
    gst.arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null()).kill_on_drop(true);
    let mut gst = gst.spawn().expect("gst-launch-1.0 is installed");
    let (key, mut tags, _stop) = house.admit(64).await;
    assert_eq!(key, "gst");
    let (video, audio) = check_media(&mut tags).await;
    assert!(video >= 48 && audio >= 80, "{video} {audio}");
    assert!(timeout(AGES, gst.wait()).await.expect("it ends").expect("it ran").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn gstreamers_own_client_publishes() {
    gstreamer_publishes_and_ends("rtmp2sink").await;
}

/// librtmp, which OBS has grown from.
#[tokio::test(flavor = "multi_thread")]
async fn librtmp_publishes() {
    gstreamer_publishes_and_ends("rtmpsink").await;
}

#[tokio::test]
async fn a_second_publisher_on_a_key_is_told_and_the_first_goes_on() {
    let mut house = House::open(Limits::default()).await;
    let mut first = Raw::publish(house.address, "/mine").await;
    let (key, mut tags, _stop) = house.admit(4).await;
    assert_eq!(key, "mine");
    first.until("NetStream.Publish.Start").await;
    let mut second = Raw::publish(house.address, "mine").await;
    house.refuse(Refusal::AlreadyPublishing).await;
    second.until("NetStream.Publish.BadName").await;
    second.closed().await;
    first.media(8, 23, b"\xaf\x01sound").await;
    let tag = next(&mut tags).await.expect("the first goes on");
    assert_eq!((tag.kind, tag.timestamp_ms, &tag.body[2..]), (TagKind::Audio, 23, b"sound".as_slice()));
    first.command("deleteStream", 0.0, AmfValue::Null, &[1.0.into()]).await;
    assert!(next(&mut tags).await.is_none());
    first.until("NetStream.Unpublish.Success").await;
    first.closed().await;
}

#[tokio::test]
async fn what_is_not_for_publishing_is_refused_in_words() {
    let mut house = House::open(Limits::default()).await;
    for app in ["", "vod", "live/deeper"] {
        let mut wrong = Raw::connect(house.address, app).await;
        wrong.until("NetConnection.Connect.Rejected").await;
        wrong.closed().await;
    }
    let mut viewer = Raw::connect(house.address, "live/").await;
    viewer.command("play", 2.0, AmfValue::Null, &["mine".into()]).await;
    viewer.until("NetStream.Play.StreamNotFound").await;
    viewer.closed().await;
    let mut nobody = Raw::publish(house.address, "?token=1").await;
    nobody.until("NetStream.Publish.BadName").await;
    let long = "k".repeat(129);
    let mut long = Raw::publish(house.address, &long).await;
    long.until("NetStream.Publish.BadName").await;
    let mut unlucky = Raw::publish(house.address, "good").await;
    drop(house.asked().await);
    unlucky.until("NetStream.Failed").await;
    unlucky.closed().await;
    house.still_serves().await;
}

#[tokio::test]
async fn commands_out_of_turn_close_the_connection() {
    let mut house = House::open(Limits::default()).await;
    let mut early = Raw::shake_hands(house.address).await;
    early.command("publish", 1.0, AmfValue::Null, &["good".into()]).await;
    early.closed().await;
    let mut twice = Raw::connect(house.address, "live").await;
    twice.command("connect", 1.0, AmfValue::Null, &[]).await;
    twice.closed().await;
    let mut talker = Raw::connect(house.address, "live").await;
    for nth in 0..40 {
        let chatter = b"\x02\0\x04idle\0\0\0\0\0\0\0\0\0\x05";
        let _ = talker.stream.write_all(&opening(3, 20, nth, chatter.len(), chatter)).await;
    }
    talker.closed().await;
    let mut bomber = Raw::shake_hands(house.address).await;
    let bomb = b"\x02\0\x07connect\0\0\0\0\0\0\0\0\0\x07\0\0";
    bomber.say(&opening(3, 20, 0, bomb.len(), bomb)).await;
    bomber.closed().await;
    let mut media = Raw::connect(house.address, "live").await;
    media.say(&opening(4, 9, 0, 3, b"abc")).await;
    media.closed().await;
    house.still_serves().await;
}

#[tokio::test]
async fn chunks_may_interleave_and_time_stamps_may_be_long() {
    let mut house = House::open(Limits::default()).await;
    let mut raw = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(8).await;
    raw.until("NetStream.Publish.Start").await;
    let (video, audio) = (vec![1_u8; 300], vec![2_u8; 200]);
    let pieces = [
        opening(6, 9, 1000, 300, &video[..128]),
        opening(4, 8, 1001, 200, &audio[..128]),
        [&[0xc6], &video[128..256]].concat(),
        [&[0xc4], &audio[128..]].concat(),
        [&[0xc6], &video[256..]].concat(),
    ];
    raw.say(&pieces.concat()).await;
    let (first, second) = (next(&mut tags).await.expect("audio"), next(&mut tags).await.expect("video"));
    assert_eq!((first.kind, first.timestamp_ms, first.body), (TagKind::Audio, 1001, Bytes::from(audio)));
    assert_eq!((second.kind, second.timestamp_ms, second.body), (TagKind::Video, 1000, Bytes::from(video.clone())));

    let late = 0xffff_ff00_u32;
    let long = opening(6, 9, late, 300, &video[..128]);
    let middle = [&[0xc6], late.to_be_bytes().as_slice(), &video[128..256]].concat();
    let last = [&[0xc6], late.to_be_bytes().as_slice(), &video[256..]].concat();
    raw.say(&[long, middle, last].concat()).await;
    let tag = next(&mut tags).await.expect("video");
    assert_eq!((tag.timestamp_ms, tag.body), (late, Bytes::from(video)));
    // A delta carries it over 2^32.
    raw.say(&[0x46, 0, 1, 4, 0, 0, 1, 9, 5]).await;
    assert_eq!(next(&mut tags).await.expect("video").timestamp_ms, 4);
}

#[tokio::test]
async fn a_large_frame_passes_and_a_huge_one_closes() {
    let mut house = House::open(Limits::default()).await;
    let mut raw = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(8).await;
    raw.until("NetStream.Publish.Start").await;
    raw.say(&opening(2, 1, 0, 4, &0x7fff_ffff_u32.to_be_bytes())).await;
    let frame = vec![7; 3 << 20];
    raw.say(&opening(6, 9, 0, frame.len(), &frame)).await;
    assert_eq!(next(&mut tags).await.expect("whole").body.len(), frame.len());
    let many: Vec<u8> = (4..44).flat_map(|csid| opening(csid, 9, 0, 0xff_ffff, &[])).collect();
    raw.say(&many).await;
    assert!(next(&mut tags).await.is_none());
    raw.closed().await;
    house.still_serves().await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_noticed() {
    let mut house = House::open(Limits::default()).await;
    let mut raw = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(8).await;
    raw.until("NetStream.Publish.Start").await;
    raw.say(&opening(6, 9, 0, 300, &[0; 128])).await;
    // Closing over bytes that nobody has read resets the connection; pings make sure that there are some.
    raw.say(&opening(2, 4, 0, 6, &[0, 6, 0, 0, 0, 9]).repeat(8)).await;
    raw.stream.peek(&mut [0]).await.expect("an answer");
    drop(raw);
    assert!(next(&mut tags).await.is_none());
    house.still_serves().await;
}

const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn who_does_not_shake_hands_is_left_behind() {
    let house = House::open(Limits { handshake: SOON, ..Limits::default() }).await;
    let mut nothing = Vec::new();
    drop(TcpStream::connect(house.address).await.expect("it listens"));
    let mut half = TcpStream::connect(house.address).await.expect("it listens");
    half.write_all(&[3; 100]).await.expect("taken");
    drop(half);
    let mut silent = TcpStream::connect(house.address).await.expect("it listens");
    timeout(AGES, silent.read_to_end(&mut nothing)).await.expect("closed by the server").expect("in order");
    let mut web = TcpStream::connect(house.address).await.expect("it listens");
    web.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("taken");
    let _ = timeout(AGES, web.read_to_end(&mut nothing)).await.expect("closed by the server");
    assert!(nothing.is_empty());
}

#[tokio::test]
async fn who_does_not_publish_is_left_behind() {
    let house = House::open(Limits { negotiation: SOON, ..Limits::default() }).await;
    Raw::connect(house.address, "live").await.closed().await;
}

#[tokio::test]
async fn who_falls_silent_is_left_behind() {
    let mut house = House::open(Limits { idle: SOON, ..Limits::default() }).await;
    let mut idle = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(8).await;
    assert!(next(&mut tags).await.is_none());
    idle.closed().await;
}

#[tokio::test]
async fn garbage_behind_the_handshake_does_no_harm() {
    let mut house = House::open(Limits::default()).await;
    for byte in [0xff, 0xee, 0x42, 0x01] {
        let mut mad = Raw::shake_hands(house.address).await;
        let _ = mad.stream.write_all(&[byte; 100_000]).await;
        mad.closed().await;
    }
    house.still_serves().await;
}

#[tokio::test]
async fn a_slow_floor_above_slows_the_publisher_and_fills_no_memory() {
    let mut house = House::open(Limits::default()).await;
    let mut raw = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(2).await;
    raw.until("NetStream.Publish.Start").await;
    raw.say(&opening(2, 1, 0, 4, &(1_u32 << 20).to_be_bytes())).await;
    let frame = opening(6, 9, 0, 1 << 20, &vec![0; 1 << 20]);
    let mut sent = 0;
    while timeout(Duration::from_millis(500), raw.stream.write_all(&frame)).await.is_ok() {
        sent += 1;
        assert!(sent < 64, "the kernel's buffers and ours hold less than 64 MB");
    }
    for _ in 0..sent {
        assert_eq!(next(&mut tags).await.expect("nothing is lost").body.len(), 1 << 20);
    }
}

#[tokio::test]
async fn a_publisher_is_sent_away() {
    let mut house = House::open(Limits::default()).await;
    let mut stopped = Raw::publish(house.address, "good").await;
    let (_, mut tags, stop) = house.admit(8).await;
    stopped.until("NetStream.Publish.Start").await;
    stop.cancel();
    stopped.until("NetStream.Unpublish.Success").await;
    stopped.closed().await;
    assert!(next(&mut tags).await.is_none());

    let mut dropped = Raw::publish(house.address, "good").await;
    let (_, tags, _stop) = house.admit(8).await;
    drop(tags);
    dropped.closed().await;

    let mut last = Raw::publish(house.address, "good").await;
    let (_, _tags, _stop) = house.admit(8).await;
    last.until("NetStream.Publish.Start").await;
    house.shutdown.cancel();
    last.until("NetStream.Unpublish.Success").await;
    drop(last);
    timeout(AGES, house.server).await.expect("it stops").expect("it did not panic");
}

#[tokio::test]
async fn connections_are_counted() {
    let limits = Limits { connections: 3, waiting_per_address: 2, ..Limits::default() };
    let mut house = House::open(limits).await;
    let mut first = Raw::shake_hands(house.address).await;
    let _second = Raw::shake_hands(house.address).await;
    let mut refused = TcpStream::connect(house.address).await.expect("it listens");
    assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0, "two wait already");
    first.say(&[0xff; 40]).await;
    first.closed().await;
    house.still_serves().await;
}

#[tokio::test]
async fn pings_and_bytes_are_answered() {
    let mut house = House::open(Limits::default()).await;
    let mut raw = Raw::publish(house.address, "good").await;
    let (_, mut tags, _stop) = house.admit(8).await;
    raw.until("NetStream.Publish.Start").await;
    let (kind, ping) = RtmpMessage::UserControl(UserControlEvent::PingRequest(77)).encode();
    raw.message(2, kind, 0, ping).await;
    raw.until("\0\x07\0\0\0\x4d").await;
    // A window of one byte counts as 128 KB: after 300 KB there is an acknowledgement, and not one a byte.
    raw.say(&opening(2, 5, 0, 4, &1_u32.to_be_bytes())).await;
    raw.say(&opening(2, 1, 0, 4, &300_000_u32.to_be_bytes())).await;
    let before = raw.heard.len();
    raw.say(&opening(6, 9, 0, 300_000, &vec![0; 300_000])).await;
    assert!(next(&mut tags).await.is_some());
    assert!(raw.hear().await);
    assert!((4..=160).contains(&(raw.heard.len() - before)));
}

#[test]
fn a_key_is_not_printed() {
    let (answer, _) = tokio::sync::oneshot::channel();
    let publish = Publish { connection: 1, peer: ([127, 0, 0, 1], 9).into(), key: "s3cret".into(), answer };
    assert!(!format!("{publish:?}").contains("s3cret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever comes after the handshake, the conversation ends when the bytes end.
    #[test]
    fn random_bytes_end_the_conversation(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let end = runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(1 << 20);
            let (publishes, _asked) = mpsc::channel(1);
            let peer = ([127, 0, 0, 1], 9).into();
            let slot = Slots::new(1, 1).take(SocketAddr::ip(&peer)).expect("free");
            let client = Client { connection: 1, peer, publishes, shutdown: CancellationToken::new() };
            let hello = [&[3], [0; 2 * 1536].as_slice(), &bytes].concat();
            ours.write_all(&hello).await.expect("room");
            ours.shutdown().await.expect("open");
            let limits = Limits { patience: Duration::from_millis(50), ..Limits::default() };
            timeout(AGES, session::run(theirs, slot, client, &limits)).await.expect("it ends")
        });
        prop_assert!(!matches!(end, Ok(End::Finished)), "nobody was admitted");
    }
}

//! A publisher that sends what a test wants: tags that a real encoder made, with other time stamps, in another order, or
//! none. The handshake and the commands are RTMP 1.0, 5.2 and 7.2, as small as they can be.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{AGES, Server, until};

/// A tag of an FLV file (Adobe FLV 10.1, annex E).
#[derive(Debug, Clone)]
pub struct Tag {
    /// 8 is sound, 9 is a picture.
    pub kind: u8,
    /// As it goes over the wire, ms.
    pub timestamp: u32,
    /// When it is sent, ms after the first.
    pub due: u64,
    pub body: Vec<u8>,
}

pub const SOUND: u8 = 8;
pub const PICTURE: u8 = 9;

impl Tag {
    pub fn is_header(&self) -> bool {
        self.body.get(1) == Some(&0)
    }
}

/// What ffmpeg makes of these arguments, as the tags of an FLV file without its metadata.
pub fn encode(arguments: &[&str]) -> Vec<Tag> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .args(["-f", "flv", "-flvflags", "no_duration_filesize", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let number = |bytes: &[u8]| bytes.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte));
    let (mut tags, mut rest) = (Vec::new(), &output.stdout[13..]);
    while let [kind, a, b, c, d, e, f, extension, ..] = *rest {
        let length = number(&[a, b, c]) as usize;
        let timestamp = number(&[extension, d, e, f]);
        let body = rest[11..11 + length].to_vec();
        rest = &rest[11 + length + 4..];
        if [SOUND, PICTURE].contains(&kind) {
            tags.push(Tag { kind, timestamp, due: u64::from(timestamp), body });
        }
    }
    tags
}

/// A moving picture of this size and a tone, for so many seconds: a keyframe each second.
pub fn programme(size: &str, seconds: u32) -> Vec<Tag> {
    let picture = format!("testsrc2=size={size}:rate=30:duration={seconds}");
    let sound = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
    let codecs = "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -c:a aac";
    let inputs = ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound];
    encode(&inputs.into_iter().chain(codecs.split(' ')).collect::<Vec<_>>())
}

/// A connection that publishes.
pub struct Pusher(TcpStream);

impl Pusher {
    /// Connects and waits until it may send.
    pub fn connect(server: &Server, key: &str) -> Self {
        let address = server.rtmp.trim_start_matches("rtmp://").trim_end_matches("/live");
        let mut socket = TcpStream::connect(address).expect("it listens");
        socket.set_read_timeout(Some(AGES)).expect("a socket");
        socket.set_nodelay(true).expect("a socket");
        let mut hello = vec![3];
        hello.resize(1 + 1536, 0);
        socket.write_all(&hello).expect("it reads");
        let mut answer = vec![0; 1 + 2 * 1536];
        socket.read_exact(&mut answer).expect("it answers");
        socket.write_all(&answer[1..=1536]).expect("it reads");

        let mut pusher = Self(socket);
        pusher.message(1, 0, 0, &0x0010_0000u32.to_be_bytes());
        let text = |text: &str| [&[2, 0, text.len() as u8], text.as_bytes()].concat();
        let number = |number: f64| [&[0][..], &number.to_be_bytes()].concat();
        let app = [&[3, 0, 3][..], b"app", &text("live"), &[0, 0, 9]].concat();
        pusher.message(20, 0, 0, &[text("connect"), number(1.0), app].concat());
        pusher.message(20, 0, 0, &[text("createStream"), number(2.0), vec![5]].concat());
        pusher.message(20, 1, 0, &[text("publish"), number(3.0), vec![5], text(key), text("live")].concat());
        let mut heard = Vec::new();
        until("leave to publish", || {
            let mut some = [0; 4096];
            let read = pusher.0.read(&mut some).expect("an answer");
            assert!(read > 0, "refused: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&some[..read]);
            heard.windows(23).any(|window| window == b"NetStream.Publish.Start").then_some(())
        });
        pusher
    }

    /// One message in one chunk of type 0 (RTMP 1.0, 5.3.1.2.1), with an extended time stamp where it needs one.
    fn message(&mut self, kind: u8, stream: u32, timestamp: u32, body: &[u8]) {
        let short = timestamp.min(0x00ff_ffff);
        let mut chunk = vec![if kind < 8 { 2 } else { 4 }];
        chunk.extend_from_slice(&short.to_be_bytes()[1..]);
        chunk.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
        chunk.push(kind);
        chunk.extend_from_slice(&stream.to_le_bytes());
        if short == 0x00ff_ffff {
            chunk.extend_from_slice(&timestamp.to_be_bytes());
        }
        chunk.extend_from_slice(body);
        self.0.write_all(&chunk).expect("it reads");
    }

    /// Sends each tag when it is due.
    pub fn push(&mut self, tags: &[Tag]) {
        let begin = Instant::now();
        for tag in tags {
            std::thread::sleep(Duration::from_millis(tag.due).saturating_sub(begin.elapsed()));
            self.message(tag.kind, 1, tag.timestamp, &tag.body);
        }
    }

    /// Whether the server closes the connection.
    pub fn is_sent_away(&mut self) -> bool {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).is_ok()
    }

    /// Hangs up in order.
    pub fn finish(mut self) {
        let delete = [&[2, 0, 12][..], b"deleteStream", &[0], &4f64.to_be_bytes(), &[5, 0], &1f64.to_be_bytes()];
        self.message(20, 0, 0, &delete.concat());
        self.0.shutdown(Shutdown::Write).expect("it is open");
        assert!(self.is_sent_away());
    }
}

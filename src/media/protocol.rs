//! What the parent and a worker say to each other over their socketpair.
//!
//! Each message is one [`postcard`] value in a length-delimited frame (4 bytes, big endian, at most [`MAX_FRAME`]). Both
//! sides are the same executable, so the version only guards against an executable that was replaced under a running
//! parent. Media times are nanoseconds or 90 kHz ticks of *running time*: `CLOCK_MONOTONIC` minus [`Start::base_ns`], one
//! timeline for all workers of a parent's life, so that a restarted worker goes on where the dead one stopped.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::rungs::Rung;
use super::shedding::Reason;
use crate::base::terms::Content;

/// Raised with every change to a message.
pub const VERSION: u16 = 7;

/// H.264 encoders of GStreamer that are tried, hardware first; the last is [`SOFTWARE_ENCODER`].
pub const ENCODERS: [&str; 4] = ["v4l2h264enc", "vah264enc", "vaapih264enc", SOFTWARE_ENCODER];
/// Has no hardware that could hang, and is what there is besides.
pub const SOFTWARE_ENCODER: &str = "x264enc";

/// Longest frame on the socket, in bytes. A part of 500 ms at 40 Mbit/s is 2.5 MB.
pub const MAX_FRAME: usize = 16 << 20;

/// A worker that has nothing to say sends [`FromWorker::Pulse`] after so long, so that silence means that it stands still.
pub const PULSE: Duration = Duration::from_millis(200);

/// From the parent to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// The first message: what to do for the rest of the process's life.
    Start(Start),
    /// Make the next frame a keyframe and start a part with it, as soon as the encoder can. Ignored by passthrough.
    Keyframe,
    /// One FLV tag of the publisher that this worker serves (only with [`Task::Publisher`]).
    Tag(FlvTag),
    /// The publisher is gone: its media is complete, the slate stands in for it, and tags that follow are another session's.
    Gone,
    /// What was on air of the publisher before this worker began (only with [`Task::Publisher`], first of all): the slate stands
    /// in for it, at once if the publisher is away, else when its next keyframe is not there in time. Media ended at `end`, 90 kHz
    /// ticks of running time.
    StandIn { init: Init, end: u64, away: bool },
    /// What the first keyframe in `media` shows, by its `init`, goes to this place of the sheet, counted by rows (only with
    /// [`Task::Sheet`]).
    Still { place: u32, init: Bytes, media: Bytes },
    /// A segment of a recording, whole fragments; with `begins`, which decodes it, it does not follow on what came before (only with
    /// [`Task::Ladder`]).
    Segment { msn: u64, begins: Option<Init>, media: Bytes },
    /// Flush what is whole, say [`FromWorker::Ended`], exit 0.
    Stop,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// [`VERSION`] of the sender.
    pub version: u16,
    /// `CLOCK_MONOTONIC` at running time zero, in nanoseconds.
    pub base_ns: u64,
    /// Encoders that are not to be tried; [`Task::Encoder`] tries them all the same.
    pub left_out: Vec<String>,
    pub task: Task,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Capture a camera and a microphone, or the test pattern, encode, send parts.
    Capture(Capture),
    /// Take FLV tags of one RTMP publisher, send parts without encoding.
    /// No part begins before `not_before`, 90 kHz ticks of running time: where the session before it ended, which may lie
    /// ahead of the clock when a publisher sends faster than it should.
    Publisher { part_ms: u32, not_before: u64 },
    /// Watch cameras and microphones; send [`FromWorker::Devices`] at once and at each change.
    Devices,
    /// Make a small picture of a recording: of the first keyframe in `media`, whole fragments of it, by its `init`. Sends
    /// [`FromWorker::Snapshot`] or a fatal [`FromWorker::Error`], and exits.
    Picture { init: Bytes, media: Bytes },
    /// Put small pictures of a recording on one sheet, as [`ToWorker::Still`] brings them; at the stop, send it as
    /// [`FromWorker::Snapshot`].
    Sheet(Sheet),
    /// Read in the file that is the worker's standard output, as fast as it goes: send [`FromWorker::Length`], an init, parts of one
    /// rendition from 1 s on, [`FromWorker::Ended`], or a fatal [`FromWorker::Error`]; exit. What is H.264 and AAC already is passed
    /// on unless `encode` says that this did not work out ([`ErrorCode::CannotPass`]). Parts that begin before `from`, 90 kHz ticks, are
    /// there already from another time: they are not sent, and encoded as little as can be.
    Import { encode: bool, from: u64 },
    /// Make smaller renditions of a recording, as [`ToWorker::Segment`] brings it: send an init for each and whenever it changes, and
    /// [`FromWorker::Made`]; at the stop, what is left, and [`FromWorker::Ended`]; or a fatal [`FromWorker::Error`]. Renditions are
    /// numbered from 1 on.
    Ladder(Vec<Rung>),
    /// Time one of [`ENCODERS`] at 1280x720; send [`FromWorker::Speed`]; exit 0. It may hang, or take the worker with it.
    Encoder(String),
}

/// A sheet of pictures of one size, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    pub columns: u32,
    pub rows: u32,
    /// Of one picture.
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    pub video: VideoInput,
    pub audio: AudioInput,
    /// How to encode it.
    pub content: Content,
    /// What to encode, best first, of even sizes; numbers of renditions count from 0 in this order.
    pub rungs: Vec<Rung>,
    /// Frames per second, 5 to 60.
    pub frame_rate: u32,
    /// Length of a part in milliseconds, 200 to 1000. The worker rounds it to whole frames.
    pub part_ms: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum VideoInput {
    /// Noisy moving picture with the wall clock burnt in.
    TestPattern,
    /// A camera, see [`Device::is`].
    Camera(String),
    /// One whose own H.264 is to be passed through, as far as that goes.
    EncodingCamera(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AudioInput {
    Silence,
    /// A quiet tone with a tick each second.
    TestTone,
    /// A microphone, see [`Device::is`].
    Microphone(String),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlvTag {
    pub kind: TagKind,
    /// RTMP time stamp, milliseconds; it wraps at 2^32.
    pub timestamp_ms: u32,
    /// The tag's body: codec byte first, as in FLV 10.1 annex E.4.
    pub body: Bytes,
}

impl FlvTag {
    /// Whether it holds a codec's parameters, without which nothing after it can be decoded: AVC or AAC sequence header, in
    /// the legacy or the enhanced form.
    pub fn is_sequence_header(&self) -> bool {
        match (self.kind, &self.body[..]) {
            (TagKind::Video, [first, ..]) if first & 0x80 != 0 => first & 0x0f == 0,
            (TagKind::Audio, [first, ..]) if first >> 4 == 9 => first & 0x0f == 0,
            (TagKind::Video, [_, packet, ..]) | (TagKind::Audio, [_, packet, ..]) => *packet == 0,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TagKind {
    Audio,
    Video,
}

/// From the worker to the parent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// The first message.
    Hello {
        version: u16,
    },
    /// It lives; see [`PULSE`].
    Pulse,
    /// The parts that follow are decoded with this. Sent before the first part and whenever it changes.
    Init(Init),
    Part(Part),
    /// A segment of a smaller rendition: its parts, with the times and the sound of those that it was made of.
    Made {
        rendition: u8,
        msn: u64,
        parts: Vec<Bytes>,
    },
    /// About ten times a second.
    Level(Level),
    /// A JPEG of at most 640x360, about every 5 s, the first within a second.
    Snapshot {
        jpeg: Bytes,
    },
    /// About once a second.
    Stats(Stats),
    /// The source's condition changed.
    State(SourceState),
    /// So many renditions, from the best on, are left out from the next keyframe on, because the box cannot carry them; none
    /// when it can again. With `half_rate` it cannot carry the last one either: it has half as many frames.
    LeftOut {
        renditions: u8,
        half_rate: bool,
        reason: Option<Reason>,
    },
    /// How long a file says that it lasts, milliseconds.
    Length {
        ms: u64,
    },
    Devices(Vec<Device>),
    /// A hardware encoder is tried. If nothing follows, it hangs, or takes the worker with it.
    Trying {
        encoder: String,
    },
    /// It works, or does not; `slow` if finding that out took longer than a start should wait.
    Tried {
        encoder: String,
        slow: bool,
    },
    /// Frames per second of an encoder, or why it does not work.
    Speed(Result<f32, String>),
    /// Something went wrong; with `fatal` the worker exits next.
    Error {
        code: ErrorCode,
        message: String,
        fatal: bool,
    },
    /// Answer to [`ToWorker::Stop`], or the end of a file: no part follows.
    Ended,
}

/// An initialisation section (`ftyp` + `moov`), the target of EXT-X-MAP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Init {
    /// Which rendition of the program; 0 is the only one, or the best.
    pub rendition: u8,
    pub bytes: Bytes,
    /// RFC 6381 codecs, comma separated, video first: `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
    pub width: u32,
    pub height: u32,
    /// Frames per 1000 s; 0 where the source does not tell.
    pub frame_rate_milli: u32,
    pub has_audio: bool,
    /// No part of this init lasts longer, in 90 kHz ticks: EXT-X-PART-INF's PART-TARGET.
    pub part_target: u32,
}

/// One CMAF chunk, complete: `moof` + `mdat`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub rendition: u8,
    /// Decode time of the first video frame in running time, 90 kHz ticks; equals its `tfdt`.
    pub start: u64,
    /// Sum of its video frames' durations, 90 kHz ticks.
    pub duration: u32,
    /// Begins with a keyframe (an IDR with its parameter sets in the init).
    pub independent: bool,
    /// The timeline or the encoding breaks before this part.
    pub discontinuity: bool,
    pub bytes: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Peak of the last 100 ms per channel, dBFS, clamped to -100 ..= 0.
    pub peak_db: [f32; 2],
    /// RMS of the last 100 ms per channel, dBFS, clamped to -100 ..= 0.
    pub rms_db: [f32; 2],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Frames encoded or passed through since the start.
    pub frames: u64,
    /// Frames that the source should have given and did not, or that came too late, since the start.
    pub dropped: u64,
    /// Media bits per second over the last second.
    pub bitrate: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceState {
    /// Opening devices, or waiting for the publisher's first keyframe.
    Starting,
    /// Picture is flowing.
    Running,
    /// The picture is lost; a slate is shown in its place.
    VideoLost,
    /// The sound is lost; silence takes its place.
    AudioLost,
    /// The publisher is gone; the slate is shown until it comes back.
    PublisherGone,
    /// The publisher is connected and its picture stands still; the slate is shown in its place.
    PublisherStill,
}

/// A camera or a microphone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Stable over unplugging and restarts: made from the bus path, not from `/dev/videoN`.
    pub id: String,
    pub kind: DeviceKind,
    /// What its maker calls it.
    pub label: String,
    /// Cameras: what it can give, best first.
    pub formats: Vec<DeviceFormat>,
    /// The camera encodes H.264 itself.
    pub gives_h264: bool,
    /// The microphone of this camera, by [`Device::id`], where both hang on one USB device.
    pub sibling: Option<String>,
}

impl Device {
    /// Its id as a source or microphone: short, safe in a URL, the same for the same device on the same port.
    pub fn source_id(&self) -> String {
        let prefix = match self.kind {
            DeviceKind::Camera => "cam",
            DeviceKind::Microphone => "mic",
        };
        let hash = Sha256::digest(self.id.as_bytes());
        let digits: String = hash[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{prefix}-{digits}")
    }

    /// Whether `id` means it, in either form.
    pub fn is(&self, id: &str) -> bool {
        self.id == id || self.source_id() == id
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    Camera,
    Microphone,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeviceFormat {
    /// `raw`, `mjpeg` or `h264`.
    pub encoding: String,
    pub width: u32,
    pub height: u32,
    /// Highest frames per second.
    pub frame_rate: u32,
}

/// Stable codes of what can go wrong in a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    /// A GStreamer plugin is not installed.
    MissingPlugin,
    /// The camera cannot be opened (busy, gone, no permission).
    CameraUnavailable,
    MicrophoneUnavailable,
    /// The camera's own H.264 cannot be passed through; it is decoded and encoded again.
    EncodedAnew,
    /// No encoder works.
    NoEncoder,
    /// The publisher sends something else than H.264 and AAC.
    UnsupportedCodec,
    /// The publisher sends no video.
    NoVideo,
    /// The publisher's media cannot be understood.
    BadMedia,
    /// A file is no video and no sound.
    NoMedia,
    /// A file is longer than a day.
    TooLong,
    /// A file can be played, but not be passed on as it is.
    CannotPass,
    /// The pipeline failed.
    Pipeline,
    /// The parent speaks another version.
    Version,
}

impl ErrorCode {
    /// The stable word by which programs and translations know it.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::MissingPlugin => "missing_plugin",
            ErrorCode::CameraUnavailable => "camera_unavailable",
            ErrorCode::MicrophoneUnavailable => "microphone_unavailable",
            ErrorCode::EncodedAnew => "encoded_anew",
            ErrorCode::NoEncoder => "no_encoder",
            ErrorCode::UnsupportedCodec => "unsupported_codec",
            ErrorCode::NoVideo => "no_video",
            ErrorCode::BadMedia => "bad_media",
            ErrorCode::NoMedia => "no_media",
            ErrorCode::TooLong => "too_long",
            ErrorCode::CannotPass => "cannot_pass",
            ErrorCode::Pipeline => "pipeline_failed",
            ErrorCode::Version => "wrong_version",
        }
    }
}

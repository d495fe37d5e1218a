//! `/studio` and `/studio/keys`: the broadcaster's pages.

use askama::Template;
use serde_json::json;

use super::tv::Qr;
use super::{Audience, AudienceWords as _, Field, Site};
pub use crate::base::terms::{Content, SourceKind};
use crate::broadcast::actor::Wellbeing;
pub use crate::broadcast::source::{Microphone, Source};
use crate::web::i18n::Lang;

/// Posts `source`, `microphone`, `content`, `title`, `description`, `audience` to `/studio/broadcasts`; the script sends the
/// same to the API instead.
#[derive(Template)]
#[template(path = "studio.html")]
pub struct Studio {
    pub site: Site,
    pub sources: Vec<Source>,
    pub on_air: Vec<OnAir>,
    pub draft: Draft,
    /// How long the free room lasts, seconds.
    pub disk_left_s: Option<u64>,
    /// Why the last attempt to go live failed, in words.
    pub error: Option<String>,
    /// The field at fault; empty for none.
    pub at: String,
    /// There is no room to record it: on air without a recording, or not at all?
    pub no_room: bool,
    /// Bytes in the trash, for whoever may empty it; else 0.
    pub trash_bytes: u64,
    /// The form is shown although something is on air.
    pub another: bool,
    /// The address that always opens what is live, as a code to print.
    pub qr: Qr,
}

/// What the form holds.
pub struct Draft {
    pub source: String,
    pub microphone: String,
    pub content: Field<Content>,
    pub title: Field,
    pub description: Field,
    pub audience: Field<Audience>,
}

/// A broadcast that is starting or live.
#[derive(Default)]
pub struct OnAir {
    pub id: String,
    pub title: String,
    pub live: bool,
    pub source: String,
    pub elapsed_s: u64,
    pub viewers: u64,
    /// The six digits, when the audience needs them.
    pub pin: Option<String>,
    pub health: Health,
    /// Why there is no picture or no sound, in words.
    pub reason: Option<String>,
    /// Nothing of it is kept.
    pub unrecorded: bool,
}

/// How a broadcast is doing, as the page shows it.
#[derive(Clone, Copy, Debug)]
pub struct Health(pub Wellbeing);

impl Default for Health {
    fn default() -> Self {
        Self(Wellbeing::Ok)
    }
}

impl Health {
    /// The word of the events.
    pub fn code(&self) -> &'static str {
        match self.0 {
            Wellbeing::Ok => "ok",
            Wellbeing::VideoLost => "video_lost",
            Wellbeing::AudioLost => "audio_lost",
            Wellbeing::PublisherGone => "publisher_gone",
            Wellbeing::PublisherStill => "publisher_still",
            Wellbeing::Restarting => "restarting",
            Wellbeing::CaptureFailing => "capture_failing",
            Wellbeing::Busy => "busy",
            Wellbeing::Hot => "hot",
            Wellbeing::HalfRate => "half_rate",
            Wellbeing::RecordingPaused => "recording_paused",
            Wellbeing::RecordingFailing => "recording_failing",
        }
    }

    fn words(&self, t: Lang) -> &'static str {
        match self.0 {
            Wellbeing::Ok => t.air_health_ok(),
            Wellbeing::VideoLost => t.air_health_video_lost(),
            Wellbeing::AudioLost => t.air_health_audio_lost(),
            Wellbeing::PublisherGone => t.air_health_publisher_gone(),
            Wellbeing::PublisherStill => t.air_health_publisher_still(),
            Wellbeing::Restarting => t.air_health_restarting(),
            Wellbeing::CaptureFailing => t.air_health_capture_failing(),
            Wellbeing::Busy => t.air_health_busy(),
            Wellbeing::Hot => t.air_health_hot(),
            Wellbeing::HalfRate => t.air_health_half_rate(),
            Wellbeing::RecordingPaused => t.air_health_recording_paused(),
            Wellbeing::RecordingFailing => t.air_health_recording_failing(),
        }
    }
}

/// How the studio speaks of what a broadcast shows.
trait ContentWords {
    fn name(&self, t: Lang) -> &'static str;
    fn hint(&self, t: Lang) -> &'static str;
}

impl ContentWords for Content {
    fn name(&self, t: Lang) -> &'static str {
        match self {
            Content::Talk => t.content_talk(),
            Content::Slides => t.content_slides(),
        }
    }

    fn hint(&self, t: Lang) -> &'static str {
        match self {
            Content::Talk => t.content_talk_hint(),
            Content::Slides => t.content_slides_hint(),
        }
    }
}

/// How the studio speaks of a source.
trait SourceWords {
    fn icon(&self) -> &'static str;
    fn about(&self, t: crate::web::i18n::Lang) -> String;
}

impl SourceWords for Source {
    fn icon(&self) -> &'static str {
        match self.kind {
            SourceKind::Camera => "camera",
            SourceKind::Rtmp => "network",
            SourceKind::Test => "tv",
            SourceKind::File => "film",
        }
    }

    /// What one should know about it, on one line.
    fn about(&self, t: Lang) -> String {
        let kind = match self.kind {
            SourceKind::Camera => t.studio_source_camera(),
            SourceKind::Rtmp => t.studio_source_rtmp(),
            SourceKind::Test => t.studio_source_test(),
            SourceKind::File => t.studio_source_file(),
        };
        let mut parts = vec![kind.to_owned()];
        parts.extend(self.formats.first().map(|best| {
            let [width, height, rate] = [best.width, best.height, best.frame_rate].map(|number| number.to_string());
            t.studio_source_format(&width, &height, &rate)
        }));
        if self.needs_no_encoding {
            parts.push(t.studio_source_untouched().to_owned());
        }
        if !self.ready {
            parts.push(t.studio_source_not_ready().to_owned());
        }
        parts.join(" · ")
    }
}

/// Less than this many seconds of room to record is worth a word with the admin.
const LITTLE_ROOM: u64 = 3600;

/// How long the room lasts, as the script says it too.
fn room(left_s: u64, t: Lang) -> (&'static str, String) {
    let hours = left_s / 3600;
    let time = match hours {
        0 => format!("{} {}", left_s / 60, t.js_minutes()),
        _ => format!("{hours} {}", t.js_hours()),
    };
    if left_s < LITTLE_ROOM { ("bad", t.check_disk_low(&time)) } else { ("good", t.check_disk_ok(&time)) }
}

impl Studio {
    fn preparing(&self) -> bool {
        self.on_air.is_empty() || self.another
    }

    /// One empty card, from which the script makes those that come later.
    fn blank(&self) -> [OnAir; 1] {
        [OnAir::default()]
    }

    /// What is checked before going live: key, icon and name, then how it is and that in words. The script goes on with them.
    fn checks(&self) -> [(&'static str, &'static str, &'static str, (&'static str, String)); 4] {
        let t = self.site.t;
        let waiting = || ("waiting", t.check_waiting().to_owned());
        [
            ("picture", "video", t.studio_check_picture(), waiting()),
            ("sound", "mic", t.studio_check_sound(), waiting()),
            ("disk", "hard-drive", t.studio_check_disk(), self.disk_left_s.map_or_else(waiting, |left| room(left, t))),
            ("network", "wifi", t.studio_check_network(), waiting()),
        ]
    }

    fn texts(&self) -> String {
        let t = self.site.t;
        json!({
            "preview": {
                "none": t.studio_preview_none(), "starting": t.studio_preview_starting(), "failed": t.studio_preview_failed(),
                "video_lost": t.studio_preview_video_lost(), "audio_lost": t.studio_preview_audio_lost(),
                "publisher_gone": t.studio_preview_publisher_gone(),
                "publisher_still": t.studio_preview_publisher_still(),
                "restarting": t.air_health_restarting(),
            },
            "health": {
                "ok": t.air_health_ok(), "video_lost": t.air_health_video_lost(), "audio_lost": t.air_health_audio_lost(),
                "publisher_gone": t.air_health_publisher_gone(), "publisher_still": t.air_health_publisher_still(),
                "restarting": t.air_health_restarting(), "recording_paused": t.air_health_recording_paused(),
                "capture_failing": t.air_health_capture_failing(), "recording_failing": t.air_health_recording_failing(),
                "busy": t.air_health_busy(), "hot": t.air_health_hot(), "half_rate": t.air_health_half_rate(), "lost": t.air_health_lost(),
            },
            "checks": {
                "waiting": t.check_waiting(), "pictureOk": t.check_picture_ok(), "pictureBad": t.check_picture_bad(),
                "soundOk": t.check_sound_ok(), "soundQuiet": t.check_sound_quiet(), "soundLoud": t.check_sound_loud(),
                "soundNone": t.check_sound_none(), "diskOk": t.check_disk_ok("{time}"), "diskLow": t.check_disk_low("{time}"),
                "networkOk": t.check_network_ok(), "networkBad": t.check_network_bad(),
            },
            "kinds": { "camera": t.studio_source_camera(), "rtmp": t.studio_source_rtmp(), "test": t.studio_source_test() },
            "format": t.studio_source_format("{width}", "{height}", "{frame_rate}"), "untouched": t.studio_source_untouched(), "notReady": t.studio_source_not_ready(),
            "testLabel": t.studio_source_test_label(), "problems": t.problems(),
            "noMicrophone": t.studio_microphone_none(), "levelUnit": t.studio_level_unit(),
            "listen": t.studio_listen(), "stopListening": t.studio_stop_listening(),
            "goLive": t.studio_go_live(), "goingLive": t.studio_going_live(), "failed": t.studio_failed(),
            "starting": t.air_starting(), "live": t.air_live(), "end": t.air_end(), "ending": t.air_ending(),
            "endQuestion": t.air_end_question("{title}"), "ended": t.air_ended(), "endedUnrecorded": t.air_ended_unrecorded(), "copied": t.air_copied(),
            "hours": t.js_hours(), "minutes": t.js_minutes(),
        })
        .to_string()
    }
}

/// Posts `label`, `auto_live` (`1` or `0`), `audience` to `/studio/keys`; revokes by `/studio/keys/{id}/revoke`.
#[derive(Template)]
#[template(path = "keys.html")]
pub struct Keys {
    pub site: Site,
    pub keys: Vec<Key>,
    pub label: Field,
    pub auto_live: Field<bool>,
    pub audience: Field<Audience>,
    /// The key that was just made.
    pub made: Option<MadeKey>,
    pub rtmp_on: bool,
}

pub struct Key {
    pub id: String,
    pub label: String,
    pub auto_live: bool,
    pub audience: Audience,
    pub created_ms: i64,
    pub used_ms: Option<i64>,
    /// A publisher is sending with it now.
    pub connected: bool,
}

pub struct MadeKey {
    pub label: String,
    /// `rtmp://HOST:PORT/live`, without the key.
    pub server: String,
    pub key: String,
}

impl Keys {
    /// Id, name and value of what is to be copied.
    fn lines(&self, made: &MadeKey) -> [(&'static str, &'static str, String); 3] {
        let t = self.site.t;
        [
            ("server", t.keys_server(), made.server.clone()),
            ("key", t.keys_key(), made.key.clone()),
            ("full", t.keys_full(), self.full(made)),
        ]
    }

    /// The address with the key, for programs that take one line.
    fn full(&self, made: &MadeKey) -> String {
        format!("{}/{}", made.server, made.key)
    }
}

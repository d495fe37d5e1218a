//! `/watch/{id}`: one broadcast for its whole life, and the question for its PIN.

use askama::Template;
use serde_json::json;

use super::{Audience, AudienceWords as _, Card, Field, Mark, Site, State, Track};
use crate::web::i18n::Lang;

#[derive(Template)]
#[template(path = "watch.html")]
pub struct Watch {
    pub site: Site,
    pub id: String,
    pub title: String,
    pub description: String,
    pub state: State,
    pub audience: Audience,
    /// When it began, or was made; milliseconds since 1970.
    pub at_ms: i64,
    pub viewers: u64,
    pub duration_s: u64,
    /// Bytes of the download; 0 while it is not over.
    pub size: u64,
    pub thumbnail: bool,
    pub tags: Vec<String>,
    /// What to watch next.
    pub more: Vec<Card>,
    /// How far behind the live edge the page aims, seconds.
    pub live_sync_s: f64,
    /// False: nothing of it is kept.
    pub recorded: bool,
    /// Whether it is pinned, for whoever may change that; posts `pinned` (`1` or `0`) to `/watch/{id}/keep`.
    pub pin: Option<bool>,
    /// Captions of a recording, the reader's language first.
    pub tracks: Vec<Track>,
    /// Of what is shown, in order.
    pub chapters: Vec<Mark>,
    /// There are small pictures for the time line.
    pub sprite: bool,
    /// It is still being made of a file: percent.
    pub reading: Option<u32>,
}

impl Watch {
    fn on_air(&self) -> bool {
        matches!(self.state, State::Starting | State::Live)
    }

    /// The texts that the script needs, as JSON.
    fn texts(&self) -> String {
        let mut texts = texts(&self.site);
        if !self.recorded {
            texts["failedTitle"] = self.failed_title().into();
            texts["failed"] = self.failed().into();
        }
        texts.to_string()
    }

    /// Why there is nothing to play.
    fn failed_title(&self) -> &'static str {
        if self.recorded { self.site.t.watch_failed_title() } else { self.site.t.watch_unrecorded_title() }
    }

    fn failed(&self) -> &'static str {
        if self.recorded { self.site.t.watch_failed() } else { self.site.t.watch_unrecorded() }
    }
}

/// Texts of the player's script; shared by every page that plays with controls.
pub(super) fn texts(site: &Site) -> serde_json::Value {
    let t = site.t;
    json!({
        "live": t.live(), "behind": t.watch_behind(), "behindMinutes": t.watch_behind_minutes(),
        "viewers": t.viewers_template("{n}"), "noViewers": t.viewers(0),
        "unmute": t.watch_unmute(), "pressPlay": t.watch_press_play(),
        "waitingTitle": t.watch_waiting_title(), "waiting": t.watch_waiting(),
        "endedTitle": t.watch_ended_title(), "ended": t.watch_ended(), "fromBeginning": t.watch_from_beginning(),
        "failedTitle": t.watch_failed_title(), "failed": t.watch_failed(),
        "reconnecting": t.watch_reconnecting(), "cannotPlay": t.watch_cannot_play(),
        "nowLive": t.watch_now_live(), "nowEnded": t.watch_now_ended(), "recording": t.watch_recording(),
        "siteName": site.name,
        "quality": json!({
            "auto": t.watch_quality_auto(), "saver": t.watch_quality_saver(), "sound": t.watch_quality_sound(),
            "names": [
                { "from": 1000, "name": t.watch_quality_best() },
                { "from": 600, "name": t.watch_quality_good() },
                { "from": 0, "name": t.watch_quality_fair() },
            ],
        }),
        "controls": controls(site.t),
    })
}

/// The controls' words, keyed by their own English.
fn controls(t: Lang) -> serde_json::Value {
    let seek = |text: &str| text.replace("{seekOffset}", "10");
    json!({
        "Play": t.key_play(), "Pause": t.key_pause(), "play": t.key_play(), "pause": t.key_pause(),
        "Mute": t.key_mute(), "Unmute": t.key_unmute(), "mute": t.key_mute(), "unmute": t.key_unmute(),
        "Enter fullscreen mode": t.key_fullscreen(), "enter fullscreen mode": t.key_fullscreen(),
        "Exit fullscreen mode": t.key_exit_fullscreen(), "exit fullscreen mode": t.key_exit_fullscreen(),
        "Seek backward": seek(t.key_back()), "Seek forward": seek(t.key_forward()),
        "seek back {seekOffset} seconds": t.key_back(), "seek forward {seekOffset} seconds": t.key_forward(),
        "seek": t.key_seek(), "volume": t.key_volume(), "playback time": t.key_time(), "live": t.live(),
        "{currentTime} of {totalTime}": t.key_time_of(), "{time} remaining": t.key_time_left(),
        "media loading": t.key_loading(), "video player": t.key_player(),
        "video not loaded, unknown time.": t.key_unknown_time(),
        "closed captions": t.captions_title(), "Enable captions": t.captions_on(),
        "Disable captions": t.captions_turn_off(),
        "hour": t.js_hour(), "hours": t.js_hours(), "minute": t.js_minute(), "minutes": t.js_minutes(),
        "second": t.js_second(), "seconds": t.js_seconds(),
    })
}

/// Asks a viewer for the six digits.
#[derive(Template)]
#[template(path = "watch_pin.html")]
pub struct WatchPin {
    pub site: Site,
    pub id: String,
    pub title: String,
    pub pin: Field,
}

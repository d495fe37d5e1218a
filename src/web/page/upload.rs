//! `/studio/upload`: the page that sends files.

use askama::Template;
use serde_json::json;

use super::Site;

/// Posts `file` to `/studio/upload`, and to `/studio/upload/{id}/delete`; the script calls the API instead.
#[derive(Template)]
#[template(path = "upload.html")]
pub struct Upload {
    pub site: Site,
    /// Bytes of the largest file.
    pub most: u64,
    pub unfinished: Vec<Unfinished>,
    /// Why the file of the form was not taken, in words.
    pub error: Option<String>,
}

/// An upload that is not complete.
#[derive(Debug, Clone)]
pub struct Unfinished {
    pub id: String,
    pub name: String,
    /// Bytes of the whole file, and those that have come.
    pub length: u64,
    pub offset: u64,
    /// When it is removed, milliseconds since 1970; none while that is not known.
    pub expires_ms: Option<i64>,
}

impl Upload {
    /// A round number as people say it.
    fn most_words(&self) -> String {
        self.site.t.size(self.most).replace([',', '.'], ".").replace(".0 ", " ")
    }

    fn texts(&self) -> String {
        let t = self.site.t;
        json!({
            "most": self.most, "problems": t.problems(), "failed": t.upload_failed(),
            "waiting": t.upload_waiting(), "starting": t.upload_starting(), "paused": t.upload_paused(),
            "lost": t.upload_lost(), "done": t.upload_done(),
            "progress": t.upload_progress("{arrived}", "{total}"), "speed": t.upload_speed(),
            "leftSoon": t.upload_left_soon(), "leftMinute": t.upload_left_minute(), "leftMinutes": t.upload_left_minutes(),
            "leftHours": t.upload_left_hours(), "question": t.upload_question("{name}"), "again": t.upload_again(),
        })
        .to_string()
    }
}

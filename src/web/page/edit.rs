//! `/admin/recordings/{id}/edit`: the page that cuts a recording, marks its chapters and chooses its picture.

use askama::Template;
use serde_json::json;

use super::{Field, Site};

/// Posts `kept` and `chapters` to `/admin/recordings/{id}/edit`, `at` to `…/edit/picture`, and shows all again by `…/edit/whole`.
/// The script plays the whole recording and fills in what the fields hold.
#[derive(Template)]
#[template(path = "admin/edit.html")]
pub struct RecordingCut {
    pub site: Site,
    pub id: String,
    pub title: String,
    /// Stretches as text, one a line.
    pub kept: Field,
    /// Chapters as text, one a line.
    pub chapters: Field,
    /// A time as text.
    pub at: Field,
    /// Not all of it is shown.
    pub edited: bool,
    /// How long all that was recorded is, and what is shown of it, milliseconds.
    pub uncut_ms: u64,
    pub shown_ms: u64,
    pub thumbnail: bool,
}

impl RecordingCut {
    fn lengths(&self) -> String {
        let length = |ms: u64| self.site.t.clock((ms + 500) / 1000);
        self.site.t.edit_lengths(&length(self.shown_ms), &length(self.uncut_ms))
    }

    /// The texts that the script needs, as JSON.
    fn texts(&self) -> String {
        let t = self.site.t;
        json!({
            "now": t.edit_now(), "nowKept": t.edit_now_kept(), "nowCut": t.edit_now_cut(), "left": t.edit_left(),
            "cutFrom": t.edit_cut_from(), "cutTo": t.edit_cut_to(), "begin": t.edit_said_begin(), "end": t.edit_said_end(),
            "from": t.edit_said_from(), "cut": t.edit_said_cut(), "back": t.edit_said_back(), "chapter": t.edit_said_chapter(),
            "nothing": t.edit_said_nothing(), "undone": t.edit_said_undone(), "redone": t.edit_said_redone(),
            "newChapter": t.edit_new_chapter(), "making": t.edit_picture_making(), "pictureDone": t.edit_picture_done(),
            "failed": t.edit_failed(), "problems": t.problems(),
        })
        .to_string()
    }
}

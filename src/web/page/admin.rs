//! `/admin`: overview, accounts, recordings, trash.

use askama::Template;

use super::{Audience, AudienceWords as _, Field, Site, State, Track};
pub use crate::accounts::Role;
use crate::base::terms::{ImportState, LadderState};
use crate::web::api::storage::RuleName;
use crate::web::i18n::Lang;

#[derive(Template)]
#[template(path = "admin/overview.html")]
pub struct Overview {
    pub site: Site,
    pub storage: Storage,
    /// How long recordings are kept; posts `rule`, `days`, `quota_gb` to `/admin/retention`.
    pub rule: Field<RuleName>,
    pub days: Field,
    pub quota_gb: Field,
    pub recordings: u64,
    /// Length of all recordings, seconds.
    pub recorded_s: u64,
    pub accounts: u64,
    pub on_air: u64,
    /// Newest first.
    pub recent: Vec<Activity>,
}

/// The disk that holds the data directory, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    pub total: u64,
    pub free: u64,
    pub recordings: u64,
    pub trash: u64,
    pub thumbnails: u64,
    /// How long a broadcast of the usual size can go on, seconds.
    pub left_s: Option<u64>,
    /// How long before old recordings have to go for it, seconds; none when none may.
    pub untouched_s: Option<u64>,
}

/// One line of who did what.
pub struct Activity {
    pub at_ms: i64,
    pub account: String,
    /// In words of the page's language.
    pub what: String,
}

impl Storage {
    fn used(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    fn other(&self) -> u64 {
        self.used().saturating_sub(self.recordings + self.trash + self.thumbnails)
    }

    /// `bytes` in thousandths of the disk: the width of a piece of the bar.
    fn share(&self, bytes: u64) -> u64 {
        if self.total == 0 { 0 } else { (bytes as u128 * 1000 / self.total as u128).min(1000) as u64 }
    }

    /// The pieces of the bar from left to right: class, start, width, name, bytes.
    fn pieces(&self, t: Lang) -> Vec<(&'static str, u64, u64, &'static str, u64)> {
        let parts = [
            ("recordings", t.admin_storage_recordings(), self.recordings),
            ("trash", t.admin_storage_trash(), self.trash),
            ("thumbnails", t.admin_storage_thumbnails(), self.thumbnails),
            ("other", t.admin_storage_other(), self.other()),
        ];
        let mut start = 0;
        let mut pieces = Vec::new();
        for (class, name, bytes) in parts {
            let width = self.share(bytes).min(1000 - start);
            pieces.push((class, start, width, name, bytes));
            start += width;
        }
        pieces.push(("free", start, 0, t.admin_storage_free(), self.free));
        pieces
    }

    fn left(&self, t: Lang) -> Option<String> {
        let left = self.left_s?;
        Some(match left {
            0..60 => t.admin_storage_full().to_owned(),
            60..7_200 => t.admin_minutes_left(left / 60),
            _ => t.admin_hours_left(left / 3_600),
        })
    }

    /// Less than an hour of room.
    fn low(&self) -> bool {
        self.left_s.is_some_and(|left| left < 3_600)
    }
}

/// How the pages say what an account may do.
pub trait RoleWords {
    fn name(&self, t: Lang) -> &'static str;
    fn hint(&self, t: Lang) -> &'static str;
}

impl RoleWords for Role {
    fn name(&self, t: Lang) -> &'static str {
        match self {
            Self::Admin => t.role_admin(),
            Self::Broadcaster => t.role_broadcaster(),
            Self::Viewer => t.role_viewer(),
        }
    }

    fn hint(&self, t: Lang) -> &'static str {
        match self {
            Self::Admin => t.role_admin_hint(),
            Self::Broadcaster => t.role_broadcaster_hint(),
            Self::Viewer => t.role_viewer_hint(),
        }
    }
}

/// Makes by `/admin/accounts` (`username`, `password`, `role`); changes by `/admin/accounts/{id}/role` (`role`),
/// `/password` (`password`), `/disable`, `/enable`, `/delete`.
#[derive(Template)]
#[template(path = "admin/accounts.html")]
pub struct Accounts {
    pub site: Site,
    pub accounts: Vec<AccountRow>,
    pub username: Field,
    /// Only the error is shown.
    pub password: Field,
    pub role: Field<Role>,
}

pub struct AccountRow {
    pub id: String,
    pub username: String,
    pub role: Role,
    pub disabled: bool,
    pub made_ms: i64,
    /// The one who looks at the page.
    pub me: bool,
    /// The last enabled admin: may not go.
    pub last_admin: bool,
    /// What was wrong with the last change of this account; opens its form.
    pub error: Option<String>,
    /// The field at fault; empty for none.
    pub at: String,
}

/// The list, searched by `q`.
#[derive(Template)]
#[template(path = "admin/recordings.html")]
pub struct Recordings {
    pub site: Site,
    pub rows: Vec<RecordingRow>,
    pub query: String,
    /// Query string of the next page.
    pub older: Option<String>,
}

pub struct RecordingRow {
    pub id: String,
    pub title: String,
    pub at_ms: i64,
    pub duration_s: u64,
    pub size: u64,
    pub audience: Audience,
    pub state: State,
    pub hidden: bool,
    pub pinned: bool,
    pub recorded: bool,
    pub thumbnail: bool,
}

/// Cancels by `/admin/imports/{id}/cancel`, tries again by `/admin/imports/{id}/retry`.
#[derive(Template)]
#[template(path = "admin/imports.html")]
pub struct Imports {
    pub site: Site,
    pub rows: Vec<ImportRow>,
    /// Query string of the next page.
    pub older: Option<String>,
}

pub struct ImportRow {
    pub id: String,
    /// The file's.
    pub name: String,
    pub size: u64,
    pub state: ImportState,
    /// Hundredths.
    pub progress: u32,
    /// A sentence in the page's language.
    pub reason: Option<String>,
    pub broadcast_id: Option<String>,
    pub at_ms: i64,
}

impl Imports {
    /// Anything changes by itself.
    fn under_way(&self) -> bool {
        self.rows.iter().any(ImportRow::under_way)
    }
}

impl ImportRow {
    fn under_way(&self) -> bool {
        matches!(self.state, ImportState::Waiting | ImportState::Working)
    }

    fn can_be_retried(&self) -> bool {
        matches!(self.state, ImportState::Refused | ImportState::Cancelled)
    }

    fn words(&self, t: Lang) -> &'static str {
        match self.state {
            ImportState::Waiting => t.imports_waiting(),
            ImportState::Working => t.imports_working(),
            ImportState::Done => t.imports_done(),
            ImportState::Refused => t.imports_refused(),
            ImportState::Cancelled => t.imports_cancelled(),
        }
    }
}

/// Posts `title`, `description`, `tags` (comma separated), `audience`, `hidden` and `pinned` (`1` or absent) to
/// `/admin/recordings/{id}`; deletes by `/admin/recordings/{id}/trash`.
#[derive(Template)]
#[template(path = "admin/recording.html")]
pub struct RecordingEdit {
    pub site: Site,
    pub id: String,
    pub title: Field,
    pub description: Field,
    pub tags: Field,
    pub audience: Field<Audience>,
    pub hidden: Field<bool>,
    pub pinned: Field<bool>,
    pub thumbnail: bool,
    pub pin: Option<String>,
    /// On air: it cannot be deleted yet.
    pub on_air: bool,
    /// Added and changed at `/admin/recordings/{id}/captions`, deleted by `/{language}/delete` below it.
    pub tracks: Vec<Track>,
    /// Smaller pictures that are made of it, if that was begun; given up by `/admin/recordings/{id}/ladder/cancel`, tried again by
    /// `/retry` beside it.
    pub ladder: Option<Ladder>,
}

pub struct Ladder {
    pub state: LadderState,
    /// Hundredths.
    pub progress: u32,
    /// A sentence in the page's language.
    pub reason: Option<String>,
}

impl Ladder {
    fn words(&self, t: Lang) -> String {
        match self.state {
            LadderState::Working => t.ladder_progress(self.progress),
            LadderState::Done => t.ladder_done().to_owned(),
            LadderState::Failed => t.ladder_failed().to_owned(),
            LadderState::Cancelled => t.ladder_cancelled().to_owned(),
        }
    }

    fn can_be_retried(&self) -> bool {
        matches!(self.state, LadderState::Failed | LadderState::Cancelled)
    }
}

/// Posts `language`, and `file` or `text`, as a multipart form to `/admin/recordings/{id}/captions`.
#[derive(Template)]
#[template(path = "admin/captions.html")]
pub struct CaptionsEdit {
    pub site: Site,
    pub id: String,
    /// The recording's.
    pub title: String,
    /// BCP 47; empty while none is chosen.
    pub language: String,
    /// The language's own name.
    pub name: String,
    /// Tags and names to choose from; empty where the language stays.
    pub languages: Vec<(&'static str, &'static str)>,
    pub language_error: Option<String>,
    pub text: Field,
}

impl CaptionsEdit {
    fn heading(&self) -> String {
        if self.languages.is_empty() {
            self.site.t.captions_edit_title(&self.name)
        } else {
            self.site.t.captions_add_title().to_owned()
        }
    }
}

/// Restores by `/admin/trash/{id}/restore`, deletes for good by `/admin/trash/{id}/delete`, all of it by `/admin/trash/empty`.
#[derive(Template)]
#[template(path = "admin/trash.html")]
pub struct Trash {
    pub site: Site,
    pub rows: Vec<TrashRow>,
    /// Bytes of all of it.
    pub size: u64,
}

pub struct TrashRow {
    pub id: String,
    pub title: String,
    pub trashed_ms: i64,
    /// When it goes by itself; none while that cannot be said.
    pub gone_ms: Option<i64>,
    pub pinned: bool,
    pub duration_s: u64,
    pub size: u64,
    pub thumbnail: bool,
}

//! What a person reads when a page cannot be shown. API errors are problem documents, not pages.

use askama::Template;

use super::Site;

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub site: Site,
    /// The HTTP status.
    pub status: u16,
    pub title: String,
    pub text: String,
}

/// What more is known of a refusal than its status.
#[derive(Clone, Copy, Default)]
pub struct Refused<'a> {
    /// Its stable word.
    pub code: &'a str,
    /// The field at fault; empty for none.
    pub field: &'a str,
    /// How long a throttled visitor has to wait, seconds.
    pub wait_s: Option<u64>,
}

impl ErrorPage {
    /// The page for a status, with the sentence for the refusal where there is one. An unknown status reads as 500, or
    /// as 400 when the fault is the visitor's.
    pub fn new(site: Site, status: u16, refused: Refused<'_>) -> Self {
        let t = site.t;
        let Refused { code, field, wait_s } = refused;
        let (title, text) = match status {
            401 => (t.error_unauthorized_title(), t.error_unauthorized().to_owned()),
            403 => (t.error_forbidden_title(), t.error_forbidden().to_owned()),
            404 | 410 => (t.error_not_found_title(), t.error_not_found().to_owned()),
            429 => (t.error_throttled_title(), t.error_throttled(&t.length(wait_s.unwrap_or(60)))),
            400..500 => (t.error_bad_request_title(), t.error_bad_request().to_owned()),
            _ => (t.error_server_title(), t.error_server().to_owned()),
        };
        let (title, text) = match t.problem(code).filter(|_| !matches!(status, 401 | 429) && code != "forbidden") {
            Some(words) => {
                let title = if status < 500 { t.error_refused_title() } else { title };
                (title, t.field_name(field).map_or_else(|| words.to_owned(), |name| t.error_at(name, words)))
            }
            None => (title, text),
        };
        Self { site, status, title: title.to_owned(), text }
    }

    fn may_sign_in(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

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

impl ErrorPage {
    /// The page for a status; `wait_s` is how long a throttled visitor has to wait. An unknown status reads as 500, or
    /// as 400 when the fault is the visitor's.
    pub fn new(site: Site, status: u16, wait_s: Option<u64>) -> Self {
        let t = site.t;
        let (title, text) = match status {
            401 => (t.error_unauthorized_title(), t.error_unauthorized().to_owned()),
            403 => (t.error_forbidden_title(), t.error_forbidden().to_owned()),
            404 | 410 => (t.error_not_found_title(), t.error_not_found().to_owned()),
            429 => (t.error_throttled_title(), t.error_throttled(&t.length(wait_s.unwrap_or(60)))),
            400..500 => (t.error_bad_request_title(), t.error_bad_request().to_owned()),
            _ => (t.error_server_title(), t.error_server().to_owned()),
        };
        Self { site, status, title: title.to_owned(), text }
    }

    fn may_sign_in(&self) -> bool {
        matches!(self.status, 401 | 403)
    }
}

//! `/login`.

use askama::Template;

use super::{Field, Site};

/// Posts `username`, `password`, `next` to `/login`.
#[derive(Template)]
#[template(path = "login.html")]
pub struct Login {
    pub site: Site,
    pub username: Field,
    /// Only the error is shown.
    pub password: Field,
    /// Why signing in did not work, in words.
    pub error: Option<String>,
    /// Where to go afterwards: a path of this site.
    pub next: String,
}

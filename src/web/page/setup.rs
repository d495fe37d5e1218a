//! `/setup`: the first admin of a fresh box.

use askama::Template;

use super::{Field, Site};

/// Shown at every address until the first admin exists, to those who lack the one-time address.
#[derive(Template)]
#[template(path = "setup_wait.html")]
pub struct SetupWait {
    pub site: Site,
}

/// Posts `token`, `username`, `password`, `password_again` to `/setup`.
#[derive(Template)]
#[template(path = "setup_form.html")]
pub struct SetupForm {
    pub site: Site,
    pub token: String,
    pub username: Field,
    /// Only the error is shown: a password is never sent back.
    pub password: Field,
    pub password_again: Field,
    /// What is wrong with the whole, such as an address that was used before.
    pub error: Option<String>,
}

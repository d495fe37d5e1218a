//! `/live` while nothing is on air. While something is, the address leads to its own page.

use askama::Template;

use super::{AudienceWords as _, Card, Site};

#[derive(Template)]
#[template(path = "live.html")]
pub struct Live {
    pub site: Site,
    /// Recordings to watch in the meantime.
    pub meanwhile: Vec<Card>,
}

//! `/`: what is live, what comes next, and the library.

use askama::Template;

use super::{AudienceWords as _, Card, Site};

#[derive(Template)]
#[template(path = "home.html")]
pub struct Home {
    pub site: Site,
    pub live: Vec<LiveCard>,
    pub next: Vec<Card>,
    pub library: Vec<Card>,
    /// What was searched for; empty when nothing was.
    pub query: String,
    /// The topic that narrows the list.
    pub topic: Option<String>,
    pub topics: Vec<String>,
    /// Query string of the next page of the library, such as `after=…&q=…`.
    pub older: Option<String>,
}

/// A broadcast that is on air.
pub struct LiveCard {
    pub id: String,
    pub title: String,
    pub started_ms: i64,
    pub viewers: u64,
    pub thumbnail: bool,
}

impl Home {
    /// Whether the list is a choice from the library and not the library.
    fn narrowed(&self) -> bool {
        !self.query.is_empty() || self.topic.is_some()
    }

    fn is_topic(&self, topic: &str) -> bool {
        self.topic.as_deref() == Some(topic)
    }

    /// What the list was narrowed by, for sentences.
    fn wanted(&self) -> &str {
        if self.query.is_empty() { self.topic.as_deref().unwrap_or_default() } else { &self.query }
    }
}

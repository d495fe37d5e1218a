//! Views: what each page shows, as plain data beside its template. No service is called from here, and no rule of
//! the product is decided here; handlers fill these structs.

pub mod admin;
pub mod edit;
pub mod error;
pub mod home;
pub mod live;
pub mod login;
#[cfg(test)]
mod samples;
pub mod setup;
pub mod studio;
pub mod tv;
pub mod upload;
pub mod watch;

use std::fmt;

use askama::filters::HtmlSafe;

use super::assets::asset;
use super::i18n::Lang;
pub use crate::accounts::Audience;
use crate::base::clock;
pub use crate::base::terms::BroadcastState as State;

/// What every page carries.
#[derive(Clone, Debug)]
pub struct Site {
    /// The language; `site.t.…()` are the texts.
    pub t: Lang,
    /// What the clinic calls its site.
    pub name: String,
    /// Path and query of this page: where the language switch and signing in come back to.
    pub here: String,
    pub who: Option<Who>,
    /// The session's form token; empty when nobody is signed in.
    pub csrf: String,
    /// The time at which the page is made, milliseconds since 1970.
    pub now_ms: i64,
    /// What the last form did, said once at the top of the page.
    pub notice: Option<String>,
}

/// The account that is signed in.
#[derive(Clone, Debug)]
pub struct Who {
    pub username: String,
    /// May use the studio.
    pub broadcaster: bool,
    /// May use the admin pages.
    pub admin: bool,
}

impl Site {
    pub fn asset(&self, name: &str) -> &'static str {
        asset(name)
    }

    /// An icon that says nothing to a screen reader; the text beside it does.
    pub fn icon<'a>(&self, name: &'a str) -> Icon<'a> {
        Icon(name)
    }

    /// A point in time as "10 minutes ago" with the exact time beneath.
    pub fn when(&self, at_ms: i64) -> When {
        When { lang: self.t, now_ms: self.now_ms, at_ms }
    }

    pub fn broadcaster(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.broadcaster)
    }

    pub fn admin(&self) -> bool {
        self.who.as_ref().is_some_and(|who| who.admin)
    }

    /// Address, icon and name of each admin page.
    fn admin_tabs(&self) -> [(&'static str, &'static str, &'static str); 5] {
        [
            ("/admin", "layout-dashboard", self.t.admin_tab_overview()),
            ("/admin/recordings", "film", self.t.admin_tab_recordings()),
            ("/admin/imports", "download", self.t.admin_tab_imports()),
            ("/admin/accounts", "users-round", self.t.admin_tab_accounts()),
            ("/admin/trash", "trash-2", self.t.admin_tab_trash()),
        ]
    }

    /// Whether this page is the tab at `path`; an overview such as `/admin` is itself only.
    pub fn tab(&self, path: &str) -> bool {
        if path.matches('/').count() == 1 { self.here.split('?').next() == Some(path) } else { self.is_at(path) }
    }

    /// Whether this page stands below `path`: marks the place in the navigation.
    pub fn is_at(&self, path: &str) -> bool {
        self.here.split('?').next().is_some_and(|here| here == path || here.starts_with(&format!("{path}/")))
    }
}

/// `<svg>` that draws one symbol of the sprite.
pub struct Icon<'a>(&'a str);

impl fmt::Display for Icon<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r##"<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>"##,
            asset("icons.svg"),
            self.0
        )
    }
}

// Templates name icons; nothing of a visitor's gets here.
impl HtmlSafe for Icon<'_> {}

/// `<time>` with the relative time as text and the exact one as title.
pub struct When {
    lang: Lang,
    now_ms: i64,
    at_ms: i64,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (machine, exact) = (clock::rfc3339(self.at_ms), self.lang.exact(self.at_ms));
        write!(f, r#"<time datetime="{machine}" title="{exact}">{}</time>"#, self.lang.ago(self.now_ms, self.at_ms))
    }
}

// Digits and words of the catalogue only.
impl HtmlSafe for When {}

/// How the pages say who may watch.
pub trait AudienceWords {
    fn name(&self, t: Lang) -> &'static str;
    fn hint(&self, t: Lang) -> &'static str;
}

impl AudienceWords for Audience {
    fn name(&self, t: Lang) -> &'static str {
        match self {
            Self::Public => t.audience_public(),
            Self::Pin => t.audience_pin(),
            Self::Members => t.audience_members(),
            Self::Staff => t.audience_staff(),
        }
    }

    fn hint(&self, t: Lang) -> &'static str {
        match self {
            Self::Public => t.audience_public_hint(),
            Self::Pin => t.audience_pin_hint(),
            Self::Members => t.audience_members_hint(),
            Self::Staff => t.audience_staff_hint(),
        }
    }
}

/// A broadcast in a list.
#[derive(Clone, Debug)]
pub struct Card {
    pub id: String,
    pub title: String,
    /// When it began, or will begin; milliseconds since 1970.
    pub at_ms: i64,
    /// None while it is not over.
    pub duration_s: Option<u64>,
    pub audience: Audience,
    pub thumbnail: bool,
    pub captioned: bool,
    /// Leads to `/watch/{id}?t={at_s}`.
    pub said: Option<Said>,
}

/// A chapter, on the time line of what is shown.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Seconds, as an address and a script take them.
    pub at_s: String,
    /// Whole seconds, for people.
    pub whole_s: u64,
    pub title: String,
}

/// Captions in one language.
#[derive(Clone, Debug)]
pub struct Track {
    /// BCP 47.
    pub language: String,
    /// The language's own name.
    pub name: String,
    pub cues: u64,
}

/// Where in a recording something is said that was searched for.
#[derive(Clone, Debug)]
pub struct Said {
    /// Whole seconds since its beginning.
    pub at_s: u64,
    pub words: String,
}

/// A field that may come back with what was typed or chosen and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Field<T = String> {
    pub value: T,
    pub error: Option<String>,
}

impl<T> Field<T> {
    pub fn of(value: impl Into<T>) -> Self {
        Self { value: value.into(), error: None }
    }

    pub fn wrong(value: impl Into<T>, error: impl Into<String>) -> Self {
        Self { value: value.into(), error: Some(error.into()) }
    }
}

//! Enumerations of the domain that the database, the API and the pages all spell alike.

use serde::{Deserialize, Serialize};

/// Makes an enumeration with one spelling for SQLite, JSON and forms.
macro_rules! term {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$doc])* $variant),+ }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),+];

            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            pub fn parse(text: &str) -> Option<$name> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }
        }
    };
}

term! {
    /// Where a broadcast is in its life.
    BroadcastState {
        Scheduled = "scheduled",
        /// Gone live, and the first picture is still on its way.
        Starting = "starting",
        Live = "live",
        /// A recording.
        Ended = "ended",
        /// It ended without a picture.
        Failed = "failed",
    }
}

impl BroadcastState {
    /// Nothing more is going to be recorded.
    pub fn is_over(self) -> bool {
        matches!(self, BroadcastState::Ended | BroadcastState::Failed)
    }
}

term! {
    /// What a source is.
    SourceKind {
        Camera = "camera",
        Rtmp = "rtmp",
        Test = "test",
        /// It was read in, and never on air.
        File = "file",
    }
}

term! {
    /// How far the smaller renditions have come that are made of a recording.
    LadderState {
        Working = "working",
        Done = "done",
        /// They cannot be made.
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

term! {
    /// What a broadcast shows, and so how its picture is encoded.
    #[derive(Default)]
    Content {
        /// People.
        #[default]
        Talk = "talk",
        /// Screen text, which stays legible.
        Slides = "slides",
    }
}

term! {
    /// How far a file has come that is to be read in.
    ImportState {
        Waiting = "waiting",
        Working = "working",
        /// There is a recording of it.
        Done = "done",
        Refused = "refused",
        Cancelled = "cancelled",
    }
}

//! Roles, audiences, and who may do or see what.

use std::fmt;
use std::str::FromStr;

/// What an account is for. The order is that of rights: each role may do all that the ones before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Viewer,
    Broadcaster,
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Admin, Role::Broadcaster, Role::Viewer];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Broadcaster => "broadcaster",
            Role::Admin => "admin",
        }
    }

    /// May go live, keep stream keys and use the studio.
    pub fn can_broadcast(self) -> bool {
        self >= Role::Broadcaster
    }

    /// May manage accounts, recordings and the box.
    pub fn is_admin(self) -> bool {
        self == Role::Admin
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no member of the set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not one of {known}")]
pub struct Unknown {
    given: String,
    known: &'static str,
}

impl FromStr for Role {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Role, Unknown> {
        let known = "admin, broadcaster, viewer";
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or(Unknown { given: text.to_string(), known })
    }
}

/// Who may watch a broadcast and its recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Audience {
    /// Whoever is on the network.
    #[default]
    Public,
    /// Whoever was told the PIN, and every account.
    Pin,
    /// Every account.
    Members,
    /// Broadcasters and admins.
    Staff,
}

impl Audience {
    pub const ALL: [Audience; 4] = [Audience::Public, Audience::Pin, Audience::Members, Audience::Staff];

    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Public => "public",
            Audience::Pin => "pin",
            Audience::Members => "members",
            Audience::Staff => "staff",
        }
    }

    /// Whether a visitor of `role` (`None`: not signed in), who has or has not given the right PIN, may watch.
    pub fn admits(self, role: Option<Role>, pin_given: bool) -> bool {
        match self {
            Audience::Public => true,
            Audience::Pin => pin_given || role.is_some(),
            Audience::Members => role.is_some(),
            Audience::Staff => role.is_some_and(Role::can_broadcast),
        }
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Audience {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Audience, Unknown> {
        let known = "public, pin, members, staff";
        Audience::ALL
            .into_iter()
            .find(|audience| audience.as_str() == text)
            .ok_or(Unknown { given: text.to_string(), known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_both_ways() {
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        for audience in Audience::ALL {
            assert_eq!(audience.as_str().parse(), Ok(audience));
        }
        assert!("Admin".parse::<Role>().is_err());
        assert_eq!("x".parse::<Audience>().unwrap_err().to_string(), "\"x\" is not one of public, pin, members, staff");
    }

    #[test]
    fn each_audience_admits_whom_it_should() {
        let visitors = [None, Some(Role::Viewer), Some(Role::Broadcaster), Some(Role::Admin)];
        let admitted = |audience: Audience, pin| visitors.map(|role| audience.admits(role, pin));
        assert_eq!(admitted(Audience::Public, false), [true; 4]);
        assert_eq!(admitted(Audience::Pin, false), [false, true, true, true]);
        assert_eq!(admitted(Audience::Pin, true), [true; 4]);
        assert_eq!(admitted(Audience::Members, true), [false, true, true, true]);
        assert_eq!(admitted(Audience::Staff, true), [false, false, true, true]);
    }
}

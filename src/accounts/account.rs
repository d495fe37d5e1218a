//! Names of people and labels of things, and every way in which what somebody typed can be unfit.

use super::password;

/// Characters in a username.
pub const USERNAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=64;
/// Characters in a stream key's label.
pub const LABEL_LENGTH: std::ops::RangeInclusive<usize> = 1..=80;

/// Why a typed value is refused. `Display` is the English sentence; pages translate by [`Invalid::code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("A username has 3 to 64 characters.")]
    UsernameLength,
    #[error("A username is made of letters, digits, dot, hyphen and underscore.")]
    UsernameCharacters,
    #[error("A password has at least {} characters.", password::MIN_CHARACTERS)]
    PasswordTooShort,
    #[error("A password has at most {} bytes.", password::MAX_BYTES)]
    PasswordTooLong,
    #[error("The password must not be the username.")]
    PasswordIsUsername,
    #[error("This password is among the first that anyone would try.")]
    PasswordCommon,
    #[error("A label has 1 to 80 characters.")]
    LabelLength,
    #[error("A label must not contain control characters.")]
    LabelCharacters,
    #[error("A title has 1 to 200 characters.")]
    TitleLength,
    #[error("A title must not contain control characters.")]
    TitleCharacters,
    #[error("A description has at most 5000 characters.")]
    DescriptionLength,
    #[error("A description must not contain control characters.")]
    DescriptionCharacters,
    #[error("A topic has at most 40 characters and no comma.")]
    Tag,
    #[error("A broadcast has at most 10 topics.")]
    TooManyTags,
    #[error("A PIN is six digits.")]
    Pin,
}

impl Invalid {
    /// The field of the form or JSON body that holds the value.
    pub fn field(self) -> &'static str {
        match self {
            Invalid::UsernameLength | Invalid::UsernameCharacters => "username",
            Invalid::PasswordTooShort
            | Invalid::PasswordTooLong
            | Invalid::PasswordIsUsername
            | Invalid::PasswordCommon => "password",
            Invalid::LabelLength | Invalid::LabelCharacters => "label",
            Invalid::TitleLength | Invalid::TitleCharacters => "title",
            Invalid::DescriptionLength | Invalid::DescriptionCharacters => "description",
            Invalid::Tag | Invalid::TooManyTags => "tags",
            Invalid::Pin => "pin",
        }
    }

    /// A stable name of the reason.
    pub fn code(self) -> &'static str {
        match self {
            Invalid::UsernameLength => "username_length",
            Invalid::UsernameCharacters => "username_characters",
            Invalid::PasswordTooShort => "password_too_short",
            Invalid::PasswordTooLong => "password_too_long",
            Invalid::PasswordIsUsername => "password_is_username",
            Invalid::PasswordCommon => "password_common",
            Invalid::LabelLength => "label_length",
            Invalid::LabelCharacters => "label_characters",
            Invalid::TitleLength => "title_length",
            Invalid::TitleCharacters => "title_characters",
            Invalid::DescriptionLength => "description_length",
            Invalid::DescriptionCharacters => "description_characters",
            Invalid::Tag => "tag",
            Invalid::TooManyTags => "too_many_tags",
            Invalid::Pin => "pin",
        }
    }
}

/// A fit username: as typed, and the key by which it is found and unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

impl Username {
    /// Takes a typed name, without the space around it that phone keyboards add.
    pub fn new(typed: &str) -> Result<Username, Invalid> {
        let shown = typed.trim();
        if !USERNAME_LENGTH.contains(&shown.chars().count()) {
            return Err(Invalid::UsernameLength);
        }
        if !shown.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            return Err(Invalid::UsernameCharacters);
        }
        Ok(Username { shown: shown.to_string(), key: username_key(shown) })
    }

    pub fn as_str(&self) -> &str {
        &self.shown
    }

    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The form in which names are compared: two accounts never differ in case alone.
pub fn username_key(typed: &str) -> String {
    typed.trim().to_lowercase()
}

/// Takes a typed label, without the space around it.
pub fn label(typed: &str) -> Result<String, Invalid> {
    let label = typed.trim();
    if label.chars().any(char::is_control) {
        return Err(Invalid::LabelCharacters);
    }
    if !LABEL_LENGTH.contains(&label.chars().count()) {
        return Err(Invalid::LabelLength);
    }
    Ok(label.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_of_people() {
        for name in ["wati", "Bidan.Sri", "dr_budi-2", "Zoë", "Гульнара", "  wati "] {
            assert!(Username::new(name).is_ok(), "{name}");
        }
        for name in ["", "ab", "  ab  ", &"a".repeat(65)] {
            assert_eq!(Username::new(name), Err(Invalid::UsernameLength), "{name:?}");
        }
        for name in ["a b c", "a/b/c", "wati\0", "<b>x</b>", "wati\n.", "w@ti", "wati😀"] {
            assert_eq!(Username::new(name), Err(Invalid::UsernameCharacters), "{name:?}");
        }
        assert!(Username::new(&"é".repeat(64)).is_ok(), "characters, not bytes");
    }

    #[test]
    fn case_does_not_make_another_person() {
        let name = Username::new("Wati").unwrap();
        assert_eq!((name.as_str(), name.key()), ("Wati", "wati"));
        assert_eq!(username_key(" WATI"), "wati");
    }

    #[test]
    fn labels() {
        assert_eq!(label(" Ruang 1 📷 ").as_deref(), Ok("Ruang 1 📷"));
        assert_eq!(label(" "), Err(Invalid::LabelLength));
        assert_eq!(label(&"x".repeat(81)), Err(Invalid::LabelLength));
        assert_eq!(label("a\u{7}b"), Err(Invalid::LabelCharacters));
    }
}

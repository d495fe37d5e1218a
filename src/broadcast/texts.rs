//! What staff may call and say of a broadcast: limits and cleaning of texts, the same for forms, the API and RTMP.

use crate::accounts::Invalid;

/// Characters in a title.
pub const TITLE_LENGTH: std::ops::RangeInclusive<usize> = 1..=200;
/// Characters in a description.
pub const DESCRIPTION_LENGTH: usize = 5000;
/// Tags of one broadcast, and characters in one of them.
pub const TAGS: usize = 10;
pub const TAG_LENGTH: usize = 40;

/// Takes a typed title, without the space around it. Markup and emoji are text like any other.
pub fn title(typed: &str) -> Result<String, Invalid> {
    let title = typed.trim();
    if !TITLE_LENGTH.contains(&title.chars().count()) {
        return Err(Invalid::TitleLength);
    }
    if title.chars().any(char::is_control) {
        return Err(Invalid::TitleCharacters);
    }
    Ok(title.to_owned())
}

/// Takes a typed description; line ends become those of Unix.
pub fn description(typed: &str) -> Result<String, Invalid> {
    let description = typed.trim().replace("\r\n", "\n");
    if description.chars().count() > DESCRIPTION_LENGTH {
        return Err(Invalid::DescriptionLength);
    }
    if description.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Invalid::DescriptionCharacters);
    }
    Ok(description)
}

/// Takes tags as a form gives them, parted by commas or lines; each once, in the order typed.
pub fn tags(typed: &str) -> Result<Vec<String>, Invalid> {
    tag_list(typed.split([',', '\n']))
}

/// Takes tags one by one, as the API gives them.
pub fn tag_list<'a>(typed: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Invalid> {
    let mut tags: Vec<String> = Vec::new();
    for tag in typed.into_iter().map(str::trim).filter(|tag| !tag.is_empty()) {
        if tag.chars().count() > TAG_LENGTH || tag.chars().any(|c| c.is_control() || c == ',') {
            return Err(Invalid::Tag);
        }
        if !tags.iter().any(|known| known.to_lowercase() == tag.to_lowercase()) {
            tags.push(tag.to_owned());
        }
    }
    if tags.len() > TAGS { Err(Invalid::TooManyTags) } else { Ok(tags) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles() {
        assert_eq!(title("  Senam <b>hamil</b> 🤰 ").as_deref(), Ok("Senam <b>hamil</b> 🤰"));
        assert_eq!(title(" \n "), Err(Invalid::TitleLength));
        assert_eq!(title(&"x".repeat(10_000)), Err(Invalid::TitleLength));
        assert_eq!(title("a\0b"), Err(Invalid::TitleCharacters));
    }

    #[test]
    fn descriptions() {
        assert_eq!(description("a\r\nb\n").as_deref(), Ok("a\nb"));
        assert_eq!(description(&"x".repeat(5001)), Err(Invalid::DescriptionLength));
        assert_eq!(description("a\u{8}"), Err(Invalid::DescriptionCharacters));
    }

    #[test]
    fn tags_are_a_list_without_repetition() {
        assert_eq!(tags("Gizi, gizi,\n Senam ,").unwrap(), ["Gizi", "Senam"]);
        assert_eq!(tags(&"x".repeat(41)), Err(Invalid::Tag));
        assert_eq!(tags("1,2,3,4,5,6,7,8,9,10,11"), Err(Invalid::TooManyTags));
    }
}

//! What an uploaded file is called in the import folder: as its sender calls it, as far as that is a file's name.

use crate::library::imports::UNFINISHED;

/// Bytes of a name; a file system takes 255, and whoever reads the file may want to add to it.
const MOST_BYTES: usize = 180;
/// Bytes of what counts as an extension.
const MOST_EXTENSION: usize = 12;
/// Of what nothing else is left.
const NAMELESS: &str = "upload";

/// A name that leads to no other folder, is not hidden, and does not look like a file that is still being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    stem: String,
    /// With its dot; empty for none.
    extension: String,
}

impl Name {
    pub fn of(given: &str) -> Name {
        let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
        let plain: String = last.chars().filter(|c| !c.is_control() && !"<>:\"|?*".contains(*c)).collect();
        let plain = trimmed(&plain);
        let (stem, extension) = match plain.rsplit_once('.') {
            Some((stem, extension)) if is_extension(extension) => (stem, format!(".{extension}")),
            _ => (plain, String::new()),
        };
        let stem = trimmed(&stem[..stem.floor_char_boundary(MOST_BYTES - MOST_EXTENSION - 1)]);
        Name { stem: if stem.is_empty() { NAMELESS } else { stem }.to_owned(), extension }
    }

    /// The name itself for 1; `name (2).mp4` and so on for others, where it is taken.
    pub fn numbered(&self, number: u32) -> String {
        match number {
            1 => format!("{}{}", self.stem, self.extension),
            number => format!("{} ({number}){}", self.stem, self.extension),
        }
    }
}

fn is_extension(text: &str) -> bool {
    (1..=MOST_EXTENSION).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Without what hides a file, or marks it as a copy that is not done.
fn trimmed(name: &str) -> &str {
    let bare = name.trim_matches(|c: char| c.is_whitespace() || c == '.' || c == '~');
    let before = UNFINISHED.iter().find_map(|ending| {
        let (before, last) = bare.split_at_checked(bare.len().checked_sub(ending.len())?)?;
        last.eq_ignore_ascii_case(ending).then_some(before)
    });
    before.map_or(bare, trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(given: &str) -> String {
        Name::of(given).numbered(1)
    }

    #[test]
    fn a_name_stays_as_it_is_where_it_can() {
        for name in [
            "Kelas ibu.mp4",
            "IMG_0001.MOV",
            "ceramah 1.5 jam.mkv",
            "🤱🏽 Ibu.webm",
            "講座.m4a",
            "tanpa akhiran",
            "a.b.c",
        ] {
            assert_eq!(safe(name), name);
        }
        assert_eq!(Name::of("a.mp4").numbered(2), "a (2).mp4");
        assert_eq!(Name::of("a").numbered(3), "a (3)");
    }

    #[test]
    fn a_name_leads_nowhere_and_hides_nothing() {
        for (given, name) in [
            ("..", "upload"),
            ("", "upload"),
            ("/", "upload"),
            (" . ", "upload"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Video\\a.mp4", "a.mp4"),
            ("..\\..", "upload"),
            (".hidden.mp4", "hidden.mp4"),
            (".mp4", "mp4"),
            ("a.mp4\0.exe", "a.mp4.exe"),
            ("a\n\u{1b}[2J.mp4", "a[2J.mp4"),
            ("a?.mp4", "a.mp4"),
            ("a.mp4.part", "a.mp4"),
            ("a.mp4.PART~ ", "a.mp4"),
            (".part", "part"),
            ("x.part.part", "x"),
            ("a.mp4.crdownload", "a.mp4"),
            ("a.tmp", "a"),
        ] {
            assert_eq!(safe(given), name, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = safe(&format!("{}.mp4", "é".repeat(300)));
        assert!(long.len() <= MOST_BYTES && long.ends_with("é.mp4"), "{long}");
        assert!(safe(&"🤱".repeat(300)).len() <= MOST_BYTES);
        let odd = safe(&format!("a.{}", "x".repeat(300)));
        assert!(odd.len() <= MOST_BYTES && odd.starts_with("a.x"), "{odd}");
    }
}

//! What people ask of an edit, as numbers or as text: stretches and chapters, checked before anything is done. Pure.

use std::fmt::Write;

use super::edit::{Chapter, Kept, LONGEST_TITLE, MOST_CHAPTERS, MOST_KEPT};

/// A player's idea of a recording's end may be so much later than ours. Milliseconds.
const BEYOND: u64 = 1000;

/// Why an edit is none. Numbers count stretches or chapters, of a text its lines, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WishError {
    #[error("Nothing would be left. Keep at least one stretch.")]
    Empty,
    #[error("At most {MOST_KEPT} stretches can be kept.")]
    TooMany,
    #[error("Stretch {0}: a stretch is two times, such as 0:05 - 1:02.5.")]
    Times(usize),
    #[error("Stretch {0}: it ends after it begins, and begins after the one before has ended.")]
    Order(usize),
    #[error("Stretch {0}: the recording ends before.")]
    Beyond(usize),
    #[error("A recording has at most {MOST_CHAPTERS} chapters.")]
    ManyChapters,
    #[error("Chapter {0}: a chapter is a time and a title, such as 1:02 Posture.")]
    Chapter(usize),
    #[error("Chapter {0}: a title is one line of 1 to {LONGEST_TITLE} characters.")]
    Title(usize),
    #[error("Chapter {0}: there is another one at this time.")]
    Twice(usize),
    #[error("Chapter {0}: the recording ends before.")]
    ChapterBeyond(usize),
}

impl WishError {
    /// The stable word by which programs and translations know it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "kept_empty",
            Self::TooMany => "kept_too_many",
            Self::Times(_) => "kept_times",
            Self::Order(_) => "kept_order",
            Self::Beyond(_) => "kept_beyond",
            Self::ManyChapters => "chapters_too_many",
            Self::Chapter(_) => "chapter_times",
            Self::Title(_) => "chapter_title",
            Self::Twice(_) => "chapter_twice",
            Self::ChapterBeyond(_) => "chapter_beyond",
        }
    }

    /// The field at fault.
    pub fn field(self) -> &'static str {
        match self {
            Self::Empty | Self::TooMany | Self::Times(_) | Self::Order(_) | Self::Beyond(_) => "kept",
            _ => "chapters",
        }
    }

    /// Which one, if it is about one.
    pub fn number(self) -> Option<usize> {
        match self {
            Self::Empty | Self::TooMany | Self::ManyChapters => None,
            Self::Times(number) | Self::Order(number) | Self::Beyond(number) => Some(number),
            Self::Chapter(number) | Self::Title(number) | Self::Twice(number) | Self::ChapterBeyond(number) => {
                Some(number)
            }
        }
    }
}

/// A time in seconds as milliseconds; none for what is no time.
pub fn ms(seconds: f64) -> Option<u64> {
    (0.0..1e9).contains(&seconds).then(|| (seconds * 1000.0).round() as u64)
}

/// Checks stretches of (number, from, to), seconds; gives milliseconds that do not lie behind the end.
///
/// # Errors
/// The first thing that is wrong.
pub fn kept(wishes: &[(usize, f64, f64)], uncut_ms: u64) -> Result<Vec<(u64, u64)>, WishError> {
    if wishes.len() > MOST_KEPT {
        return Err(WishError::TooMany);
    }
    let mut checked: Vec<(u64, u64)> = Vec::new();
    for (number, from, to) in wishes {
        let (Some(from), Some(to)) = (ms(*from), ms(*to)) else { return Err(WishError::Times(*number)) };
        if from >= to || checked.last().is_some_and(|(_, before)| from < *before) {
            return Err(WishError::Order(*number));
        }
        if from >= uncut_ms || to > uncut_ms + BEYOND {
            return Err(WishError::Beyond(*number));
        }
        checked.push((from, to.min(uncut_ms)));
    }
    if checked.is_empty() { Err(WishError::Empty) } else { Ok(checked) }
}

/// Checks chapters of (number, time in seconds, title); gives them in the order of their times.
///
/// # Errors
/// The first thing that is wrong.
pub fn chapters(wishes: Vec<(usize, f64, String)>, uncut_ms: u64) -> Result<Vec<Chapter>, WishError> {
    if wishes.len() > MOST_CHAPTERS {
        return Err(WishError::ManyChapters);
    }
    let mut checked: Vec<Chapter> = Vec::new();
    for (number, at, title) in wishes {
        let at_ms = ms(at).ok_or(WishError::Chapter(number))?;
        let title = title.trim();
        if !(1..=LONGEST_TITLE).contains(&title.chars().count()) || title.chars().any(char::is_control) {
            return Err(WishError::Title(number));
        }
        if at_ms >= uncut_ms {
            return Err(WishError::ChapterBeyond(number));
        }
        if checked.iter().any(|other| other.at_ms == at_ms) {
            return Err(WishError::Twice(number));
        }
        checked.push(Chapter { at_ms, title: title.to_owned() });
    }
    checked.sort_by_key(|chapter| chapter.at_ms);
    Ok(checked)
}

/// Lines that have something in them, numbered.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// Reads stretches, one a line: `0:05 - 1:02.5`.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_kept(text: &str, uncut_ms: u64) -> Result<Vec<(u64, u64)>, WishError> {
    let mut wishes = Vec::new();
    for (number, line) in lines(text) {
        let times = line.split_once(['-', '–', '—']).and_then(|(from, to)| time(from).zip(time(to)));
        let (from, to) = times.ok_or(WishError::Times(number))?;
        wishes.push((number, from, to));
    }
    kept(&wishes, uncut_ms)
}

/// Reads chapters, one a line: `1:02 Posture`.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_chapters(text: &str, uncut_ms: u64) -> Result<Vec<Chapter>, WishError> {
    let mut wishes = Vec::new();
    for (number, line) in lines(text) {
        let (at, title) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        wishes.push((number, time(at).ok_or(WishError::Chapter(number))?, title.to_owned()));
    }
    chapters(wishes, uncut_ms)
}

/// Reads `83.5`, `1:23.5` or `0:01:23,5`: seconds. None for what is no time.
pub fn time(text: &str) -> Option<f64> {
    let text = text.trim().replace(',', ".");
    let mut fields: Vec<&str> = text.split(':').collect();
    let seconds = fields.pop()?;
    let whole = |text: &str| !text.is_empty() && text.len() <= 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = match seconds.split_once('.') {
        Some((before, behind)) => whole(before) && whole(behind),
        None => whole(seconds),
    };
    let fits = fields.len() <= 2 && fields.iter().all(|field| whole(field));
    let seconds: f64 = seconds.parse().ok()?;
    if !plain || !fits || (!fields.is_empty() && seconds >= 60.0) {
        return None;
    }
    let mut minutes = 0.0;
    for field in fields {
        minutes = minutes * 60.0 + field.parse::<f64>().ok()?;
    }
    Some(minutes * 60.0 + seconds)
}

/// `1:02:03.5`, as [`time`] reads it.
pub fn write_time(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match hours {
        0 => write!(text, "{minutes}:{seconds:02}"),
        _ => write!(text, "{hours}:{minutes:02}:{seconds:02}"),
    };
    if !ms.is_multiple_of(1000) {
        let _ = write!(text, ".{:03}", ms % 1000);
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// As [`read_kept`] reads it; what keeps all of it, too.
pub fn write_kept(kept: &[Kept], uncut_ms: u64) -> String {
    let line = |(from, to): (u64, u64)| format!("{} - {}\n", write_time(from), write_time(to));
    match kept {
        [] => line((0, uncut_ms)),
        kept => kept.iter().map(|kept| line((kept.from_ms, kept.to_ms))).collect(),
    }
}

/// As [`read_chapters`] reads it.
pub fn write_chapters(chapters: &[Chapter]) -> String {
    chapters.iter().map(|chapter| format!("{} {}\n", write_time(chapter.at_ms), chapter.title)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!([time("83.5"), time("1:23.5"), time(" 0:01:23,5 ")], [Some(83.5); 3]);
        for bad in ["", ":", "1:60", "-1", "1:2:3:4", "x", "1.", ".5", "NaN", "inf", "1e3", "1:-2", "１"] {
            assert_eq!(time(bad), None, "{bad}");
        }
        for ms in [0, 500, 59_999, 60_000, 3_599_001, 3_600_000, 360_000_123] {
            assert_eq!(time(&write_time(ms)).and_then(super::ms), Some(ms));
        }
        assert_eq!([0, 2_200, 3_605_000].map(write_time), ["0:00", "0:02.2", "1:00:05"]);
    }

    #[test]
    fn what_is_wrong_is_told_where_it_is() {
        let read = |text: &str| read_kept(text, 60_000);
        assert_eq!(read("\n 0:01 - 0:02\n3 – 61\n"), Ok(vec![(1000, 2000), (3000, 60_000)]));
        assert_eq!(read(" \n"), Err(WishError::Empty));
        assert_eq!(read("0:01 - 0:02\n\n0:03"), Err(WishError::Times(3)));
        assert_eq!(read("0:02 - 0:02"), Err(WishError::Order(1)));
        assert_eq!(read("0:01 - 0:03\n0:02 - 0:04"), Err(WishError::Order(2)));
        assert_eq!(read("0:01 - 1:02"), Err(WishError::Beyond(1)));
        assert_eq!(read("1:00 - 1:01"), Err(WishError::Beyond(1)));
        let many: String = (0..101).map(|n| format!("{}.1 - {}.2\n", n / 2, n / 2 + 1)).collect();
        assert_eq!(read(&many), Err(WishError::TooMany));
        for wrong in [f64::NAN, -1.0, f64::INFINITY, 1e300] {
            assert_eq!(kept(&[(1, 0.0, wrong)], 60_000), Err(WishError::Times(1)));
        }

        let read = |text: &str| read_chapters(text, 60_000);
        let chapter = |at_ms, title: &str| Chapter { at_ms, title: title.into() };
        assert_eq!(read("0:30 Dua\n0:10  Satu <b>"), Ok(vec![chapter(10_000, "Satu <b>"), chapter(30_000, "Dua")]));
        assert_eq!(read(""), Ok(Vec::new()));
        assert_eq!(read("\nDua"), Err(WishError::Chapter(2)));
        assert_eq!(read("0:30"), Err(WishError::Title(1)));
        assert_eq!(read(&format!("0:30 {}", "x".repeat(201))), Err(WishError::Title(1)));
        assert_eq!(read("0:30 a\n30 b"), Err(WishError::Twice(2)));
        assert_eq!(read("1:00 a"), Err(WishError::ChapterBeyond(1)));
    }

    #[test]
    fn what_is_written_is_read() {
        let one = |from_ms, to_ms| Kept { start: 0, end: 0, from_ms, to_ms, at_ms: 0 };
        let both = [one(1033, 2000), one(61_500, 3_700_000)];
        assert_eq!(read_kept(&write_kept(&both, 9_000_000), 9_000_000), Ok(vec![(1033, 2000), (61_500, 3_700_000)]));
        assert_eq!(read_kept(&write_kept(&[], 9001), 9001), Ok(vec![(0, 9001)]));
        let chapters = [Chapter { at_ms: 1033, title: "Satu dua".into() }];
        assert_eq!(read_chapters(&write_chapters(&chapters), 9001), Ok(chapters.to_vec()));
    }
}

//! The languages of the pages: which one a reader gets, how numbers, sizes and times are said in it.
//! The texts themselves stand in the files below, by family of pages; a text that lacks a language does not compile.

mod admin;
pub mod captions;
mod edit;
mod imports;
mod problems;
mod site;
mod studio;
mod upload;
mod watch;

/// Makes a method of [`Lang`] for each fixed text.
macro_rules! texts {
    ($($name:ident = $id:literal, $en:literal;)*) => {
        impl crate::web::i18n::Lang {
            $(pub fn $name(self) -> &'static str {
                match self { Self::Id => $id, Self::En => $en }
            })*
        }
    };
}

/// Makes a method of [`Lang`] for each text that takes something in.
macro_rules! phrases {
    ($($name:ident($($arg:ident: $ty:ty),+) = $id:expr, $en:expr;)*) => {
        impl crate::web::i18n::Lang {
            $(pub fn $name(self, $($arg: $ty),+) -> String {
                match self { Self::Id => $id, Self::En => $en }
            })*
        }
    };
}
pub(crate) use {phrases, texts};

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    #[default]
    Id,
    En,
}

impl Lang {
    pub const ALL: [Lang; 2] = [Lang::Id, Lang::En];

    /// The language tag, for `<html lang>` and the cookie.
    pub fn code(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::En => "en",
        }
    }

    /// The language's own name.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::Id => "Bahasa Indonesia",
            Self::En => "English",
        }
    }

    /// From a cookie or a form; anything else is no choice.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.code() == code)
    }

    /// The reader's choice, else the best of `Accept-Language` (RFC 9110, 12.5.4), else Indonesian.
    pub fn choose(cookie: Option<&str>, accept_language: Option<&str>) -> Self {
        cookie.and_then(Self::parse).or_else(|| accept_language.and_then(Self::accepted)).unwrap_or_default()
    }

    fn accepted(header: &str) -> Option<Self> {
        let mut best = None;
        for entry in header.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().split('-').next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            // `in` is what old Android phones still call Indonesian.
            let lang = Self::parse(if tag == "in" { "id" } else { &tag });
            if let Some(lang) = lang
                && weight > best.map_or(0.0, |(_, top)| top)
            {
                best = Some((lang, weight));
            }
        }
        best.map(|(lang, _)| lang)
    }

    /// How long ago, in words; in the future "in 10 minutes". Milliseconds since 1970.
    pub fn ago(self, now_ms: i64, at_ms: i64) -> String {
        let seconds = (now_ms - at_ms) / 1000;
        let (count, unit) = match seconds.unsigned_abs() {
            0..45 => return self.just_now().to_owned(),
            s @ 45..3_420 => (((s + 30) / 60).max(1), self.unit_minute()),
            s @ 3_420..82_080 => ((s + 1_800) / 3_600, self.unit_hour()),
            s @ 82_080..2_462_400 => ((s + 43_200) / 86_400, self.unit_day()),
            s @ 2_462_400..29_959_200 => (((s + 1_296_000) / 2_592_000).min(11), self.unit_month()),
            s => ((s + 15_768_000) / 31_536_000, self.unit_year()),
        };
        if seconds >= 0 { self.past(count, unit) } else { self.future(count, unit) }
    }

    /// Day, date and time of the box's own time zone: "Senin, 3 November 2025 14.05".
    pub fn exact(self, at_ms: i64) -> String {
        let Ok(time) = jiff::Timestamp::from_millisecond(at_ms) else { return String::new() };
        let local = time.to_zoned(jiff::tz::TimeZone::system());
        let weekday =
            self.weekdays().split(' ').nth(local.weekday().to_monday_zero_offset() as usize).unwrap_or_default();
        let month = self.months().split(' ').nth(local.month() as usize - 1).unwrap_or_default();
        self.date_line(weekday, local.day(), month, local.year(), local.hour(), local.minute())
    }

    /// The day alone: "3 November 2025".
    pub fn day(self, at_ms: i64) -> String {
        let Ok(time) = jiff::Timestamp::from_millisecond(at_ms) else { return String::new() };
        let local = time.to_zoned(jiff::tz::TimeZone::system());
        let month = self.months().split(' ').nth(local.month() as usize - 1).unwrap_or_default();
        format!("{} {month} {}", local.day(), local.year())
    }

    /// Hours, minutes and seconds as a player shows them: `1:02:03`, `4:05`.
    pub fn clock(self, seconds: u64) -> String {
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
    }

    /// A length in words, for those who hear it: "12 menit 5 detik".
    pub fn length(self, seconds: u64) -> String {
        let parts = [
            (seconds / 3600, self.unit_hour()),
            (seconds / 60 % 60, self.unit_minute()),
            (seconds % 60, self.unit_second()),
        ];
        let said: Vec<String> =
            parts.into_iter().filter(|(n, _)| *n > 0).take(2).map(|(n, unit)| self.count(n, unit)).collect();
        if said.is_empty() { self.count(0, self.unit_second()) } else { said.join(" ") }
    }

    /// A size in powers of 1000, as disks are sold: "12,4 GB".
    pub fn size(self, bytes: u64) -> String {
        let (value, unit) = match bytes {
            0..1_000_000 => (bytes as f64 / 1e3, "kB"),
            1_000_000..1_000_000_000 => (bytes as f64 / 1e6, "MB"),
            1_000_000_000..1_000_000_000_000 => (bytes as f64 / 1e9, "GB"),
            _ => (bytes as f64 / 1e12, "TB"),
        };
        let digits = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        format!("{} {unit}", self.decimal(&digits))
    }

    fn decimal(self, digits: &str) -> String {
        match self {
            Self::Id => digits.replace('.', ","),
            Self::En => digits.to_owned(),
        }
    }

    fn count(self, n: u64, unit: (&str, &str)) -> String {
        format!("{n} {}", if n == 1 { unit.0 } else { unit.1 })
    }

    fn past(self, n: u64, unit: (&str, &str)) -> String {
        self.time_ago(&self.count(n, unit))
    }

    fn future(self, n: u64, unit: (&str, &str)) -> String {
        self.time_ahead(&self.count(n, unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_readers() {
        assert_eq!(Lang::choose(Some("en"), Some("id")), Lang::En);
        assert_eq!(Lang::choose(Some("fr"), None), Lang::Id);
        assert_eq!(Lang::choose(None, Some("en-GB,en;q=0.9")), Lang::En);
        assert_eq!(Lang::choose(None, Some("jv, id;q=0.8, en;q=0.5")), Lang::Id);
        assert_eq!(Lang::choose(None, Some("in-ID")), Lang::Id);
        assert_eq!(Lang::choose(None, Some("en;q=0, id;q=nonsense")), Lang::Id);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = 1_700_000_000_000;
        assert_eq!(Lang::En.ago(now, now - 3_600_000), "1 hour ago");
        assert_eq!(Lang::Id.ago(now, now - 10_000), "baru saja");
        assert_eq!(Lang::Id.ago(now, now - 600_000), "10 menit lalu");
        assert_eq!(Lang::En.ago(now, now - 60_000), "1 minute ago");
        assert_eq!(Lang::En.ago(now, now + 7_200_000), "in 2 hours");
        assert_eq!(Lang::Id.ago(now, now - 3 * 86_400_000), "3 hari lalu");
        assert_eq!(Lang::En.length(3_725), "1 hour 2 minutes");
        assert_eq!(Lang::Id.clock(3_725), "1:02:05");
    }

    #[test]
    fn sizes_have_the_languages_comma() {
        assert_eq!(Lang::Id.size(12_400_000_000), "12,4 GB");
        assert_eq!(Lang::En.size(999), "1.0 kB");
    }
}

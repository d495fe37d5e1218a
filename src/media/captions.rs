//! Captions: text in WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format") and SubRip becomes cues, and cues become WebVTT. A
//! cue's text is plain: markup, positions and styles are left out, so that what was uploaded can do nothing in a viewer's page.

use std::fmt::Write;

/// Bytes of a file.
pub const MOST_BYTES: usize = 1 << 20;
/// Cues of one track.
pub const MOST_CUES: usize = 20_000;
/// Milliseconds: a cue ends before; a hundred hours.
const LATEST_MS: u64 = 360_000_000;

/// A text that is shown from one time of the recording to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// Milliseconds since the recording's beginning.
    pub start_ms: u64,
    /// Milliseconds since the recording's beginning, after `start_ms`.
    pub end_ms: u64,
    /// Plain text in lines, none of them empty.
    pub text: String,
}

/// Why a text is no captions. Lines count from 1; for cues that came as a list, they are the cues' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CaptionsError {
    #[error("Captions have at most {MOST_BYTES} bytes.")]
    TooLarge,
    #[error("Captions have at most {MOST_CUES} cues.")]
    TooMany,
    #[error("There is no cue in it.")]
    Empty,
    #[error("A WebVTT file begins with the line WEBVTT.")]
    NoHeader,
    #[error("Line {0}: this is not UTF-8. Save the file as UTF-8.")]
    NotUtf8(usize),
    #[error("Line {0}: a cue begins with its times, such as 00:01:02.500 --> 00:01:04.000.")]
    NoTimes(usize),
    #[error("Line {0}: these are no times. They look like 00:01:02.500 --> 00:01:04.000.")]
    BadTimes(usize),
    #[error("Line {0}: a cue ends after it begins, and before 100 hours.")]
    BadOrder(usize),
    #[error("Line {0}: an empty line is missing before the next cue.")]
    NotApart(usize),
}

impl CaptionsError {
    /// The stable word by which programs and translations know it.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "captions_too_large",
            Self::TooMany => "captions_too_many",
            Self::Empty => "captions_empty",
            Self::NoHeader => "captions_no_header",
            Self::NotUtf8(_) => "captions_not_utf8",
            Self::NoTimes(_) => "captions_no_times",
            Self::BadTimes(_) => "captions_bad_times",
            Self::BadOrder(_) => "captions_bad_order",
            Self::NotApart(_) => "captions_not_apart",
        }
    }

    /// Where it is, if it is at one line.
    pub fn line(self) -> Option<usize> {
        match self {
            Self::TooLarge | Self::TooMany | Self::Empty => None,
            Self::NoHeader => Some(1),
            Self::NotUtf8(line)
            | Self::NoTimes(line)
            | Self::BadTimes(line)
            | Self::BadOrder(line)
            | Self::NotApart(line) => Some(line),
        }
    }
}

/// The two ways in which captions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    WebVtt,
    SubRip,
}

impl Format {
    /// Which it seems to be: WebVTT says so in its first line.
    pub fn of(bytes: &[u8]) -> Format {
        let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
        if bytes.starts_with(HEADER.as_bytes()) { Format::WebVtt } else { Format::SubRip }
    }
}

const BOM: &[u8] = "\u{feff}".as_bytes();
const HEADER: &str = "WEBVTT";
const ARROW: &str = "-->";

/// Reads a file. Cues come out in the order of their beginnings; those without text are left out.
///
/// # Errors
/// The first thing that is wrong, with its line. What has no place in a plain track (notes, styles, regions, identifiers,
/// settings, markup) is passed over and is no error.
pub fn read(bytes: &[u8], format: Format) -> Result<Vec<Cue>, CaptionsError> {
    if bytes.len() > MOST_BYTES {
        return Err(CaptionsError::TooLarge);
    }
    let text = std::str::from_utf8(bytes.strip_prefix(BOM).unwrap_or(bytes)).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        CaptionsError::NotUtf8(1 + before.iter().filter(|byte| **byte == b'\n').count())
    })?;
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = (1..).zip(text.split('\n')).peekable();
    if format == Format::WebVtt {
        let (_, first) = lines.next().ok_or(CaptionsError::NoHeader)?;
        if !first.strip_prefix(HEADER).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return Err(CaptionsError::NoHeader);
        }
        // What stands below belongs to the header until an empty line.
        while lines.next_if(|(_, line)| !is_empty(line) && !line.contains(ARROW)).is_some() {}
    }
    let mut cues = Vec::new();
    while let Some((number, first)) = lines.next() {
        if is_empty(first) {
            continue;
        }
        if format == Format::WebVtt && is_aside(first) {
            while lines.next_if(|(_, line)| !is_empty(line)).is_some() {}
            continue;
        }
        // An identifier may stand above the times.
        let (number, times) = match lines.next_if(|(_, line)| !first.contains(ARROW) && line.contains(ARROW)) {
            Some(second) => second,
            None => (number, first),
        };
        let (start_ms, end_ms) = read_times(times, number)?;
        let mut written = String::new();
        while let Some((number, line)) = lines.next_if(|(_, line)| !is_empty(line)) {
            if line.contains(ARROW) {
                return Err(CaptionsError::NotApart(number));
            }
            written.push_str(line);
            written.push('\n');
        }
        let plain = without_markup(&written, format);
        push(&mut cues, start_ms, end_ms, &if format == Format::WebVtt { unescape(&plain) } else { plain })?;
    }
    in_order(cues)
}

/// Makes cues of a list of (start in ms, end in ms, plain text), by the same rules as a file's.
pub fn of_list(list: impl IntoIterator<Item = (u64, u64, String)>) -> Result<Vec<Cue>, CaptionsError> {
    let mut cues = Vec::new();
    for (number, (start_ms, end_ms, text)) in (1..).zip(list) {
        check_order(start_ms, end_ms, number)?;
        push(&mut cues, start_ms, end_ms, &text)?;
    }
    in_order(cues)
}

fn push(cues: &mut Vec<Cue>, start_ms: u64, end_ms: u64, text: &str) -> Result<(), CaptionsError> {
    let text = clean(text);
    if text.is_empty() {
        return Ok(());
    }
    if cues.len() == MOST_CUES {
        return Err(CaptionsError::TooMany);
    }
    cues.push(Cue { start_ms, end_ms, text });
    Ok(())
}

fn in_order(mut cues: Vec<Cue>) -> Result<Vec<Cue>, CaptionsError> {
    cues.sort_by_key(|cue| cue.start_ms);
    if cues.is_empty() { Err(CaptionsError::Empty) } else { Ok(cues) }
}

/// Lines without control characters and without the space around them; empty ones go, since they would end the cue.
fn clean(text: &str) -> String {
    let plain = |line: &str| {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        line.trim().to_owned()
    };
    let lines = text.split(['\n', '\r']).map(plain).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

fn is_empty(line: &str) -> bool {
    line.trim().is_empty()
}

/// Notes, styles and regions: W3C WebVTT 4.1.
fn is_aside(line: &str) -> bool {
    ["NOTE", "STYLE", "REGION"].iter().any(|word| {
        line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
            && !line.contains(ARROW)
    })
}

fn read_times(line: &str, number: usize) -> Result<(u64, u64), CaptionsError> {
    let (start, rest) = line.split_once(ARROW).ok_or(CaptionsError::NoTimes(number))?;
    // Settings of the cue's place may follow.
    let end = rest.split_whitespace().next().unwrap_or_default();
    let times = read_time(start.trim()).zip(read_time(end));
    let (start_ms, end_ms) = times.ok_or(CaptionsError::BadTimes(number))?;
    check_order(start_ms, end_ms, number)?;
    Ok((start_ms, end_ms))
}

fn check_order(start_ms: u64, end_ms: u64, number: usize) -> Result<(), CaptionsError> {
    if start_ms < end_ms && end_ms < LATEST_MS { Ok(()) } else { Err(CaptionsError::BadOrder(number)) }
}

/// `[hours:]minutes:seconds.thousandths`; SubRip has a comma.
fn read_time(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    let mut parts = whole.rsplit(':');
    let seconds = digits(parts.next()?, 2).filter(|seconds| *seconds < 60)?;
    let minutes = digits(parts.next()?, 2).filter(|minutes| *minutes < 60)?;
    let hours = parts.next().map_or(Some(0), |hours| digits(hours, 4))?;
    if parts.next().is_some() {
        return None;
    }
    let thousandths = digits(fraction, 3)? * 10_u64.pow(3 - fraction.len() as u32);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths)
}

fn digits(text: &str, most: usize) -> Option<u64> {
    let plain = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Without tags, and without SubRip's `{\an8}`. A `<` that begins no tag, as in "suhu < 37", is text.
fn without_markup(text: &str, format: Format) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '{']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let tag = if from.starts_with('<') {
            from.find('>').filter(|end| is_tag(&from[1..*end]))
        } else {
            from.find('}').filter(|_| format == Format::SubRip && from.starts_with("{\\"))
        };
        match tag {
            Some(end) => rest = &from[end + 1..],
            None => {
                plain.push_str(&from[..1]);
                rest = &from[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

/// `i`, `/i`, `v Siti`, `font color=red`, or a time within a cue.
fn is_tag(inside: &str) -> bool {
    let name = inside.strip_prefix('/').unwrap_or(inside);
    name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_alphabetic())
        || (name.contains(':') && name.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte)))
}

/// Character references of WebVTT (W3C WebVTT 6.4), those that people write.
const REFERENCES: [(&str, &str); 8] = [
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&nbsp;", "\u{a0}"),
    ("&lrm;", "\u{200e}"),
    ("&rlm;", "\u{200f}"),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&amp;", "&"),
];

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let known = REFERENCES.iter().find(|(written, _)| from.starts_with(written));
        let (written, meant) = known.copied().unwrap_or(("&", "&"));
        plain.push_str(meant);
        rest = &from[written.len()..];
    }
    plain.push_str(rest);
    plain
}

/// Writes a WebVTT file: of what [`read`] gave, exactly what it reads again.
pub fn write(cues: &[Cue]) -> String {
    let mut text = format!("{HEADER}\n");
    for cue in cues {
        let escaped = cue.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{} {ARROW} {}\n{escaped}\n", Time(cue.start_ms), Time(cue.end_ms));
    }
    text
}

/// `hh:mm:ss.ttt`
struct Time(u64);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Time(ms) = self;
        write!(f, "{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    }
}

/// A language tag (BCP 47, RFC 5646 2.1) in its usual case, such as `id`, `zh-Hant`, `en-GB`; none for what is none.
pub fn language(tag: &str) -> Option<String> {
    if tag.len() > 35 {
        return None;
    }
    let mut subtags = tag.split('-');
    let primary = subtags.next().filter(|primary| (2..=8).contains(&primary.len()))?;
    if !primary.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let mut canonical = primary.to_ascii_lowercase();
    for subtag in subtags {
        if !(1..=8).contains(&subtag.len()) || !subtag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        let lower = subtag.to_ascii_lowercase();
        canonical.push('-');
        match lower.len() {
            2 => canonical.push_str(&lower.to_ascii_uppercase()),
            4 if lower.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
                canonical.push_str(&lower[..1].to_ascii_uppercase());
                canonical.push_str(&lower[1..]);
            }
            _ => canonical.push_str(&lower),
        }
    }
    Some(canonical)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cue(start_ms: u64, end_ms: u64, text: &str) -> Cue {
        Cue { start_ms, end_ms, text: text.to_owned() }
    }

    fn vtt(text: &str) -> Result<Vec<Cue>, CaptionsError> {
        read(text.as_bytes(), Format::WebVtt)
    }

    fn srt(text: &str) -> Result<Vec<Cue>, CaptionsError> {
        read(text.as_bytes(), Format::SubRip)
    }

    #[test]
    fn webvtt_is_read_with_all_that_may_be_in_it() {
        let text = "\u{feff}WEBVTT Kelas\r\nKind: captions\r\n\r\nNOTE\r\na note\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n\
            REGION\r\nid:a\r\n\r\nfirst\r\n00:01.000 --> 00:02.5 line:0 align:start\r\n<v Siti>Suhu < 37 &amp; <i>baik</i>\r\n\
            baris dua\r\n\r\n\r\n100:00:00.000 --> 100:00:00.001\r\nx\r\n";
        assert_eq!(vtt(text), Err(CaptionsError::BadOrder(19)));
        let text = text.replace("100:", "99:");
        let cues = vtt(&text).unwrap();
        assert_eq!(cues, [cue(1000, 2500, "Suhu < 37 & baik\nbaris dua"), cue(356_400_000, 356_400_001, "x")]);
    }

    #[test]
    fn subrip_is_read_with_its_commas_and_markup() {
        let text = "2\n00:00:03,000 --> 00:00:04,000\n{\\an8}<font color=\"red\">&amp;</font> {kurung}\n\n\
            1\n00:00:01,000 --> 00:00:02,000 X1:1\n<b>Satu</b>";
        assert_eq!(srt(text).unwrap(), [cue(1000, 2000, "Satu"), cue(3000, 4000, "&amp; {kurung}")]);
        assert_eq!(Format::of(text.as_bytes()), Format::SubRip);
        assert_eq!(Format::of("\u{feff}WEBVTT".as_bytes()), Format::WebVtt);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(vtt("1\n00:01.000 --> 00:02.000\nx"), Err(CaptionsError::NoHeader));
        assert_eq!(vtt("WEBVTTX"), Err(CaptionsError::NoHeader));
        assert_eq!(vtt("WEBVTT\n\nNOTE nothing"), Err(CaptionsError::Empty));
        assert_eq!(vtt("WEBVTT\n\n00:01.000 --> 00:02.000\n\n"), Err(CaptionsError::Empty));
        assert_eq!(vtt("WEBVTT\n\nid\nx"), Err(CaptionsError::NoTimes(3)));
        assert_eq!(vtt("WEBVTT\n\n00:01.000 --> soon\nx"), Err(CaptionsError::BadTimes(3)));
        assert_eq!(vtt("WEBVTT\n\n00:61.000 --> 02:00.000\nx"), Err(CaptionsError::BadTimes(3)));
        assert_eq!(vtt("WEBVTT\n\n00:02.000 --> 00:02.000\nx"), Err(CaptionsError::BadOrder(3)));
        let joined = "WEBVTT\n\n00:01.000 --> 00:02.000\nx\n00:02.000 --> 00:03.000\ny";
        assert_eq!(vtt(joined), Err(CaptionsError::NotApart(5)));
        assert_eq!(read(b"WEBVTT\n\n\xff", Format::WebVtt), Err(CaptionsError::NotUtf8(3)));
        assert_eq!(read(&vec![b' '; MOST_BYTES + 1], Format::SubRip), Err(CaptionsError::TooLarge));
        let many = "00:01,0 --> 00:02,0\nx\n\n".repeat(MOST_CUES + 1);
        assert_eq!(srt(&many), Err(CaptionsError::TooMany));
        assert_eq!(of_list([(0, 1, "a".into()), (5, 5, "b".into())]), Err(CaptionsError::BadOrder(2)));
    }

    #[test]
    fn languages() {
        for (tag, canonical) in [("id", "id"), ("EN-gb", "en-GB"), ("zh-hant-tw", "zh-Hant-TW"), ("min", "min")] {
            assert_eq!(language(tag).as_deref(), Some(canonical));
        }
        for bad in ["", "i", "id-", "-id", "../x", "id_ID", "123", "abcdefghi", "id-ébc", &"a-".repeat(30)] {
            assert_eq!(language(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_and_read_again_is_the_same(list in proptest::collection::vec((0..LATEST_MS - 1000, 1..1000_u64, any::<String>()), 1..20)) {
            let list = list.into_iter().map(|(start, length, text)| (start, start + length, text));
            if let Ok(cues) = of_list(list) {
                prop_assert_eq!(vtt(&write(&cues)), Ok(cues));
            }
        }

        #[test]
        fn text_with_markup_survives_too(texts in proptest::collection::vec("[-<>&;{}\\\\ /a-c:0-9.\n]{1,40}", 1..10)) {
            let list = texts.into_iter().map(|text| (1, 2, text));
            if let Ok(cues) = of_list(list) {
                prop_assert_eq!(vtt(&write(&cues)), Ok(cues));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
            let _ = read(&bytes, Format::of(&bytes));
        }

        #[test]
        fn nor_does_what_looks_like_captions(text in "(WEBVTT\n\n)?([0-9:.,]{0,9}( --> )?[0-9:.,]{0,9}\n{0,2}[<{&}>\\\\é\r\n]{0,9}){0,9}") {
            for format in [Format::WebVtt, Format::SubRip] {
                if let Ok(cues) = read(text.as_bytes(), format) {
                    prop_assert_eq!(vtt(&write(&cues)), Ok(cues));
                }
            }
        }
    }
}

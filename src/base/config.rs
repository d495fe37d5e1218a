//! Settings of the process: flag over environment over file over default.
//!
//! [`SETTINGS`] declares each setting once; its flag (`--part-ms`), its variable (`SIARAN_PART_MS`) and its key in the TOML
//! file (`part_ms`) are made from the one, and all three are read by the same function. What an admin changes while the
//! program runs does not belong here: that is in the database.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where a system service keeps its state (Filesystem Hierarchy Standard 3.0, 5.8).
const SERVICE_DATA: &str = "/var/lib/siaran";

/// Begins the name of every environment variable of ours.
const PREFIX: &str = "SIARAN_";

/// What `serve` runs with. Each field is described in [`SETTINGS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The whole state of the box; it need not exist yet.
    pub data: PathBuf,
    pub http: SocketAddr,
    /// None: no TLS listener.
    pub https: Option<SocketAddr>,
    /// None: no RTMP listener.
    pub rtmp: Option<SocketAddr>,
    /// Whether the source `test` exists.
    pub test_source: bool,
    /// Length of a part, 200 to 1000 ms.
    pub part_ms: u32,
    /// Height of the captured picture, 240 to 1080 lines and even; its width follows from 16:9.
    pub video_height: u32,
    /// Bit rate of the captured picture, 200 to 20,000 kbit/s.
    pub video_kbps: u32,
    /// Whether smaller pictures are cut from the captured one, for phones with a bad link.
    pub ladder: bool,
    /// Frames per second of the captured picture, 5 to 60.
    pub frame_rate: u32,
    /// Seconds in which an RTMP publisher that left may come back to the same broadcast, 0 to 3600.
    pub rtmp_grace_s: u32,
    /// Age in seconds up to which an interrupted broadcast goes on air again at a start, 0 to 3600; 0 never.
    pub resume_s: u32,
    /// Age in seconds at which a recording's file is closed and the next begun, 2 to 600.
    pub reel_s: u32,
    /// Days that a deleted recording can be restored, 0 to 3650.
    pub trash_days: u32,
    /// Bytes that recordings leave free on the disk.
    pub min_free_bytes: u64,
    /// Seconds of room above [`Config::min_free_bytes`] that *Go live* asks for, 0 to 86,400.
    pub go_live_room_s: u32,
    /// Bytes of the largest file that can be uploaded.
    pub upload_max_bytes: u64,
    /// What is logged, as a filter of `tracing`: `info`, `siaran=debug,warn`.
    pub log: String,
}

impl Config {
    /// The defaults with the data in `data`.
    pub fn with_data(data: PathBuf) -> Self {
        Self {
            data,
            http: SocketAddr::from(([0, 0, 0, 0], 8080)),
            https: Some(SocketAddr::from(([0, 0, 0, 0], 8443))),
            rtmp: Some(SocketAddr::from(([0, 0, 0, 0], 1935))),
            test_source: true,
            part_ms: 200,
            video_height: 720,
            video_kbps: 2500,
            ladder: true,
            frame_rate: 30,
            rtmp_grace_s: 30,
            resume_s: 300,
            reel_s: 60,
            trash_days: 30,
            min_free_bytes: 500 << 20,
            go_live_room_s: 600,
            upload_max_bytes: 20_000_000_000,
            log: String::from("info"),
        }
    }

    /// Width that belongs to [`Config::video_height`] at 16:9, even.
    pub fn video_width(&self) -> u32 {
        (self.video_height * 16 / 9).next_multiple_of(2)
    }
}

/// One setting: how it is called, what it says for itself, and how its text is read.
pub struct Setting {
    /// As it stands behind `--`: `part-ms`.
    pub flag: &'static str,
    /// What stands for its value in the help.
    pub value_name: &'static str,
    pub help: &'static str,
    /// Puts the value into the configuration, or says what was expected instead.
    read: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    /// Key in the file: `part_ms` for `part-ms`.
    pub fn key(&self) -> String {
        self.flag.replace('-', "_")
    }

    /// Name in the environment: `SIARAN_PART_MS` for `part-ms`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.key().to_ascii_uppercase())
    }
}

/// Every setting there is. `config` is not among them: it names the file that holds them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        flag: "data",
        value_name: "DIR",
        help: "Directory of the whole state [default: per user, or /var/lib/siaran as a service]",
        read: |config, text| read_directory(text).map(|value| config.data = value),
    },
    Setting {
        flag: "http",
        value_name: "ADDR:PORT",
        help: "Where pages and media are served; port 0 takes a free one [default: 0.0.0.0:8080]",
        read: |config, text| read_address(text).map(|value| config.http = value),
    },
    Setting {
        flag: "https",
        value_name: "ADDR:PORT|off",
        help: "The same over TLS [default: 0.0.0.0:8443]",
        read: |config, text| read_address_or_off(text).map(|value| config.https = value),
    },
    Setting {
        flag: "rtmp",
        value_name: "ADDR:PORT|off",
        help: "Where OBS, phones and other encoders publish [default: 0.0.0.0:1935]",
        read: |config, text| read_address_or_off(text).map(|value| config.rtmp = value),
    },
    Setting {
        flag: "test-source",
        value_name: "on|off",
        help: "Offer the test pattern as a source [default: on]",
        read: |config, text| read_switch(text).map(|value| config.test_source = value),
    },
    Setting {
        flag: "part-ms",
        value_name: "MS",
        help: "Length of a part in milliseconds, 200 to 1000; shorter is nearer to live, longer asks less of the Wi-Fi [default: 200]",
        read: |config, text| read_number(text, 200, 1000).map(|value| config.part_ms = value),
    },
    Setting {
        flag: "video-height",
        value_name: "LINES",
        help: "Height of the captured picture, even, 240 to 1080 [default: 720]",
        read: |config, text| read_height(text).map(|value| config.video_height = value),
    },
    Setting {
        flag: "video-kbps",
        value_name: "KBPS",
        help: "Bit rate of the captured picture in kbit/s, 200 to 20000 [default: 2500]",
        read: |config, text| read_number(text, 200, 20_000).map(|value| config.video_kbps = value),
    },
    Setting {
        flag: "ladder",
        value_name: "on|off",
        help: "Cut smaller pictures from the captured one, for phones with a bad link [default: on]",
        read: |config, text| read_switch(text).map(|value| config.ladder = value),
    },
    Setting {
        flag: "frame-rate",
        value_name: "FPS",
        help: "Frames per second of the captured picture, 5 to 60 [default: 30]",
        read: |config, text| read_number(text, 5, 60).map(|value| config.frame_rate = value),
    },
    Setting {
        flag: "rtmp-grace-s",
        value_name: "SECONDS",
        help: "How long an RTMP publisher that left may come back to its broadcast, 0 to 3600 [default: 30]",
        read: |config, text| read_number(text, 0, 3600).map(|value| config.rtmp_grace_s = value),
    },
    Setting {
        flag: "resume-s",
        value_name: "SECONDS",
        help: "After a crash or a power cut, how old a broadcast may be to go on air again by itself, 0 (never) to 3600 [default: 300]",
        read: |config, text| read_number(text, 0, 3600).map(|value| config.resume_s = value),
    },
    Setting {
        flag: "reel-s",
        value_name: "SECONDS",
        help: "Age at which a recording's file is closed and the next one begun, 2 to 600 [default: 60]",
        read: |config, text| read_number(text, 2, 600).map(|value| config.reel_s = value),
    },
    Setting {
        flag: "trash-days",
        value_name: "DAYS",
        help: "How long a deleted recording can be restored, 0 to 3650 [default: 30]",
        read: |config, text| read_number(text, 0, 3650).map(|value| config.trash_days = value),
    },
    Setting {
        flag: "min-free-bytes",
        value_name: "BYTES",
        help: "What recordings leave free on the disk [default: 524288000]",
        read: |config, text| read_number(text, 0, i64::MAX as u64).map(|value| config.min_free_bytes = value),
    },
    Setting {
        flag: "go-live-room-s",
        value_name: "SECONDS",
        help: "Room to record that a broadcast is begun with, 0 to 86400; with less, the studio asks [default: 600]",
        read: |config, text| read_number(text, 0, 86_400).map(|value| config.go_live_room_s = value),
    },
    Setting {
        flag: "upload-max-bytes",
        value_name: "BYTES",
        help: "Size of the largest file that can be uploaded [default: 20000000000]",
        read: |config, text| read_number(text, 1, i64::MAX as u64).map(|value| config.upload_max_bytes = value),
    },
    Setting {
        flag: "log",
        value_name: "FILTER",
        help: "What is logged on stderr: error, warn, info, debug, or target=level,… [default: info]",
        read: |config, text| read_filter(text).map(|value| config.log = value),
    },
];

/// Texts of one layer by [`Setting::flag`]: the flags, the environment, or the file.
pub type Layer = BTreeMap<&'static str, String>;

/// A setting that is unknown, malformed or cannot be read. Displays as one line that names it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("{name}: {why}")]
    Value { name: String, why: String },
    #[error("{0}: there is no such setting")]
    Unknown(String),
    #[error("{path}: {why}")]
    File { path: String, why: String },
    #[error("--data: there is no home directory to keep the data in; say where it belongs")]
    NoHome,
}

/// Puts the layers together. `file` is what `--config` says, and `variables` is the process's
/// environment, of which the names that begin with `SIARAN_` are read (`SIARAN_CONFIG` stands for `--config`).
pub fn load(
    flags: &Layer,
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, Error> {
    let (environment, named_file) = read_environment(variables)?;
    let file = file.map(Path::to_path_buf).or(named_file);
    let mut config = Config::with_data(PathBuf::new());
    // Each layer is checked in full, so that a mistake in the file is told even where a flag hides it.
    if let Some(path) = &file {
        let shown = path.display().to_string();
        apply(&mut config, &read_file(path)?, |setting| format!("{shown}: {}", setting.key()))?;
    }
    apply(&mut config, &environment, Setting::variable)?;
    apply(&mut config, flags, |setting| format!("--{}", setting.flag))?;
    if config.data.as_os_str().is_empty() {
        config.data = default_data()?;
    }
    Ok(config)
}

/// The data directory of a command that needs nothing else: `flag` over `SIARAN_DATA` over the default.
pub fn data_directory(flag: Option<PathBuf>) -> Result<PathBuf, Error> {
    match flag.or_else(|| std::env::var_os("SIARAN_DATA").map(PathBuf::from)) {
        Some(path) if path.as_os_str().is_empty() => {
            Err(Error::Value { name: String::from("--data"), why: String::from("expected a directory") })
        }
        Some(path) => Ok(path),
        None => default_data(),
    }
}

fn apply(config: &mut Config, layer: &Layer, name: impl Fn(&Setting) -> String) -> Result<(), Error> {
    for setting in SETTINGS {
        if let Some(text) = layer.get(setting.flag) {
            (setting.read)(config, text).map_err(|why| Error::Value { name: name(setting), why })?;
        }
    }
    Ok(())
}

fn read_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Layer, Option<PathBuf>), Error> {
    let mut layer = Layer::new();
    let mut file = None;
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if name == "SIARAN_CONFIG" {
            file = Some(PathBuf::from(value));
            continue;
        }
        let setting = SETTINGS.iter().find(|setting| setting.variable() == name);
        let setting = setting.ok_or_else(|| Error::Unknown(printable(name)))?;
        let value = value
            .into_string()
            .map_err(|_| Error::Value { name: String::from(name), why: String::from("is not valid UTF-8") })?;
        layer.insert(setting.flag, value);
    }
    Ok((layer, file))
}

fn read_file(path: &Path) -> Result<Layer, Error> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::File { path: format!("--config: {shown}"), why: error.to_string() })?;
    let table: toml::Table = text.parse().map_err(|error| file_error(&shown, &text, &error))?;
    let mut layer = Layer::new();
    for (key, value) in table {
        let setting = SETTINGS.iter().find(|setting| setting.key() == key);
        let setting = setting.ok_or_else(|| Error::Unknown(format!("{shown}: {}", printable(&key))))?;
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(on) => String::from(if on { "on" } else { "off" }),
            other => {
                let why = format!("expected a text, a number, true or false, found {}", other.type_str());
                return Err(Error::Value { name: format!("{shown}: {key}"), why });
            }
        };
        layer.insert(setting.flag, value);
    }
    Ok(layer)
}

/// The parser draws the place over several lines; ours is `file: line 3: what`.
fn file_error(path: &str, text: &str, error: &toml::de::Error) -> Error {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    Error::File { path: format!("{path}: line {line}"), why: printable(error.message()) }
}

/// `STATE_DIRECTORY` when systemd gives one, `/var/lib/siaran` for a service of root (and for root at a shell beside one),
/// else `siaran` in the user's data home (XDG Base Directory 0.8).
fn default_data() -> Result<PathBuf, Error> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(first) = variable("STATE_DIRECTORY").and_then(|paths| std::env::split_paths(&paths).next()) {
        return Ok(first);
    }
    let service = Path::new(SERVICE_DATA);
    if rustix::process::geteuid().is_root() && (variable("INVOCATION_ID").is_some() || service.is_dir()) {
        return Ok(service.to_path_buf());
    }
    variable("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("siaran"))
        .ok_or(Error::NoHome)
}

fn read_directory(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err(String::from("expected a directory")),
        text if text.contains('\0') => Err(String::from("a path holds no NUL")),
        text => Ok(PathBuf::from(text)),
    }
}

fn read_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("expected ADDRESS:PORT such as 0.0.0.0:8080, found '{}'", printable(text)))
}

fn read_address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let expected = |_| format!("expected ADDRESS:PORT such as 0.0.0.0:8443, or off, found '{}'", printable(text));
    text.parse().map(Some).map_err(expected)
}

fn read_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        other => Err(format!("expected on or off, found '{}'", printable(other))),
    }
}

fn read_number<T>(text: &str, least: T, most: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("expected a whole number from {least} to {most}, found '{}'", printable(text)))
}

fn read_height(text: &str) -> Result<u32, String> {
    let height = read_number(text, 240, 1080)?;
    // 4:2:0 pictures have a chroma line for each two lines.
    if height % 2 == 0 { Ok(height) } else { Err(format!("expected an even number of lines, found '{height}'")) }
}

fn read_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(String::from(text)),
        Err(_) => Err(format!("expected a level such as info, or target=level,…, found '{}'", printable(text))),
    }
}

/// At most 80 characters, none of which moves a terminal's cursor: what a message may quote of its input.
pub fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn layer(pairs: &[(&'static str, &str)]) -> Layer {
        pairs.iter().map(|&(key, text)| (key, String::from(text))).collect()
    }

    fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        pairs.iter().map(|&(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("room for it");
        file
    }

    fn message(flags: &[(&'static str, &str)], text: &str, variables: &[(&str, &str)]) -> String {
        let file = file(text);
        let error = load(&layer(flags), Some(file.path()), environment(variables)).expect_err("refused").to_string();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    }

    #[test]
    fn nothing_is_required() {
        let config = load(&layer(&[("data", "/tmp/d")]), None, []).expect("defaults");
        assert_eq!(config, Config::with_data(PathBuf::from("/tmp/d")));
        assert_eq!(config.video_width(), 1280);
    }

    #[test]
    fn flag_over_environment_over_file_over_default() {
        let file = file("part_ms = 500\nframe_rate = \"25\"\nvideo_kbps = 900\ntest_source = false\nrtmp = \"off\"\n");
        let flags = layer(&[("data", "/d"), ("part-ms", "300")]);
        let config =
            load(&flags, Some(file.path()), environment(&[("SIARAN_PART_MS", "400"), ("SIARAN_VIDEO_KBPS", "800")]));
        let config = config.expect("all are well formed");
        assert_eq!((config.part_ms, config.video_kbps, config.frame_rate), (300, 800, 25));
        assert_eq!((config.test_source, config.rtmp), (false, None));
        assert_eq!(config.http.port(), 8080);
    }

    #[test]
    fn the_file_may_be_named_by_the_environment() {
        let file = file("data = \"/from/file\"");
        let path = file.path().to_str().expect("a plain path");
        let config = load(&Layer::new(), None, environment(&[("SIARAN_CONFIG", path)])).expect("well formed");
        assert_eq!(config.data, PathBuf::from("/from/file"));
    }

    #[test]
    fn a_mistake_is_named_wherever_it_stands() {
        assert!(message(&[("http", "8080")], "", &[]).starts_with("--http: expected ADDRESS:PORT"));
        assert!(message(&[("part-ms", "199")], "", &[]).starts_with("--part-ms: expected a whole number from 200"));
        assert!(message(&[], "", &[("SIARAN_PART_MS", "-1")]).starts_with("SIARAN_PART_MS: "));
        assert!(message(&[], "", &[("SIARAN_NONE", "1")]).starts_with("SIARAN_NONE: there is no such"));
        assert!(message(&[], "colour = 1", &[]).ends_with(": colour: there is no such setting"));
        assert!(message(&[], "[http]\na = 1", &[]).contains(": http: expected a text"));
        assert!(message(&[], "part_ms = \n", &[]).contains(": line 1: "));
        assert!(message(&[("part-ms", "300")], "part_ms = 1500", &[]).contains(": part_ms: "), "hidden, yet told");
        assert!(message(&[("video-height", "721")], "", &[]).starts_with("--video-height: "));
        assert!(message(&[("log", "a=b=c")], "", &[]).starts_with("--log: "));
        assert!(message(&[("https", "x\ny\u{1b}[2J")], "", &[]).starts_with("--https: "));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(&Layer::new(), Some(Path::new("/nowhere/siaran.toml")), []).expect_err("not there");
        assert!(error.to_string().starts_with("--config: /nowhere/siaran.toml: "), "{error}");
    }

    #[test]
    fn the_defaults_told_are_the_defaults_taken() {
        for setting in SETTINGS.iter().filter(|setting| setting.flag != "data") {
            let told = setting.help.rsplit_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
            let mut config = Config::with_data(PathBuf::new());
            (setting.read)(&mut config, told.expect("each tells its default")).expect("it is well formed");
            assert_eq!(config, Config::with_data(PathBuf::new()), "{}", setting.flag);
        }
    }

    #[test]
    fn the_readme_has_every_setting() {
        let readme = include_str!("../../README.md");
        for setting in SETTINGS {
            let row = format!("| `--{}` | `{}` | `{}` |", setting.flag, setting.variable(), setting.key());
            assert!(readme.contains(&row), "{row}");
        }
    }
}

//! The tree keeps its floors: imports go strictly down, siblings do not know each other, and each foreign library stays in its
//! room. ARCHITECTURE.md explains the floors; this holds the code to them.

use std::path::{Path, PathBuf};

/// Rooms from the ground up. A room may import from rows above it in this table (lower floors), never from its own.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["media", "accounts"],
    &["store", "ingest", "worker", "capture"],
    &["library", "people"],
    &["broadcast"],
    &["web"],
    &["app"],
    &["cli"],
];

/// Crates and calls that only one room may use.
const CONFINED: &[(&str, &str)] = &[
    ("gst::", "capture"),
    ("gst_app::", "capture"),
    ("rusqlite::", "store"),
    ("actix_http::", "web"),
    ("actix_service::", "web"),
    ("actix_web::", "web"),
    ("askama::", "web"),
    ("SystemTime::now", "base"),
    ("Instant::now()", "base"),
    ("Timestamp::now", "base"),
];

/// `tokio::time::Instant` is the runtime's own clock, for deadlines of timers alone.
const TIMERS: &[&str] = &["src/worker/supervisor.rs", "src/broadcast/program.rs"];

/// Files below a folder with this extension.
fn sources(folder: &Path, wanted: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, wanted, found);
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            found.push(path);
        }
    }
}

/// Every file under src: its path from the root, its room, its text without tests' modules.
fn files() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), "rs", &mut found);
    let describe = |path: &PathBuf| {
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let room = relative.trim_start_matches("src/").split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        (relative, room, std::fs::read_to_string(path).unwrap())
    };
    found.iter().map(describe).collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Rooms that a file names with `crate::`.
fn imports(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let name: String = line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // `crate::{a, b}` would hide its rooms from this test.
            assert!(!name.is_empty(), "name the room after crate:: in `{line}`");
            rooms.push(name);
        }
    }
    rooms
}

#[test]
fn imports_go_strictly_down() {
    let mut wrong = Vec::new();
    for (path, room, text) in files() {
        let Some(here) = floor(&room) else {
            assert!(["main", "lib"].contains(&room.as_str()), "{path}: give `{room}` a floor");
            continue;
        };
        for other in imports(&text).into_iter().filter(|other| *other != room) {
            match floor(&other) {
                Some(there) if there < here => {}
                Some(_) => wrong.push(format!("{path} imports `{other}`, which is not below `{room}`")),
                None => wrong.push(format!("{path} imports `{other}`, which has no floor")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn libraries_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (path, room, text) in files() {
        for (line, content) in (1..).zip(text.lines()).filter(|(_, content)| !content.trim_start().starts_with("//")) {
            for (name, home) in CONFINED {
                let timer = name.starts_with("Instant") && TIMERS.contains(&path.as_str());
                let whole = content
                    .match_indices(name)
                    .any(|(at, _)| !content[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
                if whole && room != *home && !timer {
                    wrong.push(format!("{path}:{line}: `{name}` belongs in `{home}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough() {
    let mut wrong = Vec::new();
    for (path, _, text) in files() {
        if !text.starts_with("//!") {
            wrong.push(format!("{path} does not open with //!"));
        }
        let lines = text.lines().count();
        if lines > 600 {
            wrong.push(format!("{path} has {lines} lines: split it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is called the same in every language.
const NAMES: &[&str] = &["OBS Studio", "Larix Broadcaster", "ffmpeg"];

/// What a template says by itself: its text outside tags and expressions, and in the attributes that are read out.
fn own_words(template: &str) -> String {
    let mut text = template.to_owned();
    // The class of a page is a block, too; what is typed is nobody's language.
    let left_out = [("{% block page_class %}", "{% endblock %}"), ("<code", "</code>"), ("<svg", "</svg>")];
    for (open, close) in left_out.into_iter().chain([("{#", "#}"), ("{%", "%}"), ("{{", "}}")]) {
        while let Some(from) = text.find(open) {
            let length = text[from..].find(close).expect("what is opened is closed") + close.len();
            text.replace_range(from..from + length, "");
        }
    }
    let (mut words, mut rest) = (String::new(), text.as_str());
    while let Some((before, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        words.push_str(before);
        for attribute in ["alt=", "title=", "placeholder=", "aria-label=", "aria-description="] {
            let value = tag.split(&format!(" {attribute}\"")).nth(1).and_then(|value| value.split('"').next());
            words.push_str(value.unwrap_or_default());
        }
        words.push('\n');
        rest = after;
    }
    words + rest
}

#[test]
fn templates_have_no_text_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut templates = Vec::new();
    sources(&root, "html", &mut templates);
    assert!(templates.len() > 10);
    let mut wrong = Vec::new();
    for path in templates {
        let words = own_words(&std::fs::read_to_string(&path).unwrap());
        let said = words.lines().filter(|line| line.contains(char::is_alphabetic) && !NAMES.contains(&line.trim()));
        wrong.extend(said.map(|line| format!("{}: `{line}` belongs into src/web/i18n", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(own_words("<p alt=\"a\">{{ b }} c {% if d %}<i class=\"e\">").trim(), "a\n c");
}

#[test]
fn what_is_noted_of_whoever_did_it_is_said_in_words() {
    let files = files();
    let page = &files.iter().find(|(path, ..)| path == "src/web/site/admin/mod.rs").expect("the list's page").2;
    let mut actions = 0;
    for (path, _, text) in &files {
        for call in text.split("audit::record(").skip(1) {
            let call = call.split(';').next().unwrap();
            for action in call.split('"').skip(1).step_by(2).filter(|text| text.contains('.')) {
                assert!(page.contains(&format!("\"{action}\" =>")), "{path}: {action} has no words");
                actions += 1;
            }
        }
    }
    assert!(actions > 8, "{actions} actions");
}

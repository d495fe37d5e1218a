//! Every form of the pages, filled in wrongly: what is wrong is said at its field, in the reader's language, what was typed is
//! still there, nothing is changed and nothing told of the inside.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{By, Client, Reply, escape};
use crate::roles::{browser, cookies, field};
use crate::routes::{self, attribute, tags};
use crate::server::{ADMIN, PASSWORD, SMALL, Server, new_data, until};
use crate::walk::setup_address;

/// Markup, quotes and emoji, which are text like any other.
const ODD: &str = "<b>\"Ibu\" & 'anak'</b> {{ 7*7 }} 🤱🏽";
/// An id that nothing has.
const NONE: &str = "00000000000000000000";

/// Indonesian and English.
type Words = (&'static str, &'static str);

const REQUIRED: Words = ("Isian ini perlu diisi.", "Please fill this in.");
const CHOOSE: Words = ("Pilih salah satu.", "Choose one of these.");
const UNREADABLE: Words = ("Isian ini tidak terbaca.", "This cannot be read.");
const TOO_OLD: Words = ("Halaman ini terlalu lama terbuka.", "This page was open for too long.");
const NO_PAGE: Words = ("Halaman tidak ada", "There is no such page");
const NO_UPLOAD: Words = ("Pengiriman ini sudah tidak ada di kotak siaran.", "This upload is not on the box any more.");
const NO_MATCH: Words = ("Nama pengguna atau kata sandi tidak cocok.", "The username and password do not match.");
const NAME_LENGTH: Words = ("Gunakan 3 sampai 64 karakter.", "Use 3 to 64 characters.");
const NAME_LETTERS: Words =
    ("Gunakan huruf, angka, titik, dan tanda hubung saja.", "Use only letters, digits, dots, hyphens and underscores.");
const NAME_TAKEN: Words = ("Nama ini sudah dipakai.", "This name is taken.");
const SHORT: Words = ("Sedikitnya 10 karakter.", "At least 10 characters.");
const LONG: Words = ("Kata sandi ini terlalu panjang.", "This password is too long.");
const LABEL_LENGTH: Words = ("Nama terdiri atas 1 sampai 80 karakter.", "A label has 1 to 80 characters.");
const LABEL_TEXT: Words = ("Nama hanya boleh satu baris teks biasa.", "A label is one line of plain text.");
const TITLE_LENGTH: Words = ("Judul terdiri atas 1 sampai 200 karakter.", "A title has 1 to 200 characters.");
const TITLE_TEXT: Words = ("Judul hanya boleh satu baris teks biasa.", "A title is one line of plain text.");
const ABOUT_LENGTH: Words = ("Keterangan paling banyak 5000 karakter.", "A description has at most 5000 characters.");
const ABOUT_TEXT: Words = ("Keterangan hanya boleh berisi teks biasa.", "A description is plain text.");
const TOPIC: Words = ("Satu topik paling banyak 40 karakter.", "A topic has at most 40 characters.");
const TOPICS: Words = ("Paling banyak 10 topik.", "At most 10 topics.");
const DAYS: Words = ("Isi 1 sampai 36500 hari.", "Enter 1 to 36500 days.");
const QUOTA: Words = ("Isi 1 sampai 1000000 GB.", "Enter 1 to 1000000 GB.");
const NO_SOURCE: Words = ("Sumber ini tidak ada.", "This source is not there.");
const PIN: Words = ("PIN ini tidak cocok.", "This PIN does not match.");
const NO_TIMES: Words = ("Baris 1: Waktunya tidak ada.", "Line 1: The times are missing.");
const NO_CAPTION: Words = ("Tidak ada teks di dalamnya.", "There is no caption in it.");
const NOT_UTF8: Words = ("Tulisan ini bukan UTF-8.", "This is not UTF-8.");
const NO_PIECE: Words = ("Sisakan sedikitnya satu bagian.", "Keep at least one piece.");
const TWO_TIMES: Words = ("Baris 1: Tulis dua waktu", "Line 1: Write two times");
const PIECE_ORDER: Words = ("Baris 2: Akhir sebuah bagian", "Line 2: A piece ends");
const PIECE_BEYOND: Words = ("Baris 1: Rekaman sudah berakhir", "Line 1: The recording ends");
const CHAPTER: Words = ("Baris 1: Tulis waktu lalu judul", "Line 1: Write a time, then a title");
const CHAPTER_TITLE: Words = ("Baris 1: Judul bab terdiri", "Line 1: A chapter's title has");
const CHAPTER_TWICE: Words = ("Baris 2: Sudah ada bab", "Line 2: There is another chapter");
const CHAPTER_BEYOND: Words =
    ("Baris 1: Rekaman sudah berakhir sebelum bab", "Line 1: The recording ends before this chapter");
const MOMENT: Words = ("Tulis waktu dalam rekaman", "Write a time of the recording");
const LANGUAGE: Words = ("Pilih bahasanya.", "Choose the language.");
const EMPTY_FILE: Words = ("Berkas ini kosong.", "This file is empty.");
const SETUP_OVER: Words = ("Alamat ini sudah dipakai atau tidak berlaku lagi.", "This address has been used");
const DIFFER: Words = ("Kedua kata sandi tidak sama.", "The two passwords differ.");
const LANGUAGES: Words = ("Bahasa: Halaman tersedia dalam bahasa Indonesia", "Language: There are pages in Indonesian");
const PIN_IT: Words = ("Sematkan: Pilih salah satu.", "Pin: Choose one of these.");

/// What becomes of what else was filled in.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It comes back as it was typed.
    Text,
    /// One of some options comes back.
    Choice,
    /// It never comes back.
    Secret,
    /// Nobody fills it in.
    Hidden,
    /// A button of its own.
    Button,
}
use Kind::{Button, Choice, Hidden, Secret, Text};

/// Where it is said what is wrong.
#[derive(Clone, Copy)]
enum Told {
    /// The form comes back, and the field is described by it.
    At(&'static str),
    /// The form comes back, and says it of the whole.
    InForm,
    /// On a page of its own.
    OnPage,
}
use Told::{At, InForm, OnPage};

/// One wrong way to fill in a field.
struct Fault {
    /// None: left out.
    sent: Option<Vec<u8>>,
    /// What the other fields hold for this.
    with: Vec<(&'static str, &'static str)>,
    status: u16,
    words: Words,
    told: Told,
}

impl Fault {
    fn with(mut self, field: &'static str, value: &'static str) -> Fault {
        self.with.push((field, value));
        self
    }
}

fn sent(sent: impl Into<Vec<u8>>, status: u16, words: Words, told: Told) -> Fault {
    Fault { sent: Some(sent.into()), with: Vec::new(), status, words, told }
}

fn missing(status: u16, words: Words, told: Told) -> Fault {
    Fault { sent: None, with: Vec::new(), status, words, told }
}

fn long() -> String {
    "x".repeat(10_000)
}

/// What no option takes.
fn no_choice(field: &'static str) -> Vec<Fault> {
    let wrong = ["".into(), "xx".into(), "<b>".into(), "🤱".into(), "1.5".into(), long()];
    let wrong = wrong.map(|value| sent(value, 400, CHOOSE, At(field)));
    wrong.into_iter().chain([missing(400, CHOOSE, At(field))]).collect()
}

/// What no box that may be ticked sends.
fn no_tick(field: &'static str) -> Vec<Fault> {
    ["0".into(), "on".into(), "<b>".into(), long()].map(|value| sent(value, 400, CHOOSE, At(field))).into()
}

struct Input {
    name: &'static str,
    kind: Kind,
    /// What it takes.
    good: String,
    faults: Vec<Fault>,
}

fn input(name: &'static str, kind: Kind, good: &str, faults: Vec<Fault>) -> Input {
    Input { name, kind, good: good.to_owned(), faults }
}

/// One form as the templates have it.
struct Form {
    method: &'static str,
    /// With `{}` for what differs from page to page.
    action: &'static str,
    /// What fills each `{}`.
    ids: Vec<String>,
    inputs: Vec<Input>,
    multipart: bool,
    /// What is open to everybody and bound to no session takes no token.
    token: bool,
    /// What is said where it is about nothing.
    gone: Words,
}

fn form(action: &'static str, ids: &[&str], inputs: Vec<Input>) -> Form {
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    Form { method: "post", action, ids, inputs, multipart: false, token: true, gone: NO_PAGE }
}

/// A form that is a button and nothing else.
fn button(action: &'static str, ids: &[&str]) -> Form {
    form(action, ids, vec![])
}

impl Form {
    fn path(&self) -> String {
        self.path_of(&self.ids)
    }

    fn path_of(&self, ids: &[String]) -> String {
        let mut pieces = self.action.split("{}");
        let mut path = pieces.next().expect("a beginning").to_owned();
        for (id, piece) in ids.iter().zip(pieces) {
            path += id;
            path += piece;
        }
        path
    }

    /// All its fields with what they take, but for those of `changed`; what has no value is left out.
    fn filled(&self, changed: &[(&str, Option<&[u8]>)]) -> Vec<(String, Vec<u8>)> {
        let mut fields = Vec::new();
        for input in self.inputs.iter().filter(|input| input.kind != Button) {
            let change = changed.iter().find(|(name, _)| *name == input.name);
            match change {
                Some((_, Some(value))) => fields.push((input.name.to_owned(), value.to_vec())),
                Some((_, None)) => {}
                None => fields.push((input.name.to_owned(), input.good.clone().into_bytes())),
            }
        }
        for (name, value) in changed {
            if let (true, Some(value)) = (fields.iter().all(|(known, _)| known != name), value) {
                fields.push(((*name).to_owned(), value.to_vec()));
            }
        }
        fields
    }
}

/// Who fills it in: a browser with its cookie, and the token that its pages carry.
struct Person<'a> {
    server: &'a Server,
    client: Client,
    csrf: String,
}

impl Person<'_> {
    fn send(&self, form: &Form, path: &str, fields: &[(String, Vec<u8>)], english: bool) -> Reply {
        let language = if english { "en" } else { "id" };
        let headers = [("accept", "text/html"), ("accept-language", language), ("origin", self.server.http.as_str())];
        if form.multipart {
            let mut body = Vec::new();
            for (name, value) in fields {
                let file = if name == "file" { "; filename=\"<b>.srt\"" } else { "" };
                body.extend(format!("--xBx\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
                body.extend(value);
                body.extend(b"\r\n");
            }
            body.extend(b"--xBx--\r\n");
            let headers = [&headers[..], &[("content-type", "multipart/form-data; boundary=xBx")]].concat();
            return self.client.send("POST", path, &headers, Some(body));
        }
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
        if form.method == "get" {
            let pairs: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}={}", escape(&text(value)))).collect();
            return self.client.get_with(&format!("{path}?{}", pairs.join("&")), &headers);
        }
        let fields: Vec<(&str, String)> = fields.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.client.form(path, &headers, &fields)
    }

    /// With the token.
    fn try_form(&self, form: &Form, changed: &[(&str, Option<&[u8]>)], english: bool) -> Reply {
        self.send(form, &form.path(), &self.with_token(form, form.filled(changed)), english)
    }

    /// The token comes before a file.
    fn with_token(&self, form: &Form, fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
        let token = form.token.then(|| ("csrf".to_owned(), self.csrf.clone().into_bytes()));
        token.into_iter().chain(fields).collect()
    }

    /// Each fault of each field, and each way to be somebody else's.
    fn check(&self, form: &Form) {
        for input in &form.inputs {
            for fault in &input.faults {
                for english in [false, true] {
                    let with = fault.with.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
                    let changed: Vec<_> = [(input.name, fault.sent.as_deref())].into_iter().chain(with).collect();
                    let reply = self.try_form(form, &changed, english);
                    let shown = fault.sent.as_deref().map(String::from_utf8_lossy);
                    let what = format!("{} {}={:.40?}", form.action, input.name, shown);
                    self.check_refusal(form, fault, &changed, &reply, english, &what);
                }
            }
            if input.kind == Text && !form.multipart && form.method == "post" {
                let twice = [form.filled(&[]), vec![(input.name.to_owned(), b"x".to_vec())]].concat();
                let reply = self.send(form, &form.path(), &self.with_token(form, twice), true);
                let what = format!("{} {} twice", form.action, input.name);
                assert_eq!(reply.status, 400, "{what}");
                assert!(page_text(&reply, &what).contains(UNREADABLE.1), "{what}: {}", reply.text());
            }
        }
        if form.token {
            for token in [None, Some(""), Some("x"), Some(NONE)] {
                for english in [false, true] {
                    let token = token.map(|token| ("csrf".to_owned(), token.as_bytes().to_vec()));
                    let fields: Vec<_> = token.into_iter().chain(form.filled(&[])).collect();
                    let reply = self.send(form, &form.path(), &fields, english);
                    let what = format!("{} without its token", form.action);
                    assert_eq!(reply.status, 403, "{what}: {}", reply.text());
                    assert!(page_text(&reply, &what).contains(said(TOO_OLD, english)), "{what}: {}", reply.text());
                }
            }
        }
        for (place, _) in form.ids.iter().enumerate() {
            for none in [NONE, "x", "%00", "%F0%9F%A4%B1", "%3Cb%3E", &long()] {
                let mut ids = form.ids.clone();
                ids[place] = none.to_owned();
                for english in [false, true] {
                    let fields = self.with_token(form, form.filled(&[]));
                    let reply = self.send(form, &form.path_of(&ids), &fields, english);
                    let what = format!("{} of {none:.20}", form.action);
                    assert_eq!(reply.status, 404, "{what}: {}", reply.text());
                    assert!(page_text(&reply, &what).contains(said(form.gone, english)), "{what}: {}", reply.text());
                }
            }
        }
    }

    fn check_refusal(
        &self,
        form: &Form,
        fault: &Fault,
        changed: &[(&str, Option<&[u8]>)],
        reply: &Reply,
        english: bool,
        what: &str,
    ) {
        assert_eq!(reply.status, fault.status, "{what}: {}", reply.text());
        let words = said(fault.words, english);
        let text = page_text(reply, what);
        assert!(text.contains(words), "{what}: {words:?} is not said: {text}");
        let page = reply.text();
        let shown = match fault.told {
            OnPage => return,
            InForm => Shown::of(&page, form.method, &form.path(), what),
            At(name) => {
                let shown = Shown::of(&page, form.method, &form.path(), what);
                let described = shown.description(&page, name);
                assert!(described.contains(words), "{what}: {name} is described by {described:?}, not {words:?}");
                shown
            }
        };
        // What was typed is there again.
        for other in &form.inputs {
            let value = changed
                .iter()
                .find(|(name, _)| *name == other.name)
                .map_or(Some(other.good.as_bytes()), |(_, value)| *value);
            let value = String::from_utf8_lossy(value.unwrap_or_default()).replace("\r\n", "\n");
            match other.kind {
                Text => assert_eq!(shown.value(other.name), value, "{what}: {}", other.name),
                // What is no option cannot be chosen again.
                Choice if !matches!(fault.told, At(name) if name == other.name) => {
                    assert_eq!(shown.value(other.name), value, "{what}: {}", other.name);
                }
                Secret => assert_eq!(shown.value(other.name), "", "{what}: a secret comes back"),
                _ => {}
            }
        }
    }
}

fn said(words: Words, english: bool) -> &'static str {
    if english { words.1 } else { words.0 }
}

/// What a page says, which must be one, harmless, and tell nothing of the inside.
fn page_text(reply: &Reply, what: &str) -> String {
    assert!(reply.header("content-type").starts_with("text/html"), "{what}: {}", reply.text());
    routes::runs_nothing_inline(what, reply);
    let page = reply.text();
    for leak in ["panicked", "missing field", "unknown variant", "invalid type", "siaran.db", "SQL", ".rs:", "<b>"] {
        assert!(!page.contains(leak), "{what} tells {leak}: {page}");
    }
    let main =
        page.split("<main").nth(1).and_then(|rest| rest.split("</main>").next()).expect("a page has a main part");
    words_of(&format!("<main{main}"))
}

/// Text between tags.
fn words_of(html: &str) -> String {
    let mut text = html.to_owned();
    for (tag, _) in tags(html) {
        text = text.replacen(tag, " ", 1);
    }
    unescape(&text)
}

fn unescape(text: &str) -> String {
    let entities = [
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
    ];
    let text = entities.iter().fold(text.to_owned(), |text, (entity, letter)| text.replace(entity, letter));
    text.replace("&#38;", "&").replace("&amp;", "&")
}

/// A form on a page.
struct Shown {
    html: String,
}

impl Shown {
    fn of(page: &str, method: &str, action: &str, what: &str) -> Shown {
        let begins = |form: &&str| {
            let tag = form.split('>').next().expect("a tag");
            attribute(tag, "action").as_deref() == Some(action)
                && (method == "get" || attribute(tag, "method").as_deref() == Some(method))
        };
        let found = page.split("<form").skip(1).find(begins);
        let html = found.unwrap_or_else(|| panic!("{what}: {action} is not on the page: {page}"));
        Shown { html: format!("<form{}", html.split("</form>").next().expect("a form")) }
    }

    /// What a field holds; empty for none.
    fn value(&self, name: &str) -> String {
        let mut chosen = None;
        let mut select = false;
        for (tag, bare) in tags(&self.html) {
            let word = |word: &str| bare.trim_end_matches('>').split_whitespace().any(|other| other == word);
            let is_named = attribute(tag, "name").as_deref() == Some(name);
            let value = || unescape(&attribute(tag, "value").unwrap_or_default());
            match bare[1..].split([' ', '>']).next().expect("a name") {
                "input" if is_named => match attribute(tag, "type").as_deref() {
                    Some("radio" | "checkbox") if word("checked") => chosen = Some(value()),
                    Some("radio" | "checkbox") => {}
                    _ => return value(),
                },
                "textarea" if is_named => {
                    let text = self.html.split(tag).nth(1).expect("it begins");
                    let text = text.split("</textarea>").next().expect("it ends");
                    // HTML drops a line's end right behind the tag.
                    return unescape(text.strip_prefix('\n').unwrap_or(text));
                }
                "select" => select = is_named,
                "option" if select && word("selected") => chosen = Some(value()),
                _ => {}
            }
        }
        chosen.unwrap_or_default()
    }

    /// What a reader of the screen is told of a field: the texts of `aria-describedby`, of its own or its fieldset's.
    fn description(&self, page: &str, name: &str) -> String {
        let mut group = String::new();
        let mut ids = String::new();
        for (tag, bare) in tags(&self.html) {
            let described = attribute(tag, "aria-describedby").unwrap_or_default();
            if bare.starts_with("<fieldset") {
                group = described;
            } else if bare.starts_with("</fieldset") {
                group.clear();
            } else if attribute(tag, "name").as_deref() == Some(name) {
                ids = format!("{described} {group}");
                break;
            }
        }
        let texts = ids.split_whitespace().map(|id| {
            let marked = format!(" id=\"{id}\"");
            let rest =
                page.split(&marked).nth(1).unwrap_or_else(|| panic!("{name} is described by {id}, which is not there"));
            words_of(rest.split_once('>').expect("a tag").1.split("</p>").next().expect("it ends"))
        });
        texts.collect()
    }
}

/// Method and action of every form in the templates, with the names of its fields.
fn of_templates() -> BTreeMap<(String, String), BTreeSet<String>> {
    fn read(folder: &Path, found: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the templates are there") {
            let path = entry.expect("it is readable").path();
            if path.is_dir() { read(&path, found) } else { *found += &std::fs::read_to_string(&path).expect("UTF-8") }
        }
    }
    /// With `{}` for what the template fills in, and without its conditions.
    fn plain(template: &str) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            text += before;
            let end = match after.as_bytes().first() {
                Some(b'{') => {
                    text += "{}";
                    "}}"
                }
                Some(b'%') => "%}",
                Some(b'#') => "#}",
                _ => "",
            };
            rest = after.split_once(end).expect("it ends").1;
        }
        text + rest
    }
    let mut all = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut all);
    let all = plain(&all);
    let mut found = BTreeMap::new();
    for form in all.split("<form").skip(1) {
        let form = form.split("</form>").next().expect("a form");
        let tag = form.split('>').next().expect("a tag");
        let (method, action) = (attribute(tag, "method").expect("a method"), attribute(tag, "action"));
        // Nothing is sent of a dialogue's.
        let Some(action) = action.filter(|_| method != "dialog") else { continue };
        let inside = tags(form.split_once('>').expect("a tag").1);
        let names = inside.iter().filter_map(|(tag, _)| attribute(tag, "name")).filter(|name| name != "csrf");
        found.entry((method, action)).or_insert_with(BTreeSet::new).extend(names.collect::<BTreeSet<_>>());
    }
    assert!(found.len() > 25, "{} forms", found.len());
    found
}

fn covers_the_templates<'a>(forms: impl IntoIterator<Item = &'a Form>) {
    let mut tried: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for form in forms {
        let names = form.inputs.iter().map(|input| input.name.to_owned());
        tried.entry((form.method.to_owned(), form.action.to_owned())).or_default().extend(names);
    }
    let found = of_templates();
    for (form, names) in &found {
        assert_eq!(tried.get(form), Some(names), "the fields of {form:?}");
    }
    for form in tried.keys() {
        assert!(found.contains_key(form), "{form:?} is in no template");
    }
}

fn signing_in() -> Form {
    let name = vec![
        missing(400, REQUIRED, At("username")),
        sent("", 400, REQUIRED, At("username")),
        sent(long(), 401, NO_MATCH, At("username")),
        sent(ODD, 401, NO_MATCH, At("username")),
        sent("a\u{0}\u{1b}[2J", 401, NO_MATCH, At("username")),
    ];
    let password = vec![
        missing(400, REQUIRED, At("password")),
        sent("", 400, REQUIRED, At("password")),
        sent(long(), 401, NO_MATCH, At("password")),
    ];
    let next = vec![sent(long(), 401, NO_MATCH, At("username")), missing(401, NO_MATCH, At("username"))];
    let inputs = vec![
        input("next", Hidden, "/", next),
        input("username", Text, "siapa", name),
        input("password", Secret, "another quiet room", password),
    ];
    form("/login", &[], inputs)
}

fn setting_up(token: &str) -> Form {
    let token_faults = vec![
        missing(400, SETUP_OVER, InForm),
        sent("x", 400, SETUP_OVER, InForm),
        sent(ODD, 400, SETUP_OVER, InForm),
        sent(long(), 400, SETUP_OVER, InForm),
    ];
    let again = vec![
        missing(400, DIFFER, At("password_again")),
        sent("another quiet room", 400, DIFFER, At("password_again")),
        sent(long(), 400, DIFFER, At("password_again")),
    ];
    let password = [
        missing(400, SHORT, At("password")).with("password_again", ""),
        sent("short", 400, SHORT, At("password")).with("password_again", "short"),
    ];
    let inputs = vec![
        input("token", Hidden, token, token_faults),
        input("username", Text, ADMIN, names()),
        input("password", Secret, PASSWORD, password.into()),
        input("password_again", Secret, PASSWORD, again),
    ];
    form("/setup", &[], inputs)
}

/// What no account is called.
fn names() -> Vec<Fault> {
    vec![
        missing(400, NAME_LENGTH, At("username")),
        sent("", 400, NAME_LENGTH, At("username")),
        sent("ab", 400, NAME_LENGTH, At("username")),
        sent(long(), 400, NAME_LENGTH, At("username")),
        sent(ODD, 400, NAME_LETTERS, At("username")),
        sent("wati\u{0}", 400, NAME_LETTERS, At("username")),
    ]
}

fn passwords() -> Vec<Fault> {
    vec![
        missing(400, SHORT, At("password")),
        sent("short", 400, SHORT, At("password")),
        sent(long(), 400, LONG, At("password")),
    ]
}

/// Title and description, wherever they are typed.
fn texts() -> Vec<Input> {
    let title = vec![
        missing(400, TITLE_LENGTH, At("title")),
        sent(" ", 400, TITLE_LENGTH, At("title")),
        sent(long(), 400, TITLE_LENGTH, At("title")),
        sent("a\u{1b}[2J", 400, TITLE_TEXT, At("title")),
    ];
    let about = vec![
        sent(long(), 400, ABOUT_LENGTH, At("description")),
        // The longest there are at the most bytes that they can have.
        sent("🤱".repeat(5_001), 400, ABOUT_LENGTH, At("description")),
        sent("a\u{7}", 400, ABOUT_TEXT, At("description")),
    ];
    vec![input("title", Text, ODD, title), input("description", Text, ODD, about)]
}

/// What the forms of those who are signed in are about.
struct Things {
    account: String,
    recording: String,
    trashed: String,
    on_air: String,
    key: String,
    upload: String,
    import: String,
    with_pin: String,
}

impl Things {
    fn make(server: &Server) -> Things {
        let record = |title: &str| {
            let id = server.go_live(title);
            server.end(&id);
            id
        };
        let (recording, trashed, with_pin) = (record("Tetap"), record("Dibuang"), record("Ber-PIN"));
        let cues = json!({"cues": [{"start_s": 0, "end_s": 1, "text": "Halo"}]});
        assert_eq!(server.call("PUT", &format!("/broadcasts/{recording}/captions/id"), Some(cues)).0, 200);
        assert_eq!(server.call("DELETE", &format!("/broadcasts/{trashed}"), None).0, 204);
        let change = json!({"audience": "pin", "pin": "271828"});
        assert_eq!(server.call("PATCH", &format!("/broadcasts/{with_pin}"), Some(change)).0, 200);
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let made = server.admin.send(
            "POST",
            "/api/v1/uploads",
            &[("tus-resumable", "1.0.0"), ("upload-length", "9"), ("upload-metadata", "filename YS5tcDQ=")],
            None,
        );
        assert_eq!(made.status, 201, "{}", made.text());
        let upload = made.header("location").rsplit('/').next().expect("an id").to_owned();
        std::fs::write(server.data.path().join("import/jadwal.pdf"), "no video").expect("room");
        let import = until("the import to be refused", || {
            let items = server.get("/imports")["items"].clone();
            (items[0]["state"] == "refused").then(|| text(&items[0]["id"]))
        });
        Things {
            account: server.account("wati", "viewer").0,
            key: text(&server.post("/stream-keys", json!({"label": "Aula"}))["id"]),
            // What the forms end and go live with.
            on_air: server.go_live("Mengudara"),
            recording,
            trashed,
            upload,
            import,
            with_pin,
        }
    }

    fn forms(&self) -> Vec<Form> {
        let audience = || input("audience", Choice, "staff", no_choice("audience"));
        let tags = vec![
            sent("x".repeat(41), 400, TOPIC, At("tags")),
            sent(long(), 400, TOPIC, At("tags")),
            sent("a\u{0}", 400, TOPIC, At("tags")),
            sent("1,2,3,4,5,6,7,8,9,10,11", 400, TOPICS, At("tags")),
        ];
        let edit = texts().into_iter().chain([
            input("tags", Text, "Gizi, 🤱 <i>", tags),
            audience(),
            input("hidden", Choice, "1", no_tick("hidden")),
            input("pinned", Choice, "1", no_tick("pinned")),
        ]);
        let language =
            ["".into(), "!!".into(), "<b>".into(), long()].map(|bad| sent(bad, 400, LANGUAGE, At("language")));
        let text = vec![
            missing(400, NO_CAPTION, At("text")),
            sent("", 400, NO_CAPTION, At("text")),
            sent(ODD, 400, NO_TIMES, At("text")),
            sent(long(), 400, NO_TIMES, At("text")),
            sent("WEBVTT\n\n", 400, NO_CAPTION, At("text")),
            sent(format!("WEBVTT\n\n00:01.000 --> x\n{ODD}"), 400, ("Baris 3:", "Line 3:"), At("text")),
        ];
        let cues = format!("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{ODD}\n");
        let file = vec![sent(b"\xff\xfe".to_vec(), 400, NOT_UTF8, OnPage), sent(ODD, 400, NO_TIMES, OnPage)];
        let captions = vec![
            input(
                "language",
                Choice,
                "en",
                language.into_iter().chain([missing(400, LANGUAGE, At("language"))]).collect(),
            ),
            input("file", Hidden, "", file),
            input("text", Text, &cues, text),
        ];
        let kept = vec![
            missing(400, NO_PIECE, At("kept")),
            sent(" \r\n", 400, NO_PIECE, At("kept")),
            sent(ODD, 400, TWO_TIMES, At("kept")),
            sent(long(), 400, TWO_TIMES, At("kept")),
            sent("NaN - 1", 400, TWO_TIMES, At("kept")),
            sent("0 - 0.2\r\n0.1 - 0.3", 400, PIECE_ORDER, At("kept")),
            sent("0 - 99:00", 400, PIECE_BEYOND, At("kept")),
        ];
        let chapters = vec![
            sent(ODD, 400, CHAPTER, At("chapters")),
            sent(long(), 400, CHAPTER, At("chapters")),
            sent("0:00", 400, CHAPTER_TITLE, At("chapters")),
            sent(format!("0:00 {}", "x".repeat(201)), 400, CHAPTER_TITLE, At("chapters")),
            sent("0 a\r\n0:00 b", 400, CHAPTER_TWICE, At("chapters")),
            sent("99:00 a", 400, CHAPTER_BEYOND, At("chapters")),
        ];
        let cut = vec![input("kept", Text, "0 - 0.1", kept), input("chapters", Text, &format!("0:00 {ODD}"), chapters)];
        let moment = ["", "x", "-1", "1e3", "99:00", ODD].map(|bad| sent(bad, 400, MOMENT, At("at")));
        let moment = moment.into_iter().chain([missing(400, MOMENT, At("at")), sent(long(), 400, MOMENT, At("at"))]);
        let days = ["", "abc", "-1", "0", "1.5", "36501", "<b>", "٣"];
        let mut days: Vec<Fault> = days.map(|bad| sent(bad, 400, DAYS, At("days"))).into();
        days.extend([missing(400, DAYS, At("days")), sent(long(), 400, DAYS, At("days"))]);
        let quota = ["", "abc", "-1", "0", "1000001", ODD]
            .map(|bad| sent(bad, 400, QUOTA, At("quota_gb")).with("rule", "quota"));
        let retention = vec![
            input("rule", Choice, "days", no_choice("rule")),
            input("days", Text, "30", days),
            input("quota_gb", Text, "", quota.into()),
        ];
        let mut taken = names();
        taken.push(sent("MIDWIFE", 409, NAME_TAKEN, At("username")));
        let account = vec![
            input("username", Text, "bidan.sari", taken),
            input("password", Secret, PASSWORD, passwords()),
            input("role", Choice, "viewer", no_choice("role")),
        ];
        let label = vec![
            missing(400, LABEL_LENGTH, At("label")),
            sent("", 400, LABEL_LENGTH, At("label")),
            sent("x".repeat(81), 400, LABEL_LENGTH, At("label")),
            sent(long(), 400, LABEL_LENGTH, At("label")),
            sent("a\nb", 400, LABEL_TEXT, At("label")),
        ];
        let key =
            vec![input("label", Text, ODD, label), input("auto_live", Choice, "0", no_choice("auto_live")), audience()];
        let source = ["", "cam-none", "rtmp-none", "<b>", "../x"].map(|bad| sent(bad, 404, NO_SOURCE, At("source")));
        // An older page's form has none.
        let content = no_choice("content").into_iter().filter(|fault| fault.sent.is_some()).collect();
        let go = texts().into_iter().chain([
            input(
                "source",
                Choice,
                "test",
                source
                    .into_iter()
                    .chain([missing(404, NO_SOURCE, At("source")), sent(long(), 404, NO_SOURCE, At("source"))])
                    .collect(),
            ),
            input("microphone", Hidden, "none", vec![]),
            input("content", Choice, "slides", content),
            audience(),
            input(
                "record",
                Button,
                "",
                vec![sent("xx", 400, CHOOSE, InForm), sent("", 400, CHOOSE, InForm), sent(long(), 400, CHOOSE, InForm)],
            ),
            // The trash stays as it is where nothing can begin.
            input(
                "free_trash",
                Button,
                "",
                vec![
                    sent("yes", 400, CHOOSE, InForm),
                    sent("1", 404, NO_SOURCE, At("source")).with("source", "cam-none"),
                    sent("1", 400, TITLE_LENGTH, At("title")).with("title", ""),
                ],
            ),
        ]);
        let pinned = ["", "xx", "on", "<b>"].map(|bad| sent(bad, 400, PIN_IT, OnPage));
        let pinned = pinned.into_iter().chain([missing(400, PIN_IT, OnPage), sent(long(), 400, PIN_IT, OnPage)]);
        let lang = ["", "xx", "<b>"].map(|bad| sent(bad, 400, LANGUAGES, OnPage));
        let lang = lang.into_iter().chain([missing(400, LANGUAGES, OnPage), sent(long(), 400, LANGUAGES, OnPage)]);
        let file = vec![missing(400, EMPTY_FILE, At("file")), sent("", 400, EMPTY_FILE, At("file"))];
        let (recording, account_id) = (self.recording.as_str(), self.account.as_str());
        vec![
            form("/admin/recordings/{}", &[recording], edit.collect()),
            button("/admin/recordings/{}/trash", &[recording]),
            button("/admin/recordings/{}/ladder/cancel", &[recording]),
            button("/admin/recordings/{}/ladder/retry", &[recording]),
            Form { multipart: true, ..form("/admin/recordings/{}/captions", &[recording], captions) },
            button("/admin/recordings/{}/captions/{}/delete", &[recording, "id"]),
            form("/admin/recordings/{}/edit", &[recording], cut),
            form("/admin/recordings/{}/edit/picture", &[recording], vec![input("at", Text, "0:00", moment.collect())]),
            button("/admin/recordings/{}/edit/whole", &[recording]),
            button("/admin/trash/empty", &[]),
            button("/admin/trash/{}/restore", &[&self.trashed]),
            button("/admin/trash/{}/delete", &[&self.trashed]),
            form("/admin/retention", &[], retention),
            form("/admin/accounts", &[], account),
            form("/admin/accounts/{}/role", &[account_id], vec![input("role", Choice, "admin", no_choice("role"))]),
            form("/admin/accounts/{}/password", &[account_id], vec![input("password", Secret, PASSWORD, passwords())]),
            button("/admin/accounts/{}/enable", &[account_id]),
            button("/admin/accounts/{}/disable", &[account_id]),
            button("/admin/accounts/{}/delete", &[account_id]),
            button("/admin/imports/{}/cancel", &[&self.import]),
            button("/admin/imports/{}/retry", &[&self.import]),
            form("/studio/keys", &[], key),
            button("/studio/keys/{}/revoke", &[&self.key]),
            form("/studio/broadcasts", &[], go.collect()),
            button("/studio/broadcasts/{}/end", &[&self.on_air]),
            Form { multipart: true, ..form("/studio/upload", &[], vec![input("file", Hidden, "", file)]) },
            Form { gone: NO_UPLOAD, ..button("/studio/upload/{}/delete", &[&self.upload]) },
            form("/watch/{}/keep", &[recording], vec![input("pinned", Hidden, "1", pinned.collect())]),
            button("/logout", &[]),
            Form {
                token: false,
                ..form(
                    "/language",
                    &[],
                    vec![input("lang", Hidden, "id", lang.collect()), input("back", Hidden, "/", vec![])],
                )
            },
        ]
    }

    /// Those of strangers.
    fn open_forms(&self) -> Vec<Form> {
        let wrong = ["", "12345", "1234567", "abcdef", ODD].map(|bad| sent(bad, 403, PIN, At("pin")));
        let pin = wrong.into_iter().chain([missing(403, PIN, At("pin")), sent(long(), 403, PIN, At("pin"))]);
        let pin = form("/watch/{}/pin", &[&self.with_pin], vec![input("pin", Secret, "000000", pin.collect())]);
        vec![Form { token: false, ..pin }, searching("/"), searching("/admin/recordings")]
    }
}

/// A search changes nothing; whatever is looked for is there again, and not found.
fn searching(action: &'static str) -> Form {
    let none = ("Tidak ada rekaman", "No recordings");
    let odd = [ODD, "\u{0}", "\" OR 1=1 --", "NEAR(a b)", "🤱"].map(|q| sent(q, 200, none, InForm));
    let inputs = vec![input("q", Text, "demam", odd.into_iter().chain([sent(long(), 200, none, InForm)]).collect())];
    let topic = input("topic", Hidden, "", vec![sent(ODD, 200, none, InForm), sent(long(), 200, none, InForm)]);
    let inputs = inputs.into_iter().chain((action == "/").then_some(topic)).collect();
    Form { method: "get", token: false, ..form(action, &[], inputs) }
}

/// Everything that a form could change, as the database has it.
fn stored(server: &Server) -> Vec<String> {
    let database = rusqlite::Connection::open(server.data.path().join("siaran.db")).expect("a database");
    database.busy_timeout(crate::server::AGES).expect("a wait");
    let mut rows = Vec::new();
    for of in [
        "* FROM accounts",
        "* FROM stream_keys",
        "id, title, description, tags, audience, pin, state, hidden, pinned, trashed_at FROM broadcasts",
        "* FROM captions",
        "* FROM cues",
        "* FROM kept",
        "* FROM kept_parts",
        "* FROM chapters",
        "* FROM settings",
        "* FROM imports",
        "* FROM ladders",
        "* FROM audit",
    ] {
        let mut query = database.prepare(&format!("SELECT {of}")).expect("a query");
        let columns = query.column_count();
        let mut found = query.query([]).expect("rows");
        while let Some(row) = found.next().expect("a row") {
            let values: Vec<String> = (0..columns).map(|n| format!("{:?}", row.get_ref(n).expect("a value"))).collect();
            rows.push(format!("{of}: {}", values.join(", ")));
        }
    }
    let uploads = std::fs::read_dir(server.data.path().join("uploads")).expect("a folder");
    let mut uploads: Vec<String> = uploads.map(|file| format!("{:?}", file.expect("a file").file_name())).collect();
    uploads.sort();
    rows.extend(uploads);
    rows
}

#[test]
fn the_switch_of_languages_is_remembered_and_leads_back() {
    let server = Server::start(SMALL);
    let ask = |cookie: &str| {
        let reader = server.stranger().by(By::Cookie(cookie.to_owned()));
        reader.get_with("/?q=x", &[("accept", "text/html"), ("accept-language", "en")]).text()
    };
    let says = |page: &str, language: &str| assert!(page.contains(&format!("<html lang=\"{language}\">")), "{page}");
    says(&ask("x=y"), "en");
    for (language, words) in [("id", "Cari rekaman"), ("en", "Search recordings")] {
        let fields = [("lang", language), ("back", "/?q=x")];
        let chosen = server.stranger().form("/language", &[("accept", "text/html")], &fields);
        assert_eq!((chosen.status, chosen.header("location")), (303, "/?q=x"));
        let page = ask(&cookies(&chosen));
        says(&page, language);
        assert!(page.contains(words), "{page}");
    }
    for elsewhere in ["https://evil.example/", "//evil.example", "/\\evil.example", &long(), ODD] {
        let chosen = server.stranger().form("/language", &[], &[("lang", "en"), ("back", elsewhere)]);
        assert_eq!((chosen.status, chosen.header("location")), (303, "/"), "{elsewhere:.40}");
    }
}

#[test]
fn each_field_of_each_form() {
    let server = Server::start(SMALL);
    let things = Things::make(&server);
    let (client, csrf) = browser(&server, ADMIN);
    let admin = Person { server: &server, client, csrf };
    let login = server.stranger().get_with("/login", &[("accept", "text/html")]);
    let newcomer = server.stranger().by(By::Cookie(cookies(&login)));
    let newcomer = Person { server: &server, client: newcomer, csrf: field(&login.text(), "csrf") };

    let fresh = Server::start_bare(&new_data(), SMALL);
    let address = setup_address(&fresh);
    let page = fresh.stranger().get_with(&address, &[("accept", "text/html")]);
    let first = fresh.stranger().by(By::Cookie(cookies(&page)));
    let first = Person { server: &fresh, client: first, csrf: field(&page.text(), "csrf") };

    let (forms, open) = (things.forms(), things.open_forms());
    let (sign_in, setup) = (signing_in(), setting_up(address.trim_start_matches("/setup/")));
    covers_the_templates(forms.iter().chain(&open).chain([&sign_in, &setup]));

    let before = stored(&server);
    for form in forms.iter().chain(&open) {
        admin_or_stranger(&admin, form).check(form);
        assert_eq!(stored(&server), before, "{} changed something", form.action);
    }
    newcomer.check(&sign_in);
    assert_eq!(stored(&server), before, "a try to sign in changed something");
    let before = stored(&fresh);
    first.check(&setup);
    assert_eq!(stored(&fresh), before, "a try to set it up changed something");
    assert_eq!(first.try_form(&setup, &[], false).status, 303, "and it can be set up all the same");

    keeps_what_is_right(&server, &admin, &things, &forms);
}

/// The PIN is asked of strangers alone.
fn admin_or_stranger<'a>(admin: &Person<'a>, form: &Form) -> Person<'a> {
    let client = if form.action.ends_with("/pin") { admin.server.stranger() } else { admin.client.clone() };
    Person { server: admin.server, client, csrf: admin.csrf.clone() }
}

/// Markup and emoji are kept as they were typed.
fn keeps_what_is_right(server: &Server, admin: &Person<'_>, things: &Things, forms: &[Form]) {
    let send = |action: &str| {
        let form = forms.iter().find(|form| form.action == action).expect("it is in the table");
        let reply = admin.try_form(form, &[], true);
        assert!([201, 303].contains(&reply.status), "{action}: {}", reply.text());
        reply
    };
    send("/studio/broadcasts/{}/end");
    send("/admin/recordings/{}");
    let edited = server.broadcast(&things.recording);
    assert_eq!((&edited["title"], &edited["description"]), (&json!(ODD), &json!(ODD)));
    assert_eq!((&edited["tags"], &edited["audience"]), (&json!(["Gizi", "🤱 <i>"]), &json!("staff")));
    assert_eq!((&edited["hidden"], &edited["pinned"]), (&json!(true), &json!(true)));
    assert!(page_text(&send("/studio/keys"), "a key").contains(ODD));
    send("/admin/recordings/{}/captions");
    let track = server.admin.get(&format!("/media/{}/captions/en.vtt", things.recording)).text();
    assert!(unescape(&track).contains("\"Ibu\" & 'anak'") && track.contains("🤱🏽"), "{track}");
    send("/studio/broadcasts");
    let live = server.get("/broadcasts?state=starting")["items"][0].clone();
    let live = if live.is_null() { server.get("/broadcasts?state=live")["items"][0].clone() } else { live };
    assert_eq!((&live["title"], &live["audience"]), (&json!(ODD), &json!("staff")));
    for page in ["/", "/studio", "/admin/recordings", &format!("/admin/recordings/{}", things.recording), "/admin"] {
        let reply = admin.client.get_with(page, &[("accept", "text/html")]);
        page_text(&reply, page);
    }
}

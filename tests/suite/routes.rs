//! Which routes the source declares, and what a page that one of them gives must not contain.

use std::path::{Path, PathBuf};

use crate::client::Reply;

/// Methods as a route declares them.
const METHODS: &[(&str, &[&str])] = &[
    ("web::get()", &["GET"]),
    ("web::post()", &["POST"]),
    ("web::put()", &["PUT"]),
    ("web::patch()", &["PATCH"]),
    ("web::delete()", &["DELETE"]),
    ("get_or_head()", &["GET", "HEAD"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("it is readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Method and pattern of every `resource("…")` in src/web.
pub fn declared() -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web"), &mut files);
    let mut routes = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("UTF-8");
        let text = text.split("#[cfg(test)]").next().expect("a beginning");
        for declaration in text.split("resource(").skip(1).filter(|rest| rest.trim_start().starts_with('"')) {
            let pattern = declaration.split('"').nth(1).expect("a pattern");
            let declaration = declaration.split(';').next().expect("a beginning");
            let methods =
                METHODS.iter().filter(|(call, _)| declaration.contains(call)).flat_map(|(_, methods)| *methods);
            let before = routes.len();
            routes.extend(methods.map(|method| (*method, pattern.to_owned())));
            assert!(routes.len() > before, "{}: the methods of {pattern} cannot be read", file.display());
        }
    }
    assert!(routes.len() > 60, "{} routes", routes.len());
    routes
}

/// Whether a path is one of those that a pattern like `/watch/{id}` stands for.
pub fn matches(pattern: &str, path: &str) -> bool {
    let path = path.split('?').next().expect("a path");
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(a, b)| match a.split_once('{') {
            Some((before, rest)) => b.starts_with(before) && b.ends_with(rest.split_once('}').expect("it ends").1),
            None => *a == b,
        })
}

/// Each tag of a page: as it stands, and without what stands in quotes.
pub fn tags(page: &str) -> Vec<(&str, String)> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(begin) = rest.find('<') {
        let (mut quote, mut bare) = (None, String::new());
        let end = rest[begin..].char_indices().find(|(_, letter)| {
            match quote {
                Some(open) if open == *letter => quote = None,
                None if matches!(letter, '"' | '\'') => quote = Some(*letter),
                None => bare.push(*letter),
                Some(_) => {}
            }
            quote.is_none() && *letter == '>'
        });
        let end = begin + end.expect("a tag ends").0 + 1;
        tags.push((&rest[begin..end], bare));
        rest = &rest[end..];
    }
    tags
}

/// What an attribute of a tag holds, as it stands there.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!(" {name}=\"")).nth(1)?;
    Some(value.split('"').next()?.to_owned())
}

/// A page runs scripts of the box alone, each from an address of its own, and its policy holds it to that.
pub fn runs_nothing_inline(path: &str, reply: &Reply) {
    let policy = reply.header("content-security-policy");
    let sources = |name: &str| {
        let directive = policy.split(';').map(str::trim).find_map(|directive| directive.strip_prefix(name));
        directive.map(|sources| sources.trim().to_owned())
    };
    let scripts = sources("script-src ").or_else(|| sources("default-src "));
    assert_eq!(scripts.as_deref(), Some("'self'"), "{path}: {policy}");
    let page = reply.text();
    let tags = tags(&page);
    assert!(tags.len() > 10, "{path} is a page");
    let mut scripts = 0;
    for (tag, bare) in &tags {
        let handler =
            bare.split_whitespace().find(|word| word.to_ascii_lowercase().starts_with("on") && word.contains('='));
        assert_eq!(handler, None, "{path}: {tag}");
        assert!(!tag.to_ascii_lowercase().contains("javascript:"), "{path}: {tag}");
        if bare.to_ascii_lowercase().starts_with("<script") {
            scripts += 1;
            assert!(tag.contains(" src=\"/assets/"), "{path}: {tag}");
        }
    }
    assert!(scripts > 0, "{path}: every page has the script of the site");
    let empty = page.matches("></script>").count();
    assert_eq!(empty, scripts, "{path}: a script with something inside");
}

#[test]
fn what_must_not_be_on_a_page_is_found() {
    let found = tags("<!doctype html><a title='x > y' onclick=\"go()\">b</a><script>1</script>");
    let bare: Vec<&str> = found.iter().map(|(_, bare)| bare.as_str()).collect();
    assert_eq!(bare, ["<!doctype html>", "<a title= onclick=>", "</a>", "<script>", "</script>"]);
    assert_eq!(found[1].0, "<a title='x > y' onclick=\"go()\">");
    assert!(matches("/media/{id}/{folder:av[0-9]*|sound}/{file}", "/media/a/av/b.m4s"));
    assert!(!matches("/watch/{id}", "/watch/a/pin") && matches("/watch/{id}/events", "/watch/a/events?x=/"));
}

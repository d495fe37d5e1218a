//! `/tv`: the lobby's screen, and the QR code that leads to what is live.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use fast_qr::{ECL, QRBuilder};
use serde_json::json;

use super::{Card, Site};

#[derive(Template)]
#[template(path = "tv.html")]
pub struct Tv {
    pub site: Site,
    /// What is on air.
    pub live: Option<TvLive>,
    pub next: Option<Card>,
    /// The address of `/live`, as people would type it.
    pub address: String,
    pub qr: Qr,
}

pub struct TvLive {
    pub id: String,
    pub title: String,
}

impl Tv {
    fn texts(&self) -> String {
        let t = self.site.t;
        json!({ "waiting": t.tv_waiting(), "scan": t.tv_scan() }).to_string()
    }
}

/// A QR code as SVG: dark modules on light in both colour schemes, because scanners want it so.
#[derive(Clone, Debug, Default)]
pub struct Qr(String);

impl Qr {
    /// `address` in a code that survives a smudge (level M); an address of more than 2 kB gives no code.
    pub fn of(address: &str) -> Self {
        let Ok(code) = QRBuilder::new(address).ecl(ECL::M).build() else { return Self::default() };
        let side = code.size;
        let dark = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).filter(|&(x, y)| code[y][x].value());
        let path: String = dark.map(|(x, y)| format!("M{} {}h1v1h-1z", x + 4, y + 4)).collect();
        let full = side + 8; // the quiet zone of four modules that the standard asks for
        Self(format!(
            r##"<svg class="qr" viewBox="0 0 {full} {full}" shape-rendering="crispEdges" aria-hidden="true"><rect width="{full}" height="{full}" fill="#fff"/><path fill="#000" d="{path}"/></svg>"##
        ))
    }
}

impl fmt::Display for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Numbers only.
impl HtmlSafe for Qr {}

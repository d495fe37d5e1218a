//! The pages' own files (scripts, styles, icons), embedded in the executable under names that carry their hash.
//! Media is not served here.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static/dist/"]
struct Dist;

/// A hashed name never changes its bytes.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// From the name that templates use (`app.css`) to the address (`/assets/app.3fa9.css`).
static ADDRESSES: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let manifest = Dist::get("manifest.json").map(|file| file.data).unwrap_or_default();
    let names: HashMap<String, String> = serde_json::from_slice(&manifest).unwrap_or_default();
    names.into_iter().map(|(name, hashed)| (name, format!("/assets/{hashed}"))).collect()
});

/// The address of an asset. A name that the build does not know gives an address that answers 404; a test keeps
/// templates from naming one.
pub fn asset(name: &str) -> &'static str {
    ADDRESSES.get(name).map_or("/assets/unknown", String::as_str)
}

/// Adds `GET /assets/{name}`.
pub fn routes(config: &mut web::ServiceConfig) {
    config.route("/assets/{name}", web::get().to(serve)).route("/assets/{name}", web::head().to(serve));
}

async fn serve(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    let name = name.as_str();
    // What only the program itself reads is not an address.
    let known = Dist::get(name).filter(|_| name != "manifest.json" && !name.ends_with(".br") && !name.ends_with(".gz"));
    let Some(plain) = known else { return HttpResponse::NotFound().finish() };
    let (encoding, body) = encoded(name, request.headers()).unwrap_or((None, plain.data));
    let tag = etag(&plain.metadata.sha256_hash(), encoding);
    let unchanged = request.headers().get(header::IF_NONE_MATCH).is_some_and(|sent| matches_tag(sent, &tag));

    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CACHE_CONTROL, FOREVER))
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "Accept-Encoding"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_TYPE, content_type(name)));
    if let Some(encoding) = encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding));
    }
    if unchanged { response.finish() } else { response.body(body.into_owned()) }
}

type Bytes = std::borrow::Cow<'static, [u8]>;

/// The smallest form that the client takes, of those that the build has made.
fn encoded(name: &str, headers: &HeaderMap) -> Option<(Option<&'static str>, Bytes)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(encoding, suffix)| {
        let file = accepts(accepted, encoding).then(|| Dist::get(&format!("{name}.{suffix}")))??;
        Some((Some(encoding), file.data))
    })
}

/// Whether `Accept-Encoding` names `encoding` with a weight above 0 (RFC 9110, 12.5.3).
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let refused = parts.filter_map(|p| p.strip_prefix("q=")).any(|q| q.parse::<f32>() == Ok(0.0));
        named && !refused
    })
}

/// Each encoding is a representation with a tag of its own (RFC 9110, 8.8.3.3).
fn etag(hash: &[u8; 32], encoding: Option<&str>) -> String {
    let short: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    match encoding {
        Some(encoding) => format!("\"{short}-{encoding}\""),
        None => format!("\"{short}\""),
    }
}

fn matches_tag(sent: &HeaderValue, tag: &str) -> bool {
    sent.to_str()
        .is_ok_and(|sent| sent.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::StatusCode;
    use actix_web::{App, test};

    async fn get(path: &str, headers: &[(&str, &str)]) -> actix_web::dev::ServiceResponse {
        let app = test::init_service(App::new().configure(routes)).await;
        let mut request = test::TestRequest::get().uri(path);
        for header in headers {
            request = request.insert_header(*header);
        }
        test::call_service(&app, request.to_request()).await
    }

    fn header<'a>(response: &'a actix_web::dev::ServiceResponse, name: &str) -> &'a str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn an_asset_is_served_once_and_for_ever() {
        let address = asset("app.css");
        let first = get(address, &[("accept-encoding", "gzip, br")]).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(header(&first, "content-encoding"), "br");
        assert_eq!(header(&first, "content-type"), "text/css; charset=utf-8");
        assert!(header(&first, "cache-control").contains("immutable"));
        let tag = header(&first, "etag").to_owned();
        let again = get(address, &[("accept-encoding", "gzip, br"), ("if-none-match", &tag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        // The plain form is another representation.
        let plain = get(address, &[("if-none-match", &tag)]).await;
        assert_eq!((plain.status(), header(&plain, "content-encoding")), (StatusCode::OK, ""));
        let gzip = get(address, &[("accept-encoding", "br;q=0, gzip")]).await;
        assert_eq!(header(&gzip, "content-encoding"), "gzip");
    }

    #[actix_web::test]
    async fn only_assets_are_served() {
        for path in ["/assets/manifest.json", "/assets/nothing.css", "/assets/..%2fbuild.mjs", "/assets/unknown"] {
            assert_eq!(get(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let packed = format!("{}.br", asset("app.css"));
        assert_eq!(get(&packed, &[]).await.status(), StatusCode::NOT_FOUND);
    }
}

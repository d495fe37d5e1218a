//! That an unsafe request was meant by the person whose browser sends it: the origin of the page it comes from, and a
//! token that other sites cannot read. Guards call this; a handler never has to.

use std::future::{Ready, ready};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::cookie::Cookie;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, Uri, header};
use actix_web::middleware::Next;
use actix_web::web::Query;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};

use super::cookies::{self, Purpose};
use super::error::{Code, Problem};
use super::{input, multipart};
use crate::accounts::token;
use crate::base::ids;

/// The header by which scripts repeat the session's token; forms use the field [`FIELD`].
pub const HEADER: &str = "X-CSRF-Token";
pub const FIELD: &str = "csrf";

/// The token found in a form's body by [`read_form_token`].
struct Submitted(String);

/// For `App::wrap(from_fn(…))`: finds the token of a form before guards ask for it; handlers still get the whole form.
pub async fn read_form_token<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if is_unsafe(request.method()) {
        match input::buffer_form(&mut request).await {
            Err(problem) => return Ok(request.error_response(problem).map_into_right_body()),
            Ok(None) => {}
            Ok(Some(body)) => {
                if let Some(token) = token_in(&body) {
                    request.extensions_mut().insert(Submitted(token));
                }
            }
        }
        // One that cannot be read is refused by the handler that asks for it; others have no use for it.
        if let Some(token) = multipart::read(&mut request, FIELD).await {
            request.extensions_mut().insert(Submitted(token));
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn token_in(body: &[u8]) -> Option<String> {
    let fields = Query::<Vec<(String, String)>>::from_query(std::str::from_utf8(body).ok()?).ok()?;
    fields.into_inner().into_iter().find(|(name, _)| name == FIELD).map(|(_, value)| value)
}

pub(super) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks an unsafe request against the token that it must repeat.
pub(super) fn check(request: &HttpRequest, expected: &str) -> Result<(), Problem> {
    check_origin(request)?;
    let header = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).map(String::from);
    let given = header.or_else(|| request.extensions().get::<Submitted>().map(|token| token.0.clone()));
    match given {
        Some(given) if token::equal(&given, expected) => Ok(()),
        Some(_) => Err(refused("The page was too old: load it again, then repeat this.").field(FIELD)),
        None => {
            let sentence =
                "A request with a session cookie repeats the session's token in X-CSRF-Token or the field csrf.";
            Err(refused(sentence).field(FIELD))
        }
    }
}

fn refused(sentence: &'static str) -> Problem {
    Problem::new(Code::CsrfFailed, sentence)
}

/// Refuses what another site's page sends. Browsers leave `Sec-Fetch-Site` off plain HTTP, then `Origin` tells; a
/// request with neither comes from no browser of this decade and still has to know the token.
fn check_origin(request: &HttpRequest) -> Result<(), Problem> {
    let header = |name| request.headers().get(name).map(|value: &header::HeaderValue| value.as_bytes());
    let same = match (header(header::HeaderName::from_static("sec-fetch-site")), header(header::ORIGIN)) {
        (Some(site), _) => matches!(site, b"same-origin" | b"none"),
        (None, Some(origin)) => is_own_origin(origin, request.connection_info().host(), cookies::is_secure(request)),
        (None, None) => true,
    };
    if same { Ok(()) } else { Err(refused("The request comes from a page of another site.").field("Origin")) }
}

fn is_own_origin(origin: &[u8], host: &str, secure: bool) -> bool {
    let Ok(origin) = Uri::try_from(origin) else { return false };
    let (Some(scheme), Some(authority)) = (origin.scheme_str(), origin.authority()) else { return false };
    // A plain page of this host may be forged on its way; it must not reach into TLS.
    let downgraded = secure && scheme != "https";
    !downgraded && authority.as_str().eq_ignore_ascii_case(host)
}

/// Somebody without a session at a form that begins one (sign-in, setup): the token is in a cookie and in the form.
///
/// On a safe request it is there to be put into the form, with [`Newcomer::cookie`] into the answer; on an unsafe one
/// it has been checked.
#[derive(Debug)]
pub struct Newcomer {
    pub token: String,
}

impl Newcomer {
    pub fn cookie(&self, request: &HttpRequest) -> Cookie<'static> {
        cookies::make(request, Purpose::Form, self.token.clone())
    }

    fn of(request: &HttpRequest) -> Result<Newcomer, Problem> {
        let known = cookies::read(request, Purpose::Form).filter(|token| ids::is_id(token) && token.len() == 52);
        if !is_unsafe(request.method()) {
            return Ok(Newcomer { token: known.unwrap_or_else(ids::secret_256) });
        }
        let Some(token) = known else {
            return Err(refused("The form needs cookies: allow them for this site, then load the page again."));
        };
        check(request, &token)?;
        Ok(Newcomer { token })
    }
}

impl FromRequest for Newcomer {
    type Error = Problem;
    type Future = Ready<Result<Newcomer, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Newcomer::of(request))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn origin_is_own(headers: &[(&'static str, &str)]) -> bool {
        let mut request = TestRequest::post().insert_header(("host", "box:8080"));
        for header in headers {
            request = request.insert_header(*header);
        }
        check_origin(&request.to_http_request()).is_ok()
    }

    #[test]
    fn only_pages_of_this_host_may_post() {
        assert!(origin_is_own(&[]));
        assert!(origin_is_own(&[("origin", "http://box:8080")]));
        assert!(origin_is_own(&[("origin", "http://BOX:8080")]));
        assert!(origin_is_own(&[("sec-fetch-site", "same-origin"), ("origin", "http://box:8080")]));
        assert!(origin_is_own(&[("sec-fetch-site", "none")]));
        for site in ["cross-site", "same-site", "", "SAME-ORIGIN"] {
            assert!(!origin_is_own(&[("sec-fetch-site", site), ("origin", "http://box:8080")]), "{site}");
        }
        for origin in [
            "null",
            "",
            "http://evil",
            "http://box",
            "http://box:8081",
            "http://box:8080.evil",
            "http://bóx",
            "box:8080",
        ] {
            assert!(!origin_is_own(&[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn a_plain_page_does_not_reach_into_tls() {
        assert!(is_own_origin(b"https://box", "box", true));
        assert!(!is_own_origin(b"http://box", "box", true));
        assert!(is_own_origin(b"https://box", "box", false), "behind a proxy that does the TLS");
    }

    #[test]
    fn the_token_is_found_among_fields() {
        assert_eq!(token_in(b"a=1&csrf=x%20y&b=2").as_deref(), Some("x y"));
        assert_eq!(token_in(b"a=1"), None);
        assert_eq!(token_in(b"\xff"), None);
        assert_eq!(token_in(b""), None);
    }
}

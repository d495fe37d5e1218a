//! The cookies that siaran sets: their names, lives and attributes. On TLS each name carries `__Host-`, which browsers
//! accept only from this very host over TLS; a cookie planted over plain HTTP is not looked at there.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};

use crate::accounts::token::SESSION_LIFE_MS;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The token of a session.
    Session,
    /// Tells a browser that has signed in before from a stranger's.
    Device,
    /// Ties the forms shown before there is a session to the browser that was shown them.
    Form,
}

impl Purpose {
    fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Purpose::Session, false) => "siaran_session",
            (Purpose::Session, true) => "__Host-siaran_session",
            (Purpose::Device, false) => "siaran_device",
            (Purpose::Device, true) => "__Host-siaran_device",
            (Purpose::Form, false) => "siaran_form",
            (Purpose::Form, true) => "__Host-siaran_form",
        }
    }

    /// `None`: until the browser is closed.
    fn life(self) -> Option<Duration> {
        match self {
            Purpose::Session => Some(Duration::milliseconds(SESSION_LIFE_MS)),
            Purpose::Device => Some(Duration::days(365)),
            Purpose::Form => None,
        }
    }
}

/// What the browser sent for `purpose`.
pub fn read(request: &HttpRequest, purpose: Purpose) -> Option<String> {
    request.cookie(purpose.name(is_secure(request))).map(|cookie| cookie.value().to_string())
}

/// A cookie for the answer to `request`: unreadable to scripts, not sent along by forms of other sites.
pub fn make(request: &HttpRequest, purpose: Purpose, value: String) -> Cookie<'static> {
    let secure = is_secure(request);
    let mut cookie = Cookie::build(purpose.name(secure), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .finish();
    cookie.set_max_age(purpose.life());
    cookie
}

/// Makes the browser forget the cookie.
pub fn remove(request: &HttpRequest, purpose: Purpose) -> Cookie<'static> {
    let mut cookie = make(request, purpose, String::new());
    cookie.make_removal();
    cookie
}

/// Whether this connection is TLS, by what the listener is and not by what a header says.
pub fn is_secure(request: &HttpRequest) -> bool {
    request.app_config().secure()
}

//! Who may watch what: a broadcast's audience against a visitor, and the PIN of those that have one.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use governor::{DefaultKeyedRateLimiter, Quota};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::cookies;
use super::error::{Code, Problem};
use super::guard::Visitor;
use crate::accounts::{Audience, Role, token};
use crate::base::ids;
use crate::library::Library;
use crate::people::network;
use crate::store::broadcasts::Broadcast;

/// PINs tried from one address in a minute: enough for a waiting room behind one router, too few to guess six digits.
const TRIES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("20 is not 0");

/// Addresses that are counted before those that have not tried lately are dropped.
const ADDRESSES: usize = 10_000;

/// The refusal of whoever has not given the PIN.
pub const PIN_REQUIRED: Code = Code::Other(StatusCode::FORBIDDEN, "pin_required");

/// Proof that a browser gave a PIN: an HMAC under the box's own secret, so that it outlives a restart and no guess can be
/// tried without asking.
#[derive(Clone)]
pub struct Pins {
    secret: [u8; 32],
    /// By network, as passwords are counted; shared by all clones.
    tries: Arc<DefaultKeyedRateLimiter<IpAddr>>,
}

impl Pins {
    pub fn new(secret: [u8; 32]) -> Pins {
        Pins { secret, tries: Arc::new(DefaultKeyedRateLimiter::keyed(Quota::per_minute(TRIES_PER_MINUTE))) }
    }

    /// The cookie for a browser that gave the right PIN; none for a wrong one.
    pub fn admit(
        &self,
        request: &HttpRequest,
        broadcast: &Broadcast,
        typed: &str,
    ) -> Result<Option<Cookie<'static>>, Problem> {
        if self.tries.len() >= ADDRESSES {
            self.tries.retain_recent();
        }
        let address = request.peer_addr().map(|peer| network(peer.ip()));
        if address.is_some_and(|address| self.tries.check_key(&address).is_err()) {
            let sentence = "Too many PINs were tried from here. Wait a minute.";
            return Err(Problem::new(Code::TooManyAttempts, sentence).retry_after(60));
        }
        let Some(pin) = &broadcast.pin else { return Ok(None) };
        if !token::equal(pin, typed.trim()) {
            return Ok(None);
        }
        let cookie = Cookie::build(name(broadcast), self.proof(broadcast, pin))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(cookies::is_secure(request))
            .max_age(Duration::days(1));
        Ok(Some(cookie.finish()))
    }

    fn was_given(&self, request: &HttpRequest, broadcast: &Broadcast) -> bool {
        let Some(pin) = &broadcast.pin else { return false };
        request.cookie(&name(broadcast)).is_some_and(|cookie| token::equal(cookie.value(), &self.proof(broadcast, pin)))
    }

    fn proof(&self, broadcast: &Broadcast, pin: &str) -> String {
        // HMAC takes a key of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return String::new() };
        for text in ["siaran pin", &broadcast.id, pin] {
            mac.update(text.as_bytes());
            mac.update(&[0]);
        }
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

fn name(broadcast: &Broadcast) -> String {
    format!("siaran_pin_{}", broadcast.id)
}

/// The broadcast, if it is there for this visitor and may be watched by them.
pub async fn watchable(
    library: &Library,
    pins: &Pins,
    visitor: &Visitor,
    request: &HttpRequest,
    id: &str,
) -> Result<Arc<Broadcast>, Problem> {
    let broadcast = visible(library, visitor, id).await?;
    let pin_given = broadcast.audience == Audience::Pin && pins.was_given(request, &broadcast);
    if broadcast.audience.admits(visitor.role(), pin_given) {
        return Ok(broadcast);
    }
    Err(match (broadcast.audience, visitor.role()) {
        (Audience::Pin, _) => Problem::new(PIN_REQUIRED, "This needs the PIN that the staff tell."),
        (_, None) => Problem::new(Code::NotSignedIn, "Sign in to watch this."),
        (_, Some(_)) => Problem::new(Code::Forbidden, "This is for the staff."),
    })
}

/// The broadcast, if it is there for this visitor; what is hidden or in the trash is not, for most.
pub async fn visible(library: &Library, visitor: &Visitor, id: &str) -> Result<Arc<Broadcast>, Problem> {
    let found = if ids::is_id(id) { library.broadcast(id).await? } else { None };
    let there = |broadcast: &Arc<Broadcast>| match visitor.role() {
        Some(Role::Admin) => true,
        Some(Role::Broadcaster) => broadcast.trashed_at.is_none(),
        _ => broadcast.trashed_at.is_none() && !broadcast.hidden,
    };
    found.filter(there).ok_or_else(Problem::not_found)
}

/// Audiences whose broadcasts a visitor finds in lists. A PIN keeps from watching, not from seeing that there is something.
pub fn listed(visitor: &Visitor) -> Vec<Audience> {
    Audience::ALL.into_iter().filter(|audience| audience.admits(visitor.role(), true)).collect()
}

/// Audiences of whose broadcasts a visitor may know what is said: those that they watch without a PIN.
pub fn heard(visitor: &Visitor) -> Vec<Audience> {
    Audience::ALL.into_iter().filter(|audience| audience.admits(visitor.role(), false)).collect()
}

/// What tells one player from another: the session id of CMCD (CTA-5004), else address and user agent.
pub fn player(request: &HttpRequest) -> String {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let session = header("CMCD-Session").split(',').find_map(|pair| pair.trim().strip_prefix("sid="));
    match session {
        Some(session) => session.chars().take(80).collect(),
        None => {
            let address = request.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            format!("{address} {}", header("User-Agent"))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_household_has_its_tries_and_no_more() {
        let pins = Pins::new([1; 32]);
        let broadcast = Broadcast { pin: Some("123456".into()), ..Broadcast::bare("x", "x", 0) };
        let tries = |addresses: fn(u32) -> String| {
            let from = |n| {
                let peer = std::net::SocketAddr::new(addresses(n).parse().unwrap(), 4000);
                TestRequest::default().peer_addr(peer).to_http_request()
            };
            (0..100).take_while(|n| pins.admit(&from(*n), &broadcast, "000000").is_ok()).count() as u32
        };
        let most = TRIES_PER_MINUTE.get();
        let about = most..most + 5;
        assert!(about.contains(&tries(|n| format!("2001:db8::{n:x}"))), "one network");
        assert!(about.contains(&tries(|_| "::ffff:10.0.0.1".to_owned())), "one address");
        assert_eq!(tries(|n| format!("2001:db8:1:{n:x}::1")), 100, "as many networks");
    }
}

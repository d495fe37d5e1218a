//! Permission as an argument: a handler that needs somebody takes [`SignedIn`], [`Broadcaster`] or [`Admin`], and is
//! never reached without. Each also has the CSRF check of an unsafe request behind it.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};

use super::cookies::{self, Purpose};
use super::csrf;
use super::error::{Code, Problem};
use super::input::LocalFuture;
use crate::accounts::Role;
use crate::people::{Accounts, Attempt, Session};
use crate::store::StoreError;

/// Whoever it is. An unsafe request that fails its CSRF check is nobody's.
#[derive(Debug, Clone)]
pub struct Visitor(pub Option<Session>);

/// Somebody with a session, of whatever role.
#[derive(Debug, Clone)]
pub struct SignedIn(pub Session);

/// A broadcaster or an admin.
#[derive(Debug, Clone)]
pub struct Broadcaster(pub Session);

#[derive(Debug, Clone)]
pub struct Admin(pub Session);

impl Visitor {
    pub fn role(&self) -> Option<Role> {
        self.0.as_ref().map(|session| session.person.role)
    }

    /// The same visitor as they stand now, for answers that last: nobody, once their session has ended.
    pub async fn renewed(&self, accounts: &Accounts) -> Result<Visitor, StoreError> {
        match &self.0 {
            Some(session) => Ok(Visitor(accounts.renewed(session).await?)),
            None => Ok(Visitor(None)),
        }
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = LocalFuture<Result<Visitor, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let known = identify(&request).await?;
            Ok(Visitor(known.filter(|known| known.may_act(&request).is_ok()).map(|known| known.session)))
        })
    }
}

/// The three that need somebody differ only in which roles pass.
macro_rules! guard {
    ($name:ident, $passes:expr) => {
        impl FromRequest for $name {
            type Error = Problem;
            type Future = LocalFuture<Result<$name, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                Box::pin(async move { require(&request, $passes).await.map($name) })
            }
        }
    };
}

guard!(SignedIn, |_| true);
guard!(Broadcaster, Role::can_broadcast);
guard!(Admin, Role::is_admin);

async fn require(request: &HttpRequest, passes: fn(Role) -> bool) -> Result<Session, Problem> {
    let Some(known) = identify(request).await? else {
        return Err(Problem::new(Code::NotSignedIn, "Sign in first."));
    };
    if !passes(known.session.person.role) {
        return Err(Problem::new(Code::Forbidden, "Your role does not allow this."));
    }
    known.may_act(request)?;
    Ok(known.session)
}

/// A session and how the request showed it; kept with the request, so that two guards ask the database once.
#[derive(Clone)]
struct Known {
    session: Session,
    by_cookie: bool,
}

impl Known {
    /// A browser adds its cookie to whatever any page sends; a bearer token is only ever added on purpose.
    fn may_act(&self, request: &HttpRequest) -> Result<(), Problem> {
        if self.by_cookie && csrf::is_unsafe(request.method()) {
            csrf::check(request, &self.session.csrf)?;
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Identified(Option<Known>);

/// Whether the request is somebody's, of whatever role.
pub(super) async fn is_known(request: &HttpRequest) -> Result<bool, Problem> {
    Ok(identify(request).await?.is_some())
}

async fn identify(request: &HttpRequest) -> Result<Option<Known>, Problem> {
    if let Some(known) = request.extensions().get::<Identified>() {
        return Ok(known.0.clone());
    }
    let accounts = accounts(request)?;
    let known = match bearer(request)? {
        Some(token) => match accounts.authenticate(token).await? {
            Some(session) => Some(Known { session, by_cookie: false }),
            None => return Err(Problem::new(Code::NotSignedIn, "The token is not valid.").field("Authorization")),
        },
        None => match cookies::read(request, Purpose::Session) {
            Some(token) => accounts.authenticate(&token).await?.map(|session| Known { session, by_cookie: true }),
            None => None,
        },
    };
    request.extensions_mut().insert(Identified(known.clone()));
    Ok(known)
}

/// The token of `Authorization: Bearer …`; another scheme is not ours to read.
fn bearer(request: &HttpRequest) -> Result<Option<&str>, Problem> {
    let Some(value) = request.headers().get(header::AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| text.split_once(' ')).map(|(scheme, token)| (scheme, token.trim()));
    match token {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token)),
        _ => Err(Problem::new(Code::NotSignedIn, "Authorization must be: Bearer TOKEN.").field("Authorization")),
    }
}

fn accounts(request: &HttpRequest) -> Result<&Accounts, Problem> {
    let accounts =
        request.app_data::<web::Data<Accounts>>().ok_or_else(|| Problem::internal("no Accounts in app data"))?;
    Ok(accounts.get_ref())
}

/// What may be reached while there is no admin yet.
const OPEN_BEFORE_SETUP: &[&str] = &["/setup", "/language", "/assets", "/healthz", "/favicon.ico"];

/// For `App::wrap(from_fn(…))`: until there is an admin, nothing but setup can be done.
pub async fn setup_gate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    if !is_open_before_setup(request.path()) {
        let refused = match accounts(request.request()) {
            Err(problem) => Some(problem),
            Ok(accounts) => match accounts.clone().needs_setup().await {
                Ok(false) => None,
                Ok(true) => Some(Problem::new(
                    Code::SetupRequired,
                    "This box has no admin yet. Open the setup address that its console shows.",
                )),
                Err(error) => Some(error.into()),
            },
        };
        if let Some(problem) = refused {
            return Ok(request.error_response(problem).map_into_right_body());
        }
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn is_open_before_setup(path: &str) -> bool {
    OPEN_BEFORE_SETUP
        .iter()
        .any(|open| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// A try at signing in, with what the request tells of the browser. The address is the connection's own: a header
/// could claim any.
pub fn attempt(request: &HttpRequest, username: String, password: String) -> Attempt {
    let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let device = cookies::read(request, Purpose::Device);
    let replaces = cookies::read(request, Purpose::Session);
    Attempt { username, password, address, device, replaces }
}

/// Where to go after signing in: a path of this site, or the home page.
pub fn local_path(next: Option<&str>) -> &str {
    let is_local = |path: &str| {
        let bytes = path.as_bytes();
        // A browser reads `//host` and `/\host` as another host, and drops control characters before it looks.
        bytes.first() == Some(&b'/')
            && !matches!(bytes.get(1), Some(b'/' | b'\\'))
            && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\')
    };
    next.filter(|path| is_local(path)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_never_leads_to_another_site() {
        for path in ["/", "/studio", "/watch/a?t=1&x=%2F%2Fy"] {
            assert_eq!(local_path(Some(path)), path);
        }
        for path in ["//evil", "/\\evil", "/\t/evil", "https://evil", "evil", "", "/a\nb", "/\\/evil", "\\evil", "/ x"]
        {
            assert_eq!(local_path(Some(path)), "/", "{path:?}");
        }
        assert_eq!(local_path(None), "/");
    }

    #[test]
    fn only_setup_and_what_it_needs_is_open_at_first() {
        for path in ["/setup", "/setup/abc", "/assets/app.css", "/healthz"] {
            assert!(is_open_before_setup(path), "{path}");
        }
        for path in ["/", "/setupx", "/login", "/api/v1/session", "/media/x/main.m3u8", "/healthz2", "/api/setup"] {
            assert!(!is_open_before_setup(path), "{path}");
        }
    }
}

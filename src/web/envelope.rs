//! Around every request: an id, one line in the log, and the rendering of refusals for whoever asked.

use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse};

use super::error::{Code, ErrorPages, Problem};
use crate::base::{clock, ids};

/// Names one request in its answer's `X-Request-Id`, in problems and in the log.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// For `App::wrap(from_fn(…))`, as the last and so outermost one.
pub async fn around<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let id = RequestId(ids::public_id());
    request.extensions_mut().insert(id.clone());
    let started = clock::instant();
    let response = next.call(request).await?;
    let problem = problem_of(&response);
    log(response.request(), response.status(), problem.as_ref(), started.elapsed(), &id.0);
    let mut response = match problem {
        None => response.map_into_left_body(),
        Some(problem) => replace_body(response, &problem, &id.0).map_into_right_body(),
    };
    if let Ok(value) = header::HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(header::HeaderName::from_static("x-request-id"), value);
    }
    Ok(response)
}

/// A refusal to render: our own, one of the framework's, or a bare status. An error with a body of its own is left alone.
fn problem_of<B: MessageBody>(response: &ServiceResponse<B>) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    match response.response().error() {
        Some(error) => Some(match error.as_error::<Problem>() {
            Some(problem) => problem.clone(),
            None => Problem::of_status(status).because(error),
        }),
        None if matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0)) => {
            Some(Problem::of_status(status))
        }
        None => None,
    }
}

fn replace_body<B>(response: ServiceResponse<B>, problem: &Problem, id: &str) -> ServiceResponse<BoxBody> {
    let (request, old) = response.into_parts();
    let mut new = render(&request, problem, id);
    let ours: Vec<_> = new.headers().keys().cloned().collect();
    for (name, value) in old.headers() {
        let kept = [header::CONTENT_RANGE, header::CONTENT_SECURITY_POLICY];
        let of_old_body = name.as_str().starts_with("content-") && !kept.contains(name);
        // What the handler or the framework said beyond the body stays: Allow, Content-Range, Set-Cookie, …
        if !of_old_body && !ours.contains(name) {
            new.headers_mut().append(name.clone(), value.clone());
        }
    }
    ServiceResponse::new(request, new)
}

fn render(request: &HttpRequest, problem: &Problem, id: &str) -> HttpResponse {
    if !wants_page(request) {
        return problem.json(Some(id));
    }
    let reads = request.method() == Method::GET || request.method() == Method::HEAD;
    match problem.code {
        Code::SetupRequired => see_other("/setup"),
        Code::NotSignedIn if reads => see_other(&format!("/login?next={}", escape(&here(request)))),
        Code::NotSignedIn => see_other("/login"),
        _ => match request.app_data::<ErrorPages>() {
            Some(pages) => problem.html(pages.0(request, problem, id)),
            None => problem.text(),
        },
    }
}

fn see_other(location: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, location))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// Programs get JSON; so does a browser's `fetch`, which does not ask for HTML.
fn wants_page(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    !request.path().starts_with("/api/") && accept.contains("text/html")
}

fn here(request: &HttpRequest) -> String {
    request.uri().path_and_query().map_or("/", |path| path.as_str()).to_string()
}

/// Percent-encodes all but RFC 3986's unreserved characters and the slash.
fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Without the query (it may hold what somebody searched for) and without the token of a setup address.
fn log(request: &HttpRequest, status: StatusCode, problem: Option<&Problem>, took: Duration, id: &str) {
    let path = match request.path() {
        path if path.starts_with("/setup/") => "/setup/…",
        path => path,
    };
    let (method, status, ms) = (request.method().as_str(), status.as_u16(), took.as_millis() as u64);
    let peer = request.peer_addr().map(|address| address.ip().to_string()).unwrap_or_default();
    match problem {
        Some(problem) if status >= 500 => {
            tracing::error!(id, peer, method, path, status, ms, %problem, "request failed");
        }
        Some(problem) => tracing::info!(id, peer, method, path, status, ms, %problem, "request refused"),
        // A player asks several times a second.
        None if ["/media/", "/studio/preview/"].iter().any(|folder| path.starts_with(folder)) => {
            tracing::debug!(id, peer, method, path, status, ms, "request")
        }
        None => tracing::info!(id, peer, method, path, status, ms, "request"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body, read_body_json};
    use actix_web::{App, web};

    use super::*;

    async fn refuse(path: web::Path<String>) -> Result<&'static str, Problem> {
        Err(match path.as_str() {
            "login" => Problem::new(Code::NotSignedIn, "x"),
            "setup" => Problem::new(Code::SetupRequired, "x"),
            "broken" => Problem::internal("an inner secret"),
            _ => return Ok("fine"),
        })
    }

    macro_rules! app {
        () => {
            init_service(
                App::new()
                    .app_data(ErrorPages(|_, problem, _| format!("<p>{}", problem.detail)))
                    .service(web::resource("/{name}").route(web::get().to(refuse)).route(web::post().to(refuse)))
                    .service(web::resource("/api/v1/{name}").route(web::get().to(refuse)))
                    .wrap(from_fn(around)),
            )
            .await
        };
    }

    fn page(uri: &str) -> TestRequest {
        TestRequest::with_uri(uri).insert_header(("accept", "text/html,*/*"))
    }

    #[actix_web::test]
    async fn programs_get_problems_with_the_requests_id() {
        let app = app!();
        let response = call_service(&app, page("/api/v1/login").to_request()).await;
        assert_eq!(response.status(), 401);
        let id = response.headers().get("x-request-id").unwrap().to_str().unwrap().to_string();
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!((body["code"].as_str(), body["request_id"].as_str()), (Some("not_signed_in"), Some(id.as_str())));
        let fine = call_service(&app, page("/fine").to_request()).await;
        assert!(fine.headers().contains_key("x-request-id"));
        assert_eq!(read_body(fine).await, "fine");
    }

    #[actix_web::test]
    async fn people_are_sent_to_sign_in_and_back() {
        let app = app!();
        let location = async |request: TestRequest| {
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status(), 303);
            response.headers().get("location").unwrap().to_str().unwrap().to_string()
        };
        assert_eq!(location(page("/login?a=1&b=/x")).await, "/login?next=/login%3Fa%3D1%26b%3D/x");
        assert_eq!(location(page("/login").method(Method::POST)).await, "/login");
        assert_eq!(location(page("/setup")).await, "/setup");
    }

    #[actix_web::test]
    async fn failures_are_pages_without_their_cause() {
        let app = app!();
        let response = call_service(&app, page("/broken").to_request()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(read_body(response).await, "<p>Something went wrong on this box.");
    }

    #[actix_web::test]
    async fn bare_refusals_of_the_framework_are_problems_too() {
        let app = app!();
        let response = call_service(&app, TestRequest::with_uri("/no/such/page").to_request()).await;
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!(body["code"], "not_found");
        let response = call_service(&app, TestRequest::delete().uri("/x").to_request()).await;
        assert_eq!(response.status(), 405);
        assert!(response.headers().contains_key("allow"));
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!(body["code"], "method_not_allowed");
    }
}

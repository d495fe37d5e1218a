//! The routes about people, each role against each, through the same layers as in the running program.

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, HttpResponse, web};
use serde_json::{Value, json};

use super::stream_keys::RtmpPort;
use crate::accounts::Role;
use crate::people::testing::{House, PASSWORD, empty_house, house};
use crate::store::{Connection, StoreError, db};
use crate::web::csrf::{self, Newcomer};
use crate::web::error::Problem;
use crate::web::guard::{SignedIn, Visitor};
use crate::web::{envelope, guard, input};

/// As the composition root stacks it, with three routes of a site beside it.
macro_rules! site {
    ($house:expr) => {
        init_service(
            App::new()
                .app_data(web::Data::new($house.accounts.clone()))
                .app_data(web::Data::new($house.keys.clone()))
                .app_data(RtmpPort(1935))
                .configure(input::configure)
                .configure(super::configure)
                .route("/whoami", web::get().to(whoami))
                .route("/whoami", web::post().to(whoami))
                .route("/form", web::post().to(form))
                .route("/login", web::get().to(login))
                .route("/login", web::post().to(login))
                .route("/setup/{token}", web::get().to(HttpResponse::Ok))
                .wrap(from_fn(csrf::read_form_token))
                .wrap(from_fn(guard::setup_gate))
                .wrap(from_fn(envelope::around)),
        )
        .await
    };
}

async fn whoami(visitor: Visitor) -> String {
    visitor.role().map_or("nobody".to_string(), |role| role.to_string())
}

async fn form(_: SignedIn, form: input::Form<Vec<(String, String)>>) -> Result<String, Problem> {
    Ok(format!("{} fields", form.take()?.len()))
}

async fn login(request: actix_web::HttpRequest, newcomer: Newcomer) -> HttpResponse {
    HttpResponse::Ok().cookie(newcomer.cookie(&request)).body(newcomer.token)
}

/// Sends a request from a fixed address and reads the answer's status and JSON.
macro_rules! send {
    ($site:expr, $request:expr) => {
        read(call_service(&$site, $request.peer_addr(([10, 0, 0, 9], 4000).into()).to_request()).await).await
    };
}

async fn read(response: ServiceResponse<impl MessageBody>) -> (StatusCode, Value) {
    let status = response.status();
    if status == StatusCode::NO_CONTENT { (status, Value::Null) } else { (status, read_body_json(response).await) }
}

fn call(method: Method, uri: &str, token: &str) -> TestRequest {
    TestRequest::default().method(method).uri(uri).insert_header(("authorization", format!("Bearer {token}")))
}

async fn token(house: &House, name: &str) -> String {
    house.sign_in(name).await.token
}

#[actix_web::test]
async fn each_role_against_each_route() {
    let house = house().await;
    let site = site!(house);
    let victim = house.add("victim", Role::Viewer).await;
    let key = json!({"label": "OBS"});
    let account = json!({"username": "newone", "password": PASSWORD, "role": "viewer"});
    let one = format!("/api/v1/accounts/{victim}");
    // The status for nobody, viewer, broadcaster, admin; deleting comes last.
    let table: &[(Method, &str, Option<&Value>, [u16; 4])] = &[
        (Method::GET, "/api/v1/accounts", None, [401, 403, 403, 200]),
        (Method::POST, "/api/v1/accounts", Some(&account), [401, 403, 403, 201]),
        (Method::PATCH, &one, Some(&json!({"disabled": true})), [401, 403, 403, 200]),
        (Method::DELETE, &one, None, [401, 403, 403, 204]),
        (Method::GET, "/api/v1/stream-keys", None, [401, 403, 200, 200]),
        (Method::POST, "/api/v1/stream-keys", Some(&key), [401, 403, 201, 201]),
        (Method::DELETE, "/api/v1/stream-keys/nothing", None, [401, 403, 404, 404]),
        (Method::DELETE, "/api/v1/session", None, [401, 204, 204, 204]),
    ];
    for (method, uri, body, expected) in table {
        for (role, expected) in [None, Some("viewer"), Some("broadcaster"), Some("admin")].into_iter().zip(expected) {
            let request = match role {
                None => TestRequest::default().method(method.clone()).uri(uri),
                Some(name) => call(method.clone(), uri, &token(&house, name).await),
            };
            let request = match body {
                Some(body) => request.set_json(body),
                None => request,
            };
            let (status, answer) = send!(site, request);
            assert_eq!(status.as_u16(), *expected, "{method} {uri} by {role:?}: {answer}");
        }
    }
}

#[actix_web::test]
async fn a_session_by_the_contract() {
    let house = house().await;
    let site = site!(house);
    let sign_in = |body: Value| TestRequest::post().uri("/api/v1/session").set_json(body);
    let (status, body) = send!(site, sign_in(json!({"username": "broadcaster", "password": PASSWORD})));
    assert_eq!(status, 200);
    assert_eq!(
        (body["account"]["username"].as_str(), body["account"]["role"].as_str()),
        (Some("broadcaster"), Some("broadcaster"))
    );
    let token = body["token"].as_str().unwrap().to_string();
    assert_eq!(send!(site, call(Method::DELETE, "/api/v1/session", &token)).0, 204);
    let (status, body) = send!(site, call(Method::DELETE, "/api/v1/session", &token));
    assert_eq!((status.as_u16(), body["code"].as_str()), (401, Some("not_signed_in")));

    let wrong = || sign_in(json!({"username": "broadcaster", "password": "a guess of mine"}));
    let (status, body) = send!(site, wrong());
    assert_eq!((status.as_u16(), body["code"].as_str()), (401, Some("wrong_credentials")));
    let throttled = loop {
        let response = call_service(&site, wrong().peer_addr(([10, 0, 0, 9], 1).into()).to_request()).await;
        if response.status() != 401 {
            break response;
        }
    };
    assert_eq!(throttled.status(), 429);
    let wait: u64 = throttled.headers().get("retry-after").unwrap().to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait));
}

#[actix_web::test]
async fn accounts_by_the_contract() {
    let house = house().await;
    let site = site!(house);
    let admin = token(&house, "admin").await;
    let new = json!({"username": "Wati", "password": PASSWORD, "role": "broadcaster"});
    let (status, made) = send!(site, call(Method::POST, "/api/v1/accounts", &admin).set_json(&new));
    assert_eq!(status, 201);
    assert_eq!((made["username"].as_str(), made["disabled"].as_bool()), (Some("Wati"), Some(false)));
    let (status, body) = send!(site, call(Method::POST, "/api/v1/accounts", &admin).set_json(&new));
    assert_eq!(
        (status.as_u16(), body["code"].as_str(), body["field"].as_str()),
        (409, Some("username_taken"), Some("username"))
    );

    let own = format!("/api/v1/accounts/{}", house.id("admin").await);
    for (method, change) in [
        (Method::PATCH, json!({"disabled": true})),
        (Method::PATCH, json!({"role": "viewer"})),
        (Method::DELETE, Value::Null),
    ] {
        let (status, body) = send!(site, call(method, &own, &admin).set_json(&change));
        assert_eq!((status.as_u16(), body["code"].as_str()), (409, Some("last_admin")), "{change}");
    }

    let (_, first) = send!(site, call(Method::GET, "/api/v1/accounts?limit=3", &admin));
    assert_eq!(first["items"].as_array().unwrap().len(), 3);
    let next = format!("/api/v1/accounts?after={}", first["next"].as_str().unwrap());
    let (_, second) = send!(site, call(Method::GET, &next, &admin));
    assert_eq!((second["items"].as_array().unwrap().len(), &second["next"]), (1, &Value::Null));
    assert_eq!(second["items"][0], made);
}

#[actix_web::test]
async fn bad_input_names_its_field_and_changes_nothing() {
    let house = house().await;
    let site = site!(house);
    let admin = token(&house, "admin").await;
    let account = |username: Value, password: Value, role: Value| {
        json!({"username": username, "password": password, "role": role}).to_string()
    };
    let cases = [
        (account(json!("x"), json!(PASSWORD), json!("viewer")), "username_length", Some("username")),
        (account(json!("<b>wati</b>"), json!(PASSWORD), json!("viewer")), "username_characters", Some("username")),
        (account(json!("wati"), json!("short"), json!("viewer")), "password_too_short", Some("password")),
        (account(json!("wati"), json!(PASSWORD), json!("owner")), "bad_json", Some("role")),
        (account(json!(7), json!(PASSWORD), json!("viewer")), "bad_json", Some("username")),
        (json!({"username": "wati", "password": PASSWORD}).to_string(), "bad_json", Some("role")),
        (
            json!({"username": "wati", "password": PASSWORD, "role": "viewer", "root": 1}).to_string(),
            "bad_json",
            Some("root"),
        ),
        ("{".to_string(), "bad_json", None),
    ];
    for (body, code, field) in cases {
        let request =
            call(Method::POST, "/api/v1/accounts", &admin).insert_header(("content-type", "application/json"));
        let (status, problem) = send!(site, request.set_payload(body.clone()));
        assert_eq!(status, 400, "{body}");
        assert_eq!((problem["code"].as_str(), problem["field"].as_str()), (Some(code), field), "{body}");
    }
    let post = || call(Method::POST, "/api/v1/accounts", &admin);
    let (status, problem) = send!(site, post().set_payload("{}"));
    assert_eq!((status.as_u16(), problem["code"].as_str()), (415, Some("unsupported_media_type")));
    let huge = json!({"username": "x".repeat(crate::web::input::BODY_LIMIT + 1)});
    let (status, problem) = send!(site, post().set_json(huge));
    assert_eq!((status.as_u16(), problem["code"].as_str()), (413, Some("body_too_large")));
    for (query, field) in
        [("limit=0", "limit"), ("limit=x", "limit"), ("after=..%2f", "after"), ("after=nobody", "after")]
    {
        let (status, problem) = send!(site, call(Method::GET, &format!("/api/v1/accounts?{query}"), &admin));
        assert_eq!((status.as_u16(), problem["field"].as_str()), (400, Some(field)), "{query}");
    }
    let (status, _) = send!(site, call(Method::DELETE, "/api/v1/accounts/%00", &admin));
    assert_eq!(status, 404);
    assert_eq!(house.accounts.list(None, 10).await.unwrap().items.len(), 3);
}

#[actix_web::test]
async fn a_stream_key_is_shown_once() {
    let house = house().await;
    let site = site!(house);
    let token = token(&house, "broadcaster").await;
    let request = call(Method::POST, "/api/v1/stream-keys", &token).insert_header(("host", "box.local:8080"));
    let (status, made) = send!(site, request.set_json(json!({"label": "OBS", "audience": "staff"})));
    assert_eq!(status, 201);
    let key = made["key"].as_str().unwrap();
    assert_eq!(made["rtmp_url"].as_str().unwrap(), format!("rtmp://box.local:1935/live/{key}"));
    assert_eq!((made["auto_live"].as_bool(), made["audience"].as_str()), (Some(true), Some("staff")));
    let (_, list) = send!(site, call(Method::GET, "/api/v1/stream-keys", &token));
    assert_eq!(list["items"][0]["id"], made["id"]);
    assert!(!list.to_string().contains(key));
    let one = format!("/api/v1/stream-keys/{}", made["id"].as_str().unwrap());
    assert_eq!(send!(site, call(Method::DELETE, &one, &token)).0, 204);
    assert!(house.keys.authorise(key).await.unwrap().is_none());
}

/// A request as a browser with a session sends it.
fn browser(method: Method, uri: &str, token: &str) -> TestRequest {
    let cookie = actix_web::cookie::Cookie::new("siaran_session", token.to_string());
    TestRequest::default().method(method).uri(uri).insert_header(("host", "box")).cookie(cookie)
}

#[actix_web::test]
async fn a_cookie_needs_the_csrf_check_and_a_bearer_token_none() {
    let house = house().await;
    let site = site!(house);
    let session = house.sign_in("admin").await;
    let post = || {
        let body = json!({"label": "OBS"});
        browser(Method::POST, "/api/v1/stream-keys", &session.token).set_json(body)
    };
    let own = ("origin", "http://box");
    let right = (csrf::HEADER, session.csrf.as_str());
    let other = house.sign_in("admin").await.csrf;
    let refused = [
        post(),
        post().insert_header(own),
        post().insert_header(own).insert_header((csrf::HEADER, "")),
        post().insert_header(own).insert_header((csrf::HEADER, other.as_str())),
        post().insert_header(("origin", "http://evil")).insert_header(right),
        post().insert_header(("sec-fetch-site", "cross-site")).insert_header(own).insert_header(right),
    ];
    for (number, request) in refused.into_iter().enumerate() {
        let (status, body) = send!(site, request);
        assert_eq!((status.as_u16(), body["code"].as_str()), (403, Some("csrf_failed")), "case {number}");
    }
    assert!(house.keys.list(&session.person, None, 10).await.unwrap().items.is_empty());
    assert_eq!(send!(site, post().insert_header(own).insert_header(right)).0, 201);
    assert_eq!(send!(site, browser(Method::GET, "/api/v1/stream-keys", &session.token)).0, 200, "reading is safe");
}

#[actix_web::test]
async fn a_form_carries_the_token_as_a_field() {
    let house = house().await;
    let site = site!(house);
    let session = house.sign_in("viewer").await;
    let post = |body: &str| {
        browser(Method::POST, "/form", &session.token)
            .insert_header(("origin", "http://box"))
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .set_payload(body.to_string())
    };
    let answer = async |request: TestRequest| {
        let response = call_service(&site, request.to_request()).await;
        (response.status().as_u16(), actix_web::test::read_body(response).await)
    };
    let (status, body) = answer(post(&format!("a=1&csrf={}", session.csrf))).await;
    assert_eq!((status, &body[..]), (200, &b"2 fields"[..]), "the handler still gets the whole form");
    assert_eq!(answer(post("a=1")).await.0, 403);
    assert_eq!(answer(post("a=1&csrf=x")).await.0, 403);
    assert_eq!(answer(post(&format!("a={}", "x".repeat(crate::web::input::BODY_LIMIT + 1)))).await.0, 413);
}

#[actix_web::test]
async fn an_unchecked_request_is_nobodys() {
    let house = house().await;
    let site = site!(house);
    let session = house.sign_in("viewer").await;
    let who = async |request: TestRequest| {
        let response = call_service(&site, request.to_request()).await;
        String::from_utf8(actix_web::test::read_body(response).await.to_vec()).unwrap()
    };
    assert_eq!(who(browser(Method::GET, "/whoami", &session.token)).await, "viewer");
    assert_eq!(who(browser(Method::POST, "/whoami", &session.token)).await, "nobody");
    let checked = browser(Method::POST, "/whoami", &session.token).insert_header((csrf::HEADER, session.csrf.as_str()));
    assert_eq!(who(checked).await, "viewer");
    assert_eq!(who(browser(Method::GET, "/whoami", &"0".repeat(52))).await, "nobody");
    assert_eq!(who(TestRequest::get().uri("/whoami")).await, "nobody");
}

#[actix_web::test]
async fn a_bad_authorization_is_refused_not_overlooked() {
    let house = house().await;
    let site = site!(house);
    let session = house.sign_in("admin").await;
    for value in ["Bearer", "Bearer x", "Basic YTpi", ""] {
        let request = browser(Method::GET, "/api/v1/accounts", &session.token).insert_header(("authorization", value));
        let (status, body) = send!(site, request);
        assert_eq!((status.as_u16(), body["field"].as_str()), (401, Some("Authorization")), "{value:?}");
    }
}

#[actix_web::test]
async fn the_sign_in_form_is_tied_to_the_browser_that_was_shown_it() {
    let house = house().await;
    let site = site!(house);
    let shown = call_service(&site, TestRequest::get().uri("/login").to_request()).await;
    let cookie = shown.response().cookies().next().unwrap().into_owned();
    assert!(cookie.http_only().unwrap() && cookie.name() == "siaran_form");
    let token = actix_web::test::read_body(shown).await;
    let token = std::str::from_utf8(&token).unwrap();
    let post = |token: &str| {
        TestRequest::post()
            .uri("/login")
            .insert_header(("host", "box"))
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .set_payload(format!("csrf={token}"))
    };
    let status = async |request: TestRequest| call_service(&site, request.to_request()).await.status().as_u16();
    assert_eq!(status(post(token).cookie(cookie.clone())).await, 200);
    assert_eq!(status(post(token)).await, 403);
    assert_eq!(status(post("x").cookie(cookie.clone())).await, 403);
    assert_eq!(status(post(token).cookie(cookie).insert_header(("origin", "http://evil"))).await, 403);
}

#[actix_web::test]
async fn before_setup_nothing_else_can_be_done() {
    let house = empty_house().await;
    let site = site!(house);
    let body = json!({"username": "a", "password": "b"});
    let (status, problem) = send!(site, TestRequest::post().uri("/api/v1/session").set_json(body));
    assert_eq!((status.as_u16(), problem["code"].as_str()), (503, Some("setup_required")));
    let page = TestRequest::get().uri("/login").insert_header(("accept", "text/html"));
    let response = call_service(&site, page.to_request()).await;
    assert_eq!(
        (response.status().as_u16(), response.headers().get("location").unwrap().to_str().unwrap()),
        (303, "/setup")
    );
    let setup = call_service(&site, TestRequest::get().uri("/setup/x").to_request()).await;
    assert_eq!(setup.status(), 200);
    house.add("admin", Role::Admin).await;
    let login = call_service(&site, TestRequest::get().uri("/login").to_request()).await;
    assert_eq!(login.status(), 200);
}

#[actix_web::test]
async fn a_locked_database_gives_a_clear_answer() {
    let house = house().await;
    let site = site!(house);
    let admin = token(&house, "admin").await;
    // Blocks the writer as another process would, for longer than it waits.
    let other = Connection::open(house.directory.path().join(db::FILE_NAME)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, problem) =
        send!(site, call(Method::POST, "/api/v1/stream-keys", &admin).set_json(json!({"label": "x"})));
    assert_eq!((status.as_u16(), problem["code"].as_str()), (503, Some("database_locked")));
    assert_eq!(send!(site, call(Method::GET, "/api/v1/accounts", &admin)).0, 200, "reading goes on");
}

#[actix_web::test]
async fn a_read_only_database_gives_a_clear_answer() {
    let house = house().await;
    let site = site!(house);
    let admin = token(&house, "admin").await;
    let forbid = |tx: &_| -> Result<(), StoreError> { Ok(Connection::pragma_update(tx, None, "query_only", true)?) };
    house.db.write(move |tx| forbid(tx)).await.unwrap();
    let sign_in = TestRequest::post().uri("/api/v1/session");
    for request in [
        sign_in.set_json(json!({"username": "admin", "password": PASSWORD})),
        call(Method::POST, "/api/v1/stream-keys", &admin).set_json(json!({"label": "x"})),
    ] {
        let (status, problem) = send!(site, request);
        assert_eq!((status.as_u16(), problem["code"].as_str()), (503, Some("database_read_only")));
    }
    assert_eq!(send!(site, call(Method::GET, "/api/v1/accounts", &admin)).0, 200, "reading goes on");
}

#[test]
fn the_description_has_every_route() {
    use utoipa::OpenApi;
    let api = serde_json::to_value(super::Api::openapi()).unwrap();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: Vec<_> = api["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/api/v1/accounts",
            "/api/v1/accounts/{id}",
            "/api/v1/broadcasts",
            "/api/v1/broadcasts/{id}",
            "/api/v1/broadcasts/{id}/captions",
            "/api/v1/broadcasts/{id}/captions/{language}",
            "/api/v1/broadcasts/{id}/edit",
            "/api/v1/broadcasts/{id}/end",
            "/api/v1/broadcasts/{id}/ladder/cancel",
            "/api/v1/broadcasts/{id}/ladder/retry",
            "/api/v1/broadcasts/{id}/restore",
            "/api/v1/broadcasts/{id}/thumbnail",
            "/api/v1/imports",
            "/api/v1/imports/{id}/cancel",
            "/api/v1/imports/{id}/retry",
            "/api/v1/retention",
            "/api/v1/session",
            "/api/v1/sources",
            "/api/v1/storage",
            "/api/v1/stream-keys",
            "/api/v1/stream-keys/{id}",
            "/api/v1/trash",
            "/api/v1/uploads",
            "/api/v1/uploads/{id}",
        ]
    );
}

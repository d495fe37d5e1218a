//! Bodies, queries and paths from outside: bounded, and refused with the name of the field at fault.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody, to_bytes_limited};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::{PayloadError, QueryPayloadError};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::Stream;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::error::{Code, Problem};
use crate::base::ids;

/// Bytes of a form or JSON body: each text of a form at its longest, in letters of four bytes, percent-encoded.
pub const BODY_LIMIT: usize = 128 << 10;

pub(super) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A JSON body, or what is wrong with it: a handler asks for it after its guards, so that whoever may not call it learns
/// nothing else. Types that derive `deny_unknown_fields` refuse what they do not know.
#[derive(Debug)]
pub struct Json<T>(Result<T, Problem>);

impl<T> Json<T> {
    /// The value that was sent.
    pub fn take(self) -> Result<T, Problem> {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalFuture<Result<Json<T>, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = request.content_type().eq_ignore_ascii_case("application/json");
        let payload = payload.take();
        Box::pin(async move { Ok(Json(read_json(is_json, payload).await)) })
    }
}

/// A form's fields, or what is wrong with them; after the guards, as [`Json`].
#[derive(Debug)]
pub struct Form<T>(Result<T, Problem>);

impl<T> Form<T> {
    /// What was filled in.
    pub fn take(self) -> Result<T, Problem> {
        self.0
    }
}

impl<T: DeserializeOwned> FromRequest for Form<T> {
    type Error = Problem;
    type Future = LocalFuture<Result<Form<T>, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_form = request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let payload = payload.take();
        Box::pin(async move { Ok(Form(read_form(is_form, payload).await)) })
    }
}

/// A body of any kind of at most `LIMIT` bytes, or what is wrong with it; after the guards, as [`Json`].
#[derive(Debug)]
pub struct Raw<const LIMIT: usize>(Result<Bytes, Problem>);

impl<const LIMIT: usize> Raw<LIMIT> {
    /// The bytes that were sent.
    pub fn take(self) -> Result<Bytes, Problem> {
        self.0
    }
}

impl<const LIMIT: usize> FromRequest for Raw<LIMIT> {
    type Error = Problem;
    type Future = LocalFuture<Result<Raw<LIMIT>, Problem>>;

    fn from_request(_: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let payload = payload.take();
        Box::pin(async move { Ok(Raw(read_all(payload, LIMIT).await)) })
    }
}

/// What was chosen of a form's options. Any word may have been sent, and none at all; so a form can come back with what else was
/// filled in.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Choice(String);

impl Choice {
    /// The option of that name.
    ///
    /// # Errors
    /// `bad_choice` at `field`.
    pub fn read<T: DeserializeOwned>(&self, field: &'static str) -> Result<T, Problem> {
        let option: StrDeserializer<'_, serde::de::value::Error> = self.0.as_str().into_deserializer();
        T::deserialize(option).map_err(|_| bad_choice(field))
    }

    /// Whether a box was ticked, which sends `1`.
    ///
    /// # Errors
    /// `bad_choice` at `field`.
    pub fn ticked(&self, field: &'static str) -> Result<bool, Problem> {
        match self.0.as_str() {
            "1" => Ok(true),
            "" => Ok(false),
            _ => Err(bad_choice(field)),
        }
    }

    /// Of two options, `1` and `0`.
    ///
    /// # Errors
    /// `bad_choice` at `field`.
    pub fn yes(&self, field: &'static str) -> Result<bool, Problem> {
        match self.0.as_str() {
            "1" => Ok(true),
            "0" => Ok(false),
            _ => Err(bad_choice(field)),
        }
    }
}

fn bad_choice(field: &'static str) -> Problem {
    Problem::new(Code::BadField("bad_choice"), format!("`{field}` is none of the options.")).field(field)
}

async fn read_json<T: DeserializeOwned>(is_json: bool, payload: Payload) -> Result<T, Problem> {
    if !is_json {
        let sentence = "The body must be JSON: Content-Type: application/json.";
        return Err(Problem::new(Code::UnsupportedMediaType, sentence).field("Content-Type"));
    }
    parse(&read_all(payload, BODY_LIMIT).await?)
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (path, message) = (error.path().to_string(), short(&error.inner().to_string()));
        let problem = Problem::new(Code::BadField("bad_json"), format!("The body does not fit: {message}."));
        at_fault(problem, path, &message)
    })?;
    json.end().map_err(|_| Problem::new(Code::BadField("bad_json"), "Something follows the JSON value."))?;
    Ok(value)
}

async fn read_form<T: DeserializeOwned>(is_form: bool, payload: Payload) -> Result<T, Problem> {
    if !is_form {
        return Err(Problem::new(Code::UnsupportedMediaType, "The body must be a form.").field("Content-Type"));
    }
    parse_form(&read_all(payload, BODY_LIMIT).await?)
}

fn parse_form<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let fields = serde_urlencoded::Deserializer::new(form_urlencoded::parse(body));
    serde_path_to_error::deserialize(fields).map_err(|error| {
        let (path, message) = (error.path().to_string(), short(&error.inner().to_string()));
        let problem = Problem::new(Code::BadField("bad_form"), format!("The form does not fit: {message}."));
        at_fault(problem, path, &message)
    })
}

/// Names the field by serde's sentence, or else by where it was.
fn at_fault(problem: Problem, path: String, message: &str) -> Problem {
    match quoted_field(message) {
        Some(name) => problem.field(name),
        None if !path.contains('?') && path != "." => problem.field(path),
        None => problem,
    }
}

/// serde quotes what was sent, whatever its length.
fn short(message: &str) -> String {
    message.chars().take(200).collect()
}

/// serde names a field that is missing, unknown or there twice only in its sentence.
fn quoted_field(message: &str) -> Option<String> {
    let faults = ["unknown field `", "missing field `", "duplicate field `"];
    let rest = faults.iter().find_map(|fault| message.strip_prefix(fault))?;
    Some(rest.split('`').next()?.chars().take(64).collect())
}

/// A body that does not end is cut off at `limit` bytes.
pub(super) async fn read_all(payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::BodyTooLarge, format!("A body has at most {limit} bytes."));
    match to_bytes_limited(BodyStream::new(payload), limit).await {
        Err(_exceeded) => Err(too_large()),
        Ok(Err(error)) => Err(Problem::new(Code::BadRequest, "The body ended early or is broken.").because(error)),
        Ok(Ok(bytes)) => Ok(bytes),
    }
}

/// Reads a form's body and puts it back, so that `csrf` can look into it before the handler does.
pub(super) async fn buffer_form(request: &mut ServiceRequest) -> Result<Option<Bytes>, Problem> {
    if !request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(None);
    }
    let body = read_all(request.take_payload(), BODY_LIMIT).await?;
    request.set_payload(Payload::from(body.clone()));
    Ok(Some(body))
}

/// For `App::wrap(from_fn(…))`: a chunked body that nobody reads to its end costs its connection. The framework would
/// read on and on for the next request behind it, and a body that never ends would keep it busy for ever; it closes
/// connections whose body is still held when the answer goes out.
pub async fn hold_unread_body<B: MessageBody>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        let body = HeldBody { payload: Some(request.take_payload()) };
        request.set_payload(Payload::Stream { payload: Box::pin(body) });
    }
    next.call(request).await
}

/// How long an unread body is held: until its answer has surely been handed to the connection.
const HELD: Duration = Duration::from_secs(1);

struct HeldBody {
    /// None once it has been read to its end.
    payload: Option<Payload>,
}

impl Stream for HeldBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(payload) = &mut self.payload else { return Poll::Ready(None) };
        let next = std::task::ready!(Pin::new(payload).poll_next(context));
        if !matches!(next, Some(Ok(_))) {
            self.payload = None;
        }
        Poll::Ready(next)
    }
}

impl Drop for HeldBody {
    fn drop(&mut self) {
        if let Some(payload) = self.payload.take() {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(HELD).await;
                drop(payload);
            });
        }
    }
}

/// Answers of the framework's own extractors, as problems.
pub fn configure(config: &mut ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(BODY_LIMIT))
        .app_data(web::QueryConfig::default().error_handler(|error, _| query_problem(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|error, _| Problem::not_found().because(error).into()));
}

fn query_problem(error: &QueryPayloadError) -> Problem {
    let message = short(&error.to_string());
    let problem = Problem::new(Code::BadField("bad_parameter"), format!("The query does not fit: {message}."));
    match quoted_field(message.trim_start_matches("query deserialize error: ")) {
        Some(name) => problem.field(name),
        None => problem,
    }
}

/// `?after=ID&limit=N` of every list. Kept as text at first, so that a fault can name its parameter.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page, 1 to 200.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    limit: Option<String>,
}

impl Paging {
    const DEFAULT: u32 = 50;
    const MOST: u32 = 200;

    /// `after` and `limit` after their checks.
    pub fn check(self) -> Result<(Option<String>, u32), Problem> {
        let bad = |field, sentence| Problem::new(Code::BadField("bad_parameter"), sentence).field(field);
        if self.after.as_deref().is_some_and(|id| !ids::is_id(id)) {
            return Err(bad("after", "`after` is the id of an item."));
        }
        let limit = match self.limit {
            None => Self::DEFAULT,
            Some(text) => text.parse().unwrap_or(0),
        };
        if !(1..=Self::MOST).contains(&limit) {
            return Err(bad("limit", "`limit` is a number from 1 to 200."));
        }
        Ok((self.after, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        count: Option<u8>,
    }

    fn fault(body: &str) -> (Option<String>, String) {
        let problem = parse::<Sample>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code, Code::BadField("bad_json"));
        (problem.field.map(String::from), problem.detail.into_owned())
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(parse::<Sample>(br#"{"name":"a"}"#).unwrap(), Sample { name: "a".into(), count: None });
        assert_eq!(fault(r#"{"count":1}"#).0.as_deref(), Some("name"));
        assert_eq!(fault(r#"{"name":"a","extra":1}"#).0.as_deref(), Some("extra"));
        assert_eq!(fault(r#"{"name":1}"#).0.as_deref(), Some("name"));
        assert_eq!(fault(r#"{"name":"a","count":300}"#).0.as_deref(), Some("count"));
        assert_eq!(fault("").0, None);
        assert_eq!(fault("[1]").0.as_deref(), Some("[0]"));
        assert_eq!(fault(r#"{"name":"a"} x"#).0, None);
        assert!(fault(&format!(r#"{{"{}":1}}"#, "x".repeat(5_000))).1.len() < 300);
        assert!(fault(r#"{"name":"a""#).1.contains("EOF"));
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Filled {
        title: String,
        #[serde(default)]
        audience: crate::accounts::Audience,
        pinned: Option<String>,
    }

    #[test]
    fn the_field_of_a_form_at_fault_is_named() {
        let filled = Filled { title: "a b".into(), audience: crate::accounts::Audience::Pin, pinned: Some("1".into()) };
        assert_eq!(parse_form::<Filled>(b"title=a+b&audience=pin&pinned=1&csrf=x").unwrap(), filled);
        let at = |body: &str| parse_form::<Filled>(body.as_bytes()).unwrap_err().field.map(String::from);
        let chosen = |word: &str| Choice(word.to_owned()).read::<crate::accounts::Audience>("audience");
        assert_eq!(chosen("staff").unwrap(), crate::accounts::Audience::Staff);
        for word in ["", "Staff", "everyone", "0"] {
            assert_eq!(chosen(word).unwrap_err().field.as_deref(), Some("audience"), "{word}");
        }
        assert_eq!(at("title=a&audience=x").as_deref(), Some("audience"));
        assert_eq!(at("audience=pin").as_deref(), Some("title"));
        assert_eq!(at("title=a&title=b").as_deref(), Some("title"));
    }

    #[test]
    fn pages_are_bounded() {
        let check = |after: Option<&str>, limit: Option<&str>| {
            let paging = Paging { after: after.map(String::from), limit: limit.map(String::from) };
            paging.check().map_err(|problem| problem.field.unwrap().into_owned())
        };
        assert_eq!(check(None, None), Ok((None, 50)));
        assert_eq!(check(Some("a"), Some("200")), Ok((Some("a".to_string()), 200)));
        for limit in ["0", "201", "-1", "x", "", "99999999999"] {
            assert_eq!(check(None, Some(limit)), Err("limit".to_string()), "{limit}");
        }
        assert_eq!(check(Some("../x"), None), Err("after".to_string()));
    }
}

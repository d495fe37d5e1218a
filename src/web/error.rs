//! What a visitor is told when something is refused or fails: RFC 9457 problems for programs, a page for people.
//!
//! Handlers return `Result<_, Problem>`; `envelope` renders it, since only there the request is at hand. What a
//! failure was inside goes to the log under the request's id, never into an answer.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::accounts::Invalid;
use crate::library::imports::ImportError;
use crate::library::ladders::LadderError;
use crate::library::uploads::UploadError;
use crate::library::vod::LibraryError;
use crate::media::captions::CaptionsError;
use crate::people::{PeopleError, SignInError};
use crate::store::StoreError;

pub const PROBLEM_JSON: &str = "application/problem+json";

/// Every kind of refusal, with its status and the stable word by which programs and translations know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    BadRequest,
    /// A field of the body, the query or the path does not hold what it should; the word says in which way.
    BadField(&'static str),
    NotSignedIn,
    WrongCredentials,
    Forbidden,
    CsrfFailed,
    NotFound,
    MethodNotAllowed,
    UsernameTaken,
    LastAdmin,
    TooManyKeys,
    SetupClosed,
    BodyTooLarge,
    UnsupportedMediaType,
    TooManyAttempts,
    Internal,
    SetupRequired,
    /// The database cannot do it now; the word is [`StoreError::code`]'s.
    Database(&'static str),
    DiskFull,
    /// For what only one handler knows; 4xx, 503 or 507.
    Other(StatusCode, &'static str),
}

impl Code {
    pub fn status(self) -> StatusCode {
        match self {
            Code::BadRequest | Code::BadField(_) => StatusCode::BAD_REQUEST,
            Code::NotSignedIn | Code::WrongCredentials => StatusCode::UNAUTHORIZED,
            Code::Forbidden | Code::CsrfFailed => StatusCode::FORBIDDEN,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Code::UsernameTaken | Code::LastAdmin | Code::TooManyKeys => StatusCode::CONFLICT,
            Code::SetupClosed => StatusCode::GONE,
            Code::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Code::SetupRequired | Code::Database(_) => StatusCode::SERVICE_UNAVAILABLE,
            Code::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
            Code::Other(status, _) => status,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Code::BadRequest => "bad_request",
            Code::NotSignedIn => "not_signed_in",
            Code::WrongCredentials => "wrong_credentials",
            Code::Forbidden => "forbidden",
            Code::CsrfFailed => "csrf_failed",
            Code::NotFound => "not_found",
            Code::MethodNotAllowed => "method_not_allowed",
            Code::UsernameTaken => "username_taken",
            Code::LastAdmin => "last_admin",
            Code::TooManyKeys => "too_many_keys",
            Code::SetupClosed => "setup_closed",
            Code::BodyTooLarge => "body_too_large",
            Code::UnsupportedMediaType => "unsupported_media_type",
            Code::TooManyAttempts => "too_many_attempts",
            Code::Internal => "internal",
            Code::SetupRequired => "setup_required",
            Code::DiskFull => "disk_full",
            Code::BadField(word) | Code::Database(word) | Code::Other(_, word) => word,
        }
    }
}

/// One refusal. `Display` is for the log.
#[derive(Debug, Clone)]
pub struct Problem {
    pub code: Code,
    /// An English sentence for whoever wrote the request.
    pub detail: Cow<'static, str>,
    /// The field, parameter or header that is at fault.
    pub field: Option<Cow<'static, str>>,
    pub retry_after_s: Option<u64>,
    /// For the log alone.
    pub cause: Option<String>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { code, detail: detail.into(), field: None, retry_after_s: None, cause: None }
    }

    /// A fault of the program or the box: the visitor learns nothing of `cause`.
    pub fn internal(cause: impl fmt::Display) -> Problem {
        Problem::new(Code::Internal, "Something went wrong on this box.").because(cause)
    }

    pub fn not_found() -> Problem {
        Problem::new(Code::NotFound, "There is nothing at this address.")
    }

    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Problem {
        self.field = Some(field.into());
        self
    }

    pub fn because(mut self, cause: impl fmt::Display) -> Problem {
        self.cause = Some(cause.to_string());
        self
    }

    /// Whole seconds after which trying again makes sense.
    pub fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The problem that best describes an answer of which only the status is known.
    pub fn of_status(status: StatusCode) -> Problem {
        match status {
            StatusCode::NOT_FOUND => Problem::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => {
                Problem::new(Code::MethodNotAllowed, "This address does not take this method.")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Code::BodyTooLarge, "The body is too large."),
            status if status.is_server_error() => Problem::internal(status),
            status => Problem::new(Code::Other(status, "bad_request"), "The request cannot be answered."),
        }
    }

    /// RFC 9457, with the extensions `code`, `field` and `request_id`.
    pub fn json(&self, request_id: Option<&str>) -> HttpResponse {
        let status = self.code.status();
        let mut body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "code": self.code.as_str(),
            "detail": self.detail,
        });
        if let Some(field) = &self.field {
            body["field"] = field.as_ref().into();
        }
        if let Some(id) = request_id {
            body["request_id"] = id.into();
        }
        self.response().content_type(PROBLEM_JSON).body(body.to_string())
    }

    /// Status and headers for a page made by the site.
    pub fn html(&self, page: String) -> HttpResponse {
        self.response().content_type("text/html; charset=utf-8").body(page)
    }

    /// The sentence alone.
    pub fn text(&self) -> HttpResponse {
        self.response().content_type("text/plain; charset=utf-8").body(self.detail.clone().into_owned())
    }

    fn response(&self) -> actix_web::HttpResponseBuilder {
        let mut response = HttpResponse::build(self.code.status());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if self.code == Code::NotSignedIn {
            // RFC 9110, 11.6.1: a 401 names a scheme. Browsers know no dialogue for this one.
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.code.as_str()),
            None => write!(f, "{}: {}", self.code.as_str(), self.detail),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.json(None)
    }
}

/// How the site draws a refusal; it registers this as app data. Without it, people get the sentence alone.
#[derive(Clone, Copy)]
pub struct ErrorPages(pub fn(&HttpRequest, &Problem, request_id: &str) -> String);

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Problem {
        Problem::new(Code::BadField(invalid.code()), invalid.to_string()).field(invalid.field())
    }
}

impl From<CaptionsError> for Problem {
    fn from(error: CaptionsError) -> Problem {
        Problem::new(Code::BadField(error.code()), error.to_string()).field("captions")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let sentence = match error {
            StoreError::DiskFull => {
                return Problem::new(Code::DiskFull, "There is no room left on this box.").because(error);
            }
            StoreError::Locked => "The database is busy. Try again in a moment.",
            StoreError::Disk(_) => "The disk of this box does not take what is written, so nothing can be changed.",
            StoreError::ReadOnly => "The database is read-only at the moment, so nothing can be changed.",
            StoreError::Closed => "siaran is shutting down.",
            other => return Problem::internal(other),
        };
        Problem::new(Code::Database(error.code()), sentence).retry_after(2).because(error)
    }
}

impl From<LibraryError> for Problem {
    fn from(error: LibraryError) -> Problem {
        match error {
            LibraryError::Store(error) => error.into(),
            LibraryError::Io(_) | LibraryError::Media(_) => Problem::internal(error),
        }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Problem {
        let (status, word) = match error {
            UploadError::Store(error) => return error.into(),
            UploadError::Unknown => (StatusCode::NOT_FOUND, "upload_unknown"),
            UploadError::Empty => (StatusCode::BAD_REQUEST, "upload_empty"),
            UploadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "upload_too_large"),
            UploadError::TooMany => (StatusCode::CONFLICT, "too_many_uploads"),
            UploadError::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "upload_no_room"),
            UploadError::Offset(_) => (StatusCode::CONFLICT, "wrong_offset"),
            UploadError::Busy => (StatusCode::LOCKED, "upload_busy"),
            UploadError::Excess => (StatusCode::PAYLOAD_TOO_LARGE, "upload_excess"),
            UploadError::Stalled => (StatusCode::REQUEST_TIMEOUT, "upload_stalled"),
            UploadError::Broken(_) => (StatusCode::BAD_REQUEST, "upload_broken"),
        };
        let field = match error {
            UploadError::Offset(_) => Some("Upload-Offset"),
            UploadError::Empty | UploadError::TooLarge(_) => Some("Upload-Length"),
            _ => None,
        };
        let problem = Problem::new(Code::Other(status, word), error.to_string());
        match field {
            Some(field) => problem.field(field),
            None => problem,
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Problem {
        let word = match &error {
            ImportError::NotFound => return Problem::new(Code::NotFound, error.to_string()),
            ImportError::Over => "import_over",
            ImportError::NotRefused => "import_not_refused",
            ImportError::Gone => "import_gone",
            ImportError::Store(_) => "",
        };
        match error {
            ImportError::Store(error) => error.into(),
            error => Problem::new(Code::Other(StatusCode::CONFLICT, word), error.to_string()),
        }
    }
}

impl From<LadderError> for Problem {
    fn from(error: LadderError) -> Problem {
        let word = match &error {
            LadderError::NotWorking => "ladder_not_working",
            LadderError::NotFailed => "ladder_not_failed",
            LadderError::Library(_) => "",
        };
        match error {
            LadderError::Library(error) => error.into(),
            error => Problem::new(Code::Other(StatusCode::CONFLICT, word), error.to_string()),
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Problem {
        let sentence = error.to_string();
        match error {
            PeopleError::Invalid(invalid) => invalid.into(),
            PeopleError::UsernameTaken => Problem::new(Code::UsernameTaken, sentence).field("username"),
            PeopleError::LastAdmin => Problem::new(Code::LastAdmin, sentence),
            PeopleError::NoAccount | PeopleError::NoKey => Problem::new(Code::NotFound, sentence),
            PeopleError::TooManyKeys => Problem::new(Code::TooManyKeys, sentence),
            PeopleError::UnknownCursor => Problem::new(Code::BadField("bad_parameter"), sentence).field("after"),
            PeopleError::SetupClosed => Problem::new(Code::SetupClosed, sentence),
            PeopleError::Store(error) => error.into(),
            PeopleError::Hash(error) => Problem::internal(error),
        }
    }
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Problem {
        let sentence = error.to_string();
        match (error.retry_after_s(), error) {
            (_, SignInError::Wrong) => Problem::new(Code::WrongCredentials, sentence),
            (wait, SignInError::Throttled(_)) => {
                Problem::new(Code::TooManyAttempts, sentence).retry_after(wait.unwrap_or(1))
            }
            (_, SignInError::Failed(error)) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    async fn body(problem: &Problem) -> serde_json::Value {
        let response = problem.json(Some("r1"));
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), PROBLEM_JSON);
        serde_json::from_slice(&to_bytes(response.into_body()).await.unwrap()).unwrap()
    }

    #[actix_web::test]
    async fn a_problem_says_what_and_where() {
        let body = body(&Problem::from(Invalid::PasswordTooShort)).await;
        assert_eq!(body["status"], 400);
        assert_eq!(body["code"], "password_too_short");
        assert_eq!(body["field"], "password");
        assert_eq!(body["request_id"], "r1");
        assert_eq!(body["detail"], "A password has at least 10 characters.");
    }

    #[actix_web::test]
    async fn an_inner_failure_tells_a_visitor_nothing() {
        let problem = Problem::from(StoreError::Disk("EIO at /secret/place".to_string()));
        assert!(!body(&problem).await.to_string().contains("secret"));
        assert!(problem.to_string().contains("/secret/place"), "the log has it");
    }

    #[test]
    fn each_state_of_the_database_has_its_answer() {
        let answer = |error: StoreError| {
            let problem = Problem::from(error);
            (problem.code.status().as_u16(), problem.code.as_str())
        };
        assert_eq!(answer(StoreError::Locked), (503, "database_locked"));
        assert_eq!(answer(StoreError::ReadOnly), (503, "database_read_only"));
        assert_eq!(answer(StoreError::DiskFull), (507, "disk_full"));
        assert_eq!(answer(StoreError::Disk(String::from("EROFS"))), (503, "disk_error"));
        assert_eq!(answer(StoreError::Damaged), (500, "internal"));
    }
}

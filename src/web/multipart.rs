//! Forms with a file: `multipart/form-data` (RFC 7578), and only of those who are signed in. They are read whole, but for the
//! one whose file is too large for memory.

use std::rc::Rc;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::{StreamExt, stream};

use super::error::{Code, Problem};
use super::{guard, input};
use crate::media::captions;

/// Bytes of a whole form: captions as a file and as typed text, and some room for what stands around them.
const LIMIT: usize = 2 * captions::MOST_BYTES + input::BODY_LIMIT;

/// Where a form is sent whose file is left to its handler.
pub const STREAMED: &str = "/studio/upload";
/// Fields before that file.
const MOST_BEFORE: usize = 8;

/// Fields of a form in their order; a file is a field like any other.
#[derive(Debug, Clone)]
pub struct Fields(Rc<Vec<(String, Bytes)>>);

impl Fields {
    /// The first field of this name; empty when it is not there.
    pub fn bytes(&self, name: &str) -> Bytes {
        self.0.iter().find(|(known, _)| known == name).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// The same as text; what is no UTF-8 in it is replaced.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.bytes(name)).into_owned()
    }
}

/// The fields that [`read`] has found.
impl FromRequest for Fields {
    type Error = Problem;
    type Future = std::future::Ready<Result<Fields, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = request.extensions().get::<Result<Fields, Problem>>().cloned();
        std::future::ready(read.unwrap_or_else(|| Err(no_form())))
    }
}

/// A form whose file may be of any size: what stands before it has been read, its bytes are still to come.
pub struct Begun {
    pub fields: Fields,
    /// None where the form ended without one.
    pub file: Option<Field>,
    /// Outlives the field.
    pub form: Multipart,
}

/// The form that [`read`] has begun to read, or what is wrong with it: a handler asks after its guards.
pub struct Incoming(Result<Begun, Problem>);

impl Incoming {
    /// What was sent.
    pub fn take(self) -> Result<Begun, Problem> {
        self.0
    }
}

impl FromRequest for Incoming {
    type Error = Problem;
    type Future = std::future::Ready<Result<Incoming, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let begun = request.extensions_mut().remove::<Result<Begun, Problem>>();
        std::future::ready(Ok(Incoming(begun.unwrap_or_else(|| Err(no_form())))))
    }
}

fn no_form() -> Problem {
    let sentence = "The body must be a multipart form.";
    Problem::new(Code::UnsupportedMediaType, sentence).field("Content-Type")
}

/// Reads a multipart form, and keeps it or what is wrong with it for its handler. The value of its field `token`. Nothing is
/// read of somebody without a session, whom no such form is for.
pub(super) async fn read(request: &mut ServiceRequest, token: &str) -> Option<String> {
    let is_form = request.content_type().eq_ignore_ascii_case("multipart/form-data");
    if !is_form || !guard::is_known(request.request()).await.unwrap_or(false) {
        return None;
    }
    if request.path() == STREAMED {
        let begun = begin(request).await;
        let value = begun.as_ref().ok().map(|form| form.fields.text(token));
        request.extensions_mut().insert(begun);
        return value;
    }
    let form = fields(request).await;
    let value = form.as_ref().ok().map(|fields| fields.text(token));
    request.extensions_mut().insert(form);
    value
}

async fn begin(request: &mut ServiceRequest) -> Result<Begun, Problem> {
    let payload = request.take_payload();
    let mut form = Multipart::new(request.headers(), payload);
    let mut fields = Vec::new();
    let file = loop {
        let Some(field) = form.next().await else { break None };
        let field = field.map_err(unreadable)?;
        if field.content_disposition().is_some_and(|about| about.get_filename().is_some()) {
            break Some(field);
        }
        if fields.len() == MOST_BEFORE {
            return Err(Problem::new(Code::BodyTooLarge, "The form has too many fields."));
        }
        fields.push(whole(field, input::BODY_LIMIT).await?);
    };
    Ok(Begun { fields: Fields(Rc::new(fields)), file, form })
}

async fn fields(request: &mut ServiceRequest) -> Result<Fields, Problem> {
    let body = input::read_all(request.take_payload(), LIMIT).await?;
    let mut form = Multipart::new(request.headers(), stream::iter([Ok(body)]));
    let mut fields = Vec::new();
    while let Some(field) = form.next().await {
        fields.push(whole(field.map_err(unreadable)?, LIMIT).await?);
    }
    Ok(Fields(Rc::new(fields)))
}

/// Name and value.
async fn whole(mut field: Field, limit: usize) -> Result<(String, Bytes), Problem> {
    let name = field.name().unwrap_or_default().to_owned();
    let too_large = |_| Problem::new(Code::BodyTooLarge, "A field of the form is too large.");
    let bytes = field.bytes(limit).await.map_err(too_large)?.map_err(unreadable)?;
    Ok((name, bytes))
}

fn unreadable(error: MultipartError) -> Problem {
    Problem::new(Code::BadField("bad_form"), "The form cannot be read.").because(error)
}

//! Forms with a file: `multipart/form-data` (RFC 7578), read whole, and only of those who are signed in.

use std::rc::Rc;

use actix_multipart::Multipart;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::{StreamExt, stream};

use super::error::{Code, Problem};
use super::{guard, input};
use crate::media::captions;

/// Bytes of a whole form: captions as a file and as typed text, and some room for what stands around them.
const LIMIT: usize = 2 * captions::MOST_BYTES + input::BODY_LIMIT;

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
        let sentence = "The body must be a multipart form.";
        let missing = || Problem::new(Code::UnsupportedMediaType, sentence).field("Content-Type");
        let read = request.extensions().get::<Result<Fields, Problem>>().cloned();
        std::future::ready(read.unwrap_or_else(|| Err(missing())))
    }
}

/// Reads a multipart form. Nothing is read of somebody without a session, whom no such form is for.
pub(super) async fn read(request: &mut ServiceRequest) -> Option<Result<Fields, Problem>> {
    let is_form = request.content_type().eq_ignore_ascii_case("multipart/form-data");
    if !is_form || !guard::is_known(request.request()).await.unwrap_or(false) {
        return None;
    }
    Some(fields(request).await)
}

async fn fields(request: &mut ServiceRequest) -> Result<Fields, Problem> {
    let body = input::read_all(request.take_payload(), LIMIT).await?;
    let unreadable = |error| Problem::new(Code::BadField("bad_form"), "The form cannot be read.").because(error);
    let mut form = Multipart::new(request.headers(), stream::iter([Ok(body)]));
    let mut fields = Vec::new();
    while let Some(field) = form.next().await {
        let mut field = field.map_err(unreadable)?;
        let name = field.name().unwrap_or_default().to_owned();
        let too_large = |_| Problem::new(Code::BodyTooLarge, "A field of the form is too large.");
        let bytes = field.bytes(LIMIT).await.map_err(too_large)?.map_err(unreadable)?;
        fields.push((name, bytes));
    }
    Ok(Fields(Rc::new(fields)))
}

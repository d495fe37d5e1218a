//! Answers made of bytes from memory and from files: ranges, validators, and a body that never blocks a runtime's thread.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{self, ByteRangeSpec, Header, HeaderValue, Range};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::wire::Handover;
use crate::library::read::{self, Piece, READ};

/// What is being served.
pub struct Content {
    pub pieces: Vec<Piece>,
    pub media_type: &'static str,
    /// `Cache-Control`.
    pub cache: String,
    /// Opaque, without quotes; the same tag, the same bytes for ever.
    pub tag: String,
}

/// Answers GET and HEAD, with `Range` (RFC 9110 14) and `If-None-Match` (RFC 9110 13.1.2).
pub fn answer(request: &HttpRequest, content: Content) -> HttpResponse {
    let Content { pieces, media_type, cache, tag } = content;
    let length: u64 = pieces.iter().map(Piece::length).sum();
    let tag = format!("\"{tag}\"");
    if is_known(request, &tag) {
        let mut unchanged = HttpResponse::NotModified();
        return unchanged.insert_header((header::ETAG, tag)).insert_header((header::CACHE_CONTROL, cache)).finish();
    }
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CACHE_CONTROL, cache))
        .insert_header((header::ACCEPT_RANGES, "bytes"));
    let body = match range(request, &tag, length) {
        Asked::Whole => pieces,
        Asked::Part { offset, length: part } => {
            let last = offset + part - 1;
            response
                .status(StatusCode::PARTIAL_CONTENT)
                .insert_header((header::CONTENT_RANGE, format!("bytes {offset}-{last}/{length}")));
            read::slice(&pieces, offset, part)
        }
        Asked::Beyond => {
            return HttpResponse::RangeNotSatisfiable()
                .insert_header((header::CONTENT_RANGE, format!("bytes */{length}")))
                .finish();
        }
    };
    response.insert_header((header::ETAG, tag));
    let body = Body::new(body, wire(request));
    if body.size() == BodySize::Stream {
        // What the connection sends by itself, the framework can neither count nor wrap.
        response.no_chunking(body.length);
    }
    response.body(body)
}

/// The connection, where it can send files by itself.
fn wire(request: &HttpRequest) -> Option<Rc<Handover>> {
    let plain = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    plain.then(|| request.conn_data::<Rc<Handover>>().cloned()).flatten()
}

enum Asked {
    Whole,
    Part { offset: u64, length: u64 },
    Beyond,
}

/// One range is honoured. Several, or ones that cannot be read, are answered with the whole, as RFC 9110 14.2 allows.
fn range(request: &HttpRequest, tag: &str, length: u64) -> Asked {
    let named = request.headers().contains_key(header::RANGE);
    // Compared strongly, and alone: RFC 9110 13.1.5.
    let stale = request.headers().get(header::IF_RANGE).is_some_and(|validator| validator.as_bytes() != tag.as_bytes());
    if !named || stale {
        return Asked::Whole;
    }
    let Ok(Range::Bytes(specs)) = Range::parse(request) else { return Asked::Whole };
    let [spec] = &specs[..] else { return Asked::Whole };
    if let ByteRangeSpec::FromTo(from, to) = spec
        && from > to
    {
        return Asked::Whole;
    }
    match spec.to_satisfiable_range(length) {
        Some((from, to)) => Asked::Part { offset: from, length: to - from + 1 },
        None => Asked::Beyond,
    }
}

/// Whether the client has these bytes already: `If-None-Match` is compared weakly (RFC 9110 13.1.2).
fn is_known(request: &HttpRequest, tag: &str) -> bool {
    let lists = |value: &HeaderValue| {
        let list = value.to_str().unwrap_or_default().split(',');
        list.map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
    };
    request.headers().get(header::IF_NONE_MATCH).is_some_and(lists)
}

/// A body that streams pieces. What it gives itself comes [`READ`] bytes at a time: a client that stalls holds no more than that.
struct Body {
    pieces: VecDeque<Piece>,
    length: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    wire: Option<Rc<Handover>>,
}

impl Body {
    fn new(pieces: Vec<Piece>, wire: Option<Rc<Handover>>) -> Body {
        let length = pieces.iter().map(Piece::length).sum();
        let wire = wire.filter(|_| pieces.iter().any(|piece| matches!(piece, Piece::File(_))));
        Body { pieces: pieces.into(), length, reading: None, wire }
    }

    fn step(&mut self) -> io::Result<Step> {
        while self.pieces.front().is_some_and(|piece| piece.length() == 0) {
            self.pieces.pop_front();
        }
        let range = match self.pieces.front_mut() {
            None => return Ok(Step::End),
            Some(Piece::Memory(bytes)) => return Ok(Step::Bytes(bytes.split_to(bytes.len().min(READ)))),
            Some(Piece::File(range)) => range,
        };
        match &self.wire {
            Some(wire) => {
                if let Some(cached) = range.cached()? {
                    range.advance(cached.length as usize);
                    wire.offer(cached);
                    return Ok(Step::Wait);
                }
            }
            None => {
                if let Some(bytes) = range.read_cached()? {
                    range.advance(bytes.len());
                    return Ok(Step::Bytes(bytes));
                }
            }
        }
        let range = range.clone();
        self.reading = Some(tokio::task::spawn_blocking(move || range.read_blocking()));
        Ok(Step::Wait)
    }
}

/// How a body goes on.
enum Step {
    Bytes(Bytes),
    /// They are being sent or read.
    Wait,
    End,
}

impl MessageBody for Body {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        if self.wire.is_some() { BodySize::Stream } else { BodySize::Sized(self.length) }
    }

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let body = self.get_mut();
        loop {
            if body.wire.as_ref().is_some_and(|wire| !wire.is_done()) {
                return Poll::Pending; // whoever sends wakes us
            }
            if let Some(reading) = &mut body.reading {
                let Poll::Ready(read) = Pin::new(reading).poll(context) else { return Poll::Pending };
                body.reading = None;
                let read = read.map_err(io::Error::other).flatten();
                if let (Ok(bytes), Some(Piece::File(range))) = (&read, body.pieces.front_mut()) {
                    range.advance(bytes.len());
                }
                return Poll::Ready(Some(read));
            }
            match body.step() {
                Ok(Step::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Ok(Step::Wait) => {}
                Ok(Step::End) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

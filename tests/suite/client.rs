//! Asking a server as programs and browsers do: one request, one whole answer. What the answers should be is the tests'.

use std::io::Read;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderMap, Request};

use crate::server::AGES;

/// Who asks.
#[derive(Debug, Clone, Default)]
pub enum By {
    #[default]
    Stranger,
    Bearer(String),
    /// A `Cookie` header, as a browser would send it.
    Cookie(String),
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    /// The body as JSON; null when it is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("plain"))
    }

    /// The stable word of a refusal (RFC 9457), which must be one.
    pub fn code(&self) -> String {
        let body = self.json();
        let what = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {what}", self.status);
        assert_eq!(body["status"], self.status, "{what}");
        String::from(body["code"].as_str().expect("a code"))
    }
}

/// One server, asked by one person.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    pub by: By,
}

impl Client {
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .allow_non_standard_methods(true)
            .timeout_global(Some(AGES + Duration::from_secs(30)));
        Self { agent: config.build().into(), base: String::from(base), by: By::Stranger }
    }

    /// The same server, asked by somebody else.
    pub fn by(&self, by: By) -> Self {
        Self { by, ..Self::new(&self.base) }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], None)
    }

    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers, None)
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, path, &[("content-type", "application/json")], Some(body.to_string().into_bytes()))
    }

    pub fn form(&self, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let headers = [&[("content-type", "application/x-www-form-urlencoded")], headers].concat();
        self.send("POST", path, &headers, Some(pairs.join("&").into_bytes()))
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Vec<u8>>) -> Reply {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Status and body; none where there is no answer, or only half of one.
    pub fn try_get(&self, path: &str) -> Option<(u16, Vec<u8>)> {
        self.try_send("GET", path, &[], None).ok().map(|reply| (reply.status, reply.body))
    }

    fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        match &self.by {
            By::Stranger => {}
            By::Bearer(token) => request = request.header("authorization", format!("Bearer {token}")),
            By::Cookie(cookie) => request = request.header("cookie", cookie),
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None if matches!(method, "POST" | "PUT" | "PATCH") => {
                self.agent.run(request.body(Vec::new()).expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        };
        sent.map_err(|error| error.to_string()).and_then(Reply::read)
    }
}

impl Reply {
    fn read(mut reply: ureq::http::Response<ureq::Body>) -> Result<Reply, String> {
        let mut body = Vec::new();
        reply.body_mut().as_reader().read_to_end(&mut body).map_err(|error| error.to_string())?;
        Ok(Reply { status: reply.status().as_u16(), headers: reply.headers().clone(), body })
    }
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if keep(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

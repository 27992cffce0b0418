//! One request, and what it can come to.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::dispatch::Dispatch;
use crate::events::StreamId;
use crate::json;

/// Header names and values, in order; names match in any letter case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a header behind the others.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// All headers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A request as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// As sent, still percent-encoded, without the query.
    pub path: String,
    /// As sent, without the question mark; empty if there is none.
    pub query: String,
    /// The headers, `Host` included.
    pub headers: Headers,
    /// The whole body.
    pub body: Bytes,
    /// The address of the client, without its port.
    pub peer: String,
}

impl Request {
    /// A request without headers and body. `target` may have a query.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Headers::default(),
            body: Bytes::new(),
            peer: "127.0.0.1".to_owned(),
        }
    }

    /// The same request with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same request with a bearer token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// The same request with a JSON body.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self.header("Content-Type", "application/json")
    }
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// All headers but `Date`, `Content-Length` and `Connection`.
    pub headers: Headers,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// An answer without headers and body.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Headers::default(), body: Bytes::new() }
    }

    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status).with("Content-Type", content_type) }
    }

    /// JSON with the keys in alphabetical order.
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::json_as_is(status, &json::alphabetical(body))
    }

    /// JSON with the keys in the order given.
    pub(crate) fn json_as_is(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", json::encode(body))
    }

    pub(crate) fn error(status: u16, error: impl Into<String>) -> Self {
        Self::json(status, serde_json::json!({ "error": error.into() }))
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn body_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// What an endpoint gives: the straight path on the left, the refusal on the right.
pub(crate) type Answer = Result<Response, Response>;

/// What a request comes to. Only the first kind is complete.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Send this.
    Answer(Response),
    /// Close the connection without an answer.
    Close,
    /// Hold the reply back for so long, then do what it says.
    Delay(Duration, Box<Reply>),
    /// Call the agent, then ask [`crate::Platform::dispatched`] for the answer.
    Dispatch(Dispatch),
    /// Send the head, then the events of the stream as they come, as server-sent events.
    Events(Response, StreamId),
    /// Upgrade to a WebSocket, then send the events of the stream as they come.
    Upgrade(StreamId),
}

impl Reply {
    /// The answer of a reply that is complete at once, however late it comes.
    #[must_use]
    pub fn answer(self) -> Option<Response> {
        match self {
            Self::Answer(response) => Some(response),
            Self::Delay(_, reply) => reply.answer(),
            Self::Close | Self::Dispatch(_) | Self::Events(..) | Self::Upgrade(_) => None,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer.unwrap_or_else(|refusal| refusal))
    }
}

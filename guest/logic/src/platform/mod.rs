//! Every endpoint of the platform: how to ask, and how to read the answer.
//!
//! One file an area. Each endpoint is two functions, or one async function over both. Nothing
//! else in the component spells a path of the platform.

pub(crate) mod a2a;
pub(crate) mod activity;
pub(crate) mod delegate;
pub(crate) mod delegations;
pub(crate) mod discover;
pub(crate) mod fate;
pub(crate) mod memory;
pub(crate) mod messages;
pub(crate) mod parts;
pub(crate) mod peers;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod report;
pub(crate) mod stamp;
pub(crate) mod uploads;
pub(crate) mod words;
pub(crate) mod workspace;

use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use crate::{
    dialogue::{Host, NoAnswer},
    text::{
        lenient_json::{self, Shape},
        redact, untrusted,
    },
    wire::{Limits, Method, PlatformRequest, PlatformResponse, Workspace},
};

/// Reads of small things.
const READ: Limits = Limits { first_byte_ms: 10_000, total_ms: 20_000, body_bytes: MIB };

const MIB: u32 = 1 << 20;

/// How a [`PlatformError::Shape`] reads that nobody but something in front of the platform sends.
const WEB_PAGE: &str = "was a web page, not JSON";

/// Before a second try to connect.
const PAUSE_MS: u64 = 1_000;

/// Why a call to the platform gave nothing to work with.
#[derive(Debug, Clone, PartialEq, Error)]
pub(crate) enum PlatformError {
    #[error("the answer is larger than accepted")]
    Overflowed,
    /// This side does not send such a request.
    #[error("not sent: {0}")]
    Refused(String),
    /// Something in front of the platform answered, or the platform is not the expected one.
    #[error("HTTP 200, but the body {0}")]
    Shape(String),
    /// Any status that is not a success, with the platform's own words if it had any, and the pause
    /// that it asks for.
    #[error("HTTP {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status { status: u16, said: String, retry_after_ms: Option<u64> },
    #[error("{reason}")]
    Unreachable { reason: String, maybe_sent: bool },
}

impl PlatformError {
    /// Whether the platform itself refuses the token: `401 invalid workspace auth token`, or `missing …`.
    pub(crate) fn refuses_token(&self) -> bool {
        matches!(self, Self::Status { status: 401 | 403, said, .. } if says_token(said))
    }

    /// Milliseconds for which the platform asks to be left alone.
    pub(crate) fn asked_ms(&self) -> u64 {
        match self {
            Self::Status { retry_after_ms, .. } => retry_after_ms.unwrap_or_default(),
            Self::Overflowed | Self::Refused(_) | Self::Shape(_) | Self::Unreachable { .. } => 0,
        }
    }

    /// Whether something else than the platform answered: a login page, a firewall, a proxy.
    pub(crate) fn is_in_front(&self) -> bool {
        match self {
            Self::Shape(why) => why == WEB_PAGE,
            // The platform never refuses without a word.
            Self::Status { status: 300..=399 | 407 | 511, .. } => true,
            Self::Status { status, said, .. } => {
                *status == 401 && !says_token(said) || *status == 403 && said.is_empty()
            }
            Self::Overflowed | Self::Refused(_) | Self::Unreachable { .. } => false,
        }
    }
}

/// Whether these are the platform's words about a token.
pub(crate) fn says_token(said: &str) -> bool {
    said.to_ascii_lowercase().contains("auth token")
}

impl From<NoAnswer> for PlatformError {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Overflowed => Self::Overflowed,
            NoAnswer::Refused(why) => Self::Refused(why),
            NoAnswer::Unreachable { reason, maybe_sent } => Self::Unreachable { reason, maybe_sent },
        }
    }
}

/// A GET of `path` by `workspace`.
fn get<const N: usize>(workspace: Workspace, path: [&str; N]) -> PlatformRequest {
    PlatformRequest {
        workspace,
        method: Method::Get,
        path: path.map(str::to_owned).into(),
        query: Vec::new(),
        identify: false,
        body: None,
        limits: READ,
    }
}

/// A POST of `body` to `path` by `workspace`.
fn post<const N: usize>(workspace: Workspace, path: [&str; N], body: &Value) -> PlatformRequest {
    let body = Some(body.to_string().into_bytes());
    PlatformRequest { method: Method::Post, body, ..get(workspace, path) }
}

/// Reads a success as `T`.
fn read<T: DeserializeOwned>(response: &PlatformResponse) -> Result<T, PlatformError> {
    let body = success(response)?;
    serde_json::from_slice(body).map_err(|cause| misshapen(response, || format!("was not JSON: {cause}")))
}

/// What a body is that cannot be read for the reason `why`, unless something in front of the platform has answered
/// with a page for people.
fn misshapen(response: &PlatformResponse, why: impl FnOnce() -> String) -> PlatformError {
    let is_page = !response.json && response.body.trim_ascii_start().starts_with(b"<");
    PlatformError::Shape(if is_page { WEB_PAGE.to_owned() } else { why() })
}

/// Reads a success as a list of objects, of which no more is kept than `T` wants. Nothing stands for an element
/// that is no object; what is beyond reading in one of them is left to `one`.
fn list_of<T: Shape>(
    response: &PlatformResponse,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Vec<Option<T>>, PlatformError> {
    let text = String::from_utf8_lossy(success(response)?);
    let what = || match text.trim_start().bytes().next() {
        Some(b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => "was not a list",
        Some(_) | None => "was not JSON",
    };
    lenient_json::list(&text, one).map_err(|cause| misshapen(response, || format!("{}: {cause}", what())))
}

/// The elements of a list.
fn rows(answer: Value) -> Result<Vec<Value>, PlatformError> {
    let kind = match answer {
        Value::Array(rows) => return Ok(rows),
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Object(_) => "an object",
    };
    Err(PlatformError::Shape(format!("was not a list but {kind}")))
}

/// The body of a success.
fn success(response: &PlatformResponse) -> Result<&[u8], PlatformError> {
    if (200..300).contains(&response.status) {
        return Ok(&response.body);
    }
    Err(PlatformError::Status {
        status: response.status,
        said: said(&response.body),
        retry_after_ms: response.retry_after_ms,
    })
}

/// What an error body says, on one line of at most 200 characters and without credentials: the
/// field `error` of an object, else nothing for HTML, else the text itself.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(object)) => match object.get("error") {
            Some(Value::String(error)) => error.clone(),
            Some(error) if !error.is_null() => error.to_string(),
            Some(_) | None => text.into_owned(),
        },
        Ok(_) => text.into_owned(),
        Err(_) if text.trim_start().starts_with('<') => String::new(),
        Err(_) => text.into_owned(),
    };
    untrusted::excerpt(&redact::diagnostic(&said), 200)
}

/// Sends what must not arrive twice: once more only if the first try got nowhere.
async fn send_again_if_unsent(
    host: &Host,
    request: PlatformRequest,
) -> Result<PlatformResponse, PlatformError> {
    let first = host.send(request.clone()).await;
    if !matches!(first, Err(NoAnswer::Unreachable { maybe_sent: false, .. })) {
        return Ok(first?);
    }
    host.rest_until(host.now().saturating_add(PAUSE_MS)).await;
    Ok(host.send(request).await?)
}

/// Sends, and reads a success as `T`.
async fn fetch<T: DeserializeOwned>(host: &Host, request: PlatformRequest) -> Result<T, PlatformError> {
    read(&host.send(request).await?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wire::{Outcome, Unreachable};

    /// An answer of the platform.
    pub(crate) fn responded(status: u16, body: &Value) -> Outcome {
        Outcome::Responded(PlatformResponse {
            status,
            json: true,
            retry_after_ms: None,
            server_time_ms: None,
            body: body.to_string().into_bytes(),
        })
    }

    /// A success that comes from something in front of the platform.
    pub(crate) fn page() -> Outcome {
        Outcome::Responded(PlatformResponse {
            status: 200,
            json: false,
            retry_after_ms: None,
            server_time_ms: None,
            body: b"<html><body>Canvas</body></html>".to_vec(),
        })
    }

    /// No answer; `maybe_sent` says whether the request may have arrived.
    pub(crate) fn unreachable(maybe_sent: bool) -> Outcome {
        Outcome::Unreachable(Unreachable { reason: "connection reset".to_owned(), maybe_sent })
    }

    /// An answer in its parts.
    pub(crate) fn raw(status: u16, json: bool, body: &str) -> PlatformResponse {
        PlatformResponse { status, json, retry_after_ms: None, server_time_ms: None, body: body.into() }
    }

    /// The JSON of a request.
    pub(crate) fn body(request: &PlatformRequest) -> Value {
        serde_json::from_slice(request.body.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn an_error_page_has_nothing_to_say() {
        assert_eq!(said(b"<html><body>502</body></html>"), "");
        assert_eq!(said(br#"{"error":"workspace not found"}"#), "workspace not found");
        assert_eq!(said(b"404 page not found"), "404 page not found");
    }

    #[test]
    fn an_error_that_quotes_a_credential_is_shown_without_it() {
        assert_eq!(
            said(br#"{"error":"refused: Bearer 0123456789abcdef0123"}"#),
            "refused: <redacted-secret>"
        );
    }
}

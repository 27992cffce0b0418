//! Requests to the platform over `wasi:http`: the one place that has the token.
//!
//! Nothing follows a redirect, keeps a cookie or expands an answer, and nothing leaves for another origin.

use std::{fmt, time::SystemTime};

use http::Uri;
use molecule_logic::wire::{Limits, Method, Outcome, PlatformRequest, PlatformResponse, Unreachable};
use wasip2::http::types::{ErrorCode, Method as WasiMethod};
use wstd::{future::FutureExt as _, time::Duration};

use crate::{
    address::Base,
    credentials,
    exchange::{self, Failure, Header, Request, Response},
};

/// What every request says of us.
const USER_AGENT: &str = concat!("molecule-mcp-wasi/", env!("CARGO_PKG_VERSION"));
/// The platform takes no larger document on any path.
const REQUEST_BODY_BYTES: usize = 16 << 20;
/// The largest message that any platform delivers, with what escapes it.
const ANSWER_AT_MOST: u32 = 40 << 20;
/// Enough to say what went wrong.
const ERROR_BODY_BYTES: usize = 16 << 10;
/// Added to the time for the head of an answer: until the request is written.
const CONNECT_MS: u64 = 10_000;
const RETRY_AFTER_MS: (u64, u64) = (1_000, 300_000);

/// The bearer token of the workspace; it is never shown.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Reads `text`; the reason why not does not show it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || text.len() > 4_096 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is no token, which is one word of visible characters");
        }
        if text.starts_with(['$', '<', '%']) {
            return Err("is a placeholder that nothing has replaced");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The platform of one workspace.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    pub(crate) base: Base,
    pub(crate) workspace: String,
    pub(crate) token: Token,
    pub(crate) organization: Option<String>,
}

/// A body, and what it is.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) kind: String,
}

impl Platform {
    /// Sends one request: `Responded`, `Overflowed`, `Refused` or `Unreachable`.
    pub(crate) async fn send(&self, request: PlatformRequest) -> Outcome {
        let document = request.body.map(|bytes| Document { bytes, kind: "application/json".to_owned() });
        if document.as_ref().is_some_and(|document| document.bytes.len() > REQUEST_BODY_BYTES) {
            return Outcome::Refused(format!("the request is larger than {} MiB", REQUEST_BODY_BYTES >> 20));
        }
        let address = match self.base.below(&request.path, &request.query) {
            Ok(address) => address,
            Err(why) => return Outcome::Refused(why),
        };
        self.exchange((request.method, address), request.identify, document, request.limits).await
    }

    /// Sends `document` to `path`: outcomes as for [`Self::send`].
    pub(crate) async fn post(&self, path: &[String], document: Document, limits: Limits) -> Outcome {
        match self.base.below(path, &[]) {
            Ok(address) => self.exchange((Method::Post, address), false, Some(document), limits).await,
            Err(why) => Outcome::Refused(why),
        }
    }

    async fn exchange(
        &self,
        (method, address): (Method, Uri),
        identify: bool,
        document: Option<Document>,
        limits: Limits,
    ) -> Outcome {
        let cut_off = |outcome: &Outcome| matches!(outcome, Outcome::Unreachable(why) if why.maybe_sent);
        let whole = async {
            let first = self.try_exchange((method, &address), identify, document.as_ref(), limits).await;
            // The connection may have been an old one; a GET does nothing twice.
            if method == Method::Get && cut_off(&first) {
                return self.try_exchange((method, &address), identify, None, limits).await;
            }
            first
        };
        match whole.timeout(Duration::from_millis(limits.total_ms.into())).await {
            Ok(outcome) => outcome,
            Err(_) => unreachable(format!("the answer of {} did not end in time", self.base.origin()), true),
        }
    }

    async fn try_exchange(
        &self,
        (method, address): (Method, &Uri),
        identify: bool,
        document: Option<&Document>,
        limits: Limits,
    ) -> Outcome {
        let request = Request {
            method: match method {
                Method::Get => WasiMethod::Get,
                Method::Post => WasiMethod::Post,
            },
            address: address.clone(),
            headers: self.headers(identify, document),
            body: document.map(|document| document.bytes.clone()),
        };
        match exchange::send(request).timeout(Duration::from_millis(patience(limits))).await {
            Ok(Ok(response)) => read(response, limits.body_bytes.min(ANSWER_AT_MOST)).await,
            Ok(Err(Failure::Code(code))) => self.failed(&code),
            Ok(Err(Failure::Unfit(what))) => unreachable(format!("the request has {what}"), false),
            Err(_) => unreachable(format!("no answer from {} in time", self.base.origin()), true),
        }
    }

    fn headers(&self, identify: bool, document: Option<&Document>) -> Vec<Header> {
        let mut headers = vec![
            ("authorization", format!("Bearer {}", self.token.0)),
            ("origin", self.base.origin().to_owned()),
            ("accept-encoding", "identity".to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
        ];
        headers.extend(identify.then(|| ("x-workspace-id", self.workspace.clone())));
        headers.extend(self.organization.iter().map(|id| ("x-molecule-org-id", id.clone())));
        if let Some(document) = document {
            headers.push(("content-type", document.kind.clone()));
            headers.push(("content-length", document.bytes.len().to_string()));
        }
        headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect()
    }

    /// Why there is no answer, and what to do about it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what else there is says that something may have been sent"
    )]
    fn failed(&self, code: &ErrorCode) -> Outcome {
        let origin = self.base.origin();
        let advice = match code {
            ErrorCode::HttpRequestDenied | ErrorCode::DestinationIpProhibited => {
                return unreachable(
                    format!(
                        "the host of this plugin does not allow connections to {origin}: add it to the hosts that the \
                         plugin may reach"
                    ),
                    false,
                );
            }
            ErrorCode::DnsError(_) | ErrorCode::DnsTimeout | ErrorCode::DestinationNotFound => {
                "its name cannot be found: check PLATFORM_URL and the network"
            }
            ErrorCode::ConnectionRefused => "nobody listens there: check PLATFORM_URL, and whether it runs",
            ErrorCode::DestinationUnavailable
            | ErrorCode::DestinationIpUnroutable
            | ErrorCode::ConnectionTimeout
            | ErrorCode::ConnectionLimitReached => "no connection: check PLATFORM_URL and the network",
            ErrorCode::TlsProtocolError | ErrorCode::TlsCertificateError | ErrorCode::TlsAlertReceived(_) => {
                "no encrypted connection: check PLATFORM_URL and the certificate there"
            }
            _ => return unreachable(format!("{origin}: the exchange failed ({code})"), true),
        };
        unreachable(format!("{origin}: {advice} ({code})"), false)
    }
}

/// How long the head of an answer may take, with the connection.
fn patience(limits: Limits) -> u64 {
    u64::from(limits.first_byte_ms).saturating_add(CONNECT_MS)
}

fn unreachable(reason: String, maybe_sent: bool) -> Outcome {
    Outcome::Unreachable(Unreachable { reason, maybe_sent })
}

/// Reads an answer, of which at most `most` bytes are wanted.
async fn read(response: Response, most: u32) -> Outcome {
    let status = response.status;
    if !(200..600).contains(&status) {
        return unreachable(format!("the answer has the status {status}"), true);
    }
    let plain = |value: &str| value.is_empty() || value.eq_ignore_ascii_case("identity");
    if !response.header("content-encoding").is_none_or(plain) {
        return unreachable("the answer is compressed, which was not asked for".to_owned(), true);
    }
    let server_time = response.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
    let answer = PlatformResponse {
        status,
        json: response.header("content-type").is_some_and(is_json),
        retry_after_ms: response.header("retry-after").and_then(|text| retry_after(text, server_time)),
        server_time_ms: server_time.and_then(since_1970),
        body: Vec::new(),
    };
    if (300..400).contains(&status) {
        let location = response.header("location").unwrap_or("an address it does not name");
        let shown: String = location.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
        let body = format!("the answer leads to {shown}: check PLATFORM_URL").into_bytes();
        return Outcome::Responded(PlatformResponse { json: false, body, ..answer });
    }
    let is_error = status >= 400;
    let wanted = usize::try_from(most).unwrap_or(usize::MAX);
    let limit = if is_error { wanted.min(ERROR_BODY_BYTES) } else { wanted };
    match response.collect(limit).await {
        Ok((_, true)) if !is_error => Outcome::Overflowed,
        Ok((bytes, _)) => Outcome::Responded(PlatformResponse { body: credentials::strip(bytes), ..answer }),
        Err(cause) => unreachable(format!("the answer broke off: {cause}"), true),
    }
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.contains('/') && essence.ends_with("+json"))
}

/// `Retry-After` in seconds or as a date, cut to what is sensible; nothing if it is neither.
fn retry_after(text: &str, server_time: Option<SystemTime>) -> Option<u64> {
    let text = text.trim();
    let asked = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000)
    } else {
        let until = httpdate::parse_http_date(text).ok().and_then(since_1970)?;
        until.saturating_sub(server_time.and_then(since_1970)?)
    };
    Some(asked.clamp(RETRY_AFTER_MS.0, RETRY_AFTER_MS.1))
}

fn since_1970(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_word_and_is_never_shown() {
        for (text, reason) in
            [("", "no token"), ("a b", "no token"), ("${TOKEN}", "placeholder"), ("<token>", "placeholder")]
        {
            assert!(Token::parse(text).unwrap_err().contains(reason), "{text:?}");
        }
        let token = Token::parse(" canary \n").unwrap();

        assert!(!format!("{token:?}").contains("canary"));
        assert_eq!(token.0, "canary");
    }

    #[test]
    fn a_pause_is_read_in_seconds_and_as_a_date() {
        let date = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").ok();
        for (value, expected) in [
            ("5", Some(5_000)),
            ("0", Some(1_000)),
            ("99999999999999999999999", Some(300_000)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
            ("soon", None),
        ] {
            assert_eq!(retry_after(value, date), expected, "{value}");
        }
    }
}

//! Reads an answer within its limits.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

use super::trouble;
use crate::{
    guest::wire::{Outcome, PlatformResponse, Unreachable},
    sys::boot::ms,
};

/// All header names and values of an answer together.
const HEAD_BYTES: usize = 64 << 10;
/// Enough to say what went wrong; whatever answers an error with more is not the platform.
const ERROR_BODY_BYTES: usize = 16 << 10;
/// The platform says 0 in the last second of its window.
const RETRY_AFTER_AT_LEAST: Duration = Duration::from_secs(1);
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(300);

/// Reads `response`, of which at most `body_bytes` are wanted.
///
/// # Errors
/// When the connection breaks before the end of the body.
pub(super) async fn read(
    mut response: reqwest::Response,
    body_bytes: u32,
) -> Result<Outcome, reqwest::Error> {
    if let Some(reason) = objection(&response) {
        return Ok(Outcome::Unreachable(Unreachable { reason, maybe_sent: true }));
    }
    if let Some(said) = redirect(&response) {
        return Ok(Outcome::Responded(PlatformResponse {
            json: false,
            body: said.into(),
            ..head_of(&response)
        }));
    }
    let wanted = usize::try_from(body_bytes).unwrap_or(usize::MAX);
    let is_error = !response.status().is_success();
    let limit = if is_error { wanted.min(ERROR_BODY_BYTES) } else { wanted };
    let announced = response.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if !is_error && announced.is_some_and(|length| length > limit) {
        return Ok(Outcome::Overflowed);
    }
    let mut body = Vec::with_capacity(announced.unwrap_or(0).min(limit));
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() <= limit {
            continue;
        }
        if !is_error {
            return Ok(Outcome::Overflowed);
        }
        body.truncate(limit);
        break;
    }
    Ok(Outcome::Responded(PlatformResponse { body, ..head_of(&response) }))
}

/// What is known before the body.
fn head_of(response: &reqwest::Response) -> PlatformResponse {
    let headers = response.headers();
    let server_time = date(headers, header::DATE);
    PlatformResponse {
        status: response.status().as_u16(),
        json: is_json(headers),
        retry_after_ms: retry_after(headers, server_time).map(ms),
        server_time_ms: server_time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).map(ms),
        body: Vec::new(),
    }
}

/// Where the answer leads, if it leads elsewhere: its own body is for browsers.
fn redirect(response: &reqwest::Response) -> Option<String> {
    location(response).map(|location| trouble::redirect(response.url(), location))
}

pub(super) fn location(response: &reqwest::Response) -> Option<&str> {
    let location = text(response.headers(), header::LOCATION)?;
    response.status().is_redirection().then_some(location)
}

/// Why the answer is not worth reading.
pub(super) fn objection(response: &reqwest::Response) -> Option<String> {
    let headers = response.headers();
    if !(200..600).contains(&response.status().as_u16()) {
        return Some(format!("the answer has the status {}", response.status().as_u16()));
    }
    if headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > HEAD_BYTES {
        return Some("the head of the answer is too large".to_owned());
    }
    if headers.contains_key(header::CONTENT_LENGTH) && headers.contains_key(header::TRANSFER_ENCODING) {
        return Some("the answer has two lengths".to_owned());
    }
    // Nothing was asked to compress it, and expanding it could fill the memory.
    let plain =
        |value: &header::HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(header::CONTENT_ENCODING).iter().all(plain) {
        return Some("the answer is compressed, which was not asked for".to_owned());
    }
    None
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = text(headers, header::CONTENT_TYPE) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.contains('/') && essence.ends_with("+json"))
}

/// `Retry-After` in seconds or as a date, cut to what is sensible; nothing if it is neither.
pub(super) fn retry_after(headers: &HeaderMap, server_time: Option<SystemTime>) -> Option<Duration> {
    let text = text(headers, header::RETRY_AFTER)?.trim();
    let asked = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = httpdate::parse_http_date(text).ok()?;
        at.duration_since(server_time.unwrap_or_else(SystemTime::now)).unwrap_or_default()
    };
    Some(asked.clamp(RETRY_AFTER_AT_LEAST, RETRY_AFTER_AT_MOST))
}

pub(super) fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_read_in_seconds_and_as_a_date() {
        let cases = [
            ("5", Some(5_000)),
            ("0", Some(1_000)),
            ("1000000000", Some(300_000)),
            ("99999999999999999999999", Some(300_000)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30_000)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1_000)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(300_000)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let headers = head(&[("retry-after", value), ("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);

            let asked = retry_after(&headers, date(&headers, header::DATE)).map(ms);

            assert_eq!(asked, expected, "{value:?}");
        }
    }

    #[test]
    fn json_is_told_by_the_content_type() {
        let cases = [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/problem+json", true),
            ("text/html", false),
            ("text/plain; x=application/json", false),
            ("application/jsonl", false),
            ("+json", false),
            ("", false),
        ];
        for (value, expected) in cases {
            assert_eq!(is_json(&head(&[("content-type", value)])), expected, "{value:?}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }
}

//! Asks the registry, and judges its answer.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::rules::Answer;
use crate::{
    driver::Ports,
    guest::wire::{Limits, Method, Outcome, PlatformRequest, PlatformResponse, Workspace},
    names::names,
    text::one_line,
};

/// Characters of an unexpected answer that a person is shown.
const SHOWN: usize = 200;

/// Posts `body` to the registry's `endpoint` for `workspace`.
pub(super) async fn post<P: Ports>(
    ports: &P,
    workspace: Workspace,
    endpoint: &str,
    body: &impl Serialize,
    limits: Limits,
) -> Answer {
    let body = match serde_json::to_vec(body) {
        Ok(body) => body,
        Err(cause) => return failed(cause.to_string()),
    };
    let request = PlatformRequest {
        workspace,
        method: Method::Post,
        path: vec!["registry".to_owned(), endpoint.to_owned()],
        query: Vec::new(),
        identify: false,
        body: Some(body),
        limits,
    };
    judge(ports.send(request).await)
}

pub(super) fn judge(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Responded(response) => judge_response(response),
        Outcome::Unreachable(unreachable) => failed(unreachable.reason),
        Outcome::Overflowed => failed("the answer is too large".to_owned()),
        Outcome::Refused(why) => failed(why),
        Outcome::Fetched(_)
        | Outcome::Heard(_)
        | Outcome::Replied
        | Outcome::Rested
        | Outcome::StoreFailed(_)
        | Outcome::Stored
        | Outcome::Swept(_) => failed("no answer".to_owned()),
    }
}

fn judge_response(response: PlatformResponse) -> Answer {
    match response.status {
        200..300 if is_page(&response) => failed(in_front(&response)),
        200..300 => Answer::Accepted(response.body),
        401 | 403 if refuses_the_token(&response) => Answer::Refused(response.status),
        401 | 403 | 407 | 511 => {
            Answer::Failed { why: in_front(&response), retry_after_ms: response.retry_after_ms }
        }
        404 => Answer::Missing,
        410 => Answer::Removed,
        // Whoever says so means it, also without a pause of its own.
        429 => {
            Answer::Failed { why: excerpt(&response), retry_after_ms: response.retry_after_ms.or(Some(0)) }
        }
        // Too slow, too early.
        408 | 425 | 500.. => {
            Answer::Failed { why: excerpt(&response), retry_after_ms: response.retry_after_ms }
        }
        _ => Answer::Declined(excerpt(&response)),
    }
}

/// What a call that only the workspace itself may make says of the token it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opens {
    No,
    /// The platform has not said.
    Unknown,
    Yes,
}

/// Judges the answer to such a call.
pub(super) fn opens(outcome: &Outcome) -> Opens {
    // There is an answer, of which the rest does not matter.
    if matches!(outcome, Outcome::Overflowed) {
        return Opens::Yes;
    }
    let Outcome::Responded(response) = outcome else { return Opens::Unknown };
    if refuses_the_token(response) {
        return Opens::No;
    }
    if response.status == 200 && response.json { Opens::Yes } else { Opens::Unknown }
}

/// Whether the platform itself refuses the token: `{"error":"invalid workspace auth token"}`, or `missing …`.
///
/// The same status with anything else comes from a login page, a firewall or a proxy, which say nothing of it.
fn refuses_the_token(response: &PlatformResponse) -> bool {
    #[derive(Deserialize)]
    struct Refusal<'a> {
        #[serde(borrow)]
        error: Cow<'a, str>,
    }
    matches!(response.status, 401 | 403)
        && serde_json::from_slice::<Refusal<'_>>(&response.body)
            .is_ok_and(|refusal| refusal.error.to_ascii_lowercase().contains("auth token"))
}

fn is_page(response: &PlatformResponse) -> bool {
    !response.json && response.body.trim_ascii_start().starts_with(b"<")
}

fn in_front(response: &PlatformResponse) -> String {
    let status = response.status;
    let with = match response.body.trim_ascii() {
        b"" => "without a word".to_owned(),
        _ if is_page(response) => "with a web page".to_owned(),
        _ => format!("with other words than the platform's ({})", words(response)),
    };
    format!(
        "HTTP {status} {with}, so that something in front of the platform answered: look for a login page, a firewall \
         or a proxy, and check {}",
        names().platform
    )
}

/// Status and beginning of an answer, for people.
pub(super) fn excerpt(response: &PlatformResponse) -> String {
    format!("HTTP {} {}", response.status, words(response)).trim_end().to_owned()
}

fn words(response: &PlatformResponse) -> String {
    let text = String::from_utf8_lossy(&response.body);
    one_line(text.trim()).chars().take(SHOWN).collect()
}

fn failed(why: String) -> Answer {
    Answer::Failed { why, retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use crate::guest::wire::Unreachable;

    use super::*;

    #[test]
    fn the_status_decides() {
        for (status, expected) in [
            (200, Answer::Accepted(b"{}".to_vec())),
            (202, Answer::Accepted(b"{}".to_vec())),
            (404, Answer::Missing),
            (410, Answer::Removed),
            (301, Answer::Declined("HTTP 301 {}".to_owned())),
            (400, Answer::Declined("HTTP 400 {}".to_owned())),
            (429, Answer::Failed { why: "HTTP 429 {}".to_owned(), retry_after_ms: Some(0) }),
            (500, failed("HTTP 500 {}".to_owned())),
        ] {
            assert_eq!(judge(Outcome::Responded(response(status, "{}"))), expected);
        }
    }

    #[test]
    fn only_the_words_of_the_platform_refuse_a_token() {
        for (status, json, body, refused) in [
            (401, true, r#"{"error":"invalid workspace auth token"}"#, true),
            (401, true, r#"{"error":"missing workspace auth token","code":7}"#, true),
            (403, true, r#"{"error":"invalid workspace auth token"}"#, true),
            // A proxy may lose the type.
            (401, false, r#"{"error":"invalid workspace auth token"}"#, true),
            (401, true, "{}", false),
            (401, true, r#"{"message":"Unauthorized"}"#, false),
            (403, true, r#"{"error":"forbidden by policy"}"#, false),
            (403, false, "<html>Sign in to the auth token service</html>", false),
            (401, false, "invalid workspace auth token", false),
            (401, false, "", false),
            (407, false, "", false),
            (511, false, "<html>Welcome to our hotel</html>", false),
        ] {
            let answer = judge(Outcome::Responded(PlatformResponse { json, ..response(status, body) }));

            if refused {
                assert_eq!(answer, Answer::Refused(status), "{body}");
            } else {
                let Answer::Failed { why, .. } = answer else { panic!("{status} {body}: {answer:?}") };
                assert!(why.contains("in front of the platform") && why.contains(names().platform), "{why}");
            }
        }
    }

    #[test]
    fn a_web_page_is_no_success() {
        for page in ["<!doctype html>", "\n <html>"] {
            let answer = judge(Outcome::Responded(PlatformResponse { json: false, ..response(200, page) }));

            assert!(matches!(answer, Answer::Failed { .. }), "{page}");
        }
    }

    #[test]
    fn an_empty_or_wordless_success_is_one() {
        for body in ["", "ok", "[]"] {
            let answer = judge(Outcome::Responded(PlatformResponse { json: false, ..response(200, body) }));

            assert_eq!(answer, Answer::Accepted(body.into()));
        }
    }

    #[test]
    fn what_failed_is_shown_on_one_line_and_cut() {
        let long = format!("two\nlines {}", "x".repeat(500));

        let Answer::Failed { why, .. } = judge(Outcome::Responded(response(502, &long))) else { panic!() };

        assert!(why.starts_with("HTTP 502 two lines xx"), "{why}");
        assert_eq!(why.len(), "HTTP 502 ".len() + SHOWN);
    }

    #[test]
    fn a_wish_to_be_left_alone_is_kept() {
        let busy = PlatformResponse { retry_after_ms: Some(7_000), ..response(429, "") };

        let expected = Answer::Failed { why: "HTTP 429".to_owned(), retry_after_ms: Some(7_000) };
        assert_eq!(judge(Outcome::Responded(busy)), expected);
    }

    #[test]
    fn no_answer_is_a_failure_with_its_reason() {
        let gone = Unreachable { reason: "no route".to_owned(), maybe_sent: true };

        assert_eq!(judge(Outcome::Unreachable(gone)), failed("no route".to_owned()));
    }

    fn response(status: u16, body: &str) -> PlatformResponse {
        PlatformResponse { status, json: true, retry_after_ms: None, server_time_ms: None, body: body.into() }
    }
}

//! Asks the registry, and judges its answer.

use serde::Serialize;

use super::rules::Answer;
use crate::{
    driver::Ports,
    guest::wire::{Limits, Method, Outcome, PlatformRequest, PlatformResponse},
    ports::one_line,
};

/// Characters of an unexpected answer that a person is shown.
const SHOWN: usize = 200;

/// Posts `body` to the registry's `endpoint`.
pub(super) async fn post<P: Ports>(
    ports: &P,
    endpoint: &str,
    body: &impl Serialize,
    limits: Limits,
) -> Answer {
    let body = match serde_json::to_vec(body) {
        Ok(body) => body,
        Err(cause) => return failed(cause.to_string()),
    };
    let request = PlatformRequest {
        workspace: 0,
        method: Method::Post,
        path: vec!["registry".to_owned(), endpoint.to_owned()],
        query: Vec::new(),
        identify: false,
        body: Some(body),
        limits,
    };
    judge(ports.send(request).await)
}

fn judge(outcome: Outcome) -> Answer {
    match outcome {
        Outcome::Responded(response) => judge_response(response),
        Outcome::Unreachable(unreachable) => failed(unreachable.reason),
        Outcome::Overflowed => failed("the answer is too large".to_owned()),
        Outcome::Refused(why) => failed(why),
        Outcome::Heard(_)
        | Outcome::Replied
        | Outcome::Rested
        | Outcome::StoreFailed(_)
        | Outcome::Stored => failed("no answer".to_owned()),
    }
}

fn judge_response(response: PlatformResponse) -> Answer {
    let page = !response.json && response.body.trim_ascii_start().starts_with(b"<");
    match response.status {
        200..300 if page => failed(format!(
            "HTTP {} with a web page: something in front of the platform answered",
            response.status
        )),
        200..300 => Answer::Accepted(response.body),
        401 | 403 => Answer::Refused(response.status),
        404 => Answer::Missing,
        410 => Answer::Removed,
        // Too slow, too early, too many.
        408 | 425 | 429 | 500.. => {
            Answer::Failed { why: excerpt(&response), retry_after_ms: response.retry_after_ms }
        }
        _ => Answer::Declined(excerpt(&response)),
    }
}

fn excerpt(response: &PlatformResponse) -> String {
    let text = String::from_utf8_lossy(&response.body);
    let shown: String = one_line(text.trim()).chars().take(SHOWN).collect();
    format!("HTTP {} {shown}", response.status).trim_end().to_owned()
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
            (401, Answer::Refused(401)),
            (403, Answer::Refused(403)),
            (404, Answer::Missing),
            (410, Answer::Removed),
            (301, Answer::Declined("HTTP 301 {}".to_owned())),
            (400, Answer::Declined("HTTP 400 {}".to_owned())),
            (429, failed("HTTP 429 {}".to_owned())),
            (500, failed("HTTP 500 {}".to_owned())),
        ] {
            assert_eq!(judge(Outcome::Responded(response(status, "{}"))), expected);
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

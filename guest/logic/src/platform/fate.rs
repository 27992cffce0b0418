//! What became of a message, as far as one answer to it tells.
//!
//! ```text
//! no connection ────────────────────────────► NotSent, may be tried again
//! connection lost, timeout ─────────────────► Unknown
//! 2xx ── queued envelope ───────────────────► Stored (peer polls), Queued (peer is busy)
//!  ├──── result ────────────────────────────► Answered, or Failed if it tells of a failure
//!  └──── JSON-RPC error, no envelope ───────► Failed
//! 3xx…5xx ── the platform did not send it ──► NotSent, may be tried again if it says so
//!  ├──── busy, gateway timeout, cut reply ──► Unknown
//!  └──── anything else ─────────────────────► Failed
//! no JSON ── 2xx…4xx ───────────────────────► NotSent: it never came to the platform
//!  └──── 5xx ───────────────────────────────► Unknown
//! ```

use serde_json::{Map, Value};

use super::{said, says_token, words};
use crate::{
    dialogue::NoAnswer,
    text::{redact, untrusted},
    wire::PlatformResponse,
};

/// Longest piece of an answer that is shown when it makes no sense.
const EXCERPT_CHARS: usize = 200;

/// Longest pause that the platform can ask for.
const LONGEST_PAUSE_MS: u64 = 300_000;

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// The peer's agent answered these words.
    Answered(String),
    /// The peer's agent, or the platform, answered that it does not work.
    Failed {
        /// One line.
        why: String,
        /// What the peer's agent said about it, as it is; may be empty.
        words: String,
    },
    /// It reached nobody. With `again` another attempt makes sense, after so many milliseconds.
    NotSent { why: String, again: Option<u64> },
    /// The peer is busy, and the platform will try again by itself.
    Queued {
        /// Empty if the platform named none.
        queue_id: String,
    },
    /// The peer fetches its messages, and will find it.
    Stored,
    /// It may have been received, or was if `arrived`; nothing came back.
    Unknown { why: String, arrived: bool },
}

/// Reads the answer to a message.
pub(crate) fn read(answer: &Result<PlatformResponse, NoAnswer>) -> Fate {
    match answer {
        Ok(response) => read_response(response),
        Err(NoAnswer::Overflowed) => {
            Fate::Unknown { why: "its answer is larger than accepted".to_owned(), arrived: true }
        }
        Err(NoAnswer::Refused(why)) => Fate::NotSent { why: why.clone(), again: None },
        Err(NoAnswer::Unreachable { reason, maybe_sent: false }) => {
            Fate::NotSent { why: reason.clone(), again: Some(0) }
        }
        Err(NoAnswer::Unreachable { reason, maybe_sent: true }) => {
            Fate::Unknown { why: reason.clone(), arrived: false }
        }
    }
}

fn read_response(response: &PlatformResponse) -> Fate {
    let success = (200..300).contains(&response.status);
    match serde_json::from_slice::<Value>(&response.body) {
        Ok(Value::Object(envelope)) if success => read_envelope(&envelope),
        Ok(Value::Object(refusal)) => read_refusal(response, &refusal),
        Ok(other) if success => malformed(&other.to_string()),
        Err(_) if success && (response.json || response.status == 204) => read_text(&response.body),
        Ok(_) | Err(_) => read_page(response),
    }
}

/// Reads what the platform kept of an answer: the words, or the envelope if it is an unusual one.
pub(crate) fn read_kept(text: String) -> Fate {
    match serde_json::from_str(&text) {
        Ok(Value::Object(envelope)) if envelope.contains_key("jsonrpc") => read_envelope(&envelope),
        Ok(_) | Err(_) => read_words(text),
    }
}

/// Reads the JSON of a success.
pub(super) fn read_envelope(envelope: &Map<String, Value>) -> Fate {
    if let Some(fate) = queued(envelope) {
        return fate;
    }
    match (envelope.get("error").filter(|error| !error.is_null()), envelope.get("result")) {
        (Some(error), _) => rpc_error(error, envelope),
        (None, Some(result)) => read_result(result),
        (None, None) => malformed(&Value::Object(envelope.clone()).to_string()),
    }
}

/// The platform's own envelope in place of an answer. `None` if it is none.
///
/// A peer that polls has `delivery_mode` `poll`; with other modes the answer comes late.
fn queued(envelope: &Map<String, Value>) -> Option<Fate> {
    if envelope.get("queued") == Some(&Value::Bool(true)) {
        let queue_id = envelope.get("queue_id").and_then(Value::as_str).unwrap_or_default();
        return Some(Fate::Queued { queue_id: untrusted::name(queue_id) });
    }
    let word = |key: &str| envelope.get(key).and_then(Value::as_str);
    match (word("status"), word("delivery_mode")) {
        (Some("queued"), Some("poll")) => Some(Fate::Stored),
        (Some("queued"), Some(_)) => Some(Fate::Queued { queue_id: String::new() }),
        (Some(_) | None, _) => None,
    }
}

/// The words of a peer whose agent does not speak JSON.
fn read_text(body: &[u8]) -> Fate {
    let text = String::from_utf8_lossy(body);
    if text.trim().is_empty() {
        return failed("its agent returned an empty response body", "");
    }
    if text.trim_start().starts_with('<') {
        return malformed(&text);
    }
    Fate::Answered(text.into_owned())
}

/// An answer that is not the platform's.
fn read_page(response: &PlatformResponse) -> Fate {
    let status = response.status;
    if status >= 500 {
        return Fate::Unknown { why: format!("HTTP {status} without the platform's JSON"), arrived: false };
    }
    // Of a redirect it is known where it leads.
    let leads = if (300..400).contains(&status) { said(&response.body) } else { String::new() };
    let colon = if leads.is_empty() { "" } else { ": " };
    let why =
        format!("HTTP {status} without the platform's JSON: something in front of it answered{colon}{leads}");
    Fate::NotSent { why, again: if status == 429 { Some(pause(response, None)) } else { None } }
}

fn malformed(body: &str) -> Fate {
    failed("unexpected response shape", &excerpt(body))
}

/// The beginning of an answer on one line, without credentials.
fn excerpt(text: &str) -> String {
    untrusted::excerpt(&redact::diagnostic(text), EXCERPT_CHARS)
}

fn failed(why: impl Into<String>, words: &str) -> Fate {
    Fate::Failed { why: why.into(), words: redact::diagnostic(words) }
}

/// An error of the peer's agent, or of the platform under a status that tells success.
fn rpc_error(error: &Value, envelope: &Map<String, Value>) -> Fate {
    let hints = restart_hints(envelope);
    let Some(object) = error.as_object() else {
        let words = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
        return failed(format!("its agent answered with an error{hints}"), words.trim());
    };
    let code = object.get("code").and_then(Value::as_i64);
    let code = code.map(|code| format!(" (code={code})")).unwrap_or_default();
    match object.get("message").and_then(Value::as_str).map(str::trim).unwrap_or_default() {
        "" => failed(format!("JSON-RPC error with no message{code}{hints}"), ""),
        message => failed(format!("its agent answered with an error{code}{hints}"), message),
    }
}

fn restart_hints(envelope: &Map<String, Value>) -> String {
    if envelope.get("restarting") != Some(&Value::Bool(true)) {
        return String::new();
    }
    match envelope.get("retry_after").and_then(Value::as_i64) {
        Some(seconds) => format!(" (restarting, retry_after={seconds}s)"),
        None => " (restarting)".to_owned(),
    }
}

fn read_result(result: &Value) -> Fate {
    let text = result_text(result).unwrap_or_else(|| "(no response)".to_owned());
    if let Some(state) = bad_end(result) {
        return failed(format!("its task ended as {state}"), &text);
    }
    read_words(text)
}

/// By convention these words of an agent mean that it failed.
fn read_words(text: String) -> Fate {
    if text.starts_with("Agent error:") {
        failed("its agent reported an error", &text)
    } else {
        Fate::Answered(text)
    }
}

/// Everything readable in a result, each text once; nothing if there are no parts.
fn result_text(result: &Value) -> Option<String> {
    if let Some(text) = result.as_str() {
        return Some(text.to_owned());
    }
    let artifacts = result.get("artifacts").and_then(Value::as_array);
    let places = [result.get("parts"), result.pointer("/message/parts")]
        .into_iter()
        .chain(artifacts.into_iter().flatten().map(|artifact| artifact.get("parts")))
        .chain([result.pointer("/status/message/parts")]);
    let mut texts: Vec<String> = Vec::new();
    let mut parts_seen = false;
    for text in places.flatten().filter_map(Value::as_array).filter_map(|parts| words::text(parts)) {
        parts_seen = true;
        if !text.is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    }
    parts_seen.then(|| texts.join("\n"))
}

/// The state of a task that ended without doing its job.
fn bad_end(result: &Value) -> Option<String> {
    let state = result.pointer("/status/state")?.as_str()?.to_ascii_lowercase();
    let state = state.trim_start_matches("task_state_");
    matches!(state, "failed" | "rejected" | "canceled" | "cancelled").then(|| state.to_owned())
}

/// A status that is not a success, with a JSON object.
fn read_refusal(response: &PlatformResponse, refusal: &Map<String, Value>) -> Fate {
    let status = response.status;
    let error = refusal.get("error").and_then(Value::as_str).unwrap_or_default();
    let said = match refusal.get("error") {
        Some(Value::String(error)) => excerpt(error),
        Some(_) | None => excerpt(&Value::Object(refusal.clone()).to_string()),
    };
    let why = format!("HTTP {status}: {said}{}{}", hint(status, error, refusal), restart_hints(refusal));
    let is = |key: &str| refusal.get(key) == Some(&Value::Bool(true));
    let asked = refusal.get("retry_after").and_then(Value::as_u64);
    let unavailable = refusal.get("code").and_then(Value::as_str) == Some("platform_unavailable");

    if is("delivery_confirmed") {
        return Fate::Unknown { why, arrived: true };
    }
    if is("busy") || matches!(status, 408 | 504 | 522 | 524 | 598) {
        return Fate::Unknown { why, arrived: false };
    }
    if is("waking") || is("restarting") || (status == 429 && asked.is_some()) || unavailable {
        return Fate::NotSent { why, again: Some(pause(response, asked)) };
    }
    if status == 502 && error == "failed to reach workspace agent" {
        return Fate::NotSent { why, again: Some(0) };
    }
    if matches!(error, "workspace has no URL" | "workspace URL is not publicly routable") {
        return Fate::NotSent { why, again: None };
    }
    Fate::Failed { why, words: String::new() }
}

/// What the platform's short words mean for whoever has to act.
fn hint(status: u16, error: &str, refusal: &Map<String, Value>) -> String {
    match (status, error) {
        (401, error) if says_token(error) => {
            " (the platform refuses the token of this workspace; tell the operator)".to_owned()
        }
        (402, _) => " (the peer has used up its budget; sending again does not help)".to_owned(),
        (403, "tool call failed") => {
            " (delegation is switched off for this workspace; sending again does not help)".to_owned()
        }
        (503, "workspace has no URL") => match refusal.get("status").and_then(Value::as_str) {
            Some(status) => format!(" (its agent never connected; status: {})", untrusted::name(status)),
            None => " (its agent never connected)".to_owned(),
        },
        (_, _) => String::new(),
    }
}

/// Milliseconds that the platform asks to be left alone, at least 1 s.
fn pause(response: &PlatformResponse, asked_secs: Option<u64>) -> u64 {
    let asked = asked_secs.unwrap_or(0).saturating_mul(1_000);
    asked.max(response.retry_after_ms.unwrap_or(0)).clamp(1_000, LONGEST_PAUSE_MS)
}

#[cfg(test)]
mod tests;

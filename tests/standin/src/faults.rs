//! Making the platform misbehave, for the tests of its clients.

use std::time::Duration;

use serde_json::Value;

use crate::http::{Request, Response};
use crate::json::{Fields, Malformed};
use crate::platform::Platform;

/// What happens to a request instead of, or besides, being handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is not handled, and answered with this.
    Answer(Response),
    /// It is read, not handled, and the connection closed without an answer.
    CloseAfterReading,
    /// Its body is not even read before the connection is closed.
    CloseBeforeReading,
    /// It is handled at once, but its answer is held back for so long.
    Delay(Duration),
    /// It is handled, but the connection closed without an answer.
    LoseAnswer,
    /// It is answered as an event stream that never says a word.
    SilentStream,
}

/// An effect on the next requests that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    method: Option<String>,
    path: String,
    times: u64,
    effect: Effect,
}

impl Fault {
    /// An effect on the next request, whatever it is.
    #[must_use]
    pub fn new(effect: Effect) -> Self {
        Self { method: None, path: String::new(), times: 1, effect }
    }

    /// Only requests with this method match.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only requests whose path starts like this match. A `*` stands for one part of the path.
    #[must_use]
    pub fn path(self, prefix: &str) -> Self {
        Self { path: prefix.to_owned(), ..self }
    }

    /// So many requests are affected.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }

    pub(crate) fn parse(fields: &Fields) -> Result<Self, Malformed> {
        let times = fields.integer("times")?.unwrap_or(1);
        Ok(Self {
            method: fields.text("method")?.map(str::to_owned),
            path: fields.text("path")?.unwrap_or_default().to_owned(),
            times: u64::try_from(times).map_err(|_| Malformed)?,
            effect: effect(fields)?,
        })
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.method.as_deref().is_none_or(|wanted| wanted == method) && starts_like(path, &self.path)
    }
}

/// In the order of injection; the first that matches counts.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn take(&mut self, method: &str, path: &str) -> Option<Effect> {
        let fault = self.0.iter_mut().find(|fault| fault.matches(method, path))?;
        fault.times = fault.times.saturating_sub(1);
        let effect = fault.effect.clone();
        self.0.retain(|fault| fault.times > 0);
        Some(effect)
    }
}

impl Platform {
    /// Lets the next requests that match fail.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.0.push(fault);
        self.faults.0.retain(|fault| fault.times > 0);
    }

    /// Ends all faults that are still to come.
    pub fn clear_faults(&mut self) {
        self.faults.0.clear();
    }

    /// Whether the next such request is cut off before its body is read; if so, that was it.
    pub fn closes_unread(&mut self, method: &str, path: &str) -> bool {
        let first = self.faults.0.iter().find(|fault| fault.matches(method, path));
        let closes = first.is_some_and(|fault| fault.effect == Effect::CloseBeforeReading);
        if closes {
            self.faults.take(method, path);
            self.log.add(&Request::new(method, path), self.now);
        }
        closes
    }
}

fn starts_like(path: &str, prefix: &str) -> bool {
    if !prefix.contains('*') {
        return path.starts_with(prefix);
    }
    let mut parts = path.split('/');
    let mut wanted = prefix.split('/').peekable();
    while let Some(part) = wanted.next() {
        let Some(actual) = parts.next() else { return false };
        let matches = if wanted.peek().is_none() { actual.starts_with(part) } else { actual == part };
        if part != "*" && !matches {
            return false;
        }
    }
    true
}

fn effect(fields: &Fields) -> Result<Effect, Malformed> {
    if let Some(answer) = fields.value("answer") {
        return Ok(Effect::Answer(response(&Fields::from_value(answer)?)?));
    }
    if let Some(delay) = fields.integer("delay_ms")? {
        return Ok(Effect::Delay(Duration::from_millis(u64::try_from(delay).map_err(|_| Malformed)?)));
    }
    if fields.flag("silent_stream")? == Some(true) {
        return Ok(Effect::SilentStream);
    }
    match fields.text("close")? {
        Some("before") => Ok(Effect::CloseBeforeReading),
        Some("after") => Ok(Effect::CloseAfterReading),
        Some("answer") => Ok(Effect::LoseAnswer),
        Some(_) | None => Err(Malformed),
    }
}

fn response(fields: &Fields) -> Result<Response, Malformed> {
    let status = fields.integer("status")?.ok_or(Malformed)?;
    let mut response = Response::empty(u16::try_from(status).map_err(|_| Malformed)?);
    if let Some(headers) = fields.value("headers") {
        for (name, value) in headers.as_object().ok_or(Malformed)? {
            response.headers.push(name, value.as_str().ok_or(Malformed)?);
        }
    }
    match fields.value("body") {
        None => {}
        Some(Value::String(text)) => response.body = text.clone().into(),
        Some(body) => {
            response.body = body.to_string().into();
            if response.headers.get("Content-Type").is_none() {
                response.headers.push("Content-Type", "application/json; charset=utf-8");
            }
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_should_and_only_where_it_should() {
        let mut faults = Faults::default();
        faults.0.push(
            Fault::new(Effect::CloseAfterReading).method("GET").path("/workspaces/*/activity").times(2),
        );

        assert_eq!(faults.take("POST", "/workspaces/w/activity"), None);
        assert_eq!(faults.take("GET", "/workspaces/w"), None);
        assert_eq!(faults.take("GET", "/workspaces/w/activity"), Some(Effect::CloseAfterReading));
        assert_eq!(faults.take("GET", "/workspaces/v/activity"), Some(Effect::CloseAfterReading));
        assert_eq!(faults.take("GET", "/workspaces/w/activity"), None);
    }

    #[test]
    fn an_answer_can_be_anything() {
        let body =
            br#"{"path":"/registry","answer":{"status":429,"headers":{"Retry-After":"3"},"body":{"a":1}}}"#;
        let fault = Fault::parse(&Fields::parse(body).unwrap()).unwrap();
        let Effect::Answer(answer) = fault.effect else { panic!("not an answer") };

        assert_eq!((answer.status, answer.headers.get("retry-after")), (429, Some("3")));
        assert_eq!(answer.body_json()["a"], 1);
    }
}

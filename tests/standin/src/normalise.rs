//! The A2A envelope: what is filled in, and what is refused.

use serde_json::{Map, Value, json};

use crate::http::Response;
use crate::ids::Ids;
use crate::json;
use crate::switches::Level;

/// A body is cut here, which usually makes it invalid.
const BODY_MAX: usize = 1024 * 1024;
/// At the newest level a larger body is refused.
const NEWEST_BODY_MAX: usize = 16 * 1024 * 1024;
const NO_CONTENT: &str = "params.message must contain either 'parts' (v0.3) or 'content' (v0.2 compat)";
const NO_CONTENT_HINT: &str = "v0.3 example: {\"parts\":[{\"kind\":\"text\",\"text\":\"...\"}]}";
const BAD_CONTENT: &str = "invalid params.message.content type";
const BAD_CONTENT_HINT: &str = "content must be a string (v0.2 compat) or omitted in favour of parts (v0.3)";

/// Completes the envelope of an A2A request.
pub(crate) fn normalise(body: &[u8], level: Level, ids: &mut Ids) -> Result<Value, Response> {
    let invalid = || Response::error(400, "invalid JSON");
    let cut = match level {
        Level::Baseline | Level::Later => body.get(..BODY_MAX).unwrap_or(body),
        Level::Newest if body.len() > NEWEST_BODY_MAX => return Err(too_large()),
        Level::Newest => body,
    };
    let fields = match json::parse(cut).map_err(|json::Malformed| invalid())? {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Err(invalid()),
    };
    let mut envelope =
        if fields.contains_key("jsonrpc") { Value::Object(fields) } else { wrapped(&fields, ids) };
    if let Some(message) = envelope.pointer_mut("/params/message").and_then(Value::as_object_mut) {
        complete(message, level, ids)?;
    }
    Ok(json::as_floats(&envelope))
}

/// The method of a normalised request; one that is no text counts as empty.
pub(crate) fn method(envelope: &Value) -> &str {
    envelope.get("method").and_then(Value::as_str).unwrap_or_default()
}

fn wrapped(fields: &Map<String, Value>, ids: &mut Ids) -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": ids.uuid().to_string(),
        "method": fields.get("method"),
        "params": fields.get("params"),
    })
}

fn too_large() -> Response {
    let error = format!("request body exceeds {NEWEST_BODY_MAX} byte limit: A2A body exceeds size limit");
    Response::json(413, json!({ "error": error, "max_bytes": NEWEST_BODY_MAX, "truncated": true }))
}

fn complete(message: &mut Map<String, Value>, level: Level, ids: &mut Ids) -> Result<(), Response> {
    if level >= Level::Newest && !message.contains_key("role") {
        message.insert("role".to_owned(), json!("user"));
    }
    if !message.contains_key("messageId") {
        message.insert("messageId".to_owned(), json!(ids.uuid().to_string()));
    }
    if message.contains_key("parts") {
        return Ok(());
    }
    let refuse = |error: &str, hint: &str| Err(Response::json(400, json!({ "error": error, "hint": hint })));
    let parts = match message.remove("content") {
        None => return refuse(NO_CONTENT, NO_CONTENT_HINT),
        Some(Value::String(text)) => json!([{ "kind": "text", "text": text }]),
        Some(parts @ Value::Array(_)) => parts,
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return refuse(BAD_CONTENT, BAD_CONTENT_HINT);
        }
    };
    message.insert("parts".to_owned(), parts);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(body: &[u8]) -> Result<Value, u16> {
        normalise(body, Level::Later, &mut Ids::new(1)).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_bare_message_gets_an_envelope_and_loses_other_keys() {
        let envelope =
            normalised(br#"{"method":"m","params":{"message":{"content":"hi"}},"extra":1}"#).unwrap();

        assert_eq!(envelope["jsonrpc"], "2.0");
        assert_eq!(envelope.get("extra"), None);
        assert_eq!(envelope["params"]["message"]["parts"], json!([{"kind": "text", "text": "hi"}]));
        assert!(envelope["params"]["message"]["messageId"].is_string());
    }

    #[test]
    fn an_envelope_is_kept_as_it_is() {
        let body = json!({"jsonrpc": null, "top": 1, "params": {"message": {"messageId": 5, "parts": null}}});

        assert_eq!(normalised(body.to_string().as_bytes()), Ok(body));
    }

    #[test]
    fn more_than_a_mebibyte_is_cut_and_so_invalid() {
        let text = |length: usize| format!(r#"{{"params":"{}"}}"#, "x".repeat(length - 13)).into_bytes();

        assert!(normalised(&text(BODY_MAX)).is_ok());
        assert_eq!(normalised(&text(BODY_MAX + 1)), Err(400));
        assert_eq!(normalised(b"[]"), Err(400));
        assert_eq!(normalised(br#"{"params":{"message":{"content":42}}}"#), Err(400));
    }
}

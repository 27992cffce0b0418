//! What one line from the client means. Total: every line has a meaning, and none ends the process.
//!
//! ```text
//! line ─┬─ not JSON, and never meant to be ─────► Noise
//!       ├─ a request that cannot be read ──────► Refusal (−32700)
//!       ├─ JSON, but no message ───────────────► Refusal (−32600, −32602)
//!       ├─ notification, response ─────────────► Cancellation, Greeting, Nothing
//!       └─ request ────────────────────────────► Request, for rmcp
//! ```
//!
//! The envelope is looked at once and without recursion; the arguments of a tool stay unread text.

use std::borrow::Cow;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientRequest, ErrorData, Implementation,
    InitializeRequestParams, JsonObject, ProtocolVersion, Request, RequestId, RequestMetaObject,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    envelope::{Envelope, Field, id},
    skim::{Meant, Skim},
};
use crate::mcp::client::RawArguments;

/// Requests that rmcp knows. With parameters of another shape it takes them for unknown ones.
const KNOWN: &[&str] = &[
    "completion/complete",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tools/list",
];

/// The most of the name of a client that is kept, in characters.
const NAME_CHARS: usize = 100;

/// The meaning of a line.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The client gives up a request.
    Cancellation(RequestId),
    /// The client has finished its handshake.
    Greeting,
    /// A message that nobody here waits for.
    Nothing,
    /// Not JSON, or not text, and no request that somebody waits for.
    Noise,
    /// A request that cannot be read, or JSON that is none; the id is none where it is unusable.
    Refusal { id: Option<RequestId>, error: ErrorData },
    /// A request to be served.
    Request { id: RequestId, request: Box<ClientRequest> },
}

/// Says what `line` means; without its line end.
pub(super) fn read(line: &[u8]) -> Incoming {
    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    let text = match str::from_utf8(line) {
        Ok(text) => text,
        Err(cause) => return broken(Skim::of(line).meant(), &format!("the line is not text: {cause}")),
    };
    if text.is_empty() {
        return Incoming::Nothing;
    }
    if !text.starts_with('{') {
        return match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => refuse(None, "a message is a JSON object, one a line"),
            Err(cause) => not_json(line, &cause),
        };
    }
    match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => message(&envelope, text),
        Err(cause) => not_json(line, &cause),
    }
}

fn not_json(line: &[u8], cause: &serde_json::Error) -> Incoming {
    broken(Skim::of(line).meant(), &format!("the line is not JSON: {cause}"))
}

/// What comes of a line that cannot be read.
pub(super) fn broken(meant: Meant, why: &str) -> Incoming {
    match meant {
        Meant::Nothing => Incoming::Noise,
        Meant::Request(id) => {
            let why = format!("{why}; nothing of it was done");
            Incoming::Refusal { id, error: ErrorData::parse_error(why, None) }
        }
    }
}

fn message(envelope: &Envelope<'_>, text: &str) -> Incoming {
    let answer = !matches!((&envelope.result, &envelope.error), (Field::Absent, Field::Absent));
    let method = match &envelope.method {
        Field::Absent if answer => return Incoming::Nothing,
        Field::Absent | Field::Twice => None,
        Field::Once(raw) => serde_json::from_str::<Cow<'_, str>>(raw.get()).ok(),
    };
    let id = match (&envelope.id, &method) {
        (Field::Absent, Some(method)) => return notification(envelope, method),
        (Field::Absent, None) => return refuse(None, "a message has a method"),
        (Field::Once(raw), _) => id(raw),
        (Field::Twice, _) => None,
    };
    let Some(id) = id else {
        return refuse(None, "an id is an integer, or a string of at most 1024 bytes");
    };
    let Some(method) = method else { return refuse(Some(id), "a request has one method, a string") };
    if !envelope.is_version_2() {
        return refuse(Some(id), "a request says \"jsonrpc\": \"2.0\", once");
    }
    if answer || matches!(envelope.params, Field::Twice) {
        return refuse(Some(id), "a request has at most one params, no result and no error");
    }
    match request(&method, &envelope.params, text) {
        Ok(request) => Incoming::Request { id, request: Box::new(request) },
        Err(error) => Incoming::Refusal { id: Some(id), error },
    }
}

fn notification(envelope: &Envelope<'_>, method: &str) -> Incoming {
    match (method, &envelope.params) {
        ("notifications/initialized", _) => Incoming::Greeting,
        ("notifications/cancelled", Field::Once(params)) => {
            serde_json::from_str::<Cancelled<'_>>(params.get())
                .ok()
                .and_then(|cancelled| id(cancelled.request_id))
                .map_or(Incoming::Nothing, Incoming::Cancellation)
        }
        // Progress, roots and everything unknown: nobody here acts on it.
        (_, _) => Incoming::Nothing,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled<'a> {
    #[serde(borrow)]
    request_id: &'a RawValue,
}

fn request(method: &str, params: &Field<'_>, text: &str) -> Result<ClientRequest, ErrorData> {
    let params = match params {
        Field::Once(raw) if raw.get() != "null" => Some(raw.get()),
        Field::Absent | Field::Once(_) | Field::Twice => None,
    };
    if params.is_some_and(|params| !params.starts_with('{')) {
        return Err(ErrorData::invalid_params("params is an object", None));
    }
    match method {
        "initialize" => Ok(initialize(params)),
        "tools/call" => call(params),
        _ => match serde_json::from_str::<ClientRequest>(text) {
            Ok(ClientRequest::CustomRequest(_)) if KNOWN.contains(&method) => {
                Err(ErrorData::invalid_params(format!("these are not the params of {method}"), None))
            }
            Ok(request) => Ok(request),
            Err(cause) => Err(ErrorData::invalid_params(format!("params cannot be read: {cause}"), None)),
        },
    }
}

/// A handshake is never refused: whoever asks learns what this server speaks.
fn initialize(params: Option<&str>) -> ClientRequest {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: ProtocolVersion,
    }
    let version = params
        .and_then(|params| serde_json::from_str::<Params>(params).ok())
        .map_or(ProtocolVersion::LATEST_WITH_INITIALIZE, |params| params.protocol_version);
    // Nothing depends on what the client can do, and only the way to its agent on who it is.
    let client = client_info(params).unwrap_or_else(|| Implementation::new("", ""));
    let params =
        InitializeRequestParams::new(ClientCapabilities::default(), client).with_protocol_version(version);
    ClientRequest::InitializeRequest(Request::new(params))
}

fn client_info(params: Option<&str>) -> Option<Implementation> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        client_info: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
        #[serde(default)]
        version: String,
    }
    let Params { client_info: Named { name, version } } = serde_json::from_str(params?).ok()?;
    let short = |text: String| text.chars().take(NAME_CHARS).collect::<String>();
    Some(Implementation::new(short(name), short(version)))
}

fn call(params: Option<&str>) -> Result<ClientRequest, ErrorData> {
    #[derive(Default, Deserialize)]
    struct Params<'a> {
        #[serde(default)]
        name: Option<String>,
        #[serde(default, borrow)]
        arguments: Option<&'a RawValue>,
        #[serde(default, rename = "_meta")]
        meta: Option<JsonObject>,
    }
    let params = match params.map(serde_json::from_str::<Params<'_>>) {
        None => Params::default(),
        Some(Ok(params)) => params,
        Some(Err(cause)) => {
            return Err(ErrorData::invalid_params(format!("params cannot be read: {cause}"), None));
        }
    };
    let arguments = params.arguments.map_or("{}", RawValue::get);
    if !arguments.starts_with('{') {
        return Err(ErrorData::invalid_params("arguments is an object", None));
    }
    if let Some(cause) = broken_escape(arguments) {
        return Err(ErrorData::invalid_params(format!("arguments cannot be read: {cause}"), None));
    }
    let mut request = Request::new(CallToolRequestParams::new(params.name.unwrap_or_default()));
    request.extensions.insert(RawArguments(arguments.to_owned()));
    if let Some(meta) = params.meta {
        request.extensions.insert(RequestMetaObject::from(meta));
    }
    Ok(ClientRequest::CallToolRequest(request))
}

/// What is wrong with escapes in `json` that may stand for half a character; such are rare.
fn broken_escape(json: &str) -> Option<serde_json::Error> {
    let suspicious = json.contains("\\ud") || json.contains("\\uD");
    if suspicious { serde_json::from_str::<Value>(json).err() } else { None }
}

fn refuse(id: Option<RequestId>, why: &'static str) -> Incoming {
    Incoming::Refusal { id, error: ErrorData::invalid_request(why, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_json_are_noise() {
        for line in [
            "not json",
            "[1, garbage",
            "{garbage}",
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/a\0b\"}",
            r#"{"jsonrpc":"2.0","id":1,"result":{"cut":"#,
        ] {
            assert_eq!(meaning(line.as_bytes()), "noise", "{line}");
        }
        assert_eq!(meaning(b"\xff\xc0\xaf"), "noise");
    }

    #[test]
    fn a_request_that_cannot_be_read_is_refused_with_its_id_if_there_is_one() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1"#,
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\0b\"}",
            "\u{1e}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1,}}}"#,
        ] {
            assert_eq!(meaning(line.as_bytes()), "-32700 1", "{line}");
        }
        assert_eq!(meaning(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xc0\xaf\"}"), "-32700 1");
        let two = r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}"#;
        assert_eq!(meaning(two.as_bytes()), "-32700");
    }

    #[test]
    fn lines_that_nobody_waits_for_are_nothing() {
        for line in [
            "",
            "   ",
            "\r",
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/unheard"}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{}}"#,
            r#"{"method":"initialized"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.5}}"#,
        ] {
            assert_eq!(meaning(line.as_bytes()), "nothing", "{line}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused_without_an_id() {
        for line in [
            "[]",
            "5",
            "\"x\"",
            "null",
            "true",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#,
            "{}",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":[],"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        ] {
            assert_eq!(meaning(line.as_bytes()), "-32600", "{line}");
        }
        assert_eq!(meaning(with_id(&"x".repeat(1025)).as_bytes()), "-32600");
        assert_eq!(meaning(vec![b'['; 100_000].as_slice()), "noise");
        assert_eq!(meaning([vec![b'['; 100_000], vec![b']'; 100_000]].concat().as_slice()), "-32600");
    }

    #[test]
    fn a_request_of_the_wrong_shape_is_refused_with_its_id() {
        for line in [
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
        ] {
            assert_eq!(meaning(line.as_bytes()), "-32600 1", "{line}");
        }
    }

    #[test]
    fn params_of_the_wrong_shape_are_invalid_params() {
        for params in [
            r#""method":"tools/call","params":[]"#,
            r#""method":"tools/call","params":"x""#,
            r#""method":"tools/call","params":{"name":5}"#,
            r#""method":"tools/call","params":{"name":"a","name":"b"}"#,
            r#""method":"tools/call","params":{"name":"a","arguments":[]}"#,
            r#""method":"tools/call","params":{"name":"a","arguments":"x"}"#,
            r#""method":"tools/call","params":{"name":"a","arguments":{"x":"\ud800"}}"#,
            r#""method":"tools/list","params":[]"#,
            r#""method":"prompts/get","params":{}"#,
            r#""method":"unheard","params":{"x":"\uDC00"}"#,
        ] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,{params}}}"#);
            assert_eq!(meaning(line.as_bytes()), "-32602 1", "{line}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"unheard","params":{{"x":{deep}}}}}"#);
        assert_eq!(meaning(line.as_bytes()), "-32602 1");
    }

    #[test]
    fn requests_keep_the_exact_id() {
        for id in ["-1", "0", "9223372036854775807", "-9223372036854775808", r#""1""#, r#""ü""#, r#""""#] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
            assert_eq!(meaning(line.as_bytes()), format!("ping {id}"));
        }
        let longest = "x".repeat(1024);
        assert_eq!(meaning(with_id(&longest).as_bytes()), format!("ping \"{longest}\""));
    }

    #[test]
    fn byte_order_marks_line_ends_and_separators_of_text_are_no_matter() {
        let line = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\u{2028}b\u{2029}\"}\r";

        assert_eq!(meaning(line.as_bytes()), "a\u{2028}b\u{2029} 1");
    }

    #[test]
    fn a_handshake_of_any_shape_is_one() {
        for params in ["", r#","params":null"#, r#","params":{}"#, r#","params":{"protocolVersion":5}"#] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize"{params}}}"#);
            assert_eq!(meaning(line.as_bytes()), "initialize 1", "{line}");
        }
    }

    #[test]
    fn arguments_reach_the_tool_as_they_were_written() {
        for (params, expected) in [
            (r#"{"name":"t"}"#, "{}"),
            (r#"{"name":"t","arguments":null}"#, "{}"),
            (r#"{"name":"t","arguments":{ "b":1e3, "a":"\u00fc\ud83d\ude00", "b":2 }}"#, {
                r#"{ "b":1e3, "a":"\u00fc\ud83d\ude00", "b":2 }"#
            }),
        ] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
            let Incoming::Request { request, .. } = read(line.as_bytes()) else { panic!("refused: {line}") };
            let ClientRequest::CallToolRequest(call) = *request else { panic!("no call: {line}") };

            assert_eq!(call.extensions.get::<RawArguments>().unwrap().0, expected);
        }
    }

    #[test]
    fn many_members_in_params_are_served() {
        let members: Vec<String> = (0..100_000).map(|n| format!(r#""k{n}":{n}"#)).collect();
        let params = format!(r#"{{"name":"t","arguments":{{{}}}}}"#, members.join(","));
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);

        assert_eq!(meaning(line.as_bytes()), "tools/call 1");
    }

    fn with_id(id: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"ping"}}"#)
    }

    /// The meaning in a few words: the code of a refusal or the method of a request, and the id as JSON.
    fn meaning(line: &[u8]) -> String {
        let json = |id: &RequestId| serde_json::to_string(id).unwrap();
        match read(line) {
            Incoming::Cancellation(id) => format!("cancel {}", json(&id)),
            Incoming::Greeting => "greeting".to_owned(),
            Incoming::Noise => "noise".to_owned(),
            Incoming::Nothing => "nothing".to_owned(),
            Incoming::Refusal { id: None, error } => error.code.0.to_string(),
            Incoming::Refusal { id: Some(id), error } => format!("{} {}", error.code.0, json(&id)),
            Incoming::Request { id, request } => format!("{} {}", request.method(), json(&id)),
        }
    }
}

//! MCP for components that serve it themselves: what a message asks for, and how it is answered.
//!
//! ```text
//! message ──► Asked::Nothing                      a notification, or an answer
//!        ├──► Asked::Answer(message)              what is known at once
//!        ├──► Asked::Cancel(id)
//!        └──► Asked::Call { id, name, arguments } ──► result(id, answer)
//! ```
//!
//! Both eras are spoken: with a handshake (to 2025-11-25), and stateless (2026-07-28), where each request says its version.
//! There is no transport and no clock in it.

#![deny(missing_docs)]

use molecule_logic::{
    Agent,
    wire::{Answer, ToolSpec},
};
use serde_json::{Map, Value, json};

/// Versions with a handshake, the newest last.
const WITH_HANDSHAKE: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/// The version without one.
const STATELESS: &str = "2026-07-28";
/// Where a stateless request says its version.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// How long a list of tools may be kept.
const FRESH_MS: u64 = 3_600_000;
const METHOD_CHARS: usize = 100;

const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;
const PARSE_ERROR: i64 = -32_700;
const UNSUPPORTED_VERSION: i64 = -32_022;

/// What a message asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// This is the answer.
    Answer(Value),
    /// A tool is to be called; its answer goes into [`Server::result`].
    Call {
        /// The id of the request.
        id: Value,
        /// The name of the tool.
        name: String,
        /// Its arguments, an object.
        arguments: Value,
        /// The request says its version itself.
        stateless: bool,
    },
    /// The call with this id is not wanted any more.
    Cancel(Value),
    /// There is nothing to answer.
    Nothing,
}

/// A server of the tools of an agent.
#[derive(Debug)]
pub struct Server {
    tools: Vec<Value>,
    instructions: String,
}

impl Server {
    /// A server of what `agent` offers.
    #[must_use]
    pub fn of(agent: &Agent) -> Self {
        let tools = agent.specs().iter().map(tool).collect();
        Self { tools, instructions: agent.instructions() }
    }

    /// Reads a message.
    #[must_use]
    pub fn read(&self, bytes: &[u8]) -> Asked {
        let message = match serde_json::from_slice(bytes) {
            Ok(Value::Object(message)) => message,
            Ok(_) => {
                return Asked::Answer(error(&Value::Null, INVALID_REQUEST, "a message is one JSON object"));
            }
            Err(cause) => {
                return Asked::Answer(error(
                    &Value::Null,
                    PARSE_ERROR,
                    &format!("the message is not JSON: {cause}"),
                ));
            }
        };
        let Some(Value::String(method)) = message.get("method") else { return Asked::Nothing };
        let empty = Map::new();
        let params = message.get("params").and_then(Value::as_object).unwrap_or(&empty);
        match message.get("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => self.request(id, method, params),
            Some(_) => Asked::Answer(error(&Value::Null, INVALID_REQUEST, "an id is a text or a number")),
            None if method == "notifications/cancelled" => {
                params.get("requestId").map_or(Asked::Nothing, |id| Asked::Cancel(id.clone()))
            }
            None => Asked::Nothing,
        }
    }

    fn request(&self, id: &Value, method: &str, params: &Map<String, Value>) -> Asked {
        let version = params.get("_meta").and_then(|meta| meta.get(VERSION)?.as_str());
        let stateless = version == Some(STATELESS);
        if let Some(version) = version.filter(|version| !stateless && !WITH_HANDSHAKE.contains(version)) {
            let shown: String = version.chars().take(METHOD_CHARS).collect();
            let data = json!({ "supported": versions(), "requested": shown });
            let refusal = json!({ "code": UNSUPPORTED_VERSION, "message": "Unsupported protocol version", "data": data });
            return Asked::Answer(json!({ "jsonrpc": "2.0", "id": id, "error": refusal }));
        }
        let result = match method {
            "initialize" => self.introduction(params),
            "ping" => json!({}),
            "server/discover" => json!({
                "supportedVersions": versions(),
                "capabilities": { "tools": {} },
                "serverInfo": info(),
                "instructions": self.instructions,
            }),
            "tools/list" => json!({ "tools": self.tools }),
            "tools/call" => return call(id, params, stateless),
            "prompts/list" => json!({ "prompts": [] }),
            "resources/list" => json!({ "resources": [] }),
            "resources/templates/list" => json!({ "resourceTemplates": [] }),
            _ => {
                let shown: String = method.chars().take(METHOD_CHARS).collect();
                return Asked::Answer(error(id, METHOD_NOT_FOUND, &format!("Method not found: {shown}")));
            }
        };
        Asked::Answer(success(id, in_era(result, stateless, method)))
    }

    fn introduction(&self, params: &Map<String, Value>) -> Value {
        let wanted = params.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        let [.., newest] = WITH_HANDSHAKE;
        let version = WITH_HANDSHAKE.into_iter().find(|version| *version == wanted).unwrap_or(newest);
        json!({
            "protocolVersion": version,
            "capabilities": { "tools": {} },
            "serverInfo": info(),
            "instructions": self.instructions,
        })
    }
}

/// The answer of a tool call as a message; `structured` also gives its facts.
#[must_use]
pub fn result(id: &Value, answer: &Answer, stateless: bool, structured: bool) -> Value {
    let content: Vec<Value> =
        answer.text.iter().map(|text| json!({ "type": "text", "text": text })).collect();
    let mut result = json!({ "content": content, "isError": answer.is_error });
    let facts = answer
        .structured
        .as_deref()
        .filter(|_| structured)
        .and_then(|facts| serde_json::from_str(facts).ok());
    if let (Some(result), Some(facts)) = (result.as_object_mut(), facts) {
        result.insert("structuredContent".to_owned(), facts);
    }
    success(id, in_era(result, stateless, "tools/call"))
}

/// An error as a message.
#[must_use]
pub fn error(id: &Value, code: i64, text: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": text } })
}

fn success(id: &Value, result: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

/// A result in the shape of the era.
fn in_era(mut result: Value, stateless: bool, method: &str) -> Value {
    if let Some(result) = result.as_object_mut().filter(|_| stateless) {
        result.insert("resultType".to_owned(), json!("complete"));
        if method.ends_with("/list") || method == "server/discover" {
            result.insert("ttlMs".to_owned(), json!(FRESH_MS));
            result.insert("cacheScope".to_owned(), json!("private"));
        }
    }
    result
}

fn call(id: &Value, params: &Map<String, Value>, stateless: bool) -> Asked {
    let Some(name) = params.get("name").and_then(Value::as_str) else {
        return Asked::Answer(error(id, INVALID_PARAMS, "tools/call needs the name of a tool"));
    };
    let arguments = match params.get("arguments") {
        None | Some(Value::Null) => json!({}),
        Some(arguments @ Value::Object(_)) => arguments.clone(),
        Some(_) => return Asked::Answer(error(id, INVALID_PARAMS, "the arguments of a tool are an object")),
    };
    Asked::Call { id: id.clone(), name: name.to_owned(), arguments, stateless }
}

fn versions() -> Vec<&'static str> {
    [STATELESS].into_iter().chain(WITH_HANDSHAKE.into_iter().rev()).collect()
}

fn info() -> Value {
    json!({ "name": "molecule", "title": "Molecule", "version": env!("CARGO_PKG_VERSION") })
}

fn tool(spec: &ToolSpec) -> Value {
    let mut tool = json!({
        "name": spec.name,
        "title": spec.title,
        "description": spec.description,
        "inputSchema": serde_json::from_str::<Value>(&spec.input_schema).unwrap_or_else(|_| json!({ "type": "object" })),
        "annotations": {
            "title": spec.title,
            "readOnlyHint": spec.read_only,
            "destructiveHint": spec.destructive,
            "idempotentHint": spec.idempotent,
            "openWorldHint": spec.open_world,
        },
    });
    let meta = spec.meta.as_deref().and_then(|meta| serde_json::from_str::<Value>(meta).ok());
    if let (Some(tool), Some(meta)) = (tool.as_object_mut(), meta) {
        tool.insert("_meta".to_owned(), meta);
    }
    tool
}

#[cfg(test)]
mod tests {
    use molecule_logic::wire::{Permissions, Settings, WorkspaceSettings};

    use super::*;

    #[test]
    fn a_handshake_agrees_on_the_version_of_the_client_or_the_newest_that_has_one() {
        for (asked, agreed) in
            [("2025-06-18", "2025-06-18"), ("2026-07-28", "2025-11-25"), ("1.0", "2025-11-25")]
        {
            let answer = ask("initialize", json!({ "protocolVersion": asked }));

            assert_eq!(answer["result"]["protocolVersion"], agreed);
            assert_eq!(answer["result"]["capabilities"], json!({ "tools": {} }));
            assert!(answer["result"]["instructions"].as_str().unwrap().contains("inbox_pop"));
        }
    }

    #[test]
    fn a_request_that_says_its_version_is_answered_in_its_shape() {
        let meta = json!({ "_meta": { (VERSION): STATELESS } });

        let (tools, found) = (ask("tools/list", meta.clone()), ask("server/discover", meta));

        assert_eq!(tools["result"]["resultType"], "complete");
        assert!(tools["result"]["ttlMs"].as_u64().unwrap() > 0);
        assert_eq!(found["result"]["supportedVersions"][0], STATELESS);
        assert!(ask("tools/list", json!({}))["result"].get("resultType").is_none());
    }

    #[test]
    fn a_version_that_is_not_spoken_is_refused_with_those_that_are() {
        let answer = ask("tools/list", json!({ "_meta": { (VERSION): "2031-01-01" } }));

        assert_eq!(answer["error"]["code"], UNSUPPORTED_VERSION);
        assert!(answer["error"]["data"]["supported"].as_array().unwrap().contains(&json!(STATELESS)));
    }

    #[test]
    fn every_tool_is_listed_with_its_marks() {
        let answer = ask("tools/list", json!({}));

        let tools = answer["result"]["tools"].as_array().unwrap();
        assert_eq!(tools.len(), agent().specs().len());
        assert_eq!(
            (&tools[3]["name"], &tools[3]["annotations"]["readOnlyHint"]),
            (&json!("list_peers"), &json!(true))
        );
        assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"));
    }

    #[test]
    fn a_call_is_handed_on_and_its_answer_framed() {
        let asked = read(
            &json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "list_peers" } }),
        );

        let Asked::Call { id, name, arguments, stateless } = asked else { panic!("{asked:?}") };
        assert_eq!((name.as_str(), arguments, stateless), ("list_peers", json!({}), false));
        let answer =
            Answer { text: vec!["Error: no".to_owned()], is_error: true, structured: Some("{}".to_owned()) };
        let message = result(&id, &answer, false, false);
        assert_eq!((&message["id"], &message["result"]["isError"]), (&json!(7), &json!(true)));
        assert_eq!(message["result"]["content"][0]["text"], "Error: no");
        assert!(message["result"].get("structuredContent").is_none());
    }

    #[test]
    fn what_cannot_be_read_is_answered_and_what_asks_nothing_is_not() {
        let code = |bytes: &[u8]| match server().read(bytes) {
            Asked::Answer(answer) => answer["error"]["code"].as_i64(),
            Asked::Call { .. } | Asked::Cancel(_) | Asked::Nothing => None,
        };

        assert_eq!(code(b"{"), Some(PARSE_ERROR));
        assert_eq!(code(b"[]"), Some(INVALID_REQUEST));
        assert_eq!(code(br#"{"id":[],"method":"ping"}"#), Some(INVALID_REQUEST));
        assert_eq!(code(br#"{"id":1,"method":"no/such"}"#), Some(METHOD_NOT_FOUND));
        assert_eq!(
            code(br#"{"id":1,"method":"tools/call","params":{"name":"x","arguments":[]}}"#),
            Some(INVALID_PARAMS)
        );
        for silent in [r#"{"method":"notifications/initialized"}"#, r#"{"id":1,"result":{}}"#, "{}"] {
            assert_eq!(server().read(silent.as_bytes()), Asked::Nothing, "{silent}");
        }
        let cancelled = br#"{"method":"notifications/cancelled","params":{"requestId":3}}"#;
        assert_eq!(server().read(cancelled), Asked::Cancel(json!(3)));
    }

    fn ask(method: &str, params: Value) -> Value {
        match read(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })) {
            Asked::Answer(answer) => answer,
            asked @ (Asked::Call { .. } | Asked::Cancel(_) | Asked::Nothing) => panic!("{asked:?}"),
        }
    }

    fn read(message: &Value) -> Asked {
        server().read(message.to_string().as_bytes())
    }

    fn server() -> Server {
        Server::of(&agent())
    }

    fn agent() -> Agent {
        Agent::start(Settings {
            seed: (1, 2, 3, 4),
            workspaces: vec![WorkspaceSettings { id: "w".to_owned(), platform: "https://p".to_owned() }],
            inbox: true,
            redeliver: false,
            notice: true,
            structured: false,
            bare_peer_text: false,
            delegate_durably: false,
            durable_budget_secs: 300,
            poll_timeout_secs: 2,
            permissions: Permissions { roles: Vec::new(), allowed_actions: Vec::new(), tier: 1 },
        })
    }
}

//! MCP over HTTP, stateless: each POST is one message, answered with one message.
//!
//! ```text
//! POST ──► gate: bearer, Host, Origin ──► body, at most 4 MiB ──► Server ──┬── answer
//!                                                                          └── call of a tool ── answer
//! ```
//!
//! A host makes an instance for each request, so there are no sessions and no streams of its own: waits are cut to 60 s.

mod exports;
mod gate;

use molecule_mcp_server::{Asked, Server, result};
use molecule_wasi::{Answer, Environment};
use serde_json::{Value, json};

use self::gate::{Caller, Gate};

/// What is in front of a component may not wait longer.
const MOST_WAIT_SECS: f64 = 60.0;

/// A request as far as it matters.
pub struct Request {
    /// Such as `POST`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Status and JSON body of an answer; none for a message that asks nothing.
pub type Response = (u16, Option<Value>);

/// Whether a request may be read at all.
///
/// # Errors
/// The answer, if it may not.
pub fn admit(request: &Request) -> Result<Environment, Response> {
    let refused = |(status, why): (u16, &str)| (status, Some(json!({ "error": why })));
    let environment = Environment::read().map_err(|why| refused((503, &why)))?;
    let gate =
        Gate::new(environment.value("MOLECULE_SERVE_TOKEN"), environment.value("MOLECULE_SERVE_HOSTS"));
    let gate = gate.map_err(|why| refused((503, &why)))?;
    let caller = Caller {
        authorization: request.header("authorization"),
        origin: request.header("origin"),
        host: request.header("host"),
    };
    gate.check(&caller).map_err(refused)?;
    if request.path.split('?').next() != Some("/mcp") {
        return Err(refused((404, "MCP is served at /mcp")));
    }
    if request.method != "POST" {
        return Err(refused((405, "a message of MCP comes as POST; this server has no stream")));
    }
    let kind = request.header("content-type").unwrap_or_default();
    if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
        return Err(refused((415, "a message of MCP is application/json")));
    }
    Ok(environment)
}

/// Answers a message.
pub async fn answer(environment: Environment, body: &[u8]) -> Response {
    let server = environment.describe(Server::of);
    match server.read(body) {
        Asked::Answer(answer) => (200, Some(answer)),
        Asked::Nothing | Asked::Cancel(_) => (202, None),
        Asked::Call { id, name, arguments, stateless } => {
            let called = molecule_wasi::call(environment, &name, &within_patience(&name, arguments)).await;
            let answer =
                called.unwrap_or_else(|why| Answer { text: vec![why], is_error: true, structured: None });
            (200, Some(result(&id, &answer, stateless, false)))
        }
    }
}

/// Arguments of a call that ends before what is in front gives it up.
fn within_patience(name: &str, mut arguments: Value) -> Value {
    if let Some(fields) = arguments.as_object_mut().filter(|_| name == "wait_for_message") {
        let asked = fields.get("timeout_secs").and_then(Value::as_f64).unwrap_or(MOST_WAIT_SECS);
        fields.insert("timeout_secs".to_owned(), json!(asked.clamp(0.0, MOST_WAIT_SECS)));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_within_a_minute() {
        for (asked, given) in
            [(json!({}), 60.0), (json!({"timeout_secs": 280}), 60.0), (json!({"timeout_secs": 3}), 3.0)]
        {
            assert_eq!(within_patience("wait_for_message", asked)["timeout_secs"], given);
        }
        assert_eq!(within_patience("list_peers", json!({})), json!({}));
    }
}

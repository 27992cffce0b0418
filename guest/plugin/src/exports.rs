//! The exports: each is a call of the tool with the same name.

use molecule_wasi::{Answer, Environment};
use serde_json::{Map, Value, json};

use crate::{
    bindings::{Guest, Inbox, Peer, Popped},
    facts::{self, Peers, Pops, Shown},
};

/// What the exports work on.
pub(crate) struct Plugin;

/// Calls a tool; an error, of the tool or of what is around it, is a text that says what to do.
fn call(name: &str, arguments: Value) -> Result<Answer, String> {
    let answer = molecule_wasi::block_on(async {
        molecule_wasi::call(Environment::read()?, name, &without_neutral(arguments)).await
    })?;
    if answer.is_error { Err(answer.text.concat()) } else { Ok(answer) }
}

/// The arguments that say something: an empty text, an empty list and 0 stand for one that is left out.
fn without_neutral(arguments: Value) -> Value {
    let Value::Object(arguments) = arguments else { return arguments };
    let says =
        |value: &Value| !matches!(value.as_str(), Some("")) && value != &json!(0) && value != &json!([]);
    Value::Object(arguments.into_iter().filter(|(_, value)| says(value)).collect::<Map<_, _>>())
}

fn text(name: &str, arguments: Value) -> Result<String, String> {
    call(name, arguments).map(|answer| answer.text.concat())
}

impl Guest for Plugin {
    fn list_peers() -> Result<Vec<Peer>, String> {
        facts::read::<Peers>(&call("list_peers", json!({}))?).map(Peers::into)
    }

    fn get_workspace_info() -> Result<String, String> {
        text("get_workspace_info", json!({}))
    }

    fn delegate_task(workspace_id: String, task: String) -> Result<String, String> {
        text("delegate_task", json!({ "workspace_id": workspace_id, "task": task }))
    }

    fn delegate_task_async(
        workspace_id: String,
        task: String,
        idempotency_key: String,
    ) -> Result<String, String> {
        let arguments =
            json!({ "workspace_id": workspace_id, "task": task, "idempotency_key": idempotency_key });
        text("delegate_task_async", arguments)
    }

    fn check_task_status(task_id: String) -> Result<String, String> {
        text("check_task_status", json!({ "task_id": task_id }))
    }

    fn send_message_to_user(message: String, attachments: Vec<String>) -> Result<String, String> {
        text("send_message_to_user", json!({ "message": message, "attachments": attachments }))
    }

    fn wait_for_message(timeout_secs: u32) -> Result<Inbox, String> {
        // No time means a look, which is not the tool's default.
        let arguments = json!({ "timeout_secs": f64::from(timeout_secs) });
        Shown::read(&call("wait_for_message", arguments)?)
    }

    fn inbox_peek(limit: u32, activity_id: String, offset: u32, max_chars: u32) -> Result<Inbox, String> {
        let arguments =
            json!({ "limit": limit, "activity_id": activity_id, "offset": offset, "max_chars": max_chars });
        Shown::read(&call("inbox_peek", arguments)?)
    }

    fn inbox_pop(activity_ids: Vec<String>) -> Result<Vec<Popped>, String> {
        facts::read::<Pops>(&call("inbox_pop", json!({ "activity_ids": activity_ids }))?).map(Pops::into)
    }

    fn commit_memory(content: String, scope: String) -> Result<String, String> {
        text("commit_memory", json!({ "content": content, "scope": scope }))
    }

    fn recall_memory(query: String, scope: String) -> Result<String, String> {
        text("recall_memory", json!({ "query": query, "scope": scope }))
    }
}

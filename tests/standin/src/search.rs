//! Looking through the own log: by text, and as the conversation with the user.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::activity::Row;
use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::{Ids, database_uuid};
use crate::inbox::BAD_INSTANT;
use crate::json;
use crate::memory::Memory;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::words::matches_like;

impl Platform {
    /// Rows, and before the newest level memories, that contain a text, newest first.
    pub(crate) fn session_search(&self, call: &Call, id: &str) -> Answer {
        let workspace = database_uuid(id).filter(|_| !self.activity.down && !self.memories.down);
        let workspace = workspace.ok_or_else(|| Response::error(500, "session search failed"))?;
        let wanted = call.query("q").unwrap_or_default();
        let rows = self.activity.of(workspace).filter(|row| row_matches(row, wanted));
        let memories = self.memories.of(workspace);
        let memories = memories.filter(|memory| {
            self.level < Level::Newest
                && [memory.content.as_str(), memory.scope.as_str()]
                    .iter()
                    .any(|text| matches_like(text, wanted))
        });
        let mut found: Vec<(Now, Value)> = rows.map(found_row).chain(memories.map(found_memory)).collect();
        found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let limit = limit(call, 50, 200);
        Ok(Response::json(200, found.into_iter().take(limit).map(|(_, item)| item).collect()))
    }

    /// The conversation with the user: the newest page of it, oldest first, with ids made up on each call.
    pub(crate) fn chat_history(&mut self, call: &Call, id: &str) -> Answer {
        let workspace =
            database_uuid(id).ok_or_else(|| Response::error(400, "workspace id must be a UUID"))?;
        if self.activity.down {
            return Err(Response::error(502, "chat history unavailable"));
        }
        let before = match call.filled("before_ts") {
            None => None,
            Some(text) => Some(Now::parse(text).ok_or_else(|| Response::error(400, BAD_INSTANT))?),
        };
        let limit = limit(call, 100, 1000);
        let in_chat = |row: &&&Row| {
            row.activity_type == "a2a_receive"
                && row.source.is_none()
                && row.method.as_deref() != Some("chat_upload_receive")
                && before.is_none_or(|before| row.created_at < before)
        };
        let rows = self.activity.newest_first(workspace);
        let page: Vec<&Row> = rows.iter().filter(in_chat).take(limit).copied().collect();
        let reached_end = page.len() < limit;
        let ids = &mut self.ids;
        let messages: Vec<Value> = page.iter().rev().flat_map(|row| bubbles(row, ids)).collect();
        Ok(Response::json(200, json!({ "messages": messages, "reached_end": reached_end })))
    }
}

fn limit(call: &Call, default: usize, max: usize) -> usize {
    let wanted = call.query("limit").and_then(|text| text.parse::<usize>().ok());
    wanted.filter(|n| *n > 0).unwrap_or(default).min(max)
}

fn row_matches(row: &Row, wanted: &str) -> bool {
    let bodies = [&row.request_body, &row.response_body].map(|body| body.as_ref().map(Value::to_string));
    let texts =
        [row.summary.clone(), Some(row.activity_type.clone()), row.method.clone(), Some(row.status.clone())];
    texts.into_iter().chain(bodies).any(|text| matches_like(&text.unwrap_or_default(), wanted))
}

fn found_row(row: &Row) -> (Now, Value) {
    let mut item = json!({
        "content": row.summary.clone().unwrap_or_default(),
        "created_at": row.created_at.rfc3339(),
        "id": row.id.to_string(),
        "kind": "activity",
        "label": row.activity_type,
        "method": row.method.clone().unwrap_or_default(),
        "status": row.status,
        "workspace_id": row.workspace.to_string(),
    });
    let mut bodies = Map::new();
    row.insert_bodies(&mut bodies);
    item.as_object_mut().into_iter().for_each(|item| item.extend(bodies.clone()));
    (row.created_at, item)
}

fn found_memory(memory: &Memory) -> (Now, Value) {
    let item = json!({
        "content": memory.content,
        "created_at": memory.created_at.rfc3339(),
        "id": memory.id.to_string(),
        "kind": "memory",
        "label": memory.scope.as_str(),
        "method": "",
        "status": "",
        "workspace_id": memory.workspace.to_string(),
    });
    (memory.created_at, item)
}

/// What the user said, and what the agent answered.
fn bubbles(row: &Row, ids: &mut Ids) -> Vec<Value> {
    let said = row.request_body.as_ref().and_then(|body| body.pointer("/params/message/parts"));
    let answered = row.response_body.as_ref();
    let answer_parts = answered.and_then(|body| body.get("parts").or_else(|| body.pointer("/result/parts")));
    let answer_text = answered.and_then(|body| body.get("result")?.as_str());
    let user = said.map(|parts| bubble(row, "user", None, Some(parts), ids.uuid()));
    let agent = (answer_text.is_some() || answer_parts.is_some())
        .then(|| bubble(row, "agent", answer_text, answer_parts, ids.uuid()));
    user.into_iter().chain(agent).collect()
}

fn bubble(row: &Row, role: &str, text: Option<&str>, parts: Option<&Value>, id: Uuid) -> Value {
    let parts: Vec<&Value> = parts.and_then(Value::as_array).into_iter().flatten().collect();
    let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
    let content = text.map_or_else(|| texts.collect::<Vec<_>>().join("\n"), str::to_owned);
    let files: Vec<Value> = parts.iter().filter_map(|part| Some(attachment(part.get("file")?))).collect();
    let mut bubble = json!({ "id": id.to_string(), "role": role, "content": content });
    if !files.is_empty() {
        json::put(&mut bubble, "attachments", json!(files));
    }
    json::put(&mut bubble, "timestamp", json!(row.created_at.rfc3339()));
    bubble
}

fn attachment(file: &Value) -> Value {
    let keys = ["name", "uri", "mimeType", "size"].into_iter();
    keys.filter_map(|key| Some((key.to_owned(), file.get(key)?.clone()))).collect::<Map<_, _>>().into()
}

//! Rows with what is known of their senders, which the newest level adds if it is asked to.

use serde_json::{Map, Value, json};

use crate::activity::Row;
use crate::call::Call;
use crate::json;
use crate::platform::Platform;
use crate::switches::Level;

impl Platform {
    /// A row as the feed shows it.
    pub(crate) fn shown(&self, row: &Row, call: &Call) -> Value {
        let mut shown = row.to_json();
        let mut asked_for = call.query("include").unwrap_or_default().split(',').map(str::trim);
        if self.level >= Level::Newest && asked_for.any(|word| word == "peer_info") {
            self.add_peer_info(row, call, &mut shown);
        }
        shown
    }

    /// Each only if it is known.
    fn add_peer_info(&self, row: &Row, call: &Call, shown: &mut Value) {
        if let Some(source) = row.source {
            let card = format!("http://{}/registry/discover/{source}", call.host());
            json::put(shown, "agent_card_url", json!(card));
        }
        if let Some(peer) = row.source.and_then(|source| self.workspaces.get(source)) {
            json::put(shown, "peer_name", json!(peer.name));
            if let Some(role) = &peer.role {
                json::put(shown, "peer_role", json!(role));
            }
        }
        let files = attachments(row);
        if !files.is_empty() {
            json::put(shown, "attachments", json!(files));
        }
    }
}

fn attachments(row: &Row) -> Vec<Value> {
    let Some(body) = &row.request_body else { return Vec::new() };
    if row.method.as_deref() == Some("chat_upload_receive") {
        return vec![attachment(kind_of(body.get("mimeType")), body, "mimeType")];
    }
    let parts = body.pointer("/params/message/parts").and_then(Value::as_array).into_iter().flatten();
    let files = parts.filter_map(|part| Some((part.get("kind")?.as_str()?, part.get("file")?)));
    // The usual spelling of the media type is passed over.
    files.map(|(kind, file)| attachment(kind, file, "mime_type")).collect()
}

fn kind_of(mime_type: Option<&Value>) -> &'static str {
    let mime_type = mime_type.and_then(Value::as_str).unwrap_or_default();
    ["image", "audio", "video"]
        .into_iter()
        .find(|kind| mime_type.split('/').next() == Some(kind))
        .unwrap_or("file")
}

fn attachment(kind: &str, file: &Value, mime_key: &str) -> Value {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!(kind));
    for (key, from) in [("uri", "uri"), ("name", "name"), ("mime_type", mime_key)] {
        if let Some(value) = file.get(from) {
            shown.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Stage;

    #[test]
    fn who_has_sent_a_row_is_said_on_request_at_the_newest_level() {
        for (level, name) in [(Level::Later, Value::Null), (Level::Newest, json!("peer"))] {
            let mut stage = Stage::new(level);
            stage.platform.peer_sends(stage.peer.id, stage.own.id, "hi");

            assert_eq!(stage.inbox("include=x,peer_info")[0]["peer_name"], name, "{level:?}");
            assert_eq!(stage.inbox("")[0].get("peer_name"), None);
        }
    }
}

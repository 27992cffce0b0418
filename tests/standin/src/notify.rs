//! Messages to the user, and broadcasts to the agents below.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::{NewRow, Refused};
use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{self, Fields, Malformed};
use crate::platform::Platform;
use crate::switches::Level;
use crate::workspaces::{not_found, workspace_id};

const SUMMARY: usize = 80;
const BROADCAST_SUMMARY: usize = 120;
const NO_TALK_HINT: &str = "This workspace is not allowed to send messages directly to the user. Forward your update \
                            to a parent workspace using delegate_task — they may be able to reach the user.";
const NO_BROADCAST_HINT: &str = "This workspace does not have the broadcast ability. Ask a user or admin to enable it \
                                 via PATCH /workspaces/:id/abilities.";

/// A file the agent shows to the user.
struct Attachment {
    uri: String,
    name: String,
    mime_type: String,
    size: i64,
}

impl Platform {
    /// The event goes out first; a row that is refused is lost in silence.
    pub(crate) fn notify(&mut self, call: &Call, id: &str) -> Answer {
        let (message, attachments) = notification(call)?;
        let workspace = self.talking_workspace(id)?;
        let data = self.agent_message(workspace, &message, &attachments);
        self.emit(workspace, "AGENT_MESSAGE", data, call.now);
        if let Ok(row) = self.notify_row(workspace, message, &attachments) {
            // No event of its own.
            let stored: Result<_, Refused> = self.activity.insert(row, call.now);
            drop(stored);
        }
        Ok(Response::json(200, json!({ "status": "sent" })))
    }

    fn talking_workspace(&self, id: &str) -> Result<Uuid, Response> {
        let odd = || match self.level {
            Level::Baseline => not_found(),
            Level::Later | Level::Newest => Response::error(500, "internal error"),
        };
        let id = database_uuid(id).ok_or_else(odd)?;
        let workspace =
            self.workspaces.get(id).filter(|workspace| !workspace.is_removed()).ok_or_else(not_found)?;
        if !workspace.talk_to_user_enabled {
            let body = json!({ "error": "talk_to_user_disabled", "hint": NO_TALK_HINT });
            return Err(Response::json(403, body));
        }
        Ok(id)
    }

    fn agent_message(&self, workspace: Uuid, message: &str, attachments: &[Attachment]) -> Value {
        let mut data = json!({
            "message": message,
            "name": self.name_of(workspace),
            "workspace_id": workspace.to_string(),
        });
        if !attachments.is_empty() {
            let seen = |attachment: &Attachment| match self.level {
                Level::Baseline | Level::Newest => attachment.to_json(),
                Level::Later => json!({
                    "URI": attachment.uri,
                    "Name": attachment.name,
                    "MimeType": attachment.mime_type,
                    "Size": attachment.size,
                }),
            };
            json::put(&mut data, "attachments", attachments.iter().map(seen).collect());
        }
        data
    }

    fn notify_row(
        &mut self,
        workspace: Uuid,
        message: String,
        attachments: &[Attachment],
    ) -> Result<NewRow, Refused> {
        let cut = self.shortened(&message, SUMMARY)?;
        let mut body = json!({ "result": message });
        if !attachments.is_empty() {
            let parts = attachments.iter().map(|file| json!({ "kind": "file", "file": file.to_json() }));
            json::put(&mut body, "parts", parts.collect());
        }
        Ok(NewRow {
            method: Some("notify".to_owned()),
            summary: Some(format!("Agent message: {cut}")),
            response_body: Some(body),
            ..self.new_row(workspace, "a2a_receive")
        })
    }

    /// The start of a text, marked if it was cut. At the baseline a cut through a character spoils the row.
    pub(crate) fn shortened(&self, text: &str, length: usize) -> Result<String, Refused> {
        match self.level {
            Level::Baseline if text.len() <= length => Ok(text.to_owned()),
            Level::Baseline => text.get(..length).map(|start| format!("{start}…")).ok_or(Refused),
            Level::Later | Level::Newest => Ok(first_characters(text, length)),
        }
    }

    /// Before the newest level, as built, only a root reaches anybody: everyone below it. Then everybody else.
    pub(crate) fn broadcast(&mut self, call: &Call, id: &str) -> Answer {
        let id = workspace_id(id)?;
        let no_message = |Malformed| Response::error(400, "message is required");
        let fields = call.fields().map_err(no_message)?;
        let message = fields.required("message").map_err(no_message)?;
        let sender = self.workspaces.get(id).filter(|sender| !sender.is_removed()).ok_or_else(not_found)?;
        if !sender.broadcast_enabled {
            let body = json!({ "error": "broadcast_disabled", "hint": NO_BROADCAST_HINT });
            return Err(Response::json(403, body));
        }
        let name = sender.name.clone();
        let recipients = self.recipients(id, sender.parent.is_none());
        let mut delivered = 0;
        for recipient in recipients {
            let summary = format!("Broadcast from {name}: {}", first_characters(message, BROADCAST_SUMMARY));
            let row = NewRow {
                source: Some(id.to_string()),
                method: Some("broadcast".to_owned()),
                // The text beyond the summary is only in the event, but a U+0000 in it spoils the row.
                summary: Some(if message.contains('\0') { message.to_owned() } else { summary }),
                ..self.new_row(recipient, "broadcast_receive")
            };
            if self.activity.insert(row, call.now).is_ok() {
                delivered += 1;
                let data = json!({ "message": message, "sender": name, "sender_id": id.to_string() });
                self.emit(recipient, "BROADCAST_MESSAGE", data, call.now);
            }
        }
        let row = NewRow {
            method: Some("broadcast".to_owned()),
            summary: Some(format!("Broadcast sent to {delivered} workspace(s)")),
            ..self.new_row(id, "broadcast_sent")
        };
        drop(self.activity.insert(row, call.now));
        Ok(Response::json(200, json!({ "delivered": delivered, "status": "sent" })))
    }
}

impl Platform {
    /// Whom a broadcast of this workspace reaches.
    fn recipients(&self, sender: Uuid, is_root: bool) -> Vec<Uuid> {
        if self.level < Level::Newest {
            return if is_root { self.workspaces.descendants(sender) } else { Vec::new() };
        }
        let root = self.workspaces.root_of(sender);
        let all = [root].into_iter().chain(self.workspaces.descendants(root));
        all.filter(|recipient| *recipient != sender).collect()
    }
}

impl Attachment {
    fn parse(value: &Value) -> Result<Self, Malformed> {
        if value.is_null() {
            return Ok(Self { uri: String::new(), name: String::new(), mime_type: String::new(), size: 0 });
        }
        let fields = Fields::from_value(value)?;
        let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
        Ok(Self {
            uri: text("uri")?,
            name: text("name")?,
            mime_type: text("mimeType")?,
            size: fields.integer("size")?.unwrap_or(0),
        })
    }

    fn to_json(&self) -> Value {
        let mut file = json!({ "uri": self.uri, "name": self.name });
        if !self.mime_type.is_empty() {
            json::put(&mut file, "mimeType", json!(self.mime_type));
        }
        if self.size > 0 {
            json::put(&mut file, "size", json!(self.size));
        }
        file
    }
}

fn notification(call: &Call) -> Result<(String, Vec<Attachment>), Response> {
    let no_message = |Malformed| Response::error(400, "message is required");
    let fields = call.fields().map_err(no_message)?;
    let message = fields.required("message").map_err(no_message)?;
    let mut attachments = Vec::new();
    if let Some(list) = fields.value("attachments") {
        for value in list.as_array().ok_or(Malformed).map_err(no_message)? {
            attachments.push(Attachment::parse(value).map_err(no_message)?);
        }
    }
    if let Some(index) = attachments.iter().position(|file| file.uri.is_empty() || file.name.is_empty()) {
        return Err(Response::error(400, format!("attachment[{index}]: uri and name are required")));
    }
    Ok((message.to_owned(), attachments))
}

fn first_characters(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Stage;

    #[test]
    fn a_notification_comes_back_as_a_row_of_the_own_inbox() {
        let mut stage = Stage::new(Level::Later);
        let file = json!({ "uri": "workspace:/workspace/x", "name": "x", "mimeType": "", "size": 0 });
        assert_eq!(stage.post("/notify", &json!({ "message": "Done.", "attachments": [file] })).0, 200);

        let row = stage.inbox("").remove(0);

        assert_eq!(
            (&row["method"], &row["source_id"], &row["target_id"]),
            (&json!("notify"), &json!(null), &json!(null))
        );
        assert_eq!(row.get("request_body"), None);
        let parts = json!([{ "kind": "file", "file": { "uri": "workspace:/workspace/x", "name": "x" } }]);
        assert_eq!(row["response_body"], json!({ "parts": parts, "result": "Done." }));
    }

    #[test]
    fn at_the_baseline_a_cut_through_a_character_loses_the_row() {
        let message = json!({ "message": format!("x{}", "é".repeat(60)) });
        for (level, rows) in [(Level::Baseline, 0), (Level::Later, 1)] {
            let mut stage = Stage::new(level);
            assert_eq!(stage.post("/notify", &message).0, 200);
            assert_eq!(stage.inbox("").len(), rows, "{level:?}");
        }
    }

    #[test]
    fn a_bad_attachment_is_named_and_nothing_stored() {
        let mut stage = Stage::new(Level::Later);
        let body = json!({ "message": "m", "attachments": [{ "uri": "u", "name": "n" }, { "uri": "u" }] });

        let refused = stage.post("/notify", &body);

        assert_eq!(refused, (400, json!({ "error": "attachment[1]: uri and name are required" })));
        assert!(stage.inbox("").is_empty());
    }

    #[test]
    fn broadcasts_reach_those_below_a_root_and_nobody_else() {
        let mut stage = Stage::new(Level::Later);
        let (root, child) = (stage.own.id, stage.peer.id);
        stage.platform.alter(child, |workspace| workspace.parent = Some(root));
        assert_eq!(stage.post("/broadcast", &json!({ "message": "x" })).0, 403);
        stage.platform.alter(root, |workspace| workspace.broadcast_enabled = true);

        let (_, answer) = stage.post("/broadcast", &json!({ "message": "y".repeat(130) }));

        assert_eq!(answer, json!({ "delivered": 1, "status": "sent" }));
        let row = stage.platform.rows(child)[0];
        assert_eq!(row.activity_type, "broadcast_receive");
        assert_eq!(
            row.summary.as_deref(),
            Some(format!("Broadcast from own: {}…", "y".repeat(120)).as_str())
        );
    }
}

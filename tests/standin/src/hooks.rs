//! What no client can do: endpoints below `/_test/`, without authentication and outside all layers.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::{NewRow, Refused};
use crate::call::Call;
use crate::faults::Fault;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{Fields, Malformed};
use crate::model::Status;
use crate::now::Now;
use crate::platform::Platform;
use crate::world::Store;

pub(crate) const PREFIX: &str = "/_test/";

/// Every hook: its request below [`PREFIX`] and what it does. In alphabetical order.
pub const HOOKS: &[(&str, &str)] = &[
    ("GET notifies", "the messages to the user that were accepted"),
    ("GET requests?since=N", "the requests after number N, oldest first"),
    ("POST activity", "stores `rows` as they are, without an event"),
    ("POST activity/delete", "deletes the row `id`, as retention does"),
    ("POST activity/hold", "stores `row` with its instant, but shows it to nobody yet"),
    ("POST activity/release", "shows the row `hold`, with its event"),
    ("POST fault", "lets the next requests fail: `method`, `path`, `times`, and what happens instead"),
    ("POST faults/clear", "ends all faults that are still to come"),
    ("POST outage", "breaks or mends a `store`: activity, memories, org_tokens or tokens; `on`"),
    ("POST peer-message", "the workspace `from` writes `text` to `workspace_id`"),
    ("POST peers", "adds `count` peers that poll, each with an agent card as agents publish it"),
    ("POST streams/close", "closes all event streams"),
    ("POST streams/silence", "keeps all event streams open, but nothing comes through them any more"),
    ("POST sweep", "looks for stale workspaces now"),
    ("POST uploads/expire", "forgets the upload `file_id`"),
    ("POST user-message", "the user writes `text` to `workspace_id`"),
    ("POST workspaces/age-heartbeat", "the latest beat of `workspace_id` was `seconds` ago"),
    ("POST workspaces/status", "gives `workspace_id` another `status`"),
];

impl Platform {
    pub(crate) fn hook(&mut self, name: &str, call: &Call) -> Response {
        let answer = match (call.request.method.as_str(), name) {
            ("GET", "requests") => Ok(self.logged_requests(call)),
            ("GET", "notifies") => Ok(self.logged_notifies()),
            ("POST", _) => match call.fields() {
                Ok(fields) => self.post_hook(name, &fields, call.now),
                Err(Malformed) => Err(malformed(Malformed)),
            },
            _ => Err(no_hook()),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    fn post_hook(&mut self, name: &str, fields: &Fields, now: Now) -> Answer {
        match name {
            "fault" => {
                self.inject(Fault::parse(fields).map_err(malformed)?);
                done()
            }
            "faults/clear" => {
                self.clear_faults();
                done()
            }
            "outage" => self.outage_hook(fields),
            "peer-message" => {
                let from = self.hooked_workspace(fields, "from")?;
                self.message_hook(fields, Some(from))
            }
            "peers" => self.peers_hook(fields),
            "streams/close" => {
                self.close_streams();
                done()
            }
            "streams/silence" => {
                self.silence_streams();
                done()
            }
            "sweep" => {
                self.sweep(now);
                done()
            }
            "uploads/expire" => self.expire_upload(fields, now),
            "user-message" => self.message_hook(fields, None),
            other => match other.split_once('/') {
                None if other == "activity" => self.insert_rows(fields, now),
                Some(("activity", what)) => self.row_hook(what, fields, now),
                Some(("workspaces", what)) => self.workspace_hook(what, fields, now),
                Some(_) | None => Err(no_hook()),
            },
        }
    }

    fn row_hook(&mut self, what: &str, fields: &Fields, now: Now) -> Answer {
        match what {
            "delete" => {
                let id = self.row_id(fields, "id")?;
                self.delete_row(id);
                done()
            }
            "hold" => {
                let row = fields.value("row").ok_or(Malformed).map_err(malformed)?;
                let id = self.insert_row(row, true, now)?;
                Ok(Response::json(200, json!({ "hold": id.to_string() })))
            }
            "release" => {
                let id = self.row_id(fields, "hold")?;
                self.release_row(id);
                done()
            }
            _ => Err(no_hook()),
        }
    }

    fn workspace_hook(&mut self, what: &str, fields: &Fields, now: Now) -> Answer {
        let id = self.hooked_workspace(fields, "workspace_id")?;
        match what {
            "age-heartbeat" => {
                let seconds = fields.integer("seconds").map_err(malformed)?.unwrap_or(0);
                let age = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                self.alter(id, |workspace| workspace.last_heartbeat_at = Some(now.minus(age)));
            }
            "status" => {
                let status = fields.required("status").map_err(malformed)?;
                let status = Status::parse(status).ok_or(Malformed).map_err(malformed)?;
                self.alter(id, |workspace| workspace.status = status);
            }
            _ => return Err(no_hook()),
        }
        done()
    }

    fn peers_hook(&mut self, fields: &Fields) -> Answer {
        let count = fields.integer("count").map_err(malformed)?.unwrap_or(0);
        for number in 1..=count {
            let peer = self.poll_peer(&format!("peer {number}"));
            let card = json!({
                "name": format!("peer {number}"), "version": "1.0.0", "description": "Does one thing, and does it well.",
                "capabilities": { "streaming": false, "pushNotifications": true },
                "skills": [{ "id": "one", "name": "The one thing", "tags": ["one", "thing"] }],
            });
            self.alter(peer.id, |workspace| workspace.agent_card = Some(card));
        }
        done()
    }

    fn message_hook(&mut self, fields: &Fields, from: Option<Uuid>) -> Answer {
        let target = self.hooked_workspace(fields, "workspace_id")?;
        let text = fields.text("text").map_err(malformed)?.unwrap_or_default();
        let row = match from {
            None => self.user_sends(target, text),
            Some(from) => self.peer_sends(from, target, text),
        };
        Ok(Response::json(200, json!({ "id": row.to_string() })))
    }

    fn insert_rows(&mut self, fields: &Fields, now: Now) -> Answer {
        let rows = fields.value("rows").and_then(Value::as_array).ok_or(Malformed).map_err(malformed)?;
        let mut ids = Vec::new();
        for row in rows {
            ids.push(json!(self.insert_row(row, false, now)?.to_string()));
        }
        Ok(Response::json(200, json!({ "ids": ids })))
    }

    fn insert_row(&mut self, row: &Value, held: bool, now: Now) -> Result<Uuid, Response> {
        let fields = Fields::from_value(row).map_err(malformed)?;
        let workspace = self.hooked_workspace(&fields, "workspace_id")?;
        let row = self.hooked_row(&fields, workspace).map_err(malformed)?;
        let row = NewRow { held, ..row };
        self.activity.insert(row, now).map(|row| row.id).map_err(|Refused| malformed(Malformed))
    }

    fn hooked_row(&mut self, fields: &Fields, workspace: Uuid) -> Result<NewRow, Malformed> {
        let text = |name| fields.text(name).map(|text| text.map(str::to_owned));
        let created_at = fields.text("created_at")?;
        Ok(NewRow {
            source: text("source_id")?,
            target: text("target_id")?,
            method: text("method")?,
            summary: text("summary")?,
            request_body: fields.value("request_body").cloned(),
            response_body: fields.value("response_body").cloned(),
            duration_ms: fields.integer("duration_ms")?,
            status: text("status")?,
            error_detail: text("error_detail")?,
            created_at: created_at.map(|text| Now::parse(text).ok_or(Malformed)).transpose()?,
            ..self.new_row(workspace, fields.required("activity_type")?)
        })
    }

    fn row_id(&mut self, fields: &Fields, name: &str) -> Result<Uuid, Response> {
        let id = fields.required(name).map_err(malformed)?;
        let found = database_uuid(id).filter(|id| self.activity.find_mut(*id).is_some());
        found.ok_or_else(|| Response::error(404, "no such row"))
    }

    fn hooked_workspace(&self, fields: &Fields, name: &str) -> Result<Uuid, Response> {
        let id = fields.required(name).map_err(malformed)?;
        let found = self.workspaces.find(id).map(|workspace| workspace.id);
        found.ok_or_else(|| Response::error(404, "no such workspace"))
    }

    fn expire_upload(&mut self, fields: &Fields, now: Now) -> Answer {
        let id = database_uuid(fields.required("file_id").map_err(malformed)?);
        let upload = self.uploads.iter_mut().find(|upload| Some(upload.id) == id);
        let upload = upload.ok_or_else(|| Response::error(404, "no such upload"))?;
        upload.expires_at = now;
        done()
    }

    fn outage_hook(&mut self, fields: &Fields) -> Answer {
        let on = fields.flag("on").map_err(malformed)?.ok_or(Malformed).map_err(malformed)?;
        match fields.required("store").map_err(malformed)? {
            "activity" => self.outage(Store::Activity, on),
            "memories" => self.outage(Store::Memories, on),
            // There are no organisation tokens, so none is found either way.
            "org_tokens" => {}
            "tokens" => self.outage(Store::Tokens, on),
            _ => return Err(Response::error(404, "no such store")),
        }
        done()
    }

    fn logged_requests(&self, call: &Call) -> Response {
        let since = call.query("since").and_then(|text| text.parse().ok()).unwrap_or(0);
        let requests = self.requests(since).into_iter().map(|entry| {
            let request = &entry.request;
            let headers: serde_json::Map<String, Value> =
                request.headers.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
            json!({
                "number": entry.number,
                "at": entry.at.rfc3339(),
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "headers": headers,
                "body": String::from_utf8_lossy(&request.body),
                "status": entry.status,
            })
        });
        Response::json_as_is(200, &json!({ "requests": requests.collect::<Vec<_>>() }))
    }

    fn logged_notifies(&self) -> Response {
        let notified = self.requests(0).into_iter().filter_map(|entry| {
            let rest = entry.request.path.strip_prefix("/workspaces/")?;
            let workspace = rest.strip_suffix("/notify").filter(|_| entry.status == Some(200))?;
            let body: Value = serde_json::from_slice(&entry.request.body).unwrap_or_default();
            Some(json!({ "at": entry.at.rfc3339(), "workspace_id": workspace, "body": body }))
        });
        Response::json_as_is(200, &json!({ "notifies": notified.collect::<Vec<_>>() }))
    }
}

fn done() -> Answer {
    Ok(Response::json(200, json!({})))
}

fn no_hook() -> Response {
    Response::error(404, "no such hook")
}

fn malformed(_: Malformed) -> Response {
    Response::error(400, "malformed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::switches::Level;
    use crate::testing::Stage;

    #[test]
    fn every_listed_hook_exists() {
        let mut stage = Stage::new(Level::Later);
        for (usage, _) in HOOKS {
            let (method, target) = usage.split_once(' ').unwrap();
            let request = Request::new(method, &format!("{PREFIX}{target}")).json(&json!({
                "workspace_id": stage.own.id.to_string(),
            }));

            assert_ne!(stage.answer(&request).body_json()["error"], "no such hook", "{usage}");
        }
    }
}

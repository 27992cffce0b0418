//! The activity log: rows, and what the database refuses to store.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::ids::{Ids, database_uuid};
use crate::json;
use crate::now::Now;
use crate::platform::Platform;

/// A stored row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Random: carries no order.
    pub id: Uuid,
    /// Whose log it is in.
    pub workspace: Uuid,
    /// `a2a_receive` is the inbox.
    pub activity_type: String,
    /// Who caused it; none for the canvas.
    pub source: Option<Uuid>,
    /// Whom it is about.
    pub target: Option<Uuid>,
    /// Chosen by the sender.
    pub method: Option<String>,
    /// One line.
    pub summary: Option<String>,
    /// As stored.
    pub request_body: Option<Value>,
    /// As stored.
    pub response_body: Option<Value>,
    /// Milliseconds.
    pub duration_ms: Option<i64>,
    /// `ok`, or any other word.
    pub status: String,
    /// What went wrong.
    pub error_detail: Option<String>,
    /// The start of the transaction that stored it.
    pub created_at: Now,
    pub(crate) idempotency_key: Option<String>,
    /// False while the transaction that stores it is open.
    pub(crate) visible: bool,
    /// In the order of storing; breaks ties of `created_at` at the newest level.
    pub(crate) seq: u64,
}

/// A row to store. Ids are texts: the database is what refuses them.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewRow {
    pub(crate) id: Uuid,
    pub(crate) workspace: Uuid,
    pub(crate) activity_type: String,
    pub(crate) source: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) request_body: Option<Value>,
    pub(crate) response_body: Option<Value>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) status: Option<String>,
    pub(crate) error_detail: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    /// Now, if not given.
    pub(crate) created_at: Option<Now>,
    pub(crate) held: bool,
}

/// The database did not take a row, or did not answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Debug, Default)]
pub(crate) struct Activity {
    rows: BTreeMap<Uuid, Vec<Row>>,
    /// The row of each message, by its target and its id.
    by_message: BTreeMap<(Uuid, String), Uuid>,
    stored: u64,
    latest: Now,
    pub(crate) down: bool,
}

impl Activity {
    /// Two rows do not share an instant unless they are told to.
    pub(crate) fn instant(&mut self, now: Now) -> Now {
        self.latest = now.max(Now::from_micros(self.latest.micros() + 1));
        self.latest
    }

    pub(crate) fn insert(&mut self, new: NewRow, now: Now) -> Result<Row, Refused> {
        let row = self.row(new, now)?;
        if let Some(message) = message_id(&row) {
            self.by_message.entry((row.workspace, message)).or_insert(row.id);
        }
        self.rows.entry(row.workspace).or_default().push(row.clone());
        Ok(row)
    }

    /// The row in which this message is stored already, if it still is.
    pub(crate) fn of_message(&mut self, new: &NewRow) -> Option<&mut Row> {
        let key = (new.workspace, body_message_id(new.request_body.as_ref()?)?);
        let id = *self.by_message.get(&key)?;
        let found = self.rows.get_mut(&new.workspace)?.iter_mut().find(|row| row.id == id);
        if found.is_none() {
            self.by_message.remove(&key);
        }
        found
    }

    /// The row as it would be stored.
    pub(crate) fn row(&mut self, new: NewRow, now: Now) -> Result<Row, Refused> {
        if self.down || new.holds_nul() {
            return Err(Refused);
        }
        self.stored += 1;
        Ok(Row {
            id: new.id,
            workspace: new.workspace,
            source: column_uuid(new.source.as_deref())?,
            target: column_uuid(new.target.as_deref())?,
            duration_ms: new.duration_ms.map(i32::try_from).transpose().map_err(|_| Refused)?.map(i64::from),
            created_at: new.created_at.unwrap_or_else(|| self.instant(now)),
            activity_type: new.activity_type,
            method: new.method,
            summary: new.summary,
            request_body: new.request_body.as_ref().map(json::stored),
            response_body: new.response_body.as_ref().map(json::stored),
            status: new.status.unwrap_or_else(|| "ok".to_owned()),
            error_detail: new.error_detail,
            idempotency_key: new.idempotency_key,
            visible: !new.held,
            seq: self.stored,
        })
    }

    /// The visible rows of a workspace, in the order they were stored.
    pub(crate) fn of(&self, workspace: Uuid) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.get(&workspace).into_iter().flatten().filter(|row| row.visible)
    }

    /// The visible rows of a workspace, newest first.
    pub(crate) fn newest_first(&self, workspace: Uuid) -> Vec<&Row> {
        let mut rows: Vec<_> = self.of(workspace).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        rows
    }

    pub(crate) fn find_mut(&mut self, id: Uuid) -> Option<&mut Row> {
        self.rows.values_mut().flatten().find(|row| row.id == id)
    }

    pub(crate) fn of_mut(&mut self, workspace: Uuid) -> impl Iterator<Item = &mut Row> {
        self.rows.get_mut(&workspace).into_iter().flatten()
    }

    pub(crate) fn remove(&mut self, id: Uuid) -> bool {
        let before = self.count();
        self.rows.values_mut().for_each(|rows| rows.retain(|row| row.id != id));
        self.count() < before
    }

    pub(crate) fn purge(&mut self, workspace: Uuid) {
        self.rows.remove(&workspace);
    }

    fn count(&self) -> usize {
        self.rows.values().map(Vec::len).sum()
    }
}

impl NewRow {
    pub(crate) fn new(ids: &mut Ids, workspace: Uuid, activity_type: &str) -> Self {
        Self { id: ids.uuid(), workspace, activity_type: activity_type.to_owned(), ..Self::default() }
    }

    fn holds_nul(&self) -> bool {
        let texts = [&self.method, &self.summary, &self.status, &self.error_detail, &self.idempotency_key];
        let bodies = [&self.request_body, &self.response_body];
        self.activity_type.contains('\0')
            || texts.into_iter().flatten().any(|text| text.contains('\0'))
            || bodies.into_iter().flatten().any(json::has_nul)
    }
}

fn message_id(row: &Row) -> Option<String> {
    body_message_id(row.request_body.as_ref().filter(|_| row.activity_type == "a2a_receive")?)
}

/// The id that a sender has given a message.
pub(crate) fn body_message_id(body: &Value) -> Option<String> {
    body.pointer("/params/message/messageId")?.as_str().map(str::to_owned)
}

fn column_uuid(text: Option<&str>) -> Result<Option<Uuid>, Refused> {
    text.map(|text| database_uuid(text).ok_or(Refused)).transpose()
}

impl Row {
    /// The row as the feed shows it; a body that is null in the database has no key.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("activity_type".to_owned(), json!(self.activity_type));
        fields.insert("created_at".to_owned(), json!(self.created_at.rfc3339()));
        fields.insert("duration_ms".to_owned(), json!(self.duration_ms));
        fields.insert("error_detail".to_owned(), json!(self.error_detail));
        fields.insert("id".to_owned(), json!(self.id.to_string()));
        fields.insert("method".to_owned(), json!(self.method));
        self.insert_bodies(&mut fields);
        fields.insert("source_id".to_owned(), json!(self.source.map(|id| id.to_string())));
        fields.insert("status".to_owned(), json!(self.status));
        fields.insert("summary".to_owned(), json!(self.summary));
        fields.insert("target_id".to_owned(), json!(self.target.map(|id| id.to_string())));
        fields.insert("workspace_id".to_owned(), json!(self.workspace.to_string()));
        Value::Object(fields)
    }

    pub(crate) fn insert_bodies(&self, fields: &mut Map<String, Value>) {
        for (name, body) in [("request_body", &self.request_body), ("response_body", &self.response_body)] {
            if let Some(body) = body {
                fields.insert(name.to_owned(), body.clone());
            }
        }
    }
}

impl Platform {
    pub(crate) fn new_row(&mut self, workspace: Uuid, activity_type: &str) -> NewRow {
        NewRow::new(&mut self.ids, workspace, activity_type)
    }

    /// Stores a row, and tells whoever listens; a row that is refused is lost in silence.
    pub(crate) fn receive(&mut self, row: NewRow, now: Now) {
        if let Ok(row) = self.activity.insert(row, now) {
            self.announce_row(&row, now);
        }
    }

    /// Deletes the rows that are too old.
    pub(crate) fn prune(&mut self, now: Now) {
        let oldest = now.minus(self.switches.retention);
        self.activity.rows.values_mut().for_each(|rows| rows.retain(|row| row.created_at >= oldest));
    }
}

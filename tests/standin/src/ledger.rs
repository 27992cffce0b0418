//! The delegation ledger: one entry a delegation, if the switch for it is on.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::database_uuid;
use crate::json;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

const DEADLINE: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug)]
pub(crate) struct Entry {
    delegation: Uuid,
    source: Uuid,
    target: String,
    task: String,
    status: String,
    created_at: Now,
    updated_at: Now,
    text: Option<String>,
    error: Option<String>,
}

/// In the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Entry>);

impl Ledger {
    /// Those that a workspace has sent; at the newest level also those that it was sent.
    pub(crate) fn of(&self, own: Uuid, level: Level) -> impl Iterator<Item = &Entry> {
        let received =
            move |entry: &Entry| level >= Level::Newest && database_uuid(&entry.target) == Some(own);
        self.0.iter().rev().filter(move |entry| entry.source == own || received(entry))
    }
}

impl Platform {
    pub(crate) fn open_entry(&mut self, delegation: Uuid, source: Uuid, target: &str, task: &str, now: Now) {
        if !self.switches.ledger || self.level == Level::Baseline {
            return;
        }
        self.ledger.0.push(Entry {
            delegation,
            source,
            target: target.to_owned(),
            task: task.to_owned(),
            status: "queued".to_owned(),
            created_at: now,
            updated_at: now,
            text: None,
            error: None,
        });
    }

    pub(crate) fn close_entry(
        &mut self,
        delegation: Uuid,
        status: &str,
        text: Option<&str>,
        error: Option<&str>,
        now: Now,
    ) {
        if let Some(entry) = self.ledger.0.iter_mut().find(|entry| entry.delegation == delegation) {
            entry.status = status.to_owned();
            entry.text = text.map(str::to_owned);
            entry.error = error.map(str::to_owned);
            entry.updated_at = now;
        }
    }
}

impl Entry {
    pub(crate) fn to_json(&self, preview: impl Fn(&str) -> String) -> Value {
        let mut entry = json!({
            "_ledger": true,
            "created_at": self.created_at.rfc3339(),
            "deadline": self.created_at.plus(DEADLINE).rfc3339(),
            "delegation_id": self.delegation.to_string(),
            "source_id": self.source.to_string(),
            "status": self.status,
            "summary": self.task,
            "target_id": self.target,
            "updated_at": self.updated_at.rfc3339(),
        });
        if let Some(text) = self.text.as_deref().filter(|text| !text.is_empty()) {
            json::put(&mut entry, "response_preview", json!(preview(text)));
        }
        if let Some(error) = &self.error {
            json::put(&mut entry, "error", json!(error));
        }
        entry
    }
}

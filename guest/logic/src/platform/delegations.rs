//! What became of the delegations that the platform carries out.
//!
//! Two places tell of them, and neither alone is enough:
//!
//! ```text
//! list of delegations ── state, failure, the first 300 bytes of a result
//! activity feed ──────── the whole result, and results of peers that were busy at first
//! ```
//!
//! Any peer can plant rows that look like results into the list, so only those are believed that
//! the platform itself writes.

use serde_json::{Map, Value};

use super::{
    MIB, PlatformError,
    fate::{self, Fate},
    get, read, rows,
};
use crate::{dialogue::Host, wire::Workspace};

/// Results are stored whole, and the feed holds many.
const FEED_BYTES: u32 = 8 * MIB;

/// How many rows of the feed are read; the second time fewer, if they were too large.
const FEED_ROWS: [&str; 2] = ["500", "20"];

/// What is of interest in a row of the feed, besides what is read from it.
const SHOWN_OF_FEED: [&str; 4] = ["created_at", "source_id", "summary", "target_id"];

/// A delegation, as well as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Delegation {
    pub(crate) id: String,
    /// `pending`, `dispatched`, `in_progress`, `queued`, `stuck`, `completed` or `failed`.
    pub(crate) status: String,
    pub(crate) reply: Reply,
    /// Why it failed; empty if it did not.
    pub(crate) error: String,
    /// The row of the platform, without its preview.
    pub(crate) row: Map<String, Value>,
}

/// What a delegation has brought so far.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Missing,
    /// The beginning of the answer; the whole of it could not be found.
    Preview(String),
    /// The peer fetches its messages, and will find the task.
    Stored,
    /// The whole answer.
    Whole(String),
}

impl Delegation {
    pub(crate) fn is_over(&self) -> bool {
        self.has_completed() || self.has_failed()
    }

    pub(crate) fn has_completed(&self) -> bool {
        self.status == "completed"
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.status == "failed"
    }

    /// A field of the row; empty if it is none, or no text.
    pub(crate) fn field(&self, key: &str) -> &str {
        word(&self.row, key)
    }

    /// The better sort first: completed with a result, completed, failed, others.
    fn rank(&self) -> u8 {
        match (self.has_completed(), self.has_failed()) {
            (true, _) if self.reply != Reply::Missing => 0,
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 3,
        }
    }

    /// Reads a row of the list. `None` for what somebody else planted, and for the failed result
    /// rows that name no delegation.
    fn from_listed(row: Value) -> Option<Self> {
        let Value::Object(mut row) = row else { return None };
        let own = row.get("_ledger") == Some(&Value::Bool(true)) || word(&row, "type") == "delegation";
        let sent = row.get("direction").is_none_or(Value::is_null) || word(&row, "direction") == "sent";
        let id = word(&row, "delegation_id").to_owned();
        if !own || !sent || id.is_empty() {
            return None;
        }
        let reply = match row.remove("response_preview") {
            Some(Value::String(preview)) => read_text(&preview, Reply::Preview),
            Some(_) | None => Reply::Missing,
        };
        let error =
            ["error", "error_detail"].into_iter().map(|key| word(&row, key)).find(|error| !error.is_empty());
        let error = error.unwrap_or_default().to_owned();
        Some(Self { id, status: word(&row, "status").to_lowercase(), reply, error, row })
    }

    /// Reads a row of the activity feed.
    fn from_feed(row: &Value) -> Option<Self> {
        let row = row.as_object().filter(|row| word(row, "activity_type") == "delegation")?;
        let bodies = ["response_body", "request_body"].map(|key| row.get(key).and_then(Value::as_object));
        let id =
            bodies.into_iter().flatten().map(|body| word(body, "delegation_id")).find(|id| !id.is_empty())?;
        let text = match (word(row, "method"), bodies) {
            ("delegate_result", [Some(body), _]) => body.get("text").and_then(Value::as_str),
            (_, _) => None,
        };
        Some(Self {
            id: id.to_owned(),
            status: word(row, "status").to_lowercase(),
            reply: text.map_or(Reply::Missing, |text| read_text(text, Reply::Whole)),
            error: word(row, "error_detail").to_owned(),
            row: SHOWN_OF_FEED
                .iter()
                .filter_map(|key| row.get_key_value(*key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        })
    }

    /// Takes over what the feed knows better.
    fn complete_with(&mut self, other: Self) {
        if !self.is_over() && other.is_over() {
            self.status = other.status;
            self.error = other.error;
        }
        if other.reply != Reply::Missing {
            self.reply = other.reply;
        }
    }
}

/// A reply, unless the platform stored a note of its own in place of one.
///
/// Of a peer whose agent answers in an unusual way the platform keeps the whole envelope.
fn read_text(text: &str, as_reply: fn(String) -> Reply) -> Reply {
    let raw = || as_reply(text.to_owned());
    let Ok(Value::Object(note)) = serde_json::from_str::<Value>(text) else { return raw() };
    let only_names_itself = note.contains_key("delegation_id")
        && note.keys().all(|key| matches!(key.as_str(), "delegation_id" | "queued"));
    if only_names_itself {
        return Reply::Missing;
    }
    match fate::read_envelope(&note) {
        Fate::Stored => Reply::Stored,
        Fate::Queued { .. } => Reply::Missing,
        Fate::Answered(words) if note.contains_key("jsonrpc") => as_reply(words),
        Fate::Answered(_) | Fate::Failed { .. } | Fate::NotSent { .. } | Fate::Unknown { .. } => raw(),
    }
}

fn word<'a>(row: &'a Map<String, Value>, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The newest delegations of `own`, one entry each, newest first; about 25 of them.
pub(crate) async fn list(
    host: &Host,
    workspace: Workspace,
    own: &str,
) -> Result<Vec<Delegation>, PlatformError> {
    let mut request = get(workspace, ["workspaces", own, "delegations"]);
    request.limits.body_bytes = 2 * MIB;
    let listed = rows(read(&host.send(request).await?)?)?;
    let mut delegations: Vec<Delegation> = Vec::new();
    for entry in listed.into_iter().filter_map(Delegation::from_listed) {
        match delegations.iter_mut().find(|known| known.id == entry.id) {
            Some(known) if entry.rank() < known.rank() => *known = entry,
            Some(_) => {}
            None => delegations.push(entry),
        }
    }
    Ok(delegations)
}

/// The delegation `id` of `own`, with its whole result if that can be found.
///
/// With `since_secs` the feed is read no further back than that.
pub(crate) async fn find(
    host: &Host,
    workspace: Workspace,
    own: &str,
    id: &str,
    since_secs: Option<u64>,
) -> Result<Option<Delegation>, PlatformError> {
    let listed = list(host, workspace, own).await?.into_iter().find(|delegation| delegation.id == id);
    if listed.as_ref().is_some_and(|delegation| delegation.has_failed() || delegation.reply == Reply::Stored)
    {
        return Ok(listed);
    }
    let fed = feed(host, workspace, own, since_secs).await.map(|fed| {
        let rows = fed.iter().filter_map(Delegation::from_feed).filter(|row| row.id == id);
        rows.min_by_key(Delegation::rank)
    });
    match (listed, fed) {
        (Some(mut listed), Ok(Some(fed))) => {
            listed.complete_with(fed);
            Ok(Some(listed))
        }
        // The list is an answer even where the feed cannot be read.
        (Some(listed), Ok(None) | Err(_)) => Ok(Some(listed)),
        (None, fed) => fed,
    }
}

async fn feed(
    host: &Host,
    workspace: Workspace,
    own: &str,
    since_secs: Option<u64>,
) -> Result<Vec<Value>, PlatformError> {
    let mut answer = Err(PlatformError::Overflowed);
    for limit in FEED_ROWS {
        let mut request = get(workspace, ["workspaces", own, "activity"]);
        request.query =
            vec![("type".to_owned(), "delegation".to_owned()), ("limit".to_owned(), limit.to_owned())];
        request.query.extend(since_secs.map(|secs| ("since_secs".to_owned(), secs.to_string())));
        request.limits.body_bytes = FEED_BYTES;
        answer = host.send(request).await.map_err(PlatformError::from);
        if answer != Err(PlatformError::Overflowed) {
            break;
        }
    }
    rows(read(&answer?)?)
}

#[cfg(test)]
mod tests;

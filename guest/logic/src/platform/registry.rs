//! Presence: how a workspace tells that it is here and alive.

use serde_json::{Map, Value, json};

use super::{PlatformError, post, success};
use crate::{
    dialogue::Host,
    wire::{Limits, PlatformRequest, Workspace},
};

const REGISTER: Limits = Limits { first_byte_ms: 10_000, total_ms: 10_000, body_bytes: 1 << 20 };
const BEAT: Limits = Limits { first_byte_ms: 8_000, total_ms: 8_000, body_bytes: 64 << 10 };

/// By what other workspaces know this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// One sentence about it.
    pub description: Option<String>,
    /// Names of what it can do.
    pub skills: Vec<String>,
}

/// What a workspace is busy with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy<'a> {
    pub(crate) tasks: usize,
    /// The latest of them.
    pub(crate) task: &'a str,
    pub(crate) uptime_ms: u64,
}

/// Registers; the body of the answer may hold the inbound secret.
pub(crate) async fn register(
    host: &Host,
    workspace: Workspace,
    id: &str,
    card: &Card,
) -> Result<Vec<u8>, PlatformError> {
    let skills: Vec<Value> = card.skills.iter().map(|name| json!({ "name": name })).collect();
    let mut agent_card = Map::from_iter([("name".to_owned(), json!(card.name))]);
    agent_card.extend(card.description.iter().map(|text| ("description".to_owned(), json!(text))));
    agent_card.insert("skills".to_owned(), json!(skills));
    // There is no address at which the platform could call.
    let body = json!({ "id": id, "url": "", "agent_card": agent_card, "delivery_mode": "poll" });
    ask(host, PlatformRequest { limits: REGISTER, ..post(workspace, ["registry", "register"], &body) }).await
}

/// Beats. Whatever a beat leaves out is reset on the platform, so each tells everything; the integers fit 32 bits.
pub(crate) async fn beat(
    host: &Host,
    workspace: Workspace,
    id: &str,
    busy: Busy<'_>,
) -> Result<Vec<u8>, PlatformError> {
    let body = json!({
        "workspace_id": id,
        "error_rate": 0.0,
        "sample_error": "",
        "active_tasks": i32::try_from(busy.tasks).unwrap_or(i32::MAX),
        "uptime_seconds": i32::try_from(busy.uptime_ms / 1_000).unwrap_or(i32::MAX),
        // The platform's store refuses the whole beat for this one character.
        "current_task": busy.task.replace('\0', ""),
    });
    ask(host, PlatformRequest { limits: BEAT, ..post(workspace, ["registry", "heartbeat"], &body) }).await
}

async fn ask(host: &Host, request: PlatformRequest) -> Result<Vec<u8>, PlatformError> {
    let response = host.send(request).await?;
    let body = success(&response)?;
    // A page for people is not the platform's.
    if !response.json && body.trim_ascii_start().starts_with(b"<") {
        return Err(PlatformError::Shape(super::WEB_PAGE.to_owned()));
    }
    Ok(body.to_vec())
}

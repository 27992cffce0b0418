//! Single questions to a platform, for people who look for what is wrong.
//!
//! Nothing is changed by them but the time of the latest heartbeat.

use serde_json::Value;

use super::{
    beat,
    exchange::{self, Opens},
    issued::look,
    rules::Answer,
    working::Busy,
};
use crate::{
    account::Account,
    driver::Ports,
    guest::wire::{Limits, Method, Outcome, PlatformRequest},
};

const LIMITS: Limits = Limits { first_byte_ms: 4_000, total_ms: 4_000, body_bytes: 256 << 10 };

/// What came of a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beaten {
    /// The platform has taken it.
    Accepted,
    /// It has not, for the reason given.
    Failed(String),
    /// The platform does not know the workspace (404).
    Missing,
    /// The platform refuses the token, with this status.
    Refused(u16),
    /// The workspace was deleted (410).
    Removed,
}

/// What came of a call that only the workspace itself may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It was answered.
    Yes,
    /// The platform refuses the token.
    No,
    /// Something in front of the platform answers such calls, with this status.
    NotByThePlatform(u16),
    /// Neither, for the reason given.
    Unknown(String),
}

/// What the platform shows everybody of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Such as `online` or `removed`.
    pub status: String,
    /// Such as `external`.
    pub runtime: String,
    /// What it is busy with, by the latest heartbeat.
    pub active_tasks: u32,
    /// By the latest heartbeat.
    pub uptime_s: u64,
    /// The version of the platform, as far as the keys of the answer tell.
    pub level: Level,
}

/// A version of the platform.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// That of April 2026.
    #[default]
    Baseline,
    /// That of May 2026.
    Later,
    /// That of June 2026, or after.
    Newest,
}

/// Beats once, as busy and for as long running as the platform `knows`, so that nothing but the time changes.
pub async fn beat_once<P: Ports>(ports: &P, account: &Account, knows: &Shown) -> Beaten {
    let busy = Busy { active_tasks: knows.active_tasks, current_task: String::new() };
    match beat::beat(ports, account, &busy, knows.uptime_s.saturating_mul(1_000)).await {
        Answer::Accepted(_) => Beaten::Accepted,
        Answer::Declined(why) | Answer::Failed { why, .. } => Beaten::Failed(why),
        Answer::Missing => Beaten::Missing,
        Answer::Refused(status) => Beaten::Refused(status),
        Answer::Removed => Beaten::Removed,
    }
}

/// Makes a call for which the token has to be the workspace's own.
pub async fn opens<P: Ports>(ports: &P, account: &Account) -> Opened {
    let outcome = ports.send(PlatformRequest { limits: LIMITS, ..look(account) }).await;
    match (exchange::opens(&outcome), outcome) {
        (Opens::Yes, _) => Opened::Yes,
        (Opens::No, _) => Opened::No,
        (Opens::Unknown, Outcome::Responded(response)) if !response.json && response.status < 500 => {
            Opened::NotByThePlatform(response.status)
        }
        (Opens::Unknown, outcome) => Opened::Unknown(failure(outcome)),
    }
}

/// Asks what the platform shows everybody of the workspace.
///
/// # Errors
/// When it shows nothing, and why.
pub async fn shown<P: Ports>(ports: &P, account: &Account) -> Result<Shown, String> {
    let request = PlatformRequest {
        workspace: account.handle(),
        method: Method::Get,
        path: vec!["workspaces".to_owned(), account.id.clone()],
        query: Vec::new(),
        identify: false,
        body: None,
        limits: LIMITS,
    };
    let outcome = ports.send(request).await;
    let Outcome::Responded(response) = &outcome else { return Err(failure(outcome)) };
    match serde_json::from_slice::<Value>(&response.body) {
        Ok(Value::Object(seen)) if response.status == 200 => Ok(read(&Value::Object(seen))),
        Ok(_) | Err(_) => Err(exchange::excerpt(response)),
    }
}

fn read(seen: &Value) -> Shown {
    let text = |key: &str| seen.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| seen.get(key).and_then(Value::as_u64).unwrap_or_default();
    let level = match (seen.get("loaded_mcp_tools"), seen.get("broadcast_enabled")) {
        (Some(_), _) => Level::Newest,
        (None, Some(_)) => Level::Later,
        (None, None) => Level::Baseline,
    };
    Shown {
        status: text("status"),
        runtime: text("runtime"),
        active_tasks: u32::try_from(number("active_tasks")).unwrap_or_default(),
        uptime_s: number("uptime_seconds"),
        level,
    }
}

fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Responded(response) => exchange::excerpt(&response),
        Outcome::Unreachable(unreachable) => unreachable.reason,
        Outcome::Refused(why) => why,
        Outcome::Fetched(_)
        | Outcome::Heard(_)
        | Outcome::Overflowed
        | Outcome::Replied
        | Outcome::Rested
        | Outcome::StoreFailed(_)
        | Outcome::Stored
        | Outcome::Swept(_) => "no usable answer".to_owned(),
    }
}

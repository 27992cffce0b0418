//! How a running process is, for people and programs on the same machine.
//!
//! ```text
//! question, one line ──► socket in the directory of state, 0600 ──► report, one line of JSON
//! ```
//!
//! A process answers from the beginning of its session on. It takes no orders, and tells no words of a message and no
//! token.

mod ask;
mod report;
mod socket;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::ask::{Asked, ask_all};
pub(crate) use self::{
    report::{Switches, of},
    socket::{Place, keep_answering},
};
use crate::session::Client;

/// What every process is asked.
const QUESTION: &str = r#"{"question":"status"}"#;

/// A process, and the workspaces that it acts for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the program.
    pub version: String,
    /// The id of the process.
    pub pid: u32,
    /// Seconds since its start.
    pub uptime_s: u64,
    /// Who started it, if the client has said so.
    #[serde(default)]
    pub client: Option<Client>,
    /// How often the component has stopped and was started again.
    #[serde(default)]
    pub component_stops: u64,
    /// In the order of its settings.
    pub workspaces: Vec<WorkspaceReport>,
}

/// How one workspace is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceReport {
    /// Its id.
    pub workspace: String,
    /// The base address of its platform.
    pub platform: String,
    /// Register and heartbeats.
    pub presence: PresenceReport,
    /// The event stream.
    pub events: EventsReport,
    /// The messages.
    pub inbox: InboxReport,
}

/// Whether the platform knows that the workspace is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceReport {
    /// In one word.
    pub state: PresenceState,
    /// Seconds since a heartbeat was accepted; none before the first.
    pub accepted_s_ago: Option<u64>,
    /// Seconds since the latest heartbeat was answered or given up; none before the first.
    pub beat_s_ago: Option<u64>,
    /// Heartbeats in a row that were not accepted.
    pub failed_in_a_row: u32,
    /// What went wrong with the latest register or heartbeat; none if nothing did.
    pub trouble: Option<String>,
    /// How the platform delivers messages, if it said so at the register.
    pub delivery_mode: Option<String>,
}

/// Presence in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// The latest heartbeat was not accepted.
    Failing,
    /// Heartbeats are switched off.
    Off,
    /// Heartbeats are accepted.
    Online,
    /// The platform refuses the token, and nothing is sent until its source holds another one.
    Refused,
    /// No heartbeat was answered so far.
    #[default]
    Starting,
}

/// How the event stream goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsReport {
    /// In one word.
    pub state: EventsState,
    /// Seconds since that began; none if the stream was never asked for.
    pub for_s: Option<u64>,
    /// Why there is none.
    pub why: Option<String>,
}

/// The event stream in one word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventsState {
    /// The platform has none, and the inbox is only polled.
    Absent,
    /// Nobody listens.
    #[default]
    Closed,
    /// It broke, and is opened again.
    Failed,
    /// Events come in.
    Open,
    /// It was asked for.
    Opening,
}

/// How the inbox stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxReport {
    /// What this process is to the inbox.
    pub role: InboxRole,
    /// The process that leads, for people; none unless another one does.
    pub leader: Option<String>,
    /// Messages that wait for the agent.
    pub staged: u32,
    /// Messages that were delivered too often without a pop.
    pub parked: u32,
    /// When the oldest message that waits was made, by the platform's clock.
    pub oldest_waiting: Option<String>,
    /// The id of the row up to which rows are fetched.
    pub position: Option<String>,
    /// Stretches of time of which messages may be missing.
    pub gaps: u32,
    /// Seconds since the platform gave rows.
    pub read_s_ago: Option<u64>,
    /// What keeps the newest messages away; none if nothing does.
    pub trouble: Option<String>,
}

/// What a process is to an inbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboxRole {
    /// Another process fetches.
    Follower,
    /// It fetches, and holds the lock.
    Leader,
    /// Fetching is switched off.
    Off,
    /// It is not decided yet.
    #[default]
    Starting,
    /// It fetches, and there can be no lock.
    Unlocked,
}

//! What passes between the component and its host, for a host that records it.

use serde::Serialize;

use crate::guest::wire::{Effect, Instant, Next, Outcome, Saved, WakeRules, Workspace};

/// One call of the component, and what it said.
#[derive(Debug, Serialize)]
pub struct Passage<'a> {
    /// Which instance of the component said it, from 0.
    #[serde(skip)]
    pub instance: u64,
    /// What it was asked.
    pub asked: Asked<'a>,
    /// In which dialogue.
    pub dialogue: u64,
    /// When.
    pub now: Instant,
    /// What it wants done.
    pub effects: &'a [Effect],
    /// What the dialogue waits for; nothing after [`Asked::Cancel`].
    pub next: Option<&'a Next>,
}

/// What the component is asked in a dialogue.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum Asked<'a> {
    /// To give the dialogue up.
    Cancel,
    /// To look after the files of a workspace.
    Files {
        /// Whose files they are.
        workspace: Workspace,
        /// In which lane.
        lane: u32,
    },
    /// To fetch the messages of a workspace.
    Inbox {
        /// Whose messages they are.
        workspace: Workspace,
        /// What is on disk.
        saved: &'a Saved,
    },
    /// To go on.
    Resume(&'a Outcome),
    /// To look at the body of a register or heartbeat.
    Secrets {
        /// To whom it came.
        workspace: Workspace,
        /// The body.
        body: &'a [u8],
    },
    /// To bring the cursor file of a workspace up to date.
    Settle(Workspace),
    /// To call a tool.
    Tool {
        /// Its name.
        name: &'a str,
        /// Its arguments, a JSON object.
        arguments: &'a str,
    },
    /// To ring for messages.
    Wake(&'a WakeRules),
}

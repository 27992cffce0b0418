//! The exports of the component: each is one verb of [`Agent`], and nothing else.

#![cfg(target_family = "wasm")]

use std::cell::RefCell;

use molecule_logic::{
    Agent,
    bindings::exports::molecule::mcp::{
        dialogues,
        inbox::{self, InboxStatus, Saved},
        secrets, setup,
        tools::{self, ToolSpec},
        turns::{Effect, Finish, Next, Outcome, Turn},
        types::Workspace,
        wake::{self, WakeRules, WakeState},
    },
};

/// What the exports work on.
struct Component;

thread_local! {
    static AGENT: RefCell<Option<Agent>> = const { RefCell::new(None) };
}

/// The answer of `verb`, or `otherwise` before `setup.start`.
fn agent<T>(otherwise: impl FnOnce() -> T, verb: impl FnOnce(&mut Agent) -> T) -> T {
    AGENT.with_borrow_mut(|agent| match agent {
        Some(agent) => verb(agent),
        None => otherwise(),
    })
}

fn nothing() -> Turn {
    Turn { effects: Vec::new(), next: Next::Finish(Finish::Done) }
}

fn no_inbox() -> InboxStatus {
    InboxStatus {
        staged: 0,
        parked: 0,
        oldest_waiting: None,
        position: None,
        gaps: 0,
        read_at: None,
        trouble: None,
    }
}

impl setup::Guest for Component {
    fn start(settings: setup::Settings) {
        AGENT.set(Some(Agent::start(settings)));
    }

    fn refused(workspace: Workspace, why: String) {
        agent(|| (), |agent| agent.refused(workspace, why));
    }

    fn retire() -> Option<String> {
        agent(|| None, |agent| agent.retire())
    }

    fn inherit(left: String) {
        agent(|| (), |agent| agent.inherit(&left));
    }
}

impl tools::Guest for Component {
    fn specs() -> Vec<ToolSpec> {
        agent(Vec::new, |agent| agent.specs())
    }

    fn instructions() -> String {
        agent(String::new, |agent| agent.instructions())
    }

    fn open(dialogue: u64, name: String, arguments: String, now: u64) -> Turn {
        agent(nothing, |agent| agent.open_tool(dialogue, &name, &arguments, now))
    }
}

impl inbox::Guest for Component {
    fn open(dialogue: u64, workspace: Workspace, saved: Saved, now: u64) -> Turn {
        agent(nothing, |agent| agent.open_inbox(dialogue, workspace, saved, now))
    }

    fn open_files(dialogue: u64, workspace: Workspace, lane: u32, now: u64) -> Turn {
        agent(nothing, |agent| agent.open_files(dialogue, workspace, lane, now))
    }

    fn follow(workspace: Workspace, leader: String) {
        agent(|| (), |agent| agent.follow(workspace, leader));
    }

    fn settle(dialogue: u64, workspace: Workspace, now: u64) -> Turn {
        agent(nothing, |agent| agent.settle_inbox(dialogue, workspace, now))
    }

    fn describe(workspace: Workspace, saved: Saved) -> String {
        agent(String::new, |agent| agent.describe(workspace, saved))
    }

    fn status(workspace: Workspace, now: u64) -> InboxStatus {
        agent(no_inbox, |agent| agent.inbox_status(workspace, now))
    }
}

impl secrets::Guest for Component {
    fn open(dialogue: u64, workspace: Workspace, body: Vec<u8>, now: u64) -> Turn {
        agent(nothing, |agent| agent.open_secrets(dialogue, workspace, body, now))
    }

    fn remember(workspace: Workspace, secret: String) {
        agent(|| (), |agent| agent.remember_secret(workspace, &secret));
    }
}

impl wake::Guest for Component {
    fn open(dialogue: u64, rules: WakeRules, now: u64) -> Turn {
        agent(nothing, |agent| agent.open_wake(dialogue, rules, now))
    }

    fn not_rung(why: String, again: u64) {
        agent(|| (), |agent| agent.not_rung(why, again));
    }

    fn state(now: u64) -> Vec<WakeState> {
        agent(Vec::new, |agent| agent.wake_state(now))
    }
}

impl dialogues::Guest for Component {
    fn resume(dialogue: u64, outcome: Outcome, now: u64) -> Turn {
        agent(nothing, |agent| agent.resume(dialogue, outcome, now))
    }

    fn cancel(dialogue: u64, now: u64) -> Vec<Effect> {
        agent(Vec::new, |agent| agent.cancel(dialogue, now))
    }
}

molecule_logic::bindings::export!(Component with_types_in molecule_logic::bindings);

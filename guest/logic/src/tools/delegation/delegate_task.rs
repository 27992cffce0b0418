//! `delegate_task`: has a peer do something, and waits for its answer.
//!
//! ```text
//! who is it? ──► report ──► send ──┬── answered ───────► the peer's words
//!                                  ├── stored, queued ─► success of its own kind, never sent again
//!                                  ├── failed ─────────► what else can be done
//!                                  └── unknown ────────► how to find out, never sent again
//! ```

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    OPTIONS, State, look_up,
    platform_delegation::{self, Ended},
    presence, recipient, too_large,
};
use crate::{
    dialogue::Host,
    permissions::Action,
    platform::{
        a2a::{self, Message},
        fate::Fate,
        report::Report,
    },
    text::{redact, untrusted},
    tools::kit::{Facts, Failure, Selector, Spec, Text, Tool, WorkspaceId},
    wire::Workspace,
    world::{Work, World},
};

/// How much of an error stands in the summary of a report.
const SUMMARY_ERROR_CHARS: usize = 120;

/// Longest account of a failure by the peer itself.
const PEER_ERROR_CHARS: usize = 4_096;

const BEGINNING_ONLY: &str = "\n\nThis is only the beginning of the answer, the platform kept no more of it. Ask for the \
                              rest if you need it.";

pub(in crate::tools) struct DelegateTask;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// The peer that is to do it: its id from list_peers, or the peer_id of a message from it.
    workspace_id: Text,
    /// What the peer is to do. It knows nothing of this conversation, so say everything it needs.
    task: Text,
    /// Only with several workspaces: the one that delegates or replies, for a reply the
    /// arrival_workspace_id of the message. If left out, the one that the peer wrote to, or that lists it.
    #[serde(default)]
    source_workspace_id: Selector,
}

/// What became of a task that was sent to a peer.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools) struct Delegated {
    state: State,
    /// The peer.
    workspace_id: String,
    /// Its name.
    name: String,
    /// What it answered; words from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    /// The reply is only the beginning of what it answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    /// Its last known presence, such as online or awaiting_agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<String>,
    /// The entry in the platform's queue; check_task_status takes it as task_id.
    #[serde(skip_serializing_if = "String::is_empty")]
    queue_id: String,
    /// What check_task_status takes as task_id, if the platform carries the task out.
    #[serde(skip_serializing_if = "String::is_empty")]
    delegation_id: String,
}

impl Tool for DelegateTask {
    const SPEC: Spec = Spec {
        name: "delegate_task",
        title: "Delegate a task and wait",
        description: "Sends a task or a message to a peer workspace (another agent, a teammate) over A2A and waits for \
                      its answer: synchronous, for quick questions. Also the way to reply to a message of the kind \
                      peer_agent in the inbox: workspace_id is its peer_id; call inbox_pop for it after that. For \
                      long work use delegate_task_async and check_task_status, so that you are not blocked. A peer \
                      that polls, or is busy, answers later with a message to your inbox: the result then says stored \
                      or queued, and the task must not be sent again. On DELEGATION FAILED use another peer, do the \
                      work yourself, or say which peer is unavailable; do not show the error text to the user.",
        read_only: false,
        idempotent: false,
        always_load: true,
        inbox: false,
        action: Some(Action::Delegate),
    };

    type Arguments = Arguments;
    type Facts = Delegated;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Delegated, Failure> {
        let Arguments { workspace_id, task: Text(task), source_workspace_id } = &arguments;
        let (from, to) = recipient(&world, source_workspace_id, workspace_id, &arguments.task)?;
        let message = Message::new(&world, task).map_err(|why| too_large(&why))?;
        let name = look_up(&host, &world, from, &to).await?;

        let own = world.id(from);
        let summary = format!("Delegating to {name}");
        let _work = Work::begin(&host, &world, from, &summary);
        let report = Report { peer: to.as_str(), summary, task: Some(task), ..Report::default() };
        host.effect(report.sent(from, own));

        let ended = if world.settings.delegate_durably {
            platform_delegation::delegate(&host, &world, from, &to, task).await
        } else {
            Ended::without_id(a2a::send(&host, &world, from, to.as_str(), &message).await)
        };
        host.effect(report_of(&ended.fate, &to, &name).received(from, own));
        conclude(&host, &world, (from, &to), name, ended).await
    }
}

impl Facts for Delegated {
    fn text(&self, world: &World) -> String {
        let Self { name, delegation_id, .. } = self;
        let presence = self.presence.as_deref().unwrap_or("unknown");
        match self.state {
            State::Answered => {
                let reply = untrusted::fenced(world, name, self.reply.as_deref().unwrap_or_default());
                // The bare text is for those who want the words of the peer and nothing else.
                let is_bare = world.settings.bare_peer_text && !untrusted::is_json_but_no_object(&reply);
                let state = if is_bare { "" } else { "state: answered\n" };
                format!("{state}{reply}{}", if self.preview { BEGINNING_ONLY } else { "" })
            }
            State::Queued => format!(
                "state: queued\n{name} is busy (last known status: {presence}), so the platform keeps the task and will \
                 try again by itself. There is no answer yet. Do not send the task again. {}If nothing has come after \
                 some minutes, ask {name} whether it has the task.",
                late_answer(name, &self.queue_id)
            ),
            State::Stored => format!(
                "state: stored\nThe task is stored in the inbox of {name} (last known status: {presence}), which \
                 fetches its messages by itself. There is no answer yet: it comes to your inbox as a message of its own \
                 (wait_for_message). Do not send the task again.{}",
                if delegation_id.is_empty() {
                    String::new()
                } else {
                    format!(" Its delegation_id is {delegation_id}.")
                }
            ),
            State::Unknown => unknown(name, "no answer came", false, delegation_id),
        }
    }
}

/// Where the answer of a busy peer can turn up.
fn late_answer(name: &str, queue_id: &str) -> String {
    let inbox = format!("If {name} answers with a message, it comes to your inbox (wait_for_message). ");
    if queue_id.is_empty() {
        return inbox;
    }
    format!("{inbox}Some platforms keep the answer: ask check_task_status with task_id {queue_id}. ")
}

/// The end of a delegation as the canvas shows it.
fn report_of<'a>(fate: &'a Fate, to: &'a WorkspaceId, name: &str) -> Report<'a> {
    let report = |summary| Report { peer: to.as_str(), summary, ..Report::default() };
    let failed = |why: &str, words: &str| {
        let error = if words.is_empty() { why.to_owned() } else { format!("{why}: {words}") };
        let error = redact::diagnostic(&error);
        let summary = format!("{name} failed: {}", untrusted::excerpt(&error, SUMMARY_ERROR_CHARS));
        Report { error: Some(error), ..report(summary) }
    };
    match fate {
        Fate::Answered(reply) => Report {
            result: Some(reply),
            ..report(format!("{name} responded ({} chars)", reply.chars().count()))
        },
        Fate::Failed { why, words } => failed(why, words),
        Fate::NotSent { why, .. } => failed(why, ""),
        Fate::Queued { .. } => report(format!("{name} is busy, the platform will try again")),
        Fate::Stored => report(format!("{name} will find the task in its inbox")),
        Fate::Unknown { why, .. } => {
            Report { error: Some(redact::diagnostic(why)), ..report(format!("{name}: outcome unknown")) }
        }
    }
}

async fn conclude(
    host: &Host,
    world: &World,
    (from, to): (Workspace, &WorkspaceId),
    name: String,
    ended: Ended,
) -> Result<Delegated, Failure> {
    let (state, reply, queue_id) = match ended.fate {
        Fate::Answered(reply) => (State::Answered, Some(reply), String::new()),
        Fate::Queued { queue_id } => (State::Queued, None, queue_id),
        Fate::Stored => (State::Stored, None, String::new()),
        Fate::Failed { why, words } => return Err(failed(world, &name, &why, &words)),
        Fate::NotSent { why, .. } => {
            return Err(failed(
                world,
                &name,
                &format!("nothing reached it: {}", redact::diagnostic(&why)),
                "",
            ));
        }
        Fate::Unknown { why, arrived } => {
            let text = unknown(&name, &redact::diagnostic(&why), arrived, &ended.delegation_id);
            return Err(Failure::new(text));
        }
    };
    let presence = if reply.is_none() { Some(presence(host, world, from, to).await) } else { None };
    Ok(Delegated {
        state,
        workspace_id: to.as_str().to_owned(),
        name,
        reply,
        preview: ended.cut,
        presence,
        queue_id,
        delegation_id: ended.delegation_id,
    })
}

fn failed(world: &World, name: &str, why: &str, words: &str) -> Failure {
    let words = if words.is_empty() {
        String::new()
    } else {
        let words: String = words.chars().take(PEER_ERROR_CHARS).collect();
        format!("\n{}", untrusted::fenced(world, name, &words))
    };
    Failure::new(format!("DELEGATION FAILED to {name}: {why}.{words}\n\n{OPTIONS}"))
}

/// Nobody knows whether the work is done; doing it twice would be the worse mistake.
fn unknown(name: &str, why: &str, arrived: bool, delegation_id: &str) -> String {
    let what = if arrived {
        "It has received the task, but its answer is lost"
    } else {
        "It may have received the task"
    };
    let how = if delegation_id.is_empty() {
        format!(
            "To find out, look for a message from {name} (wait_for_message, inbox_peek), see whether it is online \
             (list_peers), or ask it in a message of its own whether it has the task."
        )
    } else {
        format!("To find out, call check_task_status with task_id {delegation_id}.")
    };
    format!(
        "DELEGATION OUTCOME UNKNOWN to {name}: {why}.\nstate: unknown\n{what}. Do not send the task again: it could be done \
         twice. {how}"
    )
}

#[cfg(test)]
mod tests;

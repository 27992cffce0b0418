//! A delegation that the platform carries out, waited for.
//!
//! ```text
//! place ──► look every 3 s ── over ──► told
//!                └── out of time ────► told, with the id to ask for later
//! ```

use crate::{
    dialogue::Host,
    platform::{
        PlatformError, a2a,
        delegate::{self, Order},
        delegations::{self, Delegation, Reply},
        fate::{self, Fate},
    },
    text::{redact, untrusted},
    tools::kit::WorkspaceId,
    wire::{Instant, Workspace},
    world::World,
};

const LOOK_MS: u64 = 3_000;

/// The platform's clock is this far from ours at most, where it matters.
const OVERLAP_SECS: u64 = 120;

/// Longest reason of a failure that is shown.
const ERROR_CHARS: usize = 500;

/// How a durable delegation ended.
pub(in crate::tools) struct Ended {
    pub(super) delegation_id: String,
    pub(super) fate: Fate,
    /// The answer is only the beginning of what the peer said.
    pub(super) cut: bool,
}

/// Has the platform carry out `task`, and waits for its end.
pub(super) async fn delegate(
    host: &Host,
    world: &World,
    workspace: Workspace,
    to: &WorkspaceId,
    task: &str,
) -> Ended {
    let own = world.id(workspace);
    let key = delegate::fresh_key(world, own, to.as_str(), task);
    let order = Order { target: to.as_str(), task, key: &key };
    let begun = host.now();
    match delegate::place(host, world, workspace, own, &order).await {
        Ok(placed) if placed.delegation_id.is_empty() => {
            let why = "delegate dispatch missing delegation_id".to_owned();
            Ended::without_id(Fate::Unknown { why, arrived: false })
        }
        Ok(placed) => {
            let (fate, cut) = wait(host, world, workspace, &placed.delegation_id, begun).await;
            Ended { delegation_id: placed.delegation_id, fate, cut }
        }
        Err(why) => Ended::without_id(not_placed(&why)),
    }
}

impl Ended {
    pub(super) fn without_id(fate: Fate) -> Self {
        Self { delegation_id: String::new(), fate, cut: false }
    }
}

/// Looks until the delegation is over, or the time that the operator allows.
async fn wait(host: &Host, world: &World, workspace: Workspace, id: &str, begun: Instant) -> (Fate, bool) {
    let budget_secs = world.settings.durable_budget_secs;
    let deadline = begun + u64::from(budget_secs) * 1_000;
    let mut last_status = "unknown".to_owned();
    let mut seen_without_reply = false;
    let mut failures = 0;
    loop {
        let since_secs = host.now().saturating_sub(begun) / 1_000 + OVERLAP_SECS;
        // A look that fails is made up for by the next one.
        let looked = delegations::find(host, workspace, world.id(workspace), id, Some(since_secs)).await;
        let pause = match &looked {
            Ok(_) => LOOK_MS,
            Err(why) => LOOK_MS.max(why.asked_ms()).max(a2a::backoff(world, failures + 1)),
        };
        failures = if looked.is_err() { failures + 1 } else { 0 };
        if let Ok(Some(found)) = looked {
            // The state can be there a moment before the reply.
            let is_early = found.has_completed() && found.reply == Reply::Missing && !seen_without_reply;
            if found.is_over() && !is_early {
                return end(found);
            }
            seen_without_reply = is_early;
            last_status = found.status;
        }
        if host.now() >= deadline {
            let why = format!(
                "polling timeout after {budget_secs}s (delegation_id={id}, last_status={}); the platform still works \
                 on it",
                untrusted::name(&last_status)
            );
            return (Fate::Unknown { why, arrived: false }, false);
        }
        host.rest_until(deadline.min(host.now() + pause)).await;
    }
}

fn end(found: Delegation) -> (Fate, bool) {
    if found.has_failed() {
        let error = if found.error.is_empty() { "delegation failed" } else { &found.error };
        let why = untrusted::excerpt(&redact::diagnostic(error), ERROR_CHARS);
        return (Fate::Failed { why, words: String::new() }, false);
    }
    match found.reply {
        Reply::Missing => {
            let why = "the platform calls it completed, but has no text of the answer".to_owned();
            (Fate::Unknown { why, arrived: true }, false)
        }
        Reply::Preview(text) => (Fate::Answered(text), true),
        Reply::Stored => (Fate::Stored, false),
        Reply::Whole(text) => (fate::read_kept(text), false),
    }
}

fn not_placed(cause: &PlatformError) -> Fate {
    let why = format!("delegate dispatch failed: {cause}");
    match cause {
        PlatformError::Unreachable { maybe_sent: true, .. }
        | PlatformError::Overflowed
        | PlatformError::Status { status: 502 | 504, .. } => Fate::Unknown { why, arrived: false },
        PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Status { .. }
        | PlatformError::Unreachable { .. } => Fate::NotSent { why, again: None },
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        platform::tests::{body, responded, unreachable},
        testing::{Call, OWN, settings},
        wire::{Next, Outcome, Settings},
    };

    const PEER: &str = "22222222-2222-4222-8222-222222222222";
    const ENVELOPE: &str = r#"{"delivery_mode":"poll","method":"message/send","status":"queued"}"#;

    #[test]
    fn the_whole_answer_is_waited_for() {
        let mut call = placed();
        call.then(responded(200, &json!([row("dispatched", "")])), 100);
        call.then(responded(200, &json!([])), 100);
        assert!(matches!(&call.turn.next, Next::Rest(rest) if rest.until == 3_100));
        call.then(Outcome::Rested, 3_100);
        call.then(unreachable(true), 3_200).then(Outcome::Rested, 6_200);
        call.then(responded(200, &json!([row("completed", "the be…")])), 6_300);
        call.then(responded(200, &json!([result("the beginning and the end")])), 6_400);

        assert!(call.text().contains("]\nthe beginning and the end\n["), "{}", call.text());
        assert!(!call.answer().is_error);
    }

    #[test]
    fn a_platform_that_is_busy_is_looked_at_ever_less() {
        let mut call = placed();
        let (mut now, mut pauses) = (100, Vec::new());
        for _ in 0..6 {
            call.then(responded(429, &json!({"error": "rate limit exceeded"})), now);
            let Next::Rest(rest) = &call.turn.next else { panic!("{:?}", call.turn.next) };
            pauses.push(rest.until - now);
            now = rest.until;
            call.then(Outcome::Rested, now);
        }

        assert_eq!(pauses[..2], [3_000, 3_000]);
        assert!(pauses[4] >= 12_000 && pauses[5] >= 12_000, "{pauses:?}");
    }

    #[test]
    fn the_order_is_placed_with_the_platform_and_not_sent_to_the_peer() {
        let call = placed_request();

        assert_eq!(call.request().path, ["workspaces", OWN, "delegate"]);
        assert_eq!(body(call.request())["target_id"], PEER);
    }

    #[test]
    fn a_queued_envelope_is_never_shown_as_a_reply() {
        let mut call = placed();
        call.then(responded(200, &json!([row("completed", ENVELOPE)])), 100);
        call.then(responded(200, &json!([{"id": PEER, "status": "online"}])), 200);

        assert!(call.text().starts_with("state: stored\n"), "{}", call.text());
        assert!(call.text().contains("Its delegation_id is d.") && !call.text().contains("delivery_mode"));
    }

    #[test]
    fn time_that_runs_out_is_told_with_where_to_ask_later() {
        let mut call = placed();
        let mut now = 100;
        while let Next::Send(request) = &call.turn.next {
            let is_list = request.path.last().is_some_and(|last| last == "delegations");
            let rows = if is_list { json!([row("dispatched", "")]) } else { json!([]) };
            call.then(responded(200, &rows), now);
            if let Next::Rest(rest) = &call.turn.next {
                now = rest.until;
                call.then(Outcome::Rested, now);
            }
        }

        assert_eq!(now, 300_000);
        let text = call.text();
        assert!(
            text.contains("polling timeout after 300s (delegation_id=d, last_status=dispatched)"),
            "{text}"
        );
        assert!(text.contains("check_task_status with task_id d"), "{text}");
        assert!(call.answer().is_error);
    }

    #[test]
    fn a_failure_gives_the_platforms_reason() {
        let mut failed = row("failed", "");
        failed["error"] = "workspace has\nno URL".into();
        let mut call = placed();
        call.then(responded(200, &json!([failed])), 100);

        assert!(
            call.text().starts_with("DELEGATION FAILED to Research: workspace has no URL."),
            "{}",
            call.text()
        );
    }

    #[test]
    fn a_kept_answer_that_tells_of_an_error_is_a_failure() {
        for kept in [
            "Agent error: out of tokens",
            r#"{"jsonrpc":"2.0","id":"x","error":{"message":"out of tokens"}}"#,
        ] {
            let mut call = placed();
            call.then(responded(200, &json!([row("completed", "…")])), 100);
            call.then(responded(200, &json!([result(kept)])), 200);

            assert!(call.text().starts_with("DELEGATION FAILED to Research: its agent "), "{}", call.text());
            assert!(call.text().contains("out of tokens\n["), "{}", call.text());
        }
    }

    #[test]
    fn an_answer_that_stays_missing_is_said_to_be_lost() {
        let mut call = placed();
        call.then(responded(200, &json!([row("completed", "")])), 100).then(responded(200, &json!([])), 100);
        assert!(matches!(call.turn.next, Next::Rest(_)));
        call.then(Outcome::Rested, 3_100);
        call.then(responded(200, &json!([row("completed", "")])), 3_100)
            .then(responded(200, &json!([])), 3_100);

        assert!(call.text().contains("no text of the answer"), "{}", call.text());
    }

    #[test]
    fn an_order_that_is_refused_is_a_failure() {
        let mut call = placed_request();
        call.then(responded(403, &json!({"error": "tool call failed"})), 10);

        assert!(
            call.text().starts_with(
                "DELEGATION FAILED to Research: nothing reached it: delegate dispatch failed: HTTP 403: tool call failed."
            ),
            "{}",
            call.text()
        );
    }

    fn placed_request() -> Call {
        let world = Rc::new(World::new(Settings { delegate_durably: true, ..settings() }));
        let mut call = Call::open(&world, "delegate_task", &json!({"workspace_id": PEER, "task": "dig"}));
        call.then(responded(200, &json!({"id": PEER, "name": "Research"})), 0);
        call
    }

    fn placed() -> Call {
        let mut call = placed_request();
        call.then(
            responded(202, &json!({"delegation_id": "d", "status": "delegated", "target_id": PEER})),
            50,
        );
        assert_eq!(call.request().path, ["workspaces", OWN, "delegations"]);
        call
    }

    fn row(status: &str, preview: &str) -> Value {
        let mut row =
            json!({"type": "delegation", "delegation_id": "d", "target_id": PEER, "status": status});
        if !preview.is_empty() {
            row["response_preview"] = preview.into();
        }
        row
    }

    fn result(text: &str) -> Value {
        json!({"activity_type": "delegation", "method": "delegate_result", "status": "completed",
            "response_body": {"delegation_id": "d", "text": text}})
    }
}

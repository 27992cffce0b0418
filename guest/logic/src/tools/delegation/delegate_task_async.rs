//! `delegate_task_async`: has a peer do something, without waiting for it.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::recipient;
use crate::{
    dialogue::Host,
    permissions::Action,
    platform::{
        PlatformError,
        delegate::{self, Order, Placed},
    },
    text::untrusted,
    tools::kit::{Facts, Failure, Selector, Spec, Text, Tool, WorkspaceId, advice},
    world::World,
};

/// Longest key that is taken.
const KEY_CHARS: usize = 200;

pub(in crate::tools) struct DelegateTaskAsync;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// The peer that is to do it: its id from list_peers.
    workspace_id: Text,
    /// What the peer is to do. It knows nothing of this conversation, so say everything it needs.
    task: Text,
    /// Only to repeat a call whose outcome is unknown: the key from its answer. With the same key the
    /// task is started at most once. Leave it out for every new task.
    #[serde(default)]
    idempotency_key: Text,
    /// Only with several workspaces: the one that delegates. If left out, the one that the peer wrote to, or
    /// that lists it.
    #[serde(default)]
    source_workspace_id: Selector,
}

/// A task that the platform carries out in the background.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools) struct Started {
    /// What check_task_status takes as task_id.
    delegation_id: String,
    /// The peer.
    workspace_id: String,
    /// `delegated` if it was started, else the state of the delegation with the same key.
    status: String,
    /// An earlier call had the same key: this one has started nothing.
    idempotent_hit: bool,
    /// What to do next.
    note: String,
}

impl Tool for DelegateTaskAsync {
    const SPEC: Spec = Spec {
        name: "delegate_task_async",
        title: "Delegate a task without waiting",
        description: "Sends a task to a peer workspace (another agent, a teammate) and returns at once with a \
                      delegation_id: non-blocking, for long work. The platform queues it, delivers it and retries. \
                      Poll with check_task_status, which takes the delegation_id as its task_id: they are the same \
                      thing. The answer of a peer can also come to your inbox as a message (inbox_peek).",
        read_only: false,
        idempotent: false,
        always_load: false,
        inbox: false,
        action: Some(Action::Delegate),
    };

    type Arguments = Arguments;
    type Facts = Started;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Started, Failure> {
        let Arguments { workspace_id, task, idempotency_key: Text(key), source_workspace_id } = arguments;
        let (workspace, to) = recipient(&world, &source_workspace_id, &workspace_id, &task)?;
        let own = world.id(workspace);
        let key = match key.trim() {
            "" => delegate::fresh_key(&world, own, to.as_str(), &task.0),
            key if key.chars().count() > KEY_CHARS => {
                return Err(Failure::new(format!(
                    "Error: the idempotency_key is longer than {KEY_CHARS} characters. Leave it out for a new task."
                )));
            }
            key => key.to_owned(),
        };
        let order = Order { target: to.as_str(), task: &task.0, key: &key };
        match delegate::place(&host, &world, workspace, own, &order).await {
            Ok(placed) => Ok(started(placed, &to)),
            Err(why) => Err(not_started(&why, &key)),
        }
    }
}

impl Facts for Started {
    fn text(&self, _world: &World) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

fn started(placed: Placed, to: &WorkspaceId) -> Started {
    let Placed { delegation_id, status, target, repeated, warning } = placed;
    let mut note = match (repeated, target == to.as_str()) {
        (true, true) => format!(
            "An identical task already exists (same idempotency_key): nothing new was started. Its current status is \
             {status}. Use check_task_status for its result."
        ),
        (true, false) => format!(
            "This idempotency_key belongs to an earlier task for workspace {target}: nothing was started. Call again \
             without idempotency_key to start yours."
        ),
        (false, _) => {
            "The task runs in the background. Use check_task_status with the delegation_id as task_id to \
                       see how it is going."
                .to_owned()
        }
    };
    if delegation_id.is_empty() {
        note = "The platform took the task but gave no delegation_id. Find it with check_task_status without task_id."
            .to_owned();
    }
    if !warning.is_empty() {
        note = format!("{note} The platform warns: {warning}.");
    }
    let status = if repeated { status } else { "delegated".to_owned() };
    Started { delegation_id, workspace_id: target, status, idempotent_hit: repeated, note }
}

fn not_started(why: &PlatformError, key: &str) -> Failure {
    let key = untrusted::one_line(key, KEY_CHARS);
    let unknown = format!(
        "It may have been started all the same. Call again with the same arguments and idempotency_key {key}: then it \
         is started at most once."
    );
    let next = match why {
        why if why.refuses_token() => {
            "The token of this workspace is refused: ask the operator for a new one.".to_owned()
        }
        PlatformError::Status { .. } if why.is_in_front() => format!("Nothing was started. {}", advice(why)),
        PlatformError::Status { status: 403, .. } => {
            "This workspace may not delegate; calling again does not help. Do the work yourself.".to_owned()
        }
        PlatformError::Status { status: 400..=499, .. } | PlatformError::Refused(_) => {
            "Nothing was started. Correct the arguments (workspace_id comes from list_peers) and call again."
                .to_owned()
        }
        PlatformError::Unreachable { maybe_sent: false, .. } => {
            "Nothing was started. Try again in a minute, or do the work yourself.".to_owned()
        }
        PlatformError::Overflowed
        | PlatformError::Shape(_)
        | PlatformError::Status { .. }
        | PlatformError::Unreachable { .. } => unknown,
    };
    let what = match why {
        PlatformError::Status { status, said, .. } => {
            format!("Error: delegation failed with status {status}: {said}")
        }
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Unreachable { .. } => format!("Error: delegation failed — {why}"),
    };
    Failure::new(format!("{what}\n{next}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        platform::tests::{body, responded, unreachable},
        testing::{Call, OWN, assert_says, world},
        wire::{Next, Outcome},
    };

    const PEER: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says(
            "delegate_task_async",
            &["at once", "check_task_status", "task_id", "delegation_id"],
            &[("workspace_id", "list_peers")],
        );
    }

    #[test]
    fn a_started_task_gives_the_id_to_ask_for() {
        let mut call =
            Call::open(&world(), "delegate_task_async", &json!({"workspace_id": PEER, "task": "dig"}));

        assert_eq!(call.request().path, ["workspaces", OWN, "delegate"]);
        let sent = body(call.request());
        assert_eq!((&sent["target_id"], &sent["task"]), (&json!(PEER), &json!("dig")));
        assert_eq!(sent["idempotency_key"].as_str().map(str::len), Some(32));

        call.then(
            responded(202, &json!({"delegation_id": "d", "status": "delegated", "target_id": PEER})),
            1,
        );

        let told = told(&call);
        assert_eq!(
            (&told["delegation_id"], &told["workspace_id"], &told["status"], &told["idempotent_hit"]),
            (&json!("d"), &json!(PEER), &json!("delegated"), &json!(false))
        );
        assert!(told["note"].as_str().unwrap().contains("check_task_status"));
    }

    #[test]
    fn a_task_that_exists_already_is_a_success_that_says_so() {
        let mut call = Call::open(
            &world(),
            "delegate_task_async",
            &json!({"workspace_id": PEER, "task": "dig", "idempotency_key": " k "}),
        );
        assert_eq!(body(call.request())["idempotency_key"], "k");

        call.then(hit(PEER), 1);

        let told = told(&call);
        assert_eq!((&told["status"], &told["idempotent_hit"]), (&json!("queued"), &json!(true)));
        assert!(told["note"].as_str().unwrap().starts_with("An identical task already exists"));
    }

    #[test]
    fn a_key_of_another_peers_task_is_said_to_be_one() {
        let arguments = json!({"workspace_id": PEER, "task": "dig", "idempotency_key": "k"});
        let mut call = Call::open(&world(), "delegate_task_async", &arguments);
        call.then(hit("33333333-3333-4333-8333-333333333333"), 1);

        let told = told(&call);
        assert_eq!(told["workspace_id"], "33333333-3333-4333-8333-333333333333");
        assert!(told["note"].as_str().unwrap().contains("nothing was started"));
    }

    #[test]
    fn retries_keep_the_key_and_their_own_hit_counts_as_started() {
        let mut call =
            Call::open(&world(), "delegate_task_async", &json!({"workspace_id": PEER, "task": "dig"}));
        let first = body(call.request());
        call.then(unreachable(true), 1);
        assert!(matches!(call.turn.next, Next::Rest(_)));
        call.then(Outcome::Rested, 2_000);
        assert_eq!(body(call.request()), first);

        call.then(hit(PEER), 2_001);

        let told = told(&call);
        assert_eq!((&told["status"], &told["idempotent_hit"]), (&json!("delegated"), &json!(false)));
    }

    #[test]
    fn a_lost_answer_gives_the_key_to_call_again_with() {
        let mut call =
            Call::open(&world(), "delegate_task_async", &json!({"workspace_id": PEER, "task": "dig"}));
        let key = body(call.request())["idempotency_key"].as_str().unwrap().to_owned();
        for now in [1, 2] {
            call.then(unreachable(true), now).then(Outcome::Rested, now);
        }
        call.then(unreachable(true), 3);

        assert!(
            call.text().starts_with("Error: delegation failed — connection reset\nIt may have been started")
        );
        assert!(call.text().contains(&key));
        assert!(call.answer().is_error);
    }

    #[test]
    fn a_refusal_is_not_tried_again() {
        let mut call =
            Call::open(&world(), "delegate_task_async", &json!({"workspace_id": PEER, "task": "dig"}));
        call.then(responded(400, &json!({"error": "target_id must be a valid UUID"})), 1);

        assert!(call.text().starts_with(
            "Error: delegation failed with status 400: target_id must be a valid UUID\nNothing"
        ));
    }

    #[test]
    fn what_can_be_refused_here_makes_no_request() {
        for (arguments, said) in [
            (json!({"workspace_id": "", "task": "dig"}), "Error: workspace_id and task are required"),
            (json!({"workspace_id": PEER, "task": null}), "Error: workspace_id and task are required"),
            (json!({"workspace_id": OWN.to_uppercase(), "task": "dig"}), "your own workspace"),
            (json!({"workspace_id": "../admin", "task": "dig"}), "not found"),
            (json!({"workspace_id": PEER, "task": "x".repeat(1 << 20)}), "bytes"),
            (json!({"workspace_id": PEER, "task": "x", "idempotency_key": "k".repeat(201)}), "longer"),
        ] {
            let call = Call::open(&world(), "delegate_task_async", &arguments);
            assert!(call.text().contains(said), "{}", call.text());
            assert!(call.answer().is_error);
        }
    }

    fn hit(target: &str) -> Outcome {
        let body =
            json!({"delegation_id": "d", "status": "queued", "target_id": target, "idempotent_hit": true});
        responded(200, &body)
    }

    fn told(call: &Call) -> Value {
        assert!(!call.answer().is_error);
        serde_json::from_str(call.text()).unwrap()
    }
}

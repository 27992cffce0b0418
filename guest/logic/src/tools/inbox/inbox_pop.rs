//! `inbox_pop`: a message is dealt with.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{require_inbox, take_over};
use crate::{
    dialogue::Host,
    inbox::{self, Access, Pops},
    tools::kit::{Facts, Failure, Flag, Spec, Tool, arguments},
    world::World,
};

pub(in crate::tools) struct InboxPop;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// The activity_id of the message, exactly as wait_for_message or inbox_peek showed it.
    activity_id: Ids,
    /// Further messages to remove in the same call.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    activity_ids: Ids,
    /// true: receive the messages here from now on. For when an answer says that another process does.
    #[serde(default)]
    take_over: Flag,
}

/// Ids of messages; or why they are none, which is said only where there is an inbox.
#[derive(JsonSchema)]
#[schemars(with = "String")]
struct Ids(Result<Vec<String>, String>);

impl Default for Ids {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Option::<Value>::deserialize(deserializer)?.unwrap_or_default();
        Ok(Self(arguments::all(list, "activity_id", |entry| entry.as_str().map(str::to_owned))))
    }
}

/// Another message of the same call.
#[derive(Serialize, JsonSchema)]
struct Also {
    /// Whether it was waiting.
    removed: bool,
    activity_id: String,
}

/// What became of the message.
#[derive(Serialize, JsonSchema)]
pub(in crate::tools) struct Popped {
    /// Whether it was waiting.
    removed: bool,
    activity_id: String,
    /// False if a restart would show it again, because the state could not be saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    durable: Option<bool>,
    /// The other messages of the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Also>>")]
    also: Vec<Also>,
}

impl Tool for InboxPop {
    const SPEC: Spec = Spec {
        name: "inbox_pop",
        title: "Remove a handled message",
        description: "Removes a message from the inbox by its activity_id, so that it does not come back. Call it once \
                      the reply has succeeded (send_message_to_user to the user, delegate_task to a peer), or the \
                      message is handled without one, not before: whatever is not popped is shown again, also after \
                      a restart. Popping twice does no harm; the second answer says removed=false.",
        read_only: false,
        idempotent: true,
        always_load: true,
        inbox: true,
        action: None,
    };

    type Arguments = Arguments;
    type Facts = Popped;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Popped, Failure> {
        take_over(&host, &world, arguments.take_over).await?;
        let access = require_inbox(&host, &world).await?;
        let Ids(first) = arguments.activity_id;
        let Ids(others) = arguments.activity_ids;
        let mut ids = first.map_err(|_| required())?;
        ids.extend(others.map_err(|why| arguments::misfit("activity_ids", &why))?);
        ids.retain(|id| !id.is_empty());
        if ids.is_empty() {
            return Err(required());
        }
        if access == Access::Followed {
            return Err(Failure::new(
                "Error: nothing was removed, because this process does not have the messages.",
            ));
        }
        let Pops { removed, durable } = inbox::popped(&host, &world, ids).await;
        if removed.iter().any(|(_, removed)| *removed) {
            world.wake.read(host.now());
        }
        let mut all = removed.into_iter().map(|(activity_id, removed)| Also { removed, activity_id });
        let Some(Also { removed, activity_id }) = all.next() else {
            return Err(required());
        };
        Ok(Popped { removed, activity_id, durable: (!durable).then_some(false), also: all.collect() })
    }
}

fn required() -> Failure {
    Failure::new(
        "Error: activity_id is required. Take it from the message that wait_for_message or inbox_peek showed.",
    )
}

impl Facts for Popped {
    fn text(&self, _world: &World) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{inbox::rig::Rig, testing::assert_says};

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says(
            "inbox_pop",
            &["activity_id", "once the reply has succeeded", "send_message_to_user", "delegate_task"],
            &[("activity_id", "wait_for_message"), ("activity_id", "inbox_peek")],
        );
    }

    #[test]
    fn a_message_is_removed_once_and_that_is_on_disk_before_the_answer() {
        let mut rig = Rig::new();
        let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();
        let synced = rig.syncs;

        assert_eq!(rig.pop(&one), json!({"removed": true, "activity_id": one}));
        assert_eq!(
            (rig.syncs, rig.journal.last()),
            (synced + 1, Some(&format!(r#"{{"t":"A","ids":["{one}"]}}"#)))
        );
        assert_eq!(rig.pop(&one), json!({"removed": false, "activity_id": one}));

        assert_eq!(rig.waiting(), [two]);
    }

    #[test]
    fn only_the_exact_id_removes() {
        let mut rig = Rig::new();
        let id = rig.platform.say("one");
        rig.start();

        for other in [format!(" {id}"), id.to_uppercase(), "unknown".to_owned()] {
            assert_eq!(rig.pop(&other), json!({"removed": false, "activity_id": other}));
        }
        assert_eq!(rig.waiting(), [id]);
    }

    #[test]
    fn without_an_id_nothing_is_removed() {
        let mut rig = Rig::new();
        rig.start();
        for arguments in
            [json!({}), json!({"activity_id": ""}), json!({"activity_id": 5}), json!({"activity_id": null})]
        {
            let call = rig.call("inbox_pop", &arguments);
            assert!(call.text().starts_with("Error: activity_id is required."), "{arguments}");
            assert!(call.answer().is_error);
        }
    }

    #[test]
    fn a_pop_that_is_not_on_disk_says_so_and_is_saved_later() {
        let mut rig = Rig::new();
        let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();
        rig.disk_full = true;

        assert_eq!(rig.pop(&one), json!({"removed": true, "activity_id": one, "durable": false}));
        assert_eq!(rig.pop(&two), json!({"removed": true, "activity_id": two, "durable": false}));
        assert_eq!(rig.warnings().len(), 1, "said once a minute: {:?}", rig.warnings());
        assert_eq!(rig.file, None);

        rig.disk_full = false;
        rig.pass(5_000);

        assert_eq!(rig.file, Some(two));
    }

    #[test]
    fn several_messages_are_removed_with_one_write() {
        let mut rig = Rig::new();
        let [one, two, three] = ["one", "two", "three"].map(|text| rig.platform.say(text));
        rig.start();
        let synced = rig.syncs;

        let answer = rig.call("inbox_pop", &json!({"activity_id": one, "activity_ids": [two, "unknown"]}));

        assert_eq!(
            serde_json::from_str::<Value>(answer.text()).unwrap(),
            json!({"removed": true, "activity_id": one, "also": [
                {"removed": true, "activity_id": two}, {"removed": false, "activity_id": "unknown"}]})
        );
        assert_eq!((rig.waiting(), rig.syncs), (vec![three.clone()], synced + 1));
        let alone = rig.call("inbox_pop", &json!({"activity_ids": [three]}));
        assert_eq!(alone.text(), format!(r#"{{"removed":true,"activity_id":"{three}"}}"#));
    }

    #[test]
    fn ids_are_read_however_they_are_written_and_all_or_none_is_removed() {
        let mut rig = Rig::new();
        let [one, two, three] = ["one", "two", "three"].map(|text| rig.platform.say(text));
        rig.start();

        for arguments in [
            json!({"activity_id": one, "activity_ids": [two, 7]}),
            json!({"activity_id": 7, "activity_ids": [two]}),
            json!({"activity_id": [one, null]}),
            json!({"activity_id": one, "activity_ids": format!("['{two}']")}),
        ] {
            assert!(rig.call("inbox_pop", &arguments).answer().is_error, "{arguments}");
        }
        assert_eq!(rig.waiting().len(), 3);

        rig.call("inbox_pop", &json!({"activity_id": one, "activity_ids": format!("[\"{two}\"]")}));
        assert_eq!(rig.waiting(), [three.as_str()]);
        rig.call("inbox_pop", &json!({"activity_id": [three]}));
        assert!(rig.waiting().is_empty());
    }

    #[test]
    fn a_pop_out_of_order_moves_no_cursor() {
        let mut rig = Rig::new();
        let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();

        rig.pop(&two);
        rig.pass(5_000);
        assert_eq!(rig.file, None);
        rig.pop(&one);
        rig.pass(5_000);

        assert_eq!(rig.file, Some(two));
    }
}

//! `inbox_pop`: a message is dealt with.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    Facts, Failure, Spec, Tool,
    messages::{ActivityId, require_inbox},
};
use crate::{
    dialogue::Host,
    inbox::{self, Access, Pops},
    world::World,
};

pub(super) struct InboxPop;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The activity_id of the message, exactly as wait_for_message or inbox_peek showed it.
    activity_id: ActivityId,
    /// Further messages to remove in the same call.
    #[serde(default)]
    activity_ids: Several,
}

/// A list of texts; everything else in it is left out.
#[derive(Default, JsonSchema)]
#[schemars(with = "Vec<String>")]
struct Several(Vec<String>);

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts =
            |list: Vec<Value>| list.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
        Ok(Self(match Option::<Value>::deserialize(deserializer)? {
            Some(Value::Array(list)) => texts(list),
            Some(Value::String(text)) => vec![text],
            Some(_) | None => Vec::new(),
        }))
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
pub(super) struct Popped {
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
                      you have answered or otherwise handled the message, not before: whatever is not popped is \
                      shown again, also after a restart. Popping twice does no harm; the second answer says \
                      removed=false.",
        read_only: false,
        idempotent: true,
        always_load: true,
        inbox: true,
    };

    type Arguments = Arguments;
    type Facts = Popped;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Popped, Failure> {
        let access = require_inbox(&host, &world).await?;
        let ActivityId(first) = arguments.activity_id;
        let ids: Vec<String> =
            [first].into_iter().chain(arguments.activity_ids.0).filter(|id| !id.is_empty()).collect();
        if ids.is_empty() {
            return Err(Failure::new(
                "Error: activity_id is required. Take it from the message that wait_for_message or inbox_peek showed.",
            ));
        }
        if access == Access::Followed {
            return Err(Failure::new(
                "Error: nothing was removed, because this process does not have the messages.",
            ));
        }
        let Pops { removed, durable } = inbox::popped(&host, &world, ids).await;
        let mut all = removed.into_iter().map(|(activity_id, removed)| Also { removed, activity_id });
        let Some(Also { removed, activity_id }) = all.next() else {
            return Err(Failure::new("Error: activity_id is required."));
        };
        Ok(Popped { removed, activity_id, durable: (!durable).then_some(false), also: all.collect() })
    }
}

impl Facts for Popped {
    fn text(&self, _world: &World) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::inbox::rig::Rig;

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

        let answer = rig.call("inbox_pop", &json!({"activity_id": one, "activity_ids": [two, 7, "unknown"]}));

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

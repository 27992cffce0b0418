//! `inbox_pop`: a message is dealt with.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Facts, Failure, Spec, Tool, messages::require_inbox};
use crate::{
    dialogue::Host,
    inbox::{self},
    world::World,
};

pub(super) struct InboxPop;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {
    /// The activity_id of the message, exactly as wait_for_message or inbox_peek showed it.
    #[schemars(with = "String")]
    activity_id: Given,
}

/// A text; empty if it is missing or something else.
struct Given(String);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Option::<Value>::deserialize(deserializer)? {
            Some(Value::String(text)) => text,
            Some(_) | None => String::new(),
        }))
    }
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
    };

    type Arguments = Arguments;
    type Facts = Popped;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Popped, Failure> {
        require_inbox(&world)?;
        let Given(activity_id) = arguments.activity_id;
        if activity_id.is_empty() {
            return Err(Failure::new(
                "Error: activity_id is required. Take it from the message that wait_for_message or inbox_peek showed.",
            ));
        }
        let popped = world.inbox.borrow_mut().pop(&activity_id);
        let durable = match &popped {
            Some(message) => inbox::save(&host, &world, message.workspace).await,
            None => true,
        };
        Ok(Popped { removed: popped.is_some(), activity_id, durable: (!durable).then_some(false) })
    }
}

impl Facts for Popped {
    fn text(&self, _world: &World) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        inbox::rig::Rig,
        tools::tests::{Call, world},
    };

    #[test]
    fn a_message_is_removed_once_and_the_cursor_is_on_disk_before_the_answer() {
        let mut rig = Rig::new();
        let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();
        assert_eq!(rig.file, None);

        assert_eq!(rig.pop(&one), json!({"removed": true, "activity_id": one}));
        assert_eq!(rig.file.as_ref(), Some(&one));
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
        for arguments in
            [json!({}), json!({"activity_id": ""}), json!({"activity_id": 5}), json!({"activity_id": null})]
        {
            let call = Call::open(&world(), "inbox_pop", &arguments);
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
    fn a_pop_out_of_order_moves_no_cursor() {
        let mut rig = Rig::new();
        let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();

        rig.pop(&two);
        assert_eq!(rig.file, None);
        rig.pop(&one);

        assert_eq!(rig.file, Some(two));
    }
}

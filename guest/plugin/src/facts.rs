//! The facts of an answer as the types of the interface.

use molecule_wasi::Answer;
use serde::{Deserialize, de::DeserializeOwned};

use crate::bindings::{Inbox, Message, Peer, Popped};

/// The facts of an answer, as `T`.
pub(crate) fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, String> {
    let facts = answer.structured.as_deref().unwrap_or_default();
    serde_json::from_str(facts)
        .map_err(|cause| format!("Error: the answer cannot be shown ({cause}): {}", answer.text.concat()))
}

#[derive(Deserialize)]
pub(crate) struct Peers {
    peers: Vec<OnePeer>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct OnePeer {
    id: String,
    name: String,
    status: String,
    role: String,
}

impl From<Peers> for Vec<Peer> {
    fn from(list: Peers) -> Self {
        let peer = |OnePeer { id, name, status, role }| Peer { id, name, status, role };
        list.peers.into_iter().map(peer).collect()
    }
}

/// The answer of `inbox_peek`, or, with the fields of its one message, that of `wait_for_message`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Shown {
    messages: Vec<OneMessage>,
    #[serde(flatten)]
    message: OneMessage,
    more: u32,
    platform: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OneMessage {
    activity_id: String,
    kind: String,
    peer_id: String,
    peer_name: String,
    text: String,
    created_at: String,
    redelivered: bool,
    delivery_count: u32,
    parked: bool,
    late: bool,
    attachments: Vec<Attachment>,
    text_chars: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attachment {
    name: String,
}

impl Shown {
    /// The messages of an answer, with what it says beside them.
    pub(crate) fn read(answer: &Answer) -> Result<Inbox, String> {
        let Self { mut messages, message, more, platform } = read(answer)?;
        if !message.activity_id.is_empty() {
            messages.insert(0, message);
        }
        let beside = answer.text.iter().skip(1).map(|text| text.trim().to_owned());
        Ok(Inbox {
            messages: messages.into_iter().map(OneMessage::into).collect(),
            more,
            notes: platform.into_iter().chain(beside).collect(),
        })
    }
}

impl From<OneMessage> for Message {
    fn from(one: OneMessage) -> Self {
        Self {
            activity_id: one.activity_id,
            kind: one.kind,
            peer_id: one.peer_id,
            peer_name: one.peer_name,
            text: one.text,
            created_at: one.created_at,
            redelivered: one.redelivered,
            delivery_count: one.delivery_count,
            parked: one.parked,
            late: one.late,
            attachments: one.attachments.into_iter().map(|file| file.name).collect(),
            text_chars: one.text_chars,
        }
    }
}

/// The answer of `inbox_pop`: one message, and others beside it.
#[derive(Deserialize)]
pub(crate) struct Pops {
    #[serde(flatten)]
    first: OnePop,
    /// Whether all that were removed are so on disk; absent if none was.
    #[serde(default)]
    durable: Option<bool>,
    #[serde(default)]
    also: Vec<OnePop>,
}

#[derive(Deserialize)]
struct OnePop {
    activity_id: String,
    removed: bool,
}

impl From<Pops> for Vec<Popped> {
    fn from(Pops { first, durable, also }: Pops) -> Self {
        let durable = durable.unwrap_or(true);
        let popped =
            |OnePop { activity_id, removed }| Popped { activity_id, removed, durable: removed && durable };
        std::iter::once(first).chain(also).map(popped).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_wait_is_the_only_one_and_none_is_none() {
        let message = r#"{"note":"n","activity_id":"a","text":"hi","peer_id":"","kind":"canvas_user","method":"m","created_at":"c"}"#;

        let inbox = Shown::read(&answer(message, &["{}", "\nmessages may be missing"])).unwrap();

        assert_eq!((inbox.messages.len(), inbox.messages[0].text.as_str()), (1, "hi"));
        assert_eq!(inbox.notes, ["messages may be missing"]);
        let none =
            Shown::read(&answer(r#"{"timeout":true,"timeout_secs":5,"platform":"away"}"#, &["{}"])).unwrap();
        assert_eq!((none.messages.len(), none.notes), (0, vec!["away".to_owned()]));
    }

    #[test]
    fn messages_and_how_many_wait_behind_them_are_told() {
        let facts = r#"{"more":3,"messages":[{"activity_id":"a","redelivered":true},{"activity_id":"b","attachments":[{"name":"f"}]}]}"#;

        let inbox = Shown::read(&answer(facts, &["{}"])).unwrap();

        assert_eq!((inbox.messages.len(), inbox.more), (2, 3));
        assert!(inbox.messages[0].redelivered && inbox.messages[1].attachments == ["f"]);
    }

    #[test]
    fn a_pop_that_is_not_on_disk_is_not_durable() {
        let facts = r#"{"removed":true,"activity_id":"a","durable":false,"also":[{"removed":false,"activity_id":"b"}]}"#;

        let pops: Vec<Popped> = read::<Pops>(&answer(facts, &["{}"])).unwrap().into();

        let told: Vec<_> =
            pops.iter().map(|pop| (pop.activity_id.as_str(), pop.removed, pop.durable)).collect();
        assert_eq!(told, [("a", true, false), ("b", false, false)]);
    }

    #[test]
    fn peers_are_told_with_what_is_known_of_them() {
        let facts = r#"{"peers":[{"id":"p","name":"Research","status":"online","role":""}]}"#;

        let peers: Vec<Peer> = read::<Peers>(&answer(facts, &["- Research"])).unwrap().into();

        assert_eq!((peers.len(), peers[0].id.as_str(), peers[0].status.as_str()), (1, "p", "online"));
    }

    #[test]
    fn an_answer_without_facts_is_told_as_it_is() {
        let Err(why) = read::<Peers>(&answer("", &["what was said"])) else { panic!() };

        assert!(why.contains("what was said"), "{why}");
    }

    fn answer(facts: &str, text: &[&str]) -> Answer {
        let text = text.iter().map(|text| (*text).to_owned()).collect();
        Answer { text, is_error: false, structured: Some(facts.to_owned()) }
    }
}

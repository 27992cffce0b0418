//! What a client's hook is told: that messages wait, from the files on disk alone.
//!
//! ```text
//! event of the client ──► files on disk: what is unread ──► memory of this session: what is new ──► a fixed text
//! ```
//!
//! A hook runs before each answer of an agent: it asks no network, waits for nothing, and says nothing where nothing is new.
//! It fails in silence, because a hook that complains holds up the agent.
//!
//! | Module | Knows |
//! |---|---|
//! | `client` | which events a client has, and how it takes an answer |
//! | `memory` | what was said in a session before |

mod client;
mod memory;

use std::collections::BTreeSet;

use serde::Deserialize;

use self::{client::Moment, memory::Session};
pub use self::{
    client::{CLIENTS, Client},
    memory::Memory,
};

/// A block of a stop is repeated at most so often, without a stop between.
const BLOCKS_IN_A_ROW: u32 = 2;

/// As much of what a client tells as is needed.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    /// The session that the hook belongs to.
    #[serde(default, alias = "sessionId")]
    pub session_id: String,
    /// The agent goes on only because a hook wanted it.
    #[serde(default, alias = "stopHookActive")]
    pub stop_hook_active: bool,
}

impl Told {
    /// Reads what a client has written; nothing that it cannot read is a failure.
    #[must_use]
    pub fn read(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// What to print, if anything. `unread` are the ids of the messages that no agent has seen, `server` is the name under which
/// the client knows this server.
#[must_use]
pub fn answer(
    (client, event): (Client, &str),
    told: &Told,
    unread: &BTreeSet<String>,
    memory: &mut Memory,
    server: &str,
) -> Option<String> {
    let moment = client.moment(event)?;
    let session = memory.of(&told.session_id);
    session.forget_all_but(unread);
    match moment {
        Moment::Begins | Moment::Works => {
            session.blocks = 0;
            let is_new = session.tell(unread);
            is_new.then(|| client.context(event, &text(unread.len(), server)))
        }
        Moment::Ends if told.stop_hook_active => None,
        Moment::Ends => stop(session, unread).then(|| client.block(&text(unread.len(), server))),
    }
}

/// Whether the agent is kept from ending its turn.
fn stop(session: &mut Session, unread: &BTreeSet<String>) -> bool {
    if session.blocks >= BLOCKS_IN_A_ROW || !session.block_for(unread) {
        session.blocks = 0;
        return false;
    }
    session.blocks += 1;
    session.tell(unread);
    true
}

/// Numbers alone: a word of a sender would be read as one of the user.
fn text(count: usize, server: &str) -> String {
    let wait = if count == 1 { "1 message waits".to_owned() } else { format!("{count} messages wait") };
    format!(
        "molecule-mcp: {wait} in the inbox of this agent. Call the tool mcp__{server}__inbox_peek ({server}: inbox_peek) to \
         read; it says how to reply and when to call inbox_pop."
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn nothing_is_said_where_nothing_waits_or_nothing_is_new() {
        let mut memory = Memory::default();
        assert_eq!(says(&mut memory, "prompt", &[]), None);

        assert!(says(&mut memory, "prompt", &["a"]).unwrap().contains("1 message waits"));
        assert_eq!(says(&mut memory, "prompt", &["a"]), None);
        assert_eq!(says(&mut memory, "tool", &["a"]), None);
        assert!(says(&mut memory, "tool", &["a", "b"]).unwrap().contains("2 messages wait"));
        assert_eq!(says(&mut memory, "nonsense", &["c"]), None);
    }

    #[test]
    fn a_stop_is_blocked_once_for_each_message_and_never_more_than_twice_in_a_row() {
        let mut memory = Memory::default();

        let block: Value = serde_json::from_str(&says(&mut memory, "stop", &["a"]).unwrap()).unwrap();
        assert_eq!(block["decision"], "block");
        assert!(block["reason"].as_str().unwrap().contains("mcp__molecule__inbox_peek"), "{block}");
        assert_eq!(says(&mut memory, "stop", &["a"]), None);
        assert!(says(&mut memory, "stop", &["a", "b"]).is_some());
        assert!(says(&mut memory, "stop", &["a", "b", "c"]).is_some());
        assert_eq!(says(&mut memory, "stop", &["a", "b", "c", "d"]), None, "twice in a row");
        assert!(says(&mut memory, "stop", &["a", "b", "c", "d", "e"]).is_some());
    }

    #[test]
    fn an_agent_that_goes_on_because_of_a_hook_may_stop() {
        let told = Told::read(&json!({"session_id": "s", "stop_hook_active": true}).to_string());
        let unread = BTreeSet::from(["a".to_owned()]);

        assert_eq!(answer((Client::Claude, "stop"), &told, &unread, &mut Memory::default(), "m"), None);
    }

    #[test]
    fn sessions_know_nothing_of_each_other() {
        let mut memory = Memory::default();
        let unread = BTreeSet::from(["a".to_owned()]);
        for session_id in ["one", "two"] {
            let told = Told { session_id: session_id.to_owned(), ..Told::default() };
            assert!(answer((Client::Claude, "prompt"), &told, &unread, &mut memory, "m").is_some());
        }
    }

    #[test]
    fn what_a_client_says_in_an_odd_way_is_nothing() {
        for odd in ["", "null", "[]", "{\"session_id\": 7}", "not json"] {
            assert_eq!(Told::read(odd).session_id, "", "{odd}");
        }
    }

    fn says(memory: &mut Memory, event: &str, unread: &[&str]) -> Option<String> {
        let told = Told { session_id: "s".to_owned(), ..Told::default() };
        let unread = unread.iter().map(|id| (*id).to_owned()).collect();
        answer((Client::Claude, event), &told, &unread, memory, "molecule")
    }
}

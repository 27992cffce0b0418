//! The clients with hooks: which events they have, and how they take an answer.

use std::str::FromStr;

use serde_json::json;

/// A client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Claude Code
    Claude,
    /// Codex
    Codex,
    /// GitHub Copilot CLI
    Copilot,
    /// Gemini CLI
    Gemini,
    /// Qwen Code
    Qwen,
}

/// What an event means for an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A session begins.
    Begins,
    /// It is about to end its turn.
    Ends,
    /// It was told something, or has used a tool.
    Works,
}

/// Our name of an event, its meaning, and what the client calls it.
struct Event {
    name: &'static str,
    moment: Moment,
    of_client: &'static str,
}

const fn event(name: &'static str, moment: Moment, of_client: &'static str) -> Event {
    Event { name, moment, of_client }
}

const CLAUDE: &[Event] = &[
    event("session-start", Moment::Begins, "SessionStart"),
    event("prompt", Moment::Works, "UserPromptSubmit"),
    event("tool", Moment::Works, "PostToolUse"),
    event("stop", Moment::Ends, "Stop"),
];

const COPILOT: &[Event] = &[
    event("session-start", Moment::Begins, "sessionStart"),
    event("prompt", Moment::Works, "userPromptSubmitted"),
    event("tool", Moment::Works, "postToolUse"),
    event("stop", Moment::Ends, "agentStop"),
];

const GEMINI: &[Event] = &[
    event("session-start", Moment::Begins, "SessionStart"),
    event("prompt", Moment::Works, "BeforeAgent"),
    event("tool", Moment::Works, "AfterTool"),
    event("stop", Moment::Ends, "AfterAgent"),
];

/// The clients by their names.
pub const CLIENTS: [(&str, Client); 5] = [
    ("claude", Client::Claude),
    ("codex", Client::Codex),
    ("copilot", Client::Copilot),
    ("gemini", Client::Gemini),
    ("qwen", Client::Qwen),
];

impl FromStr for Client {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = CLIENTS.iter().find(|(known, _)| *known == name);
        known.map(|(_, client)| *client).ok_or("is no client with hooks")
    }
}

impl Client {
    const fn events(self) -> &'static [Event] {
        match self {
            Self::Claude | Self::Codex | Self::Qwen => CLAUDE,
            Self::Copilot => COPILOT,
            Self::Gemini => GEMINI,
        }
    }

    /// The events that hooks are written for: our name, and that of the client.
    pub fn hooks(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.events().iter().map(|event| (event.name, event.of_client))
    }

    /// By our name of it or the client's.
    fn find(self, name: &str) -> Option<&'static Event> {
        self.events().iter().find(|event| [event.name, event.of_client].contains(&name))
    }

    /// What an event means; nothing if the client has no such event.
    pub(super) fn moment(self, name: &str) -> Option<Moment> {
        self.find(name).map(|event| event.moment)
    }

    /// A text that the agent reads beside what it was told.
    pub(super) fn context(self, event: &str, text: &str) -> String {
        let name = self.find(event).map_or(event, |event| event.of_client);
        match self {
            Self::Claude | Self::Codex | Self::Gemini | Self::Qwen => {
                json!({"hookSpecificOutput": {"hookEventName": name, "additionalContext": text}})
            }
            Self::Copilot => json!({"additionalContext": text}),
        }
        .to_string()
    }

    /// Keeps the agent from ending its turn.
    pub(super) fn block(self, text: &str) -> String {
        let decision = if self == Self::Gemini { "deny" } else { "block" };
        json!({"decision": decision, "reason": text}).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_answered_in_its_own_shape() {
        let a = |name| {
            format!(r#"{{"hookSpecificOutput":{{"hookEventName":"{name}","additionalContext":"x"}}}}"#)
        };
        for (client, event, said) in [
            (Client::Claude, "prompt", a("UserPromptSubmit")),
            (Client::Codex, "SessionStart", a("SessionStart")),
            (Client::Gemini, "tool", a("AfterTool")),
            (Client::Qwen, "tool", a("PostToolUse")),
            (Client::Copilot, "prompt", r#"{"additionalContext":"x"}"#.to_owned()),
        ] {
            assert_eq!(client.context(event, "x"), said);
        }
        assert_eq!(Client::Claude.block("x"), r#"{"decision":"block","reason":"x"}"#);
        assert_eq!(Client::Gemini.block("x"), r#"{"decision":"deny","reason":"x"}"#);
    }

    #[test]
    fn events_are_known_by_both_names() {
        for (_, client) in CLIENTS {
            for (ours, theirs) in client.hooks() {
                assert_eq!(client.moment(ours), client.moment(theirs));
            }
            assert_eq!(client.moment("stop"), Some(Moment::Ends));
        }
    }
}

//! What an agent can do: the table of tools.
//!
//! A tool is one file, and one row of the table in the folder that it is in. It has its arguments and its facts as types; both
//! schemas come from these types, so what a client is told and what is accepted cannot differ.

mod delegation;
mod inbox;
mod instructions;
mod kit;
mod memory;
#[cfg(test)]
mod surface_tests;
mod user;
#[cfg(test)]
mod vendor_tests;
mod workspace;

use std::rc::Rc;

use serde_json::Value;

use self::kit::{Entry, failed, tool_spec};
use crate::{
    dialogue::Dialogue,
    text::untrusted,
    wire::{Finish, Instant, ToolSpec, Turn},
    world::World,
};

/// All tools, in the order in which clients see them.
const TOOLS: [&[Entry]; 5] = [delegation::TOOLS, workspace::TOOLS, user::TOOLS, inbox::TOOLS, memory::TOOLS];

fn tools() -> impl Iterator<Item = &'static Entry> {
    TOOLS.into_iter().flatten()
}

/// Begins a call.
pub(crate) fn open(world: &Rc<World>, name: &str, arguments: &str, now: Instant) -> (Dialogue, Turn) {
    let world = Rc::clone(world);
    let entry = tools().find(|entry| entry.spec.name == name);
    let unknown = || format!("Unknown tool: {}", untrusted::name(name));
    let arguments = serde_json::from_str::<Value>(arguments);
    let name = entry.map(|entry| entry.run).ok_or_else(unknown);
    Dialogue::open(now, |host| async move {
        match (name, arguments) {
            (Ok(run), Ok(arguments)) => run(host, world, arguments).await,
            (Ok(_), Err(cause)) => {
                Finish::Answer(failed(&format!("Error: the arguments are not JSON: {cause}")))
            }
            (Err(unknown), _) => Finish::Answer(failed(&unknown)),
        }
    })
}

/// What clients see of all tools.
pub(crate) fn specs(world: &World) -> Vec<ToolSpec> {
    tools().map(|entry| tool_spec(entry, world)).collect()
}

/// What an agent must know to use the tools.
pub(crate) fn instructions(world: &World) -> String {
    instructions::instructions(world)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::testing::{Call, world};

    #[test]
    fn an_error_that_quotes_a_credential_shows_none() {
        let call = Call::open(&world(), "Bearer 0123456789abcdef0123", &Value::Null);

        assert_eq!(call.text(), "Unknown tool: <redacted-secret>");
    }

    #[test]
    fn an_unknown_tool_is_answered_by_name() {
        let call = Call::open(&world(), "rm\n-rf", &Value::Null);

        assert_eq!(call.text(), "Unknown tool: rm -rf");
        assert!(call.answer().is_error);
    }
}

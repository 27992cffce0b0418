//! `molecule-mcp hook`.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal as _, Read as _},
    path::Path,
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _, ValueParser},
};
use molecule_runtime::inspect::{self, Place};
use serde_json::Value;

use super::{Context, DONE, print};
use crate::{
    hook::{self, CLIENTS, Client, Memory, Told},
    settings, system,
};

/// What a client tells of an event is small, unless it comes with the result of a tool, of which nothing is needed.
const MOST_BYTES: u64 = 16 << 20;

/// How `molecule-mcp hook` is called by a client.
#[derive(Debug, Args)]
pub struct Hook {
    /// The client that runs this hook
    #[arg(value_parser = clients())]
    client: Client,
    /// The event: session-start, prompt, tool or stop, or what the client calls it
    event: String,
    /// The name of this server in the client
    #[arg(long, default_value = "molecule")]
    server: String,
}

impl Hook {
    /// Says nothing and fails in silence wherever it can say nothing: the agent of the client waits for it.
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let Ok(places) = settings::places(context.variable) else { return Ok(DONE) };
        let Some(state) = places.iter().find_map(|place| place.state.clone()).filter(|state| state.is_dir())
        else {
            return Ok(DONE);
        };
        let told = Told::read(&input());
        let Ok(unread) = unread(&places) else { return Ok(DONE) };
        if let Some(text) = self.answer(&told, &unread, &state) {
            print(&format!("{text}\n"));
        }
        Ok(DONE)
    }

    fn answer(&self, told: &Told, unread: &BTreeSet<String>, state: &Path) -> Option<String> {
        let before = Memory::read(state);
        let mut memory = before.clone();
        let said = hook::answer((self.client, &self.event), told, unread, &mut memory, &self.server);
        // One that cannot be written says the same once more.
        let _ = memory.write(state, &before);
        said
    }
}

fn clients() -> ValueParser {
    PossibleValuesParser::new(CLIENTS.map(|(name, _)| name)).try_map(|name| name.parse::<Client>()).into()
}

/// What the client writes; nothing at a terminal, where a person tries it.
fn input() -> String {
    let mut text = String::new();
    if !io::stdin().is_terminal() {
        // What is no text tells nothing.
        let _ = io::stdin().lock().take(MOST_BYTES).read_to_string(&mut text);
    }
    text
}

/// The ids of the messages that no agent has seen.
fn unread(places: &[Place]) -> anyhow::Result<BTreeSet<String>> {
    let runtime = system::small_runtime()?;
    let mut ids = BTreeSet::new();
    for place in places {
        let seen = runtime.block_on(inspect::at(place))?;
        let staged = seen.get("staged").and_then(Value::as_array).into_iter().flatten();
        let unread = staged.filter(|message| message.get("redelivered") != Some(&Value::Bool(true)));
        ids.extend(unread.filter_map(|message| Some(message.get("activity_id")?.as_str()?.to_owned())));
    }
    Ok(ids)
}

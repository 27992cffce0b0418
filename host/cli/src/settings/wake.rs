//! Whether an idle agent is told of messages, of whose, and when.

use std::path::Path;

use molecule_runtime::guest::wire::WakeRules;

use super::environment::Environment;
use crate::{
    env::{self, Variable},
    wake::{Attention, Switch, WakeSettings},
};

const MOST_A_MINUTE: u32 = 6;
const BATCH_SECS: u32 = 10;
/// A longer batch would be a message that nobody is told of.
const LONGEST_BATCH_SECS: u32 = 3_600;
const SERVER: &str = "molecule";

/// Nothing if it is switched off. `state` is the directory of state.
pub(super) fn read(environment: &mut Environment<'_>, state: Option<&Path>) -> Option<WakeSettings> {
    let (users, peers) = senders(environment);
    let rules = WakeRules {
        users,
        peers,
        most_a_minute: number(environment, &env::WAKE_PER_MINUTE, MOST_A_MINUTE).clamp(1, 60),
        batch_ms: number(environment, &env::WAKE_BATCH_SECS, BATCH_SECS).min(LONGEST_BATCH_SECS) * 1_000,
    };
    let quiet = environment.text(&env::WAKE_QUIET_HOURS);
    let quiet = quiet.and_then(|text| match text.parse() {
        Ok(hours) => Some(hours),
        Err(why) => {
            environment.unusable(&env::WAKE_QUIET_HOURS, format!("{} {why}", env::WAKE_QUIET_HOURS.name));
            None
        }
    });
    let server = environment.text(&env::SERVER_NAME).filter(|name| {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_name || name.len() > 64 {
            let name = env::SERVER_NAME.name;
            environment.warn(format!("{name} is not 1 to 64 of A-Z a-z 0-9 _ -, and counts as {SERVER}"));
        }
        is_name && name.len() <= 64
    });
    let switch = state.map_or_else(Switch::none, Switch::at);
    environment.switch_on_unless_off(&env::WAKE).then(|| WakeSettings {
        rules,
        attention: Attention { quiet, switch },
        server: server.unwrap_or_else(|| SERVER.to_owned()),
    })
}

/// Whether people ring, and which peers beside them; none: all.
fn senders(environment: &mut Environment<'_>) -> (bool, Option<Vec<String>>) {
    let text = environment.text(&env::WAKE_FROM).unwrap_or_else(|| "all".to_owned());
    let (mut users, mut all_peers, mut peers) = (false, false, Vec::new());
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        match entry.to_ascii_lowercase().as_str() {
            "all" => (users, all_peers) = (true, true),
            "users" => users = true,
            "peers" => all_peers = true,
            id if is_id(id) => peers.push(id.to_owned()),
            _ => environment.unusable(
                &env::WAKE_FROM,
                format!(
                    "{} is all, users, peers or ids of workspaces, separated by commas: {} is none of these. Names prove \
                     nothing, so that peers are named by their ids, which list_peers shows",
                    env::WAKE_FROM.name,
                    entry.escape_debug()
                ),
            ),
        }
    }
    (users, (!all_peers).then_some(peers))
}

/// An id as the platform gives it.
fn is_id(text: &str) -> bool {
    text.len() >= 8
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn number(environment: &mut Environment<'_>, variable: &'static Variable, otherwise: u32) -> u32 {
    let Some(text) = environment.text(variable) else { return otherwise };
    text.parse().unwrap_or_else(|_| {
        environment.warn(format!("{} is not a whole number, and counts as {otherwise}", variable.name));
        otherwise
    })
}

//! Keeps the secret by which the platform identifies itself to the agent.
//!
//! ```text
//! body ──► plausible? ──► not the one on disk? ──► store ──► remember
//! ```
//!
//! Only a digest is remembered: it tells "unchanged" and gives nothing away.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    dialogue::Host,
    wire::{FileChange, Finish, Instant, Level, Workspace},
};

/// The platform's own secrets have 43 characters.
const LONGEST: usize = 4_096;

/// More changes than this within [`HOUR_MS`] mean that two sides fight over the secret.
const CHANGES_AN_HOUR: u32 = 10;

const HOUR_MS: u64 = 3_600_000;

/// What is on disk, by workspace, as digests.
#[derive(Default)]
pub(crate) struct Secrets {
    on_disk: BTreeMap<Workspace, [u8; 32]>,
    changes: BTreeMap<Workspace, Changes>,
}

/// Changes within the hour that began with the first of them.
#[derive(Default)]
struct Changes {
    since: Instant,
    count: u32,
}

impl Secrets {
    pub(crate) fn remember(&mut self, workspace: Workspace, secret: &str) {
        self.on_disk.insert(workspace, digest(secret));
    }

    fn is_on_disk(&self, workspace: Workspace, secret: &str) -> bool {
        self.on_disk.get(&workspace) == Some(&digest(secret))
    }

    /// Counts a change; true for the one that makes an hour's changes too many.
    fn changes_too_often(&mut self, workspace: Workspace, now: Instant) -> bool {
        let changes = self.changes.entry(workspace).or_default();
        if changes.count == 0 || now.saturating_sub(changes.since) >= HOUR_MS {
            *changes = Changes { since: now, count: 0 };
        }
        changes.count = changes.count.saturating_add(1);
        changes.count == CHANGES_AN_HOUR + 1
    }
}

/// Stores the secret in `body` if it is plausible and not the one on disk.
pub(crate) async fn learn(
    host: Host,
    secrets: Rc<RefCell<Secrets>>,
    workspace: Workspace,
    body: Vec<u8>,
) -> Finish {
    let Some(secret) = secret_in(&body) else {
        return Finish::Done;
    };
    drop(body);
    if secrets.borrow().is_on_disk(workspace, &secret) {
        return Finish::Done;
    }
    match host.store(workspace, FileChange::InboundSecret(secret.clone())).await {
        Ok(()) => {
            let mut secrets = secrets.borrow_mut();
            secrets.remember(workspace, &secret);
            if secrets.changes_too_often(workspace, host.now()) {
                host.log(
                    Level::Warn,
                    format!(
                        "the platform changed the inbound secret more than {CHANGES_AN_HOUR} times within an hour"
                    ),
                );
            }
        }
        Err(why) => {
            host.log(Level::Warn, format!("inbound secret not saved, the next beat tries again: {why}"))
        }
    }
    Finish::Done
}

/// The secret in the body of a register or heartbeat; nothing unless it is 1 to 4,096
/// visible ASCII characters.
fn secret_in(body: &[u8]) -> Option<String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let Some(Value::String(secret)) = fields.remove("platform_inbound_secret") else {
        return None;
    };
    let plausible =
        (1..=LONGEST).contains(&secret.len()) && secret.bytes().all(|byte| byte.is_ascii_graphic());
    plausible.then_some(secret)
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        dialogue::Dialogue,
        testing::world,
        wire::{Effect, FileUpdate, LogLine, Next, Outcome, Turn},
        world::World,
    };

    const SECRET: &str = "s3cret-of-the-platform";

    #[test]
    fn a_secret_is_stored_once() {
        let world = world();

        let (mut dialogue, turn) = learned(&world, &beat(SECRET), 0);
        assert_eq!(stored(&turn), Some(SECRET));
        let turn = dialogue.resume(Outcome::Stored, 1);

        assert_eq!(turn, Turn { effects: Vec::new(), next: Next::Finish(Finish::Done) });
        assert_eq!(stored(&learned(&world, &beat(SECRET), 2).1), None);
        assert_eq!(stored(&learned(&world, &beat("another"), 3).1), Some("another"));
    }

    #[test]
    fn the_secret_that_is_already_on_disk_is_not_written_again() {
        let world = world();
        world.secrets.borrow_mut().remember(0, SECRET);

        assert_eq!(stored(&learned(&world, &beat(SECRET), 0).1), None);
    }

    #[test]
    fn a_secret_of_one_workspace_says_nothing_of_another() {
        let world = world();
        world.secrets.borrow_mut().remember(1, SECRET);

        assert_eq!(stored(&learned(&world, &beat(SECRET), 0).1), Some(SECRET));
    }

    #[test]
    fn a_secret_that_could_not_be_saved_is_tried_again_and_not_told() {
        let world = world();
        let (mut dialogue, _) = learned(&world, &beat(SECRET), 0);

        let turn = dialogue.resume(Outcome::StoreFailed("disk full".to_owned()), 1);

        assert_eq!(turn.next, Next::Finish(Finish::Done));
        assert_eq!(warnings(&turn), ["inbound secret not saved, the next beat tries again: disk full"]);
        assert_eq!(stored(&learned(&world, &beat(SECRET), 2).1), Some(SECRET));
    }

    #[test]
    fn what_cannot_be_a_secret_is_ignored() {
        let world = world();
        let longest = "x".repeat(LONGEST);
        assert_eq!(stored(&learned(&world, &beat(&longest), 0).1), Some(longest.as_str()));

        let bodies = [
            json!({}),
            json!([SECRET]),
            json!(SECRET),
            json!({"platform_inbound_secret": null}),
            json!({"platform_inbound_secret": ""}),
            json!({"platform_inbound_secret": 42}),
            json!({"platform_inbound_secret": [SECRET]}),
            json!({"platform_inbound_secret": "with blank"}),
            json!({"platform_inbound_secret": "line\n"}),
            json!({"platform_inbound_secret": "sécret"}),
            json!({"platform_inbound_secret": "x".repeat(LONGEST + 1)}),
        ];
        for body in bodies.map(|body| body.to_string()) {
            assert_eq!(stored(&learned(&world, body.as_bytes(), 0).1), None, "{body}");
        }
        assert_eq!(stored(&learned(&world, b"<html>", 0).1), None);
        assert_eq!(stored(&learned(&world, b"", 0).1), None);
    }

    #[test]
    fn a_secret_that_never_settles_is_written_each_time_and_said_once() {
        let world = world();

        let said: Vec<_> = (0..30)
            .flat_map(|beats| {
                let (mut dialogue, turn) = learned(&world, &beat(&format!("s{beats}")), beats * 20_000);
                assert!(stored(&turn).is_some());
                warnings(&dialogue.resume(Outcome::Stored, beats * 20_000))
            })
            .collect();

        assert_eq!(said, ["the platform changed the inbound secret more than 10 times within an hour"]);
    }

    #[test]
    fn what_is_remembered_is_not_the_secret() {
        let mut secrets = Secrets::default();
        secrets.remember(0, SECRET);

        assert!(!format!("{:?}", secrets.on_disk).contains(SECRET));
    }

    fn beat(secret: &str) -> Vec<u8> {
        json!({"status": "ok", "platform_inbound_secret": secret}).to_string().into_bytes()
    }

    fn learned(world: &Rc<World>, body: &[u8], now: Instant) -> (Dialogue, Turn) {
        let (world, body) = (Rc::clone(world), body.to_vec());
        Dialogue::open(now, |host| learn(host, Rc::clone(&world.secrets), 0, body))
    }

    fn stored(turn: &Turn) -> Option<&str> {
        let Next::Store(FileUpdate { change: FileChange::InboundSecret(secret), .. }) = &turn.next else {
            return None;
        };
        Some(secret)
    }

    fn warnings(turn: &Turn) -> Vec<String> {
        let line = |effect: &Effect| match effect {
            Effect::Log(LogLine { level: Level::Warn, text }) => Some(text.clone()),
            Effect::Log(_)
            | Effect::Arrived(_)
            | Effect::Handled(_)
            | Effect::LookAgain(_)
            | Effect::Report(_)
            | Effect::Ring(_)
            | Effect::Working(_) => None,
        };
        turn.effects.iter().filter_map(line).collect()
    }
}

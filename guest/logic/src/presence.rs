//! Presence for hosts that have none of their own: what is due is done, whenever the host asks.
//!
//! ```text
//! due? ── not registered ──► register ──► beat ──► due again in 20 s
//!   └──── registered ──────────────────►─┘  └ failed: in 5, 10, 20 … 60 s, a beat in 5 s
//! ```
//!
//! The platform gives up on a workspace 60 to 90 s after its last beat. A host that lives only while tools are called keeps
//! it online that long.

use std::{cell::RefCell, rc::Rc};

use crate::{
    dialogue::Host,
    platform::{
        PlatformError,
        registry::{self, Busy},
    },
    secrets,
    wire::{Finish, Instant, Level, Workspace},
    world::World,
};

pub use crate::platform::registry::Card;

/// From one beat to the next.
const SLOT_MS: u64 = 20_000;
/// After a failure, doubled with each.
const FIRST_PAUSE_MS: u64 = 5_000;
const LONGEST_PAUSE_MS: u64 = 60_000;

/// How it stands with the platform. A host that forgets between two calls keeps the first two itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// A register was accepted.
    pub registered: bool,
    /// The last beat that was accepted.
    pub beaten: Option<Instant>,
    /// When the first register was accepted, by this process.
    since: Option<Instant>,
    failures: u32,
    /// Not before this.
    not_before: Instant,
}

impl Presence {
    /// What a host remembers.
    pub(crate) fn known(registered: bool, beaten: Option<Instant>) -> Self {
        Self { registered, beaten, ..Self::default() }
    }

    /// When something is due.
    #[must_use]
    pub fn due(&self, now: Instant) -> Instant {
        // A beat from the future is one of before the clock was set back.
        let beaten = self.beaten.filter(|beaten| self.registered && *beaten <= now);
        beaten.map_or(now, |beaten| beaten.saturating_add(SLOT_MS)).max(self.not_before)
    }

    fn failed(&mut self, now: Instant, asked_ms: u64) {
        let pause = if self.registered { FIRST_PAUSE_MS } else { FIRST_PAUSE_MS << self.failures.min(4) };
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(pause.min(LONGEST_PAUSE_MS).max(asked_ms.min(LONGEST_PAUSE_MS)));
    }
}

/// Registers and beats, as far as that is due.
pub(crate) async fn attend(host: Host, world: Rc<World>, workspace: Workspace, card: Card) -> Finish {
    let presence = || world.presence.borrow().get(&workspace).cloned().unwrap_or_default();
    if presence().due(host.now()) > host.now() {
        return Finish::Done;
    }
    if !presence().registered && !register(&host, &world, workspace, &card).await {
        return Finish::Done;
    }
    beat(&host, &world, workspace).await;
    Finish::Done
}

async fn register(host: &Host, world: &World, workspace: Workspace, card: &Card) -> bool {
    let registered = registry::register(host, workspace, world.id(workspace), card).await;
    match registered {
        Ok(body) => {
            world.note_refusal(workspace, String::new());
            note(world, workspace, |presence| {
                (presence.registered, presence.failures) = (true, 0);
                presence.since = Some(host.now());
            });
            secrets::learn(host.clone(), Rc::clone(&world.secrets), workspace, body).await;
            true
        }
        Err(why) => {
            if why.refuses_token() {
                world.note_refusal(workspace, refusal(world.id(workspace)));
            }
            failed(host, world, workspace, "register", &why);
            false
        }
    }
}

async fn beat(host: &Host, world: &World, workspace: Workspace) {
    let (tasks, task) = world.busy(workspace);
    let since = world.presence.borrow().get(&workspace).and_then(|presence| presence.since);
    let uptime_ms = since.map_or(0, |since| host.now().saturating_sub(since));
    let busy = Busy { tasks, task: &task, uptime_ms };
    match registry::beat(host, workspace, world.id(workspace), busy).await {
        Ok(body) => {
            let now = host.now();
            note(world, workspace, |presence| {
                (presence.beaten, presence.failures, presence.not_before) = (Some(now), 0, now);
            });
            secrets::learn(host.clone(), Rc::clone(&world.secrets), workspace, body).await;
        }
        Err(why) => failed(host, world, workspace, "heartbeat", &why),
    }
}

fn failed(host: &Host, world: &World, workspace: Workspace, what: &str, why: &PlatformError) {
    let mut is_first = false;
    note(world, workspace, |presence| {
        is_first = presence.failures == 0;
        presence.failed(host.now(), why.asked_ms());
    });
    if is_first {
        let id = world.id(workspace);
        host.log(Level::Warn, format!("{what} of workspace {id} failed, it will be tried again: {why}"));
    }
}

fn refusal(id: &str) -> String {
    format!(
        "The platform does not take the token of workspace {id}: make another one in the Tokens tab of the canvas, and put \
         it into MOLECULE_WORKSPACE_TOKEN."
    )
}

fn note(world: &World, workspace: Workspace, change: impl FnOnce(&mut Presence)) {
    change(world.presence.borrow_mut().entry(workspace).or_default());
}

/// By workspace.
pub(crate) type Presences = RefCell<std::collections::BTreeMap<Workspace, Presence>>;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        dialogue::Dialogue,
        platform::tests::{responded, unreachable},
        testing::{asked, world},
        wire::{Next, Turn},
    };

    #[test]
    fn it_registers_beats_and_is_content_for_20_s() {
        let world = world();
        let (mut dialogue, turn) = open(&world, 1_000);
        assert_eq!(path(&turn), "registry/register");
        assert_eq!(body(&turn)["delivery_mode"], "poll");

        let turn = dialogue.resume(responded(200, &json!({"status": "registered"})), 1_010);
        assert_eq!(path(&turn), "registry/heartbeat");
        let turn = dialogue.resume(responded(200, &json!({})), 1_020);

        assert_eq!(turn.next, Next::Finish(Finish::Done));
        assert_eq!(due(&world, 1_020), 21_020);
        assert_eq!(open(&world, 21_019).1.next, Next::Finish(Finish::Done));
        assert_eq!(path(&open(&world, 21_020).1), "registry/heartbeat");
    }

    #[test]
    fn a_host_that_remembers_does_not_register_again() {
        let world = world();
        note(&world, 0, |presence| (presence.registered, presence.beaten) = (true, Some(50_000)));

        assert_eq!(open(&world, 60_000).1.next, Next::Finish(Finish::Done));
        assert_eq!(path(&open(&world, 70_000).1), "registry/heartbeat");
        assert_eq!(path(&open(&world, 40_000).1), "registry/heartbeat", "the clock was set back");
    }

    #[test]
    fn a_register_that_fails_is_tried_again_after_growing_pauses() {
        let world = world();
        let mut now = 0;
        for pause in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000] {
            let (mut dialogue, turn) = open(&world, now);
            assert_eq!(path(&turn), "registry/register");
            assert_eq!(dialogue.resume(unreachable(false), now).next, Next::Finish(Finish::Done));
            assert_eq!(due(&world, now), now + pause);
            now += pause;
        }
    }

    #[test]
    fn a_refused_token_is_what_tools_say() {
        let world = world();
        let (mut dialogue, _) = open(&world, 0);

        dialogue.resume(responded(401, &json!({"error": "invalid workspace auth token"})), 1);

        assert!(world.refusal(0).unwrap().contains("Tokens tab"));
        let (mut dialogue, _) = open(&world, 5_001);
        dialogue.resume(responded(200, &json!({})), 5_002);
        assert_eq!(world.refusal(0), None);
    }

    fn open(world: &Rc<World>, now: Instant) -> (Dialogue, Turn) {
        let world = Rc::clone(world);
        let card = Card { name: "agent".to_owned(), ..Card::default() };
        Dialogue::open(now, |host| async move { attend(host, world, 0, card).await })
    }

    fn path(turn: &Turn) -> String {
        asked(turn).path.join("/")
    }

    fn body(turn: &Turn) -> Value {
        serde_json::from_slice(asked(turn).body.as_ref().unwrap()).unwrap()
    }

    fn due(world: &World, now: Instant) -> Instant {
        world.presence.borrow()[&0].due(now)
    }
}

//! Tells an idle agent that messages wait, through whatever door its host has.
//!
//! ```text
//! arrivals ──► unread messages ──► bell ──► effect `ring` ──► host ──► a door of the client
//!                   ▲                ▲
//!    only inbox_peek, wait_for_message and inbox_pop read
//! ```
//!
//! | Module | Knows |
//! |---|---|
//! | `bell` | when to ring |

mod bell;
#[cfg(test)]
mod bell_tests;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use self::bell::{Attention, Bell, Decision, State, Unread};
use crate::{
    dialogue::Host,
    inbox::{Kind, Staged},
    wire::{Effect, Finish, Instant, Ring, WakeRules, WakeState},
    world::World,
};

/// A pause without a reason to end.
const LONG_MS: u64 = 3_600_000;

/// Whether, and how, the agent is woken. Nothing happens before [`ring`] begins.
#[derive(Default)]
pub(crate) struct Wake {
    bell: RefCell<Option<Bell>>,
    /// Calls that wait for messages.
    waits: RefCell<usize>,
}

impl Wake {
    /// The agent has the answer of an inbox tool that shows messages, or has dealt with some.
    pub(crate) fn read(&self, now: Instant) {
        if let Some(bell) = &mut *self.bell.borrow_mut() {
            bell.read(now);
        }
    }

    /// The last ring reached no agent, and there is none before `again`.
    pub(crate) fn not_rung(&self, why: String, again: Instant) {
        if let Some(bell) = &mut *self.bell.borrow_mut() {
            bell.not_rung(why, again);
        }
    }
}

/// A call that waits for messages, for as long as this value lives: whatever comes, it gets.
pub(crate) struct Waiting(Rc<World>);

impl Waiting {
    pub(crate) fn begin(world: &Rc<World>) -> Self {
        *world.wake.waits.borrow_mut() += 1;
        Self(Rc::clone(world))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.0.wake.waits.borrow_mut() -= 1;
    }
}

/// Rings when it is time, for ever.
pub(crate) async fn ring(host: Host, world: Rc<World>, rules: WakeRules) -> Finish {
    world.wake.bell.replace(Some(Bell::new(rules)));
    loop {
        let now = host.now();
        let seen = world.inbox.borrow().news();
        let until = match decide(&world, now) {
            Decision::Nothing => now.saturating_add(LONG_MS),
            Decision::Ring { attempt } => {
                host.effect(Effect::Ring(tell(&world, attempt, now)));
                continue;
            }
            Decision::Until(at) => at,
        };
        host.rest_until_news(until, seen).await;
    }
}

/// What became of the messages that the agent has not seen.
pub(crate) fn state(world: &World, now: Instant) -> Vec<WakeState> {
    let mut bell = world.wake.bell.borrow_mut();
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let unread = unread(world, bell.as_ref().map(Bell::rules));
    let codes: Vec<String> = match &mut *bell {
        None => unread.iter().map(|_| "off".to_owned()).collect(),
        Some(bell) => {
            let states = bell.states(&unread, attention(world), now);
            states.iter().map(State::code).map(str::to_owned).collect()
        }
    };
    for code in codes {
        *counts.entry(code).or_default() += 1;
    }
    counts.into_iter().map(|(code, messages)| WakeState { code, messages }).collect()
}

fn decide(world: &World, now: Instant) -> Decision {
    let mut bell = world.wake.bell.borrow_mut();
    let Some(bell) = &mut *bell else { return Decision::Nothing };
    let unread = unread(world, Some(bell.rules()));
    bell.decide(&unread, attention(world), now)
}

fn attention(world: &World) -> Attention {
    Attention { waits: *world.wake.waits.borrow() > 0, told: world.inbox.borrow().queue().was_told() }
}

fn unread(world: &World, rules: Option<&WakeRules>) -> Vec<Unread> {
    let inbox = world.inbox.borrow();
    let message = |staged: &Staged| Unread {
        arrival: staged.arrival(),
        is_of_user: staged.message.kind == Kind::CanvasUser,
        is_wanted: rules.is_some_and(|rules| is_wanted(rules, staged)),
    };
    inbox.queue().unread().map(message).collect()
}

/// Names and roles prove nothing, so senders are told by their ids. The result of a delegation is of the agent's own
/// making, and is wanted wherever peers are.
fn is_wanted(rules: &WakeRules, staged: &Staged) -> bool {
    match (staged.message.kind, &rules.peers) {
        (Kind::CanvasUser, _) => rules.users,
        (Kind::Broadcast | Kind::DelegationResult | Kind::PeerAgent, None) => true,
        (Kind::DelegationResult, Some(peers)) => !peers.is_empty(),
        (Kind::Broadcast | Kind::PeerAgent, Some(peers)) => peers.contains(&staged.message.peer_id),
    }
}

/// Numbers alone: a word of a sender never leaves by a door.
fn tell(world: &World, attempt: u32, now: Instant) -> Ring {
    let inbox = world.inbox.borrow();
    let unread = || inbox.queue().unread();
    let count = |messages: usize| u32::try_from(messages).unwrap_or(u32::MAX);
    let oldest = unread().min_by_key(|staged| staged.message.stamp);
    Ring {
        workspace: oldest.map_or(world.primary(), |staged| staged.message.workspace),
        unread: count(unread().count()),
        from_users: count(unread().filter(|staged| staged.message.kind == Kind::CanvasUser).count()),
        oldest_secs: oldest.and_then(|staged| inbox.age(staged.message.stamp, now)),
        attempt,
    }
}

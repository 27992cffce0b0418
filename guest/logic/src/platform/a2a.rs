//! Messages to other workspaces.
//!
//! A message has one id, whatever becomes of it, and is sent again only if it certainly reached
//! nobody. Where the platform has it in a queue, or may have it, nothing is sent again.

use serde_json::json;
use thiserror::Error;

use super::{
    MIB,
    fate::{self, Fate},
    get,
};
use crate::{
    context::Context,
    dialogue::Host,
    wire::{Instant, Level, Limits, Method, PlatformRequest, Workspace},
};

/// A platform of any version takes as much.
const SENDABLE_BYTES: usize = MIB as usize;

const ATTEMPTS: u32 = 5;

/// For all attempts and the pauses between them; it also ends a running attempt.
const BUDGET_MS: u64 = 600_000;

/// A peer may think for minutes before its first byte.
const SEND: Limits = Limits { first_byte_ms: 300_000, total_ms: 600_000, body_bytes: 8 * MIB };

/// A message before it is sent. Its id stays the same in every attempt.
pub(crate) struct Message {
    body: Vec<u8>,
}

/// A request that older platforms would cut, and then not understand. Holds its bytes.
#[derive(Debug, PartialEq, Error)]
#[error("the request has {0} bytes, the platform takes {SENDABLE_BYTES}")]
pub(crate) struct TooLarge(usize);

impl Message {
    /// A message that says `text`, with fresh ids.
    ///
    /// [`TooLarge`] if the request would exceed 1 MiB.
    pub(crate) fn new(context: &Context, text: &str) -> Result<Self, TooLarge> {
        let body = json!({
            "jsonrpc": "2.0",
            "id": context.random.uuid().to_string(),
            "method": "message/send",
            "params": {"message": {
                "role": "user",
                "messageId": context.random.uuid().to_string(),
                "parts": [{"kind": "text", "text": text}],
            }},
        });
        let body = body.to_string().into_bytes();
        fits(&body)?;
        Ok(Self { body })
    }

    fn request(&self, from: Workspace, to: &str, time_left: u64) -> PlatformRequest {
        PlatformRequest {
            method: Method::Post,
            identify: true,
            body: Some(self.body.clone()),
            limits: Limits {
                total_ms: SEND.total_ms.min(u32::try_from(time_left).unwrap_or(u32::MAX)),
                ..SEND
            },
            ..get(from, ["workspaces", to, "a2a"])
        }
    }
}

/// Sends a message to the workspace `to`, and tells what became of it.
///
/// At most 5 attempts within 600 s, with growing pauses, and only while it certainly reached nobody.
pub(crate) async fn send(
    host: &Host,
    context: &Context,
    from: Workspace,
    to: &str,
    message: &Message,
) -> Fate {
    let deadline = host.now() + BUDGET_MS;
    let mut attempt = 1;
    loop {
        let time_left = deadline.saturating_sub(host.now());
        let fate = fate::read(&host.send(message.request(from, to, time_left)).await);
        let Fate::NotSent { why, again: Some(asked) } = fate else { return fate };
        let resume = host.now() + asked.max(backoff(context, attempt));
        if attempt == ATTEMPTS || resume >= deadline {
            return Fate::NotSent { why: format!("{why} ({})", tries(attempt)), again: None };
        }
        host.log(Level::Warn, format!("message to {to} not sent, trying again: {why}"));
        host.rest_until(resume).await;
        attempt += 1;
    }
}

/// Whether every platform takes a request whole.
pub(super) fn fits(body: &[u8]) -> Result<(), TooLarge> {
    if body.len() > SENDABLE_BYTES { Err(TooLarge(body.len())) } else { Ok(()) }
}

fn tries(attempts: u32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

/// Milliseconds to wait after the `attempt`-th failure in a row, counted from 1: 1 s, doubled
/// each time up to 16 s, with a quarter of jitter.
pub(crate) fn backoff(context: &Context, attempt: u32) -> Instant {
    let millis = 1_000.0 * f64::from(1_u32 << attempt.saturating_sub(1).min(4));
    (millis * context.random.jitter()) as Instant
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use serde_json::Value;

    use super::{
        super::tests::{body, raw, unreachable},
        *,
    };
    use crate::{
        dialogue::Dialogue,
        testing::{asked, world},
        wire::{Finish, Next, Outcome, Turn},
        world::World,
    };

    #[test]
    fn a_message_is_sent_as_the_platform_wants_it() {
        let world = world();
        let Sending { turn, .. } = Sending::start(&world);

        let request = asked(&turn);
        assert_eq!(request.path, ["workspaces", "peer", "a2a"]);
        assert!(request.identify);
        let (id, message_id) = ids(request);
        assert_ne!(id, message_id);
        assert_eq!(
            body(request),
            json!({"jsonrpc": "2.0", "id": id, "method": "message/send", "params": {"message": {
                "role": "user", "messageId": message_id, "parts": [{"kind": "text", "text": "hi"}],
            }}})
        );
    }

    #[test]
    fn attempts_share_their_ids_and_pause_longer_each_time() {
        let world = world();
        let mut sending = Sending::start(&world);
        let first = ids(asked(&sending.turn));

        for base in [1_000, 2_000, 4_000, 8_000] {
            assert_eq!(ids(asked(&sending.turn)), first);
            let pause = sending.fails();
            assert!((base * 3 / 4..=base * 5 / 4).contains(&pause), "{pause} after {base}");
            sending.then(Outcome::Rested);
        }
        sending.then(unreachable(false));

        assert_eq!(
            sending.fate(),
            Fate::NotSent { why: "connection reset (5 attempts)".to_owned(), again: None }
        );
    }

    #[test]
    fn the_budget_ends_attempts_and_pauses() {
        let world = world();
        let mut sending = Sending::start(&world);
        assert_eq!(asked(&sending.turn).limits.total_ms, 600_000);
        sending.now = 500_000;
        sending.fails();
        sending.then(Outcome::Rested);

        let time_left = asked(&sending.turn).limits.total_ms;
        assert_eq!(u64::from(time_left), 600_000 - sending.now);

        sending.now = 599_500;
        sending.then(unreachable(false));
        assert!(matches!(sending.fate(), Fate::NotSent { again: None, .. }));
    }

    #[test]
    fn the_platforms_own_pause_is_kept() {
        let world = world();
        let mut sending = Sending::start(&world);
        let waking = json!({"error": "waking", "waking": true, "retry_after": 15}).to_string();
        sending.then(Outcome::Responded(raw(503, true, &waking)));

        assert!(matches!(&sending.turn.next, Next::Rest(rest) if rest.until == sending.now + 15_000));
    }

    #[test]
    fn what_may_have_arrived_is_not_sent_again() {
        let world = world();
        let mut sending = Sending::start(&world);
        sending.then(unreachable(true));

        assert!(matches!(sending.fate(), Fate::Unknown { arrived: false, .. }));
    }

    #[test]
    fn a_request_above_one_mebibyte_is_not_made() {
        let world = world();

        assert!(Message::new(&world, &"x".repeat(SENDABLE_BYTES - 300)).is_ok());
        assert!(matches!(Message::new(&world, &"\n".repeat(SENDABLE_BYTES / 2)), Err(TooLarge(_))));
    }

    /// The id of the request, and that of the message.
    fn ids(request: &PlatformRequest) -> (String, String) {
        let body = body(request);
        let word = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        (word("/id"), word("/params/message/messageId"))
    }

    /// A message on its way, driven by hand.
    struct Sending {
        dialogue: Dialogue,
        turn: Turn,
        now: Instant,
        fate: Rc<RefCell<Option<Fate>>>,
    }

    impl Sending {
        fn start(world: &Rc<World>) -> Self {
            let world = Rc::clone(world);
            let fate: Rc<RefCell<Option<Fate>>> = Rc::default();
            let slot = Rc::clone(&fate);
            let (dialogue, turn) = Dialogue::open(0, |host| async move {
                let message = Message::new(&world, "hi").unwrap();
                let fate = send(&host, &world, 0, "peer", &message).await;
                slot.replace(Some(fate));
                Finish::Done
            });
            Self { dialogue, turn, now: 0, fate }
        }

        fn then(&mut self, outcome: Outcome) {
            self.turn = self.dialogue.resume(outcome, self.now);
        }

        /// An attempt fails; lets the pause that follows go by, and tells its length.
        fn fails(&mut self) -> u64 {
            self.then(unreachable(false));
            let Next::Rest(rest) = &self.turn.next else { panic!("no pause: {:?}", self.turn.next) };
            let pause = rest.until - self.now;
            self.now = rest.until;
            pause
        }

        fn fate(&self) -> Fate {
            self.fate.borrow().clone().unwrap()
        }
    }
}

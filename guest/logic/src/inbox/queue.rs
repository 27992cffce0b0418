//! The messages that wait for the agent, oldest first.

use std::{collections::VecDeque, rc::Rc};

use super::message::Message;

/// More would wait in vain: nobody reads 200 messages at once. The platform keeps the rest.
pub(crate) const MOST_STAGED: usize = 200;

/// What all staged messages together may take, unless a single one takes more.
const MOST_BYTES: usize = 16 << 20;

#[derive(Default)]
pub(crate) struct Queue {
    staged: VecDeque<Rc<Message>>,
    bytes: usize,
    arrivals: u64,
}

impl Queue {
    /// Whether anything more can be staged at all.
    pub(crate) fn has_room(&self) -> bool {
        self.staged.len() < MOST_STAGED && self.bytes < MOST_BYTES
    }

    pub(crate) fn fits(&self, message: &Message) -> bool {
        self.staged.is_empty()
            || (self.has_room() && self.bytes.saturating_add(message.weight()) <= MOST_BYTES)
    }

    pub(crate) fn stage(&mut self, message: Message) {
        self.bytes = self.bytes.saturating_add(message.weight());
        self.arrivals = self.arrivals.saturating_add(1);
        self.staged.push_back(Rc::new(message));
    }

    /// The message that has waited longest.
    pub(crate) fn head(&self) -> Option<&Rc<Message>> {
        self.staged.front()
    }

    /// At most `limit` messages.
    pub(crate) fn peek(&self, limit: usize) -> impl Iterator<Item = &Rc<Message>> {
        self.staged.iter().take(limit)
    }

    /// Takes the message with exactly this id out, wherever it stands.
    pub(crate) fn pop(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let place = self.staged.iter().position(|message| message.activity_id == activity_id)?;
        let message = self.staged.remove(place)?;
        self.bytes = self.bytes.saturating_sub(message.weight());
        Some(message)
    }

    /// How many messages were staged since the start.
    pub(crate) const fn arrivals(&self) -> u64 {
        self.arrivals
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inbox::{filter::Source, rig::row};

    #[test]
    fn messages_wait_in_order_and_leave_from_anywhere() {
        let mut queue = queue(["a", "b", "c"]);

        assert!(queue.pop("b").is_some());
        assert!(queue.pop("b").is_none());
        assert!(queue.pop("A").is_none());
        assert_eq!(ids(&queue), ["a", "c"]);
        assert_eq!(queue.head().map(|head| head.activity_id.as_str()), Some("a"));
        assert_eq!(queue.arrivals(), 3);
    }

    #[test]
    fn the_queue_is_full_at_its_number_and_has_room_after_a_pop() {
        let mut queue = Queue::default();
        for id in 0..MOST_STAGED {
            assert!(queue.fits(&message(&id.to_string(), "")));
            queue.stage(message(&id.to_string(), ""));
        }
        assert!(!queue.has_room());
        assert!(!queue.fits(&message("more", "")));

        queue.pop("7");

        assert!(queue.fits(&message("more", "")));
    }

    #[test]
    fn large_messages_fill_the_queue_but_one_always_fits() {
        let large = "x".repeat(MOST_BYTES + 1);
        let mut queue = Queue::default();
        assert!(queue.fits(&message("a", &large)));

        queue.stage(message("a", &large));
        assert!(!queue.fits(&message("b", "")));
        queue.pop("a");

        assert!(queue.has_room());
        assert!(queue.fits(&message("b", "")));
    }

    #[test]
    fn two_large_messages_do_not_wait_together() {
        let half = "x".repeat(MOST_BYTES / 2);
        let mut queue = Queue::default();
        queue.stage(message("a", &half));

        assert!(!queue.fits(&message("b", &half)));
        assert!(queue.fits(&message("c", "small")));
    }

    fn message(id: &str, text: &str) -> Message {
        let row = row(&json!({"id": id, "request_body": {"parts": [{"kind": "text", "text": text}]}}));
        Message::new(0, row, Source::Canvas)
    }

    fn queue<const N: usize>(ids: [&str; N]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            queue.stage(message(id, ""));
        }
        queue
    }

    fn ids(queue: &Queue) -> Vec<&str> {
        queue.peek(10).map(|message| message.activity_id.as_str()).collect()
    }
}

//! The messages that wait for the agent, oldest first.

use std::{collections::VecDeque, rc::Rc};

use super::message::Message;
use crate::{platform::stamp::Stamp, wire::Workspace};

/// More would wait in vain: nobody reads 200 messages at once. The platform keeps the rest.
pub(crate) const MOST_STAGED: usize = 200;

/// What all staged messages together may take, unless a single one takes more.
const MOST_BYTES: usize = 16 << 20;

/// Deliveries after which a message that was never popped is left aside.
const PARKED_AFTER: u32 = 5;

/// In how many processes they must have been.
const PARKED_IN_STARTS: u32 = 2;

/// A message that waits, and what the agent has seen of it.
pub(crate) struct Staged {
    pub(crate) message: Rc<Message>,
    /// Whether the platform can be asked for what follows its row.
    pub(crate) askable: bool,
    /// How often `wait_for_message` has returned it.
    pub(crate) deliveries: u32,
    /// In how many processes that, or a look at it, was.
    pub(crate) starts: u32,
    /// It was shown by an earlier process.
    pub(crate) redelivered: bool,
    /// It has kept the agent from going on: `wait_for_message` passes over it.
    pub(crate) parked: bool,
    shown: bool,
    /// The agent knows that it waits.
    told: bool,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// It may be the agent's own file.
    Held,
    /// It is not on disk yet.
    Landing,
    Ready,
}

impl Staged {
    pub(crate) const fn new(message: Rc<Message>, askable: bool) -> Self {
        Self {
            message,
            askable,
            deliveries: 0,
            starts: 0,
            redelivered: false,
            parked: false,
            shown: false,
            told: false,
            place: Place::Landing,
        }
    }

    pub(crate) fn id(&self) -> Rc<str> {
        self.message.activity_id.as_str().into()
    }

    pub(crate) const fn is_stuck(&self) -> bool {
        self.deliveries >= PARKED_AFTER && self.starts >= PARKED_IN_STARTS
    }

    fn is_ready(&self) -> bool {
        self.place == Place::Ready
    }

    fn show(&mut self) {
        self.told = true;
        if !self.shown {
            self.shown = true;
            self.starts = self.starts.saturating_add(1);
        }
    }
}

/// What is staged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

#[derive(Default)]
pub(crate) struct Queue {
    staged: VecDeque<Staged>,
    bytes: usize,
    arrivals: u64,
}

impl Queue {
    /// Whether anything more can be staged at all.
    pub(crate) fn has_room(&self) -> bool {
        let Load { messages, bytes } = self.load();
        messages < MOST_STAGED && bytes < MOST_BYTES
    }

    /// Whether so much has gone that it is worth fetching more.
    pub(crate) fn has_much_room(&self) -> bool {
        let Load { messages, bytes } = self.load();
        messages <= MOST_STAGED / 2 && bytes <= MOST_BYTES / 2
    }

    /// How many more messages may be staged.
    pub(crate) fn room(&self) -> usize {
        MOST_STAGED.saturating_sub(self.load().messages)
    }

    pub(crate) fn fits(&self, message: &Message) -> bool {
        let Load { messages, bytes } = self.load();
        messages == 0 || (self.has_room() && bytes.saturating_add(message.weight()) <= MOST_BYTES)
    }

    /// What takes room. Parked messages do not, or they would block the others after all, unless there are
    /// as many of them as may be staged at once.
    pub(crate) fn load(&self) -> Load {
        let parked = self.staged.iter().filter(|staged| staged.parked);
        let (count, weight) =
            parked.fold((0, 0), |(count, weight), staged| (count + 1, weight + staged.message.weight()));
        Load {
            messages: self.staged.len() - count.min(MOST_STAGED),
            bytes: self.bytes.saturating_sub(weight.min(MOST_BYTES)),
        }
    }

    /// Puts a message at the end, where the agent does not see it before it has landed.
    pub(crate) fn stage(&mut self, staged: Staged) {
        self.bytes = self.bytes.saturating_add(staged.message.weight());
        self.staged.push_back(staged);
    }

    /// As [`Queue::stage`], until [`Queue::release`] decides.
    pub(crate) fn hold(&mut self, staged: Staged) {
        self.stage(Staged { place: Place::Held, ..staged });
    }

    /// The staged messages are on disk, or nothing can be put there: the agent may see them.
    pub(crate) fn land(&mut self) {
        for staged in &mut self.staged {
            if staged.place == Place::Landing {
                staged.place = Place::Ready;
                self.arrivals = self.arrivals.saturating_add(1);
            }
        }
    }

    /// These messages were shown by somebody else.
    pub(crate) fn mark_redelivered<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            for staged in self.staged.iter_mut().filter(|staged| staged.message.activity_id == id) {
                staged.redelivered = true;
            }
        }
    }

    /// Decides about the held messages: those for which `is_own` is true leave, and are returned.
    pub(crate) fn release(&mut self, is_own: impl Fn(&Message) -> bool) -> Vec<Rc<Message>> {
        let held = self.staged.iter().filter(|staged| staged.place == Place::Held);
        let own: Vec<_> =
            held.map(|staged| Rc::clone(&staged.message)).filter(|message| is_own(message)).collect();
        for message in &own {
            self.remove(&message.activity_id);
        }
        for staged in &mut self.staged {
            if staged.place == Place::Held {
                staged.place = Place::Landing;
            }
        }
        self.land();
        own
    }

    /// The message that has waited longest and is not parked, on its way to the agent.
    pub(crate) fn deliver(&mut self) -> Option<&Staged> {
        let head = self.staged.iter_mut().find(|staged| staged.is_ready() && !staged.parked)?;
        head.show();
        head.deliveries = head.deliveries.saturating_add(1);
        Some(head)
    }

    /// At most `limit` messages that the agent looks at, after `skip` others, and of each whether it is seen
    /// for the first time by this process.
    pub(crate) fn look(&mut self, skip: usize, limit: usize) -> impl Iterator<Item = (&Staged, bool)> {
        self.staged.iter_mut().filter(|staged| staged.is_ready()).skip(skip).take(limit).map(|staged| {
            let first = !staged.shown;
            staged.show();
            (&*staged, first)
        })
    }

    /// All messages of a workspace, whether the agent can see them or not.
    pub(crate) fn of(&self, workspace: Workspace) -> impl Iterator<Item = &Staged> {
        self.staged.iter().filter(move |staged| staged.message.workspace == workspace)
    }

    /// The messages that the agent can see.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Staged> {
        self.staged.iter().filter(|staged| staged.is_ready())
    }

    /// Messages that the agent was not told of yet: how many, and when the oldest was made. They count as
    /// told now.
    pub(crate) fn tell(&mut self) -> Option<(usize, Stamp)> {
        let untold =
            self.staged.iter_mut().filter(|staged| staged.is_ready() && !staged.told && !staged.parked);
        let mut oldest = None;
        let mut count = 0_usize;
        for staged in untold {
            staged.told = true;
            let made = staged.message.stamp;
            oldest = Some(oldest.map_or(made, |oldest: Stamp| oldest.min(made)));
            count += 1;
        }
        oldest.map(|oldest| (count, oldest))
    }

    /// Takes the message with exactly this id out, wherever it stands.
    pub(crate) fn pop(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        self.ready().find(|staged| staged.message.activity_id == activity_id)?;
        self.remove(activity_id)
    }

    fn remove(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let place = self.staged.iter().position(|staged| staged.message.activity_id == activity_id)?;
        let staged = self.staged.remove(place)?;
        self.bytes = self.bytes.saturating_sub(staged.message.weight());
        Some(staged.message)
    }

    /// Forgets the messages of a workspace.
    pub(crate) fn forget(&mut self, workspace: Workspace) {
        self.staged.retain(|staged| staged.message.workspace != workspace);
        self.bytes = self.staged.iter().map(|staged| staged.message.weight()).sum();
    }

    /// How many messages the agent could see for the first time since the start.
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
        assert_eq!(queue.deliver().map(|head| head.message.activity_id.as_str()), Some("a"));
        assert_eq!(queue.arrivals(), 3);
    }

    #[test]
    fn parked_messages_take_no_room_from_the_others() {
        let mut queue = Queue::default();
        let large = "x".repeat(MOST_BYTES - 1_000);
        queue.stage(staged("parked", &large));
        assert!(!queue.fits(&message("large", &large)));

        queue.staged[0].parked = true;

        assert!(queue.fits(&message("large", &large)));
        for id in 0..MOST_STAGED {
            assert!(queue.has_room(), "{id}");
            queue.stage(staged(&id.to_string(), ""));
        }
        assert!(!queue.has_room());
    }

    #[test]
    fn the_queue_is_full_at_its_number_and_has_room_after_a_pop() {
        let mut queue = Queue::default();
        for id in 0..MOST_STAGED {
            assert!(queue.fits(&message(&id.to_string(), "")));
            queue.stage(staged(&id.to_string(), ""));
        }
        assert!(!queue.has_room());
        assert!(!queue.fits(&message("more", "")));

        queue.land();
        queue.pop("7");

        assert!(queue.fits(&message("more", "")));
    }

    #[test]
    fn large_messages_fill_the_queue_but_one_always_fits() {
        let large = "x".repeat(MOST_BYTES + 1);
        let mut queue = Queue::default();
        assert!(queue.fits(&message("a", &large)));

        queue.stage(staged("a", &large));
        queue.land();
        assert!(!queue.fits(&message("b", "")));
        queue.pop("a");

        assert!(queue.has_room());
        assert!(queue.fits(&message("b", "")));
    }

    #[test]
    fn two_large_messages_do_not_wait_together() {
        let half = "x".repeat(MOST_BYTES / 2);
        let mut queue = Queue::default();
        queue.stage(staged("a", &half));

        assert!(!queue.fits(&message("b", &half)));
        assert!(queue.fits(&message("c", "small")));
    }

    #[test]
    fn the_agent_sees_what_has_landed_and_not_what_is_held() {
        let mut queue = Queue::default();
        queue.hold(staged("held", ""));
        queue.stage(staged("a", ""));
        assert!(queue.deliver().is_none() && queue.pop("a").is_none());

        queue.land();

        assert_eq!((ids(&queue), queue.arrivals()), (vec!["a"], 1));
        assert_eq!(queue.release(|_| false), []);
        assert_eq!((ids(&queue), queue.arrivals()), (vec!["held", "a"], 2));
    }

    #[test]
    fn an_own_file_leaves_when_it_is_known_to_be_one() {
        let mut queue = Queue::default();
        queue.hold(staged("own", ""));
        queue.hold(staged("other", ""));

        let own = queue.release(|message| message.activity_id == "own");

        assert_eq!(own.len(), 1);
        assert_eq!(ids(&queue), ["other"]);
    }

    #[test]
    fn a_message_is_parked_over_several_starts_and_not_within_one() {
        let mut queue = queue(["a"]);
        for _ in 0..9 {
            queue.deliver();
        }
        assert!(!queue.ready().next().unwrap().is_stuck());

        let mut again = Staged { deliveries: 4, starts: 1, ..staged("a", "") };
        again.show();
        again.deliveries += 1;

        assert!(again.is_stuck());
    }

    #[test]
    fn what_waits_is_told_once() {
        let mut queue = queue(["a", "b"]);
        queue.deliver();

        assert_eq!(queue.tell(), Some((1, Stamp::UNKNOWN)));
        assert_eq!(queue.tell(), None);
    }

    fn staged(id: &str, text: &str) -> Staged {
        Staged::new(Rc::new(message(id, text)), true)
    }

    fn message(id: &str, text: &str) -> Message {
        let row = row(&json!({"id": id, "request_body": {"parts": [{"kind": "text", "text": text}]}}));
        Message::new(0, row, Source::Canvas)
    }

    fn queue<const N: usize>(ids: [&str; N]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            queue.stage(staged(id, ""));
        }
        queue.land();
        queue
    }

    fn ids(queue: &Queue) -> Vec<&str> {
        queue.ready().map(|staged| staged.message.activity_id.as_str()).collect()
    }
}

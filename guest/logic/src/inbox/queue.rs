//! The messages that wait for the agent: those of each workspace oldest first, and the workspaces in turns.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Deref,
    rc::Rc,
};

use super::message::{Kind, Message};
use crate::{
    platform::stamp::Stamp,
    wire::{Instant, Workspace},
};

/// Of one workspace. More would wait in vain: no agent reads 200 messages at once. The platform keeps the rest.
pub(crate) const MOST_STAGED: usize = 200;

/// What all staged messages of a workspace may take together, unless a single one takes more.
const MOST_BYTES: usize = 16 << 20;

/// Deliveries after which a message that was never popped is left aside.
const PARKED_AFTER: u32 = 5;

/// What the agent has not handled is mentioned again after this time.
const TELL_AGAIN_MS: u64 = 60_000;

/// In how many sessions they must have been.
const PARKED_IN_STARTS: u32 = 2;

/// A message that waits, and what the agent has seen of it.
pub(crate) struct Staged {
    pub(crate) message: Rc<Message>,
    /// The message as the agent is shown it, where its files have come to something.
    view: Option<Rc<Message>>,
    /// Whether the platform can be asked for what follows its row.
    pub(crate) askable: bool,
    /// How often `wait_for_message` has returned it.
    pub(crate) deliveries: u32,
    /// In how many earlier sessions that, or a look at it, was. A session is a process, unless the host knows better.
    pub(crate) starts_before: u32,
    /// It was shown in an earlier session.
    pub(crate) redelivered: bool,
    /// It has kept the agent from going on: `wait_for_message` passes over it.
    pub(crate) parked: bool,
    /// How often this session has shown it; of what an earlier process of it did only whether that was so.
    showings: u32,
    /// The session that has shown it the last time, where the host names sessions.
    shown_in: Option<Rc<str>>,
    /// The how many-th to arrive it was.
    arrival: u64,
    /// Since when it is held, if it is.
    since: Instant,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    /// It waits for its files, or for what takes its place, or may be the agent's own file.
    Held,
    /// It is not on disk yet.
    Unpublished,
    Ready,
}

impl Staged {
    pub(crate) const fn new(message: Rc<Message>, askable: bool) -> Self {
        Self {
            message,
            view: None,
            askable,
            deliveries: 0,
            starts_before: 0,
            redelivered: false,
            parked: false,
            showings: 0,
            shown_in: None,
            arrival: 0,
            since: 0,
            place: Place::Unpublished,
        }
    }

    /// The message as the agent is shown it.
    pub(crate) fn shown(&self) -> &Rc<Message> {
        self.view.as_ref().unwrap_or(&self.message)
    }

    /// Since when it is held.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// It is not shown before [`Queue::release`] decides.
    pub(crate) const fn hold(&mut self, now: Instant) {
        (self.place, self.since) = (Place::Held, now);
    }

    pub(crate) const fn is_held(&self) -> bool {
        matches!(self.place, Place::Held)
    }

    pub(crate) fn id(&self) -> Rc<str> {
        self.message.activity_id.as_str().into()
    }

    pub(crate) const fn is_stuck(&self) -> bool {
        self.deliveries >= PARKED_AFTER && self.starts() >= PARKED_IN_STARTS
    }

    /// The how many-th to arrive it was.
    pub(crate) const fn arrival(&self) -> u64 {
        self.arrival
    }

    /// In how many sessions it was shown.
    pub(crate) const fn starts(&self) -> u32 {
        self.starts_before.saturating_add(if self.showings > 0 { 1 } else { 0 })
    }

    fn is_ready(&self) -> bool {
        self.place == Place::Ready
    }

    fn show(&mut self, session: Option<&Rc<str>>) {
        self.showings = self.showings.saturating_add(1);
        self.shown_in = session.cloned();
    }

    /// The session that has shown it, if this one has and has a name.
    pub(super) fn session(&self) -> Option<&Rc<str>> {
        self.shown_in.as_ref().filter(|_| self.showings > 0)
    }

    /// It was delivered so often, and shown in so many sessions, of which the last one may be this one.
    pub(super) fn was_shown(&mut self, deliveries: u32, starts: u32, by_this_session: bool) {
        let here = u32::from(by_this_session && starts > 0);
        (self.deliveries, self.starts_before, self.showings) = (deliveries, starts - here, here);
    }
}

/// What becomes of a message that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// It is none.
    Leaves,
    Shows,
    Stays,
}

/// What is staged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Load {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Messages that wait, as the agent is told of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mail {
    pub(crate) count: usize,
    /// When the oldest was made, by the platform's clock.
    pub(crate) oldest: Stamp,
    /// This process has shown all of them.
    pub(crate) all_shown: bool,
}

/// The messages of all workspaces. Each has its own room, so that a loud one takes none from the others.
#[derive(Default)]
pub(crate) struct Queue {
    /// What several processes after each other count as one use by an agent; none: each process is a session.
    session: Option<Rc<str>>,
    shelves: BTreeMap<Workspace, Shelf>,
    arrivals: u64,
    /// How many messages were popped.
    pops: u64,
    /// How many messages had arrived when the agent was told of them the last time, and when that was.
    told: Option<(u64, Instant)>,
}

/// The messages of one workspace, oldest first.
#[derive(Default)]
struct Shelf {
    staged: VecDeque<Staged>,
    bytes: usize,
    /// The newest message of the user that could be seen.
    seen_of_user: Option<Stamp>,
    /// The how many-th pop took one of them the last time: whose turn was longest ago comes first.
    popped: u64,
}

impl Shelf {
    /// What takes room. Parked messages do not, or they would block the others after all, unless there are
    /// as many of them as may be staged at once.
    fn load(&self) -> Load {
        let parked = self.staged.iter().filter(|staged| staged.parked);
        let (count, weight) =
            parked.fold((0, 0), |(count, weight), staged| (count + 1, weight + staged.message.weight()));
        Load {
            messages: self.staged.len() - count.min(MOST_STAGED),
            bytes: self.bytes.saturating_sub(weight.min(MOST_BYTES)),
        }
    }

    fn remove(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let place = self.staged.iter().position(|staged| staged.message.activity_id == activity_id)?;
        let staged = self.staged.remove(place)?;
        self.bytes = self.bytes.saturating_sub(staged.message.weight());
        Some(staged.message)
    }
}

impl Queue {
    /// The process goes on with a session, or begins it.
    pub(crate) fn belongs_to(&mut self, session: Rc<str>) {
        self.session = Some(session);
    }

    /// An empty queue of the same session.
    pub(super) fn like(&self) -> Self {
        Self { session: self.session.clone(), ..Self::default() }
    }

    /// Whether a session outlives its processes.
    pub(super) const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Whether this is the name of the session.
    pub(super) fn is_session(&self, name: Option<&str>) -> bool {
        name.is_some() && self.session.as_deref() == name
    }

    /// Whether anything more of a workspace can be staged at all.
    pub(crate) fn has_room(&self, workspace: Workspace) -> bool {
        let Load { messages, bytes } = self.load(workspace);
        messages < MOST_STAGED && bytes < MOST_BYTES
    }

    /// Whether so much of a workspace has gone that it is worth fetching more.
    pub(crate) fn has_much_room(&self, workspace: Workspace) -> bool {
        let Load { messages, bytes } = self.load(workspace);
        messages <= MOST_STAGED / 2 && bytes <= MOST_BYTES / 2
    }

    /// How many more messages of a workspace may be staged.
    pub(crate) fn room(&self, workspace: Workspace) -> usize {
        MOST_STAGED.saturating_sub(self.load(workspace).messages)
    }

    pub(crate) fn fits(&self, message: &Message) -> bool {
        let Load { messages, bytes } = self.load(message.workspace);
        let has_room = messages < MOST_STAGED && bytes.saturating_add(message.weight()) <= MOST_BYTES;
        messages == 0 || (has_room && bytes < MOST_BYTES)
    }

    /// What of a workspace takes room.
    pub(crate) fn load(&self, workspace: Workspace) -> Load {
        self.shelves.get(&workspace).map_or(Load { messages: 0, bytes: 0 }, Shelf::load)
    }

    /// Puts a message at the end, where the agent does not see it before it is published.
    pub(crate) fn stage(&mut self, staged: Staged) {
        let shelf = self.shelves.entry(staged.message.workspace).or_default();
        shelf.bytes = shelf.bytes.saturating_add(staged.message.weight());
        shelf.staged.push_back(staged);
    }

    /// The staged messages of a workspace are on disk, or nothing can be put there: the agent may see them.
    pub(crate) fn publish(&mut self, workspace: Workspace) {
        let Some(shelf) = self.shelves.get_mut(&workspace) else { return };
        for staged in shelf.staged.iter_mut().filter(|staged| staged.place == Place::Unpublished) {
            staged.place = Place::Ready;
            self.arrivals = self.arrivals.saturating_add(1);
            staged.arrival = self.arrivals;
            if staged.message.kind == Kind::CanvasUser {
                shelf.seen_of_user = shelf.seen_of_user.max(Some(staged.message.stamp));
            }
        }
    }

    /// Decides about the held messages of a workspace; those that leave are returned.
    pub(crate) fn release(
        &mut self,
        workspace: Workspace,
        fate: impl Fn(&Staged) -> Fate,
    ) -> Vec<Rc<Message>> {
        let mut leaving = Vec::new();
        let Some(shelf) = self.shelves.get_mut(&workspace) else { return leaving };
        let seen = shelf.seen_of_user;
        for staged in shelf.staged.iter_mut().filter(|staged| staged.is_held()) {
            match fate(staged) {
                Fate::Leaves => leaving.push(Rc::clone(&staged.message)),
                Fate::Shows => {
                    staged.place = Place::Unpublished;
                    if seen.is_some_and(|seen| staged.message.stamp < seen) {
                        Rc::make_mut(&mut staged.message).late = true;
                        staged.view.iter_mut().for_each(|view| Rc::make_mut(view).late = true);
                    }
                }
                Fate::Stays => {}
            }
        }
        for message in &leaving {
            shelf.remove(&message.activity_id);
        }
        self.publish(workspace);
        leaving
    }

    /// The messages of a workspace that are held.
    pub(crate) fn held(&self, workspace: Workspace) -> impl Iterator<Item = &Staged> {
        self.of(workspace).filter(|staged| staged.is_held())
    }

    /// A message of a workspace, wherever it stands.
    pub(crate) fn find(&mut self, workspace: Workspace, id: &str) -> Option<&mut Staged> {
        self.of_mut(workspace).find(|staged| staged.message.activity_id == id)
    }

    pub(crate) fn of_mut(&mut self, workspace: Workspace) -> impl Iterator<Item = &mut Staged> {
        self.shelves.get_mut(&workspace).into_iter().flat_map(|shelf| &mut shelf.staged)
    }

    /// Takes a message of a workspace out, wherever it stands.
    pub(crate) fn take_out(&mut self, workspace: Workspace, id: &str) -> Option<Rc<Message>> {
        self.shelves.get_mut(&workspace)?.remove(id)
    }

    /// Takes all messages of a workspace out.
    pub(crate) fn take_all(&mut self, workspace: Workspace) -> Vec<Staged> {
        let Some(shelf) = self.shelves.get_mut(&workspace) else { return Vec::new() };
        shelf.bytes = 0;
        std::mem::take(&mut shelf.staged).into()
    }

    /// Shows the messages of the user in another way; nothing is as they came.
    pub(crate) fn view(&mut self, workspace: Workspace, view: impl Fn(&Message) -> Option<Message>) {
        let is_meant =
            |message: &Message| message.kind == Kind::CanvasUser && !message.attachments.is_empty();
        for staged in self.of_mut(workspace).filter(|staged| is_meant(&staged.message)) {
            staged.view = view(&staged.message).map(Rc::new);
        }
    }

    /// The next message that is not parked, on its way to the agent: the oldest of the workspace whose messages were
    /// not popped for longest.
    pub(crate) fn deliver(&mut self) -> Option<&Staged> {
        let session = self.session.clone();
        let heads = self.shelves.values_mut().filter_map(|shelf| {
            let head = shelf.staged.iter_mut().find(|staged| staged.is_ready() && !staged.parked)?;
            Some(((shelf.popped, head.arrival), head))
        });
        let (_, head) = heads.min_by_key(|(turn, _)| *turn)?;
        head.show(session.as_ref());
        head.deliveries = head.deliveries.saturating_add(1);
        Some(head)
    }

    /// At most `limit` messages that the agent looks at, after `skip` others, in the order of [`Queue::ready`], and of
    /// each whether it is seen for the first time by this process.
    pub(crate) fn look(&mut self, skip: usize, limit: usize) -> impl Iterator<Item = (&Staged, bool)> {
        let session = self.session.as_ref();
        let shelves = self.shelves.values_mut().map(|shelf| (shelf.popped, shelf.staged.iter_mut()));
        in_turn(shelves).skip(skip).take(limit).map(move |staged| {
            let first = staged.showings == 0;
            staged.show(session);
            (&*staged, first)
        })
    }

    /// All messages of a workspace, whether the agent can see them or not.
    pub(crate) fn of(&self, workspace: Workspace) -> impl Iterator<Item = &Staged> {
        self.shelves.get(&workspace).into_iter().flat_map(|shelf| &shelf.staged)
    }

    /// The messages that the agent can see: the workspaces take turns, and those of each stay in order.
    pub(crate) fn ready(&self) -> impl Iterator<Item = &Staged> {
        in_turn(self.shelves.values().map(|shelf| (shelf.popped, shelf.staged.iter())))
    }

    /// The messages that the agent can see, and that this process has not shown it.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &Staged> {
        self.all().filter(|staged| staged.is_ready() && !staged.parked && staged.showings == 0)
    }

    fn all(&self) -> impl Iterator<Item = &Staged> {
        self.shelves.values().flat_map(|shelf| &shelf.staged)
    }

    /// A message was not shown after all, nor delivered if that was what happened; what is known of it then.
    pub(crate) fn take_back(&mut self, activity_id: &str, delivered: bool) -> Option<&Staged> {
        let mut all = self.shelves.values_mut().flat_map(|shelf| &mut shelf.staged);
        let staged = all.find(|staged| staged.message.activity_id == activity_id)?;
        staged.showings = staged.showings.saturating_sub(1);
        staged.deliveries = staged.deliveries.saturating_sub(u32::from(delivered));
        Some(staged)
    }

    /// The messages that are not handled, if the agent has to be told of them: because one has arrived since
    /// it was told, or because that was a while ago.
    pub(crate) fn untold(&self, now: Instant) -> Option<Mail> {
        let waiting = || self.all().filter(|staged| staged.is_ready() && !staged.parked);
        let oldest = waiting().map(|staged| staged.message.stamp).min()?;
        let is_due = self.told.is_none_or(|(arrivals, at)| {
            now.saturating_sub(at) >= TELL_AGAIN_MS || waiting().any(|staged| staged.arrival > arrivals)
        });
        let all_shown = waiting().all(|staged| staged.showings > 0);
        is_due.then(|| Mail { count: waiting().count(), oldest, all_shown })
    }

    /// The agent was told of what had arrived when there were so many arrivals.
    pub(crate) fn told(&mut self, arrivals: u64, now: Instant) {
        let before = self.told.map_or(0, |(arrivals, _)| arrivals);
        self.told = Some((before.max(arrivals), now));
    }

    /// How many messages had arrived when the agent was told of them beside a result, and when that was.
    pub(crate) const fn was_told(&self) -> Option<(u64, Instant)> {
        self.told
    }

    /// Takes the message with exactly this id out, wherever it stands.
    pub(crate) fn pop(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let is_it = |staged: &Staged| staged.is_ready() && staged.message.activity_id == activity_id;
        let shelf = self.shelves.values_mut().find(|shelf| shelf.staged.iter().any(is_it))?;
        self.pops = self.pops.saturating_add(1);
        shelf.popped = self.pops;
        shelf.remove(activity_id)
    }

    /// Whether no message waits.
    pub(super) fn is_empty(&self) -> bool {
        self.shelves.values().all(|shelf| shelf.staged.is_empty())
    }

    /// Forgets the messages of a workspace.
    pub(crate) fn forget(&mut self, workspace: Workspace) {
        self.take_all(workspace);
    }

    /// How many messages the agent could see for the first time since the start.
    pub(crate) const fn arrivals(&self) -> u64 {
        self.arrivals
    }
}

/// The messages that the agent can see, of workspaces that are given with the number of their last pop. Sorted by how
/// many of its own workspace stand before a message, then by that number, then by arrival.
fn in_turn<S: Deref<Target = Staged>>(
    shelves: impl Iterator<Item = (u64, impl Iterator<Item = S>)>,
) -> impl Iterator<Item = S> {
    let mut ready = Vec::new();
    for (popped, staged) in shelves {
        let staged = staged.filter(|staged| staged.is_ready()).enumerate();
        ready.extend(staged.map(|(rank, staged)| ((rank, popped, staged.arrival), staged)));
    }
    ready.sort_by_key(|(turn, _)| *turn);
    ready.into_iter().map(|(_, staged)| staged)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inbox::{classify::Source, rig::row};

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

        queue.shelves.get_mut(&0).unwrap().staged[0].parked = true;

        assert!(queue.fits(&message("large", &large)));
        for id in 0..MOST_STAGED {
            assert!(queue.has_room(0), "{id}");
            queue.stage(staged(&id.to_string(), ""));
        }
        assert!(!queue.has_room(0));
    }

    #[test]
    fn the_queue_is_full_at_its_number_and_has_room_after_a_pop() {
        let mut queue = Queue::default();
        for id in 0..MOST_STAGED {
            assert!(queue.fits(&message(&id.to_string(), "")));
            queue.stage(staged(&id.to_string(), ""));
        }
        assert!(!queue.has_room(0));
        assert!(!queue.fits(&message("more", "")));

        queue.publish(0);
        queue.pop("7");

        assert!(queue.fits(&message("more", "")));
    }

    #[test]
    fn large_messages_fill_the_queue_but_one_always_fits() {
        let large = "x".repeat(MOST_BYTES + 1);
        let mut queue = Queue::default();
        assert!(queue.fits(&message("a", &large)));

        queue.stage(staged("a", &large));
        queue.publish(0);
        assert!(!queue.fits(&message("b", "")));
        queue.pop("a");

        assert!(queue.has_room(0));
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
    fn the_agent_sees_what_is_published_and_not_what_is_held() {
        let mut queue = Queue::default();
        queue.stage(held("held"));
        queue.stage(staged("a", ""));
        assert!(queue.deliver().is_none() && queue.pop("a").is_none());

        queue.publish(0);

        assert_eq!((ids(&queue), queue.arrivals()), (vec!["a"], 1));
        assert_eq!(queue.release(0, |_| Fate::Stays), []);
        assert_eq!((ids(&queue), queue.arrivals()), (vec!["a"], 1));
        assert_eq!(queue.release(0, |_| Fate::Shows), []);
        assert_eq!((ids(&queue), queue.arrivals()), (vec!["held", "a"], 2));
    }

    #[test]
    fn an_own_file_leaves_when_it_is_known_to_be_one() {
        let mut queue = Queue::default();
        queue.stage(held("own"));
        queue.stage(held("other"));

        let is_own = |staged: &Staged| staged.message.activity_id == "own";
        let own = queue.release(0, |staged| if is_own(staged) { Fate::Leaves } else { Fate::Shows });

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

        let mut again = Staged { deliveries: 4, starts_before: 1, ..staged("a", "") };
        again.show(None);
        again.deliveries += 1;

        assert!(again.is_stuck());
    }

    #[test]
    fn what_is_not_handled_is_told_with_each_arrival_and_after_a_minute() {
        let mut queue = queue(["a", "b"]);
        queue.deliver();
        let mail = |count, all_shown| Some(Mail { count, oldest: Stamp::UNKNOWN, all_shown });
        assert_eq!(queue.untold(10), mail(2, false));

        queue.told(queue.arrivals(), 10);

        assert_eq!([queue.untold(11), queue.untold(60_009)], [None, None]);
        assert_eq!(queue.untold(60_010), mail(2, false));
        queue.pop("b");
        assert_eq!(queue.untold(60_010), mail(1, true));
        queue.stage(staged("c", ""));
        assert_eq!(queue.untold(12), None, "it is not published");
        queue.publish(0);
        assert_eq!(queue.untold(12), mail(2, false));
    }

    #[test]
    fn an_empty_queue_and_parked_messages_are_not_told() {
        let mut queue = queue(["a"]);
        queue.shelves.get_mut(&0).unwrap().staged[0].parked = true;

        assert_eq!([queue.untold(99), Queue::default().untold(99)], [None, None]);
    }

    #[test]
    fn what_is_taken_back_was_not_shown_unless_another_call_has_shown_it_too() {
        let mut queue = queue(["a"]);
        queue.deliver();
        queue.deliver();

        let once = queue.take_back("a", true).map(|staged| (staged.deliveries, staged.starts()));
        assert_eq!(once, Some((1, 1)));
        let never = queue.take_back("a", true).map(|staged| (staged.deliveries, staged.starts()));
        assert_eq!(never, Some((0, 0)));
        assert!(queue.take_back("gone", true).is_none());
    }

    #[test]
    fn a_loud_workspace_takes_no_room_from_a_quiet_one() {
        let mut queue = Queue::default();
        for id in 0..MOST_STAGED {
            queue.stage(staged(&id.to_string(), ""));
        }

        let quiet = Message { workspace: 1, ..message("quiet", "") };
        assert!(!queue.has_room(0) && queue.has_room(1));
        assert!(!queue.fits(&message("loud", "")) && queue.fits(&quiet));
        assert_eq!((queue.room(0), queue.room(1)), (0, MOST_STAGED));
        queue.forget(0);
        assert!(queue.has_much_room(0));
    }

    #[test]
    fn workspaces_take_turns_and_each_stays_in_order() {
        let mut queue = queue(["a1", "a2", "a3", "a4"]);
        for id in ["b1", "b2"] {
            queue.stage(Staged::new(Rc::new(Message { workspace: 1, ..message(id, "") }), true));
        }
        queue.publish(0);
        assert_eq!(ids(&queue), ["a1", "a2", "a3", "a4"], "the others are not on disk yet");
        queue.publish(1);
        assert_eq!(ids(&queue), ["a1", "b1", "a2", "b2", "a3", "a4"]);
        let seen: Vec<_> = queue.look(1, 2).map(|(staged, _)| staged.message.activity_id.clone()).collect();
        assert_eq!(seen, ["b1", "a2"]);

        let mut order = Vec::new();
        while let Some(head) = queue.deliver().map(Staged::id) {
            assert_eq!(queue.deliver().map(Staged::id).as_ref(), Some(&head), "it stays until it is popped");
            queue.pop(&head);
            order.push(head.to_string());
        }

        assert_eq!(order, ["a1", "b1", "a2", "b2", "a3", "a4"]);
    }

    fn held(id: &str) -> Staged {
        Staged { place: Place::Held, ..staged(id, "") }
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
        queue.publish(0);
        queue
    }

    fn ids(queue: &Queue) -> Vec<&str> {
        queue.ready().map(|staged| staged.message.activity_id.as_str()).collect()
    }
}

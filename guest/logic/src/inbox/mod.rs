//! The messages to this agent: fetched, staged, handed out, dealt with.
//!
//! ```text
//! platform ──rows──► poller ─► classify ─► message ──► journal ──► queue ──► tools
//!                      ▲          │                      ▲           │ popped
//!                      │          ▼                      └───────────┤
//!                   position ◄─ watermarks ◄──────────── acknowledged, on disk ──► cursor file
//! ```
//!
//! | Module | Knows |
//! |---|---|
//! | `poller` | when to ask the platform, and for what |
//! | `backfill` | how to find the oldest row without a row to ask after |
//! | `contact` | whether the journal is read, and whether the platform answers |
//! | `broadcasts` | how to find messages to all workspaces, which are rows of another type |
//! | `clock` | whether the platform's clock was set back, so that rows are to be looked for further back |
//! | `health` | how long to wait after a failure, and what to say of it |
//! | `classify` | which rows are messages |
//! | `apply` | what an event changes, live and at a start |
//! | `message` | how a row reads as a message |
//! | `event` | what a journal says |
//! | `files` | where the files of the user are, and which dialogues take care of them |
//! | `agreement` | whether a journal says what is known, for tests |
//! | `mailbox` | what is known of a workspace, and what a journal has to say of it |
//! | `recover` | how a journal becomes a mailbox |
//! | `journal` | when something is on disk, and what to do if it is not |
//! | `keeping` | what the poller does on disk |
//! | `notices` | what the agent is told beside a result |
//! | `showing` | what an answer tells, which counts only if the client gets it |
//! | `takeover` | how to go on where the reference implementation ran meanwhile |
//! | `inspect` | what is on disk, for people |
//! | `status` | how the inbox of a running process stands, for people |
//! | `queue` | which messages wait for the agent |
//! | `watermarks` | which rows are dealt with, and so what a restart may skip |
//! | `recent_ids` | ids of rows that are recognised when they come again |
//! | `pace` | how often hints may cause requests |

#[cfg(feature = "planted-bugs")]
mod agreement;
mod apply;
mod backfill;
mod broadcasts;
mod classify;
mod clock;
#[cfg(test)]
mod clock_tests;
mod contact;
#[cfg(test)]
mod contact_tests;
#[cfg(test)]
mod damage_tests;
mod event;
mod files;
mod health;
#[cfg(test)]
mod history_tests;
mod inspect;
mod journal;
#[cfg(test)]
mod journal_tests;
mod keeping;
#[cfg(test)]
mod late_tests;
mod mailbox;
mod message;
mod notices;
mod pace;
mod page_size;
mod poller;
#[cfg(test)]
mod polling_tests;
mod queue;
mod recent_ids;
mod recover;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod sharing_tests;
mod showing;
#[cfg(test)]
mod showing_tests;
mod status;
mod takeover;
mod watermarks;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use self::{
    apply::Applier,
    classify::{Source, Verdict},
    contact::Contact,
    mailbox::{Gap, Mailbox},
    poller::Poller,
    queue::Queue,
    recover::Opened,
    watermarks::{Mark, Watermarks},
};
pub(crate) use self::{
    contact::{Access, access, platform_trouble},
    event::Event,
    files::{keep as keep_files, sent as sent_files},
    inspect::inspect,
    journal::{Pops, delivered, popped},
    keeping::settle,
    message::{Kind, Message},
    notices::{in_inbox, waiting_mail},
    queue::{MOST_STAGED, Staged},
    showing::{Showing, Told},
    status::status,
};
use crate::{
    dialogue::Host,
    planted::{Bug, planted},
    platform::{
        activity::{Row, WaitingFile},
        stamp::Stamp,
        uploads,
    },
    uploads::OwnUploads,
    wire::{Finish, Instant, Saved, Workspace},
    world::World,
};

/// The inbox of the process.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Queue,
    mailboxes: BTreeMap<Workspace, Mailbox>,
    /// Who else fetches the messages of a workspace.
    leaders: BTreeMap<Workspace, String>,
    /// Of the workspaces whose journal is read.
    contacts: BTreeMap<Workspace, Contact>,
    /// The workspaces whose inboxes the instance before this one has kept until a moment ago.
    kept_before: BTreeSet<Workspace>,
    /// Journals that were read, first looks that have ended, and changes that the lanes of files look at.
    steps: u64,
    said_not_saved: Option<Instant>,
}

/// What became of a batch of rows.
pub(crate) struct Taken {
    /// The rows that are noted, in order.
    rows: Vec<Mark>,
    /// What the journal has to say of them.
    records: Vec<Event>,
    /// There was no room for the others.
    stopped: bool,
    /// There are files to fetch, or messages that wait for something.
    stirs: bool,
    /// The row after which the next ones can be asked for.
    moved: Option<Mark>,
}

/// Rows on their way into the inbox.
pub(crate) struct Incoming {
    /// Oldest first.
    rows: Vec<Row>,
    /// The platform may have others as old as the last one.
    more: bool,
    now: Instant,
}

impl Inbox {
    pub(crate) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// To show messages to the agent.
    pub(crate) const fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// This process does not fetch, but `leader` does; if that is empty, none does so far.
    pub(crate) fn follow(&mut self, workspace: Workspace, leader: String) {
        self.queue.forget(workspace);
        self.mailboxes.remove(&workspace);
        self.contacts.remove(&workspace);
        if leader.is_empty() {
            self.leaders.remove(&workspace);
        } else {
            self.leaders.insert(workspace, leader);
        }
    }

    /// Whether this process fetches, and has read what is on disk.
    pub(crate) fn is_open(&self, workspace: Workspace) -> bool {
        self.contacts.contains_key(&workspace)
    }

    /// The workspaces whose inboxes are kept.
    pub(crate) fn kept(&self) -> BTreeSet<Workspace> {
        self.contacts.keys().copied().collect()
    }

    /// The instance before this one has kept these inboxes until a moment ago.
    pub(crate) fn were_kept(&mut self, workspaces: BTreeSet<Workspace>) {
        self.kept_before = workspaces;
    }

    /// Whether an inbox was kept until a moment ago, so that nothing was missed; asked once.
    fn goes_on(&mut self, workspace: Workspace) -> bool {
        self.kept_before.remove(&workspace)
    }

    /// Whether an instance that reads the disk would know as much.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.queue.is_empty()
            && self.contacts.values().all(Contact::is_at_rest)
            && self.mailboxes.values().all(Mailbox::is_at_rest)
    }

    /// No other process fetches any more. What is on disk is read by the next [`Inbox::open`].
    pub(crate) fn leads(&mut self, workspace: Workspace) {
        self.leaders.remove(&workspace);
    }

    /// Begins anew with what is on disk; says what was wrong with it.
    fn open(
        &mut self,
        (workspace, own): (Workspace, &str),
        saved: Saved,
        now: Instant,
    ) -> Option<&'static str> {
        self.leaders.remove(&workspace);
        self.queue.forget(workspace);
        let Opened { mailbox, staged, trouble } =
            recover::open(own, workspace, self.queue.like(), saved, now);
        for staged in staged {
            self.queue.stage(staged);
        }
        self.queue.view(workspace, |message| mailbox.files.view(message, own));
        self.mailboxes.insert(workspace, mailbox);
        self.queue.publish(workspace);
        self.is_read(workspace, now);
        trouble
    }

    fn mailbox(&mut self, workspace: Workspace) -> &mut Mailbox {
        self.mailboxes.entry(workspace).or_default()
    }

    fn watermarks(&mut self, workspace: Workspace) -> &mut Watermarks {
        &mut self.mailbox(workspace).watermarks
    }

    /// Notes rows of the workspace `own`, and stages the messages among them, as far as there is
    /// room. The agent sees them once they are published.
    fn take(
        &mut self,
        (workspace, own): (Workspace, &str),
        incoming: Incoming,
        uploads: &mut OwnUploads,
    ) -> Taken {
        let Incoming { rows, more, now } = incoming;
        let mut applier = self.applier(workspace, now);
        let newest = applier.mailbox.watermarks.seen_up_to();
        let mut unseen_from = rows.last().filter(|_| more).map(|row| row.stamp);
        let mut taken = Taken {
            rows: Vec::with_capacity(rows.len()),
            records: Vec::new(),
            stopped: false,
            stirs: false,
            moved: None,
        };
        let mut own_files: Vec<Rc<str>> = Vec::new();
        for mut row in rows {
            let mark = Mark::new(&row);
            if !applier.mailbox.watermarks.knows(&row.id) {
                let late = row.timed && newest.is_some_and(|newest| row.stamp < newest);
                let source = match classify::verdict(&row, own, uploads) {
                    dropped @ (Verdict::Drop | Verdict::Own) => {
                        if dropped == Verdict::Own {
                            own_files.push(Rc::clone(&mark.id));
                        }
                        if let Some(sent) =
                            applier.mailbox.files.sent_news(classify::sent_files(&row), own, uploads)
                        {
                            applier.apply(&sent);
                            taken.records.push(sent);
                            taken.stirs = true;
                        }
                        applier.mailbox.watermarks.pass(mark.clone());
                        taken.rows.push(mark);
                        continue;
                    }
                    Verdict::Hold => Source::Upload,
                    Verdict::Show(source) => source,
                };
                let told = (source == Source::Upload).then(|| file_of(&mut row, own)).flatten();
                let message = Message { late, ..Message::new(workspace, row, source) };
                if planted(Bug::DropsOldest) && !applier.queue.has_room(workspace) {
                    let oldest = applier.queue.ready().next().map(Staged::id);
                    oldest.and_then(|oldest| applier.queue.pop(&oldest));
                }
                if !applier.queue.fits(&message) {
                    unseen_from = Some(unseen_from.map_or(mark.stamp, |unseen| unseen.min(mark.stamp)));
                    taken.stopped = true;
                    break;
                }
                let message = Rc::new(message);
                let mut events = vec![mailbox::staging(&message, mark.can_be_asked_after)];
                if !message.late && applier.mailbox.repeats_up_to.is_some_and(|last| mark.stamp <= last) {
                    // Another implementation has shown it.
                    events.push(Event::Delivered { id: Rc::clone(&mark.id), n: 0, starts: 1, session: None });
                }
                for event in &events {
                    applier.apply(event);
                }
                taken.records.append(&mut events);
                let brought = applier.mailbox.files.bring(&message, told, (own, &*uploads), now);
                if brought.is_held {
                    applier.queue.find(workspace, &mark.id).into_iter().for_each(|staged| staged.hold(now));
                    taken.stirs = true;
                }
                taken.records.extend(brought.records);
                taken.records.extend(applier.fold(brought.folds, Staged::is_held));
            }
            taken.rows.push(mark);
        }
        if !own_files.is_empty() {
            let own_rows = Event::Remembered { ids: own_files, newest: None };
            applier.apply(&own_rows);
            taken.records.push(own_rows);
        }
        taken.moved = applier.mailbox.watermarks.fetched_up_to(&taken.rows, unseen_from, now);
        taken.records.extend(applier.mailbox.new_floor());
        if planted(Bug::FloorBeforeStage) {
            taken.records.reverse();
        }
        taken
    }

    /// Decides about messages that are held, and shows where files are; returns the rows that turned out to be of
    /// the agent's own files.
    fn settle_held(
        &mut self,
        (workspace, own): (Workspace, &str),
        uploads: &OwnUploads,
        now: Instant,
    ) -> Vec<Rc<Message>> {
        let Some(mailbox) = self.mailboxes.get_mut(&workspace) else { return Vec::new() };
        if mailbox.files.has_changed() {
            self.queue.view(workspace, |message| mailbox.files.view(message, own));
        }
        let leaving = self.queue.release(workspace, |staged| mailbox.files.fate(staged, (own, uploads), now));
        mailbox.unsaved_pops.extend(leaving.iter().map(|message| Rc::from(message.activity_id.as_str())));
        leaving
    }

    /// Takes messages out, which the agent has dealt with. They are over once that is on disk.
    fn pop(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let message = self.queue.pop(activity_id)?;
        self.mailbox(message.workspace).unsaved_pops.insert(activity_id.into());
        Some(message)
    }

    /// Whether the poller waits for room that is there now.
    fn ends_starving(&mut self, workspace: Workspace) -> bool {
        let has_room = self.queue.has_much_room(workspace);
        has_room && std::mem::take(&mut self.mailbox(workspace).starved)
    }

    /// Messages that are popped are over: that is on disk now.
    fn settle_pops(&mut self, workspace: Workspace, ids: &[Rc<str>], now: Instant) {
        let mut applier = self.applier(workspace, now);
        let ids = ids.iter().filter(|id| applier.mailbox.unsaved_pops.contains(*id)).cloned().collect();
        if applier.apply(&Event::Acknowledged { ids }) {
            self.stir();
        }
    }

    /// Where the events of a workspace are applied.
    fn applier(&mut self, workspace: Workspace, now: Instant) -> Applier<'_> {
        let mailbox = self.mailboxes.entry(workspace).or_default();
        Applier { mailbox, queue: &mut self.queue, workspace, now }
    }

    /// Applies an event that is written with the next one.
    fn note(&mut self, workspace: Workspace, event: Event) {
        self.applier(workspace, 0).apply(&event);
        self.mailbox(workspace).journal.pending.push(event);
    }

    /// The lanes of files have something to look at.
    const fn stir(&mut self) {
        self.steps += 1;
    }

    /// Messages from between two moments may be missing; says whether that is news.
    fn note_gap(&mut self, workspace: Workspace, from: Stamp, to: Stamp) -> bool {
        let is_new = !self.mailbox(workspace).gaps.iter().any(|gap| gap.from <= from && to <= gap.to);
        if is_new {
            self.note(workspace, Gap { from, to, told: false }.record());
        }
        is_new
    }
}

/// What a row says of a file.
fn file_of(row: &mut Row, own: &str) -> Option<WaitingFile> {
    let file = &mut row.request.as_mut()?.file;
    if file.uri.is_empty() {
        file.uri = uploads::address(own, &file.file_id);
    }
    Some(file.clone())
}

/// Fetches the messages of a workspace, for ever, beginning with what is on disk.
pub(crate) async fn poll(host: Host, world: Rc<World>, workspace: Workspace, saved: Saved) -> Finish {
    Poller::open(host, world, workspace, saved).run().await
}

//! The files that come with the messages of one workspace: which are wanted, where they are, and when they are over.
//!
//! # Design
//!
//! A user who sends a file from the canvas causes two rows: one of the platform about the file, and, if something was
//! written, one with the message that names it. The agent gets one message, with a path that it can open.
//!
//! ```text
//! row of a file ──► wanted ── fetched ──► here ── all its messages popped, on disk ──► acknowledged ──► over ── old ──► gone
//!                     │  ▲                                                                 │  ▲
//!                     │  └─ failed: again for a day ─┐                                     └──┘ failed: again
//!                     ├──────────────────────────────┘
//!                     ├── too large, no longer there ──► lost, and the message says why
//!                     └── its message is popped ──► forgotten, and never acknowledged
//! ```
//!
//! * **Who does what.** The guest decides which file, when, and in which state; the host streams a content to the disk
//!   (`next.fetch`), cleans its name, and removes what is old (`next.sweep`). A content never enters the guest.
//! * **Dialogues.** Files have lanes of their own beside the poller: lane 0 shows what was held back, acknowledges and
//!   sweeps; the others fetch. They share this value, and wake each other by the count of arrivals.
//! * **Holding back.** A row of a file is held for [`FOLLOWS_MS`]: the message that names it takes its place (it is
//!   *folded*), else it is shown alone. A message is held until its files are settled, at most [`HELD_MS`]. Messages
//!   without files pass both; what they pass says that it is late.
//! * **Acknowledging** takes the file away from the user's own canvas. So it follows the pop of every message that names
//!   the file, once that pop is on disk. It is for files that are the user's for sure: a row of the platform tells of
//!   it, and a message of the user names it. A row alone may tell of a file that this agent has sent from another
//!   process, or whose upload was never answered; the agent's own message to the user, which comes back as a row, names
//!   its files, so that they are known for own ones by whoever reads it.
//! * **The journal** says of a file what it is (`U`, absolute) and which files the agent has sent (`O`, synced before the
//!   user can see them). Whether a file is handled is not written: it is if no staged message names it. Where a damage
//!   may have taken such a message, files are left unacknowledged. Names on disk follow from the id of the file, so that
//!   one that is fetched again after a crash is the same file.

mod lane;
mod shown;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

pub(crate) use self::lane::{keep, sent};
use super::{
    event::Event,
    message::{Kind, Message},
    queue::{Fate, Staged},
};
use crate::{
    planted::{Bug, planted},
    platform::{activity::WaitingFile, uploads},
    uploads::{OwnUploads, REMEMBERED},
    wire::Instant,
};

/// A message that names a file follows its row within this time, or does not. More than the pause between two polls.
const FOLLOWS_MS: u64 = 8_000;

/// A message waits for its files at most so long. Agents wait for a message about as long.
const HELD_MS: u64 = 30_000;

/// The platform keeps a file for a day.
const LIFETIME_MS: u64 = 86_400_000;

const FIRST_PAUSE_MS: u64 = 5_000;
const LONGEST_PAUSE_MS: u64 = 300_000;

/// While files of the agent are on their way, or something else cannot be told yet.
const LOOK_AGAIN_MS: u64 = 1_000;

/// Files that are over and still known, for messages that name them again.
const MOST_OVER: usize = 1_024;

/// A file, as the journal says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct File {
    /// As the platform names it.
    pub(super) id: Rc<str>,
    /// The row in which the platform told of it. Without one the file is not acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    row: Option<Rc<str>>,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    mime: String,
    /// How many bytes it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// A message of the user has named it, so that it is the user's. Else it is not acknowledged.
    #[serde(default, skip_serializing_if = "is_false")]
    named: bool,
    pub(super) state: State,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// On the platform.
    Wanted,
    /// On disk, synced.
    Here { path: String, bytes: u64 },
    /// On disk as long as the operator keeps it; nothing is left to do.
    Over { path: String, bytes: u64 },
    /// Nowhere.
    Lost { why: String },
}

/// A file on its way.
#[derive(Debug)]
struct Entry {
    file: File,
    /// The messages that wait and name it.
    named_by: BTreeSet<Rc<str>>,
    /// A lane is at it.
    busy: bool,
    /// Since when it is known to this process.
    since: Instant,
    tries: u32,
    /// When it is tried again.
    next: Instant,
    /// Why the last try failed.
    trouble: Option<String>,
}

/// What a staged message brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) records: Vec<Event>,
    /// It has to wait for its files, or for the message that names it.
    pub(super) is_held: bool,
    /// The rows of files whose place it takes.
    pub(super) folds: Vec<Rc<str>>,
}

/// What the staged messages of a journal come to.
pub(super) struct Begun {
    /// What the journal has to say further.
    pub(super) records: Vec<Event>,
    /// As for [`Brought`].
    pub(super) folds: Vec<Rc<str>>,
    /// The messages that have to wait.
    pub(super) held: BTreeSet<Rc<str>>,
    /// The messages that have had to wait, or have to.
    pub(super) delayed: BTreeSet<Rc<str>>,
}

/// How many files are where.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Count {
    wanted: usize,
    here: usize,
    bytes_here: u64,
    over: usize,
    bytes_over: u64,
    lost: usize,
}

/// The files of one workspace, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(crate) struct Files {
    entries: Vec<Entry>,
    /// Ids of files that the agent itself has sent, oldest first.
    own: VecDeque<Rc<str>>,
    /// When the disk was swept.
    swept: Option<Instant>,
    /// Something may be shown in another way than before.
    changed: bool,
}

impl Files {
    /// Notes what a message that is about to be staged says of files; `told` is the file if its row is one about a file.
    pub(super) fn bring(
        &mut self,
        message: &Message,
        told: Option<WaitingFile>,
        (own, uploads): (&str, &OwnUploads),
        now: Instant,
    ) -> Brought {
        let mut brought = Brought::default();
        self.changed |= !message.attachments.is_empty();
        let row: Rc<str> = message.activity_id.as_str().into();
        let is_row = told.is_some() || self.is_row(&row);
        if let Some(told) = told {
            let file = File::told(&row, told, own);
            let id = Rc::clone(&file.id);
            self.learn(file, now, &mut brought.records);
            self.entry(&id).map(|entry| entry.named_by.insert(Rc::clone(&row)));
        }
        for (id, attachment) in named(message, own) {
            let is_own = attachment.uri.as_deref().is_some_and(|uri| uploads.contains(uri));
            if is_own && !is_row {
                continue;
            }
            if self.place(&id).is_none() {
                let (name, mime) = (attachment.name.clone(), attachment.mime_type.clone());
                let file = File {
                    state: first_state(&id),
                    id: Rc::clone(&id),
                    row: None,
                    name: name.unwrap_or_default(),
                    mime: mime.unwrap_or_default(),
                    size: None,
                    named: true,
                };
                self.learn(file, now, &mut brought.records);
            }
            let Some(entry) = self.entry(&id) else { continue };
            if !is_row && !std::mem::replace(&mut entry.file.named, true) {
                brought.records.push(Event::File(entry.file.clone()));
            }
            entry.named_by.insert(Rc::clone(&row));
            brought.is_held |= entry.file.state == State::Wanted;
            brought.folds.extend(entry.file.row.clone().filter(|told_in| *told_in != row));
        }
        brought.is_held |= is_row;
        brought
    }

    fn learn(&mut self, file: File, now: Instant, records: &mut Vec<Event>) {
        if let Some(entry) = self.entry(&file.id) {
            // The message came first, and did not say as much.
            if entry.file.row.is_none() {
                entry.file = File { state: entry.file.state.clone(), named: entry.file.named, ..file };
                records.push(Event::File(entry.file.clone()));
            }
            return;
        }
        records.push(Event::File(file.clone()));
        self.entries.push(Entry::new(file, now));
    }

    /// What a journal says of a file.
    pub(super) fn read(&mut self, file: File, now: Instant) {
        match self.entry(&file.id) {
            Some(entry) => entry.file = file,
            None => self.entries.push(Entry::new(file, now)),
        }
    }

    /// What a journal says of files that the agent has sent.
    pub(super) fn read_own(&mut self, files: Vec<Rc<str>>) {
        for file in files {
            if !self.own.contains(&file) {
                self.own.push_back(file);
            }
        }
        let surplus = self.own.len().saturating_sub(REMEMBERED);
        self.own.drain(..surplus);
    }

    /// Which files came with the agent's own message to the user, whichever process has sent it, as far as
    /// that is news.
    pub(super) fn sent_news<'a>(
        &self,
        addresses: impl Iterator<Item = &'a str>,
        own: &str,
        uploads: &mut OwnUploads,
    ) -> Option<Event> {
        let mut files: Vec<Rc<str>> = Vec::new();
        for address in addresses {
            if let Some(id) = uploads::file_id(address, own)
                && !self.own.iter().any(|known| **known == *id)
            {
                uploads.note(address);
                files.push(id.into());
            }
        }
        (!files.is_empty()).then_some(Event::Sent { files })
    }

    /// The journal is read: these messages wait.
    pub(super) fn begin<'a>(
        &mut self,
        staged: impl Iterator<Item = &'a Staged>,
        own: &str,
        damaged: bool,
        now: Instant,
    ) -> Begun {
        let (mut records, mut folds) = (Vec::new(), Vec::new());
        let (mut held, mut delayed) = (BTreeSet::new(), BTreeSet::new());
        let uploads = OwnUploads::of(own, self.own.iter());
        for staged in staged {
            let brought = self.bring(&staged.message, None, (own, &uploads), now);
            let is_row = self.is_row(&staged.message.activity_id);
            if brought.is_held || is_row {
                held.insert(staged.id());
            }
            if is_row || named(&staged.message, own).any(|(id, _)| self.place(&id).is_some()) {
                delayed.insert(staged.id());
            }
            records.extend(brought.records);
            folds.extend(brought.folds);
        }
        self.entries.retain(|entry| !entry.file.is_pointless(&entry.named_by));
        for entry in self.entries.iter_mut().filter(|entry| entry.named_by.is_empty()) {
            entry.file.is_over_unless_acknowledged();
        }
        if damaged {
            // A message that names it may be missing: then its pop would be, too.
            for entry in self.entries.iter_mut().filter(|entry| entry.named_by.is_empty()) {
                entry.file.give_up_acknowledging();
                records.push(Event::File(entry.file.clone()));
            }
        }
        Begun { records, folds, held, delayed }
    }

    /// A message was popped, and that is on disk; says whether a lane has something to do now.
    pub(super) fn handled(&mut self, message: &str) -> bool {
        let (mut due, mut is_last) = (false, false);
        for entry in &mut self.entries {
            if entry.named_by.remove(message) && entry.named_by.is_empty() {
                is_last = true;
                due |= matches!(entry.file.state, State::Here { .. });
                entry.file.is_over_unless_acknowledged();
            }
        }
        if is_last {
            self.entries.retain(|entry| !entry.file.is_pointless(&entry.named_by));
            self.forget_surplus();
        }
        due
    }

    fn forget_surplus(&mut self) {
        let is_over =
            |entry: &Entry| matches!(entry.file.state, State::Over { .. }) && entry.named_by.is_empty();
        let mut surplus =
            self.entries.iter().filter(|entry| is_over(entry)).count().saturating_sub(MOST_OVER);
        self.entries.retain(|entry| {
            let goes = surplus > 0 && is_over(entry);
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// What becomes of a message that is held.
    pub(super) fn fate(&self, staged: &Staged, (own, uploads): (&str, &OwnUploads), now: Instant) -> Fate {
        let message = &staged.message;
        let is_row = self.is_row(&message.activity_id);
        if is_row {
            let address = message.attachments.first().and_then(|file| file.uri.as_deref());
            if address.is_some_and(|address| uploads.contains(address)) {
                return Fate::Leaves;
            }
            if uploads.in_flight() {
                return Fate::Stays;
            }
        }
        let age = now.saturating_sub(staged.since());
        let waits = age < HELD_MS && named(message, own).any(|(id, _)| self.is_wanted(&id));
        if waits || (is_row && age < FOLLOWS_MS) { Fate::Stays } else { Fate::Shows }
    }

    /// When something is to be decided about a message that is held, at the latest.
    fn decides_at(&self, staged: &Staged, now: Instant) -> Instant {
        let times = [FOLLOWS_MS, HELD_MS].map(|span| staged.since().saturating_add(span));
        times.into_iter().find(|time| *time > now).unwrap_or_else(|| now.saturating_add(LOOK_AGAIN_MS))
    }

    pub(super) fn is_row(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| entry.file.row.as_deref() == Some(id))
    }

    fn is_wanted(&self, id: &str) -> bool {
        self.entries.iter().any(|entry| *entry.file.id == *id && entry.file.state == State::Wanted)
    }

    /// All that a journal has to say.
    pub(super) fn records(&self) -> impl Iterator<Item = Event> {
        let files = self.entries.iter().filter(|entry| !entry.file.is_pointless(&entry.named_by));
        let own = (!self.own.is_empty()).then(|| Event::Sent { files: self.own.iter().cloned().collect() });
        own.into_iter().chain(files.map(|entry| Event::File(entry.file.clone())))
    }

    /// What is known of a file.
    pub(super) fn record_of(&self, id: &str) -> Option<Event> {
        self.place(id).and_then(|place| self.entries.get(place)).map(|entry| Event::File(entry.file.clone()))
    }

    pub(super) fn own(&self) -> impl Iterator<Item = &Rc<str>> {
        self.own.iter()
    }

    pub(super) fn count(&self) -> Count {
        let mut count = Count::default();
        for entry in &self.entries {
            match entry.file.state {
                State::Wanted => count.wanted += 1,
                State::Here { bytes, .. } => {
                    count.here += 1;
                    count.bytes_here += bytes;
                }
                State::Over { bytes, .. } => {
                    count.over += 1;
                    count.bytes_over += bytes;
                }
                State::Lost { .. } => count.lost += 1,
            }
        }
        count
    }

    /// The file that is to be fetched next, if there is one; a lane is at it from now on.
    fn claim_wanted(&mut self, now: Instant) -> Option<File> {
        self.claim(now, |entry| entry.file.state == State::Wanted)
    }

    /// The file that is to be acknowledged next, if there is one.
    fn claim_handled(&mut self, now: Instant) -> Option<File> {
        self.claim(now, Entry::is_handled)
    }

    fn claim(&mut self, now: Instant, is_meant: impl Fn(&Entry) -> bool) -> Option<File> {
        let entry =
            self.entries.iter_mut().find(|entry| !entry.busy && entry.next <= now && is_meant(entry))?;
        entry.busy = true;
        Some(entry.file.clone())
    }

    /// When the next file is to be fetched, or acknowledged.
    fn next(&self, is_meant: impl Fn(&Entry) -> bool) -> Option<Instant> {
        self.entries.iter().filter(|entry| !entry.busy && is_meant(entry)).map(|entry| entry.next).min()
    }

    /// The lane is no longer at it.
    fn let_go(&mut self, id: &str) {
        if let Some(entry) = self.entry(id) {
            entry.busy = false;
        }
    }

    /// A file has got somewhere; the record of that, unless nobody wants it any more.
    fn moves(&mut self, id: &str, state: State, mime: String) -> Option<Event> {
        self.changed = true;
        let entry = self.entry(id)?;
        entry.file.state = state;
        if !mime.is_empty() {
            entry.file.mime = mime;
        }
        (entry.tries, entry.next, entry.trouble) = (0, 0, None);
        Some(Event::File(entry.file.clone()))
    }

    /// A try has failed.
    fn failed(&mut self, id: &str, why: &str, asked_for: Option<u64>, now: Instant) -> Option<Failed> {
        let entry = self.entry(id)?;
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << entry.tries.min(6)).min(LONGEST_PAUSE_MS);
        entry.next = now.saturating_add(pause.max(asked_for.unwrap_or(0)));
        entry.tries = entry.tries.saturating_add(1);
        let is_news = entry.trouble.as_deref() != Some(why);
        entry.trouble = Some(why.to_owned());
        let is_last = now.saturating_sub(entry.since) >= LIFETIME_MS;
        self.changed |= is_news;
        Some(Failed { is_news, is_last })
    }

    /// Whether something is to be shown in another way than when this was asked the last time.
    pub(super) const fn has_changed(&mut self) -> bool {
        std::mem::replace(&mut self.changed, false)
    }

    /// The paths of files that a message needs, or that are not acknowledged.
    fn needed(&self) -> Vec<String> {
        let path = |entry: &Entry| match &entry.file.state {
            State::Here { path, .. } => Some(path.clone()),
            State::Over { path, .. } => (!entry.named_by.is_empty()).then(|| path.clone()),
            State::Lost { .. } | State::Wanted => None,
        };
        self.entries.iter().filter_map(path).collect()
    }

    /// These files are gone from the disk.
    fn removed(&mut self, paths: &[String]) {
        self.entries.retain(|entry| match &entry.file.state {
            State::Over { path, .. } => !paths.contains(path),
            State::Here { .. } | State::Lost { .. } | State::Wanted => true,
        });
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.entries.iter().position(|entry| *entry.file.id == *id)
    }

    fn entry(&mut self, id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| *entry.file.id == *id)
    }
}

/// What became of a try.
struct Failed {
    /// The one before has not failed for the same reason.
    is_news: bool,
    /// There is no other one.
    is_last: bool,
}

impl Entry {
    const fn new(file: File, now: Instant) -> Self {
        Self { file, named_by: BTreeSet::new(), busy: false, since: now, tries: 0, next: 0, trouble: None }
    }

    /// Whether the platform may take it away from the user.
    fn is_handled(&self) -> bool {
        let is_popped = self.named_by.is_empty() || planted(Bug::FileAckedUnhandled);
        is_popped && self.file.is_acknowledged() && matches!(self.file.state, State::Here { .. })
    }
}

impl File {
    /// What a row says of a file.
    fn told(row: &Rc<str>, told: WaitingFile, own: &str) -> Self {
        let id = if told.file_id.is_empty() {
            uploads::file_id(&told.uri, own).unwrap_or_default().to_owned()
        } else {
            told.file_id
        };
        Self {
            state: first_state(&id),
            id: id.into(),
            row: Some(Rc::clone(row)),
            name: told.name,
            mime: told.mime_type,
            size: told.size,
            named: false,
        }
    }

    /// Nothing waits for it, and nothing is left to do with it or to know of it.
    fn is_pointless(&self, named_by: &BTreeSet<Rc<str>>) -> bool {
        named_by.is_empty() && matches!(self.state, State::Lost { .. } | State::Wanted)
    }

    /// Whether the platform is told once it is handled: a row has told of it, and it is the user's for sure. A row
    /// alone may also tell of a file that another process of this agent has sent.
    const fn is_acknowledged(&self) -> bool {
        self.row.is_some() && self.named
    }

    fn is_over_unless_acknowledged(&mut self) {
        if !self.is_acknowledged() {
            self.give_up_acknowledging();
        }
    }

    fn give_up_acknowledging(&mut self) {
        if let State::Here { path, bytes } = &self.state {
            self.state = State::Over { path: path.clone(), bytes: *bytes };
        }
    }
}

/// The files of this workspace that a message of the user names.
fn named<'a>(
    message: &'a Message,
    own: &'a str,
) -> impl Iterator<Item = (Rc<str>, &'a crate::platform::parts::Attachment)> {
    let from_user = message.kind == Kind::CanvasUser;
    message.attachments.iter().filter(move |_| from_user).filter_map(move |attachment| {
        Some((uploads::file_id(attachment.uri.as_deref()?, own)?.into(), attachment))
    })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_false(named: &bool) -> bool {
    !*named
}

/// What the platform gives no id for cannot be asked for.
fn first_state(id: &str) -> State {
    if uuid::Uuid::try_parse(id).is_ok() {
        return State::Wanted;
    }
    State::Lost { why: "the platform gives it an id that is none".to_owned() }
}

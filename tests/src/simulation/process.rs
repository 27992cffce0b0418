//! A process of the program: the guest's own logic, its files, and what its dialogues wait for.

use std::collections::{BTreeMap, BTreeSet};

use molecule_logic::Agent as Guest;

use super::{
    agent::Call,
    chance::Chance,
    disk::Disk,
    files::Files,
    platform::Time,
    wire::{FetchRequest, FileChange, Permissions, Saved, Settings, Turn, WakeRules, WorkspaceSettings},
};

/// The dialogue that fetches messages.
pub(super) const POLLER: u64 = 1;

/// The dialogues that take care of files, one a lane.
pub(super) const LANES: [u64; 3] = [2, 3, 4];

/// The dialogue that rings.
pub(super) const BELL: u64 = 5;

/// More rings in a minute are not allowed.
pub(super) const MOST_RINGS: u32 = 4;

/// A write counts as so many bytes more.
const WRITE_COST: usize = 8_192;

/// Names something that a dialogue waits for.
pub(super) type Ticket = u64;

/// What a dialogue waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// That there are more arrivals than this, or a time.
    Arrivals(u64),
    /// That there are more hints than this, or a time. The earlier one holds without events.
    Hints { over: u64, until: Time, with_events: Time },
    /// An answer, a file, or a time.
    Other,
}

/// One life, from a start to a crash.
pub(super) struct Process {
    guest: Guest,
    /// Its files.
    pub(super) files: Files,
    /// What its dialogues wait for, and which dialogue it is.
    pub(super) waiting: BTreeMap<Ticket, (u64, Wait)>,
    /// Calls of the agent that are not answered.
    pub(super) calls: BTreeMap<u64, (Call, Time)>,
    /// How many messages the guest says have arrived.
    pub(super) arrivals: u64,
    /// Hints so far.
    pub(super) hints: u64,
    /// The platform's events come in.
    pub(super) hears_events: bool,
    /// When the disk is done with what it was given.
    pub(super) disk_busy_until: Time,
    /// The cursor file is going to be brought up to date.
    pub(super) settles: bool,
    /// Changes of files that are not answered.
    pub(super) stores: BTreeSet<Ticket>,
    /// The records of the journal, as far as it is known.
    pub(super) journal: Vec<String>,
    /// Bytes that were written since they were compared with what the guest knows.
    written: usize,
    /// Files that are being fetched.
    pub(super) fetches: BTreeMap<Ticket, FetchRequest>,
    settings: Settings,
    /// The process's clock did not begin with the simulation's.
    offset: u64,
    dialogues: u64,
}

impl Process {
    /// A process that has not read anything.
    pub(super) fn start(workspace: &str, disk: Disk, chance: &mut Chance) -> Self {
        let settings = settings(workspace, chance);
        Self {
            guest: Guest::start(settings.clone()),
            files: Files::new(disk),
            waiting: BTreeMap::new(),
            calls: BTreeMap::new(),
            arrivals: 0,
            hints: 0,
            hears_events: false,
            disk_busy_until: 0,
            settles: false,
            stores: BTreeSet::new(),
            journal: Vec::new(),
            written: 0,
            settings,
            offset: chance.within(0..=1_000_000_000),
            fetches: BTreeMap::new(),
            dialogues: BELL,
        }
    }

    /// The guest has trapped: another one takes its place, and knows nothing.
    pub(super) fn trap(&mut self) {
        self.guest = Guest::start(self.settings.clone());
        self.waiting.clear();
        self.stores.clear();
        self.fetches.clear();
        self.calls.clear();
        self.arrivals = 0;
    }

    /// Begins to fetch.
    pub(super) fn open_inbox(&mut self, saved: Saved, now: Time) -> Turn {
        self.journal.clone_from(&saved.journal);
        self.guest.open_inbox(POLLER, 0, saved, self.instant(now))
    }

    /// Begins to take care of files in a lane.
    pub(super) fn open_files(&mut self, dialogue: u64, now: Time) -> Turn {
        let lane = LANES.iter().position(|lane| *lane == dialogue).and_then(|lane| u32::try_from(lane).ok());
        self.guest.open_files(dialogue, 0, lane.unwrap_or(0), self.instant(now))
    }

    /// Begins to ring.
    pub(super) fn open_wake(&mut self, now: Time) -> Turn {
        let rules = WakeRules { users: true, peers: None, most_a_minute: MOST_RINGS, batch_ms: 10_000 };
        self.guest.open_wake(BELL, rules, self.instant(now))
    }

    /// Begins a call of the agent; its dialogue, and the first turn.
    pub(super) fn open_call(&mut self, call: &Call, now: Time) -> (u64, Turn) {
        self.dialogues += 1;
        self.calls.insert(self.dialogues, (call.clone(), now));
        let arguments = call.arguments().to_string();
        let turn = self.guest.open_tool(self.dialogues, call.tool(), &arguments, self.instant(now));
        (self.dialogues, turn)
    }

    /// Begins to bring the cursor file up to date; its dialogue, and the first turn.
    pub(super) fn settle(&mut self, now: Time) -> (u64, Turn) {
        self.dialogues += 1;
        (self.dialogues, self.guest.settle_inbox(self.dialogues, 0, self.instant(now)))
    }

    /// Goes on with a dialogue.
    pub(super) fn resume(&mut self, dialogue: u64, outcome: super::wire::Outcome, now: Time) -> Turn {
        self.guest.resume(dialogue, outcome, self.instant(now))
    }

    /// A change is in the journal.
    pub(super) fn is_stored(&mut self, change: &FileChange) {
        let records = match change {
            FileChange::Append(append) => &append.records,
            FileChange::Rewrite(rewrite) => {
                self.journal.clear();
                &rewrite.records
            }
            FileChange::Cursor(_) | FileChange::InboundSecret(_) => return,
        };
        self.written += WRITE_COST + records.iter().map(String::len).sum::<usize>();
        self.journal.extend_from_slice(records);
    }

    /// In what the journal differs from what the guest knows, if no change is under way. That takes as long as it is
    /// large, so a large one is compared less often.
    pub(super) fn disagreement(&mut self) -> Option<String> {
        let bytes: usize = self.journal.iter().map(String::len).sum();
        if !self.stores.is_empty() || self.written < bytes {
            return None;
        }
        self.written = 0;
        self.guest.disagreement(0, &self.journal)
    }

    /// Gives a call up.
    pub(super) fn cancel(&mut self, dialogue: u64, now: Time) {
        self.calls.remove(&dialogue);
        self.waiting.retain(|_, (waits, _)| *waits != dialogue);
        self.guest.cancel(dialogue, self.instant(now));
    }

    /// When an instant of the guest's is.
    pub(super) const fn time(&self, instant: u64) -> Time {
        instant.saturating_sub(self.offset).saturating_mul(1_000)
    }

    const fn instant(&self, now: Time) -> u64 {
        now / 1_000 + self.offset
    }
}

fn settings(workspace: &str, chance: &mut Chance) -> Settings {
    let mut any = || chance.any();
    Settings {
        seed: (any(), any(), any(), any()),
        workspaces: vec![WorkspaceSettings {
            id: workspace.to_owned(),
            platform: "http://platform.test".to_owned(),
        }],
        inbox: true,
        redeliver: false,
        notice: true,
        // The facts of an answer are easier to read than its words.
        structured: true,
        bare_peer_text: true,
        delegate_durably: false,
        durable_budget_secs: 300,
        poll_timeout_secs: 60,
        permissions: Permissions { roles: Vec::new(), allowed_actions: Vec::new(), tier: 3 },
    }
}

//! One life from its seed: everything that happens, in its order, on one clock.
//!
//! ```text
//!              ┌─────────── what happens next ──────────┐
//!              ▼                                        │
//! clock ──► people write, things break ──► platform     │
//!       ──► the agent calls a tool ──► guest ──► turn ──┤ request, file, pause
//!       ──► a file operation, perhaps the last ──► disk ┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{
    agent::{Agent, Mood},
    chance::Chance,
    disk::{Crash, Disk, End},
    harm::Harm,
    history::History,
    medium::Survivors,
    plan::{Kind, Plan},
    platform::{Platform, Time, Writing},
    process::{Process, Ticket, Wait},
    wire::{FileUpdate, Outcome, PlatformRequest},
};

pub(super) const SECOND: Time = 1_000_000;

/// When there is something in the journal that can be harmed.
const HARM_AT: Time = 60 * SECOND;

/// After the calm, everything that still becomes visible has to be found by a sweep.
const SHORTEST_CALM: Time = 200 * SECOND;

/// Whatever has not worked so long after the calm does not work.
const LONGEST_CALM: Time = 1_500 * SECOND;

/// Between two looks whether all is done.
const LOOK: Time = 5 * SECOND;

/// What nobody popped would come again within this time after a restart.
const AFTER_RESTART: Time = 30 * SECOND;

/// More than this in one instant goes round in circles.
const MOST_AT_ONCE: u32 = 5_000;

/// What is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// The agent does something.
    Act(u64),
    /// Another implementation looks for messages, until its turn is over.
    Another(Time),
    /// A dialogue is answered.
    Answer(Ticket, Outcome),
    /// A request arrives at the platform.
    Arrive(Ticket, PlatformRequest),
    /// Something breaks.
    Break,
    /// Everything works from here on.
    Calm,
    /// A client gives a call up.
    Cancel(u64, u64),
    /// The disk works again.
    DiskHeals,
    /// The end may have come.
    End,
    /// The journal is harmed at a byte.
    Harm(Harm, usize),
    /// Something on the platform may mean a row.
    Hint(u64),
    /// A content has come, and gets to the disk.
    Keep(u64, Ticket, Vec<u8>),
    /// The line works again.
    LineHeals,
    /// The inbox of a process is opened.
    Open(u64),
    /// A row becomes visible.
    Release(String),
    /// The cursor file is brought up to date.
    Settle(u64),
    /// A process starts.
    Start,
    /// A file changes.
    Store(u64, Ticket, Box<FileUpdate>),
    /// A pause is over.
    Timer(Ticket),
    /// Somebody writes.
    Write,
}

/// Everything there is.
pub(super) struct World<'a> {
    pub(super) now: Time,
    events: BTreeMap<(Time, u64), Event>,
    planned: u64,
    pub(super) plan: Plan,
    pub(super) platform: Platform,
    pub(super) disk: Disk,
    pub(super) process: Option<Process>,
    /// The processes so far.
    pub(super) starts: u64,
    pub(super) down_since: Option<Time>,
    pub(super) agent: Agent,
    pub(super) history: History,
    pub(super) chance: Chance,
    pub(super) tickets: Ticket,
    /// Rows that are not visible yet.
    held: BTreeSet<String>,
    /// Another implementation runs.
    pub(super) another: bool,
    /// The journal was damaged since the last start.
    pub(super) damaged: bool,
    pub(super) calm: bool,
    /// The last restart, by which what is over has to stay away.
    pub(super) restarted: bool,
    /// What the inbox showed last, if it showed all.
    pub(super) left: BTreeSet<String>,
    pub(super) at_once: u32,
    trace: Option<&'a mut dyn FnMut(&str)>,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(None, &mut chance.fork());
        Self::of(plan, chance, trace)
    }

    /// As [`World::new`], where a kind of incident happens in any case, and which is over sooner.
    pub(super) fn inviting(seed: u64, kind: Option<Kind>) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::new(kind, &mut chance.fork()).with_short_texts();
        Self::of(plan, chance, None)
    }

    /// Where nothing breaks by itself.
    pub(super) fn quiet(trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut chance = Chance::new(0);
        let plan = Plan::quiet(&mut chance.fork());
        Self::of(plan, chance, trace)
    }

    /// Where nothing breaks, but another implementation takes turns with ours.
    pub(super) fn of_two(seed: u64, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::of_two(&mut chance.fork());
        Self::of(plan, chance, trace)
    }

    /// Where little breaks, and the agent does hardly anything by itself.
    pub(super) fn of_sleeper(seed: u64, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let mut chance = Chance::new(seed);
        let plan = Plan::of_sleeper(&mut chance.fork());
        let mut world = Self::of(plan, chance, trace);
        world.agent.mood = Mood::Asleep;
        world
    }

    /// The power is cut in the file operation of this number.
    pub(super) fn cut(self, operation: u64, survivors: Survivors) -> Self {
        self.disk.end_in(End::After(operation), Crash::PowerCut(survivors));
        self
    }

    /// The journal is harmed at a byte, once there is something in it.
    pub(super) fn harmed(mut self, harm: Harm, at: usize) -> Self {
        self.plan_at(HARM_AT, Event::Harm(harm, at));
        self
    }

    fn of(plan: Plan, mut chance: Chance, trace: Option<&'a mut dyn FnMut(&str)>) -> Self {
        let platform = Platform::new(&plan, chance.fork());
        let disk = Disk::new(chance.fork());
        let agent = Agent::new(chance.fork());
        let mut world = Self {
            now: 0,
            events: BTreeMap::new(),
            planned: 0,
            plan,
            platform,
            disk,
            process: None,
            starts: 0,
            down_since: None,
            agent,
            history: History::default(),
            chance,
            tickets: 0,
            held: BTreeSet::new(),
            another: false,
            damaged: false,
            calm: false,
            restarted: false,
            left: BTreeSet::new(),
            at_once: 0,
            trace,
        };
        let calm_at = world.plan.calm_at;
        world.plan_at(world.now, Event::Write);
        if world.plan.begins_with_another {
            world.begin_another();
        } else {
            world.plan_at(SECOND, Event::Start);
        }
        world.plan_at(2 * SECOND, Event::Break);
        world.plan_at(calm_at, Event::Calm);
        world.tell(|world| format!("{:?}", world.plan));
        world
    }

    /// Lives to the end, or up to the first thing that must not happen.
    pub(super) fn live(mut self) -> History {
        while let Some(((time, _), event)) = self.events.pop_first() {
            self.at_once = if time == self.now { self.at_once + 1 } else { 0 };
            self.now = time;
            if self.at_once > MOST_AT_ONCE {
                self.history
                    .violate(self.now, format!("stuck: everything goes round in circles, as in {event:?}"));
            }
            if !self.history.violations().is_empty() || self.happens(event) {
                break;
            }
            if let Some(crash) = self.disk.ended_by()
                && self.process.is_some()
            {
                self.has_crashed(crash);
            }
        }
        for violation in self.history.violations().to_vec() {
            self.tell(|_| format!("VIOLATION {violation}"));
        }
        self.history
    }

    pub(super) fn plan_at(&mut self, time: Time, event: Event) {
        self.planned += 1;
        self.events.insert((time.max(self.now), self.planned), event);
    }

    pub(super) fn plan_in(&mut self, span: Time, event: Event) {
        self.plan_at(self.now + span, event);
    }

    pub(super) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if let Some(trace) = self.trace.take() {
            let line = line(self);
            trace(&format!("{:>12.6} {line}", self.seconds()));
            self.trace = Some(trace);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn seconds(&self) -> f64 {
        self.now as f64 / 1e6
    }

    /// True at the end.
    fn happens(&mut self, event: Event) -> bool {
        match event {
            Event::Act(process) => self.act(process),
            Event::Another(until) => self.another_looks(until),
            Event::Answer(ticket, outcome) => self.answer(ticket, outcome),
            Event::Arrive(ticket, request) => self.arrive(ticket, &request),
            Event::Break => self.break_something(),
            Event::Calm => self.calm_down(),
            Event::Cancel(process, dialogue) => self.cancel(process, dialogue),
            Event::DiskHeals => self.heal_disk(),
            Event::End => return self.end(),
            Event::Harm(harm, at) => self.harm(harm, at),
            Event::Hint(process) => self.hint(process),
            Event::Keep(process, ticket, content) => self.keep(process, ticket, &content),
            Event::LineHeals => self.platform.turn_bad(None),
            Event::Open(process) => self.open(process),
            Event::Release(row) => self.release(&row),
            Event::Settle(process) => self.settle(process),
            Event::Start => self.start(),
            Event::Store(process, ticket, update) => self.store(process, ticket, *update),
            Event::Timer(ticket) => self.timer(ticket),
            Event::Write => self.write(),
        }
        false
    }
}

/// People and the platform.
impl World<'_> {
    fn write(&mut self) {
        let written = u64::try_from(self.platform.rows.len()).unwrap_or(u64::MAX);
        if self.calm || written >= self.plan.most_messages {
            return;
        }
        for (mut writing, visible_at) in self.plan.burst(self.now, &mut self.chance) {
            writing.created_at = self.platform.time(writing.created_at);
            self.write_one(&writing, visible_at);
        }
        let away = self.away();
        let silence = self.plan.silence(away, &mut self.chance);
        self.plan_in(silence, Event::Write);
    }

    /// How long no process has been running.
    pub(super) fn away(&self) -> Time {
        self.down_since.map_or(0, |since| self.now - since)
    }

    fn write_one(&mut self, writing: &Writing, visible_at: Time) {
        if writing.file && self.platform.takes_files() {
            return self.write_with_file(writing);
        }
        let Some(id) = self.platform.write(writing, self.now) else { return };
        self.tell(|_| format!("written {id} {writing:?}"));
        if writing.held {
            self.held.insert(id.clone());
            self.plan_at(visible_at, Event::Release(id));
        } else {
            self.may_hint();
        }
    }

    /// The user sends a file, and mostly says something with it.
    fn write_with_file(&mut self, writing: &Writing) {
        let says = self.chance.percent(80);
        let Some((file, rows)) = self.platform.send_file(writing, says, self.now) else { return };
        self.tell(|_| format!("file {file} sent, in the rows {rows:?}"));
        self.history.sent(file, rows);
        self.may_hint();
    }

    fn release(&mut self, id: &str) {
        if self.held.remove(id) {
            self.tell(|_| format!("visible {id}"));
            self.platform.release(id, self.now);
            self.may_hint();
        }
    }

    fn may_hint(&mut self) {
        let Some(process) = self.process.as_ref().filter(|process| process.hears_events) else { return };
        // Bursts come to one event, as far as anybody can tell.
        let quiet = process.waiting.values().any(|(_, wait)| matches!(wait, Wait::Hints { .. }));
        let delay = match self.chance.below(100) {
            0..=6 => return,
            7..=14 => self.chance.within(1..=10 * SECOND),
            15.. => self.chance.within(500..=10_000),
        };
        if quiet || self.chance.percent(20) {
            self.plan_in(delay, Event::Hint(self.starts));
        }
    }
}

/// Lives and ends.
impl World<'_> {
    fn start(&mut self) {
        self.starts += 1;
        self.down_since = None;
        self.another_is_gone();
        self.disk.start();
        let workspace = self.platform.workspace();
        self.process = Some(Process::start(&workspace, self.disk.clone(), &mut self.chance));
        self.tell(|world| format!("START {}", world.starts));
        self.open(self.starts);
        if std::mem::take(&mut self.damaged) {
            self.history.damaged(self.now);
        }
        self.turn_events();
        self.restart_agent();
    }

    pub(super) fn restart_agent(&mut self) {
        for _ in 0..self.chance.within(1..=2) {
            self.plan_in(1_000, Event::Act(self.starts));
        }
    }

    /// An agent that has long pauses has none now.
    pub(super) fn act_soon(&mut self) {
        let acts = self.events.values().filter(|event| matches!(event, Event::Act(_))).count();
        self.events.retain(|_, event| !matches!(event, Event::Act(_)));
        for _ in 0..acts {
            self.plan_in(1_000, Event::Act(self.starts));
        }
    }

    pub(super) fn turn_events(&mut self) {
        let on = self.calm || self.chance.percent(70);
        if let Some(process) = &mut self.process {
            process.hears_events = on;
            self.plan_in(0, Event::Hint(self.starts));
        }
    }

    fn calm_down(&mut self) {
        if self.now < self.plan.calm_at {
            return self.plan_at(self.plan.calm_at, Event::Calm);
        }
        self.calm = true;
        self.tell(|_| "CALM".to_owned());
        self.platform.turn_bad(None);
        self.heal_disk();
        self.disk.do_not_end();
        for id in self.held.clone() {
            self.release(&id);
        }
        self.agent.mood = Mood::Clears;
        if self.plan.sleeps {
            self.act_soon();
        }
        if self.process.is_none() {
            self.events.retain(|_, event| !matches!(event, Event::Start | Event::Another(_)));
            self.start();
        }
        self.turn_events();
        self.plan_in(SHORTEST_CALM, Event::End);
    }

    fn end(&mut self) -> bool {
        if self.restarted {
            return true;
        }
        let rows = &self.platform.rows;
        let given_up = self.now > self.plan.calm_at + LONGEST_CALM;
        if !given_up && !self.history.is_complete(rows) {
            self.plan_in(LOOK, Event::End);
            return false;
        }
        self.history.judge(&self.left, rows, self.now);
        // What is over has to stay away.
        self.restarted = true;
        self.disk.crash(Crash::Kill);
        self.plan_in(AFTER_RESTART, Event::End);
        false
    }
}

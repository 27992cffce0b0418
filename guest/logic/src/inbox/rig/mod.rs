//! A platform with an activity log, and a poller driven by hand against it.

mod lanes;
mod platform;
mod story;

use std::rc::Rc;

use serde_json::{Value, json};

use self::{lanes::Lanes, platform::query};
pub(crate) use self::{
    platform::{Platform, error},
    story::{assert_recovered, story},
};
use crate::{
    dialogue::Dialogue,
    platform::{
        activity::{self, Reach, Row},
        stamp::Stamp,
    },
    testing::{Call, settings},
    tools,
    wire::{
        Effect, FileChange, Instant, Level, LogLine, Next, Outcome, PlatformResponse, Saved, Settings, Turn,
    },
    world::World,
};

pub(crate) const PEER: &str = "22222222-2222-4222-8222-222222222222";

/// 2026-05-01T00:00:00Z, in microseconds.
const BEGINNING: i64 = 1_777_593_600_000_000;

/// A row as the platform would send it.
pub(crate) fn row(json: &Value) -> Row {
    let response = answer(200, &json!([json]));
    activity::page(&response, &Reach::After("x".to_owned()), 500).unwrap().rows.remove(0)
}

/// Rows from the JSON of a page.
pub(crate) fn rows(json: &str) -> Vec<Row> {
    let response = PlatformResponse { body: json.into(), ..answer(200, &Value::Null) };
    activity::page(&response, &Reach::After("x".to_owned()), 500).unwrap().rows
}

fn answer(status: u16, body: &Value) -> PlatformResponse {
    PlatformResponse {
        status,
        json: true,
        retry_after_ms: None,
        server_time_ms: None,
        body: body.to_string().into_bytes(),
    }
}

/// A process with a poller and a disk.
pub(crate) struct Rig {
    pub(crate) world: Rc<World>,
    pub(crate) platform: Platform,
    pub(crate) now: Instant,
    /// The cursor file.
    pub(crate) file: Option<String>,
    /// The records of the journal.
    pub(crate) journal: Vec<String>,
    /// How many of them survive a power cut.
    synced: usize,
    /// How many of them stand before a damage.
    pub(crate) damaged_after: Option<u32>,
    /// Copies of the journal were put aside so often.
    pub(crate) copies: usize,
    /// How often the journal was written anew, and how often synced appends were made.
    pub(crate) rewrites: usize,
    pub(crate) syncs: usize,
    pub(crate) disk_full: bool,
    /// Changes of the file so far.
    pub(crate) stores: usize,
    /// How many messages those who rest were woken for.
    pub(crate) arrived: Option<u64>,
    /// The last count by which those who rest are woken.
    news: u64,
    /// The cursor file is to be brought up to date.
    pub(crate) handled: bool,
    /// There is room again.
    pub(crate) look_again: bool,
    pub(crate) said: Vec<LogLine>,
    settings: Settings,
    /// The dialogues of files, if they are to run.
    lanes: Lanes,
    /// Until when it rests, and, if it listens, after how many hints.
    poller: Option<(Dialogue, Instant, Option<u64>)>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::of(settings())
    }

    pub(crate) fn of(settings: Settings) -> Self {
        Self {
            world: Rc::new(World::new(settings.clone())),
            platform: Platform::new(),
            now: 1_000_000,
            file: None,
            journal: Vec::new(),
            synced: 0,
            damaged_after: None,
            copies: 0,
            rewrites: 0,
            syncs: 0,
            disk_full: false,
            stores: 0,
            arrived: None,
            news: 0,
            handled: false,
            look_again: false,
            said: Vec::new(),
            lanes: Lanes::default(),
            settings,
            poller: None,
        }
    }

    /// Begins to poll, up to the first rest.
    pub(crate) fn start(&mut self) {
        let world = Rc::clone(&self.world);
        let (journal, damaged_after) = (self.journal.clone(), self.damaged_after.take());
        let saved = Saved { cursor: self.file.clone(), journal, damaged_after };
        let (dialogue, turn) =
            Dialogue::open(self.now, |host| async move { super::poll(host, world, 0, saved).await });
        self.carry_out(dialogue, turn);
        self.open_lanes();
    }

    /// The process is killed, and another one starts.
    pub(crate) fn restart(&mut self) {
        self.world = Rc::new(World::new(self.settings.clone()));
        (self.poller, self.news) = (None, 0);
        self.start();
    }

    /// The process is killed, and another one goes on with the session of this name, or begins it.
    pub(crate) fn restart_in(&mut self, session: &str) {
        self.world = Rc::new(World::new(self.settings.clone()));
        self.world.inbox.borrow_mut().queue_mut().belongs_to(session.into());
        (self.poller, self.news) = (None, 0);
        self.start();
    }

    /// The power fails: records that are not synced are lost. Another process starts.
    pub(crate) fn cut_power(&mut self) {
        self.journal.truncate(self.synced);
        self.restart();
    }

    /// Lets time go by.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some((_, until, _)) = self.poller.as_ref()
            && *until <= end
        {
            self.run_lanes(*until);
            let (mut dialogue, until, hints) = self.poller.take().unwrap();
            self.advance(until);
            let turn = dialogue.resume(hints.map_or(Outcome::Rested, Outcome::Heard), self.now);
            self.carry_out(dialogue, turn);
            self.run_lanes(self.now);
        }
        self.run_lanes(end);
        self.advance(end);
    }

    fn advance(&mut self, to: Instant) {
        self.platform.clock += i64::try_from(to - self.now).unwrap() * 1_000;
        self.now = to;
    }

    /// The platform has sent an event.
    pub(crate) fn hint(&mut self) {
        let (mut dialogue, _, hints) = self.poller.take().unwrap();
        let turn = dialogue.resume(Outcome::Heard(hints.unwrap() + 1), self.now);
        self.carry_out(dialogue, turn);
    }

    /// Whether the poller waits for hints.
    pub(crate) fn listens(&self) -> bool {
        self.poller.as_ref().is_some_and(|(_, _, hints)| hints.is_some())
    }

    /// The process ends.
    pub(crate) fn stop(&mut self) {
        self.poller = None;
    }

    /// Another machine in the same state.
    pub(crate) fn again(&self) -> Self {
        let mut platform = Platform::new();
        platform.log.clone_from(&self.platform.log);
        (platform.clock, platform.rows_made) = (self.platform.clock, self.platform.rows_made);
        Self {
            platform,
            now: self.now,
            file: self.file.clone(),
            journal: self.journal.clone(),
            ..Self::of(self.settings.clone())
        }
    }

    /// What is on disk.
    pub(crate) fn saved(&self) -> Saved {
        Saved { cursor: self.file.clone(), journal: self.journal.clone(), damaged_after: self.damaged_after }
    }

    /// How long the poller rests.
    pub(crate) fn rests_for(&self) -> u64 {
        self.poller.as_ref().unwrap().1 - self.now
    }

    fn carry_out(&mut self, mut dialogue: Dialogue, mut turn: Turn) {
        loop {
            self.perform(&turn);
            let outcome = match turn.next {
                Next::Listen(listen) => {
                    self.poller = Some((dialogue, listen.until, Some(listen.hints_over)));
                    return;
                }
                Next::Rest(rest) => {
                    self.poller = Some((dialogue, rest.until, None));
                    return;
                }
                Next::Send(request) => self.platform.handle(&request),
                Next::Store(update) => self.store(update.change),
                Next::Fetch(_)
                | Next::Finish(_)
                | Next::Reply(_)
                | Next::Sweep(_)
                | Next::TakeOver(_)
                | Next::Upload(_) => {
                    panic!("a poller does not do this: {:?}", turn.next)
                }
            };
            turn = dialogue.resume(outcome, self.now);
        }
    }

    fn perform(&mut self, turn: &Turn) {
        for effect in &turn.effects {
            match effect {
                Effect::Arrived(arrival) => {
                    self.news = arrival.count;
                    let arrivals = self.world.inbox.borrow().queue().arrivals();
                    self.arrived = Some(arrivals).filter(|arrivals| *arrivals > 0);
                }
                Effect::Handled(_) => self.handled = true,
                Effect::Log(line) => self.said.push(line.clone()),
                Effect::LookAgain(_) => self.look_again = true,
                Effect::Report(_) | Effect::Ring(_) | Effect::Working(_) => {
                    panic!("an inbox does not do this: {effect:?}")
                }
            }
        }
    }

    fn store(&mut self, change: FileChange) -> Outcome {
        if self.disk_full {
            return Outcome::StoreFailed("disk full".to_owned());
        }
        match change {
            FileChange::Append(append) => {
                self.syncs += usize::from(append.sync);
                self.journal.extend(append.records);
                if append.sync {
                    self.synced = self.journal.len();
                }
            }
            FileChange::Cursor(cursor) => {
                if self.file.is_some() && self.file != cursor.known && self.file != cursor.id {
                    return Outcome::Refused("somebody else writes it".to_owned());
                }
                self.stores += 1;
                self.file = cursor.id;
            }
            FileChange::InboundSecret(_) => panic!("an inbox has no secret"),
            FileChange::Rewrite(rewrite) => {
                self.copies += usize::from(rewrite.keep_copy);
                self.rewrites += 1;
                self.journal = rewrite.records;
                self.synced = self.journal.len();
            }
        }
        Outcome::Stored
    }

    /// What `inbox_pop` answers.
    pub(crate) fn pop(&mut self, activity_id: &str) -> Value {
        let popped = self.call("inbox_pop", &json!({ "activity_id": activity_id }));
        serde_json::from_str(popped.text()).unwrap()
    }

    /// A call of a tool that asks for nothing but the disk.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Call {
        let (mut dialogue, mut turn) = tools::open(&self.world, tool, &arguments.to_string(), self.now);
        while let Next::Store(update) = turn.next.clone() {
            self.perform(&turn);
            let outcome = self.store(update.change);
            turn = dialogue.resume(outcome, self.now);
        }
        self.perform(&turn);
        let mut call = Call { dialogue, turn, replied: None };
        call.give_answer(self.now);
        call
    }

    /// A call whose answer the client never gets; that answer.
    pub(crate) fn call_in_vain(&mut self, tool: &str, arguments: &Value) -> Vec<String> {
        let (mut dialogue, mut turn) = tools::open(&self.world, tool, &arguments.to_string(), self.now);
        while let Next::Store(update) = turn.next.clone() {
            let outcome = self.store(update.change);
            turn = dialogue.resume(outcome, self.now);
        }
        let Next::Reply(answer) = turn.next else { panic!("nothing depends on the answer: {:?}", turn.next) };
        dialogue.cancel(self.now);
        answer.text
    }

    /// The host has the cursor file brought up to date.
    pub(crate) fn settle(&mut self) {
        let world = Rc::clone(&self.world);
        let (mut dialogue, mut turn) =
            Dialogue::open(self.now, |host| async move { super::settle(host, world, 0).await });
        while let Next::Store(update) = turn.next.clone() {
            self.perform(&turn);
            let outcome = self.store(update.change);
            turn = dialogue.resume(outcome, self.now);
        }
        self.perform(&turn);
        self.handled = false;
    }

    /// The ids of all staged messages.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let inbox = self.world.inbox.borrow();
        inbox.queue().ready().map(|staged| staged.message.activity_id.clone()).collect()
    }

    /// Pops all staged messages, and says which.
    pub(crate) fn pop_all(&mut self) -> Vec<String> {
        let ids = self.waiting();
        for id in &ids {
            self.pop(id);
        }
        // The cursor file follows with the next round.
        self.pass(5_000);
        ids
    }

    /// The kinds of the records, without what is said of the cursor file.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let kind =
            |line: &String| serde_json::from_str::<Value>(line).unwrap()["t"].as_str().unwrap().to_owned();
        self.journal.iter().map(kind).filter(|kind| kind != "L").collect()
    }

    /// All staged messages, as `inbox_peek` shows them.
    pub(crate) fn peek(&mut self) -> Vec<Value> {
        let shown: Value =
            serde_json::from_str(self.call("inbox_peek", &json!({"limit": 200})).text()).unwrap();
        shown["messages"].as_array().unwrap().clone()
    }

    /// The lines for the operator at this level.
    pub(crate) fn lines(&self, level: Level) -> Vec<&str> {
        self.said.iter().filter(|line| line.level == level).map(|line| line.text.as_str()).collect()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.lines(Level::Warn)
    }

    /// One parameter of every request for rows.
    pub(crate) fn asked(&self, key: &str) -> Vec<Option<String>> {
        let requests = self.platform.requests.iter().filter(|request| request.path.len() == 3);
        requests.map(|request| query(request, key)).collect()
    }
}

/// A moment that many microseconds after the beginning.
pub(crate) fn stamp(microseconds: i64) -> Stamp {
    Stamp::at(BEGINNING + microseconds)
}

//! How turns are carried out, and how calls end.

use serde_json::Value;

use super::{
    agent::Call,
    history::Shown,
    platform::Time,
    process::{BELL, LANES, POLLER, Process, Ticket, Wait},
    wire::{
        Answer, Effect, FetchRequest, FetchedFile, FileUpdate, Finish, Method, Next, Outcome,
        PlatformRequest, Turn, Unreachable,
    },
    world::{Event, World},
};

/// A call may wait for the disk that much longer than it was told to.
const LONGEST_CALL: Time = 120_000_000;

/// As the host waits for more pops before the cursor file is written.
const SETTLE_AFTER: Time = 500_000;

/// While a change is written.
const SLOW_DISK: Time = 3_000;

impl World<'_> {
    pub(super) fn open(&mut self, process: u64) {
        let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) else { return };
        let saved = alive.files.saved();
        self.history.begins(&saved.journal, self.now);
        self.tell(|_| {
            format!(
                "open {:?}, {} records, damaged after {:?}",
                saved.cursor,
                saved.journal.len(),
                saved.damaged_after
            )
        });
        if let Some(alive) = &mut self.process {
            let turn = alive.open_inbox(saved, self.now);
            self.carry_out(POLLER, turn);
        }
        if let Some(alive) = &mut self.process {
            let turn = alive.open_wake(self.now);
            self.carry_out(BELL, turn);
        }
        for lane in LANES {
            let Some(alive) = &mut self.process else { return };
            let turn = alive.open_files(lane, self.now);
            self.carry_out(lane, turn);
        }
    }

    /// The guest traps, and its host begins with another one.
    pub(super) fn trap(&mut self) {
        let Some(process) = &mut self.process else { return };
        process.trap();
        self.history.trapped();
        self.tell(|_| "TRAP".to_owned());
        self.plan_in(1_000_000, Event::Open(self.starts));
        self.restart_agent();
    }

    pub(super) fn act(&mut self, process: u64) {
        let Some(alive) = self.process.as_ref().filter(|_| process == self.starts) else { return };
        if let Some((call, since)) = alive.calls.values().find(|(call, since)| {
            let allowed = if let Call::Wait(seconds) = call { seconds * 1_000_000 } else { 0 };
            self.now - since > allowed + LONGEST_CALL
        }) {
            let what = format!("stuck: {call:?} is not answered since {since} µs");
            return self.history.violate(self.now, what);
        }
        self.history.looks(&self.platform.rows, self.now);
        self.history.rings.looked(self.now);
        let call = self.agent.next();
        self.call(&call);
    }

    fn call(&mut self, call: &Call) {
        if let Call::Pop(ids) = call {
            ids.iter().for_each(|id| self.history.pop_asked(id));
        }
        let Some(process) = &mut self.process else { return };
        let (dialogue, turn) = process.open_call(call, self.now);
        self.tell(|_| format!("[{dialogue}] {call:?}"));
        if self.chance.once_in(20) {
            let longest = match call {
                Call::Wait(seconds) => seconds * 1_000_000,
                Call::Peek(_) | Call::Pop(_) => SLOW_DISK,
            };
            let patience = self.chance.within(0..=longest);
            self.plan_in(patience, Event::Cancel(self.starts, dialogue));
        }
        self.carry_out(dialogue, turn);
    }

    /// The cursor file follows what the agent has dealt with.
    pub(super) fn settle(&mut self, process: u64) {
        let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) else { return };
        alive.settles = false;
        let (dialogue, turn) = alive.settle(self.now);
        self.tell(|_| format!("[{dialogue}] settles"));
        self.carry_out(dialogue, turn);
    }

    pub(super) fn cancel(&mut self, process: u64, dialogue: u64) {
        let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) else { return };
        if alive.calls.contains_key(&dialogue) {
            alive.cancel(dialogue, self.now);
            self.tell(|_| format!("[{dialogue}] cancelled"));
            self.plan_in(1_000, Event::Act(process));
        }
    }

    /// Does what a turn asks for, up to what its dialogue waits for.
    fn carry_out(&mut self, dialogue: u64, turn: Turn) {
        for effect in turn.effects {
            self.perform(effect);
        }
        self.tickets += 1;
        let ticket = self.tickets;
        let wait = match turn.next {
            Next::Finish(finish) => return self.finish(dialogue, finish),
            Next::Fetch(request) => {
                self.fetch(ticket, request);
                Wait::Other
            }
            Next::Sweep(_) => {
                self.plan_in(SLOW_DISK, Event::Answer(ticket, Outcome::Swept(Vec::new())));
                Wait::Other
            }
            Next::TakeOver(_) => return self.history.violate(self.now, "known: there is no other process"),
            Next::Upload(_) => return self.history.violate(self.now, "known: an inbox uploads nothing"),
            Next::Reply(answer) => return self.reply(dialogue, ticket, &answer),
            Next::Send(request) => {
                let latency = self.chance.mostly_small(300..=20_000);
                self.plan_in(latency, Event::Arrive(ticket, request));
                Wait::Other
            }
            Next::Store(update) => {
                self.queue_store(ticket, update);
                Wait::Other
            }
            Next::Rest(rest) => {
                self.tell(|_| format!("[{dialogue}] rests {rest:?}"));
                let until = self.process.as_ref().map_or(0, |process| process.time(rest.until));
                self.plan_at(until, Event::Timer(ticket));
                rest.arrivals_over.map_or(Wait::Other, Wait::Arrivals)
            }
            Next::Listen(listen) => {
                self.tell(|_| format!("[{dialogue}] listens {listen:?}"));
                let Some(process) = &self.process else { return };
                let (until, with_events) =
                    (process.time(listen.until), process.time(listen.until_with_events));
                let ends = if process.hears_events { with_events } else { until };
                self.plan_at(ends, Event::Timer(ticket));
                Wait::Hints { over: listen.hints_over, until, with_events }
            }
        };
        if let Some(process) = &mut self.process {
            process.waiting.insert(ticket, (dialogue, wait));
        }
        self.wake();
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Arrived(arrival) => {
                if let Some(process) = &mut self.process {
                    process.arrivals = process.arrivals.max(arrival.count);
                }
                self.wake();
            }
            Effect::Handled(_) => {
                if let Some(process) = self.process.as_mut().filter(|process| !process.settles) {
                    process.settles = true;
                    self.plan_in(SETTLE_AFTER, Event::Settle(self.starts));
                }
            }
            Effect::Log(line) => {
                self.tell(|_| format!("log {:?} {}", line.level, line.text));
            }
            Effect::LookAgain(_) => {
                if let Some(process) = &mut self.process {
                    process.hints += 1;
                }
                self.wake();
            }
            Effect::Report(request) => drop(self.platform.handle(&request, self.now)),
            Effect::Ring(ring) => {
                self.tell(|_| format!("RING {ring:?}"));
                self.history.rang(&ring, &self.platform.rows, self.now);
                if self.agent.is_woken() {
                    self.act_soon();
                }
            }
            Effect::Working(_) => {}
        }
    }

    /// Ends the pauses whose reason has come.
    fn wake(&mut self) {
        let Some(process) = &self.process else { return };
        let over = |wait: &Wait| match *wait {
            Wait::Arrivals(seen) => process.arrivals > seen,
            Wait::Hints { over, .. } => process.hints > over,
            Wait::Other => false,
        };
        let woken = process.waiting.iter().filter(|(_, (_, wait))| over(wait));
        let woken: Vec<(Ticket, u64)> = woken.map(|(ticket, (dialogue, _))| (*ticket, *dialogue)).collect();
        for (ticket, dialogue) in woken {
            // The bell takes no chance away from the others, whose lives are known.
            let delay = if dialogue == BELL { 0 } else { self.chance.below(2_000) };
            self.plan_in(delay, Event::Timer(ticket));
        }
    }

    pub(super) fn hint(&mut self, process: u64) {
        if let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) {
            alive.hints += 1;
            self.wake();
        }
    }

    pub(super) fn timer(&mut self, ticket: Ticket) {
        let Some(process) = &self.process else { return };
        let outcome = match process.waiting.get(&ticket) {
            None => return,
            Some((_, Wait::Hints { .. })) => Outcome::Heard(process.hints),
            Some((_, Wait::Arrivals(_) | Wait::Other)) => Outcome::Rested,
        };
        self.answer(ticket, outcome);
    }

    pub(super) fn arrive(&mut self, ticket: Ticket, request: &PlatformRequest) {
        if self.process.as_ref().is_none_or(|process| !process.waiting.contains_key(&ticket)) {
            return;
        }
        let (outcome, latency) = self.platform.handle(request, self.now);
        if let Outcome::Responded(answer) = &outcome {
            if is_granted_acknowledgement(request, answer.status) {
                self.acknowledged(request);
            }
            let is_fetched =
                self.process.as_ref().is_some_and(|process| process.fetches.contains_key(&ticket));
            if is_fetched && answer.status == 200 {
                return self.plan_in(latency, Event::Keep(self.starts, ticket, answer.body.clone()));
            }
        }
        self.tell(|_| format!("{:?} {} ──► {}", request.query, request.path.join("/"), in_short(&outcome)));
        self.plan_in(latency, Event::Answer(ticket, outcome));
    }

    pub(super) fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(process) = &mut self.process else { return };
        let is_store = process.stores.remove(&ticket);
        let Some((dialogue, _)) = process.waiting.remove(&ticket) else { return };
        let turn = process.resume(dialogue, outcome, self.now);
        self.carry_out(dialogue, turn);
        let disagreement = self.process.as_mut().filter(|_| is_store).and_then(Process::disagreement);
        if let Some(disagreement) = disagreement {
            self.history.violate(self.now, format!("recovered: {disagreement}"));
        }
    }

    /// Asks for a content, unless the file is here.
    fn fetch(&mut self, ticket: Ticket, request: FetchRequest) {
        let Some(process) = &mut self.process else { return };
        if let Some(path) = process.files.find(&request) {
            let bytes = request.bytes.unwrap_or(0);
            self.history.fetched(&request.id, &path, self.now);
            let file = FetchedFile { path, bytes, mime_type: String::new() };
            return self.plan_in(SLOW_DISK, Event::Answer(ticket, Outcome::Fetched(file)));
        }
        let question = PlatformRequest {
            workspace: 0,
            method: Method::Get,
            path: request.path.clone(),
            query: Vec::new(),
            identify: false,
            body: None,
            limits: request.limits,
        };
        process.fetches.insert(ticket, request);
        let latency = self.chance.mostly_small(300..=20_000);
        self.plan_in(latency, Event::Arrive(ticket, question));
    }

    /// A content gets to the disk.
    pub(super) fn keep(&mut self, process: u64, ticket: Ticket, content: &[u8]) {
        let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) else { return };
        let Some(request) = alive.fetches.remove(&ticket) else { return };
        let outcome = if request.bytes == Some(content.len() as u64) {
            alive.files.keep(&request, content)
        } else {
            Outcome::Unreachable(Unreachable {
                reason: "the content is not whole".to_owned(),
                maybe_sent: true,
            })
        };
        if self.disk.ended_by().is_some() {
            self.tell(|_| format!("the end comes in file {}", request.id));
            return;
        }
        if let Outcome::Fetched(file) = &outcome {
            self.history.fetched(&request.id, &file.path, self.now);
        }
        self.tell(|_| format!("file {} ──► {}", request.id, in_short(&outcome)));
        let delay = self.chance.below(500);
        self.plan_in(delay, Event::Answer(ticket, outcome));
    }

    /// The platform lets go of a file.
    fn acknowledged(&mut self, request: &PlatformRequest) {
        let Some(file) = request.path.get(3) else { return };
        let disk = self.disk.clone();
        self.history.acknowledged(
            file,
            |path| disk.look(path).is_some_and(|content| content.ends_with(b".")),
            self.now,
        );
    }

    /// Files change one after the other.
    fn queue_store(&mut self, ticket: Ticket, update: FileUpdate) {
        let span = self.chance.mostly_small(20..=40_000);
        let Some(process) = &mut self.process else { return };
        process.stores.insert(ticket);
        process.disk_busy_until = process.disk_busy_until.max(self.now) + span;
        let at = process.disk_busy_until;
        self.plan_at(at, Event::Store(self.starts, ticket, Box::new(update)));
    }

    pub(super) fn store(&mut self, process: u64, ticket: Ticket, update: FileUpdate) {
        let Some(alive) = self.process.as_mut().filter(|_| process == self.starts) else { return };
        let change = update.change.clone();
        let outcome = alive.files.store(update);
        if self.disk.ended_by().is_some() {
            self.tell(|_| format!("the end comes in {change:?}"));
            return;
        }
        self.tell(|_| format!("store {} ──► {}", in_few_words(&format!("{change:?}")), in_short(&outcome)));
        if outcome == Outcome::Stored {
            self.history.stored(&change, self.now);
            if let Some(alive) = &mut self.process {
                alive.is_stored(&change);
            }
        }
        if let Outcome::Refused(why) = &outcome {
            self.history.violate(self.now, format!("alone: no other program is here, and yet {why}"));
        }
        let cursor = super::files::cursor(&self.disk);
        self.history.cursor(cursor.as_deref(), &self.platform.rows, self.now);
        let delay = self.chance.below(500);
        self.plan_in(delay, Event::Answer(ticket, outcome));
    }

    /// The agent gets an answer, of which the guest hears a moment later, or never gets it.
    fn reply(&mut self, dialogue: u64, ticket: Ticket, answer: &Answer) {
        if self.chance.once_in(25) {
            self.tell(|_| format!("[{dialogue}] the answer is lost"));
            return self.cancel(self.starts, dialogue);
        }
        self.gives(dialogue, answer);
        if let Some(process) = &mut self.process {
            process.waiting.insert(ticket, (dialogue, Wait::Other));
        }
        let delay = self.chance.mostly_small(10..=20_000);
        self.plan_in(delay, Event::Answer(ticket, Outcome::Replied));
    }

    fn finish(&mut self, dialogue: u64, finish: Finish) {
        if [POLLER, BELL].contains(&dialogue) || LANES.contains(&dialogue) {
            return self.history.violate(self.now, "stuck: fetching has ended");
        }
        match finish {
            Finish::Answer(answer) => self.gives(dialogue, &answer),
            Finish::Done => {
                let calls = self.process.as_ref().map(|process| &process.calls);
                if let Some((call, _)) = calls.and_then(|calls| calls.get(&dialogue)) {
                    let what = format!("stuck: {call:?} ended without an answer");
                    self.history.violate(self.now, what);
                }
            }
        }
    }

    fn gives(&mut self, dialogue: u64, answer: &Answer) {
        let Some((call, since)) = self.process.as_mut().and_then(|process| process.calls.remove(&dialogue))
        else {
            return;
        };
        let facts = answer.structured.as_deref().and_then(|facts| serde_json::from_str(facts).ok());
        let (Some(facts), false) = (facts, answer.is_error) else {
            return self.history.violate(self.now, format!("stuck: {call:?} failed: {:?}", answer.text));
        };
        self.tell(|_| format!("[{dialogue}] ──► {}", in_few_words(&answer.text.join(" | "))));
        self.is_answered(&call, since, &facts);
        let pause = self.agent.pause();
        self.plan_in(pause, Event::Act(self.starts));
    }

    fn is_answered(&mut self, call: &Call, since: Time, facts: &Value) {
        let list = |name| facts.get(name).and_then(Value::as_array).into_iter().flatten();
        match call {
            Call::Pop(_) => {
                let durable = facts.get("durable") != Some(&Value::Bool(false));
                for one in std::iter::once(facts).chain(list("also")) {
                    let id = one.get("activity_id").and_then(Value::as_str).unwrap_or_default();
                    let removed = one.get("removed") == Some(&Value::Bool(true));
                    self.history.popped(id, removed, durable, self.now);
                    self.agent.is_rid_of(id);
                }
            }
            Call::Peek(limit) => {
                let shown: Vec<Shown> = list("messages").filter_map(shown).collect();
                if *limit >= 200 {
                    self.left = shown.iter().map(|shown| shown.id.clone()).collect();
                }
                self.is_shown(&shown, since);
            }
            Call::Wait(_) => self.is_shown(shown(facts).as_slice(), since),
        }
    }

    fn is_shown(&mut self, shown: &[Shown], since: Time) {
        self.history.shows(shown, &self.platform.rows, since, self.now);
        self.agent.is_shown(shown);
    }
}

/// A message of an answer.
fn shown(message: &Value) -> Option<Shown> {
    let flag = |name| message.get(name) == Some(&Value::Bool(true));
    let id = message.get("activity_id")?.as_str()?.to_owned();
    Some(Shown { id, redelivered: flag("redelivered"), late: flag("late") })
}

fn is_granted_acknowledgement(request: &PlatformRequest, status: u16) -> bool {
    request.method == Method::Post && status == 200 && request.path.last().is_some_and(|end| end == "ack")
}

fn in_short(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Responded(response) => {
            let rows = serde_json::from_slice::<Vec<Value>>(&response.body).unwrap_or_default();
            format!("{} {} bytes, {} rows", response.status, response.body.len(), rows.len())
        }
        Outcome::Fetched(_)
        | Outcome::Heard(_)
        | Outcome::Overflowed
        | Outcome::Refused(_)
        | Outcome::Replied
        | Outcome::Rested
        | Outcome::StoreFailed(_)
        | Outcome::Stored
        | Outcome::Swept(_)
        | Outcome::Unreachable(_) => format!("{outcome:?}"),
    }
}

fn in_few_words(text: &str) -> String {
    text.chars().take(1_000).collect()
}

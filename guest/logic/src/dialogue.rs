//! Straight-line code over turns: the executor.
//!
//! A dialogue is a future, and each of its awaits is a question to the host:
//!
//! ```text
//! resume(outcome) ──► story runs ──► await asks for `next` ──► the turn goes out
//!        ▲                                                          │
//!        └──────────────── the host carries it out ◄────────────────┘
//! ```
//!
//! There is no waker and no other task: a story moves only when its dialogue is resumed.

use std::{
    cell::RefCell,
    fmt,
    future::{self, Future},
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use crate::{
    text::redact,
    wire::{
        Answer, Effect, FetchRequest, FetchedFile, FileChange, FileUpdate, Finish, Instant, Level, Listen,
        LogLine, Next, Outcome, PlatformRequest, PlatformResponse, Rest, SweepRequest, Turn, UploadRequest,
        Workspace,
    },
};

/// A flow between two turns. Dropping it cancels it.
pub(crate) struct Dialogue {
    host: Host,
    story: Pin<Box<dyn Future<Output = Finish>>>,
}

impl Dialogue {
    /// Runs `story` up to the first thing it asks for.
    pub(crate) fn open<S, F>(now: Instant, story: S) -> (Self, Turn)
    where
        S: FnOnce(Host) -> F,
        F: Future<Output = Finish> + 'static,
    {
        let host = Host { slot: Rc::new(RefCell::new(Slot { now, ..Slot::default() })) };
        let mut dialogue = Self { story: Box::pin(story(host.clone())), host };
        let turn = dialogue.advance();
        (dialogue, turn)
    }

    /// Tells the story what happened, and runs it up to the next thing it asks for.
    pub(crate) fn resume(&mut self, outcome: Outcome, now: Instant) -> Turn {
        let mut slot = self.host.slot.borrow_mut();
        slot.now = now;
        slot.outcome = Some(outcome);
        drop(slot);
        self.advance()
    }

    /// Ends the story where it stands; what it still wants said comes back.
    pub(crate) fn cancel(self, now: Instant) -> Vec<Effect> {
        self.host.slot.borrow_mut().now = now;
        drop(self.story);
        mem::take(&mut self.host.slot.borrow_mut().effects)
    }

    fn advance(&mut self) -> Turn {
        let polled = self.story.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let mut slot = self.host.slot.borrow_mut();
        let next = match polled {
            Poll::Ready(finish) => Next::Finish(finish),
            // A story that waits for nothing would wait for ever.
            Poll::Pending => slot.asked.take().unwrap_or(Next::Finish(Finish::Done)),
        };
        Turn { effects: mem::take(&mut slot.effects), next }
    }
}

/// What a story may ask of the host; awaiting it ends the turn.
#[derive(Clone)]
pub(crate) struct Host {
    slot: Rc<RefCell<Slot>>,
}

#[derive(Default)]
struct Slot {
    now: Instant,
    effects: Vec<Effect>,
    asked: Option<Next>,
    outcome: Option<Outcome>,
}

/// Why a request brought no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NoAnswer {
    /// It was larger than its limit.
    Overflowed,
    /// The host does not do this; nothing was sent.
    Refused(String),
    /// The connection failed; the flag says whether the request may have arrived.
    Unreachable { reason: String, maybe_sent: bool },
}

/// Why a file did not change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NotStored {
    /// It did not reach the disk, which may pass.
    Failed(String),
    /// The file is not ours to change.
    Refused(String),
}

/// Why a file is not on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NotFetched {
    /// The platform has answered something else.
    Answered(PlatformResponse),
    /// The disk cannot take it now.
    Disk(String),
    /// The host does not take such a file.
    Refused(String),
    /// The connection failed, or the content was not whole.
    Unreachable(String),
}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Host {
    /// When the running turn began.
    pub(crate) fn now(&self) -> Instant {
        self.slot.borrow().now
    }

    pub(crate) fn effect(&self, effect: Effect) {
        self.slot.borrow_mut().effects.push(effect);
    }

    /// Says `text` to the operator, without the credentials that it may quote.
    pub(crate) fn log(&self, level: Level, text: impl AsRef<str>) {
        self.effect(Effect::Log(LogLine { level, text: redact::diagnostic(text.as_ref()) }));
    }

    pub(crate) async fn send(&self, request: PlatformRequest) -> Result<PlatformResponse, NoAnswer> {
        answered(self.ask(Next::Send(request)).await)
    }

    pub(crate) async fn upload(&self, request: UploadRequest) -> Result<PlatformResponse, NoAnswer> {
        answered(self.ask(Next::Upload(request)).await)
    }

    /// Changes a file, or says why it could not be changed.
    pub(crate) async fn store(&self, workspace: Workspace, change: FileChange) -> Result<(), NotStored> {
        match self.ask(Next::Store(FileUpdate { workspace, change })).await {
            Outcome::Stored => Ok(()),
            Outcome::Refused(why) => Err(NotStored::Refused(why)),
            Outcome::StoreFailed(why) => Err(NotStored::Failed(why)),
            outcome @ (Outcome::Fetched(_)
            | Outcome::Heard(_)
            | Outcome::Overflowed
            | Outcome::Replied
            | Outcome::Responded(_)
            | Outcome::Rested
            | Outcome::Swept(_)
            | Outcome::Unreachable(_)) => Err(NotStored::Failed(out_of_step(&outcome))),
        }
    }

    /// Gives the answer of a tool; says whether the client has it. If it never gets it, the dialogue is
    /// cancelled, and this does not return.
    pub(crate) async fn reply(&self, answer: Answer) -> bool {
        matches!(self.ask(Next::Reply(answer)).await, Outcome::Replied)
    }

    /// Brings a file to the disk, or says why it is not there.
    pub(crate) async fn fetch(&self, request: FetchRequest) -> Result<FetchedFile, NotFetched> {
        match self.ask(Next::Fetch(request)).await {
            Outcome::Fetched(file) => Ok(file),
            Outcome::Refused(why) => Err(NotFetched::Refused(why)),
            Outcome::Responded(response) => Err(NotFetched::Answered(response)),
            Outcome::StoreFailed(why) => Err(NotFetched::Disk(why)),
            Outcome::Unreachable(why) => Err(NotFetched::Unreachable(why.reason)),
            outcome @ (Outcome::Heard(_)
            | Outcome::Overflowed
            | Outcome::Replied
            | Outcome::Rested
            | Outcome::Stored
            | Outcome::Swept(_)) => Err(NotFetched::Unreachable(out_of_step(&outcome))),
        }
    }

    /// Removes fetched files that nothing needs any more, and says which.
    pub(crate) async fn sweep(&self, request: SweepRequest) -> Result<Vec<String>, String> {
        match self.ask(Next::Sweep(request)).await {
            Outcome::Swept(paths) => Ok(paths),
            Outcome::StoreFailed(why) => Err(why),
            outcome @ (Outcome::Fetched(_)
            | Outcome::Heard(_)
            | Outcome::Overflowed
            | Outcome::Refused(_)
            | Outcome::Replied
            | Outcome::Responded(_)
            | Outcome::Rested
            | Outcome::Stored
            | Outcome::Unreachable(_)) => Err(out_of_step(&outcome)),
        }
    }

    /// Rests between two looks at the platform, until there were more than `hints` hints; says how
    /// many there were. A host that answers something else has told of none.
    pub(crate) async fn listen(&self, listen: Listen) -> u64 {
        let hints = listen.hints_over;
        match self.ask(Next::Listen(listen)).await {
            Outcome::Heard(hints) => hints,
            Outcome::Fetched(_)
            | Outcome::Overflowed
            | Outcome::Refused(_)
            | Outcome::Replied
            | Outcome::Responded(_)
            | Outcome::Rested
            | Outcome::StoreFailed(_)
            | Outcome::Stored
            | Outcome::Swept(_)
            | Outcome::Unreachable(_) => hints,
        }
    }

    /// Makes this process the one that fetches the messages, or says why not.
    pub(crate) async fn take_over(&self, workspace: Workspace) -> Result<(), String> {
        match self.ask(Next::TakeOver(workspace)).await {
            Outcome::Rested => Ok(()),
            Outcome::Refused(why) => Err(why),
            outcome @ (Outcome::Fetched(_)
            | Outcome::Heard(_)
            | Outcome::Overflowed
            | Outcome::Replied
            | Outcome::Responded(_)
            | Outcome::StoreFailed(_)
            | Outcome::Stored
            | Outcome::Swept(_)
            | Outcome::Unreachable(_)) => Err(out_of_step(&outcome)),
        }
    }

    pub(crate) async fn rest_until(&self, until: Instant) {
        self.rest(Rest { until, arrivals_over: None, workspace: None }).await;
    }

    /// Goes on at once if it is that late already.
    pub(crate) async fn rest_until_if_later(&self, until: Instant) {
        if until > self.now() {
            self.rest_until(until).await;
        }
    }

    /// Rests until a time, or until there are more than `seen` news.
    pub(crate) async fn rest_until_news(&self, until: Instant, seen: u64) {
        self.rest(Rest { until, arrivals_over: Some(seen), workspace: None }).await;
    }

    /// As [`Host::rest_until_news`], of which only those of one workspace matter.
    pub(crate) async fn rest_until_news_of(&self, workspace: Workspace, until: Instant, seen: u64) {
        self.rest(Rest { until, arrivals_over: Some(seen), workspace: Some(workspace) }).await;
    }

    async fn rest(&self, rest: Rest) {
        self.ask(Next::Rest(rest)).await;
    }

    async fn ask(&self, next: Next) -> Outcome {
        self.slot.borrow_mut().asked = Some(next);
        future::poll_fn(|_| self.slot.borrow_mut().outcome.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

fn answered(outcome: Outcome) -> Result<PlatformResponse, NoAnswer> {
    match outcome {
        Outcome::Responded(response) => Ok(response),
        Outcome::Overflowed => Err(NoAnswer::Overflowed),
        Outcome::Refused(why) => Err(NoAnswer::Refused(why)),
        Outcome::Unreachable(why) => {
            Err(NoAnswer::Unreachable { reason: why.reason, maybe_sent: why.maybe_sent })
        }
        Outcome::Fetched(_)
        | Outcome::Heard(_)
        | Outcome::Replied
        | Outcome::Rested
        | Outcome::Stored
        | Outcome::StoreFailed(_)
        | Outcome::Swept(_) => Err(NoAnswer::Unreachable { reason: out_of_step(&outcome), maybe_sent: true }),
    }
}

/// Names the kind of the outcome alone: its content may be confidential.
fn out_of_step(outcome: &Outcome) -> String {
    let kind = match outcome {
        Outcome::Fetched(_) => "fetched",
        Outcome::Heard(_) => "heard",
        Outcome::Overflowed => "overflowed",
        Outcome::Refused(_) => "refused",
        Outcome::Replied => "replied",
        Outcome::Responded(_) => "responded",
        Outcome::Rested => "rested",
        Outcome::StoreFailed(_) => "store-failed",
        Outcome::Stored => "stored",
        Outcome::Swept(_) => "swept",
        Outcome::Unreachable(_) => "unreachable",
    };
    format!("the host answered something else than it was asked for: {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_await_is_a_turn_and_the_end_is_a_finish() {
        let (mut dialogue, first) = Dialogue::open(10, async |host: Host| {
            host.log(Level::Info, "begun");
            host.rest_until(host.now() + 5).await;
            host.log(Level::Info, format!("rested until {}", host.now()));
            Finish::Done
        });

        assert_eq!(first.next, Next::Rest(Rest { until: 15, arrivals_over: None, workspace: None }));
        assert_eq!(first.effects.len(), 1);

        let last = dialogue.resume(Outcome::Rested, 17);

        assert_eq!(last.next, Next::Finish(Finish::Done));
        assert_eq!(last.effects, [info("rested until 17")]);
    }

    #[test]
    fn what_a_dropped_story_says_is_not_lost() {
        struct Farewell(Host);
        impl Drop for Farewell {
            fn drop(&mut self) {
                self.0.log(Level::Info, "gone");
            }
        }
        let (dialogue, _) = Dialogue::open(0, async |host: Host| {
            let _farewell = Farewell(host.clone());
            host.rest_until(100).await;
            Finish::Done
        });

        assert_eq!(dialogue.cancel(50), [info("gone")]);
    }

    #[test]
    fn an_answer_to_another_question_is_never_success() {
        assert_eq!(
            answered(Outcome::Stored).unwrap_err(),
            NoAnswer::Unreachable {
                reason: "the host answered something else than it was asked for: stored".to_owned(),
                maybe_sent: true
            }
        );
    }

    fn info(text: &str) -> Effect {
        Effect::Log(LogLine { level: Level::Info, text: text.to_owned() })
    }
}

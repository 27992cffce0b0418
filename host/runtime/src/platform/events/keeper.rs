//! Keeps one stream open for as long as somebody listens.

use std::{
    future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use tokio::sync::{Notify, watch};

use super::{
    Chunks, Closed, Heard, Pace, Source, State,
    news::{self, News, Told},
};
use crate::{
    guest::wire::Instant,
    sys::{boot::ms, clock::Clock},
};

const NO_CONNECTIONS: &str = "the platform takes no connections";

/// What the task works with.
pub(super) struct Keeper<S> {
    pub(super) source: Arc<S>,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
    pub(super) chance: fastrand::Rng,
    pub(super) heard: watch::Sender<Heard>,
    pub(super) wanted: watch::Receiver<Instant>,
    pub(super) away: Arc<Notify>,
    pub(super) state: watch::Sender<(State, Instant)>,
}

/// How a stream ended.
struct End {
    /// For so long it had been healthy.
    healthy: Duration,
    /// It did not break, but nothing came any more.
    silent: bool,
    why: String,
}

impl<S: Source> Keeper<S> {
    /// Ends when nobody has listened for a while.
    pub(super) async fn run(self) {
        let unwanted = unwanted(self.wanted.clone(), self.clock, ms(self.pace.unwanted));
        let (state, clock) = (self.state.clone(), self.clock);
        tokio::select! {
            biased;
            () = unwanted => tracing::info!("the event stream is closed: nobody listens"),
            () = self.keep() => {}
        }
        state.send_replace((State::Closed, clock.now()));
    }

    async fn keep(mut self) {
        let (mut tries, mut said_absent) = (0, false);
        loop {
            self.becomes(State::Opening);
            let (why, at_least) = match self.source.open().await {
                Ok(chunks) => {
                    said_absent = false;
                    let end = self.read(chunks).await;
                    if end.silent || end.healthy >= self.pace.retry_at_most {
                        tries = 0;
                    }
                    (end.why, Duration::ZERO)
                }
                Err(Closed::Absent(why)) => {
                    if !said_absent {
                        tracing::info!("there is no event stream, the inbox is only polled: {why}");
                    }
                    said_absent = true;
                    self.becomes(State::Absent(why));
                    self.rest_without().await;
                    continue;
                }
                Err(Closed::Failed { reason, retry_after }) => (reason, retry_after.unwrap_or_default()),
            };
            let pause = self.pause(tries).max(at_least);
            tries += 1;
            tracing::info!("event stream: {why}; opened again in {:.1} s", pause.as_secs_f32());
            self.becomes(State::Failed(why));
            self.clock.wait(self.clock.now() + ms(pause)).await;
        }
    }

    fn becomes(&self, state: State) {
        self.state.send_replace((state, self.clock.now()));
    }

    /// Tells of every hint until the stream ends.
    async fn read(&self, chunks: Chunks) -> End {
        let mut stream = Open::new(self);
        let mut chunks = chunks.peekable();
        let peeked = Pin::new(&mut chunks).peek();
        let first = tokio::select! {
            biased;
            first = peeked => first,
            () = self.clock.wait(stream.quiet_at) => return stream.end("it carries nothing"),
        };
        // The platform begins with a comment, and is known by it.
        if matches!(first, Some(Ok(first)) if first.starts_with(b":")) {
            stream.lives();
        }
        let mut news = news::of(chunks.boxed());
        let (mut away, mut gone) = (pin!(self.away.notified()), pin!(self.source.gone()));
        loop {
            let at = stream.once_more.map_or(stream.quiet_at, |once_more| once_more.min(stream.quiet_at));
            tokio::select! {
                biased;
                () = &mut away => return stream.end(NO_CONNECTIONS),
                () = &mut gone, if stream.health.is_some() => return stream.end(NO_CONNECTIONS),
                said = news.next() => match said {
                    Some(Ok(news)) => stream.said(news),
                    Some(Err(why)) => return stream.end(&why),
                    None => return stream.end("it was closed"),
                },
                () = self.clock.wait(at) => if !stream.hint_once_more() {
                    return stream.silent();
                },
            }
        }
    }

    /// Waits until there may be a stream here.
    async fn rest_without(&mut self) {
        let pause = spread(self.pace.absent, &mut self.chance);
        let over = self.clock.wait(self.clock.now() + ms(pause));
        let mut wanted = self.wanted.clone();
        // Each listener is an occasion to look, which costs nothing while all else is asleep.
        let changed = async {
            while wanted.changed().await.is_ok() {
                if self.source.has_changed() {
                    return;
                }
            }
            future::pending().await
        };
        tokio::select! {
            () = over => {}
            () = changed => {}
        }
    }

    fn pause(&mut self, tries: u32) -> Duration {
        let pause = self.pace.retry.saturating_mul(1 << tries.min(16)).min(self.pace.retry_at_most);
        spread(pause, &mut self.chance)
    }
}

/// A stream while it is read.
struct Open<'a> {
    clock: &'a Clock,
    pace: &'a Pace,
    heard: &'a watch::Sender<Heard>,
    state: &'a watch::Sender<(State, Instant)>,
    health: Option<Health<'a>>,
    healthy_at: Instant,
    /// When it has been quiet for too long.
    quiet_at: Instant,
    /// When to look again for what is written after its event.
    once_more: Option<Instant>,
    told: Told,
}

impl<'a> Open<'a> {
    fn new<S>(keeper: &'a Keeper<S>) -> Self {
        let (clock, pace, now) = (&keeper.clock, &keeper.pace, keeper.clock.now());
        let quiet_at = now + ms(pace.first_bytes);
        Self {
            clock,
            pace,
            heard: &keeper.heard,
            state: &keeper.state,
            health: None,
            healthy_at: now,
            quiet_at,
            once_more: None,
            told: Told::default(),
        }
    }

    /// There is a platform at the other end.
    fn lives(&mut self) {
        let now = self.clock.now();
        self.quiet_at = now + ms(self.pace.silence);
        if self.health.is_none() {
            tracing::info!("the event stream is open");
            self.state.send_replace((State::Open, now));
            self.health = Some(Health::begin(self.heard));
            self.healthy_at = now;
        }
    }

    fn said(&mut self, news: News) {
        self.lives();
        match news {
            News::Nothing => {}
            News::Row(subject) => {
                if self.told.is_new(subject) {
                    self.hint();
                }
            }
            News::Rows => {
                self.hint();
                self.once_more = Some(self.clock.now() + ms(self.pace.row_after_event));
            }
        }
    }

    /// Gives the hint that is due for the second time, and says whether there was one.
    fn hint_once_more(&mut self) -> bool {
        let due = self.once_more.take_if(|at| *at <= self.clock.now()).is_some();
        if due {
            self.hint();
        }
        due
    }

    fn hint(&self) {
        super::hint(self.heard);
    }

    fn silent(self) -> End {
        End { silent: self.health.is_some(), ..self.end("nothing comes any more") }
    }

    fn end(&self, why: &str) -> End {
        let healthy = self.health.as_ref().map_or(0, |_| self.clock.now().saturating_sub(self.healthy_at));
        End { healthy: Duration::from_millis(healthy), silent: false, why: why.to_owned() }
    }
}

/// A stream works for as long as this lives, however it ends.
struct Health<'a>(&'a watch::Sender<Heard>);

impl<'a> Health<'a> {
    fn begin(heard: &'a watch::Sender<Heard>) -> Self {
        heard.send_modify(|heard| *heard = Heard { count: heard.count + 1, healthy: true });
        Self(heard)
    }
}

impl Drop for Health<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|heard| *heard = Heard { count: heard.count + 1, healthy: false });
    }
}

/// Returns `patience_ms` after the time until which somebody wanted to listen.
async fn unwanted(mut wanted: watch::Receiver<Instant>, clock: Clock, patience_ms: u64) {
    loop {
        let until = *wanted.borrow_and_update();
        clock.wait(until + patience_ms).await;
        if !wanted.has_changed().unwrap_or(true) {
            return;
        }
    }
}

/// `pause`, a quarter longer or shorter at most.
fn spread(pause: Duration, chance: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(0.75 + chance.f64() / 2.0)
}

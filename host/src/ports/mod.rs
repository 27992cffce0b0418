//! The powers of the program: HTTP, files, time and the log.

pub mod attachments;
pub mod clock;
pub mod files;
pub mod http;
mod working;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::working::{Busy, Working};
use self::{clock::Clock, http::Http};
use crate::{
    driver::Ports,
    guest::wire::{
        Effect, FileUpdate, Instant, Level, LogLine, Outcome, PlatformRequest, Rest, UploadRequest,
    },
};

/// The program's own set of powers.
pub struct Powers {
    clock: Clock,
    http: Arc<Http>,
    working: Arc<Working>,
    arrivals: watch::Sender<u64>,
}

impl Powers {
    /// Powers over one platform and one machine.
    #[must_use]
    pub fn new(clock: Clock, http: Arc<Http>, working: Arc<Working>) -> Self {
        Self { clock, http, working, arrivals: watch::Sender::new(0) }
    }
}

impl Ports for Powers {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(count) => {
                self.arrivals.send_if_modified(|arrived| {
                    let more = *arrived < count;
                    *arrived = count.max(*arrived);
                    more
                });
            }
            Effect::Log(line) => log(&line),
            Effect::Report(request) => {
                let http = Arc::clone(&self.http);
                tokio::spawn(async move { http.send(request).await });
            }
            Effect::Working(working) => self.working.note(&working),
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        self.http.send(request).await
    }

    async fn store(&self, _update: FileUpdate) -> Outcome {
        Outcome::StoreFailed("there is no configs directory".to_owned())
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        self.clock.rest(rest, self.arrivals.subscribe()).await;
        Outcome::Rested
    }

    async fn upload(&self, _request: UploadRequest) -> Outcome {
        Outcome::Refused("attachments are not supported".to_owned())
    }
}

/// Writes a line of the guest to the operator's log.
pub fn log(line: &LogLine) {
    let text = one_line(&line.text);
    match line.level {
        Level::Error => tracing::error!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
    }
}

/// `text` without anything that moves a terminal's cursor.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

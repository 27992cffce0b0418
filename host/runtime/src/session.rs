//! When the outward work may begin.
//!
//! Clients start a server more than once: to probe it, to list its tools, twice at the same time.
//! Until a session is known to be real, the program answers and does nothing else: no request, no
//! lock, no file.
//!
//! ```text
//! start ──── 3 s ────────────────────────────┐
//! greeting (handshake, first request) ─ 1 s ─┼──► begun
//! first tool call ───────────────────────────┘
//! ```

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time};

use crate::text::one_line;

/// A listing client is gone 30 ms after its greeting.
const AFTER_GREETING: Duration = Duration::from_secs(1);
/// A terminal, or a loop that sends nothing.
const AFTER_START: Duration = Duration::from_secs(3);
/// Of what a client calls itself.
const CLIENT_CHARS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Started,
    Greeted,
    Begun,
}

/// Whether the client means it. Cloning gives another handle on the same session.
#[derive(Debug, Clone)]
pub struct Session {
    stage: watch::Sender<Stage>,
    calls: watch::Sender<u64>,
    client: Arc<OnceLock<Client>>,
}

/// What a client calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its name, such as `claude-code`.
    pub name: String,
    /// Its version; may be empty.
    #[serde(default)]
    pub version: String,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            stage: watch::Sender::new(Stage::Started),
            calls: watch::Sender::new(0),
            client: Arc::default(),
        }
    }
}

impl Session {
    /// The client has finished its handshake, or sent a first stateless request other than a probe.
    pub fn greeted(&self) {
        self.reach(Stage::Greeted);
    }

    /// The client says who it is; only the first name counts. 64 characters are kept.
    pub fn introduce(&self, name: &str, version: &str) {
        if name.is_empty() {
            return;
        }
        let short = |text: &str| one_line(text).chars().take(CLIENT_CHARS).collect();
        let _ = self.client.set(Client { name: short(name), version: short(version) });
    }

    /// Who the client is, if it has said so.
    #[must_use]
    pub fn client(&self) -> Option<&Client> {
        self.client.get()
    }

    /// The client called a tool.
    pub fn tool_called(&self) {
        self.reach(Stage::Begun);
        self.calls.send_modify(|calls| *calls = calls.wrapping_add(1));
    }

    /// Changes with each call of a tool.
    #[must_use]
    pub fn calls(&self) -> watch::Receiver<u64> {
        self.calls.subscribe()
    }

    /// Returns once outward work may begin, counted from this call.
    pub async fn begun(&self) {
        let mut stage = self.stage.subscribe();
        let greeted = async {
            // The sender lives as long as `self`.
            let _ = stage.wait_for(|stage| *stage >= Stage::Greeted).await;
            let begun = async {
                let _ = stage.wait_for(|stage| *stage >= Stage::Begun).await;
            };
            let _ = time::timeout(AFTER_GREETING, begun).await;
        };
        let _ = time::timeout(AFTER_START, greeted).await;
    }

    fn reach(&self, reached: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = *stage < reached;
            if later {
                *stage = reached;
            }
            later
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_a_session_after_three_seconds() {
        assert_eq!(begun_after(&Session::default()).await, AFTER_START);
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_is_a_session_after_one_second() {
        let session = Session::default();
        session.greeted();

        assert_eq!(begun_after(&session).await, AFTER_GREETING);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tool_call_is_a_session_at_once() {
        let session = Session::default();
        session.greeted();
        session.tool_called();

        assert_eq!(begun_after(&session).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_after_a_call_takes_nothing_back() {
        let session = Session::default();
        session.tool_called();
        session.greeted();

        assert_eq!(begun_after(&session).await, Duration::ZERO);
    }

    async fn begun_after(session: &Session) -> Duration {
        let start = Instant::now();
        session.begun().await;
        start.elapsed()
    }
}

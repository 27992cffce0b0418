//! What a door is.

use std::time::Duration;

use futures::future::BoxFuture;

use crate::mcp::Introduction;

/// Before a door that was shut is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// A way to an idle agent that its client offers.
pub(super) trait Door: Send + Sync {
    /// Its name for people.
    fn name(&self) -> &'static str;

    /// Whether it is a door of this client.
    fn is_of(&self, client: &Introduction) -> bool;

    /// Puts a notice through. That it was taken does not mean that the agent reads it.
    fn ring<'a>(&'a self, client: &'a Introduction, notice: &'a str) -> BoxFuture<'a, Result<(), Shut>>;
}

/// Why nothing went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shut {
    /// For programs: what `status` shows.
    pub code: &'static str,
    /// For people, without anything secret.
    pub why: String,
    /// For how long it is not tried again.
    pub pause: Duration,
}

impl Shut {
    pub(super) fn new(code: &'static str, why: impl Into<String>) -> Self {
        Self { code, why: why.into(), pause: AGAIN }
    }
}

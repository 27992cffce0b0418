//! What a failing poll means for the pause after it, and for the operator.
//!
//! A failure is said once, however often it comes; so is that it is over.

use crate::{
    dialogue::Host,
    platform::{
        PlatformError,
        activity::Trouble,
        workspace::{self, Record},
    },
    wire::{Level, Workspace},
    world::World,
};

/// Doubled with each failure.
const FIRST_PAUSE_MS: u64 = 5_000;

const LONGEST_PAUSE_MS: u64 = 60_000;

/// Different failures that are said between two successes.
const MOST_SAID: usize = 16;

/// For how long the platform is left alone.
pub(super) struct Pause {
    pub(super) ms: u64,
    /// The platform has said so.
    pub(super) asked_for: bool,
}

#[derive(Default)]
pub(super) struct Health {
    failures: u32,
    said: Vec<String>,
    asked_why_refused: bool,
}

impl Health {
    /// Failures since the last success.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn worked(&mut self, host: &Host) {
        if self.failures > 0 {
            let times = if self.failures == 1 { "failure" } else { "failures" };
            host.log(Level::Info, format!("inbox poll works again after {} {times}", self.failures));
            *self = Self::default();
        }
    }

    /// Says what is wrong, unless it was said, and how long to wait.
    pub(super) async fn failed(
        &mut self,
        host: &Host,
        world: &World,
        workspace: Workspace,
        trouble: &Trouble,
    ) -> Pause {
        let doubled = FIRST_PAUSE_MS.saturating_mul(1 << self.failures.min(4));
        self.failures = self.failures.saturating_add(1);
        let why = trouble.as_error();
        if why.refuses_token() && !self.asked_why_refused {
            self.asked_why_refused = true;
            host.log(Level::Error, refusal(host, world, workspace).await);
        } else {
            self.say(host, format!("inbox poll failed: {why}"));
        }
        let asked_for = why.asked_ms();
        let ours = jittered(doubled, world.random.jitter());
        Pause { ms: ours.max(asked_for), asked_for: asked_for > 0 }
    }

    fn say(&mut self, host: &Host, text: String) {
        if self.said.len() < MOST_SAID && !self.said.contains(&text) {
            host.log(Level::Warn, text.clone());
            self.said.push(text);
        }
    }
}

/// What is behind a refused token. Beats cannot tell: they pass for deleted workspaces too.
async fn refusal(host: &Host, world: &World, workspace: Workspace) -> String {
    let id = world.id(workspace);
    let deleted = format!(
        "workspace {id} was deleted on the platform, so no messages can be fetched; create a workspace on the \
         canvas, and restart with its WORKSPACE_ID and token"
    );
    match workspace::record(host, workspace, id).await {
        Ok(Record::Removed(_)) | Err(PlatformError::Status { status: 404, .. }) => deleted,
        Ok(Record::Kept(fields)) if fields.get("status").is_some_and(|status| status == "removed") => deleted,
        Ok(Record::Kept(_)) => format!(
            "the platform refuses the token of workspace {id}, which exists: if this goes on, the token was \
             revoked; make another one on the canvas, Tokens tab, and restart with it"
        ),
        Err(why) => format!(
            "the platform refuses the token of workspace {id}, and does not say whether that workspace exists: {why}"
        ),
    }
}

/// `pause` with a jitter, at most [`LONGEST_PAUSE_MS`].
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a minute of milliseconds is far below any loss"
)]
fn jittered(pause: u64, jitter: f64) -> u64 {
    let pause = pause.min(LONGEST_PAUSE_MS) as f64 * jitter;
    (pause as u64).min(LONGEST_PAUSE_MS)
}

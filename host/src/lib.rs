//! The native host of molecule-mcp, and the library for programs that embed it.
//!
//! ```text
//! Settings ──► run ──┬── mcp ──────────► Driver ──► Guest (WebAssembly)
//!                    ├── presence          │
//!                    └── inbox             └──► Powers: HTTP, files, time, log
//! ```

pub mod cli;
pub mod credentials;
pub mod driver;
pub mod env;
pub mod guest;
pub mod inbox;
pub mod log;
pub mod look;
pub mod mcp;
pub mod ports;
pub mod presence;
pub mod session;
pub mod settings;
mod small_file;
pub mod stdio;
pub mod system;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

use crate::{
    driver::Driver,
    guest::{Guest, wire},
    ports::Powers,
    presence::{Member, Presence, Rejected, Tokens},
    session::Session,
    settings::Settings,
};

/// Before a task that a defect has ended is started again.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);

/// For the cursor file at the end. Clients kill half a second after asking.
const LAST_WRITE: Duration = Duration::from_millis(150);

/// Why [`run`] returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The client has gone, or `stop` was cancelled.
    Ended,
    /// The platform does not take the token.
    Rejected(Rejected),
}

/// Serves the MCP client behind `input` and `output`, keeps the workspace present and fetches its messages.
///
/// Returns at the end of the input or of the output, after a rejected register, and at once when `stop`
/// is cancelled; everything that runs in the background ends with it. Nothing goes out and no file
/// changes before the client has begun a session.
///
/// # Errors
/// When the component cannot be loaded, or the system gives no random numbers.
pub async fn run(
    settings: Settings,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let ports = Arc::new(Powers::new(&settings));
    let guest = Guest::embedded(guest_settings(&settings)?)?;
    guest.prepare().await?;
    let driver = Driver::new(guest, ports);
    let session = Session::default();
    let mut background = JoinSet::new();
    background.spawn(inbox(&settings, &driver, &session));
    let mut present = JoinSet::new();
    if settings.heartbeat {
        present.spawn(presence(&settings, &driver, &session));
    }
    tokio::select! {
        biased;
        Some(Ok(rejected)) = present.join_next() => Ok(Exit::Rejected(rejected)),
        _ = mcp::serve(Arc::clone(&driver), session, input, output, stop) => {
            // What the agent has dealt with is in the journal; this is for other implementations.
            let _ = time::timeout(LAST_WRITE, driver.settle_inbox(0)).await;
            Ok(Exit::Ended)
        }
    }
}

fn guest_settings(settings: &Settings) -> anyhow::Result<wire::Settings> {
    let mut seed = [0; 4];
    for part in &mut seed {
        *part = getrandom::u64()?;
    }
    let [first, second, third, fourth] = seed;
    Ok(wire::Settings {
        seed: (first, second, third, fourth),
        workspaces: vec![wire::WorkspaceSettings {
            id: settings.workspace.clone(),
            platform: settings.platform.as_str().trim_end_matches('/').to_owned(),
        }],
        inbox: settings.inbox,
        redeliver: settings.redeliver,
        notice: settings.tool_notice,
        structured: settings.structured,
        bare_peer_text: settings.bare_peer_text,
        delegate_durably: settings.delegate_durably,
        durable_budget_secs: settings.durable_budget_secs,
        poll_timeout_secs: settings.poll_timeout_secs,
        permissions: settings.permissions.clone(),
    })
}

fn inbox(
    settings: &Settings,
    driver: &Arc<Driver<Powers>>,
    session: &Session,
) -> impl Future<Output = ()> + Send + 'static {
    let (driver, session, fetch) = (Arc::clone(driver), session.clone(), settings.inbox);
    undying("the inbox", move || {
        inbox::keep_open(Arc::clone(&driver), driver.ports().files().clone(), session.clone(), fetch)
    })
}

fn presence(
    settings: &Settings,
    driver: &Arc<Driver<Powers>>,
    session: &Session,
) -> impl Future<Output = Rejected> + Send + 'static {
    let (driver, session, member) = (Arc::clone(driver), session.clone(), Member::of(settings));
    undying("presence", move || {
        let (ports, working) = (driver.shared_ports(), Arc::clone(driver.ports().working()));
        let presence = Presence::new(ports, member.clone(), working, presence::teach(Arc::clone(&driver)));
        let presence = presence.with_tokens(Arc::clone(driver.ports().http()) as Arc<dyn Tokens>);
        let session = session.clone();
        async move { presence.run(&session).await }
    })
}

/// Does what `make` makes, and once more a moment later whenever a defect has ended it.
async fn undying<T, F>(name: &str, make: impl Fn() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    loop {
        // Ends with this future.
        let mut task = JoinSet::new();
        task.spawn(make());
        if let Some(Ok(value)) = task.join_next().await {
            return value;
        }
        tracing::error!("{name} starts again in {} s", AFTER_A_PANIC.as_secs());
        time::sleep(AFTER_A_PANIC).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again() {
        let (start, tries) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&tries);

        let value = undying("a test", move || {
            let tries = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(tries >= 2, "a panic on purpose");
                tries
            }
        })
        .await;

        assert_eq!((value, start.elapsed()), (2, 2 * AFTER_A_PANIC));
    }
}

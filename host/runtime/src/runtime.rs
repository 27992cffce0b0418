//! Everything that runs for a workspace, in one value.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time};

use crate::{
    config::Config,
    driver::Driver,
    guest::{Guest, wire},
    leadership,
    ports::NativePorts,
    presence::{self, Member, Presence, Rejected, Tokens},
    session::Session,
};

/// Before a task that a defect has ended is started again.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);
/// For the cursor file at the end. Clients kill half a second after asking.
const LAST_WRITE: Duration = Duration::from_millis(150);

/// The tools of a workspace, its presence and its inbox. Dropping it ends all of them.
pub struct Runtime {
    driver: Arc<Driver<NativePorts>>,
    session: Session,
    _inbox: JoinSet<()>,
    presence: JoinSet<Rejected>,
}

impl Runtime {
    /// Loads the component and begins the background work. Nothing goes out and no file changes before the
    /// session has begun.
    ///
    /// # Errors
    /// When the component cannot be loaded, or the system gives no random numbers.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let guest = Guest::embedded(guest_settings(config)?)?;
        guest.prepare().await?;
        let driver = Driver::new(guest, Arc::new(NativePorts::new(config)));
        let session = Session::default();
        let (mut inbox, mut presence) = (JoinSet::new(), JoinSet::new());
        inbox.spawn(keep_inbox(config, &driver, &session));
        if config.presence {
            presence.spawn(keep_presence(config, &driver, &session));
        }
        Ok(Self { driver, session, _inbox: inbox, presence })
    }

    /// What calls tools.
    #[must_use]
    pub fn driver(&self) -> &Arc<Driver<NativePorts>> {
        &self.driver
    }

    /// What says when outward work may begin.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns if the platform refuses the register of the workspace.
    pub async fn rejected(&mut self) -> Rejected {
        match self.presence.join_next().await {
            Some(Ok(rejected)) => rejected,
            Some(Err(_)) | None => std::future::pending().await,
        }
    }

    /// Brings the cursor file up to date, within 150 ms, and ends all work.
    pub async fn shutdown(self) {
        // What the agent has dealt with is in the journal; this is for other implementations.
        let _ = time::timeout(LAST_WRITE, self.driver.settle_inbox(0)).await;
    }
}

fn guest_settings(config: &Config) -> anyhow::Result<wire::Settings> {
    let mut seed = [0; 4];
    for part in &mut seed {
        *part = getrandom::u64()?;
    }
    let [first, second, third, fourth] = seed;
    let tools = config.tools.clone();
    Ok(wire::Settings {
        seed: (first, second, third, fourth),
        workspaces: vec![wire::WorkspaceSettings {
            id: config.workspace.clone(),
            platform: config.platform.as_str().trim_end_matches('/').to_owned(),
        }],
        inbox: config.inbox,
        redeliver: tools.redeliver,
        notice: tools.notice,
        structured: tools.structured,
        bare_peer_text: tools.bare_peer_text,
        delegate_durably: tools.delegate_durably,
        durable_budget_secs: tools.durable_budget_secs,
        poll_timeout_secs: tools.poll_timeout_secs,
        permissions: tools.permissions,
    })
}

fn keep_inbox(
    config: &Config,
    driver: &Arc<Driver<NativePorts>>,
    session: &Session,
) -> impl Future<Output = ()> + Send + 'static {
    let (driver, session, fetch) = (Arc::clone(driver), session.clone(), config.inbox);
    restart_on_panic("the inbox", move || {
        leadership::keep_open(Arc::clone(&driver), driver.ports().files().clone(), session.clone(), fetch)
    })
}

fn keep_presence(
    config: &Config,
    driver: &Arc<Driver<NativePorts>>,
    session: &Session,
) -> impl Future<Output = Rejected> + Send + 'static {
    let (driver, session, member) = (Arc::clone(driver), session.clone(), Member::of(config));
    restart_on_panic("presence", move || {
        let (ports, working) = (driver.shared_ports(), Arc::clone(driver.ports().working()));
        let presence = Presence::new(ports, member.clone(), working, presence::teach(Arc::clone(&driver)));
        let presence = presence.with_tokens(Arc::clone(driver.ports().http()) as Arc<dyn Tokens>);
        let session = session.clone();
        async move { presence.run(&session).await }
    })
}

/// Does what `make` makes, and once more a moment later whenever a defect has ended it.
async fn restart_on_panic<T, F>(name: &str, make: impl Fn() -> F) -> T
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

        let value = restart_on_panic("a test", move || {
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

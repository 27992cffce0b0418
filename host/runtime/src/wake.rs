//! The rings for an idle agent, for a program that has a door to it.
//!
//! ```text
//! component: when ──► Rings ──► program: how ──┬── the agent looks into its inbox
//!                       ▲                      └── not rung, and why ──┐
//!                       └──────────────────────────────────────────────┘
//! ```

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinSet, time};

use crate::{
    driver::{Driver, Ports as _},
    guest::{
        GuestDown,
        wire::{Ring, WakeRules, WakeState},
    },
    ports::{NativePorts, Rung},
};

/// Before rings begin anew after the component has stopped.
const AFTER_A_TRAP: Duration = Duration::from_secs(1);

/// The rings of a runtime. Dropping it ends them.
pub struct Rings {
    driver: Arc<Driver<NativePorts>>,
    rings: watch::Receiver<Rung>,
    _rules: JoinSet<()>,
}

impl Rings {
    pub(crate) fn begin(driver: &Arc<Driver<NativePorts>>, rules: WakeRules) -> Self {
        let rings = driver.ports().rings();
        let mut task = JoinSet::new();
        let ringing = Arc::clone(driver);
        task.spawn(async move {
            loop {
                // It only ends with the instance of the component.
                let _ = ringing.wake(&rules).await;
                time::sleep(AFTER_A_TRAP).await;
            }
        });
        Self { driver: Arc::clone(driver), rings, _rules: task }
    }

    /// The next ring. Of several that were not asked for in time it is the last, which counts all messages.
    pub async fn next(&mut self) -> Ring {
        loop {
            // The sender lives as long as the driver.
            let _ = self.rings.changed().await;
            if let (_, Some(ring)) = *self.rings.borrow_and_update() {
                return ring;
            }
        }
    }

    /// Says that the last ring reached no agent, why, as a code such as `no-door`, and for how long there is none. It
    /// counts as not rung.
    ///
    /// # Errors
    /// When the component stopped; then it has forgotten the ring, too.
    pub async fn not_rung(&self, why: &str, pause: Duration) -> Result<(), GuestDown> {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.driver.guest().not_rung(why, self.driver.ports().now().saturating_add(pause)).await
    }

    /// What became of the messages that the agent has not seen.
    ///
    /// # Errors
    /// When the component stopped; the call may be made again.
    pub async fn state(&self) -> Result<Vec<WakeState>, GuestDown> {
        self.driver.guest().wake_state(self.driver.ports().now()).await
    }
}

//! Wakes an idle agent: how a ring of the runtime gets to it through a door of its client.
//!
//! ```text
//! Rings ──► attention: off, muted, quiet hours? ──► notice: a fixed text ──► the door of this client
//!   ▲                    │                                                      │
//!   └──── not rung: why ─┴──────────────────────────────────────────────────────┘
//! ```
//!
//! A door that took the notice proves nothing: the runtime rings again until the agent looks into its inbox. No word of a
//! sender goes through a door.
//!
//! | Module | Knows |
//! |---|---|
//! | `attention` | when the operator wants no ring |
//! | `claude`, `codex`, `qwen` | the door of a client |
//! | `door` | what a door is, and why one stays shut |
//! | `notice` | the words that an agent reads |
//! | `surroundings` | where the process was started, and by whom |
//! | `switch` | what `molecule-mcp wake` has noted on disk |

mod attention;
mod claude;
mod codex;
mod door;
mod notice;
mod qwen;
mod surroundings;
mod switch;

use std::{collections::BTreeSet, time::Duration};

use jiff::Zoned;
use molecule_runtime::{
    Rings,
    guest::wire::{Ring, WakeRules},
};
use tokio::sync::watch;

pub(crate) use self::surroundings::CREDENTIALS_OF_CLIENTS;
pub use self::{
    attention::{Attention, Hours},
    door::Shut,
    surroundings::Surroundings,
    switch::Switch,
};
use self::{claude::Claude, codex::Codex, door::Door, notice::Notices, qwen::Qwen};
use crate::mcp::Introduction;

/// What the operator has set.
#[derive(Debug, Clone, PartialEq)]
pub struct WakeSettings {
    /// Who rings, and how often.
    pub rules: WakeRules,
    /// When nothing rings.
    pub attention: Attention,
    /// The name under which the client knows this server.
    pub server: String,
}

/// Passes rings on to the agent of one client.
pub struct Bell {
    attention: Attention,
    notices: Notices,
    doors: Vec<Box<dyn Door>>,
    client: watch::Receiver<Introduction>,
    /// Why there was no ring, as far as that was said.
    said: BTreeSet<&'static str>,
}

impl Bell {
    /// For the client that introduces itself by `client`.
    #[must_use]
    pub fn new(
        settings: WakeSettings,
        surroundings: &Surroundings,
        client: watch::Receiver<Introduction>,
    ) -> Self {
        let doors: [Box<dyn Door>; 3] = [
            Box::new(Claude::new(surroundings)),
            Box::new(Codex::new(surroundings)),
            Box::new(Qwen::new(surroundings)),
        ];
        Self {
            attention: settings.attention,
            notices: Notices::new(settings.server),
            doors: doors.into(),
            client,
            said: BTreeSet::new(),
        }
    }

    /// Passes rings on, for ever.
    pub async fn run(mut self, mut rings: Rings) {
        loop {
            let ring = rings.next().await;
            match self.pass_on(&ring).await {
                Ok(door) => tracing::info!("{} messages wait, and {door} was told", ring.unread),
                Err(Shut { code, why, pause }) => {
                    // A component that stops here has forgotten the ring.
                    let _ = rings.not_rung(code, pause).await;
                    if self.said.insert(code) {
                        tracing::warn!("the agent was not told that messages wait ({code}): {why}");
                    }
                }
            }
        }
    }

    /// Tells the agent; the name of the door that was taken.
    async fn pass_on(&mut self, ring: &Ring) -> Result<&'static str, Shut> {
        let now = Zoned::now();
        self.attention.allows(&now)?;
        let client = self.client.borrow().clone();
        let Some(door) = self.doors.iter().find(|door| door.is_of(&client)) else {
            return Err(no_door(&client));
        };
        let notice = self.notices.next(ring, &now);
        door.ring(&client, &notice).await.map(|()| door.name())
    }
}

fn no_door(client: &Introduction) -> Shut {
    const PAUSE: Duration = Duration::from_secs(300);
    let why = if client.name.is_empty() {
        "the client has not said its name".to_owned()
    } else {
        "this client has no way to reach its agent while that is idle; hooks or molecule-mcp watch can help"
            .to_owned()
    };
    Shut { code: "no-door", why, pause: PAUSE }
}

//! Which platform is stood in for: its level, and how its operator has configured it.

use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// The version of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The platform of 2026-04-30.
    Baseline,
    /// The platform of 2026-05-20.
    Later,
    /// The platform of 2026-06-27.
    Newest,
}

impl Level {
    /// Every level, oldest first.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Later, Self::Newest];
}

impl FromStr for Level {
    type Err = SwitchError;

    fn from_str(text: &str) -> Result<Self, SwitchError> {
        match text {
            "baseline" => Ok(Self::Baseline),
            "later" => Ok(Self::Later),
            "newest" => Ok(Self::Newest),
            other => Err(SwitchError::Value("level".to_owned(), other.to_owned())),
        }
    }
}

/// Why a switch could not be set.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SwitchError {
    /// There is no switch of this name.
    #[error("there is no switch called {0}")]
    Name(String),
    /// The text has no `=`.
    #[error("{0} is not of the form SWITCH=VALUE")]
    Shape(String),
    /// The value is not one the switch takes.
    #[error("{0} cannot be {1}")]
    Value(String, String),
}

/// What comes of asking for an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStreams {
    /// A stream.
    On,
    /// There is no such route.
    Refused,
    /// A stream that never says a word, as behind an edge that holds everything back.
    Silent,
}

impl FromStr for EventStreams {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "on" => Ok(Self::On),
            "refused" => Ok(Self::Refused),
            "silent" => Ok(Self::Silent),
            _ => Err(()),
        }
    }
}

/// The configuration of a platform.
#[derive(Clone, Debug)]
pub struct Switches {
    /// The operator's token; it opens the admin and the workspace gates.
    pub admin_token: Option<String>,
    /// Development mode: no rate limit; before the newest level also open admin and discovery gates.
    pub dev_mode: bool,
    /// How far apart the events of one message are (newest level only, which sends several).
    pub event_gap: Duration,
    /// What comes of asking for an event stream.
    pub event_streams: EventStreams,
    /// How long a push-mode agent may be silent before it counts as busy.
    pub idle_timeout: Duration,
    /// Delegation results are also put into the inbox (not at the baseline).
    pub inbox_push: bool,
    /// How long an inbound message stays invisible after its `queued` answer.
    pub insert_delay: Duration,
    /// Delegations are also written to the ledger (not at the baseline).
    pub ledger: bool,
    /// Whether the memory plugin is there (newest level only; others keep memories themselves).
    pub memory_plugin: bool,
    /// The organisation of a hosted tenant; turns the tenant guard on.
    pub org_id: Option<String>,
    /// Whether messages are dispatched to `http://localhost`.
    pub push_loopback: bool,
    /// Requests allowed per window and bucket.
    pub rate_limit: u64,
    /// The length of the rate window.
    pub rate_window: Duration,
    /// How long activity rows are kept.
    pub retention: Duration,
    /// The silence after which an external workspace is stale.
    pub stale_after: Duration,
    /// How often stale workspaces are looked for.
    pub sweep_interval: Duration,
    /// Whether the test-token route exists.
    pub test_tokens: bool,
    /// Same-origin requests are trusted, and unknown routes show the web UI.
    pub ui_proxy: bool,
}

/// Every switch: its name and what it does. In alphabetical order.
pub const SWITCHES: &[(&str, &str)] = &[
    ("admin_token=TEXT", "the operator's token; it opens the admin and the workspace gates"),
    ("dev_mode=BOOL", "development mode: no rate limit, before the newest level also open gates (false)"),
    ("event_gap_ms=MS", "between the events of one message, newest level only (2)"),
    ("event_streams=HOW", "on, refused (no such route), or silent: accepted without a word (on)"),
    ("idle_timeout_s=SECONDS", "silence after which a push-mode agent counts as busy (300)"),
    ("inbox_push=BOOL", "delegation results also go to the inbox, not at the baseline (false)"),
    ("insert_delay_ms=MS", "invisibility of an inbound message after its answer (baseline 20, others 0)"),
    ("ledger=BOOL", "delegations are also written to the ledger, not at the baseline (false)"),
    ("memory_plugin=BOOL", "the memory plugin is there, newest level only (true)"),
    ("org_id=TEXT", "the organisation of a hosted tenant; turns the tenant guard on"),
    ("push_loopback=BOOL", "messages are dispatched to http://localhost instead of a 502 (false)"),
    ("rate_limit=N", "requests allowed per window (600)"),
    ("rate_window_s=SECONDS", "length of the rate window (60)"),
    ("retention_s=SECONDS", "age at which activity rows are deleted (604800)"),
    ("stale_after_s=SECONDS", "silence after which an external workspace is stale (90, newest 180)"),
    ("sweep_interval_s=SECONDS", "how often stale workspaces are looked for (15)"),
    ("test_tokens=BOOL", "the test-token route exists (true)"),
    ("ui_proxy=BOOL", "same-origin requests are trusted, unknown routes show the web UI (false)"),
];

impl Switches {
    /// The configuration of an ordinary self-hosted platform of this level.
    #[must_use]
    pub fn new(level: Level) -> Self {
        let insert_delay = match level {
            Level::Baseline => Duration::from_millis(20),
            Level::Later | Level::Newest => Duration::ZERO,
        };
        let stale_after = match level {
            Level::Baseline | Level::Later => Duration::from_secs(90),
            Level::Newest => Duration::from_secs(180),
        };
        Self {
            admin_token: None,
            dev_mode: false,
            event_gap: Duration::from_millis(2),
            event_streams: EventStreams::On,
            idle_timeout: Duration::from_secs(300),
            inbox_push: false,
            insert_delay,
            ledger: false,
            memory_plugin: true,
            org_id: None,
            push_loopback: false,
            rate_limit: 600,
            rate_window: Duration::from_secs(60),
            retention: Duration::from_secs(604_800),
            stale_after,
            sweep_interval: Duration::from_secs(15),
            test_tokens: true,
            ui_proxy: false,
        }
    }

    /// Sets one switch from `SWITCH=VALUE`, as the command line gives it.
    pub fn set(&mut self, setting: &str) -> Result<(), SwitchError> {
        let (name, value) = setting.split_once('=').ok_or_else(|| SwitchError::Shape(setting.to_owned()))?;
        let wrong = || SwitchError::Value(name.to_owned(), value.to_owned());
        let flag = || value.parse::<bool>().map_err(|_| wrong());
        let seconds =
            || value.parse().ok().and_then(|s| Duration::try_from_secs_f64(s).ok()).ok_or_else(wrong);
        match name {
            "admin_token" => self.admin_token = Some(value.to_owned()).filter(|token| !token.is_empty()),
            "dev_mode" => self.dev_mode = flag()?,
            "event_gap_ms" => self.event_gap = Duration::from_millis(value.parse().map_err(|_| wrong())?),
            "event_streams" => self.event_streams = value.parse().map_err(|()| wrong())?,
            "idle_timeout_s" => self.idle_timeout = seconds()?,
            "inbox_push" => self.inbox_push = flag()?,
            "insert_delay_ms" => {
                self.insert_delay = Duration::from_millis(value.parse().map_err(|_| wrong())?)
            }
            "ledger" => self.ledger = flag()?,
            "memory_plugin" => self.memory_plugin = flag()?,
            "org_id" => self.org_id = Some(value.to_owned()).filter(|org| !org.is_empty()),
            "push_loopback" => self.push_loopback = flag()?,
            "rate_limit" => self.rate_limit = value.parse().map_err(|_| wrong())?,
            "rate_window_s" => self.rate_window = seconds()?,
            "retention_s" => self.retention = seconds()?,
            "stale_after_s" => self.stale_after = seconds()?,
            "sweep_interval_s" => self.sweep_interval = seconds()?,
            "test_tokens" => self.test_tokens = flag()?,
            "ui_proxy" => self.ui_proxy = flag()?,
            other => return Err(SwitchError::Name(other.to_owned())),
        }
        Ok(())
    }

    /// Development mode without an operator's token has no rate limit.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.dev_mode && self.admin_token.is_none()
    }

    /// Development mode opens gates only without an operator's token, and not at the newest level.
    pub(crate) fn gates_open(&self, level: Level) -> bool {
        self.is_unlimited() && level < Level::Newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_switch_can_be_set() {
        let mut switches = Switches::new(Level::Baseline);
        for (usage, _) in SWITCHES {
            let name = usage.split('=').next().unwrap();
            let value = match usage {
                usage if usage.ends_with("BOOL") => "true",
                usage if usage.ends_with("HOW") => "silent",
                _ => "1",
            };
            assert_eq!(switches.set(&format!("{name}={value}")), Ok(()), "{usage}");
        }

        assert_eq!(switches.stale_after, Duration::from_secs(1));
        assert_eq!(switches.set("colour=red"), Err(SwitchError::Name("colour".to_owned())));
        assert!(switches.set("rate_limit=many").is_err());
        assert!(switches.set("event_streams=loud").is_err());
    }
}

//! What outlives the process: the platform, the disk, and time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use standin::{Level, Now, Platform, Switches, world::Credentials};
use tokio::time::Instant;

use super::locked;

/// The platform's clock at the start: 2026-05-20T12:00:00Z.
const EPOCH_MICROS: i64 = 1_779_278_400_000_000;

/// Where the platform is.
pub(super) const HOST: &str = "platform.test";

pub(super) struct Machine {
    start: Instant,
    pub(super) me: Credentials,
    platform: Mutex<Platform>,
    files: Mutex<Files>,
    /// What the agent may attach to messages, by path.
    pub(super) attachments: BTreeMap<String, Bytes>,
}

/// What is on disk.
#[derive(Default)]
pub(super) struct Files {
    pub(super) cursor: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) writes: usize,
    /// Why nothing can be written, while that is so.
    pub(super) trouble: Option<String>,
}

impl Machine {
    pub(super) fn new(level: Level, switches: Switches, attachments: BTreeMap<String, Bytes>) -> Self {
        let mut platform = Platform::new(level, switches, 7, Now::from_micros(EPOCH_MICROS));
        let me = platform.external_workspace("agent");
        Self {
            start: Instant::now(),
            me,
            platform: Mutex::new(platform),
            files: Mutex::default(),
            attachments,
        }
    }

    /// The platform as it is at this moment.
    pub(super) fn platform(&self) -> MutexGuard<'_, Platform> {
        let mut platform = locked(&self.platform);
        platform.tick(self.platform_time());
        platform
    }

    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        locked(&self.files)
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds from the beginning to `at`.
    pub(super) fn ms_of(&self, at: Now) -> u64 {
        u64::try_from(at.since(Now::from_micros(EPOCH_MICROS)).as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant so many milliseconds after the beginning.
    pub(super) fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    pub(super) fn platform_time(&self) -> Now {
        Now::from_micros(EPOCH_MICROS).plus(self.start.elapsed())
    }
}

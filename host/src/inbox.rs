//! Keeps the inbox of the component open, also after the component had to be restarted.
//!
//! ```text
//! session begun ──► told what is on disk ──► fetching ──► stopped ──► pause
//!                          ▲                                            │
//!                          └────────────────────────────────────────────┘
//! ```

use std::{sync::Arc, time::Duration};

use tokio::{
    task,
    time::{self, Instant},
};

use crate::{
    driver::{Driver, Ports},
    guest::GuestDown,
    ports::files::Files,
    session::Session,
};

/// Before the first try to open it again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A message that stops the component each time it is read costs one restart a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tells the component what `files` hold and lets it fetch messages, for as long as the future is
/// polled. Without `fetch` the component is told, and nothing is fetched.
pub async fn keep_open<P: Ports>(driver: Arc<Driver<P>>, files: Files, session: Session, fetch: bool) {
    session.begun().await;
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = Instant::now();
        let mut stops = driver.guest().stops();
        tokio::select! {
            // Where nothing is fetched, nothing else would notice the stop.
            _ = stops.changed() => {}
            _ = open(&driver, &files, fetch) => {}
        }
        if opened.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tracing::warn!("the inbox is opened again in {} s", pause.as_secs());
        time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Ends only if the component stops.
async fn open<P: Ports>(driver: &Arc<Driver<P>>, files: &Files, fetch: bool) -> Result<(), GuestDown> {
    let files = files.clone();
    let on_disk = task::spawn_blocking(move || (files.read_cursor(), files.read_secret()));
    let (cursor, secret) = on_disk.await.unwrap_or_default();
    if let Some(secret) = secret {
        driver.guest().remember_secret(0, &secret).await?;
    }
    if !fetch {
        return std::future::pending().await;
    }
    driver.fetch_inbox(0, cursor.as_deref()).await.map(drop)
}

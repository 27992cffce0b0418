//! Notes to a client that waits for an answer: without them some give a call up after a minute.

use std::{pin::pin, time::Duration};

use rmcp::model::{
    ProgressNotification, ProgressNotificationParam, ProgressToken, ServerJsonRpcMessage, ServerNotification,
};
use tokio::time::{self, Instant, MissedTickBehavior};

use super::client::Outlet;

/// The shortest time limit of a client that was seen is 60 s without a note.
const EVERY: Duration = Duration::from_secs(10);

/// Carries out `call`, and says every 10 s under `token` that it goes on; nothing once it is over.
pub(super) async fn told<T>(outlet: &impl Outlet, token: ProgressToken, call: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let mut beat = time::interval_at(start + EVERY, EVERY);
    // Whatever delays a note, the next one counts more seconds.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut call = pin!(call);
    loop {
        tokio::select! {
            biased;
            done = &mut call => return done,
            _ = beat.tick() => {}
        }
        // A client that does not read learns nothing from more of them.
        if !outlet.is_full() {
            outlet.notify(&note(token.clone(), start.elapsed().as_secs()));
        }
    }
}

/// Seconds so far, and no total: only the guest knows how long a call may take.
fn note(token: ProgressToken, secs: u64) -> ServerJsonRpcMessage {
    #[expect(clippy::cast_precision_loss, reason = "no call takes that long")]
    let progress = ProgressNotificationParam::new(token, secs as f64);
    let progress = progress.with_message(format!("still at it after {secs} s"));
    let progress = ProgressNotification::new(progress);
    ServerJsonRpcMessage::notification(ServerNotification::ProgressNotification(progress))
}

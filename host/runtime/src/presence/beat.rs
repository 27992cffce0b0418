//! Tells the platform that this workspace is alive, and what it is busy with.

use serde::Serialize;

use super::{exchange, rules::Answer, working::Busy};
use crate::{account::Account, driver::Ports, guest::wire::Limits};

const LIMITS: Limits = Limits { first_byte_ms: 8_000, total_ms: 8_000, body_bytes: 64 << 10 };

/// Whatever a beat leaves out is reset on the platform, so each tells everything. The integers must be
/// written as such and fit 32 bits.
#[derive(Serialize)]
struct Beat<'a> {
    workspace_id: &'a str,
    error_rate: f64,
    sample_error: &'a str,
    active_tasks: i32,
    uptime_seconds: i32,
    current_task: &'a str,
}

/// Beats once.
pub(super) async fn beat<P: Ports>(ports: &P, account: &Account, busy: &Busy, uptime_ms: u64) -> Answer {
    let body = Beat {
        workspace_id: &account.id,
        error_rate: 0.0,
        sample_error: "",
        active_tasks: i32::try_from(busy.active_tasks).unwrap_or(i32::MAX),
        uptime_seconds: i32::try_from(uptime_ms / 1_000).unwrap_or(i32::MAX),
        // The platform's store refuses the whole beat for this one character.
        current_task: &busy.current_task.replace('\0', ""),
    };
    exchange::post(ports, account.handle(), "heartbeat", &body, LIMITS).await
}

//! Whether the platform knows the workspace and takes its token, and what comes through the event stream.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use molecule_runtime::{
    platform::{
        events::{Chunks, Closed, Source as _},
        http::EventStream,
    },
    ports::{Line, NativePorts},
    presence::examine::{Beaten, Level, Opened, Shown, beat_once, opens, shown},
    status::{PresenceState, WorkspaceReport},
};
use tokio::time::timeout;

use super::{
    Found, Scene,
    catalog::{
        BEAT_ACCEPTED, BEAT_FAILED, BEAT_SKIPPED, EVENTS_ABSENT, EVENTS_DEAF, EVENTS_FAILED, EVENTS_OPEN,
        EVENTS_QUIET, EVENTS_SILENT, GATE_CLOSED, GATE_IN_FRONT, GATE_OPEN, GATE_UNKNOWN, LEVEL_KNOWN,
        MODE_PUSH, RUNTIME_OTHER, TOKEN_REFUSED, WORKSPACE_REMOVED, WORKSPACE_UNKNOWN,
    },
};

/// For the head of the stream, and for its first bytes.
const FIRST_BYTES: Duration = Duration::from_secs(2);
/// From a heartbeat to its event, which is there within milliseconds.
const OWN_EVENT: Duration = Duration::from_millis(1_500);

/// Looks at the workspace of `line`.
pub(super) async fn look(scene: &Scene, ports: &NativePorts, line: &Line, found: &mut Vec<Found>) {
    let account = line.account();
    let (known, opened, stream) =
        tokio::join!(shown(ports, account), opens(ports, account), open(line, &mut *found));
    let known = known.unwrap_or_default();
    record(&known, found);
    found.push(gate(&opened));
    let running = running(scene, &account.id);
    let mode = running.and_then(|running| running.presence.delivery_mode.as_ref());
    found.extend(
        mode.filter(|mode| *mode != "poll").map(|mode| MODE_PUSH.seen(format!("delivered by `{mode}`"))),
    );
    let beats = scene.config.as_ref().is_some_and(|config| config.presence);
    let is_beaten = match running {
        _ if !beats => {
            found.push(BEAT_SKIPPED.seen("heartbeats are switched off"));
            false
        }
        Some(running) if running.presence.state == PresenceState::Online => {
            let ago = running.presence.accepted_s_ago.unwrap_or_default();
            found.push(BEAT_SKIPPED.seen(format!("a running program sends them, the last {ago} s ago")));
            false
        }
        Some(_) | None => {
            let beaten = beat_once(ports, account, &known).await;
            found.push(beat(&beaten));
            beaten == Beaten::Accepted
        }
    };
    if let Some(stream) = stream {
        found.push(hear(stream, is_beaten).await);
    }
}

/// What a running program says of the workspace.
fn running<'a>(scene: &'a Scene, workspace: &str) -> Option<&'a WorkspaceReport> {
    let reports = scene.processes.iter().filter_map(|asked| asked.report.as_ref().ok());
    let mut workspaces = reports.flat_map(|report| &report.workspaces);
    workspaces.find(|report| report.workspace == workspace)
}

fn record(known: &Shown, found: &mut Vec<Found>) {
    if known.status.is_empty() {
        return;
    }
    let level = match known.level {
        Level::Baseline => "of April 2026",
        Level::Later => "of May 2026",
        Level::Newest => "of June 2026 or later",
    };
    found.push(LEVEL_KNOWN.seen(format!("the platform is {level}; the workspace is {}", known.status)));
    if known.status == "removed" {
        found.push(WORKSPACE_REMOVED.seen("the platform shows it as removed"));
    }
    if !matches!(known.runtime.as_str(), "" | "external" | "kimi" | "kimi-cli") {
        found.push(RUNTIME_OTHER.seen(format!("its runtime is `{}`", known.runtime)));
    }
}

fn gate(opened: &Opened) -> Found {
    match opened {
        Opened::Yes => GATE_OPEN.seen("its messages can be read"),
        Opened::No => GATE_CLOSED.seen("reading its messages is refused"),
        Opened::NotByThePlatform(status) => {
            GATE_IN_FRONT.seen(format!("reading its messages: HTTP {status} without JSON"))
        }
        Opened::Unknown(why) => GATE_UNKNOWN.seen(why.clone()),
    }
}

fn beat(beaten: &Beaten) -> Found {
    match beaten {
        Beaten::Accepted => BEAT_ACCEPTED.seen("a heartbeat was accepted"),
        Beaten::Failed(why) => BEAT_FAILED.seen(why.clone()),
        Beaten::Missing => WORKSPACE_UNKNOWN.seen("heartbeat: HTTP 404"),
        Beaten::Refused(status) => TOKEN_REFUSED.seen(format!("heartbeat: HTTP {status}")),
        Beaten::Removed => WORKSPACE_REMOVED.seen("heartbeat: HTTP 410"),
    }
}

/// The event stream once its first bytes are there; otherwise what keeps it away is found.
async fn open(line: &Line, found: &mut Vec<Found>) -> Option<Chunks> {
    let source = EventStream::new(Arc::clone(line.http()));
    let silent = || EVENTS_SILENT.seen(format!("nothing within {} s", FIRST_BYTES.as_secs()));
    let seen = match timeout(FIRST_BYTES, source.open()).await {
        Ok(Ok(mut chunks)) => match timeout(FIRST_BYTES, chunks.next()).await {
            Ok(Some(Ok(_))) => return Some(chunks),
            Ok(Some(Err(cause))) => EVENTS_FAILED.seen(cause.to_string()),
            Ok(None) => EVENTS_FAILED.seen("it was closed"),
            Err(_) => silent(),
        },
        Ok(Err(Closed::Absent(why))) => EVENTS_ABSENT.seen(why),
        Ok(Err(Closed::Failed { reason, .. })) => EVENTS_FAILED.seen(reason),
        Err(_) => silent(),
    };
    found.push(seen);
    None
}

/// Waits for the event of a heartbeat that was sent, `is_beaten`.
async fn hear(mut stream: Chunks, is_beaten: bool) -> Found {
    if !is_beaten {
        return EVENTS_QUIET.seen("its first bytes are there");
    }
    match timeout(OWN_EVENT, stream.next()).await {
        Ok(Some(Ok(_))) => EVENTS_OPEN.seen("its first bytes are there, and the heartbeat's event"),
        Ok(Some(Err(cause))) => EVENTS_FAILED.seen(cause.to_string()),
        Ok(None) => EVENTS_FAILED.seen("it was closed"),
        Err(_) => EVENTS_DEAF.seen(format!("no event within {} ms of a heartbeat", OWN_EVENT.as_millis())),
    }
}

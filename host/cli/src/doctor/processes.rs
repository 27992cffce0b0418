//! What running programs say of themselves.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use molecule_runtime::status::{Asked, PresenceState, Report, WorkspaceReport};

use super::{
    Found, Scene,
    catalog::{
        MESSAGES_IGNORED, PROCESS_BEATS_FAIL, PROCESS_NONE, PROCESS_OTHER_VERSION, PROCESS_REFUSED,
        PROCESS_RESTARTED, PROCESS_SILENT, PROCESS_TROUBLE, PROCESS_WELL,
    },
};
use crate::status::duration;

/// An agent that is at work has looked by then.
const IGNORED_AFTER: Duration = Duration::from_secs(3_600);

pub(super) fn look(scene: &Scene) -> Vec<Found> {
    let Some(directory) = &scene.directory else { return Vec::new() };
    if scene.processes.is_empty() {
        return vec![PROCESS_NONE.seen(format!("no program answers in {}", directory.display()))];
    }
    scene.processes.iter().flat_map(|asked| process(scene, asked)).collect()
}

fn process(scene: &Scene, asked: &Asked) -> Vec<Found> {
    let report = match &asked.report {
        Ok(report) => report,
        Err(why) => {
            let pid = asked.pid.map_or_else(|| asked.socket.display().to_string(), |pid| pid.to_string());
            return vec![PROCESS_SILENT.seen(format!("process {pid}: {why}"))];
        }
    };
    let mut found = Vec::new();
    for one in &report.workspaces {
        let about = scene.named(&one.workspace);
        found.extend(workspace(report, one).into_iter().map(|one| one.about(about)));
    }
    if report.component_stops > 0 {
        found.push(PROCESS_RESTARTED.seen(format!("{}, {} times", name(report), report.component_stops)));
    }
    if report.version != env!("CARGO_PKG_VERSION") {
        found.push(PROCESS_OTHER_VERSION.seen(format!("{} is version {}", name(report), report.version)));
    }
    if found.is_empty() {
        found.push(PROCESS_WELL.seen(format!("{}, for {}", name(report), duration(report.uptime_s))));
    }
    found
}

fn workspace(report: &Report, one: &WorkspaceReport) -> Vec<Found> {
    let (name, mut found) = (name(report), Vec::new());
    let why = one.presence.trouble.as_deref().unwrap_or_default();
    match one.presence.state {
        PresenceState::Failing => found.push(PROCESS_BEATS_FAIL.seen(format!("{name}: {why}"))),
        PresenceState::Refused => found.push(PROCESS_REFUSED.seen(format!("{name}: {why}"))),
        PresenceState::Off | PresenceState::Online | PresenceState::Starting => {}
    }
    if let Some(why) = &one.inbox.trouble
        && one.presence.state != PresenceState::Refused
    {
        found.push(PROCESS_TROUBLE.seen(format!("{name}: {why}")));
    }
    let oldest = one.inbox.oldest_waiting.as_deref();
    if let Some(waits) = oldest.and_then(since).filter(|waits| *waits > IGNORED_AFTER) {
        let waits = duration(waits.as_secs());
        found.push(
            MESSAGES_IGNORED.seen(format!("{name}: the oldest of {} waits for {waits}", one.inbox.staged)),
        );
    }
    found
}

/// How long ago a time of the platform is, by the clock of this machine.
fn since(time: &str) -> Option<Duration> {
    let time = SystemTime::from(time.parse::<Timestamp>().ok()?);
    SystemTime::now().duration_since(time).ok()
}

fn name(report: &Report) -> String {
    let client = report.client.as_ref().map(|client| format!(" for {}", client.name));
    format!("process {}{}", report.pid, client.unwrap_or_default())
}

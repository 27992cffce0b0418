//! What a process knows of itself, as a [`Report`].

use std::process;

use super::{
    EventsReport, EventsState, InboxReport, InboxRole, PresenceReport, PresenceState, Report, WorkspaceReport,
};
use crate::{
    driver::{Driver, Ports as _},
    guest::wire::{InboxStatus, Instant},
    platform::events::State,
    ports::{Line, NativePorts},
    presence::{Rejected, Standing},
    session::Session,
    storage::files::Lead,
};

/// What is switched on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switches {
    /// Heartbeats.
    pub(crate) presence: bool,
    /// Fetching.
    pub(crate) inbox: bool,
}

/// How the process is at this moment.
pub(crate) async fn of(
    driver: &Driver<NativePorts>,
    session: &Session,
    standing: &Standing,
    switches: Switches,
) -> Report {
    let now = driver.ports().now();
    let mut workspaces = Vec::new();
    for line in driver.ports().lines() {
        let handle = line.account().handle();
        // A component that has stopped knows nothing until its inbox is opened again.
        let status = driver.guest().inbox_status(handle, now).await.ok();
        workspaces.push(WorkspaceReport {
            workspace: line.account().id.clone(),
            platform: line.account().platform.as_str().trim_end_matches('/').to_owned(),
            presence: presence(line, standing.refusal(handle), switches, now),
            events: events(line, now),
            inbox: inbox(line, status, switches, now),
        });
    }
    Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: process::id(),
        uptime_s: now / 1_000,
        client: session.client().cloned(),
        component_stops: *driver.guest().stops().borrow(),
        workspaces,
    }
}

fn presence(line: &Line, refusal: Option<Rejected>, switches: Switches, now: Instant) -> PresenceReport {
    let signs = line.record().signs();
    let state = match &signs.beat {
        _ if !switches.presence => PresenceState::Off,
        _ if refusal.is_some() => PresenceState::Refused,
        None => PresenceState::Starting,
        Some(beat) if beat.failed.is_some() => PresenceState::Failing,
        Some(_) => PresenceState::Online,
    };
    let failed_beat = signs.beat.as_ref().and_then(|beat| beat.failed.clone());
    PresenceReport {
        state,
        accepted_s_ago: signs.accepted_at.map(|at| ago(at, now)),
        beat_s_ago: signs.beat.as_ref().map(|beat| ago(beat.at, now)),
        failed_in_a_row: signs.failed_in_a_row,
        trouble: refusal.map(|rejected| rejected.to_string()).or(failed_beat).or(signs.register_failed),
        delivery_mode: signs.delivery_mode,
    }
}

fn events(line: &Line, now: Instant) -> EventsReport {
    let (state, since) = line.stream();
    let (state, why) = match state {
        State::Absent(why) => (EventsState::Absent, Some(why)),
        State::Closed if since == 0 => return EventsReport::default(),
        State::Closed => (EventsState::Closed, None),
        State::Failed(why) => (EventsState::Failed, Some(why)),
        State::Open => (EventsState::Open, None),
        State::Opening => (EventsState::Opening, None),
    };
    EventsReport { state, for_s: Some(ago(since, now)), why }
}

fn inbox(line: &Line, status: Option<InboxStatus>, switches: Switches, now: Instant) -> InboxReport {
    let (role, leader) = match line.files().known_lead() {
        _ if !switches.inbox => (InboxRole::Off, None),
        None => (InboxRole::Starting, None),
        Some(Lead::Another(leader)) => (InboxRole::Follower, Some(leader.to_string())),
        Some(Lead::Here) => (InboxRole::Leader, None),
        Some(Lead::Unlocked(_)) => (InboxRole::Unlocked, None),
    };
    let Some(status) = status else { return InboxReport { role, leader, ..InboxReport::default() } };
    InboxReport {
        role,
        leader,
        staged: status.staged,
        parked: status.parked,
        oldest_waiting: status.oldest_waiting,
        position: status.position,
        gaps: status.gaps,
        read_s_ago: status.read_at.map(|at| ago(at, now)),
        trouble: status.trouble,
    }
}

const fn ago(at: Instant, now: Instant) -> u64 {
    now.saturating_sub(at) / 1_000
}

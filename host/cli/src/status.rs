//! What `molecule-mcp status` prints: what running processes say of themselves, as text for people or as JSON.

use std::{fmt::Write as _, path::PathBuf};

use molecule_runtime::status::{
    Asked, EventsReport, EventsState, InboxReport, InboxRole, PresenceReport, PresenceState, Report,
    WorkspaceReport,
};
use serde_json::{Value, json};

use crate::log::escaped;

/// The processes of one directory, as they were at one moment.
#[derive(Debug)]
pub struct Seen {
    /// Where they keep their state.
    pub directory: PathBuf,
    /// All that were found.
    pub processes: Vec<Asked>,
}

impl Seen {
    /// Whether there is a process, and each has answered.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.processes.is_empty() && self.processes.iter().all(|asked| asked.report.is_ok())
    }

    /// For programs: an object in one line.
    #[must_use]
    pub fn json(&self) -> String {
        let process = |asked: &Asked| match &asked.report {
            Ok(report) => json!(report),
            Err(why) => json!({"pid": asked.pid, "error": why}),
        };
        let processes: Vec<Value> = self.processes.iter().map(process).collect();
        format!("{}\n", json!({"directory": self.directory.display().to_string(), "processes": processes}))
    }
}

/// For people.
#[must_use]
pub fn table(seen: &Seen) -> String {
    if seen.processes.is_empty() {
        let directory = escaped(&seen.directory.display().to_string());
        return format!(
            "No molecule-mcp runs with its state in {directory}.\nA process answers from the beginning of its session \
             on: once its client has called a tool, or a few seconds after its start.\n"
        );
    }
    let processes: Vec<String> = seen.processes.iter().map(process).collect();
    processes.join("\n")
}

fn process(asked: &Asked) -> String {
    let pid = asked.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
    match &asked.report {
        Ok(report) => running(report),
        Err(why) => format!(
            "Process {pid} does not answer ({}): it may be stopped, or hang; end it (kill {pid}) and start its client \
             again.\n",
            escaped(why)
        ),
    }
}

fn running(report: &Report) -> String {
    let client = report.client.as_ref().map_or_else(
        || "a client without a name".to_owned(),
        |client| format!("{} {}", client.name, client.version).trim_end().to_owned(),
    );
    let mut text = format!(
        "Process {}, molecule-mcp {}, for {}, serves {}",
        report.pid,
        escaped(&report.version),
        duration(report.uptime_s),
        escaped(&client)
    );
    if report.component_stops > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "; its tool logic was restarted {}", times(report.component_stops));
    }
    text.push('\n');
    for one in &report.workspaces {
        text.push_str(&workspace(one));
    }
    text
}

fn workspace(report: &WorkspaceReport) -> String {
    let mut text = format!("  workspace {} on {}\n", escaped(&report.workspace), escaped(&report.platform));
    let mut line = |name: &str, said: &str| {
        let _ = writeln!(text, "    {name:<9} {}", escaped(said));
    };
    line("presence", &presence(&report.presence));
    line("events", &events(&report.events));
    line("inbox", &inbox(&report.inbox));
    for trouble in report.presence.trouble.iter().chain(&report.inbox.trouble) {
        line("trouble", trouble);
    }
    text
}

fn presence(report: &PresenceReport) -> String {
    let state = match report.state {
        PresenceState::Failing => "heartbeats fail",
        PresenceState::Off => return "switched off".to_owned(),
        PresenceState::Online => "online",
        PresenceState::Refused => "the platform refuses the token",
        PresenceState::Starting => "no heartbeat was answered yet",
    };
    let mut text = state.to_owned();
    if let Some(ago) = report.accepted_s_ago {
        let _ = write!(text, ", last accepted {} ago", duration(ago));
    }
    if report.failed_in_a_row > 0 {
        let _ = write!(text, ", failed {} in a row", times(report.failed_in_a_row.into()));
    }
    if let Some(mode) = report.delivery_mode.as_ref().filter(|mode| *mode != "poll") {
        let _ = write!(text, ", messages are delivered by `{mode}` and do not reach the inbox");
    }
    text
}

fn events(report: &EventsReport) -> String {
    let state = match report.state {
        EventsState::Absent => "none, the inbox is only polled",
        EventsState::Closed => "closed, nobody listens",
        EventsState::Failed => "broken, opened again soon",
        EventsState::Open => "open",
        EventsState::Opening => "asked for",
    };
    let since = report.for_s.map(|secs| format!(", for {}", duration(secs)));
    let why = report.why.as_ref().map(|why| format!(" ({why})"));
    format!("{state}{}{}", since.unwrap_or_default(), why.unwrap_or_default())
}

fn inbox(report: &InboxReport) -> String {
    match (report.role, &report.leader) {
        (InboxRole::Off, _) => return "switched off".to_owned(),
        (InboxRole::Follower, leader) => {
            let leader = leader.as_deref().unwrap_or("another process");
            return format!("fetched by {leader}");
        }
        (InboxRole::Starting, _) => return "not open yet".to_owned(),
        (InboxRole::Leader | InboxRole::Unlocked, _) => {}
    }
    let mut text = match report.staged {
        0 => "no message waits".to_owned(),
        1 => "1 message waits".to_owned(),
        many => format!("{many} messages wait"),
    };
    if let Some(oldest) = &report.oldest_waiting {
        let _ = write!(text, ", the oldest of {oldest}");
    }
    if report.parked > 0 {
        let _ = write!(text, ", {} parked", report.parked);
    }
    if report.gaps > 0 {
        let _ = write!(text, ", {} gaps", report.gaps);
    }
    if let Some(ago) = report.read_s_ago {
        let _ = write!(text, "; read {} ago", duration(ago));
    }
    if let Some(position) = &report.position {
        let _ = write!(text, " up to {position}");
    }
    if report.role == InboxRole::Unlocked {
        text.push_str("; without a lock");
    }
    text
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// In its two largest units.
pub(crate) fn duration(secs: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut left = secs;
    let mut parts = Vec::new();
    for (length, unit) in UNITS {
        let count = left / length;
        left %= length;
        if count > 0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use molecule_runtime::session::Client;

    use super::*;

    #[test]
    fn a_process_tells_who_it_serves_and_each_workspace() {
        let shown = table(&seen(Ok(report())));

        for word in [
            "Process 7, molecule-mcp 0.1.0, for 1 h 1 min, serves codex 1.2",
            "workspace w on https://acme.example",
            "presence  heartbeats fail, last accepted 2 min 5 s ago, failed 4 times in a row",
            "events    open, for 3 s",
            "inbox     2 messages wait, the oldest of 2026-05-01T10:00:00Z, 1 parked; read 5 s ago up to row-9",
            "trouble   HTTP 502",
        ] {
            assert!(shown.contains(word), "{word} in {shown}");
        }
    }

    #[test]
    fn who_follows_names_the_leader() {
        let mut report = report();
        report.workspaces[0].inbox = InboxReport {
            role: InboxRole::Follower,
            leader: Some("process 4".to_owned()),
            ..InboxReport::default()
        };

        assert!(table(&seen(Ok(report))).contains("inbox     fetched by process 4\n"));
    }

    #[test]
    fn a_process_that_does_not_answer_is_told_with_the_next_step() {
        let seen = seen(Err("no answer within 2 s".to_owned()));

        assert!(table(&seen).contains("kill 7"), "{}", table(&seen));
        assert!(!seen.is_well() && seen.json().contains(r#""error":"no answer within 2 s""#));
    }

    #[test]
    fn nothing_that_moves_the_cursor_is_printed() {
        let mut report = report();
        report.workspaces[0].presence.trouble = Some("\u{1b}[2J\nx".to_owned());

        let shown = table(&seen(Ok(report)));

        assert!(!shown.contains('\u{1b}') && shown.contains("\\u{1b}[2J\\nx"), "{shown}");
    }

    #[test]
    fn durations_have_two_units_at_most() {
        for (secs, said) in
            [(0, "0 s"), (59, "59 s"), (3_600, "1 h"), (3_661, "1 h 1 min"), (90_061, "1 d 1 h")]
        {
            assert_eq!(duration(secs), said);
        }
    }

    fn seen(report: Result<Report, String>) -> Seen {
        let asked = Asked { socket: PathBuf::from("/c/s"), pid: Some(7), report };
        Seen { directory: PathBuf::from("/c"), processes: vec![asked] }
    }

    fn report() -> Report {
        Report {
            version: "0.1.0".to_owned(),
            pid: 7,
            uptime_s: 3_661,
            client: Some(Client { name: "codex".to_owned(), version: "1.2".to_owned() }),
            component_stops: 0,
            workspaces: vec![WorkspaceReport {
                workspace: "w".to_owned(),
                platform: "https://acme.example".to_owned(),
                presence: PresenceReport {
                    state: PresenceState::Failing,
                    accepted_s_ago: Some(125),
                    failed_in_a_row: 4,
                    trouble: Some("HTTP 502".to_owned()),
                    ..PresenceReport::default()
                },
                events: EventsReport { state: EventsState::Open, for_s: Some(3), why: None },
                inbox: InboxReport {
                    role: InboxRole::Leader,
                    staged: 2,
                    parked: 1,
                    oldest_waiting: Some("2026-05-01T10:00:00Z".to_owned()),
                    position: Some("row-9".to_owned()),
                    read_s_ago: Some(5),
                    ..InboxReport::default()
                },
            }],
        }
    }
}

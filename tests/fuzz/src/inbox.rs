//! An inbox of the component, and whatever is put into it; what must hold for any bytes.

use molecule_logic::{
    Agent,
    bindings::exports::molecule::mcp::{
        inbox::Saved,
        setup::{Permissions, Settings, WorkspaceSettings},
        turns::{Next, Outcome, Turn},
        types::PlatformResponse,
    },
};

/// Turns after which a round is over in any case.
const MOST_TURNS: usize = 200;

/// Pages of activity rows: decoded, filtered, staged, shown.
pub(crate) fn page(body: &[u8]) {
    let mut agent = agent();
    drive(&mut agent, Saved { cursor: None, journal: Vec::new(), damaged_after: None }, body, 3);
    let shown = call(&mut agent, "inbox_peek", r#"{"limit": 200}"#);
    assert!(matches!(shown.next, Next::Finish(_)));
}

/// Journals: read by the component as the host has recovered them, and as if every line had been good.
///
/// The checksum must not be what keeps the component safe.
pub(crate) fn journal(bytes: &[u8], records: Vec<String>, damaged_after: Option<u32>) {
    assert!(damaged_after.is_none_or(|place| place as usize <= records.len()));
    let cursor = Some("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9".to_owned());
    read(Saved { cursor, journal: records, damaged_after });
    let lines = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    read(Saved { cursor: None, journal: lines, damaged_after: None });
}

fn read(saved: Saved) {
    let mut agent = agent();
    assert!(agent.describe(0, saved.clone()).starts_with('{'));
    drive(&mut agent, saved, b"[]", 2);
    let shown = call(&mut agent, "wait_for_message", r#"{"timeout_secs": 0}"#);
    assert!(matches!(shown.next, Next::Finish(_)));
}

fn agent() -> Agent {
    Agent::start(Settings {
        seed: (1, 2, 3, 4),
        workspaces: vec![WorkspaceSettings {
            id: "11111111-1111-4111-8111-111111111111".to_owned(),
            platform: "http://platform.test".to_owned(),
        }],
        inbox: true,
        redeliver: true,
        notice: true,
        structured: true,
        bare_peer_text: false,
        delegate_durably: false,
        durable_budget_secs: 300,
        poll_timeout_secs: 2,
        permissions: Permissions { roles: Vec::new(), allowed_actions: Vec::new(), tier: 1 },
    })
}

/// Opens the inbox and answers every request with `body`, until it rests for the `rounds`th time.
fn drive(agent: &mut Agent, saved: Saved, body: &[u8], rounds: usize) {
    let mut turn = agent.open_inbox(1, 0, saved, 0);
    let (mut rested, mut now) = (0, 0);
    for _ in 0..MOST_TURNS {
        let outcome = match &turn.next {
            Next::Finish(_) | Next::Reply(_) => return,
            Next::Listen(listen) => {
                (rested, now) = (rested + 1, listen.until);
                Outcome::Heard(listen.hints_over)
            }
            Next::Rest(rest) => {
                (rested, now) = (rested + 1, rest.until);
                Outcome::Rested
            }
            Next::Send(_) => Outcome::Responded(PlatformResponse {
                status: 200,
                json: true,
                retry_after_ms: None,
                server_time_ms: Some(1_777_593_600_000),
                body: body.to_vec(),
            }),
            Next::Store(_) => Outcome::Stored,
            Next::Fetch(_) | Next::Sweep(_) | Next::TakeOver(_) | Next::Upload(_) => return,
        };
        if rested == rounds {
            return;
        }
        turn = agent.resume(1, outcome, now);
    }
}

/// What a tool that needs nothing but the disk answers.
fn call(agent: &mut Agent, tool: &str, arguments: &str) -> Turn {
    let mut turn = agent.open_tool(2, tool, arguments, 0);
    loop {
        let (outcome, now) = match &turn.next {
            Next::Reply(_) => (Outcome::Replied, 0),
            Next::Rest(rest) => (Outcome::Rested, rest.until),
            Next::Store(_) => (Outcome::Stored, 0),
            Next::Finish(_)
            | Next::Listen(_)
            | Next::Send(_)
            | Next::Fetch(_)
            | Next::Sweep(_)
            | Next::TakeOver(_)
            | Next::Upload(_) => return turn,
        };
        turn = agent.resume(2, outcome, now);
    }
}

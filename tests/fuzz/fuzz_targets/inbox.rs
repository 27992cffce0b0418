//! An inbox of the component, and whatever is put into it.

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

pub fn agent() -> Agent {
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
pub fn drive(agent: &mut Agent, saved: Saved, body: &[u8], rounds: usize) {
    let mut turn = agent.open_inbox(1, 0, saved, 0);
    let (mut rested, mut now) = (0, 0);
    for _ in 0..MOST_TURNS {
        let outcome = match &turn.next {
            Next::Finish(_) => return,
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
            Next::Upload(_) => return,
        };
        if rested == rounds {
            return;
        }
        turn = agent.resume(1, outcome, now);
    }
}

/// What a tool that needs nothing but the disk answers.
pub fn call(agent: &mut Agent, tool: &str, arguments: &str) -> Turn {
    let mut turn = agent.open_tool(2, tool, arguments, 0);
    while matches!(turn.next, Next::Store(_)) {
        turn = agent.resume(2, Outcome::Stored, 0);
    }
    turn
}

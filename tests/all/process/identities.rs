//! One agent that acts for several workspaces answers as the one that was written to.

use anyhow::{Context, Result, anyhow, ensure};
use molecule_tests::{
    process::{DEADLINE, Program},
    served::Served,
};
use serde_json::{Value, json};
use standin::world::Credentials;
use tokio::time;

use crate::several::Crew;

/// A question goes from a user through three workspaces, and the answer goes back the same way. All of them are this
/// agent, so that every hop could take each of three identities.
#[tokio::test]
async fn a_reply_walks_back_through_three_workspaces_and_no_hop_takes_the_wrong_identity() -> Result<()> {
    let (crew, mut program) = three().await?;
    let (platform, [a, b, c]) = (&crew.platform, members(&crew)?);

    platform.with(|platform| platform.user_sends(a.id, "what is the answer?"));
    handles(&mut program, &a, "what is the answer?").await?;
    delegates(&mut program, &b, json!({ "source_workspace_id": a.id.to_string() }), "ask on").await?;
    handles(&mut program, &b, "ask on").await?;
    delegates(&mut program, &c, json!({ "source_workspace_id": b.id.to_string() }), "what is it?").await?;
    handles(&mut program, &c, "what is it?").await?;
    // From here on nobody says as whom: each reply is to the one that wrote.
    delegates(&mut program, &b, json!({}), "it is 42").await?;
    handles(&mut program, &b, "it is 42").await?;
    delegates(&mut program, &a, json!({}), "42").await?;
    handles(&mut program, &a, "42").await?;
    let told = program.call("send_message_to_user", json!({ "message": "42" })).await?;

    ensure!(!told.failed(), "{told:?}");
    let hops: Vec<(Credentials, Credentials)> =
        [(&a, &b), (&b, &c), (&c, &b), (&b, &a)].map(|(from, to)| (from.clone(), to.clone())).into();
    assert_eq!(sent(platform), hops.iter().map(|(from, to)| hop(from, to)).collect::<Vec<_>>());
    let notified = |of: &Credentials| platform.with(|platform| platform.notifies(of.id).len());
    assert_eq!([notified(&a), notified(&b), notified(&c)], [1, 0, 0]);
    Ok(())
}

#[tokio::test]
async fn a_reply_to_a_peer_goes_out_as_the_workspace_it_wrote_to() -> Result<()> {
    let (crew, mut program) = three().await?;
    let (platform, [_, _, c]) = (&crew.platform, members(&crew)?);
    let peer = platform.with(|platform| platform.poll_peer("asking"));
    platform.with(|platform| platform.peer_sends(peer.id, c.id, "ping"));
    handles(&mut program, &c, "ping").await?;

    delegates(&mut program, &peer, json!({}), "pong").await?;

    assert_eq!(sent(platform), [hop(&c, &peer)]);
    Ok(())
}

#[tokio::test]
async fn where_two_users_have_written_a_reply_without_a_name_is_refused_and_nothing_is_sent() -> Result<()> {
    let (crew, mut program) = three().await?;
    let (platform, [a, b, _]) = (&crew.platform, members(&crew)?);
    platform.with(|platform| platform.user_sends(a.id, "one"));
    handles(&mut program, &a, "one").await?;
    platform.with(|platform| platform.user_sends(b.id, "two"));
    handles(&mut program, &b, "two").await?;

    let refused = program.call("send_message_to_user", json!({ "message": "hello" })).await?;
    let named = json!({ "message": "hello", "workspace_id": b.id.to_string() });
    let sent = program.call("send_message_to_user", named).await?;

    ensure!(refused.failed() && refused.text().contains(&b.id.to_string()), "{refused:?}");
    ensure!(!sent.failed(), "{sent:?}");
    let notified = |of: &Credentials| platform.with(|platform| platform.notifies(of.id).len());
    assert_eq!([notified(&a), notified(&b)], [0, 1]);
    Ok(())
}

/// A program that acts for three workspaces, all of which are registered: who is not cannot be written to.
async fn three() -> Result<(Crew, Program)> {
    let crew = Crew::of(3).await?;
    let mut program = Program::start(&crew.launch(0..3)?)?;
    program.initialize().await?;
    program.call("inbox_peek", json!({})).await?;
    let are_registered = |platform: &Served| platform.count("POST /registry/register") == 3;
    crew.platform.until("three registers", are_registered).await?;
    Ok((crew, program))
}

fn members(crew: &Crew) -> Result<[Credentials; 3]> {
    crew.members.clone().try_into().map_err(|_| anyhow!("not three members"))
}

/// Waits for the message, and pops it; it has to come to this workspace.
async fn handles(program: &mut Program, at: &Credentials, text: &str) -> Result<()> {
    let wait = async {
        loop {
            let message = program.call("wait_for_message", json!({ "timeout_secs": 5 })).await?.json();
            if message["text"] == text {
                return anyhow::Ok(message);
            }
            ensure!(message["timeout"] == true, "another message: {message}");
        }
    };
    let message = time::timeout(DEADLINE, wait).await.context("the message does not come")??;
    assert_eq!(message["arrival_workspace_id"], json!(at.id.to_string()), "{message}");
    program.call("inbox_pop", json!({ "activity_id": message["activity_id"] })).await?;
    Ok(())
}

async fn delegates(program: &mut Program, to: &Credentials, more: Value, task: &str) -> Result<()> {
    let mut arguments = json!({ "workspace_id": to.id.to_string(), "task": task });
    if let (Some(arguments), Value::Object(more)) = (arguments.as_object_mut(), more) {
        arguments.extend(more);
    }
    let said = program.call("delegate_task", arguments).await?;
    ensure!(!said.failed(), "{said:?}");
    Ok(())
}

/// As whom, with which token, to whom.
type Hop = (String, String, String);

fn hop(from: &Credentials, to: &Credentials) -> Hop {
    (from.id.to_string(), format!("Bearer {}", from.token), format!("/workspaces/{}/a2a", to.id))
}

/// Every message to another workspace that the platform was sent.
fn sent(platform: &Served) -> Vec<Hop> {
    platform.with(|platform| {
        let sent = platform.requests(0).into_iter().map(|entry| &entry.request);
        let sent = sent.filter(|request| request.method == "POST" && request.path.ends_with("/a2a"));
        let header =
            |request: &standin::Request, name| request.headers.get(name).unwrap_or_default().to_owned();
        sent.map(|request| {
            (header(request, "X-Workspace-ID"), header(request, "Authorization"), request.path.clone())
        })
        .collect()
    })
}

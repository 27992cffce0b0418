//! What a killed program leaves, and what the next one makes of it.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use molecule_tests::{
    process::{DEADLINE, Program},
    served::Served,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{self, Instant};

#[tokio::test]
async fn messages_that_were_not_popped_are_shown_again_after_a_kill() -> Result<()> {
    let platform = Served::start().await?;
    let peer = platform.with(|platform| platform.poll_peer("Research"));
    let me = platform.me.id;
    let mut program = Program::start(&platform.launch()?)?;
    let handled = platform.with(|platform| platform.user_sends(me, "handled")).to_string();
    shows(&mut program, &["handled"]).await?;
    program.call("inbox_pop", json!({ "activity_id": handled })).await?;
    platform.with(|platform| platform.user_sends(me, "first"));
    platform.with(|platform| platform.peer_sends(peer.id, me, "second"));
    let before = shows(&mut program, &["first", "second"]).await?;

    program.signal(Signal::KILL)?;
    program.exit().await?;
    let mut again = program.again()?;
    let after = shows(&mut again, &["first", "second"]).await?;

    assert_eq!(ids(&after), ids(&before));
    Ok(())
}

#[tokio::test]
async fn popped_messages_stay_away_after_a_kill() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    let mut program = Program::start(&platform.launch()?)?;
    let ids =
        ["first", "second"].map(|text| platform.with(|platform| platform.user_sends(me, text)).to_string());
    shows(&mut program, &["first", "second"]).await?;
    for id in &ids {
        program.call("inbox_pop", json!({ "activity_id": id })).await?;
    }

    program.signal(Signal::KILL)?;
    program.exit().await?;
    let mut again = program.again()?;
    platform.with(|platform| platform.user_sends(me, "third"));

    shows(&mut again, &["third"]).await?;
    let cursor = program.launch().configs().join(".mcp_inbox_cursor");
    platform.until("the cursor", |_| fs::read_to_string(&cursor).ok().as_ref() == ids.last()).await
}

#[tokio::test]
async fn the_words_of_popped_messages_are_in_no_file_after_the_next_start() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    let mut program = Program::start(&platform.launch()?)?;
    let id = platform.with(|platform| platform.user_sends(me, "a canary")).to_string();
    shows(&mut program, &["a canary"]).await?;
    ensure!(holds(&program, "a canary")?, "the journal does not hold what waits");
    program.call("inbox_pop", json!({ "activity_id": id })).await?;

    program.signal(Signal::KILL)?;
    program.exit().await?;
    let mut again = program.again()?;
    platform.with(|platform| platform.user_sends(me, "another"));
    shows(&mut again, &["another"]).await?;

    ensure!(!holds(&again, "a canary")?, "the words of a popped message are still there");
    Ok(())
}

/// Whether any file of the program holds these words.
fn holds(program: &Program, words: &str) -> Result<bool> {
    for entry in program.launch().configs().read_dir()? {
        let path = entry?.path();
        // Reading the fifo would not end.
        if !path.is_file() {
            continue;
        }
        let content = fs::read(path)?;
        if content.windows(words.len()).any(|window| window == words.as_bytes()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits until the inbox shows exactly these texts.
pub(crate) async fn shows(program: &mut Program, texts: &[&str]) -> Result<Value> {
    let mut beat = time::interval(Duration::from_millis(20));
    let limit = Instant::now() + DEADLINE;
    loop {
        beat.tick().await;
        let peek = program.call("inbox_peek", json!({})).await?.json()["messages"].take();
        let shown: Vec<_> = peek.as_array().into_iter().flatten().map(|message| &message["text"]).collect();
        if shown == texts {
            return Ok(peek);
        }
        ensure!(Instant::now() < limit, "the inbox shows {peek} instead of {texts:?}");
    }
}

fn ids(peek: &Value) -> Vec<&Value> {
    peek.as_array().into_iter().flatten().map(|message| &message["activity_id"]).collect()
}

#[tokio::test]
async fn the_cursor_file_follows_a_pop_at_once_and_at_the_end_of_the_input() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    let mut program = Program::start(&platform.launch()?)?;
    let ids =
        ["first", "second"].map(|text| platform.with(|platform| platform.user_sends(me, text)).to_string());
    shows(&mut program, &["first", "second"]).await?;
    let [first, last] = &ids;
    let cursor = program.launch().configs().join(".mcp_inbox_cursor");
    let names = |id: &String| fs::read_to_string(&cursor).is_ok_and(|held| held == *id);

    program.call("inbox_pop", json!({ "activity_id": first })).await?;
    let popped = Instant::now();
    platform.until("the cursor", |_| names(first)).await?;
    // A round of polling takes 15 s while events come in.
    ensure!(popped.elapsed() < Duration::from_secs(4), "after {:?}", popped.elapsed());

    program.call("inbox_pop", json!({ "activity_id": last })).await?;
    program.end_input();
    program.exit().await?;
    ensure!(names(last), "the cursor file is behind");
    Ok(())
}

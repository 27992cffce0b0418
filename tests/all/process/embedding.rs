//! The example of the library, against the platform.

use std::fs;

use anyhow::Result;
use molecule_tests::served::Served;
use tempfile::TempDir;

#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../host/runtime/examples/embedded.rs"]
mod embedded;

#[tokio::test]
async fn the_example_answers_its_messages_and_leaves_none_behind() -> Result<()> {
    let (platform, disk) = (Served::start().await?, TempDir::new()?);
    let me = platform.me.id;
    let token_file = disk.path().join("token");
    fs::write(&token_file, &platform.me.token)?;
    for text in ["first", "second"] {
        platform.with(|platform| platform.user_sends(me, text));
    }

    let job = |messages| embedded::Job {
        platform: platform.url().to_owned(),
        workspace: me.to_string(),
        token_file: token_file.clone(),
        state_dir: disk.path().join("state"),
        messages,
    };
    embedded::run(job(2)).await?;
    platform.with(|platform| platform.user_sends(me, "third"));
    embedded::run(job(2)).await?;

    let said = platform.requests().into_iter().filter(|line| line.ends_with("/notify")).count();
    assert_eq!(
        said, 4,
        "first, second, and after the start second again, because it was not popped, and third"
    );
    platform.hears("POST /registry/register").await
}

//! Where state is kept: the directory, its disk, the lock, and the inbox in it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rustix::process::geteuid;
use serde_json::{Value, json};
use tokio::task;

use super::{Diagnosis, finds, network::can_mount, to};

/// Nobody on most systems.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_directory_that_is_absent_open_or_of_another_user() -> Result<()> {
    let launch = to("http://127.0.0.1:9")?;
    finds(&launch, "directory-absent", &["configs"]).await?;
    launch.write_config("kept", "")?;
    fs::set_permissions(launch.configs(), fs::Permissions::from_mode(0o755))?;
    finds(&launch, "directory-open", &["0755"]).await?;
    if geteuid().is_root() {
        chown(launch.configs(), Some(NOBODY), None)?;
        finds(&launch, "directory-foreign", &["65534"]).await?;
    }
    finds(&launch.without("HOME").without("CONFIGS_DIR"), "directory-none", &["HOME"]).await
}

/// Root may write everywhere but where the kernel keeps its own.
#[tokio::test]
async fn a_directory_that_cannot_be_written() -> Result<()> {
    let launch = to("http://127.0.0.1:9")?.env("CONFIGS_DIR", "/proc/sys");

    finds(&launch, "directory-unwritable", &["/proc/sys"]).await
}

#[tokio::test]
async fn disks_that_are_full_low_in_memory_or_read_only() -> Result<()> {
    if !geteuid().is_root() || !can_mount().await {
        return Ok(());
    }
    for (options, id) in [
        ("size=64k", "disk-full"),
        ("size=20m", "disk-low"),
        ("size=500m", "disk-temporary"),
        ("size=500m,ro", "directory-read-only"),
    ] {
        let launch = to("http://127.0.0.1:9")?;
        launch.write_config("kept", "")?;

        let said = String::from_utf8(mounted(&launch, options).await?.stdout)?;

        ensure!(said.contains(&format!("\"{id}\"")), "{options}: {said}");
    }
    Ok(())
}

/// The doctor, where the directory for state is a file system of its own.
async fn mounted(launch: &Launch, options: &str) -> Result<Output> {
    let script = "mount -t tmpfs -o \"$1\" none \"$CONFIGS_DIR\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh", options]).arg(launch.binary());
    command.args(["doctor", "--json", "--program", "none"]).env_clear();
    command.envs(launch.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Ok(task::spawn_blocking(move || command.output()).await??)
}

#[tokio::test]
async fn a_lock_that_cannot_be_looked_at() -> Result<()> {
    let launch = to("http://127.0.0.1:9")?;
    launch.write_config("kept", "")?;
    fs::create_dir(file(&launch, "lock").await?)?;

    finds(&launch, "lock-unknown", &[".lock"]).await
}

#[tokio::test]
async fn journals_that_are_damaged_unreadable_or_of_a_newer_version() -> Result<()> {
    let launch = to("http://127.0.0.1:9")?;
    launch.write_config("kept", "")?;
    let journal = file(&launch, "journal").await?;
    fs::write(journal.with_extension("damaged-1"), "")?;
    fs::write(&journal, "not a line\n")?;
    finds(&launch, "inbox-damaged", &["after record 0"]).await?;
    finds(&launch, "inbox-copy", &["damaged-1"]).await?;
    fs::remove_file(&journal)?;
    fs::create_dir(&journal)?;
    finds(&launch, "inbox-unreadable", &["is not a regular file"]).await?;
    fs::remove_dir(&journal)?;

    let newer = json!({"t": "H", "v": 999, "workspace": "00000000-0000-4000-8000-000000000000"});
    fs::write(&journal, framed(&[newer]))?;
    finds(&launch, "inbox-newer", &[".journal"]).await
}

/// The journal of a real program, to which what other processes would have written is added.
#[tokio::test]
async fn messages_that_are_parked_missing_or_too_many() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let me = platform.me.id;
    let first = platform.with(|world| world.user_sends(me, "the first"));
    for _ in 0..200 {
        platform.with(|world| world.user_sends(me, "one more"));
    }
    program.call("inbox_peek", json!({})).await?;
    let launch = program.launch().clone();
    let journal = file(&launch, "journal").await?;
    platform
        .until("a full inbox", |_| {
            let text = fs::read_to_string(&journal).unwrap_or_default();
            text.matches("one more").count() >= 199
        })
        .await?;
    finds(&launch, "inbox-full", &["200 wait"]).await?;
    program.end_input();
    program.exit().await?;

    let mut records = records(&fs::read_to_string(&journal)?)?;
    records.push(json!({"t": "P", "id": first.to_string()}));
    records.push(
        json!({"t": "G", "from": 1_777_000_000_000_000_i64, "to": 1_777_000_600_000_000_i64, "told": false}),
    );
    fs::write(&journal, framed(&records))?;
    let found = Diagnosis::of(&launch).await?;

    found.has("inbox-parked", &["1 parked"])?.has("inbox-gaps", &["between 2026"])?;
    Ok(())
}

/// Where a file of the inbox is, as `molecule-mcp inbox` says.
async fn file(launch: &Launch, name: &str) -> Result<PathBuf> {
    let mut command = launch.clone().arg("inbox").arg("--json").command();
    let output = task::spawn_blocking(move || command.output()).await??;
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    let path = seen["files"][name]["path"].as_str().context("no path")?;
    Ok(Path::new(path).to_owned())
}

fn records(journal: &str) -> Result<Vec<Value>> {
    let record = |line: &str| Ok(serde_json::from_str(line.splitn(3, ' ').nth(2).context("no record")?)?);
    journal.lines().map(record).collect()
}

/// Lines of a journal, with their numbers and checksums.
fn framed(records: &[Value]) -> String {
    let line = |(number, record): (usize, &Value)| {
        let line = format!("{number} {record}");
        format!("{:08x} {line}\n", crc32c::crc32c(line.as_bytes()))
    };
    (1..).zip(records).map(line).collect()
}

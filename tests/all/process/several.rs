//! Several workspaces in one process: each with its own token, presence, inbox and files.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Result, ensure};
use molecule_tests::{
    launch::Launch,
    process::{DEADLINE, Program},
    served::Served,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use standin::world::Credentials;
use tokio::{
    task,
    time::{self, Duration, Instant},
};

/// A platform with so many workspaces.
pub(crate) struct Crew {
    pub(crate) platform: Served,
    pub(crate) members: Vec<Credentials>,
}

impl Crew {
    pub(crate) async fn of(count: usize) -> Result<Self> {
        let platform = Served::start().await?;
        let others = (1..count)
            .map(|place| platform.with(|platform| platform.external_workspace(&format!("agent-{place}"))));
        let members = [platform.me.clone()].into_iter().chain(others).collect();
        Ok(Self { platform, members })
    }

    /// A program that acts for these members.
    pub(crate) fn launch(&self, places: impl IntoIterator<Item = usize>) -> Result<Launch> {
        self.launch_with(&self.list(places))
    }

    fn launch_with(&self, list: &str) -> Result<Launch> {
        Ok(Launch::new()?.env("PLATFORM_URL", self.platform.url()).env("MOLECULE_WORKSPACES", list))
    }

    /// What `MOLECULE_WORKSPACES` says of these members.
    fn list(&self, places: impl IntoIterator<Item = usize>) -> String {
        Value::from_iter(places.into_iter().map(|place| entry(&self.members[place]))).to_string()
    }

    /// The user of a member writes; the id of the message.
    fn sends(&self, place: usize, text: &str) -> String {
        let id = self.members[place].id;
        self.platform.with(|platform| platform.user_sends(id, text)).to_string()
    }

    /// Status and bearer of the latest request to this path that names the member in its body.
    fn latest(&self, path: &str, member: &Credentials) -> Option<(Option<u16>, String)> {
        let id = member.id.to_string();
        self.platform.with(|platform| {
            let requests = platform.requests(0);
            let named = |body: &[u8]| String::from_utf8_lossy(body).contains(&id);
            let found = requests
                .iter()
                .rev()
                .find(|entry| entry.request.path == path && named(&entry.request.body))?;
            let bearer = found.request.headers.get("authorization").unwrap_or_default();
            Some((found.status, bearer.to_owned()))
        })
    }

    /// Waits until each of these members is registered, and beats, with its own token.
    async fn are_present(&self, places: impl IntoIterator<Item = usize>) -> Result<()> {
        for member in places.into_iter().map(|place| &self.members[place]) {
            let expected = Some((Some(200), format!("Bearer {}", member.token)));
            for path in ["/registry/register", "/registry/heartbeat"] {
                self.platform.until(path, |_| self.latest(path, member) == expected).await?;
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn each_workspace_is_present_with_its_own_token() -> Result<()> {
    let crew = Crew::of(3).await?;
    let mut program = Program::start(&crew.launch(0..3)?)?;

    program.call("inbox_peek", json!({})).await?;

    crew.are_present(0..3).await
}

#[tokio::test]
async fn a_file_lists_workspaces_and_the_files_of_their_tokens() -> Result<()> {
    let crew = Crew::of(2).await?;
    let mut list = format!("platform_url = \"{}\"\n", crew.platform.url());
    let launch = Launch::new()?;
    for (place, member) in crew.members.iter().enumerate() {
        launch.write_config(&format!("token-{place}"), &member.token)?;
        list += &format!("\n[[workspaces]]\nid = \"{}\"\ntoken_file = \"token-{place}\"\n", member.id);
    }
    let path = launch.write_config("workspaces.toml", &list)?;
    let mut program = Program::start(&launch.env("MOLECULE_WORKSPACES_FILE", &path.to_string_lossy()))?;

    program.call("inbox_peek", json!({})).await?;

    crew.are_present(0..2).await
}

#[tokio::test]
async fn messages_of_all_come_in_one_view_and_each_inbox_has_its_files() -> Result<()> {
    let crew = Crew::of(2).await?;
    let mut program = Program::start(&crew.launch(0..2)?)?;
    let ids = [crew.sends(0, "to the first"), crew.sends(1, "to the second")];

    let messages = shows(&mut program, &["to the first", "to the second"]).await?;
    let popped = program.call("inbox_pop", json!({ "activity_id": ids[1] })).await?;

    for (place, member) in crew.members.iter().enumerate() {
        let message = messages.iter().find(|message| message["activity_id"] == ids[place].as_str());
        assert_eq!(
            message.map(|message| &message["arrival_workspace_id"]),
            Some(&json!(member.id.to_string()))
        );
    }
    assert!(!popped.failed(), "{popped:?}");
    let [first, second] = [0, 1].map(|place| cursor(&crew, &program, place));
    crew.platform.until("the cursor", |_| fs::read_to_string(&second).is_ok_and(|id| id == ids[1])).await?;
    assert!(!fs::read_to_string(&first).is_ok_and(|id| id == ids[0]), "the first is not handled");
    assert!(!program.launch().configs().join(".mcp_inbox_cursor").exists());
    let locks = program.launch().left_behind()?.iter().filter(|name| name.ends_with(".lock")).count();
    assert_eq!(locks, 2);
    Ok(())
}

#[tokio::test]
async fn a_refused_token_takes_down_its_workspace_alone() -> Result<()> {
    let crew = Crew::of(3).await?;
    let refused = &crew.members[1];
    let mut entries: Vec<_> = crew.members.iter().map(entry).collect();
    entries[1]["token"] = json!("no-token-of-this-platform");
    let mut program = Program::start(&crew.launch_with(&json!(entries).to_string())?)?;
    crew.sends(0, "to the first");
    crew.sends(2, "to the third");

    shows(&mut program, &["to the first", "to the third"]).await?;
    crew.are_present([0, 2]).await?;

    let id = refused.id.to_string();
    program.complains(&format!("not valid for workspace {id}")).await?;
    program.complains("MOLECULE_WORKSPACES [1]").await?;
    let limit = Instant::now() + DEADLINE;
    loop {
        let info = program.call("get_workspace_info", json!({})).await?.json();
        let one =
            info["acts_for"].as_array().into_iter().flatten().find(|one| one["workspace_id"] == id.as_str());
        if one.is_some_and(|one| one["refused"].as_str().is_some_and(|why| why.contains("HTTP 401"))) {
            break;
        }
        ensure!(Instant::now() < limit, "nothing says that the token is refused: {info}");
        time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!program.stderr().contains("no-token-of-this-platform"));
    program.end_input();
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_program_ends_once_all_its_tokens_are_refused() -> Result<()> {
    let crew = Crew::of(2).await?;
    let mut entries: Vec<_> = crew.members.iter().map(entry).collect();
    for (place, entry) in entries.iter_mut().enumerate() {
        entry["token"] = json!(format!("no-token-{place}"));
    }
    let mut program = Program::start(&crew.launch_with(&json!(entries).to_string())?)?;

    program.ask_tool("inbox_peek", json!({})).await?;

    assert_eq!(program.exit().await?.code(), Some(3));
    for (place, member) in crew.members.iter().enumerate() {
        let said =
            format!("the token from MOLECULE_WORKSPACES [{place}] is not valid for workspace {}", member.id);
        assert!(program.stderr().contains(&said), "{}", program.stderr());
    }
    Ok(())
}

#[tokio::test]
async fn two_programs_share_workspaces_and_one_takes_over_what_the_other_leaves() -> Result<()> {
    let crew = Crew::of(5).await?;
    let first_four = crew.launch(0..4)?;
    let last_four = first_four.clone().env("MOLECULE_WORKSPACES", &crew.list(1..5));
    let mut first = Program::start(&first_four)?;
    for place in 0..4 {
        crew.sends(place, &format!("one-{place}"));
    }
    shows(&mut first, &["one-0", "one-1", "one-2", "one-3"]).await?;
    let mut second = Program::start(&last_four)?;
    crew.sends(4, "one-4");
    shows(&mut second, &["one-4"]).await?;

    first.signal(Signal::KILL)?;
    first.exit().await?;
    shows(&mut second, &["one-1", "one-2", "one-3", "one-4"]).await?;
    let mut third = Program::start(&first_four)?;
    shows(&mut third, &["one-0"]).await?;
    second.signal(Signal::KILL)?;
    second.exit().await?;

    shows(&mut third, &["one-0", "one-1", "one-2", "one-3"]).await?;
    Ok(())
}

#[tokio::test]
async fn people_see_the_inbox_of_each_workspace() -> Result<()> {
    let crew = Crew::of(2).await?;
    let mut program = Program::start(&crew.launch(0..2)?)?;
    crew.sends(1, "hello");
    shows(&mut program, &["hello"]).await?;

    let seen = look(program.launch(), &["--json"]).await?;
    let table = look(program.launch(), &[]).await?;

    let seen: Vec<Value> = seen.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for (place, member) in crew.members.iter().enumerate() {
        assert_eq!(seen[place]["workspace"], json!(member.id.to_string()));
        assert_eq!(seen[place]["staged"].as_array().map(Vec::len), Some(place));
        assert!(table.contains(&format!("Inbox of workspace {} on ", member.id)), "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn lines_of_the_log_name_the_workspace_whose_they_are() -> Result<()> {
    let crew = Crew::of(2).await?;
    let mut program = Program::start(&crew.launch(0..2)?.env("CONFIGS_DIR", "/dev/null/below"))?;

    program.call("inbox_peek", json!({})).await?;

    for member in &crew.members {
        let tag = format!("[molecule-mcp] [{}] ", tag(&crew.members, member));
        program.complains(&format!("{tag}the inbox is not locked")).await?;
    }
    Ok(())
}

fn entry(member: &Credentials) -> Value {
    json!({ "id": member.id.to_string(), "token": member.token })
}

/// The first 8 characters of the id, or all of them if another one begins alike.
fn tag(members: &[Credentials], member: &Credentials) -> String {
    let start = |member: &Credentials| member.id.to_string()[..8].to_owned();
    let starts: BTreeSet<_> = members.iter().map(start).collect();
    if starts.len() == members.len() { start(member) } else { member.id.to_string() }
}

fn cursor(crew: &Crew, program: &Program, place: usize) -> PathBuf {
    let tag = tag(&crew.members, &crew.members[place]);
    program.launch().configs().join(format!(".mcp_inbox_cursor_{tag}"))
}

/// Waits until the inbox shows exactly these texts, in any order.
async fn shows(program: &mut Program, texts: &[&str]) -> Result<Vec<Value>> {
    let expected: BTreeSet<_> = texts.iter().map(|text| json!(text).to_string()).collect();
    let limit = Instant::now() + DEADLINE;
    loop {
        let peek = program.call("inbox_peek", json!({})).await?.json()["messages"].take();
        let messages = peek.as_array().cloned().unwrap_or_default();
        let shown: BTreeSet<_> = messages.iter().map(|message| message["text"].to_string()).collect();
        if shown == expected {
            return Ok(messages);
        }
        ensure!(Instant::now() < limit, "the inbox shows {peek} instead of {texts:?}; {}", program.stderr());
        time::sleep(Duration::from_millis(20)).await;
    }
}

/// What `molecule-mcp inbox` prints.
async fn look(launch: &Launch, arguments: &[&str]) -> Result<String> {
    let launch = arguments.iter().fold(launch.clone().arg("inbox"), |launch, argument| launch.arg(argument));
    let mut command = launch.command();
    let output = task::spawn_blocking(move || command.output()).await??;
    Ok(String::from_utf8(output.stdout)?)
}

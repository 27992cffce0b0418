//! `setup`, `install` and `uninstall`: from scripts, and as a person types.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Output};

use anyhow::{Context as _, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rexpect::session::PtySession;
use serde_json::{Value, json};
use tokio::task;

/// When a test gives up on a question.
const PATIENCE_MS: u64 = 20_000;

#[tokio::test]
async fn a_script_sets_up_what_the_server_then_starts_with() -> Result<()> {
    let platform = Served::start().await?;
    let launch = Launch::new()?;

    let output = run(&with_options(&launch, &platform).arg("--token-stdin"), &platform.me.token).await?;

    let said = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(0), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("knows the token") && !said.contains(&platform.me.token), "{said}");
    let token = launch.configs().join("tokens").join(platform.me.id.to_string());
    for (path, mode) in
        [(launch.configs(), 0o700), (launch.configs().join("config.toml"), 0o600), (token, 0o600)]
    {
        assert_eq!(path.metadata()?.permissions().mode() & 0o777, mode, "{}", path.display());
    }
    // It has only asked.
    assert!(
        platform.requests().iter().all(|request| request.starts_with("GET ")),
        "{:?}",
        platform.requests()
    );
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    program.call("inbox_peek", json!({})).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_token_changes_nothing_unless_that_is_meant() -> Result<()> {
    let platform = Served::start().await?;
    let launch = Launch::new()?;
    let setup = with_options(&launch, &platform).arg("--token-stdin");

    let refused = run(&setup, "wrong-token").await?;
    let after = launch.left_behind()?;
    let meant = run(&setup.arg("--unverified"), "wrong-token").await?;

    let said = String::from_utf8(refused.stderr)?;
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(
        said.contains("HTTP 401") && said.contains("Tokens tab") && said.contains("nothing was changed"),
        "{said}"
    );
    assert!(!said.contains("wrong-token"), "{said}");
    assert_eq!(after, [""; 0]);
    assert_eq!(meant.status.code(), Some(0), "{}", String::from_utf8_lossy(&meant.stderr));
    assert!(launch.configs().join("config.toml").exists());
    Ok(())
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_told_by_its_option() -> Result<()> {
    let launch = Launch::new()?;
    for (options, told) in [
        (&[][..], "--platform-url is missing"),
        (&["--platform-url", "acme"], "--platform-url is no address"),
        (&["--platform-url", "http://public.example"], "--platform-url is http"),
        (&["--platform-url", "https://acme.example"], "--workspace-id is missing"),
        (&["--platform-url", "https://acme.example", "--workspace-id", "a/b"], "--workspace-id contains '/'"),
        (&["--platform-url", "https://acme.example", "--workspace-id", "a"], "--token-stdin or --token-file"),
    ] {
        let setup = options.iter().fold(launch.clone().arg("setup"), |launch, option| launch.arg(option));

        let output = run(&setup, "").await?;

        let said = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(2), "{options:?}: {said}");
        assert!(said.contains(told), "{options:?}: {said}");
    }
    assert_eq!(launch.left_behind()?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_platform_that_does_not_answer_is_told_and_nothing_is_written() -> Result<()> {
    let mut platform = Served::start().await?;
    let launch = Launch::new()?;
    let setup = with_options(&launch, &platform).arg("--token-stdin");
    platform.stop().await?;

    let output = run(&setup, &platform.me.token).await?;

    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("could not be checked") && said.contains("--unverified"), "{said}");
    assert_eq!(launch.left_behind()?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_person_answers_questions_and_gets_a_client_that_works() -> Result<()> {
    let platform = Served::start().await?;
    let launch = Launch::new()?;
    let codex = launch.home().join(".codex/config.toml");
    fs::create_dir(launch.home().join(".codex"))?;
    fs::write(&codex, "model = \"gpt-5\"   # fast\n")?;
    let (url, id, token) = (platform.url().to_owned(), platform.me.id.to_string(), platform.me.token.clone());
    let command = launch.clone().arg("setup").command();

    let seen = task::spawn_blocking(move || -> Result<String> {
        let mut terminal = rexpect::session::spawn_command(command, Some(PATIENCE_MS))?;
        answer(&mut terminal, "Address of the platform", "nonsense")?;
        // It is asked again.
        terminal.exp_string("is no address")?;
        answer(&mut terminal, "Address of the platform", &url)?;
        answer(&mut terminal, "Id of the workspace", &id)?;
        let mut seen = answer(&mut terminal, "Token", &token)?;
        seen += &answer(&mut terminal, "Install it into Codex", "y")?;
        seen += &answer(&mut terminal, "Allow its tools", "n")?;
        seen += &answer(&mut terminal, "Write this", "y")?;
        Ok(seen + &terminal.exp_eof()?)
    })
    .await??;

    assert!(seen.contains("knows the token") && seen.contains("written: "), "{seen}");
    assert!(!seen.contains(&platform.me.token), "{seen}");
    let written = fs::read_to_string(&codex)?;
    assert!(
        written.starts_with("model = \"gpt-5\"   # fast\n") && !written.contains(&platform.me.token),
        "{written}"
    );
    assert!(written.contains("[mcp_servers.molecule]") && !written.contains("approval"), "{written}");
    Ok(())
}

#[tokio::test]
async fn without_a_terminal_nothing_is_written_unless_that_is_said() -> Result<()> {
    let platform = Served::start().await?;
    let launch = Launch::new()?;
    let file = launch.home().join(".cursor/mcp.json");
    fs::create_dir(launch.home().join(".cursor"))?;

    let early = run(&launch.clone().arg("install").arg("cursor").arg("--yes"), "").await?;
    run(&with_options(&launch, &platform).arg("--token-stdin"), &platform.me.token).await?;
    let silent = run(&launch.clone().arg("install"), "").await?;
    let dry = run(&launch.clone().arg("install").arg("--dry-run"), "").await?;
    assert!(!file.exists());
    let meant = run(&launch.clone().arg("install").arg("--yes"), "").await?;
    let written: Value = serde_json::from_slice(&fs::read(&file)?)?;
    let gone = run(&launch.clone().arg("uninstall").arg("--yes"), "").await?;

    let said = String::from_utf8(early.stderr)?;
    assert_eq!(early.status.code(), Some(2), "{said}");
    assert!(said.contains("molecule-mcp setup") && said.contains("Currently missing"), "{said}");
    assert_eq!(silent.status.code(), Some(2), "{}", String::from_utf8_lossy(&silent.stderr));
    assert!(String::from_utf8(dry.stdout)?.contains("mcpServers"));
    assert_eq!((meant.status.code(), gone.status.code()), (Some(0), Some(0)));
    let server = &written["mcpServers"]["molecule"];
    assert_eq!(server["command"], launch.binary().to_str().context("a path that is no text")?);
    assert_eq!(server["env"], json!({ "CONFIGS_DIR": launch.configs() }));
    assert!(!file.exists());
    Ok(())
}

#[tokio::test]
async fn each_of_several_workspaces_can_be_a_server_of_its_own() -> Result<()> {
    let platform = Served::start().await?;
    let second = platform.with(|platform| platform.external_workspace("second"));
    let launch = Launch::new()?;
    run(&with_options(&launch, &platform).arg("--token-stdin"), &platform.me.token).await?;
    let other = launch.clone().arg("setup").arg("--platform-url").arg(platform.url());
    let other = other.arg("--workspace-id").arg(&second.id.to_string()).arg("--no-install");
    let file = launch.write_config("second", &second.token)?;
    let added = run(&other.arg("--token-file").arg(&file.to_string_lossy()), "").await?;
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));

    let install = launch.clone().arg("install").arg("cursor").arg("--yes");
    run(&install, "").await?;
    let one = run(&install.arg("--workspace-id").arg(&second.id.to_string()).arg("--name").arg("second"), "")
        .await?;

    assert_eq!(one.status.code(), Some(0), "{}", String::from_utf8_lossy(&one.stderr));
    let written: Value = serde_json::from_slice(&fs::read(launch.home().join(".cursor/mcp.json"))?)?;
    let servers: Vec<_> = written["mcpServers"].as_object().context("no servers")?.keys().collect();
    assert_eq!(servers, ["molecule", "molecule-second"]);
    // As the client starts it.
    let mut program = Program::start(&launch.env("WORKSPACE_ID", &second.id.to_string()))?;
    program.initialize().await?;
    let seen = program.call("get_workspace_info", json!({})).await?;
    assert!(seen.0.to_string().contains("second"), "{}", seen.0);
    Ok(())
}

#[tokio::test]
async fn the_schema_is_json_and_print_shows_what_belongs_into_files() -> Result<()> {
    let platform = Served::start().await?;
    let launch = Launch::new()?;
    run(&with_options(&launch, &platform).arg("--token-stdin"), &platform.me.token).await?;

    let schema: Value = serde_json::from_slice(&run(&launch.clone().arg("schema"), "").await?.stdout)?;
    let plain: Value = serde_json::from_slice(
        &run(&launch.clone().arg("install").arg("json").arg("--print"), "").await?.stdout,
    )?;
    let codex =
        run(&launch.clone().arg("install").arg("codex").arg("--print").arg("--allow-tools"), "").await?;

    assert_eq!(schema["properties"]["verbose"]["type"], "boolean");
    assert!(plain["mcpServers"]["molecule"]["command"].is_string(), "{plain}");
    let codex = String::from_utf8(codex.stdout)?;
    assert!(
        codex.contains("[mcp_servers.molecule]\n")
            && codex.contains("default_tools_approval_mode = \"approve\""),
        "{codex}"
    );
    Ok(())
}

fn with_options(launch: &Launch, platform: &Served) -> Launch {
    let launch = launch.clone().arg("setup").arg("--platform-url").arg(platform.url());
    launch.arg("--workspace-id").arg(&platform.me.id.to_string()).arg("--no-install")
}

/// Runs to the end what `launch` says, with `input` on its standard input.
async fn run(launch: &Launch, input: &str) -> Result<Output> {
    use std::{io::Write as _, process::Stdio};
    let (mut command, input) = (launch.command(), input.to_owned());
    let ended = task::spawn_blocking(move || -> Result<Output> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // A command that does not read may have ended.
        let _ = child.stdin.take().context("no standard input")?.write_all(input.as_bytes());
        Ok(child.wait_with_output()?)
    });
    ended.await?
}

/// Waits for a question and types the answer; what was on the screen before.
fn answer(terminal: &mut PtySession, question: &str, text: &str) -> Result<String> {
    let seen = terminal.exp_string(question)?;
    terminal.send_line(text)?;
    Ok(seen)
}

//! `molecule-mcp setup`.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Read as _},
    path::{self, Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;
use dialoguer::{Input, Password};
use molecule_runtime::{
    account::{Account, Token, read_token},
    presence::{Verdict, verify},
    storage::atomic,
};

use super::{Context, DONE, FAILED, MISCONFIGURED, REJECTED, install, print};
use crate::{
    env::{self, Variable},
    log,
    settings::{self, Settings, config_file},
    system,
};

/// Tokens are not longer.
const TOKEN_BYTES: u64 = 64 << 10;
/// Below the directory of the configuration file.
const TOKENS: &str = "tokens";

/// What is not given is asked for at a terminal.
#[derive(Debug, Args)]
pub struct Setup {
    /// Base address of the platform, such as https://acme.example.com
    #[arg(long, value_name = "URL")]
    platform_url: Option<String>,
    /// Id of the workspace: the UUID that the canvas shows
    #[arg(long, value_name = "ID")]
    workspace_id: Option<String>,
    /// Read the token from standard input, and keep it in a file of its own (0600)
    #[arg(long, conflicts_with = "token_file")]
    token_stdin: bool,
    /// Use the token in this file, which stays where it is
    #[arg(long, value_name = "PATH")]
    token_file: Option<PathBuf>,
    /// Write it down although the platform refuses the token or does not answer
    #[arg(long)]
    unverified: bool,
    /// Do not offer to install it into MCP clients
    #[arg(long)]
    no_install: bool,
}

/// What is to be written down.
struct Answers {
    platform: String,
    workspace: String,
    token: Token,
    /// The file that holds the token already.
    file: Option<PathBuf>,
}

impl Setup {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let Some(config) = config_file::path(context.variable) else {
            log::say("molecule-mcp setup: there is no directory for it: set CONFIGS_DIR or HOME");
            return Ok(MISCONFIGURED);
        };
        let answers = match self.answers(context) {
            Ok(answers) => answers,
            Err(why) => {
                log::say(&format!("molecule-mcp setup: {why:#}; nothing was changed"));
                return Ok(MISCONFIGURED);
            }
        };
        let settings = Settings::from_env(|name| answers.variable(context, name))?;
        let Some(account) = settings.accounts.into_iter().next() else { bail!("there is no workspace") };
        if let Some(code) = self.refused(account)? {
            return Ok(code);
        }
        let token = answers.write(&config)?;
        print(&format!("Written: {}\nThe token: {}\n", config.display(), token.display()));
        warn_of_variables(context);
        if self.no_install {
            return Ok(DONE);
        }
        install::offer(context)
    }

    fn answers(&self, context: &Context) -> anyhow::Result<Answers> {
        let asks = io::stdin().is_terminal() && io::stderr().is_terminal() && !self.token_stdin;
        let platform = one(
            context,
            self.platform_url.as_ref(),
            &env::PLATFORM_URL,
            "Address of the platform",
            asks,
            |text| settings::platform_url(text, context.variable),
        )?;
        let workspace = one(
            context,
            self.workspace_id.as_ref(),
            &env::WORKSPACE_ID,
            "Id of the workspace",
            asks,
            settings::workspace_id,
        )?;
        let (token, file) = self.token(asks)?;
        Ok(Answers { platform, workspace, token, file })
    }

    fn token(&self, asks: bool) -> anyhow::Result<(Token, Option<PathBuf>)> {
        if let Some(file) = &self.token_file {
            let file = path::absolute(file).context("--token-file")?;
            let found = read_token(&file).map_err(|why| anyhow::anyhow!("{} {why}", file.display()))?;
            return Ok((found.token, Some(file)));
        }
        let text = if self.token_stdin {
            let mut text = String::new();
            io::stdin().take(TOKEN_BYTES).read_to_string(&mut text).context("standard input")?;
            text
        } else if asks {
            let is_one = |text: &String| Token::parse(text).map(drop).map_err(|why| format!("That {why}"));
            Password::new()
                .with_prompt("Token, from the Tokens tab (not shown)")
                .validate_with(is_one)
                .interact()?
        } else {
            bail!("the token is missing: --token-stdin or --token-file");
        };
        Ok((Token::parse(&text).map_err(|why| anyhow::anyhow!("the token {why}"))?, None))
    }

    /// The exit code, if nothing may be written down.
    fn refused(&self, account: Account) -> anyhow::Result<Option<i32>> {
        let (workspace, platform) = (account.id.clone(), account.platform.clone());
        let (why, code) = match system::runtime()?.block_on(verify(account)) {
            Verdict::Opens => {
                print(&format!("The platform at {platform} knows the token of workspace {workspace}.\n"));
                return Ok(None);
            }
            Verdict::Refused(status) => {
                let advice = "make one in the Tokens tab of this workspace on the canvas";
                (
                    format!(
                        "the platform refuses the token for workspace {workspace} (HTTP {status}): {advice}"
                    ),
                    REJECTED,
                )
            }
            Verdict::Unknown(why) => (format!("the token could not be checked: {why}"), FAILED),
        };
        if self.unverified {
            log::say(&format!("molecule-mcp setup: {why}; written down all the same"));
            return Ok(None);
        }
        log::say(&format!(
            "molecule-mcp setup: {why}; nothing was changed, and --unverified writes it down all the same"
        ));
        Ok(Some(code))
    }
}

/// A value that was given, or is typed, or holds already. `clean` makes of it what is written down.
fn one(
    context: &Context,
    given: Option<&String>,
    variable: &'static Variable,
    prompt: &str,
    asks: bool,
    clean: impl Fn(&str) -> Result<String, String>,
) -> anyhow::Result<String> {
    let option = format!("--{}", variable.key.map(|key| key.name).unwrap_or_default().replace('_', "-"));
    if let Some(text) = given {
        return clean(text).map_err(|why| anyhow::anyhow!("{option} {why}"));
    }
    let known = settings::sources(context.variable).into_iter().find(|setting| setting.variable == variable);
    let known = known.and_then(|setting| setting.value).filter(|text| clean(text).is_ok());
    if !asks {
        let known = known.and_then(|text| clean(&text).ok());
        return known.with_context(|| format!("{option} is missing"));
    }
    let input = Input::<String>::new()
        .with_prompt(prompt)
        .validate_with(|text: &String| clean(text).map(drop).map_err(|why| format!("That {why}")));
    let text = match known {
        Some(known) => input.default(known).interact_text()?,
        None => input.interact_text()?,
    };
    clean(&text).map_err(|why| anyhow::anyhow!("{option} {why}"))
}

impl Answers {
    /// The environment with these answers in place of what it says.
    fn variable(&self, context: &Context, name: &str) -> Option<OsString> {
        let is = |variable: &Variable| variable.name == name;
        if is(&env::PLATFORM_URL) {
            return Some(self.platform.clone().into());
        }
        if is(&env::WORKSPACE_ID) {
            return Some(self.workspace.clone().into());
        }
        if is(&env::WORKSPACE_TOKEN) {
            return Some(self.token.reveal().into());
        }
        let others = [&env::WORKSPACE_TOKEN_FILE, &env::WORKSPACES, &env::WORKSPACES_FILE, &env::CONFIG];
        if others.into_iter().any(is) { None } else { (context.variable)(name) }
    }

    /// Writes the token first: a file of settings never names one that is not there. Returns where the token is.
    fn write(&self, config: &Path) -> anyhow::Result<PathBuf> {
        let directory = config.parent().unwrap_or(config);
        let before = match std::fs::read_to_string(config) {
            Ok(text) => text,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => String::new(),
            Err(cause) => return Err(cause).with_context(|| format!("{} cannot be read", config.display())),
        };
        let relative = format!("{TOKENS}/{}", self.workspace);
        let own = directory.join(&relative);
        let named = self.file.as_ref().map_or(relative, |file| file.to_string_lossy().into_owned());
        let after = config_file::with_workspace(&before, &self.workspace, &self.platform, &named)
            .map_err(|why| anyhow::anyhow!("{} {why}", config.display()))?;
        if self.file.is_none() {
            atomic::replace(&own, format!("{}\n", self.token.reveal()).as_bytes())
                .with_context(|| format!("{} cannot be written", own.display()))?;
        }
        atomic::replace(config, after.as_bytes())
            .with_context(|| format!("{} cannot be written", config.display()))?;
        Ok(self.file.clone().unwrap_or(own))
    }
}

/// Variables of this shell win over what was written, also for clients that pass them on.
fn warn_of_variables(context: &Context) {
    let needed = [
        &env::WORKSPACE_ID,
        &env::PLATFORM_URL,
        &env::WORKSPACE_TOKEN,
        &env::WORKSPACE_TOKEN_FILE,
        &env::WORKSPACES,
        &env::WORKSPACES_FILE,
    ];
    for variable in needed {
        if (context.variable)(variable.name).is_some_and(|value| !value.is_empty()) {
            log::say(&format!(
                "{} is set in this shell, and wins over the file wherever it is passed on",
                variable.name
            ));
        }
    }
}

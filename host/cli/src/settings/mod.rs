//! What the operator configured: cleaned once, and used clean everywhere.
//!
//! ```text
//! environment ──► Environment ──► identity, configs_dir, permissions, … ──► Settings
//!                     └── what is wrong, all of it ──► Problems
//! ```
//!
//! Files are read and none is written.

mod accounts;
mod attach_roots;
mod chat_uploads;
pub(crate) mod config_file;
mod configs_dir;
mod environment;
mod listed;
mod no_proxy;
mod permissions;
mod platform_url;
mod problem;
mod proxy;
mod sources;
#[cfg(test)]
mod tests;
mod token;
mod trust;
mod wake;
mod workspaces;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use molecule_runtime::{
    account::{Account, AgentCard},
    config::{ChatUploads, Config, ToolOptions},
    guest::wire::Permissions,
    inspect::Place,
};

pub(crate) use self::platform_url::UNENCRYPTED;
pub use self::{
    config_file::schema,
    problem::Problems,
    sources::{Setting, Source, sources},
};
use self::{configs_dir::ConfigsDir, environment::Environment, listed::Listed};
use crate::{
    env,
    log::{Choice, Filter},
    wake::WakeSettings,
};

/// Where `config.yaml` is looked for.
const CONFIG_DIRECTORY: &str = "/configs";
const DURABLE_BUDGET_SECS: u32 = 300;
const LONGEST_BUDGET_SECS: f64 = 86_400.0;
const POLL_TIMEOUT_SECS: u32 = 2;
const LONGEST_POLL_TIMEOUT_SECS: u32 = 60;

/// What a [`Place`] is made from.
const PLACE: &[&env::Variable] = &[
    &env::WORKSPACE_ID,
    &env::PLATFORM_URL,
    &env::WORKSPACES,
    &env::WORKSPACES_FILE,
    &env::CONFIG,
    &env::CONFIGS_DIR,
    &env::HOME,
];

/// Everything that the program was told.
#[derive(Debug)]
pub struct Settings {
    /// The workspaces to act for, at least one, of different ids.
    pub accounts: Vec<Account>,
    /// Files beside those of the accounts that may hold tokens.
    pub secret_files: Vec<PathBuf>,
    /// Where state is kept, an absolute path that may not exist yet; none if it cannot be written.
    pub configs: Option<PathBuf>,
    /// Whether to register and beat.
    pub heartbeat: bool,
    /// Whether to fetch messages.
    pub inbox: bool,
    /// What is logged, and how.
    pub log: Choice,
    /// How tools answer, and what they may do.
    pub tools: ToolOptions,
    /// Directories below which the agent may send files; canonical paths.
    pub attach_roots: Vec<PathBuf>,
    /// Where files from the user are kept, how large ones, and for how long.
    pub chat_uploads: ChatUploads,
    /// How an idle agent is told of messages; none if it is not.
    pub wake: Option<WakeSettings>,
    /// What the operator should know although the program starts; a line each, without secrets.
    pub warnings: Vec<String>,
}

/// The clean form of the id of a workspace. The reason why not follows what was asked for.
///
/// # Errors
/// When it could be no id.
pub fn workspace_id(text: &str) -> Result<String, String> {
    accounts::workspace_id(text.trim())
}

/// The clean form of the address of a platform, plain http only where `lookup` allows that. The reason why not follows what was
/// asked for.
///
/// # Errors
/// When it could be no address of a platform.
pub fn platform_url(text: &str, lookup: impl Fn(&str) -> Option<OsString>) -> Result<String, String> {
    let mut environment = Environment::new(&lookup);
    let url = listed::address(&mut environment, text.trim())?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Reads which inboxes to look at from the variables of [`env::ALL`] by `lookup`. There need not be a token.
///
/// # Errors
/// When something required is missing or cannot be used: all of it in one report.
pub fn places(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Vec<Place>, Problems> {
    let mut environment = Environment::new(&lookup);
    config_file::read(&mut environment);
    environment.refuse_placeholders(PLACE);
    let state = configs_dir::find(&mut environment).path;
    let places = accounts::places(&mut environment, state.as_deref());
    if environment.problems.is_empty() { Ok(places) } else { Err(Problems::new(environment.problems, true)) }
}

/// The directory of state, whether it exists or not.
///
/// # Errors
/// When what says so cannot be used.
pub fn state(lookup: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, Problems> {
    let mut environment = Environment::new(&lookup);
    environment.refuse_placeholders(&[&env::CONFIGS_DIR, &env::HOME]);
    let found = configs_dir::find(&mut environment).path;
    if let (Some(path), true) = (found, environment.problems.is_empty()) {
        return Ok(path);
    }
    environment.unusable(&env::CONFIGS_DIR, format!("{} names no directory", env::CONFIGS_DIR.name));
    Err(Problems::new(environment.problems, true))
}

/// Reads where state is kept, also if it cannot be written, whatever else is wrong; none if no place is known.
///
/// # Errors
/// When the setting of it cannot be used.
pub fn state_directory(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Option<PathBuf>, Problems> {
    let mut environment = Environment::new(&lookup);
    config_file::read(&mut environment);
    environment.refuse_placeholders(&[&env::CONFIGS_DIR, &env::HOME]);
    match configs_dir::find(&mut environment).path {
        Some(directory) => Ok(Some(directory)),
        None if environment.problems.is_empty() => Ok(None),
        None => Err(Problems::new(environment.problems, true)),
    }
}

impl Settings {
    /// Reads the variables of [`env::ALL`] by `lookup`, and the files that they name.
    ///
    /// # Errors
    /// When something required is missing or anything cannot be used: all of it in one report.
    pub fn from_env(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Problems> {
        let mut environment = Environment::new(&lookup);
        config_file::read(&mut environment);
        environment.refuse_placeholders(env::ALL);
        environment.tell_of_odd_home();
        let configs = configs_dir::find(&mut environment);
        let listed = accounts::read(&mut environment, configs.path.as_deref());
        let has_token_file = listed.has_token_file();
        let settings = Self::read(&mut environment, listed, configs);
        let Environment { problems, warnings, .. } = environment;
        if problems.is_empty() {
            return Ok(Self { warnings, ..settings });
        }
        Err(Problems::new(problems, has_token_file))
    }

    /// The configuration of the runtime; `home` is the home directory of the user.
    #[must_use]
    pub fn config(self, home: Option<PathBuf>) -> Config {
        Config {
            accounts: self.accounts,
            secret_files: self.secret_files,
            state: self.configs,
            presence: self.heartbeat,
            inbox: self.inbox,
            attach_roots: self.attach_roots,
            home,
            chat_uploads: self.chat_uploads,
            tools: self.tools,
        }
    }

    /// What is absent of `listed` is missing in the accounts, and was reported.
    fn read(environment: &mut Environment<'_>, listed: Listed, configs: ConfigsDir) -> Self {
        let configs = configs.path.filter(|_| configs.writable);
        let chat_uploads = chat_uploads::read(environment, configs.as_deref());
        let accounts = accounts::connect(environment, listed.workspaces);
        Self {
            accounts: with_cards(environment, accounts),
            secret_files: listed.file.into_iter().chain(environment.file.path.clone()).collect(),
            chat_uploads,
            wake: wake::read(environment, configs.as_deref()),
            configs,
            heartbeat: !environment.any_value(&env::DISABLE_HEARTBEAT),
            inbox: !environment.any_value(&env::DISABLE_INBOX),
            log: log(environment),
            tools: ToolOptions {
                notice: environment.switch_on_unless_off(&env::TOOL_NOTICE),
                redeliver: environment.word(&env::HANDOVER, "redeliver", "keep"),
                structured: environment.switch(&env::STRUCTURED),
                bare_peer_text: environment.switch(&env::BARE_PEER_TEXT),
                delegate_durably: environment.word(&env::DELEGATION_SYNC_VIA_INBOX, "1", "0"),
                durable_budget_secs: durable_budget(environment),
                poll_timeout_secs: poll_timeout(environment),
                permissions: permissions(environment),
            },
            attach_roots: attach_roots::read(environment),
            warnings: Vec::new(),
        }
    }
}

fn log(environment: &mut Environment<'_>) -> Choice {
    let (filter, odd) = Filter::parse(&environment.text(&env::LOG).unwrap_or_default());
    for part in odd {
        environment.warn(format!("{}: {part}", env::LOG.name));
    }
    Choice {
        verbose: environment.any_value(&env::VERBOSE),
        filter,
        json: environment.word(&env::LOG_FORMAT, "json", "text"),
    }
}

/// The accounts with what the operator has set of their cards, which is the same for all.
fn with_cards(environment: &mut Environment<'_>, accounts: Vec<Account>) -> Vec<Account> {
    let name = environment.text(&env::AGENT_NAME);
    let description = environment.text(&env::AGENT_DESCRIPTION);
    let skills = environment.text(&env::AGENT_SKILLS).unwrap_or_default();
    let skills = skills.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let skills: Vec<_> = skills.collect();
    let with_card = |mut account: Account| {
        let name = name.clone().unwrap_or_else(|| AgentCard::of(&account.id).name);
        account.card = AgentCard { name, description: description.clone(), skills: skills.clone() };
        account
    };
    accounts.into_iter().map(with_card).collect()
}

fn durable_budget(environment: &mut Environment<'_>) -> u32 {
    let variable = &env::DELEGATION_TIMEOUT;
    let Some(text) = environment.text(variable) else {
        return DURABLE_BUDGET_SECS;
    };
    match text.parse::<f64>() {
        Ok(secs) if secs >= 0.0 => whole_seconds(secs),
        Ok(_) | Err(_) => {
            let (name, default) = (environment.name_of(variable), variable.default);
            environment.warn(format!("{name} is not a number of seconds, and counts as {default}"));
            DURABLE_BUDGET_SECS
        }
    }
}

/// Cut to a day; a part of a second counts as a whole one.
fn whole_seconds(secs: f64) -> u32 {
    let secs = Duration::from_secs_f64(secs.min(LONGEST_BUDGET_SECS).ceil()).as_secs();
    u32::try_from(secs).unwrap_or(DURABLE_BUDGET_SECS)
}

fn poll_timeout(environment: &mut Environment<'_>) -> u32 {
    let variable = &env::POLL_TIMEOUT_SECS;
    let Some(text) = environment.text(variable) else {
        return POLL_TIMEOUT_SECS;
    };
    let digits = text.strip_prefix('+').unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let (name, default) = (environment.name_of(variable), variable.default);
        environment.warn(format!("{name} is not a whole number of seconds, and counts as {default}"));
        return POLL_TIMEOUT_SECS;
    }
    // Digits that do not fit are more than the longest.
    digits.parse().unwrap_or(u32::MAX).min(LONGEST_POLL_TIMEOUT_SECS)
}

fn permissions(environment: &mut Environment<'_>) -> Permissions {
    let chosen = environment.path(&env::WORKSPACE_CONFIG_PATH);
    if let Some(path) = &chosen {
        let (name, shown) = (environment.name_of(&env::WORKSPACE_CONFIG_PATH), path.display());
        if path.is_file() {
            let why = format!("{name}: {shown} is a file: name the directory in which config.yaml lies");
            environment.unusable(&env::WORKSPACE_CONFIG_PATH, why);
        } else if !path.exists() {
            environment.warn(format!("{name}: {shown} does not exist, so the role of the agent is operator"));
        }
    }
    let directory = chosen.unwrap_or_else(|| Path::new(CONFIG_DIRECTORY).to_owned());
    let tier = environment.text(&env::WORKSPACE_TIER);
    let permissions::Granted { permissions, warning } = permissions::read(&directory, tier.as_deref());
    environment.warnings.extend(warning);
    permissions
}

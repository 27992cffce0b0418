//! What a program configures a runtime with.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    account::Account,
    guest::wire::{self, Permissions, WorkspaceSettings},
};

/// Everything that the runtime was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The workspaces that the process acts for, at least one, of different ids. The first is the default of every tool.
    pub accounts: Vec<Account>,
    /// Where state is kept, an absolute path that may not exist yet; none if it cannot be written.
    pub state: Option<PathBuf>,
    /// Whether to register and beat.
    pub presence: bool,
    /// Whether to fetch messages.
    pub inbox: bool,
    /// Directories below which the agent may send files; canonical paths.
    pub attach_roots: Vec<PathBuf>,
    /// The directory that `~/` stands for in the path of an attachment.
    pub home: Option<PathBuf>,
    /// Where files from the user are kept, how large ones, and for how long.
    pub chat_uploads: ChatUploads,
    /// Files beside those of [`Account::credentials`] that hold tokens, and are never sent.
    pub secret_files: Vec<PathBuf>,
    /// What the tools were told.
    pub tools: ToolOptions,
}

impl Default for ChatUploads {
    /// Files of at most 100 MiB, for 14 days; no directory.
    fn default() -> Self {
        Self { directory: None, most_bytes: 100 << 20, keep: Duration::from_secs(14 * 86_400) }
    }
}

impl Default for ToolOptions {
    /// What the program does without settings: an operator that may do everything but write GLOBAL memory.
    fn default() -> Self {
        Self {
            notice: true,
            redeliver: false,
            structured: false,
            bare_peer_text: false,
            delegate_durably: false,
            durable_budget_secs: 300,
            poll_timeout_secs: 2,
            permissions: Permissions {
                roles: vec!["operator".to_owned()],
                allowed_actions: Vec::new(),
                tier: 1,
            },
        }
    }
}

impl ToolOptions {
    /// What the component is told that acts for `workspaces` with these options; `seed` is where its ids and markers
    /// come from, `inbox` whether it fetches messages.
    #[must_use]
    pub fn settings(
        self,
        seed: (u64, u64, u64, u64),
        workspaces: Vec<WorkspaceSettings>,
        inbox: bool,
    ) -> wire::Settings {
        let Self {
            notice,
            redeliver,
            structured,
            bare_peer_text,
            delegate_durably,
            durable_budget_secs,
            poll_timeout_secs,
            permissions,
        } = self;
        wire::Settings {
            seed,
            workspaces,
            inbox,
            redeliver,
            notice,
            structured,
            bare_peer_text,
            delegate_durably,
            durable_budget_secs,
            poll_timeout_secs,
            permissions,
        }
    }
}

impl Config {
    /// All files that hold tokens.
    pub(crate) fn files_with_tokens(&self) -> impl Iterator<Item = &Path> {
        let own = self.accounts.iter().filter_map(|account| account.credentials.source().path());
        own.chain(self.secret_files.iter().map(PathBuf::as_path))
    }
}

/// How tools answer, and what they may do.
#[derive(Debug, Clone)]
pub struct ToolOptions {
    /// Whether the results of other tools tell of messages that wait.
    pub notice: bool,
    /// Whether messages that another implementation has fetched meanwhile are shown again.
    pub redeliver: bool,
    /// Whether answers also carry their facts as JSON.
    pub structured: bool,
    /// Whether the words of peers are shown without a fence.
    pub bare_peer_text: bool,
    /// Whether every delegation takes the durable path.
    pub delegate_durably: bool,
    /// Seconds to poll for the result of a durable delegation.
    pub durable_budget_secs: u32,
    /// Seconds of waiting that the instructions recommend, 0 to 60.
    pub poll_timeout_secs: u32,
    /// What the agent may do.
    pub permissions: Permissions,
}

/// What becomes of files from the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatUploads {
    /// An absolute path, made when it is needed; none if nothing can be kept.
    pub directory: Option<PathBuf>,
    /// The size of the largest that is fetched.
    pub most_bytes: u64,
    /// How long a file stays after its message was handled.
    pub keep: Duration,
}

//! Makes a [`Runtime`] in the program that embeds it.

use std::{
    path::{self, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use url::Url;

use crate::{
    account::{Account, AgentCard, Credentials, TokenFileProblem, TokenSource, read_token},
    config::{ChatUploads, Config, ToolOptions},
    runtime::Runtime,
    storage::store::Store,
};

/// In the directory of state.
const CHAT_UPLOADS: &str = "chat-uploads";

/// What a runtime is made from. Needed are a platform, a workspace and its token, or accounts.
#[derive(Debug, Default)]
#[must_use = "a builder makes a runtime only by `build`"]
pub struct Builder {
    platform: Option<String>,
    workspace: Option<String>,
    token: Option<TokenAt>,
    card: Option<AgentCard>,
    accounts: Vec<Account>,
    state: Option<PathBuf>,
    store: Option<Arc<dyn Store>>,
    without_presence: bool,
    without_inbox: bool,
    attach_roots: Vec<PathBuf>,
    tools: ToolOptions,
}

#[derive(Debug)]
enum TokenAt {
    Known(Credentials),
    Source(TokenSource),
}

/// Why there is no runtime.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Two accounts have the same id.
    #[error("workspace {0} is given twice")]
    Duplicate(String),
    /// The component cannot be loaded, or the system gives no random numbers.
    #[error(transparent)]
    Component(#[from] anyhow::Error),
    /// The address is no http or https address without user, query and fragment.
    #[error("the platform {0:?} is no http or https address")]
    Platform(String),
    /// One of platform, workspace and token is absent.
    #[error("a runtime needs {0}")]
    Missing(&'static str),
    /// The file gives no token.
    #[error("{0} {1}")]
    Token(PathBuf, TokenFileProblem),
}

impl Runtime {
    /// Makes a runtime in the program that embeds it.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// The base address of the platform, http or https.
    pub fn platform(mut self, url: impl Into<String>) -> Self {
        self.platform = Some(url.into());
        self
    }

    /// The id of the workspace.
    pub fn workspace(mut self, id: impl Into<String>) -> Self {
        self.workspace = Some(id.into());
        self
    }

    /// Where the token of the workspace is: a file, which is read again when the platform refuses the token.
    pub fn token(mut self, source: TokenSource) -> Self {
        self.token = Some(TokenAt::Source(source));
        self
    }

    /// A token that the program has.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.token = Some(TokenAt::Known(credentials));
        self
    }

    /// What other workspaces see of the workspace.
    pub fn card(mut self, card: AgentCard) -> Self {
        self.card = Some(card);
        self
    }

    /// A further workspace; the first of all is the default of every tool.
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Keeps the inbox and the files of the user below `directory`, which is made when it is needed. Two processes may
    /// share it.
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        self.state = Some(path::absolute(&directory).unwrap_or(directory));
        self
    }

    /// Keeps the inbox of the workspace in `store`, in place of files. Files of the user stay below
    /// [`Builder::state_dir`], if there is one.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Keeps nothing, which is the default: messages that were not popped come again from the platform.
    pub fn in_memory(mut self) -> Self {
        self.state = None;
        self
    }

    /// Whether to register and beat; it does by default.
    pub fn presence(mut self, on: bool) -> Self {
        self.without_presence = !on;
        self
    }

    /// Whether to fetch messages; it does by default.
    pub fn inbox(mut self, on: bool) -> Self {
        self.without_inbox = !on;
        self
    }

    /// A directory below which the agent may send files to the user. There is none by default.
    pub fn attach_root(mut self, directory: impl Into<PathBuf>) -> Self {
        self.attach_roots.push(directory.into());
        self
    }

    /// How tools answer, and what they may do.
    pub fn tools(mut self, options: ToolOptions) -> Self {
        self.tools = options;
        self
    }

    /// Loads the component and begins to be present and to fetch messages. Has to be called within a Tokio runtime
    /// with its timers and its network on.
    ///
    /// # Errors
    /// When something needed is absent, the token cannot be read, or the component cannot be loaded.
    pub async fn build(self) -> Result<Runtime, BuildError> {
        let runtime = Runtime::start(&self.config()?).await?;
        // A program that builds a runtime means to use it, unlike a client that starts a server to probe it.
        runtime.session().tool_called();
        Ok(runtime)
    }

    fn config(self) -> Result<Config, BuildError> {
        let single = match (self.platform, self.workspace, self.token) {
            (None, None, None) if !self.accounts.is_empty() => None,
            (platform, workspace, token) => {
                let platform = address(platform.ok_or(BuildError::Missing("a platform"))?)?;
                let id = workspace.ok_or(BuildError::Missing("a workspace"))?;
                let credentials = token.ok_or(BuildError::Missing("a token"))?.read()?;
                let mut account = Account::new(id, platform, credentials);
                account.card = self.card.unwrap_or(account.card);
                Some(match self.store {
                    Some(store) => account.kept_in(store),
                    None => account,
                })
            }
        };
        let accounts: Vec<_> = single.into_iter().chain(self.accounts).collect();
        let mut ids: Vec<_> = accounts.iter().map(|account| account.id.as_str()).collect();
        ids.sort_unstable();
        if let Some([twice, _]) = ids.array_windows().find(|[one, other]| one == other) {
            return Err(BuildError::Duplicate((*twice).to_owned()));
        }
        let roots = self.attach_roots.into_iter().filter_map(|root| root.canonicalize().ok());
        Ok(Config {
            accounts,
            chat_uploads: ChatUploads {
                directory: self.state.as_ref().map(|state| state.join(CHAT_UPLOADS)),
                ..ChatUploads::default()
            },
            state: self.state,
            presence: !self.without_presence,
            inbox: !self.without_inbox,
            attach_roots: roots.collect(),
            home: None,
            secret_files: Vec::new(),
            tools: self.tools,
        })
    }
}

impl TokenAt {
    fn read(self) -> Result<Credentials, BuildError> {
        match self {
            Self::Known(credentials) => Ok(credentials),
            Self::Source(source) => {
                let path = source.path().ok_or(BuildError::Missing("a token"))?;
                let read = read_token(path).map_err(|why| BuildError::Token(path.to_owned(), why))?;
                Ok(Credentials::new(source, read.token))
            }
        }
    }
}

fn address(text: String) -> Result<Url, BuildError> {
    let is_base = |url: &Url| {
        let is_bare = url.username().is_empty() && url.password().is_none();
        let is_whole = url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && is_bare && is_whole
    };
    match Url::parse(text.trim_end_matches('/')) {
        Ok(url) if is_base(&url) => Ok(url),
        Ok(_) | Err(_) => Err(BuildError::Platform(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Token;

    #[test]
    fn what_is_absent_or_wrong_is_said() {
        let token = || Credentials::new(TokenSource::setting("TOKEN"), Token::parse("tok").unwrap());
        let whole =
            || Builder::default().platform("https://acme.example/").workspace("w").credentials(token());
        let other = Account::new("w", Url::parse("https://acme.example").unwrap(), token());
        for (builder, why) in [
            (Builder::default(), "needs a platform"),
            (Builder::default().platform("https://acme.example"), "needs a workspace"),
            (Builder::default().platform("https://acme.example").workspace("w"), "needs a token"),
            (whole().platform("acme.example"), "is no http or https address"),
            (whole().platform("https://user:pw@acme.example"), "is no http or https address"),
            (whole().token(TokenSource::file("/nowhere/token")), "/nowhere/token does not exist"),
            (whole().account(other), "workspace w is given twice"),
        ] {
            let said = builder.config().unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_platform_a_workspace_and_a_token_are_enough() {
        let token = Credentials::new(TokenSource::setting("TOKEN"), Token::parse("tok").unwrap());

        let config = Builder::default().platform("https://acme.example/").workspace("w").credentials(token);
        let config = config.state_dir("/state").config().unwrap();

        assert_eq!(
            (config.accounts.len(), config.accounts[0].platform.as_str()),
            (1, "https://acme.example/")
        );
        assert_eq!(config.chat_uploads.directory, Some(PathBuf::from("/state/chat-uploads")));
        assert!(config.presence && config.inbox);
    }
}

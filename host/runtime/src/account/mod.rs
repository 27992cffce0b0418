//! A workspace that the process acts for: who it is, where its platform is, with which token, and where its files are.
//!
//! ```text
//! list of the program ──► numbered ──► Account 0, 1, 2 … ──► presence, leadership, HTTP, files: one each
//! ```

mod credentials;
pub mod placeholder;

use std::{path::Path, sync::Arc};

use tracing::Span;
use url::Url;

pub use self::credentials::{
    Credentials, SecretFile, Token, TokenFile, TokenFileProblem, TokenProblem, TokenSource, read_secret,
    read_token,
};
use crate::{
    guest::wire::Workspace,
    network::Network,
    storage::{
        paths::{InboxPaths, Naming},
        store::Store,
    },
};

/// Characters of the id in the default name of an agent.
const ID_IN_NAME: usize = 8;

/// A workspace that the process acts for.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id: 1 to 128 of `A-Z a-z 0-9 _ -`, a UUID in lower case.
    pub id: String,
    /// The base of all addresses of its platform: http or https, no credentials, no query, no trailing slash.
    pub platform: Url,
    /// Its token.
    pub credentials: Credentials,
    /// How its platform is reached.
    pub network: Network,
    /// The organisation that requests name, for platforms that ask for it: 1 to 128 visible ASCII characters.
    pub organization: Option<String>,
    /// What other workspaces see of it.
    pub card: AgentCard,
    handle: Workspace,
    /// What stands for it in lines of the log; none if the process acts for it alone.
    tag: Option<String>,
    paths: Option<InboxPaths>,
    store: Option<Arc<dyn Store>>,
}

/// What other workspaces see of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCard {
    /// Its name.
    pub name: String,
    /// What it is for, if the operator said so.
    pub description: Option<String>,
    /// Names of skills, in the operator's order.
    pub skills: Vec<String>,
}

impl AgentCard {
    /// The card of a workspace of which nothing but its id is known.
    #[must_use]
    pub fn of(id: &str) -> Self {
        let start: String = id.chars().take(ID_IN_NAME).collect();
        Self { name: format!("molecule-mcp-{start}"), description: None, skills: Vec::new() }
    }
}

impl Account {
    /// The workspace `id` on `platform`: reached without a proxy, with a default card, and without files.
    #[must_use]
    pub fn new(id: impl Into<String>, platform: Url, credentials: Credentials) -> Self {
        let id = id.into();
        Self {
            card: AgentCard::of(&id),
            id,
            platform,
            credentials,
            network: Network::default(),
            organization: None,
            handle: 0,
            tag: None,
            paths: None,
            store: None,
        }
    }

    /// Its place in the list of the process, which is what the component calls it.
    #[must_use]
    pub const fn handle(&self) -> Workspace {
        self.handle
    }

    /// Its state is kept by `store` in place of files.
    #[must_use]
    pub fn kept_in(self, store: Arc<dyn Store>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// What keeps its state in place of files.
    pub(crate) fn store(&self) -> Option<Arc<dyn Store>> {
        self.store.clone()
    }

    /// Where its files are; none if nothing is kept.
    pub(crate) const fn paths(&self) -> Option<&InboxPaths> {
        self.paths.as_ref()
    }

    /// Names the workspace in the lines of the log where the process acts for several.
    pub(crate) fn span(&self) -> Span {
        match &self.tag {
            Some(tag) => tracing::error_span!("workspace", tag),
            None => Span::none(),
        }
    }
}

/// Gives each of `accounts` its handle, and its files in `directory`.
pub(crate) fn numbered(accounts: &[Account], directory: Option<&Path>) -> Vec<Arc<Account>> {
    let ids: Vec<_> = accounts.iter().map(|account| account.id.as_str()).collect();
    let numbered = accounts.iter().zip(Naming::of(&ids)).zip(0..);
    let account = |((account, naming), handle): ((&Account, Naming), Workspace)| {
        let paths =
            directory.map(|directory| InboxPaths::new(directory, &account.platform, &account.id, &naming));
        let tag = naming.tag().map(str::to_owned);
        Arc::new(Account { handle, tag, paths, ..account.clone() })
    };
    numbered.map(account).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_place_in_the_list_and_files_of_its_own() {
        let accounts = ["aaaaaaaa-1", "bbbbbbbb-2"].map(account);

        let numbered = numbered(&accounts, Some(Path::new("/state")));

        let cursors: Vec<_> =
            numbered.iter().map(|account| account.paths().unwrap().cursor.clone()).collect();
        assert_eq!(numbered.iter().map(|account| account.handle()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(
            cursors,
            [".mcp_inbox_cursor_aaaaaaaa", ".mcp_inbox_cursor_bbbbbbbb"]
                .map(|name| Path::new("/state").join(name))
        );
    }

    #[test]
    fn one_account_has_the_plain_files() {
        let numbered = numbered(&[account("aaaaaaaa-1")], Some(Path::new("/state")));

        let paths = numbered[0].paths().unwrap();
        assert_eq!(paths.cursor, Path::new("/state/.mcp_inbox_cursor"));
        assert_eq!(paths.secret, Path::new("/state/.platform_inbound_secret"));
    }

    fn account(id: &str) -> Account {
        let credentials = Credentials::new(TokenSource::setting("TOKEN"), Token::parse("tok").unwrap());
        Account::new(id, Url::parse("https://acme.example").unwrap(), credentials)
    }
}

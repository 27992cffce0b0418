//! The workspace's token: held here, shown to nobody.

use std::{fmt, path::PathBuf, sync::RwLock};

/// A bearer token: 1 to 16,384 visible ASCII characters. Prints as `[token]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl Token {
    /// The token itself, for the `Authorization` header and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Where a token came from, and where it is looked for again after a 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `MOLECULE_WORKSPACE_TOKEN`: fixed for the life of the process.
    Environment,
    /// The file named by `MOLECULE_WORKSPACE_TOKEN_FILE`.
    NamedFile(PathBuf),
    /// `.auth_token` in the configs directory.
    ConfigsFile(PathBuf),
}

/// The token in use, and its source.
#[derive(Debug)]
pub struct Credentials {
    source: TokenSource,
    current: RwLock<Token>,
}

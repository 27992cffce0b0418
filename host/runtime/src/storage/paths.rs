//! Where the files of an inbox are.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use url::Url;

const CURSOR: &str = ".mcp_inbox_cursor";

/// Of the digest that tells the files of one workspace from those of another.
const DIGEST_BYTES: usize = 8;

/// The files of the inbox of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxPaths {
    pub(crate) directory: PathBuf,
    /// Shared with other programs, which know no other name.
    pub(crate) cursor: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) lock: PathBuf,
    /// The fifo through which another process asks for the lock.
    pub(crate) requests: PathBuf,
    /// What damaged journals were, the newest first.
    pub(crate) copies: [PathBuf; 2],
}

impl InboxPaths {
    /// In `directory`, for `workspace` on `platform`.
    pub(crate) fn new(directory: &Path, platform: &Url, workspace: &str) -> Self {
        let stem = stem(platform, workspace);
        let named = |end: &str| directory.join(format!("{stem}.{end}"));
        Self {
            directory: directory.to_owned(),
            cursor: directory.join(CURSOR),
            journal: named("journal"),
            lock: named("lock"),
            requests: named("requests"),
            copies: [named("damaged-1"), named("damaged-2")],
        }
    }
}

/// How the names of the files of one workspace begin.
fn stem(platform: &Url, workspace: &str) -> String {
    let platform = platform.as_str().trim_end_matches('/');
    let digest = Sha256::digest(format!("{platform}\n{workspace}"));
    let digits: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!(".mcp_inbox_{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_tell_platforms_and_workspaces_apart() {
        let name = |platform, workspace| stem(&Url::parse(platform).unwrap(), workspace);

        // printf 'https://acme.example.com\nw' | sha256sum
        assert_eq!(name("https://acme.example.com/", "w"), ".mcp_inbox_e5494d5acbbeb8b7");
        assert_eq!(name("https://ACME.example.com:443", "w"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com/", "v"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com:444", "w"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com/b", "w"), name("https://acme.example.com/a", "w"));
    }
}

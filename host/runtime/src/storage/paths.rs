//! Where the files of an inbox are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use molecule_journal::stem;
use url::Url;

const CURSOR: &str = ".mcp_inbox_cursor";
const SECRET: &str = ".platform_inbound_secret";
/// Characters of an id in the names that other programs know, too.
const ID_IN_NAME: usize = 8;

/// How the shared names of the files of one workspace are told from those of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// The process acts for this workspace alone: plain names. `suffix` is what it would be among several.
    Alone {
        /// The first 8 characters of the id.
        suffix: String,
    },
    /// One of several.
    Among {
        /// The first 8 characters of the id, or all of it if another id of the list begins with the same.
        suffix: String,
        /// It is the first of the list, to which files with plain names belong.
        is_first: bool,
    },
}

impl Naming {
    /// The naming of each of the workspaces of one process.
    #[must_use]
    pub fn of(ids: &[&str]) -> Vec<Self> {
        if let [id] = ids {
            return vec![Self::Alone { suffix: start(id) }];
        }
        let mut starts = BTreeMap::<String, usize>::new();
        for id in ids {
            *starts.entry(start(id)).or_default() += 1;
        }
        let suffix = |id: &str| Some(start(id)).filter(|start| starts.get(start) == Some(&1));
        let among = |(place, id): (usize, &&str)| Self::Among {
            suffix: suffix(id).unwrap_or_else(|| (*id).to_owned()),
            is_first: place == 0,
        };
        ids.iter().enumerate().map(among).collect()
    }
}

impl Naming {
    /// What tells the workspace from the others of the process; none if it is alone.
    pub(crate) fn tag(&self) -> Option<&str> {
        match self {
            Self::Alone { .. } => None,
            Self::Among { suffix, .. } => Some(suffix),
        }
    }
}

fn start(id: &str) -> String {
    id.chars().take(ID_IN_NAME).collect()
}

/// The files of one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxPaths {
    pub(crate) directory: PathBuf,
    /// Shared with other programs, which know no other name.
    pub(crate) cursor: PathBuf,
    /// The name that the cursor file of this workspace had if it was alone then, or among several; read where there
    /// is no `cursor`, and never written.
    pub(crate) former_cursor: Option<PathBuf>,
    pub(crate) secret: PathBuf,
    pub(crate) journal: PathBuf,
    pub(crate) lock: PathBuf,
    /// The fifo through which another process asks for the lock.
    pub(crate) requests: PathBuf,
    /// What damaged journals were, the newest first.
    pub(crate) copies: [PathBuf; 2],
}

impl InboxPaths {
    /// In `directory`, for `workspace` on `platform`.
    pub(crate) fn new(directory: &Path, platform: &Url, workspace: &str, naming: &Naming) -> Self {
        let stem = stem(platform.as_str(), workspace);
        let named = |end: &str| directory.join(format!("{stem}.{end}"));
        let (plain, own) = (
            |name: &str| directory.join(name),
            |name: &str, suffix: &str| directory.join(format!("{name}_{suffix}")),
        );
        let (cursor, former_cursor, secret) = match naming {
            Naming::Alone { suffix } => (plain(CURSOR), Some(own(CURSOR, suffix)), plain(SECRET)),
            Naming::Among { suffix, is_first: true } => {
                (own(CURSOR, suffix), Some(plain(CURSOR)), plain(SECRET))
            }
            Naming::Among { suffix, is_first: false } => (own(CURSOR, suffix), None, own(SECRET, suffix)),
        };
        Self {
            directory: directory.to_owned(),
            cursor,
            former_cursor,
            secret,
            journal: named("journal"),
            lock: named("lock"),
            requests: named("requests"),
            copies: [named("damaged-1"), named("damaged-2")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_tell_platforms_and_workspaces_apart() {
        let name = |platform, workspace| stem(Url::parse(platform).unwrap().as_str(), workspace);

        // printf 'https://acme.example.com\nw' | sha256sum
        assert_eq!(name("https://acme.example.com/", "w"), ".mcp_inbox_e5494d5acbbeb8b7");
        assert_eq!(name("https://ACME.example.com:443", "w"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com/", "v"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com:444", "w"), name("https://acme.example.com/", "w"));
        assert_ne!(name("https://acme.example.com/b", "w"), name("https://acme.example.com/a", "w"));
    }

    #[test]
    fn ids_that_begin_alike_have_names_of_their_own() {
        let among = |suffix: &str, is_first| Naming::Among { suffix: suffix.to_owned(), is_first };

        let named = Naming::of(&["aaaaaaaa-1", "aaaaaaaa-2", "bbbbbbbb-3"]);

        assert_eq!(named, [among("aaaaaaaa-1", true), among("aaaaaaaa-2", false), among("bbbbbbbb", false)]);
    }

    #[test]
    fn the_first_of_several_keeps_the_secret_and_reads_the_cursor_of_one() {
        let paths = |ids: &[&str]| {
            let platform = Url::parse("https://acme.example.com").unwrap();
            let named = Naming::of(ids);
            let paths = ids.iter().zip(&named);
            paths
                .map(|(id, naming)| InboxPaths::new(Path::new("/c"), &platform, id, naming))
                .collect::<Vec<_>>()
        };
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();

        let (alone, among) = (paths(&["aaaaaaaa-1"]), paths(&["aaaaaaaa-1", "bbbbbbbb-2"]));

        assert_eq!(alone[0].former_cursor.as_ref(), Some(&among[0].cursor));
        assert_eq!(among[0].former_cursor.as_ref(), Some(&alone[0].cursor));
        assert_eq!(among[1].former_cursor, None);
        assert_eq!(among[0].secret, alone[0].secret);
        assert_eq!(name(&among[1].secret), ".platform_inbound_secret_bbbbbbbb");
        assert_eq!((&among[0].journal, &among[0].lock), (&alone[0].journal, &alone[0].lock));
    }
}

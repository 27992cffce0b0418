//! Where the process was started, and by whom: what a client leaves for the servers that it starts.
//!
//! A messaging token is a credential of the client's session. It stays in this module and in the door that needs it.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::Read as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, geteuid, getppid};

/// How far up it is looked for the client: a server may be started by a launcher.
const GENERATIONS: usize = 4;

/// A file of a session is small.
const MOST_BYTES: u64 = 64 << 10;

/// What the process finds at its start.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The home directory of the user.
    pub(super) home: Option<PathBuf>,
    /// Where Claude Code keeps its files.
    pub(super) claude_home: Option<PathBuf>,
    /// The inbox of the session of Claude Code, and its token.
    pub(super) claude: Messaging,
    /// The inbox of the session of Qwen Code, and its token.
    pub(super) qwen: Messaging,
    /// The id of that session.
    pub(super) qwen_session: Option<String>,
    /// Where Codex keeps its files.
    pub(super) codex_home: Option<PathBuf>,
    /// The search path, for a program that is started.
    pub(super) path: Option<OsString>,
    /// The processes above this one, the parent first.
    pub(super) ancestors: Vec<u32>,
}

/// The inbox of a client's session.
#[derive(Clone, Default)]
pub(super) struct Messaging {
    pub(super) socket: Option<PathBuf>,
    pub(super) token: Option<SessionToken>,
}

/// A credential of a client's session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionToken(String);

impl SessionToken {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(…)")
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("ancestors", &self.ancestors).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// What this process finds, with variables by `lookup`.
    pub fn find(lookup: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name| lookup(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        let text =
            |name| lookup(name).and_then(|text| text.into_string().ok()).filter(|text| !text.is_empty());
        let token = |name| text(name).map(SessionToken);
        Self {
            home: path("HOME"),
            claude_home: path("CLAUDE_CONFIG_DIR"),
            claude: Messaging {
                socket: path("CLAUDE_CODE_MESSAGING_SOCKET"),
                token: token("CLAUDE_CODE_MESSAGING_TOKEN"),
            },
            qwen: Messaging {
                socket: path("QWEN_CODE_MESSAGING_SOCKET"),
                token: token("QWEN_CODE_MESSAGING_TOKEN"),
            },
            qwen_session: text("QWEN_CODE_SESSION_ID"),
            codex_home: path("CODEX_HOME"),
            path: lookup("PATH"),
            ancestors: ancestors(),
        }
    }
}

/// The variables by which clients hand credentials of their sessions to the servers that they start.
pub(crate) const CREDENTIALS_OF_CLIENTS: [&str; 4] = [
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "QWEN_CODE_MESSAGING_SOCKET",
    "QWEN_CODE_MESSAGING_TOKEN",
];

/// A small file of the user's own, which nobody else can write.
pub(super) fn own_file(path: &Path) -> Option<String> {
    const OTHERS_WRITE: u32 = 0o022;
    let file = File::open(path).ok()?;
    let about = file.metadata().ok()?;
    let is_own = about.uid() == geteuid().as_raw() && about.mode() & OTHERS_WRITE == 0;
    if !about.is_file() || !is_own || about.len() > MOST_BYTES {
        return None;
    }
    let mut text = String::new();
    file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn ancestors() -> Vec<u32> {
    let parent = getppid().map(Pid::as_raw_nonzero).and_then(|pid| u32::try_from(pid.get()).ok());
    let up = |pid: &u32| parent_of(*pid).filter(|parent| *parent > 1);
    std::iter::successors(parent.filter(|pid| *pid > 1), up).take(GENERATIONS).collect()
}

/// As `/proc` tells it; nothing where there is none.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let found = Surroundings::find(|name| Some(format!("/canary-{name}").into()));

        assert_eq!(found.claude.token.as_ref().unwrap().reveal(), "/canary-CLAUDE_CODE_MESSAGING_TOKEN");
        assert!(!format!("{found:?} {:?}", found.claude.token).contains("canary"));
    }

    #[test]
    fn the_parent_comes_first() {
        let found = ancestors();

        assert!(!found.is_empty() && found.len() <= GENERATIONS, "{found:?}");
        assert_eq!(parent_of(std::process::id()), found.first().copied());
    }

    #[test]
    fn a_file_that_others_can_write_is_not_trusted() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("session.json");
        fs::write(&path, "{}").unwrap();
        for (mode, read) in [(0o600, true), (0o644, true), (0o666, false), (0o660, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(own_file(&path).is_some(), read, "{mode:o}");
        }
        assert_eq!(own_file(directory.path()), None);
    }
}

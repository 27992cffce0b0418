//! What the operator calls the settings, for messages that say which one to change.
//!
//! The runtime knows no environment variable and no command line: a program that has them gives their names here.

use std::sync::OnceLock;

static NAMES: OnceLock<Names> = OnceLock::new();
static PLAIN: Names = Names {
    attachments: "the directories of attachments",
    certificates: "the file of trusted certificates",
    chat_files: "the directory of chat files",
    chat_file_size: "the limit on chat files",
    no_proxy: "the hosts without a proxy",
    platform: "the platform's address",
    state: "the state directory",
    workspace: "the workspace id",
};

/// Names of settings, each as it reads after "check".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// Directories below which attachments may be.
    pub attachments: &'static str,
    /// A file of certificates to trust.
    pub certificates: &'static str,
    /// The directory for files from the user.
    pub chat_files: &'static str,
    /// The size of the largest file from the user.
    pub chat_file_size: &'static str,
    /// Hosts that are reached without a proxy.
    pub no_proxy: &'static str,
    /// The address of the platform.
    pub platform: &'static str,
    /// The directory for state.
    pub state: &'static str,
    /// The id of the workspace.
    pub workspace: &'static str,
}

impl Default for Names {
    fn default() -> Self {
        PLAIN
    }
}

/// Uses `names` in the messages of this process. Only the first call has an effect.
pub fn speak_of(names: Names) {
    let _ = NAMES.set(names);
}

/// The names that are used in messages.
pub(crate) fn names() -> &'static Names {
    NAMES.get().unwrap_or(&PLAIN)
}

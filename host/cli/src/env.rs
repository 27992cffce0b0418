//! Every variable of the environment that the program looks at.
//!
//! The help text and the table in `README.md` are made from this one table, so that neither can
//! forget a setting.

use std::fmt::Write as _;

/// A variable of the environment. Blank counts as not set, everywhere.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// Which workspace.
pub const WORKSPACE_ID: Variable = Variable {
    name: "WORKSPACE_ID",
    default: "required",
    meaning: "Id of the workspace to act for: the UUID that the canvas shows.",
};

/// Which platform.
pub const PLATFORM_URL: Variable = Variable {
    name: "PLATFORM_URL",
    default: "required",
    meaning: "Base address of the platform, such as https://acme.example.com.",
};

/// The token itself.
pub const WORKSPACE_TOKEN: Variable = Variable {
    name: "MOLECULE_WORKSPACE_TOKEN",
    default: "required, unless a file holds it",
    meaning: "Bearer token of the workspace, from the Tokens tab of the canvas.",
};

/// The token in a file of the operator's choice.
pub const WORKSPACE_TOKEN_FILE: Variable = Variable {
    name: "MOLECULE_WORKSPACE_TOKEN_FILE",
    default: "`.auth_token` in the configs directory",
    meaning: "File with the token and nothing else: safer, as it stays out of client configurations.",
};

/// A list of workspaces in one variable.
pub const WORKSPACES: Variable = Variable {
    name: "MOLECULE_WORKSPACES",
    default: "not used",
    meaning: "JSON list of objects with `id`, `token` or `token_file`, and maybe `platform_url`, in place of the above.",
};

/// The same in a file.
pub const WORKSPACES_FILE: Variable = Variable {
    name: "MOLECULE_WORKSPACES_FILE",
    default: "not used",
    meaning: "TOML or JSON file with such a list, or with it under `workspaces` beside a `platform_url` for all.",
};

/// The organisation of the workspace.
pub const ORG_ID: Variable = Variable {
    name: "MOLECULE_ORG_ID",
    default: "none",
    meaning: "Organisation that requests name, where the platform asks for it; not for entries with a `platform_url`.",
};

/// Another name of [`ORG_ID`].
pub const ORGANIZATION_ID: Variable = Variable {
    name: "MOLECULE_ORGANIZATION_ID",
    default: "none",
    meaning: "The same, where `MOLECULE_ORG_ID` is not set.",
};

/// Where state is kept.
pub const CONFIGS_DIR: Variable = Variable {
    name: "CONFIGS_DIR",
    default: "`/configs` if it can be written, else `~/.molecule-workspace`",
    meaning: "Directory for the token file, the inbound secret and the inbox; made when needed, 0700.",
};

/// The home directory, for the last step of [`CONFIGS_DIR`] and for `~/` in paths.
pub const HOME: Variable =
    Variable { name: "HOME", default: "not used", meaning: "Stands for a leading `~/` in paths." };

/// The name of the agent.
pub const AGENT_NAME: Variable = Variable {
    name: "MOLECULE_AGENT_NAME",
    default: "`molecule-mcp-` and 8 characters of the id",
    meaning: "Name under which other workspaces see this agent.",
};

/// What the agent is for.
pub const AGENT_DESCRIPTION: Variable = Variable {
    name: "MOLECULE_AGENT_DESCRIPTION",
    default: "none",
    meaning: "One sentence about this agent, for other workspaces.",
};

/// What the agent can do.
pub const AGENT_SKILLS: Variable = Variable {
    name: "MOLECULE_AGENT_SKILLS",
    default: "none",
    meaning: "Names of skills, separated by commas.",
};

/// Neither register nor beat.
pub const DISABLE_HEARTBEAT: Variable = Variable {
    name: "MOLECULE_MCP_DISABLE_HEARTBEAT",
    default: "off",
    meaning: "Any value, even 0: do not register and do not beat; something else keeps the workspace online.",
};

/// Do not fetch messages.
pub const DISABLE_INBOX: Variable = Variable {
    name: "MOLECULE_MCP_DISABLE_INBOX",
    default: "off",
    meaning: "Any value, even 0: do not fetch messages; the inbox tools say so.",
};

/// Say more on stderr.
pub const VERBOSE: Variable = Variable {
    name: "MOLECULE_MCP_VERBOSE",
    default: "off",
    meaning: "Any value, even 0: also log what works, not only what fails.",
};

/// Facts as JSON beside the text.
pub const STRUCTURED: Variable = Variable {
    name: "MOLECULE_MCP_STRUCTURED",
    default: "0",
    meaning: "1: tool results also carry their facts as JSON, for programs. Some clients then hide the text.",
};

/// No mention of messages that wait.
pub const TOOL_NOTICE: Variable = Variable {
    name: "MOLECULE_MCP_TOOL_NOTICE",
    default: "1",
    meaning: "0: the results of tools outside the inbox do not mention messages that wait.",
};

/// What becomes of messages that the reference implementation has shown.
pub const HANDOVER: Variable = Variable {
    name: "MOLECULE_MCP_HANDOVER",
    default: "keep",
    meaning: "redeliver: show again, marked, what another implementation fetched here in the last 10 minutes.",
};

/// No fence around the words of peers.
pub const BARE_PEER_TEXT: Variable = Variable {
    name: "MOLECULE_MCP_BARE_PEER_TEXT",
    default: "0",
    meaning: "1: show what peers wrote without the marks that tell it from the tool's own words.",
};

/// How long agents are told to wait for messages.
pub const POLL_TIMEOUT_SECS: Variable = Variable {
    name: "MOLECULE_MCP_POLL_TIMEOUT_SECS",
    default: "2",
    meaning: "Seconds, 0 to 60, that the instructions tell an agent to wait for messages; 0: not at all.",
};

/// Every delegation on the durable path.
pub const DELEGATION_SYNC_VIA_INBOX: Variable = Variable {
    name: "DELEGATION_SYNC_VIA_INBOX",
    default: "0",
    meaning: "1: `delegate_task` always goes through the platform's own list of delegations.",
};

/// How long the durable path is polled.
pub const DELEGATION_TIMEOUT: Variable = Variable {
    name: "DELEGATION_TIMEOUT",
    default: "300",
    meaning: "Seconds that `delegate_task` waits for a result on that path.",
};

/// Where the roles of the agent are written.
pub const WORKSPACE_CONFIG_PATH: Variable = Variable {
    name: "WORKSPACE_CONFIG_PATH",
    default: "`/configs`",
    meaning: "Directory of `config.yaml`, which holds roles and tier; without that file the role is operator.",
};

/// The tier without a configuration file.
pub const WORKSPACE_TIER: Variable = Variable {
    name: "WORKSPACE_TIER",
    default: "1",
    meaning: "Tier of the workspace if there is no `config.yaml`; 0 may write GLOBAL memory.",
};

/// From where files may be sent.
pub const ATTACH_ROOTS: Variable = Variable {
    name: "MOLECULE_ATTACH_ROOTS",
    default: "the working directory and the directory for temporary files",
    meaning: "Directories, separated as in PATH, below which the agent may send files to the user.",
};

/// Where files from the user are kept.
pub const CHAT_UPLOAD_DIR: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_DIR",
    default: "`chat-uploads` in the configs directory",
    meaning: "Directory for the files that the user sends, in a folder for each workspace; made when needed, 0700.",
};

/// How long files from the user are kept.
pub const CHAT_UPLOAD_KEEP_DAYS: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_KEEP_DAYS",
    default: "14",
    meaning: "Days that a file from the user stays on disk after its message was handled.",
};

/// How large a file from the user may be.
pub const CHAT_UPLOAD_MAX_MB: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_MAX_MB",
    default: "100",
    meaning: "Megabytes (MiB) of the largest file from the user that is fetched.",
};

/// Plain HTTP to anywhere.
pub const ALLOW_HTTP: Variable = Variable {
    name: "MOLECULE_ALLOW_HTTP",
    default: "0",
    meaning: "1: allow http:// to public hosts, where anybody on the way can read the token.",
};

/// A proxy for https.
pub const HTTPS_PROXY: Variable = Variable {
    name: "HTTPS_PROXY",
    default: "none",
    meaning: "Proxy for a platform with https://; also in lower case.",
};

/// A proxy for http.
pub const HTTP_PROXY: Variable = Variable {
    name: "HTTP_PROXY",
    default: "none",
    meaning: "Proxy for a platform with http://; also in lower case.",
};

/// A proxy for both.
pub const ALL_PROXY: Variable = Variable {
    name: "ALL_PROXY",
    default: "none",
    meaning: "Proxy where neither of the two is set; also in lower case.",
};

/// Hosts without proxy.
pub const NO_PROXY: Variable = Variable {
    name: "NO_PROXY",
    default: "none",
    meaning: "Names, addresses, networks or `*`, maybe with a port, reached without a proxy; also in lower case.",
};

/// Trusted certificates in a file.
pub const SSL_CERT_FILE: Variable = Variable {
    name: "SSL_CERT_FILE",
    default: "the system's",
    meaning: "File of certificates (PEM) to trust in place of the system's.",
};

/// Trusted certificates in a directory.
pub const SSL_CERT_DIR: Variable = Variable {
    name: "SSL_CERT_DIR",
    default: "the system's",
    meaning: "Directories of certificates (PEM), as in PATH, to trust in place of the system's.",
};

/// The directory for temporary files.
pub const TMPDIR: Variable = Variable {
    name: "TMPDIR",
    default: "the system's",
    meaning: "Directory for temporary files, from which files may be sent.",
};

/// All of them, in the order in which people meet them. `RUST_LOG` and `SSLKEYLOGFILE` are left out
/// because they have no effect: what a library would say under them was never meant for a log.
pub const ALL: &[&Variable] = &[
    &WORKSPACE_ID,
    &PLATFORM_URL,
    &WORKSPACE_TOKEN,
    &WORKSPACE_TOKEN_FILE,
    &WORKSPACES,
    &WORKSPACES_FILE,
    &ORG_ID,
    &ORGANIZATION_ID,
    &CONFIGS_DIR,
    &AGENT_NAME,
    &AGENT_DESCRIPTION,
    &AGENT_SKILLS,
    &DISABLE_HEARTBEAT,
    &DISABLE_INBOX,
    &VERBOSE,
    &TOOL_NOTICE,
    &HANDOVER,
    &STRUCTURED,
    &BARE_PEER_TEXT,
    &POLL_TIMEOUT_SECS,
    &DELEGATION_SYNC_VIA_INBOX,
    &DELEGATION_TIMEOUT,
    &WORKSPACE_CONFIG_PATH,
    &WORKSPACE_TIER,
    &ATTACH_ROOTS,
    &CHAT_UPLOAD_DIR,
    &CHAT_UPLOAD_KEEP_DAYS,
    &CHAT_UPLOAD_MAX_MB,
    &ALLOW_HTTP,
    &HTTPS_PROXY,
    &HTTP_PROXY,
    &ALL_PROXY,
    &NO_PROXY,
    &SSL_CERT_FILE,
    &SSL_CERT_DIR,
    &TMPDIR,
    &HOME,
];

/// The settings as the table in `README.md`.
#[must_use]
pub fn markdown() -> String {
    let mut table = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
    for Variable { name, default, meaning } in ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {default} | {meaning} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn the_readme_lists_every_setting() {
        let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();

        assert!(readme.contains(&markdown()), "the table in README.md should be:\n{}", markdown());
    }

    #[test]
    fn every_variable_is_named_once_and_explained_in_a_line() {
        let names: BTreeSet<_> = ALL.iter().map(|variable| variable.name).collect();

        assert_eq!(names.len(), ALL.len());
        for Variable { name, default, meaning } in ALL {
            assert!(!default.is_empty() && meaning.ends_with('.'), "{name}");
            assert!(meaning.len() <= 110 && !meaning.contains(['\n', '|']), "{name}");
        }
    }
}

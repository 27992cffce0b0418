//! Every setting that is a variable of the environment. What clients leave there for the servers that they start is read in
//! `wake/surroundings.rs`.
//!
//! The help text and the table in `README.md` are made from this one table, so that neither can
//! forget a setting.

use std::fmt::Write as _;

/// A variable of the environment. Blank counts as not set, everywhere.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it is called in the configuration file; none if it has no place there.
    pub key: Option<Key>,
    /// What holds without it.
    pub default: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// A key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What stands behind it.
    pub shape: Shape,
}

/// What stands behind a key of the configuration file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// `true`, or `false` as if it was absent.
    Flag,
    /// A list of texts, or one text with commas.
    List,
    /// A whole number, 0 or more.
    Number,
    /// A path; a relative one begins at the directory of the file.
    Path,
    /// A list of such paths.
    Paths,
    /// `true` or `false`.
    Switch,
    /// A text.
    Text,
}

/// Which workspace.
pub const WORKSPACE_ID: Variable = Variable {
    name: "WORKSPACE_ID",
    key: Some(Key { name: "workspace_id", shape: Shape::Text }),
    default: "required",
    meaning: "Id of the workspace to act for: the UUID that the canvas shows.",
};

/// Which platform.
pub const PLATFORM_URL: Variable = Variable {
    name: "PLATFORM_URL",
    key: Some(Key { name: "platform_url", shape: Shape::Text }),
    default: "required",
    meaning: "Base address of the platform, such as https://acme.example.com.",
};

/// The token itself.
pub const WORKSPACE_TOKEN: Variable = Variable {
    name: "MOLECULE_WORKSPACE_TOKEN",
    key: Some(Key { name: "token", shape: Shape::Text }),
    default: "required, unless a file holds it",
    meaning: "Bearer token of the workspace, from the Tokens tab of the canvas.",
};

/// The token in a file of the operator's choice.
pub const WORKSPACE_TOKEN_FILE: Variable = Variable {
    name: "MOLECULE_WORKSPACE_TOKEN_FILE",
    key: Some(Key { name: "token_file", shape: Shape::Path }),
    default: "`.auth_token` in the configs directory",
    meaning: "File with the token and nothing else: safer, as it stays out of client configurations.",
};

/// A list of workspaces in one variable.
pub const WORKSPACES: Variable = Variable {
    name: "MOLECULE_WORKSPACES",
    key: None,
    default: "not used",
    meaning: "JSON list of objects with `id`, `token` or `token_file`, and maybe `platform_url`, in place of the above.",
};

/// The same in a file.
pub const WORKSPACES_FILE: Variable = Variable {
    name: "MOLECULE_WORKSPACES_FILE",
    key: None,
    default: "not used",
    meaning: "TOML or JSON file with such a list, or with it under `workspaces` beside a `platform_url` for all.",
};

/// The configuration file.
pub const CONFIG: Variable = Variable {
    name: "MOLECULE_CONFIG",
    key: None,
    default: "`config.toml` in the configs directory, if it is there",
    meaning: "File with settings by their plain names; a variable that is set wins over the file.",
};

/// The organisation of the workspace.
pub const ORG_ID: Variable = Variable {
    name: "MOLECULE_ORG_ID",
    key: Some(Key { name: "org_id", shape: Shape::Text }),
    default: "none",
    meaning: "Organisation that requests name, where the platform asks for it; not for entries with a `platform_url`.",
};

/// Another name of [`ORG_ID`].
pub const ORGANIZATION_ID: Variable = Variable {
    name: "MOLECULE_ORGANIZATION_ID",
    key: None,
    default: "none",
    meaning: "The same, where `MOLECULE_ORG_ID` is not set.",
};

/// Where state is kept.
pub const CONFIGS_DIR: Variable = Variable {
    name: "CONFIGS_DIR",
    key: Some(Key { name: "configs_dir", shape: Shape::Path }),
    default: "`/configs` if it can be written, else `~/.molecule-workspace`",
    meaning: "Directory for the token file, the inbound secret and the inbox; made when needed, 0700.",
};

/// The home directory, for the last step of [`CONFIGS_DIR`] and for `~/` in paths.
pub const HOME: Variable =
    Variable { name: "HOME", key: None, default: "not used", meaning: "Stands for a leading `~/` in paths." };

/// The name of the agent.
pub const AGENT_NAME: Variable = Variable {
    name: "MOLECULE_AGENT_NAME",
    key: Some(Key { name: "agent_name", shape: Shape::Text }),
    default: "`molecule-mcp-` and 8 characters of the id",
    meaning: "Name under which other workspaces see this agent.",
};

/// What the agent is for.
pub const AGENT_DESCRIPTION: Variable = Variable {
    name: "MOLECULE_AGENT_DESCRIPTION",
    key: Some(Key { name: "agent_description", shape: Shape::Text }),
    default: "none",
    meaning: "One sentence about this agent, for other workspaces.",
};

/// What the agent can do.
pub const AGENT_SKILLS: Variable = Variable {
    name: "MOLECULE_AGENT_SKILLS",
    key: Some(Key { name: "agent_skills", shape: Shape::List }),
    default: "none",
    meaning: "Names of skills, separated by commas.",
};

/// Neither register nor beat.
pub const DISABLE_HEARTBEAT: Variable = Variable {
    name: "MOLECULE_MCP_DISABLE_HEARTBEAT",
    key: Some(Key { name: "disable_heartbeat", shape: Shape::Flag }),
    default: "off",
    meaning: "Any value, even 0: do not register and do not beat; something else keeps the workspace online.",
};

/// Do not fetch messages.
pub const DISABLE_INBOX: Variable = Variable {
    name: "MOLECULE_MCP_DISABLE_INBOX",
    key: Some(Key { name: "disable_inbox", shape: Shape::Flag }),
    default: "off",
    meaning: "Any value, even 0: do not fetch messages; the inbox tools say so.",
};

/// Say more on stderr.
pub const VERBOSE: Variable = Variable {
    name: "MOLECULE_MCP_VERBOSE",
    key: Some(Key { name: "verbose", shape: Shape::Flag }),
    default: "off",
    meaning: "Any value, even 0: also log what works, not only what fails.",
};

/// Which lines are logged.
pub const LOG: Variable = Variable {
    name: "MOLECULE_LOG",
    key: Some(Key { name: "log", shape: Shape::Text }),
    default: "warn",
    meaning: "Levels off to debug, of all areas or some, as in `warn,http=info`; a wrong name lists what there is.",
};

/// How they are written.
pub const LOG_FORMAT: Variable = Variable {
    name: "MOLECULE_LOG_FORMAT",
    key: Some(Key { name: "log_format", shape: Shape::Choice(&["text", "json"]) }),
    default: "text",
    meaning: "json: stderr carries an object in each line, with time, level, area and text.",
};

/// Facts as JSON beside the text.
pub const STRUCTURED: Variable = Variable {
    name: "MOLECULE_MCP_STRUCTURED",
    key: Some(Key { name: "structured", shape: Shape::Switch }),
    default: "0",
    meaning: "1: tool results also carry their facts as JSON, for programs. Some clients then hide the text.",
};

/// No mention of messages that wait.
pub const TOOL_NOTICE: Variable = Variable {
    name: "MOLECULE_MCP_TOOL_NOTICE",
    key: Some(Key { name: "tool_notice", shape: Shape::Switch }),
    default: "1",
    meaning: "0: the results of tools outside the inbox do not mention messages that wait.",
};

/// What becomes of messages that the reference implementation has shown.
pub const HANDOVER: Variable = Variable {
    name: "MOLECULE_MCP_HANDOVER",
    key: Some(Key { name: "handover", shape: Shape::Choice(&["keep", "redeliver"]) }),
    default: "keep",
    meaning: "redeliver: show again, marked, what another implementation fetched here in the last 10 minutes.",
};

/// No fence around the words of peers.
pub const BARE_PEER_TEXT: Variable = Variable {
    name: "MOLECULE_MCP_BARE_PEER_TEXT",
    key: Some(Key { name: "bare_peer_text", shape: Shape::Switch }),
    default: "0",
    meaning: "1: show what peers wrote without the marks that tell it from the tool's own words.",
};

/// How long agents are told to wait for messages.
pub const POLL_TIMEOUT_SECS: Variable = Variable {
    name: "MOLECULE_MCP_POLL_TIMEOUT_SECS",
    key: Some(Key { name: "poll_timeout_secs", shape: Shape::Number }),
    default: "2",
    meaning: "Seconds, 0 to 60, that the instructions tell an agent to wait for messages; 0: not at all.",
};

/// Every delegation on the durable path.
pub const DELEGATION_SYNC_VIA_INBOX: Variable = Variable {
    name: "DELEGATION_SYNC_VIA_INBOX",
    key: Some(Key { name: "delegation_sync_via_inbox", shape: Shape::Switch }),
    default: "0",
    meaning: "1: `delegate_task` always goes through the platform's own list of delegations.",
};

/// How long the durable path is polled.
pub const DELEGATION_TIMEOUT: Variable = Variable {
    name: "DELEGATION_TIMEOUT",
    key: Some(Key { name: "delegation_timeout", shape: Shape::Number }),
    default: "300",
    meaning: "Seconds that `delegate_task` waits for a result on that path.",
};

/// Where the roles of the agent are written.
pub const WORKSPACE_CONFIG_PATH: Variable = Variable {
    name: "WORKSPACE_CONFIG_PATH",
    key: Some(Key { name: "workspace_config_path", shape: Shape::Path }),
    default: "`/configs`",
    meaning: "Directory of `config.yaml`, which holds roles and tier; without that file the role is operator.",
};

/// The tier without a configuration file.
pub const WORKSPACE_TIER: Variable = Variable {
    name: "WORKSPACE_TIER",
    key: Some(Key { name: "workspace_tier", shape: Shape::Number }),
    default: "1",
    meaning: "Tier of the workspace if there is no `config.yaml`; 0 may write GLOBAL memory.",
};

/// Whether an idle agent is told of messages.
pub const WAKE: Variable = Variable {
    name: "MOLECULE_WAKE",
    key: Some(Key { name: "wake", shape: Shape::Switch }),
    default: "1",
    meaning: "0: do not tell an idle agent of messages, although its client has a way to do so.",
};

/// Of whose messages.
pub const WAKE_FROM: Variable = Variable {
    name: "MOLECULE_WAKE_FROM",
    key: Some(Key { name: "wake_from", shape: Shape::List }),
    default: "all",
    meaning: "Whose messages wake the agent: all, users, peers or ids of workspaces, separated by commas.",
};

/// How often.
pub const WAKE_PER_MINUTE: Variable = Variable {
    name: "MOLECULE_WAKE_PER_MINUTE",
    key: Some(Key { name: "wake_per_minute", shape: Shape::Number }),
    default: "6",
    meaning: "How often the agent is woken in a minute at most.",
};

/// How many at once.
pub const WAKE_BATCH_SECS: Variable = Variable {
    name: "MOLECULE_WAKE_BATCH_SECS",
    key: Some(Key { name: "wake_batch_secs", shape: Shape::Number }),
    default: "10",
    meaning: "Seconds that messages of peers wait for others before they wake the agent; users wake it at once.",
};

/// When not.
pub const WAKE_QUIET_HOURS: Variable = Variable {
    name: "MOLECULE_WAKE_QUIET_HOURS",
    key: Some(Key { name: "wake_quiet_hours", shape: Shape::Text }),
    default: "none",
    meaning: "Hours of the day, such as 22:00-07:00 by the machine's clock, in which nothing wakes the agent.",
};

/// The name of this server in the client.
pub const SERVER_NAME: Variable = Variable {
    name: "MOLECULE_MCP_SERVER_NAME",
    key: Some(Key { name: "server_name", shape: Shape::Text }),
    default: "molecule",
    meaning: "Name of this server in the client's configuration; tools are named by it when the agent is woken.",
};

/// From where files may be sent.
pub const ATTACH_ROOTS: Variable = Variable {
    name: "MOLECULE_ATTACH_ROOTS",
    key: Some(Key { name: "attach_roots", shape: Shape::Paths }),
    default: "the working directory and the directory for temporary files",
    meaning: "Directories, separated as in PATH, below which the agent may send files to the user.",
};

/// Where files from the user are kept.
pub const CHAT_UPLOAD_DIR: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_DIR",
    key: Some(Key { name: "chat_upload_dir", shape: Shape::Path }),
    default: "`chat-uploads` in the configs directory",
    meaning: "Directory for the files that the user sends, in a folder for each workspace; made when needed, 0700.",
};

/// How long files from the user are kept.
pub const CHAT_UPLOAD_KEEP_DAYS: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_KEEP_DAYS",
    key: Some(Key { name: "chat_upload_keep_days", shape: Shape::Number }),
    default: "14",
    meaning: "Days that a file from the user stays on disk after its message was handled.",
};

/// How large a file from the user may be.
pub const CHAT_UPLOAD_MAX_MB: Variable = Variable {
    name: "MOLECULE_CHAT_UPLOAD_MAX_MB",
    key: Some(Key { name: "chat_upload_max_mb", shape: Shape::Number }),
    default: "100",
    meaning: "Megabytes (MiB) of the largest file from the user that is fetched.",
};

/// Plain HTTP to anywhere.
pub const ALLOW_HTTP: Variable = Variable {
    name: "MOLECULE_ALLOW_HTTP",
    key: Some(Key { name: "allow_http", shape: Shape::Switch }),
    default: "0",
    meaning: "1: allow http:// to public hosts, where anybody on the way can read the token.",
};

/// A proxy for https.
pub const HTTPS_PROXY: Variable = Variable {
    name: "HTTPS_PROXY",
    key: Some(Key { name: "https_proxy", shape: Shape::Text }),
    default: "none",
    meaning: "Proxy for a platform with https://; also in lower case.",
};

/// A proxy for http.
pub const HTTP_PROXY: Variable = Variable {
    name: "HTTP_PROXY",
    key: Some(Key { name: "http_proxy", shape: Shape::Text }),
    default: "none",
    meaning: "Proxy for a platform with http://; also in lower case.",
};

/// A proxy for both.
pub const ALL_PROXY: Variable = Variable {
    name: "ALL_PROXY",
    key: Some(Key { name: "all_proxy", shape: Shape::Text }),
    default: "none",
    meaning: "Proxy where neither of the two is set; also in lower case.",
};

/// Hosts without proxy.
pub const NO_PROXY: Variable = Variable {
    name: "NO_PROXY",
    key: Some(Key { name: "no_proxy", shape: Shape::List }),
    default: "none",
    meaning: "Names, addresses, networks or `*`, maybe with a port, reached without a proxy; also in lower case.",
};

/// Trusted certificates in a file.
pub const SSL_CERT_FILE: Variable = Variable {
    name: "SSL_CERT_FILE",
    key: Some(Key { name: "ssl_cert_file", shape: Shape::Path }),
    default: "the system's",
    meaning: "File of certificates (PEM) to trust in place of the system's.",
};

/// Trusted certificates in a directory.
pub const SSL_CERT_DIR: Variable = Variable {
    name: "SSL_CERT_DIR",
    key: Some(Key { name: "ssl_cert_dir", shape: Shape::Paths }),
    default: "the system's",
    meaning: "Directories of certificates (PEM), as in PATH, to trust in place of the system's.",
};

/// The directory for temporary files.
pub const TMPDIR: Variable = Variable {
    name: "TMPDIR",
    key: None,
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
    &CONFIG,
    &ORG_ID,
    &ORGANIZATION_ID,
    &CONFIGS_DIR,
    &AGENT_NAME,
    &AGENT_DESCRIPTION,
    &AGENT_SKILLS,
    &DISABLE_HEARTBEAT,
    &DISABLE_INBOX,
    &VERBOSE,
    &LOG,
    &LOG_FORMAT,
    &TOOL_NOTICE,
    &HANDOVER,
    &STRUCTURED,
    &BARE_PEER_TEXT,
    &POLL_TIMEOUT_SECS,
    &DELEGATION_SYNC_VIA_INBOX,
    &DELEGATION_TIMEOUT,
    &WORKSPACE_CONFIG_PATH,
    &WORKSPACE_TIER,
    &WAKE,
    &WAKE_FROM,
    &WAKE_PER_MINUTE,
    &WAKE_BATCH_SECS,
    &WAKE_QUIET_HOURS,
    &SERVER_NAME,
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
    let mut table = "| Variable | In the file | Default | Meaning |\n|---|---|---|---|\n".to_owned();
    for Variable { name, key, default, meaning } in ALL {
        let key = key.map(|key| format!("`{}`", key.name)).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| `{name}` | {key} | {default} | {meaning} |");
    }
    table
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_variable_is_named_once_and_explained_in_a_line() {
        let names: BTreeSet<_> = ALL.iter().map(|variable| variable.name).collect();

        assert_eq!(names.len(), ALL.len());
        let keys: BTreeSet<_> = ALL.iter().filter_map(|variable| Some(variable.key?.name)).collect();
        assert_eq!(keys.len(), ALL.iter().filter(|variable| variable.key.is_some()).count());
        for Variable { name, default, meaning, .. } in ALL {
            assert!(!default.is_empty() && meaning.ends_with('.'), "{name}");
            assert!(meaning.len() <= 110 && !meaning.contains(['\n', '|']), "{name}");
        }
    }
}

//! Everything that the doctor can find; `docs/troubleshooting.md` is written from it.

use std::fmt::Write as _;

use self::Verdict::{Doubtful, Note, Ok, Wrong};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// What the program is told.
    Settings,
    /// What the machine gives it.
    System,
    /// Where its state is kept.
    Directory,
    /// The way to the platform.
    Network,
    /// The platform itself.
    Platform,
    /// Whether it knows the workspace and takes its token.
    Identity,
    /// The event stream.
    Events,
    /// Programs that run.
    Processes,
    /// The inbox on the disk.
    Inbox,
    /// How the program starts.
    Start,
}

impl Area {
    /// In the order in which a fault in one explains faults in the next.
    pub const ALL: [Self; 10] = [
        Self::Settings,
        Self::System,
        Self::Directory,
        Self::Network,
        Self::Platform,
        Self::Identity,
        Self::Events,
        Self::Processes,
        Self::Inbox,
        Self::Start,
    ];

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::System => "system",
            Self::Directory => "directory",
            Self::Network => "network",
            Self::Platform => "platform",
            Self::Identity => "identity",
            Self::Events => "events",
            Self::Processes => "processes",
            Self::Inbox => "inbox",
            Self::Start => "start",
        }
    }
}

/// How it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works, and may surprise.
    Doubtful,
    /// It is worth knowing.
    Note,
    /// It is as it should be.
    Ok,
    /// Something does not work.
    Wrong,
}

impl Verdict {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Doubtful => "doubtful",
            Note => "note",
            Ok => "ok",
            Wrong => "wrong",
        }
    }

    /// As terminals number colours.
    pub(super) const fn colour(self) -> u8 {
        match self {
            Doubtful => 33,
            Note => 36,
            Ok => 32,
            Wrong => 31,
        }
    }
}

/// Something that can be found.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Names it, for scripts.
    pub id: &'static str,
    /// Where it belongs.
    pub area: Area,
    /// How it is judged.
    pub verdict: Verdict,
    /// What it means, as a sentence.
    pub meaning: &'static str,
    /// What to do about it; empty if nothing.
    todo: &'static str,
}

impl Finding {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        Some(self.todo).filter(|advice| !advice.is_empty())
    }
}

/// Declares each finding once, and lists all of them.
macro_rules! findings {
    ($($area:ident { $($name:ident, $id:literal, $verdict:ident, $meaning:literal, $advice:literal;)+ })+) => {
        $($(
            #[doc = $meaning]
            pub const $name: Finding = Finding {
                id: $id,
                area: Area::$area,
                verdict: $verdict,
                meaning: $meaning,
                todo: $advice,
            };
        )+)+

        /// All findings, by area.
        pub const ALL: &[&Finding] = &[$($(&$name),+),+];
    };
}

findings! {
    Settings {
        SETTING_MISSING, "setting-missing", Wrong,
            "A required setting is not there.",
            "Run molecule-mcp setup, or set it in the \"env\" of this server in the MCP client's configuration.";
        SETTING_UNUSABLE, "setting-unusable", Wrong,
            "A setting has a value that cannot be used.",
            "Change the value; what is seen says what is wrong with it.";
        SETTING_DOUBTFUL, "setting-doubtful", Doubtful,
            "A setting is used, and may mean something else than was meant.",
            "Look at what is seen.";
        SETTING_UNKNOWN, "setting-unknown", Doubtful,
            "A variable looks like a setting, and is none.",
            "Look for a misspelling: molecule-mcp --help lists all settings.";
        SETTINGS_READ, "settings-read", Ok,
            "The settings can be used.",
            "";
        SETTING_FROM, "setting-from", Note,
            "Where a value comes from.",
            "";
        TOKEN_FROM, "token-from", Ok,
            "Where the token comes from.",
            "";
        TOKEN_INLINE, "token-inline", Note,
            "The token itself is in the environment, and so in the configuration of the client.",
            "A file is safer: write the token into one of your own with mode 0600, and name it in MOLECULE_WORKSPACE_TOKEN_FILE.";
    }
    System {
        DESCRIPTORS_FEW, "descriptors-few", Wrong,
            "The system allows too few open files.",
            "Raise the limit (ulimit -n) where the client is started.";
        ADDRESS_SPACE_SMALL, "address-space-small", Doubtful,
            "The system allows less than 1 GiB of address space.",
            "Raise the limit (ulimit -v) where the client is started.";
        COMPONENT_REFUSED, "component-refused", Wrong,
            "The component with the tools cannot be run here.",
            "Look at the limits on address space (ulimit -v), and whether the system lets memory become executable.";
        SYSTEM_GIVES, "system-gives", Ok,
            "The system gives what the program needs.",
            "";
    }
    Directory {
        DIRECTORY_NONE, "directory-none", Doubtful,
            "There is no place for state, so a restart repeats messages of the last minutes.",
            "Set CONFIGS_DIR to a directory that can be written, or HOME.";
        DIRECTORY_ABSENT, "directory-absent", Note,
            "The directory for state does not exist yet.",
            "Nothing: it is made when it is needed.";
        DIRECTORY_UNWRITABLE, "directory-unwritable", Wrong,
            "The directory for state cannot be written, so a restart repeats messages of the last minutes.",
            "Give this user the right to write there, or set CONFIGS_DIR to another directory.";
        DIRECTORY_READ_ONLY, "directory-read-only", Wrong,
            "The file system of the directory for state is mounted read-only.",
            "Mount it for writing, or set CONFIGS_DIR to a directory on another one.";
        DIRECTORY_OPEN, "directory-open", Doubtful,
            "Other users of this machine get into the directory for state.",
            "Run chmod 700 on it.";
        DIRECTORY_FOREIGN, "directory-foreign", Doubtful,
            "The directory for state belongs to another user.",
            "Run chown on it, or set CONFIGS_DIR to a directory of your own.";
        DIRECTORY_USABLE, "directory-usable", Ok,
            "State can be kept.",
            "";
        DISK_FULL, "disk-full", Wrong,
            "The disk of the directory for state is full, and nothing can be saved.",
            "Make room, or set CONFIGS_DIR to a directory on another disk.";
        DISK_LOW, "disk-low", Doubtful,
            "The disk of the directory for state has less than 100 MiB left.",
            "Make room.";
        DISK_TEMPORARY, "disk-temporary", Doubtful,
            "The directory for state is in memory, and gone when the machine or the container restarts.",
            "Set CONFIGS_DIR to a directory on a disk, or on a volume of the container.";
        DISK_REMOTE, "disk-remote", Doubtful,
            "The directory for state is on another machine, where locks and syncs may not hold.",
            "Set CONFIGS_DIR to a directory on a disk of this machine.";
        LOCK_HELD, "lock-held", Note,
            "A process fetches the messages of the workspace.",
            "Nothing, if that is the client you use: another one can take over when its agent asks for it.";
        LOCK_UNKNOWN, "lock-unknown", Doubtful,
            "Whether a process fetches the messages cannot be told.",
            "Look at the lock file that is named, and at the rights of this user.";
        LOCK_SILENT, "lock-silent", Wrong,
            "The process that fetches the messages does not answer: it may be stopped, or hang.",
            "End that process, and start its client again.";
    }
    Network {
        NETWORK_REACHED, "network-reached", Ok,
            "The platform is reached.",
            "";
        PROXY_USED, "proxy-used", Note,
            "The platform is reached through a proxy.",
            "";
        PROXY_EXCEPTED, "proxy-excepted", Note,
            "A proxy is set, and the platform is excepted from it.",
            "";
        NAME_NOT_FOUND, "name-not-found", Wrong,
            "The name of the platform has no address.",
            "Check the spelling in PLATFORM_URL, and the network.";
        NOBODY_LISTENS, "nobody-listens", Wrong,
            "Nobody listens at the address of the platform.",
            "Check the port in PLATFORM_URL, and whether the platform runs.";
        PLATFORM_UNREACHABLE, "platform-unreachable", Wrong,
            "There is no connection to the platform.",
            "Check the network, and whether a firewall is in between.";
        PLATFORM_SILENT, "platform-silent", Wrong,
            "The platform takes the connection and does not answer.",
            "Check PLATFORM_URL; if it is right, ask whoever runs the platform.";
        CONNECTION_FAILED, "connection-failed", Wrong,
            "The connection to the platform fails.",
            "What is seen says how; check PLATFORM_URL and the network.";
        PROXY_UNREACHABLE, "proxy-unreachable", Wrong,
            "The proxy is not reached.",
            "Correct or remove the variable that names it, or put the platform's host into NO_PROXY.";
        PROXY_PASSWORD, "proxy-password", Wrong,
            "The proxy wants a user and a password.",
            "Write them into the variable that names the proxy: http://user:password@host:port.";
        PROXY_CLOSED, "proxy-closed", Wrong,
            "The proxy lets nothing through to the platform.",
            "Ask whoever runs the proxy, or put the platform's host into NO_PROXY.";
        TLS_VALID, "tls-valid", Ok,
            "The platform's certificate is valid.",
            "";
        TLS_EXPIRES, "tls-expires", Doubtful,
            "The platform's certificate expires within two weeks.",
            "Tell whoever runs the platform.";
        TLS_EXPIRED, "tls-expired", Wrong,
            "The platform's certificate has expired.",
            "Whoever runs the platform has to renew it, unless the clock of this machine is wrong.";
        TLS_NOT_YET_VALID, "tls-not-yet-valid", Wrong,
            "The platform's certificate is not valid yet.",
            "Look at the clock of this machine.";
        TLS_OTHER_NAME, "tls-other-name", Wrong,
            "The platform's certificate is for another name.",
            "Write the name that the certificate is for into PLATFORM_URL.";
        TLS_UNTRUSTED, "tls-untrusted", Wrong,
            "The platform's certificate comes from nobody whom this machine trusts.",
            "For an authority of your own, name its file in SSL_CERT_FILE; otherwise something on the way pretends to be the platform.";
        TLS_NOT_SPOKEN, "tls-not-spoken", Wrong,
            "The platform does not speak TLS at this port.",
            "Check the port in PLATFORM_URL, and whether it should begin with http://.";
        TLS_NOBODY_TRUSTED, "tls-nobody-trusted", Wrong,
            "There are no certificates to trust, so there can be no secure connection.",
            "Install the system's certificates (ca-certificates), or name a file of them in SSL_CERT_FILE.";
        HTTP_PLAIN, "http-plain", Note,
            "The platform is reached without TLS, so whoever is on the way can read the token.",
            "Use https:// unless the platform is on this machine or in a network of your own.";
    }
    Platform {
        HEALTH_GOOD, "health-good", Ok,
            "The platform says that it is well.",
            "";
        HEALTH_PAGE, "health-page", Wrong,
            "A web page answers in place of the platform.",
            "Check PLATFORM_URL, and look for a login page, a firewall or a proxy in front of the platform.";
        HEALTH_REDIRECT, "health-redirect", Wrong,
            "The address leads elsewhere, which is not followed.",
            "Write the address that answers by itself into PLATFORM_URL.";
        HEALTH_MISSING, "health-missing", Wrong,
            "Something answers, and it is not the platform (404).",
            "Check host, port and path in PLATFORM_URL.";
        HEALTH_FAILED, "health-failed", Wrong,
            "The platform answers that it is not well.",
            "Try again in a minute; if it stays like this, ask whoever runs the platform.";
        LEVEL_KNOWN, "level-known", Note,
            "The version of the platform, as far as it can be told.",
            "";
        RATE_LEFT, "rate-left", Ok,
            "There is room below the platform's limit on requests.",
            "";
        RATE_LOW, "rate-low", Doubtful,
            "Less than a tenth is left of the requests that the platform allows.",
            "Look which other programs use the same token or address.";
        RATE_SPENT, "rate-spent", Wrong,
            "The platform takes no more requests for now (429).",
            "Wait a minute, and look which other programs use the same token or address.";
        CLOCK_RIGHT, "clock-right", Ok,
            "The clocks of machine and platform agree.",
            "";
        CLOCK_OFF, "clock-off", Doubtful,
            "The clock of this machine differs from the platform's by more than 30 s.",
            "Let the system set its clock (NTP): times in messages and certificates are judged by it.";
    }
    Identity {
        BEAT_ACCEPTED, "beat-accepted", Ok,
            "The platform takes the heartbeat.",
            "";
        BEAT_SKIPPED, "beat-skipped", Note,
            "No heartbeat was sent, because they are switched off, or because a running process sends them.",
            "";
        TOKEN_REFUSED, "token-refused", Wrong,
            "The platform refuses the token.",
            "Make a token in the Tokens tab of the canvas for this workspace, and put it where the token comes from.";
        WORKSPACE_UNKNOWN, "workspace-unknown", Wrong,
            "The platform does not know the workspace (404).",
            "Check WORKSPACE_ID and PLATFORM_URL.";
        WORKSPACE_REMOVED, "workspace-removed", Wrong,
            "The workspace was removed from the platform.",
            "Create another one in the canvas, and put its id and token into the settings.";
        BEAT_FAILED, "beat-failed", Wrong,
            "The heartbeat is not taken.",
            "What is seen says why; try again in a minute.";
        GATE_OPEN, "gate-open", Ok,
            "The token opens the workspace.",
            "";
        GATE_CLOSED, "gate-closed", Wrong,
            "The token does not open the workspace: it is another workspace's, was revoked, or the workspace has none.",
            "Make a token in the Tokens tab of the canvas for this workspace, and put it where the token comes from.";
        GATE_IN_FRONT, "gate-in-front", Wrong,
            "Calls of the workspace are answered by something in front of the platform.",
            "On a hosted platform set MOLECULE_ORG_ID to the organisation; otherwise look for a firewall or a login page.";
        GATE_UNKNOWN, "gate-unknown", Doubtful,
            "Whether the token opens the workspace cannot be told.",
            "What is seen says why; try again in a minute.";
        RUNTIME_OTHER, "runtime-other", Doubtful,
            "The workspace is not external, so the platform may run an agent of its own for it.",
            "Use an external workspace: the canvas creates one.";
        MODE_PUSH, "mode-push", Wrong,
            "The platform delivers the messages of the workspace elsewhere, and they do not reach the inbox.",
            "Set the delivery mode of the workspace to poll in the canvas.";
    }
    Events {
        EVENTS_OPEN, "events-open", Ok,
            "The event stream is open, and carries our own heartbeat.",
            "";
        EVENTS_QUIET, "events-quiet", Note,
            "The event stream is open, and nothing has come through it so far.",
            "";
        EVENTS_DEAF, "events-deaf", Doubtful,
            "The event stream is open, and does not carry our own heartbeat.",
            "Look for a proxy that holds answers back; messages come by polling, some seconds later.";
        EVENTS_SILENT, "events-silent", Doubtful,
            "The event stream is accepted, and its first bytes do not come.",
            "Look for a proxy that holds answers back; messages come by polling, some seconds later.";
        EVENTS_ABSENT, "events-absent", Doubtful,
            "There is no event stream.",
            "Nothing, if the platform has none; messages come by polling, some seconds later.";
        EVENTS_FAILED, "events-failed", Doubtful,
            "The event stream breaks.",
            "What is seen says why; messages come by polling, some seconds later.";
    }
    Processes {
        PROCESS_NONE, "process-none", Note,
            "No program runs with this directory.",
            "";
        PROCESS_WELL, "process-well", Ok,
            "A running program is well.",
            "";
        PROCESS_SILENT, "process-silent", Wrong,
            "A running program does not answer: it may be stopped, or hang.",
            "End it, and start its client again.";
        PROCESS_BEATS_FAIL, "process-beats-fail", Wrong,
            "The heartbeats of a running program fail.",
            "What is seen says why.";
        PROCESS_REFUSED, "process-refused", Wrong,
            "The platform refuses the token of a running program.",
            "Put a token that is valid where the token comes from, and start the client again if its configuration holds the token.";
        PROCESS_TROUBLE, "process-trouble", Doubtful,
            "The newest messages do not reach a running program.",
            "What is seen says why.";
        PROCESS_OTHER_VERSION, "process-other-version", Note,
            "A running program is of another version.",
            "Start its client again to use this one.";
        PROCESS_RESTARTED, "process-restarted", Doubtful,
            "The tool logic of a running program has stopped, and was started again.",
            "Nothing is lost; report it with the log if it happens again.";
        MESSAGES_IGNORED, "messages-ignored", Doubtful,
            "A message has waited for more than an hour while a program runs.",
            "Have the agent call wait_for_message, and inbox_pop for each message that it has dealt with.";
    }
    Inbox {
        INBOX_GOOD, "inbox-good", Ok,
            "The inbox on the disk can be read.",
            "";
        INBOX_DAMAGED, "inbox-damaged", Doubtful,
            "The journal of the inbox is damaged.",
            "Nothing: the next start repairs it from the platform, and keeps a copy. Look at the disk if it happens again.";
        INBOX_COPY, "inbox-copy", Note,
            "A damaged journal was repaired; a copy is kept for a week.",
            "";
        INBOX_UNREADABLE, "inbox-unreadable", Wrong,
            "The journal of the inbox cannot be read.",
            "Look at the file that is named, and at the rights of this user.";
        INBOX_NEWER, "inbox-newer", Wrong,
            "The journal of the inbox was written by a newer version, and is left alone.",
            "Use that version, or set CONFIGS_DIR to another directory.";
        INBOX_PARKED, "inbox-parked", Doubtful,
            "Messages are parked: they were shown again and again, and never popped.",
            "Have the agent look at them with inbox_peek, and call inbox_pop.";
        INBOX_FULL, "inbox-full", Doubtful,
            "200 messages wait, so no more are fetched.",
            "Have the agent deal with them, and call inbox_pop for each.";
        INBOX_GAPS, "inbox-gaps", Doubtful,
            "Messages of some time may be missing, because the platform did not have them any more.",
            "Look in the canvas for what was written then.";
    }
    Start {
        START_GOOD, "start-good", Ok,
            "The program starts as a client starts it, and answers.",
            "";
        START_SLOW, "start-slow", Doubtful,
            "The program takes more than 2 s for its first answer, after which some clients give up.",
            "Look what else the machine is busy with.";
        START_FAILED, "start-failed", Wrong,
            "The program does not start as a client starts it.",
            "What is seen is what it says; clients hide it.";
        START_FAILED_BEFORE, "start-failed-before", Doubtful,
            "A start has failed within the last day.",
            "What is seen is what it said; clients hide it. Look at the configuration of the client that started it.";
        UNFINISHED, "unfinished", Doubtful,
            "Something could not be looked at in time.",
            "Run doctor again; if it stays like this, look at disk and network.";
    }
}

/// The table of `docs/troubleshooting.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for area in Area::ALL {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| Finding | Verdict | What it means | What to do |\n|---|---|---|---|\n",
            area.name()
        );
        for finding in ALL.iter().filter(|finding| finding.area == area) {
            let advice = finding.advice().unwrap_or("–");
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {advice} |",
                finding.id,
                finding.verdict.word(),
                finding.meaning
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, env, fs};

    use super::*;

    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
    const INTRODUCTION: &str = "\
# What the doctor finds

`molecule-mcp doctor` looks at everything between an agent and its messages, and says what it saw, whether that is right, and
what to do. It changes nothing on the platform but the time of the latest heartbeat. Exit code 0: nothing is wrong, 1: something is, 2: the
doctor itself could not run; `--json` prints the same for programs. The tables below are written from the program's own list by a
test (`INSTA_UPDATE=always cargo test -p molecule-mcp --lib doctor::catalog`).
";

    #[test]
    fn every_finding_has_an_id_of_its_own_and_says_what_to_do() {
        let ids: BTreeSet<_> = ALL.iter().map(|finding| finding.id).collect();

        assert_eq!(ids.len(), ALL.len());
        for finding in ALL {
            let is_lower = finding.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(is_lower && finding.meaning.ends_with('.'), "{}", finding.id);
            let needs_advice = matches!(finding.verdict, Wrong | Doubtful);
            assert!(finding.advice().is_some() || !needs_advice, "{}", finding.id);
        }
        assert!(ALL.iter().filter(|finding| matches!(finding.verdict, Wrong | Doubtful)).count() >= 40);
    }

    #[test]
    fn the_page_lists_every_finding() {
        let page = format!("{INTRODUCTION}{}", markdown());
        if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
            fs::write(PAGE, &page).unwrap();
        }

        assert!(fs::read_to_string(PAGE).unwrap_or_default() == page, "the page should be:\n{page}");
    }
}

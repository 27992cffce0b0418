//! Paths that hold keys and passwords by long custom.

use std::path::{Component, Path};

/// Kernel views: a file there can be anything, also the environment of this process.
const KERNEL: &[&str] = &["/dev", "/proc", "/sys"];

/// Directories and files that programs keep credentials in. Lower case.
const NAMES: &[&str] = &[
    ".auth_token",
    ".aws",
    ".azure",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".htpasswd",
    ".kube",
    ".mcp_inbox_cursor",
    ".molecule-workspace",
    ".netrc",
    ".npmrc",
    ".password-store",
    ".pgpass",
    ".platform_inbound_secret",
    ".pypirc",
    ".ssh",
];

/// Directories below another one, for the same reason. Lower case.
const BELOW: &[(&str, &str)] = &[(".config", "gcloud"), (".config", "gh"), (".config", "op")];

/// Extensions of keys and key stores. Lower case.
const EXTENSIONS: &[&str] = &["jks", "kdbx", "key", "keystore", "p12", "pem", "pfx", "ppk"];

/// Whether anything in `path`, in which no links are left, says so.
pub(super) fn may_be_in(path: &Path) -> bool {
    if KERNEL.iter().any(|tree| path.starts_with(tree)) {
        return true;
    }
    let names: Vec<String> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().to_lowercase()),
            Component::CurDir | Component::ParentDir | Component::Prefix(_) | Component::RootDir => None,
        })
        .collect();
    let is_below = |pair: &[String]| matches!(pair, [above, below] if BELOW.contains(&(above, below)));
    names.iter().any(|name| NAMES.contains(&name.as_str()) || is_environment(name))
        || names.windows(2).any(is_below)
        || names.last().is_some_and(|name| is_key(name))
}

/// `.env`, `.envrc`, `.env.local` …
fn is_environment(name: &str) -> bool {
    name.strip_prefix(".env").is_some_and(|rest| rest.is_empty() || rest == "rc" || rest.starts_with('.'))
}

/// `server.pem`, and `id_` with whatever follows, as long as it is not plainly something else.
fn is_key(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, extension)) => EXTENSIONS.contains(&extension),
        None => name.starts_with("id_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_by_their_names() {
        for path in [
            "/proc/self/environ",
            "/dev/stdin",
            "/sys/x",
            "/home/u/.ssh/config",
            "/home/u/.ssh/id_ed25519.pub",
            "/home/u/.SSH/config",
            "/home/u/.gnupg/x",
            "/home/u/.aws/credentials",
            "/home/u/.kube/config",
            "/home/u/.config/gcloud/x",
            "/home/u/.netrc",
            "/p/.env",
            "/p/.env.local",
            "/p/.envrc",
            "/p/.env/x",
            "/p/server.pem",
            "/p/SERVER.PEM",
            "/p/tls.key",
            "/p/id_rsa",
            "/p/id_ed25519_work",
            "/configs/.auth_token",
            "/configs/.platform_inbound_secret",
        ] {
            assert!(may_be_in(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_sent() {
        for path in [
            "/p/report.pdf",
            "/p/id_card.png",
            "/p/environment.md",
            "/p/env",
            "/p/.environment-notes.txt",
            "/p/ssh/notes.txt",
            "/p/config/gcloud/notes.txt",
            "/p/.config/app/notes.txt",
            "/p/pem",
            "/p/monkey",
            "/p/a.keynote",
            "/home/u/dev/notes.txt",
            "/home/proc/notes.txt",
            "/process/notes.txt",
        ] {
            assert!(!may_be_in(Path::new(path)), "{path}");
        }
    }
}

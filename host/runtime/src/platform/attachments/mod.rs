//! Files for the user: named by the agent, opened here and nowhere else.
//!
//! ```text
//! path ──► no links left ──► below a root? ──► not a credential? ──► opened ──► a small regular file?
//!                                                                      └──► its bytes, and no others, are sent
//! ```
//!
//! Every file of a call is open and checked before the first byte of any is sent. An agent can be talked
//! into naming any path, so a wider policy is the operator's to set and never an argument.

mod content;
mod credentials;
mod name;
mod open;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;
use tokio::task;

use super::http::{FilePart, Http};
use crate::{
    config::Config,
    guest::wire::{Outcome, UploadRequest},
    names::names,
    text::one_line,
};

/// What one message carries at most.
const FILES: usize = 10;
/// The platforms of the first versions take no larger file.
const FILE_BYTES: u64 = 25 << 20;
/// The platforms of the first versions take no larger request.
const TOTAL_BYTES: u64 = 50 << 20;

/// Sends files, if the operator lets it.
#[derive(Debug, Clone)]
pub struct Attachments {
    policy: Arc<Policy>,
}

/// What may be sent.
#[derive(Debug, Default)]
pub struct Policy {
    /// Directories below which files may be sent; canonical paths.
    pub roots: Vec<PathBuf>,
    /// The directory of our own state, of which nothing is sent.
    pub configs: Option<PathBuf>,
    /// Files that hold tokens, wherever they are.
    pub tokens: Vec<PathBuf>,
    /// The directory that `~/` stands for.
    pub home: Option<PathBuf>,
}

/// Why a file is not sent. The texts follow "Error" or "Error: ".
#[derive(Debug, Error)]
enum Refusal {
    #[error("attachment not found: {0}")]
    Absent(String),
    #[error("attachment not found: {0} is not a regular file")]
    NotAFile(String),
    #[error("reading {path}: {cause}")]
    Unreadable { path: String, cause: io::Error },
    #[error(
        "attachment not allowed: {path} is outside the directories from which files may be sent ({roots}); copy \
         the file into one of them, or let the operator add its directory to {}",
        names().attachments
    )]
    Outside { path: String, roots: String },
    #[error("attachment not allowed: {0} may hold credentials, and such files are never sent")]
    Credential(String),
    #[error(
        "attachment too large: {path} has {bytes} bytes, and at most {FILE_BYTES} can be sent; split or compress it"
    )]
    TooLarge { path: String, bytes: u64 },
    #[error("attachments too large: together more than {TOTAL_BYTES} bytes; use several messages")]
    TooLargeTogether,
    #[error("too many attachments: a message carries at most {FILES} files, not {0}; use several messages")]
    TooMany(usize),
}

impl Attachments {
    /// Attachments under `policy`.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self { policy: Arc::new(policy) }
    }

    /// Opens and sends files: `Refused` if one may not or cannot be read, else as [`Http::send`].
    pub async fn upload(&self, http: &Http, request: UploadRequest) -> Outcome {
        let token = http.token();
        let outcome = self.try_upload(http, &request).await;
        let is_unauthorized = matches!(&outcome, Outcome::Responded(answer) if answer.status == 401);
        if is_unauthorized && http.token() != token {
            return self.try_upload(http, &request).await;
        }
        outcome
    }

    async fn try_upload(&self, http: &Http, request: &UploadRequest) -> Outcome {
        let (policy, paths) = (Arc::clone(&self.policy), request.files.clone());
        let files = match task::spawn_blocking(move || policy.open_all(&paths)).await {
            Ok(Ok(files)) => files,
            Ok(Err(refusal)) => return Outcome::Refused(one_line(&refusal.to_string())),
            Err(cause) => return Outcome::Refused(cause.to_string()),
        };
        let path = ["workspaces", &http.account().id, "chat", "uploads"].map(str::to_owned).to_vec();
        http.upload(request.workspace, path, files, request.limits).await
    }
}

impl Policy {
    /// What the operator has set.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            roots: config.attach_roots.clone(),
            configs: config.state.clone(),
            home: config.home.clone(),
            tokens: config.files_with_tokens().map(Path::to_owned).collect(),
        }
    }

    /// Opens all of `paths`, or none.
    fn open_all(&self, paths: &[String]) -> Result<Vec<FilePart>, Refusal> {
        if paths.len() > FILES {
            return Err(Refusal::TooMany(paths.len()));
        }
        let mut files = Vec::new();
        let mut total = 0;
        for path in paths {
            let file = self.open(path)?;
            total += file.length;
            if total > TOTAL_BYTES {
                return Err(Refusal::TooLargeTogether);
            }
            files.push(file);
        }
        Ok(files)
    }

    fn open(&self, path: &str) -> Result<FilePart, Refusal> {
        let unreadable = |cause: io::Error| {
            // A NUL in a path is an invalid input.
            let absent = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::InvalidInput];
            if absent.contains(&cause.kind()) {
                return Refusal::Absent(path.to_owned());
            }
            Refusal::Unreadable { path: path.to_owned(), cause }
        };
        let given = absolute(path, self.home.as_deref()).map_err(unreadable)?;
        let real = given.canonicalize().map_err(unreadable)?;
        let Some((root, below)) = self.place(&real) else {
            let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
            let roots = if roots.is_empty() { "none".to_owned() } else { roots.join(", ") };
            return Err(Refusal::Outside { path: path.to_owned(), roots });
        };
        if credentials::may_be_in(&real) || self.is_own_state(&real) {
            return Err(Refusal::Credential(path.to_owned()));
        }
        let file = open::below(root, below).map_err(unreadable)?;
        self.check(path, &given, file.ok_or_else(|| Refusal::NotAFile(path.to_owned()))?)
    }

    /// Looks at the file that is open, whatever its path leads to by now.
    fn check(&self, path: &str, given: &Path, file: File) -> Result<FilePart, Refusal> {
        let metadata =
            file.metadata().map_err(|cause| Refusal::Unreadable { path: path.to_owned(), cause })?;
        if !metadata.is_file() {
            return Err(Refusal::NotAFile(path.to_owned()));
        }
        let is_same = |own: Metadata| (own.dev(), own.ino()) == (metadata.dev(), metadata.ino());
        if self.own_files().any(is_same) {
            return Err(Refusal::Credential(path.to_owned()));
        }
        if metadata.len() > FILE_BYTES {
            return Err(Refusal::TooLarge { path: path.to_owned(), bytes: metadata.len() });
        }
        if metadata.nlink() > 1 {
            tracing::info!("{} has {} names and is sent by one of them", given.display(), metadata.nlink());
        }
        let name = name::clean(given.file_name().unwrap_or_default());
        let mime = mime_guess::from_path(&name).first_raw().unwrap_or("application/octet-stream");
        let length = metadata.len();
        Ok(FilePart { name, mime, length, content: content::exactly(file, length, path.to_owned()) })
    }

    /// The root that `real` is below, and the way from there.
    fn place<'a>(&'a self, real: &'a Path) -> Option<(&'a Path, &'a Path)> {
        self.roots.iter().find_map(|root| Some((root.as_path(), real.strip_prefix(root).ok()?)))
    }

    /// The files of tokens and everything in our directory: another name for one of them is none the better.
    fn own_files(&self) -> impl Iterator<Item = Metadata> {
        let state = self.configs.as_ref().and_then(|configs| configs.read_dir().ok());
        let state = state.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        self.tokens.iter().cloned().chain(state).filter_map(|path| path.metadata().ok())
    }

    fn is_own_state(&self, real: &Path) -> bool {
        let configs = self.configs.as_ref().and_then(|configs| configs.canonicalize().ok());
        configs.is_some_and(|configs| real.starts_with(configs))
    }
}

/// `path` from the root of the file system; `~/` is `home`.
fn absolute(path: &str, home: Option<&Path>) -> io::Result<PathBuf> {
    if path.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    match (path.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => Ok(home.join(below)),
        _ => path::absolute(path),
    }
}

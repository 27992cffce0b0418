//! Files from the user: streamed from the platform into a directory of our own.
//!
//! ```text
//! there already? ──► small enough? ──► room on the disk? ──► asked for ──► temporary file, 0600
//!                                                                                │ whole, synced
//!   <directory>/<workspace>/<id>-<cleaned name> ◄── named, never over another ◄──┘
//! ```
//!
//! Name and content come from strangers. The name is cleaned to characters that mean nothing anywhere, no link is
//! followed, nothing is overwritten, and nothing here looks into a content or runs it. The id in front makes that a
//! file which is fetched again, because it was forgotten that it is here, has the same name.

mod name;
mod place;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{fs::File, io::AsyncWriteExt as _, task};

use self::place::{Draft, Place};
use super::http::{Http, Incoming};
use crate::{
    config::ChatUploads,
    guest::wire::{FetchRequest, FetchedFile, Method, Outcome, PlatformRequest, SweepRequest, Unreachable},
    names::names,
    storage::files::Uploads,
};

/// Left free on the disk beside the file, for the journal and for everybody else.
const RESERVE_BYTES: u64 = 64 << 20;

/// Brings files to the disk, and takes them away again when nothing needs them.
#[derive(Debug, Clone)]
pub struct ChatFiles {
    place: Option<Place>,
    most_bytes: u64,
    keep: Duration,
    reserve: u64,
    changing: Uploads,
}

/// Why a file is not on disk.
enum Failed {
    Disk(String),
    Refused(String),
    Line(String),
}

impl From<Failed> for Outcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Disk(why) => Self::StoreFailed(why),
            Failed::Refused(why) => Self::Refused(why),
            Failed::Line(reason) => Self::Unreachable(Unreachable { reason, maybe_sent: true }),
        }
    }
}

impl ChatFiles {
    /// The files of `workspace`, where and for how long the operator keeps them. `changing` is held for reading while
    /// the directory changes.
    #[must_use]
    pub fn new(uploads: &ChatUploads, workspace: &str, changing: Uploads) -> Self {
        let place = uploads.directory.as_ref().map(|directory| Place::new(directory, workspace));
        Self { place, most_bytes: uploads.most_bytes, keep: uploads.keep, reserve: RESERVE_BYTES, changing }
    }

    /// Brings a file to the disk: outcomes as `next.fetch` in `wit/turns.wit` says.
    ///
    /// Dropping the future leaves nothing behind but what is whole.
    pub async fn fetch(&self, http: &Http, request: FetchRequest) -> Outcome {
        let Some(place) = &self.place else { return Outcome::StoreFailed(nowhere()) };
        let Some(name) = name::on_disk(&request.id, &request.name) else {
            return Outcome::Refused(format!("{:?} is no id of a file", request.id));
        };
        match self.there(place, &name, request.bytes).await {
            Ok(Some(file)) => return Outcome::Fetched(file),
            Ok(None) => {}
            Err(failed) => return failed.into(),
        }
        let expected = request.bytes;
        let incoming = match http.download(question(request)).await {
            Ok(incoming) => incoming,
            Err(outcome) => return outcome,
        };
        match self.take(place, name, expected, incoming).await {
            Ok(file) => Outcome::Fetched(file),
            Err(failed) => failed.into(),
        }
    }

    /// Removes files of this workspace that are not in `request.keep` and old enough; those in it count as new.
    pub async fn sweep(&self, request: SweepRequest) -> Outcome {
        let Some(place) = self.place.clone() else { return Outcome::Swept(Vec::new()) };
        let keep: Vec<PathBuf> = request.keep.iter().map(PathBuf::from).collect();
        let age = self.keep;
        match self.blocking(move || place.sweep(&keep, age)).await {
            Ok(removed) => {
                Outcome::Swept(removed.iter().map(|path| path.to_string_lossy().into_owned()).collect())
            }
            Err(failed) => failed.into(),
        }
    }

    /// The file if it is here already; else whether it may come at all.
    async fn there(
        &self,
        place: &Place,
        name: &str,
        expected: Option<u64>,
    ) -> Result<Option<FetchedFile>, Failed> {
        if let Some(bytes) = expected {
            self.check_size(bytes)?;
        }
        let (place, name, reserve) = (place.clone(), name.to_owned(), self.reserve);
        self.blocking(move || {
            place.make()?;
            if let Some((path, bytes)) = place.find(&name, expected)? {
                let path = path.to_string_lossy().into_owned();
                return Ok(Some(FetchedFile { path, bytes, mime_type: String::new() }));
            }
            place.has_room(expected.unwrap_or(0), reserve).map(|()| None)
        })
        .await
    }

    /// Takes a content to the disk.
    async fn take(
        &self,
        place: &Place,
        name: String,
        expected: Option<u64>,
        mut incoming: Incoming,
    ) -> Result<FetchedFile, Failed> {
        if let Some(length) = incoming.length() {
            self.check_size(length)?;
            check_length(length, expected)?;
            if expected.is_none()
                && let Some(file) = self.there(place, &name, Some(length)).await?
            {
                return Ok(file);
            }
        }
        let mime_type = incoming.mime_type();
        let (drafts, path) = (place.clone(), place.clone());
        let draft = self.blocking(move || drafts.draft()).await?;
        let bytes = self.stream(&draft, expected, &mut incoming).await?;
        check_length(bytes, expected)?;
        let path = self.blocking(move || path.publish(draft, &name)).await?;
        Ok(FetchedFile { path: path.to_string_lossy().into_owned(), bytes, mime_type })
    }

    async fn stream(
        &self,
        draft: &Draft,
        expected: Option<u64>,
        incoming: &mut Incoming,
    ) -> Result<u64, Failed> {
        let disk = |cause: io::Error| Failed::Disk(cause.to_string());
        let mut file = File::from_std(draft.file().map_err(disk)?);
        let mut bytes = 0_u64;
        while let Some(chunk) = incoming.chunk().await.map_err(Failed::Line)? {
            bytes += chunk.len() as u64;
            self.check_size(bytes)?;
            if expected.is_some_and(|expected| bytes > expected) {
                check_length(bytes, expected)?;
            }
            file.write_all(&chunk).await.map_err(disk)?;
        }
        file.flush().await.map_err(disk)?;
        Ok(bytes)
    }

    /// Does work on the disk, to its end also if the future is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failed> {
        let changing = Arc::clone(&self.changing).read_owned().await;
        let work = move || {
            let done = work();
            drop(changing);
            done
        };
        match task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|cause| Failed::Disk(cause.to_string())),
            Err(cause) => Err(Failed::Disk(cause.to_string())),
        }
    }

    fn check_size(&self, bytes: u64) -> Result<(), Failed> {
        if bytes <= self.most_bytes {
            return Ok(());
        }
        Err(Failed::Refused(format!(
            "it has {bytes} bytes, and at most {} are fetched ({})",
            self.most_bytes,
            names().chat_file_size
        )))
    }
}

/// Why there is no directory.
fn nowhere() -> String {
    let names = names();
    format!("no directory for files can be written: set {} or {} to one", names.state, names.chat_files)
}

fn check_length(bytes: u64, expected: Option<u64>) -> Result<(), Failed> {
    match expected {
        Some(expected) if expected != bytes => {
            Err(Failed::Line(format!("the content has {bytes} bytes in place of {expected}")))
        }
        Some(_) | None => Ok(()),
    }
}

fn question(request: FetchRequest) -> PlatformRequest {
    PlatformRequest {
        workspace: request.workspace,
        method: Method::Get,
        path: request.path,
        query: Vec::new(),
        identify: false,
        body: None,
        limits: request.limits,
    }
}

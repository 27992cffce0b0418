//! The directory of the files of one workspace.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::statvfs;
use tempfile::NamedTempFile;

use super::name;
use crate::storage::atomic;

/// Names that are tried for one file. More than one is only needed where somebody else has put something.
const NAMES: u32 = 100;

/// Where files are.
#[derive(Debug, Clone)]
pub(super) struct Place {
    directory: PathBuf,
}

/// A file in the making; gone when it is dropped.
pub(super) struct Draft(NamedTempFile);

impl Draft {
    /// The file, for writing.
    pub(super) fn file(&self) -> io::Result<File> {
        self.0.as_file().try_clone()
    }
}

impl Place {
    pub(super) fn new(directory: &Path, workspace: &str) -> Self {
        Self { directory: directory.join(workspace) }
    }

    /// Makes the directory, open to nobody else.
    pub(super) fn make(&self) -> io::Result<()> {
        atomic::make_directory(&self.directory)?;
        let found = self.directory.symlink_metadata()?;
        let shown = self.directory.display();
        if !found.is_dir() {
            return Err(io::Error::other(format!("{shown} is no directory, and links are not followed")));
        }
        if !is_own(&found) {
            return Err(io::Error::other(format!("{shown} belongs to another user")));
        }
        Ok(())
    }

    /// The file of this name, if it is here and whole; its path and its size.
    pub(super) fn find(&self, name: &str, expected: Option<u64>) -> io::Result<Option<(PathBuf, u64)>> {
        let path = self.directory.join(name);
        let Ok(found) = path.symlink_metadata() else { return Ok(None) };
        let is_it = found.is_file() && is_own(&found) && expected == Some(found.len());
        if !is_it {
            return Ok(None);
        }
        // A process that was killed may not have got so far.
        File::open(&path)?.sync_all()?;
        atomic::sync_directory(&self.directory)?;
        Ok(Some((path, found.len())))
    }

    /// Whether the disk has room for so many bytes more, with so many left over.
    pub(super) fn has_room(&self, bytes: u64, reserve: u64) -> io::Result<()> {
        let disk = statvfs(&self.directory)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= bytes.saturating_add(reserve) {
            return Ok(());
        }
        Err(io::Error::new(
            ErrorKind::StorageFull,
            format!("the disk has {} MiB left, too little for {} MiB more", free >> 20, (bytes >> 20) + 1),
        ))
    }

    pub(super) fn draft(&self) -> io::Result<Draft> {
        atomic::temporary(&self.directory).map(Draft)
    }

    /// Gives a file that is whole its name, or another one if somebody has taken that; never overwrites.
    pub(super) fn publish(&self, draft: Draft, wanted: &str) -> io::Result<PathBuf> {
        let Draft(mut file) = draft;
        file.as_file().sync_all()?;
        for number in 1..=NAMES {
            let name = if number == 1 { wanted.to_owned() } else { name::other(wanted, number) };
            let path = self.directory.join(name);
            match file.persist_noclobber(&path) {
                Ok(_) => {
                    atomic::sync_directory(&self.directory)?;
                    return Ok(path);
                }
                Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => file = failed.file,
                Err(failed) => return Err(failed.error),
            }
        }
        Err(io::Error::new(ErrorKind::AlreadyExists, format!("{wanted} and its other names are taken")))
    }

    /// Removes what is old enough and not in `keep`; what is in it counts as new. The paths of what was removed.
    pub(super) fn sweep(&self, keep: &[PathBuf], age: Duration) -> io::Result<Vec<PathBuf>> {
        if !self.directory.exists() {
            return Ok(Vec::new());
        }
        atomic::sweep(&self.directory);
        let mut removed = Vec::new();
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let path = entry.path();
            if !name::is_ours(&entry.file_name().to_string_lossy()) {
                continue;
            }
            if keep.contains(&path) {
                // Failing at that costs days at most.
                let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
            } else if atomic::is_older_than(&path, age) && fs::remove_file(&path).is_ok() {
                removed.push(path);
            }
        }
        Ok(removed)
    }
}

fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

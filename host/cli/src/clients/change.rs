//! What becomes of a file, and doing it.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use similar::{ChangeTag, TextDiff};

/// Appended to the name of a file, for the copy of what it was.
const BACKUP: &str = ".before-molecule-mcp";
/// Configuration of clients is seldom larger than some KiB; one of them also keeps its history there.
const FILE_BYTES: u64 = 64 << 20;

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: PathBuf,
    before: Option<String>,
    after: Option<String>,
    /// The copy of what it was is of no more use.
    ends: bool,
}

/// Where the copy of what `path` was lies.
#[must_use]
pub fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKUP);
    name.into()
}

impl Change {
    /// What `edit` makes of the file at `path`, where an absent one is empty.
    pub(super) fn of(
        path: PathBuf,
        edit: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let before = read(&path)?;
        let after = edit(before.as_deref().unwrap_or_default()).map_err(|why| told(&path, &why))?;
        Ok(Self { path, before, after: Some(after), ends: false })
    }

    /// Takes out what was put into the file at `path`: if `again` makes what the file is of what it was, the file becomes that
    /// to the byte; else it is edited.
    pub(super) fn back(
        path: PathBuf,
        again: impl Fn(&str, &str) -> Option<String>,
        edit: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Self, String> {
        let Some(now) = read(&path)? else {
            return Ok(Self { path, before: None, after: None, ends: false });
        };
        let backup = read(&backup_of(&path))?;
        let leads_here = |before: &str| again(before, &now).is_some_and(|then| then == now);
        let after = match &backup {
            Some(was) if leads_here(was) => Some(was.clone()),
            None if leads_here("") => None,
            Some(_) | None => Some(edit(&now).map_err(|why| told(&path, &why))?),
        };
        Ok(Self { path, ends: after.as_ref() != Some(&now), before: Some(now), after })
    }

    /// The same for a file in which only a copy of what it was tells what is ours.
    pub(super) fn back_if_ours(
        path: PathBuf,
        again: impl Fn(&str, &str) -> Option<String>,
        edit: impl FnOnce(&str, &str) -> Result<String, String>,
    ) -> Result<Option<Self>, String> {
        let backup = read(&backup_of(&path))?;
        let Some(now) = read(&path)? else { return Ok(None) };
        let made_by_us = backup.is_none() && again("", &now).is_some_and(|then| then == now);
        if backup.is_none() && !made_by_us {
            return Ok(None);
        }
        let was = backup.unwrap_or_default();
        Self::back(path, again, |text| edit(&was, text)).map(Some)
    }

    /// Whether anything changes.
    pub(super) fn is_one(&self) -> bool {
        self.before != self.after
    }

    /// The lines that change, for people.
    #[must_use]
    pub fn diff(&self) -> String {
        let (before, after) =
            (self.before.as_deref().unwrap_or_default(), self.after.as_deref().unwrap_or_default());
        let what = match (&self.before, &self.after) {
            (None, _) => " (new)",
            (Some(_), None) => " (removed)",
            (Some(_), Some(_)) => "",
        };
        let mut shown = format!("{}{what}\n", self.path.display());
        // Lines around them may hold secrets of other servers, and are left out.
        for change in TextDiff::from_lines(before, after).iter_all_changes() {
            let (sign, place) = match change.tag() {
                ChangeTag::Delete => ('-', change.old_index()),
                ChangeTag::Equal => continue,
                ChangeTag::Insert => ('+', change.new_index()),
            };
            let line = place.map_or(0, |place| place + 1);
            let text = change.value().trim_end_matches(['\n', '\r']);
            shown.push_str(&format!("{line:>6} {sign} {text}\n"));
        }
        shown
    }

    /// Does it: all or nothing, with a copy of what was there. A link in place of the file leads to the file that is written.
    ///
    /// # Errors
    /// When the file has changed meanwhile, or cannot be written.
    pub fn write(&self) -> io::Result<()> {
        if read(&self.path).map_err(io::Error::other)? != self.before {
            return Err(io::Error::other("the file has changed meanwhile: try again"));
        }
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        let backup = backup_of(&self.path);
        match (&self.before, &self.after) {
            (_, None) => {
                if path.exists() {
                    fs::remove_file(&path)?;
                }
            }
            (before, Some(after)) => {
                if let Some(before) = before.as_ref().filter(|_| !self.ends && !backup.exists()) {
                    replace(&backup, before, mode_of(&path))?;
                }
                replace(&path, after, mode_of(&path))?;
            }
        }
        if self.ends && backup.exists() {
            fs::remove_file(&backup)?;
        }
        Ok(())
    }
}

fn mode_of(path: &Path) -> u32 {
    path.metadata().map_or(0o600, |found| found.permissions().mode() & 0o7777)
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    // Where a directory cannot be synced, the file is there all the same.
    let _ = fs::File::open(directory).and_then(|directory| directory.sync_all());
    Ok(())
}

fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(told(path, &format!("cannot be read: {cause}"))),
        Ok(found) if !found.is_file() => return Err(told(path, "is no file")),
        Ok(found) if found.len() > FILE_BYTES => return Err(told(path, "is larger than 64 MiB")),
        Ok(_) => {}
    }
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) => Err(told(path, &format!("cannot be read: {cause}"))),
    }
}

fn told(path: &Path, why: &str) -> String {
    format!("{} {why}", path.display())
}

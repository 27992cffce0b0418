//! Files of one word: the cursor, and the secret.

use std::path::Path;

use super::{
    paths::InboxPaths,
    small_file::{self, Links, SmallFile, Unreadable},
};

/// A row id has 36 characters.
const CURSOR_BYTES: u64 = 256;
/// The platform's own secrets have 43 characters.
pub(super) const SECRET_BYTES: u64 = 64 << 10;

impl InboxPaths {
    /// The id in the cursor file; none if there is no such file, or anything else in it.
    pub(crate) fn read_cursor(&self) -> Option<String> {
        if self.cursor.exists() {
            return cursor_in(&self.cursor);
        }
        cursor_in(self.former_cursor.as_ref()?)
    }
}

fn cursor_in(path: &Path) -> Option<String> {
    word(&read(path, CURSOR_BYTES)?)
}

/// The same, for those who look again and again: nothing is said of what cannot be read.
pub(super) fn cursor_now_in(path: &Path) -> Option<String> {
    word(&small_file::read(path, CURSOR_BYTES, Links::Refused).ok()?)
}

pub(super) fn read(path: &Path, limit: u64) -> Option<SmallFile> {
    match small_file::read(path, limit, Links::Refused) {
        Ok(file) => Some(file),
        Err(Unreadable::Absent) => None,
        Err(why) => {
            tracing::warn!("{} {why}, and is ignored", path.display());
            None
        }
    }
}

/// The one word of visible ASCII that is all there is in the file.
pub(super) fn word(file: &SmallFile) -> Option<String> {
    let text = file.text()?;
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}

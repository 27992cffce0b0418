//! The files of one directory, by their names.

mod wasi;

use std::io;

pub(crate) use self::wasi::{Preopened, read_any};

/// What the state of a workspace needs of a directory.
pub(crate) trait Directory {
    /// Everything in a file; none if there is no such file.
    fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// Makes a file that does not exist; false if it does. Others may see it while it is still empty.
    fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool>;

    /// Writes over the beginning of a file that exists.
    fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Adds to a file that exists and ends at `end`.
    fn append(&self, name: &str, end: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `length` bytes.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;

    /// What was written to a file survives a power cut afterwards.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Makes or replaces a file as a whole; that survives a power cut afterwards.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in place of the file that has it; false if there is no such file.
    fn rename(&self, from: &str, to: &str) -> io::Result<bool>;

    /// Removes a file, if there is one.
    fn remove(&self, name: &str) -> io::Result<()>;
}

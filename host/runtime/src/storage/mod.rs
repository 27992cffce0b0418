//! The files of a workspace: journal, cursor, lock and inbound secret.

pub mod atomic;
pub mod files;
mod journal_file;
pub(crate) mod lock;
pub(crate) mod paths;
pub mod private_file;
pub mod small_file;
pub mod store;
pub(crate) mod takeover;
mod words;
mod writer;

//! The powers of the program: HTTP, files, time and the log.

pub mod clock;
pub mod files;
pub mod http;

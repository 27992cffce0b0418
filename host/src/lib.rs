//! The native host of molecule-mcp, and the library for programs that embed it.

pub mod credentials;
pub mod driver;
pub mod env;
pub mod guest;
pub mod log;
pub mod mcp;
pub mod ports;
pub mod presence;
pub mod session;
pub mod settings;
mod small_file;
pub mod stdio;

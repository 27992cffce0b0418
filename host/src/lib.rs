//! The native host of molecule-mcp, and the library for programs that embed it.

pub mod credentials;
pub mod driver;
pub mod guest;
pub mod mcp;
pub mod ports;
pub mod presence;
pub mod session;
pub mod settings;

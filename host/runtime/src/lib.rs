//! The sandboxed tool runtime of molecule-mcp, for the program and for programs that embed it.
//!
//! ```text
//! Config ──► Runtime ──┬── Driver ──► Guest (WebAssembly)
//!                      ├── presence     │
//!                      └── leadership   └──► NativePorts: HTTP, files, time, log
//! ```

pub mod account;
pub mod config;
pub mod driver;
pub mod guest;
pub mod hidden;
pub mod inspect;
pub mod leadership;
pub mod names;
pub mod network;
pub mod platform;
pub mod ports;
pub mod presence;
mod runtime;
pub mod session;
mod spread;
pub mod storage;
pub mod sys;
pub mod text;

pub use self::{config::Config, runtime::Runtime};

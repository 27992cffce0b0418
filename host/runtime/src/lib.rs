//! The sandboxed tool runtime of molecule-mcp, for the program and for programs that embed it.
//!
//! ```text
//! Config ──► Runtime ──┬── Driver ──► Guest (WebAssembly)
//!                      ├── presence     │
//!                      └── leadership   └──► NativePorts: HTTP, files, time, log
//! ```

#![deny(missing_docs)]

pub mod account;
mod builder;
pub mod config;
pub mod driver;
pub mod guest;
pub mod hidden;
pub mod inspect;
pub mod leadership;
mod messages;
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
mod wake;

pub use self::{
    builder::{BuildError, Builder},
    config::Config,
    messages::Message,
    runtime::Runtime,
    wake::Rings,
};

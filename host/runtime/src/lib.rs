#![doc = include_str!("../README.md")]
//!
//! ```text
//! Builder ──► Runtime ──┬── Driver ──► Guest (WebAssembly)
//!                       ├── presence     │
//!                       └── leadership   └──► NativePorts: HTTP, files, time, log
//! ```
//!
//! What is not shown here is for the program molecule-mcp and the tests, and may change at any time.

#![deny(missing_docs)]

pub mod account;
mod builder;
pub mod config;
#[doc(hidden)]
pub mod driver;
#[doc(hidden)]
pub mod guest;
#[doc(hidden)]
pub mod hidden;
#[doc(hidden)]
pub mod inspect;
#[doc(hidden)]
pub mod leadership;
mod messages;
#[doc(hidden)]
pub mod names;
pub mod network;
#[doc(hidden)]
pub mod passage;
#[doc(hidden)]
pub mod platform;
#[doc(hidden)]
pub mod ports;
#[doc(hidden)]
pub mod presence;
mod runtime;
#[doc(hidden)]
pub mod session;
mod spread;
pub mod status;
#[doc(hidden)]
pub mod storage;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod text;
mod wake;

pub use self::{
    builder::{BuildError, Builder},
    config::Config,
    guest::{
        GuestDown,
        wire::{Answer, ToolSpec},
    },
    messages::Message,
    presence::Rejected,
    runtime::Runtime,
    storage::store::{FileChange, Kept, Store},
    wake::Rings,
};

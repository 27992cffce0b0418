//! The logic of molecule-mcp with the powers of WASI 0.2, for components that live in other people's hosts.
//!
//! ```text
//!  shell ──► Visit: one call ─────┐            ┌── platform: wasi:http
//!  (plugin, serve, act)           ├─► Driver ──┼── files: wasi:filesystem, under a lock
//!  shell ──► Resident: for ever ──┘     ║      └── clock: wasi:clocks
//!  (program)                          Agent
//! ```
//!
//! | Module | Knows |
//! |---|---|
//! | `environment` | the settings, which are variables of the environment |
//! | `address` | which platform addresses are taken, and what lies below one |
//! | `platform` | how a request goes out with the token, and what came of it |
//! | `exchange` | how `wasi:http` is spoken |
//! | `credentials` | what the logic must not see of an answer |
//! | `directory` | files of one directory, by name |
//! | `files` | the journal and the cursor file in it |
//! | `lock` | who may change them |
//! | `state` | the directory of state |
//! | `resident` | a component that lives on |
//! | `session` | what of a use by an agent outlives a call |
//! | `attachments` | files that the agent sends |
//! | `driver` | the loop that carries out turns |
//! | `visit` | a call of a tool, from a start to an end |
//! | `clock` | what time it is |
//! | `log` | lines for the operator |
//!
//! The token is inside the sandbox here, because no host of this kind adds a header; `platform` alone has it.

#![deny(missing_docs)]

mod address;
mod attachments;
mod clock;
mod credentials;
mod directory;
mod driver;
mod environment;
mod exchange;
mod files;
mod lock;
mod log;
mod platform;
mod resident;
mod session;
mod state;
mod visit;

pub use wstd::runtime::block_on;

pub use self::{
    driver::Receipt,
    environment::Environment,
    resident::Resident,
    visit::{Answer, call},
};

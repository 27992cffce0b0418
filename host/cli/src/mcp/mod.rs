//! The MCP server: what every client gets, and the ways to it. The only place that names rmcp.
//!
//! ```text
//! stdio (or another transport) ──► rmcp ──► Front ──► Server ──► Driver
//! ```
//!
//! Both eras of the protocol are served on the same connection, in any order and without a handshake.
//! Nothing that a client sends ends the service, only the end of its input.

mod catalog;
mod client;
mod front;
mod progress;
mod resources;
mod server;
mod stdio;
#[cfg(test)]
mod tests;

pub use self::{
    client::{Introduction, Links},
    stdio::{Ended, serve},
};

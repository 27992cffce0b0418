//! A stand-in for the platform: pure logic, and a server around it.
//!
//! [`Platform`] is the whole of it: data in memory, requests in, replies out. It does no IO, reads no clock and
//! draws its ids from a seed, so a run can be repeated. [`shell`] puts it behind HTTP.
//!
//! Where to look: [`world`] makes workspaces, users and peers for tests, [`faults`] makes the platform misbehave,
//! `layers` is what every request has to get past, `routes` lists the endpoints; each area has a file of its own.

mod a2a;
mod activity;
mod agenda;

mod call;
mod delegation;
mod delegations;
mod discovery;
mod dispatch;
mod events;
pub mod faults;
mod files;
mod forward;
mod gates;
mod hooks;
mod http;
mod identity;
mod ids;
mod inbox;
mod json;
mod layers;
mod ledger;
mod memory;
mod model;
mod normalise;
mod notify;
mod now;
mod platform;
mod queue;
mod ratelimit;
mod redaction;
mod registry;
mod routes;
mod script;
mod search;
pub mod shell;
mod switches;
#[cfg(test)]
mod testing;
mod tokens;
mod url_safety;
mod words;
mod workspaces;
pub mod world;

pub use activity::Row;
pub use dispatch::{AgentCall, AgentOutcome, Dispatch, DispatchId};
pub use events::{Event, StreamId};
pub use http::{Headers, Reply, Request, Response};
pub use model::{Beat, Mode, Status, Workspace};
pub use now::Now;
pub use platform::Platform;
pub use script::Script;
pub use switches::{Level, SWITCHES, SwitchError, Switches};

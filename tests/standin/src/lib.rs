//! A stand-in for the platform: pure logic, and a server around it.
//!
//! [`Platform`] is the whole of it: data in memory, requests in, replies out. It does no IO, reads no clock and
//! draws its ids from a seed, so a run can be repeated. [`shell`] puts it behind HTTP.
//!
//! Where to look: [`world`] makes workspaces, users and peers for tests, [`faults`] makes the platform misbehave,
//! `layers` is what every request has to get past, `routes` lists the endpoints; each area has a file of its own.
//!
//! ```
//! use standin::{Level, Now, Platform, Request, Script, Switches};
//!
//! let now = Now::from_micros(1_777_590_000_000_000);
//! let mut platform = Platform::new(Level::Later, Switches::new(Level::Later), 7, now);
//! let own = platform.external_workspace("own");
//! let peer = platform.push_peer("peer", Script::text("pong"));
//! let row = platform.user_sends(own.id, "hello");
//!
//! let poll = Request::new("GET", &format!("/workspaces/{}/activity", own.id)).bearer(&own.token);
//! let rows = platform.handle(&poll, now).answer().map(|answer| answer.body_json());
//!
//! assert_eq!(rows.and_then(|rows| Some(rows.get(0)?.get("id")?.as_str()? == row.to_string())), Some(true));
//! assert_eq!(platform.requests(0).len(), 1);
//! # let _ = peer;
//! ```

mod a2a;
mod activity;
mod agenda;
mod arrival;

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
mod memory_plugin;
mod model;
mod normalise;
mod notify;
mod now;
mod peer_info;
mod platform;
mod queue;
mod ratelimit;
mod redaction;
mod registry;
mod removal;
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
pub use hooks::HOOKS;
pub use http::{Headers, Reply, Request, Response};
pub use model::{Beat, Mode, Status, Workspace};
pub use now::Now;
pub use platform::Platform;
pub use script::Script;
pub use switches::{EventStreams, Level, SWITCHES, SwitchError, Switches};

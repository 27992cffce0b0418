//! Everything that molecule-mcp decides, without any power to act.
//!
//! | Module | Decides |
//! |---|---|
//! | [`agent`](Agent) | which dialogue a turn belongs to |
//! | `dialogue` | how straight-line code becomes turns: the executor |
//! | `platform` | how to ask each endpoint, and how to read its answer |
//! | `tools` | what an agent can do, one file a tool |
//! | `inbox` | what is fetched, staged, handed out and dealt with |
//! | `succession` | what an instance leaves to the one that takes its place |
//! | `planted` | which bugs the tests have planted: none elsewhere |
//! | `permissions` | what roles and tier allow |
//! | `presence` | when to register and beat, for hosts that do not on their own |
//! | `secrets` | whether a secret is worth storing |
//! | `text` | how words and JSON from outside are read and shown, and which parts are credentials |
//! | `uploads` | which files are the agent's own |
//! | `wake` | when an idle agent is told that messages wait |
//! | `context` | what is fixed: settings and chance |
//! | `world` | what all dialogues share |

mod agent;
pub mod bindings;
mod context;
mod dialogue;
mod inbox;
mod peers;
mod permissions;
pub mod planted;
mod platform;
mod presence;
mod random;
mod secrets;
mod succession;
#[cfg(test)]
mod testing;
mod text;
mod tools;
mod uploads;
mod wake;
pub mod wire;
mod world;

pub use agent::Agent;
pub use platform::uploads::chat_uploads;
pub use presence::{Card, Presence};

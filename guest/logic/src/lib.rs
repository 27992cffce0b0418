//! Everything that molecule-mcp decides, without any power to act.
//!
//! | Module | Decides |
//! |---|---|
//! | [`agent`](Agent) | which dialogue a turn belongs to |
//! | `dialogue` | how straight-line code becomes turns: the executor |
//! | `platform` | how to ask each endpoint, and how to read its answer |
//! | `tools` | what an agent can do, one file a tool |
//! | `inbox` | what is fetched, staged, handed out and dealt with |
//! | `loose` | how JSON of strangers is read |
//! | `planted` | which bugs the tests have planted: none elsewhere |
//! | `permissions` | what roles and tier allow |
//! | `redact` | which parts of a text are credentials |
//! | `secrets` | whether a secret is worth storing |
//! | `untrusted` | how words from outside are shown |
//! | `uploads` | which files are the agent's own |
//! | `world` | what all dialogues share |

mod agent;
pub mod bindings;
mod dialogue;
mod inbox;
mod loose;
mod peers;
mod permissions;
pub mod planted;
mod platform;
mod random;
mod redact;
mod secrets;
mod tools;
mod untrusted;
mod uploads;
mod wire;
mod world;

pub use agent::Agent;

//! The component: its engine, its bindings, and the one owner of its store.

mod bindings;
mod embedded;
mod engine;
mod owner;
mod watchdog;

pub use owner::{Guest, GuestDown, Surface};

/// The words of `wit/` by name.
pub mod wire {
    pub use super::bindings::exports::molecule::mcp::{
        setup::{Permissions, Settings, WorkspaceSettings},
        tools::ToolSpec,
        turns::{Answer, Effect, FileUpdate, Finish, Level, LogLine, Next, Outcome, Rest, Turn, Working},
        types::{
            FileChange, Instant, Limits, Method, PlatformRequest, PlatformResponse, Unreachable,
            UploadRequest, Workspace,
        },
    };
}

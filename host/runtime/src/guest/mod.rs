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
        inbox::{InboxStatus, Saved},
        setup::{Permissions, Settings, WorkspaceSettings},
        tools::ToolSpec,
        turns::{
            Answer, Arrival, Effect, FileUpdate, Finish, Level, Listen, LogLine, Next, Outcome, Rest, Ring,
            Turn, Working,
        },
        types::{
            CursorChange, FetchRequest, FetchedFile, FileChange, Instant, JournalAppend, JournalRewrite,
            Limits, Method, PlatformRequest, PlatformResponse, SweepRequest, Unreachable, UploadRequest,
            Workspace,
        },
        wake::{WakeRules, WakeState},
    };
}

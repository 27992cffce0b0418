//! The words of `wit/` by name.

pub use crate::bindings::exports::molecule::mcp::{
    inbox::{InboxStatus, Saved},
    setup::{Permissions, Settings, WorkspaceSettings},
    tools::ToolSpec,
    turns::{
        Answer, Arrival, Effect, FileUpdate, Finish, Level, Listen, LogLine, Next, Outcome, Rest, Ring, Turn,
        Working,
    },
    types::{
        CursorChange, FetchRequest, FetchedFile, FileChange, Instant, JournalAppend, JournalRewrite, Limits,
        Method, PlatformRequest, PlatformResponse, SweepRequest, Unreachable, UploadRequest, Workspace,
    },
    wake::{WakeRules, WakeState},
};

//! The words of `wit/` by name.

pub(crate) use crate::bindings::exports::molecule::mcp::{
    inbox::Saved,
    setup::{Permissions, Settings, WorkspaceSettings},
    tools::ToolSpec,
    turns::{
        Answer, Arrival, Effect, FileUpdate, Finish, Level, Listen, LogLine, Next, Outcome, Rest, Ring, Turn,
        Working,
    },
    types::{
        CursorChange, FetchRequest, FetchedFile, FileChange, Instant, JournalAppend, JournalRewrite, Limits,
        Method, PlatformRequest, PlatformResponse, SweepRequest, UploadRequest, Workspace,
    },
    wake::{WakeRules, WakeState},
};

#[cfg(test)]
pub(crate) use crate::bindings::exports::molecule::mcp::types::Unreachable;

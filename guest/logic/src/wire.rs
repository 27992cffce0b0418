//! The words of `wit/` by name.

pub(crate) use crate::bindings::exports::molecule::mcp::{
    setup::{Permissions, Settings, WorkspaceSettings},
    tools::ToolSpec,
    turns::{Answer, Effect, FileUpdate, Finish, Level, LogLine, Next, Outcome, Rest, Turn, Working},
    types::{
        FileChange, Instant, Limits, Method, PlatformRequest, PlatformResponse, UploadRequest, Workspace,
    },
};

#[cfg(test)]
pub(crate) use crate::bindings::exports::molecule::mcp::types::Unreachable;

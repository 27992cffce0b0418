//! The words of `wit/` as the guest's own code has them.

pub(super) use molecule_logic::bindings::exports::molecule::mcp::{
    inbox::Saved,
    setup::{Permissions, Settings, WorkspaceSettings},
    turns::{Answer, Effect, FileUpdate, Finish, Next, Outcome, Ring, Turn},
    types::{FetchRequest, FetchedFile, FileChange, Method, PlatformRequest, PlatformResponse, Unreachable},
    wake::WakeRules,
};

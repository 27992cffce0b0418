//! The messages to this agent.

use std::rc::Rc;

use crate::{
    dialogue::Host,
    wire::{Finish, Workspace},
    world::World,
};

/// The inbox of the process.
#[derive(Default)]
pub(crate) struct Inbox {}

/// Fetches the messages of a workspace, for ever.
pub(crate) async fn poll(
    _host: Host,
    _world: Rc<World>,
    _workspace: Workspace,
    _cursor: Option<String>,
) -> Finish {
    Finish::Done
}

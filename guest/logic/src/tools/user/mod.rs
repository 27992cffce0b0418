//! Tools that talk to the person at the canvas.

mod attachments;
mod send_message_to_user;

use super::kit::{Entry, entry};

/// In the order in which clients see them.
pub(super) const TOOLS: &[Entry] = &[entry::<send_message_to_user::SendMessageToUser>()];

//! Tools that talk to the person at the canvas.

mod attachments;
mod send_message_to_user;

pub(super) use self::send_message_to_user::SendMessageToUser;

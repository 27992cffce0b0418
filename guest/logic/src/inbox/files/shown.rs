//! Files as the agent is shown them: a path that it can open, or why there is none.

use super::{Files, State, named};
use crate::{
    inbox::message::{self, Message},
    platform::parts::Attachment,
};

impl Files {
    /// The message with the places of its files in it; nothing if there is nothing to say of them.
    pub(in crate::inbox) fn view(&self, message: &Message, own: &str) -> Option<Message> {
        if !named(message, own).any(|(id, _)| self.place(&id).is_some()) {
            return None;
        }
        let mut view = message.clone();
        let has_no_text = message.text == message::in_place_of_text(&message.attachments);
        for attachment in &mut view.attachments {
            self.place_into(attachment, own);
        }
        if has_no_text {
            view.text = message::in_place_of_text(&view.attachments);
        }
        Some(view)
    }

    fn place_into(&self, attachment: &mut Attachment, own: &str) {
        let id = attachment.uri.as_deref().and_then(|uri| crate::platform::uploads::file_id(uri, own));
        let entry = id.and_then(|id| self.entries.iter().find(|entry| *entry.file.id == *id));
        let Some(entry) = entry else { return };
        match &entry.file.state {
            State::Here { path, bytes } | State::Over { path, bytes } => {
                attachment.uri = Some(file_uri(path));
                attachment.path = Some(path.clone());
                attachment.bytes = Some(*bytes);
                if !entry.file.mime.is_empty() {
                    attachment.mime_type = Some(entry.file.mime.clone());
                }
            }
            State::Lost { why } => attachment.not_here = Some(format!("this file cannot be had: {why}")),
            State::Wanted => {
                attachment.not_here = Some(match &entry.trouble {
                    None => "this file is still being fetched: look again with inbox_peek".to_owned(),
                    Some(why) => {
                        format!("this file is not here yet and is tried again, look with inbox_peek: {why}")
                    }
                });
            }
        }
    }
}

/// `path` as an address.
fn file_uri(path: &str) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(byte.into());
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

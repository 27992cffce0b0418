//! The platform over HTTP: requests, events, files to it and files from it.

pub mod attachments;
pub mod chat_files;
pub mod events;
pub mod http;

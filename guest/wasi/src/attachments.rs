//! Files that the agent sends to the user: read from directories that the host has opened, and sent as one form.

use molecule_logic::{
    chat_uploads,
    wire::{Outcome, UploadRequest},
};
use wasip2::random::random::get_random_u64;

use crate::{
    directory::read_any,
    platform::{Document, Platform},
};

/// A message carries no more.
const FILES: usize = 10;
/// The component holds them in memory.
const TOTAL_BYTES: usize = 25 << 20;

/// Sends files: `Refused` if one may not or cannot be read, else as [`Platform::send`].
pub(crate) async fn upload(platform: &Platform, state: Option<&str>, request: UploadRequest) -> Outcome {
    let boundary = format!("molecule-{:016x}{:016x}", get_random_u64(), get_random_u64());
    let bytes = match form(&request.files, state, &boundary) {
        Ok(bytes) => bytes,
        Err(why) => return Outcome::Refused(why),
    };
    let path = chat_uploads(&platform.workspace);
    let kind = format!("multipart/form-data; boundary={boundary}");
    platform.post(&path, Document { bytes, kind }, request.limits).await
}

fn form(files: &[String], state: Option<&str>, boundary: &str) -> Result<Vec<u8>, String> {
    if files.len() > FILES {
        return Err(format!(
            "too many attachments: a message carries at most {FILES} files, not {}; use several messages",
            files.len()
        ));
    }
    let mut form = Vec::new();
    for path in files {
        if is_private(path, state) {
            return Err(format!(
                "attachment not allowed: {path} may hold credentials, and such files are never sent"
            ));
        }
        let room = u64::try_from(TOTAL_BYTES.saturating_sub(form.len())).unwrap_or_default();
        let content =
            read_any(path, room).map_err(|why| format!("attachment {path} cannot be sent: {why}"))?;
        let name = name(path);
        let kind = mime_guess::from_path(&name).first_raw().unwrap_or("application/octet-stream");
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
        );
        form.extend_from_slice(head.as_bytes());
        form.extend_from_slice(&content);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(form)
}

/// Hidden files, what lies in hidden directories, and our own state.
fn is_private(path: &str, state: Option<&str>) -> bool {
    let names = |path: &str| -> Vec<String> {
        path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
    };
    let given = names(path);
    let is_ours = state.is_some_and(|state| given.starts_with(&names(state)));
    is_ours || given.iter().any(|name| name.starts_with('.'))
}

/// The name that the user sees, as it may stand between quotes in a header.
fn name(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or_default();
    let cleaned: String = last
        .chars()
        .map(|char| if char.is_control() || matches!(char, '"' | '\\') { '_' } else { char })
        .collect();
    if cleaned.is_empty() { "file".to_owned() } else { cleaned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_files_and_our_own_state_are_never_sent() {
        for (path, state, private) in [
            ("/work/report.pdf", Some("/state"), false),
            ("/state/.mcp_inbox_1.journal", None, true),
            ("/state/anything", Some("/state/"), true),
            ("/state//./anything", Some("/state"), true),
            ("/work/.ssh/id", Some("/state"), true),
            ("/stateless/a", Some("/state"), false),
        ] {
            assert_eq!(is_private(path, state), private, "{path}");
        }
    }

    #[test]
    fn a_name_stays_within_its_quotes() {
        assert_eq!(name("/a/b\"\r\nX: y.txt"), "b___X: y.txt");
        assert_eq!(name("/a/"), "file");
    }
}

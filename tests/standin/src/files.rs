//! Files for poll-mode agents: staged on the platform until they are fetched and acknowledged.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use multer::Multipart;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::NewRow;
use crate::call::Call;
use crate::http::{Answer, Headers, Reply, Response};
use crate::ids::database_uuid;
use crate::json;
use crate::model::Mode;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::workspaces::{not_found, workspace_id};

const CAP: usize = 100 * 1024 * 1024;
const FILES_MAX: usize = 64;
const NAME_MAX: usize = 100;
const EXTENSION_MAX: usize = 16;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const MALFORMED: &str = "malformed multipart body";
const GONE_OR_EXPIRED: &str = "pending upload not found or expired";
const GONE: &str = "pending upload not found, expired, or already acked";

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) id: Uuid,
    pub(crate) workspace: Uuid,
    name: String,
    mime_type: String,
    content: Bytes,
    pub(crate) expires_at: Now,
    acked: bool,
}

pub(crate) type PendingUploads = Vec<Upload>;

/// A file as it came.
struct Part {
    name: String,
    mime_type: String,
    content: Bytes,
}

impl Platform {
    pub(crate) fn upload_limits() -> Response {
        let limits =
            json!({ "per_file_bytes": CAP, "per_request_bytes": CAP, "max_attachments_per_message": 10 });
        Response::json_as_is(200, &limits)
    }

    /// Stages files for a poll-mode agent; a push-mode agent gets the request itself.
    pub(crate) fn upload(&mut self, call: &Call, id: &str, headers: &Headers) -> Reply {
        let found = workspace_id(id).and_then(|id| self.workspaces.get(id).ok_or_else(not_found));
        let (id, mode) = match found {
            Ok(workspace) => (workspace.id, workspace.delivery_mode),
            Err(refusal) => return Reply::Answer(refusal),
        };
        if self.level >= Level::Later && mode == Mode::Poll {
            return Reply::from(self.stage(call, id));
        }
        self.forward_upload(call, id, headers)
    }

    /// All or nothing. The rows share one instant: that of the transaction's start.
    fn stage(&mut self, call: &Call, workspace: Uuid) -> Answer {
        let parts = parts(call)?;
        if parts.is_empty() {
            return Err(Response::error(400, "no files field in request"));
        }
        if parts.len() > FILES_MAX {
            return Err(Response::error(400, format!("too many files (limit {FILES_MAX})")));
        }
        if parts.iter().any(|part| part.content.is_empty()) {
            return Err(Response::error(500, "could not stage files"));
        }
        if self.activity.down {
            return Err(Response::error(500, "could not log upload activity"));
        }
        let created_at = self.activity.instant(call.now);
        let mut files = Vec::new();
        let mut rows = Vec::new();
        for part in parts {
            let upload = Upload {
                id: self.ids.uuid(),
                workspace,
                name: sanitised(&part.name),
                mime_type: part.mime_type,
                content: part.content,
                expires_at: call.now.plus(LIFETIME),
                acked: false,
            };
            files.push(upload.to_json());
            rows.push(self.upload_row(&upload, created_at));
            self.uploads.push(upload);
        }
        rows.into_iter().for_each(|row| self.receive(row, call.now));
        Ok(Response::json(200, json!({ "files": files })))
    }

    fn upload_row(&mut self, upload: &Upload, created_at: Now) -> NewRow {
        let mut body = upload.to_json();
        json::put(&mut body, "file_id", json!(upload.id.to_string()));
        NewRow {
            target: Some(upload.workspace.to_string()),
            method: Some("chat_upload_receive".to_owned()),
            summary: Some(format!("chat_upload_receive: {}", upload.name)),
            request_body: Some(body),
            created_at: Some(created_at),
            ..self.new_row(upload.workspace, "a2a_receive")
        }
    }

    pub(crate) fn upload_content(&self, id: &str, file: &str) -> Answer {
        let gone = if self.level < Level::Newest { GONE } else { GONE_OR_EXPIRED };
        let index = self.pending(id, file, gone)?;
        let upload = self.uploads.get(index).ok_or_else(|| Response::error(404, GONE))?;
        let mime_type =
            if upload.mime_type.is_empty() { "application/octet-stream" } else { &upload.mime_type };
        let name = &upload.name;
        let disposition = format!("attachment; filename=\"{name}\"; filename*=UTF-8''{name}");
        Ok(Response::new(200, mime_type, upload.content.clone())
            .with("Content-Length", upload.content.len().to_string())
            .with("Content-Disposition", disposition))
    }

    pub(crate) fn acknowledge_upload(&mut self, id: &str, file: &str) -> Answer {
        let index = self.pending(id, file, GONE)?;
        let level = self.level;
        if let Some(upload) = self.uploads.get_mut(index) {
            upload.acked = true;
            // Until it expires, the newest level gives a file as often as it is asked for.
            if level < Level::Newest {
                upload.content = Bytes::new();
            }
        }
        Ok(Response::json(200, json!({ "acked": true })))
    }

    fn pending(&self, id: &str, file: &str, gone: &str) -> Result<usize, Response> {
        let workspace = workspace_id(id)?;
        let file = database_uuid(file).ok_or_else(|| Response::error(400, "invalid file_id"))?;
        let fetched = |upload: &Upload| upload.acked && self.level < Level::Newest;
        let alive = |upload: &Upload| upload.id == file && !fetched(upload) && upload.expires_at > self.now;
        let index = self.uploads.iter().position(alive).ok_or_else(|| Response::error(404, gone))?;
        if self.uploads.get(index).is_some_and(|upload| upload.workspace != workspace) {
            return Err(Response::error(404, "pending upload not found"));
        }
        Ok(index)
    }
}

impl Upload {
    fn to_json(&self) -> Value {
        json!({
            "uri": format!("platform-pending:{}/{}", self.workspace, self.id),
            "name": self.name,
            "mimeType": self.mime_type,
            "size": self.content.len(),
        })
    }
}

/// The parts called `files` that have a file name. The whole body is there, so nothing is ever waited for.
fn parts(call: &Call) -> Result<Vec<Part>, Response> {
    let malformed = || Response::error(400, MALFORMED);
    let body = call.request.body.clone();
    let boundary = call.header("Content-Type").and_then(|value| multer::parse_boundary(value).ok());
    let boundary = boundary.filter(|_| body.len() <= CAP).ok_or_else(malformed)?;
    let whole = stream::once(async move { Ok::<_, std::io::Error>(body) }).boxed();
    let read = read_parts(Multipart::new(whole, boundary)).now_or_never();
    read.and_then(Result::ok).ok_or_else(malformed)
}

async fn read_parts(mut multipart: Multipart<'_>) -> Result<Vec<Part>, multer::Error> {
    let mut parts = Vec::new();
    while let Some(field) = multipart.next_field().await? {
        let name = field.file_name().unwrap_or_default().to_owned();
        let wanted = field.name() == Some("files") && !name.is_empty();
        let declared =
            field.headers().get("content-type").map(|value| value.to_str().unwrap_or_default().to_owned());
        let content = field.bytes().await?;
        if wanted {
            parts.push(Part { name, mime_type: media_type(declared.as_deref()), content });
        }
    }
    Ok(parts)
}

/// The type without its parameters; a malformed one is replaced, an absent one empty.
fn media_type(declared: Option<&str>) -> String {
    let Some(declared) = declared else { return String::new() };
    let bare = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let well_formed = bare.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
    if well_formed { bare } else { "application/octet-stream".to_owned() }
}

/// The last part of a path, with everything odd replaced.
fn sanitised(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "._-".contains(character) { character } else { '_' }
    };
    let clean: String = last.chars().map(plain).collect();
    if ["", ".", ".."].contains(&clean.as_str()) {
        return "file".to_owned();
    }
    if clean.len() <= NAME_MAX {
        return clean;
    }
    let extension = clean
        .rfind('.')
        .and_then(|dot| clean.get(dot..))
        .filter(|extension| extension.len() <= EXTENSION_MAX);
    let extension = extension.unwrap_or_default();
    format!("{}{extension}", clean.get(..NAME_MAX - extension.len()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;

    #[test]
    fn names_are_made_harmless_and_keep_their_extension() {
        assert_eq!(sanitised("../../etc/passwd"), "passwd");
        assert_eq!(sanitised("grüße.txt"), "gr__e.txt");
        assert_eq!(sanitised(".."), "file");
        assert_eq!(sanitised(&format!("{}.tar", "x".repeat(120))), format!("{}.tar", "x".repeat(96)));
    }

    fn upload(stage: &mut Stage, contents: &[&str]) -> Response {
        let part = |content: &&str| {
            format!(
                "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.txt\"\r\n\r\n{content}\r\n"
            )
        };
        let body: String = contents.iter().map(part).collect();
        let path = format!("/workspaces/{}/chat/uploads", stage.own.id);
        let mut request = Request::new("POST", &path).bearer(&stage.own.token);
        request.headers.push("Content-Type", "multipart/form-data; boundary=b");
        request.body = Bytes::from(format!("{body}--b--\r\n"));
        stage.answer(&request)
    }

    #[test]
    fn the_files_of_one_upload_share_an_instant_and_are_gone_once_acknowledged() {
        let mut stage = Stage::new(Level::Later);
        let files = upload(&mut stage, &["one", "two"]).body_json()["files"].clone();
        let rows = stage.inbox("");
        assert_eq!(rows[0]["created_at"], rows[1]["created_at"]);
        assert_eq!(rows[0]["request_body"]["uri"], files[0]["uri"]);

        let pending = format!("/pending-uploads/{}", rows[0]["request_body"]["file_id"].as_str().unwrap());

        assert_eq!(stage.get(&format!("{pending}/content")).0, 200);
        assert_eq!(stage.post(&format!("{pending}/ack"), &json!({})), (200, json!({ "acked": true })));
        assert_eq!(stage.get(&format!("{pending}/content")).0, 404);
        assert_eq!(stage.post(&format!("{pending}/ack"), &json!({})).0, 404);
    }

    #[test]
    fn one_bad_file_stores_none_and_the_baseline_takes_none_at_all() {
        let mut stage = Stage::new(Level::Later);
        assert_eq!(upload(&mut stage, &["one", ""]).status, 500);
        assert_eq!(upload(&mut stage, &[]).status, 400);
        assert!(stage.inbox("").is_empty());

        let refused = upload(&mut Stage::new(Level::Baseline), &["one"]);

        assert_eq!(
            (refused.status, refused.body_json()["error"].as_str()),
            (503, Some("workspace url not registered yet"))
        );
    }

    #[test]
    fn media_types_lose_their_parameters() {
        assert_eq!(media_type(Some("text/html; charset=utf-8")), "text/html");
        assert_eq!(media_type(Some("nonsense")), "application/octet-stream");
        assert_eq!(media_type(None), "");
    }
}

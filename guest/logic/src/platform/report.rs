//! What this workspace tells about its own doings, for people who watch the canvas.

use serde_json::json;

use super::post;
use crate::wire::{Effect, Limits, Workspace};

/// A report may be lost, but must not hold a connection for long.
const REPORT: Limits = Limits { first_byte_ms: 5_000, total_ms: 5_000, body_bytes: 64 << 10 };

const SUMMARY_CHARS: usize = 256;
const ERROR_CHARS: usize = 4_096;

/// One report about dealings with a peer.
#[derive(Debug, Default)]
pub(crate) struct Report<'a> {
    /// The peer, by id.
    pub(crate) peer: &'a str,
    /// Cut to 256 characters.
    pub(crate) summary: String,
    /// What the peer was asked to do.
    pub(crate) task: Option<&'a str>,
    /// What it answered; not cut.
    pub(crate) result: Option<&'a str>,
    /// What went wrong; cut to 4,096 characters.
    pub(crate) error: Option<String>,
}

impl Report<'_> {
    /// Something went out to the peer.
    pub(crate) fn sent(self, workspace: Workspace, own: &str) -> Effect {
        self.effect(workspace, own, "a2a_send")
    }

    /// The peer answered, or failed to. Our own inbox shows this row too, and leaves it out.
    pub(crate) fn received(self, workspace: Workspace, own: &str) -> Effect {
        self.effect(workspace, own, "a2a_receive")
    }

    fn effect(self, workspace: Workspace, own: &str, kind: &str) -> Effect {
        let cut = |text: &str, chars| text.chars().take(chars).collect::<String>();
        let mut body = json!({
            "activity_type": kind,
            "source_id": own,
            "target_id": self.peer,
            "method": "message/send",
            "summary": cut(&self.summary, SUMMARY_CHARS),
            "status": if self.error.is_some() { "error" } else { "ok" },
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.task.map(|task| ("request_body".to_owned(), json!({"task": clean(task)}))));
            body.extend(self.result.map(|text| ("response_body".to_owned(), json!({"result": clean(text)}))));
            body.extend(
                self.error.map(|error| ("error_detail".to_owned(), json!(clean(&cut(&error, ERROR_CHARS))))),
            );
        }
        let mut request = post(workspace, ["workspaces", own, "activity"], &body);
        request.limits = REPORT;
        Effect::Report(request)
    }
}

/// The platform loses rows with NUL characters.
fn clean(text: &str) -> String {
    text.replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::{super::tests::body, *};

    #[test]
    fn a_report_carries_what_is_known_and_nothing_else() {
        let report = Report {
            peer: "p",
            summary: "s".repeat(300),
            result: Some("a\0b"),
            error: Some("e".repeat(5_000)),
            ..Report::default()
        };
        let Effect::Report(request) = report.received(0, "w") else { panic!("no report") };

        assert_eq!(request.path, ["workspaces", "w", "activity"]);
        assert_eq!(
            body(&request),
            json!({
                "activity_type": "a2a_receive",
                "source_id": "w",
                "target_id": "p",
                "method": "message/send",
                "summary": "s".repeat(SUMMARY_CHARS),
                "status": "error",
                "response_body": {"result": "ab"},
                "error_detail": "e".repeat(ERROR_CHARS),
            })
        );
    }
}

//! What became of a message that the platform keeps for a busy peer.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    MIB, PlatformError,
    delegations::{Delegation, Reply},
    fate::{self, Fate},
    get, read,
};
use crate::{dialogue::Host, wire::Workspace};

/// The entry `id` of the platform's queue, as a delegation of its own kind. `None` if the platform
/// does not know it, or `own` neither sent nor received it.
///
/// Newer platforms keep the peer's answer here; with older ones it is lost.
pub(crate) async fn find(
    host: &Host,
    workspace: Workspace,
    own: &str,
    id: &str,
) -> Result<Option<Delegation>, PlatformError> {
    // Of anything else the platform says that it is broken.
    if Uuid::try_parse(id).is_err() {
        return Ok(None);
    }
    let mut request = get(workspace, ["workspaces", own, "a2a", "queue", id]);
    request.identify = true;
    request.limits.body_bytes = 8 * MIB;
    match read(&host.send(request).await?) {
        Ok(entry) => Ok(Some(delegation(id, entry))),
        Err(PlatformError::Status { status: 403 | 404, .. }) => Ok(None),
        Err(why) => Err(why),
    }
}

fn delegation(id: &str, entry: Map<String, Value>) -> Delegation {
    let word = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (mut status, mut error) = (word("status").to_lowercase(), word("last_error"));
    let mut reply = Reply::Missing;
    match entry.get("response_body").and_then(Value::as_object).map(fate::read_envelope) {
        Some(Fate::Answered(words)) => reply = Reply::Whole(words),
        Some(Fate::Failed { why, words }) => {
            status = "failed".to_owned();
            error = if words.is_empty() { why } else { format!("{why}: {words}") };
        }
        Some(Fate::Stored) => reply = Reply::Stored,
        Some(Fate::NotSent { .. } | Fate::Queued { .. } | Fate::Unknown { .. }) | None => {}
    }
    if status == "dropped" {
        status = "failed".to_owned();
        error = "the platform dropped it from its queue".to_owned();
    }
    let row = [("target_id", "workspace_id"), ("created_at", "enqueued_at"), ("updated_at", "completed_at")]
        .into_iter()
        .filter_map(|(key, column)| Some((key.to_owned(), entry.get(column)?.clone())))
        .collect();
    Delegation { id: id.to_owned(), status, reply, error, row }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::responded, *};
    use crate::testing::play;

    const ID: &str = "44444444-4444-4444-8444-444444444444";

    #[test]
    fn the_late_answer_of_a_busy_peer_is_found() {
        let answer =
            json!({"jsonrpc": "2.0", "id": "x", "result": {"parts": [{"kind": "text", "text": "late"}]}});
        let refusal = json!({"jsonrpc": "2.0", "id": "x", "error": {"code": 7, "message": "no"}});
        for (entry, status, reply, error) in [
            (json!({"status": "queued", "attempts": 0}), "queued", Reply::Missing, ""),
            (
                json!({"status": "completed", "response_body": answer}),
                "completed",
                Reply::Whole("late".to_owned()),
                "",
            ),
            (
                json!({"status": "completed", "response_body": refusal}),
                "failed",
                Reply::Missing,
                "its agent answered with an error (code=7): no",
            ),
            (
                json!({"status": "completed", "response_body": "eyJ0ZXh0Ijoi"}),
                "completed",
                Reply::Missing,
                "",
            ),
            (json!({"status": "failed", "last_error": "HTTP 500"}), "failed", Reply::Missing, "HTTP 500"),
            (
                json!({"status": "dropped"}),
                "failed",
                Reply::Missing,
                "the platform dropped it from its queue",
            ),
        ] {
            let found = ask(200, &entry).unwrap().unwrap();
            assert_eq!(
                (found.status.as_str(), found.reply, found.error.as_str()),
                (status, reply, error),
                "{entry}"
            );
        }
    }

    #[test]
    fn an_entry_of_others_and_an_id_that_is_none_are_nothing() {
        assert_eq!(ask(404, &json!({"error": "queue item not found"})), Ok(None));
        assert_eq!(ask(403, &json!({"error": "access denied"})), Ok(None));
        assert!(ask(500, &json!({"error": "lookup failed"})).is_err());
        assert_eq!(play(async |host| find(&host, 0, "w", "../x").await, |_| panic!("asked")), Ok(None));
    }

    fn ask(status: u16, entry: &Value) -> Result<Option<Delegation>, PlatformError> {
        play(
            async |host| find(&host, 0, "w", ID).await,
            |request| {
                assert_eq!(request.path, ["workspaces", "w", "a2a", "queue", ID]);
                assert!(request.identify);
                responded(status, entry)
            },
        )
    }
}

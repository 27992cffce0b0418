//! Which rows are messages.
//!
//! The tests are made in a fixed order, and never by the method alone: a sender chooses it.
//! What marks a real message is `jsonrpc` in its request, which the platform adds.

use crate::{
    platform::activity::{RequestBody, Row},
    uploads::OwnUploads,
};

/// A longer text is not the platform's note that it has queued something.
const LONGEST_ENVELOPE: usize = 4_096;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// It is no message; whoever asks for what comes after it loses nothing.
    Drop,
    /// It tells of a file that may turn out to be the agent's own.
    Hold,
    /// It tells of a file that the agent has sent, which nothing in the row says: to be dropped, and remembered.
    Own,
    Show(Source),
}

/// Where a message comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// Another workspace, to all of its organisation.
    Broadcast,
    /// The user, or something that speaks in their place.
    Canvas,
    /// The result of a delegation.
    Delegation,
    /// Another workspace.
    Peer,
    /// A file from the user that waits on the platform.
    Upload,
}

/// Judges a row of the workspace `own`.
pub(crate) fn verdict(row: &Row, own: &str, uploads: &OwnUploads) -> Verdict {
    if !(row.activity_type.is_empty() || row.activity_type == "a2a_receive") {
        return Verdict::Drop;
    }
    if let Some(uri) = waiting_file(row) {
        return match uri {
            uri if uploads.contains(uri) => Verdict::Own,
            _ if uploads.in_flight() => Verdict::Hold,
            _ => Verdict::Show(Source::Upload),
        };
    }
    if is_own_notification(row) {
        return Verdict::Drop;
    }
    let from_self = !own.is_empty() && row.source_id.eq_ignore_ascii_case(own);
    if from_self && is_delegation_result(row) {
        let text = row.response.as_ref().map_or("", |response| &response.text);
        return if is_queued_envelope(text) { Verdict::Drop } else { Verdict::Show(Source::Delegation) };
    }
    // An own report, or a message to oneself.
    if from_self {
        return Verdict::Drop;
    }
    // Answered at once, when the workspace could still be called; by an agent that said nothing, if there is no
    // answer.
    if row.response.is_some() || (row.was_called && row.status == "ok") {
        return Verdict::Drop;
    }
    Verdict::Show(if row.source_id.is_empty() { Source::Canvas } else { Source::Peer })
}

/// The address of the file that waits on the platform, if the row tells of one.
fn waiting_file(row: &Row) -> Option<&str> {
    let RequestBody { fields, file, .. } = row.request.as_ref()?;
    let told_by_platform =
        row.method == "chat_upload_receive" && row.source_id.is_empty() && *fields == 5 && file.fields == 5;
    told_by_platform.then_some(file.uri.as_str())
}

/// The agent's own message to the user, coming back.
fn is_own_notification(row: &Row) -> bool {
    row.method == "notify"
        && row.source_id.is_empty()
        && row.target_id.is_empty()
        && row.request.is_none()
        && row.response.as_ref().is_some_and(|response| response.has_result)
}

/// The addresses of the files that came with the agent's own message to the user.
pub(crate) fn sent_files(row: &Row) -> impl Iterator<Item = &str> {
    let response = row.response.as_ref().filter(|_| is_own_notification(row));
    let attachments = response.into_iter().flat_map(|response| &response.parts.attachments);
    attachments.filter_map(|attachment| attachment.uri.as_deref())
}

fn is_delegation_result(row: &Row) -> bool {
    row.method == "delegate_result"
        && row.target_id.is_empty()
        && row.request.as_ref().is_some_and(|request| request.fields == 1 && request.delegation_id.is_some())
}

/// The platform's note that the peer will find the task later. The answer to it comes as a message.
fn is_queued_envelope(text: &str) -> bool {
    if text.len() > LONGEST_ENVELOPE {
        return false;
    }
    let Ok(serde_json::Value::Object(envelope)) = serde_json::from_str(text) else {
        return false;
    };
    let says = |key: &str, word: &str| envelope.get(key).and_then(|value| value.as_str()) == Some(word);
    let stored = says("status", "queued") && says("delivery_mode", "poll");
    let busy = envelope.get("queued") == Some(&true.into()) && envelope.contains_key("queue_id");
    stored || busy
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        inbox::rig::{row, rows},
        testing::world,
        uploads::InFlight,
    };

    const OWN: &str = "11111111-1111-4111-8111-111111111111";
    const PEER: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn words_of_users_and_peers_are_messages() {
        assert_eq!(judged(&message()), Verdict::Show(Source::Canvas));
        assert_eq!(judged(&with(&message(), &json!({"source_id": PEER}))), Verdict::Show(Source::Peer));
        assert_eq!(judged(&json!({"id": "a"})), Verdict::Show(Source::Canvas));
    }

    #[test]
    fn the_summary_of_a_newer_platform_changes_nothing() {
        for summary in ["message/send → ext-1 (ingest)", "Agent message: hi", "Delegation failed"] {
            let row = with(&message(), &json!({"summary": summary}));
            assert_eq!(judged(&row), Verdict::Show(Source::Canvas), "{summary}");
        }
    }

    #[test]
    fn rows_of_another_type_are_no_messages() {
        assert_eq!(judged(&with(&message(), &json!({"activity_type": "delegation"}))), Verdict::Drop);
    }

    #[test]
    fn an_own_notification_is_dropped_and_a_message_that_poses_as_one_is_kept() {
        let own = json!({"id": "a", "method": "notify", "source_id": null, "target_id": null,
            "summary": "Agent message: hi", "response_body": {"result": "hi"}});
        assert_eq!(judged(&own), Verdict::Drop);

        let posing = with(&message(), &json!({"method": "notify"}));
        assert_eq!(judged(&posing), Verdict::Show(Source::Canvas));
        assert_eq!(judged(&with(&posing, &json!({"source_id": PEER}))), Verdict::Show(Source::Peer));
    }

    #[test]
    fn an_own_report_is_dropped_and_that_of_another_kept() {
        let own = json!({"id": "a", "source_id": OWN, "target_id": null, "method": null, "request_body": {"task": "t"}});
        assert_eq!(judged(&own), Verdict::Drop);
        assert_eq!(judged(&with(&own, &json!({"source_id": OWN.to_uppercase()}))), Verdict::Drop);
        assert_eq!(judged(&with(&own, &json!({"source_id": PEER}))), Verdict::Show(Source::Peer));
        assert_eq!(judged(&with(&own, &json!({"source_id": ""}))), Verdict::Show(Source::Canvas));
    }

    #[test]
    fn a_message_to_oneself_has_no_authority() {
        assert_eq!(judged(&with(&message(), &json!({"source_id": OWN}))), Verdict::Drop);
        let forged = with(&message(), &json!({"source_id": OWN, "method": "delegate_result"}));
        assert_eq!(judged(&forged), Verdict::Drop);
    }

    #[test]
    fn a_delegation_result_is_kept_and_a_message_that_poses_as_one_is_an_ordinary_one() {
        assert_eq!(judged(&result("pong")), Verdict::Show(Source::Delegation));
        assert_eq!(
            judged(&with(&result(""), &json!({"status": "error"}))),
            Verdict::Show(Source::Delegation)
        );

        let posing = with(&message(), &json!({"source_id": PEER, "method": "delegate_result"}));
        assert_eq!(judged(&posing), Verdict::Show(Source::Peer));
    }

    #[test]
    fn a_queued_envelope_is_no_result_and_other_json_is_one() {
        let poll = json!({"status": "queued", "delivery_mode": "poll", "method": "message/send"});
        let busy = json!({"queued": true, "queue_id": "q", "queue_depth": 1});
        assert_eq!(judged(&result(&poll.to_string())), Verdict::Drop);
        assert_eq!(judged(&result(&busy.to_string())), Verdict::Drop);

        for text in [r#"{"status":"queued"}"#, r#"{"queued":true}"#, "queued", "[]"] {
            assert_eq!(judged(&result(text)), Verdict::Show(Source::Delegation), "{text}");
        }
    }

    #[test]
    fn rows_that_were_answered_at_once_are_dropped_and_undelivered_ones_are_kept() {
        for response in [json!({"result": "pong"}), json!("text"), json!(false)] {
            assert_eq!(judged(&with(&message(), &json!({"response_body": response}))), Verdict::Drop);
        }
        for response in [json!({}), json!({"response_body": null})] {
            let called = with(&with(&message(), &response), &json!({"duration_ms": 12}));
            assert_eq!(judged(&called), Verdict::Drop, "{response}");
            let undelivered = with(&called, &json!({"status": "error", "error_detail": "EOF"}));
            assert_eq!(judged(&undelivered), Verdict::Show(Source::Canvas), "{response}");
        }
    }

    #[test]
    fn a_field_that_is_null_is_as_good_as_missing() {
        let nulls = json!({"response_body": null, "duration_ms": null, "tool_trace": null});
        assert_eq!(judged(&with(&message(), &nulls)), Verdict::Show(Source::Canvas));

        let own = json!({"id": "a", "method": "notify", "source_id": null, "target_id": null,
            "request_body": null, "response_body": {"result": "hi"}});
        assert_eq!(judged(&own), Verdict::Drop);
        let mut file = upload("user");
        file["request_body"]["jsonrpc"] = json!(null);
        assert_eq!(judged(&file), Verdict::Show(Source::Upload));
        let mut result = result("pong");
        result["request_body"]["error"] = json!(null);
        assert_eq!(judged(&result), Verdict::Show(Source::Delegation));
    }

    #[test]
    fn a_field_that_is_null_is_as_good_as_missing_also_beside_what_cannot_be_read() {
        let odd =
            r#"[{"id":"a","method":"message/send","status":"ok","response_body":null,"summary":"\ud800"}]"#;
        assert_eq!(verdict(&rows(odd)[0], OWN, &OwnUploads::default()), Verdict::Show(Source::Canvas));
    }

    #[test]
    fn a_file_of_the_user_is_kept_and_an_own_one_is_dropped() {
        let mut uploads = OwnUploads::default();
        uploads.note("platform-pending:w/own");

        let judged = |json: &Value| verdict(&row(json), OWN, &uploads);

        assert_eq!(judged(&upload("user")), Verdict::Show(Source::Upload));
        assert_eq!(judged(&upload("own")), Verdict::Own);
    }

    #[test]
    fn an_own_message_to_the_user_names_own_files_and_one_that_poses_as_such_does_not() {
        let own = json!({"id": "a", "method": "notify", "response_body": {"result": "see", "parts": [
            {"kind": "file", "file": {"uri": "platform-pending:w/own", "name": "a.png"}}]}});
        let sent = |json: &Value| sent_files(&row(json)).map(str::to_owned).collect::<Vec<_>>();

        assert_eq!(sent(&own), ["platform-pending:w/own"]);
        for posing in [json!({"source_id": PEER}), json!({"request_body": {}}), json!({"method": "x"})] {
            assert_eq!(sent(&with(&own, &posing)), [] as [&str; 0], "{posing}");
        }
    }

    #[test]
    fn a_message_that_poses_as_a_file_is_a_message() {
        let posing = with(&message(), &json!({"method": "chat_upload_receive"}));
        assert_eq!(judged(&posing), Verdict::Show(Source::Canvas));

        let mut with_protocol = upload("user");
        with_protocol["request_body"]["jsonrpc"] = json!("2.0");
        assert_eq!(judged(&with_protocol), Verdict::Show(Source::Canvas));
        assert_eq!(judged(&with(&upload("user"), &json!({"source_id": PEER}))), Verdict::Show(Source::Peer));
    }

    #[test]
    fn files_wait_while_an_own_upload_is_on_its_way_and_messages_do_not() {
        let world = world();
        let _upload = InFlight::begin(&world);
        let judged = |json: &Value| verdict(&row(json), OWN, &world.own_uploads.borrow());

        assert_eq!(judged(&upload("user")), Verdict::Hold);
        assert_eq!(judged(&message()), Verdict::Show(Source::Canvas));
    }

    fn judged(json: &Value) -> Verdict {
        verdict(&row(json), OWN, &OwnUploads::default())
    }

    fn message() -> Value {
        json!({"id": "a", "activity_type": "a2a_receive", "source_id": null, "target_id": OWN, "method": "message/send",
            "summary": "message/send → ext-1 (queued for poll)", "status": "ok", "error_detail": null,
            "request_body": {"jsonrpc": "2.0", "id": "x", "method": "message/send",
                "params": {"message": {"role": "user", "parts": [{"kind": "text", "text": "hi"}]}}}})
    }

    fn result(text: &str) -> Value {
        json!({"id": "a", "activity_type": "a2a_receive", "source_id": OWN, "target_id": null,
            "method": "delegate_result", "status": "ok", "summary": "Delegation result delivered",
            "request_body": {"delegation_id": "d"}, "response_body": {"text": text, "delegation_id": "d"}})
    }

    fn upload(file_id: &str) -> Value {
        json!({"id": "a", "activity_type": "a2a_receive", "source_id": null, "target_id": OWN,
            "method": "chat_upload_receive", "summary": "chat_upload_receive: a.txt", "status": "ok",
            "request_body": {"uri": format!("platform-pending:w/{file_id}"), "name": "a.txt", "size": 5,
                "file_id": file_id, "mimeType": "text/plain"}})
    }

    fn with(row: &Value, fields: &Value) -> Value {
        let mut row = row.clone();
        for (key, value) in fields.as_object().unwrap() {
            row[key] = value.clone();
        }
        row
    }
}

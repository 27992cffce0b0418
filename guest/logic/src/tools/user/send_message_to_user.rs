//! `send_message_to_user`: words and files for the person at the canvas.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attachments::{self, Attachments};
use crate::{
    dialogue::Host,
    permissions::Action,
    platform::{
        PlatformError,
        messages::{self, NotifyError, REQUEST_BYTES},
    },
    text::untrusted,
    tools::kit::{Facts, Failure, Selector, Spec, Text, Tool, advice, after_colon, may_have_happened},
    world::World,
};

/// Most files with one message.
const FILES: usize = 10;

/// Longest message as JSON; the rest of a request is for what the platform says of the files.
const MESSAGE_BYTES: usize = REQUEST_BYTES - (64 << 10);

pub(in crate::tools) struct SendMessageToUser;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// What the user reads. Required even with attachments, as their caption. DO NOT paste file URLs
    /// here: in SaaS deployments the user cannot reach other file hosts. Use attachments instead.
    message: Text,
    /// REQUIRED for any file delivery, in place of pasting URLs, base64-encoding the content or
    /// telling the user to look at a path, none of which reaches a user of SaaS deployments. Absolute
    /// paths of files on the machine that runs this server: at most 10, up to 25 MB per file. Write a
    /// file first if it does not exist yet. Each is uploaded and shown as a download chip with icon,
    /// name and size.
    #[serde(
        default,
        alias = "attachment",
        alias = "file",
        alias = "files",
        alias = "file_paths",
        alias = "paths"
    )]
    #[schemars(with = "Vec<String>")]
    attachments: Attachments,
    /// Only with several workspaces: the one on whose canvas the message appears, for a reply the
    /// arrival_workspace_id of the message. If left out, the one whose user has written.
    #[serde(default)]
    workspace_id: Selector,
}

/// A message that was shown.
#[derive(Serialize, JsonSchema)]
pub(in crate::tools) struct Sent {
    /// How many files went with it.
    attachments: usize,
    /// With several workspaces: the one on whose canvas it appears.
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_id: Option<String>,
}

impl Tool for SendMessageToUser {
    const SPEC: Spec = Spec {
        name: "send_message_to_user",
        title: "Message the user",
        description: "Sends a message to the user: it appears at once in their canvas chat. This is also the reply \
                      to a message of the kind canvas_user in the inbox (inbox_peek): call inbox_pop for that \
                      message after it. Use it through the whole life of a task: acknowledge \
                      the request before you begin, report progress while you work, deliver results as a \
                      follow-up, and attach files by naming their absolute paths in attachments. NEVER paste \
                      file URLs into the message.",
        read_only: false,
        idempotent: false,
        always_load: true,
        inbox: false,
        action: Some(Action::MessageUser),
    };

    type Arguments = Arguments;
    type Facts = Sent;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Sent, Failure> {
        let Arguments { message: Text(message), attachments: Attachments(paths), workspace_id } = arguments;
        check(&message, &paths)?;
        let workspace = workspace_id.or_of_user(&world)?;
        let sent = paths.len();
        let files = attachments::upload(&host, &world, workspace, paths).await?;
        messages::notify(&host, workspace, world.id(workspace), &message, &files)
            .await
            .map_err(|why| not_sent(&why))?;
        let workspace_id = world.acts_for_several().then(|| world.id(workspace).to_owned());
        Ok(Sent { attachments: sent, workspace_id })
    }
}

impl Facts for Sent {
    fn text(&self, _world: &World) -> String {
        let files = match self.attachments {
            0 => String::new(),
            files => format!(" with {files} attachment(s)"),
        };
        let whose = self.workspace_id.as_ref().map(|id| format!(" of workspace {id}")).unwrap_or_default();
        format!("Message sent to user{files}{whose}")
    }
}

/// Refuses what cannot be sent, before anything is uploaded.
fn check(message: &str, paths: &[String]) -> Result<(), Failure> {
    if message.is_empty() {
        return Err(Failure::new("Error: message is required"));
    }
    if paths.len() > FILES {
        return Err(Failure::new(format!(
            "Error: a message carries at most {FILES} attachments, not {}. Nothing was sent; use several messages, \
             or pack the files into one.",
            paths.len()
        )));
    }
    if Value::from(message).to_string().len() > MESSAGE_BYTES {
        return Err(Failure::new(format!(
            "Error: the message is too long: at most {} KiB can be sent at once. Nothing was sent; shorten it, or \
             write it to a file and attach that.",
            MESSAGE_BYTES >> 10
        )));
    }
    Ok(())
}

fn not_sent(why: &NotifyError) -> Failure {
    let why = match why {
        NotifyError::Disabled { hint } => {
            let hint = untrusted::one_line(hint, 500);
            return Failure::new(format!(
                "Error: this workspace may not message the user (talk_to_user_disabled). {hint} Use delegate_task to \
                 tell your parent or a supervisor instead, who can tell the user."
            ));
        }
        NotifyError::Failed(why) => why,
    };
    let next = if may_have_happened(why) {
        "Whether the user got the message is unknown. Do not send it again: it may appear twice. Go on, and \
         mention it the next time you write."
            .to_owned()
    } else {
        format!("Nothing was sent. {}", advice(why))
    };
    Failure::new(match why {
        PlatformError::Status { status, said, .. } => {
            format!("Error: platform returned {status}{}. {next}", after_colon(said))
        }
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Unreachable { .. } => format!("Error sending message: {why}. {next}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        platform::tests::{page, responded, unreachable},
        testing::{Call, OWN, assert_says, world},
        wire::{Next, Outcome, PlatformResponse, UploadRequest},
    };

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says(
            "send_message_to_user",
            &[
                "NEVER paste file URLs",
                "canvas chat",
                "canvas_user",
                "inbox_pop",
                "acknowledge",
                "progress",
                "follow-up",
                "attachments",
                "absolute paths",
            ],
            &[
                ("message", "DO NOT paste file URLs"),
                ("message", "SaaS deployments"),
                ("attachments", "REQUIRED for any file delivery"),
                ("attachments", "pasting URLs"),
                ("attachments", "base64-encoding"),
                ("attachments", "telling the user to look at a path"),
                ("attachments", "SaaS deployments"),
                ("attachments", "25 MB per file"),
            ],
        );
    }

    #[test]
    fn a_message_is_sent_alone_and_said_to_be_sent() {
        let mut call = open(&json!({"message": "Do\0ne"}));
        assert_eq!(call.request().path, ["workspaces", OWN, "notify"]);
        assert_eq!(call.body(), json!({"message": "Done"}));

        call.then(responded(200, &json!({"status": "sent"})), 5);

        assert_eq!(call.text(), "Message sent to user");
        assert!(!call.answer().is_error);
    }

    #[test]
    fn files_are_uploaded_first_and_passed_on_as_the_platform_describes_them() {
        let world = world();
        let files = json!([
            {"uri": "platform-pending:w/f1", "name": "a.txt", "mimeType": "text/plain", "size": 12},
            {"uri": "workspace:/b.bin", "name": "b.bin", "mimeType": "", "size": 3, "new": [1]},
        ]);
        let arguments = json!({"message": "see", "attachments": ["/tmp/a.txt", {"path": "/tmp/b.bin"}]});
        let mut call = Call::open(&world, "send_message_to_user", &arguments);
        assert_eq!(upload(&call).files, ["/tmp/a.txt", "/tmp/b.bin"]);
        assert!(world.own_uploads.borrow().in_flight());

        call.then(responded(200, &json!({"files": files})), 5);
        assert_eq!(call.body(), json!({"message": "see", "attachments": files}));
        assert!(world.own_uploads.borrow().contains("platform-pending:w/f1"));
        assert!(!world.own_uploads.borrow().in_flight());
        call.then(responded(200, &json!({"status": "sent"})), 9);

        assert_eq!(call.text(), "Message sent to user with 2 attachment(s)");
    }

    #[test]
    fn a_message_is_required_also_with_files() {
        for arguments in [json!({}), json!({"message": "", "attachments": ["/a"]}), json!({"message": "\0"})]
        {
            assert_eq!(open(&arguments).text(), "Error: message is required");
        }
    }

    #[test]
    fn a_message_never_goes_out_with_fewer_files_than_were_named() {
        for attachments in [json!("/a"), json!(r#"["/a"]"#), json!(["/a"]), json!([{"path": "/a"}])] {
            for name in ["attachments", "attachment", "files", "file", "paths", "file_paths"] {
                let call = open(&json!({"message": "m", name: attachments}));
                assert_eq!(upload(&call).files, ["/a"], "{name}: {attachments}");
            }
        }
        for attachments in [json!(["/a", 5]), json!(["/a", ""]), json!([null]), json!("['/a']"), json!(true)]
        {
            let call = open(&json!({"message": "m", "attachments": attachments}));
            let said = "Error: the argument attachments does not fit: ";
            assert!(call.answer().is_error && call.text().starts_with(said), "{}", call.text());
            assert!(call.text().contains("Nothing was done."), "{}", call.text());
        }
        let call = open(&json!({"message": "m", "attachments": ["/a"], "file": "/b"}));
        assert!(call.answer().is_error, "{}", call.text());
    }

    #[test]
    fn ten_files_go_with_a_message_and_eleven_do_not() {
        let files = |count| json!({"message": "m", "attachments": vec!["/a"; count]});

        assert_eq!(upload(&open(&files(10))).files.len(), 10);
        assert!(
            open(&files(11)).text().starts_with("Error: a message carries at most 10 attachments, not 11.")
        );
    }

    #[test]
    fn no_request_is_larger_than_a_platform_takes() {
        let longest = "x".repeat(super::MESSAGE_BYTES - 2);
        let mut call = open(&json!({"message": longest, "attachments": ["/a"]}));
        call.then(responded(200, &json!({"files": [{"uri": "u", "name": "n".repeat(60_000)}]})), 5);
        assert!(call.request().body.as_ref().unwrap().len() <= super::REQUEST_BYTES);

        let mut call = open(&json!({"message": longest, "attachments": ["/a"]}));
        call.then(responded(200, &json!({"files": [{"uri": "u", "name": "n".repeat(70_000)}]})), 5);
        assert!(call.text().contains("larger than 1 MiB. Nothing was sent."), "{}", call.text());

        let call = open(&json!({"message": "x".repeat(super::MESSAGE_BYTES)}));
        assert!(call.text().starts_with("Error: the message is too long: at most 960 KiB"));
    }

    #[test]
    fn a_file_that_cannot_be_sent_stops_everything() {
        for (why, text) in [
            ("attachment not found: /a", "Error: attachment not found: /a. Nothing was sent."),
            ("reading /a: permission denied", "Error reading /a: permission denied. Nothing was sent."),
        ] {
            let mut call = open(&json!({"message": "m", "attachments": ["/a"]}));
            call.then(Outcome::Refused(why.to_owned()), 5);
            assert!(call.text().starts_with(text), "{}", call.text());
            assert!(call.answer().is_error);
        }
    }

    #[test]
    fn an_upload_that_failed_sends_no_message() {
        for (outcome, text) in [
            (
                responded(500, &json!({"error": "could not stage files"})),
                "Error: chat/uploads returned 500: could",
            ),
            (page(), "Error parsing upload response: "),
            (unreachable(true), "Error uploading attachments: connection reset"),
            (Outcome::Overflowed, "Error uploading attachments: "),
            (responded(200, &json!({"files": [{}]})), "Error: upload returned 1 entries for 2 files"),
            (responded(200, &json!({"files": "none"})), "Error: upload returned 0 entries for 2 files"),
            (responded(200, &json!([])), "Error: upload returned 0 entries for 2 files"),
        ] {
            let mut call = open(&json!({"message": "m", "attachments": ["/a", "/b"]}));
            call.then(outcome, 5);
            assert!(call.text().starts_with(text), "{}", call.text());
            assert!(call.text().contains("No message was sent"), "{}", call.text());
            assert!(call.answer().is_error);
        }
    }

    #[test]
    fn a_platform_that_takes_no_files_is_not_asked_again() {
        for (status, error) in
            [(503, "workspace url not registered yet"), (422, "workspace has no callback URL")]
        {
            let mut call = open(&json!({"message": "m", "attachments": ["/a"]}));
            call.then(responded(status, &json!({"error": error})), 5);
            assert!(call.text().ends_with("send the content as text."), "{}", call.text());
        }
    }

    #[test]
    fn an_upload_given_up_holds_nothing_back() {
        let world = world();
        let arguments = json!({"message": "m", "attachments": ["/a"]});
        let call = Call::open(&world, "send_message_to_user", &arguments);

        call.dialogue.cancel(5);

        assert!(!world.own_uploads.borrow().in_flight());
    }

    #[test]
    fn after_a_lost_answer_the_message_is_not_sent_again() {
        for outcome in [unreachable(true), page(), Outcome::Overflowed, responded(504, &json!({}))] {
            let mut call = open(&json!({"message": "m"}));
            call.then(outcome, 5);
            assert!(call.text().starts_with("Error"), "{}", call.text());
            assert!(call.text().contains("unknown. Do not send it again"), "{}", call.text());
        }
    }

    #[test]
    fn a_message_that_surely_did_not_leave_is_sent_once_more() {
        let mut call = open(&json!({"message": "m"}));
        call.then(unreachable(false), 100);
        let Next::Rest(rest) = &call.turn.next else { panic!("{:?}", call.turn.next) };
        assert_eq!(rest.until, 1_100);
        call.then(Outcome::Rested, 1_100);
        assert_eq!(call.body(), json!({"message": "m"}));

        call.then(unreachable(false), 1_200);

        assert!(
            call.text().starts_with("Error sending message: connection reset. Nothing was sent."),
            "{}",
            call.text()
        );
    }

    #[test]
    fn a_workspace_that_may_not_speak_is_told_whom_to_ask() {
        let mut call = open(&json!({"message": "m"}));
        call.then(responded(403, &json!({"error": "talk_to_user_disabled", "hint": "Ask\nyour lead."})), 5);
        assert!(call.text().contains("Ask your lead. Use delegate_task"), "{}", call.text());

        let mut call = open(&json!({"message": "m"}));
        call.then(responded(403, &json!({"error": "forbidden"})), 5);
        assert!(call.text().starts_with("Error: platform returned 403: forbidden."), "{}", call.text());
    }

    #[test]
    fn another_status_is_told_with_the_next_step() {
        let mut call = open(&json!({"message": "m"}));
        call.then(responded(503, &json!({"error": "busy"})), 5);
        assert_eq!(
            call.text(),
            "Error: platform returned 503: busy. Nothing was sent. Try again in a minute."
        );

        let mut call = open(&json!({"message": "m"}));
        call.then(
            Outcome::Responded(PlatformResponse {
                status: 429,
                json: true,
                retry_after_ms: Some(12_000),
                server_time_ms: None,
                body: Vec::new(),
            }),
            5,
        );
        assert!(call.text().ends_with("This is a rate limit: try again in 12 s."), "{}", call.text());
    }

    fn open(arguments: &Value) -> Call {
        Call::open(&world(), "send_message_to_user", arguments)
    }

    /// The upload that the call waits for.
    fn upload(call: &Call) -> &UploadRequest {
        let Next::Upload(request) = &call.turn.next else { panic!("not an upload: {:?}", call.turn.next) };
        request
    }
}

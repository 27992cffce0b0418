//! Files for the user: from whatever an agent names to what the platform knows them as.

use std::rc::Rc;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::{
    dialogue::Host,
    inbox,
    platform::{PlatformError, messages},
    tools::kit::{Failure, advice, after_colon, arguments},
    uploads::InFlight,
    wire::Workspace,
    world::World,
};

/// The paths of files. Each entry is a text, or an object with a `path` or `file_path`; with any other entry
/// the call is refused.
#[derive(Debug, Default, PartialEq)]
pub(in crate::tools) struct Attachments(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Attachments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        arguments::all(Value::deserialize(deserializer)?, "path", path).map(Self).map_err(de::Error::custom)
    }
}

/// Uploads files and notes them as own: what the platform says of each.
pub(super) async fn upload(
    host: &Host,
    world: &Rc<World>,
    workspace: Workspace,
    paths: Vec<String>,
) -> Result<Vec<Value>, Failure> {
    let sent = paths.len();
    if sent == 0 {
        return Ok(Vec::new());
    }
    let _in_flight = InFlight::begin(world);
    let files = messages::upload(host, workspace, paths).await.map_err(|why| not_uploaded(&why))?;
    let addresses: Vec<&str> = files.iter().filter_map(|file| file["uri"].as_str()).collect();
    addresses.iter().for_each(|address| world.own_uploads.borrow_mut().note(address));
    inbox::sent_files(host, world, workspace, &addresses).await;
    if files.len() != sent {
        return Err(Failure::new(format!(
            "Error: upload returned {} entries for {sent} files. No message was sent; try again, or send the \
             content as text.",
            files.len()
        )));
    }
    Ok(files)
}

fn not_uploaded(why: &PlatformError) -> Failure {
    const NO_FILES: &str = "This platform takes no files from this workspace: send the content as text.";
    Failure::new(match why {
        PlatformError::Refused(why) => {
            // "Error reading" is the one reason that goes on without a colon.
            let colon = if why.starts_with("reading ") { "" } else { ":" };
            format!("Error{colon} {why}. Nothing was sent. Correct attachments, then call again.")
        }
        PlatformError::Shape(_) => {
            format!("Error parsing upload response: {why}. No message was sent. {NO_FILES}")
        }
        PlatformError::Status { status, said, .. } => {
            let permanent = *status == 422 || said.contains("url not registered");
            let next = if permanent { NO_FILES.to_owned() } else { advice(why) };
            format!("Error: chat/uploads returned {status}{}. No message was sent. {next}", after_colon(said))
        }
        PlatformError::Overflowed | PlatformError::Unreachable { .. } => {
            format!("Error uploading attachments: {why}. No message was sent. {}", advice(why))
        }
    })
}

fn path(entry: &Value) -> Option<String> {
    let path = entry.as_str().or_else(|| entry["path"].as_str()).or_else(|| entry["file_path"].as_str())?;
    (!path.trim().is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_read_however_they_are_written() {
        for (given, paths) in [
            (json!(["/a", "/b"]), vec!["/a", "/b"]),
            (json!([{"path": "/a"}, {"file_path": "/b", "name": "b"}]), vec!["/a", "/b"]),
            (json!("/a"), vec!["/a"]),
            (json!(r#"["/a", "/b"]"#), vec!["/a", "/b"]),
            (json!(r#"[{"path": "/a"}]"#), vec!["/a"]),
            (json!({"path": "/a"}), vec!["/a"]),
            (json!(r#"{"path": "/a"}"#), vec!["/a"]),
            (json!([]), vec![]),
            (json!(null), vec![]),
            (json!(""), vec![]),
        ] {
            let expected = Attachments(paths.into_iter().map(str::to_owned).collect());
            assert_eq!(serde_json::from_value::<Attachments>(given).unwrap(), expected);
        }
    }

    #[test]
    fn an_entry_that_is_no_path_refuses_the_whole_list() {
        for (given, why) in [
            (json!(["/a", 5]), "entry 2 is no path: 5"),
            (json!(["/a", ""]), r#"entry 2 is no path: """#),
            (json!([null]), "entry 1 is no path: null"),
            (json!([{"uri": "x"}]), r#"entry 1 is no path: {"uri":"x"}"#),
            (json!([["/b"]]), r#"entry 1 is no path: ["/b"]"#),
            (json!({"name": "a"}), r#"entry 1 is no path: {"name":"a"}"#),
            (json!(true), "true is no list"),
            (json!("['/a']"), "this text is no list as JSON: ['/a']"),
        ] {
            assert_eq!(serde_json::from_value::<Attachments>(given).unwrap_err().to_string(), why);
        }
    }
}

//! Files for the user: from whatever an agent names to what the platform knows them as.

use std::rc::Rc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    Failure,
    advice::{advice, after_colon},
};
use crate::{
    dialogue::Host,
    platform::{PlatformError, messages},
    uploads::InFlight,
    wire::Workspace,
    world::World,
};

/// The paths, and how much else there was.
///
/// Of an array the texts count, and objects with a path. A value that is no array is one entry that
/// is no path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Attachments {
    pub(super) paths: Vec<String>,
    /// How many entries were no paths.
    pub(super) ignored: usize,
}

impl<'de> Deserialize<'de> for Attachments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = match Value::deserialize(deserializer)? {
            Value::Array(entries) => entries,
            Value::Null => Vec::new(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return Ok(Self { paths: Vec::new(), ignored: usize::from(other != "") });
            }
        };
        let given = entries.len();
        let paths: Vec<_> = entries.iter().filter_map(path).collect();
        Ok(Self { ignored: given.saturating_sub(paths.len()), paths })
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
    let mut own = world.own_uploads.borrow_mut();
    files.iter().filter_map(|file| file["uri"].as_str()).for_each(|address| own.note(address));
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
    (!path.is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_paths_count_and_the_rest_is_counted() {
        for (given, paths, ignored) in [
            (json!(["/a", "/b"]), vec!["/a", "/b"], 0),
            (json!([{"path": "/a"}, {"file_path": "/b", "name": "b"}]), vec!["/a", "/b"], 0),
            (json!(["/a", 5, "", null, {"uri": "x"}, ["/b"]]), vec!["/a"], 5),
            (json!([]), vec![], 0),
            (json!(null), vec![], 0),
            (json!(""), vec![], 0),
            (json!("/a"), vec![], 1),
            (json!({"path": "/a"}), vec![], 1),
        ] {
            let expected = Attachments { paths: paths.into_iter().map(str::to_owned).collect(), ignored };
            assert_eq!(serde_json::from_value::<Attachments>(given).unwrap(), expected);
        }
    }
}

//! The inbox of a session of Claude Code: a Unix socket, one line a message, and nothing ever comes back.
//!
//! It is named in the environment of the servers that the client starts, and in the file of its session.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::UnixStream, time};

use super::{
    door::{Door, Shut},
    surroundings::{Messaging, SessionToken, Surroundings, own_file},
};
use crate::mcp::Introduction;

/// A client that is alive takes a line at once.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Claude {
    given: Messaging,
    sessions: Option<PathBuf>,
    ancestors: Vec<u32>,
}

/// As much of the file of a session as is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionFile {
    messaging_socket_path: PathBuf,
}

impl Claude {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        let home = surroundings.claude_home.clone();
        let home = home.or_else(|| surroundings.home.as_ref().map(|home| home.join(".claude")));
        Self {
            given: surroundings.claude.clone(),
            sessions: home.map(|home| home.join("sessions")),
            ancestors: surroundings.ancestors.clone(),
        }
    }

    /// Where the session takes messages: as it was told to this process, else as its file says.
    fn sockets(&self) -> impl Iterator<Item = PathBuf> {
        let from_file = |pid: &u32| {
            let text = own_file(&self.sessions.as_ref()?.join(format!("{pid}.json")))?;
            Some(serde_json::from_str::<SessionFile>(&text).ok()?.messaging_socket_path)
        };
        self.given.socket.clone().into_iter().chain(self.ancestors.iter().filter_map(from_file))
    }

    async fn send(&self, notice: &str) -> Result<(), Shut> {
        let mut shut = Shut::new("no-door", "no session of Claude Code says where it takes messages");
        for socket in self.sockets() {
            match time::timeout(PATIENCE, write(&socket, self.given.token.as_ref(), notice)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(cause)) => {
                    shut = Shut::new("door-closed", format!("Claude Code takes no messages: {cause}"))
                }
                Err(_) => shut = Shut::new("door-closed", "Claude Code does not take messages in time"),
            }
        }
        Err(shut)
    }
}

async fn write(socket: &Path, token: Option<&SessionToken>, notice: &str) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let message = json!({"type": "user", "message": {"role": "user", "content": notice}});
    stream.write_all(&lines([auth(token), Some(message)])).await?;
    stream.shutdown().await
}

fn auth(token: Option<&SessionToken>) -> Option<Value> {
    token.map(|token| json!({"type": "auth", "token": token.reveal()}))
}

fn lines<const N: usize>(messages: [Option<Value>; N]) -> Vec<u8> {
    messages.into_iter().flatten().flat_map(|message| format!("{message}\n").into_bytes()).collect()
}

impl Door for Claude {
    fn name(&self) -> &'static str {
        "the inbox of Claude Code"
    }

    fn is_of(&self, client: &Introduction) -> bool {
        client.name == "claude-code"
    }

    fn ring<'a>(&'a self, _client: &'a Introduction, notice: &'a str) -> BoxFuture<'a, Result<(), Shut>> {
        self.send(notice).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;
    use tokio::{io::AsyncReadExt as _, net::UnixListener};

    use super::*;

    const TOLD: &str = "{\"type\":\"auth\",\"token\":\"tok\"}\n\
                        {\"message\":{\"content\":\"a notice\",\"role\":\"user\"},\"type\":\"user\"}\n";

    #[tokio::test]
    async fn a_notice_is_two_lines_to_the_socket_of_the_environment() {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("in.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let claude = Claude::new(&Surroundings::find(|name| match name {
            "CLAUDE_CODE_MESSAGING_SOCKET" => Some(socket.clone().into()),
            "CLAUDE_CODE_MESSAGING_TOKEN" => Some("tok".into()),
            _ => None,
        }));

        let (rung, received) = tokio::join!(claude.send("a notice"), received(&listener));

        assert_eq!(rung, Ok(()));
        let lines: Vec<Value> = received.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected: Vec<Value> = TOLD.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn without_variables_the_file_of_the_parent_says_where() {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("in.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let sessions = directory.path().join("sessions");
        fs::create_dir(&sessions).unwrap();
        fs::write(sessions.join("7.json"), json!({"messagingSocketPath": socket}).to_string()).unwrap();
        let found = Surroundings {
            claude_home: Some(directory.path().to_owned()),
            ancestors: vec![6, 7],
            ..Surroundings::default()
        };
        let claude = Claude::new(&found);

        let (rung, received) = tokio::join!(claude.send("a notice"), received(&listener));

        assert_eq!(rung, Ok(()));
        assert!(!received.contains("auth") && received.contains("a notice"), "{received}");
    }

    #[tokio::test]
    async fn a_socket_that_is_gone_is_a_closed_door_and_none_is_no_door() {
        let gone = Surroundings {
            claude: Messaging { socket: Some("/nowhere/in.sock".into()), token: None },
            ..Surroundings::default()
        };

        assert_eq!(Claude::new(&gone).send("x").await.unwrap_err().code, "door-closed");
        assert_eq!(Claude::new(&Surroundings::default()).send("x").await.unwrap_err().code, "no-door");
    }

    async fn received(listener: &UnixListener) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

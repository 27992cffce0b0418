//! The inbox of a session of Qwen Code: a Unix socket as that of Claude Code, with receipts.
//!
//! ```text
//! auth, message ──► socket of the session
//! own socket    ◄── receipt: delivered, or held for the user
//! ```

use std::{fs, io, path::PathBuf, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time,
};
use uuid::Uuid;

use super::{
    door::{Door, Shut},
    surroundings::{Messaging, Surroundings, own_file},
};
use crate::mcp::Introduction;

/// A client that is alive takes a line at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// A receipt is short.
const MOST_BYTES: u64 = 64 << 10;

pub(super) struct Qwen {
    given: Messaging,
    session: Option<String>,
    sessions: Option<PathBuf>,
    ancestors: Vec<u32>,
}

/// As much of the file of a session as is needed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionFile {
    session_id: String,
}

impl Qwen {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            given: surroundings.qwen.clone(),
            session: surroundings.qwen_session.clone(),
            sessions: surroundings.home.as_ref().map(|home| home.join(".qwen/sessions")),
            ancestors: surroundings.ancestors.clone(),
        }
    }

    /// The id of the session at present: another one begins when the user clears it.
    fn session(&self) -> Option<String> {
        let from_file = |pid: &u32| {
            let text = own_file(&self.sessions.as_ref()?.join(format!("{pid}.json")))?;
            Some(serde_json::from_str::<SessionFile>(&text).ok()?.session_id)
        };
        self.ancestors.iter().find_map(from_file).or_else(|| self.session.clone())
    }

    async fn send(&self, notice: &str) -> Result<(), Shut> {
        let no_door = || Shut::new("no-door", "Qwen Code does not say where its session takes messages");
        let (Some(socket), Some(token)) = (&self.given.socket, &self.given.token) else {
            return Err(no_door());
        };
        let session = self.session().ok_or_else(no_door)?;
        let closed =
            |cause: io::Error| Shut::new("door-closed", format!("Qwen Code takes no messages: {cause}"));
        let own = tempfile::tempdir().map_err(closed)?;
        let from = own.path().join("receipts.sock");
        let receipts = UnixListener::bind(&from).map_err(closed)?;
        let auth = json!({"msgV": 1, "type": "auth", "token": token.reveal()});
        let message = json!({
            "msgV": 1, "msgId": Uuid::new_v4().to_string(), "type": "user", "toSessionId": session, "fromName": "molecule-mcp",
            "from": from, "replyToken": reply_token(),
            "message": {"role": "user", "content": notice},
        });
        let exchange = async {
            let mut stream = UnixStream::connect(socket).await?;
            stream.write_all(format!("{auth}\n{message}\n").as_bytes()).await?;
            stream.shutdown().await?;
            Ok(time::timeout(PATIENCE, receipt(&receipts)).await.ok().flatten())
        };
        let told = time::timeout(2 * PATIENCE, exchange).await;
        drop(fs::remove_file(&from));
        match told {
            Ok(Ok(Some(Receipt::Held))) => {
                Err(Shut::new("held", "Qwen Code holds the notice until the user has looked at it"))
            }
            // The agent's own look into the inbox is the only proof, so a receipt that does not come is no failure.
            Ok(Ok(Some(Receipt::Delivered) | None)) => Ok(()),
            Ok(Err(cause)) => Err(closed(cause)),
            Err(_) => Err(Shut::new("door-closed", "Qwen Code does not take messages in time")),
        }
    }
}

/// 64 hexadecimal digits; nobody ever has to show them, as no reply is wanted.
fn reply_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receipt {
    Delivered,
    Held,
}

/// The first receipt that says either.
async fn receipt(listener: &UnixListener) -> Option<Receipt> {
    loop {
        let (stream, _) = listener.accept().await.ok()?;
        let mut lines = BufReader::new(stream.take(MOST_BYTES)).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("\"held\"") {
                return Some(Receipt::Held);
            }
            if line.contains("\"delivered\"") {
                return Some(Receipt::Delivered);
            }
        }
    }
}

impl Door for Qwen {
    fn name(&self) -> &'static str {
        "the inbox of Qwen Code"
    }

    fn is_of(&self, client: &Introduction) -> bool {
        client.name.starts_with("qwen")
    }

    fn ring<'a>(&'a self, _client: &'a Introduction, notice: &'a str) -> BoxFuture<'a, Result<(), Shut>> {
        self.send(notice).boxed()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_notice_goes_to_the_session_and_its_receipt_counts() {
        for (receipt, code) in [("delivered", None), ("held", Some("held"))] {
            let directory = TempDir::new().unwrap();
            let socket = directory.path().join("in.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let qwen = Qwen::new(&Surroundings::find(|name| match name {
                "QWEN_CODE_MESSAGING_SOCKET" => Some(socket.clone().into()),
                "QWEN_CODE_MESSAGING_TOKEN" => Some("tok".into()),
                "QWEN_CODE_SESSION_ID" => Some("session-1".into()),
                _ => None,
            }));

            let (rung, message) = tokio::join!(qwen.send("a notice"), client(&listener, receipt));

            assert_eq!(rung.err().map(|shut| shut.code), code);
            assert_eq!(message["toSessionId"], "session-1");
            assert_eq!(message["message"]["content"], "a notice");
            assert_eq!(message["replyToken"].as_str().unwrap().len(), 64);
        }
    }

    #[tokio::test]
    async fn without_a_token_there_is_no_door() {
        assert_eq!(Qwen::new(&Surroundings::default()).send("x").await.unwrap_err().code, "no-door");
    }

    /// A client that takes one message, and says what becomes of it.
    async fn client(listener: &UnixListener, receipt: &str) -> Value {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert_eq!(lines.next().unwrap(), json!({"msgV": 1, "type": "auth", "token": "tok"}));
        let message = lines.next().unwrap();
        let mut back = UnixStream::connect(message["from"].as_str().unwrap()).await.unwrap();
        back.write_all(format!("{{\"type\":\"{receipt}\"}}\n").as_bytes()).await.unwrap();
        message
    }
}

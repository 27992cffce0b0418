//! What the server knows of its client, whatever transport leads to it.

use rmcp::model::{RequestId, ServerJsonRpcMessage};
use tokio::sync::watch;

/// What a client has said of itself. It may say anything: nothing is allowed for it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Its name, as in `claude-code`; empty before it has said it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The thread of its session that has called a tool last, where it names threads.
    pub thread: Option<String>,
}

/// What binds the server to the rest of the process.
#[derive(Debug, Clone)]
pub struct Links {
    /// Who the client says it is.
    pub introduction: watch::Sender<Introduction>,
    /// Rises when the inbox may have changed.
    pub arrivals: watch::Receiver<u64>,
}

/// The way back to a client.
pub(super) trait Outlet: Send + Sync + 'static {
    /// Returns once the client has read enough for another request to be begun.
    fn has_room(&self) -> impl Future<Output = ()> + Send;

    /// Whether so much is unwritten that nothing further is begun.
    fn is_full(&self) -> bool;

    /// Sends a notification. Never blocks.
    fn notify(&self, note: &ServerJsonRpcMessage);
}

/// The id by which the client knows a request.
#[derive(Debug, Clone)]
pub(super) struct ClientId(pub(super) RequestId);

/// The arguments of a tool call as the client wrote them: the text of a JSON object. A transport that has it adds it to
/// the request, so that nothing is lost on the way through a map; without it the arguments of the request count.
#[derive(Debug, Clone)]
pub(super) struct RawArguments(pub(super) String);

/// Whether the answer of a request is written.
#[derive(Debug, Clone)]
pub(super) struct Written(watch::Receiver<bool>);

impl Written {
    /// A place to say so, and to hear it.
    pub(super) fn channel() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once that is known: true if it is written, false if it never will be.
    pub(super) async fn reached_client(mut self) -> bool {
        self.0.wait_for(|written| *written).await.is_ok()
    }
}

//! Event streams, as server-sent events and over WebSocket.

use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt, Stream, StreamExt, stream};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::Shell;
use crate::events::{Event, StreamId};

/// Stops listening when dropped.
struct Subscription {
    shell: Shell,
    id: StreamId,
    stirred: Arc<Notify>,
}

impl Subscription {
    fn new(shell: &Shell, id: StreamId) -> Self {
        let stirred = Arc::new(Notify::new());
        shell.readers().insert(id, Arc::clone(&stirred));
        Self { shell: shell.clone(), id, stirred }
    }

    /// The next events; nothing once the stream has been closed.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let events = self.shell.with_quietly(|platform| platform.drain(self.id))?;
            if !events.is_empty() {
                return Some(events);
            }
            self.stirred.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shell.readers().remove(&self.id);
        self.shell.with_quietly(|platform| platform.unsubscribe(self.id));
    }
}

/// The body of an event stream: read only as fast as the client does.
pub(super) fn sse(shell: &Shell, id: StreamId) -> impl Stream<Item = Bytes> + use<> {
    let silent = shell.with_quietly(|platform| platform.is_silent(id));
    let opening = stream::iter((!silent).then(|| Bytes::from_static(b": ping\n\n")));
    let events = stream::unfold(Subscription::new(shell, id), |mut subscription| async {
        let events = subscription.next().await?;
        let lines: String = events.iter().map(Event::to_sse).collect();
        Some((Bytes::from(lines), subscription))
    });
    opening.chain(events)
}

/// Sends frames until the client is gone. What it says is ignored, its pings are answered.
pub(super) async fn web_socket(shell: Shell, id: StreamId, upgrade: OnUpgrade) {
    let mut subscription = Subscription::new(&shell, id);
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    loop {
        tokio::select! {
            events = subscription.next() => {
                let Some(events) = events else { return };
                for event in events {
                    if socket.send(Message::text(event.to_frame())).await.is_err() {
                        return;
                    }
                }
            }
            said = socket.next() => if !matches!(said, Some(Ok(_))) { return },
        }
    }
}

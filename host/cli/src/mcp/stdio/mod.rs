//! One client over a pair of streams, a message a line: how stdio is served.
//!
//! ```text
//! input ──► Lines ──► Client (transport) ──► rmcp ──► Front ──► Server ──► Driver
//! output ◄── Outbox ◄──────┘
//! ```

mod envelope;
mod incoming;
mod lines;
mod outbox;
mod skim;
mod transport;

use std::{sync::Arc, time::Duration};

use rmcp::service;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

use molecule_runtime::{
    driver::{Driver, Ports},
    session::Session,
};

use self::{outbox::Outbox, transport::Client};
use super::{client::Links, front::Front, server::Server};

/// Calls that are not answered this long after the end of the input are dropped.
const GRACE: Duration = Duration::from_secs(2);

/// Why the service ended; none of these is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client closed its end, and has the answers that were ready in time.
    Input,
    /// The client does not read any more.
    Output,
    /// `stop` was cancelled.
    Stopped,
}

/// Serves the client behind `input` and `output` until its end, or until `stop`. `links` bind it to
/// the rest of the process.
///
/// Must run inside a tokio runtime. Returns at once when stopped or when the output is closed, and
/// within 2 s of the end of the input. A read may still be blocked then if `input` reads on tokio's
/// blocking pool, so end the runtime with `shutdown_background`.
pub async fn serve<P: Ports>(
    driver: Arc<Driver<P>>,
    session: Session,
    links: Links,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> Ended {
    let outbox = Arc::new(Outbox::default());
    let ended = CancellationToken::new();
    // Dropped with this future, and with it whatever writes.
    let mut writer = JoinSet::new();
    writer.spawn(Arc::clone(&outbox).write_to(output));
    let client = Client::new(input, Arc::clone(&outbox), ended.clone());
    let server = Server::new(driver, session, links, Arc::clone(&outbox), ended.clone());
    // Cancelled when dropped, and with it every call.
    let running = service::serve_directly(Front(server), client, None);
    let answered = async {
        let _ = running.waiting().await;
        outbox.flushed().await;
    };
    let too_late = async {
        ended.cancelled().await;
        time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => Ended::Stopped,
        () = outbox.broken() => Ended::Output,
        () = answered => Ended::Input,
        () = too_late => Ended::Input,
    }
}

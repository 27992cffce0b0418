//! The program `molecule-mcp`: what it is told, and the MCP client that it serves.
//!
//! ```text
//! arguments, environment ──► settings ──► Runtime ◄──► mcp ◄──► stdin, stdout
//! ```

pub mod clients;
pub mod commands;
pub mod doctor;
pub mod env;
pub mod failures;
pub mod hook;
pub mod inspect;
pub mod log;
pub mod mcp;
pub mod settings;
pub mod status;
pub mod stdio;
pub mod system;
pub mod wake;
pub mod watch;

use std::{path::PathBuf, sync::Arc};

use molecule_runtime::{
    Config, Runtime,
    names::{self, Names},
    presence::Rejected,
    session::Session,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch as latest,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    mcp::{Introduction, Links},
    wake::{Bell, Surroundings, WakeSettings},
};

/// Why [`serve`] returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// The client has gone, or `stop` was cancelled.
    Ended,
    /// The platform takes the token of no workspace; a refusal for each, in their order.
    Rejected(Vec<Rejected>),
}

/// Serves the MCP client behind `input` and `output`, keeps the workspaces present and fetches their messages.
///
/// With `wake` an idle agent is told of messages, where its client has a door.
///
/// Returns at the end of the input or of the output, once the register of every workspace is refused, and at once when `stop`
/// is cancelled; everything that runs in the background ends with it. Nothing goes out and no file
/// changes before the client has begun a session.
///
/// # Errors
/// When the component cannot be loaded, or the system gives no random numbers.
pub async fn serve(
    config: &Config,
    wake: Option<(WakeSettings, Surroundings)>,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> anyhow::Result<Exit> {
    let runtime = Runtime::start(config).await?;
    let (driver, session) = (Arc::clone(runtime.driver()), runtime.session().clone());
    let (introduction, client) = latest::channel(Introduction::default());
    let links = Links { introduction, arrivals: runtime.arrivals() };
    // Ends with this future.
    let mut bell = JoinSet::new();
    if let Some((settings, surroundings)) = wake {
        let rings = runtime.rings(settings.rules.clone());
        bell.spawn(Bell::new(settings, &surroundings, client).run(rings));
    }
    let mut recorder = JoinSet::new();
    if let Some(directory) = config.state.clone() {
        recorder.spawn(keep_log(runtime.session().clone(), directory));
    }
    tokio::select! {
        biased;
        rejected = runtime.rejected() => return Ok(Exit::Rejected(rejected)),
        _ = mcp::serve(driver, session, links, input, output, stop) => {}
    }
    runtime.shutdown().await;
    Ok(Exit::Ended)
}

/// Keeps the lines of the log in `directory` from the beginning of the session on.
async fn keep_log(session: Session, directory: PathBuf) {
    session.begun().await;
    log::keep_in(&directory);
}

/// Has the messages of the runtime name settings as this program does.
pub fn name_settings() {
    names::speak_of(Names {
        attachments: env::ATTACH_ROOTS.name,
        certificates: env::SSL_CERT_FILE.name,
        chat_files: env::CHAT_UPLOAD_DIR.name,
        chat_file_size: env::CHAT_UPLOAD_MAX_MB.name,
        no_proxy: env::NO_PROXY.name,
        platform: env::PLATFORM_URL.name,
        state: env::CONFIGS_DIR.name,
        workspace: env::WORKSPACE_ID.name,
    });
}

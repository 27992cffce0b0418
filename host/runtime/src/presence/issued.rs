//! A token that came with a register although one was sent.
//!
//! ```text
//! issued ──► does the token in use open the workspace? ── yes ──► nothing to do
//!                       └── no ──► does the issued one? ── yes ──► it is used from here on
//!                                              └── no ──► deleted, or all tokens revoked
//! ```
//!
//! Some platforms issue one to everybody whose token was made in the Tokens tab, and every platform issues
//! useless ones for deleted workspaces. So it means nothing before a call of the workspace has been answered.

use futures::future::BoxFuture;

use super::{
    exchange::{self, Opens},
    rules::line,
};
use crate::{
    account::{Account, Token},
    driver::Ports,
    guest::wire::{Level, Limits, LogLine, Method, Outcome, PlatformRequest},
    platform::http::Http,
};

const LIMITS: Limits = Limits { first_byte_ms: 5_000, total_ms: 5_000, body_bytes: 1 << 20 };

/// Tries tokens, and changes the one in use.
pub trait Tokens: Send + Sync {
    /// Sends `request` with `token` in place of the one in use.
    fn send_with<'a>(&'a self, token: &'a Token, request: PlatformRequest) -> BoxFuture<'a, Outcome>;

    /// Uses `token` from here on.
    fn adopt(&self, token: Token);
}

impl Tokens for Http {
    fn send_with<'a>(&'a self, token: &'a Token, request: PlatformRequest) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_with(token, request))
    }

    fn adopt(&self, token: Token) {
        self.adopt(token);
    }
}

/// Finds out what `issued` is good for. Nothing if that has to be asked again.
pub(super) async fn settle<P: Ports>(
    ports: &P,
    tokens: &dyn Tokens,
    account: &Account,
    issued: &Token,
) -> Option<LogLine> {
    let (workspace, source) = (&account.id, account.credentials.source());
    match exchange::opens(&ports.send(look(account)).await) {
        Opens::Yes => {
            let text =
                format!("the platform issued a further token for workspace {workspace}, which is not needed");
            return Some(line(Level::Info, text));
        }
        Opens::Unknown => return None,
        Opens::No => {}
    }
    match exchange::opens(&tokens.send_with(issued, look(account)).await) {
        Opens::Unknown => None,
        Opens::Yes => {
            tokens.adopt(issued.clone());
            Some(line(
                Level::Warn,
                format!(
                    "the token from {source} was revoked, as were all others of workspace {workspace}; the platform \
                     issued another one, which is used until this program ends: make a token in the Tokens tab of \
                     the canvas and put it into {source}, because the next start will be refused"
                ),
            ))
        }
        Opens::No => Some(line(
            Level::Warn,
            format!(
                "the platform refuses the token from {source}, and issued one that opens nothing: workspace \
                 {workspace} was deleted, or all its tokens were revoked; look for it in the canvas, make a token in \
                 its Tokens tab and put it into {source}"
            ),
        )),
    }
}

/// The smallest request for which a token has to be the workspace's own.
pub(super) fn look(account: &Account) -> PlatformRequest {
    PlatformRequest {
        workspace: account.handle(),
        method: Method::Get,
        path: ["workspaces", &account.id, "activity"].map(str::to_owned).to_vec(),
        query: vec![("limit".to_owned(), "1".to_owned())],
        identify: false,
        body: None,
        limits: LIMITS,
    }
}

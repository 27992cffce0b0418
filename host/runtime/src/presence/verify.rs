//! Asks the platform whether a token opens a workspace, without leaving a trace there.

use super::{
    exchange::{self, Opens},
    issued::look,
    rules::Answer,
};
use crate::{
    account::Account,
    guest::wire::{Limits, Method, PlatformRequest},
    platform::http::Http,
};

const LIMITS: Limits = Limits { first_byte_ms: 8_000, total_ms: 8_000, body_bytes: 1 << 20 };

/// What the platform says of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is the workspace's own.
    Opens,
    /// It is not; the platform itself says so, with this status.
    Refused(u16),
    /// The platform has not said, and why.
    Unknown(String),
}

/// Asks with the token of `account`, by two requests that read: one that only the workspace may make, or who administrates
/// it, and one that only the workspace may make.
pub async fn verify(account: Account) -> Verdict {
    let http = Http::new(account);
    let rows = http.send(look(http.account())).await;
    if exchange::opens(&rows) == Opens::Yes {
        let peers = http.send(peers(http.account())).await;
        return match exchange::judge(peers) {
            Answer::Refused(status) => Verdict::Refused(status),
            // Not every platform has the list, and the first answer was good.
            Answer::Accepted(_)
            | Answer::Declined(_)
            | Answer::Failed { .. }
            | Answer::Missing
            | Answer::Removed => Verdict::Opens,
        };
    }
    match exchange::judge(rows) {
        Answer::Refused(status) => Verdict::Refused(status),
        Answer::Accepted(_) => Verdict::Unknown("the answer is not the platform's".to_owned()),
        Answer::Declined(why) | Answer::Failed { why, .. } => Verdict::Unknown(why),
        Answer::Missing => Verdict::Unknown("HTTP 404: the platform knows no such workspace".to_owned()),
        Answer::Removed => Verdict::Unknown("HTTP 410: the workspace was deleted".to_owned()),
    }
}

fn peers(account: &Account) -> PlatformRequest {
    PlatformRequest {
        workspace: account.handle(),
        method: Method::Get,
        path: ["registry", &account.id, "peers"].map(str::to_owned).to_vec(),
        query: Vec::new(),
        identify: true,
        body: None,
        limits: LIMITS,
    }
}

//! Workspace tokens.

use uuid::Uuid;

use crate::ids::database_uuid;
use crate::now::Now;

/// Live tokens a workspace may have before minting is refused.
pub(crate) const CAP: usize = 50;

/// The store cannot answer: it is down, or the id is none.
#[derive(Debug)]
pub(crate) struct LookupFailed;

/// Where a token comes from. Nobody is shown this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The Tokens tab, or whoever mints for themselves.
    Api,
    /// Create, register and rotate.
    Instance,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) id: Uuid,
    pub(crate) workspace: Uuid,
    pub(crate) kind: Kind,
    pub(crate) secret: String,
    pub(crate) created_at: Now,
    pub(crate) last_used_at: Option<Now>,
    pub(crate) revoked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    tokens: Vec<Token>,
    pub(crate) down: bool,
}

impl Tokens {
    pub(crate) fn mint(&mut self, id: Uuid, workspace: Uuid, kind: Kind, secret: String, now: Now) {
        self.tokens.push(Token {
            id,
            workspace,
            kind,
            secret,
            created_at: now,
            last_used_at: None,
            revoked: false,
        });
    }

    /// The live tokens of a workspace, newest first.
    pub(crate) fn live(&self, workspace: Uuid) -> Vec<&Token> {
        self.tokens.iter().rev().filter(|token| token.workspace == workspace && !token.revoked).collect()
    }

    pub(crate) fn any_live(&self) -> Result<bool, LookupFailed> {
        if self.down { Err(LookupFailed) } else { Ok(self.tokens.iter().any(|token| !token.revoked)) }
    }

    pub(crate) fn has_live(&self, workspace: &str) -> Result<bool, LookupFailed> {
        let workspace = database_uuid(workspace).filter(|_| !self.down).ok_or(LookupFailed)?;
        Ok(!self.live(workspace).is_empty())
    }

    /// Whether a live token of this kind is there; with a store that is down nobody knows.
    pub(crate) fn has_kind(&self, workspace: Uuid, kind: Kind) -> Result<bool, LookupFailed> {
        if self.down {
            return Err(LookupFailed);
        }
        Ok(self.live(workspace).iter().any(|token| token.kind == kind))
    }

    /// The live token with this secret; using it leaves a trace.
    pub(crate) fn used(&mut self, secret: &str, now: Now) -> Option<&Token> {
        let down = self.down;
        let token = self.tokens.iter_mut().find(|token| token.secret == secret && !token.revoked && !down)?;
        token.last_used_at = Some(now);
        Some(token)
    }

    pub(crate) fn revoke(&mut self, workspace: Uuid, id: Uuid) -> bool {
        let known = |token: &&mut Token| token.workspace == workspace && token.id == id && !token.revoked;
        self.tokens.iter_mut().find(known).map(|token| token.revoked = true).is_some()
    }

    pub(crate) fn revoke_all(&mut self, workspace: Uuid) {
        self.tokens
            .iter_mut()
            .filter(|token| token.workspace == workspace)
            .for_each(|token| token.revoked = true);
    }

    pub(crate) fn purge(&mut self, workspace: Uuid) {
        self.tokens.retain(|token| token.workspace != workspace);
    }
}

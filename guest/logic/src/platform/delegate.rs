//! Delegations that the platform carries out by itself.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{PlatformError, a2a, post, read};
use crate::{
    context::Context,
    dialogue::Host,
    text::untrusted,
    wire::{Level, Workspace},
};

const ATTEMPTS: u32 = 3;

/// No further attempt begins after this.
const BUDGET_MS: u64 = 60_000;

/// What the platform is to have done.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// The workspace that is to do it.
    pub(crate) target: &'a str,
    pub(crate) task: &'a str,
    /// The platform carries out one delegation a key, for about a week.
    pub(crate) key: &'a str,
}

/// What the platform says about an order.
#[derive(Debug, PartialEq)]
pub(crate) struct Placed {
    /// Empty if the platform gave none.
    pub(crate) delegation_id: String,
    pub(crate) status: String,
    /// Whose work it is: that of the first order with this key.
    pub(crate) target: String,
    /// An earlier order had the same key; nothing was started.
    pub(crate) repeated: bool,
    /// What the platform warns of; mostly empty.
    pub(crate) warning: String,
}

/// A key for one intended delegation. Two of the same task differ.
pub(crate) fn fresh_key(context: &Context, source: &str, target: &str, task: &str) -> String {
    let digest = Sha256::digest(format!("{source}:{target}:{task}:{}", context.random.uuid()));
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Places an order for `own`, in at most three attempts: its key makes that safe.
///
/// [`PlatformError::Refused`] if the task is too large.
pub(crate) async fn place(
    host: &Host,
    context: &Context,
    workspace: Workspace,
    own: &str,
    order: &Order<'_>,
) -> Result<Placed, PlatformError> {
    let body = json!({"target_id": order.target, "task": order.task, "idempotency_key": order.key});
    let request = post(workspace, ["workspaces", own, "delegate"], &body);
    a2a::fits(request.body.as_deref().unwrap_or_default())
        .map_err(|why| PlatformError::Refused(why.to_string()))?;
    let deadline = host.now() + BUDGET_MS;
    let mut attempt = 1;
    let mut unanswered = false;
    loop {
        let response = host.send(request.clone()).await;
        let asked = response.as_ref().ok().and_then(|response| response.retry_after_ms).unwrap_or(0);
        let placed = response.map_err(PlatformError::from).and_then(|response| read::<Answer>(&response));
        let why = match placed {
            // The hit is this very order, if an attempt before was carried out without an answer.
            Ok(answer) => return Ok(answer.placed(order, unanswered)),
            Err(why) => why,
        };
        let resume = host.now() + asked.max(a2a::backoff(context, attempt));
        if attempt == ATTEMPTS || resume >= deadline || !is_passing(&why) {
            return Err(why);
        }
        unanswered |= !matches!(why, PlatformError::Unreachable { maybe_sent: false, .. });
        host.log(Level::Warn, format!("delegation to {} not placed, trying again: {why}", order.target));
        host.rest_until(resume).await;
        attempt += 1;
    }
}

/// Whether another attempt may go better.
fn is_passing(why: &PlatformError) -> bool {
    match why {
        PlatformError::Unreachable { .. } => true,
        PlatformError::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        PlatformError::Overflowed | PlatformError::Refused(_) | PlatformError::Shape(_) => false,
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    delegation_id: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    target_id: Value,
    #[serde(default)]
    idempotent_hit: Value,
    #[serde(default)]
    warning: Value,
}

impl Answer {
    fn placed(self, order: &Order<'_>, unanswered: bool) -> Placed {
        let line = |value: &Value| untrusted::one_line(value.as_str().unwrap_or_default(), 200);
        let target = line(&self.target_id);
        Placed {
            delegation_id: line(&self.delegation_id),
            status: line(&self.status),
            target: if target.is_empty() { order.target.to_owned() } else { target },
            repeated: self.idempotent_hit == Value::Bool(true) && !unanswered,
            warning: line(&self.warning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::world;

    #[test]
    fn two_delegations_of_the_same_task_have_two_keys() {
        let world = world();
        let keys = [(); 2].map(|()| fresh_key(&world, "w", "p", "do it"));

        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}

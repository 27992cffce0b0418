//! Secrets that no line of a log may show, whoever writes it.

use std::sync::{PoisonError, RwLock};

/// Shorter texts occur in ordinary words.
const SHORTEST_SECRET: usize = 6;
/// Secrets of the past are forgotten beyond this number.
const SECRETS: usize = 4_096;
const IN_PLACE_OF_SECRETS: &str = "[token]";

static HIDDEN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Replaces `secret` in every text that goes through [`without_secrets`] from here on. Texts of fewer than 6 bytes
/// are not replaced.
pub fn hide(secret: &str) {
    if secret.len() < SHORTEST_SECRET {
        return;
    }
    let mut hidden = HIDDEN.write().unwrap_or_else(PoisonError::into_inner);
    if hidden.iter().any(|known| known == secret) {
        return;
    }
    if hidden.len() == SECRETS {
        hidden.remove(0);
    }
    hidden.push(secret.to_owned());
}

/// `text` with `[token]` in place of each secret that was hidden.
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let mut text = text.to_owned();
    for secret in HIDDEN.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if text.contains(secret) {
            text = text.replace(secret, IN_PLACE_OF_SECRETS);
        }
    }
    text
}

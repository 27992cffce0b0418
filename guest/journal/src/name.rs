//! How the files of a workspace are called.

use sha2::{Digest, Sha256};

/// Of the digest that tells the files of one workspace from those of another.
const DIGEST_BYTES: usize = 8;

/// How the names of the files of `workspace` begin; `platform` is the base of its addresses.
#[must_use]
pub fn stem(platform: &str, workspace: &str) -> String {
    let platform = platform.trim_end_matches('/');
    let digest = Sha256::digest(format!("{platform}\n{workspace}"));
    let digits: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!(".mcp_inbox_{digits}")
}

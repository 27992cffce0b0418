//! Where files from the user are kept, how large ones, and for how long.

use std::{
    path::{self, Path},
    time::Duration,
};

use molecule_runtime::config::ChatUploads;

use super::environment::Environment;
use crate::env::{self, Variable};

/// In the directory of our state.
const BELOW_CONFIGS: &str = "chat-uploads";
const KEEP_DAYS: u64 = 14;
const MOST_MIB: u64 = 100;
/// Ten years: as good as for ever.
const LONGEST_DAYS: u64 = 3_650;
/// More than any platform takes.
const LARGEST_MIB: u64 = 10_240;
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read(environment: &mut Environment<'_>, configs: Option<&Path>) -> ChatUploads {
    let chosen = environment.path(&env::CHAT_UPLOAD_DIR);
    let chosen = chosen.map(|path| path::absolute(&path).unwrap_or(path));
    if let Some(file) = chosen.as_ref().filter(|path| path.exists() && !path.is_dir()) {
        let name = environment.name_of(&env::CHAT_UPLOAD_DIR);
        environment.unusable(&env::CHAT_UPLOAD_DIR, format!("{name}: {} is not a directory", file.display()));
    }
    let days = whole(environment, &env::CHAT_UPLOAD_KEEP_DAYS, KEEP_DAYS).min(LONGEST_DAYS);
    let mib = whole(environment, &env::CHAT_UPLOAD_MAX_MB, MOST_MIB).min(LARGEST_MIB);
    ChatUploads {
        directory: chosen.or_else(|| Some(configs?.join(BELOW_CONFIGS))),
        most_bytes: mib << 20,
        keep: DAY * u32::try_from(days).unwrap_or(u32::MAX),
    }
}

/// A whole number that is not negative; anything else is told, and counts as the default.
fn whole(environment: &mut Environment<'_>, variable: &'static Variable, default: u64) -> u64 {
    let Some(text) = environment.text(variable) else { return default };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let name = environment.name_of(variable);
        environment.warn(format!("{name} is not a whole number, and counts as {default}"));
        return default;
    }
    // Digits that do not fit are more than the most.
    text.parse().unwrap_or(u64::MAX)
}

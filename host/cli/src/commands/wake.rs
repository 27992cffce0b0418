//! `molecule-mcp wake`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp, Zoned, tz::TimeZone};

use super::{Context, DONE, print};
use crate::{settings, wake::Switch};

/// The longest pause; whoever wants more switches it off.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How `molecule-mcp wake` changes whether the agent is woken.
#[derive(Debug, Args)]
pub struct Wake {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Wake the agent when messages come; also ends a pause
    On,
    /// Do not wake it, until it is switched on again
    Off,
    /// Do not wake it for a while
    Mute {
        /// How long, such as 30m, 2h or 1d
        #[arg(value_parser = span)]
        span: Duration,
    },
    /// Print whether it is woken
    Status,
}

impl Wake {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let state = settings::state(context.variable)?;
        let switch = Switch::at(&state);
        let cannot = || format!("nothing was changed in {}", state.display());
        match self.action {
            Action::On => switch.turn(true).with_context(cannot)?,
            Action::Off => switch.turn(false).with_context(cannot)?,
            Action::Mute { span } => {
                let until = Timestamp::now().checked_add(SignedDuration::try_from(span)?)?;
                switch.mute_until(until).with_context(cannot)?;
            }
            Action::Status => {}
        }
        print(&format!("{}\n", status(&switch, &Zoned::now())));
        Ok(DONE)
    }
}

/// In words for a person.
fn status(switch: &Switch, now: &Zoned) -> String {
    let noted = switch.read();
    let muted = noted.muted_until.filter(|until| *until > now.timestamp());
    if noted.off {
        return "off: the agent is not woken; molecule-mcp wake on changes that".to_owned();
    }
    match muted {
        Some(until) => {
            let until = until.to_zoned(TimeZone::system());
            format!("muted until {}; molecule-mcp wake on ends that", until.strftime("%Y-%m-%d %H:%M"))
        }
        None => {
            "on: the agent is woken, if its client has a way to do so and the settings do not say otherwise"
                .to_owned()
        }
    }
}

/// A number and a unit.
fn span(text: &str) -> anyhow::Result<Duration> {
    let digits = text.trim_end_matches(|last: char| !last.is_ascii_digit());
    let (number, unit) = (digits.parse::<u64>(), text.get(digits.len()..).unwrap_or_default().trim());
    let unit = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let Some(seconds) =
        number.ok().and_then(|number| number.checked_mul(unit)).filter(|seconds| *seconds > 0)
    else {
        bail!("write a number and a unit, such as 30m, 2h or 1d");
    };
    Ok(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, seconds) in
            [("30m", 1_800), ("2h", 7_200), ("90 s", 90), ("1d", 86_400), ("999d", 30 * 86_400)]
        {
            assert_eq!(span(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for wrong in ["", "30", "h", "-1h", "0m", "2 weeks", "1h30m", "99999999999999999999d"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_status_says_what_to_do() {
        let directory = TempDir::new().unwrap();
        let switch = Switch::at(directory.path());
        let now: Zoned = "2026-11-30T14:00:00[UTC]".parse().unwrap();

        assert!(status(&switch, &now).starts_with("on: "));
        switch.mute_until("2026-11-30T15:00:00Z".parse().unwrap()).unwrap();
        assert!(status(&switch, &now).starts_with("muted until 2026-11-30 "));
        switch.turn(false).unwrap();
        assert!(status(&switch, &now).contains("molecule-mcp wake on"));
    }
}

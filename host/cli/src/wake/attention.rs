//! When the operator wants no ring: never, for a while, or at certain hours.

use std::{str::FromStr, time::Duration};

use jiff::{Zoned, civil::Time};

use super::{door::Shut, switch::Switch};

/// What is noted on disk, and the clock, are looked at again so often while messages wait.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// When nothing rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// Hours of each day without rings, by the clock of the machine.
    pub quiet: Option<Hours>,
    /// What `molecule-mcp wake` has noted.
    pub switch: Switch,
}

/// From one time of day to another, maybe over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: Time,
    to: Time,
}

impl Attention {
    /// Says why there is no ring now.
    ///
    /// # Errors
    /// When the operator wants none at this time.
    pub fn allows(&self, now: &Zoned) -> Result<(), Shut> {
        let noted = self.switch.read();
        if noted.off {
            return Err(shut("off", "it was switched off by molecule-mcp wake off"));
        }
        if let Some(until) = noted.muted_until.filter(|until| *until > now.timestamp()) {
            let left = Duration::try_from(until.duration_since(now.timestamp())).unwrap_or(LOOK_AGAIN);
            let pause = left.min(LOOK_AGAIN);
            return Err(Shut { pause, ..shut("muted", "it is muted by molecule-mcp wake mute") });
        }
        if self.quiet.is_some_and(|hours| hours.contains(now.time())) {
            return Err(shut("quiet-hours", "these are the quiet hours of the settings"));
        }
        Ok(())
    }
}

fn shut(code: &'static str, why: &str) -> Shut {
    Shut { pause: LOOK_AGAIN, ..Shut::new(code, why) }
}

impl Hours {
    fn contains(self, time: Time) -> bool {
        if self.from <= self.to {
            (self.from..self.to).contains(&time)
        } else {
            time >= self.from || time < self.to
        }
    }
}

impl FromStr for Hours {
    type Err = &'static str;

    /// As in `22:00-07:30`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "is not two times of day, such as 22:00-07:00";
        let time = |text: &str| Time::strptime("%H:%M", text.trim()).map_err(|_| SHAPE);
        let (from, to) = text.split_once('-').ok_or(SHAPE)?;
        Ok(Self { from: time(from)?, to: time(to)? })
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let at = |hours: &str, now: &str| {
            let quiet = Some(hours.parse().unwrap());
            let attention = Attention { quiet, switch: Switch::none() };
            attention.allows(&format!("2026-11-30T{now}:00[UTC]").parse().unwrap()).is_err()
        };

        for (now, is_quiet) in [("21:59", false), ("22:00", true), ("03:00", true), ("07:30", false)] {
            assert_eq!(at("22:00-07:30", now), is_quiet, "{now}");
        }
        assert!(at("12:00 - 13:00", "12:30") && !at("12:00-13:00", "13:00"));
        for wrong in ["", "22", "22:00", "22:00-25:00", "22-7", "a-b"] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_noted_on_disk_holds_until_its_time() {
        let directory = TempDir::new().unwrap();
        let switch = Switch::at(directory.path());
        let attention = Attention { quiet: None, switch: switch.clone() };
        let now: Zoned = "2026-11-30T14:00:00[UTC]".parse().unwrap();
        assert_eq!(attention.allows(&now), Ok(()));

        switch.mute_until("2026-11-30T14:00:20Z".parse().unwrap()).unwrap();
        let muted = attention.allows(&now).unwrap_err();
        assert_eq!((muted.code, muted.pause), ("muted", Duration::from_secs(20)));
        assert_eq!(attention.allows(&"2026-11-30T14:00:20[UTC]".parse().unwrap()), Ok(()));

        switch.turn(false).unwrap();
        assert_eq!(attention.allows(&now).unwrap_err().code, "off");
        switch.turn(true).unwrap();
        assert_eq!(attention.allows(&now), Ok(()));
    }
}

//! Which lines are logged: by area and level, as in `warn,http=info,storage=off`.

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::filter::Targets;

/// The parts of the program by name, and the modules that each is.
pub const AREAS: [(&str, &str); 9] = [
    ("account", "molecule_runtime::account"),
    ("component", "molecule_runtime::guest"),
    ("events", "molecule_runtime::platform::events"),
    ("http", "molecule_runtime::platform"),
    ("leader", "molecule_runtime::leadership"),
    ("mcp", "molecule_mcp::mcp"),
    ("storage", "molecule_runtime::storage"),
    // Register, heartbeats, inbox and tools speak through one place.
    ("workspace", "molecule_runtime::ports"),
    ("program", "molecule_mcp"),
];
const OURS: [&str; 2] = ["molecule_mcp", "molecule_runtime"];
const LEVELS: [(&str, LevelFilter); 5] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
];

/// Which lines are logged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of all areas that are not named.
    level: Option<LevelFilter>,
    areas: Vec<(&'static str, LevelFilter)>,
}

impl Filter {
    /// The filter in `text`, and what in it is not understood.
    #[must_use]
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let (mut filter, mut odd) = (Self::default(), Vec::new());
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (area, level) = match part.split_once('=') {
                None => (None, part),
                Some((area, level)) => (Some(area.trim()), level.trim()),
            };
            let level =
                LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(level)).map(|(_, level)| *level);
            let target = area.map(|area| AREAS.iter().find(|(name, _)| name.eq_ignore_ascii_case(area)));
            match (target, level) {
                (None, Some(level)) => filter.level = Some(level),
                (Some(Some((_, target))), Some(level)) => filter.areas.push((target, level)),
                (Some(None), _) => {
                    odd.push(format!("{part}: the areas are {}", names(AREAS.map(|(name, _)| name))))
                }
                (_, None) => {
                    odd.push(format!("{part}: the levels are {}", names(LEVELS.map(|(name, _)| name))))
                }
            }
        }
        (filter, odd)
    }

    /// With the level that holds where nothing else is said. Of libraries only errors, and with `verbose` warnings: what
    /// they say below that was not written with our secrets in mind.
    pub(super) fn targets(&self, verbose: bool) -> Targets {
        let (ours, others) = if verbose { (Level::INFO, Level::WARN) } else { (Level::WARN, Level::ERROR) };
        let ours = self.level.unwrap_or(LevelFilter::from_level(ours));
        Targets::new()
            .with_targets(OURS.map(|target| (target, ours)))
            .with_targets(self.areas.iter().copied())
            .with_default(LevelFilter::from_level(others))
    }
}

/// The area of a module.
pub(super) fn area_of(target: &str) -> &'static str {
    let is_in = |(_, module): &&(&str, &str)| target.starts_with(module);
    // The longest name is the closest.
    let found = AREAS.iter().filter(is_in).max_by_key(|(_, module)| module.len());
    found.map_or("program", |(name, _)| name)
}

fn names<const COUNT: usize>(names: [&str; COUNT]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_levels_are_read_and_what_is_odd_is_told() {
        let (filter, odd) = Filter::parse("info, http=debug,STORAGE=off,,guest=info,http=loud,noise");

        assert_eq!(filter.level, Some(LevelFilter::INFO));
        let areas = [
            ("molecule_runtime::platform", LevelFilter::DEBUG),
            ("molecule_runtime::storage", LevelFilter::OFF),
        ];
        assert_eq!(filter.areas, areas);
        assert_eq!(odd.len(), 3);
        assert!(odd[0].contains("guest=info: the areas are account, component"), "{odd:?}");
        assert!(odd[1].contains("http=loud: the levels are off, error"), "{odd:?}");
        assert!(odd[2].starts_with("noise: the levels are"), "{odd:?}");
    }

    #[test]
    fn an_area_is_known_by_its_modules() {
        for (target, area) in [
            ("molecule_runtime::platform::http::pool", "http"),
            ("molecule_runtime::platform::events::keeper", "events"),
            ("molecule_runtime::ports", "workspace"),
            ("molecule_mcp::commands::serve", "program"),
            ("hyper::client", "program"),
        ] {
            assert_eq!(area_of(target), area, "{target}");
        }
    }

    #[test]
    fn a_filter_holds_for_its_areas_and_leaves_libraries_alone() {
        let (filter, _) = Filter::parse("off,http=info");
        let targets = filter.targets(false);

        let passes = |target: &str, level: Level| targets.would_enable(target, &level);

        assert!(passes("molecule_runtime::platform::http", Level::INFO));
        assert!(!passes("molecule_runtime::ports", Level::ERROR));
        assert!(passes("hyper", Level::ERROR) && !passes("hyper", Level::WARN));
    }
}

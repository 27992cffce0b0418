//! What was found, as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::catalog::{Area, Finding, Verdict};
use crate::log::escaped;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub finding: &'static Finding,
    /// The workspace that it is about, if the program acts for several.
    pub workspace: Option<String>,
    /// What was seen.
    pub seen: String,
}

/// All that was found, in the order of the areas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub(super) found: Vec<Found>,
}

impl Finding {
    /// That it was seen.
    #[must_use]
    pub fn seen(&'static self, seen: impl Into<String>) -> Found {
        Found { finding: self, workspace: None, seen: seen.into() }
    }
}

impl Found {
    /// Where the program acts for several workspaces, it is about this one.
    pub(super) fn about(self, workspace: Option<&str>) -> Self {
        Self { workspace: workspace.map(str::to_owned), ..self }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.finding.id,
            "area": self.finding.area.name(),
            "verdict": self.finding.verdict.word(),
            "workspace": self.workspace,
            "seen": self.seen,
            "advice": self.finding.advice(),
        })
    }
}

impl Report {
    pub(super) fn new(mut found: Vec<Found>) -> Self {
        // A stable sort: within an area they stay as they were found.
        found.sort_by_key(|found| found.finding.area);
        Self { found }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.count(Verdict::Wrong) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.found.iter().filter(|found| found.finding.verdict == verdict).count()
    }

    /// For programs: an object in one line.
    #[must_use]
    pub fn json(&self) -> String {
        let findings: Vec<Value> = self.found.iter().map(Found::json).collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "well": self.is_well(),
            "wrong": self.count(Verdict::Wrong),
            "doubtful": self.count(Verdict::Doubtful),
            "findings": findings,
        });
        format!("{report}\n")
    }

    /// For people, in colour if a terminal shows it.
    #[must_use]
    pub fn text(&self, coloured: bool) -> String {
        let mut text = format!("molecule-mcp {} doctor\n", env!("CARGO_PKG_VERSION"));
        for area in Area::ALL {
            let found: Vec<_> = self.found.iter().filter(|found| found.finding.area == area).collect();
            if found.is_empty() {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = write!(text, "\n{}\n", area.name());
            for found in found {
                text.push_str(&line(found, coloured));
            }
        }
        let _ = writeln!(text, "\n{}", self.summary());
        text
    }

    fn summary(&self) -> String {
        let [wrong, doubtful] = [Verdict::Wrong, Verdict::Doubtful].map(|verdict| self.count(verdict));
        match (wrong, doubtful) {
            (0, 0) => "All is well.".to_owned(),
            (0, doubtful) => format!("Nothing is wrong; {doubtful} doubtful."),
            (wrong, 0) => format!("{wrong} wrong."),
            (wrong, doubtful) => format!("{wrong} wrong, {doubtful} doubtful."),
        }
    }
}

/// A finding and, unless it is as it should be, the next step below it.
fn line(found: &Found, coloured: bool) -> String {
    let Found { finding, workspace, seen } = found;
    let word = format!("{:<8}", finding.verdict.word());
    let word = if coloured { format!("\u{1b}[{}m{word}\u{1b}[0m", finding.verdict.colour()) } else { word };
    let about = workspace.as_ref().map(|id| format!("[{id}] ")).unwrap_or_default();
    let mut text = format!("  {word} {}{}\n", escaped(&about), escaped(seen));
    if let Some(advice) = finding.advice() {
        let _ = writeln!(text, "           {advice} ({})", finding.id);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::catalog::{BEAT_ACCEPTED, CLOCK_OFF, TOKEN_REFUSED};

    #[test]
    fn people_see_what_is_wrong_and_what_to_do() {
        let report = Report::new(vec![
            TOKEN_REFUSED.seen("HTTP 401").about(Some("w-1")),
            BEAT_ACCEPTED.seen("taken in 3 ms"),
            CLOCK_OFF.seen("300 s\n behind \u{1b}[2J"),
        ]);

        let text = report.text(false);

        assert!(text.contains("\n  wrong    [w-1] HTTP 401\n           "), "{text}");
        assert!(text.contains("(token-refused)\n") && text.contains("  ok       taken in 3 ms\n"), "{text}");
        assert!(text.ends_with("\n1 wrong, 1 doubtful.\n") && !text.contains('\u{1b}'), "{text}");
        assert!(report.text(true).contains("\u{1b}[31mwrong   \u{1b}[0m"));
        assert!(!report.is_well());
    }

    #[test]
    fn programs_get_the_same() {
        let report = Report::new(vec![CLOCK_OFF.seen("300 s behind")]);

        let json: Value = serde_json::from_str(&report.json()).unwrap();

        assert_eq!((&json["well"], &json["doubtful"]), (&json!(true), &json!(1)));
        assert_eq!(json["findings"][0]["id"], "clock-off");
        assert_eq!(json["findings"][0]["seen"], "300 s behind");
    }
}

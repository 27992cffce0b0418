//! Lines for the operator, on standard error.

use std::io::{self, Write as _};

use molecule_logic::wire::{Level, LogLine};

/// Writes a line of the logic; what works is said only if `verbose`.
pub(crate) fn write(line: &LogLine, verbose: bool) {
    let level = match line.level {
        Level::Error => "error",
        Level::Info if !verbose => return,
        Level::Info => "info",
        Level::Warn => "warning",
    };
    let text: String = line.text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    // Where nobody listens nothing is lost.
    let _ = writeln!(io::stderr(), "molecule: {level}: {text}");
}

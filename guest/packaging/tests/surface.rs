//! What the components for other hosts import and export.

use std::{
    fs,
    path::{Path, PathBuf},
};

use molecule_packaging::{SHELLS, surface};

/// Larger ones are a burden for those who load them over a network.
const MOST_BYTES: usize = 1_500_000;

#[test]
fn each_component_asks_for_and_offers_what_it_should() {
    for shell in SHELLS {
        let component = shell.build(&target()).unwrap();

        let golden = fs::read_to_string(shell.golden()).unwrap_or_default();
        let advice = "if that is meant: make components ARGS=--accept";
        assert_eq!(surface(&component).unwrap(), golden, "{}: {advice}", shell.name);
        assert!(component.len() <= MOST_BYTES, "{} has {} bytes", shell.name, component.len());
    }
}

/// The target directory that this test is in.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")
}

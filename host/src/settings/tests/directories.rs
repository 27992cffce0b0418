//! Where state is kept, and from where files are sent.

use std::{fs, os::unix::fs::MetadataExt};

use tempfile::TempDir;

use super::*;

#[test]
fn a_configs_directory_is_found_and_not_made() {
    let dir = TempDir::new().unwrap();
    let chosen = dir.path().join("a/b");

    let settings = good(&[("CONFIGS_DIR", &format!(" {} ", chosen.display()))]);

    assert_eq!(settings.configs.as_deref(), Some(chosen.as_path()));
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert!(!dir.path().join("a").exists());
}

#[test]
fn a_relative_configs_directory_is_below_the_working_directory() {
    let settings = good(&[("CONFIGS_DIR", "some/where")]);

    assert_eq!(settings.configs, Some(std::env::current_dir().unwrap().join("some/where")));
}

#[test]
fn a_configs_directory_that_is_a_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();

    assert!(bad(&[("CONFIGS_DIR", file.to_str().unwrap())]).contains("CONFIGS_DIR: "));
}

#[test]
fn without_a_place_to_write_the_program_runs_and_says_so() {
    // Nothing can be made below a file.
    let settings = good(&[("CONFIGS_DIR", "/dev/null/configs")]);

    assert_eq!(settings.configs, None);
    assert!(settings.warnings[0].contains("state is not saved"));
}

#[test]
fn the_last_choice_for_state_is_below_the_home_directory() {
    let home = TempDir::new().unwrap();

    let settings = good(&[("CONFIGS_DIR", " "), ("HOME", home.path().to_str().unwrap())]);

    if !Path::new("/configs").exists() {
        assert_eq!(settings.configs, Some(home.path().join(".molecule-workspace")));
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn files_may_be_sent_from_the_directories_that_were_named() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("a")).unwrap();

    let settings = good(&[("MOLECULE_ATTACH_ROOTS", &format!("{0}/a/../a:{0}/gone::", root.display()))]);

    assert_eq!(settings.attach_roots, [root.join("a")]);
    assert!(settings.warnings[0].contains("gone is not a directory"));
}

#[test]
fn files_may_be_sent_from_the_working_and_the_temporary_directory() {
    let temporary = TempDir::new().unwrap();

    let settings = good(&[("TMPDIR", temporary.path().to_str().unwrap())]);

    let working = std::env::current_dir().unwrap();
    let roots = [working.canonicalize().unwrap(), temporary.path().canonicalize().unwrap()];
    assert_eq!(settings.attach_roots, roots);
}

#[test]
fn reading_settings_changes_no_file() {
    let dir = TempDir::new().unwrap();
    let before = fs::metadata(dir.path()).unwrap().mtime_nsec();

    good(&[("CONFIGS_DIR", dir.path().to_str().unwrap()), ("HOME", dir.path().to_str().unwrap())]);

    assert_eq!(fs::metadata(dir.path()).unwrap().mtime_nsec(), before);
}

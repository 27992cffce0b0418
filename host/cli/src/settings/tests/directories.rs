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

#[test]
fn files_from_the_user_are_kept_below_the_configs_directory_or_where_the_operator_says() {
    let dir = TempDir::new().unwrap();
    let configs = dir.path().to_str().unwrap();

    let uploads = good(&[("CONFIGS_DIR", configs)]).chat_uploads;
    assert_eq!(uploads.directory, Some(dir.path().join("chat-uploads")));
    assert_eq!((uploads.most_bytes, uploads.keep.as_secs()), (100 << 20, 14 * 86_400));

    for (value, expected) in [("~/in", "/home/x/in"), (" /a/b ", "/a/b")] {
        let settings =
            good(&[("CONFIGS_DIR", configs), ("HOME", "/home/x"), ("MOLECULE_CHAT_UPLOAD_DIR", value)]);
        assert_eq!(settings.chat_uploads.directory.as_deref(), Some(Path::new(expected)));
    }
    assert!(
        bad(&[("MOLECULE_CHAT_UPLOAD_DIR", "/dev/null")])
            .contains("MOLECULE_CHAT_UPLOAD_DIR: /dev/null is not")
    );
}

#[test]
fn the_limits_of_files_from_the_user_are_whole_numbers() {
    for (value, days, mib, warnings) in [
        ("0", 0, 0, 0),
        ("30", 30, 30, 0),
        ("99999999999999999999", 3_650, 10_240, 0),
        ("-1", 14, 100, 2),
        ("1.5", 14, 100, 2),
        ("", 14, 100, 0),
    ] {
        let settings = good(&[
            ("CONFIGS_DIR", "/tmp"),
            ("MOLECULE_CHAT_UPLOAD_KEEP_DAYS", value),
            ("MOLECULE_CHAT_UPLOAD_MAX_MB", value),
        ]);
        let uploads = settings.chat_uploads;
        assert_eq!((uploads.keep.as_secs() / 86_400, uploads.most_bytes >> 20), (days, mib), "{value}");
        assert_eq!(settings.warnings.len(), warnings, "{value}: {:?}", settings.warnings);
    }
}

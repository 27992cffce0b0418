//! Where the token comes from.

use std::{fs, os::unix::fs::PermissionsExt};

use tempfile::TempDir;

use super::*;

#[test]
fn the_first_source_of_a_token_decides() {
    let dir = TempDir::new().unwrap();
    let (named, own) = (dir.path().join("named"), dir.path().join(".auth_token"));
    private(&named, " from-named\n");
    private(&own, "from-own");
    let configs = dir.path().to_str().unwrap();

    let all = good(&[("CONFIGS_DIR", configs), ("MOLECULE_WORKSPACE_TOKEN_FILE", named.to_str().unwrap())]);
    let files = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", ""),
        ("CONFIGS_DIR", configs),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", named.to_str().unwrap()),
    ]);
    let one = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", " "),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", " "),
        ("CONFIGS_DIR", configs),
    ]);

    assert_eq!(
        (all.accounts[0].credentials.token().reveal(), all.accounts[0].credentials.source()),
        (CANARY, &TokenSource::setting("MOLECULE_WORKSPACE_TOKEN"))
    );
    assert_eq!(all.warnings.len(), 1, "{:?}", all.warnings);
    assert!(all.warnings[0].contains("different token") && !all.warnings[0].contains("from-named"));
    assert_eq!(files.accounts[0].credentials.token().reveal(), "from-named");
    assert_eq!(
        files.accounts[0].credentials.source(),
        &TokenSource::named_file("MOLECULE_WORKSPACE_TOKEN_FILE", named)
    );
    assert_eq!(one.accounts[0].credentials.token().reveal(), "from-own");
    assert_eq!(one.accounts[0].credentials.source(), &TokenSource::file(own));
}

#[test]
fn the_same_token_in_two_places_is_no_news() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), &format!("{CANARY}\n"));

    assert_eq!(good(&[("CONFIGS_DIR", dir.path().to_str().unwrap())]).warnings, Vec::<String>::new());
}

#[test]
fn a_named_token_file_is_the_only_one_looked_at() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), "from-own");
    private(&dir.path().join("empty"), " \n");
    private(&dir.path().join("lines"), "one\ntwo\n");
    fs::write(dir.path().join("bytes"), b"\xff\xfe").unwrap();
    for (name, reason) in [
        ("absent", "does not exist"),
        ("empty", "is empty"),
        ("lines", "internal whitespace"),
        ("bytes", "not valid UTF-8"),
        ("", "not a regular file"),
    ] {
        let path = dir.path().join(name);
        let report = bad(&[
            ("MOLECULE_WORKSPACE_TOKEN", ""),
            ("CONFIGS_DIR", dir.path().to_str().unwrap()),
            ("MOLECULE_WORKSPACE_TOKEN_FILE", path.to_str().unwrap()),
        ]);
        let told: Vec<_> = report.lines().filter(|line| line.starts_with("Not usable: ")).collect();
        assert_eq!(told.len(), 1, "{report}");
        for content in ["MOLECULE_WORKSPACE_TOKEN_FILE", path.to_str().unwrap(), reason] {
            assert!(told[0].contains(content), "{content}: {report}");
        }
    }
}

#[test]
fn a_token_file_without_a_token_counts_as_missing_and_says_why() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), "\n");

    let report = bad(&[("MOLECULE_WORKSPACE_TOKEN", ""), ("CONFIGS_DIR", dir.path().to_str().unwrap())]);

    assert!(report.contains("Currently missing: MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)"));
    assert!(report.contains(".auth_token is empty"));
}

#[test]
fn a_token_file_that_others_can_read_is_used_with_a_warning() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(".auth_token");
    private(&path, "from-own");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let settings = good(&[("MOLECULE_WORKSPACE_TOKEN", ""), ("CONFIGS_DIR", dir.path().to_str().unwrap())]);

    assert_eq!(settings.accounts[0].credentials.token().reveal(), "from-own");
    assert!(settings.warnings[0].contains("chmod 600"), "{:?}", settings.warnings);
}

#[test]
fn a_home_directory_can_be_written_as_a_tilde() {
    let home = TempDir::new().unwrap();
    private(&home.path().join("token"), "from-home");

    let settings = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", ""),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", "~/token"),
        ("HOME", home.path().to_str().unwrap()),
    ]);

    assert_eq!(settings.accounts[0].credentials.token().reveal(), "from-home");
}

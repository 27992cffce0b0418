//! Lists of workspaces, and what is wrong with them.

use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _, fs};

use tempfile::TempDir;

use super::*;

#[test]
fn two_entries_are_two_workspaces_in_their_order() {
    let list = r#"[
        {"id": " w-1 ", "token": " tok-1 ", "platform_url": "https://other.example/"},
        {"id": "6F9C2A31-8B4E-4F0A-9C11-5D2E7A90B1C3", "token": "tok-2"}
    ]"#;

    let Found { listed, problems, warnings } = with_list(list);

    assert_eq!((problems, warnings), (vec![], vec![]));
    assert_eq!(
        shown(&listed),
        [
            "w-1 https://other.example/ tok-1 of MOLECULE_WORKSPACES [0]",
            "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3 https://acme.example/ tok-2 of MOLECULE_WORKSPACES [1]",
        ]
    );
}

#[test]
fn a_list_of_one_is_named_without_a_place() {
    let listed = with_list(r#"[{"id": "w-1", "token": "tok"}]"#).listed;

    assert_eq!(shown(&listed), ["w-1 https://acme.example/ tok of MOLECULE_WORKSPACES"]);
}

#[test]
fn each_problem_names_its_entry_and_no_token() {
    for (list, reasons) in [
        ("canary-token-7", vec!["is not valid JSON"]),
        (r#"{"token": "canary-token-7"}"#, vec!["non-empty JSON array"]),
        ("[]", vec!["non-empty JSON array"]),
        (r#"["canary-token-7", 5]"#, vec!["[0] is a string", "[1] is a number"]),
        (r#"[{"token": "canary-token-7"}]"#, vec!["[0] missing 'id' or 'token'"]),
        (r#"[{"id": "a"}, {"id": "b", "token": " "}]"#, vec!["[0] missing", "[1] missing"]),
        (r#"[{"id": "a/b", "token": "canary-token-7"}]"#, vec!["[0] 'id' contains '/'"]),
        (r#"[{"id": "Canary", "token": "canary-token-7"}]"#, vec!["[0] 'id' contains 'C'"]),
        (r#"[{"id": "-a", "token": "canary-token-7"}]"#, vec!["[0] 'id' begins with -"]),
        (r#"[{"id": "a", "token": "canary token-7"}]"#, vec!["[0] 'token' contains internal whitespace"]),
        (r#"[{"id": "a", "token": "canary-token-7", "token_file": "f"}]"#, vec!["[0] has both"]),
        (
            r#"[{"id": "a", "token_file": "/nowhere/token"}]"#,
            vec!["[0] 'token_file': /nowhere/token does not"],
        ),
        (r#"[{"id": "${ID}", "token": "canary-token-7"}]"#, vec!["[0] 'id' still holds ${NAME}"]),
        (r#"[{"id": "a", "token": "<canary token>"}]"#, vec!["[0] 'token' still holds <…> in place"]),
        (r#"[{"id": "a", "token": "t", "platform_url": "https://$HOST"}]"#, vec!["[0] 'platform_url' still"]),
        (r#"[{"id": "a", "token": "t", "platform_url": 7}]"#, vec!["[0] 'platform_url' must be a string"]),
        (r#"[{"id": "a", "token": "t", "platform_url": "ftp://x"}]"#, vec!["[0] 'platform_url' must begin"]),
        (
            r#"[{"id": "a/b", "token": "canary token-7", "platform_url": 7}, {"id": "b"}]"#,
            vec!["[0] 'id' ", "[0] 'token' ", "[0] 'platform_url' ", "[1] missing"],
        ),
        (
            r#"[{"id": "a", "token": "t"}, {"id": "b", "token": "u"}, {"id": "a", "token": "canary-token-7"}]"#,
            vec!["[2] duplicate workspace id, the same as in [0]"],
        ),
    ] {
        let problems = with_list(list).problems;
        assert_eq!(problems.len(), reasons.len(), "{list}: {problems:?}");
        for (problem, reason) in problems.iter().zip(reasons) {
            assert!(problem.contains(reason) && !problem.contains("canary"), "{list}: {problem}");
        }
    }
}

#[test]
fn a_missing_platform_is_missed_once() {
    let found =
        read_from(&[("MOLECULE_WORKSPACES", r#"[{"id": "a", "token": "t"}, {"id": "b", "token": "u"}]"#)]);

    assert_eq!(found.problems, ["PLATFORM_URL is missing"]);
}

#[test]
fn ten_thousand_entries_are_refused_in_a_line() {
    let mut list = "[".to_owned();
    for index in 0..10_001 {
        write!(list, r#"{{"id": "w{index}", "token": "t"}},"#).unwrap();
    }
    list.pop();
    list.push(']');

    assert_eq!(
        with_list(&list).problems,
        ["MOLECULE_WORKSPACES lists 10001 workspaces, and a process acts for at most 2000"]
    );
}

#[test]
fn more_than_ten_problems_are_counted() {
    let list = format!("[{}]", ["7"; 12].join(","));

    let problems = with_list(&list).problems;

    assert_eq!((problems.len(), problems[10].as_str()), (11, "MOLECULE_WORKSPACES has 2 more problems"));
}

#[test]
fn an_entry_may_name_the_file_of_its_token() {
    let directory = TempDir::new().unwrap();
    super::super::tests::private(&directory.path().join("token"), "from-file\n");
    let list = "platform_url = \"https://other.example\"\n\n[[workspaces]]\nid = \"a\"\ntoken_file = \"token\"\n\n\
                [[workspaces]]\nid = \"b\"\ntoken = \"here\"\nplatform_url = \"https://third.example\"\n";

    let (found, path) = with_file(&directory, "list.toml", list);

    assert_eq!(found.problems, [""; 0]);
    let token_file = directory.path().join("token");
    assert_eq!(
        shown(&found.listed),
        [
            format!("a https://other.example/ from-file of {}", token_file.display()),
            format!("b https://third.example/ here of MOLECULE_WORKSPACES_FILE ({path}) [1]"),
        ]
    );
    assert_eq!(found.listed.file.unwrap().to_str(), Some(&*path));
}

#[test]
fn a_file_is_toml_or_json_whatever_its_name() {
    let array = r#"[{"id": "a", "token": "tok"}]"#;
    let object = r#"{"workspaces": [{"id": "a", "token": "tok"}]}"#;
    let table = "[[workspaces]]\nid = \"a\"\ntoken = \"tok\"\n";
    let inline = r#"workspaces = [{ id = "a", token = "tok" }]"#;
    for (name, content) in [
        ("list.json", array),
        ("list.json", object),
        ("list", array),
        ("list", object),
        ("list", table),
        ("list.toml", inline),
    ] {
        let directory = TempDir::new().unwrap();

        let (found, _) = with_file(&directory, name, content);

        assert_eq!((found.problems, found.listed.workspaces.len()), (vec![], 1), "{name} {content}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_its_content() {
    for (name, content, reason) in [
        ("list.json", "canary", "is not valid JSON (line 1, column 1)"),
        ("list.toml", "[[workspaces]]\nid = canary\n", "is not valid TOML (line 2)"),
        ("list.toml", "canary = 1", "has no 'workspaces'"),
        ("list.toml", "platform_url = 7\nworkspaces = []", "'platform_url' must be a string"),
        ("list.toml", "workspaces = []", "non-empty"),
        ("list.toml", "[[workspaces]]\nid = \"a\"\n", "[0] missing 'id' or 'token'"),
    ] {
        let directory = TempDir::new().unwrap();

        let (found, path) = with_file(&directory, name, content);

        let [problem] = &*found.problems else { panic!("{content}: {:?}", found.problems) };
        assert!(problem.starts_with(&format!("MOLECULE_WORKSPACES_FILE ({path}) ")), "{problem}");
        assert!(problem.contains(reason) && !problem.contains("canary"), "{problem}");
    }
}

#[test]
fn the_variable_is_used_before_the_file() {
    let found = read_from(&[
        ("PLATFORM_URL", "https://acme.example"),
        ("MOLECULE_WORKSPACES", r#"[{"id": "a", "token": "tok"}]"#),
        ("MOLECULE_WORKSPACES_FILE", "/nowhere/list"),
    ]);

    assert_eq!((found.problems, found.listed.workspaces.len()), (vec![], 1));
    assert_eq!(found.warnings, ["MOLECULE_WORKSPACES is used; MOLECULE_WORKSPACES_FILE is not"]);
}

#[test]
fn keys_without_a_meaning_and_tokens_that_stand_twice_are_told() {
    let found = with_list(r#"[{"id": "a", "token": "t", "tokens": 1}, {"id": "b", "token": "t"}]"#);

    assert_eq!(found.problems, [""; 0]);
    assert_eq!(found.warnings.len(), 2, "{:?}", found.warnings);
    assert!(found.warnings[0].contains("[0] has \"tokens\", which means nothing"));
    assert!(found.warnings[1].contains("[1] has the token of [0]"));
}

/// What came of reading.
struct Found {
    listed: Listed,
    problems: Vec<String>,
    warnings: Vec<String>,
}

fn with_list(list: &str) -> Found {
    read_from(&[("PLATFORM_URL", "https://acme.example"), ("MOLECULE_WORKSPACES", list)])
}

fn with_file(directory: &TempDir, name: &str, content: &str) -> (Found, String) {
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let found = read_from(&[("PLATFORM_URL", "https://acme.example"), ("MOLECULE_WORKSPACES_FILE", &path)]);
    (found, path)
}

fn read_from(variables: &[(&str, &str)]) -> Found {
    let variables: BTreeMap<_, _> = variables.iter().copied().collect();
    let lookup = |name: &str| variables.get(name).map(OsString::from);
    let mut environment = Environment::new(&lookup);
    let listed = read(&mut environment).unwrap_or_default();
    let problems = environment.problems.iter().map(ToString::to_string).collect();
    Found { listed, problems, warnings: environment.warnings }
}

/// Id, platform, token and source of each.
fn shown(listed: &Listed) -> Vec<String> {
    let one = |workspace: &Workspace| {
        let (platform, found) =
            (workspace.platform.as_ref().unwrap(), workspace.credentials.as_ref().unwrap());
        format!("{} {platform} {} of {}", workspace.id, found.token().reveal(), found.source())
    };
    listed.workspaces.iter().map(one).collect()
}

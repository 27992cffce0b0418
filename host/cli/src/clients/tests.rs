//! Configuration as people have it, before and after.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use tempfile::TempDir;

use super::*;

/// For each client a file as people have it: with other servers, comments where they are taken, and odd spacing.
const FILES: &[(&str, &str)] = &[
    (
        "claude-code",
        "{\n  \"numStartups\": 42,\n  \"theme\": \"dark\",\n  \"mcpServers\": {\n    \"github\": {\n      \"type\": \"http\",\n      \
         \"url\": \"https://api.example/mcp\"\n    }\n  },\n  \"projects\": {\n    \"/home/me/x\": { \"allowedTools\": [] }\n  }\n}\n",
    ),
    (
        "claude-desktop",
        "{\n\t\"mcpServers\": {\n\t\t\"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"files\"]}\n\t}\n}",
    ),
    (
        "codex",
        "# my settings\nmodel = \"gpt-5\"   # fast\n\n[mcp_servers.docs]\ncommand = \"npx\"\nargs = [ \"-y\",\n  \"docs\" ]\n\n\
         [projects.\"/home/me/x\"]\ntrust_level = \"trusted\"\n",
    ),
    ("cursor", "{ \"mcpServers\": { \"a\": { \"url\": \"http://localhost:1\" } } }\n"),
    (
        "gemini",
        "{\r\n  \"ui\": { \"theme\": \"GitHub\" },\r\n  \"selectedAuthType\": \"oauth-personal\"\r\n}\r\n",
    ),
    (
        "goose",
        "GOOSE_PROVIDER: anthropic\n# servers\nextensions:\n  developer:\n    enabled: true\n    type: builtin\n    name: developer\n\n  \
         # notes\n  memory:\n    enabled: false\n    type: builtin\n    name: memory\nGOOSE_MODEL: claude\n",
    ),
    ("opencode", "{\n  // theme\n  \"theme\": \"system\",\n  \"mcp\": {},\n}\n"),
    ("qwen", "\u{feff}{\"security\":{\"auth\":{\"selectedType\":\"openai\"}},\"mcpServers\":{}}"),
    (
        "vscode",
        "{\n    // my servers\n    \"servers\": {\n        \"play\": {\n            \"command\": \"npx\", /* latest */\n            \
         \"args\": [\"play\"],\n        },\n    },\n    \"inputs\": []\n}\n",
    ),
    ("windsurf", "{}"),
    (
        "zed",
        "// Zed settings\n//\n{\n  \"vim_mode\": true,\n  \"theme\": {\n    \"mode\": \"system\", // follow\n  },\n}\n",
    ),
];

#[test]
fn every_client_is_in_the_table_of_files() {
    let ids: Vec<_> = ALL.iter().map(|client| client.id).collect();

    assert_eq!(FILES.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
}

#[test]
fn what_is_taken_out_again_leaves_every_byte_as_it_was() {
    for (id, text) in FILES {
        for permit in [false, true] {
            let home = Home::new();
            let file = home.write(id, text);

            home.install(id, permit);
            let between = fs::read_to_string(&file).unwrap();
            home.uninstall(id);

            assert_ne!(between, *text, "{id}");
            assert_eq!(fs::read_to_string(&file).unwrap(), *text, "{id}");
            assert_eq!(home.files(), [file], "{id}");
        }
    }
}

#[test]
fn every_line_that_was_there_is_still_there_in_its_order() {
    for (id, text) in FILES {
        let home = Home::new();
        let file = home.write(id, text);

        home.install(id, true);

        let after = fs::read_to_string(&file).unwrap();
        // A comma may be added to the last line before ours, and braces on one line are opened.
        let bare = |text: &str| {
            text.chars().filter(|char| !char.is_whitespace() && !"{},".contains(*char)).collect::<String>()
        };
        let (before, after) = (bare(text), bare(&after));
        let begin = before.chars().zip(after.chars()).take_while(|(one, other)| one == other).count();
        let end =
            before.chars().rev().zip(after.chars().rev()).take_while(|(one, other)| one == other).count();
        assert!(begin + end >= before.chars().count(), "{id}:\n{before}\n{after}");
    }
}

#[test]
fn what_a_person_changes_meanwhile_stays() {
    for (id, text) in FILES {
        let home = Home::new();
        let file = home.write(id, text);
        let client = Client::named(id).unwrap();
        home.install(id, false);
        let other = client
            .format
            .with(&fs::read_to_string(&file).unwrap(), client.at, "later", &plain(&server()))
            .unwrap();
        fs::write(&file, other).unwrap();

        home.uninstall(id);

        let after = fs::read_to_string(&file).unwrap();
        assert_eq!(client.format.entry(&after, client.at, "later"), Some(plain(&server())), "{id}: {after}");
        assert_eq!(client.format.entry(&after, client.at, "molecule"), None, "{id}: {after}");
        let comments = |text: &str| text.matches("//").count() + text.matches("# ").count();
        assert_eq!(comments(&after), comments(text), "{id}: {after}");
    }
}

#[test]
fn a_client_without_a_file_gets_one_that_goes_again() {
    for (id, _) in FILES {
        let home = Home::new();

        home.install(id, true);
        let file = home.file(id);
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        let text = fs::read_to_string(&file).unwrap();
        home.uninstall(id);

        assert_eq!(mode, 0o600, "{id}");
        assert!(text.ends_with('\n') && text.contains("/opt/bin/molecule-mcp"), "{id}: {text}");
        assert!(home.files().is_empty(), "{id}: {:?}", home.files());
    }
}

#[test]
fn to_install_twice_changes_nothing_and_an_old_path_is_replaced() {
    for (id, text) in FILES {
        let home = Home::new();
        let file = home.write(id, text);
        let client = Client::named(id).unwrap();
        home.install(id, true);

        assert_eq!(client.install(&home.homes(), &server(), true).unwrap(), [], "{id}");
        let moved = Server { command: "/usr/bin/molecule-mcp".to_owned(), ..server() };
        for change in client.install(&home.homes(), &moved, true).unwrap() {
            change.write().unwrap();
        }

        let after = fs::read_to_string(&file).unwrap();
        assert!(
            after.contains("/usr/bin/molecule-mcp") && !after.contains("/opt/bin/molecule-mcp"),
            "{id}: {after}"
        );
        assert_eq!(client.installed(&home.homes()), ["molecule"], "{id}");
        home.uninstall(id);
        assert_eq!(fs::read_to_string(&file).unwrap(), *text, "{id}");
    }
}

#[test]
fn fields_that_a_person_added_to_the_entry_stay() {
    let home = Home::new();
    let file =
        home.write("codex", "[mcp_servers.molecule]\ncommand = \"old\"\ntool_timeout_sec = 300 # long\n");

    home.install("codex", false);

    assert_eq!(
        fs::read_to_string(file).unwrap(),
        "[mcp_servers.molecule]\ncommand = \"/opt/bin/molecule-mcp\"\ntool_timeout_sec = 300 # long\nenv = { CONFIGS_DIR = \
         \"/srv/configs\" }\n"
    );
}

#[test]
fn a_rule_that_was_there_before_stays() {
    let home = Home::new();
    home.write("claude-code", "{}");
    let settings = home.0.path().join(".claude/settings.json");
    fs::create_dir(settings.parent().unwrap()).unwrap();
    let own = "{\"permissions\": {\"allow\": [\"mcp__molecule\"]}}";
    fs::write(&settings, own).unwrap();

    home.install("claude-code", true);
    home.uninstall("claude-code");

    assert_eq!(fs::read_to_string(&settings).unwrap(), own);
}

#[test]
fn what_cannot_be_understood_is_told_with_its_place_and_not_touched() {
    for (id, text, told) in [
        ("cursor", "{\n  \"mcpServers\": {\n    oops\n", "is not valid JSON (line 3)"),
        ("cursor", "[]", "is JSON, but no object"),
        ("cursor", "{\"mcpServers\": []}", "has \"mcpServers\", which is no object"),
        ("codex", "model = \"x\"\n[mcp_servers\n", "is not valid TOML (line 2)"),
        ("codex", "mcp_servers = 1\n", "has \"mcp_servers\", which is no table"),
        ("goose", "a: [\n", "is not valid YAML"),
        ("goose", "extensions: {a: {enabled: true}}\n", "add the server by hand"),
        ("goose", "- a\n", "is YAML, but no mapping"),
    ] {
        let home = Home::new();
        let file = home.write(id, text);

        let why = Client::named(id).unwrap().install(&home.homes(), &server(), true).unwrap_err();

        assert!(why.contains(told) && why.starts_with(file.to_str().unwrap()), "{text}: {why}");
        assert_eq!(home.files(), [file], "{text}");
    }
}

#[test]
fn a_link_is_followed_and_a_mode_is_kept() {
    let home = Home::new();
    let file = home.write("cursor", "{}\n");
    let real = home.0.path().join("dotfiles.json");
    fs::rename(&file, &real).unwrap();
    symlink(&real, &file).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();

    home.install("cursor", false);

    assert!(file.is_symlink() && fs::read_to_string(&real).unwrap().contains("molecule"));
    assert_eq!(real.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_that_changes_meanwhile_is_not_written() {
    let home = Home::new();
    let file = home.write("cursor", "{}");
    let changes = Client::named("cursor").unwrap().install(&home.homes(), &server(), false).unwrap();

    fs::write(&file, "{\"other\": 1}").unwrap();

    assert!(changes[0].write().unwrap_err().to_string().contains("changed meanwhile"));
    assert_eq!(fs::read_to_string(file).unwrap(), "{\"other\": 1}");
}

#[test]
fn a_diff_shows_what_changes_and_no_secret_beside_it() {
    let home = Home::new();
    home.write("codex", "[mcp_servers.other.env]\nAPI_KEY = \"canary\"\n");

    let changes = Client::named("codex").unwrap().install(&home.homes(), &server(), true).unwrap();

    let diff = changes[0].diff();
    assert!(diff.contains(" + [mcp_servers.molecule]") && diff.contains("config.toml"), "{diff}");
    assert!(!diff.contains("canary"), "{diff}");
}

#[test]
fn only_clients_that_are_there_are_found() {
    let home = Home::new();
    assert!(ALL.iter().all(|client| !client.is_there(&home.homes())));

    fs::create_dir(home.0.path().join(".codex")).unwrap();
    home.write("zed", "{}");

    let found: Vec<_> =
        ALL.iter().filter(|client| client.is_there(&home.homes())).map(|client| client.id).collect();
    assert_eq!(found, ["codex", "zed"]);
}

#[test]
fn servers_of_others_are_not_taken_for_ours() {
    let home = Home::new();
    home.write(
        "cursor",
        r#"{"mcpServers": {"molecule-docs": {"command": "npx"}, "molecule-b": {"command": "/x/molecule-mcp"}, "molecule": {}}}"#,
    );

    assert_eq!(Client::named("cursor").unwrap().installed(&home.homes()), ["molecule-b", "molecule"]);
}

fn server() -> Server {
    Server {
        name: "molecule".to_owned(),
        command: "/opt/bin/molecule-mcp".to_owned(),
        variables: vec![("CONFIGS_DIR", "/srv/configs".to_owned())],
    }
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn homes(&self) -> Homes {
        Homes { home: self.0.path().to_owned(), variable: |_| None }
    }

    fn file(&self, id: &str) -> PathBuf {
        Client::named(id).unwrap().file(&self.homes())
    }

    fn write(&self, id: &str, text: &str) -> PathBuf {
        let file = self.file(id);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    }

    fn install(&self, id: &str, permit: bool) {
        let changes = Client::named(id).unwrap().install(&self.homes(), &server(), permit);
        for change in changes.unwrap_or_else(|why| panic!("{id}: {why}")) {
            change.write().unwrap();
        }
    }

    fn uninstall(&self, id: &str) {
        let changes = Client::named(id).unwrap().uninstall(&self.homes(), "molecule");
        for change in changes.unwrap_or_else(|why| panic!("{id}: {why}")) {
            change.write().unwrap();
        }
    }

    /// All files that are there.
    fn files(&self) -> Vec<PathBuf> {
        fn below(directory: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { below(&path, found) } else { found.push(path) }
            }
        }
        let mut found = Vec::new();
        below(self.0.path(), &mut found);
        found.sort();
        found
    }
}

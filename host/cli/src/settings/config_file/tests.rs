use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use tempfile::TempDir;

use super::*;
use crate::settings::{Settings, Source, places, sources};

const ID: &str = "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3";
const OTHER: &str = "0d1f7c52-6f0b-4c88-9a3e-1b7c5e2f9d40";
const SINGLE: &str = r#"
platform_url = "https://acme.example"
workspace_id = "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3"
token_file = "token"
poll_timeout_secs = 7
"#;
const LISTED: &str = r#"
platform_url = "https://acme.example"

[[workspaces]]
id = "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3"
token_file = "token"

[[workspaces]]
id = "0d1f7c52-6f0b-4c88-9a3e-1b7c5e2f9d40"
token_file = "second"
platform_url = "https://other.example"
"#;

#[test]
fn a_file_alone_is_enough() {
    let home = Home::with(SINGLE);

    let settings = home.good(&[]);

    let account = &settings.accounts[0];
    assert_eq!((account.id.as_str(), account.platform.as_str()), (ID, "https://acme.example/"));
    assert_eq!(account.credentials.token().reveal(), "tok-1");
    assert_eq!(settings.tools.poll_timeout_secs, 7);
    assert_eq!(settings.secret_files, [home.file()]);
    assert_eq!(settings.warnings, [""; 0]);
}

#[test]
fn it_may_be_anywhere_if_it_is_named() {
    let home = Home::with("");
    let elsewhere = home.0.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("my.toml"), SINGLE).unwrap();
    private(&elsewhere.join("token"), "tok-9");

    let settings = home.good(&[("MOLECULE_CONFIG", elsewhere.join("my.toml").to_str().unwrap())]);

    assert_eq!(settings.accounts[0].credentials.token().reveal(), "tok-9");
    assert!(home.bad(&[("MOLECULE_CONFIG", "/nowhere/my.toml")]).contains("/nowhere/my.toml does not exist"));
}

#[test]
fn variables_win_over_the_file() {
    let home = Home::with(SINGLE);

    let settings = home.good(&[
        ("PLATFORM_URL", "https://new.example"),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", home.0.path().join("second").to_str().unwrap()),
        ("MOLECULE_MCP_POLL_TIMEOUT_SECS", "9"),
    ]);

    assert_eq!(settings.accounts[0].platform.as_str(), "https://new.example/");
    assert_eq!(settings.accounts[0].credentials.token().reveal(), "tok-2");
    assert_eq!(settings.tools.poll_timeout_secs, 9);
    // Blank counts as not set.
    assert_eq!(home.good(&[("PLATFORM_URL", " ")]).accounts[0].platform.as_str(), "https://acme.example/");
}

#[test]
fn a_token_of_the_file_never_goes_to_another_workspace() {
    let home = Home::with(SINGLE);

    let report = home.bad(&[("WORKSPACE_ID", OTHER)]);

    assert!(report.contains("Currently missing: MOLECULE_WORKSPACE_TOKEN"), "{report}");
    assert_eq!(home.good(&[("WORKSPACE_ID", &ID.to_uppercase())]).accounts[0].id, ID);
}

#[test]
fn it_may_list_workspaces_and_a_variable_picks_one_of_them() {
    let home = Home::with(LISTED);

    let all = home.good(&[]);
    let one = home.good(&[("WORKSPACE_ID", OTHER)]);

    let shown = |settings: &Settings| {
        let accounts = settings.accounts.iter();
        let shown = |account: &molecule_runtime::account::Account| {
            format!("{} {} {}", &account.id[..2], account.platform, account.credentials.token().reveal())
        };
        accounts.map(shown).collect::<Vec<_>>()
    };
    assert_eq!(shown(&all), ["6f https://acme.example/ tok-1", "0d https://other.example/ tok-2"]);
    assert_eq!(shown(&one), ["0d https://other.example/ tok-2"]);
    assert_eq!(places(home.lookup(&[])).unwrap().len(), 2);
    assert_eq!(places(home.lookup(&[("WORKSPACE_ID", OTHER)])).unwrap().len(), 1);
}

#[test]
fn every_key_is_read_as_what_it_is() {
    let home = Home::with(&format!(
        r#"{SINGLE}
        agent_skills = ["write", "read"]
        disable_inbox = true
        disable_heartbeat = false
        tool_notice = false
        handover = "redeliver"
        attach_roots = [".", "~/"]
        chat_upload_dir = "uploads"
        allow_http = true
        no_proxy = ["localhost", ".example"]
        "#
    ));

    let settings = home.good(&[]);

    assert_eq!(settings.accounts[0].card.skills, ["write", "read"]);
    assert!(settings.heartbeat && !settings.inbox && !settings.tools.notice && settings.tools.redeliver);
    let directory = home.0.path().canonicalize().unwrap();
    assert_eq!(settings.attach_roots, [directory.clone(), directory]);
    assert_eq!(settings.chat_uploads.directory, Some(home.0.path().join("uploads")));
}

#[test]
fn what_is_wrong_is_told_with_the_file_the_key_and_what_may_be_meant() {
    let file = |text: &str| Home::with(&format!("{SINGLE}\n{text}")).bad(&[]);
    for (text, told) in [
        ("agent_nme = 'x'", "\"agent_nme\" is no setting; did you mean agent_name?"),
        ("Agent-Name = 'x'", "\"Agent-Name\" is no setting; did you mean agent_name?"),
        ("MOLECULE_AGENT_NAME = 'x'", "\"MOLECULE_AGENT_NAME\" is no setting; did you mean agent_name?"),
        ("zzz = 1", "\"zzz\" is no setting\n"),
        ("verbose = 'yes'", "verbose must be true or false"),
        ("chat_upload_max_mb = -1", "chat_upload_max_mb must be a whole number, 0 or more"),
        ("handover = 'x'", "handover must be \"keep\" or \"redeliver\""),
        ("attach_roots = [1]", "attach_roots must be a list of texts, the paths"),
        ("ssl_cert_file = 'gone.pem'", "/gone.pem does not exist"),
        ("[[workspaces]]\nid = 'w'\ntoken = 't'", "workspace_id and workspaces exclude each other"),
        ("x = [", "config.toml is not valid TOML (line 6)"),
    ] {
        let report = file(text);
        assert!(report.contains(told) && report.contains("config.toml"), "{text}: {report}");
    }
    let report =
        Home::with(&LISTED.replace("token_file = \"second\"", "token_fil = \"second\"\ntoken = 't'"))
            .bad(&[]);
    assert!(
        report.contains(
            "workspaces [1] has \"token_fil\", which is no key of a workspace; did you mean token_file?"
        ),
        "{report}"
    );
    let report = Home::with(&SINGLE.replace("https://acme.example", "ftp://acme")).bad(&[]);
    assert!(report.contains("Not usable: platform_url (/"), "{report}");
}

#[test]
fn a_token_in_the_file_is_read_and_shown_nowhere() {
    let home = Home::with(&SINGLE.replace("token_file = \"token\"", "token = \"canary-token-0123456789\""));
    fs::set_permissions(home.file(), fs::Permissions::from_mode(0o644)).unwrap();

    let settings = home.good(&[]);

    assert_eq!(settings.accounts[0].credentials.token().reveal(), "canary-token-0123456789");
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
    assert!(!format!("{:?}{:?}", sources(home.lookup(&[])), settings.warnings).contains("canary"));
}

#[test]
fn each_value_says_where_it_comes_from() {
    let home = Home::with(SINGLE);

    let found =
        sources(home.lookup(&[("PLATFORM_URL", "https://new.example"), ("https_proxy", "http://u:p@proxy")]));

    let of = |name: &str| found.iter().find(|setting| setting.variable.name == name).unwrap();
    assert_eq!(of("PLATFORM_URL").source, Source::Environment("PLATFORM_URL".to_owned()));
    assert_eq!(of("PLATFORM_URL").value.as_deref(), Some("https://new.example"));
    assert_eq!(of("WORKSPACE_ID").source, Source::File { path: home.file(), key: "workspace_id" });
    assert_eq!(of("HTTPS_PROXY").source, Source::Environment("https_proxy".to_owned()));
    assert_eq!(of("HTTPS_PROXY").value, None);
    assert_eq!(of("MOLECULE_AGENT_NAME").source, Source::Default);
    assert_eq!(found.len(), env::ALL.len());
}

#[test]
fn the_schema_has_every_key_and_nothing_else() {
    let schema = schema();

    let properties = schema["properties"].as_object().unwrap();
    assert_eq!(properties.len(), known_keys().count());
    assert!(known_keys().all(|key| properties.contains_key(key)));
    assert_eq!(schema["additionalProperties"], false);
}

/// A home with a configs directory that holds the file and two tokens.
struct Home(TempDir);

impl Home {
    fn with(config: &str) -> Self {
        let home = Self(TempDir::new().unwrap());
        fs::write(home.file(), config).unwrap();
        private(&home.0.path().join("token"), "tok-1");
        private(&home.0.path().join("second"), "tok-2");
        home
    }

    fn file(&self) -> PathBuf {
        self.0.path().join(FILE_NAME)
    }

    fn lookup(&self, changes: &[(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + use<> {
        let directory = self.0.path().to_str().unwrap().to_owned();
        let mut variables: BTreeMap<String, String> = [("CONFIGS_DIR", &directory), ("HOME", &directory)]
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .into();
        variables.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        move |name| variables.get(name).map(OsString::from)
    }

    fn good(&self, changes: &[(&str, &str)]) -> Settings {
        Settings::from_env(self.lookup(changes)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn bad(&self, changes: &[(&str, &str)]) -> String {
        match Settings::from_env(self.lookup(changes)) {
            Ok(settings) => panic!("accepted: {settings:?}"),
            Err(problems) => problems.to_string(),
        }
    }
}

fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

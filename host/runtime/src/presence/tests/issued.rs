//! A token that comes with a register although one was sent.

use futures::future::BoxFuture;

use super::{trouble::page, *};

#[tokio::test(start_paused = true)]
async fn an_issued_token_means_nothing_while_ours_opens_the_workspace() {
    let scene = Scene::new(|call| if call.endpoint == "register" { issuing() } else { ok() });
    let keyring = begin(&scene, "issued-token");

    time::sleep(Duration::from_secs(60)).await;

    assert_eq!(scene.logged(Level::Warn), Vec::<String>::new());
    assert_eq!(scene.times("activity").len(), 1);
    assert_eq!(keyring.adopted(), None);
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_is_used_if_it_alone_opens_the_workspace() {
    let scene = Scene::new(|call| match call.endpoint {
        "register" => issuing(),
        "activity" => answer(401, REFUSAL),
        _ => ok(),
    });
    let keyring = begin(&scene, "issued-token");

    time::sleep(Duration::from_secs(60)).await;

    assert_eq!(keyring.adopted().as_deref(), Some("issued-token"));
    let warned = scene.logged(Level::Warn).concat();
    assert!(
        warned.contains("the token from TOKEN_SOURCE was revoked") && warned.contains("Tokens tab"),
        "{warned}"
    );
    assert!(!warned.contains("issued-token"), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_that_opens_nothing_tells_of_a_deleted_workspace() {
    let scene = Scene::new(|call| match call.endpoint {
        "register" => issuing(),
        "activity" => answer(401, REFUSAL),
        _ => ok(),
    });
    let keyring = begin(&scene, "another");

    time::sleep(Duration::from_secs(60)).await;

    assert_eq!(keyring.adopted(), None);
    let warned = scene.logged(Level::Warn);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("w-1 was deleted, or all its tokens were revoked"), "{warned:?}");
}

#[tokio::test(start_paused = true)]
async fn an_issued_token_is_looked_into_until_something_is_known() {
    let scene = Scene::new(|call| match (call.endpoint, call.count) {
        ("register", _) => issuing(),
        ("activity", 0) => Reply { after_ms: 5_000, outcome: no_answer() },
        ("activity", 1) => page(403),
        _ => ok(),
    });
    begin(&scene, "another");

    time::sleep(Duration::from_secs(120)).await;

    assert_eq!(scene.times("activity").len(), 3);
    assert_eq!(scene.logged(Level::Warn), Vec::<String>::new());
}

/// Begins beside a platform to which the token `opens` opens the workspace.
fn begin(scene: &Scene, opens: &str) -> Arc<Keyring> {
    let keyring = Arc::new(Keyring { opens: opens.to_owned(), adopted: Mutex::default() });
    let mut presence = scene.presence().with_tokens(Arc::clone(&keyring) as Arc<dyn Tokens>);
    tokio::spawn(async move { presence.run(&Session::default()).await });
    keyring
}

fn issuing() -> Reply {
    answer(200, r#"{"status":"registered","delivery_mode":"poll","auth_token":"issued-token"}"#)
}

/// A platform to which one token opens the workspace.
struct Keyring {
    opens: String,
    adopted: Mutex<Option<String>>,
}

impl Keyring {
    fn adopted(&self) -> Option<String> {
        self.adopted.lock().unwrap().clone()
    }
}

impl Tokens for Keyring {
    fn send_with<'a>(&'a self, token: &'a Token, request: PlatformRequest) -> BoxFuture<'a, Outcome> {
        assert_eq!(request.path, ["workspaces", "w-1", "activity"]);
        let opens = token.reveal() == self.opens;
        let Reply { outcome, .. } = if opens { answer(200, "[]") } else { answer(401, REFUSAL) };
        Box::pin(async { outcome })
    }

    fn adopt(&self, token: Token) {
        *self.adopted.lock().unwrap() = Some(token.reveal().to_owned());
    }
}

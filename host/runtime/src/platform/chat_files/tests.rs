use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::*;
use crate::{
    guest::wire::Limits,
    platform::http::scripted::{Reply, Server, rotated},
};

const ID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
const NAMED: &str = "0f1e2d3c4b5a49788695a4b3c2d1e0f9-a.txt";
const DAY: Duration = Duration::from_secs(86_400);

/// A directory for state, and what is kept in it.
struct Scene {
    configs: TempDir,
    files: ChatFiles,
}

impl Scene {
    fn new() -> Self {
        let configs = TempDir::new().unwrap();
        let uploads = ChatUploads {
            directory: Some(configs.path().join("chat-uploads")),
            most_bytes: 1_000,
            keep: 14 * DAY,
        };
        let files = ChatFiles { reserve: 0, ..ChatFiles::new(&uploads, "w", Uploads::default()) };
        Self { configs, files }
    }

    fn directory(&self) -> PathBuf {
        self.configs.path().join("chat-uploads/w")
    }

    async fn fetch(&self, server: &Server, bytes: Option<u64>) -> Outcome {
        self.files.fetch(&server.http("tok"), request("a.txt", bytes)).await
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory()).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        fs::create_dir_all(self.directory()).unwrap();
        let path = self.directory().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

#[tokio::test]
async fn a_content_is_on_disk_under_a_clean_name_and_open_to_nobody_else() {
    let (scene, server) = (Scene::new(), Server::start([Reply::keep(&answer("hello"))]).await);

    let request = FetchRequest { name: "../my\na.txt".to_owned(), ..request("", Some(5)) };
    let outcome = scene.files.fetch(&server.http("tok"), request).await;

    let path = scene.directory().join("0f1e2d3c4b5a49788695a4b3c2d1e0f9-my_a.txt");
    let file =
        FetchedFile { path: path.to_str().unwrap().to_owned(), bytes: 5, mime_type: "text/plain".to_owned() };
    assert_eq!(outcome, Outcome::Fetched(file));
    assert_eq!(fs::read(&path).unwrap(), b"hello");
    let modes = [path, scene.directory()].map(|path| path.metadata().unwrap().mode() & 0o777);
    assert_eq!(modes, [0o600, 0o700]);
    assert!(server.request(0).0.starts_with("GET /workspaces/w/pending-uploads/f/content HTTP/1.1"));
}

#[tokio::test]
async fn what_is_here_already_is_not_asked_for_again() {
    let (scene, server) = (Scene::new(), Server::start([Reply::keep(&answer("hello"))]).await);
    let first = scene.fetch(&server, Some(5)).await;

    let again = scene.fetch(&server, Some(5)).await;

    let (Outcome::Fetched(first), Outcome::Fetched(again)) = (first, again) else { panic!() };
    assert_eq!((first.path, server.requests()), (again.path, 1));
}

#[tokio::test]
async fn nothing_that_is_there_is_overwritten_and_no_link_is_followed() {
    let (scene, server) = (Scene::new(), Server::start([Reply::keep(&answer("hello"))]).await);
    let mine = scene.configs.path().join("mine");
    fs::write(&mine, "mine!").unwrap();
    fs::create_dir_all(scene.directory()).unwrap();
    symlink(&mine, scene.directory().join(NAMED)).unwrap();

    let outcome = scene.fetch(&server, Some(5)).await;

    let Outcome::Fetched(file) = outcome else { panic!("{outcome:?}") };
    assert!(file.path.ends_with("0f1e2d3c4b5a49788695a4b3c2d1e0f9-2-a.txt"), "{}", file.path);
    assert_eq!(fs::read_to_string(mine).unwrap(), "mine!");
}

#[tokio::test]
async fn a_directory_that_is_a_link_is_not_used() {
    let (scene, server) = (Scene::new(), Server::start([]).await);
    let elsewhere = TempDir::new().unwrap();
    fs::create_dir(scene.configs.path().join("chat-uploads")).unwrap();
    symlink(elsewhere.path(), scene.directory()).unwrap();

    let outcome = scene.fetch(&server, Some(5)).await;

    assert!(
        matches!(&outcome, Outcome::StoreFailed(why) if why.contains("links are not followed")),
        "{outcome:?}"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_content_of_another_length_is_none_and_leaves_nothing_behind() {
    for (content, expected) in
        [(answer("hell"), 5), (answer("hello!"), 5), (chunked("hello!"), 5), (chunked("he"), 5)]
    {
        let (scene, server) = (Scene::new(), Server::start([Reply::close(&content)]).await);

        let outcome = scene.fetch(&server, Some(expected)).await;

        assert!(
            matches!(&outcome, Outcome::Unreachable(why) if why.reason.contains("in place of 5")),
            "{outcome:?}"
        );
        assert!(scene.names().is_empty(), "{:?}", scene.names());
    }
}

#[tokio::test]
async fn a_content_that_breaks_off_leaves_nothing_behind() {
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";
    let (scene, server) = (Scene::new(), Server::start([Reply::close(broken)]).await);

    let outcome = scene.fetch(&server, Some(5)).await;

    assert!(matches!(&outcome, Outcome::Unreachable(why) if why.reason.contains("broke off")), "{outcome:?}");
    assert!(scene.names().is_empty());
}

#[tokio::test]
async fn a_content_that_pauses_is_given_up() {
    let silent = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";
    let (scene, server) = (Scene::new(), Server::start([Reply::keep(silent)]).await);

    let outcome = scene.fetch(&server, Some(5)).await;

    assert!(matches!(&outcome, Outcome::Unreachable(why) if why.reason.contains("paused")), "{outcome:?}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_and_while_it_comes() {
    let long = "x".repeat(1_001);
    let (scene, server) =
        (Scene::new(), Server::start([Reply::close(&answer(&long)), Reply::close(&chunked(&long))]).await);

    let announced = scene.fetch(&server, Some(1_001)).await;
    assert!(
        matches!(&announced, Outcome::Refused(why) if why.contains("1001 bytes, and at most 1000")),
        "{announced:?}"
    );
    assert_eq!(server.requests(), 0);

    for _ in 0..2 {
        let outcome = scene.fetch(&server, None).await;
        assert!(matches!(&outcome, Outcome::Refused(why) if why.contains("at most 1000")), "{outcome:?}");
    }
    assert!(scene.names().is_empty());
}

#[tokio::test]
async fn without_room_on_the_disk_nothing_is_asked_for() {
    let (mut scene, server) = (Scene::new(), Server::start([]).await);
    scene.files.reserve = u64::MAX;

    let outcome = scene.fetch(&server, Some(5)).await;

    assert!(matches!(&outcome, Outcome::StoreFailed(why) if why.contains("too little")), "{outcome:?}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn without_a_directory_nothing_is_fetched() {
    let uploads = ChatUploads { directory: None, most_bytes: 1_000, keep: DAY };
    let server = Server::start([]).await;

    let outcome = ChatFiles::new(&uploads, "w", Uploads::default())
        .fetch(&server.http("tok"), request("a", None))
        .await;

    assert_eq!(outcome, Outcome::StoreFailed(nowhere()));
}

#[tokio::test]
async fn other_answers_come_back_as_they_are_and_a_new_token_is_tried() {
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    let (scene, server) = (Scene::new(), Server::start([Reply::keep(unauthorized), Reply::keep(gone)]).await);
    let http = server.http_with(rotated(&scene.configs, "old", "new"));

    let outcome = scene.files.fetch(&http, request("a.txt", Some(5))).await;

    assert!(matches!(&outcome, Outcome::Responded(answer) if answer.status == 404), "{outcome:?}");
    assert!(server.request(1).0.contains("Bearer new"));
}

#[tokio::test]
async fn files_that_nothing_needs_go_when_they_are_old_and_those_in_use_stay() {
    let scene = Scene::new();
    let old = SystemTime::now() - 15 * DAY;
    let [needed, over, fresh, foreign] =
        ["aa-needed", "bb-over", "cc-fresh", "notes"].map(|name| scene.put(name, "x"));
    for path in [&needed, &over, &foreign] {
        fs::File::open(path).unwrap().set_modified(old).unwrap();
    }
    let keep = vec![needed.to_str().unwrap().to_owned()];

    let outcome = scene.files.sweep(SweepRequest { workspace: 0, keep }).await;

    assert_eq!(outcome, Outcome::Swept(vec![over.to_str().unwrap().to_owned()]));
    assert_eq!(scene.names(), ["aa-needed", "cc-fresh", "notes"]);
    assert!(fresh.exists() && needed.metadata().unwrap().modified().unwrap() > old + DAY);
}

fn request(name: &str, bytes: Option<u64>) -> FetchRequest {
    FetchRequest {
        workspace: 0,
        path: ["workspaces", "w", "pending-uploads", "f", "content"].map(str::to_owned).to_vec(),
        id: ID.to_owned(),
        name: name.to_owned(),
        bytes,
        limits: Limits { first_byte_ms: 200, total_ms: 5_000, body_bytes: 1_000 },
    }
}

fn answer(content: &str) -> String {
    let length = content.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Text/Plain; charset=utf-8\r\ncontent-length: {length}\r\n\r\n{content}"
    )
}

fn chunked(content: &str) -> String {
    let length = content.len();
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{content}\r\n0\r\n\r\n")
}

#[tokio::test]
async fn the_lead_is_not_handed_over_before_a_file_that_is_being_named_has_its_name() {
    let scene = Scene::new();
    let files = crate::storage::files::Files::at(None);
    let uploads = ChatFiles { changing: files.uploads(), ..scene.files.clone() };
    let (begin, begun) = std::sync::mpsc::channel::<()>();
    let publishing = uploads.blocking(move || begun.recv().map_err(io::Error::other));
    let mut publishing = Box::pin(publishing);
    assert!(futures::poll!(&mut publishing).is_pending());
    drop(publishing);

    let mut handed_over = Box::pin(files.resign());

    assert!(futures::poll!(&mut handed_over).is_pending());
    begin.send(()).unwrap();
    handed_over.await;
}

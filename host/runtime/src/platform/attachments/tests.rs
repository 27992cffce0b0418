//! Against a real file system, with everything that an agent could be talked into.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::{
    guest::wire::Limits,
    platform::http::scripted::{Reply, Server, rotated},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

#[tokio::test]
async fn a_file_below_a_root_is_sent_with_its_name_and_type() {
    let place = Place::new();
    let path = place.file("root/sub/report.pdf", b"content");

    let file = place.open(&path).unwrap();

    assert_eq!((file.name.as_str(), file.mime, file.length), ("report.pdf", "application/pdf", 7));
    assert_eq!(read(file).await.unwrap(), b"content");
}

#[tokio::test]
async fn an_unknown_extension_is_bytes_and_an_empty_file_is_a_file() {
    let place = Place::new();
    let path = place.file("root/data.unheard-of", b"");

    let file = place.open(&path).unwrap();

    assert_eq!((file.mime, file.length), ("application/octet-stream", 0));
    assert_eq!(read(file).await.unwrap(), b"");
}

#[test]
fn paths_outside_of_the_roots_are_refused_with_a_way_out() {
    let place = Place::new();
    place.file("root/inside", b"");
    let outside = place.file("outside/secret", b"");
    let sibling = place.file("root-evil/secret", b"");
    let climbing = format!("{}/root/../outside/secret", place.base());

    for path in
        [outside, sibling, climbing, "/etc/passwd".to_owned(), "../../../../../../../etc/passwd".to_owned()]
    {
        let why = place.refusal(&path);
        assert!(why.starts_with("attachment not allowed") && why.contains(&path), "{why}");
        assert!(why.contains(names().attachments) && why.contains(&place.path("root")), "{why}");
    }
}

#[test]
fn without_roots_nothing_is_sent() {
    let place = Place::new();
    let path = place.file("root/a.txt", b"");

    let refusal = Policy::default().open(&path).err().unwrap().to_string();

    assert!(refusal.contains("(none)"), "{refusal}");
}

#[test]
fn links_are_followed_as_long_as_they_stay_inside() {
    let place = Place::new();
    let target = place.file("root/target.txt", b"");
    let outside = place.file("outside/secret", b"");
    symlink(target, place.path("root/inward")).unwrap();
    symlink(&outside, place.path("root/outward")).unwrap();
    symlink(place.path("outside"), place.path("root/directory")).unwrap();
    symlink(place.path("root/loop"), place.path("root/loop")).unwrap();

    assert_eq!(place.open(&place.path("root/inward")).unwrap().name, "inward");
    for outward in ["root/outward", "root/directory/secret"] {
        assert!(place.refusal(&place.path(outward)).starts_with("attachment not allowed"), "{outward}");
    }
    assert!(place.refusal(&place.path("root/loop")).starts_with("reading "));
}

#[test]
fn a_chain_of_41_links_is_refused() {
    let place = Place::new();
    place.file("root/0", b"");
    for link in 1..=41 {
        symlink(place.path(&format!("root/{}", link - 1)), place.path(&format!("root/{link}"))).unwrap();
    }

    assert!(place.open(&place.path("root/40")).is_ok());
    assert!(place.refusal(&place.path("root/41")).starts_with("reading "));
}

#[test]
fn a_link_that_appears_after_the_check_is_not_followed() {
    let place = Place::new();
    place.file("outside/a.txt", b"");
    symlink(place.path("outside"), place.path("root/sub")).unwrap();
    symlink(place.path("outside/a.txt"), place.path("root/a.txt")).unwrap();
    let root = PathBuf::from(place.path("root"));

    for path in ["sub/a.txt", "a.txt", "../outside/a.txt"] {
        assert!(!matches!(open::below(&root, Path::new(path)), Ok(Some(_))), "{path}");
    }
}

#[tokio::test]
async fn a_replaced_file_is_sent_as_it_was_opened() {
    let place = Place::new();
    let path = place.file("root/a.txt", b"old");
    let file = place.open(&path).unwrap();

    fs::rename(place.file("root/b.txt", b"new"), &path).unwrap();

    assert_eq!(read(file).await.unwrap(), b"old");
}

#[tokio::test]
async fn a_file_that_changes_its_size_is_never_sent_whole() {
    for (before, after) in [(100, 101), (100, 99), (100, 0), (0, 1), (200_000, 200_001), (200_000, 70_000)] {
        let place = Place::new();
        let path = place.file("root/a.txt", &vec![b'x'; before]);
        let mut file = place.open(&path).unwrap();

        fs::write(&path, vec![b'x'; after]).unwrap();

        let mut sent = 0;
        let failure = loop {
            match file.content.try_next().await {
                Ok(chunk) => sent += chunk.unwrap_or_else(|| panic!("{before} {after}")).len(),
                Err(failure) => break failure,
            }
        };
        assert!(sent < before.max(1), "{before} {after}");
        assert!(failure.to_string().contains("a.txt changed while it was read"), "{failure}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let place = Place::new();
    fs::create_dir(place.path("root/directory")).unwrap();
    mknodat(CWD, place.path("root/fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = UnixListener::bind(place.path("root/socket")).unwrap();
    let start = Instant::now();

    for name in ["directory", "fifo", "socket"] {
        let path = place.path(&format!("root/{name}"));
        let expected = format!("attachment not found: {path} is not a regular file");
        assert_eq!(place.refusal(&path), expected);
    }
    let root = place.path("root");
    assert_eq!(place.refusal(&root), format!("attachment not found: {root} is not a regular file"));

    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn what_is_not_there_is_not_found() {
    let place = Place::new();
    place.file("root/a.txt", b"");
    for path in [place.path("root/none"), place.path("root/a.txt/b"), place.path("root/a\0b"), String::new()]
    {
        let printable = path.replace('\0', " ");
        assert_eq!(one_line(&place.refusal(&path)), format!("attachment not found: {printable}"));
    }
}

#[test]
fn an_unreadable_file_says_why() {
    let place = Place::new();
    let path = place.file("root/a.txt", b"");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        return; // root reads everything
    }

    assert!(place.refusal(&path).starts_with(&format!("reading {path}: Permission denied")));
}

#[test]
fn credentials_are_refused_even_inside_a_root() {
    let place = Place::new();
    for name in ["root/.ssh/id_ed25519", "root/.env", "root/server.pem", "root/.auth_token"] {
        let path = place.file(name, b"");
        assert!(place.refusal(&path).contains("may hold credentials"), "{path}");
    }
    let key = place.file("root/.env", b"");
    symlink(key, place.path("root/notes.txt")).unwrap();
    assert!(place.refusal(&place.path("root/notes.txt")).contains("may hold credentials"));
}

#[test]
fn the_kernel_is_refused_even_if_everything_is_a_root() {
    let policy = Policy { roots: vec![PathBuf::from("/")], ..Policy::default() };
    for path in ["/proc/self/environ", "/proc/self/fd/0", "/dev/null", "/sys/kernel/profiling"] {
        if Path::new(path).exists() {
            assert!(policy.open(path).is_err(), "{path}");
        }
    }
}

#[test]
fn nothing_of_our_own_state_is_sent() {
    let place = Place::new();
    let state = place.file("root/configs/anything", b"");
    let token = place.file("root/elsewhere/token", b"");
    let copy = place.path("root/innocent.txt");
    fs::hard_link(&token, &copy).unwrap();
    let linked = place.path("root/linked.txt");
    fs::hard_link(&state, &linked).unwrap();
    let policy = Policy {
        roots: vec![place.path("root").into()],
        configs: Some(place.path("root/configs").into()),
        tokens: vec![token.clone().into()],
        home: None,
    };

    for path in [state, linked, token, copy] {
        let refusal = policy.open(&path).err().unwrap().to_string();
        assert!(refusal.contains("may hold credentials"), "{refusal}");
    }
}

#[test]
fn hard_links_to_other_files_are_sent() {
    let place = Place::new();
    let path = place.file("root/a.txt", b"");
    fs::hard_link(&path, place.path("root/b.txt")).unwrap();

    assert!(place.open(&place.path("root/b.txt")).is_ok());
}

#[test]
fn sizes_are_checked_before_anything_is_read() {
    let place = Place::new();
    let sized = |name: &str, bytes: u64| {
        let path = place.file(name, b"");
        fs::File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
        path
    };
    let (largest, larger) = (sized("root/a", FILE_BYTES), sized("root/b", FILE_BYTES + 1));
    let huge = sized("root/c", 1 << 40);
    let six: Vec<_> = (0..10).map(|file| sized(&format!("root/six-{file}"), 6 << 20)).collect();

    assert!(place.open(&largest).is_ok());
    assert!(place.policy.open_all(&[largest.clone(), largest.clone()]).is_ok());
    for path in [&larger, &huge] {
        assert!(place.refusal(path).starts_with("attachment too large"), "{path}");
    }
    let together = place.policy.open_all(&six).err().unwrap().to_string();
    assert!(together.starts_with("attachments too large"), "{together}");
    let many = place.policy.open_all(&vec![largest; 11]).err().unwrap().to_string();
    assert!(many.contains("at most 10 files, not 11"), "{many}");
}

#[test]
fn one_bad_file_stops_all() {
    let place = Place::new();
    let good = place.file("root/a.txt", b"");

    assert!(place.policy.open_all(&[good, place.path("root/none")]).is_err());
}

#[test]
fn paths_are_taken_from_the_working_directory_and_from_home() {
    let home = Path::new("/home/agent");

    assert_eq!(absolute("a/b", Some(home)).unwrap(), std::env::current_dir().unwrap().join("a/b"));
    assert_eq!(absolute("/a/b", Some(home)).unwrap(), Path::new("/a/b"));
    assert_eq!(absolute("~/a", Some(home)).unwrap(), home.join("a"));
    assert_eq!(absolute("~other/a", Some(home)).unwrap(), std::env::current_dir().unwrap().join("~other/a"));
}

#[tokio::test]
async fn files_go_to_the_workspace_in_the_order_given() {
    let (place, server) = (Place::new(), Server::start([Reply::keep(OK)]).await);
    let files = vec![place.file("root/b.txt", b"one"), place.file("root/a.txt", b"two")];

    let outcome = place.upload(&server.http("tok"), files).await;

    assert!(matches!(outcome, Outcome::Responded(answer) if answer.status == 200));
    let (head, body) = server.request(0);
    assert!(head.starts_with("POST /workspaces/w/chat/uploads HTTP/1.1"), "{head}");
    let (first, second) =
        (body.find("filename=\"b.txt\"").unwrap(), body.find("filename=\"a.txt\"").unwrap());
    assert!(first < second);
}

#[tokio::test]
async fn nothing_is_sent_unless_everything_may_be() {
    let (place, server) = (Place::new(), Server::start([Reply::keep(OK)]).await);
    let files = vec![place.file("root/a.txt", b"one"), place.file("outside/b.txt", b"two")];

    let outcome = place.upload(&server.http("tok"), files).await;

    assert!(matches!(outcome, Outcome::Refused(why) if why.starts_with("attachment not allowed")));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn files_are_sent_again_with_another_token() {
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    let (place, server) = (Place::new(), Server::start([Reply::keep(unauthorized), Reply::keep(OK)]).await);

    let outcome = place
        .upload(
            &server.http_with(rotated(&place.directory, "old", "new")),
            vec![place.file("root/a.txt", b"one")],
        )
        .await;

    assert!(matches!(outcome, Outcome::Responded(answer) if answer.status == 200));
    let (head, body) = server.request(1);
    assert!(head.contains("Bearer new") && body.contains("one"), "{head}{body}");
}

async fn read(file: FilePart) -> io::Result<Vec<u8>> {
    Ok(file.content.try_collect::<Vec<Bytes>>().await?.concat())
}

/// A directory with one root in it.
struct Place {
    directory: TempDir,
    policy: Arc<Policy>,
}

impl Place {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let root = directory.path().canonicalize().unwrap().join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(directory.path().join("outside")).unwrap();
        Self { directory, policy: Arc::new(Policy { roots: vec![root], ..Policy::default() }) }
    }

    fn base(&self) -> String {
        self.directory.path().canonicalize().unwrap().to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.base())
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn open(&self, path: &str) -> Result<FilePart, Refusal> {
        self.policy.open(path)
    }

    async fn upload(&self, http: &Http, files: Vec<String>) -> Outcome {
        let limits = Limits { first_byte_ms: 5_000, total_ms: 5_000, body_bytes: 1 << 10 };
        let request = UploadRequest { workspace: 0, files, limits };
        Attachments { policy: Arc::clone(&self.policy) }.upload(http, request).await
    }

    fn refusal(&self, path: &str) -> String {
        self.open(path).err().unwrap().to_string()
    }
}

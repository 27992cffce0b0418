//! What happens to the files, whatever is in their place.

use std::{
    fs::{self, File, Permissions, hard_link},
    iter,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{rig::paths, *};
use crate::guest::wire::{CursorChange, FileChange};

const CURSOR: &str = ".mcp_inbox_cursor";
const SECRET: &str = ".platform_inbound_secret";
const ID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";

#[tokio::test(start_paused = true)]
async fn a_change_is_one_private_file_with_the_bare_content() {
    let (_dir, path, files) = kept();

    assert_eq!(files.store(cursor(Some(ID))).await, Outcome::Stored);
    assert_eq!(files.store(secret("s3cret-of-43")).await, Outcome::Stored);

    assert_eq!(names(&path), [CURSOR, SECRET]);
    assert_eq!(fs::read_to_string(path.join(CURSOR)).unwrap(), ID);
    assert_eq!(fs::read_to_string(path.join(SECRET)).unwrap(), "s3cret-of-43");
    assert_eq!((mode(&path), mode(&path.join(CURSOR)), mode(&path.join(SECRET))), (0o700, 0o600, 0o600));
    assert_eq!(files.read_cursor().as_deref(), Some(ID));
    assert_eq!(files.read_secret().as_deref(), Some("s3cret-of-43"));
}

#[tokio::test(start_paused = true)]
async fn nothing_exists_before_the_first_change() {
    let (_dir, path, files) = kept();

    assert_eq!((files.read_cursor(), files.read_secret()), (None, None));
    assert_eq!(files.store(cursor(None)).await, Outcome::Stored);

    assert!(!path.exists());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_when_nothing_changed() {
    let (_dir, path, files) = kept();
    files.store(secret("same")).await;
    let before = fs::metadata(path.join(SECRET)).unwrap();

    assert_eq!(files.store(secret("same")).await, Outcome::Stored);

    let after = fs::metadata(path.join(SECRET)).unwrap();
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_others_could_read_is_closed_to_them() {
    let (_dir, path, files) = kept();
    files.store(secret("same")).await;
    fs::set_permissions(path.join(SECRET), Permissions::from_mode(0o644)).unwrap();

    files.store(secret("same")).await;

    assert_eq!(mode(&path.join(SECRET)), 0o600);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_can_be_forgotten() {
    let (_dir, path, files) = kept();
    files.store(cursor(Some(ID))).await;

    assert_eq!(files.store(moved(Some(ID), None)).await, Outcome::Stored);
    assert_eq!(files.store(moved(Some(ID), None)).await, Outcome::Stored);

    assert_eq!(names(&path), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_removed_directory_is_made_again() {
    let (_dir, path, files) = kept();
    files.store(cursor(Some("a"))).await;
    fs::remove_dir_all(&path).unwrap();

    assert_eq!(files.store(cursor(Some("a"))).await, Outcome::Stored);

    assert_eq!((files.read_cursor().as_deref(), mode(&path)), (Some("a"), 0o700));
}

#[tokio::test(start_paused = true)]
async fn links_are_replaced_and_their_targets_stay_as_they_are() {
    let (dir, path, files) = kept();
    fs::create_dir(&path).unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "victim").unwrap();
    symlink(&victim, path.join(SECRET)).unwrap();
    hard_link(&victim, path.join(CURSOR)).unwrap();

    assert_eq!(files.read_secret(), None);
    files.store(secret("s")).await;
    files.store(moved(Some("victim"), Some("c"))).await;

    assert_eq!(fs::read_to_string(&victim).unwrap(), "victim");
    assert_eq!((files.read_secret().as_deref(), files.read_cursor().as_deref()), (Some("s"), Some("c")));
    assert!(!path.join(SECRET).is_symlink());
}

#[tokio::test(start_paused = true)]
async fn a_read_only_cursor_is_replaced() {
    let (_dir, path, files) = kept();
    files.store(cursor(Some("a"))).await;
    fs::set_permissions(path.join(CURSOR), Permissions::from_mode(0o400)).unwrap();

    assert_eq!(files.store(moved(Some("a"), Some("b"))).await, Outcome::Stored);

    assert_eq!(files.read_cursor().as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_one_word_with_white_space_around_it_or_nothing() {
    let (_dir, path, files) = kept();
    fs::create_dir(&path).unwrap();
    for (content, id) in [
        (&b""[..], None),
        (b"  \n", None),
        (b"\xff\xfe\x00garbage", None),
        (b"a\0b", None),
        (b"two words", None),
        (b"caf\xc3\xa9", None),
        (b" id-1\r\n", Some("id-1")),
        (b"\xef\xbb\xbfid-1", Some("id-1")),
        (&[b'x'; 256], Some("x".repeat(256).as_str())),
        (&[b'x'; 257], None),
    ] {
        fs::write(path.join(CURSOR), content).unwrap();
        assert_eq!(files.read_cursor().as_deref(), id, "{content:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_is_ignored_and_never_waited_for() {
    let (_dir, path, files) = kept();
    fs::create_dir(&path).unwrap();
    let place = path.join(CURSOR);

    mknodat(CWD, &place, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert_eq!(files.read_cursor(), None);
    assert_eq!(files.store(cursor(Some("a"))).await, Outcome::Stored);
    fs::remove_file(&place).unwrap();

    let _listener = UnixListener::bind(&place).unwrap();
    assert_eq!(files.read_cursor(), None);
    assert_eq!(files.store(cursor(Some("a"))).await, Outcome::Stored);
    fs::remove_file(&place).unwrap();

    fs::create_dir(&place).unwrap();
    assert_eq!(files.read_cursor(), None);
    assert!(matches!(files.store(cursor(Some("a"))).await, Outcome::StoreFailed(_)));
    assert_eq!(names(&path), [CURSOR]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_looks_done_is_done_again_after_a_failure() {
    let (_dir, path, files) = kept();
    files.store(cursor(Some("a"))).await;
    let before = fs::metadata(path.join(CURSOR)).unwrap().ino();
    fs::create_dir(path.join(SECRET)).unwrap();
    assert!(matches!(files.store(secret("s")).await, Outcome::StoreFailed(_)));

    assert_eq!(files.store(cursor(Some("a"))).await, Outcome::Stored);

    assert_ne!(fs::metadata(path.join(CURSOR)).unwrap().ino(), before);
}

#[tokio::test(start_paused = true)]
async fn without_a_directory_nothing_is_kept_and_the_reason_is_told() {
    for files in [files_in(None), files_in(Some(PathBuf::from("/dev/null/below")))] {
        let stored = files.store(cursor(Some("a"))).await;

        assert!(matches!(stored, Outcome::StoreFailed(why) if !why.is_empty()));
        assert_eq!(files.read_cursor(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn old_temporary_files_are_removed_and_nothing_else() {
    let (_dir, path, files) = kept();
    fs::create_dir(&path).unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    for (name, old) in [
        (".molecule-mcp-0123456789abcdef.tmp", true),
        (".molecule-mcp-fedcba9876543210.tmp", false),
        (".molecule-mcp-notes", true),
        ("other.tmp", true),
    ] {
        let file = File::create(path.join(name)).unwrap();
        if old {
            file.set_modified(hour_ago).unwrap();
        }
    }

    files.store(cursor(Some("a"))).await;

    assert_eq!(
        names(&path),
        [CURSOR, ".molecule-mcp-fedcba9876543210.tmp", ".molecule-mcp-notes", "other.tmp"]
    );
}

#[tokio::test(start_paused = true)]
async fn changes_happen_in_the_order_they_were_asked_for() {
    let (_dir, _path, files) = kept();
    let ids: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let knowns = iter::once(None).chain(ids.iter().map(|id| Some(id.as_str())));
    let changes: Vec<_> =
        ids.iter().zip(knowns).map(|(id, known)| files.store(moved(known, Some(id)))).collect();

    futures::future::join_all(changes).await;

    assert_eq!(files.read_cursor().as_deref(), Some("19"));
}

#[tokio::test(start_paused = true)]
async fn a_change_nobody_waits_for_is_finished_before_the_next() {
    let (_dir, _path, files) = kept();
    let mut first = Box::pin(files.store(cursor(Some("first"))));
    assert!(futures::poll!(&mut first).is_pending());
    drop(first);

    files.store(moved(Some("first"), Some("second"))).await;

    assert_eq!(files.read_cursor().as_deref(), Some("second"));
}

/// A directory that does not exist yet, and files in it.
fn kept() -> (TempDir, PathBuf, Files) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("configs");
    let files = files_in(Some(path.clone()));
    (dir, path, files)
}

fn files_in(configs: Option<PathBuf>) -> Files {
    Files::at(configs.as_deref().map(paths))
}

fn cursor(id: Option<&str>) -> FileUpdate {
    moved(None, id)
}

fn moved(known: Option<&str>, id: Option<&str>) -> FileUpdate {
    let [known, id] = [known, id].map(|text| text.map(str::to_owned));
    FileUpdate { workspace: 0, change: FileChange::Cursor(CursorChange { known, id }) }
}

fn secret(secret: &str) -> FileUpdate {
    FileUpdate { workspace: 0, change: FileChange::InboundSecret(secret.to_owned()) }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_by_key(|name| (name != CURSOR && name != SECRET, name.clone()));
    names
}

//! Who keeps the inbox, whatever somebody does to the lock.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    process,
};

use futures::FutureExt as _;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{
    rig::{Place, append, paths, rewrite},
    *,
};
use crate::{
    guest::wire::{CursorChange, FileChange},
    storage::lock::{Holder, holder},
};

#[tokio::test(start_paused = true)]
async fn one_process_leads_and_the_next_one_takes_over_at_its_end() {
    let place = Place::new();
    let (first, second) = (place.files(), place.files());
    assert_eq!(first.lead().await, Lead::Here);
    assert_eq!(first.lead().await, Lead::Here);

    let Lead::Another(leader) = second.lead().await else { panic!("two lead") };
    drop(first);

    assert!(leader.who.starts_with(&format!("process {}, since 20", process::id())), "{leader}");
    assert!(leader.who.ends_with('Z') && leader.called.contains("no tool so far"), "{leader}");
    assert_eq!(second.lead().await, Lead::Here);
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_a_private_file_in_a_directory_that_is_made_for_it() {
    let place = Place::new();

    place.files().lead().await;

    let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
    assert_eq!((mode(&place.configs), mode(&place.lock())), (0o700, 0o600));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_has_left_is_no_lock() {
    let place = Place::new();
    fs::create_dir(&place.configs).unwrap();
    fs::write(place.lock(), "process 1, since the beginning, and a long text that is not there any more")
        .unwrap();
    assert_eq!(holder(&place.lock()), Holder::Nobody);

    let files = place.files();
    assert_eq!(files.lead().await, Lead::Here);

    let text = fs::read_to_string(place.lock()).unwrap();
    assert!(text.starts_with(&format!("{{\"pid\":{},", process::id())) && text.ends_with("}\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn who_only_looks_sees_the_holder_and_makes_nothing() {
    let place = Place::new();
    assert_eq!(holder(&place.lock()), Holder::Nobody);
    assert!(!place.configs.exists());
    let files = place.files();
    files.lead().await;

    assert!(matches!(holder(&place.lock()), Holder::Held(leader) if leader.who.starts_with("process ")));
    assert!(files.still_leads().await);
    drop(files);

    assert_eq!(holder(&place.lock()), Holder::Nobody);
}

#[tokio::test(start_paused = true)]
async fn a_follower_changes_neither_cursor_nor_journal() {
    let place = Place::new();
    let (leader, follower) = (place.files(), place.files());
    leader.lead().await;
    follower.lead().await;

    for change in [append(&["b"]), rewrite(&["b"], true), cursor("b")] {
        let Outcome::StoreFailed(why) = follower.store(change).await else { panic!("a follower writes") };
        assert!(why.contains("another process"), "{why}");
    }
    let secret = FileChange::InboundSecret("s3cret".to_owned());
    assert_eq!(follower.store(FileUpdate { workspace: 0, change: secret }).await, Outcome::Stored);
    assert_eq!(leader.store(cursor("a")).await, Outcome::Stored);
    assert!(!follower.still_leads().await);
    drop(leader);
    follower.lead().await;

    assert_eq!(follower.saved().await.cursor.as_deref(), Some("a"));
    assert_eq!(follower.store(append(&["b"])).await, Outcome::Stored);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_removed_is_taken_anew_and_nothing_changes_before() {
    let place = Place::new();
    for remove_all in [false, true] {
        let files = place.files();
        files.lead().await;
        files.saved().await;
        if remove_all {
            fs::remove_dir_all(&place.configs).unwrap();
        } else {
            fs::remove_file(place.lock()).unwrap();
        }

        let Outcome::StoreFailed(why) = files.store(cursor("a")).await else {
            panic!("stored without a lock")
        };
        assert!(why.contains(&*place.lock().to_string_lossy()), "{why}");
        files.lock_in_doubt().await;
        assert!(files.still_leads().await);

        assert_eq!(files.store(cursor("a")).await, Outcome::Stored);
        assert!(matches!(holder(&place.lock()), Holder::Held(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_another_process_has_taken_anew_is_lost() {
    let place = Place::new();
    let (first, second) = (place.files(), place.files());
    first.lead().await;
    fs::remove_file(place.lock()).unwrap();
    assert_eq!(second.lead().await, Lead::Here);

    assert!(!first.still_leads().await);
    assert!(matches!(first.store(cursor("a")).await, Outcome::StoreFailed(_)));
    assert!(second.still_leads().await);
    assert_eq!(second.store(cursor("b")).await, Outcome::Stored);
}

#[tokio::test(start_paused = true)]
async fn what_another_process_has_done_in_between_has_to_be_read() {
    let place = Place::new();
    let (first, second) = (place.files(), place.files());
    first.lead().await;
    fs::remove_file(place.lock()).unwrap();
    second.lead().await;
    drop(second);

    assert!(!first.still_leads().await);
    assert_eq!(first.lead().await, Lead::Here);

    assert!(first.still_leads().await);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_lock_file_leaves_the_process_leading_without_one() {
    for kind in ["link", "pipe", "directory"] {
        let place = Place::new();
        fs::create_dir(&place.configs).unwrap();
        let victim = place.configs.join("victim");
        File::create(&victim).unwrap();
        match kind {
            "link" => symlink(&victim, place.lock()).unwrap(),
            "pipe" => mknodat(CWD, place.lock(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            _ => fs::create_dir(place.lock()).unwrap(),
        }
        let files = place.files();

        let Lead::Unlocked(why) = files.lead().await else { panic!("locked a {kind}") };

        assert!(why.contains(&*place.lock().to_string_lossy()), "{why}");
        assert!(files.still_leads().await);
        assert_eq!(files.store(cursor("a")).await, Outcome::Stored);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "");
        assert!(matches!(holder(&place.lock()), Holder::Unknown(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_written_a_process_leads_without_a_lock() {
    for configs in [None, Some(PathBuf::from("/dev/null/below"))] {
        let files = Files::at(configs.as_deref().map(paths));

        assert!(matches!(files.lead().await, Lead::Unlocked(why) if !why.is_empty()));
        assert!(files.still_leads().await);
    }
}

#[tokio::test]
async fn who_leads_hands_over_what_it_has_written_and_writes_no_more() {
    let place = Place::new();
    let (first, second) = (place.files(), place.files());
    first.lead().await;
    first.saved().await;
    first.store(append(&["a"])).await;
    first.note_call().await;
    let requests = first.requests().await.unwrap();
    let hand_over = async {
        let process = requests.next().await;
        first.resign().await;
        process
    };

    let (taken, process) = tokio::join!(second.take_over(), hand_over);

    assert_eq!((taken, process), (Ok(()), std::process::id()));
    assert_eq!(second.saved().await.journal, ["a"]);
    assert_eq!(second.store(append(&["b"])).await, Outcome::Stored);
    assert!(matches!(first.store(append(&["c"])).await, Outcome::StoreFailed(_)));
    assert!(!first.still_leads().await && second.still_leads().await);
    drop(second);
    assert_eq!(first.lead().await, Lead::Here);
    assert_eq!(first.saved().await.journal, ["a", "b"]);
}

#[tokio::test]
async fn nothing_is_taken_from_a_leader_that_does_not_answer() {
    let place = Place::new();
    let (first, second) = (place.files(), place.files());
    first.lead().await;

    let why = second.take_over().await.unwrap_err();
    assert!(why.contains("cannot be asked") && why.contains(&format!("kill {}", process::id())), "{why}");

    // As if it were stopped: the requests are not read.
    let _requests = first.requests().await.unwrap();
    let why = second.take_over().await.unwrap_err();

    assert!(why.contains("does not answer"), "{why}");
    assert!(first.still_leads().await);
    assert_eq!(first.store(cursor("a")).await, Outcome::Stored);
}

#[tokio::test(start_paused = true)]
async fn who_leads_already_takes_over_at_once() {
    let place = Place::new();
    let files = place.files();

    assert_eq!(files.take_over().await, Ok(()));

    assert_eq!(files.lead().await, Lead::Here);
    assert_eq!(Files::at(None).take_over().await, Ok(()));
}

#[test]
fn the_end_of_the_runtime_is_neither_damage_nor_another_leader() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _inside = handle.enter();
    let files = place.files();

    assert_eq!(files.lead().now_or_never(), None);
    assert_eq!(files.saved().now_or_never().map(|saved| saved.damaged_after), None);
    assert_eq!(files.store(cursor("a")).now_or_never(), None);
}

impl Place {
    fn lock(&self) -> PathBuf {
        self.paths().lock
    }
}

fn cursor(id: &str) -> FileUpdate {
    let change = FileChange::Cursor(CursorChange { known: None, id: Some(id.to_owned()) });
    FileUpdate { workspace: 0, change }
}

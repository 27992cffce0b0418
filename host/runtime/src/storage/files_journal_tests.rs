//! What happens to the journal and the cursor in a directory, whatever somebody else does there.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::{
    rig::{Place, append, rewrite, texts},
    *,
};
use crate::guest::wire::{CursorChange, FileChange};

#[tokio::test(start_paused = true)]
async fn records_are_kept_in_one_private_file_that_the_first_of_them_makes() {
    let place = Place::new();
    let files = place.files();
    assert_eq!(files.saved().await, holding(&[]));
    assert!(!place.configs.exists());

    assert_eq!(files.store(append(&["a", "b"])).await, Outcome::Stored);
    assert_eq!(files.store(append(&["c"])).await, Outcome::Stored);

    assert_eq!(place.files().saved().await, holding(&["a", "b", "c"]));
    assert_eq!(place.names(), [place.name("journal")]);
    assert_eq!(place.mode("journal"), 0o600);
}

#[tokio::test(start_paused = true)]
async fn a_torn_record_is_cut_off_by_the_next_one_and_not_by_reading() {
    let place = Place::with(&["a"]).await;
    let torn = [&*fs::read(place.path("journal")).unwrap(), b"0123 torn"].concat();
    fs::write(place.path("journal"), &torn).unwrap();
    let files = place.files();

    assert_eq!(files.saved().await, holding(&["a"]));
    assert_eq!(fs::read(place.path("journal")).unwrap(), torn);
    assert_eq!(files.store(append(&["b"])).await, Outcome::Stored);

    assert_eq!(place.files().saved().await, holding(&["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_others_could_read_is_closed_to_them() {
    let place = Place::with(&["a"]).await;
    fs::set_permissions(place.path("journal"), Permissions::from_mode(0o644)).unwrap();
    let files = place.files();
    files.saved().await;

    files.store(append(&["b"])).await;

    assert_eq!(place.mode("journal"), 0o600);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_is_gone_or_another_one_is_noticed_and_made_again() {
    type Deed = fn(&Place);
    let deeds: [(Deed, &str); 4] = [
        (|place| fs::remove_file(place.path("journal")).unwrap(), "removed"),
        (|place| fs::remove_dir_all(&place.configs).unwrap(), "removed"),
        (|place| place.replace_journal(), "replaced"),
        (
            |place| File::options().write(true).open(place.path("journal")).unwrap().set_len(0).unwrap(),
            "changed",
        ),
    ];
    for (deed, word) in deeds {
        let place = Place::with(&["a"]).await;
        let files = place.files();
        files.saved().await;
        files.store(append(&["b"])).await;
        deed(&place);

        let Outcome::StoreFailed(why) = files.store(append(&["c"])).await else { panic!("stored") };
        assert!(why.contains(word) && why.contains(&*place.path("journal").to_string_lossy()), "{why}");
        assert!(matches!(files.store(append(&["c"])).await, Outcome::StoreFailed(_)));
        assert_eq!(files.store(rewrite(&["a", "b", "c"], false)).await, Outcome::Stored);
        assert_eq!(files.store(append(&["d"])).await, Outcome::Stored);

        assert_eq!(place.files().saved().await, holding(&["a", "b", "c", "d"]));
        assert_eq!(place.mode("journal"), 0o600);
    }
}

#[tokio::test(start_paused = true)]
async fn damage_is_told_and_copies_of_it_are_kept() {
    let place = Place::with(&[]).await;
    let files = place.files();
    for (round, content) in ["first\n", "second\n", "third\n"].into_iter().enumerate() {
        fs::write(place.path("journal"), content).unwrap();
        assert_eq!(files.saved().await.damaged_after, Some(0));

        assert_eq!(files.store(rewrite(&["new"], true)).await, Outcome::Stored);

        assert_eq!(fs::read_to_string(place.path("damaged-1")).unwrap(), content);
        assert_eq!(place.names().len(), 2 + round.min(1));
    }
    assert_eq!(fs::read_to_string(place.path("damaged-2")).unwrap(), "second\n");
    assert_eq!(files.saved().await, holding(&["new"]));
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_not_kept_twice() {
    let place = Place::with(&[]).await;
    fs::write(place.path("journal"), "damaged\n").unwrap();
    fs::hard_link(place.path("journal"), place.path("damaged-1")).unwrap();
    fs::write(place.path("damaged-2"), "older\n").unwrap();
    let files = place.files();

    files.store(rewrite(&["new"], true)).await;

    assert_eq!(fs::read_to_string(place.path("damaged-1")).unwrap(), "damaged\n");
    assert_eq!(fs::read_to_string(place.path("damaged-2")).unwrap(), "older\n");
}

#[tokio::test(start_paused = true)]
async fn copies_go_after_a_week() {
    let place = Place::with(&["a"]).await;
    for (name, days) in [("damaged-1", 6), ("damaged-2", 8)] {
        let written = SystemTime::now() - Duration::from_secs(days * 24 * 3_600);
        File::create(place.path(name)).unwrap().set_modified(written).unwrap();
    }

    place.files().saved().await;

    assert_eq!(place.names(), [place.name("damaged-1"), place.name("journal")]);
}

#[tokio::test(start_paused = true)]
async fn the_week_of_a_copy_begins_when_it_is_made() {
    let place = Place::with(&[]).await;
    let file = File::create(place.path("journal")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(30 * 24 * 3_600)).unwrap();

    place.files().store(rewrite(&["new"], true)).await;
    place.files().saved().await;

    assert_eq!(place.names(), [place.name("damaged-1"), place.name("journal")]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_file_takes_no_record_and_is_replaced_by_a_rewrite() {
    let victim = TempDir::new().unwrap();
    let target = victim.path().join("victim");
    fs::write(&target, "untouched").unwrap();
    for kind in ["link", "pipe", "directory"] {
        let place = Place::with(&[]).await;
        let path = place.path("journal");
        match kind {
            "link" => symlink(&target, &path).unwrap(),
            "pipe" => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        let files = place.files();

        assert_eq!(files.saved().await.damaged_after, Some(0), "{kind}");
        let Outcome::StoreFailed(why) = files.store(append(&["a"])).await else { panic!("{kind} took it") };
        assert!(why.contains("rewritten") && why.contains(&*path.to_string_lossy()), "{why}");
        assert_eq!(files.store(rewrite(&["b"], true)).await, Outcome::Stored, "{kind}");
        assert_eq!(files.store(append(&["c"])).await, Outcome::Stored, "{kind}");

        assert_eq!(files.saved().await, holding(&["b", "c"]), "{kind}");
        assert!(path.symlink_metadata().unwrap().is_file());
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_a_gibibyte_is_not_read() {
    let place = Place::with(&["a"]).await;
    File::options().write(true).open(place.path("journal")).unwrap().set_len(1 << 30).unwrap();

    assert_eq!(place.files().saved().await, Saved { damaged_after: Some(0), ..holding(&[]) });
}

#[tokio::test(start_paused = true)]
async fn the_cursor_moves_on_from_what_it_was_or_from_nothing() {
    let place = Place::new();
    let files = place.files();

    for (known, id) in [(None, Some("a")), (Some("a"), Some("b")), (Some("a"), Some("b")), (Some("b"), None)]
    {
        assert_eq!(files.store(moved(known, id)).await, Outcome::Stored, "{known:?} {id:?}");
        assert_eq!(files.saved().await.cursor.as_deref(), id);
    }
    assert_eq!(files.store(moved(Some("gone"), Some("c"))).await, Outcome::Stored);
    fs::write(place.cursor(), b"\xff garbage").unwrap();
    assert_eq!(files.store(moved(Some("c"), Some("d"))).await, Outcome::Stored);

    assert_eq!(files.saved().await.cursor.as_deref(), Some("d"));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_another_program_has_moved_stays_as_it_is() {
    let place = Place::new();
    let files = place.files();
    files.store(moved(None, Some("a"))).await;
    fs::write(place.cursor(), "theirs").unwrap();

    for (known, id) in [(Some("a"), Some("b")), (Some("a"), None), (None, Some("b"))] {
        let Outcome::Refused(why) = files.store(moved(known, id)).await else {
            panic!("{id:?} went through")
        };
        assert!(why.contains("another program") && why.contains(&*place.cursor().to_string_lossy()), "{why}");
    }

    assert_eq!(files.saved().await.cursor.as_deref(), Some("theirs"));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_was_moved_by_a_change_that_seemed_to_fail_is_still_ours() {
    let place = Place::new();
    let files = place.files();
    files.store(moved(None, Some("a"))).await;

    // Whoever was told of a failure goes on from what was there before.
    assert_eq!(files.store(moved(None, Some("b"))).await, Outcome::Stored);
    assert_eq!(files.saved().await.cursor.as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn without_a_directory_there_is_nothing_and_nothing_is_kept() {
    let files = Files::at(None);

    assert_eq!(files.saved().await, holding(&[]));
    assert!(matches!(files.store(append(&["a"])).await, Outcome::StoreFailed(_)));
}

impl Place {
    /// With a journal of these records; without any there is only the directory.
    async fn with(records: &[&str]) -> Self {
        let place = Self::new();
        fs::create_dir(&place.configs).unwrap();
        if !records.is_empty() {
            let files = place.files();
            files.saved().await;
            assert_eq!(files.store(append(records)).await, Outcome::Stored);
        }
        place
    }

    fn name(&self, kind: &str) -> String {
        self.path(kind).file_name().unwrap().to_str().unwrap().to_owned()
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.paths().journal.with_extension(kind)
    }

    fn cursor(&self) -> PathBuf {
        self.paths().cursor
    }

    fn mode(&self, kind: &str) -> u32 {
        self.path(kind).symlink_metadata().unwrap().mode() & 0o7777
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.configs).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Puts a file of the same content in its place.
    fn replace_journal(&self) {
        let content = fs::read(self.path("journal")).unwrap();
        fs::write(self.path("other"), content).unwrap();
        fs::rename(self.path("other"), self.path("journal")).unwrap();
    }
}

fn holding(records: &[&str]) -> Saved {
    Saved { cursor: None, journal: texts(records), damaged_after: None }
}

fn moved(known: Option<&str>, id: Option<&str>) -> FileUpdate {
    let [known, id] = [known, id].map(|text| text.map(str::to_owned));
    FileUpdate { workspace: 0, change: FileChange::Cursor(CursorChange { known, id }) }
}

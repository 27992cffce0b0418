//! What the simulated disk keeps and loses.

use super::*;

#[test]
fn a_kill_loses_nothing_and_a_power_cut_what_was_not_synced() {
    for (crash, left) in [
        (Crash::Kill, &b"synced unsynced"[..]),
        (Crash::PowerCut(Survivors::All), b"synced unsynced"),
        (Crash::PowerCut(Survivors::None), b"synced"),
    ] {
        let (disk, file) = disk_with(b"synced");
        disk.append(file, b" unsynced").unwrap();

        disk.crash(crash);
        assert!(disk.append(file, b"too late").is_err());
        disk.start();

        assert_eq!(disk.look("file").as_deref(), Some(left), "{crash:?}");
    }
}

#[test]
fn a_torn_write_leaves_a_beginning_and_some_sectors_leave_holes() {
    let (mut torn, mut holes) = (0, 0);
    for seed in 0..50 {
        for survivors in [Survivors::Torn, Survivors::Some] {
            let (disk, file) = disk_of(seed, b"synced");
            disk.append(file, &[7; 2_000]).unwrap();
            disk.crash(Crash::PowerCut(survivors));
            let left = disk.look("file").unwrap();

            assert_eq!(left[..6], *b"synced");
            let hole = left[6..].contains(&0);
            assert!(!(hole && survivors == Survivors::Torn));
            holes += usize::from(hole);
            torn += usize::from(survivors == Survivors::Torn && (7..2_006).contains(&left.len()));
        }
    }
    assert!(torn > 20 && holes > 10, "{torn} torn, {holes} with holes");
}

#[test]
fn a_name_that_was_not_synced_may_come_back() {
    let (disk, _) = disk_with(b"old");
    let new = disk.make(None).unwrap();
    disk.append(new, b"new").unwrap();
    disk.sync(new).unwrap();
    disk.rename(new, "file").unwrap();
    assert_eq!(disk.look("file").unwrap(), b"new");

    disk.crash(Crash::PowerCut(Survivors::None));

    assert_eq!(disk.look("file").unwrap(), b"old");
}

#[test]
fn a_failed_sync_loses_for_good_what_it_was_to_save() {
    let (disk, file) = disk_with(b"one ");
    disk.append(file, b"two ").unwrap();
    disk.trouble(Trouble::SyncFails);
    assert!(disk.sync(file).is_err());
    disk.trouble(Trouble::None);
    disk.append(file, b"three").unwrap();
    disk.sync(file).unwrap();
    assert_eq!(disk.look("file").unwrap(), b"one two three");

    disk.crash(Crash::PowerCut(Survivors::All));

    assert_eq!(disk.look("file").unwrap(), b"one \0\0\0\0three");
}

#[test]
fn a_full_disk_takes_a_beginning_and_a_read_only_one_nothing() {
    let (disk, file) = disk_with(b"");
    disk.trouble(Trouble::Full);
    assert_eq!(disk.append(file, &[7; 100]).unwrap_err().kind(), ErrorKind::StorageFull);
    let length = disk.look("file").unwrap().len();
    disk.trouble(Trouble::ReadOnly);
    assert!(disk.append(file, &[7; 100]).is_err() && disk.cut(file, 0).is_err());
    assert!(disk.rename(file, "other").is_err() && disk.remove("file").is_err());

    assert!(length <= 100);
    assert_eq!(disk.look("file").unwrap().len(), length);
}

#[test]
fn the_end_comes_in_the_operation_it_was_planned_for() {
    let (disk, file) = disk_with(b"");
    disk.end_in(End::After(1), Crash::Kill);
    disk.append(file, b"one").unwrap();
    assert_eq!(disk.ended_by(), None);

    assert!(disk.append(file, b"two").is_err());

    assert_eq!(disk.ended_by(), Some(Crash::Kill));
    assert!(disk.sync(file).is_err() && disk.make(None).is_err());
    assert!(disk.look("file").unwrap().starts_with(b"one"));
}

#[test]
fn the_end_waits_for_a_sync_that_can_leave_a_hole() {
    let (disk, file) = disk_with(b"");
    disk.end_in(End::LargeSync, Crash::Kill);
    disk.append(file, b"little").unwrap();
    disk.sync(file).unwrap();
    disk.append(file, &[7; 4 * SECTOR]).unwrap();

    assert!(disk.sync(file).is_err());

    assert_eq!(disk.ended_by(), Some(Crash::Kill));
}

#[test]
fn damage_stays_and_changes_no_length() {
    for seed in 0..20 {
        let (disk, _) = disk_of(seed, &[7; 3_000]);
        disk.damage("file");
        disk.crash(Crash::PowerCut(Survivors::None));

        let left = disk.look("file").unwrap();
        assert!(left.len() == 3_000 && left != [7; 3_000]);
    }
}

fn disk_with(content: &[u8]) -> (Disk, Handle) {
    disk_of(1, content)
}

fn disk_of(seed: u64, content: &[u8]) -> (Disk, Handle) {
    let disk = Disk::new(Chance::new(seed));
    let file = disk.make(Some("file")).unwrap();
    disk.append(file, content).unwrap();
    disk.sync(file).unwrap();
    disk.sync_names().unwrap();
    (disk, file)
}

use super::*;
use crate::inbox::rig::stamp;

#[test]
fn the_cursor_follows_the_longest_run_that_is_dealt_with() {
    let mut watermarks = watermarks();
    for row in [1, 3] {
        watermarks.wait_for(mark(row, row));
    }
    watermarks.pass(mark(4, 4));
    assert!(watermarks.fetched_up_to(&[mark(1, 1), mark(3, 3), mark(4, 4)], None, 0).is_some());
    assert_eq!((watermarks.unsaved(), place(&watermarks)), (None, Some(id(4))));

    watermarks.acknowledge(&id(3));
    assert_eq!(watermarks.unsaved(), None);
    watermarks.acknowledge(&id(1));

    assert_eq!(watermarks.unsaved(), Some(Some(id(4))));
    watermarks.saved(Some(id(4)));
    assert_eq!(watermarks.unsaved(), None);
}

#[test]
fn neither_cursor_nor_position_stands_on_a_moment_that_may_have_more_rows() {
    let mut watermarks = watermarks();
    let rows = [mark(1, 1), mark(2, 2), mark(3, 2)];
    for row in rows.clone() {
        watermarks.pass(row);
    }

    assert!(watermarks.fetched_up_to(&rows, Some(stamp(2)), 0).is_some());

    assert_eq!(place(&watermarks), Some(id(1)));
    assert_eq!(watermarks.unsaved(), Some(Some(id(1))));
}

#[test]
fn the_cursor_does_not_stand_on_the_moment_of_a_waiting_row() {
    let mut watermarks = watermarks();
    watermarks.pass(mark(1, 1));
    watermarks.pass(mark(2, 2));
    watermarks.wait_for(mark(3, 2));
    watermarks.fetched_up_to(&[mark(1, 1), mark(2, 2), mark(3, 2)], None, 0);

    assert_eq!(watermarks.unsaved(), Some(Some(id(1))));
    watermarks.acknowledge(&id(3));
    assert_eq!(watermarks.unsaved(), Some(Some(id(3))));
}

#[test]
fn a_row_that_became_visible_late_does_not_take_the_cursor_back() {
    let mut watermarks = watermarks();
    watermarks.pass(mark(9, 9));
    watermarks.fetched_up_to(&[mark(9, 9)], None, 0);
    watermarks.wait_for(mark(5, 5));
    watermarks.fetched_up_to(&[mark(5, 5), mark(9, 9)], None, 0);

    watermarks.acknowledge(&id(5));

    assert_eq!(watermarks.unsaved(), Some(Some(id(9))));
}

#[test]
fn an_odd_id_is_known_and_never_asked_after() {
    let mut watermarks = watermarks();
    let odd = Mark { id: "../odd".into(), can_be_asked_after: false, ..mark(2, 2) };
    watermarks.pass(mark(1, 1));
    watermarks.pass(odd.clone());
    watermarks.fetched_up_to(&[mark(1, 1), odd], None, 0);

    assert!(watermarks.knows("../odd"));
    assert_eq!(place(&watermarks), Some(id(1)));
    assert_eq!(watermarks.unsaved(), Some(Some(id(1))));
}

#[test]
fn what_the_file_names_is_dealt_with() {
    let mut watermarks = Watermarks::default();
    watermarks.open(Some(id(1)));

    assert!(watermarks.knows(&id(1)));
}

#[test]
fn only_so_many_ids_are_remembered_and_those_that_wait_for_ever() {
    let mut watermarks = watermarks();
    watermarks.wait_for(mark(0, 0));
    for row in 1..=5_000 {
        watermarks.pass(mark(row, row));
        watermarks.fetched_up_to(&[mark(row, row)], None, 0);
    }

    assert!(watermarks.knows(&id(0)) && watermarks.knows(&id(5_000)) && watermarks.knows(&id(1_000)));
    assert!(!watermarks.knows(&id(1)));
    assert!(watermarks.fetched.len() <= THIN_ABOVE + 1, "{}", watermarks.fetched.len());
    watermarks.acknowledge(&id(0));
    assert_eq!(watermarks.unsaved(), Some(Some(id(5_000))));
}

#[test]
fn a_read_begins_a_little_before_the_position_and_a_sweep_at_the_base() {
    let mut watermarks = watermarks();
    let rows: Vec<Mark> = (0..=10).map(|row| mark(row, row * 1_000_000)).collect();
    for row in rows.clone() {
        watermarks.pass(row);
    }
    watermarks.fetched_up_to(&rows, None, 0);

    assert_eq!(watermarks.start(false, 0), Some(mark(8, 8_000_000)));
    assert_eq!(watermarks.start(true, 0), Some(mark(0, 0)));

    watermarks.settle(OVERLAP_SECS * 1_000, None, false);
    assert!(!watermarks.is_young());
    assert_eq!(
        (watermarks.start(false, 0), watermarks.start(true, 0)),
        (Some(mark(10, 10_000_000)), Some(mark(10, 10_000_000)))
    );
}

#[test]
fn old_rows_need_no_second_look_if_the_clock_of_the_platform_says_so() {
    let mut watermarks = watermarks();
    let rows = [mark(1, 0), mark(2, 1)];
    watermarks.fetched_up_to(&rows, None, 0);
    let made = rows[1].stamp.microseconds();

    watermarks.settle(0, Some(Stamp::at(made + 119_000_000)), false);
    assert!(watermarks.is_young());
    watermarks.settle(0, Some(Stamp::at(made + 121_000_000)), false);

    assert!(!watermarks.is_young());
}

#[test]
fn nothing_is_read_again_that_would_not_be_recognised() {
    let mut watermarks = watermarks();
    for row in 0..3_000 {
        // Every other row shares its moment with the one before.
        watermarks.pass(mark(row, row / 2));
        watermarks.fetched_up_to(&[mark(row, row / 2)], None, 0);
    }
    assert!(
        (2_000..=MOST_RECENT + 1).contains(&watermarks.rows_since_base()),
        "{}",
        watermarks.rows_since_base()
    );

    // A process that knows base and position alone counts on from there.
    let (base, position) = (vec![mark(1_000, 500)], Some(mark(2_999, 1_499)));
    let mut next = Watermarks::default();
    next.restore(position, base, (stamp(1_499), 2_000), 0);
    for row in 3_000..3_060 {
        next.pass(mark(row, row));
        next.fetched_up_to(&[mark(row, row)], None, 0);
    }

    assert!(next.rows_since_base() <= 70, "{}", next.rows_since_base());
}

#[test]
fn a_sweep_moves_nothing_back() {
    let mut watermarks = watermarks();
    watermarks.fetched_up_to(&[mark(1, 1), mark(9, 9)], None, 0);

    assert_eq!(watermarks.fetched_up_to(&[mark(1, 1), mark(2, 2)], None, 0), Some(mark(2, 2)));

    assert_eq!(place(&watermarks), Some(id(9)));
}

fn watermarks() -> Watermarks {
    let mut watermarks = Watermarks::default();
    watermarks.open(None);
    watermarks
}

fn id(row: i64) -> String {
    format!("00000000-0000-4000-8000-{row:012}")
}

fn mark(row: i64, moment: i64) -> Mark {
    Mark { id: id(row).as_str().into(), stamp: stamp(moment), can_be_asked_after: true }
}

fn place(watermarks: &Watermarks) -> Option<String> {
    watermarks.position().map(|mark| mark.id.to_string())
}

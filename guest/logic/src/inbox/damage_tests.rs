//! What a damaged journal costs.

use serde_json::{Value, json};

use super::rig::{Rig, assert_recovered, error, story};
use crate::testing::OWN;

#[test]
fn any_missing_line_costs_at_most_repetitions() {
    let (rig, expected) = story();
    for lost in 0..rig.journal.len() {
        for wide in [1, 3] {
            let mut damaged = rig.again();
            let end = (lost + wide).min(damaged.journal.len());
            damaged.journal.drain(lost..end);
            damaged.damaged_after = u32::try_from(lost).ok();
            damaged.restart();
            assert_eq!(damaged.warnings().len(), 1, "line {lost}: {:?}", damaged.warnings());
            assert_eq!(damaged.copies, 1, "line {lost}");
            damaged.pass(60_000);

            assert_recovered(&damaged, &expected, &format!("lines {lost}..{end}"));
        }
    }
}

#[test]
fn a_rewritten_journal_that_is_damaged_costs_at_most_repetitions() {
    let (mut rig, expected) = story();
    rig.restart();
    assert_eq!(rig.kinds()[0], "H");
    for lost in 0..rig.journal.len() {
        let mut damaged = rig.again();
        damaged.journal.remove(lost);
        damaged.damaged_after = u32::try_from(lost).ok();
        damaged.restart();
        damaged.pass(60_000);

        assert_recovered(&damaged, &expected, &format!("line {lost} of {:?}", rig.kinds()));
    }
}

#[test]
fn a_message_that_a_damage_has_put_behind_a_younger_one_says_so() {
    let mut rig = Rig::new();
    rig.start();
    rig.platform.say("one");
    rig.pass(5_000);
    let [two, three] = ["two", "three"].map(|text| rig.platform.say(text));
    rig.pass(5_000);
    let lost = rig.journal.iter().position(|line| line.contains(&two)).unwrap();
    rig.journal.remove(lost);
    rig.damaged_after = u32::try_from(lost).ok();

    rig.restart();
    rig.pass(5_000);

    let shown = rig.peek();
    let order: Vec<_> = shown.iter().map(|message| &message["activity_id"]).collect();
    assert_eq!(order[1..], [&json!(three), &json!(two)]);
    assert_eq!((&shown[1]["late"], &shown[2]["late"]), (&Value::Null, &json!(true)));
}

#[test]
fn a_journal_that_has_lost_its_beginning_moves_no_cursor_past_what_it_has_lost() {
    let mut rig = Rig::new();
    let lost = rig.platform.say("lost");
    let kept = rig.platform.say("kept");
    rig.start();
    let beginning = rig.journal.iter().position(|line| line.contains("kept")).unwrap();
    rig.journal.drain(1..beginning);
    rig.damaged_after = Some(1);
    rig.platform.script.push_back(error(503, "not now"));
    rig.restart();

    rig.pop(&kept);
    rig.pass(10_000);

    assert_eq!((rig.waiting(), rig.file.clone()), (vec![lost], None));
}

#[test]
fn a_journal_that_has_lost_its_beginning_still_finds_what_becomes_visible_late() {
    let mut rig = handled_one();
    rig.journal.drain(..2);
    rig.damaged_after = Some(0);
    rig.platform.clock -= 12_000_000;
    let late = rig.platform.say_at_once("late");
    rig.platform.clock += 12_000_000;

    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [late]);
}

#[test]
fn a_journal_of_which_hardly_anything_is_left_still_finds_what_becomes_visible_late() {
    for pages_back in [false, true] {
        let mut rig = handled_one();
        rig.platform.pages_back = pages_back;
        rig.journal.truncate(1);
        rig.damaged_after = Some(1);
        let late = rig.platform.appear("late", rig.platform.clock - 12_000_000);
        rig.platform.script.push_back(error(503, "not now"));

        rig.restart();
        // What is written before it is known is no more than what was known.
        rig.restart();
        rig.pass(60_000);

        assert_eq!(rig.waiting(), [late], "{pages_back}");
    }
}

#[test]
fn a_rewritten_journal_still_knows_when_the_row_was_made_that_the_file_names() {
    let mut rig = Rig::new();
    let twins = [rig.platform.say("one"), rig.platform.say_at_once("twin")];
    rig.start();
    rig.pass(5_000);
    rig.pop_all();
    rig.pass(5_000);
    let named = rig.file.clone().unwrap();
    let other = twins.iter().find(|id| **id != named).unwrap();
    let about_the_file = |line: &&mut String| line.contains("\"t\":\"L\"");
    rig.journal.iter_mut().filter(about_the_file).for_each(|line| *line = line.replace(&named, other));
    rig.file = Some(other.clone());

    rig.restart();

    assert_eq!(rig.journal.iter().filter(|line| line.contains("\"t\":\"A\"")).count(), 0, "it was rewritten");
    let is_said = |line: &&String| line.contains("\"t\":\"L\"") && line.contains(other.as_str());
    let said = rig.journal.iter().find(is_said).unwrap();
    assert!(said.contains("\"ca\""), "{said}");
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let mut rig = Rig::new();
    let newer = vec![r#"{"t":"H","v":9,"workspace":7}"#.to_owned(), r#"{"t":"Z"}"#.to_owned()];
    rig.journal.clone_from(&newer);
    let id = rig.platform.say("one");
    rig.start();
    rig.pass(60_000);

    assert_eq!(rig.pop(&id), json!({"removed": true, "activity_id": id, "durable": false}));
    assert_eq!((rig.journal, rig.file), (newer, None));
    assert!(rig.said[0].text.contains("newer version"), "{:?}", rig.said);
}

#[test]
fn a_journal_of_another_workspace_is_not_believed() {
    let (mut rig, _) = story();
    rig.journal[0] = rig.journal[0].replace(OWN, "22222222-1111-4111-8111-111111111111");
    rig.file = None;

    rig.restart();

    assert_eq!(rig.copies, 1);
    assert_eq!(rig.waiting().len(), 7, "everything of the last ten minutes");
}

#[test]
fn a_cut_journal_costs_nothing() {
    let (rig, expected) = story();
    for lines in 0..=rig.journal.len() {
        let mut cut = rig.again();
        cut.journal.truncate(lines);
        cut.restart();
        cut.pass(60_000);

        assert_recovered(&cut, &expected, &format!("{lines} lines"));
    }
}

fn handled_one() -> Rig {
    let mut rig = Rig::new();
    rig.start();
    let one = rig.platform.say("one");
    rig.pass(5_000);
    rig.pop(&one);
    rig.pass(5_000);
    assert_eq!(rig.file, Some(one));
    rig
}

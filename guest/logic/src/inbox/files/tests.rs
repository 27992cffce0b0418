use serde_json::{Value, json};

use crate::{
    inbox::rig::{PEER, Rig, error},
    platform::tests::unreachable,
    testing::OWN,
    uploads::InFlight,
    wire::{Level, Outcome},
};

const F: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
const G: &str = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";

fn rig() -> Rig {
    let mut rig = Rig::new().with_lanes();
    rig.start();
    rig
}

fn path(file: &str) -> String {
    format!("/files/{file}-a.png")
}

fn pending(file: &str) -> String {
    format!("platform-pending:{OWN}/{file}")
}

/// The messages that wait, by their text and where their files are.
fn shown(rig: &mut Rig) -> Vec<(String, Vec<Option<String>>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let files = |message: &Value| {
        message["attachments"].as_array().into_iter().flatten().map(|file| text(&file["path"])).collect()
    };
    rig.peek().iter().map(|message| (text(&message["text"]).unwrap(), files(message))).collect()
}

#[test]
fn a_file_with_text_is_one_message_with_a_path() {
    let mut rig = rig();
    let row = rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);

    let messages = rig.peek();

    assert_eq!((messages.len(), &messages[0]["activity_id"]), (1, &json!(message)));
    assert_eq!(
        messages[0]["attachments"],
        json!([{"kind": "file", "uri": format!("file://{}", path(F)), "mime_type": "image/webp", "name": "a.png",
            "path": path(F), "bytes": 3}])
    );
    assert!(!rig.waiting().contains(&row));
    let fetch = &rig.lanes().fetches[0];
    assert_eq!(fetch.path, ["workspaces", OWN, "pending-uploads", F, "content"]);
    assert_eq!((fetch.id.as_str(), fetch.name.as_str(), fetch.bytes), (F, "a.png", Some(3)));
}

#[test]
fn a_file_that_another_process_of_this_agent_has_sent_is_neither_shown_nor_acknowledged() {
    for between in [0, 5_000] {
        let mut rig = rig();
        rig.platform.send_file(F);
        rig.pass(between);
        rig.platform.echo_with(F);

        rig.pass(60_000);
        assert_eq!(shown(&mut rig), []);
        rig.restart();
        rig.platform.send_file(F);
        rig.pass(60_000);

        assert_eq!((shown(&mut rig), rig.platform.acknowledged.len()), (vec![], 0), "after {between} ms");
    }
}

#[test]
fn a_file_that_no_message_of_the_user_names_is_never_acknowledged_and_removed_in_the_end() {
    let mut rig = rig();
    let row = rig.platform.send_file(F);
    rig.pass(60_000);
    rig.restart();
    rig.pass(60_000);
    rig.pop(&row);

    for _ in 0..2 {
        rig.pass(600_000);
        rig.restart();
    }
    rig.pass(24 * 3_600_000);

    assert!(rig.platform.acknowledged.is_empty());
    assert_eq!(rig.lanes().sweeps.last(), Some(&vec![]));
}

#[test]
fn a_message_whose_file_came_right_before_a_crash_says_that_it_is_late() {
    let mut rig = rig();
    rig.lanes().is_slow = true;
    let message = rig.platform.say_with("look", &[F]);
    let newer = rig.platform.say("newer");
    rig.pass(5_000);
    rig.pop(&newer);
    let here = json!({"here": {"path": path(F), "bytes": 3}});
    rig.journal.push(json!({"t": "U", "id": F, "name": "a.png", "state": here}).to_string());

    rig.restart();

    let messages = rig.peek();
    assert_eq!((&messages[0]["activity_id"], &messages[0]["late"]), (&json!(message), &json!(true)));
}

#[test]
fn a_file_whose_message_comes_a_round_later_is_still_one_message() {
    let mut rig = rig();
    rig.platform.send_file(F);
    rig.pass(5_000);
    assert!(rig.waiting().is_empty());
    let message = rig.platform.say_with("look", &[F]);

    rig.pass(5_000);

    assert_eq!(rig.waiting(), [message]);
    assert_eq!(shown(&mut rig)[0].1, [Some(path(F))]);
}

#[test]
fn a_file_without_a_message_is_shown_alone_after_a_while() {
    let mut rig = rig();
    let row = rig.platform.send_file(F);
    rig.pass(5_000);
    rig.pass(7_900);
    assert!(rig.waiting().is_empty());

    rig.pass(100);

    assert_eq!(rig.waiting(), [row]);
    assert_eq!(
        shown(&mut rig),
        [(format!("(no text, 1 attachment: a.png at {})", path(F)), vec![Some(path(F))])]
    );
}

#[test]
fn a_file_is_acknowledged_once_its_message_is_popped_and_not_before() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(600_000);
    assert!(rig.platform.acknowledged.is_empty());

    rig.pop(&message);
    rig.pass(1);

    assert_eq!(rig.platform.acknowledged, [F]);
    rig.pass(600_000);
    rig.restart();
    rig.pass(600_000);
    assert_eq!(rig.platform.acknowledged, [F]);
}

#[test]
fn a_file_that_two_messages_name_is_acknowledged_after_the_second() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let messages = ["one", "two"].map(|text| rig.platform.say_with(text, &[F]));
    rig.pass(5_000);

    rig.pop(&messages[1]);
    rig.pass(10_000);
    assert!(rig.platform.acknowledged.is_empty());
    rig.pop(&messages[0]);
    rig.pass(1);

    assert_eq!(rig.platform.acknowledged, [F]);
}

#[test]
fn a_pop_that_is_not_on_disk_acknowledges_nothing() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    rig.disk_full = true;
    assert_eq!(rig.pop(&message)["durable"], false);
    rig.pass(60_000);
    assert!(rig.platform.acknowledged.is_empty());

    rig.disk_full = false;
    rig.pass(5_000);

    assert_eq!(rig.platform.acknowledged, [F]);
}

#[test]
fn a_crash_between_pop_and_acknowledgement_costs_nothing() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    rig.pop(&message);

    rig.restart();

    assert_eq!(rig.platform.acknowledged, [F]);
}

#[test]
fn a_message_that_was_popped_before_its_file_came_is_not_acknowledged() {
    let mut rig = rig();
    rig.lanes().is_slow = true;
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(40_000);
    rig.pop(&message);

    rig.fetches_end();
    rig.pass(600_000);

    assert!(rig.platform.acknowledged.is_empty());
}

#[test]
fn an_acknowledgement_that_fails_is_tried_again_and_one_too_many_is_done() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    rig.platform.ack_status = 503;
    rig.pop(&message);
    rig.pass(60_000);
    let tries = rig.platform.acknowledged.len();
    assert!((3..8).contains(&tries), "{tries}");
    assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());

    rig.platform.ack_status = 404;
    rig.pass(600_000);

    assert_eq!(rig.platform.acknowledged.len(), tries + 1);
}

#[test]
fn own_files_are_neither_shown_nor_fetched_nor_acknowledged_also_after_a_restart() {
    let mut rig = rig();
    let upload = InFlight::begin(&rig.world);
    let row = rig.platform.send_file(F);
    rig.pass(20_000);
    assert!(rig.lanes().fetches.is_empty() && rig.waiting().is_empty());
    rig.sends(&pending(F));
    drop(upload);
    assert!(
        rig.journal.last().unwrap().contains(&format!(r#"{{"t":"O","files":["{F}"]}}"#)),
        "{:?}",
        rig.journal
    );
    // Killed before the row is looked at again.
    rig.journal
        .retain(|line| !line.contains(&format!(r#""activity_id":"{row}""#)) && !line.contains(r#""t":"U""#));

    rig.restart();
    rig.platform.say("hello");
    rig.pass(120_000);

    assert_eq!(rig.waiting().len(), 1);
    assert!(rig.lanes().fetches.is_empty() && rig.platform.acknowledged.is_empty());
}

#[test]
fn a_fetch_that_fails_is_tried_again_for_a_day_and_the_message_says_so() {
    let mut rig = rig();
    rig.lanes().fails = Some(unreachable(true));
    rig.platform.send_file(F);
    rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    assert!(rig.waiting().is_empty());

    rig.pass(30_000);
    let file = rig.peek()[0]["attachments"][0].clone();
    assert_eq!(file["uri"], pending(F));
    assert!(file["not_here"].as_str().unwrap().contains("tried again"), "{file}");
    let warned = rig.warnings().len();
    rig.pass(3_600_000);
    assert_eq!(rig.warnings().len(), warned, "{:?}", rig.warnings());
    assert!((15..30).contains(&rig.lanes().fetches.len()), "{}", rig.lanes().fetches.len());

    rig.lanes().fails = None;
    rig.pass(300_000);
    assert_eq!(shown(&mut rig)[0].1, [Some(path(F))]);
}

#[test]
fn what_cannot_be_had_is_said_and_not_asked_for_again() {
    for (outcome, word) in [
        (error(404, "pending upload not found, expired, or already acked"), "no longer on the platform"),
        (Outcome::Refused("it has 9 bytes, and at most 8 are fetched".to_owned()), "at most 8 are fetched"),
    ] {
        let mut rig = rig();
        rig.lanes().fails = Some(outcome);
        rig.platform.send_file(F);
        let message = rig.platform.say_with("look", &[F]);
        rig.pass(5_000);

        let file = rig.peek()[0]["attachments"][0].clone();
        assert!(file["not_here"].as_str().unwrap().contains(word), "{file}");
        rig.pop(&message);
        rig.pass(3_600_000);

        assert_eq!(rig.lanes().fetches.len(), 1);
        assert!(rig.platform.acknowledged.is_empty());
    }
}

#[test]
fn a_disk_without_room_is_said_and_tried_again() {
    let mut rig = rig();
    rig.lanes().fails = Some(Outcome::StoreFailed("the disk has 1 MiB left".to_owned()));
    rig.platform.send_file(F);
    rig.platform.say_with("look", &[F]);
    rig.pass(40_000);

    let file = rig.peek()[0]["attachments"][0].clone();
    assert!(file["not_here"].as_str().unwrap().contains("the disk has 1 MiB left"), "{file}");
    assert!(rig.warnings()[0].contains("the disk has 1 MiB left"), "{:?}", rig.warnings());
    rig.lanes().fails = None;
    rig.pass(300_000);

    assert_eq!(shown(&mut rig)[0].1, [Some(path(F))]);
}

#[test]
fn a_slow_file_delays_no_other_message_and_what_it_delays_says_that_it_is_late() {
    let mut rig = rig();
    rig.lanes().is_slow = true;
    rig.platform.send_file(F);
    let slow = rig.platform.say_with("look", &[F]);
    let after = [rig.platform.say("never mind"), rig.platform.say_as(PEER, "hi")];

    rig.pass(5_000);
    assert_eq!(rig.waiting(), after);
    rig.lanes().is_slow = false;
    rig.platform.send_file(G);
    let quick = rig.platform.say_with("and this", &[G]);
    rig.pass(5_000);
    assert_eq!(rig.waiting(), [after[0].clone(), after[1].clone(), quick]);

    rig.fetches_end();

    assert_eq!(rig.waiting()[0], slow);
    let messages = rig.peek();
    assert_eq!((&messages[0]["late"], &messages[1]["late"]), (&json!(true), &Value::Null));
    assert_eq!(messages[0]["attachments"][0]["path"], path(F));
}

#[test]
fn a_message_whose_file_takes_too_long_is_shown_and_says_so() {
    let mut rig = rig();
    rig.lanes().is_slow = true;
    rig.platform.send_file(F);
    let slow = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    rig.pass(29_900);
    assert!(rig.waiting().is_empty());

    rig.pass(5_100);

    assert_eq!(rig.waiting(), [slow]);
    let file = rig.peek()[0]["attachments"][0].clone();
    assert!(file["not_here"].as_str().unwrap().contains("still being fetched"), "{file}");
    rig.fetches_end();
    assert_eq!(shown(&mut rig)[0].1, [Some(path(F))]);
}

#[test]
fn a_file_is_fetched_once_whatever_ends_in_between() {
    let mut rig = rig();
    rig.platform.send_file(F);
    rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    assert_eq!(rig.lanes().fetches.len(), 1);

    rig.restart();
    rig.pass(60_000);

    assert_eq!((rig.lanes().fetches.len(), shown(&mut rig)[0].1.clone()), (1, vec![Some(path(F))]));
}

#[test]
fn a_journal_that_is_written_anew_says_the_same_of_files() {
    let mut rig = rig();
    for (file, text) in [(F, "one"), (G, "two")] {
        rig.platform.send_file(file);
        rig.platform.say_with(text, &[file]);
        rig.pass(5_000);
    }
    let first = rig.waiting()[0].clone();
    rig.pop(&first);
    rig.pass(1);
    rig.sends(&pending("2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9"));
    let before = files_in(&rig);

    // A start that finds popped messages begins with a rewrite.
    let rewrites = rig.rewrites;
    rig.restart();

    assert!(rig.rewrites > rewrites);
    assert_eq!(files_in(&rig), before);
    assert_eq!(shown(&mut rig), [("two".to_owned(), vec![Some(path(G))])]);
}

#[test]
fn after_a_damage_no_file_is_acknowledged_whose_message_may_be_lost() {
    let mut rig = rig();
    rig.platform.send_file(F);
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    rig.journal.retain(|line| !line.contains(r#""t":"S""#));
    rig.damaged_after = Some(2);

    rig.restart();
    rig.pass(60_000);

    assert!(rig.platform.acknowledged.is_empty());
    assert_eq!((rig.waiting(), shown(&mut rig)[0].1.clone()), (vec![message], vec![Some(path(F))]));
}

#[test]
fn a_journal_of_the_format_before_is_read_and_written_in_the_present_one() {
    let mut rig = rig();
    let message = rig.platform.say("hello");
    rig.pass(5_000);
    rig.journal[0] = rig.journal[0].replace(r#""v":2"#, r#""v":1"#);

    rig.restart();

    assert!(rig.journal[0].contains(r#""v":2"#), "{:?}", rig.journal);
    assert_eq!((rig.waiting(), rig.copies), (vec![message], 0));
    assert_eq!(rig.warnings(), [""; 0]);
}

#[test]
fn the_words_of_peers_fetch_and_acknowledge_nothing() {
    let mut rig = rig();
    let body = json!({"jsonrpc": "2.0", "params": {"message": {"parts": [{"kind": "text", "text": "see"},
        {"kind": "file", "file": {"name": "a", "uri": pending(F)}}]}}});
    let message = rig.platform.insert(
        &json!({"source_id": PEER, "method": "chat_upload_receive", "request_body": body}),
        1_000_000,
        0,
    );
    rig.pass(5_000);
    assert_eq!(rig.peek()[0]["attachments"][0]["uri"], pending(F));
    rig.pop(&message);
    rig.pass(60_000);

    assert!(rig.lanes().fetches.is_empty() && rig.platform.acknowledged.is_empty());
}

#[test]
fn a_file_without_a_row_of_its_own_is_fetched_and_never_acknowledged() {
    let mut rig = rig();
    let message = rig.platform.say_with("look", &[F]);
    rig.pass(5_000);
    assert_eq!(shown(&mut rig)[0].1, [Some(path(F))]);

    rig.pop(&message);
    rig.pass(60_000);

    assert!(rig.platform.acknowledged.is_empty());
}

#[test]
fn files_that_are_needed_are_kept_and_what_was_removed_is_forgotten() {
    let mut rig = rig();
    for file in [F, G] {
        rig.platform.send_file(file);
        rig.platform.say_with(file, &[file]);
    }
    rig.pass(5_000);
    let first = rig.waiting()[0].clone();
    rig.pop(&first);
    rig.lanes().old = vec![path(F)];
    rig.pass(60_000);
    assert_eq!(rig.lanes().sweeps, [[path(G)]]);

    rig.platform.say_with("again", &[F]);
    rig.lanes().fails = Some(error(404, "gone"));
    rig.pass(10_000);

    let file = rig.peek()[1]["attachments"][0].clone();
    assert!(file["not_here"].as_str().unwrap().contains("no longer"), "{file}");
    assert_eq!(rig.lines(Level::Error), [""; 0]);
}

/// What the journal says of files, in order.
fn files_in(rig: &Rig) -> Vec<String> {
    let mut files = std::collections::BTreeMap::new();
    for line in &rig.journal {
        let record: Value = serde_json::from_str(line).unwrap();
        match record["t"].as_str().unwrap() {
            "U" => files.insert(record["id"].to_string(), line.clone()),
            "O" => files.insert("own".to_owned(), line.clone()),
            _ => None,
        };
    }
    files.into_values().collect()
}

//! The inbox as text: what waits, how far fetching and handling have come, and the files.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::log;

/// Longer texts are cut: everything shown here is an id, a time or a path.
const CELL_CHARS: usize = 80;
/// Of a path.
const PATH_CHARS: usize = 4_096;
const NOTHING: &str = "-";

const HEADER: [&str; 6] = ["MESSAGE", "KIND", "FROM", "SENT", "BYTES", "SHOWN"];

/// The table of `seen`, which ends with a line break.
pub(super) fn of(seen: &Map<String, Value>) -> String {
    let seen = View(seen);
    let mut lines =
        vec![format!("Inbox of workspace {} on {}", seen.cell("/workspace"), seen.path("/platform"))];
    lines.push(String::new());
    lines.extend(messages(&seen, "staged", "waits", "wait"));
    lines.extend(messages(
        &seen,
        "parked",
        "is parked after too many tries",
        "are parked after too many tries",
    ));
    for gap in seen.list("gaps") {
        lines.push(format!("Messages between {} and {} may be missing.", gap.cell("/from"), gap.cell("/to")));
    }
    lines.push(String::new());
    lines.extend(facts(&seen).into_iter().map(|(name, fact)| format!("{name:<11}{fact}")));
    lines.join("\n") + "\n"
}

fn messages(seen: &View<'_>, list: &str, one: &str, many: &str) -> Vec<String> {
    let messages = seen.list(list);
    let count = match messages.len() {
        0 if list == "staged" => return vec!["No message waits.".to_owned()],
        0 => return Vec::new(),
        1 => format!("1 message {one}:"),
        count => format!("{count} messages {many}:"),
    };
    let rows = messages.iter().map(row);
    let mut lines = vec![count];
    lines.extend(aligned(&[HEADER.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>()));
    lines
}

fn row(message: &View<'_>) -> [String; 6] {
    let returned = message
        .at("/delivery_count")
        .filter(|count| !count.is_null())
        .map(|_| message.cell("/delivery_count") + "x");
    let looked_at = || if message.is("/redelivered") { "looked at" } else { NOTHING }.to_owned();
    let from = message.cell("/peer_id");
    [
        message.cell("/activity_id"),
        message.cell("/kind"),
        if from.is_empty() { NOTHING.to_owned() } else { from },
        message.cell("/created_at"),
        message.cell("/bytes"),
        returned.unwrap_or_else(looked_at),
    ]
}

/// Rows with columns of one width each.
fn aligned(rows: &[[String; 6]]) -> Vec<String> {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; 6]| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(line, "  {cell:<width$}");
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn facts(seen: &View<'_>) -> Vec<(&'static str, String)> {
    let mut facts =
        vec![("handled", mark(seen, "/handled_up_to")), ("fetched", mark(seen, "/fetched_up_to"))];
    if seen.0.get("files").is_none_or(Value::is_null) {
        facts.push(("files", "none, because no directory for them was found: set CONFIGS_DIR".to_owned()));
        return facts;
    }
    facts.extend(user_files(seen).map(|files| ("files", files)));
    facts.push(("lock", lock(seen)));
    facts.push(("journal", journal(seen)));
    let cursor = format!("{}, {}", seen.cell("/files/cursor/id"), seen.path("/files/cursor/path"));
    facts.push(("cursor", cursor));
    for copy in seen.at("/files/copies_of_damage").and_then(Value::as_array).into_iter().flatten() {
        facts.push(("copy", format!("of a damaged journal, {}", cell(copy, PATH_CHARS))));
    }
    facts
}

/// The files that the user has sent.
fn user_files(seen: &View<'_>) -> Option<String> {
    let count = |name: &str| seen.at(&format!("/user_files/{name}")).and_then(Value::as_u64).unwrap_or(0);
    let [wanted, here, over, lost] = ["wanted", "here", "over", "lost"].map(count);
    if wanted + here + over + lost == 0 {
        return None;
    }
    let bytes = count("bytes_here") + count("bytes_over");
    let mut text = format!("{} of the user on disk, {bytes} bytes", here + over);
    for (number, what) in [(wanted, "to be fetched"), (lost, "not to be had")] {
        if number > 0 {
            let _ = write!(text, "; {number} {what}");
        }
    }
    Some(text)
}

fn mark(seen: &View<'_>, name: &str) -> String {
    if seen.at(name).is_none_or(Value::is_null) {
        return NOTHING.to_owned();
    }
    let [id, created_at] = ["id", "created_at"].map(|part| seen.cell(&format!("{name}/{part}")));
    format!("up to {id}, of {created_at}")
}

fn lock(seen: &View<'_>) -> String {
    let holder = match seen.at("/files/lock/held").and_then(Value::as_bool) {
        Some(true) => format!("held by {}", seen.cell("/files/lock/holder")),
        Some(false) => "held by nobody".to_owned(),
        None => format!("held by whom is unknown: {}", seen.cell("/files/lock/unknown")),
    };
    format!("{holder}, {}", seen.path("/files/lock/path"))
}

fn journal(seen: &View<'_>) -> String {
    let path = seen.path("/files/journal/path");
    if seen.at("/files/journal/unreadable").is_some_and(|why| !why.is_null()) {
        return format!("{path} {}", seen.cell("/files/journal/unreadable"));
    }
    if seen.at("/files/journal/bytes").is_none_or(Value::is_null) {
        return format!("none yet, {path}");
    }
    let mut text = format!(
        "{} bytes, {} records",
        seen.cell("/files/journal/bytes"),
        seen.cell("/files/journal/records")
    );
    let damaged_after = seen.at("/files/journal/damaged_after").filter(|damage| !damage.is_null());
    if damaged_after.is_some() {
        // Writing to a string cannot fail.
        let _ = write!(text, ", damaged after record {}", seen.cell("/files/journal/damaged_after"));
    }
    match seen.cell("/journal").as_str() {
        "ok" | "none" | NOTHING => {}
        // Of a damage it is said where it begins.
        "damaged" if damaged_after.is_some() => {}
        "damaged" => text.push_str(", foreign, or with records that are not understood"),
        state => {
            let _ = write!(text, ", {state}");
        }
    }
    format!("{text}, {path}")
}

/// An object of which parts may be missing or of another kind.
struct View<'a>(&'a Map<String, Value>);

impl<'a> View<'a> {
    fn at(&self, pointer: &str) -> Option<&'a Value> {
        let mut parts = pointer.split('/').skip(1);
        let start = self.0.get(parts.next()?)?;
        parts.try_fold(start, |value, part| value.get(part))
    }

    fn cell(&self, pointer: &str) -> String {
        self.at(pointer).map_or_else(|| NOTHING.to_owned(), |value| cell(value, CELL_CHARS))
    }

    fn path(&self, pointer: &str) -> String {
        self.at(pointer).map_or_else(|| NOTHING.to_owned(), |value| cell(value, PATH_CHARS))
    }

    fn is(&self, pointer: &str) -> bool {
        self.at(pointer).and_then(Value::as_bool).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<View<'a>> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_object).map(View).collect()
    }
}

/// A value in one line, without anything that moves a terminal's cursor.
fn cell(value: &Value, limit: usize) -> String {
    let text = match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    let clean = |char: char| if log::leaves_the_line(char) { ' ' } else { char };
    text.chars().take(limit).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_is_a_table() {
        let table = shown(json!({
            "workspace": "w-1",
            "platform": "https://acme.example.com",
            "format": 1,
            "journal": "ok",
            "staged": [
                message("row-1", "peer_agent", "peer-1", Some(2), true),
                message("row-10", "canvas_user", "", None, false),
                message("row-11", "canvas_user", "", None, true),
            ],
            "parked": [message("row-0", "peer_agent", "peer-1", Some(5), true)],
            "fetched_up_to": { "id": "row-10", "created_at": "2026-01-01T00:00:00Z" },
            "handled_up_to": null,
            "gaps": [{ "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z" }],
            "files": files(json!(null), json!(true)),
        }));

        assert_eq!(
            table,
            "\
Inbox of workspace w-1 on https://acme.example.com

3 messages wait:
  MESSAGE  KIND         FROM    SENT                  BYTES  SHOWN
  row-1    peer_agent   peer-1  2026-01-01T00:00:00Z  12     2x
  row-10   canvas_user  -       2026-01-01T00:00:00Z  12     -
  row-11   canvas_user  -       2026-01-01T00:00:00Z  12     looked at
1 message is parked after too many tries:
  MESSAGE  KIND        FROM    SENT                  BYTES  SHOWN
  row-0    peer_agent  peer-1  2026-01-01T00:00:00Z  12     5x
Messages between 2026-01-01T00:00:00Z and 2026-01-02T00:00:00Z may be missing.

handled    -
fetched    up to row-10, of 2026-01-01T00:00:00Z
lock       held by process 4711, since 2026-01-01T00:00:00Z, /c/lock
journal    1200 bytes, 7 records, /c/journal
cursor     -, /c/cursor
"
        );
    }

    #[test]
    fn the_files_of_the_user_are_counted() {
        let table = shown(json!({
            "files": files(json!(null), json!(false)),
            "user_files": { "wanted": 1, "here": 2, "bytes_here": 30, "over": 1, "bytes_over": 5, "lost": 0 },
        }));

        assert!(table.contains("files      3 of the user on disk, 35 bytes; 1 to be fetched\n"), "{table}");
    }

    #[test]
    fn damage_and_a_newer_format_are_said() {
        let table = shown(json!({ "journal": "of a newer version", "files": files(json!(3), json!(null)) }));

        for line in [
            "No message waits.",
            "held by whom is unknown: -, /c/lock",
            "1200 bytes, 7 records, damaged after record 3, of a newer version, /c/journal",
        ] {
            assert!(table.contains(line), "{line} in {table}");
        }
    }

    #[test]
    fn what_others_wrote_stays_in_its_cell() {
        let staged = [message("a\u{1b}[2J\nb\u{202e}", &"x".repeat(500), "p", Some(1), false)];

        let table = shown(json!({ "staged": staged }));

        assert!(table.contains("a [2J b "), "{table}");
        assert!(table.chars().all(|char| char == '\n' || !log::leaves_the_line(char)));
        assert!(table.lines().all(|line| line.chars().count() < 200), "{table}");
    }

    #[test]
    fn anything_can_be_missing_or_of_another_kind() {
        for seen in [json!({}), json!({ "staged": 1, "files": [], "gaps": [1], "fetched_up_to": "x" })] {
            assert!(shown(seen).contains("No message waits."));
        }
    }

    fn shown(seen: Value) -> String {
        of(seen.as_object().unwrap())
    }

    fn message(id: &str, kind: &str, peer: &str, deliveries: Option<u32>, redelivered: bool) -> Value {
        json!({
            "activity_id": id,
            "kind": kind,
            "peer_id": peer,
            "created_at": "2026-01-01T00:00:00Z",
            "bytes": 12,
            "delivery_count": deliveries,
            "redelivered": redelivered,
        })
    }

    fn files(damaged_after: Value, held: Value) -> Value {
        let holder = held.as_bool().map(|_| "process 4711, since 2026-01-01T00:00:00Z");
        json!({
            "cursor": { "path": "/c/cursor", "id": null },
            "journal": {
                "path": "/c/journal",
                "bytes": 1200,
                "records": 7,
                "damaged_after": damaged_after,
                "torn_bytes": 0,
                "unreadable": null,
            },
            "lock": { "path": "/c/lock", "held": held, "holder": holder, "unknown": null },
            "copies_of_damage": [],
        })
    }
}

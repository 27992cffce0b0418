//! The inbox of each workspace as it lies on the disk.

use molecule_runtime::inspect::{self, Place};
use serde_json::{Map, Value};

use super::{
    Found, Scene,
    catalog::{
        INBOX_COPY, INBOX_DAMAGED, INBOX_FULL, INBOX_GAPS, INBOX_GOOD, INBOX_NEWER, INBOX_PARKED,
        INBOX_UNREADABLE,
    },
};

/// So many wait at most.
const MOST_STAGED: usize = 200;

pub(super) async fn look(scene: &Scene) -> Vec<Found> {
    let mut found = Vec::new();
    for place in scene.places.iter().filter(|place| place.state.is_some()) {
        let about = scene.named(&place.workspace);
        found.extend(one(place).await.into_iter().map(|one| one.about(about)));
    }
    found
}

async fn one(place: &Place) -> Vec<Found> {
    match inspect::at(place).await {
        Ok(seen) => judge(&seen),
        Err(cause) => vec![INBOX_UNREADABLE.seen(format!("{cause:#}"))],
    }
}

fn judge(seen: &Map<String, Value>) -> Vec<Found> {
    let files = seen.get("files").unwrap_or(&Value::Null);
    let journal = files.get("journal").unwrap_or(&Value::Null);
    let text = |key: &str| journal.get(key).and_then(Value::as_str).unwrap_or_default();
    let path = text("path");
    let state = seen.get("journal").and_then(Value::as_str).unwrap_or_default();
    let mut found = Vec::new();
    if journal.get("unreadable").is_some_and(|why| !why.is_null()) {
        found.push(INBOX_UNREADABLE.seen(format!("{path} {}", text("unreadable"))));
    } else if state == "of a newer version" {
        found.push(INBOX_NEWER.seen(path));
    } else if state == "damaged" {
        let after = journal.get("damaged_after").and_then(Value::as_u64).unwrap_or_default();
        found.push(INBOX_DAMAGED.seen(format!("{path}, after record {after}")));
    }
    for copy in list(files, "copies_of_damage") {
        found.push(INBOX_COPY.seen(copy.as_str().unwrap_or_default()));
    }
    let count = |key: &str| seen.get(key).and_then(Value::as_array).map_or(0, Vec::len);
    if count("parked") > 0 {
        found.push(INBOX_PARKED.seen(format!("{} parked", count("parked"))));
    }
    if count("staged") >= MOST_STAGED {
        found.push(INBOX_FULL.seen(format!("{} wait", count("staged"))));
    }
    for gap in seen.get("gaps").and_then(Value::as_array).into_iter().flatten() {
        let time = |key: &str| gap.get(key).and_then(Value::as_str).unwrap_or("?").to_owned();
        found.push(INBOX_GAPS.seen(format!("between {} and {}", time("from"), time("to"))));
    }
    if found.is_empty() {
        let bytes = journal.get("bytes").and_then(Value::as_u64);
        let size = bytes.map_or_else(|| "nothing is kept yet".to_owned(), |bytes| format!("{bytes} bytes"));
        found.push(INBOX_GOOD.seen(format!("{size}, {} wait", count("staged"))));
    }
    found
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

//! The rows of a workspace's activity log that are messages to it.
//!
//! The platform answers rows after a known one oldest first, the rows of a time window newest
//! first, and never more than a limit. It does not say whether there are more.

mod row;

use std::collections::BTreeSet;

pub(crate) use self::row::{RequestBody, Row, WaitingFile};
use super::{Limits, MIB, PlatformError, READ, get, list_of, stamp::Stamp, success};
use crate::wire::{PlatformRequest, PlatformResponse, Workspace};

/// The most rows that the platform gives at once.
pub(crate) const MOST_ROWS: u32 = 500;

/// The longest window that the platform looks back: 30 days.
pub(crate) const LONGEST_WINDOW_SECS: u64 = 2_592_000;

/// What the platform calls a broadcast that has come in.
pub(crate) const BROADCAST: &str = "broadcast_receive";

/// A page of ordinary messages.
const PAGE: Limits = Limits { total_ms: 60_000, body_bytes: 8 * MIB, ..READ };

/// A message is up to 16 MiB, and more once it is written as JSON.
const LARGE: Limits = Limits { total_ms: 300_000, body_bytes: 40 * MIB, ..READ };

/// Which rows are asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reach {
    /// Those made after the row with this id, oldest first.
    After(String),
    /// Those of the last seconds, newest first.
    Window { secs: u64, part: Part },
}

/// Which part of a window. Platforms that do not know `Before` answer the whole one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Part {
    Whole,
    Before(Stamp),
    FromCanvas,
    FromAgents,
}

/// How large an answer may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Room {
    Ordinary,
    /// For a single message, or where nothing smaller would do.
    Large,
}

/// Asks for at most `limit` messages to the workspace `id`.
pub(crate) fn request(
    workspace: Workspace,
    id: &str,
    reach: &Reach,
    limit: u32,
    room: Room,
) -> PlatformRequest {
    let mut request = get(workspace, ["workspaces", id, "activity"]);
    request.limits = match room {
        Room::Ordinary if limit > 1 => PAGE,
        Room::Ordinary | Room::Large => LARGE,
    };
    let mut ask = |key: &str, value: String| request.query.push((key.to_owned(), value));
    ask("type", "a2a_receive".to_owned());
    ask("limit", limit.to_string());
    // Older platforms do not know it, and let it be.
    ask("include", "peer_info".to_owned());
    match reach {
        Reach::After(id) => ask("since_id", id.clone()),
        Reach::Window { secs, part } => {
            ask("since_secs", secs.to_string());
            match part {
                Part::Whole => {}
                Part::Before(stamp) => ask("before_ts", stamp.to_string()),
                Part::FromCanvas => ask("source", "canvas".to_owned()),
                Part::FromAgents => ask("source", "agent".to_owned()),
            }
        }
    }
    request
}

/// Asks for at most `limit` broadcasts to the workspace `id`, which are rows of another type.
pub(crate) fn broadcasts(workspace: Workspace, id: &str, reach: &Reach, limit: u32) -> PlatformRequest {
    let mut request = request(workspace, id, reach, limit, Room::Ordinary);
    for (_, kind) in request.query.iter_mut().filter(|(key, _)| key == "type") {
        BROADCAST.clone_into(kind);
    }
    request
}

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// The row asked after does not exist: pruned, or of another workspace.
    CursorGone,
    /// The platform cannot look the row up. That may pass, or not.
    CursorUnreadable,
    Failed(PlatformError),
}

impl Trouble {
    /// The same, for those who cannot ask in another way.
    pub(crate) fn as_error(&self) -> PlatformError {
        let told = |status, said: &str| PlatformError::Status {
            status,
            said: said.to_owned(),
            retry_after_ms: None,
        };
        match self {
            Self::CursorGone => told(410, "the cursor is gone"),
            Self::CursorUnreadable => told(500, "cursor lookup failed"),
            Self::Failed(why) => why.clone(),
        }
    }
}

impl From<PlatformError> for Trouble {
    fn from(why: PlatformError) -> Self {
        Self::Failed(why)
    }
}

/// The rows of an answer.
#[derive(Debug)]
pub(crate) struct Page {
    /// Oldest first, each id once, none without one.
    pub(crate) rows: Vec<Row>,
    /// There may be more rows than these.
    pub(crate) full: bool,
    /// Rows that nothing can be done with, because they have no id.
    pub(crate) without_id: usize,
}

/// Reads the answer to [`request`].
pub(crate) fn page(response: &PlatformResponse, reach: &Reach, limit: u32) -> Result<Page, Trouble> {
    if response.status != 200 {
        return Err(trouble(response, reach));
    }
    let list = list_of(response, Row::read)?;
    let length = list.len();
    let full = length >= limit.try_into().unwrap_or(usize::MAX);
    let mut rows: Vec<Row> = list.into_iter().flatten().filter(|row| !row.id.is_empty()).collect();
    let without_id = length - rows.len();
    if matches!(reach, Reach::Window { .. }) {
        rows.reverse();
    }
    put_in_order(&mut rows);
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(row.id.clone()));
    Ok(Page { rows, full, without_id })
}

fn trouble(response: &PlatformResponse, reach: &Reach) -> Trouble {
    let why = match success(response) {
        Ok(_) => PlatformError::Status { status: response.status, said: String::new(), retry_after_ms: None },
        Err(why) => why,
    };
    let with_cursor = matches!(reach, Reach::After(_));
    if let PlatformError::Status { status, said, .. } = &why
        && with_cursor
        && response.json
    {
        match status {
            410 => return Trouble::CursorGone,
            500 if said.contains("cursor lookup failed") => return Trouble::CursorUnreadable,
            _ => {}
        }
    }
    Trouble::Failed(why)
}

/// By time, ties as they came. A row without a time keeps its place behind the one before it.
fn put_in_order(rows: &mut [Row]) {
    let mut last = Stamp::UNKNOWN;
    for row in rows.iter_mut() {
        let told = Stamp::parse(&row.created_at);
        row.timed = told.is_some();
        row.stamp = told.unwrap_or(last);
        last = row.stamp;
    }
    rows.sort_by_key(|row| row.stamp);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn rows_after_a_row_and_rows_of_a_window_are_asked_for() {
        assert_eq!(
            query(&Reach::After("a1".to_owned()), 500),
            [("type", "a2a_receive"), ("limit", "500"), ("include", "peer_info"), ("since_id", "a1")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        let before = Stamp::parse("2026-04-30T23:12:00.1Z").unwrap();
        for (part, last) in [
            (Part::Whole, ("since_secs", "600")),
            (Part::Before(before), ("before_ts", "2026-04-30T23:12:00.1Z")),
            (Part::FromCanvas, ("source", "canvas")),
            (Part::FromAgents, ("source", "agent")),
        ] {
            let query = query(&Reach::Window { secs: 600, part }, 1);
            assert_eq!(query.last(), Some(&(last.0.to_owned(), last.1.to_owned())));
        }
    }

    #[test]
    fn broadcasts_are_asked_for_by_their_type() {
        let query = broadcasts(0, "w", &after(), 500).query;

        assert_eq!(query[0], ("type".to_owned(), "broadcast_receive".to_owned()));
        assert_eq!(query[1..], self::query(&after(), 500)[1..]);
    }

    #[test]
    fn a_single_message_may_be_large() {
        let bytes = |limit, room| request(0, "w", &after(), limit, room).limits.body_bytes;

        assert_eq!(bytes(2, Room::Ordinary), 8 << 20);
        assert_eq!(bytes(1, Room::Ordinary), 40 << 20);
        assert_eq!(bytes(2, Room::Large), 40 << 20);
    }

    #[test]
    fn a_window_comes_newest_first_and_is_turned_round() {
        let rows = json!([{"id": "c", "created_at": T2}, {"id": "b", "created_at": T1}, {"id": "a", "created_at": T1}]);

        assert_eq!(ids(&read(&rows, &window()).unwrap()), ["a", "b", "c"]);
    }

    #[test]
    fn rows_are_ordered_by_time_and_keep_their_place_without_one() {
        let rows = json!([
            {"id": "d", "created_at": "2026-04-30T23:12:00.12Z"},
            {"id": "e", "created_at": null},
            {"id": "b", "created_at": "2026-04-30T23:12:00.1Z"},
            {"id": "c"},
            {"id": "a", "created_at": "0001-01-01T00:00:00Z"},
        ]);

        assert_eq!(ids(&read(&rows, &after()).unwrap()), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn no_row_can_spoil_a_page() {
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let body = format!(
            r#"[null, 1, "x", [], {{}}, {{"id": null}}, {{"id": 7}}, {{"id": ""}},
                {{"id": "deep", "request_body": {deep}}},
                {{"id": "odd", "request_body": "no json", "response_body": 5, "method": {{}}, "created_at": 1e999}},
                {{"id": "surrogate", "request_body": {{"params": {{"parts": [{{"type": "text", "text": "\ud800"}}]}}}}}},
                {{"id": "wrong", "request_body": {{"params": [{{"message": 1}}], "parts": {{"a": 1}}}}}},
                {{"id": "odd"}}, {{"id": "last"}}]"#
        );

        let page = page(&answer(200, body), &after(), 500).unwrap();

        assert_eq!(ids(&page), ["deep", "odd", "surrogate", "wrong", "last"]);
        assert_eq!(page.without_id, 8);
        assert!(!page.full);
    }

    #[test]
    fn a_page_with_as_many_rows_as_asked_for_is_full() {
        let rows = json!([{"id": "a"}, {"no": "id"}]);

        assert!(page(&answer(200, rows.to_string()), &after(), 2).unwrap().full);
        assert!(!page(&answer(200, rows.to_string()), &after(), 3).unwrap().full);
    }

    #[test]
    fn bytes_that_are_no_text_spoil_nothing() {
        let mut response = answer(200, String::new());
        response.body = b"[{\"id\": \"a\", \"summary\": \"\xff\"}]".to_vec();

        assert_eq!(page(&response, &after(), 500).unwrap().rows[0].summary, "\u{fffd}");
    }

    #[test]
    fn only_the_platform_itself_can_say_that_a_cursor_is_gone() {
        let gone = json!({"error": "since_id cursor not found"}).to_string();
        let mut html = answer(410, "<html>".to_owned());
        html.json = false;

        assert_eq!(page(&answer(410, gone.clone()), &after(), 500).unwrap_err(), Trouble::CursorGone);
        assert!(matches!(page(&answer(410, gone), &window(), 500).unwrap_err(), Trouble::Failed(_)));
        assert!(matches!(page(&html, &after(), 500).unwrap_err(), Trouble::Failed(_)));
    }

    #[test]
    fn trouble_with_the_lookup_is_told_from_other_trouble() {
        let lookup = json!({"error": "cursor lookup failed"}).to_string();
        let query = json!({"error": "query failed"}).to_string();

        assert_eq!(page(&answer(500, lookup), &after(), 500).unwrap_err(), Trouble::CursorUnreadable);
        assert!(matches!(page(&answer(500, query), &after(), 500).unwrap_err(), Trouble::Failed(_)));
    }

    #[test]
    fn only_a_list_under_200_is_a_page() {
        for (status, body) in [(200, "{}"), (200, ""), (200, "<html>"), (204, ""), (206, "[]"), (404, "[]")] {
            let trouble = page(&answer(status, body.to_owned()), &after(), 500).unwrap_err();
            assert!(matches!(trouble, Trouble::Failed(_)), "{status} {body}");
        }
    }

    const T1: &str = "2026-04-30T23:12:01Z";
    const T2: &str = "2026-04-30T23:12:02Z";

    fn after() -> Reach {
        Reach::After("x".to_owned())
    }

    fn window() -> Reach {
        Reach::Window { secs: 600, part: Part::Whole }
    }

    fn query(reach: &Reach, limit: u32) -> Vec<(String, String)> {
        request(0, "w", reach, limit, Room::Ordinary).query
    }

    fn answer(status: u16, body: String) -> PlatformResponse {
        PlatformResponse {
            status,
            json: true,
            retry_after_ms: None,
            server_time_ms: None,
            body: body.into_bytes(),
        }
    }

    fn read(rows: &Value, reach: &Reach) -> Result<Page, Trouble> {
        page(&answer(200, rows.to_string()), reach, 500)
    }

    fn ids(page: &Page) -> Vec<&str> {
        page.rows.iter().map(|row| row.id.as_str()).collect()
    }
}

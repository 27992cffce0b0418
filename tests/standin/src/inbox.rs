//! Reading the activity log, and reporting to it.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::activity::{NewRow, Row};
use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::Malformed;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

const PAGE: usize = 100;
const PAGE_MAX: usize = 500;
const WINDOW_MAX_S: u64 = 2_592_000;
const REPORTABLE: [&str; 7] =
    ["a2a_send", "a2a_receive", "task_update", "agent_log", "skill_promotion", "memory_write", "error"];
const CURSOR_GONE: &str = "since_id cursor not found (row may have been pruned or belongs to a different workspace); \
                           omit since_id to reset";
pub(crate) const BAD_INSTANT: &str = "before_ts must be an RFC3339 timestamp (e.g. 2026-05-01T00:00:00Z)";

#[derive(Default)]
struct Filter<'a> {
    activity_type: Option<&'a str>,
    peer: Option<Uuid>,
    before: Option<Now>,
    not_before: Option<Now>,
    after: Option<Place>,
    /// Rows of one instant are told apart.
    in_order: bool,
    /// Whether the source has to be an agent, or has to be none.
    has_source: Option<bool>,
}

/// Where a row is: its instant, and its turn among those of this instant.
type Place = (Now, u64);

impl Filter<'_> {
    fn is_after(&self, row: &Row, cursor: Place) -> bool {
        if self.in_order { (row.created_at, row.seq) > cursor } else { row.created_at > cursor.0 }
    }

    fn takes(&self, row: &Row) -> bool {
        self.activity_type.is_none_or(|wanted| row.activity_type == wanted)
            && self.peer.is_none_or(|peer| row.source == Some(peer) || row.target == Some(peer))
            && self.before.is_none_or(|before| row.created_at < before)
            && self.not_before.is_none_or(|start| row.created_at >= start)
            && self.after.is_none_or(|cursor| self.is_after(row, cursor))
            && self.has_source.is_none_or(|wanted| row.source.is_some() == wanted)
    }
}

impl Platform {
    /// Newest first, but oldest first behind a cursor.
    pub(crate) fn read_activity(&self, call: &Call, id: &str) -> Answer {
        let filter = self.filter(call, id)?;
        let workspace = database_uuid(id).filter(|_| !self.activity.down);
        let workspace = workspace.ok_or_else(|| Response::error(500, "query failed"))?;
        let mut rows = self.activity.newest_first(workspace);
        rows.retain(|row| filter.takes(row));
        if filter.in_order {
            rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.seq)));
        }
        if filter.after.is_some() {
            rows.reverse();
        }
        let page = rows.into_iter().take(limit(call)).map(|row| self.shown(row, call));
        Ok(Response::json_as_is(200, &Value::Array(page.collect())))
    }

    fn filter<'a>(&self, call: &'a Call, id: &str) -> Result<Filter<'a>, Response> {
        let in_order = self.level >= Level::Newest;
        let mut filter = Filter { activity_type: call.filled("type"), in_order, ..Filter::default() };
        if self.level >= Level::Later {
            filter.peer = call.filled("peer_id").map(peer).transpose()?;
            filter.before = call.filled("before_ts").map(before).transpose()?;
        }
        filter.not_before =
            call.filled("since_secs").map(window).transpose()?.map(|span| call.now.minus(span));
        filter.after = call.filled("since_id").map(|cursor| self.cursor(id, cursor)).transpose()?;
        filter.has_source = match call.filled("source") {
            None => None,
            Some("canvas") => Some(false),
            Some("agent") => Some(true),
            Some(_) => return Err(Response::error(400, "source must be 'canvas' or 'agent'")),
        };
        Ok(filter)
    }

    /// The place of the cursor row, which has to be in this very log.
    fn cursor(&self, workspace: &str, cursor: &str) -> Result<Place, Response> {
        let ids = database_uuid(workspace).zip(database_uuid(cursor)).filter(|_| !self.activity.down);
        let (workspace, cursor) = ids.ok_or_else(|| Response::error(500, "cursor lookup failed"))?;
        let found = self.activity.of(workspace).find(|row| row.id == cursor);
        found.map(|row| (row.created_at, row.seq)).ok_or_else(|| Response::error(410, CURSOR_GONE))
    }

    pub(crate) fn report_activity(&mut self, call: &Call, id: &str) -> Answer {
        let row =
            self.reported_row(call, id).map_err(|Malformed| Response::error(400, "invalid request body"))?;
        if !REPORTABLE.contains(&row.activity_type.as_str()) {
            let allowed = REPORTABLE.join(", ");
            return Err(Response::error(400, format!("invalid activity_type, must be one of: {allowed}")));
        }
        if row.source.as_deref() != Some(id) {
            return Err(Response::error(403, "source_id must match authenticated workspace"));
        }
        if row.workspace != Uuid::nil() {
            self.receive(row, call.now);
        }
        Ok(Response::json(200, serde_json::json!({ "status": "logged" })))
    }

    fn reported_row(&mut self, call: &Call, id: &str) -> Result<NewRow, Malformed> {
        let fields = call.fields()?;
        let text = |name| fields.filled(name).map(|text| text.map(str::to_owned));
        let workspace = self.workspaces.find(id).map(|workspace| workspace.id).unwrap_or_default();
        let request = fields.value("request_body").or_else(|| fields.value("metadata")).cloned();
        let row = self.new_row(workspace, fields.required("activity_type")?);
        Ok(NewRow {
            source: Some(text("source_id")?.unwrap_or_else(|| id.to_owned())),
            target: text("target_id")?,
            method: text("method")?,
            summary: text("summary")?,
            status: text("status")?,
            error_detail: text("error_detail")?,
            duration_ms: fields.integer("duration_ms")?,
            request_body: request,
            response_body: fields.value("response_body").cloned(),
            ..row
        })
    }
}

fn limit(call: &Call) -> usize {
    let wanted =
        call.query("limit").and_then(|text| text.parse::<i64>().ok()).and_then(|n| usize::try_from(n).ok());
    wanted.filter(|n| *n > 0).unwrap_or(PAGE).min(PAGE_MAX)
}

fn window(text: &str) -> Result<Duration, Response> {
    let seconds = text.parse::<i64>().ok().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let seconds = seconds.ok_or_else(|| Response::error(400, "since_secs must be a positive integer"))?;
    Ok(Duration::from_secs(seconds.min(WINDOW_MAX_S)))
}

fn peer(text: &str) -> Result<Uuid, Response> {
    Uuid::try_parse(text).map_err(|_| Response::error(400, "peer_id must be a UUID"))?;
    database_uuid(text).ok_or_else(|| Response::error(500, "query failed"))
}

fn before(text: &str) -> Result<Now, Response> {
    Now::parse(text).ok_or_else(|| Response::error(400, BAD_INSTANT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Stage, id_of, texts};

    fn stage_with(messages: &[&str]) -> Stage {
        let mut stage = Stage::new(Level::Later);
        for text in messages {
            stage.platform.user_sends(stage.own.id, text);
        }
        stage
    }

    #[test]
    fn rows_come_newest_first_but_oldest_first_behind_a_cursor() {
        let mut stage = stage_with(&["one", "two", "three"]);

        let newest_first = stage.inbox("");
        let cursor = id_of(&newest_first[2]);
        let behind = stage.inbox(&format!("since_id={cursor}"));

        assert_eq!(texts(&newest_first), ["three", "two", "one"]);
        assert_eq!(texts(&behind), ["two", "three"]);
    }

    #[test]
    fn rows_that_share_the_cursors_instant_never_come() {
        let mut stage = stage_with(&[]);
        let (own, instant) = (stage.own.id, stage.now);
        let cursor = stage.platform.user_sent(own, "one", instant);
        stage.platform.user_sent(own, "twin", instant);
        stage.platform.user_sent(own, "later", instant.plus(Duration::from_micros(1)));

        assert_eq!(texts(&stage.inbox(&format!("since_id={cursor}"))), ["later"]);
    }

    #[test]
    fn a_row_that_becomes_visible_late_is_behind_a_younger_cursor() {
        let mut stage = stage_with(&[]);
        let (own, now) = (stage.own.id, stage.now);
        let held = stage.platform.hold_message(own, "late", now);
        let younger = stage.platform.user_sent(own, "younger", now.plus(Duration::from_millis(2)));
        assert_eq!(texts(&stage.inbox("")), ["younger"]);

        stage.platform.release_row(held);

        assert!(stage.inbox(&format!("since_id={younger}")).is_empty());
        assert_eq!(texts(&stage.inbox("")), ["younger", "late"]);
    }

    #[test]
    fn a_lost_cursor_is_gone_and_a_damaged_one_an_error_for_ever() {
        let mut stage = stage_with(&["one"]);
        let cursor = id_of(&stage.inbox("")[0]);
        stage.platform.delete_row(cursor);

        assert_eq!(stage.get(&format!("/activity?since_id={cursor}")).0, 410);
        let damaged = stage.get("/activity?since_id=abc");
        assert_eq!(damaged, (500, json!({ "error": "cursor lookup failed" })));
        assert_eq!(stage.get("/activity?since_id=").0, 200);
    }

    #[test]
    fn a_page_has_a_hundred_rows_and_never_more_than_five_hundred() {
        let mut stage = stage_with(&["x"; 510]);

        for (limit, rows) in
            [("", 100), ("limit=0", 100), ("limit=5.0", 100), ("limit=7", 7), ("limit=9999", 500)]
        {
            assert_eq!(stage.inbox(limit).len(), rows, "{limit}");
        }
    }

    #[test]
    fn the_baseline_ignores_the_filters_it_does_not_have() {
        for (level, status) in [(Level::Baseline, 200), (Level::Later, 400)] {
            let mut stage = Stage::new(level);
            assert_eq!(stage.get("/activity?peer_id=x").0, status);
            assert_eq!(stage.get("/activity?before_ts=x").0, status);
        }
    }

    #[test]
    fn a_report_that_cannot_be_stored_is_lost_in_silence() {
        let mut stage = stage_with(&[]);
        let lost = [
            json!({ "activity_type": "agent_log", "target_id": "peer" }),
            json!({ "activity_type": "agent_log", "summary": "a\u{0}b" }),
            json!({ "activity_type": "agent_log", "duration_ms": 2_147_483_648_i64 }),
        ];

        for report in lost {
            assert_eq!(stage.post("/activity", &report), (200, json!({ "status": "logged" })));
        }
        assert_eq!(stage.get("/activity").1, json!([]));
    }

    #[test]
    fn nobody_reports_in_the_name_of_another() {
        let mut stage = stage_with(&[]);
        let peer = stage.peer.id.to_string();

        assert_eq!(stage.post("/activity", &json!({ "activity_type": "error", "source_id": peer })).0, 403);
        assert_eq!(stage.post("/activity", &json!({ "activity_type": "delegation" })).0, 400);
    }
}

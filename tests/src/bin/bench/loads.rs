//! What larger answers cost: of peers with their cards, of messages, of the largest message there is.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    driver::Calls,
    inbox::{backlog, staged},
    measures::{Bench, Session, Subject, alone, median_ms, ms, per_second, ratio},
    table::Row,
};

/// Beside the two that the stand-in has anyway.
const PEERS: usize = 8;
const MESSAGES: usize = 50;
/// The largest message of the platform has 16 MiB once it is written as JSON.
const LARGE: usize = 15_500_000;

impl Bench {
    /// As the one-hop tool, with a page of ten peers, each with an agent card.
    pub(crate) fn ten_peers(&self) -> Result<Vec<Row>> {
        let (single, many) = self
            .of_both(|platform| platform.exchange("POST", "peers", &json!({ "count": PEERS })).map(drop))?;
        let (ours, bare) = single.medians();
        let mut rows = vec![Row {
            measure: "ten peers with cards, one by one, p50",
            ours: format!("{ours:.3} ms"),
            floor: format!("{bare:.3} ms"),
            ratio: ratio(ours, bare),
            budget: "≤ 1.5 × bare".to_owned(),
            held: ours <= 1.5 * bare,
        }];
        let (ours, bare) = many.medians();
        rows.push(Row {
            measure: "ten peers with cards, 64 at once",
            ours: per_second(ours),
            floor: per_second(bare),
            ratio: ratio(ours, bare),
            budget: "≥ 70 % of bare".to_owned(),
            held: ours >= 0.7 * bare,
        });
        Ok(rows)
    }

    /// A look at many messages.
    pub(crate) fn fifty_messages(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform } = self.working(Subject::Ours)?;
        backlog(&platform, MESSAGES)?;
        staged(&mut server, MESSAGES)?;
        let looks = Calls::new("inbox_peek", &json!({ "limit": MESSAGES }), 1_000);
        let took = median_ms(&server.one_by_one(&looks)?);
        Ok(vec![alone("`inbox_peek` of 50 messages, p50", took, "ms", 0.5)])
    }

    /// The way of the largest message.
    pub(crate) fn large_messages(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform } = self.working(Subject::Ours)?;
        let message = json!({ "workspace_id": platform.me()?, "text": "x".repeat(LARGE) });
        let start = Instant::now();
        platform.exchange("POST", "user-message", &message)?;
        let waited = server.call("wait_for_message", &json!({ "timeout_secs": 60 }))?;
        let took = ms(start.elapsed());
        ensure!(waited.get("activity_id").is_some(), "no message came");
        Ok(vec![alone("a message of 15.5 MB → `wait_for_message` answers", took, "ms", 2_400.0)])
    }
}

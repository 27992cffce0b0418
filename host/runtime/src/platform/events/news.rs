//! What an event stream says, as far as it matters.

use std::{
    borrow::Cow,
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    io,
};

use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use sse_stream::SseByteStream;

use super::Chunks;

/// An event holds a whole message, of at most 16 MiB, in JSON that may escape every other byte of it.
const EVENT_BYTES: usize = 40 << 20;

/// What an event means for the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// The platform is alive.
    Nothing,
    /// There may be a row: that of this message, if the event names one.
    Row(Option<Subject>),
    /// There may be a row, and another one in a moment.
    Rows,
}

/// The message that an event is about. The newest platform raises several events for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    /// Stands for the message's id and the kind of its row.
    digest: u64,
    /// The row is there already.
    stored: bool,
}

/// As many messages as events may come for at the same time, and some more.
const REMEMBERED: usize = 256;

/// The rows that events have told of. Their further events tell of nothing new.
#[derive(Default)]
pub(super) struct Told(VecDeque<u64>);

impl Told {
    /// Whether an event may mean a row that no event has told of.
    ///
    /// An event that may come before its row is not remembered, so that the event after the row counts.
    pub(super) fn is_new(&mut self, subject: Option<Subject>) -> bool {
        let Some(Subject { digest, stored }) = subject else { return true };
        if self.0.contains(&digest) {
            return false;
        }
        if stored {
            self.0.push_back(digest);
            if self.0.len() > REMEMBERED {
                self.0.pop_front();
            }
        }
        true
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// An event that is what the platform says it is; a large one is not read twice.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    data: Names,
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    activity_type: Value,
    #[serde(default)]
    message_id: Value,
}

/// Every event of a stream. An error is the last item: the connection broke, or nobody could read on.
pub(super) fn of(chunks: Chunks) -> impl Stream<Item = Result<News, String>> + Send + Unpin {
    let events = SseByteStream::new(bounded(chunks));
    events.map(|event| {
        let event = event.map_err(|cause| cause.to_string())?;
        Ok(event.data.map_or(News::Nothing, |data| meaning(&data)))
    })
}

fn meaning(text: &str) -> News {
    match serde_json::from_str::<Whole<'_>>(text) {
        Ok(event) => of_kind(&event.kind, Some(&event.data)),
        Err(_) => {
            serde_json::from_str::<Event<'_>>(text).map_or(News::Nothing, |event| of_kind(&event.kind, None))
        }
    }
}

fn of_kind(kind: &str, names: Option<&Names>) -> News {
    match kind {
        "ACTIVITY_LOGGED" => News::Row(names.and_then(Names::of_row)),
        "USER_MESSAGE" => News::Row(names.and_then(Names::of_message)),
        "BROADCAST_MESSAGE" => News::Row(None),
        kind if kind.starts_with("DELEGATION_") => News::Rows,
        _ => News::Nothing,
    }
}

impl Names {
    /// The message whose row is there.
    fn of_row(&self) -> Option<Subject> {
        self.subject(self.activity_type.as_str()?, true)
    }

    /// The message whose row may be there.
    fn of_message(&self) -> Option<Subject> {
        self.subject("a2a_receive", false)
    }

    fn subject(&self, kind: &str, stored: bool) -> Option<Subject> {
        let id = self.message_id.as_str().filter(|id| !id.is_empty())?;
        let mut digest = DefaultHasher::new();
        (kind, id).hash(&mut digest);
        Some(Subject { digest: digest.finish(), stored })
    }
}

/// The same chunks, until an event is too large for the parser, which would take one of any size.
fn bounded(chunks: Chunks) -> Chunks {
    let mut event = EventSize::default();
    let chunks = chunks.map(move |chunk| {
        let chunk = chunk?;
        event.take(&chunk)?;
        Ok(chunk)
    });
    chunks.boxed()
}

/// How large the event is that has not ended yet. Lines end with CR, LF or both, events with an empty line.
#[derive(Default)]
struct EventSize {
    bytes: usize,
    /// The latest line has nothing in it so far.
    line_is_empty: bool,
    after_cr: bool,
}

impl EventSize {
    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        for byte in chunk {
            self.bytes += 1;
            let ends_line = matches!(byte, b'\n' | b'\r');
            let second_of_two = *byte == b'\n' && self.after_cr;
            if ends_line && self.line_is_empty && !second_of_two {
                self.bytes = 0;
            }
            self.line_is_empty = ends_line;
            self.after_cr = *byte == b'\r';
            if self.bytes > EVENT_BYTES {
                return Err(io::Error::other(format!("an event is larger than {} MiB", EVENT_BYTES >> 20)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;

    const PING: &str = ": ping\n\n";
    const ROW: &str = "data: {\"type\":\"ACTIVITY_LOGGED\",\"timestamp\":1,\"data\":{\"type\":\"x\"}}\n\n";

    #[tokio::test]
    async fn only_what_may_mean_a_row_is_a_hint() {
        let cases = [
            ("ACTIVITY_LOGGED", News::Row(None)),
            ("BROADCAST_MESSAGE", News::Row(None)),
            ("USER_MESSAGE", News::Row(None)),
            ("DELEGATION_SENT", News::Rows),
            ("DELEGATION_STATUS", News::Rows),
            ("DELEGATION_COMPLETE", News::Rows),
            ("DELEGATION_FAILED", News::Rows),
            ("AGENT_MESSAGE", News::Nothing),
            ("WORKSPACE_HEARTBEAT", News::Nothing),
            ("TASK_UPDATED", News::Nothing),
            ("activity_logged", News::Nothing),
            ("SOMETHING_NEW", News::Nothing),
        ];
        for (kind, expected) in cases {
            let event = format!("data: {{\"data\":{{}},\"timestamp\":1,\"type\":\"{kind}\"}}\n\n");

            assert_eq!(read([event.as_str()]).await, [Ok(expected)], "{kind}");
        }
    }

    #[tokio::test]
    async fn an_event_in_any_pieces_is_one_event() {
        let text = format!("{PING}{ROW}{ROW}");
        for size in 1..text.len() {
            let pieces = text.as_bytes().chunks(size).map(|piece| str::from_utf8(piece).unwrap());

            assert_eq!(read(pieces).await, [Ok(News::Row(None)), Ok(News::Row(None))], "{size}");
        }
    }

    #[tokio::test]
    async fn what_is_no_event_of_the_platform_is_alive_and_nothing_more() {
        let cases = [
            "data: no JSON\n\n",
            "data: []\n\n",
            "data: {\"type\":7}\n\n",
            "data: {\"type\":\"ACTIVITY_LOGGED\"\n\n",
            "id: 7\n\n",
        ];
        for event in cases {
            assert_eq!(read([event]).await, [Ok(News::Nothing)], "{event:?}");
        }
    }

    #[tokio::test]
    async fn other_line_ends_fields_and_comments_are_understood() {
        let text = ": x\r\ndata:{\"type\":\r\ndata: \"ACTIVITY_LOGGED\"}\r\nevent: e\r\nx: y\r\n\r\n: y\n\n";

        assert_eq!(read([text]).await, [Ok(News::Row(None))]);
    }

    #[tokio::test]
    async fn half_an_event_is_none() {
        assert_eq!(read([ROW.trim_end()]).await, []);
    }

    #[tokio::test]
    async fn an_event_with_a_whole_message_is_read() {
        let large =
            format!("data: {{\"data\":\"{}\",\"type\":\"ACTIVITY_LOGGED\"}}\n\n", "x".repeat(20 << 20));
        let pieces = large.as_bytes().chunks(16 << 10).map(|piece| str::from_utf8(piece).unwrap());

        assert_eq!(read(pieces.chain([ROW])).await, [Ok(News::Row(None)), Ok(News::Row(None))]);
    }

    #[tokio::test]
    async fn an_endless_event_ends_the_stream() {
        for line in ["x".repeat(1 << 20), format!("data: {}\r\n", "x".repeat(1 << 20))] {
            let endless = std::iter::repeat_n(line.as_str(), 1 << 10);

            let news = read([ROW].into_iter().chain(endless)).await;

            assert_eq!(news[0], Ok(News::Row(None)));
            assert!(news[1].as_ref().unwrap_err().contains("larger than 40 MiB"), "{news:?}");
            assert_eq!(news.len(), 2);
        }
    }

    #[tokio::test]
    async fn many_events_are_not_one_large_one() {
        let event = format!("data: {}\r\n\r\n", "x".repeat(1 << 20));

        let news = read(std::iter::repeat_n(event.as_str(), 60)).await;

        assert_eq!(news, vec![Ok(News::Nothing); 60]);
    }

    #[tokio::test]
    async fn bytes_that_are_no_text_end_the_stream() {
        let chunks = [b": ping\n\n".as_slice(), b"data: \xff\xfe\n\n", ROW.as_bytes()];
        let chunks = chunks.map(|chunk| Ok(Bytes::from_static(chunk)));

        let news: Vec<_> = of(stream::iter(chunks).boxed()).collect().await;

        assert!(matches!(news[..], [Err(_)]), "{news:?}");
    }

    fn told(kind: &str, data: &str) -> Option<Subject> {
        match meaning(&format!("{{\"data\":{data},\"timestamp\":1,\"type\":\"{kind}\"}}")) {
            News::Row(subject) => subject,
            other @ (News::Nothing | News::Rows) => panic!("{other:?}"),
        }
    }

    fn logged(row: &str, id: &str) -> Option<Subject> {
        told("ACTIVITY_LOGGED", &format!("{{\"activity_type\":\"{row}\",\"message_id\":\"{id}\"}}"))
    }

    #[test]
    fn further_events_of_one_row_tell_of_nothing_new() {
        let mut told_of = Told::default();
        let user_message = told("USER_MESSAGE", r#"{"content":"hi","message_id":"m"}"#);

        assert!(told_of.is_new(logged("a2a_receive", "m")));
        assert!(!told_of.is_new(user_message));
        assert!(!told_of.is_new(logged("a2a_receive", "m")));

        assert!(told_of.is_new(logged("a2a_receive", "n")), "another message");
        assert!(told_of.is_new(logged("a2a_send", "m")), "another row");
    }

    #[test]
    fn an_event_that_comes_before_its_row_does_not_hide_the_one_after_it() {
        let mut told_of = Told::default();

        assert!(told_of.is_new(told("USER_MESSAGE", r#"{"message_id":"m"}"#)));

        assert!(told_of.is_new(logged("a2a_receive", "m")));
    }

    #[test]
    fn events_that_name_no_message_are_always_new() {
        let mut told_of = Told::default();
        for data in [
            "{}",
            "7",
            "\"x\"",
            r#"{"message_id":null,"activity_type":"a2a_receive"}"#,
            r#"{"message_id":7}"#,
        ] {
            for kind in ["ACTIVITY_LOGGED", "USER_MESSAGE", "BROADCAST_MESSAGE"] {
                assert!(told_of.is_new(told(kind, data)), "{kind} {data}");
            }
        }
    }

    #[test]
    fn the_rows_that_events_told_of_are_remembered_for_a_while() {
        let mut told_of = Told::default();
        for number in 0..=REMEMBERED {
            assert!(told_of.is_new(logged("a2a_receive", &number.to_string())));
        }

        assert!(told_of.is_new(logged("a2a_receive", "0")));
        assert!(!told_of.is_new(logged("a2a_receive", "9")));
        assert_eq!(told_of.0.len(), REMEMBERED);
    }

    async fn read<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Result<News, String>> {
        let pieces: Vec<_> = pieces.into_iter().map(|piece| Ok(Bytes::from(piece.to_owned()))).collect();
        of(stream::iter(pieces).boxed()).collect().await
    }
}

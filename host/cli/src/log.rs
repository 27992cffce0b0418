//! Lines for the operator, on stderr.
//!
//! ```text
//! tracing ──► one line ──► secrets hidden, control characters escaped ──┬─► queue ──► thread ──► stderr
//!                                                                       └─► the last ones in a file
//! ```
//!
//! Nobody waits for stderr: clients close it or stop reading it. When the queue is full, lines are
//! dropped and counted. `RUST_LOG` has no effect, because what libraries say below a warning was
//! not written with our secrets in mind.

mod filter;
mod recorder;

use std::{
    any::Any,
    fmt::{self, Write as _},
    io,
    panic::{self, PanicHookInfo},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use jiff::Timestamp;
use molecule_runtime::hidden::without_secrets;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

pub use self::{
    filter::{AREAS, Filter},
    recorder::{Entry, Recorded, keep_in, recorded},
};
use crate::stdio::patient;

const PREFIX: &str = "[molecule-mcp] ";
/// The field of a span that names a workspace.
const TAG: &str = "tag";

/// Longer lines are cut.
const LINE_CHARS: usize = 4_000;
/// Lines that wait for a slow reader.
const QUEUE: usize = 256;
/// How long the end of the program waits for a reader.
const FLUSH: Duration = Duration::from_millis(100);

/// Tasks are cut off from here on.
static JSON: AtomicBool = AtomicBool::new(false);
static ENDED: AtomicBool = AtomicBool::new(false);
static SINK: OnceLock<Option<Sink>> = OnceLock::new();

/// What is logged, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Also what works, not only what fails.
    pub verbose: bool,
    /// What is said of single areas.
    pub filter: Filter,
    /// An object a line in place of text.
    pub json: bool,
}

/// Sends what `tracing` collects in this process to stderr: warnings and errors, unless `choice` says otherwise.
///
/// Does nothing where a subscriber has been installed already.
pub fn start(choice: &Choice) {
    JSON.store(choice.json, Ordering::Relaxed);
    let shown = choice.filter.targets(choice.verbose);
    let subscriber = tracing_subscriber::registry().with(shown).with(Lines);
    let _ = tracing::subscriber::set_global_default(subscriber);
}

/// Logs panics as a line instead of a trace on stderr.
pub fn catch_panics() {
    panic::set_hook(Box::new(|panicked: &PanicHookInfo<'_>| {
        let why = reason(panicked.payload());
        let place = panicked.location().map_or_else(String::new, |place| format!(" at {place}"));
        tracing::error!("a defect of this program ended one of its tasks: {why}{place}");
    }));
}

/// Prints a text of several lines for a person, without the prefix of the log.
pub fn say(text: &str) {
    let lines: Vec<_> = text.lines().map(clean).collect();
    let entry = entry("info", "program", None, lines.join("\n"));
    let line = if JSON.load(Ordering::Relaxed) { json(&entry) } else { entry.text.clone() };
    recorder::note(entry);
    post(line);
}

fn entry(level: &str, area: &str, workspace: Option<String>, text: String) -> Entry {
    Entry {
        at: format!("{:.3}", Timestamp::now()),
        level: level.to_owned(),
        area: area.to_owned(),
        workspace,
        text,
    }
}

fn json(entry: &Entry) -> String {
    serde_json::to_string(entry).unwrap_or_default()
}

/// Says nothing of the tasks that the end of the program cuts off; what [`say`] prints still comes.
pub fn ignore_the_rest() {
    ENDED.store(true, Ordering::Release);
}

/// Waits until everything so far is printed, or a moment if nobody reads it.
pub fn flush() {
    let Some(Some(sink)) = SINK.get() else {
        return;
    };
    let (done, printed) = mpsc::sync_channel(1);
    if sink.queue.try_send(Piece::Mark(done)).is_ok() {
        let _ = printed.recv_timeout(FLUSH);
    }
}

/// Text with known secrets replaced and everything escaped that would not stay in its line.
fn clean(text: &str) -> String {
    escaped(&without_secrets(text))
}

/// `text` as it can stand in a line: cut to 4,000 characters, without anything that moves a terminal's cursor.
pub(crate) fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for (count, char) in text.chars().enumerate() {
        if count == LINE_CHARS {
            line.push('\u{2026}');
            break;
        }
        if leaves_the_line(char) {
            line.extend(char.escape_debug());
        } else {
            line.push(char);
        }
    }
    line
}

/// Control characters, and those that separate lines or turn the direction of writing.
pub(crate) fn leaves_the_line(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a panic said.
pub(crate) fn reason(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "no reason given",
    }
}

/// Turns events into lines, and begins each with the workspace whose task says it.
struct Lines;

/// What stands for the workspace that a span is about.
struct Tag(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut tag = Tag(String::new());
        attributes.record(&mut tag);
        if let Some(span) = context.span(id).filter(|_| !tag.0.is_empty()) {
            span.extensions_mut().insert(tag);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if ENDED.load(Ordering::Acquire) {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let mut scope = context.event_scope(event).into_iter().flatten();
        let workspace = scope.find_map(|span| Some(span.extensions().get::<Tag>()?.0.clone()));
        let tag = workspace.as_ref().map(|workspace| format!("[{workspace}] ")).unwrap_or_default();
        let text = clean(&format!("{}{}", line.message, line.fields));
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let shown = format!("{PREFIX}{}{text}", clean(&tag));
        let entry = entry(&level, filter::area_of(event.metadata().target()), workspace, text);
        let shown = if JSON.load(Ordering::Relaxed) { json(&entry) } else { shown };
        recorder::note(entry);
        post(shown);
    }
}

impl Visit for Tag {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == TAG {
            self.0 = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == TAG {
            value.clone_into(&mut self.0);
        }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// The way to the thread that alone writes to stderr.
struct Sink {
    queue: SyncSender<Piece>,
    dropped: AtomicU64,
}

enum Piece {
    Line(String),
    /// Everything before this has been printed.
    Mark(SyncSender<()>),
}

fn post(line: String) {
    let Some(sink) = SINK.get_or_init(sink) else {
        print_now(&line);
        return;
    };
    let dropped = sink.dropped.swap(0, Ordering::Relaxed);
    if dropped > 0 {
        let note = format!("{PREFIX}{dropped} lines were dropped, because nobody read them");
        if sink.queue.try_send(Piece::Line(note)).is_err() {
            sink.dropped.fetch_add(dropped, Ordering::Relaxed);
        }
    }
    if sink.queue.try_send(Piece::Line(line)).is_err() {
        sink.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn sink() -> Option<Sink> {
    let (queue, pieces) = mpsc::sync_channel(QUEUE);
    thread::Builder::new().name("log".to_owned()).spawn(move || print(&pieces)).ok()?;
    Some(Sink { queue, dropped: AtomicU64::new(0) })
}

fn print(pieces: &Receiver<Piece>) {
    for piece in pieces {
        match piece {
            // Nothing can be done, and nobody can be told, if stderr is gone.
            Piece::Line(line) => drop(patient::write_all(io::stderr(), format!("{line}\n").as_bytes())),
            Piece::Mark(done) => drop(done.send(())),
        }
    }
}

/// For a process that gets no thread for its log: prints if stderr takes it at once.
fn print_now(line: &str) {
    let stderr = io::stderr();
    let ready = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&Timespec::default()));
    if ready.is_ok_and(|count| count > 0) {
        let _ = rustix::io::write(&stderr, format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use molecule_runtime::hidden::hide;

    use super::*;

    #[test]
    fn a_hidden_secret_is_replaced_wherever_it_stands() {
        hide("canary-log-81c2");

        assert_eq!(clean("x=canary-log-81c2, canary-log-81c2!"), "x=[token], [token]!");
    }

    #[test]
    fn a_short_text_is_not_hidden() {
        hide("the");

        assert_eq!(clean("the log"), "the log");
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(clean("a\nb\r\u{1b}[31m\0\u{7f}\u{9b}"), "a\\nb\\r\\u{1b}[31m\\0\\u{7f}\\u{9b}");
        assert_eq!(clean("a\u{2028}b\u{202e}c\u{2066}d"), "a\\u{2028}b\\u{202e}c\\u{2066}d");
        assert_eq!(clean("gr\u{fc}n \u{1f331} \"quoted\" \\"), "gr\u{fc}n \u{1f331} \"quoted\" \\");
    }

    #[test]
    fn a_long_line_is_cut() {
        let line = clean(&"\u{fc}".repeat(LINE_CHARS + 1));

        assert_eq!(line.chars().count(), LINE_CHARS + 1);
        assert!(line.ends_with("\u{fc}\u{2026}"));
    }
}

//! What the component said in a story, for those who run it elsewhere: `tests/languages/replay.*`.

use std::{
    env, fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use molecule_runtime::{
    guest::wire::{Next, Outcome, Settings},
    passage::{Asked, Passage},
};
use serde_json::{Value, json};

/// The directory in which transcripts are left; without it nothing is recorded.
const DIRECTORY: &str = "MOLECULE_TRANSCRIPTS";
/// Longer passages are those of tests of limits, which a host of another language has otherwise.
const LONGEST: usize = 1 << 20;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What one instance of the component was asked and said; left in its file when it is dropped.
pub(super) struct Transcript {
    file: PathBuf,
    settings: Value,
    exchanges: Vec<Value>,
    /// Nothing that comes later can be told again.
    is_over: bool,
}

impl Transcript {
    /// Begins to record, if that was asked for.
    pub(super) fn begin(settings: &Settings) -> Option<Self> {
        let directory = PathBuf::from(env::var_os(DIRECTORY)?);
        fs::create_dir_all(&directory).ok()?;
        let story = thread::current().name().unwrap_or("story").replace("::", ".");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let settings = serde_json::to_value(settings).ok()?;
        let file = directory.join(format!("{story}-{number}.json"));
        Some(Self { file, settings, exchanges: Vec::new(), is_over: false })
    }

    /// Adds what passed.
    pub(super) fn add(&mut self, passage: &Passage<'_>) {
        // The instance after a stop has another seed, and its dialogues are opened anew.
        if self.is_over || passage.instance != 0 || body_bytes(passage) > LONGEST {
            self.is_over = true;
            return;
        }
        let exchange = serde_json::to_value(passage).ok().and_then(readable);
        match exchange.filter(|exchange| exchange.to_string().len() < LONGEST) {
            Some(exchange) => self.exchanges.push(exchange),
            None => self.is_over = true,
        }
    }

    /// The component is told something outside of a dialogue, which is not recorded.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        let all = json!({ "settings": self.settings, "exchanges": self.exchanges });
        // Whoever reads them counts them.
        let _ = fs::write(&self.file, all.to_string());
    }
}

/// The longest body that passes.
fn body_bytes(passage: &Passage<'_>) -> usize {
    let asked = match passage.asked {
        Asked::Resume(Outcome::Responded(response)) => response.body.len(),
        Asked::Secrets { body, .. } => body.len(),
        Asked::Cancel
        | Asked::Files { .. }
        | Asked::Inbox { .. }
        | Asked::Resume(_)
        | Asked::Settle(_)
        | Asked::Tool { .. }
        | Asked::Wake(_) => 0,
    };
    let sent = if let Some(Next::Send(request)) = passage.next {
        request.body.as_ref().map_or(0, Vec::len)
    } else {
        0
    };
    asked.max(sent)
}

/// With bodies as texts; none if one is no UTF-8.
fn readable(value: Value) -> Option<Value> {
    match value {
        Value::Array(values) => values.into_iter().map(readable).collect::<Option<_>>().map(Value::Array),
        Value::Object(fields) => {
            let readable = |(name, value): (String, Value)| {
                let value = if name == "body" { text(value)? } else { readable(value)? };
                Some((name, value))
            };
            fields.into_iter().map(readable).collect::<Option<_>>().map(Value::Object)
        }
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Some(value),
    }
}

fn text(body: Value) -> Option<Value> {
    let Value::Array(bytes) = body else { return Some(body) };
    let bytes = bytes.into_iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<_>>()?;
    String::from_utf8(bytes).ok().map(Value::String)
}

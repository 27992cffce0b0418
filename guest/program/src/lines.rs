//! Lines of standard input, and messages for standard output.

use std::cell::RefCell;

use futures::lock::Mutex;
use serde_json::Value;
use wasip2::cli::{stdin::get_stdin, stdout::get_stdout};
use wstd::io::{AsyncInputStream, AsyncOutputStream};

/// The largest message that is read.
const MOST_BYTES: usize = 8 << 20;
const CHUNK: usize = 64 << 10;

/// A line of the input, without its end.
pub(crate) enum Line {
    Text(Vec<u8>),
    /// It is larger than accepted; nothing of it is kept.
    TooLong,
}

/// The lines of standard input.
pub(crate) struct Lines {
    input: AsyncInputStream,
    buffer: RefCell<Buffer>,
}

#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// The line that is being read is too long already.
    overflows: bool,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { input: AsyncInputStream::new(get_stdin()), buffer: RefCell::default() }
    }

    /// The next line; none at the end of the input.
    pub(crate) async fn next(&self) -> Option<Line> {
        let mut chunk = vec![0; CHUNK];
        loop {
            if let Some(line) = self.buffer.borrow_mut().take() {
                return Some(line);
            }
            let count = self.input.read(&mut chunk).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.buffer.borrow_mut().add(chunk.get(..count).unwrap_or_default());
        }
    }
}

impl Buffer {
    fn add(&mut self, bytes: &[u8]) {
        if self.overflows && !bytes.contains(&b'\n') {
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > MOST_BYTES && !self.bytes.contains(&b'\n') {
            self.overflows = true;
            self.bytes.clear();
        }
    }

    fn take(&mut self) -> Option<Line> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        line.pop();
        Some(if std::mem::take(&mut self.overflows) { Line::TooLong } else { Line::Text(line) })
    }
}

/// Standard output, for one message at a time.
pub(crate) struct Output(Mutex<AsyncOutputStream>);

impl Output {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(AsyncOutputStream::new(get_stdout())))
    }

    /// Writes a message; false if nobody reads any more.
    pub(crate) async fn write(&self, message: &Value) -> bool {
        let stream = self.0.lock().await;
        let line = format!("{message}\n");
        stream.write_all(line.as_bytes()).await.is_ok() && stream.flush().await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_however_they_arrive() {
        let mut buffer = Buffer::default();
        buffer.add(b"{\"a\"");
        assert!(buffer.take().is_none());
        buffer.add(b":1}\n\n{");

        assert_eq!(texts(&mut buffer), ["{\"a\":1}", ""]);
    }

    #[test]
    fn a_line_that_is_too_long_costs_itself_alone() {
        let mut buffer = Buffer::default();
        for _ in 0..200 {
            buffer.add(&[b'x'; CHUNK]);
        }
        buffer.add(b"x\nnext\n");

        assert!(buffer.bytes.len() < CHUNK);
        assert_eq!(texts(&mut buffer), ["too long", "next"]);
    }

    fn texts(buffer: &mut Buffer) -> Vec<String> {
        let text = |line| match line {
            Line::Text(bytes) => String::from_utf8(bytes).unwrap(),
            Line::TooLong => "too long".to_owned(),
        };
        std::iter::from_fn(|| buffer.take()).map(text).collect()
    }
}

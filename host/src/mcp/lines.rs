//! Cuts a stream into lines, with a limit, so that no client can fill the memory.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line that is kept, without its line end.
pub(super) const LINE_BYTES: usize = 8 << 20;
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;
/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BYTES: usize = 1 << 20;

/// A line of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without `\n`.
    Complete(BytesMut),
    /// Longer than [`LINE_BYTES`]; thrown away to its end.
    TooLong,
}

/// The input, line by line.
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    searched: usize,
    /// Within a line that is too long.
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: BytesMut::new(), searched: 0, skipping: false }
    }

    /// The next line; none at the end of the input. What comes after the last `\n` is a line too.
    ///
    /// Cancel-safe: what was read stays for the next call.
    ///
    /// # Errors
    /// When the input cannot be read any further.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES {
                self.buffer = BytesMut::new();
            }
            // Within a long line the buffer grows in proportion, so that it is moved only a few times.
            self.buffer.reserve(READ_BYTES.max(self.buffer.len() / 2));
            if self.input.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.rest());
            }
        }
    }

    fn cut(&mut self) -> Option<Line> {
        loop {
            let unseen = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(at) = unseen.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return self.give_up_if_too_long();
            };
            let mut line = self.buffer.split_to(self.searched + at + 1);
            line.truncate(line.len() - 1);
            self.searched = 0;
            if self.skipping {
                self.skipping = false;
                continue;
            }
            return Some(if line.len() > LINE_BYTES { Line::TooLong } else { Line::Complete(line) });
        }
    }

    fn give_up_if_too_long(&mut self) -> Option<Line> {
        let begun = !self.skipping && self.buffer.len() > LINE_BYTES;
        if begun || self.skipping {
            self.skipping = true;
            self.searched = 0;
            self.buffer.clear();
        }
        begun.then_some(Line::TooLong)
    }

    fn rest(&mut self) -> Option<Line> {
        self.searched = 0;
        (!self.buffer.is_empty()).then(|| Line::Complete(self.buffer.split()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream};

    use super::*;

    #[tokio::test]
    async fn lines_come_one_by_one_however_they_are_written() {
        let (mut client, mut lines) = pair();
        for byte in b"one\ntwo\r\n\nthree" {
            client.write_all(&[*byte]).await.unwrap();
        }
        drop(client);

        assert_eq!(all(&mut lines).await, ["one", "two\r", "", "three"]);
    }

    #[tokio::test]
    async fn a_read_that_was_given_up_loses_nothing() {
        let (mut client, mut lines) = pair();
        client.write_all(b"first ha").await.unwrap();
        for _ in 0..3 {
            tokio::select! {
                biased;
                line = lines.next() => panic!("half a line: {line:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        client.write_all(b"lf\n").await.unwrap();
        drop(client);

        assert_eq!(all(&mut lines).await, ["first half"]);
    }

    #[tokio::test]
    async fn the_longest_line_is_kept_and_a_longer_one_is_not() {
        let text = [vec![b'a'; LINE_BYTES], b"\n".to_vec(), vec![b'b'; LINE_BYTES + 1], b"\nc\n".to_vec()];
        let bytes = text.concat();
        let mut lines = Lines::new(bytes.as_slice());

        let kept = lines.next().await.unwrap();

        assert!(matches!(kept, Some(Line::Complete(line)) if line.len() == LINE_BYTES));
        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong));
        assert_eq!(all(&mut lines).await, ["c"]);
    }

    #[tokio::test]
    async fn an_endless_line_is_thrown_away_as_it_comes() {
        let endless = tokio::io::repeat(b'x').take(100 << 20);
        let mut lines = Lines::new(endless.chain(&b"\nafter\n"[..]));

        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong));
        assert!(lines.buffer.capacity() <= 3 * LINE_BYTES, "{}", lines.buffer.capacity());
        assert_eq!(all(&mut lines).await, ["after"]);
        assert!(lines.buffer.capacity() <= KEPT_BYTES, "{}", lines.buffer.capacity());
    }

    fn pair() -> (DuplexStream, Lines<DuplexStream>) {
        let (client, input) = tokio::io::duplex(1024);
        (client, Lines::new(input))
    }

    async fn all<R: AsyncRead + Unpin>(lines: &mut Lines<R>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            match line {
                Line::Complete(line) => all.push(String::from_utf8(line.to_vec()).unwrap()),
                Line::TooLong => all.push("too long".to_owned()),
            }
        }
        all
    }
}

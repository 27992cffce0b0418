//! Cuts a stream into lines, with a limit, so that no client can fill the memory.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::skim::{Meant, Skim};

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
    /// What comes after the last `\n`, perhaps the half of a line.
    Rest(BytesMut),
    /// Longer than [`LINE_BYTES`]: thrown away, but for what it was meant to be.
    TooLong(Meant),
}

/// The input, line by line.
pub(super) struct Lines<R> {
    input: R,
    buffer: BytesMut,
    /// How much of `buffer` is known to hold no line end.
    searched: usize,
    /// Of a line that is too long, while it is thrown away.
    skipped: Option<Skim>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: BytesMut::new(), searched: 0, skipped: None }
    }

    /// The next line; none at the end of the input.
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
        let unseen = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(at) = unseen.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            self.skip_if_too_long();
            return None;
        };
        let mut line = self.buffer.split_to(self.searched + at + 1);
        line.truncate(line.len() - 1);
        self.searched = 0;
        Some(self.line(line))
    }

    /// The line that ends here.
    fn line(&mut self, line: BytesMut) -> Line {
        let skipped = self.skipped.take();
        if skipped.is_none() && line.len() <= LINE_BYTES {
            return Line::Complete(line);
        }
        let mut skim = skipped.unwrap_or_default();
        skim.feed(&line);
        Line::TooLong(skim.meant())
    }

    fn skip_if_too_long(&mut self) {
        if self.skipped.is_some() || self.buffer.len() > LINE_BYTES {
            self.skipped.get_or_insert_default().feed(&self.buffer);
            self.searched = 0;
            self.buffer.clear();
        }
    }

    fn rest(&mut self) -> Option<Line> {
        self.searched = 0;
        if self.skipped.is_some() {
            // Cut off in the middle: nobody waits.
            return None;
        }
        let rest = self.buffer.split();
        (!rest.is_empty()).then_some(Line::Rest(rest))
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
        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong(Meant::Nothing)));
        assert_eq!(all(&mut lines).await, ["c"]);
    }

    #[tokio::test]
    async fn an_endless_line_is_thrown_away_as_it_comes() {
        let endless = tokio::io::repeat(b'x').take(100 << 20);
        let mut lines = Lines::new(endless.chain(&b"\nafter\n"[..]));

        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong(Meant::Nothing)));
        assert!(lines.buffer.capacity() <= 3 * LINE_BYTES, "{}", lines.buffer.capacity());
        assert_eq!(all(&mut lines).await, ["after"]);
        assert!(lines.buffer.capacity() <= KEPT_BYTES, "{}", lines.buffer.capacity());
    }

    #[tokio::test]
    async fn the_id_of_a_request_that_is_too_long_is_found_at_either_end() {
        let text = "x".repeat(LINE_BYTES);
        let lines = [
            format!(r#"{{"id":1,"method":"m","params":{{"x":"{text}"}}}}"#),
            format!(r#"{{"method":"m","params":{{"x":"{text}{text}"}},"id":1}}"#),
        ];
        let bytes = format!("{}\n{}\n", lines[0], lines[1]);

        let meant = all(&mut Lines::new(bytes.as_bytes())).await;

        assert_eq!(meant, ["too long: Request(Some(Number(1)))"; 2]);
    }

    fn pair() -> (DuplexStream, Lines<DuplexStream>) {
        let (client, input) = tokio::io::duplex(1024);
        (client, Lines::new(input))
    }

    async fn all<R: AsyncRead + Unpin>(lines: &mut Lines<R>) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            match line {
                Line::Complete(line) | Line::Rest(line) => {
                    all.push(String::from_utf8(line.to_vec()).unwrap());
                }
                Line::TooLong(meant) => all.push(format!("too long: {meant:?}")),
            }
        }
        all
    }
}

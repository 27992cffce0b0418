//! What a line that cannot be read was meant to be: whether a client waits for its answer, and under which id.
//!
//! The line is looked at byte by byte, without keeping it, and nothing of it has to be right: only quotes,
//! brackets, commas and colons count. The id may stand at either end of a message of any length.

use rmcp::model::RequestId;
use serde_json::value::RawValue;

use super::envelope::{self, ID_BYTES};

/// The longest key that matters, with its quotes.
const KEY_BYTES: usize = 16;
/// An id, with its quotes and escapes.
const VALUE_BYTES: usize = 6 * ID_BYTES + 2;

/// What was meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// No request: noise, a notification, or an answer. Nobody waits.
    Nothing,
    /// A request, and its id if exactly one can be read.
    Request(Option<RequestId>),
}

/// A line, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Skim {
    begun: bool,
    /// The object is closed.
    closed: bool,
    /// It does not begin as a message does.
    noise: bool,
    /// There is something behind the object.
    more: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The key before this was complete.
    in_value: bool,
    key: Vec<u8>,
    value: Vec<u8>,
    ids: Vec<Option<RequestId>>,
    method: bool,
    answer: bool,
}

impl Skim {
    pub(super) fn of(line: &[u8]) -> Self {
        let mut skim = Self::default();
        skim.feed(line);
        skim
    }

    /// Goes on with the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.noise {
                return;
            }
            if self.in_string {
                self.in_text(*byte);
            } else {
                self.between(*byte);
            }
        }
    }

    pub(super) fn meant(mut self) -> Meant {
        // A message that was cut off may end in its id.
        self.end_member();
        if self.noise || !self.begun || self.answer {
            return Meant::Nothing;
        }
        match <[_; 1]>::try_from(self.ids) {
            Ok([Some(id)]) if !self.more => Meant::Request(Some(id)),
            Ok(_) if self.method => Meant::Request(None),
            Ok(_) => Meant::Nothing,
            // A whole message without an id is a notification.
            Err(ids) if self.method && !(ids.is_empty() && self.closed) => Meant::Request(None),
            Err(_) => Meant::Nothing,
        }
    }

    fn in_text(&mut self, byte: u8) {
        self.keep(byte);
        match (self.escaped, byte) {
            (true, _) => self.escaped = false,
            (false, b'\\') => self.escaped = true,
            (false, b'"') => self.in_string = false,
            (false, _) => {}
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'{' if self.depth == 0 => {
                self.more = self.begun;
                self.begun = true;
                self.depth = 1;
            }
            _ if !self.begun => self.noise = !byte.is_ascii_whitespace() && !byte.is_ascii_control(),
            _ if self.depth == 0 => self.more |= !byte.is_ascii_whitespace(),
            b':' if self.depth == 1 && !self.in_value => self.in_value = true,
            b',' if self.depth == 1 => self.end_member(),
            b'}' | b']' => {
                self.depth -= 1;
                if self.depth == 0 {
                    self.end_member();
                    self.closed = true;
                } else {
                    self.keep(byte);
                }
            }
            _ => {
                self.in_string = byte == b'"';
                self.depth += usize::from(matches!(byte, b'{' | b'['));
                self.keep(byte);
            }
        }
    }

    /// Keeps what is a key, or the value of an id.
    fn keep(&mut self, byte: u8) {
        if self.depth != 1 && !self.in_value {
            return;
        }
        if !self.in_value {
            if self.key.len() < KEY_BYTES && !byte.is_ascii_whitespace() {
                self.key.push(byte);
            }
        } else if self.key == br#""id""# && self.value.len() <= VALUE_BYTES {
            self.value.push(byte);
        }
    }

    fn end_member(&mut self) {
        if self.in_value {
            match self.key.as_slice() {
                br#""id""# => self.ids.push(id(&self.value)),
                br#""method""# => self.method = true,
                br#""result""# | br#""error""# => self.answer = true,
                _ => {}
            }
        }
        self.in_value = false;
        self.key.clear();
        self.value.clear();
    }
}

fn id(value: &[u8]) -> Option<RequestId> {
    envelope::id(serde_json::from_slice::<&RawValue>(value).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_id_wherever_that_stands() {
        for line in [
            &b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"\xff\xc0\xaf\"}"[..],
            b"{\"id\" : 7 ,\"method\":\"a\0b\"}",
            b"\x1e{\"method\":\"ping\",\"id\":7}",
            br#"{"method":"ping","id":7"#,
            br#"{"jsonrpc":"2.0","id":7"#,
            br#"{"method":"x","params":{"id":1,"a":[{"id":2}],"b":"\"id\":3,"},"id":7}"#,
        ] {
            assert_eq!(Skim::of(line).meant(), Meant::Request(Some(RequestId::Number(7))), "{line:?}");
        }
    }

    #[test]
    fn an_id_that_cannot_be_told_is_none() {
        let long = format!(r#"{{"id":"{}","method":"x"}}"#, "x".repeat(2_000));
        for line in [
            r#"{"id":1,"id":2,"method":"x"}"#,
            r#"{"id":1.5,"method":"x"}"#,
            r#"{"id":1,"method":"x"} {"id":2,"method":"x"}"#,
            r#"{"id":1,"method":"x"} and more"#,
            r#"{"method":"x","params":{"a":"it ends he"#,
            &long,
        ] {
            assert_eq!(Skim::of(line.as_bytes()).meant(), Meant::Request(None), "{line}");
        }
    }

    #[test]
    fn nobody_waits_for_an_answer_to_noise_answers_and_notifications() {
        for line in [
            "",
            "   ",
            "not json",
            "[1, garbage",
            "{",
            "}{]",
            "{garbage}",
            r#"{"id":1.5"#,
            r#""id":7,"method":"x"}"#,
            "{\"method\":\"notifications/\0\"}",
            r#"{"jsonrpc":"2.0","id":1,"result":{"x"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"cut o"#,
            r#"{"method":"x","id":1,"error":{}"#,
        ] {
            assert_eq!(Skim::of(line.as_bytes()).meant(), Meant::Nothing, "{line}");
        }
    }

    #[test]
    fn a_line_may_come_in_any_pieces_and_takes_no_memory() {
        let mut skim = Skim::default();
        for byte in br#"{"method":"tools/call","params":{"arguments":{"text":""# {
            skim.feed(&[*byte]);
        }
        for _ in 0..100 {
            skim.feed(&[b'x'; 10_000]);
        }
        skim.feed(br#"\"}},"jsonrpc":"2.0","id":7}"#);
        assert!(skim.value.capacity() <= VALUE_BYTES * 2);
        assert_eq!(skim.meant(), Meant::Request(None), "the text has not ended");

        let mut skim = Skim::of(br#"{"method":"tools/call","params":{"text":""#);
        skim.feed(&vec![b'x'; 1_000_000]);
        skim.feed(br#""},"jsonrpc":"2.0","id":"last"}"#);

        assert_eq!(skim.meant(), Meant::Request(Some(RequestId::String("last".into()))));
    }
}

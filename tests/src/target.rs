//! Path and query of a request that the component asks for, as they go over the wire.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything that may mean something in an address.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn target(path: &[String], query: &[(String, String)]) -> String {
    let mut target = String::new();
    for segment in path {
        target.push('/');
        target.extend(utf8_percent_encode(segment, ENCODED));
    }
    for (place, (name, value)) in query.iter().enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(name, ENCODED));
        target.push('=');
        target.extend(utf8_percent_encode(value, ENCODED));
    }
    target
}

//! Words and JSON from outside: read leniently, shown safely, without credentials.

pub(crate) mod lenient_json;
pub(crate) mod redact;
pub(crate) mod untrusted;

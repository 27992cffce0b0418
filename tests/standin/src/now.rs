//! Instants: microseconds since the epoch, always an argument, never read from a clock.

use std::time::Duration;

use jiff::Timestamp;

/// A moment, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now(i64);

impl Now {
    /// The moment so many microseconds after the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The moment so much later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// The moment so much earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// How long ago `earlier` was; nothing if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC, with as many fractional digits as the moment needs.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.timestamp().to_string()
    }

    /// The moment without its fraction of a second.
    pub(crate) fn to_second(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1_000_000)))
    }

    /// The way the database itself writes it: `2026-04-30 23:12:01.48+00`.
    pub(crate) fn database_text(self) -> String {
        self.rfc3339().replace('T', " ").replace('Z', "+00")
    }

    /// Reads RFC 3339; the offset is mandatory.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = text.as_bytes().get(10) == Some(&b'T') && !text.contains('[');
        let moment: Timestamp = text.parse().ok().filter(|_| plain)?;
        Some(Self(moment.as_microsecond()))
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_lose_their_trailing_zeros() {
        let whole = Now::from_micros(1_777_590_000_000_000);

        assert_eq!(whole.rfc3339(), "2026-04-30T23:00:00Z");
        assert_eq!(whole.plus(Duration::from_millis(120)).rfc3339(), "2026-04-30T23:00:00.12Z");
        assert_eq!(whole.plus(Duration::from_micros(1)).rfc3339(), "2026-04-30T23:00:00.000001Z");
        assert_eq!(whole.plus(Duration::from_millis(480)).database_text(), "2026-04-30 23:00:00.48+00");
    }

    #[test]
    fn an_offset_is_mandatory() {
        assert_eq!(Now::parse("2026-05-01T02:00:00+02:00"), Now::parse("2026-05-01T00:00:00Z"));
        for text in
            ["yesterday", "2026-05-01", "1700000000", "2026-05-01T00:00:00", "2026-05-01T00:00:00 02:00"]
        {
            assert_eq!(Now::parse(text), None, "{text}");
        }
    }
}

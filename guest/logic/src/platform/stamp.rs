//! Times as the platform writes them: RFC 3339 with zero to six digits after the second, so that
//! only their values can be compared, never their texts.

use std::fmt;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment on the platform's database clock, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(i64);

impl Stamp {
    /// Of a row that does not say when it was made: before all others.
    pub(crate) const UNKNOWN: Self = Self(i64::MIN);

    /// Nothing if it is no RFC 3339 time with an offset.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let nanoseconds = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp_nanos();
        i64::try_from(nanoseconds.div_euclid(1_000)).ok().map(Self)
    }

    /// So many microseconds after 1970.
    pub(crate) const fn at(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// So many milliseconds after 1970; nothing if no time can be that late.
    pub(crate) fn at_ms(milliseconds: u64) -> Option<Self> {
        i64::try_from(milliseconds.saturating_mul(1_000)).ok().map(Self)
    }

    /// Microseconds since 1970.
    pub(crate) const fn microseconds(self) -> i64 {
        self.0
    }

    /// So many seconds earlier.
    pub(crate) const fn less_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(secs.saturating_mul(1_000_000)))
    }

    /// The beginning of its second.
    pub(crate) const fn whole_secs(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1_000_000)))
    }

    /// So many milliseconds later.
    pub(crate) const fn plus_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add_unsigned(milliseconds.saturating_mul(1_000)))
    }

    /// The smallest moment after this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Default for Stamp {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// As RFC 3339 in UTC.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000).ok();
        match time.and_then(|time| time.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => f.write_str("an unknown time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_precision_and_zone_are_compared_by_value() {
        let stamp = |text| Stamp::parse(text).unwrap();

        assert!(stamp("2026-04-30T23:12:00.1Z") < stamp("2026-04-30T23:12:00.12Z"));
        assert_eq!(stamp("2026-04-30T23:12:00Z"), stamp("2026-05-01T01:12:00.000000+02:00"));
        assert!(stamp("0001-01-01T00:00:00Z") > Stamp::UNKNOWN);
        assert!(stamp("9999-12-30T00:00:00Z") > stamp("2026-04-30T23:12:00Z"));
    }

    #[test]
    fn what_is_no_time_is_nothing() {
        for text in
            ["", "None", "yesterday", "2026-04-30", "2026-04-30T23:12:00", "2026-04-30T23:12:00+99:00"]
        {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_next_moment_is_a_microsecond_later_and_in_utc() {
        let stamp = Stamp::parse("2026-05-01T01:12:00.482913+02:00").unwrap();

        assert_eq!(stamp.next().to_string(), "2026-04-30T23:12:00.482914Z");
    }
}

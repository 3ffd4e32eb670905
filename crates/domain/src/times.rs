//! Times and durations as people write them: `30d`, `24h`, `2027-01-31`, RFC 3339. Inside, everything is milliseconds.

use crate::Millis;
use jiff::{Timestamp, Zoned, civil::Date, tz::TimeZone};

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
/// A hundred years: longer than any key should live, and far from where sums of times overflow.
const LONGEST: u64 = 100 * 366 * 86_400_000;

/// Text that is not a time or a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not a duration.
    #[error("not a duration: write a number and a unit such as 30d, 24h, 90m or 2w")]
    Duration,
    /// Longer than a hundred years.
    #[error("the duration is longer than a hundred years")]
    TooLong,
    /// Not a moment.
    #[error("not a time: write it like 2027-01-31T12:00:00Z, 2027-01-31, or as a duration such as 30d")]
    Moment,
}

/// Reads a duration such as `30d` or `1h30m`, in milliseconds.
///
/// # Errors
/// [`BadTime`] when it is none.
pub fn duration(text: &str) -> Result<u64, BadTime> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(BadTime::Duration);
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| BadTime::Duration)?;
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(BadTime::Duration)?;
        sum = number.checked_mul(factor).and_then(|part| sum.checked_add(part)).ok_or(BadTime::TooLong)?;
        rest = tail;
    }
    if sum > LONGEST { Err(BadTime::TooLong) } else { Ok(sum) }
}

/// Reads a moment: RFC 3339, or a date (its midnight UTC).
///
/// # Errors
/// [`BadTime`] when it is none.
pub fn moment(text: &str) -> Result<Millis, BadTime> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond());
    }
    text.parse::<Date>()
        .ok()
        .and_then(|date| date.to_zoned(TimeZone::UTC).ok())
        .map(|at: Zoned| at.timestamp().as_millisecond())
        .ok_or(BadTime::Moment)
}

/// Reads a moment in the past: a moment as in [`moment`], or how long ago (`24h`).
///
/// # Errors
/// [`BadTime`] when it is neither.
pub fn since(text: &str, now: Millis) -> Result<Millis, BadTime> {
    match duration(text) {
        Ok(ago) => Ok(now.saturating_sub(Millis::try_from(ago).unwrap_or(Millis::MAX))),
        Err(BadTime::TooLong) => Err(BadTime::TooLong),
        Err(BadTime::Duration | BadTime::Moment) => moment(text),
    }
}

/// Writes a time as RFC 3339 in UTC.
#[must_use]
pub fn show(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(|_| "0000-00-00T00:00:00Z".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_mistakes_named() {
        for (text, millis) in
            [("30d", 2_592_000_000), ("24h", 86_400_000), ("1h30m", 5_400_000), ("2w", 1_209_600_000), ("500ms", 500)]
        {
            assert_eq!(duration(text), Ok(millis), "{text}");
        }
        for text in ["", "30", "d", "3 d", "-1h", "1x", "1.5h", "\u{1F600}h"] {
            assert_eq!(duration(text), Err(BadTime::Duration), "{text}");
        }
        for text in ["101000d", "99999999999999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_and_since() {
        assert_eq!(moment("1970-01-02"), Ok(86_400_000));
        assert_eq!(moment("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(moment("tomorrow"), Err(BadTime::Moment));
        assert_eq!(since("1h", 7_200_000), Ok(3_600_000));
        assert_eq!(since("1970-01-01T00:00:01Z", 5), Ok(1_000));
        assert_eq!(show(1_000), "1970-01-01T00:00:01Z");
    }
}

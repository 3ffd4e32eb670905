//! UTC days and the raw table of each.

use super::DAY;
use jiff::{Timestamp, tz::TimeZone};
use keyward_domain::Millis;

/// The last midnight that a calendar with four digits for the year can tell in every time zone: 9999-12-30.
const LAST: Millis = 253_402_128_000_000;

/// A moment within the days there can be tables for; a clock far out of range becomes the first or the last of them.
pub(crate) fn within(at: Millis) -> Millis {
    at.clamp(0, LAST + DAY - 1)
}

/// A UTC day, named by the midnight it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(Millis);

impl Day {
    /// The day a moment falls into. A clock far out of range falls into the first or the last day there is a table for.
    pub(crate) fn of(at: Millis) -> Self {
        let at = within(at);
        Self(at - at % DAY)
    }

    /// The day of a table; `None` when the name is not exactly that of a day's table.
    pub(crate) fn named(table: &str) -> Option<Self> {
        let digits = table.strip_prefix("usage_raw_").filter(|digits| digits.len() == 8)?;
        let date = jiff::civil::Date::strptime("%Y%m%d", digits).ok()?;
        let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
        let day = Self::of(midnight);
        (day.table() == table).then_some(day)
    }

    /// The midnight it begins with.
    pub(crate) const fn begins(self) -> Millis {
        self.0
    }

    /// The day's table: `usage_raw_YYYYMMDD`. Only digits vary, so the name may stand in a statement.
    pub(crate) fn table(self) -> String {
        let date = Timestamp::from_millisecond(self.0).unwrap_or_default().to_zoned(TimeZone::UTC).date();
        format!("usage_raw_{:04}{:02}{:02}", date.year(), date.month(), date.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_and_name_their_table() {
        for (at, begins, table) in [
            (0, 0, "usage_raw_19700101"),
            (DAY - 1, 0, "usage_raw_19700101"),
            (1_795_219_200_000 + 5, 1_795_219_200_000, "usage_raw_20261121"),
            (-5, 0, "usage_raw_19700101"),
            (i64::MIN, 0, "usage_raw_19700101"),
            (i64::MAX, LAST, "usage_raw_99991230"),
        ] {
            assert_eq!((Day::of(at).begins(), Day::of(at).table().as_str()), (begins, table), "{at}");
            assert_eq!(Day::named(table), Some(Day::of(at)), "{table}");
        }
        for name in [
            "usage_raw_",
            "usage_raw_20261301",
            "usage_raw_2026112",
            "usage_raw_20261121x",
            "keys",
            "usage_raw_+2026112",
        ] {
            assert_eq!(Day::named(name), None, "{name}");
        }
    }
}

//! UTC days and the raw table of each.

use super::DAY;
use jiff::{Timestamp, tz::TimeZone};
use keyward_domain::Millis;

/// The last midnight whose table's name has four digits for the year: 9999-12-31.
const LAST: Millis = 253_402_214_400_000;

/// A UTC day, named by the midnight it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(Millis);

impl Day {
    /// The day a moment falls into. A clock far out of range falls into the first or the last day there is a table for.
    pub(crate) fn of(at: Millis) -> Self {
        Self((at - at.rem_euclid(DAY)).clamp(0, LAST))
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
            (i64::MAX, LAST, "usage_raw_99991231"),
        ] {
            assert_eq!((Day::of(at).begins(), Day::of(at).table().as_str()), (begins, table), "{at}");
        }
    }
}

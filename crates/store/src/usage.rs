//! Usage: events come in through `collect`, exactly once; raw rows go to one table per UTC day; rollups by hour and day
//! answer every question but "show me the single calls".

mod calls;
mod collect;
mod day;
mod detail;
mod query;
mod raw;
mod rollup;
mod series;

pub(crate) use calls::ALL as ALL_CALLS;
pub(crate) use collect::ALL as ALL_COLLECT;
pub(crate) use day::{Day, within};
pub(crate) use query::statement;
pub(crate) use raw::{ALL as ALL_RAW, COLUMNS as RAW_COLUMNS, ensure as ensure_day};
pub(crate) use series::{ALL as ALL_SERIES, Learned, SeriesCache};

pub use collect::{Batch, Collected, Position};
pub use query::{Group, GroupBy, UsageFilter, UsageLine, UsageQuery};
pub use rollup::Totals;

use std::fmt::Write as _;

/// An hour in milliseconds.
pub const HOUR: i64 = 3_600_000;
/// A day in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// How many rows a statement carries at most. More rows save little and make the statement's text long.
pub(crate) const ROWS: usize = 64;

/// Cuts rows into pieces of `most` (a power of two), then of ever smaller powers of two, so that there are few
/// different statements to prepare whatever the number of rows.
pub(crate) fn chunks<T>(rows: &[T], most: usize) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    let mut size = most;
    std::iter::from_fn(move || {
        while size > rest.len() && size > 1 {
            size /= 2;
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        rest = after;
        Some(chunk)
    })
}

/// `(?, ?), (?, ?)`: for SQLite, where a numbered parameter costs a search through all of them.
pub(crate) fn question_marks(rows: usize, columns: usize) -> String {
    let mut text = format!("({}),", vec!["?"; columns].join(",")).repeat(rows);
    text.pop();
    text
}

/// `($1, $2), ($3, $4)`: for PostgreSQL.
pub(crate) fn numbered(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for number in 0..rows * columns {
        let before = match (number, number % columns) {
            (0, _) => "($",
            (_, 0) => "),($",
            _ => ",$",
        };
        text.push_str(before);
        let _ = write!(text, "{}", number + 1);
    }
    text.push(')');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_in_order_with_few_sizes() {
        let rows: Vec<u32> = (0..205).collect();
        let cut: Vec<&[u32]> = chunks(&rows, 64).collect();
        assert_eq!(cut.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [64, 64, 64, 8, 4, 1]);
        assert_eq!(cut.concat(), rows);
        assert_eq!(chunks::<u32>(&[], 64).count(), 0);
    }

    #[test]
    fn placeholders_for_both() {
        assert_eq!(question_marks(2, 3), "(?,?,?),(?,?,?)");
        assert_eq!(numbered(2, 3), "($1,$2,$3),($4,$5,$6)");
    }
}

//! Rows whose columns come as one text, for reading very many of them. Each value of a row costs two allocations in
//! SQLite's driver, made on one thread and given back on another: of a row with a dozen columns they cost more than
//! everything else. `format` is in both databases and writes nothing for null.

use std::str::FromStr;

/// What stands between two columns in the statements. No value that Keyward writes has it; a row with such a value is
/// read again, column by column.
const BETWEEN: u8 = 0x1f;

/// The columns; none when there are not exactly so many.
pub(crate) fn columns<const COUNT: usize>(text: &str) -> Option<[&str; COUNT]> {
    let mut columns = [""; COUNT];
    let mut ends = memchr::memchr_iter(BETWEEN, text.as_bytes()).chain([text.len()]);
    let mut start = 0;
    for column in &mut columns {
        let end = ends.next()?;
        *column = text.get(start..end)?;
        start = end + 1;
    }
    ends.next().is_none().then_some(columns)
}

/// A column that may be null, and is not text: nothing, or a value that can be read.
pub(crate) fn optional<T: FromStr>(column: &str) -> Option<Option<T>> {
    if column.is_empty() { Some(None) } else { column.parse().ok().map(Some) }
}

/// Text that may be null: `'=' || column` in the statement, so that nothing and an empty text are two things.
pub(crate) fn optional_text(column: &str) -> Option<Option<&str>> {
    if column.is_empty() { Some(None) } else { column.strip_prefix('=').map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_as_many_columns_are_read() {
        assert_eq!(columns("a\u{1f}\u{1f}b c"), Some(["a", "", "b c"]));
        assert_eq!(columns(""), Some([""]));
        assert_eq!(columns::<3>("a\u{1f}b"), None);
        assert_eq!(columns::<2>("a\u{1f}b\u{1f}c"), None, "a value with the separator in it");
    }

    #[test]
    fn nothing_is_told_from_empty_and_from_nonsense() {
        assert_eq!((optional("12"), optional::<i64>(""), optional::<i64>("x")), (Some(Some(12)), Some(None), None));
        assert_eq!((optional_text("=a=b"), optional_text("=")), (Some(Some("a=b")), Some(Some(""))));
        assert_eq!((optional_text(""), optional_text("a")), (Some(None), None));
    }
}

//! Tables and records made from the server's JSON. A column names a place in each row; what is not there stays empty,
//! and a column that is empty in every row is left out.

use crate::text;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::NOTHING};
use serde_json::Value;

/// A column: its title, where its value stands in a row (a JSON pointer), and how it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    pointer: &'static str,
    style: Style,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// A count, to the right.
    Count,
    /// Dollars, to the right.
    Dollars,
    /// A moment, to the second.
    Time,
}

/// A column of plain values.
#[must_use]
pub(crate) const fn plain(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer, style: Style::Plain }
}

/// A column of counts.
#[must_use]
pub(crate) const fn count(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer, style: Style::Count }
}

/// A column of dollars.
#[must_use]
pub(crate) const fn dollars(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer, style: Style::Dollars }
}

/// A column of moments.
#[must_use]
pub(crate) const fn time(title: &'static str, pointer: &'static str) -> Column {
    Column { title, pointer, style: Style::Time }
}

/// A table of rows; `empty` is said when there are none. On a terminal long cells wrap, elsewhere a row is one line.
#[must_use]
pub(crate) fn table(rows: &[Value], columns: &[Column], empty: &str, width: Option<u16>) -> String {
    if rows.is_empty() {
        return format!("{empty}\n");
    }
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| column.cell(row)).collect()).collect();
    let shown: Vec<usize> = (0..columns.len())
        .filter(|index| cells.iter().any(|row| row.get(*index).is_some_and(|cell| !cell.is_empty())))
        .collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table.set_header(shown.iter().filter_map(|index| columns.get(*index)).map(|column| column.title));
    for row in &cells {
        table.add_row(shown.iter().filter_map(|index| row.get(*index)).collect::<Vec<_>>());
    }
    for (position, index) in shown.iter().enumerate() {
        let Some(column) = table.column_mut(position) else { continue };
        column.set_padding((0, 2));
        if columns.get(*index).is_some_and(|column| matches!(column.style, Style::Count | Style::Dollars)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// One record, a line for each field that has a value.
#[must_use]
pub(crate) fn record(value: &Value, fields: &[Column]) -> String {
    let lines: Vec<(&str, String)> = fields.iter().map(|field| (field.title, field.cell(value))).collect();
    pairs(&lines)
}

/// Labels and values, the values under each other; those without a value are left out.
#[must_use]
pub(crate) fn pairs(lines: &[(&str, String)]) -> String {
    let lines = || lines.iter().filter(|(_, value)| !value.is_empty());
    let width = lines().map(|(label, _)| label.len()).max().unwrap_or(0);
    lines().map(|(label, value)| format!("{label:width$}  {}\n", text::line(value))).collect()
}

/// The value at a place as one line of text; empty when it is not there.
#[must_use]
pub(crate) fn at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(String::new, words)
}

/// A value as one line of text.
#[must_use]
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text::line(text),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{}={}", text::line(name), words(value)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A moment to the second: `2026-11-21 08:00:05Z`.
#[must_use]
pub(crate) fn moment(text: &str) -> String {
    let Ok(at) = text.parse::<jiff::Timestamp>() else { return text::line(text) };
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

impl Column {
    fn cell(&self, row: &Value) -> String {
        let text = at(row, self.pointer);
        match self.style {
            Style::Plain | Style::Count => text,
            Style::Dollars if text.is_empty() => text,
            Style::Dollars => format!("${text}"),
            Style::Time if text.is_empty() => text,
            Style::Time => moment(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const COLUMNS: &[Column] =
        &[plain("NAME", "/name"), count("CALLS", "/calls"), plain("NOTE", "/note"), time("WHEN", "/at")];

    #[test]
    fn rows_line_up_and_empty_columns_go() {
        let rows = [
            json!({"name": "a", "calls": 5, "at": "2026-01-02T03:04:05.678Z"}),
            json!({"name": "long", "calls": 12345}),
        ];
        let text = table(&rows, COLUMNS, "none", None);
        assert_eq!(text, "NAME  CALLS  WHEN\na         5  2026-01-02 03:04:05Z\nlong  12345\n");
        assert_eq!(table(&[], COLUMNS, "no rows", None), "no rows\n");
    }

    #[test]
    fn hostile_cells_stay_one_line() {
        let rows = [json!({"name": "x\u{1b}[2J\ny", "calls": 1})];
        assert_eq!(table(&rows, COLUMNS, "", None), "NAME    CALLS\nx[2J y      1\n");
    }

    #[test]
    fn records_leave_out_what_is_not_there() {
        let fields = [plain("name", "/name"), dollars("cost", "/cost"), plain("models", "/policy/models")];
        let value = json!({"name": "web", "cost": "0.25", "policy": {"models": ["a", "b"]}});
        assert_eq!(record(&value, &fields), "name    web\ncost    $0.25\nmodels  a, b\n");
        assert_eq!(record(&json!({"name": null}), &fields), "");
    }
}

//! Reading a page of the documentation: its tables, and what stands in backticks.

use keyward_testkit::sdk;
use std::fs;

/// The text of a page.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(sdk::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rows below a heading, cell by cell, without the head of the table.
pub(crate) fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let section = text.split("\n## ").find(|part| part.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("there is no section '{heading}'"));
    let lines = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    // The first row is the head, the second a rule.
    lines.skip(2).map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// The words of a text that stand in backticks.
pub(crate) fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// All words of this shape in a text: a beginning, and what follows of capital letters and underscores.
pub(crate) fn variables(text: &str) -> impl Iterator<Item = &str> {
    const BEGINNING: &str = "KEYWARD_";
    text.match_indices(BEGINNING).map(|(at, _)| {
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    })
}

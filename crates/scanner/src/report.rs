//! What a scan found, written down for people and for programs: one file a format. Nothing here decides anything.
//!
//! A report never holds a secret unless it was asked to reveal them: not in names either, once they were concealed. Names come from strangers: each format escapes
//! exactly what its readers would take for something else.

mod annotations;
mod conceal;
mod escape;
mod html;
mod json;
mod junit;
mod sarif;
mod sheet;
mod text;

pub use escape::printable;
pub use sheet::{Left, Ours, Report, Row, Verified, preview};

use serde_json::Value;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people at a terminal, grouped by secret.
    Text,
    /// One JSON value.
    Json,
    /// One JSON value a line and finding; then a line for each thing that was not scanned, then one with the figures.
    Jsonl,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// JUnit's XML, for CI servers.
    Junit,
    /// Annotations of GitHub's workflows.
    Github,
    /// One page that needs nothing else, for people without a terminal.
    Html,
}

impl Report {
    /// Writes the report. `colour` is for a terminal and for text alone.
    #[must_use]
    pub fn write(&self, format: Format, colour: bool) -> String {
        match format {
            Format::Text => text::write(self, colour),
            Format::Json => json::write(self),
            Format::Jsonl => json::lines(self),
            Format::Sarif => sarif::write(self),
            Format::Junit => junit::write(self),
            Format::Github => annotations::write(self),
            Format::Html => html::write(self),
        }
    }

    /// The report as one JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        json::value(self)
    }
}

#[cfg(test)]
mod tests;

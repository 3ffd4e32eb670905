//! Says what is wrong with a provider or price file, where, and what to do about it.

mod bounds;
mod examples;
mod operations;
mod price;
mod provider;
mod source;
mod structure;

use serde::Serialize;
use source::Source;
use std::{fmt, fs, io, path::Path};

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it; empty when the message says it all.
    pub hint: String,
}

impl fmt::Display for Problem {
    /// `line:column: message (hint)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, " ({})", self.hint) }
    }
}

/// Checks a file: as a price file when it holds `prices` and no `id`, otherwise as a provider file. No problem: right.
///
/// # Errors
/// When the file cannot be read.
pub fn file(path: &Path) -> io::Result<Vec<Problem>> {
    fs::read_to_string(path).map(|text| self::text(&text))
}

/// Checks the text of a file, as [`file()`] does.
#[must_use]
pub fn text(text: &str) -> Vec<Problem> {
    let is_prices = Source::parse(text).is_ok_and(|source| source.has("prices") && !source.has("id"));
    if is_prices { prices(text) } else { provider(text) }
}

/// Checks the text of a provider file. Problems come in the order of the file.
#[must_use]
pub fn provider(text: &str) -> Vec<Problem> {
    let source = match Source::parse(text) {
        Ok(source) => source,
        Err(problems) => return problems,
    };
    let mut problems = match structure::provider(&source) {
        Ok(read) => provider::problems(&source, &read),
        Err(problems) => problems,
    };
    problems.sort();
    problems.dedup();
    problems
}

/// Checks the text of a price file. Problems come in the order of the file.
#[must_use]
pub fn prices(text: &str) -> Vec<Problem> {
    let source = match Source::parse(text) {
        Ok(source) => source,
        Err(problems) => return problems,
    };
    let mut problems = match structure::prices(&source) {
        Ok(read) => price::problems(&source, &read),
        Err(problems) => problems,
    };
    problems.sort();
    problems.dedup();
    problems
}

/// A reader's error as a problem.
pub(crate) fn from_toml(text: &str, error: &toml::de::Error) -> Problem {
    let (line, column) = source::position(text, error.span().map_or(0, |span| span.start));
    let message = error.message().trim().to_owned();
    let hint = source::nearest(&message);
    Problem { line, column, message, hint }
}

/// Problems as they are found, each at the place of a value in the file.
pub(crate) struct Findings<'s> {
    source: &'s Source<'s>,
    found: Vec<Problem>,
}

impl<'s> Findings<'s> {
    const fn new(source: &'s Source<'s>) -> Self {
        Self { source, found: Vec::new() }
    }

    /// Adds a problem with the value at a place, such as `operations.3.usage`; the nearest enclosing value that is in
    /// the file gives the position.
    fn add(&mut self, place: &str, message: impl Into<String>, hint: impl Into<String>) {
        let (line, column) = self.source.locate(place);
        self.found.push(Problem { line, column, message: message.into(), hint: hint.into() });
    }

    fn add_if(&mut self, wrong: bool, place: &str, message: impl Into<String>, hint: impl Into<String>) {
        if wrong {
            self.add(place, message, hint);
        }
    }
}

/// Whether a text is a name: lower-case letters, digits and `-`, beginning with a letter.
fn is_slug(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether a text is a day such as `2026-11-21`.
fn is_day(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

#[cfg(test)]
mod tests;

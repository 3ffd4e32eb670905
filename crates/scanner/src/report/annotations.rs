//! Annotations of GitHub's workflows: one command a line.

use super::{
    Report,
    escape::{annotation, printable, property, steers},
    sheet::path,
};
use crate::Confidence;
use std::fmt::Write as _;

pub(super) fn write(report: &Report) -> String {
    let mut out = String::new();
    for row in &report.rows {
        let found = &row.finding;
        let level = match found.confidence {
            Confidence::Certain | Confidence::High => "error",
            Confidence::Medium => "warning",
            Confidence::Low => "notice",
        };
        let kind = printable(found.kind.name.as_bytes());
        let mut message = format!("{kind} ({}) in {}", report.shown(row), row.path());
        row.ours.iter().for_each(|ours| put(&mut message, format_args!("\n{}", ours.words())));
        if let Some(commit) = row.commit() {
            put(&mut message, format_args!("\nin commit {}", commit.id));
        }
        put(&mut message, format_args!("\nfingerprint {}", row.fingerprint));
        put(
            &mut out,
            format_args!(
                "::{level} file={},line={},col={},title={}::{}\n",
                property(&file(&found.place.path)),
                found.line,
                found.column,
                property(&kind),
                annotation(&message)
            ),
        );
    }
    for missed in &report.missed {
        let words = format!("not scanned: {} ({})", path(&missed.place), printable(missed.detail.as_bytes()));
        let file = property(&file(&missed.place.path));
        let file = if file.is_empty() { file } else { format!(" file={file}") };
        put(&mut out, format_args!("::warning{file}::{}\n", annotation(&words)));
    }
    out
}

/// A path as the workflow knows it. Line breaks are escaped by the command; what else would steer a log is made readable.
fn file(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let steers = |c: char| !matches!(c, '\n' | '\r') && steers(c);
    if text.contains(steers) { printable(path) } else { text.into_owned() }
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = out.write_fmt(words);
}

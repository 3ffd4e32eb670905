//! Text for people at a terminal: grouped by secret, the surest first.

use super::{
    Report, Row, printable,
    sheet::{count, day, name, path},
};
use crate::Confidence;
use std::fmt::Write as _;

/// How many things that were not scanned are listed; all are counted, and the other formats list all.
const MOST_MISSED: usize = 50;
/// How many commits of a finding are named.
const MOST_COMMITS: usize = 3;

pub(super) fn write(report: &Report, colour: bool) -> String {
    let mut out = String::new();
    for group in report.groups() {
        head(&mut out, report, group, colour);
        group.iter().for_each(|row| place(&mut out, row, colour));
        out.push('\n');
    }
    if !report.missed.is_empty() {
        put(&mut out, format_args!("{}\n", paint(colour, "33;1", "Not scanned")));
        for missed in report.missed.iter().take(MOST_MISSED) {
            let detail = printable(missed.detail.as_bytes());
            put(&mut out, format_args!("  {}  {detail}\n", path(&missed.place)));
        }
        if report.missed.len() > MOST_MISSED {
            put(&mut out, format_args!("  and {} more: --format json lists all\n", report.missed.len() - MOST_MISSED));
        }
        out.push('\n');
    }
    summary(&mut out, report, colour);
    out
}

fn head(out: &mut String, report: &Report, group: &[Row], colour: bool) {
    // The same secret may be told more surely in one place than in another.
    let Some(row) = group.iter().max_by_key(|row| row.finding.confidence) else { return };
    let found = &row.finding;
    let (code, label) = match found.confidence {
        Confidence::Certain => ("31;1", "CERTAIN"),
        Confidence::High => ("31;1", "HIGH"),
        Confidence::Medium => ("33;1", "MEDIUM"),
        Confidence::Low => ("36", "LOW"),
    };
    let shown = paint(colour, "1", &report.shown(row));
    let kind = printable(found.kind.name.as_bytes());
    let rule = printable(found.kind.rule.as_bytes());
    put(out, format_args!("{}  {kind}  {shown}  ({rule})\n", paint(colour, code, label)));
    if let Some(ours) = group.iter().find_map(|row| row.ours.as_ref()) {
        put(out, format_args!("  {}\n", paint(colour, "35;1", &format!("this is {}", ours.words()))));
    }
    if let Some(verified) = group.iter().find_map(|row| row.verified.as_ref()) {
        let words = format!("at the provider: {} ({})", verified.state, verified.reason);
        put(out, format_args!("  {}\n", printable(words.as_bytes())));
    }
    let reasons = row.reasons();
    if !reasons.is_empty() {
        put(out, format_args!("  because {}\n", reasons.join("; ")));
    }
}

fn place(out: &mut String, row: &Row, colour: bool) {
    let found = &row.finding;
    let at = paint(colour, "36", &format!("{}:{}:{}", row.path(), found.line, found.column));
    put(out, format_args!("  {at}  [{}]", name(found.place.place)));
    put(out, format_args!("  {}\n", row.fingerprint));
    let commits = &found.place.commits;
    for commit in commits.iter().take(MOST_COMMITS) {
        let id = commit.id.get(..12).unwrap_or(&commit.id);
        let author = printable(commit.author.as_bytes());
        put(out, format_args!("    {id} {} {author}\n", day(commit)));
    }
    let named = commits.len().min(MOST_COMMITS);
    let more = found.place.more_commits.saturating_add(u64::try_from(commits.len() - named).unwrap_or(0));
    if more > 0 {
        put(out, format_args!("    and {}\n", count(more, "more commit")));
    }
}

fn summary(out: &mut String, report: &Report, colour: bool) {
    let verdict = if report.rows.is_empty() {
        paint(colour, "32;1", "No secrets found")
    } else {
        let (secrets, places) = (report.secrets(), report.rows.len());
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let worst = report.rows.iter().map(|row| row.finding.confidence).max().unwrap_or(Confidence::Low);
        let words = format!("{} in {}", count(number(secrets), "secret"), count(number(places), "place"));
        paint(colour, if worst > Confidence::Medium { "31;1" } else { "33;1" }, &words)
    };
    put(out, format_args!("{verdict}. Looked at {}.\n", report.figures()));
    if !report.missed.is_empty() || report.stopped {
        let why = if report.stopped { "The scan was stopped before its end" } else { "The scan is incomplete" };
        put(out, format_args!("{}: {} not scanned.\n", paint(colour, "33;1", why), report.missed.len()));
    }
    if report.stats.repositories > 0 {
        let number = report.stats.repositories;
        let whose = if number == 1 { "a repository".to_owned() } else { format!("{number} repositories") };
        put(out, format_args!("Of {whose} only the files were looked at: --git scans the history.\n"));
    }
    let left = report.left_words();
    if !left.is_empty() {
        put(out, format_args!("Left out: {}.\n", left.join(", ")));
    }
}

fn paint(colour: bool, code: &str, words: &str) -> String {
    if colour { format!("\u{1b}[{code}m{words}\u{1b}[0m") } else { words.to_owned() }
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written = out.write_fmt(words);
}

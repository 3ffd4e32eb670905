//! What somebody decided to live with: comments beside a secret, fingerprints in `.keyward/ignore`, the findings of an
//! earlier report. Only one finding at a time is ever let through, never a rule or a folder: a list of those would hide
//! the next leak.

mod baseline;

use crate::{ALLOW, Confidence, Finding, Fingerprinter};
use keyward_domain::{Millis, times};
use memchr::memmem;
use std::collections::HashMap;

/// A day, in milliseconds.
const DAY: Millis = 86_400_000;
/// What stands before the day on which permission ends.
const ENDS: [&str; 4] = ["until", "expires", "expiry", "expire"];

/// The last day there is.
const LAST_DAY: &str = "9999-12-31";

/// A permission as a comment gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// Why, as somebody wrote it.
    pub reason: Box<str>,
    /// The first moment at which it does not hold any more.
    pub ends: Option<Millis>,
    /// A day was written and cannot be read: the permission does not hold.
    pub unreadable: bool,
}

impl Permission {
    /// Reads what stands behind `keyward:allow` (or the line that has it): words, and somewhere among them
    /// `until 2027-01-31`, which holds to the end of that day in UTC.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let from = allowing(text.to_ascii_lowercase().as_bytes()).map_or(0, |at| at + ALLOW.len());
        let text = text.get(from..).unwrap_or(text);
        let (mut reason, mut ends, mut unreadable) = (Vec::new(), None, false);
        let mut expected = false;
        let apart = |c: char| c.is_whitespace() || matches!(c, '=' | ':' | ',' | ';' | '(' | ')');
        let closing = ["-->", "*/", "#}", "%>", "]]>"];
        let words = text.split(apart).map(|word| word.trim_matches(['"', '\'']));
        for word in words.filter(|word| !word.is_empty() && !closing.contains(word)) {
            if expected {
                expected = false;
                match times::moment(word) {
                    // The last day of the calendar has no end that could be counted.
                    _ if word == LAST_DAY => ends = Some(Millis::MAX),
                    // A day is meant to its end.
                    Ok(at) => ends = Some(at.saturating_add(if word.contains('T') { 0 } else { DAY })),
                    Err(_) => unreadable = true,
                }
            } else if ENDS.contains(&word.to_ascii_lowercase().as_str()) {
                expected = true;
            } else if !word.eq_ignore_ascii_case("reason") {
                reason.push(word);
            }
        }
        Self { reason: reason.join(" ").into(), ends, unreadable: unreadable || expected }
    }

    /// Whether it holds at a moment.
    #[must_use]
    pub fn holds(&self, now: Millis) -> bool {
        !self.unreadable && self.ends.is_none_or(|end| now < end)
    }

    /// Whether a comment that says this allows something: it has a reason, for whoever comes later.
    fn is_given(&self, now: Millis) -> bool {
        self.holds(now) && self.has_reason()
    }

    fn has_reason(&self) -> bool {
        self.reason.chars().any(char::is_alphanumeric)
    }
}

/// Why a finding is left out of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftOut {
    /// A comment beside it allows it.
    Allowed,
    /// Its fingerprint stands in an ignore file.
    Ignored,
    /// It was known when the baseline was made.
    Known,
    /// It is less sure than was asked for.
    BelowConfidence,
}

/// A file of fingerprints, or a baseline, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if *line > 0 { format!("line {line}: ") } else { String::new() })]
pub struct BadList {
    /// The line, from 1; 0 where it is the whole that is wrong.
    pub line: usize,
    /// What is wrong with it.
    pub what: Box<str>,
}

/// What is left out.
#[derive(Debug)]
pub struct Filter {
    now: Millis,
    least: Confidence,
    comments: bool,
    entries: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    known: bool,
    permission: Permission,
}

impl Filter {
    /// A filter that lets through what is at least this sure.
    #[must_use]
    pub fn new(least: Confidence, now: Millis) -> Self {
        Self { now, least, comments: true, entries: HashMap::new() }
    }

    /// From now on comments beside secrets do not count.
    pub fn allow_nothing(&mut self) {
        self.comments = false;
    }

    /// Adds the lines of an ignore file: a fingerprint each, and behind `#` why, and `until 2027-01-31`.
    ///
    /// # Errors
    /// [`BadList`] for a line that is neither empty, a comment nor a fingerprint: a typing mistake must not pass for a
    /// decision.
    pub fn ignore(&mut self, text: &str) -> Result<(), BadList> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, content) in text.lines().enumerate() {
            let (print, comment) = content.split_once('#').unwrap_or((content, ""));
            let print = print.trim();
            if print.is_empty() {
                continue;
            }
            if !is_fingerprint(print) {
                return Err(BadList { line: line + 1, what: "not a fingerprint (fp1_… or fp2_…)".into() });
            }
            self.entries.insert(print.into(), Entry { known: false, permission: Permission::parse(comment) });
        }
        Ok(())
    }

    /// Adds what an earlier report found: the JSON report, one finding per line, or SARIF.
    ///
    /// # Errors
    /// [`BadList`] when the text is none of them, or is another program's.
    pub fn baseline(&mut self, text: &str) -> Result<(), BadList> {
        for print in baseline::fingerprints(text)? {
            let permission = Permission { reason: "".into(), ends: None, unreadable: false };
            self.entries.entry(print).or_insert(Entry { known: true, permission });
        }
        Ok(())
    }

    /// Whether the lists name fingerprints that only an installation's key can make.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.entries.keys().any(|print| print.starts_with(Fingerprinter::KEYED))
    }

    /// Whether a finding is left out, and why. `prints` are all fingerprints that can be made of it.
    #[must_use]
    pub fn left_out(&self, finding: &Finding, prints: &[Box<str>]) -> Option<LeftOut> {
        if finding.confidence < self.least {
            return Some(LeftOut::BelowConfidence);
        }
        let comment = finding.allowed.as_ref().filter(|_| self.comments);
        if comment.is_some_and(|comment| Permission::parse(comment).is_given(self.now)) {
            return Some(LeftOut::Allowed);
        }
        let mut entries = prints.iter().filter_map(|print| self.entries.get(print));
        entries
            .find(|entry| entry.permission.holds(self.now))
            .map(|entry| if entry.known { LeftOut::Known } else { LeftOut::Ignored })
    }

    /// The permission that a finding had and has no more, in words.
    #[must_use]
    pub fn ended(&self, finding: &Finding, prints: &[Box<str>]) -> Option<Box<str>> {
        let comment = finding.allowed.as_ref().map(|comment| Permission::parse(comment));
        if comment.as_ref().is_some_and(|comment| comment.holds(self.now) && !comment.has_reason()) {
            return Some(format!("`{ALLOW}` allows nothing without a reason: write behind it why it may stay").into());
        }
        let listed = prints.iter().filter_map(|print| self.entries.get(print)).map(|entry| entry.permission.clone());
        let over = comment.into_iter().chain(listed).find(|permission| !permission.holds(self.now))?;
        Some(match over.ends {
            Some(end) if !over.unreadable => {
                let shown = times::show(end.saturating_sub(1));
                format!("it was allowed until {}", shown.get(..10).unwrap_or(&shown)).into()
            }
            _ => "the day up to which it is allowed cannot be read: write it as 2027-01-31".into(),
        })
    }
}

/// Where the word stands in a line that allows its secrets: as a word of its own, not within a longer one.
pub(crate) fn allowing(line: &[u8]) -> Option<usize> {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memmem::find_iter(line, ALLOW).find(|at| {
        let behind = line.get(at + ALLOW.len()..).unwrap_or_default();
        let goes_on = behind.first() == Some(&b'-') && is_letter(behind.get(1));
        !is_letter(at.checked_sub(1).and_then(|before| line.get(before))) && !is_letter(behind.first()) && !goes_on
    })
}

/// Whether a word can be a fingerprint.
fn is_fingerprint(word: &str) -> bool {
    [Fingerprinter::PLAIN, Fingerprinter::KEYED].iter().any(|prefix| {
        word.strip_prefix(prefix).is_some_and(|rest| rest.len() == 40 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

#[cfg(test)]
mod tests;

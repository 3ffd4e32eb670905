//! What all formats are written from.

use super::printable;
use crate::{Commit, Confidence, Finding, Missed, Secret, Stats, Where};
use keyward_domain::{Millis, times};
use serde::{Deserialize, Serialize};

/// A secret of this length or more shows how it begins and ends. Of a shorter one nothing is shown.
const TELLING: usize = 20;
/// How many of a secret's characters are shown at its beginning and at its end, at most.
const SHOWN: (usize, usize) = (8, 4);

/// Whose a found secret is, when it is this installation's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ours {
    /// `key`, `credential` or `token`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its project's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The provider whose key a credential is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// `active`, `revoked`, `disabled`, `expired`…
    pub status: String,
    /// Whether the found text opens anything now. False for a secret that was replaced.
    pub current: bool,
    /// When it was last used, in RFC 3339.
    #[serde(default)]
    pub last_used_at: Option<String>,
    /// What is left of its limits, in words.
    #[serde(default)]
    pub limits: Vec<String>,
    /// What this scan did about it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contained: Option<String>,
}

/// What the secret's provider said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// In one word: `live`, `revoked`, `unknown`…
    pub state: String,
    /// Why, in plain words.
    pub reason: String,
}

/// A finding with all that is known of it.
#[derive(Debug)]
pub struct Row {
    /// The finding.
    pub finding: Finding,
    /// Its fingerprint.
    pub fingerprint: Box<str>,
    /// What it shares with the other findings of the same secret.
    pub group: Box<str>,
    /// Whose it is.
    pub ours: Option<Ours>,
    /// What its provider said.
    pub verified: Option<Verified>,
    /// What else there is to know, such as a permission that ended.
    pub note: Option<Box<str>>,
}

/// How many findings were left out, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Left {
    /// A comment beside them allows them.
    pub allowed: u64,
    /// An ignore file names them.
    pub ignored: u64,
    /// The baseline knew them.
    pub baseline: u64,
    /// They are less sure than was asked for.
    pub below_confidence: u64,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    /// The findings, in the order in which they are shown.
    pub rows: Vec<Row>,
    /// What was not scanned.
    pub missed: Vec<Missed>,
    /// How much was.
    pub stats: Stats,
    /// What was left out.
    pub left: Left,
    /// The secrets that were left out and must not stand in names either.
    pub unlisted: Vec<Secret>,
    /// Whether secrets stand in it in full.
    pub reveal: bool,
    /// Whether somebody stopped the scan.
    pub stopped: bool,
    /// What was scanned, in words.
    pub subject: String,
    /// When.
    pub at: Millis,
    /// The program's version.
    pub version: &'static str,
}

impl Report {
    /// Puts the findings in order: what belongs together stands together, our own and the surest first.
    pub fn sort(&mut self) {
        let mut best: std::collections::HashMap<Box<str>, (bool, Confidence)> = std::collections::HashMap::new();
        for row in &self.rows {
            let rank = (row.ours.is_some(), row.finding.confidence);
            best.entry(row.group.clone()).and_modify(|known| *known = (*known).max(rank)).or_insert(rank);
        }
        self.rows.sort_by(|one, other| {
            let rank = |row: &Row| best.get(&row.group).copied();
            let place = |row: &Row| (row.finding.place.place, row.finding.line, row.finding.column);
            rank(other)
                .cmp(&rank(one))
                .then_with(|| one.group.cmp(&other.group))
                .then_with(|| one.finding.place.path.cmp(&other.finding.place.path))
                .then_with(|| place(one).cmp(&place(other)))
        });
        self.missed.sort_by(|one, other| one.place.path.cmp(&other.place.path));
    }

    /// The findings, those of one secret together.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[Row]> {
        self.rows.chunk_by(|one, other| one.group == other.group)
    }

    /// How many different secrets there are.
    #[must_use]
    pub fn secrets(&self) -> usize {
        self.groups().count()
    }

    /// The secret as the report may show it.
    pub(super) fn shown(&self, row: &Row) -> String {
        let secret = row.finding.secret.expose();
        if self.reveal { printable(secret) } else { preview(secret) }
    }

    /// What the scan did, in a sentence.
    pub(super) fn figures(&self) -> String {
        let Stats { items, bytes, commits, .. } = self.stats;
        let commits = if commits > 0 { format!(" in {}", count(commits, "commit")) } else { String::new() };
        format!("{} ({}){commits}", count(items, "item"), size(bytes))
    }

    /// What was left out, in words; empty when nothing was.
    pub(super) fn left_words(&self) -> Vec<String> {
        let Left { allowed, ignored, baseline, below_confidence } = self.left;
        [
            (allowed, "allowed by a comment"),
            (ignored, "named in an ignore file"),
            (baseline, "known from the baseline"),
            (below_confidence, "less sure than asked for (--min-confidence low shows them)"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, why)| format!("{number} {why}"))
        .collect()
    }
}

impl Row {
    /// Where it lies, for people: path, then the way within.
    pub(super) fn path(&self) -> String {
        path(&self.finding.place)
    }

    /// Why it is taken for a secret, and what else there is to know.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.finding.reasons.iter().chain(&self.note).map(|reason| printable(reason.as_bytes())).collect()
    }

    /// The commit it came with, as far as it is known.
    pub(super) fn commit(&self) -> Option<&Commit> {
        self.finding.place.commits.first()
    }
}

impl Ours {
    /// What it is, in a sentence without an end.
    pub(super) fn words(&self) -> String {
        let what = match self.kind.as_str() {
            "key" => "your key",
            "token" => "your control token",
            _ => "your credential",
        };
        let mut words = vec![format!("{what} \"{}\"", printable(self.name.as_bytes()))];
        let place: Vec<String> =
            [&self.project, &self.environment].into_iter().flatten().map(|part| printable(part.as_bytes())).collect();
        if !place.is_empty() {
            words.push(format!("project {}", place.join(", ")));
        }
        words.push(if self.current {
            printable(self.status.as_bytes())
        } else {
            format!("{}, but this is not a secret that it has now", printable(self.status.as_bytes()))
        });
        words.push(match &self.last_used_at {
            Some(at) => format!("last used {}", printable(at.as_bytes())),
            None => "never used".to_owned(),
        });
        words.extend(self.limits.iter().map(|limit| printable(limit.as_bytes())));
        words.extend(self.contained.iter().map(|done| printable(done.as_bytes())));
        words.join(", ")
    }
}

/// How a secret begins and ends, when it is long enough that this tells nothing of it; else how long it is.
#[must_use]
pub fn preview(secret: &[u8]) -> String {
    // Of a key in several lines the first says what it is.
    if let Some(header) = secret.strip_prefix(b"-----BEGIN ") {
        let name: Vec<u8> = header.iter().copied().take_while(|b| b.is_ascii_uppercase() || *b == b' ').collect();
        return format!("-----BEGIN {}-----…", String::from_utf8_lossy(&name));
    }
    let length = secret.len();
    if length < TELLING || !secret.is_ascii() {
        return format!("[{length} bytes]");
    }
    let head = secret.get(..(length / 8).min(SHOWN.0)).unwrap_or_default();
    let tail = secret.get(length - (length / 10).min(SHOWN.1)..).unwrap_or_default();
    format!("{}…{}", printable(head), printable(tail))
}

/// Where something lies, for people.
pub(super) fn path(place: &crate::Place) -> String {
    let mut out = match &*place.path {
        b"-" => "standard input".to_owned(),
        // What is true of a whole repository has no path.
        b"" => "the repository".to_owned(),
        other => printable(other),
    };
    for step in &place.within {
        out.push_str(" › ");
        out.push_str(&printable(step.as_bytes()));
    }
    out
}

/// The name of a place, as in JSON.
pub(super) const fn name(place: Where) -> &'static str {
    match place {
        Where::Worktree => "worktree",
        Where::Index => "index",
        Where::Blob => "blob",
        Where::CommitMessage => "commit-message",
        Where::Tag => "tag",
        Where::Note => "note",
        Where::Stash => "stash",
        Where::Reflog => "reflog",
        Where::Config => "config",
        Where::Unreachable => "unreachable",
    }
}

/// The name of a confidence, as in JSON.
pub(super) const fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Low => "low",
        Confidence::Medium => "medium",
        Confidence::High => "high",
        Confidence::Certain => "certain",
    }
}

/// A commit's day.
pub(super) fn day(commit: &Commit) -> String {
    moment(commit).get(..10).unwrap_or_default().to_owned()
}

/// A commit's time in RFC 3339.
pub(super) fn moment(commit: &Commit) -> String {
    times::show(commit.seconds.saturating_mul(1_000))
}

/// A number and what it counts.
pub(super) fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    let mut whole = bytes;
    let mut rest = 0;
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut units = units.iter().peekable();
    while whole >= 1024 && units.len() > 1 {
        (rest, whole) = (whole % 1024 * 10 / 1024, whole / 1024);
        units.next();
    }
    let unit = units.next().copied().unwrap_or_default();
    if unit == "bytes" || whole >= 100 { format!("{whole} {unit}") } else { format!("{whole}.{rest} {unit}") }
}

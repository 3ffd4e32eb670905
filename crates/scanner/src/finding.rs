//! What a scan tells: findings, what it did not look at, and figures.

use crate::{Cause, Confidence, Kind, Secret};
use std::{ops::Range, sync::Arc};

/// In which of a repository's places, or outside of any, something lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// A file: in a work tree, or wherever it lies; also standard input.
    Worktree,
    /// What `git add` has taken.
    Index,
    /// A file of a commit.
    Blob,
    /// What a commit, or a tag of its own right, says.
    CommitMessage,
    /// An annotated tag.
    Tag,
    /// A note on a commit.
    Note,
    /// What `git stash` put aside.
    Stash,
    /// The message of a reflog's line.
    Reflog,
    /// The repository's own configuration and other files of its folder.
    Config,
    /// An object that no name leads to any more.
    Unreachable,
}

/// A commit that a finding is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id in hexadecimal digits.
    pub id: Box<str>,
    /// Who wrote it: name and address as it says.
    pub author: Box<str>,
    /// When, in Unix seconds.
    pub seconds: i64,
}

/// Where a thing lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In which place.
    pub place: Where,
    /// The path, as bytes, for names need not be UTF-8: from the scan's root, or within the repository. `-` is standard
    /// input. Where there is no path (a commit message), the object's id or the reference's name.
    pub path: Box<[u8]>,
    /// The way to it within the file: members of archives, tables and rows.
    pub within: Vec<Box<str>>,
    /// The id of the object that holds it.
    pub object: Option<Box<str>>,
    /// The commits whose trees have it, the oldest first; at most a bounded number, `more_commits` says of how many more.
    pub commits: Vec<Commit>,
    /// How many commits beyond those named.
    pub more_commits: u64,
}

/// One secret in one place.
#[derive(Debug)]
pub struct Finding {
    /// What it is.
    pub kind: Arc<Kind>,
    /// How sure this is.
    pub confidence: Confidence,
    /// Why.
    pub reasons: Vec<Box<str>>,
    /// Where.
    pub place: Place,
    /// The line, from 1.
    pub line: u64,
    /// The column in bytes, from 1.
    pub column: u64,
    /// The column in UTF-16 code units, from 1, as editors count.
    pub units: u64,
    /// Where it ends: the line, and the column in UTF-16 code units behind it.
    pub end: (u64, u64),
    /// The bytes it covers in the file or member.
    pub span: Range<u64>,
    /// The secret.
    pub secret: Secret,
    /// The whole line's comment that allows it, when there is one: see `allow`.
    pub allowed: Option<Box<str>>,
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Where it lies.
    pub place: Place,
    /// Why.
    pub cause: Cause,
    /// In words, without content.
    pub detail: Box<str>,
}

/// How much was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Files, blobs and other things looked at.
    pub items: u64,
    /// Bytes looked at, unpacked.
    pub bytes: u64,
    /// Commits read.
    pub commits: u64,
    /// Folders of git repositories that a scan of paths went past: a scan of the repository reads them.
    pub repositories: u64,
}

/// All that a scan tells.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The findings.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    pub missed: Vec<Missed>,
    /// How much was done.
    pub stats: Stats,
}

impl Outcome {
    /// Takes in what another part of the same scan found.
    pub fn merge(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.missed.extend(other.missed);
        self.stats.items += other.stats.items;
        self.stats.bytes += other.stats.bytes;
        self.stats.commits += other.stats.commits;
        self.stats.repositories += other.stats.repositories;
    }
}

//! Scans git repositories: every object whether anything leads to it or not, messages, tags, notes, stashes, reflogs, the
//! index, work trees and the files of the repository's own folder.
//!
//! Packs and loose objects are read here, without git: no process is started, no hook or filter is run, and nobody is asked
//! for what is missing.

mod attribute;
mod births;
mod changes;
mod committed;
#[cfg(test)]
mod compare;
mod config;
mod contents;
mod files;
mod gather;
mod id;
mod index;
mod inflate;
mod loose;
mod names;
mod news;
mod object;
mod objects;
mod open;
mod pack;
mod push;
mod range;
mod refs;
mod repository;
mod revision;
mod staged;
mod trees;
mod whole;

pub use committed::committed;
pub use push::Push;
pub(crate) use repository::git_folder;

use crate::{Outcome, Scan};
use repository::Repository;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Which part of a repository is scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum History {
    /// All of it.
    #[default]
    Whole,
    /// What was committed since a revision, what is staged, and the work tree.
    Since(String),
    /// What the commits of a range `A..B` brought, merges included, and their messages. `A...B`: of either side. Where
    /// `A` is all zeros, as hooks are told of a new branch, everything that no other branch has yet.
    Range(String),
}

/// Why a repository cannot be scanned at all.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is none.
    #[error("{} is not in a git repository", .0.display())]
    NotARepository(PathBuf),
    /// The system did not let us read it.
    #[error("cannot read {}: {error}", .path.display())]
    Unreadable {
        /// What.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Its objects are named in a way that is not known.
    #[error("the repository names its objects by {0}, which is not known")]
    Format(String),
    /// A revision that cannot be looked up.
    #[error(
        "what {0} is cannot be told: the repository keeps its references in a form that is not read here (reftable); \
         name commits by their full ids, or scan all of it with --git"
    )]
    UnreadReferences(String),
    /// A revision without a name.
    #[error("an empty revision names no commit")]
    EmptyRevision,
    /// A revision that does not exist.
    #[error("no commit is called {0}")]
    UnknownRevision(String),
}

/// Where git has put things while it runs a hook, as its variables say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hook {
    /// The index of the commit in the making (`GIT_INDEX_FILE`), when it is not the repository's own.
    pub index: Option<PathBuf>,
    /// The folders with objects that were received and not taken yet (`GIT_OBJECT_DIRECTORY` and its alternates).
    pub objects: Vec<PathBuf>,
}

impl Scan<'_> {
    /// Scans, within a hook, what a push brings that the other side does not have.
    ///
    /// # Errors
    /// There is no repository, or what is pushed is not in it. Whatever else goes wrong is told as not looked at.
    pub fn push_in_hook(&self, folder: &Path, push: &Push, hook: &Hook) -> Result<Outcome, GitError> {
        let mut repository = Repository::discover(folder)?;
        repository.more.clone_from(&hook.objects);
        self.push(&repository, push)
    }

    /// Scans, within a hook, what the commit in the making adds.
    ///
    /// # Errors
    /// As [`Self::git`].
    pub fn staged_in_hook(&self, folder: &Path, hook: &Hook) -> Result<Outcome, GitError> {
        let mut repository = Repository::discover(folder)?;
        repository.more.clone_from(&hook.objects);
        repository.index.clone_from(&hook.index);
        Ok(self.stage(&repository))
    }

    /// Scans the repository that a folder is, or is in.
    ///
    /// # Errors
    /// There is no repository, or no such revision. Whatever else goes wrong is told as not looked at.
    pub fn git(&self, folder: &Path, history: &History) -> Result<Outcome, GitError> {
        let repository = Repository::discover(folder)?;
        match history {
            History::Whole => Ok(self.whole(&repository)),
            History::Since(revision) => self.since(&repository, revision),
            History::Range(range) => self.range(&repository, range),
        }
    }

    /// Scans what the index has and the last commit has not: what a commit would add.
    ///
    /// # Errors
    /// There is no repository. Whatever else goes wrong is told as not looked at.
    pub fn staged(&self, folder: &Path) -> Result<Outcome, GitError> {
        let repository = Repository::discover(folder)?;
        Ok(self.stage(&repository))
    }
}

#[cfg(test)]
mod tests;

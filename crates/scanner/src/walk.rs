//! Scans files: everything below the paths given, and standard input.

mod count;
mod file;
mod ignore;
mod queue;
mod tree;

use crate::{Cause, Missed, Outcome, Place, Scan, Where, scan::Watched, unpack_stream};
use queue::{Job, Queue};
use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    thread,
};
use tree::{Root, Worker};

/// What of a tree is scanned. By default everything: also hidden files and what git ignores. The insides of `.git` folders
/// are left to a scan of the repository and counted in `Stats::repositories`; links are never followed, and told where they
/// lead out of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// Whether what `.gitignore` and `.git/info/exclude` name is left out.
    pub obey_gitignore: bool,
    /// Whether names that begin with a dot are left out.
    pub skip_hidden: bool,
    /// How many folders deep the walk goes.
    pub depth: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self { obey_gitignore: false, skip_hidden: false, depth: 4096 }
    }
}

/// Where programs for AI work, shells and clients keep keys, below the home folder.
const WELL_KNOWN: [&str; 34] = [
    ".mcp.json",
    ".claude",
    ".claude.json",
    ".config/claude",
    ".config/Claude",
    "Library/Application Support/Claude",
    ".cursor",
    ".continue",
    ".codex",
    ".gemini",
    ".aider.conf.yml",
    ".codeium",
    ".config/github-copilot",
    ".config/zed",
    ".config/Code/User",
    ".config/Cursor/User",
    ".openai",
    ".cache/huggingface/token",
    ".huggingface",
    ".config/openai",
    ".config/litellm",
    ".env",
    ".envrc",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".aws",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".bashrc",
    ".zshrc",
    ".profile",
    ".local/share/fish/fish_history",
];

impl Walk {
    /// The places below a home folder where agents, editors, shells and clients keep keys, as far as they are there.
    #[must_use]
    pub fn well_known(home: &Path) -> Vec<PathBuf> {
        WELL_KNOWN.iter().map(|name| home.join(name)).filter(|path| path.symlink_metadata().is_ok()).collect()
    }
}

impl Scan<'_> {
    /// Scans files and everything below folders. What is named itself is scanned whatever it is, also through a link.
    #[must_use]
    pub fn paths(&self, roots: &[PathBuf], options: &Walk) -> Outcome {
        let mut outcome = Outcome::default();
        let roots = distinct(roots);
        let queue = Queue::new(roots.into_iter().rev().map(|path| Job::Root(Root::new(path))).collect());
        // A single file is no work for several.
        let threads = if queue.is_one_file() { 1 } else { self.threads.max(1) };
        if threads == 1 {
            outcome = Worker::new(self, options, &queue).run();
        } else {
            thread::scope(|scope| {
                let work = || Worker::new(self, options, &queue).run();
                let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
                outcome = work();
                for other in others {
                    match other.join() {
                        Ok(found) => outcome.merge(found),
                        Err(panic) => std::panic::resume_unwind(panic),
                    }
                }
            });
        }
        if self.progress.is_stopped() {
            let detail = "the scan was stopped: what is not told was not looked at".into();
            outcome.missed.push(Missed { place: place(b"."), cause: Cause::Stopped, detail });
        }
        outcome.findings.sort_by(|one, other| {
            let key = |finding: &crate::Finding| (finding.span.start, finding.span.end);
            (&one.place.path, &one.place.within, key(one)).cmp(&(&other.place.path, &other.place.within, key(other)))
        });
        outcome.missed.sort_by(|one, other| {
            (&one.place.path, &one.place.within, one.cause).cmp(&(&other.place.path, &other.place.within, other.cause))
        });
        outcome
    }

    /// Scans what comes from standard input, or from any other stream. Whoever stops the scan ends the stream: what was
    /// read of it is looked at.
    #[must_use]
    pub fn stdin(&self, reader: impl Read) -> Outcome {
        let mut outcome = Outcome::default();
        let mut search = Watched::of_stream(self, b"-");
        unpack_stream(b"-", reader, &self.bounds, &mut search);
        if self.progress.is_stopped() {
            search.stop();
        }
        search.finish(|| place(b"-"), &mut outcome);
        outcome
    }
}

/// The roots without those that lie below others, so that nothing is told twice.
fn distinct(roots: &[PathBuf]) -> Vec<PathBuf> {
    if roots.len() < 2 {
        return roots.to_vec();
    }
    let real = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let all: BTreeSet<PathBuf> = roots.iter().map(real).collect();
    let mut seen = BTreeSet::new();
    let is_first = |path: &&PathBuf| {
        let real = real(path);
        !real.ancestors().skip(1).any(|above| all.contains(above)) && seen.insert(real)
    };
    roots.iter().filter(is_first).cloned().collect()
}

fn place(path: &[u8]) -> Place {
    let (within, commits) = (Vec::new(), Vec::new());
    Place { place: Where::Worktree, path: path.into(), within, object: None, commits, more_commits: 0 }
}

/// A path's bytes.
fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

//! Makes repositories with git, and scans them.

use keyward_catalogue::{Catalogue, sample};
use keyward_scanner::{Bounds, Finding, GitError, History, Matcher, Outcome, Progress, Scan, Where};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

/// A key that nothing else has. The same number gives the same key.
pub(crate) fn key(number: u64) -> String {
    let catalogue = Catalogue::embedded().unwrap();
    let shape =
        catalogue.shapes().iter().find(|shape| &*shape.provider == "anthropic" && shape.context.is_empty()).unwrap();
    sample::text(&shape.pattern, number).unwrap()
}

/// A file with a key.
pub(crate) fn text(number: u64) -> String {
    format!("# settings\nANTHROPIC_API_KEY={}\n", key(number))
}

fn matcher() -> &'static Matcher {
    static MATCHER: OnceLock<Matcher> = OnceLock::new();
    MATCHER.get_or_init(|| Matcher::new(&Catalogue::embedded().unwrap()))
}

/// Runs a scan on two threads.
pub(crate) fn scan<T>(with: impl FnOnce(&Scan<'_>) -> T) -> T {
    let progress = Progress::default();
    with(&Scan { matcher: matcher(), bounds: Bounds::default(), threads: 2, progress: &progress })
}

/// Scans a whole repository.
pub(crate) fn whole(folder: &Path) -> Outcome {
    scan(|scan| scan.git(folder, &History::Whole)).unwrap()
}

/// Scans a range.
pub(crate) fn range(folder: &Path, range: &str) -> Result<Outcome, GitError> {
    scan(|scan| scan.git(folder, &History::Range(range.to_owned())))
}

/// Scans what is staged.
pub(crate) fn staged(folder: &Path) -> Outcome {
    scan(|scan| scan.staged(folder)).unwrap()
}

/// The findings of one key.
pub(crate) fn of(outcome: &Outcome, number: u64) -> Vec<&Finding> {
    let key = key(number);
    outcome.findings.iter().filter(|finding| finding.secret.expose() == key.as_bytes()).collect()
}

/// The places of one key: where, and the path.
pub(crate) fn places(outcome: &Outcome, number: u64) -> Vec<(Where, String)> {
    let place = |finding: &Finding| (finding.place.place, String::from_utf8_lossy(&finding.place.path).into_owned());
    of(outcome, number).into_iter().map(place).collect()
}

/// Stores a tree that has a file at more paths than can be counted: ten folders, each of which is ten times the next.
pub(crate) fn bomb(repo: &Repo<'_>, text: &str) -> String {
    let mut below = ("blob", repo.hash(text));
    for _ in 0..10 {
        let mode = if below.0 == "blob" { "100644" } else { "040000" };
        let lines: String = (0..10).map(|at| format!("{mode} {} {}\td{at}\n", below.0, below.1)).collect();
        repo.write("../listed", &lines);
        below = ("tree", repo.git_with(&["mktree"], "../listed"));
    }
    below.1
}

/// A folder in which git makes repositories, with no configuration but its own.
pub(crate) struct Kit {
    pub(crate) top: TempDir,
    clock: std::cell::Cell<u64>,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self { top: TempDir::new().unwrap(), clock: std::cell::Cell::new(1_700_000_000) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.top.path().canonicalize().unwrap().join(name)
    }

    /// A new repository.
    pub(crate) fn init(&self, name: &str, options: &[&str]) -> Repo<'_> {
        let repo = Repo { kit: self, path: self.path(name) };
        fs::create_dir_all(&repo.path).unwrap();
        repo.git(&[&["init", "-q", "-b", "main"], options].concat());
        repo
    }
}

/// A repository of a kit.
pub(crate) struct Repo<'k> {
    pub(crate) kit: &'k Kit,
    pub(crate) path: PathBuf,
}

impl Repo<'_> {
    fn command(&self, args: &[&str]) -> Command {
        let now = self.kit.clock.get() + 60;
        self.kit.clock.set(now);
        let mut command = Command::new("git");
        command.env_clear().env("PATH", env!("PATH")).env("HOME", self.kit.top.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Ada").env(format!("GIT_{who}_EMAIL"), "ada@example.org");
            command.env(format!("GIT_{who}_DATE"), format!("{now} +0000"));
        }
        command.args(["-c", "protocol.file.allow=always", "-c", "gc.auto=0"]).args(args).current_dir(&self.path);
        command
    }

    /// Runs git, which must succeed; what it says.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs git, which must succeed, with a file as its input; what it says.
    pub(crate) fn git_with(&self, args: &[&str], input: &str) -> String {
        let input = fs::File::open(self.path.join(input)).unwrap();
        let output = self.command(args).stdin(input).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs git, whether it succeeds or not.
    pub(crate) fn may(&self, args: &[&str]) {
        self.command(args).stdin(Stdio::null()).output().unwrap();
    }

    /// Stores a blob.
    pub(crate) fn hash(&self, text: &str) -> String {
        self.write("../hashed", text);
        self.git(&["hash-object", "-w", "../hashed"])
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes, stages and commits a file; the commit.
    pub(crate) fn commit(&self, name: &str, text: &str) -> String {
        self.write(name, text);
        self.git(&["add", "-f", name]);
        self.git(&["commit", "-q", "-m", &format!("Change {name}")]);
        self.git(&["rev-parse", "HEAD"])
    }
}

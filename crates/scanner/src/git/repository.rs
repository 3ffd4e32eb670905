//! Where the parts of a repository lie: its folder, the one it shares with linked worktrees, work trees, object folders.

use super::{GitError, config::Config, contents::place, id::Format, open};
use crate::{Cause, Missed, Where};
use std::{
    fs,
    io::Read,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

/// How large the small files are at most that lead from one part to another.
const SMALL: u64 = 16 << 20;

/// How many alternates may follow each other; as many as git follows.
const ALTERNATES: usize = 5;

/// A repository.
#[derive(Debug)]
pub(crate) struct Repository {
    /// The folder of this worktree: `.git`, or `.git/worktrees/NAME`.
    pub(crate) own: PathBuf,
    /// The folder that all worktrees share.
    pub(crate) common: PathBuf,
    /// The folder with its files, if it has one.
    pub(crate) work: Option<PathBuf>,
    pub(crate) config: Config,
    pub(crate) format: Format,
    /// The index that git uses instead of the repository's own, while it runs a hook.
    pub(crate) index: Option<PathBuf>,
    /// Where more objects lie: those of a push that was not taken yet.
    pub(crate) more: Vec<PathBuf>,
}

/// A linked worktree, or the main one: its own folder within the repository's, and where its files lie.
#[derive(Debug)]
pub(crate) struct Worktree {
    pub(crate) own: PathBuf,
    /// None: its files are gone, or what lies there does not belong to it.
    pub(crate) work: Option<PathBuf>,
}

impl Repository {
    /// Whether it keeps its references in another way than one file for each, and one for many.
    pub(crate) fn has_foreign_refs(&self) -> bool {
        self.config.get("extensions", "refstorage").is_some_and(|storage| storage != b"files")
    }

    /// Finds the repository that a path is in or is, as git does: upwards.
    pub(crate) fn discover(path: &Path) -> Result<Self, GitError> {
        let start = fs::canonicalize(path).map_err(|error| GitError::Unreadable { path: path.into(), error })?;
        for folder in start.ancestors() {
            if let Some(own) = git_folder(&folder.join(".git")) {
                return Self::open(&own, Some(folder));
            }
            if is_git_folder(folder) {
                return Self::open(folder, None);
            }
        }
        Err(GitError::NotARepository(path.into()))
    }

    /// Opens a repository by its own folder.
    pub(crate) fn open(own: &Path, work: Option<&Path>) -> Result<Self, GitError> {
        let common = match small(&own.join("commondir")) {
            Some(text) => own.join(path(text.trim_ascii())),
            None => own.to_owned(),
        };
        let common = fs::canonicalize(&common).map_err(|error| GitError::Unreadable { path: common, error })?;
        let mut text = small(&common.join("config")).unwrap_or_default();
        text.push(b'\n');
        if Config::parse(&text).is("extensions", "worktreeconfig") {
            text.extend(small(&own.join("config.worktree")).unwrap_or_default());
        }
        let config = Config::parse(&text);
        let format = match config.get("extensions", "objectformat") {
            None | Some(b"sha1") => Format::Sha1,
            Some(b"sha256") => Format::Sha256,
            Some(other) => return Err(GitError::Format(String::from_utf8_lossy(other).into())),
        };
        let work = work.map(Path::to_owned).or_else(|| work_tree(own, &common, &config));
        Ok(Self { own: own.to_owned(), common, work, config, format, index: None, more: Vec::new() })
    }

    /// The folders that objects lie in, and why any that is named cannot be used.
    pub(crate) fn object_folders(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let mut folders = vec![(self.common.join("objects"), 0)];
        folders.extend(self.more.iter().map(|folder| (folder.clone(), 0)));
        let (mut found, mut absent) = (Vec::new(), Vec::new());
        while let Some((folder, depth)) = folders.pop() {
            let Ok(real) = fs::canonicalize(&folder) else {
                absent.push(folder);
                continue;
            };
            if found.contains(&real) {
                continue;
            }
            for line in small(&real.join("info/alternates")).unwrap_or_default().split(|byte| *byte == b'\n') {
                if !line.is_empty() && !line.starts_with(b"#") && depth < ALTERNATES {
                    folders.push((real.join(path(&unquote(line))), depth + 1));
                }
            }
            // What a push has brought but not yet delivered: a hook before it is to see that.
            for entry in fs::read_dir(&real).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let name = name.as_bytes();
                if (name.starts_with(b"tmp_objdir-") || name.starts_with(b"incoming-")) && entry.path().is_dir() {
                    folders.push((entry.path(), depth));
                }
            }
            found.push(real);
        }
        (found, absent)
    }

    /// All worktrees, the main one first.
    pub(crate) fn worktrees(&self) -> Vec<Worktree> {
        let main = if self.own == self.common {
            self.work.clone()
        } else {
            Self::open(&self.common, None).ok().and_then(|main| main.work)
        };
        let mut all = vec![Worktree { own: self.common.clone(), work: main }];
        let mut linked: Vec<PathBuf> = folders(&self.common.join("worktrees"));
        linked.sort();
        for own in linked {
            // Only a folder that says itself that it belongs here: anything can be written into `gitdir`.
            let link = small(&own.join("gitdir")).map(|text| own.join(path(text.trim_ascii())));
            let back = link.as_deref().and_then(git_folder);
            let belongs = back.is_some_and(|back| fs::canonicalize(back).ok() == fs::canonicalize(&own).ok());
            let work = link.as_deref().and_then(Path::parent).filter(|_| belongs).map(Path::to_owned);
            all.push(Worktree { own, work });
        }
        all
    }

    /// What lies in the place of files that say how everything hangs together, and is no file.
    pub(crate) fn odd_files(&self) -> Vec<Missed> {
        let mut missed = Vec::new();
        for file in [self.common.join("config"), self.common.join("packed-refs"), self.own.join("HEAD")] {
            let is_file = |about: &fs::Metadata| about.is_file() || (about.is_symlink() && file.ends_with("HEAD"));
            if fs::symlink_metadata(&file).is_ok_and(|about| !is_file(&about)) {
                let place = place(Where::Config, file.as_os_str().as_bytes(), None);
                missed.push(Missed { place, cause: Cause::Special, detail: "it is not a file".into() });
            }
        }
        missed
    }

    /// The commits whose parents a shallow clone left out.
    pub(crate) fn shallow(&self) -> usize {
        small(&self.common.join("shallow"))
            .unwrap_or_default()
            .split(|byte| *byte == b'\n')
            .filter(|l| !l.is_empty())
            .count()
    }

    /// The repositories of submodules that lie within this one's folder: their names and folders.
    pub(crate) fn modules(&self) -> Vec<(PathBuf, PathBuf)> {
        let top = self.common.join("modules");
        let (mut found, mut open) = (Vec::new(), vec![(top.clone(), 0)]);
        while let Some((folder, depth)) = open.pop() {
            for folder in folders(&folder) {
                if is_git_folder(&folder) {
                    found.push((folder.strip_prefix(&top).unwrap_or(&folder).to_owned(), folder));
                } else if depth < 16 {
                    open.push((folder, depth + 1));
                }
            }
        }
        found.sort();
        found
    }
}

/// Where the files of the main worktree lie.
fn work_tree(own: &Path, common: &Path, config: &Config) -> Option<PathBuf> {
    if own != common {
        let link = small(&own.join("gitdir"))?;
        return own.join(path(link.trim_ascii())).parent().map(Path::to_owned);
    }
    if let Some(work) = config.get("core", "worktree") {
        // Only a folder that says itself that it belongs here: anything can be written into a configuration.
        let work = fs::canonicalize(common.join(path(work))).ok()?;
        return git_folder(&work.join(".git")).is_some_and(|back| back == common).then_some(work);
    }
    let inside = common.file_name().is_some_and(|name| name == ".git");
    (inside && !config.is("core", "bare")).then(|| common.parent().map(Path::to_owned)).flatten()
}

/// The folder that a `.git` is, or leads to.
pub(crate) fn git_folder(dot_git: &Path) -> Option<PathBuf> {
    let kind = fs::symlink_metadata(dot_git).ok()?.file_type();
    if kind.is_file() {
        let text = small(dot_git)?;
        let link = dot_git.parent()?.join(path(text.strip_prefix(b"gitdir:")?.trim_ascii()));
        return is_git_folder(&link).then(|| fs::canonicalize(link).ok()).flatten();
    }
    is_git_folder(dot_git).then(|| fs::canonicalize(dot_git).ok()).flatten()
}

/// Whether a folder is a repository's.
pub(crate) fn is_git_folder(folder: &Path) -> bool {
    let head = fs::symlink_metadata(folder.join("HEAD")).is_ok_and(|head| !head.is_dir());
    let shared = folder.join("objects").is_dir() && folder.join("refs").is_dir();
    head && (shared || folder.join("commondir").is_file())
}

/// A small file of a repository; none if it is not there, not a file, or far too large.
pub(crate) fn small(path: &Path) -> Option<Vec<u8>> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    open::open(path).ok()?.take(SMALL + 1).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()).ok()? <= SMALL).then_some(bytes)
}

/// A path as git writes it.
pub(crate) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

/// The folders in a folder; links are not followed.
pub(crate) fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// A path of `alternates` may be quoted as C does.
fn unquote(line: &[u8]) -> Vec<u8> {
    let Some(quoted) = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")) else { return line.to_vec() };
    let mut out = Vec::new();
    let mut bytes = quoted.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(digit @ b'0'..=b'7') => {
                let mut value = digit - b'0';
                while let Some(digit) = bytes.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                    value = value.wrapping_mul(8).wrapping_add(digit - b'0');
                }
                out.push(value);
            }
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(byte) => out.push(byte),
            None => {}
        }
    }
    out
}

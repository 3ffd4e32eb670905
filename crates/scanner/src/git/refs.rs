//! What leads to commits: references, `HEAD` and its like, reflogs.

use super::{
    id::Id,
    repository::{Repository, Worktree, folders, small},
};
use crate::Cause;
use rustc_hash::FxHashMap;
use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// How deep folders of references and reflogs are read.
const DEPTH: usize = 32;

/// A name that leads to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ref {
    pub(crate) name: Box<[u8]>,
    pub(crate) target: Id,
}

/// Everything that leads to an object.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    /// References, and the `HEAD` of each worktree.
    pub(crate) refs: Vec<Ref>,
    /// `ORIG_HEAD`, `FETCH_HEAD`, `MERGE_HEAD` and the like: what git does not count as leading anywhere.
    pub(crate) fleeting: Vec<Ref>,
    /// The lines of reflogs, by the reference's name.
    pub(crate) logs: Vec<Ref>,
    /// What could not be read.
    pub(crate) broken: Vec<(PathBuf, Cause, &'static str)>,
}

impl Refs {
    /// Reads them all.
    pub(crate) fn read(repository: &Repository, worktrees: &[Worktree]) -> Self {
        let mut refs = Self::default();
        let packed = small(&repository.common.join("packed-refs")).unwrap_or_default();
        for line in packed.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")) {
            let hex = line.strip_prefix(b"^").unwrap_or(line).get(..2 * repository.format.len());
            let name = line.get(2 * repository.format.len() + 1..).unwrap_or_default();
            if let Some(target) = hex.and_then(Id::from_hex) {
                refs.refs.push(Ref { name: name.into(), target });
            } else if !line.is_empty() {
                refs.broken.push((
                    repository.common.join("packed-refs"),
                    Cause::Corrupt,
                    "a line that is no reference",
                ));
            }
        }
        if repository.has_foreign_refs() {
            let why = "the references and reflogs are kept in a form that is not read here: what leads to commits is not \
                       known, and the messages of reflogs were not scanned";
            refs.broken.push((repository.common.join("reftable"), Cause::Unsupported, why));
        }
        for worktree in worktrees {
            let own = &worktree.own;
            refs.folder(&own.join("refs"), b"refs", 0);
            refs.heads(own);
            refs.logs(&own.join("logs"), b"", 0);
        }
        refs
    }

    /// The object that a name leads to, by git's order of looking names up.
    pub(crate) fn find(&self, repository: &Repository, name: &[u8]) -> Option<Id> {
        self.find_deep(&repository.own, name, 0)
    }

    /// The references whose objects are not here. A packed one counts only where no loose one took its place: what it
    /// led to may have been tidied away since.
    pub(crate) fn astray<'r>(&'r self, has: impl Fn(&Id) -> bool + 'r) -> impl Iterator<Item = &'r Ref> {
        let last: FxHashMap<&[u8], &Id> = self.refs.iter().map(|one| (&*one.name, &one.target)).collect();
        self.refs.iter().filter(move |one| {
            let counts = &*one.name == b"HEAD" || last.get(&*one.name).is_some_and(|target| **target == one.target);
            !one.name.is_empty() && counts && !has(&one.target)
        })
    }

    fn find_deep(&self, own: &Path, name: &[u8], depth: usize) -> Option<Id> {
        if depth > 5 || name.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
            return None;
        }
        if name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
            && let Some(text) = small(&own.join(super::repository::path(name)))
        {
            return match text.strip_prefix(b"ref:") {
                Some(name) => self.find_deep(own, name.trim_ascii(), depth + 1),
                None => first_id(&text),
            };
        }
        let forms: [(&[u8], &[u8]); 6] = [
            (b"", b""),
            (b"refs/", b""),
            (b"refs/tags/", b""),
            (b"refs/heads/", b""),
            (b"refs/remotes/", b""),
            (b"refs/remotes/", b"/HEAD"),
        ];
        forms.iter().find_map(|(before, after)| {
            let full = [before, name, after].concat();
            // Loose references come after packed ones, and are newer.
            self.refs.iter().rev().find(|one| *one.name == *full).map(|one| one.target)
        })
    }

    fn folder(&mut self, folder: &Path, name: &[u8], depth: usize) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let full = [name, b"/", entry.file_name().as_bytes()].concat();
            let path = entry.path();
            if path.is_dir() {
                if depth < DEPTH && !path.is_symlink() {
                    self.folder(&path, &full, depth + 1);
                }
                continue;
            }
            let Some(text) = small(&path) else { continue };
            if text.starts_with(b"ref:") || full.ends_with(b".lock") {
                continue;
            }
            match first_id(&text) {
                Some(target) => self.refs.push(Ref { name: full.into(), target }),
                None => self.broken.push((path, Cause::Corrupt, "a reference that leads nowhere")),
            }
        }
    }

    fn heads(&mut self, own: &Path) {
        for entry in fs::read_dir(own).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.as_bytes();
            if name.len() < 4 || !name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_') {
                continue;
            }
            for line in small(&entry.path()).unwrap_or_default().split(|byte| *byte == b'\n') {
                let Some(target) = first_id(line) else { continue };
                let to = if name == b"HEAD" { &mut self.refs } else { &mut self.fleeting };
                to.push(Ref { name: name.into(), target });
            }
        }
    }

    fn logs(&mut self, folder: &Path, name: &[u8], depth: usize) {
        for path in folders(folder) {
            if depth < DEPTH {
                let name = [name, path.file_name().unwrap_or_default().as_bytes(), b"/"].concat();
                self.logs(&path, &name, depth + 1);
            }
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(text) = small(&entry.path()) else { continue };
            let name: Box<[u8]> = [name, entry.file_name().as_bytes()].concat().into();
            for line in text.split(|byte| *byte == b'\n') {
                let mut ids = line.splitn(3, |byte| *byte == b' ');
                for target in [ids.next(), ids.next()].into_iter().flatten().filter_map(Id::from_hex) {
                    if !target.is_zero() {
                        self.logs.push(Ref { name: name.clone(), target });
                    }
                }
            }
        }
    }
}

/// The id that a text begins with.
fn first_id(text: &[u8]) -> Option<Id> {
    let end = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    Id::from_hex(text.get(..end)?).filter(|id| !id.is_zero())
}

//! What is staged: the index against the last commit.

use super::{
    attribute::Graph,
    births::{Births, NOWHERE},
    contents::place,
    gather::told,
    id::Id,
    index::Index,
    object::{CommitHead, Kind, entries},
    objects::{Objects, Reader},
    pack::Fault,
    refs::Refs,
    repository::{Repository, Worktree},
};
use crate::{Cause, Missed, Outcome, Scan, Where};
use rustc_hash::FxHashMap;
use std::collections::HashSet;

/// How deep folders are followed.
const DEPTH: usize = 1_000;

impl Scan<'_> {
    /// Scans what the index has and the last commit has not.
    pub(crate) fn stage(&self, repository: &Repository) -> Outcome {
        let mut outcome = Outcome::default();
        let index = match &repository.index {
            Some(path) => Index::read_at(path, &repository.own, repository.format),
            None => Index::read(&repository.own, repository.format),
        };
        let Some(index) = index else { return outcome };
        let mut missed = repository.odd_files();
        if let Some(detail) = index.broken {
            missed.push(Missed {
                place: place(Where::Index, b"index", None),
                cause: Cause::Corrupt,
                detail: detail.into(),
            });
        }
        let (folders, _) = repository.object_folders();
        let objects = Objects::open(folders, repository.format);
        missed.extend(objects.no_files());
        let last = last(repository, &objects);
        let mut committed = Committed {
            objects: &objects,
            folders: folders_of(&index),
            same: index.trees.iter().map(|(path, id)| (&**path, *id)).collect(),
            equal: HashSet::new(),
            blobs: FxHashMap::default(),
            reader: Reader::default(),
        };
        if let Some(tree) = last {
            committed.tree(tree, b"", 0);
        }
        let mut births = Births::new(self, &objects, Reader::default(), &mut missed);
        let mut folder: (&[u8], bool) = (b"", committed.has_all(b""));
        for entry in index.entries.iter().filter(|entry| !entry.intent) {
            let of = memchr::memrchr(b'/', &entry.path).and_then(|at| entry.path.get(..at)).unwrap_or_default();
            if of != folder.0 {
                folder = (of, committed.has_all(of));
            }
            let known = committed.blobs.get(&entry.path);
            if (folder.1 && entry.stage == 0) || known == Some(&entry.id) {
                continue;
            }
            births.put_names(&entry.path, entry.is_folder() || entry.is_gitlink(), NOWHERE);
            if entry.is_folder() {
                let mut path = entry.path.strip_suffix(b"/").unwrap_or(&entry.path).to_vec();
                let others: Vec<Id> = committed.blobs.get(&*path).copied().into_iter().collect();
                births.tree(entry.id, &others, &mut path, NOWHERE, 0);
            } else if !entry.is_gitlink() {
                births.put(entry.id, &entry.path, NOWHERE);
            }
        }
        let born = births.finish();
        let contents = self.look_into(&objects, &born);
        let before = |_| last.into_iter().collect();
        self.finish(contents, &objects, &Graph::default(), Where::Index, &born, before, &mut outcome);
        told(missed, &mut outcome);
        outcome
    }
}

/// The tree of the last commit; none before the first.
fn last(repository: &Repository, objects: &Objects) -> Option<Id> {
    let worktree = Worktree { own: repository.own.clone(), work: None };
    let refs = Refs::read(repository, &[worktree, Worktree { own: repository.common.clone(), work: None }]);
    let head = refs.find(repository, b"HEAD")?;
    let commit = objects.read_as(&head, Kind::Commit, &mut Reader::default()).ok()?;
    Some(CommitHead::parse(commit.bytes())?.tree)
}

/// The folders that an index has something in.
fn folders_of(index: &Index) -> HashSet<&[u8]> {
    let mut folders = HashSet::new();
    for entry in &index.entries {
        for at in memchr::memrchr_iter(b'/', &entry.path) {
            // What lies above one that was met was met as well.
            if !entry.path.get(..at).is_some_and(|folder| folders.insert(folder)) {
                break;
            }
        }
    }
    folders
}

/// What the last commit has where the index may differ from it.
struct Committed<'c> {
    objects: &'c Objects,
    /// The folders that the index has: no others are listed.
    folders: HashSet<&'c [u8]>,
    /// The trees that stand for the index's folders.
    same: FxHashMap<&'c [u8], Id>,
    /// The folders that are as the last commit has them.
    equal: HashSet<Vec<u8>>,
    blobs: FxHashMap<Box<[u8]>, Id>,
    reader: Reader,
}

impl Committed<'_> {
    fn tree(&mut self, tree: Id, path: &[u8], depth: usize) {
        if self.same.get(path) == Some(&tree) {
            self.equal.insert(path.to_vec());
            return;
        }
        // What cannot be read counts as not there: then more is scanned, not less.
        let read = self.objects.read_as(&tree, Kind::Tree, &mut self.reader).map_err(|_: Fault| ());
        let Ok(bytes) = read else { return };
        for entry in entries(bytes.bytes(), self.objects.format).flatten() {
            let path = if path.is_empty() { entry.name.to_vec() } else { [path, b"/", entry.name].concat() };
            self.blobs.insert(path.as_slice().into(), entry.id);
            if entry.is_tree() && depth < DEPTH && self.folders.contains(&*path) {
                self.tree(entry.id, &path, depth + 1);
            }
        }
    }

    /// Whether a folder is within one that is as the last commit has it.
    fn has_all(&self, folder: &[u8]) -> bool {
        let above = memchr::memrchr_iter(b'/', folder).filter_map(|at| folder.get(..at));
        let mut all = above.chain([folder, b""]);
        !self.equal.is_empty() && all.any(|folder| self.equal.contains(folder))
    }
}

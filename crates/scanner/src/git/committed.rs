//! Reads a file out of commits: where nobody works, no folder has it.

use super::{
    Hook,
    id::Id,
    object::{CommitHead, Kind, entries},
    objects::{Objects, Reader},
    refs::Refs,
    repository::Repository,
    revision::Revisions,
};
use std::path::Path;

/// A file as commits have it: each version once, with the commit's id. The commits are those that the ids lead to, which
/// may be tags; without any, the one that `HEAD` leads to, if nobody works in the repository. What is not there, or cannot
/// be read, is left out.
#[must_use]
pub fn committed(folder: &Path, ids: Option<&[String]>, path: &str, hook: &Hook) -> Vec<(Box<str>, Vec<u8>)> {
    let Ok(mut repository) = Repository::discover(folder) else { return Vec::new() };
    if ids.is_none() && repository.work.is_some() {
        return Vec::new();
    }
    repository.more.clone_from(&hook.objects);
    let objects = Objects::open(repository.object_folders().0, repository.format);
    let refs = Refs::read(&repository, &repository.worktrees());
    let revisions = Revisions { repository: &repository, objects: &objects, refs: &refs };
    let mut reader = Reader::default();
    let commits: Vec<Id> = match ids {
        Some(ids) => {
            let ids = ids.iter().filter_map(|id| Id::from_hex(id.as_bytes()));
            ids.filter_map(|id| revisions.commit(id, &mut reader)).collect()
        }
        None => revisions.find("HEAD", &mut reader).into_iter().collect(),
    };
    let (mut known, mut files) = (Vec::new(), Vec::new());
    for commit in commits {
        let Some(blob) = blob(&objects, &commit, path, &mut reader) else { continue };
        if !known.contains(&blob) {
            known.push(blob);
            let read = objects.read_as(&blob, Kind::Blob, &mut reader);
            files.extend(read.map(|bytes| (commit.hex(), bytes.bytes().to_vec())));
        }
    }
    files
}

/// The file that a commit has at a path. A link is none.
fn blob(objects: &Objects, commit: &Id, path: &str, reader: &mut Reader) -> Option<Id> {
    let mut id = CommitHead::parse(objects.read_as(commit, Kind::Commit, reader).ok()?.bytes())?.tree;
    let mut is_file = false;
    for name in path.split('/') {
        let bytes = objects.read_as(&id, Kind::Tree, reader).ok()?;
        let mut entries = entries(bytes.bytes(), objects.format).flatten();
        let entry = entries.find(|entry| entry.name == name.as_bytes())?;
        is_file = entry.mode & 0o170_000 == 0o100_000;
        id = entry.id;
    }
    is_file.then_some(id)
}

//! A whole repository: its objects, its own folder, its work trees, and the repositories within it.

use super::{
    attribute::{Graph, Root, Spot, spots},
    contents::{Contents, place},
    gather::{Gather, told},
    id::Id,
    index::Index,
    names::{Names, Targets, steps},
    object::Kind,
    objects::{Objects, Source},
    refs::Refs,
    repository::{Repository, Worktree, git_folder, is_git_folder},
    trees::Forest,
};
use crate::{Cause, Missed, Outcome, Scan, Walk, Where};
use rustc_hash::FxHashMap;
use std::{
    collections::HashSet,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// How often objects are looked for anew that came while others were read.
const ROUNDS: usize = 4;

/// How deep repositories may lie within each other, and folders in a work tree.
const NESTED: usize = 16;
const FOLDERS: usize = 1_000;

/// Where the scan began, and which repositories it has seen.
struct Tour {
    /// Paths are told from here.
    root: PathBuf,
    seen: HashSet<PathBuf>,
}

impl Scan<'_> {
    /// Scans a repository and everything in it.
    pub(crate) fn whole(&self, repository: &Repository) -> Outcome {
        let root = repository.work.clone().unwrap_or_else(|| repository.common.clone());
        let mut tour = Tour { root, seen: HashSet::new() };
        let mut outcome = Outcome::default();
        for worktree in self.repository(repository, b"", &mut tour, &mut outcome, 0) {
            self.work(&worktree, &mut tour, &mut outcome);
        }
        if self.progress.is_stopped() {
            let place = place(Where::Blob, b"", None);
            outcome.missed.push(Missed { place, cause: Cause::Stopped, detail: "the scan was stopped".into() });
        }
        outcome
    }

    /// Scans the files of the only work tree that is looked at.
    pub(crate) fn work_tree(&self, folder: &Path, outcome: &mut Outcome) {
        let found = self.paths(&[folder.to_owned()], &Walk::default());
        outcome.take(found, folder, folder);
    }

    /// Scans the files of a work tree, and the repositories in it.
    fn work(&self, folder: &Path, tour: &mut Tour, outcome: &mut Outcome) {
        let found = self.paths(&[folder.to_owned()], &Walk::default());
        outcome.take(found, folder, &tour.root);
        let mut inner = Vec::new();
        repositories(folder, 0, &mut inner);
        for inner in inner {
            self.inner(&inner, tour, outcome);
        }
    }

    /// Scans the objects and the own folder of a repository, and of its submodules. Its work trees are given back.
    fn repository(
        &self,
        repository: &Repository,
        prefix: &[u8],
        tour: &mut Tour,
        outcome: &mut Outcome,
        depth: usize,
    ) -> Vec<PathBuf> {
        if !tour.seen.insert(repository.common.clone()) {
            return Vec::new();
        }
        let worktrees = repository.worktrees();
        self.objects(repository, &worktrees, prefix, outcome);
        let mut shown = tour.show(&repository.common);
        if !shown.is_empty() {
            shown.push(b'/');
        }
        self.folder(&repository.common, &shown, outcome);
        let modules = repository.modules();
        self.gitlinks(&worktrees, repository, &modules, prefix, outcome);
        for (name, folder) in modules {
            let Ok(module) = Repository::open(&folder, None).map_err(|error| {
                let place = place(Where::Config, &tour.show(&folder), None);
                outcome.missed.push(Missed { place, cause: Cause::Unsupported, detail: error.to_string().into() });
            }) else {
                continue;
            };
            if depth >= NESTED {
                let place = place(Where::Config, &tour.show(&folder), None);
                outcome.missed.push(Missed {
                    place,
                    cause: Cause::TooDeep,
                    detail: "a submodule of a submodule".into(),
                });
                continue;
            }
            let work = module.work.as_deref().and_then(|work| work.strip_prefix(&tour.root).ok());
            let prefix = match work {
                Some(work) => [work.as_os_str().as_bytes(), b"/"].concat(),
                None => [prefix, name.as_os_str().as_bytes(), b"/"].concat(),
            };
            self.repository(&module, &prefix, tour, outcome, depth + 1);
        }
        worktrees.into_iter().filter_map(|worktree| worktree.work).collect()
    }

    /// Scans a repository that lies in a work tree.
    fn inner(&self, dot_git: &Path, tour: &mut Tour, outcome: &mut Outcome) {
        let shown = tour.show(dot_git);
        let miss =
            |cause, detail: &str| Missed { place: place(Where::Config, &shown, None), cause, detail: detail.into() };
        let Some(own) = git_folder(dot_git) else {
            if dot_git.is_dir() && !dot_git.is_symlink() {
                // It is only called so.
                return self.folder(dot_git, &[&*shown, b"/"].concat(), outcome);
            }
            return outcome.missed.push(miss(Cause::Absent, "it leads to no repository"));
        };
        let work = dot_git.parent().unwrap_or(dot_git);
        match Repository::open(&own, Some(work)) {
            Ok(repository) if tour.seen.contains(&repository.common) => {}
            Ok(repository) if dot_git.file_name().is_some_and(|name| name != ".git") => {
                // A bare one: its own files were scanned with the work tree.
                if tour.seen.insert(repository.common.clone()) {
                    self.objects(&repository, &[], &[&*shown, b"/"].concat(), outcome);
                }
            }
            Ok(repository) if repository.common.starts_with(&tour.root) => {
                let prefix = [&*tour.show(work), b"/"].concat();
                self.repository(&repository, &prefix, tour, outcome, 1);
            }
            Ok(_) => outcome.missed.push(miss(Cause::Special, "its repository lies outside of this one")),
            Err(error) => outcome.missed.push(miss(Cause::Unsupported, &error.to_string())),
        }
    }

    /// Scans all objects.
    fn objects(&self, repository: &Repository, worktrees: &[Worktree], prefix: &[u8], outcome: &mut Outcome) {
        let (folders, absent) = repository.object_folders();
        let mut missed: Vec<Missed> = Vec::new();
        for folder in absent {
            let place = place(Where::Config, folder.as_os_str().as_bytes(), None);
            missed.push(Missed {
                place,
                cause: Cause::Absent,
                detail: "the objects it should have are not here".into(),
            });
        }
        let mut objects = Objects::open(folders, repository.format);
        let (contents, source) = self.sweep(&mut objects);
        for (path, fault) in &objects.broken {
            let place = place(Where::Config, path.as_os_str().as_bytes(), None);
            missed.push(Missed { place, cause: fault.cause, detail: fault.detail.clone() });
        }
        let refs = Refs::read(repository, worktrees);
        for (path, cause, detail) in &refs.broken {
            let place = place(Where::Config, path.as_os_str().as_bytes(), None);
            missed.push(Missed { place, cause: *cause, detail: (*detail).into() });
        }
        let indexes = indexes(repository, worktrees, prefix, &mut missed);
        let roots = roots(&refs, &contents);
        let graph = Graph::new(contents.commits, &roots);
        let mut targets = Targets::default();
        contents.blobs.iter().for_each(|blob| targets.add(blob.id));
        let mut names = Names::new(self.matcher);
        let mut forest = Forest::read(&objects, &targets, Some(&mut names), self.threads, self.progress);
        for entry in indexes.iter().flat_map(|index| &index.entries) {
            steps(&entry.path, false).for_each(|(name, _, _)| _ = names.is_secret(name));
        }
        missed.extend(names.missed());
        let mut lacking = std::mem::take(&mut forest.missing);
        let named =
            indexes.iter().flat_map(|index| &index.entries).filter(|entry| !entry.is_gitlink() && !entry.intent);
        lacking.extend(named.map(|entry| entry.id).filter(|id| !objects.has(id)));
        lacking.sort_unstable();
        lacking.dedup();
        let places = if repository.config.is_partial() { &[][..] } else { &lacking[..] };
        if !places.is_empty() || !names.is_empty() {
            places.iter().for_each(|id| targets.add(*id));
            names.take().into_iter().for_each(|name| targets.add_name(name));
            // The first is gone before the second grows.
            drop(forest);
            forest = Forest::read(&objects, &targets, None, self.threads, self.progress);
        }
        objects.forget();
        missed.extend(forest.broken.iter().filter(|id| !source.failed().contains(id)).map(|id| {
            let place = place(Where::Blob, id.hex().as_bytes(), Some(id));
            Missed { place, cause: Cause::Corrupt, detail: "a tree that makes no sense".into() }
        }));
        let spots = spots(&graph, &forest, &roots, &indexes, &targets);
        missed.extend(absences(repository, &objects, &graph, &lacking, &spots_of(&spots, &targets.blobs), prefix));
        let astray = refs.astray(|id| objects.has(id)).filter(|_| !repository.config.is_partial());
        missed.extend(astray.map(|one| Missed {
            place: place(Where::Blob, &one.name, Some(&one.target)),
            cause: Cause::Absent,
            detail: "a reference to an object that is not here".into(),
        }));
        let mut told_of = HashSet::new();
        let failed = contents.missed.into_iter().filter(|(id, one)| {
            id.is_none_or(|id| (source.failed().contains(&id) || one.cause == Cause::TooLarge) && told_of.insert(id))
        });
        missed.extend(failed.map(|(_, missed)| missed));
        let mut gather = Gather::new(&objects, &graph, prefix);
        for (blob, spots) in contents.blobs.into_iter().zip(&spots) {
            gather.blob(blob, spots);
        }
        for (name, target) in targets.names() {
            let spots = usize::try_from(target).ok().and_then(|at| spots.get(at)).map_or(&[][..], Vec::as_slice);
            gather.name(self.matcher, &name, spots, forest.called(target));
        }
        for words in contents.words {
            let name = refs.refs.iter().find(|one| one.target == words.id).map(|one| &*one.name);
            gather.words(words, name);
        }
        gather.finish(outcome);
        told(missed, outcome);
        outcome.stats.items += contents.stats.items;
        outcome.stats.bytes += contents.stats.bytes;
        outcome.stats.commits += contents.stats.commits;
    }

    /// Looks into all blobs, commits and tags; then into those that came meanwhile.
    fn sweep<'s>(&'s self, objects: &mut Objects) -> (Contents<'s>, Source) {
        let kinds = [Kind::Blob, Kind::Commit, Kind::Tag];
        let mut threads: Vec<Contents<'_>> = (0..self.threads.max(1)).map(|_| Contents::new(self)).collect();
        let mut source = Source::default();
        for _ in 0..ROUNDS {
            let before: u64 = threads.iter().map(|thread| thread.stats.items).sum();
            let (packs, failed) = (objects.packs.len(), source.failed().len());
            objects.each(&kinds, &mut source, &mut threads);
            objects.refresh();
            let after: u64 = threads.iter().map(|thread| thread.stats.items).sum();
            let settled = before == after || (packs == objects.packs.len() && failed == source.failed().len());
            if self.progress.is_stopped() || settled && packs == objects.packs.len() {
                break;
            }
        }
        let mut all = Contents::new(self);
        threads.into_iter().for_each(|thread| all.join(thread));
        all.commits.sort_unstable_by_key(|(id, _)| *id);
        all.commits.dedup_by_key(|(id, _)| *id);
        all.blobs.sort_by_key(|blob| blob.id);
        all.blobs.dedup_by_key(|blob| blob.id);
        all.words.sort_by_key(|words| words.id);
        (all, source)
    }

    /// Tells of submodules that are neither checked out nor kept.
    fn gitlinks(
        &self,
        worktrees: &[Worktree],
        repository: &Repository,
        modules: &[(PathBuf, PathBuf)],
        prefix: &[u8],
        outcome: &mut Outcome,
    ) {
        for worktree in worktrees {
            let index = Index::read(&worktree.own, repository.format).unwrap_or_default();
            for entry in index.entries.iter().filter(|entry| entry.is_gitlink()) {
                let path = super::repository::path(&entry.path);
                let here = worktree.work.as_ref().map(|work| work.join(&path));
                let out = here.as_ref().is_some_and(|here| git_folder(&here.join(".git")).is_some());
                let kept = modules.iter().any(|(name, folder)| {
                    let work = || Repository::open(folder, None).ok().and_then(|module| module.work);
                    *name == path || (here.is_some() && work() == here)
                });
                if !out && !kept {
                    let place = place(Where::Index, &[prefix, &entry.path].concat(), Some(&entry.id));
                    let detail = "a submodule that is not checked out".into();
                    outcome.missed.push(Missed { place, cause: Cause::Absent, detail });
                }
            }
        }
    }
}

impl Tour {
    /// A path as it is told: from where the scan began, if it lies there.
    fn show(&self, path: &Path) -> Vec<u8> {
        path.strip_prefix(&self.root).unwrap_or(path).as_os_str().as_bytes().to_vec()
    }
}

impl Outcome {
    /// Takes over what was found below a folder; paths are told from the root, if it lies there.
    fn take(&mut self, mut found: Self, folder: &Path, root: &Path) {
        let shorten = |path: &mut Box<[u8]>| {
            let full = super::repository::path(path);
            if let Ok(short) = full.strip_prefix(root)
                && folder.starts_with(root)
            {
                *path = short.as_os_str().as_bytes().into();
            }
        };
        found.findings.iter_mut().for_each(|finding| shorten(&mut finding.place.path));
        found.missed.iter_mut().for_each(|missed| shorten(&mut missed.place.path));
        self.findings.append(&mut found.findings);
        self.missed.append(&mut found.missed);
        self.stats.items += found.stats.items;
        self.stats.bytes += found.stats.bytes;
    }
}

/// The indexes of all worktrees.
fn indexes(repository: &Repository, worktrees: &[Worktree], prefix: &[u8], missed: &mut Vec<Missed>) -> Vec<Index> {
    let indexes = worktrees.iter().filter_map(|worktree| Index::read(&worktree.own, repository.format));
    let indexes: Vec<Index> = indexes.collect();
    missed.extend(indexes.iter().filter_map(|index| index.broken).map(|detail| Missed {
        place: place(Where::Index, &[prefix, b"index"].concat(), None),
        cause: Cause::Corrupt,
        detail: detail.into(),
    }));
    indexes
}

/// What leads to objects, and as what they then count.
fn roots(refs: &Refs, contents: &Contents<'_>) -> Vec<Root> {
    let tags: FxHashMap<Id, Id> = contents.tags.iter().map(|(id, head)| (*id, head.target)).collect();
    let peel = |id: Id| {
        let mut id = id;
        // Tags can be tagged.
        for _ in 0..32 {
            id = tags.get(&id).copied().unwrap_or(id);
        }
        id
    };
    let class = |name: &[u8], other: Where| match name {
        b"refs/stash" => Where::Stash,
        _ if name.starts_with(b"refs/notes/") => Where::Note,
        _ => other,
    };
    let named = refs.refs.iter().map(|one| (class(&one.name, Where::Blob), peel(one.target), one.name.clone()));
    let fleeting = refs.fleeting.iter().map(|one| (Where::Reflog, peel(one.target), one.name.clone()));
    let logged = refs.logs.iter().map(|one| {
        let kind = if &*one.name == b"refs/stash" { Where::Stash } else { Where::Reflog };
        (kind, peel(one.target), one.name.clone())
    });
    named.chain(fleeting).chain(logged).collect()
}

/// The places of each object that was looked for, by its id.
fn spots_of<'s>(spots: &'s [Vec<Spot>], targets: &FxHashMap<Id, u32>) -> FxHashMap<Id, &'s [Spot]> {
    let of = |at: u32| usize::try_from(at).ok().and_then(|at| spots.get(at)).map_or(&[][..], Vec::as_slice);
    targets.iter().map(|(id, at)| (*id, of(*at))).collect()
}

/// Tells of what something leads to and what is not here.
fn absences(
    repository: &Repository,
    objects: &Objects,
    graph: &Graph,
    lacking: &[Id],
    spots: &FxHashMap<Id, &[Spot]>,
    prefix: &[u8],
) -> Vec<Missed> {
    let mut missed = Vec::new();
    let mut absent = |path: &[u8], id: Option<&Id>, detail: String| {
        let place = place(Where::Blob, path, id);
        missed.push(Missed { place, cause: Cause::Absent, detail: detail.into() });
    };
    let (parents, trees) = graph.absent(|id| objects.has(id));
    let shallow = repository.shallow();
    if shallow > 0 {
        absent(b"", None, format!("a shallow clone: what came before {shallow} of its commits is not here"));
    } else {
        parents.iter().for_each(|id| absent(id.hex().as_bytes(), Some(id), "a commit that is not here".to_owned()));
    }
    if repository.config.is_partial() {
        let count = lacking.iter().chain(&trees).collect::<HashSet<_>>().len();
        if count > 0 {
            absent(b"", None, format!("a partial clone: {count} of its objects are not here"));
        }
        return missed;
    }
    trees.iter().for_each(|id| absent(id.hex().as_bytes(), Some(id), "a tree that is not here".to_owned()));
    for id in lacking.iter().filter(|id| !trees.contains(id)) {
        // What nothing leads to may have been left out when the repository was tidied.
        if let Some(spot) =
            spots.get(id).and_then(|spots| spots.first()).filter(|spot| spot.place != Where::Unreachable)
        {
            absent(&[prefix, &spot.path].concat(), Some(id), "an object that is not here".to_owned());
        }
    }
    missed
}

/// The `.git` of all repositories below a folder, but not its own.
fn repositories(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name() == ".git" {
            if depth > 0 {
                found.push(path);
            }
        } else if depth < FOLDERS && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if is_git_folder(&path) && path.join("objects").is_dir() {
                found.push(path);
                continue;
            }
            repositories(&path, depth + 1, found);
        }
    }
}

//! Finds what commits brought: the blobs that none of their parents has at the same path, and the names.

use super::{
    attribute::Graph,
    contents::place,
    id::Id,
    inflate::Buffer,
    names::{Name, Names, steps},
    object::{CommitHead, Kind, entries},
    objects::{Objects, Reader},
    pack::Fault,
};
use crate::{Cause, Missed, Progress, Scan, Where};
use rustc_hash::{FxHashMap, FxHasher};
use std::{
    collections::{BTreeMap, HashSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// How deep folders are followed.
const DEPTH: usize = 1_000;

/// How often one commit may have the same folder. A few small trees can be made to hold more paths than can be counted.
const PLACES: u32 = 1_000;

/// How many entries of folders that were listed already are listed once more, over all commits.
const AGAIN: usize = 250_000;

/// How many folders of one commit are compared with others.
const PAIRS: usize = 4_000_000;

/// What stands for a commit where there is none.
pub(crate) const NOWHERE: usize = usize::MAX;

/// Paths that something was born at, and by which commits.
type Paths = BTreeMap<Arc<[u8]>, Vec<usize>>;

/// What was born.
#[derive(Debug, Default)]
pub(crate) struct Born {
    pub(crate) blobs: BTreeMap<Id, Paths>,
    /// Names that are secrets.
    pub(crate) names: BTreeMap<Name, Paths>,
}

/// Finds what commits brought.
pub(crate) struct Births<'b> {
    objects: &'b Objects,
    reader: Reader,
    progress: &'b Progress,
    born: Born,
    names: Names<'b>,
    missed: &'b mut Vec<Missed>,
    /// Trees that were told as missed.
    odd: HashSet<Id>,
    /// How often a tree was met beside the same others, within one commit.
    met: FxHashMap<(Id, u64), u32>,
    /// How many entries may still be listed once more.
    again: usize,
}

impl<'b> Births<'b> {
    pub(crate) fn new(scan: &Scan<'b>, objects: &'b Objects, reader: Reader, missed: &'b mut Vec<Missed>) -> Self {
        let (born, odd, met) = (Born::default(), HashSet::new(), FxHashMap::default());
        let (progress, names) = (scan.progress, Names::new(scan.matcher));
        Self { objects, reader, progress, born, names, missed, odd, met, again: AGAIN }
    }

    /// All that was born.
    pub(crate) fn finish(self) -> Born {
        self.missed.extend(self.names.missed());
        self.born
    }

    /// Finds what a commit brought.
    pub(crate) fn commit(&mut self, graph: &Graph, at: usize) {
        let Some((_, head)) = graph.commit(at) else { return };
        let parents = parents(self.objects, &mut self.reader, graph, at);
        self.met.clear();
        self.tree(head.tree, &parents, &mut Vec::new(), at, 0);
    }

    /// Takes a blob that was born at a path.
    pub(crate) fn put(&mut self, blob: Id, path: &[u8], at: usize) {
        self.born.blobs.entry(blob).or_default().entry(Arc::from(path)).or_default().push(at);
    }

    /// Takes the names of a path that are secrets.
    pub(crate) fn put_names(&mut self, path: &[u8], is_folder: bool, at: usize) {
        for (name, is_folder, end) in steps(path, is_folder) {
            self.put_name(name, is_folder, path.get(..end).unwrap_or_default(), at);
        }
    }

    /// Takes a name, if it is a secret.
    fn put_name(&mut self, name: &[u8], is_folder: bool, path: &[u8], at: usize) {
        if !self.names.is_secret(name) {
            return;
        }
        let name = Name { text: name.into(), is_folder };
        let commits = self.born.names.entry(name).or_default().entry(Arc::from(path)).or_default();
        if commits.last() != Some(&at) {
            commits.push(at);
        }
    }

    /// Finds the blobs of a tree that none of the others has at the same path.
    pub(crate) fn tree(&mut self, tree: Id, others: &[Id], path: &mut Vec<u8>, at: usize, depth: usize) {
        if others.contains(&tree) || self.progress.is_stopped() {
            return;
        }
        let Some(bytes) = self.read(&tree, depth) else { return };
        if !self.goes_on(&tree, others, bytes.bytes().len()) {
            let detail = "a folder that is there too often: not all of its places are listed".into();
            return self.miss(&tree, &Fault { cause: Cause::TooDeep, detail });
        }
        let mut known: FxHashMap<Vec<u8>, Vec<(Id, bool)>> = FxHashMap::default();
        for other in others {
            let Some(bytes) = self.read(other, depth) else { continue };
            for entry in entries(bytes.bytes(), self.objects.format).flatten() {
                known.entry(entry.name.to_vec()).or_default().push((entry.id, entry.is_tree()));
            }
        }
        for entry in entries(bytes.bytes(), self.objects.format) {
            let Ok(entry) = entry else {
                self.miss(&tree, &Fault::corrupt("a tree that makes no sense"));
                break;
            };
            let known = known.get(entry.name).map_or(&[][..], Vec::as_slice);
            if known.iter().any(|(id, _)| *id == entry.id) {
                continue;
            }
            let len = path.len();
            if len > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(entry.name);
            if known.is_empty() {
                self.put_name(entry.name, entry.is_folder(), path, at);
            }
            if entry.is_tree() {
                let others: Vec<Id> = known.iter().filter(|(_, tree)| *tree).map(|(id, _)| *id).collect();
                self.tree(entry.id, &others, path, at, depth + 1);
            } else if !entry.is_gitlink() {
                self.put(entry.id, path, at);
            }
            path.truncate(len);
        }
    }

    /// Whether a tree of so many bytes is listed. The first time it always is: so each of its blobs has a place.
    fn goes_on(&mut self, tree: &Id, others: &[Id], bytes: usize) -> bool {
        let mut hasher = FxHasher::default();
        others.hash(&mut hasher);
        let pairs = self.met.len();
        let times = self.met.entry((*tree, hasher.finish())).or_insert(0);
        *times += 1;
        if *times == 1 {
            return pairs < PAIRS;
        }
        let cost = bytes / (self.objects.format.len() + 4);
        let goes_on = *times <= PLACES && cost <= self.again;
        self.again -= if goes_on { cost } else { 0 };
        goes_on
    }

    fn read(&mut self, tree: &Id, depth: usize) -> Option<Buffer> {
        if depth > DEPTH {
            let fault = Fault { cause: Cause::TooDeep, detail: "folders within folders".into() };
            self.miss(tree, &fault);
            return None;
        }
        match self.objects.read_as(tree, Kind::Tree, &mut self.reader) {
            Ok(buffer) => Some(buffer),
            Err(fault) => {
                self.miss(tree, &fault);
                None
            }
        }
    }

    fn miss(&mut self, tree: &Id, fault: &Fault) {
        if self.odd.insert(*tree) {
            let place = place(Where::Blob, tree.hex().as_bytes(), Some(tree));
            self.missed.push(Missed { place, cause: fault.cause, detail: fault.detail.clone() });
        }
    }
}

/// The trees of a commit's parents, as far as they are here.
pub(crate) fn parents(objects: &Objects, reader: &mut Reader, graph: &Graph, at: usize) -> Vec<Id> {
    let parents = graph.commit(at).map(|(_, head)| &*head.parents).unwrap_or_default();
    let mut trees = Vec::new();
    for parent in parents {
        let tree = graph.number(parent).and_then(|at| graph.commit(at)).map(|(_, head)| head.tree);
        trees.extend(tree.or_else(|| {
            let commit = objects.read_as(parent, Kind::Commit, reader).ok()?;
            Some(CommitHead::parse(commit.bytes())?.tree)
        }));
    }
    trees
}

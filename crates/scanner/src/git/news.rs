//! What is new of what was seen. A file that changes brings what it did not have before, and not what stood in it all the
//! time; a file that only moves brings nothing.

use super::{
    births::Born,
    contents::{Blob, Contents},
    gather::copy,
    id::Id,
    object::{Kind, entries},
    objects::{Objects, Reader},
};
use crate::{Confidence, Scan, Seen};
use rustc_hash::{FxHashMap, FxHashSet};
use sha2::Digest;
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

/// How deep folders are followed.
const DEPTH: usize = 1_000;

/// What makes a secret the same as one that was there before: its rule, a digest of it, what allows it on its line, and
/// how sure it is. Where a comment that allowed it is gone, it is new.
type Same = (Box<str>, [u8; 32], Option<Box<str>>, Confidence);

/// How often each secret stands in a blob.
type Counts = FxHashMap<Same, usize>;

/// What is new of a blob at a path, and the commits that brought just this.
pub(crate) type New = (Blob, Arc<[u8]>, Vec<usize>);

/// A blob, by its number, at a path.
type At<'p> = (usize, &'p Arc<[u8]>);

/// Leaves out what was there before.
pub(crate) struct News<'n> {
    scan: &'n Scan<'n>,
    objects: &'n Objects,
    born: &'n Born,
    reader: Reader,
    /// What blobs hold.
    held: FxHashMap<Id, Rc<Counts>>,
    /// Trees that have none of the blobs below them that are asked about.
    without: FxHashSet<Id>,
}

impl<'n> News<'n> {
    pub(crate) fn new(scan: &'n Scan<'n>, objects: &'n Objects, born: &'n Born) -> Self {
        let (held, without) = (FxHashMap::default(), FxHashSet::default());
        Self { scan, objects, born, reader: Reader::default(), held, without }
    }

    /// What is new of these blobs in each place. `before` tells which trees came before a commit.
    pub(crate) fn of(mut self, blobs: &[Blob], mut before: impl FnMut(usize) -> Vec<Id>) -> Vec<New> {
        let mut births: BTreeMap<usize, Vec<At<'_>>> = BTreeMap::new();
        for (nth, blob) in blobs.iter().enumerate() {
            self.held.insert(blob.id, Rc::new(counts(&blob.seen)));
            for (path, commits) in self.born.blobs.get(&blob.id).into_iter().flatten() {
                commits.iter().for_each(|at| births.entry(*at).or_default().push((nth, path)));
            }
        }
        let asked: FxHashSet<Id> = blobs.iter().map(|blob| blob.id).collect();
        let mut news: BTreeMap<(At<'_>, Vec<usize>), Vec<usize>> = BTreeMap::new();
        for (at, born) in births {
            let trees = before(at);
            let mut there = There { asked: &asked, found: FxHashSet::default(), seen: FxHashSet::default() };
            for tree in &trees {
                self.below(*tree, &mut there, 0);
            }
            for (nth, path) in born {
                let Some(blob) = blobs.get(nth) else { continue };
                let new = if there.found.contains(&blob.id) { Vec::new() } else { self.new_of(blob, path, &trees) };
                news.entry(((nth, path), new)).or_default().push(at);
            }
        }
        let mut told: FxHashSet<usize> = FxHashSet::default();
        let mut all = Vec::new();
        for (((nth, path), new), commits) in news {
            let Some(blob) = blobs.get(nth) else { continue };
            // What could not be read of a blob is told once.
            let unread = if told.insert(nth) { blob.unread.clone() } else { Vec::new() };
            let seen: Vec<Seen> = new.iter().filter_map(|at| blob.seen.get(*at)).map(copy).collect();
            if !seen.is_empty() || !unread.is_empty() {
                all.push((Blob { id: blob.id, seen, unread }, Arc::clone(path), commits));
            }
        }
        all
    }

    /// Which of a blob's secrets none of the trees has as often at the same path.
    fn new_of(&mut self, blob: &Blob, path: &[u8], trees: &[Id]) -> Vec<usize> {
        let before: Vec<Rc<Counts>> = trees.iter().filter_map(|tree| self.at(*tree, path)).collect();
        let mut met = Counts::default();
        let mut new = Vec::new();
        for (at, seen) in blob.seen.iter().enumerate() {
            let same = same(seen);
            let most = before.iter().filter_map(|counts| counts.get(&same)).max().copied().unwrap_or(0);
            let times = met.entry(same).or_insert(0);
            *times += 1;
            if *times > most {
                new.push(at);
            }
        }
        new
    }

    /// What the blob holds that a tree has at a path.
    fn at(&mut self, tree: Id, path: &[u8]) -> Option<Rc<Counts>> {
        let mut id = tree;
        for name in path.split(|byte| *byte == b'/') {
            let bytes = self.objects.read_as(&id, Kind::Tree, &mut self.reader).ok()?;
            let entry = entries(bytes.bytes(), self.objects.format).flatten().find(|entry| entry.name == name)?;
            id = entry.id;
        }
        if let Some(held) = self.held.get(&id) {
            return Some(Rc::clone(held));
        }
        // Those that were born meanwhile were looked into: nothing was seen in the others of them.
        if self.born.blobs.contains_key(&id) {
            return None;
        }
        let bytes = self.objects.read_as(&id, Kind::Blob, &mut self.reader).ok()?;
        let mut contents = Contents::new(self.scan);
        contents.blob(&id, path, bytes.bytes());
        let held = Rc::new(contents.blobs.first().map(|blob| counts(&blob.seen)).unwrap_or_default());
        self.held.insert(id, Rc::clone(&held));
        Some(held)
    }

    /// Finds the blobs below a tree that are asked about; whether there are any.
    fn below(&mut self, tree: Id, there: &mut There<'_>, depth: usize) -> bool {
        if self.without.contains(&tree) {
            return false;
        }
        if depth > DEPTH || !there.seen.insert(tree) {
            return true;
        }
        let Ok(bytes) = self.objects.read_as(&tree, Kind::Tree, &mut self.reader) else { return true };
        let mut any = false;
        for entry in entries(bytes.bytes(), self.objects.format).flatten() {
            if entry.is_tree() {
                any |= self.below(entry.id, there, depth + 1);
            } else if there.asked.contains(&entry.id) {
                there.found.insert(entry.id);
                any = true;
            }
        }
        if !any {
            self.without.insert(tree);
        }
        any
    }
}

/// Which blobs are looked for, and which of them are there.
struct There<'t> {
    asked: &'t FxHashSet<Id>,
    found: FxHashSet<Id>,
    /// Trees that were looked at.
    seen: FxHashSet<Id>,
}

fn counts(seen: &[Seen]) -> Counts {
    let mut counts = Counts::default();
    for seen in seen {
        *counts.entry(same(seen)).or_insert(0) += 1;
    }
    counts
}

fn same(seen: &Seen) -> Same {
    let secret = sha2::Sha256::digest(seen.hit.secret.expose()).into();
    (seen.hit.kind.rule.clone(), secret, seen.allowed.clone(), seen.hit.confidence)
}

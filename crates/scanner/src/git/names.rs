//! Names that are secrets: what files and folders are called in trees and indexes.
//!
//! A history has far more entries of trees than names. So each long name is looked at once, and remembered by its hash.

use super::{
    births::Born,
    contents::place,
    id::Id,
    object::{Kind, entries},
    objects::{Objects, Reader},
};
use crate::{Cause, Matcher, Missed, Where, search};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    mem,
    sync::Arc,
};

/// How many names that are secrets are kept. A repository with more is hostile, or a list of nothing else.
const MOST: usize = 10_000;

/// How deep folders are followed.
const DEPTH: usize = 1_000;

/// A name that is a secret, and whether folders are called so or files. A submodule is a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) text: Box<[u8]>,
    pub(crate) is_folder: bool,
}

/// Looks at names.
#[derive(Debug)]
pub(crate) struct Names<'m> {
    matcher: &'m Matcher,
    seed: Seed,
    /// The hashes of those that were looked at.
    looked: FxHashSet<u64>,
    /// Those that are secrets.
    found: FxHashSet<Box<[u8]>>,
    /// Whether there are more of them.
    more: bool,
}

impl<'m> Names<'m> {
    pub(crate) fn new(matcher: &'m Matcher) -> Self {
        let (looked, found) = (FxHashSet::default(), FxHashSet::default());
        Self { matcher, seed: Seed::new(), looked, found, more: false }
    }

    /// The same for another thread, with nothing looked at.
    pub(crate) fn fork(&self) -> Self {
        let (looked, found) = (FxHashSet::default(), FxHashSet::default());
        Self { looked, found, ..*self }
    }

    /// Takes over what another thread has found.
    pub(crate) fn join(&mut self, mut other: Self) {
        if other.looked.len() > self.looked.len() {
            mem::swap(&mut self.looked, &mut other.looked);
        }
        self.more |= other.more;
        other.found.into_iter().for_each(|name| self.keep(name));
    }

    /// The hash of a name that is worth a look: a shorter one holds no secret.
    pub(crate) fn hash(&self, name: &[u8]) -> Option<u64> {
        (name.len() >= search::SHORTEST).then(|| self.seed.hash(name))
    }

    /// Looks at a name, unless that was done.
    pub(crate) fn look(&mut self, name: &[u8], hash: u64) {
        if self.looked.insert(hash) && search::is_secret(self.matcher, name) {
            self.keep(name.into());
        }
    }

    /// Looks at a name; whether it is a secret.
    pub(crate) fn is_secret(&mut self, name: &[u8]) -> bool {
        let Some(hash) = self.hash(name) else { return false };
        self.look(name, hash);
        !self.found.is_empty() && self.found.contains(name)
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Those that were found, in order.
    pub(crate) fn take(&mut self) -> Vec<Box<[u8]>> {
        let mut found: Vec<_> = mem::take(&mut self.found).into_iter().collect();
        found.sort_unstable();
        found
    }

    /// Tells of those that are not kept.
    pub(crate) fn missed(&self) -> Option<Missed> {
        let detail = || format!("more than {MOST} names of files and folders are secrets: the others are not listed");
        self.more.then(|| Missed {
            place: place(Where::Blob, b"", None),
            cause: Cause::TooLarge,
            detail: detail().into(),
        })
    }

    fn keep(&mut self, name: Box<[u8]>) {
        if self.found.len() < MOST || self.found.contains(&name) {
            self.found.insert(name);
        } else {
            self.more = true;
        }
    }
}

/// What makes hashes this process's own: nobody can choose a name that is taken for one that was looked at.
#[derive(Debug, Clone, Copy)]
struct Seed(u64, u64);

impl Seed {
    fn new() -> Self {
        let random = RandomState::new();
        Self(random.hash_one(0), random.hash_one(1) | 1)
    }

    /// The hash of a text, by the length of it, its pieces, and its end, which may overlap the last of them.
    fn hash(self, bytes: &[u8]) -> u64 {
        let (pieces, rest) = bytes.as_chunks::<16>();
        let mut end = [0; 16];
        match bytes.last_chunk::<16>() {
            Some(last) => end = *last,
            None => end.iter_mut().zip(rest).for_each(|(to, from)| *to = *from),
        }
        let start = self.0 ^ u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let hash = pieces.iter().fold(start, |hash, piece| self.fold(hash, *piece));
        self.fold(hash, end)
    }

    /// Both halves of a product: each bit of it hangs on all of both factors.
    fn fold(self, hash: u64, piece: [u8; 16]) -> u64 {
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        let piece = u128::from_le_bytes(piece);
        let product = u128::from(hash ^ half(piece)) * u128::from(self.1 ^ half(piece >> 64));
        half(product) ^ half(product >> 64)
    }
}

/// What is looked for in trees, each by a number: blobs, and names. A name is two: that of files, and that of folders.
#[derive(Debug, Default)]
pub(crate) struct Targets {
    pub(crate) blobs: FxHashMap<Id, u32>,
    names: FxHashMap<Box<[u8]>, u32>,
    len: u32,
}

impl Targets {
    /// Takes a blob, with the next number.
    pub(crate) fn add(&mut self, blob: Id) {
        let number = *self.blobs.entry(blob).or_insert(self.len);
        self.len = self.len.max(number.saturating_add(1));
    }

    /// Takes a name, with the next two numbers.
    pub(crate) fn add_name(&mut self, name: Box<[u8]>) {
        self.names.insert(name, self.len);
        self.len = self.len.saturating_add(2);
    }

    /// Whether nothing is looked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }

    /// The number of a name, if it is looked for.
    pub(crate) fn name(&self, name: &[u8], is_folder: bool) -> Option<u32> {
        if self.names.is_empty() || name.len() < search::SHORTEST {
            return None;
        }
        self.names.get(name).map(|number| number + u32::from(is_folder))
    }

    /// All names and their numbers, in order.
    pub(crate) fn names(&self) -> Vec<(Name, u32)> {
        let both = |(text, number): (_, &u32)| {
            let name = |is_folder| Name { text: Clone::clone(text), is_folder };
            [(name(false), *number), (name(true), number.saturating_add(1))]
        };
        let mut names: Vec<_> = self.names.iter().flat_map(both).collect();
        names.sort_unstable();
        names
    }

    /// The names in a path that are looked for: their numbers, and where in the path each ends.
    pub(crate) fn names_in(&self, path: &[u8], is_folder: bool) -> impl Iterator<Item = (u32, usize)> {
        let names = if self.names.is_empty() { b"" } else { path };
        steps(names, is_folder).filter_map(|(name, is_folder, end)| Some((self.name(name, is_folder)?, end)))
    }
}

/// The names that a path is made of, which of them are folders', and where in the path each ends.
pub(crate) fn steps(path: &[u8], is_folder: bool) -> impl Iterator<Item = (&[u8], bool, usize)> {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let mut from = 0;
    memchr::memchr_iter(b'/', path).chain([path.len()]).map(move |end| {
        let name = path.get(from..end).unwrap_or_default();
        from = end + 1;
        (name, is_folder || end < path.len(), end)
    })
}

/// A name at a path, and the commits that brought just this.
pub(crate) type New = (Name, Arc<[u8]>, Vec<usize>);

/// A name at a path.
type At<'n> = (&'n Name, &'n Arc<[u8]>);

/// The names that are new where they were met: nothing was called so before. `before` tells which trees came before a
/// commit.
pub(crate) fn new(objects: &Objects, born: &Born, mut before: impl FnMut(usize) -> Vec<Id>) -> Vec<New> {
    let mut births: BTreeMap<usize, Vec<At<'_>>> = BTreeMap::new();
    for (name, paths) in &born.names {
        for (path, commits) in paths {
            commits.iter().for_each(|at| births.entry(*at).or_default().push((name, path)));
        }
    }
    let asked = born.names.keys().map(|name| &*name.text).collect();
    let mut there = There { objects, asked, reader: Reader::default(), without: FxHashSet::default() };
    let mut news: BTreeMap<At<'_>, Vec<usize>> = BTreeMap::new();
    for (at, born) in births {
        let (mut found, mut seen) = (FxHashSet::default(), FxHashSet::default());
        for tree in before(at) {
            there.below(tree, &mut found, &mut seen, 0);
        }
        for one in born.into_iter().filter(|(name, _)| !found.contains(&*name.text)) {
            news.entry(one).or_default().push(at);
        }
    }
    news.into_iter().map(|((name, path), commits)| (name.clone(), Arc::clone(path), commits)).collect()
}

/// Which names are asked about, and the trees that have none of them.
struct There<'t> {
    objects: &'t Objects,
    asked: FxHashSet<&'t [u8]>,
    reader: Reader,
    without: FxHashSet<Id>,
}

impl<'t> There<'t> {
    /// Finds the names below a tree that are asked about; whether there are any.
    fn below(&mut self, tree: Id, found: &mut FxHashSet<&'t [u8]>, seen: &mut FxHashSet<Id>, depth: usize) -> bool {
        if self.without.contains(&tree) {
            return false;
        }
        if depth > DEPTH || !seen.insert(tree) {
            return true;
        }
        let Ok(bytes) = self.objects.read_as(&tree, Kind::Tree, &mut self.reader) else { return true };
        let mut any = false;
        for entry in entries(bytes.bytes(), self.objects.format).flatten() {
            if entry.name.len() >= search::SHORTEST
                && let Some(name) = self.asked.get(entry.name)
            {
                found.insert(name);
                any = true;
            }
            if entry.is_tree() {
                any |= self.below(entry.id, found, seen, depth + 1);
            }
        }
        if !any {
            self.without.insert(tree);
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_into_names() {
        let told = |path, is_folder| {
            steps(path, is_folder).map(|(name, is_folder, end)| (name.to_vec(), is_folder, end)).collect::<Vec<_>>()
        };
        let step = |name: &str, is_folder, end| (name.as_bytes().to_vec(), is_folder, end);
        assert_eq!(told(b"a/bc/d", false), [step("a", true, 1), step("bc", true, 4), step("d", false, 6)]);
        assert_eq!(told(b"a/bc/", true), [step("a", true, 1), step("bc", true, 4)]);
        assert_eq!(told(b"", false), [step("", false, 0)]);
    }

    #[test]
    fn hashes_tell_names_apart() {
        let seed = Seed::new();
        let names = (0..100_000).map(|at| format!("a name of a file {at}").into_bytes());
        let more = (1..100).map(|len| vec![0; len]);
        let hashes: Vec<u64> = names.chain(more).map(|name| seed.hash(&name)).collect();
        assert_eq!(hashes.iter().collect::<FxHashSet<_>>().len(), hashes.len());
        assert_ne!(seed.hash(b"a name of a file"), Seed::new().hash(b"a name of a file"));
    }

    #[test]
    fn numbers_of_targets_are_their_own() {
        let id = |byte: u8| Id::new(&[byte; 20]).unwrap();
        let mut targets = Targets::default();
        [1, 2, 1].into_iter().for_each(|byte| targets.add(id(byte)));
        let name = b"0123456789abcdef";
        targets.add_name(name[..].into());
        targets.add(id(3));
        assert_eq!((targets.name(name, false), targets.name(name, true)), (Some(2), Some(3)));
        assert_eq!((targets.blobs[&id(3)], targets.len(), targets.name(b"short", true)), (4, 5, None));
        let path = [b"a/", &name[..], b"/", name].concat();
        assert_eq!(targets.names_in(&path, false).collect::<Vec<_>>(), [(3, 18), (2, 35)]);
    }
}

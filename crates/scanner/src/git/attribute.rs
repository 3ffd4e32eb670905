//! Finds out where blobs lie: in which commits, by which paths, or in what else.

use super::{
    id::Id,
    index::Index,
    names::Targets,
    object::CommitHead,
    trees::{Child, Forest, Key},
};
use crate::Where;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{rc::Rc, sync::Arc};

/// How many commits of one place are named.
pub(crate) const NAMED: usize = 100;

/// How many paths below one tree are followed. A repository can be made whose trees hold more than can be counted.
const PATHS: usize = 10_000;

/// How deep folders are followed; git follows fewer.
const DEPTH: usize = 1_000;

/// All commits, and what leads to them.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) commits: Vec<(Id, CommitHead)>,
    numbers: FxHashMap<Id, usize>,
    /// What each is counted as.
    classes: Vec<Where>,
    /// The commits, the oldest first.
    order: Vec<usize>,
}

/// Something that leads to an object, and what is counted by it.
pub(crate) type Root = (Where, Id, Box<[u8]>);

impl Graph {
    /// Takes all commits, and what leads to them: that with the higher rank first.
    pub(crate) fn new(commits: Vec<(Id, CommitHead)>, roots: &[Root]) -> Self {
        let numbers: FxHashMap<Id, usize> = commits.iter().zip(0..).map(|((id, _), at)| (*id, at)).collect();
        let mut order: Vec<usize> = (0..commits.len()).collect();
        order.sort_by_key(|at| commits.get(*at).map(|(id, head)| (head.seconds, *id)));
        let classes = vec![Where::Unreachable; commits.len()];
        let mut graph = Self { commits, numbers, classes, order };
        for class in RANKS {
            let mut open: Vec<usize> = roots
                .iter()
                .filter(|(of, _, _)| of == class)
                .filter_map(|(_, id, _)| graph.numbers.get(id).copied())
                .collect();
            while let Some(at) = open.pop() {
                let Some(is) = graph.classes.get_mut(at).filter(|is| **is == Where::Unreachable) else { continue };
                *is = *class;
                let parents = graph.commits.get(at).map(|(_, head)| &head.parents);
                open.extend(parents.into_iter().flatten().filter_map(|parent| graph.numbers.get(parent)));
            }
        }
        graph
    }

    /// The commits' numbers, the oldest first.
    pub(crate) fn by_age(&self) -> impl Iterator<Item = usize> {
        self.order.iter().copied()
    }

    /// One commit, by its number.
    pub(crate) fn commit(&self, at: usize) -> Option<&(Id, CommitHead)> {
        self.commits.get(at)
    }

    /// The number of a commit.
    pub(crate) fn number(&self, id: &Id) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// Parents and trees of commits that something leads to, and that are not here.
    pub(crate) fn absent(&self, has: impl Fn(&Id) -> bool) -> (Vec<Id>, Vec<Id>) {
        let (mut parents, mut trees) = (FxHashSet::default(), FxHashSet::default());
        for ((_, head), class) in self.commits.iter().zip(&self.classes) {
            if *class != Where::Unreachable {
                parents.extend(head.parents.iter().filter(|parent| !self.numbers.contains_key(parent)));
                trees.extend(Some(head.tree).filter(|tree| !has(tree)));
            }
        }
        let sorted = |set: FxHashSet<Id>| {
            let mut all: Vec<Id> = set.into_iter().collect();
            all.sort_unstable();
            all
        };
        (sorted(parents), sorted(trees))
    }
}

/// What a blob counts as, if several things lead to it: the first of these.
const RANKS: &[Where] = &[Where::Blob, Where::Note, Where::Stash, Where::Reflog];

/// One place a blob lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) place: Where,
    pub(crate) path: Arc<[u8]>,
    /// The commits that have it, the oldest first, by number; not all of them.
    pub(crate) commits: Vec<usize>,
    pub(crate) more: u64,
}

/// Where each of the blobs lies, and what is called by each of the names: one list for each.
pub(crate) fn spots(
    graph: &Graph,
    forest: &Forest,
    roots: &[Root],
    indexes: &[Index],
    targets: &Targets,
) -> Vec<Vec<Spot>> {
    let mut finder = Finder::new(forest);
    for class in RANKS {
        for at in &graph.order {
            let is = graph.classes.get(*at);
            if let Some((_, head)) = graph.commit(*at).filter(|_| is == Some(class)) {
                finder.tree(*class, head.tree.short(), Some(*at));
            }
        }
        for (_, id, name) in roots.iter().filter(|(of, _, _)| of == class) {
            finder.tree(*class, id.short(), None);
            if let Some(target) = targets.blobs.get(id) {
                finder.spot(*class, *target, Path::Told(Arc::from(&**name)), None);
            }
        }
        if *class == Where::Blob {
            for entry in indexes.iter().flat_map(|index| &index.entries) {
                if let Some(target) = targets.blobs.get(&entry.id) {
                    finder.spot(Where::Index, *target, Path::Told(Arc::from(&*entry.path)), None);
                }
                for (target, end) in targets.names_in(&entry.path, entry.is_folder() || entry.is_gitlink()) {
                    let path = entry.path.get(..end).unwrap_or_default();
                    finder.spot(Where::Index, target, Path::Told(Arc::from(path)), None);
                }
            }
        }
    }
    for at in &graph.order {
        if let Some((_, head)) = graph.commit(*at).filter(|_| graph.classes.get(*at) == Some(&Where::Unreachable)) {
            finder.tree(Where::Unreachable, head.tree.short(), Some(*at));
        }
    }
    let mut all: Vec<Vec<Spot>> = vec![Vec::new(); targets.len()];
    let Finder { spots, paths, lists, .. } = finder;
    drop(lists);
    let mut texts: FxHashMap<u32, Arc<[u8]>> = FxHashMap::default();
    let mut left = TEXTS;
    for ((target, path), Found { place, commits, more }) in spots {
        let path = match path {
            Path::Told(path) => path,
            Path::Parts(parts) => {
                Arc::clone(texts.entry(parts).or_insert_with(|| paths.text(forest, parts, &mut left).into()))
            }
        };
        if let Some(spots) = usize::try_from(target).ok().and_then(|at| all.get_mut(at)) {
            spots.push(Spot { place, path, commits, more });
        }
    }
    let is_lost = |target: u32| usize::try_from(target).ok().and_then(|at| all.get(at)).is_some_and(Vec::is_empty);
    let mut lost: FxHashMap<u32, Arc<[u8]>> =
        forest.any_names(is_lost).into_iter().map(|(target, name)| (target, Arc::from(name))).collect();
    for (id, target) in targets.blobs.iter().filter(|(_, target)| is_lost(**target)) {
        lost.entry(*target).or_insert_with(|| Arc::from(id.hex().as_bytes()));
    }
    for (target, path) in lost {
        if let Some(spots) = usize::try_from(target).ok().and_then(|at| all.get_mut(at)) {
            spots.push(Spot { place: Where::Unreachable, path, commits: Vec::new(), more: 0 });
        }
    }
    all.iter_mut().for_each(|spots| spots.sort_by(|one, two| one.path.cmp(&two.path)));
    all
}

/// The targets below a tree, by their paths from there.
type List = Rc<[(u32, u32)]>;

/// A path, as it was told or by its number among those made of parts.
#[derive(PartialEq, Eq, Hash)]
enum Path {
    Told(Arc<[u8]>),
    Parts(u32),
}

/// A place as it is being found.
struct Found {
    place: Where,
    commits: Vec<usize>,
    more: u64,
}

struct Finder<'f> {
    forest: &'f Forest,
    paths: Paths,
    lists: Lists,
    spots: FxHashMap<(u32, Path), Found>,
    best: FxHashMap<u32, Where>,
}

impl<'f> Finder<'f> {
    fn new(forest: &'f Forest) -> Self {
        let (paths, lists) = (Paths::default(), Lists::default());
        Self { forest, paths, lists, spots: FxHashMap::default(), best: FxHashMap::default() }
    }

    fn tree(&mut self, class: Where, tree: Key, commit: Option<usize>) {
        for (path, target) in self.list(tree, 0).iter() {
            self.spot(class, *target, Path::Parts(*path), commit);
        }
        // Hardly a root stands in two commits that follow each other.
        self.lists.remove(tree);
        self.lists.age();
    }

    fn spot(&mut self, class: Where, target: u32, path: Path, commit: Option<usize>) {
        if *self.best.entry(target).or_insert(class) != class {
            return;
        }
        let empty = || Found { place: class, commits: Vec::new(), more: 0 };
        let spot = self.spots.entry((target, path)).or_insert_with(empty);
        match commit {
            Some(_) if spot.commits.len() >= NAMED => spot.more += 1,
            Some(commit) => spot.commits.push(commit),
            None => {}
        }
    }

    fn list(&mut self, tree: Key, depth: usize) -> List {
        if let Some(list) = self.lists.get(tree) {
            return list;
        }
        // A tree cannot hold itself, but something that only begins with the same id could.
        self.lists.put(tree, &List::default());
        let mut all = Vec::new();
        let forest = self.forest;
        for (name, child) in forest.children(tree) {
            match child {
                Child::Target(target) => all.push((self.paths.number(name, NONE), target)),
                Child::Tree(below) if depth < DEPTH => {
                    let below = self.list(below, depth + 1);
                    all.extend(below.iter().map(|(path, target)| (self.paths.number(name, *path), *target)));
                }
                Child::Tree(_) => {}
            }
            all.truncate(PATHS);
        }
        let list = all.into();
        self.lists.put(tree, &list);
        list
    }
}

/// How many bytes all paths have together before they are told by their ends, and how much of an end is told. Names can
/// be made that are long, and folders that hold each other.
const TEXTS: usize = 32 << 20;
const END: usize = 4096;

/// No path.
const NONE: u32 = u32::MAX;

/// Paths, each a name and the path that follows it. Most versions of a folder have the same ones below them.
#[derive(Default)]
struct Paths {
    parts: Vec<(u32, u32)>,
    numbers: FxHashMap<(u32, u32), u32>,
}

impl Paths {
    fn number(&mut self, name: u32, rest: u32) -> u32 {
        let next = u32::try_from(self.parts.len()).unwrap_or(NONE);
        let number = *self.numbers.entry((name, rest)).or_insert(next);
        if number == next {
            self.parts.push((name, rest));
        }
        number
    }

    /// A path as it reads; where no more of them are to be held in memory, its end.
    fn text(&self, forest: &Forest, path: u32, left: &mut usize) -> Vec<u8> {
        let text = if self.names(forest, path).map(|name| name.len() + 1).sum::<usize>() <= *left {
            self.names(forest, path).collect::<Vec<_>>().join(&b'/')
        } else {
            let last = self.names(forest, path).last().unwrap_or_default();
            [b".../", last.get(..END).unwrap_or(last)].concat()
        };
        *left = left.saturating_sub(text.len());
        text
    }

    /// The names that a path is made of.
    fn names<'f>(&self, forest: &'f Forest, path: u32) -> impl Iterator<Item = &'f [u8]> {
        let part = |path: u32| usize::try_from(path).ok().and_then(|at| self.parts.get(at)).copied();
        let parts = std::iter::successors(part(path), move |(_, rest)| part(*rest));
        parts.map(|(name, _)| forest.name(name))
    }
}

/// How much all lists of one age have, in entries, before those that were not needed meanwhile are given up. Each list
/// counts as a few entries more than it has.
const AGE: usize = 500_000;
const LIST: usize = 8;

/// What lies below the trees that were needed last. Commits follow each other by time, and so do versions of folders.
#[derive(Default)]
struct Lists {
    young: FxHashMap<Key, List>,
    old: FxHashMap<Key, List>,
    /// How much the young ones have.
    held: usize,
}

impl Lists {
    fn get(&mut self, tree: Key) -> Option<List> {
        if let Some(list) = self.young.get(&tree) {
            return Some(Rc::clone(list));
        }
        let list = self.old.remove(&tree)?;
        self.put(tree, &list);
        Some(list)
    }

    fn put(&mut self, tree: Key, list: &List) {
        self.held += list.len() + LIST;
        self.young.insert(tree, Rc::clone(list));
    }

    fn remove(&mut self, tree: Key) {
        if let Some(list) = self.young.remove(&tree) {
            self.held = self.held.saturating_sub(list.len() + LIST);
        }
    }

    /// Gives up what was not needed for long. Only between two roots: below one of them each tree is looked through once,
    /// however often it is held there.
    fn age(&mut self) {
        if self.held > AGE {
            self.old = std::mem::take(&mut self.young);
            self.held = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_given_up_that_were_not_needed_for_long() {
        let mut lists = Lists::default();
        let (long, short): (List, List) = (vec![(0, 0); AGE].into(), vec![(1, 1)].into());
        lists.put(1, &short);
        lists.put(2, &short);
        lists.put(3, &long);
        lists.age();
        assert_eq!(lists.get(1).as_deref(), Some(&short[..]));
        lists.put(4, &long);
        lists.age();
        assert_eq!(lists.get(1).as_deref(), Some(&short[..]), "it was needed meanwhile");
        assert_eq!((lists.get(2), lists.get(3)), (None, None));
    }

    #[test]
    fn the_parts_of_paths_are_told_apart_from_their_order() {
        let mut paths = Paths::default();
        let end = paths.number(1, NONE);
        let (once, twice) = (paths.number(2, end), paths.number(1, end));
        assert_ne!(once, twice);
        assert_eq!((paths.number(2, end), paths.number(1, end), paths.parts.len()), (once, twice, 3));
    }
}

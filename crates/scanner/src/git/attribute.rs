//! Finds out where blobs lie: in which commits, by which paths, or in what else.

use super::{
    id::Id,
    index::Index,
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

/// Where each of the blobs lies: one list for each.
pub(crate) fn spots(
    graph: &Graph,
    forest: &Forest,
    roots: &[Root],
    indexes: &[Index],
    targets: &FxHashMap<Id, u32>,
) -> Vec<Vec<Spot>> {
    let mut finder =
        Finder { forest, lists: FxHashMap::default(), spots: FxHashMap::default(), best: FxHashMap::default() };
    for class in RANKS {
        for at in &graph.order {
            let is = graph.classes.get(*at);
            if let Some((_, head)) = graph.commit(*at).filter(|_| is == Some(class)) {
                finder.tree(*class, head.tree.short(), Some(*at));
            }
        }
        for (_, id, name) in roots.iter().filter(|(of, _, _)| of == class) {
            finder.tree(*class, id.short(), None);
            if let Some(target) = targets.get(id) {
                finder.spot(*class, *target, &Arc::from(&**name), None);
            }
        }
        if *class == Where::Blob {
            for entry in indexes.iter().flat_map(|index| &index.entries) {
                if let Some(target) = targets.get(&entry.id) {
                    finder.spot(Where::Index, *target, &Arc::from(&*entry.path), None);
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
    for ((target, _), spot) in finder.spots {
        if let Some(spots) = usize::try_from(target).ok().and_then(|at| all.get_mut(at)) {
            spots.push(spot);
        }
    }
    for (id, target) in targets {
        let Some(spots) = usize::try_from(*target).ok().and_then(|at| all.get_mut(at)) else { continue };
        if spots.is_empty() {
            let path = forest.any_name(*target).map_or_else(|| Arc::from(id.hex().as_bytes()), Arc::from);
            spots.push(Spot { place: Where::Unreachable, path, commits: Vec::new(), more: 0 });
        }
        spots.sort_by(|one, two| one.path.cmp(&two.path));
    }
    all
}

/// The targets below a tree, by their paths from there.
type List = Rc<Vec<(Arc<[u8]>, u32)>>;

struct Finder<'f> {
    forest: &'f Forest,
    lists: FxHashMap<Key, List>,
    spots: FxHashMap<(u32, Arc<[u8]>), Spot>,
    best: FxHashMap<u32, Where>,
}

impl Finder<'_> {
    fn tree(&mut self, class: Where, tree: Key, commit: Option<usize>) {
        for (path, target) in self.list(tree, 0).iter() {
            self.spot(class, *target, path, commit);
        }
        // Hardly a root stands in two commits that follow each other.
        self.lists.remove(&tree);
    }

    fn spot(&mut self, class: Where, target: u32, path: &Arc<[u8]>, commit: Option<usize>) {
        if *self.best.entry(target).or_insert(class) != class {
            return;
        }
        let empty = || Spot { place: class, path: Arc::clone(path), commits: Vec::new(), more: 0 };
        let spot = self.spots.entry((target, Arc::clone(path))).or_insert_with(empty);
        match commit {
            Some(_) if spot.commits.len() >= NAMED => spot.more += 1,
            Some(commit) => spot.commits.push(commit),
            None => {}
        }
    }

    fn list(&mut self, tree: Key, depth: usize) -> List {
        if let Some(list) = self.lists.get(&tree) {
            return Rc::clone(list);
        }
        // A tree cannot hold itself, but something that only begins with the same id could.
        self.lists.insert(tree, List::default());
        let mut all = Vec::new();
        let forest = self.forest;
        for (name, child) in forest.children(tree) {
            match child {
                Child::Target(target) => all.push((Arc::from(name), target)),
                Child::Tree(below) if depth < DEPTH => {
                    let below = self.list(below, depth + 1);
                    all.extend(below.iter().map(|(path, target)| (Arc::from([name, b"/", path].concat()), *target)));
                }
                Child::Tree(_) => {}
            }
            all.truncate(PATHS);
        }
        let list = Rc::new(all);
        self.lists.insert(tree, Rc::clone(&list));
        list
    }
}

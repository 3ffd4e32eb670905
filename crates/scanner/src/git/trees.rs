//! Reads all trees once: which of them hold the blobs and names that are looked for, how trees hang together, what they
//! name that is not here, and which of their names are secrets.
//!
//! A history has far more entries of trees than objects: each version of a folder names all that did not change, too. So
//! an entry is only kept as a number, and what it stands for once.

mod links;

use links::Links;

use super::{
    id::Id,
    names::{Names, Targets},
    object::{Entry, Kind, entries},
    objects::{Each, Objects, Source},
    pack::{Changes, Fault, Seen},
};
use crate::Progress;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{io::Read, path::Path};

/// How many ids a thread remembers to have met: neighbours have most entries in common.
const RECENT: usize = 1 << 16;

/// A tree, by the beginning of its id.
pub(crate) type Key = u64;

/// What a tree holds that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// A blob or a name, by its number among those looked for.
    Target(u32),
    /// A tree that leads to one.
    Tree(Key),
}

/// All trees, and which of them lead to what is looked for.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    links: Links,
    /// Which of them lead to a target.
    leading: Vec<bool>,
    /// The trees that hold trees, sorted.
    branches: Vec<Branch>,
    /// What they hold, one after the other: numbers of links.
    entries: Vec<u32>,
    /// Tree, name, target; sorted.
    hits: Vec<(Key, u32, u32)>,
    /// Of each name that is looked for, something that is called so: the first by its id.
    called: FxHashMap<u32, Id>,
    /// What trees name that is not here.
    pub(crate) missing: Vec<Id>,
    /// Trees that make no sense from some entry on.
    pub(crate) broken: Vec<Id>,
}

/// A tree that holds trees, and where its entries begin and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    tree: Key,
    from: usize,
    len: u32,
}

impl Branch {
    fn of<'e>(&self, entries: &'e [u32]) -> &'e [u32] {
        entries.get(self.from..).and_then(|entries| entries.get(..index(self.len))).unwrap_or_default()
    }
}

impl Forest {
    /// Reads all trees of a repository, and looks at their names, unless that was done.
    pub(crate) fn read(
        objects: &Objects,
        targets: &Targets,
        mut names: Option<&mut Names<'_>>,
        threads: usize,
        progress: &Progress,
    ) -> Self {
        let fork = || names.as_ref().map(|names| names.fork());
        let mut readers: Vec<_> = (0..threads.max(1)).map(|_| Trees::new(objects, targets, fork(), progress)).collect();
        objects.each(&[Kind::Tree], &mut Source::default(), &mut readers);
        let mut absent = FxHashSet::default();
        let mut forest = Self::default();
        for (nth, reader) in readers.into_iter().enumerate() {
            absent.extend(reader.unpacked);
            let mut read = reader.forest;
            if let Some((names, read)) = names.as_mut().zip(reader.names) {
                names.join(read);
            }
            if nth == 0 {
                forest = read;
                continue;
            }
            let (names, links) = forest.links.join(&read.links);
            let new = |numbers: &[u32], old: u32| numbers.get(index(old)).copied().unwrap_or(0);
            let from = forest.entries.len();
            forest.entries.reserve_exact(read.entries.len());
            forest.entries.extend(read.entries.drain(..).map(|link| new(&links, link)));
            let moved = read.branches.iter().map(|branch| Branch { from: from + branch.from, ..*branch });
            forest.branches.extend(moved);
            forest.hits.extend(read.hits.drain(..).map(|(tree, name, target)| (tree, new(&names, name), target)));
            forest.broken.append(&mut read.broken);
            read.called.into_iter().for_each(|(target, id)| forest.call(target, id));
        }
        forest.missing = absent.into_iter().filter(|id| !objects.has(id)).collect();
        forest.missing.sort_unstable();
        forest.branches.sort_unstable();
        forest.hits.sort_unstable();
        forest.hits.dedup();
        forest.grow();
        forest
    }

    /// A name by its number.
    pub(crate) fn name(&self, number: u32) -> &[u8] {
        self.links.name(number)
    }

    /// What a tree holds that is looked for, and the numbers of its names there.
    pub(crate) fn children(&self, tree: Key) -> impl Iterator<Item = (u32, Child)> {
        let from = self.hits.partition_point(|(of, _, _)| *of < tree);
        let hits = self.hits.get(from..).unwrap_or_default().iter().take_while(move |(of, _, _)| *of == tree);
        let hits = hits.map(|(_, name, target)| (*name, Child::Target(*target)));
        let from = self.branches.partition_point(|branch| branch.tree < tree);
        let same = self.branches.get(from..).unwrap_or_default().iter().take_while(move |branch| branch.tree == tree);
        let links = same.flat_map(|branch| branch.of(&self.entries)).filter(|link| self.leads(**link));
        let trees = links.filter_map(|link| self.links.get(*link));
        hits.chain(trees.map(|(child, name)| (name, Child::Tree(child))))
    }

    /// Of some targets, a name by which some tree holds each.
    pub(crate) fn any_names(&self, of: impl Fn(u32) -> bool) -> FxHashMap<u32, &[u8]> {
        let mut names = FxHashMap::default();
        for (_, name, target) in self.hits.iter().filter(|(_, _, target)| of(*target)) {
            names.entry(*target).or_insert_with(|| self.links.name(*name));
        }
        names
    }

    /// Something that is called by a name that is looked for.
    pub(crate) fn called(&self, target: u32) -> Option<&Id> {
        self.called.get(&target)
    }

    fn call(&mut self, target: u32, id: Id) {
        self.called.entry(target).and_modify(|first| *first = id.min(*first)).or_insert(id);
    }

    fn leads(&self, link: u32) -> bool {
        self.leading.get(index(link)).copied().unwrap_or(false)
    }

    /// Goes up from the trees that hold a target to all that lead to them.
    fn grow(&mut self) {
        let above = Above::new(self.links.len(), &self.branches, &self.entries);
        let order = self.links.by_child();
        self.leading = vec![false; self.links.len()];
        let mut open: Vec<Key> = self.hits.iter().map(|(tree, _, _)| *tree).collect();
        open.dedup();
        let mut reached = vec![false; self.branches.len()];
        while let Some(child) = open.pop() {
            let from = order.partition_point(|(of, _)| *of < child);
            let same = order.get(from..).unwrap_or_default().iter().take_while(|(of, _)| *of == child);
            for (_, link) in same {
                let Some(leads) = self.leading.get_mut(index(*link)).filter(|leads| !**leads) else { continue };
                *leads = true;
                for branch in above.of(*link) {
                    if let Some(reached) = reached.get_mut(index(*branch)).filter(|reached| !**reached) {
                        *reached = true;
                        open.extend(self.branches.get(index(*branch)).map(|branch| branch.tree));
                    }
                }
            }
        }
    }
}

/// Which trees have each link.
struct Above {
    /// Where those of each link begin; one more tells where the last ones end.
    starts: Vec<usize>,
    /// The places of trees among all branches.
    branches: Vec<u32>,
}

impl Above {
    fn new(links: usize, branches: &[Branch], entries: &[u32]) -> Self {
        let mut starts = vec![0; links + 1];
        for link in entries {
            if let Some(count) = starts.get_mut(index(*link)) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        // Each now tells where its trees end, and moves to where they begin as they are filled in.
        let mut above = vec![0; entries.len()];
        for (at, branch) in (0..).zip(branches) {
            for link in branch.of(entries) {
                let Some(start) = starts.get_mut(index(*link)) else { continue };
                *start -= 1;
                if let Some(above) = above.get_mut(*start) {
                    *above = at;
                }
            }
        }
        Self { starts, branches: above }
    }

    fn of(&self, link: u32) -> &[u32] {
        let (Some(from), Some(to)) = (self.starts.get(index(link)), self.starts.get(index(link) + 1)) else {
            return &[];
        };
        self.branches.get(*from..*to).unwrap_or_default()
    }
}

/// What one thread reads.
struct Trees<'t, 'm> {
    objects: &'t Objects,
    targets: &'t Targets,
    names: Option<Names<'m>>,
    progress: &'t Progress,
    forest: Forest,
    /// What was met and lies in no pack.
    unpacked: FxHashSet<Id>,
    recent: Vec<Key>,
}

impl<'t, 'm> Trees<'t, 'm> {
    fn new(objects: &'t Objects, targets: &'t Targets, names: Option<Names<'m>>, progress: &'t Progress) -> Self {
        let (forest, unpacked, recent) = (Forest::default(), FxHashSet::default(), vec![0; RECENT]);
        Self { objects, targets, names, progress, forest, unpacked, recent }
    }

    fn meet(&mut self, entry: &Entry<'_>) {
        let named = self.names.as_ref().and_then(|names| names.hash(entry.name));
        // The same may be called otherwise, too.
        let key = entry.id.short() ^ named.unwrap_or(0);
        let slot = usize::try_from(key % 65_536).ok().and_then(|at| self.recent.get_mut(at));
        if let Some(slot) = slot.filter(|slot| **slot != key) {
            *slot = key;
            if let Some((names, hash)) = self.names.as_mut().zip(named) {
                names.look(entry.name, hash);
            }
            if !entry.is_gitlink() && !self.objects.has_packed(&entry.id) {
                self.unpacked.insert(entry.id);
            }
        }
    }
}

impl Each for Trees<'_, '_> {
    fn object(&mut self, id: &Id, _kind: Kind, bytes: &[u8], _changes: Option<&Changes>) -> Seen {
        let tree = id.short();
        let from = self.forest.entries.len();
        for entry in entries(bytes, self.objects.format) {
            let Ok(entry) = entry else {
                self.forest.broken.push(*id);
                break;
            };
            self.meet(&entry);
            if let Some(target) = self.targets.name(entry.name, entry.is_folder()) {
                let name = self.forest.links.number_of_name(entry.name);
                self.forest.hits.push((tree, name, target));
                self.forest.call(target, entry.id);
            }
            if entry.is_gitlink() {
                continue;
            }
            if entry.is_tree() && !self.targets.is_empty() {
                self.forest.entries.push(self.forest.links.number(entry.id.short(), entry.name));
            }
            if let Some(target) = self.targets.blobs.get(&entry.id) {
                let name = self.forest.links.number_of_name(entry.name);
                self.forest.hits.push((tree, name, *target));
            }
        }
        let len = u32::try_from(self.forest.entries.len() - from).unwrap_or(u32::MAX);
        if len > 0 {
            self.forest.branches.push(Branch { tree, from, len });
        }
        if self.progress.is_stopped() { Seen::Enough } else { Seen::Other }
    }

    fn stream(&mut self, id: &Id, _kind: Kind, _size: u64, _reader: &mut dyn Read) {
        self.forest.broken.push(*id);
    }

    fn fault(&mut self, id: Option<&Id>, _file: &Path, _fault: &Fault) {
        self.forest.broken.extend(id);
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_to_a_target_is_followed() {
        let mut forest = Forest::default();
        let held = [(3, vec![(2, "c")]), (1, vec![(2, "a"), (9, "no"), (2, "b"), (3, "d")]), (9, vec![(8, "no")])];
        for (tree, children) in held {
            let from = forest.entries.len();
            for (child, name) in &children {
                forest.entries.push(forest.links.number(*child, name.as_bytes()));
            }
            forest.branches.push(Branch { tree, from, len: u32::try_from(children.len()).unwrap() });
        }
        let name = forest.links.number_of_name(b"key");
        forest.hits.push((2, name, 5));
        forest.branches.sort_unstable();
        forest.grow();
        let children = |tree: Key| -> Vec<_> {
            forest.children(tree).map(|(name, child)| (forest.name(name).to_vec(), child)).collect()
        };
        let tree = |name: &str, key: Key| (name.as_bytes().to_vec(), Child::Tree(key));
        assert_eq!(children(1), [tree("a", 2), tree("b", 2), tree("d", 3)]);
        assert_eq!(children(2), [(b"key".to_vec(), Child::Target(5))]);
        assert_eq!(children(3), [tree("c", 2)]);
        assert_eq!(children(9), []);
        let names = forest.any_names(|target| target == 5);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), [(5, &b"key"[..])]);
    }
}

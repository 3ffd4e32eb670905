//! Reads all trees once: which of them hold the blobs that are looked for, how trees hang together, and what they name
//! that is not here.

use super::{
    id::{Format, Id},
    object::{Kind, entries},
    objects::{Each, Objects, Source},
    pack::{Changes, Fault, Seen},
};
use crate::Progress;
use rustc_hash::{FxHashMap, FxHashSet};
use std::{io::Read, path::Path};

/// How many ids a thread remembers to have met, besides all it has met: neighbours have most entries in common.
const RECENT: usize = 1 << 16;

/// A tree, by the beginning of its id.
pub(crate) type Key = u64;

/// What a tree holds that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    /// A blob, by its number among those looked for.
    Target(u32),
    /// A tree that leads to one.
    Tree(Key),
}

/// All trees that lead to what is looked for.
#[derive(Debug, Default)]
pub(crate) struct Forest {
    names: Vec<Box<[u8]>>,
    /// What leads to a target from each tree, and by which name.
    children: FxHashMap<Key, Vec<(u32, Child)>>,
    /// What trees name that is not here.
    pub(crate) missing: Vec<Id>,
    /// Trees that make no sense from some entry on.
    pub(crate) broken: Vec<Id>,
}

impl Forest {
    /// Reads all trees of a repository.
    pub(crate) fn read(objects: &Objects, targets: &FxHashMap<Id, u32>, threads: usize, progress: &Progress) -> Self {
        let mut readers: Vec<_> = (0..threads.max(1)).map(|_| Trees::new(objects.format, targets, progress)).collect();
        objects.each(&[Kind::Tree], &mut Source::default(), &mut readers);
        let mut forest = Self::default();
        let mut all = Trees::new(objects.format, targets, progress);
        for mut reader in readers {
            let names: Vec<u32> = reader.names().into_iter().map(|name| all.name(&name)).collect();
            let renamed = |name: u32| usize::try_from(name).ok().and_then(|at| names.get(at)).copied().unwrap_or(0);
            all.edges.extend(reader.edges.drain(..).map(|(child, tree, name)| (child, tree, renamed(name))));
            all.hits.extend(reader.hits.drain(..).map(|(tree, name, target)| (tree, renamed(name), target)));
            all.met.extend(reader.met);
            forest.broken.append(&mut reader.broken);
        }
        forest.missing = all.met.iter().filter(|id| !objects.has(id)).copied().collect();
        forest.missing.sort_unstable();
        forest.grow(&mut all.edges, &all.hits);
        forest.names = all.names();
        forest
    }

    /// What a tree holds that is looked for, by name.
    pub(crate) fn children(&self, tree: Key) -> impl Iterator<Item = (&[u8], Child)> {
        let name =
            |name: u32| usize::try_from(name).ok().and_then(|at| self.names.get(at)).map_or(&[][..], |name| &**name);
        self.children.get(&tree).into_iter().flatten().map(move |(at, child)| (name(*at), *child))
    }

    /// A name by which some tree holds a target.
    pub(crate) fn any_name(&self, target: u32) -> Option<&[u8]> {
        let held = self.children.values().flatten().find(|(_, child)| *child == Child::Target(target))?;
        self.names.get(usize::try_from(held.0).ok()?).map(|name| &**name)
    }

    /// Goes up from the trees that hold a target to all that lead to them.
    fn grow(&mut self, edges: &mut [(Key, Key, u32)], hits: &[(Key, u32, u32)]) {
        edges.sort_unstable();
        let mut open = Vec::new();
        for (tree, name, target) in hits {
            let children = self.children.entry(*tree).or_insert_with(|| {
                open.push(*tree);
                Vec::new()
            });
            children.push((*name, Child::Target(*target)));
        }
        while let Some(child) = open.pop() {
            let from = edges.partition_point(|(of, _, _)| *of < child);
            let above = edges.get(from..).unwrap_or_default().iter().take_while(|(of, _, _)| *of == child);
            for (_, tree, name) in above {
                let children = self.children.entry(*tree).or_insert_with(|| {
                    open.push(*tree);
                    Vec::new()
                });
                if !children.contains(&(*name, Child::Tree(child))) {
                    children.push((*name, Child::Tree(child)));
                }
            }
        }
    }
}

/// What one thread reads.
struct Trees<'t> {
    format: Format,
    targets: &'t FxHashMap<Id, u32>,
    progress: &'t Progress,
    numbers: FxHashMap<Box<[u8]>, u32>,
    /// Child, tree, name.
    edges: Vec<(Key, Key, u32)>,
    /// Tree, name, target.
    hits: Vec<(Key, u32, u32)>,
    met: FxHashSet<Id>,
    recent: Vec<Key>,
    broken: Vec<Id>,
}

impl<'t> Trees<'t> {
    fn new(format: Format, targets: &'t FxHashMap<Id, u32>, progress: &'t Progress) -> Self {
        Self {
            format,
            targets,
            progress,
            numbers: FxHashMap::default(),
            edges: Vec::new(),
            hits: Vec::new(),
            met: FxHashSet::default(),
            recent: vec![0; RECENT],
            broken: Vec::new(),
        }
    }

    fn name(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.into(), number);
        number
    }

    /// All names by their numbers.
    fn names(&mut self) -> Vec<Box<[u8]>> {
        let mut names: Vec<_> = std::mem::take(&mut self.numbers).into_iter().collect();
        names.sort_unstable_by_key(|(_, number)| *number);
        names.into_iter().map(|(name, _)| name).collect()
    }

    fn meet(&mut self, id: &Id) {
        let key = id.short();
        let slot = usize::try_from(key % 65_536).ok().and_then(|at| self.recent.get_mut(at));
        if let Some(slot) = slot.filter(|slot| **slot != key) {
            *slot = key;
            self.met.insert(*id);
        }
    }
}

impl Each for Trees<'_> {
    fn object(&mut self, id: &Id, _kind: Kind, bytes: &[u8], _changes: Option<&Changes>) -> Seen {
        let tree = id.short();
        for entry in entries(bytes, self.format) {
            let Ok(entry) = entry else {
                self.broken.push(*id);
                break;
            };
            if entry.is_gitlink() {
                continue;
            }
            self.meet(&entry.id);
            if entry.is_tree() && !self.targets.is_empty() {
                let name = self.name(entry.name);
                self.edges.push((entry.id.short(), tree, name));
            }
            if let Some(target) = self.targets.get(&entry.id) {
                let name = self.name(entry.name);
                self.hits.push((tree, name, *target));
            }
        }
        if self.progress.is_stopped() { Seen::Enough } else { Seen::Other }
    }

    fn stream(&mut self, id: &Id, _kind: Kind, _size: u64, _reader: &mut dyn Read) {
        self.broken.push(*id);
    }

    fn fault(&mut self, id: Option<&Id>, _file: &Path, _fault: &Fault) {
        self.broken.extend(id);
    }
}

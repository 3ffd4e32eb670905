//! Trees by the names that trees have them by: each such pair has a number, however many trees hold it.

use super::{Key, index};
use rustc_hash::FxHashMap;
use std::{collections::hash_map::Entry, sync::Arc};

/// All pairs of a tree and a name for it.
#[derive(Debug, Default)]
pub(super) struct Links {
    names: Vec<Arc<[u8]>>,
    numbers: FxHashMap<Arc<[u8]>, u32>,
    links: Vec<(Key, u32)>,
    /// The first link of each tree: hardly one has two names.
    first: FxHashMap<Key, u32>,
    others: FxHashMap<(Key, u32), u32>,
}

impl Links {
    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.links.len()
    }

    /// A tree and its name.
    pub(super) fn get(&self, link: u32) -> Option<(Key, u32)> {
        self.links.get(index(link)).copied()
    }

    /// A name by its number.
    pub(super) fn name(&self, number: u32) -> &[u8] {
        self.names.get(index(number)).map_or(&[], |name| name)
    }

    /// The number of a tree with a name.
    pub(super) fn number(&mut self, child: Key, name: &[u8]) -> u32 {
        let first = self.first.get(&child).copied();
        let is = |link: &u32| self.get(*link).is_some_and(|(_, of)| self.name(of) == name);
        if let Some(first) = first.filter(is) {
            return first;
        }
        let name = self.number_of_name(name);
        self.add(child, name)
    }

    /// The number of a name.
    pub(super) fn number_of_name(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Arc<[u8]> = name.into();
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    /// Takes over all links of another thread. Which numbers its names have here, and its links.
    pub(super) fn join(&mut self, other: &Self) -> (Vec<u32>, Vec<u32>) {
        let names: Vec<u32> = other.names.iter().map(|name| self.number_of_name(name)).collect();
        let renamed = |name: u32| names.get(index(name)).copied().unwrap_or(0);
        let links = other.links.iter().map(|(child, name)| self.add(*child, renamed(*name))).collect();
        (names, links)
    }

    /// All links, by their trees.
    pub(super) fn by_child(&self) -> Vec<(Key, u32)> {
        let mut order: Vec<_> = self.links.iter().zip(0..).map(|((child, _), at)| (*child, at)).collect();
        order.sort_unstable();
        order
    }

    fn add(&mut self, child: Key, name: u32) -> u32 {
        let next = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        let link = match self.first.entry(child) {
            Entry::Vacant(vacant) => *vacant.insert(next),
            Entry::Occupied(first) => match self.links.get(index(*first.get())) {
                Some((_, of)) if *of == name => *first.get(),
                _ => *self.others.entry((child, name)).or_insert(next),
            },
        };
        if link == next {
            self.links.push((child, name));
        }
        link
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_a_number_for_each_of_its_names() {
        let mut links = Links::default();
        let (one, two) = (links.number(7, b"one"), links.number(7, b"two"));
        assert_ne!(one, two);
        assert_eq!((links.number(7, b"one"), links.number(7, b"two"), links.len()), (one, two, 2));
        let mut other = Links::default();
        let numbers = [other.number(8, b"two"), other.number(7, b"two"), other.number(7, b"three")];
        let (_, here) = links.join(&other);
        assert_eq!((here[index(numbers[1])], links.len()), (two, 4));
        for (number, (tree, name)) in numbers.into_iter().zip([(8, &b"two"[..]), (7, b"two"), (7, b"three")]) {
            let (child, of) = links.get(here[index(number)]).unwrap();
            assert_eq!((child, links.name(of)), (tree, name));
        }
    }
}

//! The entries of a pack in the order they lie in, and which is made from which: a forest whose roots are whole objects.
//!
//! With it each object is inflated once and each difference applied once, and whatever is made from a tree is known to be a
//! tree without looking at it.

use super::{Base, Header, Pack, entry};
use crate::git::{id::Id, object::Kind};
use std::io;

/// No entry.
const NONE: u32 = u32::MAX;

/// How many bytes are read at once when headers are read.
const STEP: usize = 32 << 10;

/// Where an entry lies, and what it is made from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    pub(crate) offset: u64,
    /// How many bytes it inflates to.
    pub(crate) size: u64,
    /// Its position in the index.
    pub(crate) position: u32,
    /// The node it is made from, or `NONE`.
    base: u32,
    /// How many bytes its header has.
    pub(crate) header: u8,
    /// What it is, if it is whole.
    pub(crate) kind: Option<Kind>,
}

/// All entries of a pack.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    nodes: Vec<Node>,
    /// Where the children of each node begin in `children`.
    starts: Vec<u32>,
    children: Vec<u32>,
    /// Entries whose header is broken.
    pub(crate) broken: Vec<u32>,
    /// Entries that are made from an object of another pack: the node and the object.
    pub(crate) foreign: Vec<(u32, Id)>,
    end: u64,
}

impl Layout {
    /// Reads the headers of all entries.
    pub(crate) fn read(pack: &Pack) -> io::Result<Self> {
        let mut layout = Self { end: pack.end(), ..Self::default() };
        let mut order: Vec<(u64, u32)> = (0..).zip(pack.index.offsets()).map(|(at, offset)| (*offset, at)).collect();
        order.sort_unstable();
        let mut window = Window { pack, from: 0, bytes: vec![0; STEP], len: 0 };
        let mut named = Vec::new();
        layout.nodes.reserve_exact(order.len());
        for (offset, position) in &order {
            let at = number(layout.nodes.len());
            let header = Header::parse(window.at(*offset)?, pack.index.format());
            let mut node = Node { offset: *offset, size: 0, position: *position, base: NONE, header: 0, kind: None };
            if let Some(header) = header {
                node.size = header.size;
                node.header = u8::try_from(header.len).unwrap_or(u8::MAX);
                match header.base {
                    Base::Whole(kind) => node.kind = Some(kind),
                    Base::Before(back) => match offset.checked_sub(back).and_then(|base| find(&order, base)) {
                        Some(base) if base < at => node.base = base,
                        _ => layout.broken.push(at),
                    },
                    Base::Named(id) => named.push((at, id)),
                }
            } else {
                layout.broken.push(at);
            }
            layout.nodes.push(node);
        }
        for (at, id) in named {
            let offset = pack.index.find(&id).and_then(|position| pack.index.offsets().get(index(position)));
            match offset.and_then(|offset| find(&order, *offset)) {
                Some(base) => {
                    if let Some(node) = layout.nodes.get_mut(index(at)) {
                        node.base = base;
                    }
                }
                None => layout.foreign.push((at, id)),
            }
        }
        layout.plant();
        Ok(layout)
    }

    /// How many entries.
    pub(crate) fn len(&self) -> u32 {
        number(self.nodes.len())
    }

    /// One entry.
    pub(crate) fn node(&self, at: u32) -> Option<&Node> {
        self.nodes.get(index(at))
    }

    /// What is made from an entry, that with most made from it last.
    pub(crate) fn children(&self, at: u32) -> &[u32] {
        let (Some(from), Some(to)) = (self.starts.get(index(at)), self.starts.get(index(at) + 1)) else { return &[] };
        self.children.get(index(*from)..index(*to)).unwrap_or_default()
    }

    /// The whole objects of these kinds, in the order they lie in.
    pub(crate) fn roots(&self, kinds: &[Kind]) -> Vec<u32> {
        let wanted = |node: &Node| node.kind.is_some_and(|kind| kinds.contains(&kind));
        (0..).zip(&self.nodes).filter(|(_, node)| wanted(node)).map(|(at, _)| at).collect()
    }

    /// The entry and everything made from it, to be told as not read.
    pub(crate) fn below(&self, at: u32) -> Vec<u32> {
        let (mut all, mut next) = (vec![at], 0);
        while let Some(at) = all.get(next) {
            all.extend_from_slice(self.children(*at));
            next += 1;
        }
        all
    }

    /// Entries that no root leads to: their bases are broken, or made from themselves.
    pub(crate) fn lost(&self) -> Vec<u32> {
        let mut reached = vec![false; self.nodes.len()];
        let roots = (0..).zip(&self.nodes).filter(|(_, node)| node.base == NONE).map(|(at, _)| at);
        let mut open: Vec<u32> = roots.collect();
        while let Some(at) = open.pop() {
            if let Some(reached) = reached.get_mut(index(at)) {
                *reached = true;
            }
            open.extend_from_slice(self.children(at));
        }
        (0..).zip(reached).filter(|(_, reached)| !reached).map(|(at, _)| at).collect()
    }

    /// At most how many packed bytes an entry has: up to where the next one begins.
    pub(crate) fn packed(&self, at: u32) -> u64 {
        let end = self.nodes.get(index(at) + 1).map_or(self.end, |next| next.offset);
        let begin = self.node(at).map_or(end, |node| node.offset + u64::from(node.header));
        end.saturating_sub(begin)
    }

    fn plant(&mut self) {
        let count = self.nodes.len();
        let mut weight = vec![1_u32; count];
        let mut starts = vec![0_u32; count + 1];
        for at in (0..count).rev() {
            let Some(base) = self.nodes.get(at).map(|node| node.base).filter(|base| *base != NONE) else { continue };
            let own = weight.get(at).copied().unwrap_or(0);
            if let Some(weight) = weight.get_mut(index(base)) {
                *weight = weight.saturating_add(own);
            }
            if let Some(start) = starts.get_mut(index(base) + 1) {
                *start += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut children = vec![0_u32; index(sum)];
        for (at, node) in (0..).zip(&self.nodes).filter(|(_, node)| node.base != NONE) {
            if let Some(next) = next.get_mut(index(node.base)) {
                if let Some(child) = children.get_mut(index(*next)) {
                    *child = at;
                }
                *next += 1;
            }
        }
        for pair in starts.windows(2) {
            if let [from, to] = pair
                && let Some(children) = children.get_mut(index(*from)..index(*to))
                && children.len() > 1
            {
                // The heaviest last: what its base holds is then free before it is walked, and at most one base for
                // each doubling of the size is held at once.
                let heaviest = (0..children.len())
                    .max_by_key(|at| children.get(*at).and_then(|child| weight.get(index(*child))))
                    .unwrap_or(0);
                let last = children.len() - 1;
                children.swap(heaviest, last);
            }
        }
        (self.starts, self.children) = (starts, children);
    }
}

/// A stretch of the pack that moves forward.
struct Window<'p> {
    pack: &'p Pack,
    from: u64,
    bytes: Vec<u8>,
    len: usize,
}

impl Window<'_> {
    /// What stands at an offset: enough for a header.
    fn at(&mut self, offset: u64) -> io::Result<&[u8]> {
        let inside = |from: u64, len: usize| {
            let skip = usize::try_from(offset.checked_sub(from)?).ok()?;
            (skip + entry::LONGEST <= len).then_some(skip)
        };
        let skip = match inside(self.from, self.len) {
            Some(skip) => skip,
            None => {
                self.len = self.pack.read(offset, &mut self.bytes)?;
                self.from = offset;
                0
            }
        };
        Ok(self.bytes.get(skip..self.len).unwrap_or_default())
    }
}

fn find(order: &[(u64, u32)], offset: u64) -> Option<u32> {
    order.binary_search_by_key(&offset, |(offset, _)| *offset).ok().map(number)
}

pub(super) fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

//! Makes all objects of a pack, from each whole one down to everything made from it.

use super::{Changes, Layout, Pack, apply, sizes};
use crate::{
    Cause,
    git::{
        inflate::{Buffer, Inflater, Pool},
        object::Kind,
    },
};

/// Why an entry could not be read.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) cause: Cause,
    pub(crate) detail: Box<str>,
}

impl Fault {
    pub(crate) fn corrupt(detail: &str) -> Self {
        Self { cause: Cause::Corrupt, detail: detail.into() }
    }

    pub(crate) fn too_large(size: u64) -> Self {
        Self { cause: Cause::TooLarge, detail: format!("{size} bytes").into() }
    }
}

/// What somebody says who was shown an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is nothing but text, and nothing was found in it.
    Clean,
    /// It is anything else.
    Other,
    /// Stop.
    Enough,
}

/// Who is shown objects.
pub(crate) trait Visit {
    /// Whether neither this entry nor anything made from it is wanted.
    fn skip(&self, at: u32) -> bool;
    /// An object; and if the one it was made from was nothing but text without any find, where it differs from that.
    fn object(&mut self, at: u32, kind: Kind, bytes: &[u8], changes: Option<&Changes>) -> Seen;
    /// An entry that cannot be made.
    fn fault(&mut self, at: u32, fault: &Fault);
}

/// What one thread needs to make objects.
#[derive(Default)]
pub(crate) struct Walker {
    inflater: Inflater,
    pool: Pool,
    packed: Buffer,
    delta: Buffer,
    changes: Changes,
    /// Larger objects are not made.
    limit: u64,
}

/// An object whose children are being made.
struct Frame {
    at: u32,
    next: usize,
    clean: bool,
    buffer: Buffer,
}

impl Walker {
    pub(crate) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Shows a root and everything made from it. What is made from an object of another pack is given that as its base.
    /// False: the visitor wants no more.
    pub(crate) fn walk(
        &mut self,
        tree: (&Pack, &Layout),
        root: (u32, Kind),
        base: Option<&[u8]>,
        visit: &mut impl Visit,
    ) -> bool {
        let (root, kind) = root;
        if visit.skip(root) {
            return true;
        }
        let made = match base {
            Some(base) => self.derive(tree, root, base),
            None => self.whole(tree, root),
        };
        let mut stack = Vec::new();
        if !self.show(tree.1, made, (root, kind, false), visit, &mut stack) {
            return false;
        }
        while let Some(frame) = stack.last_mut() {
            let children = tree.1.children(frame.at);
            let Some(child) = children.get(frame.next).copied() else {
                self.pool.give(std::mem::take(&mut frame.buffer));
                stack.pop();
                continue;
            };
            frame.next += 1;
            if visit.skip(child) {
                continue;
            }
            let clean = frame.clean;
            let made = self.derive(tree, child, frame.buffer.bytes());
            if frame.next == children.len() {
                self.pool.give(std::mem::take(&mut frame.buffer));
                stack.pop();
            }
            if !self.show(tree.1, made, (child, kind, clean), visit, &mut stack) {
                return false;
            }
        }
        true
    }

    fn show(
        &mut self,
        layout: &Layout,
        made: Result<Buffer, Fault>,
        (at, kind, clean): (u32, Kind, bool),
        visit: &mut impl Visit,
        stack: &mut Vec<Frame>,
    ) -> bool {
        let buffer = match made {
            Ok(buffer) => buffer,
            Err(fault) => {
                layout.below(at).into_iter().for_each(|at| visit.fault(at, &fault));
                return true;
            }
        };
        let seen = visit.object(at, kind, buffer.bytes(), clean.then_some(&self.changes));
        if layout.children(at).is_empty() {
            self.pool.give(buffer);
        } else {
            stack.push(Frame { at, next: 0, clean: seen == Seen::Clean, buffer });
        }
        seen != Seen::Enough
    }

    /// Inflates an entry that is whole.
    pub(crate) fn whole(&mut self, (pack, layout): (&Pack, &Layout), at: u32) -> Result<Buffer, Fault> {
        let mut buffer = self.pool.take();
        let node = layout.node(at).ok_or_else(|| Fault::corrupt("no such entry"))?;
        let from = node.offset + u64::from(node.header);
        self.inflate(pack, (from, layout.packed(at)), node.size, &mut buffer)?;
        Ok(buffer)
    }

    /// Makes an entry from its base.
    fn derive(&mut self, (pack, layout): (&Pack, &Layout), at: u32, base: &[u8]) -> Result<Buffer, Fault> {
        let node = layout.node(at).ok_or_else(|| Fault::corrupt("no such entry"))?;
        self.derive_at(pack, (node.offset + u64::from(node.header), layout.packed(at)), node.size, base)
    }

    /// Makes an object from a base and the difference that lies packed at an offset.
    pub(crate) fn derive_at(
        &mut self,
        pack: &Pack,
        packed: (u64, u64),
        size: u64,
        base: &[u8],
    ) -> Result<Buffer, Fault> {
        let mut delta = std::mem::take(&mut self.delta);
        let made = self.inflate(pack, packed, size, &mut delta).and_then(|()| {
            let (of, size, instructions) =
                sizes(delta.bytes()).ok_or_else(|| Fault::corrupt("a difference without sizes"))?;
            if u64::try_from(base.len()) != Ok(of) {
                return Err(Fault::corrupt("a difference from something else"));
            }
            if size > self.limit {
                return Err(Fault::too_large(size));
            }
            let mut buffer = self.pool.take();
            let room = buffer.room(usize::try_from(size).map_err(|_| Fault::too_large(size))?);
            apply(base, delta.bytes().get(instructions..).unwrap_or_default(), room, &mut self.changes)
                .ok_or_else(|| Fault::corrupt("a difference that does not apply"))?;
            Ok(buffer)
        });
        self.delta = delta;
        made
    }

    /// Inflates what lies packed at an offset, in at most so many bytes.
    pub(crate) fn inflate(&mut self, pack: &Pack, packed: (u64, u64), size: u64, to: &mut Buffer) -> Result<(), Fault> {
        let (from, most) = packed;
        if size > self.limit {
            return Err(Fault::too_large(size));
        }
        // What is packed is hardly longer than what it becomes, however it was packed.
        let most = most.min(size.saturating_mul(2).saturating_add(4096));
        let room = self.packed.room(usize::try_from(most).map_err(|_| Fault::too_large(size))?);
        let read = pack
            .read(from, room)
            .map_err(|error| Fault { cause: Cause::Unreadable, detail: error.to_string().into() })?;
        let to = to.room(usize::try_from(size).map_err(|_| Fault::too_large(size))?);
        let packed = self.packed.bytes().get(..read).unwrap_or_default();
        self.inflater.exact(packed, to).map(|_| ()).ok_or_else(|| Fault::corrupt("it does not inflate"))
    }
}

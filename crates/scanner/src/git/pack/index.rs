//! A pack's index: which objects it has, and where.

use crate::git::id::{Format, Id};

/// The objects of a pack, sorted by id.
#[derive(Debug)]
pub(crate) struct Index {
    format: Format,
    ids: Vec<u8>,
    offsets: Vec<u64>,
    fanout: Vec<u32>,
}

impl Index {
    pub(crate) const fn empty(format: Format) -> Self {
        Self { format, ids: Vec::new(), offsets: Vec::new(), fanout: Vec::new() }
    }

    /// Reads an index file of version 1 or 2. Offsets must lie before `end`.
    pub(crate) fn parse(bytes: &[u8], format: Format, end: u64) -> Option<Self> {
        let width = format.len();
        let two = bytes.starts_with(b"\xfftOc");
        if two && bytes.get(4..8)? != [0, 0, 0, 2] {
            return None;
        }
        let table = bytes.get(if two { 8 } else { 0 }..)?;
        let (fanout, rest) = table.split_at_checked(1024)?;
        let fanout: Vec<u32> = fanout.as_chunks::<4>().0.iter().copied().map(u32::from_be_bytes).collect();
        if !fanout.is_sorted() {
            return None;
        }
        let count = usize::try_from(*fanout.last()?).ok()?;
        let (mut ids, mut offsets) = (Vec::new(), Vec::new());
        if two {
            let names = count.checked_mul(width)?;
            ids.extend_from_slice(rest.get(..names)?);
            let crcs = names.checked_add(count.checked_mul(4)?)?;
            let small = rest.get(crcs..crcs.checked_add(count.checked_mul(4)?)?)?;
            let large = rest.get(crcs + small.len()..)?.as_chunks::<8>().0;
            offsets.reserve_exact(count);
            for offset in small.as_chunks::<4>().0 {
                let offset = u32::from_be_bytes(*offset);
                offsets.push(match offset.checked_sub(1 << 31) {
                    Some(at) => u64::from_be_bytes(*large.get(usize::try_from(at).ok()?)?),
                    None => u64::from(offset),
                });
            }
        } else {
            for row in rest.get(..count.checked_mul(4 + width)?)?.chunks_exact(4 + width) {
                let (offset, id) = row.split_first_chunk::<4>()?;
                offsets.push(u64::from(u32::from_be_bytes(*offset)));
                ids.extend_from_slice(id);
            }
        }
        let index = Self { format, ids, offsets, fanout };
        index.offsets.iter().all(|offset| (super::PACK_HEADER..end).contains(offset)).then_some(index)
    }

    /// Makes an index from what was found in a pack.
    pub(crate) fn from_entries(format: Format, mut entries: Vec<(Id, u64)>) -> Self {
        entries.sort_unstable();
        entries.dedup_by_key(|(id, _)| *id);
        let mut index = Self::empty(format);
        index.fanout = (0..=255_u8)
            .map(|byte| entries.partition_point(|(id, _)| id.bytes().first().is_some_and(|first| *first <= byte)))
            .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
            .collect();
        for (id, offset) in entries {
            index.ids.extend_from_slice(id.bytes());
            index.offsets.push(offset);
        }
        index
    }

    /// Which hash it is sorted by.
    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// How many objects.
    pub(crate) const fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Where the objects begin in the pack, sorted by id.
    pub(crate) fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// The id of the object at a position.
    pub(crate) fn id(&self, position: u32) -> Option<Id> {
        Id::new(self.raw(usize::try_from(position).ok()?)?)
    }

    /// The position of an id.
    pub(crate) fn find(&self, id: &Id) -> Option<u32> {
        let bytes = id.bytes();
        let first = usize::from(*bytes.first()?);
        let edge = |at: usize| self.fanout.get(at).and_then(|edge| usize::try_from(*edge).ok());
        let mut low = if first == 0 { 0 } else { edge(first - 1)? };
        let mut high = edge(first)?;
        while low < high {
            let middle = low.midpoint(high);
            match self.raw(middle)?.cmp(bytes) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return u32::try_from(middle).ok(),
            }
        }
        None
    }

    /// All ids that begin with these hexadecimal digits.
    pub(crate) fn beginning(&self, hex: &str) -> Vec<Id> {
        let Some(start) = Id::from_hex(format!("{hex:0<width$}", width = 2 * self.format.len()).as_bytes()) else {
            return Vec::new();
        };
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.raw(middle).is_some_and(|raw| raw < start.bytes()) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let ids = (low..self.len()).map_while(|at| Id::new(self.raw(at)?));
        ids.take_while(|id| id.hex().starts_with(hex)).collect()
    }

    fn raw(&self, position: usize) -> Option<&[u8]> {
        let at = position.checked_mul(self.format.len())?;
        self.ids.get(at..at.checked_add(self.format.len())?)
    }
}

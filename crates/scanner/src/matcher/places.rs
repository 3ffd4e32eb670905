//! What stands where in a text, one bit for each byte, read off it once: where runs of key bytes are, where words begin,
//! and which signs are worth a look.

use super::{lanes, runs};
use std::ops::Range;

/// The places of one text.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Letters, digits, `_` and `-`.
    runs: Vec<u64>,
    /// Letters and digits before which none stands.
    words: Vec<u64>,
    /// What an escape may begin with, and quotes.
    signs: Vec<u64>,
}

impl Places {
    /// Those of a text.
    pub(super) fn of(text: &[u8]) -> Self {
        let (blocks, rest) = text.as_chunks::<64>();
        // What is not there is of no kind.
        let mut last = [b' '; 64];
        last.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
        let count = blocks.len() + 1;
        let mut out = Self {
            runs: Vec::with_capacity(count),
            words: Vec::with_capacity(count),
            signs: Vec::with_capacity(count),
        };
        let mut before = 0;
        for block in blocks.iter().chain([&last]) {
            let lanes = lanes::of(block);
            out.runs.push(lanes.run);
            out.words.push(lanes.plain & !(lanes.plain << 1 | before));
            out.signs.push(lanes.signs);
            before = lanes.plain >> 63;
        }
        out
    }

    /// Every long run, in order.
    pub(super) fn runs(&self, found: impl FnMut(Range<usize>)) {
        runs::each(&self.runs, found);
    }

    /// Where words begin in a block of 64 bytes.
    pub(super) fn words(&self, block: usize) -> u64 {
        self.words.get(block).copied().unwrap_or(0)
    }

    /// The signs in a block that are within a range.
    pub(super) fn signs(&self, block: usize, range: &Range<usize>) -> u64 {
        self.signs.get(block).copied().unwrap_or(0) & within(block, range)
    }

    /// Every sign, in order.
    pub(super) fn each_sign(&self, mut found: impl FnMut(usize)) {
        for (bits, base) in self.signs.iter().zip((0..).step_by(64)) {
            each(*bits, |bit| found(base + bit));
        }
    }
}

/// Every bit that is set.
pub(super) fn each(mut bits: u64, mut found: impl FnMut(usize)) {
    while bits != 0 {
        found(bits.trailing_zeros() as usize);
        bits &= bits - 1;
    }
}

/// Which bytes of a block are within a range.
pub(super) fn within(block: usize, range: &Range<usize>) -> u64 {
    let base = block * 64;
    let below = |end: usize| if end >= 64 { u64::MAX } else { (1 << end) - 1 };
    below(range.end.saturating_sub(base)) & !below(range.start.saturating_sub(base))
}

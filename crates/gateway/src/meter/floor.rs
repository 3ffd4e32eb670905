//! What a stream has surely used before its end is known: what it has reported so far, and a token at least for every
//! piece of output. A provider that does not keep to the cap is found out by this.

use super::Meter;
use keyward_domain::usage::Usage;
use memchr::memmem;

/// How a piece of output begins in the dialects whose streams report their use only at the end.
const PIECE: &[u8] = b"\"delta\":";
/// Pieces of a stream that hold no output: the role, the end, and what was split in the middle of a token.
const EMPTY: u64 = 32;
/// How many pieces pass between two looks.
const EVERY: u64 = 32;

/// What is counted for it.
#[derive(Debug, Default)]
pub(super) struct Floor {
    pieces: u64,
    looked: u64,
    reported: bool,
}

impl Floor {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        // A mark that two reads have torn apart is not counted: the floor is only lower for it.
        self.pieces = self.pieces.saturating_add(memmem::find_iter(piece, PIECE).count() as u64);
    }

    pub(super) const fn reported(&mut self) {
        self.reported = true;
    }
}

impl Meter {
    /// Has the answer watched, if it is a stream that can be read as it comes.
    pub fn watch(&mut self) {
        if self.meters && self.inflate.is_none() && self.reader.is_stream() {
            self.floor = Some(Floor::default());
        }
    }

    /// What was surely used, when something has come that may change the answer. Nothing once the final report is
    /// there: what it says is settled anyway.
    pub fn sure(&mut self) -> Option<Usage> {
        let floor = self.floor.as_mut()?;
        let counted = floor.pieces.saturating_sub(floor.looked) >= EVERY;
        if !counted && !floor.reported {
            return None;
        }
        (floor.looked, floor.reported) = (floor.pieces, false);
        if self.collector.reported && self.collector.terminal {
            return None;
        }
        let pieces = floor.pieces.saturating_sub(EMPTY);
        let mut usage = self.collector.usage_so_far();
        let missing = pieces.saturating_sub(usage.buckets.all_output());
        usage.buckets.output = usage.buckets.output.saturating_add(missing);
        Some(usage)
    }
}

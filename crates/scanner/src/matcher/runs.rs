//! The first stage: long runs of the bytes that keys are made of. Every key has one, whatever it begins with, and all
//! other text is skipped, 64 bytes at a time.

use std::ops::Range;

/// How long a run must be at least. Every known key has one of this length, or is told by other means.
pub(super) const LEAST: usize = 20;

static RUN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

/// Whether a byte may stand in a run.
pub(super) fn is_run(byte: u8) -> bool {
    RUN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Every run of at least [`LEAST`] bytes, in order, each as long as it is. The bits tell which bytes may stand in one, 64 in
/// a block.
pub(super) fn each(blocks: &[u64], mut found: impl FnMut(Range<usize>)) {
    let mut open = 0;
    // What is not there ends a run as well.
    for (mask, base) in blocks.iter().copied().chain([0]).zip((0..).step_by(64)) {
        let head = mask.trailing_ones() as usize;
        if head == 64 {
            open += 64;
            continue;
        }
        if open + head >= LEAST {
            found(base - open..base + head);
        }
        open = mask.leading_ones() as usize;
        // The runs at both ends are seen to; of the others, those bits stay after which as many follow as make a run.
        let inner = (mask >> head << head) & (u64::MAX >> open);
        let mut starts = inner & inner >> 1;
        starts &= starts >> 2;
        starts &= starts >> 4;
        starts &= starts >> 8;
        starts &= starts >> (LEAST - 16);
        while starts != 0 {
            let start = starts.trailing_zeros();
            let length = (inner >> start).trailing_ones();
            found(base + start as usize..base + (start + length) as usize);
            starts &= !(((1 << length) - 1) << start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::places::Places;
    use proptest::prelude::*;

    fn slow(text: &[u8]) -> Vec<Range<usize>> {
        let mut out = Vec::new();
        let mut start = None;
        for (at, byte) in text.iter().chain([&b' ']).enumerate() {
            if is_run(*byte) {
                start.get_or_insert(at);
            } else if let Some(start) = start.take()
                && at - start >= LEAST
            {
                out.push(start..at);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn blocks_miss_no_run(text in "([a-z0-9_]{0,30}[ =.]{0,3}){0,12}([A-Z-]{0,200}[@]){0,3}") {
            let mut fast = Vec::new();
            Places::of(text.as_bytes()).runs(|run| fast.push(run));
            prop_assert_eq!(fast, slow(text.as_bytes()));
        }

        #[test]
        fn any_bytes_do(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut fast = Vec::new();
            Places::of(&text).runs(|run| fast.push(run));
            prop_assert_eq!(fast, slow(&text));
        }
    }
}

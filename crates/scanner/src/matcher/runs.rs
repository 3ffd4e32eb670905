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

/// Every run of at least [`LEAST`] bytes, in order, each as long as it is.
pub(super) fn each(text: &[u8], mut found: impl FnMut(Range<usize>)) {
    let (blocks, rest) = text.as_chunks::<64>();
    // What is not there ends a run as well.
    let mut last = [b' '; 64];
    last.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
    let mut open = 0;
    for (block, base) in blocks.iter().chain([&last]).zip((0..).step_by(64)) {
        let mask = mask(block);
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

/// Which bytes of a block may stand in a run, one bit each. Written so that compilers make vector instructions of it.
fn mask(block: &[u8; 64]) -> u64 {
    let mut flags = [0_u8; 64];
    for (flag, byte) in flags.iter_mut().zip(block) {
        let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        let digit = byte.wrapping_sub(b'0') < 10;
        *flag = u8::from(letter | digit | (*byte == b'_') | (*byte == b'-'));
    }
    let (eights, _) = flags.as_chunks::<8>();
    // The factor moves the lowest bit of each byte into the highest byte, in order.
    let gather = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    eights.iter().rev().fold(0, |mask, eight| mask << 8 | gather(eight))
}

#[cfg(test)]
mod tests {
    use super::*;
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
            each(text.as_bytes(), |run| fast.push(run));
            prop_assert_eq!(fast, slow(text.as_bytes()));
        }

        #[test]
        fn any_bytes_do(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut fast = Vec::new();
            each(&text, |run| fast.push(run));
            prop_assert_eq!(fast, slow(&text));
        }
    }
}

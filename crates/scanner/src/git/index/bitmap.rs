//! Reads the bitmaps of a split index: runs of equal words, and words as they are (EWAH).

use std::collections::HashSet;

/// The most bits that are read: an index has fewer entries.
const MOST: u64 = 1 << 22;

/// The positions of the bits that are set, and what follows the bitmap.
pub(super) fn read(bytes: &[u8]) -> Option<(HashSet<u64>, &[u8])> {
    let (bits, rest) = bytes.split_first_chunk::<4>()?;
    let (words, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*words)).ok()?.checked_mul(8)?;
    let (words, rest) = rest.split_at_checked(len)?;
    let (_, rest) = rest.split_at_checked(4)?;
    let bits = u64::from(u32::from_be_bytes(*bits));
    if bits > MOST {
        return None;
    }
    let mut words = words.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word));
    let (mut set, mut at) = (HashSet::new(), 0_u64);
    while let Some(marker) = words.next() {
        let run = 64 * (marker >> 1 & 0xffff_ffff);
        if marker & 1 != 0 {
            set.extend(at..at.checked_add(run)?.min(bits));
        }
        at = at.checked_add(run)?;
        for _ in 0..marker >> 33 {
            let word = words.next()?;
            set.extend((0..64).filter(|bit| word >> bit & 1 != 0).map(|bit| at + bit));
            at = at.checked_add(64)?;
        }
    }
    Some((set, rest))
}

//! Applies differences.

use std::ops::Range;

/// The sizes that a difference states: its base's and its result's, and where its instructions begin.
pub(crate) fn sizes(delta: &[u8]) -> Option<(u64, u64, usize)> {
    let (base, at) = number(delta, 0)?;
    let (result, at) = number(delta, at)?;
    Some((base, result, at))
}

fn number(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let (mut value, mut shift) = (0_u64, 0_u32);
    loop {
        let byte = *bytes.get(at)?;
        let part = u64::from(byte & 0x7f);
        value |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
        (at, shift) = (at + 1, shift + 7);
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
}

/// Where an object differs from the one it was made from: stretches that are new, and empty ones where two stretches
/// meet that did not in the other. Everything between them stands in the other just so.
pub(crate) type Changes = Vec<Range<usize>>;

/// Makes an object out of its base and the instructions of a difference, and tells where it is not as its base. The
/// result must be as long as `to`.
pub(crate) fn apply(base: &[u8], instructions: &[u8], to: &mut [u8], changes: &mut Changes) -> Option<()> {
    let len = to.len();
    let mut to = to;
    let mut from = instructions;
    // Where in the base the stretch ended that was copied last.
    let mut copied = 0;
    changes.clear();
    while let Some((&op, rest)) = from.split_first() {
        let part;
        let at = len - to.len();
        if op & 0x80 != 0 {
            let (mut offset, mut size) = (0_usize, 0_usize);
            from = rest;
            for bit in 0..7 {
                if op >> bit & 1 != 0 {
                    let (&byte, rest) = from.split_first()?;
                    from = rest;
                    if bit < 4 {
                        offset |= usize::from(byte) << (8 * bit);
                    } else {
                        size |= usize::from(byte) << (8 * (bit - 4));
                    }
                }
            }
            let size = if size == 0 { 0x1_0000 } else { size };
            part = base.get(offset..offset.checked_add(size)?)?;
            if offset != copied {
                change(changes, at..at);
            }
            copied = offset + size;
        } else if op != 0 {
            (part, from) = rest.split_at_checked(usize::from(op))?;
            change(changes, at..at + part.len());
        } else {
            return None;
        }
        let (head, tail) = to.split_at_mut_checked(part.len())?;
        head.copy_from_slice(part);
        to = tail;
    }
    if copied != base.len() {
        change(changes, len..len);
    }
    to.is_empty().then_some(())
}

/// Adds a stretch that follows all others.
fn change(changes: &mut Changes, new: Range<usize>) {
    match changes.last_mut() {
        Some(last) if last.end == new.start => last.end = new.end,
        _ => changes.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn copies_and_inserts_follow_each_other() {
        let delta = [10, 9, 0x90, 3, 2, b'-', b'+', 0x91, 6, 4];
        let (base, result, at) = sizes(&delta).unwrap();
        assert_eq!((base, result, at), (10, 9, 2));
        let mut to = [0; 9];
        let mut changes = Changes::new();
        apply(b"0123456789", &delta[at..], &mut to, &mut changes).unwrap();
        assert_eq!((changes.len(), &changes[0]), (1, &(3..5)));
        assert_eq!(&to, b"012-+6789");
        assert_eq!(apply(b"0123456", &delta[at..], &mut to, &mut changes), None);
        assert_eq!(apply(b"0123456789", &[0], &mut to, &mut changes), None);
    }

    proptest! {
        #[test]
        fn no_difference_makes_it_panic(base in prop::collection::vec(any::<u8>(), 0..64), delta in prop::collection::vec(any::<u8>(), 0..64), len in 0_usize..512) {
            let mut to = vec![0; len];
            let _ = sizes(&delta);
            let _ = apply(&base, &delta, &mut to, &mut Changes::new());
        }
    }
}

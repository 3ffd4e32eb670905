//! Which of 64 bytes are of some kind: one bit for each byte.

/// What the bytes of a block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lanes {
    /// Letters and digits.
    pub(super) plain: u64,
    /// Those and what else stands in a run: `_` and `-`.
    pub(super) run: u64,
    /// What an escape may begin with, and quotes.
    pub(super) signs: u64,
}

/// What the bytes of a block are.
#[inline]
pub(super) fn of(block: &[u8; 64]) -> Lanes {
    let (sixteens, _) = block.as_chunks::<16>();
    let mut lanes = Lanes { plain: 0, run: 0, signs: 0 };
    for sixteen in sixteens.iter().rev() {
        let [plain, run, signs] = kinds(sixteen);
        lanes.plain = lanes.plain << 16 | u64::from(plain);
        lanes.run = lanes.run << 16 | u64::from(run);
        lanes.signs = lanes.signs << 16 | u64::from(signs);
    }
    lanes
}

/// The same of 16 bytes, with instructions that every such processor has.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mask of 16 bytes has 16 bits")]
fn kinds(block: &[u8; 16]) -> [u16; 3] {
    use safe_arch::{
        add_i8_m128i, bitor_m128i, cmp_eq_mask_i8_m128i, cmp_lt_mask_i8_m128i, load_unaligned_m128i, m128i,
        move_mask_i8_m128i, set_splat_i8_m128i,
    };
    let every = |byte: u8| set_splat_i8_m128i(byte.cast_signed());
    let bytes = load_unaligned_m128i(block);
    let is = |byte: u8| cmp_eq_mask_i8_m128i(bytes, every(byte));
    // Comparisons are signed: what is wanted is moved to the lowest numbers.
    let from = |bytes: m128i, first: u8, count: u8| {
        let moved = add_i8_m128i(bytes, every(0x80_u8.wrapping_sub(first)));
        cmp_lt_mask_i8_m128i(moved, every(0x80 + count))
    };
    let either = bitor_m128i;
    let plain = either(from(either(bytes, every(0x20)), b'a', 26), from(bytes, b'0', 10));
    let run = either(plain, either(is(b'_'), is(b'-')));
    // `%&'`, then `[\`.
    let signs = either(from(bytes, b'%', 3), from(bytes, b'[', 2));
    let signs = either(signs, either(is(b'"'), either(is(b'='), is(b'~'))));
    let bits = |mask: m128i| move_mask_i8_m128i(mask) as u16;
    [bits(plain), bits(run), bits(signs)]
}

/// The same of 16 bytes, which compilers make vector instructions of.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn simple(block: &[u8; 16]) -> [u16; 3] {
    fn mask(block: &[u8; 16], is: impl Fn(u8) -> bool) -> u16 {
        let mut flags = [0_u8; 16];
        flags.iter_mut().zip(block).for_each(|(flag, byte)| *flag = u8::from(is(*byte)));
        // The factor moves the lowest bit of each byte into the highest byte, in order.
        let gather = |eight: &[u8; 8]| u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        let bits = flags.as_chunks::<8>().0.iter().rev().fold(0, |mask, eight| mask << 8 | gather(eight));
        u16::try_from(bits).unwrap_or(0)
    }
    let plain = |byte: u8| ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10);
    let close = |byte: u8| (byte.wrapping_sub(b'%') < 3) | (byte.wrapping_sub(b'[') < 2);
    [
        mask(block, plain),
        mask(block, |byte| plain(byte) | (byte == b'_') | (byte == b'-')),
        mask(block, |byte| close(byte) | (byte == b'"') | (byte == b'=') | (byte == b'~')),
    ]
}

/// The same of 16 bytes.
#[cfg(not(target_arch = "x86_64"))]
fn kinds(block: &[u8; 16]) -> [u16; 3] {
    simple(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                let mut block = [b' '; 16];
                block[at] = byte;
                assert_eq!(kinds(&block), simple(&block), "{byte} at {at}");
            }
        }
        let mut block = [b' '; 64];
        for (at, byte) in [(0, b'a'), (17, b'_'), (40, b'%'), (63, b'9')] {
            block[at] = byte;
        }
        let lanes = of(&block);
        assert_eq!((lanes.plain, lanes.run, lanes.signs), (1 | 1 << 63, 1 | 1 << 17 | 1 << 63, 1 << 40));
    }
}

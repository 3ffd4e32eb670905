//! Random numbers that need not be secret: ids of calls, and the share of weighted credentials. One generator a thread,
//! seeded by the system.

use rustls::crypto::SecureRandom;
use std::cell::Cell;

/// A small fast generator (xoshiro256++). Not for secrets.
pub(crate) struct Random(Cell<[u64; 4]>);

/// The system's generator gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

impl Random {
    /// Seeds a generator.
    ///
    /// # Errors
    /// [`NoRandom`] when the system gives no randomness.
    pub(crate) fn seeded(system: &dyn SecureRandom) -> Result<Self, NoRandom> {
        let mut seed = [0; 32];
        system.fill(&mut seed).map_err(|_| NoRandom)?;
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = bytes.try_into().map_or(0, u64::from_le_bytes);
        }
        // The one state from which the generator never gets away.
        Ok(Self(Cell::new(if state == [0; 4] { [1; 4] } else { state })))
    }

    /// The next number.
    pub(crate) fn next(&self) -> u64 {
        let [a, b, c, d] = self.0.get();
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let c2 = c ^ a;
        let d2 = d ^ b;
        self.0.set([a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)]);
        result
    }

    /// Ten random bytes, for an id.
    pub(crate) fn ten(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        let (left, right) = (self.next().to_le_bytes(), self.next().to_le_bytes());
        for (slot, byte) in bytes.iter_mut().zip(left.into_iter().chain(right)) {
            *slot = byte;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_published_algorithm() {
        let random = Random(Cell::new([1, 2, 3, 4]));
        let first: Vec<_> = (0..4).map(|_| random.next()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn seeds_differ() {
        let system = crate::upstream::tls::provider().secure_random;
        let (one, two) = (Random::seeded(system).unwrap(), Random::seeded(system).unwrap());
        assert_ne!(one.ten(), two.ten());
    }
}

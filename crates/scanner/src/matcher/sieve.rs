//! A quick look for many words at once: which groups of three bytes stand in them. A text without any such group at
//! every so many places holds none of the words, and most texts are told by that.

/// As many bits as groups are told apart.
const BITS: usize = 1 << 16;

/// The groups of three bytes of some words.
#[derive(Debug)]
pub(super) struct Sieve {
    bits: Box<[u64]>,
    /// How far apart two places may lie that are looked at. None: no word is long enough, so everything may hold one.
    step: Option<usize>,
}

impl Sieve {
    /// The groups of the words, whatever their case.
    pub(super) fn new<'w>(words: impl Iterator<Item = &'w [u8]> + Clone) -> Self {
        let mut bits = vec![0; BITS / 64].into_boxed_slice();
        let step = words.clone().map(<[u8]>::len).min().unwrap_or(3).checked_sub(2).filter(|step| *step > 0);
        for group in words.flat_map(|word| word.windows(3).take(step.unwrap_or(0))) {
            let (word, bit) = place(group);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self { bits, step }
    }

    /// Whether a text may hold one of the words.
    pub(super) fn may_hold(&self, text: &[u8]) -> bool {
        let Some(step) = self.step else { return true };
        text.windows(3).skip(step - 1).step_by(step).any(|group| {
            let (word, bit) = place(group);
            self.bits.get(word).is_some_and(|word| word & bit != 0)
        })
    }
}

/// Where the bit of a group is; letters count alike in both cases.
fn place(group: &[u8]) -> (usize, u64) {
    let hash = group.iter().fold(0_usize, |hash, byte| hash << 5 ^ usize::from(byte | 0x20)) % BITS;
    (hash / 64, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_word_falls_through(before in "[a-z0-9_-]{0,20}", word in 0..3_usize, after in "[A-Z0-9]{0,20}") {
            let words = [&b"Token"[..], b"fake_", b"placeholder"];
            let sieve = Sieve::new(words.into_iter());
            let text = [before.as_bytes(), words[word], after.as_bytes()].concat();
            prop_assert!(sieve.may_hold(&text));
            prop_assert!(sieve.may_hold(&text.to_ascii_uppercase()));
        }
    }
}

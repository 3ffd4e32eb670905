//! How secrets begin. A beginning only counts where a word may begin, which is seen at one byte, and what three bytes
//! stand there tells nearly always that none does: so no automaton runs over the text.

use crate::rule::Bytes;
use std::{collections::BTreeMap, ops::Range};

/// As many bits as groups are told apart.
const BITS: usize = 1 << 16;

/// How long the escape may be that stands before a secret.
const ESCAPE: usize = 12;

/// All beginnings of secrets.
#[derive(Debug)]
pub(super) struct Beginnings {
    /// The bytes that they begin with.
    first: Bytes,
    bits: Box<[u64]>,
    /// The beginnings, by their first two bytes, with the rules that each is of.
    pairs: BTreeMap<[u8; 2], Vec<Begin>>,
}

/// One beginning.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) text: Box<[u8]>,
    /// The rules whose secrets begin so.
    pub(super) rules: Vec<usize>,
}

impl Beginnings {
    /// Takes the beginnings, each of two bytes at least.
    pub(super) fn new(all: BTreeMap<Box<[u8]>, Vec<usize>>) -> Self {
        let mut bits = vec![0_u64; BITS / 64].into_boxed_slice();
        let mut heads = Bytes::NONE;
        let mut pairs = BTreeMap::<[u8; 2], Vec<Begin>>::new();
        for (text, rules) in all {
            let (first, second, third) = match *text {
                [first, second, third, ..] => (first, second, third..=third),
                [first, second] => (first, second, 0..=u8::MAX),
                _ => continue,
            };
            heads.insert(first);
            for third in third {
                let place = place(first, second, third);
                if let Some(word) = bits.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
            }
            pairs.entry([first, second]).or_default().push(Begin { text, rules });
        }
        Self { first: heads, bits, pairs }
    }

    /// Every beginning in a range of a text that stands where a word may begin.
    pub(super) fn each(&self, text: &[u8], range: Range<usize>, mut found: impl FnMut(usize, &Begin)) {
        let mut escaped = 0;
        // An escape may stand before the range.
        for at in range.start.saturating_sub(ESCAPE)..range.start {
            if text.get(at).is_some_and(|byte| begins_escape(*byte)) {
                escaped = at + ESCAPE;
            }
        }
        let mut probe = |at: usize| {
            if let Some([first, second, more @ ..]) = text.get(at..)
                && self.may_begin(*first, *second, more.first().copied().unwrap_or(0))
            {
                self.at(text.get(at..range.end).unwrap_or_default(), [*first, *second], |begin| found(at, begin));
            }
        };
        if range.start == 0 {
            probe(0);
        }
        let from = range.start.max(1);
        for (at, pair) in (from..).zip(text.get(from - 1..range.end).unwrap_or_default().windows(2)) {
            let &[before, first] = pair else { return };
            if before.is_ascii_alphanumeric() && at > escaped {
                continue;
            }
            if begins_escape(before) {
                escaped = at + ESCAPE;
            }
            if self.first.has(first) {
                probe(at);
            }
        }
    }

    fn may_begin(&self, first: u8, second: u8, third: u8) -> bool {
        let place = place(first, second, third);
        self.bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn at(&self, rest: &[u8], pair: [u8; 2], found: impl FnMut(&Begin)) {
        let all = self.pairs.get(&pair).into_iter().flatten();
        all.filter(|begin| rest.starts_with(&begin.text)).for_each(found);
    }
}

fn place(first: u8, second: u8, third: u8) -> usize {
    (usize::from(first) << 10 ^ usize::from(second) << 5 ^ usize::from(third)) % BITS
}

/// Whether an escape may begin with a byte, after which a word may begin although letters stand before it.
const fn begins_escape(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'[' | b'=')
}

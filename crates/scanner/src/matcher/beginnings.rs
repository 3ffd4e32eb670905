//! How secrets begin. A beginning only counts where a word may begin, which is known of every place, and what three bytes
//! stand there tells nearly always that none does: so no automaton runs over the text.

use super::places::{self, Places};
use std::{collections::BTreeMap, ops::Range};

/// As many bits as groups are told apart.
const BITS: usize = 1 << 16;

/// How long the escape may be that stands before a secret.
const ESCAPE: usize = 12;

/// All beginnings of secrets.
#[derive(Debug)]
pub(super) struct Beginnings {
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
    /// Takes the beginnings, each of two bytes at least, the first of them a letter or a digit.
    pub(super) fn new(all: BTreeMap<Box<[u8]>, Vec<usize>>) -> Self {
        let mut bits = vec![0_u64; BITS / 64].into_boxed_slice();
        let mut pairs = BTreeMap::<[u8; 2], Vec<Begin>>::new();
        for (text, rules) in all {
            let (first, second, third) = match *text {
                [first, second, third, ..] => (first, second, third..=third),
                [first, second] => (first, second, 0..=u8::MAX),
                _ => continue,
            };
            for third in third {
                let place = place(first, second, third);
                if let Some(word) = bits.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
            }
            pairs.entry([first, second]).or_default().push(Begin { text, rules });
        }
        Self { bits, pairs }
    }

    /// Every beginning in a range of a text that stands where a word may begin.
    pub(super) fn each(&self, text: &[u8], places: &Places, range: Range<usize>, mut found: impl FnMut(usize, &Begin)) {
        // An escape may stand before the range.
        let from = range.start.saturating_sub(ESCAPE);
        let mut ends = 0_u128;
        for block in from / 64..range.end.div_ceil(64) {
            let base = block * 64;
            places::each(places.signs(block, &(from..range.end)), |bit| ends |= escape_ends(text, base + bit) << bit);
            let begins = (places.words(block) | low(ends)) & places::within(block, &range);
            ends >>= 64;
            places::each(begins, |bit| {
                let at = base + bit;
                if let Some([first, second, more @ ..]) = text.get(at..)
                    && self.may_begin(*first, *second, more.first().copied().unwrap_or(0))
                {
                    self.at(text.get(at..range.end).unwrap_or_default(), [*first, *second], |begin| found(at, begin));
                }
            });
        }
    }

    /// Every beginning that stands at a place, whatever is before it.
    pub(super) fn standing(&self, text: &[u8], at: usize, found: impl FnMut(&Begin)) {
        if let Some(rest @ [first, second, ..]) = text.get(at..) {
            self.at(rest, [*first, *second], found);
        }
    }

    /// Whether one may stand in a short text.
    pub(super) fn may_stand_in(&self, text: &[u8]) -> bool {
        let byte = |at: usize| text.get(at).copied().unwrap_or(0);
        let mut before = 0;
        (0..text.len()).any(|at| {
            let (first, second) = (byte(at), byte(at + 1));
            let goes_on = std::mem::replace(&mut before, first).is_ascii_alphanumeric();
            let mut stands = first == b'=' && second == b'3';
            if !goes_on && self.may_begin(first, second, byte(at + 2)) {
                self.at(text.get(at..).unwrap_or_default(), [first, second], |_| stands = true);
            }
            stands
        })
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

fn low(bits: u128) -> u64 {
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
}

/// How far from a sign the escapes may end that begin with it, one bit for each distance: a word may begin there although
/// letters stand before it.
fn escape_ends(text: &[u8], at: usize) -> u128 {
    match text.get(at..) {
        Some([b'\\', b'x', ..]) => 1 << 4,
        Some([b'\\', b'u', ..]) => 1 << 6,
        Some([b'\\', b'0'..=b'9', ..]) => 1 << 2 | 1 << 4,
        Some([b'\\', b'a'..=b'z', ..]) => 1 << 2,
        Some([b'%', b'2', b'5', ..]) => 1 << 3 | 1 << 5,
        Some([b'%', ..] | [b'=', b'3', b'D', ..]) => 1 << 3,
        Some([b'[', rest @ ..]) => {
            let digits = rest.iter().take(ESCAPE).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
            if rest.get(digits) == Some(&b'm') { 1 << (digits + 2) } else { 0 }
        }
        _ => 0,
    }
}

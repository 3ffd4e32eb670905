//! Places at which something is to be looked at, besides runs: short texts that stand there. Those that begin with a sign
//! are seen at the signs, the others are found in one pass over the text, whose vector instructions look for many at once.

use super::{places::Places, runs};
use aho_corasick::{
    AhoCorasick, MatchKind, Span,
    packed::{self, Searcher},
};
use std::ops::Range;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// What names AWS and its secrets: how far before it they may stand.
    Wide(usize),
    /// Between a scheme and a host.
    Address,
    /// A private key.
    Private,
    /// A beginning that lies far before the first run: which.
    Far(usize),
}

/// How far after what names them the secrets of AWS may stand.
const AFTER: usize = 200;
/// How far before.
const BEFORE: usize = 100;

const WORDS: &[(&[u8], Mark)] = &[
    (b"ecret", Mark::Wide(0)),
    (b"ECRET", Mark::Wide(0)),
    (b"AKIA", Mark::Wide(BEFORE)),
    (b"ASIA", Mark::Wide(BEFORE)),
    // It may be the end of `amazonaws`.
    (b"aws", Mark::Wide(BEFORE + 5)),
    (b"AWS", Mark::Wide(BEFORE)),
    (b"Aws", Mark::Wide(BEFORE)),
    (b"://", Mark::Address),
    (b"PRIVATE KEY", Mark::Private),
];

/// Looks for all marks.
#[derive(Debug)]
pub(super) struct Marks {
    words: Words,
}

/// The marks of a text, each kind in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Keys of Azure: `Q~`.
    pub(super) tildes: Vec<usize>,
    /// Stretches in which secrets of AWS may stand.
    pub(super) wide: Vec<Range<usize>>,
    /// `://`.
    pub(super) addresses: Vec<usize>,
    /// `PRIVATE KEY`.
    pub(super) private: Vec<usize>,
    /// Where a word ends that may go on: at a quote behind which something joins, or where a line goes on below.
    pub(super) joints: Vec<usize>,
    /// Escapes that may stand for a byte of a key.
    pub(super) escapes: Vec<usize>,
    /// Beginnings that lie far before the first run, and which.
    pub(super) far: Vec<(usize, usize)>,
}

/// What signs are looked at, one bit for each kind.
const QUOTE: u8 = 1;
const PERCENT: u8 = 2;
const AND: u8 = 4;
const BACKSLASH: u8 = 8;
const EQUALS: u8 = 16;
const TILDE: u8 = 32;

/// The kind of each byte as a sign, and which kinds of signs tell something when it follows.
static SIGNS: [(u8, u8); 256] = {
    let mut table = [(0, TILDE); 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let kind = match byte {
            b'"' | b'\'' => QUOTE,
            b'%' => PERCENT,
            b'&' => AND,
            b'\\' => BACKSLASH,
            b'=' => EQUALS,
            b'~' => TILDE,
            _ => 0,
        };
        let joins = matches!(byte, b' ' | b'+' | b'.' | b'\n' | b'\r' | b'&' | b'\\' | b'|' | b'~' | b',');
        // What stands for a byte of a key has no other digits.
        let digits = matches!(byte, b'2'..=b'7');
        let names = matches!(byte, b'#' | b'l' | b'h' | b'd');
        let ends = matches!(byte, b'\n' | b'\r');
        let codes = matches!(byte, b'u' | b'x' | b'/') || ends;
        let after = TILDE
            | if joins { QUOTE } else { 0 }
            | if digits { PERCENT } else { 0 }
            | if names { AND } else { 0 }
            | if codes { BACKSLASH } else { 0 }
            | if ends { EQUALS } else { 0 };
        table[byte as usize] = (kind, after);
        byte += 1;
    }
    table
};

impl Found {
    /// Takes what stands at a sign.
    fn sign(&mut self, text: &[u8], at: usize) {
        let Some([sign, next, ..]) = text.get(at..) else { return };
        let (kind, after) = (
            SIGNS.get(usize::from(*sign)).map_or(0, |one| one.0),
            SIGNS.get(usize::from(*next)).map_or(0, |one| one.1),
        );
        if kind & after == 0 {
            return;
        }
        let before = |back: usize| at.checked_sub(back).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
        match (sign, next) {
            (b'~', _) => {
                if before(1) == b'Q' {
                    self.tildes.push(at - 1);
                }
            }
            (b'"' | b'\'', _) | (_, b'\n' | b'\r') => {
                if (1..=3).all(|back| runs::is_run(before(back))) {
                    self.joints.push(at);
                }
            }
            (b'&', b'l' | b'h' | b'd') => {
                let rest = text.get(at + 1..).unwrap_or_default();
                if [&b"lowbar"[..], b"hyphen", b"dash"].iter().any(|name| rest.starts_with(name)) {
                    self.escapes.push(at);
                }
            }
            _ => self.escapes.push(at),
        }
    }
}

impl Marks {
    /// Looks for these beginnings as well.
    pub(super) fn new<'w>(far: impl Iterator<Item = &'w [u8]>) -> Self {
        let mut words: Vec<_> = WORDS.iter().map(|(word, mark)| ((*word).into(), *mark)).collect();
        words.extend(far.enumerate().map(|(index, word)| (word.into(), Mark::Far(index))));
        Self { words: Words::new(words) }
    }

    /// The marks of a text, of which the places are known.
    pub(super) fn find(&self, text: &[u8], places: &Places) -> Found {
        let mut found = Found::default();
        places.each_sign(|at| found.sign(text, at));
        self.words.each(text, |mark, at| match mark {
            Mark::Wide(before) => found.wide.push(at.saturating_sub(before)..text.len().min(at + AFTER)),
            Mark::Address => found.addresses.push(at),
            Mark::Private => found.private.push(at),
            Mark::Far(index) => found.far.push((index, at)),
        });
        found
    }
}

/// Words that are looked for at once.
#[derive(Debug)]
struct Words {
    words: Vec<(Box<[u8]>, Mark)>,
    /// None: the machine has no such instructions.
    packed: Option<Searcher>,
    automaton: Option<AhoCorasick>,
}

impl Words {
    fn new(words: Vec<(Box<[u8]>, Mark)>) -> Self {
        let texts = || words.iter().map(|(word, _)| word);
        let packed = packed::Config::new().builder().extend(texts()).build();
        let automaton = match packed {
            Some(_) => None,
            None => AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(texts()).ok(),
        };
        Self { words, packed, automaton }
    }

    fn each(&self, text: &[u8], mut found: impl FnMut(Mark, usize)) {
        let next = |from: usize| {
            let span = Span { start: from, end: text.len() };
            match (&self.packed, &self.automaton) {
                (Some(packed), _) => packed.find_in(text, span).map(|one| one.start()),
                (None, Some(automaton)) => {
                    automaton.find(aho_corasick::Input::new(text).span(span)).map(|one| one.start())
                }
                (None, None) => None,
            }
        };
        let mut from = 0;
        while let Some(at) = next(from) {
            let rest = text.get(at..).unwrap_or_default();
            for (word, mark) in &self.words {
                if word.first() == rest.first() && rest.starts_with(word) {
                    found(*mark, at);
                }
            }
            from = at + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &[u8]) -> Found {
        let far: [&[u8]; 1] = [b"hooks.example/services/"];
        Marks::new(far.into_iter()).find(text, &Places::of(text))
    }

    #[test]
    fn every_mark_is_found_wherever_it_stands() {
        type Of = fn(&Found) -> Vec<usize>;
        let escapes: Of = |found| found.escapes.clone();
        let joints: Of = |found| found.joints.clone();
        let wide: Of = |found| found.wide.iter().map(|range| range.end - AFTER).collect();
        let all: [(&str, usize, Of); 24] = [
            ("Q~a", 0, |found| found.tildes.clone()),
            ("%2d", 0, escapes),
            ("%5F", 0, escapes),
            ("%7E", 0, escapes),
            ("&#45;", 0, escapes),
            ("&lowbar;", 0, escapes),
            ("&hyphen;", 0, escapes),
            ("&dash;", 0, escapes),
            ("\\u002d", 0, escapes),
            ("\\x2d", 0, escapes),
            ("\\/", 0, escapes),
            ("abc\" + ", 3, joints),
            ("abc',", 3, joints),
            ("abc\\\n", 3, joints),
            ("abc=\r\n", 3, joints),
            ("secret", 1, wide),
            ("SECRET", 1, wide),
            ("AKIA", 0, wide),
            ("ASIA", 0, wide),
            ("Aws", 0, wide),
            ("amazonaws", 6, wide),
            ("://", 0, |found| found.addresses.clone()),
            ("PRIVATE KEY", 0, |found| found.private.clone()),
            ("hooks.example/services/", 0, |found| found.far.iter().map(|(_, at)| *at).collect()),
        ];
        for gap in 0..70 {
            let fill = "i".repeat(gap);
            for (word, at, of) in &all {
                let text = [&fill, *word, &fill, *word, &"!".repeat(AFTER)].concat();
                assert_eq!(of(&find(text.as_bytes())), [gap + at, gap * 2 + word.len() + at], "{word}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_is_none() {
        let found = find(b"100%, a && b; c &lt; d; \\n ~x, ab\", \" + ''; x = 3\n= 4 [5]");
        assert!(found.escapes.is_empty() && found.joints.is_empty() && found.tildes.is_empty(), "{found:?}");
    }
}

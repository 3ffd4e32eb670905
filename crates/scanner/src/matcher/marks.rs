//! Short texts at which something is to be looked at: all are found in two passes over the text, whose vector
//! instructions look for many at once.

use aho_corasick::{
    AhoCorasick, MatchKind, Span,
    packed::{self, Searcher},
};

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Keys of Azure.
    Tilde,
    /// What names AWS and its secrets: which of the ways.
    Wide(u8),
    /// Between a scheme and a host.
    Address,
    /// A private key.
    Private,
    /// A line that goes on below: which of the ways.
    Line(u8),
    /// An escape: which of the ways.
    Escape(u8),
    /// A beginning that lies far before the first run: which.
    Far(usize),
}

/// How many ways there are in which AWS is named.
pub(super) const WIDE: u8 = 8;
/// The way that is the end of a longer word.
const LONG: u8 = 7;
/// How many ways a line goes on.
pub(super) const LINES: u8 = 4;
/// How many kinds of escapes there are.
pub(super) const ESCAPES: u8 = 8;

const SHORT: &[(&[u8], Mark)] = &[
    (b"Q~", Mark::Tilde),
    (b"\\\n", Mark::Line(0)),
    (b"\\\r", Mark::Line(1)),
    (b"=\n", Mark::Line(2)),
    (b"=\r", Mark::Line(3)),
    // What stands for a byte of a key has no other digits here.
    (b"%2", Mark::Escape(0)),
    (b"%3", Mark::Escape(0)),
    (b"%4", Mark::Escape(0)),
    (b"%5", Mark::Escape(0)),
    (b"%6", Mark::Escape(0)),
    (b"%7", Mark::Escape(0)),
    (b"&#", Mark::Escape(1)),
    (b"&lowbar", Mark::Escape(2)),
    (b"&hyphen", Mark::Escape(3)),
    (b"&dash", Mark::Escape(4)),
    (b"\\u", Mark::Escape(5)),
    (b"\\x", Mark::Escape(6)),
    (b"\\/", Mark::Escape(7)),
];

const LONGER: &[(&[u8], Mark)] = &[
    (b"ecret", Mark::Wide(0)),
    (b"ECRET", Mark::Wide(1)),
    (b"AKIA", Mark::Wide(2)),
    (b"ASIA", Mark::Wide(3)),
    (b"aws", Mark::Wide(4)),
    (b"AWS", Mark::Wide(5)),
    (b"Aws", Mark::Wide(6)),
    (b"://", Mark::Address),
    (b"PRIVATE KEY", Mark::Private),
];

/// Looks for all marks.
#[derive(Debug)]
pub(super) struct Marks {
    short: Words,
    longer: Words,
}

/// The marks of a text, each kind in order.
pub(super) struct Found(Vec<(Mark, usize)>);

impl Found {
    /// Where a mark stands.
    pub(super) fn of(&self, mark: Mark) -> impl Iterator<Item = usize> {
        self.0.iter().filter(move |(found, _)| *found == mark).map(|(_, at)| *at)
    }
}

impl Marks {
    /// Looks for these beginnings as well.
    pub(super) fn new(far: &[Box<[u8]>]) -> Self {
        let own =
            |words: &[(&[u8], Mark)]| words.iter().map(|(word, mark)| ((*word).into(), *mark)).collect::<Vec<_>>();
        let mut longer = own(LONGER);
        longer.extend(far.iter().enumerate().map(|(index, word)| (word.clone(), Mark::Far(index))));
        Self { short: Words::new(own(SHORT)), longer: Words::new(longer) }
    }

    /// The marks of a text.
    pub(super) fn find(&self, text: &[u8]) -> Found {
        let mut found = Vec::new();
        self.short.each(text, |mark, at| found.push((mark, at)));
        self.longer.each(text, |mark, at| {
            found.push((mark, at));
            if mark == Mark::Wide(4) && text.get(..at).is_some_and(|before| before.ends_with(b"mazon")) {
                found.push((Mark::Wide(LONG), at - 5));
            }
        });
        Found(found)
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

    #[test]
    fn every_mark_is_found_wherever_it_stands() {
        let far: Vec<Box<[u8]>> = vec![b"hooks.example/services/".as_slice().into()];
        let marks = Marks::new(&far);
        for gap in 0..70 {
            let fill = "a".repeat(gap);
            for (word, mark) in SHORT.iter().chain(LONGER).chain([&(&*far[0], Mark::Far(0))]) {
                let text = [fill.as_bytes(), word, fill.as_bytes(), word].concat();
                let found: Vec<usize> = marks.find(&text).of(*mark).collect();
                assert_eq!(found, [gap, gap * 2 + word.len()], "{mark:?}");
            }
        }
        let found = marks.find(b"amazonaws aws");
        assert_eq!(found.of(Mark::Wide(LONG)).collect::<Vec<_>>(), [1]);
        assert_eq!(found.of(Mark::Wide(4)).collect::<Vec<_>>(), [6, 10]);
    }
}

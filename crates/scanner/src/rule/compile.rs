//! A rule's patterns, compiled, with what can be read off them: which bytes a secret is made of and how long it is.

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

/// The largest compiled size of a pattern, in bytes: a file of rules must not eat the memory.
const SIZE_LIMIT: usize = 4 << 20;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes([u64; 4]);

impl Bytes {
    pub(crate) const NONE: Self = Self([0; 4]);

    pub(crate) fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
    }

    /// The bytes of a text.
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut all = Self::NONE;
        text.iter().for_each(|byte| all.insert(*byte));
        all
    }

    /// Whether all of them are in another set.
    pub(crate) fn within(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(mine, other)| mine & !other == 0)
    }

    pub(crate) fn insert(&mut self, byte: u8) {
        if let Some(word) = self.0.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
}

/// A rule's patterns.
#[derive(Debug)]
pub(crate) struct Compiled {
    exact: Regex,
    loose: Option<Regex>,
    /// The bytes that such a secret can hold.
    pub(crate) alphabet: Bytes,
}

impl Compiled {
    /// None when a pattern does not compile.
    pub(crate) fn new(pattern: &str, loose: Option<&str>, prefixes: &[Box<str>]) -> Option<Self> {
        let mut alphabet = Bytes::NONE;
        for part in [Some(pattern), loose].into_iter().flatten() {
            gather(&parse(part)?, &mut alphabet);
        }
        prefixes.iter().flat_map(|prefix| prefix.bytes()).for_each(|byte| alphabet.insert(byte));
        Some(Self { exact: anchored(pattern).ok()?, loose: loose.map(anchored).transpose().ok()?, alphabet })
    }

    /// Where a secret that begins with the text ends.
    pub(crate) fn exact(&self, text: &[u8]) -> Option<usize> {
        self.exact.find(text).map(|found| found.end())
    }

    /// Where one of less usual length ends.
    pub(crate) fn loose(&self, text: &[u8]) -> Option<usize> {
        self.loose.as_ref()?.find(text).map(|found| found.end())
    }
}

/// What a pattern fits, as far as it can be told without looking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The least length.
    pub(crate) least: usize,
    /// The greatest.
    pub(crate) most: usize,
    /// The bytes.
    pub(crate) alphabet: Bytes,
    /// Whether there are bytes among them that never stand in a run.
    pub(crate) wide: bool,
}

/// The extent of a pattern; None when it does not parse or has no end.
pub(crate) fn extent(pattern: &str) -> Option<Extent> {
    let hir = parse(pattern)?;
    let mut alphabet = Bytes::NONE;
    gather(&hir, &mut alphabet);
    let wide = (0..=u8::MAX).any(|byte| alphabet.has(byte) && !byte.is_ascii_alphanumeric() && !b"-_".contains(&byte));
    Some(Extent { least: hir.properties().minimum_len()?, most: hir.properties().maximum_len()?, alphabet, wide })
}

/// The literal that every text the pattern fits begins with, if there is one.
pub(crate) fn beginning(pattern: &str) -> Box<[u8]> {
    fn first(hir: &Hir) -> Option<&[u8]> {
        match hir.kind() {
            HirKind::Literal(literal) => Some(&literal.0),
            HirKind::Concat(parts) => parts.first().and_then(first),
            HirKind::Capture(capture) => first(&capture.sub),
            _ => None,
        }
    }
    parse(pattern).as_ref().and_then(first).unwrap_or_default().into()
}

pub(crate) fn anchored(pattern: &str) -> Result<Regex, regex::Error> {
    build(&format!(r"\A(?:{pattern})"))
}

/// A pattern that is looked for anywhere.
pub(crate) fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build()
}

fn parse(pattern: &str) -> Option<Hir> {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()
}

fn gather(hir: &Hir, out: &mut Bytes) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| out.insert(*byte)),
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().flat_map(|range| range.start()..=range.end()).for_each(|byte| out.insert(byte));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let ascii = |character: char| u8::try_from(character).ok();
            let ranges = class.ranges().iter().filter_map(|range| Some((ascii(range.start())?, ascii(range.end())?)));
            ranges.flat_map(|(from, to)| from..=to).for_each(|byte| out.insert(byte));
        }
        HirKind::Repetition(repetition) => gather(&repetition.sub, out),
        HirKind::Capture(capture) => gather(&capture.sub, out),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().for_each(|part| gather(part, out)),
    }
}

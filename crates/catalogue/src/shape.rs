//! Key shapes, compiled: what a provider's secrets look like.

use keyward_domain::provider::KeyShape;
use regex::{Regex, RegexBuilder};
use regex_syntax::{
    Parser, ParserBuilder,
    hir::{Hir, HirKind, Repetition},
};
use std::sync::OnceLock;

/// The largest compiled size of a key shape's pattern, in bytes: an operator's file must not eat the memory.
const SIZE_LIMIT: usize = 1 << 20;

/// A kind of secret of one provider, ready to be looked for. Compiled when it is first looked for: a server that never
/// looks need not hold all of them in memory.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The provider's id.
    pub provider: Box<str>,
    /// The shape's name, such as `project` or `admin`.
    pub name: Box<str>,
    /// The pattern as written in the provider's file.
    pub pattern: Box<str>,
    /// A wider pattern, for secrets of a less usual length.
    pub loose: Option<Box<str>>,
    /// Literal beginnings. Empty: the shape says little by itself and needs context.
    pub prefixes: Vec<Box<str>>,
    /// Words, lower case, one of which must stand near a secret without a telling beginning.
    pub context: Vec<Box<str>>,
    /// Whether such a secret administers the account and must never serve traffic.
    pub admin: bool,
    whole: OnceLock<Option<Regex>>,
    within: OnceLock<Option<Regex>>,
}

impl Shape {
    /// The shapes of a provider whose patterns have been checked.
    pub(crate) fn all(provider: &str, keys: &[KeyShape]) -> impl Iterator<Item = Self> {
        keys.iter().map(move |key| Self {
            provider: provider.into(),
            name: key.name.clone(),
            pattern: key.pattern.clone(),
            loose: key.loose.clone(),
            prefixes: key.prefixes.clone(),
            context: key.context.clone(),
            admin: key.admin,
            whole: OnceLock::new(),
            within: OnceLock::new(),
        })
    }

    /// Whether the whole text is a secret of this shape.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let whole = self.whole.get_or_init(|| compile(&format!("^(?:{})$", self.pattern)).ok());
        whole.as_ref().is_some_and(|whole| whole.is_match(text))
    }

    /// Where secrets of this shape stand in a text. A hit has no letter, digit, `_` or `-` of the alphabet of keys
    /// right before or after it: otherwise it is a part of something longer.
    pub fn find_in<'t>(&self, text: &'t str) -> impl Iterator<Item = std::ops::Range<usize>> + use<'_, 't> {
        let within = self.within.get_or_init(|| compile(&self.pattern).ok());
        within.iter().flat_map(move |within| within.find_iter(text)).map(|found| found.range()).filter(|range| {
            let edge =
                |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"_-".contains(byte));
            let bytes = text.as_bytes();
            edge(range.start.checked_sub(1).and_then(|at| bytes.get(at))) && edge(bytes.get(range.end))
        })
    }

    /// Whether the whole text is a secret of this shape, or has its less usual length.
    #[must_use]
    pub fn is_nearly(&self, text: &str) -> bool {
        let loose = || self.loose.as_ref().and_then(|loose| compile(&format!("^(?:{loose})$")).ok());
        self.is(text) || loose().is_some_and(|loose| loose.is_match(text))
    }

    /// Whether the text is the beginning of a secret of this shape, and not all of it.
    #[must_use]
    pub fn is_cut_off(&self, text: &str) -> bool {
        let beginning = || {
            let hir = parser().parse(&self.pattern).ok()?;
            compile(&format!("^(?:{})$", beginnings(&hir))).ok()
        };
        !text.is_empty() && !self.is(text) && beginning().is_some_and(|beginning| beginning.is_match(text))
    }

    /// How many bytes such a secret has at least.
    #[must_use]
    pub fn shortest(&self) -> Option<usize> {
        parser().parse(&self.pattern).ok()?.properties().minimum_len()
    }

    /// Whether the shape is told by the way it begins.
    #[must_use]
    pub const fn is_telling(&self) -> bool {
        !self.prefixes.is_empty()
    }
}

fn parser() -> Parser {
    ParserBuilder::new().unicode(false).utf8(false).build()
}

/// A pattern for every beginning of what a pattern fits, the empty one and the whole included.
fn beginnings(hir: &Hir) -> Hir {
    let maybe = |sub: Hir| Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: Box::new(sub) });
    let chain = |parts: Vec<Hir>| {
        // Of a row, something of the first part, or all of it and something of the rest.
        parts.iter().rev().fold(Hir::empty(), |rest, part| {
            Hir::alternation(vec![Hir::concat(vec![part.clone(), rest]), beginnings(part)])
        })
    };
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) if literal.0.len() > 1 => {
            chain(literal.0.iter().map(|byte| Hir::literal([*byte])).collect())
        }
        HirKind::Literal(_) | HirKind::Class(_) => maybe(hir.clone()),
        HirKind::Capture(capture) => beginnings(&capture.sub),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(beginnings).collect()),
        HirKind::Concat(parts) => chain(parts.clone()),
        HirKind::Repetition(repetition) => {
            let some = Repetition { min: 0, ..repetition.clone() };
            Hir::concat(vec![Hir::repetition(some), beginnings(&repetition.sub)])
        }
    }
}

pub(crate) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).unicode(false).build()
}

#[cfg(test)]
mod tests {
    use crate::{Catalogue, sample};

    #[test]
    fn every_beginning_of_a_secret_is_told_from_the_whole() {
        let catalogue = Catalogue::embedded().unwrap();
        for shape in catalogue.shapes() {
            let key = sample::text(&shape.pattern, 3).unwrap();
            let shortest = shape.shortest().unwrap();
            for end in (1..key.len()).step_by(7) {
                let beginning = &key[..end];
                assert_eq!(
                    shape.is_cut_off(beginning),
                    !shape.is(beginning),
                    "{}/{} {end}",
                    shape.provider,
                    shape.name
                );
                assert!(end >= shortest || !shape.is(beginning));
            }
            assert!(!shape.is_cut_off(&key) && !shape.is_cut_off("%"), "{}/{}", shape.provider, shape.name);
        }
    }
}

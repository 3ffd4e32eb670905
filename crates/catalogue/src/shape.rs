//! Key shapes, compiled: what a provider's secrets look like.

use keyward_domain::provider::Provider;
use regex::{Regex, RegexBuilder};
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
    pub(crate) fn all(provider: &Provider) -> impl Iterator<Item = Self> {
        provider.keys.iter().map(|key| Self {
            provider: provider.id.clone(),
            name: key.name.clone(),
            pattern: key.pattern.clone(),
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

    /// Whether the shape is told by the way it begins.
    #[must_use]
    pub const fn is_telling(&self) -> bool {
        !self.prefixes.is_empty()
    }
}

pub(crate) fn compile(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(SIZE_LIMIT).unicode(false).build()
}

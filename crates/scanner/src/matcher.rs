//! Finds secrets in a stretch of bytes. First all long runs of the bytes that keys are made of; then, only there, how
//! keys begin and what stands around them; then the rule's pattern, anchored, and what can be proved offline.

mod base64;
mod beginnings;
mod context;
mod derived;
mod edges;
mod fake;
mod lanes;
mod link;
mod mail;
mod marks;
mod near;
mod pass;
mod pem;
mod places;
mod proof;
mod runs;
mod sieve;
mod vocabulary;

use crate::{
    Confidence, Hit, Secret,
    rule::{self, Extent, Rule, Rules},
};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use beginnings::{Begin, Beginnings};
pub(crate) use fake::entropy;
use keyward_catalogue::{Catalogue, Keys};
use marks::Marks;
use pass::Pass;
use sieve::Sieve;
use std::{collections::BTreeMap, sync::OnceLock};

/// The longest secret without a telling beginning that is looked up by its length.
const MOST_PLAIN: usize = 256;

/// What is known of a text besides its bytes. Names may tell whose a secret is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// The path of the file.
    pub path: &'a [u8],
    /// The way to the text within the file: members of archives, tables and rows.
    pub within: &'a [Box<str>],
}

/// An automaton that is made when it is first needed: many a text needs none.
#[derive(Debug)]
struct Lazy {
    words: Vec<Vec<u8>>,
    any_case: bool,
    made: OnceLock<Option<AhoCorasick>>,
}

impl Lazy {
    const fn new(words: Vec<Vec<u8>>, any_case: bool) -> Self {
        Self { words, any_case, made: OnceLock::new() }
    }

    fn get(&self) -> Option<&AhoCorasick> {
        let make = || {
            AhoCorasick::builder()
                .kind(Some(AhoCorasickKind::DFA))
                .match_kind(MatchKind::Standard)
                .ascii_case_insensitive(self.any_case)
                .build(&self.words)
                .ok()
        };
        self.made.get_or_init(make).as_ref()
    }
}

/// All rules, ready to be looked for. Make it once and share it.
#[derive(Debug)]
pub struct Matcher {
    rules: Vec<Rule>,
    /// Rules that others wrote.
    more: Vec<Rules>,
    /// How secrets begin.
    beginnings: Beginnings,
    /// Beginnings that lie too far before the first run to be seen with it.
    far: Vec<Begin>,
    /// Other places that are looked at, those beginnings among them.
    marks: Marks,
    /// The rules whose secrets begin in no telling way and are runs, by length.
    plain: Vec<Vec<(Extent, Vec<usize>)>>,
    /// Those whose secrets hold other bytes as well.
    wide: Vec<(Extent, Vec<usize>)>,
    /// How secrets begin when they are in base64: the three ways a beginning can lie in its groups of four.
    coded: Lazy,
    /// Whether there is any such form in a text.
    coded_groups: Sieve,
    /// How many characters before such a form its group begins.
    phases: Vec<usize>,
    /// The words that tell whose a secret is.
    words: Lazy,
    /// Which rules each word is of.
    worded: Vec<Vec<usize>>,
}

impl Matcher {
    /// Takes the key shapes of a catalogue, and the rules that come with the program.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self::with_keys(rule::of_catalogue(catalogue))
    }

    /// Takes the key shapes of the catalogue that comes with the program, without loading the rest of it.
    ///
    /// # Errors
    /// None in a program whose tests passed: the files are compiled in and tested.
    pub fn embedded() -> Result<Self, keyward_catalogue::Error> {
        Keys::embedded().map(|keys| Self::with_keys(rule::of_keys(&keys)))
    }

    fn with_keys(keys: Vec<Rule>) -> Self {
        let mut rules = rule::built_in();
        rules.extend(rule::ours());
        rules.extend(keys);
        rules.extend(rule::embedded());
        Self::of(rules)
    }

    /// Takes rules that others wrote as well.
    #[must_use]
    pub fn with_rules(mut self, more: Rules) -> Self {
        self.more.push(more);
        self
    }

    fn of(rules: Vec<Rule>) -> Self {
        let (mut begun, mut worded) =
            (BTreeMap::<Box<[u8]>, Vec<usize>>::new(), BTreeMap::<Box<str>, Vec<usize>>::new());
        let (mut plain, mut wide) = (vec![Vec::new(); MOST_PLAIN + 1], Vec::new());
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.pattern.is_empty()) {
            for prefix in &rule.prefixes {
                begun.entry(prefix.as_bytes().into()).or_default().push(index);
            }
            if rule.prefixes.is_empty() {
                // Such a rule may have a beginning too, only none that tells whose it is.
                let beginning = rule::beginning(&rule.pattern);
                if beginning.len() >= 3 {
                    begun.entry(beginning).or_default().push(index);
                } else if let Some(extent) = rule::extent(&rule.pattern) {
                    let lengths = extent.least..=extent.most.min(MOST_PLAIN);
                    for groups in plain.get_mut(lengths).into_iter().flatten() {
                        join(groups, index, extent, |one| one.alphabet == extent.alphabet);
                    }
                    if extent.wide || extent.most > MOST_PLAIN {
                        join(&mut wide, index, extent, |one| *one == extent);
                    }
                }
            }
            for word in &rule.context {
                worded.entry(word.clone()).or_default().push(index);
            }
        }
        let is_far = |beginning: &[u8]| beginning.len() >= 10 && beginning.iter().any(|byte| b"/$".contains(byte));
        let far: Vec<_> = begun
            .iter()
            .filter(|(beginning, _)| is_far(beginning))
            .map(|(text, rules)| Begin { text: text.clone(), rules: rules.clone() })
            .collect();
        let coded = begun.keys().filter(|beginning| beginning.len() >= 6).flat_map(|beginning| forms(beginning));
        let (coded, phases): (Vec<_>, Vec<_>) = coded.unzip();
        Self {
            coded_groups: Sieve::new(coded.iter().map(|form: &Vec<u8>| &**form)),
            coded: Lazy::new(coded, false),
            phases,
            marks: Marks::new(far.iter().map(|begin| &*begin.text)),
            far,
            beginnings: Beginnings::new(begun),
            plain,
            wide,
            words: Lazy::new(worded.keys().map(|word| word.as_bytes().to_vec()).collect(), true),
            worded: worded.into_values().collect(),
            rules,
            more: Vec::new(),
        }
    }

    /// Whether there are no rules but the program's own, which look no further around a secret than is known.
    pub(crate) const fn is_own(&self) -> bool {
        self.more.is_empty()
    }

    /// Finds the secrets in a text, in order, none overlapping another.
    pub fn look(&self, bytes: &[u8], hints: &Hints<'_>, found: &mut dyn FnMut(Hit)) {
        let mut hits = Pass::new(self, bytes, hints).hits();
        for more in &self.more {
            more.each(bytes, hints.path, |kind, span| {
                if hits.iter().all(|hit| {
                    hit.confidence == Confidence::Low || hit.span.end <= span.start || span.end <= hit.span.start
                }) {
                    hits.retain(|hit| hit.span.end <= span.start || span.end <= hit.span.start);
                    let secret = Secret::new(bytes.get(span.clone()).unwrap_or_default());
                    let reasons = vec!["a rule of a file fits".into()];
                    hits.push(Hit { kind: kind.clone(), span, secret, confidence: rule::FOREIGN, reasons });
                }
            });
        }
        hits.sort_by_key(|hit| hit.span.start);
        hits.into_iter().for_each(found);
    }
}

/// Puts a rule to those that look at the same texts.
fn join(groups: &mut Vec<(Extent, Vec<usize>)>, rule: usize, extent: Extent, same: impl Fn(&Extent) -> bool) {
    match groups.iter_mut().find(|(one, _)| same(one)) {
        Some((_, rules)) => rules.push(rule),
        None => groups.push((extent, vec![rule])),
    }
}

/// How a text reads within base64, after none, one or two bytes of a group: those characters that it alone decides, and
/// how many characters of the group come before them.
fn forms(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, usize)> + use<'_> {
    (0..3_usize).map(move |before| {
        let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(text.iter().copied()).collect();
        let skip = [0, 2, 3].get(before).copied().unwrap_or(0);
        let whole = padded.len() * 8 / 6;
        (base64::encode(&padded).get(skip..whole).unwrap_or_default().to_vec(), skip)
    })
}

#[cfg(test)]
mod tests;

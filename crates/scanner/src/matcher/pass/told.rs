//! What tells whose a secret is that begins in no telling way.

use super::Pass;
use crate::{
    Confidence,
    matcher::context::{Around, Named},
};
use std::ops::Range;

/// What stands around one text.
pub(super) struct Stands<'t> {
    span: Range<usize>,
    around: Around<'t>,
    named: Named,
    /// The words there that tell whose a secret is, where they stand, and how far away.
    words: Vec<(usize, Range<usize>, usize)>,
}

impl Stands<'_> {
    /// Whether a name says that it is a secret, and it is given that name.
    pub(super) fn is_called_secret(&self) -> bool {
        self.named == Named::Secret && self.around.given()
    }
}

impl<'p> Pass<'p> {
    /// What stands around a text that makes it one of a rule: how far the word is that does, how sure it makes, and which
    /// it is.
    pub(super) fn told(&mut self, index: usize, span: &Range<usize>) -> Option<(usize, Confidence, String)> {
        let stands = self.stands.take().filter(|stands| stands.span == *span).unwrap_or_else(|| self.stands(span));
        let told = (stands.named != Named::Other)
            .then(|| self.nearest(index, &stands).or_else(|| self.in_names(index, &stands)))
            .flatten();
        self.stands = Some(stands);
        told
    }

    /// What the name says that a text is given.
    pub(super) fn named(&self, span: &Range<usize>) -> Named {
        match &self.stands {
            Some(stands) if stands.span == *span => stands.named,
            _ => Around::new(self.text, span.clone()).named(),
        }
    }

    /// What stands around a text: read once, and asked by every rule that the text fits.
    fn stands(&mut self, span: &Range<usize>) -> Stands<'p> {
        let around = Around::new(self.text, span.clone());
        let named = around.named();
        let mut words = Vec::new();
        if named != Named::Other
            && let Some(all) = self.matcher.words.get()
        {
            let beside = |place: &Range<usize>| place.end <= span.start || place.start >= span.end;
            for (word, place) in self.near.words(all, self.text, around.window()) {
                if beside(place) && around.whole(place) {
                    words.push((*word, place.clone(), around.distance(place)));
                }
            }
        }
        Stands { span: span.clone(), around, named, words }
    }

    /// A word of a rule in the names of the file, its members, tables and rows.
    fn in_names(&self, index: usize, stands: &Stands<'_>) -> Option<(usize, Confidence, String)> {
        // Among much else, a file's name says little of a text without a name.
        let alone = self.text.len() < stands.span.len() + 40;
        if stands.named != Named::Secret && !alone && self.hints.within.is_empty() {
            return None;
        }
        let mut words = self.names.get_or_init(|| self.words_of_names()).iter();
        let word = words.find(|(word, _)| self.is_word_of(*word, index));
        word.map(|(_, word)| (1000, Confidence::Medium, format!("\"{word}\" stands in the name of its place")))
    }

    fn words_of_names(&self) -> Vec<(usize, String)> {
        let Some(words) = self.matcher.words.get() else { return Vec::new() };
        let names = self.hints.within.iter().map(|name| name.as_bytes()).chain([self.hints.path]);
        let text = |name: &[u8], word: &aho_corasick::Match| {
            String::from_utf8_lossy(name.get(word.range()).unwrap_or_default()).into_owned()
        };
        // Whole words here as well: a file about Asian letters says nothing of AWS, whose keys begin with ASIA.
        let of_name = |name| {
            let whole = move |word: &aho_corasick::Match| Around::new(name, word.range()).whole(&word.range());
            words
                .find_overlapping_iter(name)
                .filter(whole)
                .map(move |word| (word.pattern().as_usize(), text(name, &word)))
        };
        names.flat_map(of_name).collect()
    }

    fn is_word_of(&self, word: usize, index: usize) -> bool {
        self.matcher.worded.get(word).is_some_and(|rules| rules.contains(&index))
    }

    /// The nearest word of a rule around a text: how far, how sure it makes, and which.
    fn nearest(&self, index: usize, stands: &Stands<'_>) -> Option<(usize, Confidence, String)> {
        let around = &stands.around;
        let mine = stands.words.iter().filter(|(word, ..)| self.is_word_of(*word, index));
        let (_, best, distance) = mine.min_by_key(|(_, _, distance)| *distance)?;
        let cued = stands.named == Named::Secret || around.cue();
        let confidence = if around.filed() {
            Confidence::Low
        } else if around.in_name(best) || (around.same_line(best) && cued) {
            Confidence::High
        } else if around.general() && cued || around.calls(best) {
            Confidence::Medium
        } else {
            Confidence::Low
        };
        let word = String::from_utf8_lossy(self.text.get(best.clone()).unwrap_or_default()).into_owned();
        let side = if best.end <= around.start() { "before" } else { "after" };
        Some((*distance, confidence, format!("\"{word}\" stands {side} it")))
    }
}

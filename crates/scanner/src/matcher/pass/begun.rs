//! Secrets that begin in a telling way: where they begin, and where they end.

use super::Pass;
use crate::{
    matcher::{beginnings::Begin, edges, mail, places::Places},
    rule::{Compiled, Rule},
};
use std::ops::Range;

impl Pass<'_> {
    /// Tries every rule whose beginning stands in a range.
    pub(super) fn beginnings(&mut self, places: &Places, range: Range<usize>) {
        let matcher = self.matcher;
        matcher.beginnings.each(self.text, places, range, |at, begin| self.begun(at, begin));
    }

    /// Tries every rule of a beginning, and of those behind it.
    pub(super) fn begun(&mut self, at: usize, begin: &Begin) {
        let mut behind = self.begin(at, begin, false);
        while let Some(at) = behind.take() {
            let matcher = self.matcher;
            matcher.beginnings.standing(self.text, at, |begin| behind = behind.max(self.begin(at, begin, true)));
        }
    }

    /// Tries every rule of a beginning at a place. `behind`: another secret ends there. Tells where the next one begins, if
    /// one stands right behind.
    fn begin(&mut self, start: usize, begin: &Begin, behind: bool) -> Option<usize> {
        let mut next = None;
        for index in &begin.rules {
            let Some(rule) = self.matcher.rules.get(*index) else { continue };
            let Some(compiled) = rule.compiled() else { continue };
            let Some((end, odd)) = self.end(compiled, start, begin, behind) else { continue };
            self.fits(*index, rule, start..end, begin.text.len(), odd);
            next = next.max(Some(end).filter(|end| self.may_follow(*end)));
        }
        next
    }

    /// Where a secret ends that begins at a place, and what is odd about it.
    fn end(
        &self,
        compiled: &Compiled,
        start: usize,
        begin: &Begin,
        behind: bool,
    ) -> Option<(usize, Option<&'static str>)> {
        let mut rest = self.slice(start..self.text.len());
        if !behind && !edges::begins(self.text, start, &compiled.alphabet) {
            // As many signs as stress it before stress it behind.
            match self.unstressed(compiled, start) {
                Some(word) => rest = word,
                None => return self.delimited(compiled, start),
            }
        }
        let ends = |end: &usize| {
            *end == rest.len() || edges::ends(self.text, start + end, &compiled.alphabet) || self.follows(start + end)
        };
        if let Some(end) = compiled.exact(rest) {
            // What may be of any length goes on through another such secret behind it.
            let body = rest.get(begin.text.len()..end).unwrap_or_default();
            let next = memchr::memmem::find(body, &begin.text).map(|at| at + begin.text.len());
            let alone = next.filter(|next| {
                compiled.exact(rest.get(..*next).unwrap_or_default()) == Some(*next)
                    && rest.get(*next..).and_then(|rest| compiled.exact(rest)).is_some()
            });
            if let Some(end) = alone.or_else(|| Some(end).filter(ends)) {
                return Some((start + end, None));
            }
        }
        if let Some(found) = self.delimited(compiled, start) {
            return Some(found);
        }
        let end = compiled.loose(rest).filter(ends)?;
        Some((start + end, Some("its length is not the usual one")))
    }

    /// The rest of the text up to the signs that stress a word which begins at a place, if there are as many behind it.
    fn unstressed(&self, compiled: &Compiled, start: usize) -> Option<&[u8]> {
        let rest = self.slice(start..self.text.len());
        let signs = Some(edges::stressed(self.text, start)).filter(|signs| *signs > 0)?;
        let whole = rest.iter().take_while(|byte| compiled.alphabet.has(**byte)).count();
        let (word, after) = rest.split_at_checked(whole.checked_sub(signs)?)?;
        after.iter().take(signs).all(|byte| *byte == b'_').then_some(word)
    }

    /// A secret that ends where the length before it says, as in messages in binary.
    fn delimited(&self, compiled: &Compiled, start: usize) -> Option<(usize, Option<&'static str>)> {
        let is_whole = |end: &usize| compiled.exact(self.slice(start..*end)) == Some(end - start);
        mail::delimited(self.text, start).find(is_whole).map(|end| (end, None))
    }

    /// Whether another secret begins at a place where a word goes on.
    fn follows(&self, at: usize) -> bool {
        let mut follows = false;
        self.matcher.beginnings.standing(self.text, at, |begin| {
            let rest = self.slice(at..self.text.len());
            let fits = |rule: &usize| {
                let compiled = self.matcher.rules.get(*rule).and_then(Rule::compiled);
                compiled.is_some_and(|compiled| compiled.exact(rest).is_some())
            };
            follows |= begin.text.len() >= 3 && begin.rules.iter().any(fits);
        });
        follows
    }

    /// Whether one may begin at a place that is no edge, where else nobody looks.
    fn may_follow(&self, at: usize) -> bool {
        self.text.get(at).is_some_and(u8::is_ascii_alphanumeric) && self.follows(at)
    }
}

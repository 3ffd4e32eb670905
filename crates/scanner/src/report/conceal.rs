//! Takes secrets out of the names beside them: a branch, an author, a table's row or a file may be called like a key.
//! All formats are written from what this leaves.

use super::{Report, Row, preview};
use crate::{Confidence, Hints, Matcher, Missed, Place};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::{collections::HashMap, ops::Range};

/// A known secret of this length is looked for in names, unless it is a word.
const LEAST: usize = 8;
/// A known secret of this length is looked for whatever it is made of.
const NO_WORD: usize = 12;

impl Report {
    /// Puts how a secret begins and ends into the place of each that stands in a name: what the matcher takes for one, and
    /// what this scan found anywhere. Fingerprints are made of the names as they are: make them before. What is revealed
    /// stays.
    pub fn conceal(&mut self, matcher: &Matcher) {
        if self.reveal {
            return;
        }
        let mut names = Names { matcher, known: self.known(), done: HashMap::new() };
        self.rows.iter_mut().for_each(|row| names.row(row));
        for Missed { place, detail, .. } in &mut self.missed {
            names.place(place);
            names.boxed(detail);
        }
        names.string(&mut self.subject);
    }

    /// What was found, as far as it can be told from a word.
    fn known(&self) -> Option<AhoCorasick> {
        let listed = self.rows.iter().map(|row| &row.finding.secret);
        let mut known: Vec<&[u8]> = listed.chain(&self.unlisted).map(|secret| secret.expose()).collect();
        known.retain(|secret| {
            secret.len() >= NO_WORD || secret.len() >= LEAST && !secret.iter().all(u8::is_ascii_alphabetic)
        });
        known.sort_unstable();
        known.dedup();
        let mut builder = AhoCorasick::builder();
        let builder = builder.kind(Some(AhoCorasickKind::NoncontiguousNFA)).match_kind(MatchKind::LeftmostLongest);
        (!known.is_empty()).then(|| builder.build(known).ok()).flatten()
    }
}

/// The names of a report. Many are there often.
struct Names<'m> {
    matcher: &'m Matcher,
    known: Option<AhoCorasick>,
    done: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
}

impl Names<'_> {
    fn row(&mut self, row: &mut Row) {
        self.place(&mut row.finding.place);
        row.finding.reasons.iter_mut().chain(&mut row.note).for_each(|words| self.boxed(words));
        if let Some(ours) = &mut row.ours {
            let parts = [&mut ours.project, &mut ours.environment, &mut ours.contained].into_iter().flatten();
            parts.chain([&mut ours.name]).chain(&mut ours.limits).for_each(|words| self.string(words));
        }
        if let Some(verified) = &mut row.verified {
            self.string(&mut verified.reason);
        }
    }

    fn place(&mut self, place: &mut Place) {
        if let Some(path) = self.shown(&place.path) {
            place.path = path;
        }
        place.within.iter_mut().for_each(|step| self.boxed(step));
        place.commits.iter_mut().for_each(|commit| self.boxed(&mut commit.author));
    }

    fn boxed(&mut self, words: &mut Box<str>) {
        if let Some(shown) = self.shown(words.as_bytes()) {
            *words = String::from_utf8_lossy(&shown).into();
        }
    }

    fn string(&mut self, words: &mut String) {
        if let Some(shown) = self.shown(words.as_bytes()) {
            *words = String::from_utf8_lossy(&shown).into();
        }
    }

    /// A name without its secrets. None: it has none.
    fn shown(&mut self, name: &[u8]) -> Option<Box<[u8]>> {
        if name.len() < LEAST {
            return None;
        }
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let shown = without(name, self.spans(name));
        self.done.insert(name.into(), shown.clone());
        shown
    }

    /// Where secrets stand in a name, in order.
    fn spans(&self, name: &[u8]) -> Vec<Range<usize>> {
        let known = self.known.iter().flat_map(|known| known.find_iter(name).map(|found| found.range()));
        let mut spans: Vec<Range<usize>> = known.collect();
        // As a whole, for what stands before a secret may tell what it is; and part by part, for a slash may be of a key.
        // An assignment says what its value is. Without one the digests that built files are named by look like keys.
        let least = if name.contains(&b'=') { Confidence::Medium } else { Confidence::High };
        let parts = name.split_inclusive(|byte| *byte == b'/');
        let parts = parts.scan(0, |at, part| Some((std::mem::replace(at, *at + part.len()), part)));
        for (at, part) in [(0, name)].into_iter().chain(parts) {
            let part = part.strip_suffix(b"/").filter(|_| at > 0 || part.len() < name.len()).unwrap_or(part);
            self.matcher.look(part, &Hints::default(), &mut |hit| {
                if hit.confidence >= least {
                    spans.push(at + hit.span.start..at + hit.span.end);
                }
            });
        }
        spans.sort_by_key(|span| span.start);
        spans
    }
}

/// A name with how these stretches begin and end in their place.
fn without(name: &[u8], spans: Vec<Range<usize>>) -> Option<Box<[u8]>> {
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in spans {
        match joined.last_mut().filter(|last| span.start < last.end) {
            Some(last) => last.end = last.end.max(span.end),
            None => joined.push(span),
        }
    }
    let (mut out, mut at) = (Vec::with_capacity(name.len()), 0);
    for span in &joined {
        out.extend_from_slice(name.get(at..span.start)?);
        out.extend_from_slice(preview(name.get(span.clone())?).as_bytes());
        at = span.end;
    }
    out.extend_from_slice(name.get(at..)?);
    (!joined.is_empty()).then(|| out.into())
}

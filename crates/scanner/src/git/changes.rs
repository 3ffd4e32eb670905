//! Versions of a file are mostly the same. Where one is made from another that was found to be clean text, it is enough to
//! look at what is new in it, with what stands around that: what is copied was looked at with the other.
//!
//! This only ever proves that nothing is there. Whatever looks like a find, or like anything but plain text, has the whole
//! looked at as if nothing were known.

use super::pack::Changes;
use crate::{
    Hints, Matcher,
    unpack::{QUOTED, RUNS},
};
use aho_corasick::packed::Searcher;
use std::{ops::Range, sync::LazyLock};

/// How far around a change is looked: several times as far as any rule looks around a secret, or a secret is long that
/// has spaces in it.
const AROUND: usize = 1 << 10;

/// How long an unbroken run at either end may be. It is looked at whole, for it could be read otherwise as a whole.
const RUN: usize = 16 << 10;

/// How many bytes at the front tell what a content is.
const FRONT: usize = 512;

/// What a text must not have, besides bytes that texts do not have and the marks of documents and mails, which are also
/// read without them: the beginning of what may be of any length.
const MARK: &[u8] = b"-----BEGIN";

/// Finds any of the marks in one go.
static MARKED: LazyLock<Option<Searcher>> =
    LazyLock::new(|| Searcher::new(RUNS.into_iter().chain(QUOTED).chain([MARK])));

/// Whether there is any of the marks; where that cannot be found out, there may be.
fn is_marked(bytes: &[u8]) -> bool {
    MARKED.as_ref().is_none_or(|marks| marks.find(bytes).is_some())
}

/// Beginnings of packed contents that have no zeros.
const PACKED: [&[u8]; 9] = [b"PK", b"BZh", b"Rar!", b"MSCF", b"LZIP", b"hsqs", b"!<arch>", b"xar!", b"SQLite format"];

/// Whether a content is nothing but text that is looked at as it is.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    let front = bytes.get(..bytes.len().min(FRONT)).unwrap_or_default();
    let ordinary = |byte: &u8| (*byte >= b' ' && *byte != 0x7f && *byte < 0xf8) || byte.is_ascii_whitespace();
    front.iter().all(ordinary)
        && !PACKED.iter().any(|packed| bytes.starts_with(packed))
        && memchr::memchr(0, bytes).is_none()
        && !is_marked(bytes)
}

/// Whether a version of a clean text is clean as well, as far as its changes tell. False: look at the whole.
pub(crate) fn unchanged(matcher: &Matcher, bytes: &[u8], changes: &Changes) -> bool {
    // What others wrote may look anywhere in a text.
    if !matcher.is_own() || !is_text(bytes.get(..bytes.len().min(FRONT)).unwrap_or_default()) {
        return false;
    }
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut sum = 0;
    for change in changes {
        let Some(stretch) = widen(bytes, change) else { return false };
        sum += stretch.len();
        match stretches.last_mut() {
            Some(last) if last.end >= stretch.start => {
                sum -= last.end.min(stretch.end) - stretch.start;
                last.end = last.end.max(stretch.end);
            }
            _ => stretches.push(stretch),
        }
        // Then the whole costs no more.
        if sum > bytes.len() / 4 * 3 {
            return false;
        }
    }
    stretches.into_iter().all(|stretch| {
        let part = bytes.get(stretch).unwrap_or_default();
        if memchr::memchr(0, part).is_some() || is_marked(part) {
            return false;
        }
        let mut clean = true;
        matcher.look(part, &Hints::default(), &mut |_| clean = false);
        clean
    })
}

/// A change with what stands around it; none if it is in a run that is too long to be looked at in part.
fn widen(bytes: &[u8], change: &Range<usize>) -> Option<Range<usize>> {
    let from = change.start.saturating_sub(AROUND);
    let to = change.end.saturating_add(AROUND).min(bytes.len());
    let before = bytes.get(from.saturating_sub(RUN)..from)?;
    let after = bytes.get(to..to.saturating_add(RUN).min(bytes.len()))?;
    let back = before.iter().rev().take_while(|byte| !byte.is_ascii_whitespace()).count();
    let forth = after.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
    (back < RUN && forth < RUN).then(|| from - back..to + forth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::{Catalogue, sample};

    fn key() -> String {
        let catalogue = Catalogue::embedded().unwrap();
        let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == "anthropic").unwrap();
        sample::text(&shape.pattern, 7).unwrap()
    }

    /// One change.
    fn one(from: usize, to: usize) -> Changes {
        std::iter::once(from..to).collect()
    }

    #[test]
    fn a_key_that_a_change_brings_or_joins_is_seen() {
        let matcher = Matcher::new(&Catalogue::embedded().unwrap());
        let (key, filler) = (key(), "some words of a text\n".repeat(2_000));
        let clean = format!("{filler}{filler}");
        let at = filler.len();
        assert!(is_text(clean.as_bytes()));
        assert!(unchanged(&matcher, clean.as_bytes(), &one(at, at)));
        let brought = format!("{filler}key = \"{key}\"\n{filler}");
        assert!(!unchanged(&matcher, brought.as_bytes(), &one(at, at + key.len())));
        // Only what stood between its halves was taken away.
        assert!(!unchanged(&matcher, brought.as_bytes(), &one(at + 60, at + 60)));
        // Far from any change it would have been seen in the other version.
        assert!(unchanged(&matcher, brought.as_bytes(), &one(100, 200)));
    }

    #[test]
    fn what_is_no_plain_text_is_looked_at_whole() {
        let matcher = Matcher::new(&Catalogue::embedded().unwrap());
        let filler = "some words of a text\n".repeat(2_000);
        for odd in ["\0", "<w:t>", "-----BEGIN"] {
            let text = format!("{filler}{odd}{filler}");
            assert!(!is_text(text.as_bytes()));
            assert!(!unchanged(&matcher, text.as_bytes(), &one(filler.len(), filler.len() + odd.len())));
        }
        assert!(!is_text(b"\xff\xfea\x20"));
        assert!(!is_text(b"BZh9"));
        let run = "a".repeat(80_000);
        assert!(!unchanged(&matcher, run.as_bytes(), &one(40_000, 40_001)));
    }
}

//! The words that stand around one text after another. Where many such texts stand close to each other, as in tables of
//! hashes, what stands around them is the same, and is read once.

use aho_corasick::AhoCorasick;
use std::ops::Range;

/// The words in a stretch of a text.
#[derive(Debug, Default)]
pub(super) struct Near {
    read: Range<usize>,
    words: Vec<(usize, Range<usize>)>,
}

impl Near {
    /// All words within a window of a text, by where they end: which, and where they stand.
    pub(super) fn words(
        &mut self,
        all: &AhoCorasick,
        text: &[u8],
        window: &Range<usize>,
    ) -> impl Iterator<Item = &(usize, Range<usize>)> {
        let known = if self.read.contains(&window.start) {
            self.words.retain(|(_, word)| word.start >= window.start);
            self.read.end
        } else {
            self.words.clear();
            window.start
        };
        if window.end > known {
            // A word may have begun before what is known ends.
            let from = known.saturating_sub(all.max_pattern_len()).max(window.start);
            let words = all.find_overlapping_iter(text.get(from..window.end).unwrap_or_default());
            let words = words.map(|word| (word.pattern().as_usize(), from + word.start()..from + word.end()));
            self.words.extend(words.filter(|(_, word)| word.end > known));
        }
        self.read = window.start..window.end.max(known);
        let end = window.end;
        self.words.iter().take_while(move |(_, word)| word.end <= end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_hold_the_same_words_however_they_follow(
            text in "(ab|abc|b|bcb|x){0,40}",
            windows in proptest::collection::vec((0..100_usize, 0..40_usize), 0..12),
        ) {
            let all = AhoCorasick::new(["ab", "bc", "abcb", "b"]).unwrap();
            let text = text.as_bytes();
            let mut near = Near::default();
            for (start, length) in windows {
                let window = start.min(text.len())..(start + length).min(text.len());
                let alone = all.find_overlapping_iter(&text[window.clone()]);
                let alone: Vec<_> =
                    alone.map(|word| (word.pattern().as_usize(), window.start + word.start()..window.start + word.end())).collect();
                let found: Vec<_> = near.words(&all, text, &window).cloned().collect();
                prop_assert_eq!(found, alone);
            }
        }
    }
}

//! What stands around a text that has no telling beginning: the name it is given, and whose name stands near.

use super::{edges, runs, vocabulary};
use std::ops::Range;

/// How far before a text a word may stand that tells whose it is.
const BEFORE: usize = 240;
/// How far after.
const AFTER: usize = 140;
/// How many lines away at most.
const LINES: usize = 8;

/// What stands around one text.
pub(super) struct Around<'t> {
    text: &'t [u8],
    window: Range<usize>,
    at: Range<usize>,
}

/// What the name that a text is given says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// That it is a secret.
    Secret,
    /// That it is something else.
    Other,
    /// Neither.
    Nothing,
}

fn is_word(byte: u8) -> bool {
    runs::is_run(byte)
}

/// A word without what an escape leaves before it.
fn unescaped(text: &[u8], word: Range<usize>) -> Range<usize> {
    let before = word.start.checked_sub(1).and_then(|at| text.get(at));
    if !before.is_some_and(|byte| matches!(byte, b'\\' | b'%' | b'[' | b';')) {
        return word;
    }
    let ends = (word.start + 1..word.end.min(word.start + 6)).find(|at| edges::after_escape(text, *at));
    match ends {
        Some(end) => end..word.end,
        None if word.len() <= 5 && edges::after_escape(text, word.end) => word.end..word.end,
        None => word,
    }
}

impl<'t> Around<'t> {
    pub(super) fn new(text: &'t [u8], at: Range<usize>) -> Self {
        let from = at.start.saturating_sub(BEFORE);
        let before = text.get(from..at.start).unwrap_or_default();
        let from = from + memchr::memrchr_iter(b'\n', before).nth(LINES).unwrap_or(0);
        let after = text.get(at.end..text.len().min(at.end + AFTER)).unwrap_or_default();
        let to = at.end + memchr::memchr_iter(b'\n', after).nth(2).unwrap_or(after.len());
        Self { text, window: from..to, at }
    }

    /// The words before it, the nearest first.
    fn words(&self) -> impl Iterator<Item = Range<usize>> {
        let (text, from, mut end) = (self.text, self.window.start, self.at.start);
        let word = move || {
            while end > from {
                let before = text.get(from..end).unwrap_or_default();
                end -= before.iter().rev().take_while(|byte| !is_word(**byte)).count();
                let before = text.get(from..end).unwrap_or_default();
                let start = end - before.iter().rev().take_while(|byte| is_word(**byte)).count();
                let word = unescaped(text, start..end);
                end = start;
                if !word.is_empty() {
                    return Some(word);
                }
            }
            None
        };
        std::iter::from_fn(word).take(12)
    }

    /// Where the text begins.
    pub(super) const fn start(&self) -> usize {
        self.at.start
    }

    /// Which part of the text is looked at.
    pub(super) fn window(&self) -> &Range<usize> {
        &self.window
    }

    fn word(&self, range: &Range<usize>) -> &'t [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The name that the text is given: the nearest word before it that says something.
    pub(super) fn name(&self) -> Option<(&'t [u8], usize)> {
        let mut words = self.words().take(8).map(|range| (self.word(&range), range.start));
        words.find(|(word, _)| {
            (2..64).contains(&word.len())
                && !word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
                && !vocabulary::says(word).neutral()
        })
    }

    /// Whether the name is given to it, as programs and settings do: more than a space stands between.
    pub(super) fn given(&self) -> bool {
        let between = |(name, at): (&[u8], usize)| self.text.get(at + name.len()..self.at.start);
        self.name().and_then(between).is_some_and(|between| between.iter().any(|byte| !byte.is_ascii_whitespace()))
    }

    /// What the name says.
    pub(super) fn named(&self) -> Named {
        let Some((name, at)) = self.name() else { return Named::Nothing };
        // A name far away is not this text's.
        let between = self.text.get(at + name.len()..self.at.start).unwrap_or_default();
        if between.iter().filter(|byte| **byte == b'\n').count() > 1 {
            return Named::Nothing;
        }
        match says(name) {
            Named::Nothing if self.hashed() => Named::Other,
            named => named,
        }
    }

    /// Whether a word before it on its line says that it is a hash: `md5(file) = …`.
    fn hashed(&self) -> bool {
        let mut near = self.words().take(5).filter(|word| self.same_line(word));
        near.any(|word| vocabulary::says(self.word(&word)).hash())
    }

    /// Whether an occurrence stands right before the text, as the name of a class, a table or a column does: not as a
    /// part of an address or a file's name.
    pub(super) fn calls(&self, word: &Range<usize>) -> bool {
        if word.end > self.at.start || self.at.start - word.end > 16 {
            return false;
        }
        let between = self.text.get(word.end..self.at.start).unwrap_or_default();
        let words = between.windows(2).any(|pair| matches!(pair, [b' ', next] if next.is_ascii_alphabetic()));
        !words && !between.iter().any(|byte| matches!(byte, b'.' | b'/' | b'\n' | b'@'))
    }

    /// Whether what follows makes it the name of a file or a part of an address.
    pub(super) fn filed(&self) -> bool {
        let rest = self.text.get(self.at.end..).unwrap_or_default();
        matches!(rest, [b'.', next, ..] if next.is_ascii_alphanumeric())
    }

    /// Whether one of the words near it, before or after on the same line, says that it is a secret.
    pub(super) fn cue(&self) -> bool {
        let before = self.words().take(8).any(|word| says(self.word(&word)) == Named::Secret);
        before || self.of_user() || {
            let after = self.text.get(self.at.end..self.window.end).unwrap_or_default();
            let line = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.split(|byte| !is_word(*byte)).take(12).any(|word| says(word) == Named::Secret)
        }
    }

    /// Whether it is what `curl` is given to log in with: `-u KEY:`, `--user api:KEY`, `-uapi:KEY`.
    fn of_user(&self) -> bool {
        let is_option = |word: &[u8]| matches!(word, b"-u" | b"--user");
        let mut words = self.words().map(|range| (self.word(&range), range));
        let Some((first, range)) = words.next() else { return false };
        let is_name = self.text.get(range.end..self.at.start) == Some(b":");
        is_option(first)
            || (is_name && (first.starts_with(b"-u") || words.next().is_some_and(|(word, _)| is_option(word))))
    }

    /// How far an occurrence of a word is from the text, in bytes, with a surcharge for lines between and for standing
    /// after it.
    pub(super) fn distance(&self, word: &Range<usize>) -> usize {
        if word.end <= self.at.start {
            self.at.start - word.end + 60 * self.lines(word.end..self.at.start)
        } else {
            word.start.saturating_sub(self.at.end) + 60 + 120 * self.lines(self.at.end..word.start)
        }
    }

    /// How many lines end within a range.
    pub(super) fn lines(&self, range: Range<usize>) -> usize {
        self.text.get(range).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
    }

    /// Whether an occurrence stands before or after it in the same line.
    pub(super) fn same_line(&self, word: &Range<usize>) -> bool {
        let between = if word.end <= self.at.start { word.end..self.at.start } else { self.at.end..word.start };
        self.lines(between) == 0
    }

    /// Whether an occurrence is a word of its own: not the middle of another one.
    pub(super) fn whole(&self, word: &Range<usize>) -> bool {
        let byte = |at: usize| self.text.get(at).copied().unwrap_or(b' ');
        let (first, last) = (byte(word.start), byte(word.end.saturating_sub(1)));
        let before = if word.start == 0 { b' ' } else { byte(word.start - 1) };
        let left = edges::after_escape(self.text, word.start)
            || !before.is_ascii_alphabetic()
            || (before.is_ascii_lowercase() && first.is_ascii_uppercase())
            || !first.is_ascii_alphabetic();
        let next = byte(word.end);
        let rest = self.text.get(word.end..).unwrap_or_default();
        let known = [
            "ai", "api", "key", "token", "secret", "client", "auth", "chat", "embed", "sdk", "llm", "cloud", "apikey",
            "labs",
        ];
        let right = !next.is_ascii_alphabetic()
            || (last.is_ascii_lowercase() && next.is_ascii_uppercase())
            || known
                .iter()
                .any(|known| rest.get(..known.len()).is_some_and(|rest| rest.eq_ignore_ascii_case(known.as_bytes())));
        left && right
    }

    /// Whether an occurrence stands in the name that the text is given.
    pub(super) fn in_name(&self, word: &Range<usize>) -> bool {
        self.name().is_some_and(|(name, at)| word.start >= at && word.end <= at + name.len())
    }

    /// Whether the name is one that anybody gives to any secret: `api_key`, not `session_secret`.
    pub(super) fn general(&self) -> bool {
        let Some((name, _)) = self.name() else { return true };
        let mut general = true;
        vocabulary::parts(name, |part| general &= vocabulary::says(part).general());
        general
    }
}

/// What a name says.
pub(super) fn says(name: &[u8]) -> Named {
    let (mut secret, mut other, mut last_tells) = (false, false, false);
    vocabulary::parts(name, |part| {
        let says = vocabulary::says(part);
        secret |= says.secret();
        other |= says.other() || vocabulary::is_sha(part);
        last_tells = says.last();
    });
    let (joined, public) = vocabulary::joined(name);
    match (secret | joined, other) {
        (true, _) if last_tells || public => Named::Other,
        (true, _) => Named::Secret,
        (false, true) => Named::Other,
        (false, false) => Named::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Named {
        let at = text.find('#').unwrap();
        Around::new(text.as_bytes(), at..at + 1).named()
    }

    #[test]
    fn names_tell_secrets_from_hashes() {
        for text in [
            "MISTRAL_API_KEY=#",
            "mistralApiKey: \"#\"",
            "s:15:\"mistral_api_key\";s:32:\"#\"",
            "<add key=\"MistralApiKey\" value=\"#\"/>",
            "Authorization: Bearer #",
            "define('MISTRAL_KEY', '#')",
            "{\"name\": \"MISTRAL_TOKEN\", \"value\": \"#\"}",
            "let apikey: &str = \"#\"",
        ] {
            assert_eq!(named(text), Named::Secret, "{text}");
        }
        for text in [
            "md5 = #",
            "mistral_request_id: #",
            "\"integrity\": \"sha512-#",
            "commit #",
            "sha256:#",
            "etag: W/\"#\"",
            "key_id=#",
            "api_key_hash: #",
            "\"gitHead\": \"#\"",
            "publicKey: #",
        ] {
            assert_eq!(named(text), Named::Other, "{text}");
        }
    }
}

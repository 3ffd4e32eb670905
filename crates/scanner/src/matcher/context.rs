//! What stands around a text that has no telling beginning: the name it is given, and whose name stands near.

use super::edges;
use std::ops::Range;

/// How far before a text a word may stand that tells whose it is.
const BEFORE: usize = 240;
/// How far after.
const AFTER: usize = 140;
/// How many lines away at most.
const LINES: usize = 8;

/// Words in a name that say: a secret.
const SECRET: &[&str] = &[
    "key",
    "keys",
    "apikey",
    "token",
    "secret",
    "secrets",
    "auth",
    "authorization",
    "bearer",
    "password",
    "passwd",
    "pwd",
    "pass",
    "credential",
    "credentials",
    "cred",
    "creds",
    "authtoken",
    "accesskey",
    "secretkey",
    "pat",
    "accesstoken",
    "passphrase",
    "clientsecret",
];

/// Words in a name that say: not a secret, although it looks random.
const OTHER: &[&str] = &[
    "hash",
    "hashes",
    "md5",
    "checksum",
    "checksums",
    "crc",
    "digest",
    "etag",
    "commit",
    "commits",
    "revision",
    "rev",
    "sha",
    "integrity",
    "resolved",
    "request",
    "requestid",
    "trace",
    "traceid",
    "span",
    "spanid",
    "uuid",
    "guid",
    "version",
    "fingerprint",
    "cache",
    "cachekey",
    "build",
    "ref",
    "tree",
    "blob",
    "parent",
    "session",
    "sessionid",
    "correlation",
    "id",
    "ids",
    "signature",
    "sig",
    "nonce",
    "salt",
    "iv",
    "thumbprint",
    "public",
    "publickey",
    "pubkey",
    "pub",
    "publishable",
    "image",
    "file",
    "filename",
    "url",
    "uri",
    "path",
    "src",
    "href",
    "asset",
    "chunk",
    "chunkhash",
    "color",
    "colour",
    "tenant",
    "subscription",
    "object",
    "oid",
    "gitsha",
    "head",
    "base",
    "branch",
    "tag",
    "snapshot",
    "serial",
    "model",
    "voice",
    "transcript",
    "deployment",
    "etags",
    "sri",
    "vector",
    "seed",
    "baseline",
];

/// Names that say nothing of their own, so that the next one before them counts.
const NEUTRAL: &[&str] = &[
    "value",
    "val",
    "v",
    "s",
    "string",
    "str",
    "text",
    "default",
    "let",
    "const",
    "var",
    "final",
    "static",
    "new",
    "b",
    "r",
    "f",
    "u8",
    "is",
    "the",
    "my",
    "type",
    "data",
    "content",
    "is",
    "this",
    "a",
    "i",
    "o",
    "n",
    "x",
    "u",
    "e",
    "d",
    "w",
    "eq",
    "of",
    "here",
    "public",
    "private",
    "export",
    "set",
    "setx",
    "string_value",
    "return",
    "val",
    "name",
    "env",
    "quot",
    "amp",
    "x22",
    "u0022",
];

/// What stands around one text.
pub(super) struct Around<'t> {
    text: &'t [u8],
    window: Range<usize>,
    at: Range<usize>,
    /// The words before it, the nearest first.
    words: Vec<Range<usize>>,
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
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl<'t> Around<'t> {
    pub(super) fn new(text: &'t [u8], at: Range<usize>) -> Self {
        let mut from = at.start.saturating_sub(BEFORE);
        let mut to = (at.end + AFTER).min(text.len());
        let mut newlines = 0;
        for place in (from..at.start).rev() {
            if text.get(place) == Some(&b'\n') {
                newlines += 1;
                if newlines > LINES {
                    from = place;
                    break;
                }
            }
        }
        newlines = 0;
        for place in at.end..to {
            if text.get(place) == Some(&b'\n') {
                newlines += 1;
                if newlines > 2 {
                    to = place;
                    break;
                }
            }
        }
        let mut words = Vec::new();
        let mut end = at.start;
        while end > from && words.len() < 12 {
            let byte = |at: usize| text.get(at).copied().unwrap_or(0);
            while end > from && !is_word(byte(end - 1)) {
                end -= 1;
            }
            let mut start = end;
            while start > from && is_word(byte(start - 1)) {
                start -= 1;
            }
            // What an escape leaves before a word is not of the word.
            let left = if (start..end.min(start + 6)).any(|at| at > start && edges::after_escape(text, at)) {
                (start + 1..end.min(start + 6)).find(|at| edges::after_escape(text, *at)).unwrap_or(start)
            } else {
                start
            };
            let left = if left == start && end - start <= 5 && edges::after_escape(text, end) { end } else { left };
            if left < end {
                words.push(left..end);
            }
            end = start;
        }
        Self { text, window: from..to, at, words }
    }

    /// Where the text begins.
    pub(super) const fn start(&self) -> usize {
        self.at.start
    }

    /// The stretch of text that is looked at, and where it begins.
    pub(super) fn window(&self) -> (&'t [u8], usize) {
        (self.text.get(self.window.clone()).unwrap_or_default(), self.window.start)
    }

    fn word(&self, range: &Range<usize>) -> &'t [u8] {
        self.text.get(range.clone()).unwrap_or_default()
    }

    /// The name that the text is given: the nearest word before it that says something.
    pub(super) fn name(&self) -> Option<(&'t [u8], usize)> {
        let found = self.words.iter().take(8).enumerate().find(|(_, range)| {
            let word = self.word(range);
            let lower = word.to_ascii_lowercase();
            let says =
                word.len() > 1 && !word.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') && word.len() < 64;
            says && !NEUTRAL.iter().any(|neutral| neutral.as_bytes() == lower)
        })?;
        Some((self.word(found.1), found.1.start))
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
        let near = self.words.iter().take(5).filter(|word| self.same_line(word));
        near.into_iter().any(|word| {
            let word = self.word(word).to_ascii_lowercase();
            [&b"md5"[..], b"sha1", b"sha256", b"sha512", b"checksum", b"digest", b"sha1sum", b"sha256sum", b"md5sum"]
                .contains(&&*word)
        })
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
        let before = self.words.iter().take(8).any(|word| says(self.word(word)) == Named::Secret);
        let user = self.words.iter().take(1).any(|word| matches!(self.word(word), b"-u" | b"--user"));
        before || user || {
            let after = self.text.get(self.at.end..self.window.end).unwrap_or_default();
            let line = after.split(|byte| *byte == b'\n').next().unwrap_or_default();
            line.split(|byte| !is_word(*byte)).take(12).any(|word| says(word) == Named::Secret)
        }
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
        parts(name).all(|part| {
            SECRET.contains(&&*part)
                || NEUTRAL.contains(&&*part)
                || [
                    "api",
                    "access",
                    "x",
                    "http",
                    "https",
                    "header",
                    "headers",
                    "client",
                    "service",
                    "prod",
                    "production",
                    "dev",
                    "live",
                    "main",
                    "primary",
                    "default",
                ]
                .contains(&&*part)
        })
    }
}

/// What a name says.
pub(super) fn says(name: &[u8]) -> Named {
    let (mut secret, mut other) = (false, false);
    let mut last_id = false;
    for part in parts(name) {
        secret |= SECRET.contains(&&*part);
        other |= OTHER.contains(&&*part)
            || part.starts_with("sha") && part.get(3..).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        last_id = matches!(
            &*part,
            "id" | "ids"
                | "hash"
                | "digest"
                | "checksum"
                | "fingerprint"
                | "md5"
                | "sha256"
                | "sha1"
                | "name"
                | "version"
                | "etag"
        );
    }
    let lower = name.to_ascii_lowercase();
    let joined = |word: &str| memchr::memmem::find(&lower, word.as_bytes()).is_some();
    secret |=
        joined("apikey") || joined("secretkey") || joined("accesskey") || joined("authtoken") || joined("accesstoken");
    let public = joined("public") || joined("publishable") || joined("pubkey");
    match (secret, other) {
        (true, _) if last_id || public => Named::Other,
        (true, _) => Named::Secret,
        (false, true) => Named::Other,
        (false, false) => Named::Nothing,
    }
}

/// The words that a name is made of, lower case: `mistralApiKey` and `MISTRAL_API_KEY` are three.
fn parts(name: &[u8]) -> impl Iterator<Item = String> {
    name.split(|byte| !byte.is_ascii_alphanumeric()).flat_map(|part| {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut before = b' ';
        for (at, byte) in part.iter().enumerate() {
            let next_lower = part.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            let begins = byte.is_ascii_uppercase()
                && (before.is_ascii_lowercase() || (before.is_ascii_uppercase() && next_lower));
            if begins && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            word.push(char::from(byte.to_ascii_lowercase()));
            before = *byte;
        }
        if !word.is_empty() {
            words.push(word);
        }
        words
    })
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

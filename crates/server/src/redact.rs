//! The last line of defence for logs: whatever has the shape of a provider's key, a virtual key or a token is masked
//! before a line leaves the process. Nothing should ever need it; it is here for the day something does.

use keyward_domain::provider::Provider;
use regex::bytes::Regex;
use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Arc, OnceLock},
};

const MASK: &[u8] = b"[masked]";
/// Virtual keys and tokens of the control API, also cut or damaged ones; and age identities.
const OURS: &str =
    r"(?:sk-)?kw_(?:dev|stg|prod)_[0-9A-Za-z]{20,}|kwt_[0-9A-Za-z]{20,}|(?i:AGE-SECRET-KEY-(?:PQ-)?1)[0-9A-Za-z]{20,}";
/// What stands behind these words is masked whatever it looks like.
const NAMED: &str = r"(?i:bearer\s+|x-api-key[:=]\s*|x-goog-api-key[:=]\s*)[0-9A-Za-z_\-./+=]{16,}";
/// The fewest bytes that a provider's key has, its beginning included: shorter words are names.
const SHORTEST: usize = 20;

/// Masks secrets in bytes that are about to be written.
pub(crate) struct Redactor {
    pattern: Regex,
    /// How providers' keys begin.
    beginnings: Vec<Box<[u8]>>,
}

impl Redactor {
    /// A redactor that knows how these providers' keys begin. What follows a beginning is masked without a look at the
    /// whole shape: a key that was cut short is one too, and no set of patterns has to be kept in memory. Shapes
    /// without a literal beginning are left out: they would mask every digest.
    ///
    /// # Errors
    /// When our own shapes do not compile, which the tests exclude.
    pub(crate) fn new<'a>(providers: impl IntoIterator<Item = &'a Provider>) -> Result<Self, regex::Error> {
        let keys = providers.into_iter().flat_map(|provider| &provider.keys);
        let mut beginnings: Vec<Box<[u8]>> =
            keys.flat_map(|shape| &shape.prefixes).map(|prefix| prefix.as_bytes().into()).collect();
        beginnings.sort();
        beginnings.dedup();
        let pattern = regex::bytes::RegexBuilder::new(&format!("{OURS}|{NAMED}")).unicode(false).build()?;
        Ok(Self { pattern, beginnings })
    }

    /// The bytes with every secret masked.
    pub(crate) fn mask<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.pattern.replace_all(bytes, MASK) {
            Cow::Borrowed(bytes) => self.mask_keys(bytes),
            Cow::Owned(bytes) => Cow::Owned(self.mask_keys(&bytes).into_owned()),
        }
    }

    /// Masks the words that begin as a provider's key does, and are long enough to be one.
    fn mask_keys<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let (mut masked, mut kept, mut at) = (Vec::new(), 0, 0);
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let word = rest.iter().take_while(|byte| is_of_key(**byte)).count();
            let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
            let first = self.first_key(rest.get(..word).unwrap_or_default(), before);
            if let Some(begin) = first {
                masked.extend_from_slice(bytes.get(kept..at + begin).unwrap_or_default());
                masked.extend_from_slice(MASK);
                kept = at + word;
            }
            at += word.max(1);
        }
        if kept == 0 {
            return Cow::Borrowed(bytes);
        }
        masked.extend_from_slice(bytes.get(kept..).unwrap_or_default());
        Cow::Owned(masked)
    }

    /// Where in a word a key begins: at its start, behind a byte that is neither letter nor digit (`id_sk-…`), or
    /// behind the letters of an escape (`\nsk-…`, `%22sk-…`). `before` is the byte before the word.
    fn first_key(&self, word: &[u8], before: Option<u8>) -> Option<usize> {
        let escape = letters_of_escape(before, word);
        let mut starts = (0..=word.len().checked_sub(SHORTEST)?).filter(|at| {
            let before = at.checked_sub(1).and_then(|before| word.get(before));
            *at == escape || before.is_none_or(|byte| !byte.is_ascii_alphanumeric())
        });
        let begins = |at: &usize| {
            let rest = word.get(*at..).unwrap_or_default();
            self.beginnings.iter().any(|beginning| rest.starts_with(beginning)) && rest.iter().any(u8::is_ascii_digit)
        };
        starts.find(begins)
    }
}

/// How many letters at the start of a word belong to an escape that the byte before it begins: of a string in source
/// or JSON (`\n`, `\x22`, `\u0022`), or of a URL (`%22`).
fn letters_of_escape(before: Option<u8>, word: &[u8]) -> usize {
    match (before, word.first()) {
        (Some(b'%'), _) => 2,
        (Some(b'\\'), Some(b'x')) => 3,
        (Some(b'\\'), Some(b'u')) => 5,
        (Some(b'\\'), Some(_)) => 1,
        _ => 0,
    }
}

/// The alphabet of keys.
const fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=')
}

/// Where log lines go: the standard error stream, behind the redactor. Before the catalogue is read only our own
/// shapes are known.
#[derive(Clone)]
pub(crate) struct Lines {
    redactor: Arc<OnceLock<Redactor>>,
    early: Arc<Option<Redactor>>,
}

impl Lines {
    /// Lines with only our own shapes masked so far.
    pub(crate) fn new() -> Self {
        Self { redactor: Arc::default(), early: Arc::new(Redactor::new([]).ok()) }
    }

    /// From now on also these providers' keys are masked.
    pub(crate) fn know(&self, redactor: Redactor) {
        // Set once at the start; a second call would find the same catalogue.
        drop(self.redactor.set(redactor));
    }

    /// One line, masked.
    pub(crate) fn mask<'a>(&self, line: &'a [u8]) -> Cow<'a, [u8]> {
        match self.redactor.get().or_else(|| self.early.as_ref().as_ref()) {
            Some(redactor) => redactor.mask(line),
            None => Cow::Borrowed(b"(a log line was withheld: the redactor could not be built)\n"),
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(&self.mask(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_domain::{Environment, api_token, token};

    fn masked(text: &str) -> String {
        String::from_utf8(Lines::new().mask(text.as_bytes()).into_owned()).expect("text")
    }

    #[test]
    fn our_own_secrets_are_masked_also_when_they_are_cut() {
        let mut random = [0; 128];
        random.iter_mut().zip(1..).for_each(|(byte, fill): (&mut u8, u8)| *byte = fill);
        let key = token::generate(Environment::Production, None, &random).expect("a key");
        let token = api_token::generate(&random).expect("a token");
        for secret in [&*key.text, &format!("sk-{}", *key.text), &*token.text] {
            for text in [secret.as_str(), secret.get(..secret.len() - 8).expect("ascii")] {
                assert_eq!(masked(&format!("key={text} end")), "key=[masked] end");
            }
        }
    }

    #[test]
    fn every_providers_telling_key_is_masked() {
        let catalogue = keyward_catalogue::Catalogue::embedded().expect("a catalogue");
        let lines = Lines::new();
        lines.know(Redactor::new(catalogue.providers().iter().map(AsRef::as_ref)).expect("compiles"));
        let mut seen = 0;
        for shape in catalogue.providers().iter().flat_map(|provider| &provider.keys) {
            if shape.prefixes.is_empty() {
                continue;
            }
            let key = (0..50).find_map(|seed| keyward_catalogue::sample::text(&shape.pattern, seed)).expect("a sample");
            let line = format!("upstream said: invalid key {key}.");
            let masked = String::from_utf8(lines.mask(line.as_bytes()).into_owned()).expect("text");
            assert!(!masked.contains(&key), "{} {}", shape.name, shape.pattern);
            seen += 1;
        }
        assert!(seen > 10, "only {seen} shapes");
    }

    #[test]
    fn a_key_that_was_cut_short_or_has_something_before_it_is_masked_and_a_name_is_not() {
        let catalogue = keyward_catalogue::Catalogue::embedded().expect("a catalogue");
        let lines = Lines::new();
        lines.know(Redactor::new(catalogue.providers().iter().map(AsRef::as_ref)).expect("compiles"));
        let masked = |text: &str| String::from_utf8(lines.mask(text.as_bytes()).into_owned()).expect("text");
        let cut = format!("sk-proj-{}", "a1B2".repeat(6));
        assert_eq!(masked(&format!("url=?key={cut}&x=1")), "url=?key=[masked]&x=1");
        assert_eq!(masked(&format!("two: {cut}, {cut}.")), "two: [masked], [masked]");
        assert_eq!(masked(&format!("id_{cut} end")), "id_[masked] end");
        for escape in ["\\n", "\\t", "\\\\n", "\\x22", "\\u0022", "\\u{22}", "%22", "%0A", "%3D%22", "\\\"", "&quot;"] {
            assert_eq!(masked(&format!("a{escape}{cut} end")), format!("a{escape}[masked] end"));
        }
        for text in ["sk-short", "the sk-learn-like-name-without-digits", "task-sk1234567890123456789", "ünïcode sk-"]
        {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn what_a_bearer_header_carries_is_masked_and_ordinary_lines_are_not() {
        let secret = "a1".repeat(16);
        assert_eq!(masked(&format!("authorization: Bearer {secret}")), "authorization: [masked]");
        for text in ["a plain line", "project 01890a5d-ac96-774b-bcce-b302099a8057 made", "bearer token missing"] {
            assert_eq!(masked(text), text);
        }
    }
}

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

/// Masks secrets in bytes that are about to be written.
pub(crate) struct Redactor {
    pattern: Regex,
}

impl Redactor {
    /// A redactor that knows the shapes of these providers' keys. Shapes without a literal beginning are left out:
    /// they would mask every digest. A shape that is not a regular expression is left out too; the catalogue's own
    /// check says so louder.
    ///
    /// # Errors
    /// When the shapes together are too large to compile.
    pub(crate) fn new<'a>(providers: impl IntoIterator<Item = &'a Provider>) -> Result<Self, regex::Error> {
        let shapes = providers
            .into_iter()
            .flat_map(|provider| &provider.keys)
            .filter(|shape| !shape.prefixes.is_empty() && Regex::new(&shape.pattern).is_ok())
            .map(|shape| format!("(?:{})", shape.pattern));
        let all: Vec<String> = [OURS.to_owned(), NAMED.to_owned()].into_iter().chain(shapes).collect();
        regex::bytes::RegexBuilder::new(&all.join("|"))
            .size_limit(64 << 20)
            .dfa_size_limit(16 << 20)
            .unicode(false)
            .build()
            .map(|pattern| Self { pattern })
    }

    /// The bytes with every secret masked.
    pub(crate) fn mask<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.pattern.replace_all(bytes, MASK)
    }
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
    fn what_a_bearer_header_carries_is_masked_and_ordinary_lines_are_not() {
        let secret = "a1".repeat(16);
        assert_eq!(masked(&format!("authorization: Bearer {secret}")), "authorization: [masked]");
        for text in ["a plain line", "project 01890a5d-ac96-774b-bcce-b302099a8057 made", "bearer token missing"] {
            assert_eq!(masked(text), text);
        }
    }
}

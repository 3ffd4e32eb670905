//! Looking for keys in text.

use keyward_catalogue::{Catalogue, Shape};
use keyward_domain::{api_token, token};
use std::{borrow::Cow, ops::Range};

/// What stands as the provider of Keyward's own keys and tokens.
pub const OURS: &str = "keyward";

/// How far from a key, in bytes, the word may stand that tells whose it is.
const NEAR: usize = 120;

/// A key in a text: whose, of which kind, and where. Never the key itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The provider's id, or [`OURS`].
    pub provider: Box<str>,
    /// The shape's name in the provider's file; `virtual-key` or `control-token` for our own.
    pub shape: Box<str>,
    /// Whether such a key administers the account.
    pub admin: bool,
    /// Where it stands, in bytes.
    pub span: Range<usize>,
}

/// All key shapes, ready to be looked for. Make it once and keep it.
#[derive(Debug)]
pub struct Shapes {
    pub(crate) shapes: Vec<Shape>,
}

impl Shapes {
    /// Takes the shapes of a catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue) -> Self {
        Self { shapes: catalogue.shapes().to_vec() }
    }

    /// The keys in a text, in order, none overlapping another. Our own are told by their checksum, the others by how
    /// they begin, and those without a telling beginning by a word near them.
    #[must_use]
    pub fn detect(&self, text: &str) -> Vec<Match> {
        let mut found = ours(text);
        for shape in &self.shapes {
            if shape.is_telling() && !shape.prefixes.iter().any(|prefix| text.contains(&**prefix)) {
                continue;
            }
            let spans = shape.find_in(text).filter(|span| shape.is_telling() || has_context(shape, text, span));
            found.extend(spans.map(|span| Match {
                provider: shape.provider.clone(),
                shape: shape.name.clone(),
                admin: shape.admin,
                span,
            }));
        }
        // Of two that overlap, the longer is meant; of two alike, the one found first: our own, then file order.
        found.sort_by_key(|one| (one.span.start, std::cmp::Reverse(one.span.end)));
        let mut free_from = 0;
        found.retain(|one| {
            let free = one.span.start >= free_from;
            if free {
                free_from = one.span.end;
            }
            free
        });
        found
    }

    /// The text with every key replaced by its kind, such as `[redacted openai/project]`.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let found = self.detect(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for one in found {
            out.push_str(text.get(done..one.span.start).unwrap_or(""));
            out.push_str(&format!("[redacted {}/{}]", one.provider, one.shape));
            done = one.span.end;
        }
        out.push_str(text.get(done..).unwrap_or(""));
        Cow::Owned(out)
    }
}

/// Our own keys and tokens: words of the right shape whose checksum holds.
fn ours(text: &str) -> Vec<Match> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let mut found = Vec::new();
    let mut start = 0;
    for word in text.split(|character: char| !u8::try_from(character).is_ok_and(part)) {
        // The word is a piece of the text, so its place follows from how much came before it.
        let at = start;
        start += word.len();
        start += text.get(start..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let name = if token::parse(word).is_ok() {
            "virtual-key"
        } else if api_token::parse(word).is_ok() {
            "control-token"
        } else {
            continue;
        };
        let admin = name == "control-token";
        found.push(Match { provider: OURS.into(), shape: name.into(), admin, span: at..at + word.len() });
    }
    found
}

fn has_context(shape: &Shape, text: &str, span: &Range<usize>) -> bool {
    let floor = (0..=span.start.saturating_sub(NEAR)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let ceiling = (span.end + NEAR..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let around = [text.get(floor..span.start), text.get(span.end..ceiling)];
    around.into_iter().flatten().any(|part| {
        let part = part.to_ascii_lowercase();
        shape.context.iter().any(|word| part.contains(&**word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;
    use keyward_domain::Environment;

    fn shapes() -> Shapes {
        Shapes::new(&Catalogue::embedded().expect("the embedded files are right"))
    }

    fn key(provider: &str, name: &str) -> String {
        let shapes = shapes();
        let shape = shapes.shapes.iter().find(|shape| &*shape.provider == provider && &*shape.name == name).unwrap();
        sample::text(&shape.pattern, 7).unwrap()
    }

    fn virtual_key() -> String {
        let mut random = [0; 128];
        random.iter_mut().zip(9..).for_each(|(byte, fill): (&mut u8, u8)| *byte = fill);
        token::generate(Environment::Production, None, &random).unwrap().text.to_string()
    }

    fn told(text: &str) -> Vec<(String, String, String)> {
        let tell = |one: Match| (one.provider.to_string(), one.shape.to_string(), text[one.span].to_owned());
        shapes().detect(text).into_iter().map(tell).collect()
    }

    fn expected(provider: &str, shape: &str, key: &str) -> (String, String, String) {
        (provider.to_owned(), shape.to_owned(), key.to_owned())
    }

    #[test]
    fn every_telling_shape_is_found_among_other_text() {
        let shapes = shapes();
        for shape in shapes.shapes.iter().filter(|shape| shape.is_telling()) {
            for seed in 0..5 {
                let key = sample::text(&shape.pattern, seed).unwrap();
                let text = format!("ä export KEY='{key}'; echo done");
                let found = shapes.detect(&text);
                assert_eq!(found.len(), 1, "{}/{}: {found:?}", shape.provider, shape.name);
                assert_eq!(
                    (&found[0].provider, &text[found[0].span.clone()]),
                    (&shape.provider, &*key),
                    "{}",
                    shape.name
                );
            }
        }
    }

    #[test]
    fn shapes_without_a_beginning_need_a_word_near_them() {
        let mistral = key("mistral", "api");
        assert_eq!(told(&format!("MISTRAL_API_KEY={mistral}")), [expected("mistral", "api", &mistral)]);
        assert_eq!(told(&format!("md5 = {mistral}")), []);
        assert_eq!(told(&format!("mistral{}{mistral}", " ".repeat(200))), []);
        let deepseek = key("deepseek", "api");
        assert_eq!(told(&format!("deepseek: {deepseek}")), [expected("deepseek", "api", &deepseek)]);
    }

    #[test]
    fn our_own_are_told_by_their_checksum() {
        let key = virtual_key();
        assert_eq!(told(&format!("Bearer {key}\n")), [expected("keyward", "virtual-key", &key)]);
        assert_eq!(told(&format!("x=sk-{key}")), [expected("keyward", "virtual-key", &format!("sk-{key}"))]);
        let mut damaged = key.clone();
        damaged.replace_range(20..21, if &key[20..21] == "a" { "b" } else { "a" });
        assert_eq!(told(&damaged), []);
        let control = api_token::generate(&[42; 128]).unwrap().text.to_string();
        let found = shapes().detect(&control);
        assert_eq!(
            (&*found[0].shape, found[0].admin, found[0].span.clone()),
            ("control-token", true, 0..control.len())
        );
    }

    #[test]
    fn redaction_leaves_the_rest_as_it_was() {
        let (anthropic, ours) = (key("anthropic", "api"), virtual_key());
        let text = format!("a={anthropic} ü b={ours}.");
        assert_eq!(shapes().redact(&text), "a=[redacted anthropic/api] ü b=[redacted keyward/virtual-key].");
        assert!(matches!(shapes().redact("nothing here: sk-test, kw_prod_x"), Cow::Borrowed(_)));
    }

    #[test]
    fn admin_keys_are_marked() {
        for (provider, name) in [("openai", "admin"), ("anthropic", "admin")] {
            let found = shapes().detect(&key(provider, name));
            assert!(found.len() == 1 && found[0].admin, "{provider} {found:?}");
        }
    }
}

//! A look at what was pasted, by the catalogue's key shapes: is it another provider's key, or one that administers
//! the whole account? And the mask for words that an error would repeat.

pub(crate) mod defect;
mod kinds;
pub(crate) mod owner;

use keyward_catalogue::Catalogue;
use keyward_scanner::{Concern, Shapes};

/// From this length on, a word of letters and digits may be a secret and is not repeated.
const LONG: usize = 32;

/// What is wrong with a secret that is meant for a provider, in words without the secret. That its shape is not known
/// is left to the server, whose catalogue may know more.
pub(crate) fn warning(provider: &str, secret: &str) -> Option<String> {
    let concern = shapes()?.concern(provider, secret)?;
    (concern != Concern::Unfamiliar).then(|| concern.to_string())
}

/// The text without keys, and without long runs of letters and digits, which may be keys of an unknown shape.
pub(crate) fn masked(text: &str) -> String {
    let redacted = shapes().map_or_else(|| text.to_owned(), |shapes| shapes.redact(text).into_owned());
    without_long_words(&redacted)
}

/// The shapes that came with this program. Without them nobody is warned here; the server looks at the key as well.
fn shapes() -> Option<Shapes> {
    Catalogue::embedded().ok().map(|catalogue| Shapes::new(&catalogue))
}

fn without_long_words(text: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !part(c)).unwrap_or(from.len()));
        out.push_str(before);
        let secret = word.len() >= LONG && word.contains(|c: char| c.is_ascii_digit());
        out.push_str(if secret { "…" } else { word });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;

    /// A key of a shape, made here: nothing in the tree looks like one.
    fn made(provider: &str, shape: &str) -> String {
        let catalogue = Catalogue::embedded().unwrap();
        let mut shapes = catalogue.shapes().iter();
        let shape = shapes.find(|known| &*known.provider == provider && &*known.name == shape).unwrap();
        sample::text(&shape.pattern, 7).unwrap()
    }

    #[test]
    fn foreign_and_admin_keys_are_noticed_and_right_ones_are_not() {
        let key = made("openai", "project");
        let said = warning("anthropic", &key).unwrap();
        assert!(said.contains("openai") && !said.contains(&key), "{said}");
        assert_eq!(warning("openai", &key), None);
        assert!(warning("openai", &made("openai", "admin")).unwrap().contains("admin key"));
        assert_eq!(warning("compatible", "anything"), None);
        assert_eq!(warning("openai", "of-no-known-shape"), None);
    }

    #[test]
    fn keys_and_long_words_are_masked_and_help_is_not() {
        let long = "a1B2c3D4".repeat(8);
        assert_eq!(masked(&format!("unexpected argument '{long}' found")), "unexpected argument '…' found");
        let key = made("openai", "project");
        assert!(!masked(&format!("unexpected argument '{key}' found")).contains(&key));
        let help = "tip: --max-output-tokens is an option\n  keyward key create --project shop";
        assert_eq!(masked(help), help);
    }
}

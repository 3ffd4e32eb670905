//! A look at what was pasted, by the catalogue's key shapes: is it another provider's key, or one that administers
//! the whole account? And the mask for words that clap would repeat.

use keyward_catalogue::{Catalogue, Shape};

/// From this length on, a word of letters and digits may be a secret and is not repeated.
const LONG: usize = 32;
/// The provider that stands for any endpoint: every shape of key may be right there.
const ANY: &str = "compatible";

/// What is odd about a secret that is meant for a provider, in words without the secret.
pub(crate) fn warnings(provider: &str, secret: &str) -> Vec<String> {
    // A catalogue that does not load cannot warn; the server looks at the key as well.
    let Ok(catalogue) = Catalogue::embedded() else { return Vec::new() };
    let fitting: Vec<&Shape> =
        catalogue.shapes().iter().filter(|shape| shape.is_telling() && shape.is(secret)).collect();
    let mut warnings = Vec::new();
    let own = fitting.iter().any(|shape| *shape.provider == *provider);
    if !own && provider != ANY {
        let mut others: Vec<&str> = fitting.iter().map(|shape| &*shape.provider).collect();
        others.sort_unstable();
        others.dedup();
        if !others.is_empty() {
            warnings.push(format!("this looks like a key of {}, not of {provider}", others.join(" or ")));
        }
    }
    let relevant = fitting.iter().filter(|shape| !own || *shape.provider == *provider);
    if !fitting.is_empty() && relevant.clone().all(|shape| shape.admin) {
        warnings.push(
            "this looks like an admin key, which can make and delete keys: traffic needs an ordinary one".to_owned(),
        );
    }
    warnings
}

/// The text without words that may be secrets: long runs of letters and digits.
pub(crate) fn masked(text: &str) -> String {
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

    /// A key of a shape, made here: nothing in the tree looks like one.
    fn made(prefix: &str, length: usize) -> String {
        format!("{prefix}{}", "a1B2c3D4".repeat(length / 8 + 1).get(..length).unwrap_or_default())
    }

    #[test]
    fn another_providers_key_is_noticed() {
        let anthropic = format!("{}AA", made("sk-ant-api03-", 93));
        let said = warnings("openai", &anthropic);
        assert!(said.iter().any(|warning| warning.contains("anthropic, not of openai")), "{said:?}");
        assert!(!said.concat().contains(&anthropic));
        assert_eq!(warnings("anthropic", &anthropic), Vec::<String>::new());
        assert_eq!(warnings("compatible", &anthropic), Vec::<String>::new());
    }

    #[test]
    fn an_admin_key_is_noticed() {
        let admin = format!("{}AA", made("sk-ant-admin01-", 93));
        let said = warnings("anthropic", &admin);
        assert!(said.iter().any(|warning| warning.contains("admin key")), "{said:?}");
    }

    #[test]
    fn a_secret_of_no_known_shape_is_let_through() {
        assert_eq!(warnings("openai", "made-up"), Vec::<String>::new());
    }

    #[test]
    fn long_words_are_masked_and_help_is_not() {
        let key = made("kw_prod_", 51);
        assert_eq!(masked(&format!("unexpected argument '{key}' found")), "unexpected argument '…' found");
        let help = "tip: --max-output-tokens is an option\n  keyward key create --project shop";
        assert_eq!(masked(help), help);
    }
}

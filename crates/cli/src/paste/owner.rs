//! Whose key is it? By the way it looks first, by the name it stands under second. A guess is never sent anywhere: where two
//! providers fit, somebody has to say which.

use keyward_catalogue::{Catalogue, Shape};
use keyward_domain::provider::Provider;
use std::sync::Arc;

/// The shortest beginning that says whose a key is where the rest does not fit.
const TELLING: usize = 4;

/// Whose a key is.
#[derive(Debug, Clone)]
pub(crate) enum Owner {
    /// This provider's.
    One(Arc<Provider>),
    /// One of these, or somebody else's: nothing says which.
    OneOf(Vec<Arc<Provider>>),
    /// Nobody's that is known.
    Nobody,
}

/// Whose a key is. `places` are the names it stands under: a variable, then a file.
#[must_use]
pub(crate) fn recognise(catalogue: &Catalogue, key: &str, places: &[&str]) -> Owner {
    let telling = fitting(catalogue, |shape| shape.is_telling() && shape.is(key));
    let named = named(catalogue, places);
    match telling.as_slice() {
        [] => {}
        [one] => return Owner::One(Arc::clone(one)),
        several => {
            let meant = named.filter(|named| several.iter().any(|provider| provider.id == named.id));
            return meant.map_or_else(|| Owner::OneOf(several.to_vec()), Owner::One);
        }
    }
    let alike = fitting(catalogue, |shape| !shape.is_telling() && shape.is(key));
    match named {
        Some(named) if alike.is_empty() || alike.iter().any(|provider| provider.id == named.id) => Owner::One(named),
        // Keys of this look are somebody else's: the name may be wrong.
        Some(named) => Owner::OneOf(std::iter::once(named).chain(alike).collect()),
        None if !alike.is_empty() => Owner::OneOf(alike),
        None => beginning(catalogue, key),
    }
}

/// The providers that have a shape like this, each once.
fn fitting(catalogue: &Catalogue, fits: impl Fn(&Shape) -> bool) -> Vec<Arc<Provider>> {
    let mut found: Vec<Arc<Provider>> = Vec::new();
    for shape in catalogue.shapes().iter().filter(|shape| fits(shape)) {
        if !found.iter().any(|provider| provider.id == shape.provider) {
            found.extend(catalogue.provider(&shape.provider).cloned());
        }
    }
    found
}

/// The provider whose keys alone begin this way.
fn beginning(catalogue: &Catalogue, key: &str) -> Owner {
    let longest = |shape: &Shape| {
        shape.prefixes.iter().filter(|prefix| key.starts_with(&***prefix)).map(|prefix| prefix.len()).max().unwrap_or(0)
    };
    let best = catalogue.shapes().iter().map(longest).max().unwrap_or(0);
    if best < TELLING {
        return Owner::Nobody;
    }
    match fitting(catalogue, |shape| longest(shape) == best).as_slice() {
        [one] => Owner::One(Arc::clone(one)),
        several => Owner::OneOf(several.to_vec()),
    }
}

/// The provider that a name speaks of: the first name that speaks of one counts.
#[must_use]
pub(crate) fn named(catalogue: &Catalogue, places: &[&str]) -> Option<Arc<Provider>> {
    places.iter().find_map(|place| {
        let place = plain(place);
        let rated = catalogue.providers().iter().map(|provider| (rate(catalogue, provider, &place), provider));
        let best = rated.clone().map(|(rate, _)| rate).max().filter(|rate| *rate > 0)?;
        let mut first = rated.filter(|(rate, _)| *rate == best).map(|(_, provider)| provider);
        let found = first.next()?;
        first.next().is_none().then(|| Arc::clone(found))
    })
}

/// How much a name says that something belongs to a provider: the length of the longest word for it.
fn rate(catalogue: &Catalogue, provider: &Provider, place: &str) -> usize {
    let knows =
        |provider: &Provider| provider.sdks.iter().flat_map(|sdk| &sdk.key_env).any(|name| plain(name) == *place);
    let variable = provider.sdks.iter().flat_map(|sdk| &sdk.key_env).find(|name| plain(name) == *place);
    if let Some(variable) = variable
        && catalogue.providers().iter().filter(|other| knows(other)).count() == 1
    {
        return variable.len() + 100;
    }
    let shapes = provider.keys.iter().flat_map(|key| &key.context).map(|word| plain(word));
    let names = [plain(&provider.id), plain(&provider.id).replace('_', ""), plain(&provider.name)];
    let words = names.into_iter().chain(shapes);
    words.filter(|word| has_word(place, word)).map(|word| word.len()).max().unwrap_or(0)
}

/// Lower case, with `_` for whatever is neither letter nor digit.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c == '_');
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
            edge(before) && edge(after)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;

    fn catalogue() -> Catalogue {
        Catalogue::embedded().unwrap()
    }

    fn key(provider: &str) -> String {
        let catalogue = catalogue();
        let shape = catalogue.shapes().iter().find(|shape| &*shape.provider == provider && !shape.admin).unwrap();
        sample::text(&shape.pattern, 11).unwrap()
    }

    fn one(key: &str, places: &[&str]) -> Option<String> {
        match recognise(&catalogue(), key, places) {
            Owner::One(provider) => Some(provider.id.to_string()),
            Owner::OneOf(_) | Owner::Nobody => None,
        }
    }

    #[test]
    fn names_speak_of_providers() {
        let catalogue = catalogue();
        for (name, provider) in [
            ("OPENAI_API_KEY", Some("openai")),
            ("AZURE_OPENAI_API_KEY", Some("azure-openai")),
            ("prod.mistral.key", Some("mistral")),
            ("CO_API_KEY", Some("cohere")),
            ("HF_TOKEN", Some("huggingface")),
            ("MY_DEEPSEEK_SECRET", Some("deepseek")),
            ("XAI_API_KEY", Some("xai")),
            ("ANTHROPIC_API_KEY", Some("anthropic")),
            ("DATABASE_URL", None),
            ("API_KEY", None),
        ] {
            let found = named(&catalogue, &[name]).map(|provider| provider.id.to_string());
            assert_eq!(found.as_deref(), provider, "{name}");
        }
    }

    #[test]
    fn a_telling_beginning_needs_no_name_and_beats_a_wrong_one() {
        for provider in ["openai", "anthropic", "openrouter", "groq", "xai", "huggingface", "replicate", "perplexity"] {
            assert_eq!(one(&key(provider), &[]).as_deref(), Some(provider));
            assert_eq!(one(&key(provider), &["MISTRAL_API_KEY"]).as_deref(), Some(provider));
        }
    }

    #[test]
    fn keys_without_a_beginning_need_a_name_that_fits() {
        for provider in ["mistral", "cohere", "deepseek"] {
            assert_eq!(one(&key(provider), &[]), None);
            assert_eq!(one(&key(provider), &[&format!("{provider}_key")]).as_deref(), Some(provider));
            assert_eq!(one(&key(provider), &["OPENAI_API_KEY"]), None, "{provider}: it is not OpenAI's by its look");
        }
        assert_eq!(one("of-no-known-shape", &["GROQ_API_KEY"]).as_deref(), Some("groq"));
        assert_eq!(one("of-no-known-shape", &["KEY"]), None);
        assert_eq!(one(&key("anthropic")[..30], &[]).as_deref(), Some("anthropic"), "its beginning is enough");
    }
}

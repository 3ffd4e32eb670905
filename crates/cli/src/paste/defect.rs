//! What is wrong with a key as it was copied, found before it is sent anywhere. Nothing here repeats the key.

use super::kinds;
use keyward_catalogue::{Catalogue, Shape};
use keyward_domain::{api_token, provider::Provider, token};

/// Something that is wrong with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Defect {
    /// In one word, for programs.
    pub(crate) name: &'static str,
    /// What is wrong.
    pub(crate) because: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Defect {
    fn new(name: &'static str, because: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, because: because.into(), remedy: remedy.into() }
    }
}

/// Dashes that a text editor puts in the place of `-`.
const DASHES: [char; 11] = [
    '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe58}', '\u{fe63}',
    '\u{ff0d}', '\u{30fc}',
];
/// Quotes, straight and curly.
const QUOTES: [char; 13] = [
    '"', '\'', '`', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}', '\u{201c}', '\u{201d}', '\u{201e}', '\u{ab}',
    '\u{bb}', '\u{2033}',
];
/// What nobody sees.
const INVISIBLE: [char; 9] =
    ['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{a0}', '\u{202f}', '\u{180e}'];
/// Words before a key in a header, lower case.
const HEADERS: [&str; 8] =
    ["bearer ", "bearer:", "token ", "basic ", "authorization:", "x-api-key:", "api-key:", "x-goog-api-key:"];
/// Words of keys that are none, lower case.
const EMPTY_WORDS: [&str; 20] = [
    "your",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "replace",
    "insert",
    "example",
    "dummy",
    "sample",
    "api-key",
    "api_key",
    "apikey",
    "secret-key",
    "secret_key",
    "redacted",
    "xxxx",
    "todo",
    "fixme",
    "none",
];
/// A key has more different characters than this.
const FEW: usize = 5;

/// What is wrong with a text that should be a key, whoever's.
#[must_use]
pub(crate) fn of_text(catalogue: &Catalogue, text: &str) -> Option<Defect> {
    if text.is_empty() {
        return Some(Defect::new("empty", "there is nothing here", "Copy the key, and look where it is taken from."));
    }
    if token::looks_like_ours(text) && token::parse(text).is_err() {
        let because = "this is a virtual key of Keyward, and it is damaged: its checksum does not hold";
        return Some(Defect::new("damaged", because, "Copy it again, from its first to its last character."));
    }
    if text.starts_with(api_token::PREFIX) {
        let because = "this is a token for Keyward's own control API, not a provider's key";
        return Some(Defect::new(
            "control_token",
            because,
            "Check a provider's key; `keyward whoami` checks this token.",
        ));
    }
    let fits = catalogue.shapes().iter().any(|shape| shape.is_nearly(text));
    if fits {
        return poor(text);
    }
    masked(text).or_else(|| other(text)).or_else(|| empty(text)).or_else(|| around(text)).or_else(|| within(text))
}

/// What is wrong with a key that is meant for a provider, by the shapes its keys are known to have.
#[must_use]
pub(crate) fn of_key(catalogue: &Catalogue, provider: &Provider, text: &str) -> Option<Defect> {
    let own: Vec<&Shape> = catalogue.shapes().iter().filter(|shape| shape.provider == provider.id).collect();
    if own.is_empty() || own.iter().any(|shape| shape.is_nearly(text)) {
        return None;
    }
    let foreign = catalogue.shapes().iter().find(|shape| shape.is_telling() && shape.is(text));
    if let Some(other) = foreign.and_then(|shape| catalogue.provider(&shape.provider)) {
        let because = format!("this is a key of {}, and was not shown to {}", other.name, provider.name);
        let remedy =
            format!("Take the key from the dashboard of {}, or check it with --provider {}.", provider.name, other.id);
        return Some(Defect::new("foreign_key", because, remedy));
    }
    let longest = |shape: &Shape| {
        shape.prefixes.iter().filter(|prefix| text.starts_with(&***prefix)).map(|prefix| prefix.len()).max()
    };
    let best = own.iter().filter_map(|shape| longest(shape)).max();
    let meant = own.iter().filter(|shape| longest(shape) == best);
    let shortest = meant.clone().filter_map(|shape| shape.shortest()).min()?;
    let cut = text.len() < shortest || meant.clone().any(|shape| shape.is_telling() && shape.is_cut_off(text));
    cut.then(|| {
        let because = format!("it is cut off: keys of {} go on after these {} characters", provider.name, text.len());
        Defect::new("truncated", because, "Copy it again, from its first to its last character.")
    })
}

/// Whether a key of a provider has none of the shapes that its keys are known to have.
#[must_use]
pub(crate) fn is_unfamiliar(catalogue: &Catalogue, provider: &Provider, text: &str) -> bool {
    let mut own = catalogue.shapes().iter().filter(|shape| shape.provider == provider.id).peekable();
    own.peek().is_some() && !own.any(|shape| shape.is_nearly(text))
}

/// That a key was broken over several lines.
#[must_use]
pub(crate) fn line_break() -> Defect {
    let because = "a line break stands within the key";
    Defect::new(
        "line_break",
        because,
        "Join the lines: a key is one word. Copy it from the dashboard, not from a mail.",
    )
}

fn placeholder() -> Defect {
    let because = "this stands in a key's place, and is none";
    Defect::new("placeholder", because, "Put the real key here: the provider's dashboard makes one.")
}

/// A key of the right shape that is nobody's: one character again and again.
fn poor(text: &str) -> Option<Defect> {
    let body = text.get(text.len().saturating_sub(24)..).unwrap_or(text);
    let mut seen: Vec<char> = body.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    (body.len() >= 16 && seen.len() <= FEW).then(placeholder)
}

fn masked(text: &str) -> Option<Defect> {
    let dots = text.contains("...") || text.contains("***") || text.contains(['…', '•', '●', '∙', '·']);
    let because = "only a part of the key is here: the rest is masked";
    let remedy = "A dashboard shows the whole key once, when it is made. If it was not kept, make a new one.";
    dots.then(|| Defect::new("masked", because, remedy))
}

fn empty(text: &str) -> Option<Defect> {
    let lower = text.to_ascii_lowercase();
    let template = ["${", "{{", "<", "%(", "[your", "$("].iter().any(|begin| lower.starts_with(begin))
        || text.starts_with('$') && text.len() > 1;
    // Long random texts have short words by chance.
    let words = text.len() < 48 && EMPTY_WORDS.iter().any(|word| lower.contains(word));
    if template || words { Some(placeholder()) } else { poor(text) }
}

/// What was copied along with the key.
fn around(text: &str) -> Option<Defect> {
    let lower = text.to_ascii_lowercase();
    if HEADERS.iter().any(|word| lower.starts_with(word)) {
        let because = "the words of a header stand before the key";
        return Some(Defect::new("header", because, "Leave out `Bearer` and the like: programs add it by themselves."));
    }
    if text.starts_with(QUOTES) || text.ends_with(QUOTES) {
        let because = "there are quotes around the key, and they are taken for a part of it";
        return Some(Defect::new("quotes", because, "Leave out the quotes."));
    }
    let name = text.split_once('=').map(|(name, _)| name);
    if name.is_some_and(|name| name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')) {
        let because = "the variable's name stands before the key, and is taken for a part of it";
        return Some(Defect::new("name", because, "Leave out the name and the `=`."));
    }
    if text.ends_with([',', ';', '.', ')']) {
        let because = "a mark of punctuation stands behind the key, and is taken for a part of it";
        return Some(Defect::new("punctuation", because, "Leave out what stands behind the key."));
    }
    None
}

/// Characters that no key has.
fn within(text: &str) -> Option<Defect> {
    let has = |set: &[char]| text.contains(set);
    if text.contains(['\n', '\r']) {
        return Some(line_break());
    }
    if has(&DASHES) {
        let because = "a long dash stands where the key has a `-`: a text editor put it there";
        return Some(Defect::new(
            "dash",
            because,
            "Copy the key from the provider's dashboard, not from a document or a chat.",
        ));
    }
    if has(&QUOTES) {
        let because = "a quote stands within the key";
        return Some(Defect::new("quotes", because, "Leave out the quotes."));
    }
    if has(&INVISIBLE) {
        let because = "a character that nobody sees stands within the key";
        return Some(Defect::new(
            "invisible",
            because,
            "Copy the key from the provider's dashboard, not from a page or a chat.",
        ));
    }
    if text.contains(char::is_whitespace) {
        let because = "there is a space within the key";
        return Some(Defect::new("space", because, "Leave out the space: a key is one word."));
    }
    if text.contains(char::is_control) {
        let because = "a control character stands within the key";
        return Some(Defect::new("control_character", because, "Copy the key again."));
    }
    if !text.is_ascii() {
        let because = "a letter stands within the key that only looks like one that keys have";
        return Some(Defect::new("letter", because, "Copy the key from the provider's dashboard again."));
    }
    None
}

fn other(text: &str) -> Option<Defect> {
    let (what, remedy) = kinds::of(text).filter(|_| !text.starts_with("{{"))?;
    Some(Defect::new("other_kind", format!("this is {what}, not an API key"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_catalogue::sample;

    fn key(catalogue: &Catalogue, provider: &str, name: &str) -> String {
        let mut shapes = catalogue.shapes().iter();
        let shape = shapes.find(|shape| &*shape.provider == provider && &*shape.name == name).unwrap();
        sample::text(&shape.pattern, 5).unwrap()
    }

    fn named(text: &str) -> Option<&'static str> {
        of_text(&Catalogue::embedded().unwrap(), text).map(|defect| defect.name)
    }

    #[test]
    fn good_keys_have_no_defect() {
        let catalogue = Catalogue::embedded().unwrap();
        for shape in catalogue.shapes() {
            for seed in 0..40 {
                let key = sample::text(&shape.pattern, seed).unwrap();
                assert_eq!(of_text(&catalogue, &key), None, "{}/{}", shape.provider, shape.name);
                let provider = catalogue.provider(&shape.provider).unwrap();
                assert_eq!(of_key(&catalogue, provider, &key), None, "{}/{}", shape.provider, shape.name);
            }
        }
    }

    #[test]
    fn what_goes_wrong_in_copying_is_named_without_the_key() {
        let catalogue = Catalogue::embedded().unwrap();
        let key = key(&catalogue, "openai", "project");
        let (half, rest) = key.split_at(60);
        let cases = [
            ("", "empty"),
            (&format!("Bearer {key}"), "header"),
            (&format!("Authorization: Bearer {key}"), "header"),
            (&format!("\"{key}\""), "quotes"),
            (&format!("{key}'"), "quotes"),
            (&format!("\u{201c}{key}\u{201d}"), "quotes"),
            (&format!("OPENAI_API_KEY={key}"), "name"),
            (&format!("{key},"), "punctuation"),
            (&key.replacen('-', "\u{2013}", 1), "dash"),
            (&format!("{half}\u{200b}{rest}"), "invisible"),
            (&format!("{half} {rest}"), "space"),
            (&format!("{half}\n{rest}"), "line_break"),
            (&format!("{half}\u{430}{rest}"), "letter"),
            (&format!("{}...{}", &key[..7], &key[key.len() - 4..]), "masked"),
            (&format!("{}••••••••", &key[..7]), "masked"),
            (&format!("{}********", &key[..7]), "masked"),
            ("sk-your-key-here", "placeholder"),
            ("<OPENAI_API_KEY>", "placeholder"),
            ("${OPENAI_API_KEY}", "placeholder"),
            ("changeme", "placeholder"),
            (&format!("sk-{}", "x".repeat(48)), "placeholder"),
            ("org-AbCdEfGh12345678", "other_kind"),
            ("https://platform.openai.com/api-keys", "other_kind"),
            ("kw_prod_nothing", "damaged"),
            ("kwt_nothing", "control_token"),
        ];
        for (text, expected) in cases {
            assert_eq!(named(text), Some(expected), "{text}");
            let defect = of_text(&catalogue, text).unwrap();
            let said = format!("{defect:?}");
            assert!(!defect.remedy.is_empty() && !said.contains(half) && !said.contains(rest), "{said}");
        }
    }

    #[test]
    fn keys_that_are_cut_off_or_somebody_elses_are_not_shown_to_the_provider() {
        let catalogue = Catalogue::embedded().unwrap();
        let key = key(&catalogue, "openai", "project");
        let openai = catalogue.provider("openai").unwrap();
        let cut = of_key(&catalogue, openai, &key[..key.len() - 30]).unwrap();
        assert_eq!(cut.name, "truncated");
        let anthropic = catalogue.provider("anthropic").unwrap();
        let foreign = of_key(&catalogue, anthropic, &key).unwrap();
        assert!(foreign.name == "foreign_key" && foreign.remedy.contains("--provider openai"), "{foreign:?}");
        assert_eq!(of_key(&catalogue, catalogue.provider("compatible").unwrap(), &key), None);
        assert!(is_unfamiliar(&catalogue, openai, &"a".repeat(200)));
        assert!(!is_unfamiliar(&catalogue, openai, &key));
    }
}

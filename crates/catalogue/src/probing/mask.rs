//! Takes secrets out of what a provider says: error messages repeat keys, whole or in part.

use std::borrow::Cow;

/// From this length on, a word that has a digit may be a secret and is not repeated.
const LONG: usize = 32;
/// A piece of the secret of this length is not repeated.
const PIECE: usize = 6;
/// The longest text that is kept.
const LONGEST: usize = 400;

/// The text without the secret, its pieces, and whatever else looks like a key.
#[must_use]
pub fn without(text: &str, secret: &[u8]) -> String {
    let secret = std::str::from_utf8(secret).unwrap_or_default();
    let mut out = masked(text, |word| {
        let cut = word.contains('…') && word.contains(|c: char| c == '-' || c == '_' || c.is_ascii_digit());
        cut || word.contains(['*', '•']) || word.len() >= PIECE && repeats(word, secret)
    })
    .into_owned();
    if out.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0);
        out.truncate(end);
        out.push('…');
    }
    out
}

/// Whether a word has a piece of the secret in it.
fn repeats(word: &str, secret: &str) -> bool {
    let bytes = word.as_bytes();
    // What only begins the way all keys of the provider do says nothing.
    let common = secret.find(|c: char| c.is_ascii_digit()).map_or(0, |at| at.min(8));
    let own = secret.as_bytes().get(common..).unwrap_or_default();
    bytes.windows(PIECE).any(|piece| own.windows(PIECE).any(|known| known.eq_ignore_ascii_case(piece)))
}

/// The text without long words that have a digit, and without those that `also` names.
#[must_use]
pub fn masked(text: &str, also: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '=' | '*' | '…' | '•');
    // Three full stops stand for what was left out; one ends a sentence.
    let text: Cow<'_, str> = if text.contains("...") { text.replace("...", "…").into() } else { text.into() };
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(start) = rest.find(part) {
        let (before, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !part(c)).unwrap_or(from.len()));
        out.push_str(before);
        let long = word.len() >= LONG && word.contains(|c: char| c.is_ascii_digit());
        // A lone ellipsis is a figure of speech.
        let secret = long || word.chars().any(|c| c.is_ascii_alphanumeric()) && also(word);
        out.push_str(if secret { "[masked]" } else { word });
        rest = after;
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_their_pieces_are_taken_out() {
        let secret = "sk-proj-abcdEFGH1234wxyzQRST9876";
        for (said, kept) in [
            (format!("Incorrect API key provided: {secret}."), "Incorrect API key provided: [masked]."),
            ("Incorrect API key: sk-pr***9876. See x.".to_owned(), "Incorrect API key: [masked]. See x."),
            ("bad key: xai-...wxyz, sorry".to_owned(), "bad key: [masked], sorry"),
            ("Your key ****9876 is invalid".to_owned(), "Your key [masked] is invalid"),
            ("ends in QRST9876".to_owned(), "ends in [masked]"),
            ("Missing scopes: api.model.read.".to_owned(), "Missing scopes: api.model.read."),
            ("Please wait... and retry".to_owned(), "Please wait… and retry"),
        ] {
            assert_eq!(without(&said, secret.as_bytes()), kept, "{said}");
        }
        let long = "é".repeat(400);
        assert!(without(&long, b"").len() <= LONGEST + 3);
    }
}

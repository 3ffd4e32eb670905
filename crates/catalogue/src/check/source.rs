//! A TOML text with the places of its values.

use super::{Problem, from_toml};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A file that is TOML.
pub(super) struct Source<'s> {
    pub(super) text: &'s str,
    pub(super) table: Spanned<DeTable<'s>>,
}

impl<'s> Source<'s> {
    /// Reads the syntax; otherwise every syntax error.
    pub(super) fn parse(text: &'s str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, table });
        }
        Err(errors.iter().map(|error| from_toml(text, error)).collect())
    }

    /// Whether the file has a key at its top.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get_ref().contains_key(key)
    }

    /// Line and column of the value at a place: keys and array positions joined by dots (`operations.3.usage`). Where
    /// the file does not say it, of what encloses it.
    pub(super) fn locate(&self, place: &str) -> (usize, usize) {
        let mut at = 0;
        let mut rest = place;
        let mut table = Some(self.table.get_ref());
        let mut array = None;
        while !rest.is_empty() {
            let next = match (table, array) {
                (Some(fields), _) => step_into(fields, rest),
                (None, Some(elements)) => {
                    let (index, after) = rest.split_once('.').unwrap_or((rest, ""));
                    index.parse().ok().and_then(|index: usize| <[_]>::get(elements, index)).map(|value| (value, after))
                }
                (None, None) => None,
            };
            let Some((value, after)) = next else { break };
            let value: &Spanned<DeValue<'_>> = value;
            at = value.span().start;
            rest = after;
            table = value.get_ref().as_table();
            array = value.get_ref().as_array().map(|array| &**array);
        }
        position(self.text, at)
    }
}

/// Keys may contain dots themselves, so the longest key that fits is taken.
fn step_into<'t, 'p, 's>(fields: &'t DeTable<'s>, place: &'p str) -> Option<(&'t Spanned<DeValue<'s>>, &'p str)> {
    fields
        .iter()
        .filter_map(|(key, value)| {
            let after = place.strip_prefix(&**key.get_ref())?;
            if after.is_empty() { Some((value, "")) } else { after.strip_prefix('.').map(|after| (value, after)) }
        })
        .min_by_key(|(_, after)| after.len())
}

/// Line and column (in characters) of a byte, both from 1.
pub(super) fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// For the reader's "unknown field `x`, expected one of `a`, `b`": which of them was probably meant.
pub(super) fn nearest(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let Some((given, known)) = quoted.split_first() else { return String::new() };
    if !message.starts_with("unknown") {
        return String::new();
    }
    known
        .iter()
        .map(|word| (distance(given, word), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| format!("did you mean `{word}`?"))
        .unwrap_or_default()
}

/// How many characters must be added, removed or changed to turn one word into the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, character) in from.chars().enumerate() {
        let mut above_left = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&to) {
            left = (above + 1).min(left + 1).min(above_left + usize::from(character != *other));
            next.push(left);
            above_left = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_positions() {
        let text =
            "id = 'x'\n[api]\nroot = '/x'\n[[operations]]\nname = 'a'\n[[operations]]\nname = 'b'\npath = '/ä'\n";
        let Ok(source) = Source::parse(text) else { panic!("it is TOML") };
        assert_eq!(source.locate("id"), (1, 6));
        assert_eq!(source.locate("api.root"), (3, 8));
        assert_eq!(source.locate("operations.1.path"), (8, 8));
        assert_eq!(source.locate("operations.0.usage"), source.locate("operations.0"));
    }

    #[test]
    fn words_have_distances() {
        for (from, to, expected) in [("", "", 0), ("a", "", 1), ("usage", "usages", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
        assert_eq!(nearest("unknown field `metod`, expected one of `name`, `method`"), "did you mean `method`?");
        assert_eq!(nearest("unknown field `zzz`, expected one of `name`, `method`"), "");
    }
}

//! "Did you mean": the known names nearest to a mistyped one.

/// Up to three of the known names that are near to the given one, nearest first.
pub(crate) fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let given = given.to_ascii_lowercase();
    let reach = (given.chars().count() / 3).max(2);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .filter_map(|name| {
            let distance = if name.starts_with(&*given) || given.starts_with(name) { 1 } else { edits(&given, name) };
            (distance <= reach).then_some((distance, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// A hint for an error: the nearest names, or all of them when nothing is near and they are few.
pub(crate) fn hint<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = nearest(given, known.clone());
    if !near.is_empty() {
        return format!("did you mean {}?", near.join(", "));
    }
    let mut all: Vec<&str> = known.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    let more = if all.len() > 40 { ", …" } else { "" };
    all.truncate(40);
    format!("known: {}{more}", all.join(", "))
}

/// How many characters must be added, removed or changed to get from one word to the other.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut next = vec![before];
        for (right, above) in other.iter().zip(row.iter().skip(1)) {
            let cost = (diagonal + usize::from(left != *right)).min(above + 1).min(before + 1);
            diagonal = *above;
            before = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 4] = ["openai", "anthropic", "openrouter", "gemini"];

    #[test]
    fn typing_mistakes_find_their_word() {
        assert_eq!(nearest("opnai", KNOWN), ["openai"]);
        assert_eq!(nearest("Antropic", KNOWN), ["anthropic"]);
        assert_eq!(nearest("open", KNOWN), ["openai", "openrouter"]);
        assert!(nearest("zzz", KNOWN).is_empty());
        assert_eq!(hint("zzzz", KNOWN), "known: anthropic, gemini, openai, openrouter");
    }

    #[test]
    fn edits_are_counted() {
        for (one, other, count) in [("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("kitten", "sitting", 3)] {
            assert_eq!(edits(one, other), count, "{one} {other}");
        }
    }
}

//! What the rule files say of themselves, and the page that is written from them.

use super::written;
use std::{fmt::Write as _, fs, path::Path};

#[test]
fn every_rule_has_examples_counters_and_a_source_or_says_that_it_has_none() {
    for rule in written().unwrap() {
        assert!(!rule.examples.is_empty() && !rule.counters.is_empty(), "{} has no examples or no counters", rule.id);
        let all = rule.examples.iter().chain(&rule.counters);
        assert!(all.clone().all(|text| text.contains("{}")), "{}: a text without a secret tries nothing", rule.id);
        let sourced = rule.source.as_ref().is_some_and(|source| !source.is_empty());
        assert!(sourced != rule.unverified, "{}: `source`, or `unverified = true`", rule.id);
    }
}

/// The page of all rules.
fn page() -> String {
    let mut page = String::from(
        "# Rules\n\n\
         What `keyward scan` looks for besides the key shapes of [providers](providers.md), its own keys, private keys, \
         passwords in\naddresses and random texts that are named like secrets. Written by a test from \
         `crates/scanner/rules`, whose examples and\ncounters are tests as well.\n\n\
         A rule without a literal beginning needs a word near the text that tells whose it is (`near`). Source: whose \
         rules for the same\nsecret fit the same texts. **unverified**: the shape is from no source that could be \
         checked. It may miss or misname secrets;\ntell us what you know of it.\n\n\
         | rule | secret | shape | near | source |\n|---|---|---|---|---|\n",
    );
    for rule in written().unwrap() {
        let near: Vec<String> = rule.context.iter().map(|word| format!("`{word}`")).collect();
        let name = if rule.public { format!("{} (public: not reported)", rule.name) } else { rule.name.to_string() };
        let source = rule.source.as_deref().unwrap_or("**unverified**");
        let shape = rule.pattern.replace('|', "\\|");
        writeln!(page, "| `{}` | {name} | `{shape}` | {} | {source} |", rule.id, near.join(", ")).unwrap();
    }
    page
}

#[test]
fn the_page_tells_every_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    let page = page();
    if fs::read_to_string(&path).unwrap_or_default() != page {
        fs::write(&path, page).unwrap();
        panic!("docs/reference/rules.md was out of date and is now written anew: look at the change and commit it");
    }
}

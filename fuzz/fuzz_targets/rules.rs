//! A file of rules from anybody: reading never panics, and what was read never panics on a text.
#![no_main]

use keyward_catalogue::Catalogue;
use keyward_scanner::{Hints, Matcher, Rules};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::embedded().expect("the embedded files are right"));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(rules) = Rules::parse(text) else { return };
    assert!(!rules.is_empty());
    Matcher::new(&CATALOGUE).with_rules(rules).look(data, &Hints::default(), &mut |hit| {
        assert!(hit.span.end <= data.len());
    });
});

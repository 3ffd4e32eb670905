//! A provider's TOML file from an operator: checking never panics, and every problem has a place inside the text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.lines().count().max(1);
    for problem in keyward_catalogue::check::text(text) {
        assert!(problem.line >= 1 && problem.line <= lines + 1);
    }
});

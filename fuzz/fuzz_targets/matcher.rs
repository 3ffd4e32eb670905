//! Any bytes: the matcher and its decoders never panic, and what they find lies in the text, in order, none over another.
#![no_main]

use keyward_catalogue::Catalogue;
use keyward_scanner::{Hints, Matcher};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static MATCHER: LazyLock<Matcher> = LazyLock::new(|| Matcher::new(&Catalogue::embedded().expect("the embedded files are right")));

fuzz_target!(|data: &[u8]| {
    let mut end = 0;
    let (path, text) = data.split_at(data.first().map_or(0, |first| usize::from(first % 16).min(data.len())));
    let within = [String::from_utf8_lossy(path).into()];
    MATCHER.look(text, &Hints { path, within: &within }, &mut |hit| {
        assert!(hit.span.start >= end && hit.span.start <= hit.span.end && hit.span.end <= text.len());
        assert!(!hit.secret.expose().is_empty() && !hit.reasons.is_empty());
        end = hit.span.end;
    });
});

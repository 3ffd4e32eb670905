//! A repository whose objects, index and references are whatever the fuzzer makes up: scanning it ends and never panics.

#![no_main]

use keyward_catalogue::Catalogue;
use keyward_scanner::{Bounds, History, Matcher, Progress, Scan};
use libfuzzer_sys::fuzz_target;
use std::{fs, sync::OnceLock};

/// The file that the fuzzer's bytes become, by the first of them.
const FILES: [&str; 8] = [
    "objects/pack/pack-1.pack",
    "objects/11/11111111111111111111111111111111111111",
    "index",
    "packed-refs",
    "config",
    "logs/HEAD",
    "HEAD",
    "objects/info/alternates",
];

fuzz_target!(|data: &[u8]| {
    static MATCHER: OnceLock<Matcher> = OnceLock::new();
    let Some((choice, bytes)) = data.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["objects/pack", "objects/info", "objects/11", "refs/heads", "logs"] {
        fs::create_dir_all(folder.path().join(name)).expect("a folder");
    }
    fs::write(folder.path().join("HEAD"), "ref: refs/heads/main").expect("a file");
    let file = FILES[usize::from(*choice) % FILES.len()];
    fs::write(folder.path().join(file), bytes).expect("a file");
    let matcher = MATCHER.get_or_init(|| Matcher::new(&Catalogue::embedded().expect("a catalogue")));
    let (bounds, progress) = (Bounds::default(), Progress::default());
    let scan = Scan { matcher, bounds, threads: 1, progress: &progress };
    let _ = scan.git(folder.path(), &History::Whole);
    let _ = scan.git(folder.path(), &History::Range("HEAD".to_owned()));
    let _ = scan.staged(folder.path());
});

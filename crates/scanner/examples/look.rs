//! Looks at every file below a folder and prints what it finds, without the secrets, and how long the matcher alone took:
//! for triage of real trees and for measuring.

use keyward_scanner::{Confidence, Hints, Matcher};
use rustix::time::{ClockId, clock_gettime};
use std::{collections::BTreeMap, error::Error, fs, io::Write as _, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let started = seconds();
    let mut out = std::io::stdout().lock();
    let matcher = Matcher::embedded()?;
    let made = seconds();
    let (mut bytes, mut files, mut busy) = (0_u64, 0_u64, 0.0);
    let mut counts = BTreeMap::new();
    let low = std::env::args().any(|argument| argument == "--low");
    for root in std::env::args().skip(1).filter(|argument| argument != "--low") {
        walk(Path::new(&root), &mut |path, text| {
            let before = seconds();
            let hints = Hints { path: path.as_os_str().as_encoded_bytes(), within: &[] };
            matcher.look(text, &hints, &mut |hit| {
                *counts.entry((hit.confidence, hit.kind.rule.clone())).or_insert(0_u64) += 1;
                if hit.confidence > Confidence::Low || low {
                    let _ = writeln!(
                        out,
                        "{:?} {} {}:{:?} {:?}",
                        hit.confidence,
                        hit.kind.rule,
                        path.display(),
                        hit.span,
                        hit.reasons
                    );
                }
            });
            busy += seconds() - before;
            bytes += text.len() as u64;
            files += 1;
        });
    }
    for ((confidence, rule), count) in counts {
        writeln!(out, "{count:8} {confidence:?} {rule}")?;
    }
    let rate = bytes as f64 / 1e6 / busy;
    writeln!(
        out,
        "{files} files, {bytes} bytes; matcher made in {:.4} s, looked for {busy:.3} s: {rate:.0} MB/s",
        made - started
    )?;
    writeln!(
        out,
        "whole: {:.3} s of the processor, {:.0} MB/s",
        seconds() - started,
        bytes as f64 / 1e6 / (seconds() - started)
    )?;
    Ok(())
}

fn walk(path: &Path, look: &mut dyn FnMut(&Path, &[u8])) {
    let Ok(entries) = fs::read_dir(path) else {
        if let Ok(text) = fs::read(path) {
            look(path, &text);
        }
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&path, look),
            Ok(kind) if kind.is_file() => {
                if let Ok(text) = fs::read(&path) {
                    look(&path, &text);
                }
            }
            _ => {}
        }
    }
}

/// Seconds of the processor that this thread has used.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

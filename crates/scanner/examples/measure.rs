//! Scans the paths given and tells what it took, in CPU time: `cargo run --release --example measure -- PATH…`.
//! `--threads N` takes more than one thread.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

use keyward_catalogue::Catalogue;
use keyward_scanner::{Bounds, Matcher, Progress, Scan, Walk};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let mut threads = 1;
    if arguments.first().is_some_and(|first| first == "--threads") {
        threads = arguments.get(1).and_then(|count| count.to_str()).ok_or("how many threads?")?.parse()?;
        arguments.drain(..2);
    }
    let catalogue = Catalogue::embedded()?;
    let matcher = Matcher::new(&catalogue);
    let progress = Progress::default();
    let scan = Scan { matcher: &matcher, bounds: Bounds::default(), threads, progress: &progress };
    let roots: Vec<PathBuf> = arguments.into_iter().map(PathBuf::from).collect();
    let outcome = scan.paths(&roots, &Walk::default());
    for missed in &outcome.missed {
        let path = String::from_utf8_lossy(&missed.place.path);
        println!("{:?} {} {:?} {}", missed.cause, path.escape_debug(), missed.place.within, missed.detail);
    }
    for finding in &outcome.findings {
        let path = String::from_utf8_lossy(&finding.place.path);
        let (rule, within) = (&finding.kind.rule, &finding.place.within);
        let (confidence, path) = (finding.confidence, path.escape_debug());
        println!("{confidence:?} {rule} {path}:{}:{} {within:?}", finding.line, finding.column);
    }
    println!("{:?}", outcome.stats);
    Ok(())
}
